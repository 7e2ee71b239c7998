//! One registered handler: where it stands, what it has missed, and what it panicked on.
//!
//! L1  A live listener is told each queued change numbered `live_from` or later exactly once.
//! L2  A listener that catches up is told differences only; they end when its snapshot is the
//!     published one.
//! L3  `failed` holds at most `failed_keys_max` keys; beyond it the whole store is told again.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use tidings_api::Instant;

use super::{Change, Event, FanoutLimits, Handler, HandlerId};
use crate::{
    entry::Entry,
    indexer::{Snapshot, SnapshotDiff},
    pages::Difference,
};

/// How one handler is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandlerStatus {
    /// Which registration.
    pub id: HandlerId,
    /// Where it stands.
    pub state: HandlerState,
    /// Whether it has been told the initial state.
    pub synced: bool,
    /// Events that it was told.
    pub events: u64,
    /// How often it panicked.
    pub panics: u64,
    /// Keys whose last event it panicked on.
    pub failed_keys: usize,
}

/// Where a handler stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a status page shows every state")]
pub enum HandlerState {
    /// It is told the difference between what it knows and the store.
    CatchingUp,
    /// It panicked too often and is not called any more.
    Detached,
    /// It is told every change.
    Live,
}

pub(super) struct Listener<P> {
    handler: Box<dyn Handler<P>>,
    status: HandlerStatus,
    live_from: u64,
    catching_up: Option<CatchUp<P>>,
    resync: Option<Resync<P>>,
    panics_in_a_row: u32,
    failed: BTreeMap<Box<str>, Failed<P>>,
    failed_all: bool,
    redeliver_at: Instant,
}

struct CatchUp<P> {
    target: Snapshot<P>,
    difference: SnapshotDiff<P>,
    is_initial: bool,
}

struct Resync<P> {
    period: Duration,
    due: Instant,
    cursor: Option<SnapshotDiff<P>>,
}

/// A key of which the handler did not take an event.
struct Failed<P> {
    /// What it was told last, if it was told of the key.
    known: Option<Entry<P>>,
    /// The final state of the deletion on which it panicked, if the server gave one.
    last: Option<Entry<P>>,
}

impl<P: Clone> Listener<P> {
    pub(super) fn new(
        id: HandlerId,
        handler: Box<dyn Handler<P>>,
        now: Instant,
        resync: Option<Duration>,
    ) -> Self {
        let status = HandlerStatus {
            id,
            state: HandlerState::CatchingUp,
            synced: false,
            events: 0,
            panics: 0,
            failed_keys: 0,
        };
        Self {
            handler,
            status,
            live_from: u64::MAX,
            catching_up: None,
            resync: resync.map(|period| Resync {
                period,
                due: now + period,
                cursor: None,
            }),
            panics_in_a_row: 0,
            failed: BTreeMap::new(),
            failed_all: false,
            redeliver_at: Instant::FAR_FUTURE,
        }
    }

    pub(super) const fn id(&self) -> HandlerId {
        self.status.id
    }

    pub(super) fn status(&self) -> HandlerStatus {
        HandlerStatus {
            failed_keys: self.failed.len(),
            ..self.status
        }
    }

    pub(super) fn go_live(&mut self, number: u64, informer_synced: bool) {
        self.catching_up = None;
        self.live_from = number;
        self.status.state = HandlerState::Live;
        self.status.synced |= informer_synced;
    }

    pub(super) fn catch_up_from(&mut self, known: Snapshot<P>, target: Snapshot<P>) {
        let difference = known.diff_to(&target);
        self.catching_up = Some(CatchUp {
            target,
            difference,
            is_initial: true,
        });
    }

    /// Tells a queued change (L1).
    pub(super) fn tell_live(
        &mut self,
        number: u64,
        change: &Change<P>,
        is_in_initial_list: bool,
        limits: &FanoutLimits,
        now: Instant,
    ) {
        if self.status.state == HandlerState::Live && number >= self.live_from {
            self.tell(change, is_in_initial_list, limits, now);
        }
    }

    /// The initial state was told.
    pub(super) fn sync(&mut self) {
        self.status.synced |= self.status.state == HandlerState::Live;
    }

    /// Tells a slice of the difference to `store` (L2) and returns what is left of the budget.
    pub(super) fn catch_up(
        &mut self,
        now: Instant,
        mut budget: usize,
        store: &Snapshot<P>,
        next_number: u64,
        informer_synced: bool,
        limits: &FanoutLimits,
    ) -> usize {
        while budget > 0
            && self.status.state == HandlerState::CatchingUp
            && let Some(mut catching_up) = self.catching_up.take()
        {
            let slice = catching_up.difference.next_slice(budget);
            budget -= slice.len().min(budget);
            let is_level = slice.is_empty();
            for difference in slice {
                let change = Change::from(difference);
                self.tell(&change, catching_up.is_initial, limits, now);
            }
            if !is_level {
                self.catching_up = Some(catching_up);
            } else if catching_up.target.generation() == store.generation() {
                self.go_live(next_number, informer_synced);
            } else {
                let known = catching_up.target;
                let difference = known.diff_to(store);
                let target = store.clone();
                self.catching_up = Some(CatchUp {
                    target,
                    difference,
                    is_initial: false,
                });
            }
        }
        budget
    }

    /// Tells a slice of a due resync and of the failed keys. Every change has been told before, so
    /// `store` is what the handler knows: an entry is told as it is now, never an older one.
    pub(super) fn resync(
        &mut self,
        now: Instant,
        mut budget: usize,
        store: &Snapshot<P>,
        limits: &FanoutLimits,
    ) -> usize {
        if self.status.state != HandlerState::Live {
            return budget;
        }
        if self.redeliver_at <= now {
            self.redeliver(now, store, limits);
        }
        let Some(mut resync) = self.resync.take() else {
            return budget;
        };
        if resync.due <= now && resync.cursor.is_none() {
            resync.due = now + resync.period;
            resync.cursor = Some(Snapshot::empty().diff_to(store));
            self.redeliver(now, store, limits);
        }
        if let Some(cursor) = &mut resync.cursor {
            let slice = cursor.next_slice(budget);
            budget -= slice.len().min(budget);
            for was in slice.iter().filter_map(Difference::newer) {
                if let Some(entry) = store.get(was.object.key()) {
                    self.tell_again(entry, limits, now);
                }
            }
            if slice.is_empty() {
                resync.cursor = None;
            }
        }
        self.resync = Some(resync);
        budget
    }

    pub(super) fn resync_at(&mut self, due: Instant) {
        if let Some(resync) = &mut self.resync {
            resync.due = due;
        }
    }

    pub(super) fn has_work(&self, now: Instant) -> bool {
        match self.status.state {
            HandlerState::CatchingUp => true,
            HandlerState::Detached => false,
            HandlerState::Live => {
                let cursor = self
                    .resync
                    .as_ref()
                    .is_some_and(|resync| resync.cursor.is_some());
                cursor || self.wake_at() <= now
            }
        }
    }

    pub(super) fn wake_at(&self) -> Instant {
        if self.status.state == HandlerState::Detached {
            return Instant::FAR_FUTURE;
        }
        let due = self
            .resync
            .as_ref()
            .map_or(Instant::FAR_FUTURE, |resync| resync.due);
        due.min(self.redeliver_at)
    }

    fn tell(
        &mut self,
        change: &Change<P>,
        is_in_initial_list: bool,
        limits: &FanoutLimits,
        now: Instant,
    ) {
        change.tell(is_in_initial_list, |event| self.call(event, limits, now));
    }

    fn tell_again(&mut self, entry: &Entry<P>, limits: &FanoutLimits, now: Instant) {
        if let Some(good) = entry.last_good() {
            let (old, new) = (&good, &good);
            self.call(Event::Updated { old, new }, limits, now);
        }
    }

    /// Tells the events again on which the handler panicked (H4).
    fn redeliver(&mut self, now: Instant, store: &Snapshot<P>, limits: &FanoutLimits) {
        self.redeliver_at = Instant::FAR_FUTURE;
        if std::mem::take(&mut self.failed_all) {
            let mut cursor = Snapshot::empty().diff_to(store);
            loop {
                let slice = cursor.next_slice(1024);
                if slice.is_empty() {
                    break;
                }
                for entry in slice.iter().filter_map(Difference::newer) {
                    self.tell_again(entry, limits, now);
                }
            }
        }
        for (key, failed) in std::mem::take(&mut self.failed) {
            let stored = store.get(&key);
            if let Some(good) = stored.and_then(Entry::last_good) {
                self.tell_present(failed, &good, limits, now);
            } else {
                self.tell_absent(failed, limits, now);
            }
            if let Some(entry) = stored.filter(|entry| entry.is_poisoned()) {
                self.call(Event::Poisoned { entry }, limits, now);
            }
        }
    }

    /// Tells an event, or, of a key of which the handler has missed one, what leads there from what
    /// it knows: its history stays legal (INV-S6), and no deletion is lost (INV-S7).
    fn call(&mut self, event: Event<'_, P>, limits: &FanoutLimits, now: Instant) {
        let key = event.entry().object.key();
        let Some(failed) = self.failed.remove(key) else {
            self.attempt(event, limits, now);
            return;
        };
        match event {
            Event::Added { new, .. } | Event::Updated { new, .. } => {
                self.tell_present(failed, new, limits, now);
            }
            Event::Deleted {
                last,
                is_final_state_known,
            } => {
                let is_it = |known: &Entry<P>| known.is_same_uid(last);
                let is_last = is_final_state_known && failed.known.as_ref().is_some_and(is_it);
                let last = is_last.then(|| last.clone()).or(failed.last);
                let known = failed.known;
                self.tell_absent(Failed { known, last }, limits, now);
            }
            Event::Poisoned { entry } => {
                let (key, known) = (entry.object.key().into(), failed.known.clone());
                self.attempt(Event::Poisoned { entry }, limits, now);
                // What it has missed is still to be told; and what it knows is still that.
                let last = failed.last;
                self.failed.insert(key, Failed { known, last });
                self.redeliver_at = self.redeliver_at.min(now + limits.redeliver_after);
            }
        }
    }

    /// From what the handler knows of a key to what is there.
    fn tell_present(
        &mut self,
        failed: Failed<P>,
        new: &Entry<P>,
        limits: &FanoutLimits,
        now: Instant,
    ) {
        if let Some(old) = failed.known.as_ref().filter(|old| old.is_same_uid(new)) {
            self.attempt(Event::Updated { old, new }, limits, now);
            return;
        }
        if !self.tell_absent(failed, limits, now) {
            return;
        }
        let event = Event::Added {
            new,
            is_in_initial_list: false,
        };
        self.attempt(event, limits, now);
    }

    /// From what the handler knows of a key to nothing; whether it took it.
    fn tell_absent(&mut self, failed: Failed<P>, limits: &FanoutLimits, now: Instant) -> bool {
        let Some(known) = failed.known else {
            return true;
        };
        let event = Event::Deleted {
            last: failed.last.as_ref().unwrap_or(&known),
            is_final_state_known: failed.last.is_some(),
        };
        self.attempt(event, limits, now)
    }

    /// Calls the handler; whether it took the event. If not, what it knew before is remembered.
    fn attempt(&mut self, event: Event<'_, P>, limits: &FanoutLimits, now: Instant) -> bool {
        if self.status.state == HandlerState::Detached {
            return false;
        }
        let (entry, known, last) = match event {
            Event::Added { new, .. } => (new, None, None),
            Event::Updated { old, new } => (new, Some(old), None),
            Event::Deleted {
                last,
                is_final_state_known,
            } => (last, Some(last), is_final_state_known.then_some(last)),
            Event::Poisoned { entry } => (entry, Some(entry), None),
        };
        self.status.events += 1;
        let handler = &mut self.handler;
        if catch_unwind(AssertUnwindSafe(|| handler.handle(event))).is_ok() {
            self.panics_in_a_row = 0;
            return true;
        }
        self.status.panics += 1;
        self.panics_in_a_row += 1;
        if self.panics_in_a_row >= limits.panics_max {
            self.status.state = HandlerState::Detached;
            self.catching_up = None;
            return false;
        }
        if self.failed.len() < limits.failed_keys_max {
            let failed = Failed {
                known: known.and_then(Entry::last_good),
                last: last.cloned(),
            };
            self.failed.insert(entry.object.key().into(), failed);
        } else {
            self.failed_all = true;
        }
        self.redeliver_at = self.redeliver_at.min(now + limits.redeliver_after);
        false
    }
}
