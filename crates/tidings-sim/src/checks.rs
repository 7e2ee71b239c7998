//! What must hold after each step, and at the end.
//!
//! Does not mend anything: the first broken rule is a value, and ends the run.
//!
//! | rule | what is compared |
//! |---|---|
//! | INV-S1 | the published store with what the model had at that version of that epoch |
//! | INV-S2 | the published version with the one before, within an epoch of the engine |
//! | INV-S4 | the engine's epochs with the restores that there were |
//! | INV-S5, INV-S6, INV-S7 | each handler's history, in itself and with the store |
//! | INV-S8 | each state that was told with all that there ever were |
//! | INV-S9 | each state that was told with the store, at the call |
//! | INV-S10 | the index with the store that it is of |
//! | INV-S12, INV-L4 | the workqueue with a model of it, see `worker` |
//! | INV-S13 | the queues with their bounds |
//! | INV-S16 | the terms of leaders with each other, see `election` |
//! | INV-L1 | the stores with the server, within the bound of the faults that there were |
//! | INV-L3 | requests with a bound on them |

use std::{collections::BTreeMap, fmt, sync::PoisonError, time::Duration};

use tidings_api::Instant;
use tidings_engine::{
    fanout::{HandlerState, HandlerStatus},
    indexer::Snapshot,
};

use crate::{
    handlers::{Known, Payload, Seat},
    informer::Informer,
    stores::{difference, stored},
    world::{Step, World},
};

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Its id.
    pub rule: &'static str,
    /// Who or what broke it.
    pub object: String,
    /// How.
    pub what: String,
    /// When.
    pub at: Instant,
    /// After how many steps.
    pub step: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} at t={} step {}: {}",
            self.rule, self.object, self.at, self.step, self.what
        )
    }
}

pub(crate) type Broken = (&'static str, String);

impl World {
    /// After each turn of an informer (W2).
    pub(crate) fn check_informer(&mut self, index: usize) {
        if self.violation.is_some() {
            return;
        }
        self.note_state(index);
        self.informers[index].pipeline.check_invariants();
        let broken = self
            .check_store(index)
            .and_then(|()| self.check_handlers(index))
            .and_then(|()| self.check_bounds(index));
        if let Err((rule, what)) = broken {
            self.violate(rule, &format!("i{index}"), what);
        }
    }

    /// Between two slices of an informer's work.
    pub(crate) fn check_publication(&mut self, index: usize) {
        if self.violation.is_some() {
            return;
        }
        if let Err((rule, what)) = self.check_store(index) {
            self.violate(rule, &format!("i{index}"), what);
        }
    }

    fn check_handlers(&mut self, index: usize) -> Result<(), Broken> {
        let informer = &self.informers[index];
        for (number, seat) in informer.seats.iter().enumerate() {
            let mut log = seat.log.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((rule, what)) = log.broken.take() {
                return Err((rule, format!("handler {number}: {what}")));
            }
            let fresh = std::mem::take(&mut log.fresh);
            drop(log);
            for told in fresh {
                self.tally.events += 1;
                let rv = told.version.parse().unwrap_or(0);
                if rv > 0 && !self.cluster.model.ever(&told.uid, rv) {
                    let what = format!("{} {}@{rv} never was", told.word, told.key);
                    return Err(("INV-S8", what));
                }
                // INV-S11: what a selector does not hide is gone only if it is.
                let scope = &informer.knobs;
                let is_seen = scope.app.is_none() && scope.node.is_none() && self.restores == 0;
                let model = &self.cluster.model;
                if told.is_tombstone
                    && is_seen
                    && model.is_present(scope.kind, &told.key, &told.uid)
                {
                    let what = format!(
                        "handler {number}: {} is told as gone, and is there",
                        told.key
                    );
                    return Err(("INV-S11", what));
                }
                // Of what cannot be decoded the last good state is told.
                if told.claims_final && !self.cluster.model.was_poisoned(&told.uid) {
                    let what = format!(
                        "handler {number}: {}@{rv} was not its final state",
                        told.key
                    );
                    return Err(("INV-S6", what));
                }
                if self.trace.is_on() {
                    let now = self.now;
                    let (word, key, version) = (told.word, &told.key, &told.version);
                    let line = format_args!("i{index} h{number} {word} {key}@{version}");
                    self.trace.line(now, line);
                }
                // A controller cannot do anything about what it cannot read.
                if index == 0 && number == 0 && told.word != "poison" {
                    self.workers.hear(told.key);
                }
            }
        }
        if index == 0 {
            self.enqueue_heard();
        }
        self.note_lacks(index);
        self.check_known(index)
    }

    /// Handlers that panicked: each has its events told again in time, whatever else happens (H4).
    fn note_lacks(&mut self, index: usize) {
        let now = self.now;
        let Informer {
            seats, pipeline, ..
        } = &mut self.informers[index];
        let mut looks = Vec::new();
        for seat in seats.iter_mut().filter(|seat| seat.panics) {
            let status = pipeline.fanout().handler(seat.id);
            looks.extend(status.and_then(|status| seat.note_lack(now, &status)));
        }
        for at in looks {
            self.plan(at, Step::Lack(index));
        }
    }

    pub(crate) fn check_lacks(&mut self, index: usize) {
        let now = self.now;
        let informer = &self.informers[index];
        let mut seats = informer.seats.iter();
        let Some(number) = seats.position(|seat| seat.is_overdue(now)) else {
            return;
        };
        if informer.was_busy(now) || informer.pipeline.fanout().backlog() > 0 {
            // Changes are told first, and slow handlers take their time.
            return self.plan_in(LACK_STEP, Step::Lack(index));
        }
        let what = format!("handler {number} is not told again what it panicked on");
        self.violate("cg-I10", &format!("i{index}"), what);
    }

    /// INV-S7: a handler that is level knows what the store has, and nothing else.
    fn check_known(&self, index: usize) -> Result<(), Broken> {
        let informer = &self.informers[index];
        if informer.pipeline.fanout().backlog() > 0 {
            return Ok(());
        }
        let snapshot = informer.pipeline.indexer().snapshot();
        for (number, seat) in informer.seats.iter().enumerate() {
            let Some(status) = informer.pipeline.fanout().handler(seat.id) else {
                continue;
            };
            if !is_level(&status) {
                continue;
            }
            let log = seat.log.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(what) = folded_difference(&log.known, &snapshot) {
                return Err(("INV-S7", format!("handler {number}: {what}")));
            }
        }
        Ok(())
    }

    fn check_bounds(&self, index: usize) -> Result<(), Broken> {
        let informer = &self.informers[index];
        let depth = informer.pipeline.depth();
        // One input may enqueue a few more than fit.
        let max = usize::try_from(informer.knobs.depth).unwrap_or(usize::MAX) + SPILL_MAX;
        if depth > max {
            return Err(("INV-S13", format!("{depth} deltas wait, {max} may")));
        }
        Ok(())
    }

    /// INV-L3: requests that are no further pages, in ten seconds of the informer's own time.
    pub(crate) fn check_rate(&mut self, index: usize) {
        let informer = &mut self.informers[index];
        let now = informer.local(self.now);
        let is_old = |at: &Instant| *at + RATE_WINDOW < now;
        while informer.opened.front().is_some_and(is_old) {
            informer.opened.pop_front();
        }
        let requests = informer.opened.len();
        self.tally.requests_max = self.tally.requests_max.max(requests as u64);
        if requests > REQUESTS_MAX {
            let what = format!("{requests} requests in {RATE_WINDOW:?}");
            self.violate("INV-L3", &format!("i{index}"), what);
        }
    }

    /// A handler that was removed: told all that was queued, or nothing (cg-I8).
    pub(crate) fn check_removed(
        &mut self,
        index: usize,
        seat: &Seat,
        status: Option<HandlerStatus>,
        drain: bool,
        told: u64,
    ) {
        let object = format!("i{index}");
        if !drain {
            if seat.told() != told {
                self.violate(
                    "cg-I8",
                    &object,
                    "a removed handler was told more".to_owned(),
                );
            }
            return;
        }
        if !status.is_some_and(|status| is_level(&status)) || seat.panics {
            return;
        }
        let snapshot = self.informers[index].pipeline.indexer().snapshot();
        let log = seat.log.lock().unwrap_or_else(PoisonError::into_inner);
        let difference = folded_difference(&log.known, &snapshot);
        drop(log);
        if let Some(what) = difference {
            self.violate("cg-I8", &object, format!("a drained handler: {what}"));
        }
    }

    /// A handler that goes: its history must be legal to the end.
    pub(crate) fn check_log(&mut self, index: usize, seat: &Seat) {
        let broken = seat
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .broken
            .take();
        if let Some((rule, what)) = broken {
            self.violate(rule, &format!("i{index}"), what);
        }
    }

    /// Whether an informer has what the server has, and its handlers know it.
    pub(crate) fn is_level(&self, informer: &Informer) -> bool {
        let snapshot = informer.pipeline.indexer().snapshot();
        snapshot.resource_version().is_some()
            && informer.is_equal(
                &stored(&snapshot),
                &self.cluster.model.present(&informer.knobs),
            )
            && informer.pipeline.depth() == 0
            && informer.pipeline.fanout().backlog() == 0
            && !(informer.pipeline.fanout().handlers()).any(|status| match status.state {
                HandlerState::CatchingUp => true,
                HandlerState::Live => status.failed_keys > 0,
                HandlerState::Detached => false,
            })
    }

    /// What an informer lacks.
    pub(crate) fn gap(&self, index: usize) -> String {
        let informer = &self.informers[index];
        let snapshot = informer.pipeline.indexer().snapshot();
        let expected = self.cluster.model.present(&informer.knobs);
        let condition = informer.pipeline.condition();
        let activity = condition.activity;
        format!(
            "{} (rv={:?}, {activity:?}, depth {})",
            difference(&stored(&snapshot), &expected),
            snapshot.resource_version().map(ToString::to_string),
            informer.pipeline.depth()
        )
    }

    /// After everything was level: every handler's folded history is the store.
    pub(crate) fn check_end(&mut self) {
        for index in 0..self.informers.len() {
            if self.violation.is_some() {
                return;
            }
            if let Err((rule, what)) = self.check_folds(index) {
                self.violate(rule, &format!("i{index}"), what);
            }
        }
        self.check_reconciled();
        self.tally.simulated = self.now.saturating_since(Instant::ZERO);
        self.tally.tombstones = self.tombstones();
    }

    fn tombstones(&self) -> u64 {
        let seats = self.informers.iter().flat_map(|informer| &informer.seats);
        let logs = seats.map(|seat| seat.log.lock().unwrap_or_else(PoisonError::into_inner));
        logs.map(|log| log.tombstones).sum()
    }

    fn check_folds(&self, index: usize) -> Result<(), Broken> {
        let informer = &self.informers[index];
        let snapshot = informer.pipeline.indexer().snapshot();
        for (number, seat) in informer.seats.iter().enumerate() {
            let Some(status) = informer.pipeline.fanout().handler(seat.id) else {
                continue;
            };
            if status.state == HandlerState::Detached {
                continue;
            }
            if !is_level(&status) {
                return Err(("INV-L1", format!("handler {number} is not level")));
            }
            let log = seat.log.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(what) = folded_difference(&log.known, &snapshot) {
                return Err(("INV-S7", format!("handler {number}: {what}")));
            }
        }
        Ok(())
    }
}

fn is_level(status: &HandlerStatus) -> bool {
    status.state == HandlerState::Live && status.failed_keys == 0
}

/// What a handler knows and the store has not, or the other way round, of what can be decoded.
fn folded_difference(
    known: &BTreeMap<String, Known>,
    snapshot: &Snapshot<Payload>,
) -> Option<String> {
    let mut left = known.len();
    for entry in snapshot.iter() {
        let object = &entry.object;
        match (known.get(object.key()), entry.effective()) {
            (None, None) => {}
            (None, Some(_)) => return Some(format!("it was not told of {}", object.key())),
            (Some(_), None) => return Some(format!("{} has no value", object.key())),
            (Some((uid, version, mark)), Some(document)) => {
                left -= 1;
                let is_current = version == object.resource_version_text();
                if uid != object.uid() || !(is_current || entry.is_poisoned()) {
                    let now = object.resource_version_text();
                    let key = object.key();
                    return Some(format!("it knows {key}@{version}, the store has @{now}"));
                }
                if *mark != Some(document.mark()) {
                    let key = object.key();
                    return Some(format!("it knows another content of {key}@{version}"));
                }
            }
        }
    }
    (left > 0).then(|| {
        let is_gone = |key: &&String| snapshot.get(key).is_none();
        let gone: Vec<_> = known.keys().filter(is_gone).collect();
        format!("it was not told that {gone:?} are gone")
    })
}

/// What one input may enqueue beyond the bound, or a slice that was fed whole.
const SPILL_MAX: usize = 4096;
const LACK_STEP: Duration = Duration::from_secs(1);
const RATE_WINDOW: Duration = Duration::from_secs(10);
const REQUESTS_MAX: usize = 30;
