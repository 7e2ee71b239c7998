//! Roots that are not the published one any more, and their way back into the pool of nodes.
//!
//! Does not wait for readers and does not ask them: it looks whether it is the only holder.
//!
//! ```text
//!  retire --> [ gen 40 | gen 41 (a snapshot) | gen 42 ] --sole holder--> reapers --> pools
//!                                                             slices of a budget
//! ```
//!
//! Y1  A root stays in `roots` for as long as anybody else holds it, so a reader that lets it go
//!     only counts down.
//! Y2  `superseded` of a root: what it has and its successor has not. When a root goes before an
//!     older one, that one takes its share over: it may have the same objects.
//! Cost: retire O(1); reclaim O(budget), and it looks at no more than `LOOK_MAX` roots a call.

use std::collections::VecDeque;

use super::{
    KeyHasher,
    index::{Filed, Posting},
    root::{Root, State},
};
use crate::{
    entry::Entry,
    pages::{Pool, Reaper},
    sync::Counted,
};

/// What is kept beyond the present state: by readers, or until [`super::Indexer::reclaim`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retained {
    /// Publications that are held or wait to be taken apart.
    pub generations: usize,
    /// Entries that only these have, at most.
    pub entries: usize,
    /// The bytes of those, at most.
    pub bytes: usize,
}

/// Spare nodes.
pub(super) struct Pools<P> {
    pub(super) entries: Pool<Entry<P>>,
    pub(super) filed: Pool<Filed>,
    pub(super) postings: Pool<Posting>,
}

pub(super) struct Graveyard<P> {
    /// Oldest first.
    roots: VecDeque<Retired<P>>,
    /// Where the next call goes on looking.
    next: usize,
    entries: Reaper<Entry<P>>,
    filed: Reaper<Filed>,
    postings: Reaper<Posting>,
    /// What the reapers are at.
    reaping: Retained,
    spare_roots: Vec<Counted<Root<P>>>,
}

struct Retired<P> {
    root: Counted<Root<P>>,
    superseded: Retained,
}

// === impl Retained ===

impl Retained {
    pub(super) fn add<P>(&mut self, entry: &Entry<P>) {
        self.entries += 1;
        self.bytes += entry.bytes_len();
    }
}

// === impl Graveyard ===

impl<P> Graveyard<P> {
    pub(super) const fn new() -> Self {
        Self {
            roots: VecDeque::new(),
            next: 0,
            entries: Reaper::new(),
            filed: Reaper::new(),
            postings: Reaper::new(),
            reaping: Retained {
                generations: 0,
                entries: 0,
                bytes: 0,
            },
            spare_roots: Vec::new(),
        }
    }

    /// A root that nobody holds, with whatever stands in it.
    pub(super) fn spare_root(&mut self, hasher: KeyHasher) -> Counted<Root<P>> {
        self.spare_roots
            .pop()
            .unwrap_or_else(|| Counted::new(Root::empty(hasher)))
    }

    /// Takes over a root that is not published any more.
    pub(super) fn retire(&mut self, root: Counted<Root<P>>, superseded: Retained) {
        self.roots.push_back(Retired { root, superseded });
    }

    /// Takes back a root whose state has found another use.
    pub(super) fn reuse_root(&mut self, root: Counted<Root<P>>, superseded: Retained) {
        if self.spare_roots.len() < SPARE_ROOTS_MAX {
            self.spare_roots.push(root);
        }
        // Y2; if there is no older root, what it had alone is gone.
        if let Some(older) = self.roots.back_mut() {
            older.superseded.entries += superseded.entries;
            older.superseded.bytes += superseded.bytes;
        }
    }

    /// Takes over a state that was never published.
    pub(super) fn bury(&mut self, mut state: State<P>) {
        self.dismantle(&mut state);
    }

    pub(super) fn retained(&self) -> Retained {
        let mut sum = self.reaping;
        for retired in &self.roots {
            sum.generations += 1;
            sum.entries += retired.superseded.entries;
            sum.bytes += retired.superseded.bytes;
        }
        sum
    }

    pub(super) fn reclaim(&mut self, budget: usize, pools: &mut Pools<P>) -> usize {
        let mut left = budget;
        let mut looks = self.roots.len().min(LOOK_MAX);
        loop {
            left = self.reap(left, pools);
            if left == 0 || looks == 0 {
                return budget - left;
            }
            looks -= 1;
            self.exhume_next();
        }
    }

    /// Looks at one retired root, and starts to take it apart if nobody else holds it.
    fn exhume_next(&mut self) {
        if self.next >= self.roots.len() {
            self.next = 0;
        }
        let Some(retired) = self.roots.get_mut(self.next) else {
            return;
        };
        if Counted::get_mut(&mut retired.root).is_none() {
            self.next += 1;
            return;
        }
        let Some(Retired {
            mut root,
            superseded,
        }) = self.roots.remove(self.next)
        else {
            return;
        };
        if let Some(inner) = Counted::get_mut(&mut root) {
            self.dismantle(&mut inner.state);
        }
        if self.spare_roots.len() < SPARE_ROOTS_MAX {
            self.spare_roots.push(root);
        }
        let heir = match self
            .next
            .checked_sub(1)
            .and_then(|at| self.roots.get_mut(at))
        {
            Some(older) => &mut older.superseded,
            None => &mut self.reaping,
        };
        heir.entries += superseded.entries;
        heir.bytes += superseded.bytes;
    }

    /// Moves the tries of a state to the reapers; its emptied list of indexes stays.
    fn dismantle(&mut self, state: &mut State<P>) {
        self.entries.add(std::mem::take(&mut state.entries), drop);
        let filed = &mut self.filed;
        for index in state.indexes.drain(..) {
            let bury = |posting: Posting| filed.add(posting.filed, drop);
            self.postings.add(index.into_postings(), bury);
        }
    }

    fn reap(&mut self, mut budget: usize, pools: &mut Pools<P>) -> usize {
        loop {
            budget = self.entries.run(budget, &mut pools.entries, drop);
            budget = self.filed.run(budget, &mut pools.filed, drop);
            if budget == 0 {
                break;
            }
            if self.postings.is_empty() {
                self.reaping = Retained::default();
                break;
            }
            // Each posting may hand a trie to the other reaper, so only few at a time.
            let round = budget.min(POSTINGS_A_ROUND);
            let filed = &mut self.filed;
            let bury = |posting: Posting| filed.add(posting.filed, drop);
            budget -= round - self.postings.run(round, &mut pools.postings, bury);
        }
        budget
    }
}

impl<P> Default for Pools<P> {
    fn default() -> Self {
        Self {
            entries: Pool::new(),
            filed: Pool::new(),
            postings: Pool::new(),
        }
    }
}

/// Roots that one call looks at; thousands of snapshots must not make each reclaim slow.
const LOOK_MAX: usize = 64;
/// Roots to be published again.
const SPARE_ROOTS_MAX: usize = 4;
const POSTINGS_A_ROUND: usize = 64;

#[cfg(test)]
mod tests;
