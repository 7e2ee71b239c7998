//! How long a key waits before it is tried again.
//!
//! Does not count: the queue hands in how often the key was added rate-limited since it was
//! forgotten, so that a limiter of single keys has no state of its own.
//!
//! | limiter | delay |
//! |---|---|
//! | [`Exponential`] | `base * 2^attempt`, at most `max` (cg-L2) |
//! | [`FastSlow`] | `fast` for the first attempts, `slow` afterwards (cg-L3) |
//! | [`TokenBucket`] | 0 while there are tokens, then until the next one (cg-L1) |
//! | [`MaxOf`] | the longest of several (cg-L3) |
//! | [`WithMaxWait`] | that of another one, at most `max` (cg-L3) |
//! | [`Jittered`] | that of another one, longer by a random part of it |
//!
//! Source: client-go util/workqueue/default_rate_limiters.go @32ce75a7d; rules cg-L1..L4.

use std::{fmt, time::Duration};

use tidings_api::Instant;

/// Decides how long a key waits. Any `FnMut(Instant, u32) -> Duration` is one.
pub trait RateLimiter: Send {
    /// The delay of a key that has been added rate-limited `attempt` times before.
    fn delay(&mut self, now: Instant, attempt: u32) -> Duration;
}

/// Doubles with each attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "two numbers that users set")]
pub struct Exponential {
    /// The delay of the first attempt.
    pub base: Duration,
    /// The longest delay.
    pub max: Duration,
}

/// Fast at first, then slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "three numbers that users set")]
pub struct FastSlow {
    /// The delay of the first attempts.
    pub fast: Duration,
    /// The delay of all others.
    pub slow: Duration,
    /// How many attempts are fast.
    pub fast_attempts_max: u32,
}

/// So many a second over all keys, with a burst.
///
/// client-go reserves tokens without limit into the future, so that a mass failure pushes later
/// retries out for hours (cg-L4). Here a delay beyond `debt_max` is not reserved: it is `debt_max`.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    interval: Duration,
    burst: u32,
    debt_max: Duration,
    /// When the bucket is full again.
    full_at: Instant,
}

/// The longest delay of several limiters.
pub struct MaxOf(Vec<Box<dyn RateLimiter>>);

/// Another limiter, with a longest delay.
pub struct WithMaxWait {
    inner: Box<dyn RateLimiter>,
    max: Duration,
}

/// Another limiter, with each delay made longer by a random part of itself, so that keys which
/// failed together do not come back together.
pub struct Jittered {
    inner: Box<dyn RateLimiter>,
    factor: f64,
    random: fastrand::Rng,
}

/// client-go's default for controllers: per key 5 ms doubling up to 1000 s, over all keys 10 a second
/// with a burst of 100 (cg-L1). The bucket's debt ends at the 1000 s that bound a single key.
#[must_use]
pub fn default_controller_limiter() -> MaxOf {
    let bucket = TokenBucket::new(10, 100, DELAY_MAX);
    MaxOf::new([
        Box::new(Exponential {
            base: Duration::from_millis(5),
            max: DELAY_MAX,
        }) as Box<dyn RateLimiter>,
        Box::new(bucket),
    ])
}

/// client-go's default where only the key counts: 1 ms doubling up to 1000 s (cg-L2).
#[must_use]
pub const fn default_item_limiter() -> Exponential {
    Exponential {
        base: Duration::from_millis(1),
        max: DELAY_MAX,
    }
}

const DELAY_MAX: Duration = Duration::from_secs(1000);

impl<F: FnMut(Instant, u32) -> Duration + Send> RateLimiter for F {
    fn delay(&mut self, now: Instant, attempt: u32) -> Duration {
        self(now, attempt)
    }
}

// === impl Exponential ===

impl RateLimiter for Exponential {
    fn delay(&mut self, _now: Instant, attempt: u32) -> Duration {
        let factor = 1_u128.checked_shl(attempt).unwrap_or(u128::MAX);
        let nanos = self.base.as_nanos().saturating_mul(factor);
        u64::try_from(nanos).map_or(self.max, |nanos| Duration::from_nanos(nanos).min(self.max))
    }
}

// === impl FastSlow ===

impl RateLimiter for FastSlow {
    fn delay(&mut self, _now: Instant, attempt: u32) -> Duration {
        if attempt < self.fast_attempts_max {
            self.fast
        } else {
            self.slow
        }
    }
}

// === impl TokenBucket ===

impl TokenBucket {
    /// A full bucket that gains `per_second` tokens a second and holds `burst`; both at least one.
    #[must_use]
    pub fn new(per_second: u32, burst: u32, debt_max: Duration) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second.max(1),
            burst: burst.max(1),
            debt_max,
            full_at: Instant::ZERO,
        }
    }
}

impl RateLimiter for TokenBucket {
    fn delay(&mut self, now: Instant, _attempt: u32) -> Duration {
        let full_at = self.full_at.max(now) + self.interval;
        let missing = full_at.saturating_since(now);
        let delay = missing.saturating_sub(self.interval.saturating_mul(self.burst));
        if delay > self.debt_max {
            return self.debt_max;
        }
        self.full_at = full_at;
        delay
    }
}

// === impl MaxOf ===

impl MaxOf {
    /// The longest of these; no delay if there are none.
    pub fn new(limiters: impl IntoIterator<Item = Box<dyn RateLimiter>>) -> Self {
        Self(limiters.into_iter().collect())
    }
}

impl RateLimiter for MaxOf {
    fn delay(&mut self, now: Instant, attempt: u32) -> Duration {
        let delays = self.0.iter_mut().map(|inner| inner.delay(now, attempt));
        delays.max().unwrap_or_default()
    }
}

impl fmt::Debug for MaxOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaxOf({})", self.0.len())
    }
}

// === impl WithMaxWait ===

impl WithMaxWait {
    /// `inner`, at most `max`.
    pub fn new(inner: impl RateLimiter + 'static, max: Duration) -> Self {
        let inner = Box::new(inner);
        Self { inner, max }
    }
}

impl RateLimiter for WithMaxWait {
    fn delay(&mut self, now: Instant, attempt: u32) -> Duration {
        self.inner.delay(now, attempt).min(self.max)
    }
}

impl fmt::Debug for WithMaxWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithMaxWait")
            .field("max", &self.max)
            .finish_non_exhaustive()
    }
}

// === impl Jittered ===

impl Jittered {
    /// `inner`, longer by up to `factor` of itself; randomness begins at `seed`. A factor that is
    /// negative or not finite is none.
    pub fn new(inner: impl RateLimiter + 'static, factor: f64, seed: u64) -> Self {
        let factor = if factor.is_finite() {
            factor.max(0.0)
        } else {
            0.0
        };
        Self {
            inner: Box::new(inner),
            factor,
            random: fastrand::Rng::with_seed(seed),
        }
    }
}

impl RateLimiter for Jittered {
    fn delay(&mut self, now: Instant, attempt: u32) -> Duration {
        let delay = self.inner.delay(now, attempt);
        let longer = delay.as_secs_f64() * (1.0 + self.factor * self.random.f64());
        Duration::try_from_secs_f64(longer).unwrap_or(Duration::MAX)
    }
}

impl fmt::Debug for Jittered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jittered")
            .field("factor", &self.factor)
            .finish_non_exhaustive()
    }
}
