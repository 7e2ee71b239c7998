//! Tells every handler every change, in order, each at its own point of synchronisation.
//!
//! Does not know the reflector; it sees changes that the store already has, and snapshots.
//!
//! ```text
//!                     +--> live handler          every change, as it comes out of the queue
//!  changes --> queue -+
//!                     +--- late handler          the difference from what it knows to the present
//!                          (catching up)         snapshot, in slices, until it is level
//! ```
//!
//! H1  The store is published before a change is queued: a handler may read a newer state than
//!     its event's, never an older one (cg-I1, INV-S9).
//! H2  A late handler sees the whole state as Added, then each later change once: it is live from
//!     the first change queued after the snapshot with which it got level (cg-I2, INV-S9).
//!     Nothing stops meanwhile for the others.
//! H3  A handler is synced once the informer is, and it has been told the initial state (cg-I7).
//! H4  A handler that panics is called again for that key at its resync, or after a while; after
//!     `panics_max` panics in a row it is detached, visibly (against cg-I10).
//! Cost: one virtual call a change and handler; memory: the queued changes, and what a late
//! handler's snapshot pins.
//! Source: client-go tools/cache/shared_informer.go @32ce75a7d; rules cg-I1..I12.

mod event;
mod listener;

use std::{collections::VecDeque, time::Duration};

use tidings_api::Instant;

use self::listener::Listener;
pub use self::{
    event::{Change, Event, Handler},
    listener::{HandlerState, HandlerStatus},
};
use crate::indexer::Snapshot;

/// Names one registration of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandlerId(u64);

/// What a handler asks for beside the changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a table that users fill with struct update syntax"
)]
pub struct HandlerOptions {
    /// Be told every stored object again at this period, as an update to itself; at least 1 s
    /// (cg-I5).
    pub resync: Option<Duration>,
}

/// What happens to the changes that are queued when a handler is removed (against cg-I8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a choice of the user")]
pub enum Removal {
    /// They are told first.
    Drain,
    /// They are not told.
    Drop,
}

/// The bounds of the fan-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a table that users fill with struct update syntax"
)]
pub struct FanoutLimits {
    /// Panics in a row after which a handler is detached. 10.
    pub panics_max: u32,
    /// Keys remembered for redelivery; beyond it everything is redelivered. 1024.
    pub failed_keys_max: usize,
    /// When the failed keys of a handler without resync are told again. 30 s.
    pub redeliver_after: Duration,
}

impl Default for FanoutLimits {
    fn default() -> Self {
        Self {
            panics_max: 10,
            failed_keys_max: 1024,
            redeliver_after: Duration::from_secs(30),
        }
    }
}

/// All handlers of one informer.
pub struct Fanout<P> {
    limits: FanoutLimits,
    listeners: Vec<Listener<P>>,
    queue: VecDeque<Queued<P>>,
    /// Changes in `queue`.
    backlog: usize,
    /// What the next batch is gathered in, so that nothing is allocated for it.
    spare: VecDeque<Change<P>>,
    next_id: u64,
    /// The number of the next change to be queued.
    next_number: u64,
    /// The informer has its initial state.
    synced: bool,
}

enum Queued<P> {
    /// Changes of one publication, not empty.
    Batch {
        /// The number of the first.
        number: u64,
        is_in_initial_list: bool,
        changes: VecDeque<Change<P>>,
    },
    /// The initial state ends here.
    Synced,
}

// === impl Fanout ===

impl<P: Clone> Fanout<P> {
    /// A fan-out without handlers.
    #[must_use]
    pub const fn new(limits: FanoutLimits) -> Self {
        Self {
            limits,
            listeners: Vec::new(),
            queue: VecDeque::new(),
            backlog: 0,
            spare: VecDeque::new(),
            next_id: 0,
            next_number: 0,
            synced: false,
        }
    }

    /// Adds a handler. If `store`, the published state, has anything, the handler catches up with
    /// it first.
    pub fn add(
        &mut self,
        now: Instant,
        handler: Box<dyn Handler<P>>,
        options: HandlerOptions,
        store: &Snapshot<P>,
    ) -> HandlerId {
        let id = HandlerId(self.next_id);
        self.next_id += 1;
        let resync = options.resync.map(|period| period.max(RESYNC_MIN));
        let mut listener = Listener::new(id, handler, now, resync);
        if store.is_empty() {
            listener.go_live(self.next_number, self.synced);
        } else {
            listener.catch_up_from(Snapshot::empty(), store.clone());
        }
        self.listeners.push(listener);
        id
    }

    /// Removes a handler; `false` if it is not there (any more).
    pub fn remove(&mut self, id: HandlerId, removal: Removal) -> bool {
        let Some(index) = self
            .listeners
            .iter()
            .position(|listener| listener.id() == id)
        else {
            return false;
        };
        let mut listener = self.listeners.remove(index);
        if removal == Removal::Drain {
            for queued in &self.queue {
                queued.tell_all(&mut listener, &self.limits);
            }
        }
        true
    }

    /// Queues the changes of a publication, which the store already has (H1), and leaves `changes`
    /// empty. They are not copied: an initial list has many.
    pub fn push(&mut self, changes: &mut VecDeque<Change<P>>) {
        let number = self.next_number;
        self.next_number += changes.len() as u64;
        if self.listeners.is_empty() {
            changes.clear();
        }
        if changes.is_empty() {
            return;
        }
        self.backlog += changes.len();
        let spare = std::mem::take(&mut self.spare);
        self.queue.push_back(Queued::Batch {
            number,
            is_in_initial_list: !self.synced,
            changes: std::mem::replace(changes, spare),
        });
    }

    /// The changes queued so far are the initial state.
    pub fn push_synced(&mut self) {
        if !self.synced {
            self.synced = true;
            self.queue.push_back(Queued::Synced);
        }
    }

    /// Every handler that asked for resyncs is due at once.
    pub fn resync_now(&mut self, now: Instant) {
        for listener in &mut self.listeners {
            listener.resync_at(now);
        }
    }

    /// Tells queued changes to the live handlers, at most `budget`, and returns what is left of it.
    pub fn tell_live(&mut self, now: Instant, mut budget: usize) -> usize {
        while budget > 0
            && let Some(queued) = self.queue.front_mut()
        {
            let Queued::Batch {
                number,
                is_in_initial_list,
                changes,
            } = queued
            else {
                self.listeners.iter_mut().for_each(Listener::sync);
                self.queue.pop_front();
                continue;
            };
            while budget > 0
                && let Some(change) = changes.pop_front()
            {
                for listener in &mut self.listeners {
                    listener.tell_live(*number, &change, *is_in_initial_list, &self.limits, now);
                }
                *number += 1;
                self.backlog -= 1;
                budget -= 1;
            }
            if changes.is_empty() {
                // A list's worth of room is not kept.
                if changes.capacity() <= SPARE_LEN_MAX {
                    self.spare = std::mem::take(changes);
                }
                self.queue.pop_front();
            }
        }
        budget
    }

    /// Tells late handlers and due resyncs at most `budget` events. `store` is the published state.
    pub fn tell_late(&mut self, now: Instant, mut budget: usize, store: &Snapshot<P>) {
        for listener in &mut self.listeners {
            if budget == 0 {
                break;
            }
            let (number, synced) = (self.next_number, self.synced);
            budget = listener.catch_up(now, budget, store, number, synced, &self.limits);
            if self.queue.is_empty() {
                budget = listener.resync(now, budget, store, &self.limits);
            }
        }
    }

    /// Whether there is something to tell before any time passes.
    #[must_use]
    pub fn has_work(&self, now: Instant) -> bool {
        !self.queue.is_empty() || self.listeners.iter().any(|listener| listener.has_work(now))
    }

    /// When the next resync or redelivery is due.
    #[must_use]
    pub fn wake_at(&self) -> Instant {
        let due = self.listeners.iter().map(Listener::wake_at);
        due.min().unwrap_or(Instant::FAR_FUTURE)
    }

    /// Changes that wait to be told.
    #[must_use]
    pub const fn backlog(&self) -> usize {
        self.backlog
    }

    /// Changes so far, told or not.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.next_number
    }

    /// How each handler is doing.
    pub fn handlers(&self) -> impl Iterator<Item = HandlerStatus> + '_ {
        self.listeners.iter().map(Listener::status)
    }

    /// How one handler is doing.
    #[must_use]
    pub fn handler(&self, id: HandlerId) -> Option<HandlerStatus> {
        self.handlers().find(|status| status.id == id)
    }
}

// === impl Queued ===

impl<P: Clone> Queued<P> {
    fn tell_all(&self, listener: &mut Listener<P>, limits: &FanoutLimits) {
        match self {
            Self::Batch {
                number,
                is_in_initial_list,
                changes,
            } => {
                for (number, change) in (*number..).zip(changes) {
                    listener.tell_live(number, change, *is_in_initial_list, limits, Instant::ZERO);
                }
            }
            Self::Synced => listener.sync(),
        }
    }
}

/// Changes that the spare queue has room for at most.
const SPARE_LEN_MAX: usize = 4096;
/// client-go's least resync period (cg-I5).
const RESYNC_MIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
