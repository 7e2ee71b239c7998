//! The trie against a `BTreeMap`, with hashes of 64, 12 and 4 bits.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::*;

/// A key, and a version that is told apart by its address.
#[derive(Clone, Debug)]
struct Item {
    hash: u64,
    key: [u8; 2],
    version: Arc<u32>,
}

impl Keyed for Item {
    type Key = [u8];

    fn hash(&self) -> u64 {
        self.hash
    }

    fn key(&self) -> &[u8] {
        &self.key
    }

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.version, &other.version)
    }
}

type Model = BTreeMap<u16, Arc<u32>>;

fn hash(key: u16, bits: u32) -> u64 {
    let mixed = (u64::from(key) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ mixed >> 32) & !u64::MAX.checked_shr(bits).unwrap_or(0)
}

/// The structure and its model, changed alike.
struct Pair {
    bits: u32,
    trie: PageTrie<Item>,
    model: Model,
    pool: Pool<Item>,
    reaper: Reaper<Item>,
    next_version: u32,
    /// Another state with the same past, which lags behind, and what it lacks.
    twin: PageTrie<Item>,
    steps: Vec<(u64, Step)>,
    stamp: u64,
}

#[derive(Clone)]
enum Step {
    Insert(Item),
    Remove(u64, [u8; 2]),
}

impl Pair {
    fn new(bits: u32) -> Self {
        Self {
            bits,
            trie: PageTrie::new(),
            model: Model::new(),
            pool: Pool::new(),
            reaper: Reaper::new(),
            next_version: 0,
            twin: PageTrie::new(),
            steps: Vec::new(),
            stamp: 0,
        }
    }

    /// What is seen now is a batch of its own (G5).
    fn seal(&mut self) -> (PageTrie<Item>, Model) {
        self.stamp += 1;
        self.pool.set_stamp(self.stamp);
        (self.trie.clone(), self.model.clone())
    }

    /// Lets the twin take the same steps under the same stamps, and take the trie's place.
    fn swap_with_twin(&mut self) {
        for (stamp, step) in std::mem::take(&mut self.steps) {
            self.pool.set_stamp(stamp);
            match step {
                Step::Insert(item) => drop(self.twin.insert(item, &mut self.pool)),
                Step::Remove(hash, key) => drop(self.twin.remove(hash, &key, &mut self.pool)),
            }
        }
        self.pool.set_stamp(self.stamp);
        std::mem::swap(&mut self.trie, &mut self.twin);
    }

    fn insert(&mut self, key: u16) {
        self.next_version += 1;
        let version = Arc::new(self.next_version);
        let item = Item {
            hash: hash(key, self.bits),
            key: key.to_le_bytes(),
            version: Arc::clone(&version),
        };
        self.steps.push((self.stamp, Step::Insert(item.clone())));
        let old = self.trie.insert(item, &mut self.pool);
        let expected = self.model.insert(key, version);
        assert_eq!(old.map(|item| item.version), expected);
    }

    fn remove(&mut self, key: u16) {
        let (hash, bytes) = (hash(key, self.bits), key.to_le_bytes());
        self.steps.push((self.stamp, Step::Remove(hash, bytes)));
        let old = self.trie.remove(hash, &bytes, &mut self.pool);
        assert_eq!(old.map(|item| item.version), self.model.remove(&key));
    }

    fn touch(&mut self, key: u16) {
        let (hash, bytes) = (hash(key, self.bits), key.to_le_bytes());
        let item = self.trie.get_mut(hash, &bytes, &mut self.pool);
        assert_eq!(item.is_some(), self.model.contains_key(&key));
        if let Some(item) = item {
            item.version = Arc::new(*item.version);
            self.model.insert(key, Arc::clone(&item.version));
            let step = Step::Insert(item.clone());
            self.steps.push((self.stamp, step));
        }
    }

    /// Gives a snapshot back in slices, as the owner of old roots does.
    fn bury(&mut self, trie: PageTrie<Item>) {
        self.reaper.add(trie, drop);
        while !self.reaper.is_empty() {
            self.reaper.run(3, &mut self.pool, drop);
        }
    }
}

fn check(trie: &PageTrie<Item>, model: &Model, bits: u32) {
    trie.check_invariants();
    assert_eq!(trie.len(), model.len());
    for (key, version) in model {
        let found = trie.get(hash(*key, bits), &key.to_le_bytes());
        assert!(
            found.is_some_and(|item| Arc::ptr_eq(&item.version, version)),
            "{key}"
        );
    }
    assert!(
        trie.get(hash(u16::MAX, bits), &u16::MAX.to_le_bytes())
            .is_none()
    );
}

/// Applies the difference to the older model, which must give the newer.
fn check_diff(old: &(PageTrie<Item>, Model), new: &(PageTrie<Item>, Model), slice: usize) {
    let (mut model, mut diff, mut told) = (old.1.clone(), old.0.diff(&new.0), 0);
    loop {
        let changes = diff.next_slice(slice);
        assert!(changes.len() <= slice);
        if changes.is_empty() {
            break;
        }
        for change in changes {
            told += 1;
            let item = change.older().or_else(|| change.newer()).unwrap();
            let key = u16::from_le_bytes(item.key);
            let before = match change.newer() {
                Some(new) => model.insert(key, Arc::clone(&new.version)),
                None => model.remove(&key),
            };
            let addresses =
                |version: Option<Arc<u32>>| version.map(|version| Arc::as_ptr(&version));
            assert_eq!(
                addresses(change.older().map(|old| Arc::clone(&old.version))),
                addresses(before)
            );
        }
    }
    assert_eq!(model, new.1);
    let is_changed = |key: &&u16| match (old.1.get(key), new.1.get(key)) {
        (Some(old), Some(new)) => !Arc::ptr_eq(old, new),
        (old, new) => old.is_some() != new.is_some(),
    };
    let keys: std::collections::BTreeSet<_> = old.1.keys().chain(new.1.keys()).collect();
    assert_eq!(
        told,
        keys.into_iter().filter(is_changed).count(),
        "nothing is told twice"
    );
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u16),
    InsertMany(u16, u16),
    Remove(u16),
    RemoveMany(u16, u16),
    Touch(u16),
    Snapshot,
    DropSnapshot(usize),
    Diff(usize, usize),
    Swap,
}

fn op() -> impl Strategy<Value = Op> {
    let key = 0u16..400;
    prop_oneof![
        4 => key.clone().prop_map(Op::Insert),
        2 => (key.clone(), 1u16..200).prop_map(|(from, len)| Op::InsertMany(from, len)),
        4 => key.clone().prop_map(Op::Remove),
        2 => (key.clone(), 1u16..200).prop_map(|(from, len)| Op::RemoveMany(from, len)),
        2 => key.prop_map(Op::Touch),
        2 => Just(Op::Snapshot),
        1 => (0usize..4).prop_map(Op::DropSnapshot),
        2 => (0usize..4, 1usize..20).prop_map(|(at, slice)| Op::Diff(at, slice)),
        2 => Just(Op::Swap),
    ]
}

fn run(bits: u32, ops: &[Op]) {
    let mut pair = Pair::new(bits);
    let mut snapshots = vec![(PageTrie::new(), Model::new())];
    for op in ops {
        match *op {
            Op::Insert(key) => pair.insert(key),
            Op::InsertMany(from, len) => (from..from + len).for_each(|key| pair.insert(key)),
            Op::Remove(key) => pair.remove(key),
            Op::RemoveMany(from, len) => (from..from + len).for_each(|key| pair.remove(key)),
            Op::Touch(key) => pair.touch(key),
            Op::Snapshot => snapshots.push(pair.seal()),
            Op::Swap => pair.swap_with_twin(),
            Op::DropSnapshot(at) if at < snapshots.len() => {
                let (trie, _) = snapshots.swap_remove(at);
                pair.bury(trie);
            }
            Op::Diff(at, slice) if at < snapshots.len() => {
                let now = pair.seal();
                check_diff(&snapshots[at], &now, slice);
                check_diff(&now, &snapshots[at], slice);
            }
            Op::DropSnapshot(_) | Op::Diff(..) => {}
        }
        check(&pair.trie, &pair.model, bits);
    }
    for (trie, model) in &snapshots {
        check(trie, model, bits);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn behaves_like_a_map_and_snapshots_never_change(
        bits in prop_oneof![Just(64u32), Just(12), Just(4)],
        ops in prop::collection::vec(op(), 1..40),
    ) {
        run(bits, &ops);
    }
}

#[test]
fn many_items_fill_their_pages_and_removal_gives_the_nodes_back() {
    let mut pair = Pair::new(64);
    (0..20_000).for_each(|key| pair.insert(key));
    check(&pair.trie, &pair.model, 64);
    let snapshot = pair.trie.clone();
    (0..20_000).for_each(|key| pair.remove(key));
    assert!(pair.trie.is_empty() && pair.trie.iter().next().is_none());
    assert_eq!(snapshot.iter().count(), 20_000);
}

#[test]
fn equal_hashes_end_in_a_bucket_and_come_back_out_of_it() {
    let mut pair = Pair::new(0);
    (0..100).for_each(|key| pair.insert(key));
    check(&pair.trie, &pair.model, 0);
    (0..97).for_each(|key| pair.remove(key));
    check(&pair.trie, &pair.model, 0);
    (0..100).for_each(|key| pair.remove(key));
    assert!(pair.trie.is_empty());
}

#[test]
fn a_diff_skips_what_is_shared() {
    let mut pair = Pair::new(64);
    (0..20_000).for_each(|key| pair.insert(key));
    let old = pair.seal();
    pair.insert(7);
    pair.remove(19_999);
    let mut diff = old.0.diff(&pair.trie);
    assert_eq!(diff.next_slice(10).len(), 2);
    assert!(diff.next_slice(10).is_empty());
    assert!(diff.compared() < 12, "{}", diff.compared());
    assert!(old.0.is_same(&old.0.clone()) && !old.0.is_same(&pair.trie));
}

#[test]
fn a_diff_skips_what_two_unshared_states_have_alike() {
    let mut pair = Pair::new(64);
    (0..20_000).for_each(|key| pair.insert(key));
    let old = pair.seal();
    pair.insert(7);
    pair.remove(19_999);
    pair.swap_with_twin();
    let mut diff = old.0.diff(&pair.trie);
    assert_eq!(diff.next_slice(10).len(), 2, "although no node is shared");
    assert!(diff.next_slice(10).is_empty());
    assert!(diff.compared() < 12, "{}", diff.compared());
}

/// D2: two pages of one split, one of which takes over the slots of the other when that is empty.
#[test]
fn a_diff_sees_removals_whose_slots_went_to_a_sibling_with_the_same_stamp() {
    for others in [0, 6] {
        let mut pair = Pair::new(64);
        let with_bits = |bits: u64| (0u16..).filter(move |&key| hash(key, 64) >> 62 == bits);
        let lower: Vec<_> = with_bits(0).take(5).collect();
        (with_bits(2).take(others)).for_each(|key| pair.insert(key));
        (with_bits(1).take(4)).for_each(|key| pair.insert(key));
        lower.iter().for_each(|&key| pair.insert(key));
        lower[1..].iter().for_each(|&key| pair.remove(key));
        let old = pair.seal();
        pair.remove(lower[0]);
        let new = pair.seal();
        check_diff(&old, &new, 4);
        check_diff(&new, &old, 4);
    }
}

#[test]
fn the_reaper_keeps_to_its_budget_and_leaves_shared_nodes_alone() {
    let mut pair = Pair::new(64);
    (0..5_000).for_each(|key| pair.insert(key));
    let old = pair.trie.clone();
    (0..100).for_each(|key| pair.insert(key));
    let (mut reaper, mut freed) = (Reaper::new(), 0);
    reaper.add(old, drop);
    while !reaper.is_empty() {
        let before = freed;
        reaper.run(10, &mut pair.pool, |_| freed += 1);
        assert!(freed - before <= 10 + 8);
    }
    assert!(
        (100..1_500).contains(&freed),
        "only the copied pages: {freed}"
    );
    check(&pair.trie, &pair.model, 64);
}
