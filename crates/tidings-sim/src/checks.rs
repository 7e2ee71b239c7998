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
    client::Informer,
    handlers::{Payload, Seat},
    model::{Cursor, Selected},
    world::World,
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

type Broken = (&'static str, String);

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

    fn check_store(&mut self, index: usize) -> Result<(), Broken> {
        let informer = &mut self.informers[index];
        let snapshot = informer.pipeline.indexer().snapshot();
        if snapshot.generation() == informer.generation {
            return Ok(());
        }
        informer.generation = snapshot.generation();
        let Some(rv) = snapshot.resource_version() else {
            return Ok(());
        };
        let Ok(rv) = rv.to_string().parse::<u64>() else {
            return Err(("INV-S2", format!("the published version is {rv}")));
        };
        self.tally.publications += 1;
        let epoch = snapshot.epoch();
        if let Some((before, was)) = informer.published
            && before == epoch
            && rv < was
        {
            return Err(("INV-S2", format!("published {rv} after {was}")));
        }
        if epoch > self.restores {
            let restores = self.restores;
            let what = format!("the engine counts {epoch} epochs after {restores} restores");
            return Err(("INV-S4", what));
        }
        informer.published = Some((epoch, rv));
        check_index(&snapshot)?;
        let stored = stored(&snapshot);
        if self.trace.is_on() {
            let objects = stored.len();
            let now = self.now;
            let line = format_args!("i{index} = {objects} objects rv={rv} epoch={epoch}");
            self.trace.line(now, line);
        }
        self.compare(index, &stored, rv)
    }

    /// INV-S1. A store that is known to lack something is compared as soon as it may be whole again.
    fn compare(&mut self, index: usize, stored: &Selected, rv: u64) -> Result<(), Broken> {
        let informer = &mut self.informers[index];
        let own = informer.base_epoch;
        let listed = informer.list_epoch.filter(|_| informer.is_list_clean);
        let last = informer.cursor.take();
        if let Some(epoch) = own.filter(|_| !informer.is_doubtful) {
            let expected = self.cluster.model.at(last, epoch, rv, &informer.knobs);
            if let Some(expected) = expected.filter(|it| it.selected == *stored) {
                informer.cursor = Some(expected);
                return Ok(());
            }
        }
        if let Some(epoch) = listed {
            let expected = self.cluster.model.at(None, epoch, rv, &informer.knobs);
            if let Some(expected) = expected.filter(|it| it.selected == *stored) {
                informer.base_epoch = Some(epoch);
                informer.list_epoch = None;
                informer.is_doubtful = false;
                informer.cursor = Some(expected);
                return Ok(());
            }
        }
        if informer.is_doubtful {
            return self.check_phantoms(stored);
        }
        let epoch = own.or(listed).unwrap_or(0);
        let expected = self.cluster.model.at(None, epoch, rv, &informer.knobs);
        let expected = expected.map(|it: Cursor| it.selected).unwrap_or_default();
        let what = format!(
            "at {rv} of epoch {epoch}: {}",
            difference(stored, &expected)
        );
        Err(("INV-S1", what))
    }

    fn check_phantoms(&self, stored: &Selected) -> Result<(), Broken> {
        for (key, (uid, rv)) in stored {
            // One without a version was stored without one.
            if *rv > 0 && !self.cluster.model.ever(uid, *rv) {
                return Err(("INV-S8", format!("{key}@{rv}/{uid} never was")));
            }
        }
        Ok(())
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
        self.check_known(index)
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
            && stored(&snapshot) == self.cluster.model.present(&informer.knobs)
            && informer.pipeline.depth() == 0
            && informer.pipeline.fanout().backlog() == 0
            && !(informer.pipeline.fanout().handlers())
                .any(|status| status.state == HandlerState::CatchingUp)
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
            // One that panicked may still have to be told.
            if seat.panics && !is_level(&status) {
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

/// Keys with uid and version, as readers see them.
fn stored(snapshot: &Snapshot<Payload>) -> Selected {
    let one = |entry: &tidings_engine::entry::Entry<Payload>| {
        let object = &entry.object;
        let version = object.resource_version_text().parse().unwrap_or(0);
        (object.key().into(), (object.uid().into(), version))
    };
    snapshot.iter().map(one).collect()
}

/// What a handler knows and the store has not, or the other way round, of what can be decoded.
fn folded_difference(
    known: &BTreeMap<String, (String, String)>,
    snapshot: &Snapshot<Payload>,
) -> Option<String> {
    let mut left = known.len();
    for entry in snapshot.iter() {
        let object = &entry.object;
        match (known.get(object.key()), entry.effective()) {
            (None, None) => {}
            (None, Some(_)) => return Some(format!("it was not told of {}", object.key())),
            (Some(_), None) => return Some(format!("{} has no value", object.key())),
            (Some((uid, version)), Some(_)) => {
                left -= 1;
                let is_current = version == object.resource_version_text();
                if uid != object.uid() || !(is_current || entry.is_poisoned()) {
                    let now = object.resource_version_text();
                    let key = object.key();
                    return Some(format!("it knows {key}@{version}, the store has @{now}"));
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

/// INV-S10.
fn check_index(snapshot: &Snapshot<Payload>) -> Result<(), Broken> {
    let mut expected: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for entry in snapshot.iter() {
        if let Some(document) = entry.effective() {
            let keys = expected.entry(document.app()).or_default();
            keys.push(entry.object.key());
        }
    }
    let unknown = |_| ("INV-S10", "the index is gone".to_owned());
    let values = snapshot.index_values("app").map_err(unknown)?;
    if values.len() != expected.len() {
        let what = format!("{} values, the store has {}", values.len(), expected.len());
        return Err(("INV-S10", what));
    }
    for (value, mut keys) in expected {
        let found = snapshot.index_keys("app", value).map_err(unknown)?;
        let mut found: Vec<&str> = found.iter().map(|key| &**key).collect();
        found.sort_unstable();
        keys.sort_unstable();
        if found != keys {
            return Err(("INV-S10", format!("{value:?} has {found:?}, not {keys:?}")));
        }
    }
    Ok(())
}

fn difference(stored: &Selected, expected: &Selected) -> String {
    let mut text = String::new();
    let mut count = 0;
    for key in stored.keys().chain(expected.keys()) {
        let (is, should) = (stored.get(key), expected.get(key));
        if is == should || text.contains(&**key) {
            continue;
        }
        count += 1;
        if count > 6 {
            text.push_str("..");
            break;
        }
        let shown = |it: Option<&(std::sync::Arc<str>, u64)>| match it {
            None => "absent".to_owned(),
            Some((uid, rv)) => format!("@{rv}/{}", uid.get(..4).unwrap_or(uid)),
        };
        text.push_str(&format!("{key} is {} not {}; ", shown(is), shown(should)));
    }
    text
}

/// What one input may enqueue beyond the bound, or a slice that was fed whole.
const SPILL_MAX: usize = 4096;
const RATE_WINDOW: Duration = Duration::from_secs(10);
const REQUESTS_MAX: usize = 30;
