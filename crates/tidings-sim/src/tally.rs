//! What happened, in numbers.

use std::{ops::AddAssign, time::Duration};

use crate::bounds::BOUNDED;

/// The numbers of one run, or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Things that happened on the agenda.
    pub steps: u64,
    /// Pieces of bodies that a decoder was fed.
    pub chunks: u64,
    /// Ops of cases.
    pub ops: u64,
    /// Requests of informers.
    pub requests: u64,
    /// Publications of stores that were compared with the model.
    pub publications: u64,
    /// Events that handlers were told, each checked.
    pub events: u64,
    /// Deletions among them whose last state is not known.
    pub tombstones: u64,
    /// Restores of etcd.
    pub restores: u64,
    /// Reconciles.
    pub reconciles: u64,
    /// Terms of leaders.
    pub terms: u64,
    /// The time that passed in the worlds.
    pub simulated: Duration,
    /// The longest time until everything was level again, by the fault that set the bound.
    pub settle: [Duration; BOUNDED.len()],
    /// How often each of them set it.
    pub settled: [u64; BOUNDED.len()],
    /// Most requests of one informer in ten seconds, pages left out.
    pub requests_max: u64,
}

impl Tally {
    /// Everything that was simulated: steps, pieces of bodies, and events of handlers.
    #[must_use]
    pub const fn simulated_events(&self) -> u64 {
        self.steps + self.chunks + self.events
    }

    /// The longest time until everything was level again, after whatever fault.
    #[must_use]
    pub fn settle_max(&self) -> Duration {
        self.settle.into_iter().max().unwrap_or_default()
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.chunks += other.chunks;
        self.ops += other.ops;
        self.requests += other.requests;
        self.publications += other.publications;
        self.events += other.events;
        self.tombstones += other.tombstones;
        self.restores += other.restores;
        self.reconciles += other.reconciles;
        self.terms += other.terms;
        self.simulated += other.simulated;
        for (longest, other) in self.settle.iter_mut().zip(other.settle) {
            *longest = (*longest).max(other);
        }
        for (count, other) in self.settled.iter_mut().zip(other.settled) {
            *count += other;
        }
        self.requests_max = self.requests_max.max(other.requests_max);
    }
}
