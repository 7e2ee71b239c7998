//! One writer of a store and its readers.
//!
//! Each round of the writer gives every object the round's number as its version and its index value,
//! so that any mixture of two rounds shows.
//!
//! Every entry knows its writer's thread and is dropped there, or the run ends: no reader is ever the
//! last holder of a publication (I5 of the indexer).

use std::sync::Arc;

use tidings_api::{Object, ResourceVersion};

use crate::{
    checker::{ThreadId, spawn, this_thread},
    entry::{Entry, Value},
    indexer::{IndexFn, Indexer, IndexerConfig, Retained, Snapshot, StoreReader, Sweep},
};

type Payload = Arc<Token>;

struct Token {
    index_value: String,
    writer: ThreadId,
}

/// INV-S5: a reader sees whole rounds, in their order, and what it holds does not change while the
/// writer takes its two states in turns.
pub fn a_reader_sees_whole_rounds_in_their_order() {
    let mut indexer = store();
    write(&mut indexer, 1);
    let reader = indexer.reader();
    let reading = spawn(move || look_twice(&reader));
    for round in 2..=4 {
        write(&mut indexer, round);
    }
    reading.join().expect("it ends");
    assert_nothing_is_left(indexer);
}

/// The same for two readers, who hold other rounds.
pub fn two_readers_hold_what_they_like() {
    let mut indexer = store();
    write(&mut indexer, 1);
    let readings = [(); 2].map(|()| {
        let reader = indexer.reader();
        spawn(move || look_twice(&reader))
    });
    for round in 2..=3 {
        write(&mut indexer, round);
    }
    for reading in readings {
        reading.join().expect("it ends");
    }
    assert_nothing_is_left(indexer);
}

/// A snapshot that is held over many rounds, by somebody who asks for single objects meanwhile.
pub fn a_snapshot_outlives_many_rounds() {
    let mut indexer = store();
    write(&mut indexer, 1);
    let (reader, held) = (indexer.reader(), indexer.snapshot());
    let reading = spawn(move || {
        let first = get(&reader);
        assert!(first <= get(&reader), "a reader never goes back");
        assert_eq!(check(&held), 1, "what is held does not change");
        drop(held);
        let now = check(&reader.snapshot());
        assert!(first <= now && now <= get(&reader));
    });
    for round in 2..=6 {
        write(&mut indexer, round);
    }
    reading.join().expect("it ends");
    assert_nothing_is_left(indexer);
}

/// What was done to a published state is done again in slices, and others look at it meanwhile.
pub fn a_state_is_brought_up_to_date_in_slices() {
    let mut indexer = store();
    write(&mut indexer, 1);
    write(&mut indexer, 2);
    let reader = indexer.reader();
    let reading = spawn(move || look_twice(&reader));
    for round in 3..=4 {
        change(&mut indexer, round);
        indexer.publish(version(round), 0);
        // Less than a round: the rest is done when the next one needs it.
        indexer.reclaim(1);
        indexer.reclaim(1);
    }
    reading.join().expect("it ends");
    assert_nothing_is_left(indexer);
}

/// INV-S5: nobody sees a relist before its end, nor one that was given up.
pub fn a_relist_shows_its_end_alone() {
    let mut indexer = store();
    write(&mut indexer, 1);
    let reader = indexer.reader();
    let reading = spawn(move || look_twice(&reader));
    indexer.replace_begin(true);
    let item = entry(&indexer, "a", 9);
    indexer.replace_item(item);
    assert!(!indexer.publish(version(9), 0), "I4: nothing is published");
    indexer.replace_abort();
    indexer.replace_begin(true);
    for key in keys(2) {
        let item = entry(&indexer, key, 2);
        indexer.replace_item(item);
    }
    indexer.replace_end(Sweep::All);
    assert!(indexer.publish(version(2), 0));
    indexer.reclaim(usize::MAX);
    write(&mut indexer, 3);
    reading.join().expect("it ends");
    assert_nothing_is_left(indexer);
}

/// cg-I12: an index that comes late is not there, or it is whole.
pub fn a_late_index_is_there_whole() {
    let mut indexer = store();
    write(&mut indexer, 1);
    let reader = indexer.reader();
    let reading = spawn(move || {
        let snapshot = reader.snapshot();
        let round = check(&snapshot);
        let Ok(late) = snapshot.by_index("late", &format!("r{round}")) else {
            assert!(round < 3, "it was published with round 3");
            return;
        };
        assert_eq!(late.count(), keys(round).len(), "INV-S10");
    });
    write(&mut indexer, 2);
    assert!(indexer.add_index("late", by_round()).is_ok());
    write(&mut indexer, 3);
    write(&mut indexer, 4);
    reading.join().expect("it ends");
    assert_nothing_is_left(indexer);
}

/// Two looks at a store, the first of which is held for a while.
fn look_twice(reader: &StoreReader<Payload>) {
    let first = reader.snapshot();
    let round = check(&first);
    let second = reader.snapshot();
    let later = check(&second);
    assert!(round <= later, "a reader never goes back");
    assert_eq!(check(&first), round, "what is held does not change");
    let changes = first.diff_to(&second).next_slice(9).len();
    drop(first);
    if round == later {
        assert_eq!(changes, 0);
    } else {
        assert!(changes >= keys(later).len(), "each object has changed");
    }
    assert_eq!(check(&second), later, "what is held does not change");
}

/// The round that a snapshot shows, and it alone.
fn check(snapshot: &Snapshot<Payload>) -> u64 {
    let round = snapshot.generation();
    assert_eq!(snapshot.resource_version(), version(round).as_ref());
    let text = round.to_string();
    let mut seen: Vec<_> = snapshot.iter().map(|entry| entry.object.name()).collect();
    seen.sort_unstable();
    assert_eq!(seen, keys(round), "a round's keys, all of them");
    let is_of_it = |entry: &Entry<_>| entry.object.resource_version_text() == text;
    assert!(snapshot.iter().all(is_of_it), "a mixture of rounds");
    let filed = snapshot.by_index("round", &format!("r{round}"));
    let filed = filed.expect("it was there at first").count();
    assert_eq!(filed, keys(round).len(), "INV-S10");
    assert_eq!(
        snapshot.index_values("round").map(|values| values.len()),
        Ok(1)
    );
    round
}

/// The version of the object that is always there.
fn get(reader: &StoreReader<Payload>) -> u64 {
    let version = |entry: &Entry<Payload>| entry.object.resource_version_text().parse().ok();
    let found = reader.with("default/a", |entry| entry.and_then(version));
    found.expect("it is in every round")
}

fn store() -> Indexer<Payload> {
    let mut indexer = Indexer::new(IndexerConfig::default());
    assert!(indexer.add_index("round", by_round()).is_ok());
    indexer
}

fn write(indexer: &mut Indexer<Payload>, round: u64) {
    change(indexer, round);
    assert!(indexer.publish(version(round), 0));
    indexer.reclaim(usize::MAX);
}

fn change(indexer: &mut Indexer<Payload>, round: u64) {
    for key in keys(round) {
        let entry = entry(indexer, key, round);
        indexer.upsert(entry);
    }
    if round % 2 == 1 {
        indexer.remove("default/c");
    }
}

/// One object comes and goes.
fn keys(round: u64) -> &'static [&'static str] {
    if round % 2 == 1 {
        &["a", "b"]
    } else {
        &["a", "b", "c"]
    }
}

fn entry(indexer: &Indexer<Payload>, key: &str, round: u64) -> Entry<Payload> {
    let object = Object::bare("default", key, "uid", &round.to_string());
    let token = Token {
        index_value: format!("r{round}"),
        writer: this_thread(),
    };
    let hash = indexer.hash_key(object.key_bytes());
    Entry::new(hash, object, Value::Decoded(Arc::new(token)))
}

fn by_round() -> IndexFn<Payload> {
    Box::new(|entry, emit| {
        if let Some(token) = entry.effective() {
            emit(&token.index_value);
        }
    })
}

fn version(round: u64) -> Option<ResourceVersion> {
    (round > 0).then(|| ResourceVersion::from_revision(round))
}

/// Once no reader is left the writer takes back everything but what is published.
fn assert_nothing_is_left(mut indexer: Indexer<Payload>) {
    indexer.check_invariants();
    while indexer.reclaim(usize::MAX) > 0 {}
    assert_eq!(indexer.retained(), Retained::default());
}

impl Drop for Token {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.writer, this_thread(), "I5: a reader had to free it");
        }
    }
}
