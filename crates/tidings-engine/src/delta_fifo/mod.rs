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
//! Cost: push and pop O(1), per-key O(log keys); memory O(depth).
//! Source: client-go tools/cache/delta_fifo.go, the_real_fifo.go @32ce75a7d; rules cg-F1..F6,
//! cg-Q1..Q9.

use std::collections::{BTreeMap, VecDeque};

use crate::delta::Delta;

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
    /// Where a key's pending slot is, counted from the first slot ever; per-key order only.
    pending: BTreeMap<Box<str>, u64>,
    popped: u64,
}

#[derive(Debug)]
enum Slot<P> {
    One(Delta<P>),
    Key(Vec<Delta<P>>),
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
            pending: BTreeMap::new(),
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
            Order::Arrival => self.slots.push_back(Slot::One(delta)),
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
            let Some(slot) = self.slots.pop_front() else {
                break;
            };
            match slot {
                Slot::One(delta) => out.push(delta),
                Slot::Key(mut deltas) => {
                    if let Some(key) = deltas.first().and_then(Delta::key)
                        && self.pending.get(key) == Some(&self.popped)
                    {
                        self.pending.remove(key);
                    }
                    out.append(&mut deltas);
                }
            }
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

    /// Checks that the counters agree with what is queued.
    ///
    /// # Panics
    ///
    /// If they do not: a programmer's error.
    pub fn check_invariants(&self) {
        let queued: usize = self.slots.iter().map(Slot::len).sum();
        assert_eq!(self.depth, queued, "depth");
        assert!(self.depth <= self.depth_max, "Q4");
        for (key, position) in &self.pending {
            let slot = usize::try_from(position - self.popped)
                .ok()
                .and_then(|i| self.slots.get(i));
            let first = slot.and_then(Slot::first_key);
            assert_eq!(first, Some(&**key), "a pending key points at its slot");
        }
    }

    /// Whether the delta was added rather than merged away.
    fn push_per_key(&mut self, delta: Delta<P>) -> bool {
        let merges = matches!(
            delta,
            Delta::Added(_) | Delta::Updated(_) | Delta::Deleted(_)
        );
        let Some(key) = delta.key().filter(|_| merges) else {
            if matches!(delta, Delta::Replaced(_) | Delta::Sync) {
                self.pending.clear();
            }
            self.slots.push_back(Slot::One(delta));
            return true;
        };
        if let Some(deltas) = self.pending_deltas(key) {
            let both_deleted = matches!(delta, Delta::Deleted(_))
                && matches!(deltas.last(), Some(Delta::Deleted(_)));
            if both_deleted {
                return false;
            }
            deltas.push(delta);
            return true;
        }
        let position = self.popped + self.slots.len() as u64;
        self.pending.insert(key.into(), position);
        self.slots.push_back(Slot::Key(vec![delta]));
        true
    }

    fn pending_deltas(&mut self, key: &str) -> Option<&mut Vec<Delta<P>>> {
        let position = self.pending.get(key)?;
        let index = usize::try_from(position - self.popped).ok()?;
        match self.slots.get_mut(index)? {
            Slot::Key(deltas) => Some(deltas),
            Slot::One(_) => None,
        }
    }
}

impl<P> Slot<P> {
    const fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Key(deltas) => deltas.len(),
        }
    }

    fn first_key(&self) -> Option<&str> {
        match self {
            Self::One(delta) => delta.key(),
            Self::Key(deltas) => deltas.first().and_then(Delta::key),
        }
    }
}

#[cfg(test)]
mod tests;
