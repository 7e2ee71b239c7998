//! Relists: mark, sweep, abort; and what becomes of the states that they leave behind.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn filled(count: u64) -> Indexer<String> {
    let mut indexer = store();
    for number in 0..count {
        let entry = entry(
            &indexer,
            &format!("o{number}"),
            number + 1,
            &format!("n{}", number % 7),
        );
        indexer.upsert(entry);
    }
    indexer.publish(rv(count + 1), 0);
    indexer
}

fn item(indexer: &mut Indexer<String>, key: &str, version: u64, payload: &str) -> Seen<String> {
    let entry = entry(indexer, key, version, payload);
    indexer.replace_item(entry)
}

#[test]
fn inv_s5_readers_see_the_old_store_until_the_list_is_complete() {
    let mut indexer = filled(3);
    let before = list(&indexer.snapshot());
    assert!(!indexer.is_replacing());
    indexer.replace_begin(false);
    assert!(indexer.is_replacing());
    assert!(matches!(item(&mut indexer, "o0", 1, "n0"), Seen::Unchanged));
    assert!(matches!(
        item(&mut indexer, "o1", 9, "n5"),
        Seen::Changed { old: Some(_) }
    ));
    assert!(matches!(
        item(&mut indexer, "new", 8, "n5"),
        Seen::Changed { old: None }
    ));
    assert!(
        !indexer.publish(rv(20), 0),
        "nothing is published in the middle of a list"
    );
    assert_eq!(list(&indexer.snapshot()), before);
    let gone = indexer.replace_end(Sweep::All);
    assert_eq!(gone.iter().map(line).collect::<Vec<_>>(), ["o2@3=n2"]);
    assert!(!indexer.is_replacing());
    assert_eq!(list(&indexer.snapshot()), before);
    indexer.check_invariants();
    assert!(indexer.publish(rv(20), 0));
    assert_eq!(list(&indexer.snapshot()), "new@8=n5 o0@1=n0 o1@9=n5");
    assert_eq!(under(&indexer.snapshot(), "n5"), "new@8=n5 o1@9=n5");
}

#[test]
fn an_unchanged_list_changes_nothing_but_the_version() {
    let mut indexer = filled(500);
    let before = indexer.snapshot();
    indexer.replace_begin(false);
    for number in 0..500 {
        let seen = item(
            &mut indexer,
            &format!("o{number}"),
            number + 1,
            "a payload not looked at",
        );
        assert!(matches!(seen, Seen::Unchanged));
    }
    assert!(indexer.replace_end(Sweep::All).is_empty());
    assert!(
        !indexer.publish(rv(501), 0),
        "the same version: nothing to publish"
    );
    assert_eq!(indexer.reader().generation(), before.generation());
    assert!(indexer.publish(rv(502), 0));
    let after = indexer.snapshot();
    assert!(before.diff_to(&after).next_slice(1).is_empty());
    assert_eq!(indexer.retained().entries, 0);
}

#[test]
fn inv_s4_force_diff_suppresses_nothing() {
    let mut indexer = filled(2);
    indexer.replace_begin(true);
    assert!(matches!(
        item(&mut indexer, "o0", 1, "restored"),
        Seen::Changed { old: Some(_) }
    ));
    assert_eq!(indexer.replace_end(Sweep::All).len(), 1);
    assert!(indexer.publish(rv(1), 1));
    assert_eq!(list(&indexer.snapshot()), "o0@1=restored");
}

#[test]
fn inv_s11_a_kept_key_and_an_unprovable_absence_remove_nothing() {
    let mut indexer = filled(3);
    indexer.replace_begin(false);
    assert!(indexer.replace_keep("default/o1"));
    assert!(!indexer.replace_keep("default/never-seen"));
    let gone = indexer.replace_end(Sweep::All);
    assert_eq!((gone.len(), indexer.len()), (2, 1));
    indexer.replace_begin(false);
    assert!(indexer.replace_end(Sweep::Nothing).is_empty());
    assert_eq!(indexer.len(), 1);
    indexer.check_invariants();
}

#[test]
fn an_aborted_list_leaves_everything_as_it_was() {
    let mut indexer = filled(50);
    let (before, bytes) = (list(&indexer.snapshot()), indexer.entry_bytes());
    indexer.replace_begin(false);
    for number in 0..40 {
        item(&mut indexer, &format!("o{number}"), 1000 + number, "n1,n2");
    }
    indexer.remove("default/o45");
    indexer.add_index("late", by_parts()).unwrap();
    indexer.replace_abort();
    indexer.check_invariants();
    assert_eq!((indexer.len(), indexer.entry_bytes()), (50, bytes));
    assert!(indexer.publish(None, 0), "the index stays");
    assert_eq!(list(&indexer.snapshot()), before);
    assert_eq!(indexer.reader().by_index("late", "n1").unwrap().len(), 7);
    assert!(!indexer.is_replacing());
    indexer.replace_abort();
}

#[test]
fn a_second_begin_aborts_the_first() {
    let mut indexer = filled(3);
    indexer.replace_begin(false);
    item(&mut indexer, "o0", 77, "");
    indexer.replace_begin(false);
    item(&mut indexer, "o0", 1, "");
    assert_eq!(indexer.replace_end(Sweep::All).len(), 2);
    indexer.publish(None, 0);
    assert_eq!(list(&indexer.snapshot()), "o0@1=n0");
}

#[test]
fn marks_follow_an_object_that_a_list_has_twice_or_an_event_changes() {
    let mut indexer = filled(3);
    indexer.replace_begin(false);
    item(&mut indexer, "o0", 1, "n0");
    item(&mut indexer, "o0", 2, "n0");
    item(&mut indexer, "o0", 2, "n0");
    put(&mut indexer, "o1@9=n9");
    item(&mut indexer, "o2", 3, "n2");
    indexer.remove("default/o2");
    assert!(indexer.replace_end(Sweep::All).is_empty());
    indexer.publish(None, 0);
    assert_eq!(list(&indexer.snapshot()), "o0@2=n0 o1@9=n9");
}

/// A payload that counts where it dies.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// 2000 of them, published.
fn counted(freed: &Arc<AtomicUsize>) -> Indexer<Arc<Counted>> {
    let mut indexer = Indexer::<Arc<Counted>>::new(IndexerConfig::default());
    let by_name: IndexFn<_> = Box::new(|entry, emit| emit(entry.object.name()));
    indexer.add_index("name", by_name).unwrap();
    for number in 0..2_000 {
        let object = Object::bare("default", &format!("o{number}"), "u", "1");
        let hash = indexer.hash_key(object.key_bytes());
        let payload = Arc::new(Counted(Arc::clone(freed)));
        indexer.upsert(Entry::new(hash, object, Value::Decoded(payload)));
    }
    indexer.publish(rv(1), 0);
    indexer
}

#[test]
fn the_last_snapshot_to_go_frees_nothing_itself() {
    let freed = Arc::new(AtomicUsize::new(0));
    let count = || freed.load(Ordering::Relaxed);
    let mut indexer = counted(&freed);
    let (snapshot, reader) = (indexer.snapshot(), indexer.reader());
    let diff = Snapshot::empty().diff_to(&snapshot);
    indexer.replace_begin(false);
    drop(indexer.replace_end(Sweep::All));
    indexer.publish(rv(2), 0);
    indexer.reclaim(1_000_000);
    assert_eq!(
        (count(), indexer.retained().entries),
        (0, 2_000),
        "a snapshot still has them"
    );
    drop((snapshot, diff, reader));
    assert_eq!(count(), 0, "the last reader has freed nothing");
    let mut slices = 0;
    while indexer.retained().entries > 0 {
        let before = count();
        assert!(
            indexer.reclaim(100) <= 116 && count() - before <= 116,
            "a slice is a slice"
        );
        slices += 1;
    }
    assert!(slices > 20 && count() == 2_000);
    assert_eq!(indexer.retained(), Retained::default());
}

/// A root that had to be left to its reader, and that the reader then lets go.
fn retired(freed: &Arc<AtomicUsize>) -> Indexer<Arc<Counted>> {
    let mut indexer = counted(freed);
    indexer.reclaim(1_000_000);
    let snapshot = indexer.snapshot();
    indexer.replace_begin(false);
    drop(indexer.replace_end(Sweep::All));
    indexer.publish(rv(2), 0);
    indexer.remove("default/none");
    assert_eq!(indexer.retained().generations, 1);
    drop(snapshot);
    assert_eq!(freed.load(Ordering::Relaxed), 0);
    indexer
}

#[test]
fn a_retired_root_is_taken_apart_in_slices() {
    let freed = Arc::new(AtomicUsize::new(0));
    let count = || freed.load(Ordering::Relaxed);
    let mut indexer = retired(&freed);
    let mut slices = 0;
    while indexer.retained() != Retained::default() {
        let before = count();
        assert!(indexer.reclaim(100) <= 116 && count() - before <= 116);
        slices += 1;
    }
    // Twenty for the entries, and as many again for what an index filed.
    assert!(slices > 38 && count() == 2_000, "{slices}: {}", count());
}

#[test]
fn a_retired_root_is_taken_apart_at_once_where_there_is_time() {
    let freed = Arc::new(AtomicUsize::new(0));
    let mut indexer = retired(&freed);
    let done = indexer.reclaim(1_000_000);
    assert!(done > 4_000, "{done}: entries and what an index filed");
    assert_eq!(freed.load(Ordering::Relaxed), 2_000);
    assert_eq!(indexer.retained(), Retained::default());
    assert_eq!(indexer.reclaim(1_000_000), 0);
}

#[test]
fn what_a_given_up_list_staged_is_taken_apart_in_slices() {
    let freed = Arc::new(AtomicUsize::new(0));
    let count = || freed.load(Ordering::Relaxed);
    let mut indexer = counted(&freed);
    indexer.reclaim(1_000_000);
    indexer.replace_begin(false);
    for number in 0..2_000 {
        let object = Object::bare("default", &format!("new{number}"), "u", "1");
        let hash = indexer.hash_key(object.key_bytes());
        let payload = Arc::new(Counted(Arc::clone(&freed)));
        indexer.replace_item(Entry::new(hash, object, Value::Decoded(payload)));
    }
    indexer.replace_abort();
    assert_eq!(count(), 0);
    let mut before = 0;
    while indexer.reclaim(100) > 0 {
        assert!(count() - before <= 116);
        before = count();
    }
    assert_eq!((count(), indexer.len()), (2_000, 2_000));
}
