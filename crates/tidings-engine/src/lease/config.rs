//! The durations of an election, with the source of each number, and what they have to be among each other.
//!
//! Source: client-go tools/leaderelection/leaderelection.go; rules ctl-L1, ctl-L2, cg-E1, cg-E2.

use std::{error, fmt, time::Duration};

/// The durations of an election. All candidates of one lease should have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a table that users fill with struct update syntax"
)]
pub struct Config {
    /// How long a candidate waits for a change of the record before it takes the lease from its
    /// holder. Whole seconds, since the record has no fractions. 15 s (ctl-L2).
    pub lease_duration: Duration,
    /// How long a leader leads after the moment at which its last successful renewal was sent.
    /// 10 s (ctl-L2). What it is shorter than `lease_duration` is the margin for clocks that run
    /// at different rates.
    pub renew_deadline: Duration,
    /// How often a leader renews, and the least time between two polls of a candidate. 2 s
    /// (ctl-L2).
    pub retry_period: Duration,
    /// The most that a candidate waits once it knows that the lease is free, so that many do not
    /// write at one time. 100 ms.
    pub take_jitter_max: Duration,
    /// Whether a stop gives the lease back (ctl-L11). On.
    pub release_on_stop: bool,
    /// The seed of the jitter; the election's builder draws one in place of 0.
    pub seed: u64,
}

impl Config {
    /// How long a request may take, so that a hung one does not cost the lease: half of the renew
    /// deadline, at least 1 s.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        (self.renew_deadline / 2).max(Duration::from_secs(1))
    }

    /// Checks what the durations have to be among each other (ctl-L1, cg-E1).
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which says what is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let durations = [
            ("lease_duration", self.lease_duration),
            ("renew_deadline", self.renew_deadline),
            ("retry_period", self.retry_period),
        ];
        for (which, duration) in durations {
            if duration.is_zero() {
                return Err(ConfigError::Zero { which });
            }
        }
        let seconds = self.lease_duration.as_secs();
        if self.lease_duration.subsec_nanos() != 0 || i32::try_from(seconds).is_err() {
            return Err(ConfigError::LeaseDurationNotWholeSeconds);
        }
        if self.lease_duration <= self.renew_deadline {
            return Err(ConfigError::LeaseDurationTooShort);
        }
        // Compared as integers: 1.2 has no exact floating point number.
        if self.renew_deadline.as_nanos() * 5 <= self.retry_period.as_nanos() * 6 {
            return Err(ConfigError::RenewDeadlineTooShort);
        }
        Ok(())
    }

    /// The lease's duration as the record has it; [`Self::validate`] has checked that it fits.
    pub(super) fn duration_seconds(&self) -> i32 {
        i32::try_from(self.lease_duration.as_secs()).unwrap_or(i32::MAX)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            take_jitter_max: Duration::from_millis(100),
            release_on_stop: true,
            seed: 0,
        }
    }
}

/// An election cannot be held so. The caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The identity is empty, which in a record means that nobody holds the lease.
    EmptyIdentity,
    /// The lease's duration has a fraction of a second, or more seconds than an `i32`.
    LeaseDurationNotWholeSeconds,
    /// The lease's duration is not longer than the renew deadline: two could lead at one time.
    LeaseDurationTooShort,
    /// The renew deadline is not longer than 1.2 retry periods: one late renewal loses the lease.
    RenewDeadlineTooShort,
    /// A duration is zero.
    Zero {
        /// Which.
        which: &'static str,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyIdentity => f.write_str("the identity is empty"),
            Self::LeaseDurationNotWholeSeconds => {
                f.write_str("lease_duration is not a number of whole seconds that fits an i32")
            }
            Self::LeaseDurationTooShort => {
                f.write_str("lease_duration must be longer than renew_deadline")
            }
            Self::RenewDeadlineTooShort => {
                f.write_str("renew_deadline must be longer than 1.2 times retry_period")
            }
            Self::Zero { which } => write!(f, "{which} is zero"),
        }
    }
}

impl error::Error for ConfigError {}
