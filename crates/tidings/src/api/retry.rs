//! Writes again after a conflict, a bounded number of times.
//!
//! Does not read: the closure reads the object anew at each attempt, else it meets the same conflict.
//!
//! ```text
//!   attempt --conflict--> wait --> attempt --conflict--> .. attempts_max --> the last error
//!      | done, or another error
//!      '------------------------> returned at once
//! ```
//! R1  There are at most `attempts_max` attempts, at least one, and a wait only between two.
//!
//! Source: client-go util/retry/util.go, apimachinery pkg/util/wait/backoff.go @v0.36.3.

use std::{future::Future, time::Duration};

use super::error::ApiError;
use crate::wiring::rand_seed;

/// How often, and after which waits.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a table that users fill with struct update syntax"
)]
pub struct RetryPolicy {
    /// Attempts in all. 0 counts as 1.
    pub attempts_max: u32,
    /// The first wait.
    pub initial: Duration,
    /// What each wait is multiplied by for the next one.
    pub factor: u32,
    /// The largest part of a wait that is added to it by chance, from 0 to 1.
    pub jitter: f64,
    /// The seed of the jitter. 0 stands for one that is drawn at the call.
    pub seed: u64,
}

impl RetryPolicy {
    /// For an object that other controllers write as well, whose next version takes them a while:
    /// 4 attempts after 10, 50 and 250 ms (client-go's `DefaultBackoff`).
    pub const CONTENDED: Self = Self {
        attempts_max: 4,
        initial: Duration::from_millis(10),
        factor: 5,
        jitter: 0.1,
        seed: 0,
    };

    /// For an object that others write now and then: 5 attempts, 10 ms apart (client-go's
    /// `DefaultRetry`).
    pub const OCCASIONAL: Self = Self {
        attempts_max: 5,
        initial: Duration::from_millis(10),
        factor: 1,
        jitter: 0.1,
        seed: 0,
    };
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::OCCASIONAL
    }
}

/// Calls `write` until it succeeds, fails with something other than a conflict, or has been called
/// often enough. `write` reads the object, changes it and writes it. Returns its last result.
///
/// # Errors
///
/// The error of the last attempt: a conflict if all of them met one.
///
/// # Cancel safety
///
/// As the future that `write` returns; between two attempts nothing is under way.
///
/// # Example
///
/// ```no_run
/// # async fn run(maps: tidings::ResourceApi, key: tidings::ObjectKey) -> Result<(), tidings::ApiError> {
/// use serde_json::Value;
/// use tidings::{RetryPolicy, retry_on_conflict};
///
/// let written = retry_on_conflict(RetryPolicy::OCCASIONAL, || async {
///     let mut map: Value = maps.get(&key).await?;
///     map["data"]["level"] = "debug".into();
///     maps.update(&key, &map).await
/// })
/// .await?;
/// # drop(written);
/// # Ok(())
/// # }
/// ```
pub async fn retry_on_conflict<T, F, R>(policy: RetryPolicy, write: F) -> Result<T, ApiError>
where
    F: FnMut() -> R,
    R: Future<Output = Result<T, ApiError>>,
{
    retry_if(policy, ApiError::is_conflict, write).await
}

/// As [`retry_on_conflict`], for errors of any type: `again` says which of them are worth another
/// attempt.
///
/// # Errors
///
/// The error of the last attempt.
///
/// # Cancel safety
///
/// As [`retry_on_conflict`].
pub async fn retry_if<T, E, F, R>(
    policy: RetryPolicy,
    again: impl Fn(&E) -> bool,
    mut write: F,
) -> Result<T, E>
where
    F: FnMut() -> R,
    R: Future<Output = Result<T, E>>,
{
    let mut waits = Waits::new(policy);
    loop {
        match write().await {
            Err(error) if again(&error) => match waits.next() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            },
            done => return done,
        }
    }
}

/// The waits between attempts.
struct Waits {
    policy: RetryPolicy,
    left: u32,
    wait: Duration,
    rng: fastrand::Rng,
}

impl Waits {
    fn new(policy: RetryPolicy) -> Self {
        let seed = match policy.seed {
            0 => rand_seed(),
            seed => seed,
        };
        Self {
            left: policy.attempts_max.saturating_sub(1),
            wait: policy.initial,
            rng: fastrand::Rng::with_seed(seed),
            policy,
        }
    }
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let wait = self.wait;
        self.wait = wait.saturating_mul(self.policy.factor);
        let jitter = self.policy.jitter.clamp(0.0, 1.0) * self.rng.f64();
        Some(wait.saturating_add(wait.mul_f64(jitter)))
    }
}
