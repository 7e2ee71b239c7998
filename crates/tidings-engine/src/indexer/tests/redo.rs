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
    assert_eq!((retained.generations, retained.entries), (1, 2));
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
    assert!(diff.compared() < 12, "{}", diff.compared());
}

/// Without the checks of every invariant, which take long in a large store.
fn put_unchecked(indexer: &mut Indexer<String>, key: &str, revision: u64) {
    let entry = entry(indexer, key, revision, "n1");
    indexer.upsert(entry);
}
