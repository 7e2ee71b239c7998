//! Percentiles of single samples, for what criterion's means do not show.

use std::{fmt, time::Duration};

/// The spread of some times.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// How many samples.
    pub count: usize,
    /// Nanoseconds: p50, p99, p99.9 and the longest.
    pub nanos: [u128; 4],
}

impl Spread {
    /// Sorts the samples and takes their ranks.
    ///
    /// # Panics
    ///
    /// If there is no sample.
    #[must_use]
    pub fn of(samples: &mut [Duration]) -> Self {
        samples.sort_unstable();
        let at = |share: usize| samples[(samples.len() - 1) * share / 1_000].as_nanos();
        Self {
            count: samples.len(),
            nanos: [at(500), at(990), at(999), at(1_000)],
        }
    }

    /// How many times the figures of `floor` these are: p50, p99 and p99.9.
    #[must_use]
    pub fn ratios(&self, floor: &Self) -> String {
        let ratio = |at: usize| ratio(self.nanos[at], floor.nanos[at]);
        format!("p50 {} p99 {} p99.9 {}", ratio(0), ratio(1), ratio(2))
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |nanos: u128| format!("{}.{}", nanos / 1_000, nanos % 1_000 / 100);
        let [p50, p99, p999, max] = self.nanos.map(us);
        let count = self.count;
        write!(
            f,
            "p50 {p50} p99 {p99} p99.9 {p999} max {max} us (n {count})"
        )
    }
}

/// A ratio with two decimals.
fn ratio(value: u128, floor: u128) -> String {
    let hundredths = value * 100 / floor.max(1);
    format!("{}.{:02}x", hundredths / 100, hundredths % 100)
}
