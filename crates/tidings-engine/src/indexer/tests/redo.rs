//! The two states that take turns: what is published is always whole, whatever way it came about.

use super::*;

/// `count` objects, published; both states have their own nodes.
fn filled(count: u64) -> Indexer<String> {
    let mut indexer = store();
    for turn in 1..=3 {
        for number in 0..count {
            let entry = entry(&indexer, &format!("o{number}"), turn, "n1");
            indexer.upsert(entry);
        }
        indexer.check_invariants();
        publish(&mut indexer, turn);
    }
    indexer
}

fn publish(indexer: &mut Indexer<String>, revision: u64) {
    assert!(indexer.publish(rv(revision), 0));
    while indexer.reclaim(64) > 0 {}
}

/// The versions that a snapshot has, by the store and by the index, which must agree.
fn versions(snapshot: &Snapshot<String>) -> Vec<u64> {
    let version = |entry: &Entry<String>| entry.object.resource_version_text().parse().unwrap();
    let mut stored: Vec<u64> = snapshot.iter().map(version).collect();
    let filed = snapshot.index_values("node").unwrap();
    let filed = filed
        .iter()
        .flat_map(|value| snapshot.by_index("node", value).unwrap());
    let mut filed: Vec<u64> = filed.map(version).collect();
    stored.sort_unstable();
    filed.sort_unstable();
    assert_eq!(stored, filed);
    stored
}

#[test]
fn a_batch_that_is_longer_than_the_log_is_published_whole() {
    let mut indexer = filled(5_000);
    assert_eq!(versions(&indexer.snapshot()), [3; 5_000]);
    put(&mut indexer, "o7@4=n2");
    publish(&mut indexer, 4);
    indexer.remove("default/o8");
    publish(&mut indexer, 5);
    let expected = [vec![3; 4_998], vec![4]].concat();
    assert_eq!(versions(&indexer.snapshot()), expected);
    assert_eq!(under(&indexer.snapshot(), "n2"), "o7@4=n2");
}

#[test]
fn a_held_predecessor_is_left_as_it_is() {
    let mut indexer = filled(100);
    let held = indexer.snapshot();
    put(&mut indexer, "o7@4=n1");
    publish(&mut indexer, 4);
    put(&mut indexer, "o7@5=n1");
    publish(&mut indexer, 5);
    assert_eq!(versions(&held), [3; 100]);
    let expected = [vec![3; 99], vec![5]].concat();
    assert_eq!(versions(&indexer.snapshot()), expected);
    let retained = indexer.retained();
    let bytes = 2 * held.get("default/o7").unwrap().bytes_len();
    assert_eq!(
        (retained.generations, retained.entries, retained.bytes),
        (1, 2, bytes)
    );
    drop(held);
    while indexer.reclaim(64) > 0 {}
    assert_eq!(indexer.retained(), Retained::default());
}

/// Y2 of the graveyard: what a patched predecessor lost may live on in an older root.
#[test]
fn what_an_older_snapshot_holds_stays_accounted_for() {
    let mut indexer = filled(100);
    let held = indexer.snapshot();
    for revision in 4..14 {
        put(&mut indexer, &format!("o{revision}@{revision}=n1"));
        publish(&mut indexer, revision);
    }
    let retained = indexer.retained();
    assert_eq!((retained.generations, retained.entries), (1, 10));
    drop(held);
}

/// What a slice costs is what was asked for: an entry with its two values, and no entry for nothing.
#[test]
fn a_slice_of_the_preparation_is_as_long_as_its_budget() {
    let mut indexer = filled(10);
    for number in 0..4 {
        put(&mut indexer, &format!("o{number}@4=n2"));
    }
    assert!(indexer.publish(rv(4), 0));
    let slices = [0, 1, 3, 4, 1000, 1000].map(|budget| indexer.reclaim(budget));
    assert_eq!(slices, [0, 3, 3, 6, 0, 0]);
    indexer.check_invariants();
    assert_eq!(indexer.retained(), Retained::default());
}

#[test]
fn an_index_that_a_given_up_list_left_behind_is_in_the_next_state_too() {
    let mut indexer = filled(3);
    indexer.replace_begin(false);
    let by_name: IndexFn<String> = Box::new(|entry, emit| emit(entry.object.name()));
    indexer.add_index("name", by_name).unwrap();
    indexer.replace_abort();
    for revision in 4..7 {
        put(&mut indexer, &format!("o1@{revision}=n1"));
        publish(&mut indexer, revision);
        let entries = indexer.reader().by_index("name", "o1").unwrap();
        assert_eq!(line(&entries[0]), format!("o1@{revision}=n1"));
    }
}

/// A list that was longer than the log and is given up: the log is whole again if there was nothing in
/// it before, and of no use if there was, since that is lost.
#[test]
fn a_log_that_a_given_up_list_overran_is_whole_only_if_it_was_empty() {
    for (before, expected) in [("", [3, 5, 6]), ("o0@4=n1", [4, 5, 6])] {
        let mut indexer = filled(3);
        if !before.is_empty() {
            put(&mut indexer, before);
        }
        indexer.replace_begin(false);
        for number in 0..2_500 {
            let entry = entry(&indexer, &format!("new{number}"), 9, "n1");
            indexer.replace_item(entry);
        }
        assert!(!indexer.redo.is_whole());
        indexer.replace_abort();
        assert_eq!(indexer.redo.is_whole(), before.is_empty());
        for (revision, change) in [(5, "o1@5=n1"), (6, "o2@6=n1")] {
            put(&mut indexer, change);
            publish(&mut indexer, revision);
        }
        assert_eq!(versions(&indexer.snapshot()), expected);
    }
}

/// G5 of the pages: the two states share few nodes, and a subscriber's difference is still cheap.
#[test]
fn inv_s7_a_difference_costs_what_changed() {
    let mut indexer = filled(20_000);
    for revision in 4..60 {
        put_unchecked(&mut indexer, &format!("o{revision}"), revision);
        publish(&mut indexer, revision);
    }
    let known = indexer.snapshot();
    put_unchecked(&mut indexer, "o7", 60);
    put_unchecked(&mut indexer, "o8", 60);
    publish(&mut indexer, 60);
    let mut diff = known.diff_to(&indexer.snapshot());
    assert_eq!(diff.next_slice(5).len(), 2);
    assert_eq!(diff.next_slice(5).len(), 0);
    assert!((2..12).contains(&diff.compared()), "{}", diff.compared());
}

/// Without the checks of every invariant, which take long in a large store.
fn put_unchecked(indexer: &mut Indexer<String>, key: &str, revision: u64) {
    let entry = entry(indexer, key, revision, "n1");
    indexer.upsert(entry);
}
