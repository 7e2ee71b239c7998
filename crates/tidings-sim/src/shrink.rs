//! Makes a case that fails smaller while it still breaks the same rule.
//!
//! Does not know what an op means: ops are left out in ever smaller groups, then knobs are made plain.
//!
//! S1  What comes out breaks the rule that the case broke.
//! Cost: runs; O(n log n) of them for n ops in the good case, at most `runs_max`.
//! Source: delta debugging (Zeller and Hildebrandt, 2002), without its complements.

use crate::{
    knobs::Knobs,
    ops::Case,
    run::{Outcome, run},
};

/// A smaller case, and how it fails.
#[must_use]
pub fn shrink(case: Case, runs_max: u32) -> (Case, Outcome) {
    let outcome = run(case.clone());
    let Some(violation) = &outcome.violation else {
        return (case, outcome);
    };
    let mut shrinking = Shrinking {
        rule: violation.rule,
        runs_left: runs_max,
        case,
        outcome,
    };
    shrinking.drop_rest();
    loop {
        let before = shrinking.case.clone();
        shrinking.drop_ops();
        shrinking.plain_knobs();
        if shrinking.case == before || shrinking.runs_left == 0 {
            return (shrinking.case, shrinking.outcome);
        }
    }
}

struct Shrinking {
    rule: &'static str,
    runs_left: u32,
    case: Case,
    outcome: Outcome,
}

impl Shrinking {
    /// Takes a smaller case if it fails alike (S1).
    fn attempt(&mut self, case: Case) -> bool {
        if self.runs_left == 0 {
            return false;
        }
        self.runs_left -= 1;
        let outcome = run(case.clone());
        let fails = outcome
            .violation
            .as_ref()
            .is_some_and(|violation| violation.rule == self.rule);
        if fails {
            self.case = case;
            self.outcome = outcome;
        }
        fails
    }

    /// What comes after the failure has no part in it.
    fn drop_rest(&mut self) {
        let Some(violation) = &self.outcome.violation else {
            return;
        };
        let mut case = self.case.clone();
        let at = violation.at;
        case.ops.retain(|timed| timed.at <= at);
        if case.ops.len() < self.case.ops.len() {
            self.attempt(case);
        }
    }

    fn drop_ops(&mut self) {
        let mut size = self.case.ops.len().div_ceil(2);
        while size > 0 {
            let mut start = 0;
            while start < self.case.ops.len() {
                let mut case = self.case.clone();
                let end = (start + size).min(case.ops.len());
                case.ops.drain(start..end);
                if !self.attempt(case) {
                    start = end;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    fn plain_knobs(&mut self) {
        let plain: [fn(&mut Knobs); 12] = [
            |knobs| {
                knobs.informers.pop();
            },
            |knobs| knobs.candidates = 0,
            |knobs| knobs.workers = 0,
            |knobs| knobs.replicas = 1,
            |knobs| knobs.gzip = false,
            |knobs| knobs.latency = 0,
            |knobs| knobs.chunk = 100_000,
            |knobs| knobs.ring = 1000,
            |knobs| knobs.hash_bits = 64,
            |knobs| knobs.bookmarks = 0,
            |knobs| knobs.informers.iter_mut().for_each(|it| it.slow = 0),
            |knobs| knobs.informers.iter_mut().for_each(|it| it.batch = 1000),
        ];
        for change in plain {
            let mut case = self.case.clone();
            change(&mut case.knobs);
            if case != self.case && !case.knobs.informers.is_empty() {
                self.attempt(case);
            }
        }
    }
}
