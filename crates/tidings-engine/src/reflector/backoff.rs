//! The one backoff of a stream: client-go's numbers, with the reset that its documentation promises.
//!
//! B1  The n-th delay since the last reset is in [base, 2 base), base = min(0.8 s * 2^n, 30 s)
//!     (cg-R2).
//! B2  It is reset only after two minutes without a call (cg-R4: client-go counts from the last
//!     reset, so that a long outage falls back to the first delay every two minutes).
//!
//! Source: client-go tools/cache/reflector.go @32ce75a7d; rules cg-R2, cg-R3, cg-R4.

use std::time::Duration;

use tidings_api::Instant;

/// The numbers of a backoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a table that users fill with struct update syntax"
)]
pub struct BackoffConfig {
    /// The first base delay.
    pub initial: Duration,
    /// The largest base delay; with jitter a delay is less than twice this.
    pub max: Duration,
    /// How long no delay may have been asked for before the first base delay counts again.
    pub reset_after: Duration,
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(800),
            max: Duration::from_secs(30),
            reset_after: Duration::from_secs(120),
        }
    }
}

/// A backoff in progress.
#[derive(Clone, Debug)]
pub struct Backoff {
    config: BackoffConfig,
    base: Duration,
    last_call: Option<Instant>,
    calls: u32,
}

impl Backoff {
    /// A backoff that has not been asked yet.
    #[must_use]
    pub const fn new(config: BackoffConfig) -> Self {
        Self {
            config,
            base: config.initial,
            last_call: None,
            calls: 0,
        }
    }

    /// The next delay.
    pub fn next_delay(&mut self, now: Instant, rng: &mut fastrand::Rng) -> Duration {
        let quiet = self.last_call.map(|last| now.saturating_since(last));
        if quiet.is_some_and(|quiet| quiet >= self.config.reset_after) {
            self.base = self.config.initial;
            self.calls = 0;
        }
        let delay = self.base + self.base.mul_f64(rng.f64());
        // The quiet time is counted from when the wait that we order now is over.
        self.last_call = Some(now + delay);
        self.base = (self.base * 2).min(self.config.max);
        self.calls = self.calls.saturating_add(1);
        delay
    }

    /// Delays asked for since the last reset.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn cg_r2_delays_double_from_800ms_to_30s_with_full_jitter_on_top() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut backoff = Backoff::new(BackoffConfig::default());
        for base in [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0] {
            let delay = backoff.next_delay(Instant::ZERO, &mut rng);
            assert!(
                delay >= seconds(base) && delay < seconds(2.0 * base),
                "{base}: {delay:?}"
            );
        }
        assert_eq!(backoff.attempts(), 8);
    }

    #[test]
    fn cg_r4_a_long_outage_does_not_fall_back_to_the_first_delay() {
        let mut rng = fastrand::Rng::with_seed(2);
        let mut backoff = Backoff::new(BackoffConfig::default());
        let mut now = Instant::ZERO;
        let mut tries = 0;
        while now < Instant::ZERO + Duration::from_secs(3600) {
            now = now + backoff.next_delay(now, &mut rng);
            tries += 1;
        }
        // The documented contract gives some 85 tries an hour; the regression gave 192.
        assert!((60..=110).contains(&tries), "{tries} tries in an hour");
    }

    #[test]
    fn cg_r4_two_quiet_minutes_reset_it() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut backoff = Backoff::new(BackoffConfig::default());
        let mut now = Instant::ZERO;
        for _ in 0..5 {
            now = now + backoff.next_delay(now, &mut rng);
        }
        let almost = now + Duration::from_secs(119);
        assert!(backoff.clone().next_delay(almost, &mut rng) >= seconds(25.6));
        let after = now + Duration::from_secs(120);
        assert!(backoff.next_delay(after, &mut rng) < seconds(1.6));
        assert_eq!(backoff.attempts(), 1);
    }
}
