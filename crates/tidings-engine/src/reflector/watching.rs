//! The watch phase: events, bookmarks, and the ways in which a stream ends.
//!
//! Source: rules cg-R16..R26, pr-W11..W17, pr-E1..E15; INV-S2, INV-S3.

use std::time::Duration;

use tidings_api::{Instant, ResourceVersion, resource_version::ResourceVersionError};

use super::{
    Config, EventKind, Next, Output, Phase, Received, Reflector, WakeReason, watchdog::Watchdog,
};
use crate::delta::Delta;

/// A watch in progress.
#[derive(Debug)]
pub(super) struct Watching {
    pub(super) opened_at: Instant,
    /// When the server's answer came, once it has.
    accepted_at: Option<Instant>,
    timeout: Duration,
    /// Events and bookmarks that counted.
    pub(super) received: u64,
    unfit: u32,
    pub(super) watchdog: Watchdog,
}

impl Watching {
    pub(super) const fn new(opened_at: Instant, timeout: Duration, watchdog: Watchdog) -> Self {
        Self {
            opened_at,
            accepted_at: None,
            timeout,
            received: 0,
            unfit: 0,
            watchdog,
        }
    }

    /// See `tests/fingerprint.rs`.
    #[cfg(test)]
    pub(super) fn fingerprint(&self) -> String {
        let worked = self.received > 0;
        format!("{worked} {} {}", self.unfit, self.watchdog.fingerprint())
    }

    pub(super) fn accept(&mut self, now: Instant) {
        self.accepted_at = Some(now);
        self.watchdog.handle_frame(now);
    }

    /// Whether a stream that ends now was closed as soon as it was open. A link on which the answer
    /// takes a second does not make it long; a proxy that keeps the answer back until the stream ends,
    /// for there was nothing to tell, does not make it short.
    fn is_short(&self, now: Instant, config: &Config) -> bool {
        let opened = now.saturating_since(self.opened_at);
        let accepted = self.accepted_at.unwrap_or(self.opened_at);
        let accepted = now.saturating_since(accepted);
        opened < config.short_stream
            || (accepted < config.short_stream && opened < config.short_stream * SLOW_ANSWER)
    }

    pub(super) fn wake_at(&self, config: &Config) -> Instant {
        self.ends_at(config).min(self.watchdog.wake_at())
    }

    /// When a stream that still stands must be dead: the server ends it at its timeout (pr-W1).
    fn ends_at(&self, config: &Config) -> Instant {
        self.opened_at + self.timeout + config.watch_overrun
    }
}

impl<P> Reflector<P> {
    pub(super) fn handle_event(&mut self, now: Instant, kind: EventKind, received: Received<P>) {
        match &mut self.phase {
            Phase::WatchListing(_) => match kind {
                // pr-E9: initial events are not ordered by version, and live changes may mix in.
                EventKind::Added | EventKind::Modified => return self.handle_item(now, received),
                EventKind::Deleted => return self.handle_initial_removal(now, received),
            },
            Phase::Watching(watching) => watching.watchdog.handle_frame(now),
            Phase::Idle
            | Phase::Listing(_)
            | Phase::Draining
            | Phase::Waiting { .. }
            | Phase::Stopped => return,
        }
        self.stats.events += 1;
        let Received::Entry(entry) = received else {
            self.stats.keyless += 1;
            return self.handle_unfit_event(now, kind, "an object has no usable key");
        };
        let Ok(version) = entry.object.resource_version() else {
            return self.handle_unfit_event(now, kind, "an object has no usable version");
        };
        // pr 1.7: one event's lower version proves nothing, a consistent list does. Equal ones are
        // legal: several events may share a version (pr-E13).
        if self
            .received
            .as_ref()
            .is_some_and(|known| version.is_before(known))
        {
            let message = "an event is older than what was already received";
            return self.fail_then(now, WakeReason::VersionWentBack, message, Next::Relist);
        }
        self.went_well(version);
        self.enqueue(match kind {
            EventKind::Added => Delta::Added(entry),
            EventKind::Modified => Delta::Updated(entry),
            EventKind::Deleted => Delta::Deleted(entry),
        });
    }

    pub(super) fn handle_bookmark(
        &mut self,
        now: Instant,
        version: Result<ResourceVersion, ResourceVersionError>,
        initial_events_end: bool,
    ) {
        self.stats.bookmarks += 1;
        match (&mut self.phase, version) {
            // pr-E10: no other bookmark moves anything before the state is complete.
            (Phase::WatchListing(_), Ok(version)) if initial_events_end => {
                self.complete_watch_list(now, version);
            }
            (Phase::WatchListing(_), _) => {}
            (Phase::Watching(watching), Ok(version)) => {
                watching.watchdog.handle_frame(now);
                // pr-F14, INV-S2: a lower one is ignored and counted, it proves nothing.
                if self
                    .received
                    .as_ref()
                    .is_some_and(|known| version.is_before(known))
                {
                    self.stats.bookmarks_ignored += 1;
                    return;
                }
                self.went_well(version.clone());
                self.whole = Some(version.clone());
                self.enqueue(Delta::Bookmark(version));
            }
            (Phase::Watching(watching), Err(_)) => {
                watching.watchdog.handle_frame(now);
                self.stats.bookmarks_ignored += 1;
            }
            (
                Phase::Idle
                | Phase::Listing(_)
                | Phase::Draining
                | Phase::Waiting { .. }
                | Phase::Stopped,
                _,
            ) => {}
        }
    }

    /// An event that cannot be attributed or ordered. A deletion may be that of any stored object,
    /// which would stay for ever: only a list tells (pr-F7, INV-S7). A list would bring any other
    /// such object as it came, so those are merely counted.
    fn handle_unfit_event(&mut self, now: Instant, kind: EventKind, what: &str) {
        if kind != EventKind::Deleted {
            return self.handle_unfit(now, what);
        }
        self.stats.unfit += 1;
        let message = "a deletion does not say of what";
        self.fail_then(now, WakeReason::UnfitEvents, message, Next::Relist);
    }

    /// A frame that says nothing to act upon does not move the version; several of them mean that
    /// this stream is not to be trusted (pr-E7, pr 1.7).
    /// Within a list it may stand for any object: it proves no absence (INV-S11).
    pub(super) fn handle_unfit(&mut self, now: Instant, what: &str) {
        self.stats.unfit += 1;
        let watching = match &mut self.phase {
            Phase::Watching(watching) => watching,
            Phase::Listing(listing) | Phase::WatchListing(listing) => {
                listing.proves_no_absence();
                return;
            }
            Phase::Idle | Phase::Draining | Phase::Waiting { .. } | Phase::Stopped => return,
        };
        watching.watchdog.handle_frame(now);
        watching.unfit += 1;
        if watching.unfit >= self.config.unfit_events_max {
            let message = format!("the stream brings events that cannot be acted upon: {what}");
            self.fail_then(now, WakeReason::UnfitEvents, &message, Next::Relist);
        }
    }

    pub(super) fn watch_ended(&mut self, now: Instant) {
        let Phase::Watching(watching) = &self.phase else {
            return;
        };
        if !watching.is_short(now, &self.config) {
            // cg-R19, pr-F29: an end after a while is normal, however quiet the stream was.
            let jitter = self.config.reopen_jitter_max.mul_f64(self.rng.f64());
            self.memory.short_streams = 0;
            self.count(WakeReason::Ended);
            return self.wait(now + jitter, Next::Rewatch);
        }
        if watching.received > 0 {
            // cg-R19: no hot loop with a server that closes each stream after one event.
            let delay = self.backoff.next_delay(now, &mut self.rng);
            self.memory.short_streams = 0;
            self.count(WakeReason::Ended);
            return self.wait(now + delay, Next::Rewatch);
        }
        self.memory.short_streams += 1;
        let next = if self.memory.short_streams >= self.config.short_streams_max {
            // pr-W12, pr-W17: some servers close a stale watch in place of saying 410.
            self.memory.short_streams = 0;
            Next::Relist
        } else {
            Next::Rewatch
        };
        let message = "the server ended the watch at once";
        self.fail_then(now, WakeReason::ShortStreams, message, next);
    }

    pub(super) fn tick_watching(&mut self, now: Instant) {
        let Phase::Watching(watching) = &mut self.phase else {
            return;
        };
        if watching.ends_at(&self.config) <= now {
            let message = "the server left the watch open beyond its timeout";
            return self.fail_then(now, WakeReason::Silent, message, Next::Rewatch);
        }
        self.tick_watchdog(now);
    }

    /// An event or bookmark counted: the stream is alive and at this version.
    fn went_well(&mut self, version: ResourceVersion) {
        if let Phase::Watching(watching) = &mut self.phase {
            watching.received += 1;
            if watching.watchdog.handle_version(&version) {
                self.found_healthy();
            }
        }
        if self.received.as_ref() != Some(&version) {
            self.whole = self.received.take();
        }
        self.received = Some(version);
        self.memory.short_streams = 0;
        self.memory.too_large_since = None;
        if self.trouble.is_some() || self.stale_since.is_some() {
            self.recovered();
        }
    }

    /// Closes the stream and waits.
    pub(super) fn wait(&mut self, until: Instant, next: Next) {
        self.abort_list();
        self.outputs.push_back(Output::Close);
        self.phase = Phase::Waiting { until, next };
    }
}

/// How many times as long as a short stream an answer may take, for the stream to be a short one.
const SLOW_ANSWER: u32 = 10;
