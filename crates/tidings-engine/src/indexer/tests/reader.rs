//! Whatever a reader can be asked, it answers as the snapshot of the same publication does.

use super::*;

#[test]
fn a_reader_and_a_snapshot_say_the_same_of_one_publication() {
    let mut indexer = store();
    let reader = indexer.reader();
    assert!(indexer.is_empty() && reader.is_empty() && reader.snapshot().is_empty());
    assert_eq!((reader.len(), reader.generation()), (0, 0));
    assert!(reader.list().is_empty() && reader.get("default/a").is_none());
    for text in ["a@3=n1", "b@4=n1,n2", "c@5=n2"] {
        put(&mut indexer, text);
    }
    assert!(indexer.publish(rv(9), 2) && !indexer.is_empty());
    let snapshot = reader.snapshot();
    assert_eq!((reader.len(), snapshot.len(), indexer.len()), (3, 3, 3));
    assert!(!reader.is_empty() && !snapshot.is_empty());
    let got = reader.get("default/b").map(|entry| line(&entry));
    assert_eq!(got, Some("b@4=n1,n2".into()));
    assert_eq!(snapshot.get("default/b").map(line), got);
    assert_eq!(indexer.get("default/b").map(line), got);
    assert!(snapshot.get("default/z").is_none() && indexer.get("default/z").is_none());
    let mut lines: Vec<_> = reader.list().iter().map(line).collect();
    lines.sort_unstable();
    assert_eq!(lines.join(" "), list(&snapshot));
    let bytes = reader.list().iter().map(Entry::bytes_len).sum::<usize>();
    assert!(bytes > 3);
    assert_eq!(
        (
            reader.entry_bytes(),
            snapshot.entry_bytes(),
            indexer.entry_bytes()
        ),
        (bytes, bytes, bytes)
    );
    let values = reader.index_values("node").unwrap();
    assert_eq!(values, ["n1".into(), "n2".into()]);
    assert_eq!(snapshot.index_values("node").unwrap(), values);
    let keys = reader.index_keys("node", "n1").unwrap();
    assert_eq!(keys, ["default/a".into(), "default/b".into()]);
    assert_eq!(snapshot.index_keys("node", "n1").unwrap(), keys);
    assert_eq!(reader.by_index("node", "n2").unwrap().len(), 2);
    assert_eq!((reader.resource_version(), reader.epoch()), (rv(9), 2));
    assert_eq!(
        (snapshot.resource_version().cloned(), snapshot.epoch()),
        (rv(9), 2)
    );
    assert_eq!((reader.generation(), snapshot.generation()), (1, 1));
    let key = b"default/a";
    assert_eq!(reader.hash_key(key), indexer.hash_key(key));
}

/// Names of indexes that nobody has, on every way that asks for one.
#[test]
fn an_index_that_is_not_there_is_named() {
    let reader = Indexer::<String>::new(IndexerConfig::default()).reader();
    let snapshot = reader.snapshot();
    let unknown = || UnknownIndex {
        name: "zone".into(),
    };
    assert_eq!(reader.index_values("zone"), Err(unknown()));
    assert_eq!(reader.index_keys("zone", "a"), Err(unknown()));
    assert_eq!(reader.by_index("zone", "a").err(), Some(unknown()));
    assert_eq!(snapshot.index_values("zone"), Err(unknown()));
    assert_eq!(snapshot.index_keys("zone", "a"), Err(unknown()));
    assert_eq!(snapshot.by_index("zone", "a").err(), Some(unknown()));
}
