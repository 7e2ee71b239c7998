//! What turns one trie into another, in slices.
//!
//! Does not look at what the two share: a pair of equal pointers is skipped whole.
//!
//! ```text
//!  work  (old node, new node, prefix of the hashes that the pair stands for)
//!        branch against anything: a pair for each run, the finer of the two
//!        leaf against leaf:       their items with that prefix, one by one
//! ```
//!
//! D1  The prefixes on the work list are disjoint, so no key is told twice.
//! Cost: O(nodes that differ), at most 32 pairs a level; holds both tries by their nodes.

use super::{
    Keyed,
    branch::{BRANCH_BITS, BRANCH_LEN},
    is_key,
    node::{Slot, prefix_of},
};

/// One key whose item is not the same in both tries.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data with no invariant of its own"
)]
pub struct Difference<E> {
    /// The item of the older trie, if it had the key.
    pub old: Option<E>,
    /// The item of the newer trie, if it has the key.
    pub new: Option<E>,
}

/// A resumable walk over two tries; it holds on to both.
pub struct Diff<E> {
    work: Vec<Pair<E>>,
    /// Found, but not yet told.
    found: Vec<Difference<E>>,
}

struct Pair<E> {
    old: Slot<E>,
    new: Slot<E>,
    level: u32,
    prefix: u64,
    bits: u32,
}

// === impl Diff ===

impl<E: Keyed + Clone> Diff<E> {
    pub(super) fn new(old: Slot<E>, new: Slot<E>) -> Self {
        let pair = Pair {
            old,
            new,
            level: 0,
            prefix: 0,
            bits: 0,
        };
        Self {
            work: vec![pair],
            found: Vec::new(),
        }
    }

    /// The next differences, at most `len_max` of them, in no particular order. None are left when
    /// the slice is empty, if `len_max` is not.
    #[must_use]
    pub fn next_slice(&mut self, len_max: usize) -> Vec<Difference<E>> {
        let mut slice = Vec::new();
        while slice.len() < len_max {
            if let Some(difference) = self.found.pop() {
                slice.push(difference);
            } else if let Some(pair) = self.work.pop() {
                self.compare(&pair);
            } else {
                break;
            }
        }
        slice
    }

    fn compare(&mut self, pair: &Pair<E>) {
        if pair.old.is_same(&pair.new) {
            return;
        }
        if !matches!(pair.old, Slot::Branch(_)) && !matches!(pair.new, Slot::Branch(_)) {
            return self.compare_leaves(pair);
        }
        let mut at = 0;
        while at < BRANCH_LEN {
            let (old, old_end) = child(&pair.old, at);
            let (new, new_end) = child(&pair.new, at);
            let end = old_end.min(new_end);
            if !old.is_same(new) {
                let shift = u64::BITS - (pair.level + 1) * BRANCH_BITS;
                self.work.push(Pair {
                    old: old.clone(),
                    new: new.clone(),
                    level: pair.level + 1,
                    prefix: pair.prefix | (at as u64) << shift,
                    bits: (pair.level + 1) * BRANCH_BITS - (end - at).trailing_zeros(),
                });
            }
            at = end;
        }
    }

    fn compare_leaves(&mut self, pair: &Pair<E>) {
        let belongs = |item: &&E| prefix_of(item.hash(), pair.bits) == pair.prefix;
        for new in items(&pair.new).filter(belongs) {
            let old = items(&pair.old).find(|old| is_key(*old, new.hash(), new.key()));
            if old.is_none_or(|old| !old.is_same(new)) {
                self.found.push(Difference {
                    old: old.cloned(),
                    new: Some(new.clone()),
                });
            }
        }
        for old in items(&pair.old).filter(belongs) {
            if !items(&pair.new).any(|new| is_key(new, old.hash(), old.key())) {
                self.found.push(Difference {
                    old: Some(old.clone()),
                    new: None,
                });
            }
        }
    }
}

/// The node that holds slot `at` of a branch, and where its run ends; a leaf holds them all.
fn child<E>(slot: &Slot<E>, at: usize) -> (&Slot<E>, usize) {
    match slot {
        Slot::Branch(branch) => branch.run(at),
        Slot::Empty | Slot::Page(_) | Slot::Bucket(_) => (slot, BRANCH_LEN),
    }
}

/// The items of a leaf.
fn items<E>(slot: &Slot<E>) -> impl Iterator<Item = &E> {
    let (page, bucket): (&[Option<E>], &[E]) = match slot {
        Slot::Empty | Slot::Branch(_) => (&[], &[]),
        Slot::Page(page) => (page.items(), &[]),
        Slot::Bucket(items) => (&[], items),
    };
    page.iter().flatten().chain(bucket)
}
