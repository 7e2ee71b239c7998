//! Stands for election on a Lease: when to read it, when to write it, and until when one leads.
//!
//! Does not send requests, does not read a clock, and judges no time that another machine wrote.
//!
//! The law: feed one [`Input`], drain [`LeaderElector::poll_output`] until [`Output::Idle`], repeat.
//!
//! ```text
//!                 taken, created                    stop
//!  Idle -> Standing ---------> Standing + term ------------> Releasing -> Stopped
//!             ^                     |                            ^
//!             '- expired, lost, ... '            stop            |
//!              ---------------------------------------------------
//! ```
//!
//! E1  At most one request is in flight, and only its answer is acted upon.
//! E2  `valid_until` is at most the renew deadline after the sending of a write that is known to have
//!     landed. The others wait for longer than that from when they see it, which is later: with clocks
//!     whose rates differ by less than lease duration to renew deadline, no two lead at one time.
//! E3  A term ends at the first input at or after `valid_until`, whatever is in flight (ctl-L9).
//! E4  A write replaces a version that is known, and so a record that is known (ctl-L6).
//! E5  After a write without a known outcome comes a get, except where newer news came meanwhile.
//! E6  Every failure but the first in a row is followed by a wait.
//! Cost: O(1) an input.
//! Source: client-go tools/leaderelection @32ce75a7d; rules ctl-L1..ctl-L15, cg-E1..cg-E10.

mod attempt;
mod config;
mod io;
mod knowledge;
mod record;

use std::{collections::VecDeque, time::Duration};

use tidings_api::Instant;

use self::knowledge::{Holder, Knowledge, Known, Learned, Source};
pub use self::{
    config::{Config, ConfigError},
    io::{GetOutcome, Input, Output, RequestId, WriteOutcome},
    record::{Record, Seen, StopReason, Term, Wall},
};

/// One candidate for one lease.
#[derive(Debug)]
pub struct LeaderElector {
    config: Config,
    rng: fastrand::Rng,
    phase: Phase,
    term: Option<Term>,
    lease: Knowledge,
    in_flight: Option<InFlight>,
    next_id: u64,
    /// Failures since the last success.
    failures: u32,
    /// When to ask or to renew next, while nothing is in flight.
    attempt_at: Instant,
    reported: String,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Releasing {
        until: Instant,
    },
    /// A candidate, or with a term the leader.
    Standing,
    Stopped,
}

#[derive(Debug)]
struct InFlight {
    id: RequestId,
    sent_at: Instant,
    /// How much was known then.
    news: u64,
    /// What is written; absent for a get.
    write: Option<Record>,
}

// === impl LeaderElector ===

impl LeaderElector {
    /// A candidate that has not begun yet.
    ///
    /// The identity must be of this process alone. Should another one have the same, both still do not
    /// lead at one time, but each takes the other's writes for a theft (ctl-L15).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the identity is empty or the durations do not fit each other.
    pub fn try_new(config: Config, identity: &str) -> Result<Self, ConfigError> {
        config.validate()?;
        if identity.is_empty() {
            return Err(ConfigError::EmptyIdentity);
        }
        Ok(Self {
            rng: fastrand::Rng::with_seed(config.seed),
            phase: Phase::Idle,
            term: None,
            lease: Knowledge::new(identity.to_owned()),
            in_flight: None,
            next_id: 0,
            failures: 0,
            attempt_at: Instant::FAR_FUTURE,
            reported: String::new(),
            outputs: VecDeque::new(),
            config,
        })
    }

    /// Takes one input. What follows from it is then to be had from [`Self::poll_output`]. `wall` is
    /// written into records and never compared with anything for its order (ctl-L4).
    pub fn handle(&mut self, now: Instant, wall: Wall, input: Input) {
        if self.phase == Phase::Stopped {
            return;
        }
        // E3: before anything else is looked at.
        self.expire_term(now);
        match input {
            Input::Start => self.handle_start(now),
            Input::Tick => {}
            Input::GetAnswered { id, outcome } => {
                if let Some(request) = self.answered(id, false) {
                    self.handle_get(now, &request, outcome);
                }
            }
            Input::WriteAnswered { id, outcome } => {
                if let Some(request) = self.answered(id, true) {
                    self.handle_write(now, request, outcome);
                }
            }
            Input::Observed(seen) => {
                let jitter = self.take_jitter();
                let learned = self.lease.learn(now, seen, Source::Watch, jitter);
                self.handle_observed(now, learned);
            }
            Input::ObservedAbsent(version) => {
                let jitter = self.take_jitter();
                let learned = (self.lease).learn_absent(now, Some(version), Source::Watch, jitter);
                self.handle_observed(now, learned);
            }
            Input::Stop => self.handle_stop(now),
        }
        self.time_out(now);
        self.attempt(now, wall);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        match self.outputs.pop_front() {
            Some(output) => output,
            None => Output::Idle {
                wake_at: self.wake_at(),
            },
        }
    }

    /// The present term, if this is the leader. Ask [`Term::is_valid`] before acting on it.
    #[must_use]
    pub const fn term(&self) -> Option<&Term> {
        self.term.as_ref()
    }

    /// Who holds the lease, as far as is known; empty if nobody does.
    #[must_use]
    pub fn holder(&self) -> &str {
        self.lease.holder_identity()
    }

    /// Asserts what must hold between two inputs.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn check_invariants(&self) {
        self.lease.check_invariants();
        if let Some(term) = &self.term {
            assert_eq!(self.lease.holder(), Holder::Ourselves);
            assert_eq!(self.phase, Phase::Standing);
            assert!(term.valid_until <= term.renewed_at + self.config.renew_deadline);
        }
        if self.phase == Phase::Stopped {
            assert!(self.term.is_none() && self.in_flight.is_none());
        }
    }

    const fn handle_start(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Idle) {
            self.phase = Phase::Standing;
            self.attempt_at = now;
        }
    }

    fn handle_stop(&mut self, now: Instant) {
        if let Phase::Releasing { .. } = self.phase {
            return;
        }
        self.stop_leading(StopReason::Stopped);
        if !self.config.release_on_stop || self.phase == Phase::Idle {
            return self.finish(!self.lease.may_be_held());
        }
        self.phase = Phase::Releasing {
            until: now + self.config.renew_deadline,
        };
        self.failures = 0;
        self.attempt_at = now;
        match &self.in_flight {
            // What a write did is better known than asked for.
            Some(InFlight { write: Some(_), .. }) => {}
            Some(InFlight { write: None, .. }) | None => {
                self.in_flight = None;
                if self.lease.has_sent() {
                    self.lease.doubt();
                }
            }
        }
    }

    fn finish(&mut self, clean: bool) {
        self.phase = Phase::Stopped;
        self.in_flight = None;
        self.outputs.push_back(Output::Released { clean });
    }

    /// The request of an answer, unless the answer is to an older one (E1).
    fn answered(&mut self, id: RequestId, is_write: bool) -> Option<InFlight> {
        self.in_flight
            .take_if(|request| request.id == id && request.write.is_some() == is_write)
    }

    fn handle_observed(&mut self, now: Instant, learned: Learned) {
        match learned {
            Learned::Ignored => {}
            Learned::Doubtful => {
                self.lease.doubt();
                if self.in_flight.is_none() {
                    let soon = now + self.take_jitter();
                    self.attempt_at = self.attempt_at.min(soon);
                }
            }
            Learned::Taken { landed } => self.apply(now, landed),
        }
    }

    /// Draws the conclusions from what has just been learned.
    fn apply(&mut self, now: Instant, landed: Option<Instant>) {
        let holder = self.lease.holder_identity();
        if self.reported != holder {
            holder.clone_into(&mut self.reported);
            self.outputs
                .push_back(Output::LeaderChanged(self.reported.clone()));
        }
        let reason = match (self.lease.known(), self.lease.holder()) {
            (_, Holder::Ourselves) => {
                if let Some(sent_at) = landed {
                    self.failures = 0;
                    self.renew_term(now, sent_at);
                }
                return;
            }
            (Known::Absent { .. } | Known::Nothing, _) => StopReason::Deleted,
            (Known::Present(_), Holder::Nobody) => StopReason::Vacated,
            (Known::Present(present), Holder::Other) => {
                if present.record.holder == self.lease.identity() {
                    StopReason::IdentityInUse
                } else {
                    let to = present.record.holder.clone();
                    StopReason::Lost { to }
                }
            }
        };
        self.stop_leading(reason);
    }

    /// A write of ours, sent at that time, holds the lease.
    fn renew_term(&mut self, now: Instant, sent_at: Instant) {
        let valid_until = sent_at + self.config.renew_deadline;
        let Known::Present(present) = self.lease.known() else {
            return;
        };
        let fencing = present.record.transitions;
        match &mut self.term {
            Some(term) if term.valid_until < valid_until => {
                term.renewed_at = sent_at;
                term.valid_until = valid_until;
                self.attempt_at = sent_at + self.config.retry_period;
            }
            Some(_) => {}
            None if self.phase == Phase::Standing && now < valid_until => {
                self.term = Some(Term {
                    fencing,
                    renewed_at: sent_at,
                    valid_until,
                });
                self.attempt_at = sent_at + self.config.retry_period;
                self.outputs.push_back(Output::BecameLeader {
                    fencing,
                    valid_until,
                });
            }
            None => self.attempt_at = now,
        }
    }

    fn expire_term(&mut self, now: Instant) {
        if self.term.is_some_and(|term| !term.is_valid(now)) {
            self.stop_leading(StopReason::Expired);
        }
    }

    fn stop_leading(&mut self, reason: StopReason) {
        if self.term.take().is_some() {
            self.outputs.push_back(Output::StoppedLeading { reason });
        }
    }

    fn wake_at(&self) -> Instant {
        let valid_until = self.term.map(|term| term.valid_until);
        let own = match (self.phase, &self.in_flight) {
            (Phase::Idle | Phase::Stopped, _) => return Instant::FAR_FUTURE,
            (Phase::Standing, None) => self.due_at(),
            (Phase::Standing, Some(request)) => self.deadline(request),
            (Phase::Releasing { until }, None) => until.min(self.due_at()),
            (Phase::Releasing { until }, Some(request)) => until.min(self.deadline(request)),
        };
        valid_until.map_or(own, |valid_until| own.min(valid_until))
    }

    /// When the next request is due, if none is in flight.
    fn due_at(&self) -> Instant {
        if self.phase == Phase::Standing && self.term.is_none() {
            let take_at = self.lease.take_at(self.config.lease_duration);
            return self.attempt_at.min(take_at);
        }
        self.attempt_at
    }

    fn deadline(&self, request: &InFlight) -> Instant {
        request.sent_at + self.config.request_timeout()
    }

    fn take_jitter(&mut self) -> Duration {
        self.config.take_jitter_max.mul_f64(self.rng.f64())
    }
}

#[cfg(test)]
mod tests;
