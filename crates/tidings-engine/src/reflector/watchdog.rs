//! Notices a watch that stands but is dead: behind a proxy that still answers, or waiting for a
//! version of the future (pr-W15).
//!
//! Bookmarks are no heartbeat (pr-E11b): silence proves nothing, so it leads to a probe, a
//! consistent list of one item. The probe makes the server's cache reach the version p that it
//! answers; a healthy stream must then show p within a bookmark period (pr-E11c).
//!
//! D1  The only thing that a verdict does is to reopen the stream at its own version, or to relist
//!     when the probe proves another history (DESIGN 4.6).
//! D2  At most one probe is under way, and after a healthy verdict the next waits for
//!     `silence_max_healthy`, on the streams that follow as well, until one fails.
//!
//! Source: rules pr-E11, pr-E11b, pr-E11c, pr-F20, pr-F21, pr-W15; DESIGN 4.6.

use std::time::Duration;

use tidings_api::{Instant, ResourceVersion};

use super::{Next, Output, Phase, Reflector, WakeReason};

/// Watches over the silence of one stream.
#[derive(Debug)]
pub(super) struct Watchdog {
    last_frame: Instant,
    silence_max: Duration,
    probe: Probe,
}

#[derive(Debug, PartialEq, Eq)]
enum Probe {
    None,
    Asked {
        at: Instant,
        deadline: Instant,
        /// What had been received by then: what came since may be newer than the answer.
        known: Option<ResourceVersion>,
    },
    /// The server is at this version; the stream has to show it.
    Answered {
        version: ResourceVersion,
        deadline: Instant,
    },
}

impl Watchdog {
    pub(super) const fn new(now: Instant, silence_max: Duration) -> Self {
        Self {
            last_frame: now,
            silence_max,
            probe: Probe::None,
        }
    }

    /// See `tests/fingerprint.rs`.
    #[cfg(test)]
    pub(super) fn fingerprint(&self) -> String {
        match &self.probe {
            Probe::None => "quiet".to_owned(),
            Probe::Asked { known, .. } => format!("asked {known:?}"),
            Probe::Answered { version, .. } => format!("answered {version}"),
        }
    }

    pub(super) const fn last_frame(&self) -> Instant {
        self.last_frame
    }

    /// A complete frame came. Bytes alone do not count: a drip proves nothing (pr-F31).
    pub(super) fn handle_frame(&mut self, now: Instant) {
        self.last_frame = now;
    }

    /// The stream has shown this version. Returns whether that answers a probe.
    pub(super) fn handle_version(&mut self, version: &ResourceVersion) -> bool {
        if let Probe::Answered {
            version: probed, ..
        } = &self.probe
            && !version.is_before(probed)
        {
            self.probe = Probe::None;
            return true;
        }
        false
    }

    pub(super) fn wake_at(&self) -> Instant {
        match &self.probe {
            Probe::None => self.last_frame + self.silence_max,
            Probe::Asked { deadline, .. } | Probe::Answered { deadline, .. } => *deadline,
        }
    }
}

impl<P> Reflector<P> {
    pub(super) fn tick_watchdog(&mut self, now: Instant) {
        let Phase::Watching(watching) = &mut self.phase else {
            return;
        };
        let watchdog = &mut watching.watchdog;
        if watchdog.wake_at() > now {
            return;
        }
        match watchdog.probe {
            Probe::None => {
                self.stale_since = self.stale_since.or(Some(watchdog.last_frame));
                self.probe(now);
            }
            Probe::Asked { .. } => self.handle_probe_answer(now, None),
            Probe::Answered { .. } => {
                let message = "the watch stands but does not follow the server";
                self.reopen(now, message);
            }
        }
    }

    /// Asks for the version of a consistent read beside the stream.
    pub(super) fn probe(&mut self, now: Instant) {
        let Phase::Watching(watching) = &mut self.phase else {
            return;
        };
        let deadline = now + self.config.probe_timeout;
        watching.watchdog.probe = Probe::Asked {
            at: now,
            deadline,
            known: self.received.clone(),
        };
        self.stats.probes += 1;
        self.outputs.push_back(Output::Probe);
    }

    /// The probe's answer, or none: the connection is as dead as the stream.
    pub(super) fn handle_probe_answer(&mut self, now: Instant, version: Option<&ResourceVersion>) {
        let Phase::Watching(watching) = &mut self.phase else {
            return;
        };
        let watchdog = &mut watching.watchdog;
        let Probe::Asked { at, known, .. } = &watchdog.probe else {
            return;
        };
        let (at, known) = (*at, known.clone());
        let Some(version) = version else {
            return self.reopen(now, "the watch is silent and a probe was not answered");
        };
        self.memory.unverified = false;
        if known.is_some_and(|known| version.is_before(&known)) {
            // A consistent read below what we had: another history (INV-S4). The list that
            // follows is consistent as well, and decides.
            let message = "the server's version went back";
            return self.fail_then(now, WakeReason::EpochChanged, message, Next::Relist);
        }
        let level = self
            .received
            .as_ref()
            .is_some_and(|known| known.is_at_least(version));
        let spoke = watchdog.last_frame > at;
        if level || spoke || !version.is_comparable() {
            // D2: nothing happened since, so the stream has nothing to show; or it spoke meanwhile.
            watchdog.probe = Probe::None;
            watchdog.last_frame = now;
            self.found_healthy();
        } else {
            let deadline = at + self.config.probe_verdict;
            watchdog.probe = Probe::Answered {
                version: version.clone(),
                deadline,
            };
        }
    }

    /// The stream is alive, however quiet: it is left alone for longer (D2).
    pub(super) fn found_healthy(&mut self) {
        let silence_max = self.config.silence_max_healthy;
        self.memory.silence_max = Some(silence_max);
        if let Phase::Watching(watching) = &mut self.phase {
            watching.watchdog.silence_max = silence_max;
        }
        self.recovered();
    }

    fn reopen(&mut self, now: Instant, message: &str) {
        self.fail_then(now, WakeReason::Silent, message, Next::Rewatch);
    }
}
