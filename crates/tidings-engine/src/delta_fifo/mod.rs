//! The queue between the reflector and the store: deltas in one of two orders, bounded.
//!
//! Does not know the store, does not wait: a full queue says so, and the shell stops reading.
//!
//! ```text
//!  arrival order   | a1 | b1 | a2 | bookmark | c1 |          one slot a delta
//!  per key         | a1 a2 | b1 | bookmark | c1 |            one slot a key, until a barrier
//! ```
//!
//! Q1  Under both orders the deltas of one key come out in the order in which they went in.
//! Q2  Under arrival order so do all deltas; nothing is merged (cg-Q1).
//! Q3  Under per-key order a key's deltas join the key's first pending one, but never across a
//!     step of a relist or a resync: those are barriers. Two deletes in a row are one, the older
//!     (cg-F1).
//! Q4  `depth() <= depth_max`: a push beyond it is handed back (client-go's queue is unbounded).
//! Cost: push and pop O(1); memory O(depth). Per key allocates only for a key's second delta.
//! Source: client-go tools/cache/delta_fifo.go, the_real_fifo.go @32ce75a7d; rules cg-F1..F6,
//! cg-Q1..Q9.

use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::{delta::Delta, entry::Entry};

/// In which order deltas come out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a choice of the user")]
pub enum Order {
    /// As they arrived; what client-go calls RealFIFO.
    #[default]
    Arrival,
    /// By key: the classic DeltaFIFO.
    PerKey,
}

/// A bounded queue of deltas with one consumer.
#[derive(Debug)]
pub struct DeltaFifo<P> {
    order: Order,
    depth_max: usize,
    depth: usize,
    depth_peak: usize,
    slots: VecDeque<Slot<P>>,
    /// Where each key's pending slot is, counted from the first slot ever, by the key's hash; per-key
    /// order only.
    pending: HashTable<u64>,
    popped: u64,
}

#[derive(Debug)]
struct Slot<P> {
    first: Delta<P>,
    /// More deltas of the same key.
    rest: Vec<Delta<P>>,
}

/// The queue is full: the delta comes back, to be pushed again once something was popped.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "it has nothing but what it gives back"
)]
pub struct Full<P>(pub Delta<P>);

// === impl DeltaFifo ===

impl<P> DeltaFifo<P> {
    /// An empty queue for at most `depth_max` deltas, at least one.
    #[must_use]
    pub fn new(order: Order, depth_max: usize) -> Self {
        Self {
            order,
            depth_max: depth_max.max(1),
            depth: 0,
            depth_peak: 0,
            slots: VecDeque::new(),
            pending: HashTable::new(),
            popped: 0,
        }
    }

    /// Adds a delta.
    ///
    /// # Errors
    ///
    /// [`Full`] with the delta when the queue holds `depth_max` deltas: pop, then push it again.
    pub fn push(&mut self, delta: Delta<P>) -> Result<(), Full<P>> {
        if self.depth >= self.depth_max {
            return Err(Full(delta));
        }
        match self.order {
            Order::Arrival => self.slots.push_back(Slot::new(delta)),
            Order::PerKey => {
                if !self.push_per_key(delta) {
                    return Ok(());
                }
            }
        }
        self.depth += 1;
        self.depth_peak = self.depth_peak.max(self.depth);
        Ok(())
    }

    /// Moves deltas to the end of `out` until it has taken at least `len_max` of them or the queue
    /// is empty, and returns how many. A key's deltas are never torn apart (cg-Q6).
    pub fn pop_batch(&mut self, len_max: usize, out: &mut Vec<Delta<P>>) -> usize {
        let before = out.len();
        while out.len() - before < len_max {
            let Some(mut slot) = self.slots.pop_front() else {
                break;
            };
            if let Some(entry) = slot.first.change()
                && let Ok(pending) =
                    (self.pending).find_entry(entry.hash, |position| *position == self.popped)
            {
                pending.remove();
            }
            out.push(slot.first);
            out.append(&mut slot.rest);
            self.popped += 1;
        }
        let popped = out.len() - before;
        self.depth -= popped;
        popped
    }

    /// Deltas that wait.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.depth
    }

    /// The most that ever waited.
    #[must_use]
    pub const fn depth_peak(&self) -> usize {
        self.depth_peak
    }

    /// Whether nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.depth == 0
    }

    /// Whether the next push will be handed back.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.depth >= self.depth_max
    }

    /// The order in which deltas come out.
    #[must_use]
    pub const fn order(&self) -> Order {
        self.order
    }

    /// What waits, in its order.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Delta<P>> {
        let slots = self.slots.iter();
        slots.flat_map(|slot| std::iter::once(&slot.first).chain(&slot.rest))
    }

    /// Checks that the counters agree with what is queued.
    ///
    /// # Panics
    ///
    /// If they do not: a programmer's error.
    pub fn check_invariants(&self) {
        let queued: usize = self.slots.iter().map(Slot::len).sum();
        assert_eq!(self.depth, queued, "depth");
        assert!(self.depth <= self.depth_max, "Q4");
        for position in &self.pending {
            let slot = self.slot(*position);
            let entry = slot.and_then(|slot| slot.first.change());
            let key = entry.map(|entry| entry.object.key());
            let found = entry.and_then(|entry| self.find(entry));
            assert_eq!(found, Some(*position), "{key:?} leads to its slot");
        }
    }

    /// Whether the delta was added rather than merged away.
    fn push_per_key(&mut self, delta: Delta<P>) -> bool {
        let Some(entry) = delta.change() else {
            if matches!(delta, Delta::Replaced(_) | Delta::Sync) {
                self.pending.clear();
            }
            self.slots.push_back(Slot::new(delta));
            return true;
        };
        if let Some(position) = self.find(entry) {
            let index = self.index(position);
            let Some(slot) = index.and_then(|index| self.slots.get_mut(index)) else {
                return false;
            };
            let last = slot.rest.last().unwrap_or(&slot.first);
            if matches!((last, &delta), (Delta::Deleted(_), Delta::Deleted(_))) {
                return false;
            }
            slot.rest.push(delta);
            return true;
        }
        let (hash, position) = (entry.hash, self.popped + self.slots.len() as u64);
        self.slots.push_back(Slot::new(delta));
        let (slots, popped) = (&self.slots, self.popped);
        // Called when the table grows; every pending position is that of a slot with a key.
        let hash_at = |position: &u64| {
            let index = position.checked_sub(popped).map(usize::try_from);
            let slot = index.and_then(|index| slots.get(index.ok()?));
            let entry = slot.and_then(|slot| slot.first.change());
            entry.map_or(0, |entry| entry.hash)
        };
        self.pending.insert_unique(hash, position, hash_at);
        true
    }

    /// Where the key of an entry has a pending slot.
    fn find(&self, entry: &Entry<P>) -> Option<u64> {
        let is_its = |position: &u64| {
            let other = self.slot(*position).and_then(|slot| slot.first.change());
            other.is_some_and(|other| other.object.key_bytes() == entry.object.key_bytes())
        };
        self.pending.find(entry.hash, is_its).copied()
    }

    fn slot(&self, position: u64) -> Option<&Slot<P>> {
        self.slots.get(self.index(position)?)
    }

    fn index(&self, position: u64) -> Option<usize> {
        usize::try_from(position.checked_sub(self.popped)?).ok()
    }
}

// === impl Slot ===

impl<P> Slot<P> {
    const fn new(first: Delta<P>) -> Self {
        Self {
            first,
            rest: Vec::new(),
        }
    }

    const fn len(&self) -> usize {
        1 + self.rest.len()
    }
}

#[cfg(test)]
mod tests;
