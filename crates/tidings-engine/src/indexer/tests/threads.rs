//! Readers beside a writer, with real threads and the real arc-swap: `tests/schedules` has a model of it.
//!
//! No sleeps: the writer stops after a fixed number of publications, the readers when they have
//! seen the last.

use std::{sync::Barrier, thread};

use super::*;

const KEYS: u64 = 300;
const ROUNDS: u64 = 2_000;

/// Every key has the round's number as version and as index value, so any mixture shows.
fn write_round(indexer: &mut Indexer<String>, round: u64) {
    if round.is_multiple_of(7) {
        indexer.replace_begin(true);
        for key in 0..KEYS {
            let entry = entry(indexer, &format!("o{key}"), round, &format!("r{round}"));
            indexer.replace_item(entry);
        }
        indexer.replace_end(Sweep::All);
    } else {
        for key in 0..KEYS {
            let entry = entry(indexer, &format!("o{key}"), round, &format!("r{round}"));
            indexer.upsert(entry);
        }
    }
    assert!(indexer.publish(rv(round), 0));
    indexer.reclaim(2 * 300);
}

fn check_snapshot(snapshot: &Snapshot<String>) -> u64 {
    let round = snapshot.generation();
    assert_eq!(snapshot.resource_version(), rv(round).as_ref());
    let text = round.to_string();
    assert!(
        snapshot
            .iter()
            .all(|entry| entry.object.resource_version_text() == text)
    );
    let filed = snapshot.by_index("node", &format!("r{round}")).unwrap();
    assert_eq!((snapshot.len() as u64, filed.count() as u64), (KEYS, KEYS));
    assert_eq!(snapshot.index_values("node").unwrap().len(), 1);
    round
}

fn read(reader: &StoreReader<String>, number: u64, start: &Barrier) {
    start.wait();
    let mut held = Vec::new();
    let (mut last, mut turn) = (0, number);
    while last < ROUNDS {
        turn += 1;
        let entry = reader.get(&format!("default/o{}", turn % KEYS)).unwrap();
        let version: u64 = entry.object.resource_version_text().parse().unwrap();
        assert!(version >= last, "a reader never goes back");
        last = version;
        if turn.is_multiple_of(16) {
            held.push(reader.snapshot());
        }
        if held.len() > 3 {
            let old: Snapshot<String> = held.remove(0);
            let (from, to) = (check_snapshot(&old), check_snapshot(held.last().unwrap()));
            let changes = old.diff_to(held.last().unwrap()).next_slice(1_000).len() as u64;
            assert_eq!(changes, if from == to { 0 } else { KEYS });
        }
    }
}

#[test]
fn inv_s5_inv_s10_readers_see_whole_publications_only_and_never_go_back() {
    let mut indexer = store();
    write_round(&mut indexer, 1);
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for number in 0..3 {
            let (reader, start) = (indexer.reader(), &start);
            scope.spawn(move || read(&reader, number, start));
        }
        start.wait();
        for round in 2..=ROUNDS {
            write_round(&mut indexer, round);
        }
    });
    indexer.check_invariants();
    while indexer.reclaim(10_000) > 0 {}
    assert_eq!(indexer.retained(), Retained::default());
}

#[test]
fn the_handles_may_go_to_other_threads() {
    fn is_shared<T: Send + Sync>() {}
    fn is_sent<T: Send>() {}
    is_shared::<StoreReader<String>>();
    is_shared::<Snapshot<String>>();
    is_sent::<SnapshotDiff<String>>();
    is_sent::<Indexer<String>>();
}
