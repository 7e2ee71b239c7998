//! A `BTreeMap` that is scanned, and what it takes to run it and an indexer side by side.
//!
//! Does not make programs: `model.rs` draws them, and `fuzz/fuzz_targets/indexer_ops.rs`, which includes
//! this very file, reads them from its input.

use std::collections::BTreeMap;

use super::*;

/// Name to version and payload. An index is a scan.
pub(crate) type Model = BTreeMap<String, (u64, String)>;

fn model_list(model: &Model) -> String {
    let line = |(name, (version, payload)): (&String, &(u64, String))| {
        format!("{name}@{version}={payload}")
    };
    let mut lines: Vec<_> = model.iter().map(line).collect();
    lines.sort_unstable();
    lines.join(" ")
}

fn model_under(model: &Model, value: &str) -> String {
    let has = |payload: &str| payload.split(',').any(|part| part == value);
    let mut found = model.clone();
    found.retain(|_, (_, payload)| has(payload));
    model_list(&found)
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Upsert(u8, u8),
    Remove(u8),
    /// Keys that the list has, those of them that changed, whether it is complete.
    Relist {
        listed: Vec<u8>,
        changed: Vec<u8>,
        ends: bool,
        sweep: bool,
    },
    Publish,
    Snapshot,
    DropSnapshot,
    Reclaim(usize),
    AddIndex,
}

fn payload(value: u8) -> String {
    match value % 6 {
        0 => String::new(),
        1 => format!("n{},n{}", value % 4, value % 3),
        _ => format!("n{}", value % 5),
    }
}

pub(crate) struct World {
    pub(crate) indexer: Indexer<String>,
    working: Model,
    published: Model,
    pub(crate) snapshots: Vec<(Snapshot<String>, Model)>,
    next_version: u64,
    indexes: usize,
}

impl World {
    pub(crate) fn new(hash_bits: u32) -> Self {
        let mut indexer = Indexer::new(IndexerConfig { seed: 1, hash_bits });
        indexer.add_index("node", by_parts()).unwrap();
        indexer.publish(None, 0);
        Self {
            indexer,
            working: Model::new(),
            published: Model::new(),
            snapshots: vec![(Snapshot::empty(), Model::new())],
            next_version: 0,
            indexes: 1,
        }
    }

    fn fresh(&mut self, key: u8, value: u8) -> Entry<String> {
        self.next_version += 1;
        let (name, payload) = (format!("o{key}"), payload(value));
        self.working
            .insert(name.clone(), (self.next_version, payload.clone()));
        entry(&self.indexer, &name, self.next_version, &payload)
    }

    pub(crate) fn apply(&mut self, op: &Op) {
        match op {
            Op::Upsert(key, value) => {
                let expected = self
                    .working
                    .get(&format!("o{key}"))
                    .map(|(version, _)| *version);
                let entry = self.fresh(*key, *value);
                let old = self.indexer.upsert(entry);
                let old = old.map(|old| old.object.resource_version_text().parse().unwrap());
                assert_eq!(old, expected);
            }
            Op::Remove(key) => {
                let removed = self.indexer.remove(&format!("default/o{key}")).is_some();
                assert_eq!(removed, self.working.remove(&format!("o{key}")).is_some());
            }
            Op::Relist {
                listed,
                changed,
                ends,
                sweep,
            } => {
                self.relist(listed, changed, *ends, *sweep);
            }
            Op::Publish => {
                self.indexer.publish(rv(self.next_version + 1), 0);
                self.published = self.working.clone();
            }
            Op::Snapshot => self
                .snapshots
                .push((self.indexer.snapshot(), self.published.clone())),
            Op::DropSnapshot => drop(self.snapshots.pop()),
            Op::Reclaim(budget) => {
                // A page more, or the values of one entry, two gone and two new in each index.
                let more = 8 + 4 * self.indexes;
                assert!(self.indexer.reclaim(*budget) <= budget + more);
            }
            Op::AddIndex => {
                self.indexes += 1;
                self.indexer
                    .add_index(&format!("i{}", self.indexes), by_parts())
                    .unwrap();
            }
        }
    }

    fn relist(&mut self, listed: &[u8], changed: &[u8], ends: bool, sweep: bool) {
        let before = self.working.clone();
        self.indexer.replace_begin(false);
        for key in listed {
            let name = format!("o{key}");
            match self.working.get(&name).cloned() {
                Some((version, _)) if !changed.contains(key) => {
                    let same = entry(&self.indexer, &name, version, "ignored");
                    assert!(matches!(self.indexer.replace_item(same), Seen::Unchanged));
                }
                _ => {
                    let entry = self.fresh(*key, *key ^ 0x55);
                    assert!(matches!(
                        self.indexer.replace_item(entry),
                        Seen::Changed { .. }
                    ));
                }
            }
        }
        if !ends {
            self.working = before;
            return self.indexer.replace_abort();
        }
        let gone = self
            .indexer
            .replace_end(if sweep { Sweep::All } else { Sweep::Nothing });
        let unlisted = |name: &String| !listed.iter().any(|key| *name == format!("o{key}"));
        let mut expected: Vec<_> = self.working.keys().filter(|name| unlisted(name)).collect();
        if !sweep {
            expected.clear();
        }
        let mut names: Vec<_> = gone
            .iter()
            .map(|entry| entry.object.name().to_owned())
            .collect();
        names.sort_unstable();
        assert_eq!(names.iter().collect::<Vec<_>>(), expected);
        for name in names {
            self.working.remove(&name);
        }
    }

    pub(crate) fn check(&self) {
        self.indexer.check_invariants();
        assert_eq!(list(&self.indexer.snapshot()), model_list(&self.published));
        for (snapshot, model) in &self.snapshots {
            assert_eq!(
                list(snapshot),
                model_list(model),
                "a snapshot never changes"
            );
            if snapshot.generation() > 0 {
                for value in ["n0", "n1", "n2", "n3", "n4"] {
                    assert_eq!(under(snapshot, value), model_under(model, value));
                }
            }
            self.check_diff(snapshot, model);
        }
    }

    /// INV-S7: the difference turns what someone knew into what is there.
    fn check_diff(&self, snapshot: &Snapshot<String>, model: &Model) {
        let mut model = model.clone();
        let mut diff = snapshot.diff_to(&self.indexer.snapshot());
        loop {
            let slice = diff.next_slice(3);
            if slice.is_empty() {
                break;
            }
            for change in slice {
                let entry = change.newer().or_else(|| change.older()).unwrap();
                let name = entry.object.name().to_owned();
                let version = entry.object.resource_version_text().parse().unwrap();
                let payload = entry.effective().unwrap().clone();
                match change.newer() {
                    Some(_) => model.insert(name, (version, payload)),
                    None => model.remove(&name),
                };
            }
        }
        assert_eq!(model, self.published);
    }
}
