//! The rules of client-go's thread-safe store, and where this one differs.

use std::panic::panic_any;

use super::*;

#[test]
fn cg_s1_store_and_indexes_change_in_one_publication() {
    let mut indexer = store();
    put(&mut indexer, "a=n1");
    assert_eq!(
        list(&indexer.snapshot()),
        "",
        "nothing is visible before it is published"
    );
    assert!(indexer.publish(rv(5), 0));
    let old = indexer.snapshot();
    put(&mut indexer, "a@2=n2");
    indexer.publish(rv(6), 0);
    let new = indexer.snapshot();
    assert_eq!((list(&old), under(&old, "n1"), under(&old, "n2")), {
        ("a@1=n1".into(), "a@1=n1".into(), "".into())
    });
    assert_eq!((list(&new), under(&new, "n1"), under(&new, "n2")), {
        ("a@2=n2".into(), "".into(), "a@2=n2".into())
    });
}

#[test]
fn cg_s2_emptied_values_are_removed_and_others_kept() {
    let mut indexer = store();
    for text in ["a=n1,n2", "b=n2"] {
        put(&mut indexer, text);
    }
    indexer.remove("default/a");
    indexer.publish(rv(1), 0);
    let values = indexer.reader().index_values("node").unwrap();
    assert_eq!(
        values.iter().map(|value| &**value).collect::<Vec<_>>(),
        ["n2"]
    );
    assert_eq!(under(&indexer.snapshot(), "n2"), "b@1=n2");
    indexer.remove("default/b");
    indexer.publish(rv(2), 0);
    assert!(indexer.reader().index_values("node").unwrap().is_empty());
    indexer.check_invariants();
}

#[test]
fn cg_s2_multi_valued_functions_file_an_entry_under_each_value_once() {
    let mut indexer = store();
    put(&mut indexer, "a=n1,n2,n1,n1");
    put(&mut indexer, "a@2=n3,n2");
    indexer.publish(None, 0);
    let snapshot = indexer.snapshot();
    assert_eq!(under(&snapshot, "n1"), "");
    assert_eq!(under(&snapshot, "n2"), "a@2=n3,n2");
    assert_eq!(under(&snapshot, "n3"), "a@2=n3,n2");
    put(&mut indexer, "a@3=");
    indexer.publish(None, 0);
    assert!(indexer.snapshot().index_values("node").unwrap().is_empty());
}

#[test]
fn cg_s2_an_unchanged_value_hands_out_the_new_entry() {
    let mut indexer = store();
    put(&mut indexer, "a@1=n1");
    let old = put(&mut indexer, "a@2=n1").unwrap();
    assert_eq!(line(&old), "a@1=n1");
    indexer.publish(None, 0);
    assert_eq!(under(&indexer.snapshot(), "n1"), "a@2=n1");
}

#[test]
fn cg_s2_a_panicking_index_function_costs_its_entry_only() {
    let mut indexer = store();
    let fragile: IndexFn<String> = Box::new(|entry, emit| {
        emit("before");
        if entry.effective().is_some_and(|payload| payload == "bad") {
            panic_any("an index function of a test");
        }
        emit("after");
    });
    put(&mut indexer, "a=bad");
    indexer.add_index("fragile", fragile).unwrap();
    put(&mut indexer, "b=good");
    assert_eq!(indexer.index_failures(), 1);
    let failure = indexer.last_index_failure().unwrap();
    assert_eq!((&*failure.index, &*failure.key), ("fragile", "default/a"));
    put(&mut indexer, "b@2=bad");
    assert_eq!(indexer.index_failures(), 2);
    put(&mut indexer, "a@2=good");
    indexer.publish(None, 0);
    let reader = indexer.reader();
    assert_eq!(
        reader.index_keys("fragile", "before").unwrap(),
        ["default/a".into()]
    );
    assert_eq!(
        reader.index_keys("node", "bad").unwrap(),
        ["default/b".into()]
    );
    indexer.remove("default/b").unwrap();
    indexer.check_invariants();
}

#[test]
fn cg_s3_index_added_after_start_indexes_existing() {
    let mut indexer = store();
    put(&mut indexer, "a=n1");
    indexer.publish(rv(1), 0);
    let before = indexer.snapshot();
    let by_name: IndexFn<String> = Box::new(|entry, emit| emit(entry.object.name()));
    indexer.add_index("name", by_name).unwrap();
    indexer.check_invariants();
    let unknown = indexer.reader().by_index("name", "a").unwrap_err();
    assert_eq!(unknown.to_string(), "there is no index named \"name\"");
    assert!(
        indexer.publish(None, 0),
        "a new index is something to publish"
    );
    assert_eq!(indexer.reader().by_index("name", "a").unwrap().len(), 1);
    assert!(
        before.by_index("name", "a").is_err(),
        "a snapshot never changes"
    );
}

#[test]
fn cg_i12_cg_s3_a_duplicate_index_name_is_an_error() {
    let mut indexer = store();
    let error = indexer.add_index("node", by_parts()).unwrap_err();
    assert_eq!(
        error,
        IndexError::Duplicate {
            name: "node".into()
        }
    );
    assert_eq!(
        error.to_string(),
        "there is already an index named \"node\""
    );
    indexer.check_invariants();
}

#[test]
fn cg_s4_the_published_version_never_goes_back_within_an_epoch() {
    let mut indexer = store();
    assert_eq!(indexer.reader().resource_version(), None);
    assert!(indexer.publish(rv(10), 1));
    assert!(!indexer.publish(rv(9), 1), "an older version is ignored");
    assert!(
        !indexer.publish(None, 1),
        "no version keeps the present one"
    );
    assert_eq!(indexer.reader().resource_version(), rv(10));
    put(&mut indexer, "a");
    assert!(indexer.publish(rv(9), 1), "but the entries are published");
    assert_eq!(indexer.reader().resource_version(), rv(10));
    assert!(
        indexer.publish(rv(11), 1),
        "a bookmark moves the version alone"
    );
    assert!(!indexer.publish(rv(10), 0), "an older epoch is ignored");
    assert!(
        indexer.publish(rv(3), 2),
        "a new epoch has versions of its own"
    );
    let reader = indexer.reader();
    assert_eq!((reader.resource_version(), reader.epoch()), (rv(3), 2));
    assert_eq!(reader.generation(), 4);
    assert!(indexer.publish(None, 3), "and may begin without one");
    assert_eq!((reader.resource_version(), reader.epoch()), (None, 3));
}

#[test]
fn cg_s5_keys_of_an_index_value_are_sorted() {
    let mut indexer = store();
    for text in ["c=n1", "a=n1", "b=n1", "d=n2"] {
        put(&mut indexer, text);
    }
    indexer.publish(None, 0);
    let keys = indexer.reader().index_keys("node", "n1").unwrap();
    assert_eq!(
        keys,
        ["default/a".into(), "default/b".into(), "default/c".into()]
    );
    assert_eq!(indexer.reader().list().len(), 4);
}

#[test]
fn inv_s11_a_poisoned_entry_keeps_the_index_values_of_its_last_good_one() {
    let mut indexer = store();
    put(&mut indexer, "a@1=n1");
    let mut poisoned = entry(&indexer, "a", 2, "");
    let poison = Poison::new("expected a map at line 1".into(), Some("n1".to_owned()));
    poisoned.value = Value::Poisoned(Arc::new(poison));
    indexer.upsert(poisoned);
    indexer.check_invariants();
    indexer.publish(None, 0);
    assert_eq!(under(&indexer.snapshot(), "n1"), "a@2=n1");
}

#[test]
fn the_gauges_follow_the_entries() {
    let mut indexer = store();
    put(&mut indexer, "a=n1");
    indexer.publish(None, 0);
    let (snapshot, bytes) = (indexer.snapshot(), indexer.entry_bytes());
    assert_eq!(snapshot.entry_bytes(), bytes);
    put(&mut indexer, "a@2=n1");
    indexer.remove("default/a");
    assert_eq!(indexer.entry_bytes(), 0);
    indexer.publish(None, 0);
    indexer.reclaim(1000);
    let retained = indexer.retained();
    assert_eq!(
        (retained.generations, retained.entries, retained.bytes),
        (1, 2, 2 * bytes)
    );
    drop(snapshot);
    indexer.reclaim(1000);
    assert_eq!(indexer.retained(), Retained::default());
}

#[test]
fn looking_does_not_clone_and_absence_is_seen() {
    let mut indexer = store();
    put(&mut indexer, "a=n1");
    indexer.publish(None, 0);
    let reader = indexer.reader();
    assert_eq!(
        reader.with("default/a", |entry| entry.map(line)),
        Some("a@1=n1".into())
    );
    assert!(reader.contains("default/a") && !reader.contains("default/b"));
    assert!(reader.get("").is_none() && reader.get("a").is_none());
    assert!(Snapshot::<String>::empty().is_empty());
    assert_eq!(
        Snapshot::empty()
            .diff_to(&indexer.snapshot())
            .next_slice(5)
            .len(),
        1
    );
}

/// No answer depends on how keys are hashed, only how long it takes; with few bits keys collide, which
/// is what tests want of them.
#[test]
fn keys_are_spread_over_as_many_bits_as_the_store_has() {
    let hashes = |hash_bits| {
        let config = IndexerConfig { seed: 7, hash_bits };
        let store = Indexer::<String>::new(config);
        let hash = |number: u32| store.hash_key(format!("default/web-{number}").as_bytes());
        (0..4096).map(hash).collect::<Vec<u64>>()
    };
    let all = hashes(64);
    for bit in 0..u64::BITS {
        let set = all.iter().filter(|hash| *hash >> bit & 1 == 1).count();
        assert!((1600..2500).contains(&set), "bit {bit}: {set} of 4096");
    }
    let few: std::collections::BTreeSet<u64> = hashes(3).iter().map(|hash| hash >> 61).collect();
    assert_eq!(
        few.into_iter().collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5, 6, 7]
    );
    assert!(hashes(3).iter().all(|hash| hash.trailing_zeros() >= 61));
    assert!(hashes(0).iter().all(|hash| *hash == 0));
}
