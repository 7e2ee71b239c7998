//! Runs cases: one, or those of many seeds, on as many threads as are wanted.
//!
//! A world has one thread; threads do not share worlds, so what a seed does is the same on any of them.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    checks::Violation, coverage::Coverage, generate, ops::Case, tally::Tally, trace::Trace,
    world::World,
};

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The first broken rule, if one was.
    pub violation: Option<Violation>,
    /// What happened, in numbers.
    pub tally: Tally,
    /// Which faults met which states.
    pub coverage: Coverage,
    /// What all lines of the trace are, in a number; 0 without a trace.
    pub hash: u64,
}

/// Runs a case.
#[must_use]
pub fn run(case: Case) -> Outcome {
    finish(World::new(case, Trace::default()))
}

/// Runs a case and hands out a line a step.
#[must_use]
pub fn run_traced(case: Case, sink: impl FnMut(&str) + 'static) -> Outcome {
    finish(World::new(case, Trace::to(Box::new(sink))))
}

/// Runs a case for the number of its trace.
#[must_use]
pub fn run_hashed(case: Case) -> Outcome {
    finish(World::new(case, Trace::hashed()))
}

fn finish(mut world: World) -> Outcome {
    world.run();
    Outcome {
        violation: world.violation,
        tally: world.tally,
        coverage: world.coverage,
        hash: world.trace.hash(),
    }
}

/// What came of many seeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// How many seeds were run.
    pub seeds: u64,
    /// All their numbers together.
    pub tally: Tally,
    /// All their faults together.
    pub coverage: Coverage,
    /// The seeds that broke a rule.
    pub violations: BTreeMap<u64, Violation>,
}

// === impl Summary ===

impl Summary {
    /// What came of one run.
    #[must_use]
    pub fn of(seed: u64, outcome: Outcome) -> Self {
        let mut summary = Self::default();
        summary.take(seed, outcome);
        summary
    }

    fn take(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        self.tally += outcome.tally;
        self.coverage += outcome.coverage;
        if let Some(violation) = outcome.violation {
            self.violations.insert(seed, violation);
        }
    }

    fn join(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.tally += other.tally;
        self.coverage += other.coverage;
        self.violations.extend(other.violations);
    }
}

/// Runs the cases of seeds on so many threads; ends early once `violations_max` seeds broke a rule.
#[must_use]
pub fn run_seeds(first: u64, count: u64, threads: usize, violations_max: u64) -> Summary {
    let next = AtomicU64::new(first);
    let broken = AtomicU64::new(0);
    let end = first.saturating_add(count);
    let work = || {
        let mut summary = Summary::default();
        while broken.load(Ordering::Relaxed) < violations_max {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            let outcome = run(generate::case(seed));
            broken.fetch_add(u64::from(outcome.violation.is_some()), Ordering::Relaxed);
            summary.take(seed, outcome);
        }
        summary
    };
    let mut all = Summary::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            // A run's panics are violations; a thread has no others.
            if let Ok(summary) = thread.join() {
                all.join(summary);
            }
        }
    });
    all
}
