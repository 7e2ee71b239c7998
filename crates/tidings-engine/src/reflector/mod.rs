//! Keeps a copy of one collection current: which request to make, what each answer means, and what
//! to try next.
//!
//! Does not read bytes, does not decode, does not store: it sees items and events and emits deltas.
//!
//! The law: feed one [`Input`], drain [`Reflector::poll_output`] until [`Output::Idle`], repeat.
//!
//! ```text
//!  Idle -> WatchListing ----end bookmark----> Watching <--> Waiting(rewatch)
//!            |   ^                              |
//!        unsupported                       410, epoch, ...
//!            v   |                              v
//!          Listing ------last page---------> Draining -> Watching
//! ```
//!
//! F1  `applied` moves only by [`Input::Applied`], and never back within an epoch (INV-S2).
//! F2  A watch is opened only when every enqueued delta has been applied, at `applied`; so no
//!     event can be delivered twice by a resumption; but where events share versions it is opened
//!     at the last version that is known to be whole, and the store drops what comes again (pr-F8).
//! F3  A `Begin` is followed by exactly one `End` or `Abort` before the next `Begin` (INV-S5).
//! F4  Every path from a failure back to a request passes a delay, but for one retry after a 401,
//!     one list after a refused WatchList, and one list after the proof of a new epoch.
//! Cost: O(1) an input.
//! Source: client-go tools/cache/reflector.go @32ce75a7d; the decision table pr 1.7.

mod backoff;
mod condition;
mod config;
mod io;
mod listing;
mod recovery;
mod watchdog;
mod watching;

use std::{collections::VecDeque, time::Duration};

use tidings_api::{
    Instant, ResourceVersion, frame::EventKind, options::WatchOptions, status::Asked,
};

pub use self::{
    backoff::{Backoff, BackoffConfig},
    condition::{Activity, Condition, Stats, Trouble, WakeReason},
    config::{Config, ListMode},
    io::{Call, Failure, FailureKind, Input, Output, Received, Unfit},
};
use self::{listing::Listing, watchdog::Watchdog, watching::Watching};
use crate::delta::{Delta, Replaced};

/// The list/watch state machine of one collection.
#[derive(Debug)]
pub struct Reflector<P> {
    config: Config,
    rng: fastrand::Rng,
    backoff: Backoff,
    phase: Phase,
    /// The version that the store has reached.
    applied: Option<ResourceVersion>,
    /// The version of the last delta that was enqueued.
    received: Option<ResourceVersion>,
    /// The last version of which everything was received: a later one, a bookmark or a list says so.
    whole: Option<ResourceVersion>,
    /// Deltas enqueued but not yet applied.
    outstanding: u64,
    epoch: u64,
    /// The next list is compared by content: its predecessor proved another server history.
    force_diff: bool,
    /// Lists are used in place of WatchLists until then.
    fallback_until: Option<Instant>,
    memory: Memory,
    synced: bool,
    stale_since: Option<Instant>,
    trouble: Option<Trouble>,
    stats: Stats,
    outputs: VecDeque<Output<P>>,
}

#[derive(Debug)]
enum Phase {
    Idle,
    Listing(Listing),
    WatchListing(Listing),
    Watching(Watching),
    /// Everything enqueued has to be applied before the next watch is opened (F2).
    Draining,
    Waiting {
        until: Instant,
        next: Next,
    },
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Relist,
    Rewatch,
}

/// What is remembered from one stream to the next, to notice that the same thing happens again.
#[derive(Debug, Default)]
struct Memory {
    /// Streams in a row that ended at once without an event.
    short_streams: u32,
    /// WatchLists in a row that failed.
    watch_list_failures: u32,
    /// A 401 has already been answered by loading the credentials anew.
    credentials_reloaded: bool,
    /// Since when the version lies in the server's future.
    too_large_since: Option<Instant>,
    /// Where the bytes could not be decoded last.
    undecodable_at: Option<ResourceVersion>,
    /// The next list is taken whole: a page of the last one expired on the way (cg-R11).
    list_whole: bool,
    /// How long a watch may be silent, once a probe has found this stream healthy.
    silence_max: Option<Duration>,
    /// The server cannot serve a list at any version: only a consistent one is asked for (cg-R10).
    version_refused: bool,
    /// The version is of another process's time, and no consistent read has confirmed it (pr-R4).
    unverified: bool,
}

// === impl Reflector ===

impl<P> Reflector<P> {
    /// A reflector that has done nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(config.seed),
            backoff: Backoff::new(config.backoff),
            config,
            phase: Phase::Idle,
            applied: None,
            received: None,
            whole: None,
            outstanding: 0,
            epoch: 0,
            force_diff: false,
            fallback_until: None,
            memory: Memory::default(),
            synced: false,
            stale_since: None,
            trouble: None,
            stats: Stats::default(),
            outputs: VecDeque::new(),
        }
    }

    /// A reflector over a store that was restored from a checkpoint: it watches from that version,
    /// without a list, and counts as synced (DESIGN 4.3). A probe beside the watch verifies that the
    /// server's history still has that version (pr-R4).
    #[must_use]
    pub fn resume(config: Config, resource_version: ResourceVersion, epoch: u64) -> Self {
        let mut reflector = Self::new(config);
        reflector.applied = Some(resource_version.clone());
        reflector.whole = Some(resource_version.clone());
        reflector.received = Some(resource_version);
        reflector.epoch = epoch;
        reflector.synced = true;
        reflector.memory.unverified = true;
        reflector
    }

    /// Takes one input. What follows from it is then to be had from [`Self::poll_output`].
    pub fn handle(&mut self, now: Instant, input: Input<P>) {
        if matches!(self.phase, Phase::Stopped) {
            return;
        }
        match input {
            Input::Start => self.handle_start(now),
            Input::Tick => self.handle_tick(now),
            Input::Accepted => self.handle_accepted(now),
            Input::Refused {
                code,
                status,
                retry_after,
            } => {
                self.handle_refusal(now, code, &status, retry_after);
            }
            Input::Item(received) => self.handle_item(now, received),
            Input::PageEnd {
                resource_version,
                continue_token,
                remaining,
            } => {
                self.handle_page_end(now, resource_version, continue_token, remaining);
            }
            Input::Event(kind, received) => self.handle_event(now, kind, received),
            Input::Bookmark {
                resource_version,
                initial_events_end,
            } => {
                self.handle_bookmark(now, resource_version, initial_events_end);
            }
            Input::ErrorEvent(status) => self.handle_refusal(now, 200, &status, None),
            Input::Unfit(unfit) => self.handle_unfit(now, unfit.text()),
            Input::Ended => self.handle_ended(now),
            Input::Broken(failure) => self.handle_broken(now, failure),
            Input::Applied {
                deltas,
                resource_version,
            } => {
                self.handle_applied(now, deltas, resource_version);
            }
            Input::ProbeAnswered(version) => self.handle_probe_answer(now, Some(&version)),
            Input::ProbeFailed => self.handle_probe_answer(now, None),
            Input::Stop => self.handle_stop(),
        }
    }

    /// The next thing to do; [`Output::Idle`] when there is nothing before an instant.
    pub fn poll_output(&mut self) -> Output<P> {
        self.outputs.pop_front().unwrap_or_else(|| Output::Idle {
            wake_at: self.wake_at(),
        })
    }

    /// What the machine is doing.
    #[must_use]
    pub fn condition(&self) -> Condition {
        let activity = match &self.phase {
            Phase::Idle => Activity::Idle,
            Phase::Listing(listing) => listing.activity(false),
            Phase::WatchListing(listing) => listing.activity(true),
            Phase::Watching(_) | Phase::Draining => Activity::Watching,
            Phase::Waiting { until, .. } => Activity::Waiting { until: *until },
            Phase::Stopped => Activity::Stopped,
        };
        Condition {
            activity,
            synced: self.synced,
            stale_since: self.stale_since,
            trouble: self.trouble.clone(),
            resource_version: self.applied.clone(),
            epoch: self.epoch,
        }
    }

    /// Whether the state is being fetched, as a list or as initial events.
    #[must_use]
    pub const fn is_listing(&self) -> bool {
        matches!(self.phase, Phase::Listing(_) | Phase::WatchListing(_))
    }

    /// How often what happened.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The version that the store has reached.
    #[must_use]
    pub const fn resource_version(&self) -> Option<&ResourceVersion> {
        self.applied.as_ref()
    }

    /// The server history that versions belong to; it grows when a consistent read proves another.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Checks F1 to F3 as far as they can be seen from one state.
    ///
    /// # Panics
    ///
    /// If the machine is not sane: a programmer's error.
    pub fn check_invariants(&self) {
        if let (Some(applied), Some(received)) = (&self.applied, &self.received) {
            assert!(
                self.outstanding > 0 || self.config.shared_versions || !received.is_before(applied),
                "F1: applied {applied} but received only {received}"
            );
        }
        if let Phase::Watching(watching) = &self.phase {
            assert!(
                watching.opened_at <= watching.watchdog.last_frame(),
                "a frame before the stream"
            );
            assert!(self.received.is_some(), "F2: a watch without a version");
        }
    }

    fn handle_start(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Idle) {
            return;
        }
        if self.applied.is_some() {
            self.rewatch(now);
        } else {
            self.relist(now);
        }
    }

    fn handle_stop(&mut self) {
        self.abort_list();
        self.phase = Phase::Stopped;
        self.outputs.push_back(Output::Close);
    }

    fn handle_accepted(&mut self, now: Instant) {
        self.memory.credentials_reloaded = false;
        let force_diff = self.force_diff;
        match &mut self.phase {
            Phase::Listing(listing) | Phase::WatchListing(listing) => {
                listing.last_progress = now;
                if !listing.begun {
                    listing.begun = true;
                    self.enqueue(Delta::Replaced(Replaced::Begin { force_diff }));
                }
            }
            Phase::Watching(watching) => {
                watching.accept(now);
                if self.memory.unverified {
                    self.probe(now);
                }
            }
            Phase::Idle | Phase::Draining | Phase::Waiting { .. } | Phase::Stopped => {}
        }
    }

    fn handle_tick(&mut self, now: Instant) {
        match &self.phase {
            Phase::Waiting { until, next } if *until <= now => match next {
                Next::Relist => self.relist(now),
                Next::Rewatch => self.rewatch(now),
            },
            Phase::Listing(listing) if listing.deadline(&self.config, false) <= now => {
                let message = listing.blame(now, &self.config);
                self.fail(now, WakeReason::Silent, message);
            }
            Phase::WatchListing(listing) if listing.deadline(&self.config, true) <= now => {
                if listing.begun {
                    self.give_up_watch_list(now, "its end bookmark did not come");
                } else {
                    // Nothing answered at all: that says nothing about WatchLists.
                    self.fail(now, WakeReason::Silent, "the request was not answered");
                }
            }
            Phase::Watching(_) => self.tick_watching(now),
            Phase::Idle
            | Phase::Listing(_)
            | Phase::WatchListing(_)
            | Phase::Draining
            | Phase::Waiting { .. }
            | Phase::Stopped => {}
        }
    }

    fn handle_ended(&mut self, now: Instant) {
        match &self.phase {
            Phase::Listing(_) => {
                self.fail(
                    now,
                    WakeReason::Transport,
                    "the list ended before its last byte",
                );
            }
            Phase::WatchListing(_) => self.watch_list_failed(now, "it ended before its bookmark"),
            Phase::Watching(_) => self.watch_ended(now),
            Phase::Idle | Phase::Draining | Phase::Waiting { .. } | Phase::Stopped => {}
        }
    }

    fn handle_applied(&mut self, now: Instant, deltas: u64, version: Option<ResourceVersion>) {
        self.outstanding = self.outstanding.saturating_sub(deltas);
        if version.is_some() {
            self.applied = version;
        }
        if self.outstanding == 0 && matches!(self.phase, Phase::Draining) {
            self.rewatch(now);
        }
    }

    fn wake_at(&self) -> Instant {
        match &self.phase {
            Phase::Idle | Phase::Draining | Phase::Stopped => Instant::FAR_FUTURE,
            Phase::Listing(listing) => listing.deadline(&self.config, false),
            Phase::WatchListing(listing) => listing.deadline(&self.config, true),
            Phase::Watching(watching) => watching.wake_at(&self.config),
            Phase::Waiting { until, .. } => *until,
        }
    }

    fn enqueue(&mut self, delta: Delta<P>) {
        self.outstanding += 1;
        self.outputs.push_back(Output::Enqueue(delta));
    }

    /// Opens a watch at the applied version, once everything enqueued is applied (F2).
    fn rewatch(&mut self, now: Instant) {
        let Some(version) = self.applied.clone() else {
            return self.relist(now);
        };
        if self.outstanding > 0 {
            self.phase = Phase::Draining;
            return;
        }
        let version = match &self.whole {
            Some(whole) if self.config.shared_versions => whole.clone(),
            _ => version,
        };
        let timeout = self.watch_timeout();
        self.stats.watches += 1;
        // What was received but is not known to be applied comes again.
        self.received = Some(version.clone());
        let watchdog = Watchdog::new(now, self.silence_max());
        self.phase = Phase::Watching(Watching::new(now, timeout, watchdog));
        self.outputs
            .push_back(Output::Open(Call::Watch(WatchOptions {
                resource_version: Some(version),
                send_initial_events: false,
                timeout,
            })));
    }

    /// A random time in [min, 2 min), so that many watches do not end together (cg-R1).
    fn watch_timeout(&mut self) -> Duration {
        let min = self
            .config
            .watch_timeout_min
            .max(Config::default().watch_timeout_min);
        min + min.mul_f64(self.rng.f64())
    }

    fn silence_max(&self) -> Duration {
        self.memory.silence_max.unwrap_or(self.config.silence_max)
    }

    const fn asked(&self) -> Asked {
        match &self.phase {
            Phase::Listing(_) => Asked::List,
            Phase::WatchListing(_) => Asked::WatchList,
            Phase::Idle
            | Phase::Watching(_)
            | Phase::Draining
            | Phase::Waiting { .. }
            | Phase::Stopped => Asked::Watch,
        }
    }
}

#[cfg(test)]
mod tests;
