//! The decision table, acted upon: what each refusal and each failure leads to (pr 1.7).
//!
//! A failed transport is never by itself a reason to relist (DESIGN 4.1). The store is kept in
//! every row.

use std::time::Duration;

use tidings_api::{
    Instant,
    status::{Recovery, Status, recovery},
};

use super::{Failure, FailureKind, Next, Output, Phase, Reflector, WakeReason, condition::Trouble};

impl<P> Reflector<P> {
    /// A refusal, as an HTTP answer or as an ERROR event (`code` 200).
    pub(super) fn handle_refusal(
        &mut self,
        now: Instant,
        code: u16,
        status: &Status,
        retry_after: Option<Duration>,
    ) {
        let streaming = matches!(self.phase, Phase::WatchListing(_));
        let listing = matches!(self.phase, Phase::Listing(_));
        let message = refusal_message(code, status);
        match recovery(self.asked(), code, status, retry_after) {
            Recovery::Expired if listing => self.list_expired(now),
            Recovery::Expired => self.fail_then(now, WakeReason::Expired, &message, Next::Relist),
            Recovery::Forbidden => self.fail_slowly(now, WakeReason::Forbidden, &message),
            Recovery::KindGone => self.fail_slowly(now, WakeReason::KindGone, &message),
            Recovery::NotAcceptable => self.fail_slowly(now, WakeReason::NotAcceptable, &message),
            Recovery::Rejected => {
                self.fail_then(now, WakeReason::Rejected, &message, Next::Relist);
            }
            Recovery::ServerTrouble { .. } if streaming => self.watch_list_failed(now, &message),
            Recovery::ServerTrouble { .. } if self.is_at_a_version_of_nobody() => {
                self.fail_then(now, WakeReason::ServerTrouble, &message, Next::Relist);
            }
            Recovery::ServerTrouble { retry_after } => {
                self.fail_after(now, WakeReason::ServerTrouble, &message, retry_after);
            }
            Recovery::Throttled { retry_after } => {
                self.fail_after(now, WakeReason::Throttled, &message, retry_after);
            }
            Recovery::TooLargeVersion { retry_after } => {
                self.handle_too_large(now, &message, retry_after);
            }
            Recovery::Unauthorized => self.handle_unauthorized(now, code, &message),
            Recovery::WatchListUnsupported => self.give_up_watch_list(now, &message),
        }
    }

    pub(super) fn handle_broken(&mut self, now: Instant, failure: Failure) {
        match (&self.phase, failure.kind) {
            (Phase::Watching(_), FailureKind::Undecodable) => {
                // DESIGN 4.7: the same failure twice at one version leads past it, not to a loop.
                let here = self.received.clone();
                let again = here.is_some() && self.memory.undecodable_at == here;
                self.memory.undecodable_at = here;
                let next = if again { Next::Relist } else { Next::Rewatch };
                self.fail_then(now, WakeReason::Undecodable, &failure.message, next);
            }
            (Phase::Watching(watching), FailureKind::Transport) => {
                let lived = now.saturating_since(watching.opened_at);
                if watching.received > 0 && lived >= self.config.short_stream {
                    // A stream that had worked: try again at once, but not all clients together.
                    let jitter = self.config.reopen_jitter_max.mul_f64(self.rng.f64());
                    self.note(now, WakeReason::Transport, &failure.message);
                    return self.wait(now + jitter, Next::Rewatch);
                }
                self.fail_then(now, WakeReason::Transport, &failure.message, Next::Rewatch);
            }
            (Phase::WatchListing(listing), _) if listing.begun => {
                self.watch_list_failed(now, &failure.message);
            }
            (Phase::Listing(_) | Phase::WatchListing(_), kind) => {
                let reason = match kind {
                    FailureKind::Transport => WakeReason::Transport,
                    FailureKind::Undecodable => WakeReason::Undecodable,
                };
                self.fail(now, reason, &failure.message);
            }
            (Phase::Idle | Phase::Draining | Phase::Waiting { .. } | Phase::Stopped, _) => {}
        }
    }

    /// A failure that is met by trying the same thing again: a list again, a watch again.
    pub(super) fn fail(&mut self, now: Instant, reason: WakeReason, message: &str) {
        let next = self.same_again();
        self.fail_then(now, reason, message, next);
    }

    pub(super) fn fail_then(
        &mut self,
        now: Instant,
        reason: WakeReason,
        message: &str,
        next: Next,
    ) {
        self.note(now, reason, message);
        self.memory.silence_max = None;
        let delay = self.backoff.next_delay(now, &mut self.rng);
        self.wait(now + delay, next);
    }

    /// A failure for which the server may have said how long to wait. Its word is the least; the
    /// jitter keeps its clients from coming back together.
    fn fail_after(
        &mut self,
        now: Instant,
        reason: WakeReason,
        message: &str,
        retry_after: Option<Duration>,
    ) {
        let next = self.same_again();
        let Some(wait) = retry_after else {
            return self.fail_then(now, reason, message, next);
        };
        self.note(now, reason, message);
        let jitter = wait.mul_f64(self.rng.f64() * 0.5);
        self.wait(now + wait + jitter, next);
    }

    /// A refusal that time alone may cure: permissions, or a kind that is not served.
    fn fail_slowly(&mut self, now: Instant, reason: WakeReason, message: &str) {
        self.note(now, reason, message);
        let delay = self.config.slow_retry + self.config.slow_retry.mul_f64(self.rng.f64());
        // A kind that comes back has new objects under old names: only a list shows that.
        let next = if reason == WakeReason::KindGone {
            Next::Relist
        } else {
            self.same_again()
        };
        self.wait(now + delay, next);
    }

    fn handle_too_large(&mut self, now: Instant, message: &str, retry_after: Option<Duration>) {
        if matches!(self.phase, Phase::Listing(_)) {
            self.memory.version_refused = true;
        }
        let since = *self.memory.too_large_since.get_or_insert(now);
        if now.saturating_since(since) >= self.config.too_large_max {
            self.memory.too_large_since = None;
            let reason = WakeReason::TooLargeVersion;
            return self.fail_then(now, reason, message, Next::Relist);
        }
        let wait = retry_after.unwrap_or(Duration::from_secs(1));
        self.fail_after(now, WakeReason::TooLargeVersion, message, Some(wait));
    }

    /// The first one is met with the credential as it is now. One in a stream (`code` 200) is not: the
    /// request was accepted, so that each such answer would be the first (F4).
    fn handle_unauthorized(&mut self, now: Instant, code: u16, message: &str) {
        self.outputs.push_back(Output::ReloadCredentials);
        if self.memory.credentials_reloaded || code == 200 {
            return self.fail(now, WakeReason::Unauthorized, message);
        }
        self.memory.credentials_reloaded = true;
        self.note(now, WakeReason::Unauthorized, message);
        let next = self.same_again();
        self.wait(now, next);
    }

    /// Whether watches fail again and again at a version that is no number (pr-F14). kube-apiserver
    /// answers 500 to such a version, always: only a list leads on.
    fn is_at_a_version_of_nobody(&self) -> bool {
        let version = self.received.as_ref();
        let attempts = self.trouble.as_ref().map_or(0, |trouble| trouble.attempts);
        matches!(self.phase, Phase::Watching(_))
            && version.is_some_and(|version| !version.is_comparable())
            && attempts >= ODD_VERSION_ATTEMPTS_MAX
    }

    const fn same_again(&self) -> Next {
        match &self.phase {
            Phase::Watching(_) | Phase::Draining => Next::Rewatch,
            Phase::Idle
            | Phase::Listing(_)
            | Phase::WatchListing(_)
            | Phase::Waiting { .. }
            | Phase::Stopped => Next::Relist,
        }
    }

    /// Records what went wrong for the condition and the counters.
    pub(super) fn note(&mut self, now: Instant, reason: WakeReason, message: &str) {
        self.count(reason);
        let attempts = self.trouble.as_ref().map_or(0, |trouble| trouble.attempts);
        self.trouble = Some(Trouble {
            reason,
            message: message.to_owned(),
            attempts: attempts.saturating_add(1),
        });
        if self.synced {
            self.stale_since = self.stale_since.or(Some(now));
        }
    }

    pub(super) fn count(&mut self, reason: WakeReason) {
        *self.stats.reasons.entry(reason).or_default() += 1;
    }

    /// Something went right: the store follows the server again.
    pub(super) fn recovered(&mut self) {
        self.trouble = None;
        self.stale_since = None;
    }
}

/// The refusal in one bounded line, without control characters (SEC-29).
fn refusal_message(code: u16, status: &Status) -> String {
    let code = if code == 200 { status.code } else { code };
    let mut message = format!("the server said {code}");
    for part in [&status.reason, &status.message] {
        if !part.is_empty() {
            message.push_str(": ");
            message.extend(
                part.chars()
                    .filter(|c| !c.is_control())
                    .take(MESSAGE_CHARS_MAX),
            );
        }
    }
    message
}

/// Most characters of a server's sentence that are repeated.
const MESSAGE_CHARS_MAX: usize = 300;

/// Attempts to watch at a version that is no number, before a list is taken in their place.
const ODD_VERSION_ATTEMPTS_MAX: u32 = 2;
