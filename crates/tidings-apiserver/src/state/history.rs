//! The watch history of one resource: a ring of events, bounded by count and age.
//!
//! Does not know selectors; a watch reads it at its own pace by sequence number.
//!
//! ```text
//!   forgotten | seq 7  8  9 10 11 | next_seq = 12
//!             ^ floor_rv: every event with a greater rv is still here
//! ```
//!
//! H1  Events stand in ascending order of rv and, without gap, of seq.
//! H2  `events.len() <= events_max` after every push.
//! H3  An event is in the ring exactly when its rv is greater than `floor_rv`.
//! Cost: push O(1) amortised, a seq O(1), an rv O(log events).
//! Source: storage/cacher/watch_cache.go @v0.36.3; rules pr-E12, cg-V4.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tidings_api::Instant;

use super::object::Stored;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Deleted,
    Modified,
}

/// One event: the object after it (for a deletion its last state), and before it.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) rv: u64,
    pub(crate) at: Instant,
    pub(crate) change: Change,
    pub(crate) object: Arc<Stored>,
    pub(crate) before: Option<Arc<Stored>>,
}

#[derive(Debug)]
pub(crate) struct History {
    events: VecDeque<Arc<Event>>,
    next_seq: u64,
    floor_rv: u64,
    events_max: usize,
    age_max: Duration,
    forgotten: u64,
}

impl History {
    pub(crate) fn new(floor_rv: u64, events_max: usize, age_max: Duration) -> Self {
        Self {
            events: VecDeque::new(),
            next_seq: 0,
            floor_rv,
            events_max,
            age_max,
            forgotten: 0,
        }
    }

    pub(crate) fn push(&mut self, event: Event) {
        debug_assert!(self.events.back().is_none_or(|last| last.rv < event.rv), "H1");
        let oldest = event.at;
        self.events.push_back(Arc::new(event));
        self.next_seq += 1;
        while let Some(first) = self.events.front() {
            let aged = oldest.saturating_since(first.at) > self.age_max;
            if self.events.len() <= self.events_max && !aged {
                break;
            }
            self.forget_first();
        }
    }

    /// Forgets everything up to and including `rv`.
    pub(crate) fn compact(&mut self, rv: u64) {
        while self.events.front().is_some_and(|first| first.rv <= rv) {
            self.forget_first();
        }
        self.floor_rv = self.floor_rv.max(rv);
    }

    /// Begins anew at `rv`, which may be lower than what was: another server history.
    pub(crate) fn reset(&mut self, rv: u64) {
        self.forgotten += self.events.len() as u64;
        self.events.clear();
        self.floor_rv = rv;
    }

    pub(crate) fn floor_rv(&self) -> u64 {
        self.floor_rv
    }

    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// Events that the bounds or a compaction took so far.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The event at a sequence number, `None` if it is forgotten or yet to come.
    pub(crate) fn get(&self, seq: u64) -> Option<&Arc<Event>> {
        let index = seq.checked_sub(self.first_seq())?;
        self.events.get(usize::try_from(index).ok()?)
    }

    /// Whether a reader that wants `seq` next has lost events.
    pub(crate) fn has_lost(&self, seq: u64) -> bool {
        seq < self.first_seq()
    }

    /// The sequence number of the first event after `rv`.
    pub(crate) fn seq_after(&self, rv: u64) -> u64 {
        self.first_seq() + self.events.partition_point(|event| event.rv <= rv) as u64
    }

    /// What differs between the state at `rv` and the present one: each key's object at `rv`.
    ///
    /// Only meaningful for `rv >= floor_rv`.
    pub(crate) fn undo_to(&self, rv: u64) -> HashMap<&str, Option<&Arc<Stored>>> {
        let mut undo = HashMap::new();
        let start = self.events.partition_point(|event| event.rv <= rv);
        for event in self.events.range(start..) {
            undo.entry(event.object.key()).or_insert(event.before.as_ref());
        }
        undo
    }

    fn first_seq(&self) -> u64 {
        self.next_seq - self.events.len() as u64
    }

    fn forget_first(&mut self) {
        if let Some(first) = self.events.pop_front() {
            self.floor_rv = first.rv;
            self.forgotten += 1;
        }
    }
}
