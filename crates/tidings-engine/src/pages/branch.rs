//! A branch: 32 slots, told apart by five hash bits, in runs that share a child.
//!
//! Does not count its items.
//!
//! ```text
//!  starts  1 0 0 0 0 0 0 0  1 0 0 0  1 0  1  1 ...  bit i: a run begins at slot i
//!  slots   A . . . . . . .  B . . .  C .  D  E ...  only a run's first slot holds its node,
//!          |----- 8 -----|  |- 4 -|  |2|  1  1      so each child is held once
//! ```
//!
//! N1  Bit 0 of `starts` is set; the slots between the starts are empty.
//! N2  A run longer than one slot is empty or a page; only a run of one slot is a branch or bucket.
//! Cost: a child is found by a mask and a count of leading zeros.

use std::ops::Range;

use super::{
    Keyed,
    node::Slot,
    page::{Inserted, PAGE_LEN},
    pool::{Pool, unshare_page},
};

/// A bit a slot.
type Starts = u32;

/// Hash bits that a branch consumes.
pub(super) const BRANCH_BITS: u32 = 5;
/// Slots of a branch.
pub(super) const BRANCH_LEN: usize = 1 << BRANCH_BITS;
/// Levels of branches until the hash is used up.
pub(super) const LEVEL_MAX: u32 = u64::BITS / BRANCH_BITS;

pub(super) struct Branch<E> {
    /// When something below was changed last (G5).
    pub(super) stamp: u64,
    starts: Starts,
    slots: [Slot<E>; BRANCH_LEN],
}

// === impl Branch ===

impl<E> Branch<E> {
    pub(super) const fn new() -> Self {
        Self {
            stamp: 0,
            starts: 1,
            slots: [const { Slot::Empty }; BRANCH_LEN],
        }
    }

    #[inline]
    pub(super) fn child(&self, bits: u64) -> &Slot<E> {
        let at = index(bits);
        match &self.slots[at] {
            // Within a run, or empty indeed.
            Slot::Empty => &self.slots[self.run_start(at)],
            // Most slots are starts: so most gets need not wait for `starts`, in another cache line.
            slot => slot,
        }
    }

    #[inline]
    pub(super) fn child_mut(&mut self, bits: u64) -> &mut Slot<E> {
        &mut self.slots[self.run_start(index(bits))]
    }

    /// The node of the run that slot `at` belongs to, and the run.
    pub(super) fn run(&self, at: usize) -> (&Slot<E>, Range<usize>) {
        let start = self.run_start(at);
        (&self.slots[start], start..start + self.run_len(start))
    }

    pub(super) fn slots(&self) -> &[Slot<E>] {
        &self.slots
    }

    /// Gives a new branch its only child.
    pub(super) fn set_only(&mut self, child: Slot<E>) {
        self.slots[0] = child;
    }

    /// Makes a new branch hold the same children as another.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.starts = other.starts;
        let mut left = other.starts;
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            self.slots[at] = other.slots[at].clone();
            left &= left - 1;
        }
    }

    /// Hands all children to `each` and is as good as new.
    pub(super) fn drain(&mut self, mut each: impl FnMut(Slot<E>)) {
        let mut left = self.starts;
        while left != 0 {
            each(std::mem::take(
                &mut self.slots[left.trailing_zeros() as usize],
            ));
            left &= left - 1;
        }
        self.starts = 1;
    }

    #[inline]
    fn run_start(&self, at: usize) -> usize {
        let upto = self.starts & (Starts::MAX >> (BRANCH_LEN - 1 - at));
        // N1: bit 0 is set, so there is a start; the mask tells the compiler that it fits.
        (upto.leading_zeros() as usize ^ (BRANCH_LEN - 1)) & (BRANCH_LEN - 1)
    }

    fn run_len(&self, start: usize) -> usize {
        let after = u64::from(self.starts) >> (start + 1);
        match after {
            0 => BRANCH_LEN - start,
            _ => after.trailing_zeros() as usize + 1,
        }
    }
}

impl<E: Keyed> Branch<E> {
    pub(super) fn check(&self, level: u32, prefix: u64, bits: u32) {
        assert!(
            level < LEVEL_MAX && self.starts & 1 == 1,
            "N1: a start at slot 0"
        );
        let mut at = 0;
        while at < BRANCH_LEN {
            let (slot, Range { end, .. }) = self.run(at);
            let len = end - at;
            assert!(
                len.is_power_of_two() && at.is_multiple_of(len),
                "G2: a crooked run"
            );
            assert!(
                len == 1 || slot.leaf_len().is_some(),
                "N2: a branch in several slots"
            );
            assert!(
                len < BRANCH_LEN || slot.leaf_len().is_none(),
                "G3: a branch of one leaf"
            );
            let rest = &self.slots[at + 1..end];
            assert!(
                rest.iter().all(|slot| matches!(slot, Slot::Empty)),
                "N1: a hidden node"
            );
            if let (Some(sum), true) = (self.mergeable(at), len < BRANCH_LEN) {
                assert!(sum > PAGE_LEN / 2, "G3: two sparse siblings");
            }
            let run_bits = BRANCH_BITS - len.trailing_zeros();
            let shift = u64::BITS - bits - BRANCH_BITS;
            slot.check(level + 1, prefix | (at as u64) << shift, bits + run_bits);
            at = end;
        }
    }

    /// Items of the leaf at `start` and of its sibling, if the two could be one.
    fn mergeable(&self, start: usize) -> Option<usize> {
        let len = self.run_len(start);
        let sibling = start ^ len;
        if len == BRANCH_LEN || self.run_start(sibling) != sibling || self.run_len(sibling) != len {
            return None;
        }
        Some(self.slots[start].leaf_len()? + self.slots[sibling].leaf_len()?)
    }
}

impl<E: Keyed + Clone> Branch<E> {
    pub(super) fn insert(&mut self, level: u32, item: E, pool: &mut Pool<E>) -> Option<E> {
        let at = index(item.hash() << (level * BRANCH_BITS));
        let mut item = item;
        loop {
            let start = self.run_start(at);
            let len = self.run_len(start);
            if len == 1 {
                return self.slots[start].insert(level + 1, item, pool);
            }
            // N2: a run of several slots is a page or empty.
            let Slot::Page(page) = &mut self.slots[start] else {
                self.slots[start] = pool.page_with(item);
                return None;
            };
            let page = unshare_page(page, pool);
            match page.insert(item) {
                Inserted::New => return None,
                Inserted::Replaced(old) => return Some(old),
                Inserted::Full(back) => item = back,
            }
            let half = len / 2;
            let mut other = pool.page();
            let upper = unshare_page(&mut other, pool);
            page.move_to(upper, |item| {
                index(item.hash() << (level * BRANCH_BITS)) >= start + half
            });
            let (lower_len, upper_len) = (page.len(), upper.len());
            self.starts |= 1 << (start + half);
            self.slots[start + half] = Slot::Page(other);
            if lower_len == 0 {
                pool.reuse(&mut self.slots[start]);
            }
            if upper_len == 0 {
                pool.reuse(&mut self.slots[start + half]);
            }
        }
    }

    pub(super) fn remove(
        &mut self,
        level: u32,
        hash: u64,
        key: &E::Key,
        pool: &mut Pool<E>,
    ) -> Option<E> {
        let mut start = self.run_start(index(hash << (level * BRANCH_BITS)));
        let removed = self.slots[start].remove(level + 1, hash, key, pool);
        while let Some(sum) = self.mergeable(start)
            && sum <= PAGE_LEN / 2
        {
            let len = self.run_len(start);
            let (lower, upper) = (start & !len, start | len);
            self.starts &= !(1 << upper);
            let mut upper = std::mem::take(&mut self.slots[upper]);
            match (&mut self.slots[lower], &mut upper) {
                (Slot::Page(to), Slot::Page(from)) => {
                    let to = unshare_page(to, pool);
                    unshare_page(from, pool).move_to(to, |_| true);
                    pool.reuse(&mut upper);
                }
                (_, Slot::Empty) => {}
                (to, _) => *to = upper,
            }
            start = lower;
        }
        removed
    }

    /// The child, if there is only one and it is a leaf: it can take the branch's place.
    pub(super) fn take_only_leaf(&mut self) -> Option<Slot<E>> {
        let is_only = self.starts == 1 && self.slots[0].leaf_len().is_some();
        is_only.then(|| std::mem::take(&mut self.slots[0]))
    }
}

/// The slot that the first bits name.
#[inline]
pub(super) const fn index(bits: u64) -> usize {
    (bits >> (u64::BITS - BRANCH_BITS)) as usize
}
