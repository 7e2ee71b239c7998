//! The requests: what is sent when, and what each answer leads to.

use std::time::Duration;

use tidings_api::Instant;

use super::{
    GetOutcome, InFlight, LeaderElector, Output, Phase, RequestId, WriteOutcome,
    knowledge::{Holder, Known, Learned, Source},
    record::{Record, Seen, Wall},
};

impl LeaderElector {
    pub(super) fn handle_get(&mut self, now: Instant, request: &InFlight, outcome: GetOutcome) {
        let source = Source::Answer { news: request.news };
        let learned = match outcome {
            // What a get finds is taken at once: only hints of the watch reach all at one time.
            GetOutcome::Found(seen) => self.lease.learn(now, seen, source, Duration::ZERO),
            GetOutcome::NotFound => self.lease.learn_absent(now, None, source, Duration::ZERO),
            GetOutcome::Failed { retry_after } => {
                self.lease.doubt();
                self.failures = self.failures.saturating_add(1);
                return self.wait(now, retry_after);
            }
        };
        match learned {
            Learned::Ignored => {}
            Learned::Doubtful => self.lease.doubt(),
            Learned::Taken { landed } => self.apply(now, landed),
        }
        self.after_news(now);
    }

    pub(super) fn handle_write(&mut self, now: Instant, request: InFlight, outcome: WriteOutcome) {
        let InFlight {
            write: Some(record),
            sent_at,
            news,
            ..
        } = request
        else {
            return;
        };
        let retry_after = match outcome {
            WriteOutcome::Stored { version } => {
                let seen = Seen { record, version };
                let source = Source::Answer { news };
                let learned = self.lease.learn(now, seen, source, Duration::ZERO);
                self.failures = 0;
                match learned {
                    Learned::Taken { .. } => self.apply(now, Some(sent_at)),
                    // Newer news have come, and were acted upon.
                    Learned::Ignored => {}
                    Learned::Doubtful => self.lease.doubt(),
                }
                return self.after_news(now);
            }
            WriteOutcome::Conflict if self.is_candidate() => {
                // ctl-L6: the race is lost. Who has won is known already if the watch was faster.
                if self.lease.news() == news {
                    self.lease.doubt();
                }
                return self.wait(now, None);
            }
            WriteOutcome::Conflict | WriteOutcome::Unknown => None,
            WriteOutcome::Refused { retry_after } => retry_after,
        };
        // cg-E5: what failed is followed by a get, the first time at once.
        self.lease.doubt();
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 && retry_after.is_none() {
            self.attempt_at = now;
        } else {
            self.wait(now, retry_after);
        }
    }

    /// What comes next, now that the Lease is known.
    fn after_news(&mut self, now: Instant) {
        let is_ours = self.lease.holder() == Holder::Ourselves;
        match (self.phase, &self.term) {
            (Phase::Releasing { .. }, _) => self.attempt_at = now,
            (Phase::Idle | Phase::Stopped | Phase::Standing, Some(term)) => {
                self.attempt_at = now.max(term.renewed_at + self.config.retry_period);
            }
            // A term that ended for want of an answer, or a write that landed too late to begin one.
            (Phase::Idle | Phase::Stopped | Phase::Standing, None) if is_ours => {
                self.attempt_at = now;
            }
            (Phase::Idle | Phase::Stopped | Phase::Standing, None) => self.wait(now, None),
        }
    }

    /// A request that was not answered in time is given up.
    pub(super) fn time_out(&mut self, now: Instant) {
        let is_over = |request: &InFlight| now >= self.deadline(request);
        if !self.in_flight.as_ref().is_some_and(is_over) {
            return;
        }
        if let Some(request) = self.in_flight.take() {
            if request.write.is_some() {
                self.handle_write(now, request, WriteOutcome::Unknown);
            } else {
                let retry_after = None;
                self.handle_get(now, &request, GetOutcome::Failed { retry_after });
            }
        }
    }

    /// Sends what is due, if nothing is in flight (E1).
    pub(super) fn attempt(&mut self, now: Instant, wall: Wall) {
        match self.phase {
            Phase::Idle | Phase::Stopped => {}
            Phase::Releasing { until } if now >= until => self.finish(false),
            Phase::Releasing { .. } | Phase::Standing
                if self.in_flight.is_some() || now < self.due_at() => {}
            Phase::Releasing { .. } if !self.lease.may_be_held() => self.finish(true),
            Phase::Releasing { .. } | Phase::Standing if self.lease.is_unsure() => self.get(now),
            Phase::Releasing { .. } => match self.released(wall) {
                Some(record) => self.write(now, record),
                None => self.finish(true),
            },
            Phase::Standing if self.lease.is_free(now, self.config.lease_duration) => {
                let record = self.claimed(wall);
                self.write(now, record);
            }
            // ctl-L3: a standby polls, whatever the watch says.
            Phase::Standing => self.get(now),
        }
    }

    fn get(&mut self, now: Instant) {
        let id = self.send(now, None);
        self.outputs.push_back(Output::Get { id });
    }

    fn write(&mut self, now: Instant, record: Record) {
        let version = self.lease.version().cloned();
        self.lease.sending(now, record.clone(), version.clone());
        let id = self.send(now, Some(record.clone()));
        self.outputs.push_back(match version {
            None => Output::Create { id, record },
            Some(version) => Output::Update {
                id,
                record,
                version,
            },
        });
    }

    fn send(&mut self, now: Instant, write: Option<Record>) -> RequestId {
        self.next_id += 1;
        let id = RequestId(self.next_id);
        self.in_flight = Some(InFlight {
            id,
            sent_at: now,
            news: self.lease.news(),
            write,
        });
        self.attempt_at = Instant::FAR_FUTURE;
        id
    }

    /// The record with ourselves as its holder.
    fn claimed(&self, wall: Wall) -> Record {
        let renewed = self.lease.distinct(wall);
        let (acquire_time, transitions) = match self.lease.known() {
            // cg-E6: the count moves only when the lease changes hands.
            Known::Present(present) if present.holder == Holder::Ourselves => {
                (present.record.acquire_time, present.record.transitions)
            }
            Known::Absent { .. } | Known::Nothing | Known::Present(_) => {
                (Some(renewed), self.lease.next_transitions())
            }
        };
        Record {
            holder: self.lease.identity().to_owned(),
            duration_seconds: Some(self.config.duration_seconds()),
            acquire_time,
            renew_time: Some(renewed),
            transitions,
        }
    }

    /// The record without a holder (ctl-L11, cg-E8), if it is ours.
    fn released(&self, wall: Wall) -> Option<Record> {
        let Known::Present(present) = self.lease.known() else {
            return None;
        };
        if present.holder != Holder::Ourselves {
            return None;
        }
        let now = Some(self.lease.distinct(wall));
        Some(Record {
            holder: String::new(),
            duration_seconds: Some(1),
            acquire_time: now,
            renew_time: now,
            transitions: present.record.transitions,
        })
    }

    /// Waits for the next poll: a leader for its period, a candidate for 1 to 2.2 of them (cg-E2),
    /// and as long as the server asked. A leader does not let the server cost it more than half
    /// of the time that it has left.
    fn wait(&mut self, now: Instant, retry_after: Option<Duration>) {
        let period = self.config.retry_period;
        let asked = retry_after.unwrap_or_default();
        let delay = match &self.term {
            Some(term) => {
                let left = term.valid_until.saturating_since(now);
                asked.min(left / 2).max(period)
            }
            None if self.phase == Phase::Standing => {
                let jittered = period + period.mul_f64(self.rng.f64() * JITTER_FACTOR);
                jittered.max(asked + asked.mul_f64(self.rng.f64() * 0.5))
            }
            None => period,
        };
        self.attempt_at = now + delay;
    }

    fn is_candidate(&self) -> bool {
        self.phase == Phase::Standing && self.term.is_none()
    }
}

/// client-go's jitter of the polls: from one period to 2.2 of them (cg-E2, ctl-L3).
const JITTER_FACTOR: f64 = 1.2;
