//! Time as a value: nanoseconds since whatever start the caller chose.
//!
//! Does not read a clock. The shells convert the operating system's monotonic clock, the simulator
//! its virtual one, and the machines cannot tell the difference.

use std::{fmt, ops, time::Duration};

/// A point on a monotonic clock, in nanoseconds since the clock's own start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The clock's start.
    pub const ZERO: Self = Self(0);

    /// A point later than every other: a deadline that never comes.
    pub const FAR_FUTURE: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after the clock's start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`, zero if `earlier` is in fact later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl ops::Add<Duration> for Instant {
    type Output = Self;

    /// The sum, or [`Instant::FAR_FUTURE`] where it does not fit.
    fn add(self, delay: Duration) -> Self {
        let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl fmt::Display for Instant {
    /// Seconds with as many decimals as are needed, as the trace notation prints them: `1.5s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        if nanos == 0 {
            return write!(f, "{seconds}s");
        }
        let decimals = format!("{nanos:09}");
        write!(f, "{seconds}.{}s", decimals.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_saturates_and_subtracting_never_goes_below_zero() {
        let start = Instant::from_nanos(5);
        assert_eq!(start + Duration::MAX, Instant::FAR_FUTURE);
        assert_eq!(Instant::ZERO.saturating_since(start), Duration::ZERO);
        assert_eq!(
            (start + Duration::from_nanos(7))
                .saturating_since(start)
                .as_nanos(),
            7
        );
    }

    #[test]
    fn prints_as_the_trace_notation_does() {
        assert_eq!(Instant::from_nanos(1_500_000_000).to_string(), "1.5s");
        assert_eq!(Instant::from_nanos(2_000_000_000).to_string(), "2s");
        assert_eq!(Instant::from_nanos(1).to_string(), "0.000000001s");
    }
}
