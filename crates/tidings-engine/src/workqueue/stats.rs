//! What a workqueue counts: client-go's workqueue metrics, as plain numbers.
//!
//! Does not know a registry: an exporter reads [`Stats`] and gives them their names, which stand
//! beside the fields.
//!
//! Source: client-go util/workqueue/metrics.go @32ce75a7d.

use std::time::Duration;

use tidings_api::Instant;

use super::LEVELS;

/// How long something took, by powers of ten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    counts: [u64; BUCKETS + 1],
    sum_ns: u64,
}

/// What has happened, and what is going on, in a workqueue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Keys that became dirty (`workqueue_adds_total`).
    pub adds: u64,
    /// Additions of keys that were dirty already; client-go does not count them.
    pub deduplicated: u64,
    /// Additions after a delay (`workqueue_retries_total`).
    pub retries: u64,
    /// Additions that came after the shutdown.
    pub ignored: u64,
    /// Keys taken off the queue before a worker had them.
    pub cancelled: u64,
    /// Delays that a shutdown dropped.
    pub delays_dropped: u64,
    /// Keys that were handed to a worker.
    pub taken: u64,
    /// Keys that wait for a worker, by priority, the highest first (`workqueue_depth`).
    pub depth: [usize; LEVELS],
    /// Keys that wait for their time.
    pub delayed: usize,
    /// Keys that are worked on.
    pub processing: usize,
    /// Keys of which anything is known, failures included.
    pub tracked: usize,
    /// Tenants that have keys.
    pub tenants: usize,
    /// From when a key became dirty to its worker (`workqueue_queue_duration_seconds`).
    pub queue_duration: Durations,
    /// From a worker to its `done` (`workqueue_work_duration_seconds`).
    pub work_duration: Durations,
    /// How long all that are worked on have been so, together
    /// (`workqueue_unfinished_work_seconds`).
    pub unfinished_work: Duration,
    /// How long the first of them has been so (`workqueue_longest_running_processor_seconds`).
    pub longest_running: Duration,
}

/// Ten nanoseconds to a thousand seconds, in client-go's steps.
const BUCKETS: usize = 12;

/// The first bucket in which a duration of so many bits can be: a bound that is too low by one at
/// most, since a power of two holds at most one power of ten. A logarithm takes twice as long.
fn bucket_of(ns: u64) -> usize {
    // 1233 / 4096 is the logarithm of two to the base of ten, from below, for 64 bits.
    let bits = 64 - ns.saturating_sub(1).leading_zeros() as usize;
    let least = ((bits * 1233) >> 12).min(BUCKETS);
    let reached = least.saturating_sub(1);
    match BOUNDS.get(reached) {
        Some(bound) if ns <= *bound => reached,
        _ => (reached + 1).min(BUCKETS),
    }
}

/// The upper bounds of all buckets but the last, which has none.
const BOUNDS: [u64; BUCKETS] = [
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
    10_000_000_000,
    100_000_000_000,
    1_000_000_000_000,
];

impl Durations {
    /// Counts one.
    #[inline]
    pub(super) fn record(&mut self, from: Instant, to: Instant) {
        let ns = to.as_nanos().saturating_sub(from.as_nanos());
        self.counts[bucket_of(ns)] += 1;
        self.sum_ns = self.sum_ns.saturating_add(ns);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long they took together.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }

    /// The upper bound of each bucket with how many took no longer than that: cumulative, as
    /// histograms are exported. What took longer than the last bound is in [`Durations::count`] only.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let bounds = BOUNDS.into_iter().map(Duration::from_nanos);
        let mut total = 0;
        let counts = self.counts[..BUCKETS].iter().map(move |count| {
            total += count;
            total
        });
        bounds.zip(counts)
    }
}
