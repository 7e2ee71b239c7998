//! What turns one trie into another, in slices.
//!
//! Does not look at what did not change: a pair of equal pointers or stamps (G5) is skipped whole.
//!
//! ```text
//!  work  (old node, new node, prefix of the hashes that the pair stands for)
//!        branch against anything: a pair for each run, the finer of the two
//!        leaf against leaf:       their items with that prefix, one by one
//! ```
//!
//! D1  The prefixes on the work list are disjoint, so no key is told twice.
//! D2  Stamps are compared only between nodes that own the same slots: a page that took over the
//!     slots of a sibling keeps its stamp, which may be the sibling's too.
//! Cost: O(nodes that differ), at most 32 pairs a level; holds both tries by their nodes.

use std::ops::Range;

use super::{
    Keyed,
    branch::{BRANCH_BITS, BRANCH_LEN},
    is_key,
    node::{Slot, prefix_of},
};

/// One key whose item is not the same in both tries.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a key is in one of the tries, or in both"
)]
pub enum Difference<E> {
    /// Only the newer trie has the key.
    Added(E),
    /// Both have it.
    Changed {
        /// The item of the older trie.
        old: E,
        /// The item of the newer trie.
        new: E,
    },
    /// Only the older trie has it.
    Removed(E),
}

/// A resumable walk over two tries; it holds on to both.
pub struct Diff<E> {
    work: Vec<Pair<E>>,
    /// Found, but not yet told.
    found: Vec<Difference<E>>,
    compared: usize,
}

struct Pair<E> {
    old: Slot<E>,
    new: Slot<E>,
    /// Whether both own the same slots (D2).
    is_level: bool,
    level: u32,
    prefix: u64,
    bits: u32,
}

// === impl Difference ===

impl<E> Difference<E> {
    /// The item of the older trie, if it had the key.
    pub const fn older(&self) -> Option<&E> {
        match self {
            Self::Added(_) => None,
            Self::Changed { old, .. } | Self::Removed(old) => Some(old),
        }
    }

    /// The item of the newer trie, if it has the key.
    pub const fn newer(&self) -> Option<&E> {
        match self {
            Self::Added(new) | Self::Changed { new, .. } => Some(new),
            Self::Removed(_) => None,
        }
    }
}

// === impl Diff ===

impl<E: Keyed + Clone> Diff<E> {
    pub(super) fn new(old: Slot<E>, new: Slot<E>) -> Self {
        let pair = Pair {
            old,
            new,
            is_level: true,
            level: 0,
            prefix: 0,
            bits: 0,
        };
        Self {
            work: vec![pair],
            found: Vec::new(),
            compared: 0,
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

    /// Pairs of nodes that were looked at so far.
    #[must_use]
    pub const fn compared(&self) -> usize {
        self.compared
    }

    fn compare(&mut self, pair: &Pair<E>) {
        self.compared += 1;
        if pair.is_unchanged() {
            return;
        }
        if !matches!(pair.old, Slot::Branch(_)) && !matches!(pair.new, Slot::Branch(_)) {
            return self.compare_leaves(pair);
        }
        let mut at = 0;
        while at < BRANCH_LEN {
            let (old, old_slots) = child(&pair.old, at);
            let (new, new_slots) = child(&pair.new, at);
            let end = old_slots.end.min(new_slots.end);
            let shift = u64::BITS - (pair.level + 1) * BRANCH_BITS;
            let below = Pair {
                old: old.clone(),
                new: new.clone(),
                // A leaf beside a branch counts as owning all slots below, which no child does (G3).
                is_level: old_slots == new_slots,
                level: pair.level + 1,
                prefix: pair.prefix | (at as u64) << shift,
                bits: (pair.level + 1) * BRANCH_BITS - (end - at).trailing_zeros(),
            };
            if !below.is_unchanged() {
                self.work.push(below);
            }
            at = end;
        }
    }

    fn compare_leaves(&mut self, pair: &Pair<E>) {
        let belongs = |item: &&E| prefix_of(item.hash(), pair.bits) == pair.prefix;
        for new in items(&pair.new).filter(belongs) {
            let old = items(&pair.old).find(|old| is_key(*old, new.hash(), new.key()));
            match old {
                None => self.found.push(Difference::Added(new.clone())),
                Some(old) if old.is_same(new) => {}
                Some(old) => self.found.push(Difference::Changed {
                    old: old.clone(),
                    new: new.clone(),
                }),
            }
        }
        for old in items(&pair.old).filter(belongs) {
            if !items(&pair.new).any(|new| is_key(new, old.hash(), old.key())) {
                self.found.push(Difference::Removed(old.clone()));
            }
        }
    }
}

// === impl Pair ===

impl<E: Keyed> Pair<E> {
    fn is_unchanged(&self) -> bool {
        if self.is_level {
            self.old.is_unchanged(&self.new)
        } else {
            self.old.is_same(&self.new)
        }
    }
}

/// The node that holds slot `at` of a branch, and the run that it owns; a leaf owns them all.
fn child<E>(slot: &Slot<E>, at: usize) -> (&Slot<E>, Range<usize>) {
    match slot {
        Slot::Branch(branch) => branch.run(at),
        Slot::Empty | Slot::Page(_) | Slot::Bucket(_) => (slot, 0..BRANCH_LEN),
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
