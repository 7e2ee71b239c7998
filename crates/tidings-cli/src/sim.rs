//! `tidings sim`: runs simulated worlds, tells what they met, and makes a failing one small.
//!
//! Does not judge: the worlds do, and the first broken rule of each is printed with its seed.

use std::{fs, process::ExitCode, time::Instant};

use anyhow::Context as _;
use tidings_sim::{BOUNDED, CLASSES, Case, Outcome, Summary, bound_of};

use crate::{args::Sim, output};

pub(crate) fn run(args: &Sim) -> anyhow::Result<ExitCode> {
    // A panic of a simulated world is a broken rule, which is printed with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(file) = &args.replay {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let case: Case = text.parse().with_context(|| file.display().to_string())?;
        return one(case, args.trace);
    }
    if let Some(hours) = args.hours {
        return long(args.seed.unwrap_or(0), hours);
    }
    if let Some(seed) = args.seed {
        return one(tidings_sim::case(seed), args.trace);
    }
    many(args)
}

fn one(case: Case, trace: bool) -> anyhow::Result<ExitCode> {
    let outcome = if trace {
        output::line(case.to_string().trim_end())?;
        tidings_sim::run_traced(case.clone(), |line| {
            // Whoever read it has had enough; the run ends soon.
            let _ = output::line(line);
        })
    } else {
        tidings_sim::run(case.clone())
    };
    let tally = outcome.tally;
    output::line(&format!(
        "{} steps, {} events of handlers, {:.0?} simulated, level after {:.1?}",
        tally.steps,
        tally.events,
        tally.simulated,
        tally.settle_max()
    ))?;
    match &outcome.violation {
        None => Ok(ExitCode::SUCCESS),
        Some(_) => {
            report(&outcome, case)?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// One long world. A case that fails is written as it is: to shorten it would take as many hours again.
fn long(seed: u64, hours: u32) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let case = tidings_sim::long_case(seed, hours);
    let outcome = tidings_sim::run(case.clone());
    let summary = Summary::of(seed, outcome);
    print_summary(&summary, began.elapsed().as_secs_f64())?;
    let Some((_, violation)) = summary.violations.first_key_value() else {
        return Ok(ExitCode::SUCCESS);
    };
    output::line(&format!("broken: {violation}"))?;
    output::line(case.to_string().trim_end())?;
    Ok(ExitCode::FAILURE)
}

fn many(args: &Sim) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let threads = usize::from(args.threads);
    let summary = tidings_sim::run_seeds(args.first_seed, args.seeds, threads, 5);
    print_summary(&summary, began.elapsed().as_secs_f64())?;
    let mut code = ExitCode::SUCCESS;
    for (seed, violation) in &summary.violations {
        output::line(&format!("seed {seed}: {violation}"))?;
        code = ExitCode::FAILURE;
    }
    if let Some(seed) = summary.violations.keys().next() {
        let case = tidings_sim::case(*seed);
        let outcome = tidings_sim::run(case.clone());
        report(&outcome, case)?;
    }
    if summary.violations.is_empty() && args.seeds >= COVERAGE_SEEDS {
        for (class, state) in summary.coverage.missing() {
            output::line(&format!("never met: {class} in the state {state}"))?;
            code = ExitCode::FAILURE;
        }
        let restarted = differing(&summary, args.first_seed);
        if let Some(seed) = restarted {
            output::line(&format!("seed {seed} does not give the same run twice"))?;
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

/// A seed of some that gives another run the second time.
fn differing(summary: &Summary, first: u64) -> Option<u64> {
    let mut seeds = (first..first + summary.seeds).step_by(100);
    let hash = |seed| tidings_sim::run_hashed(tidings_sim::case(seed)).hash;
    seeds.find(|seed| hash(*seed) != hash(*seed))
}

fn print_summary(summary: &Summary, seconds: f64) -> anyhow::Result<()> {
    let tally = summary.tally;
    output::line(&format!(
        "{} seeds in {seconds:.1} s: {:.1} simulated days",
        summary.seeds,
        tally.simulated.as_secs_f64() / 86_400.0
    ))?;
    let events = tally.simulated_events();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = events as f64 / seconds * 60.0;
    output::line(&format!(
        "{events} simulated events, {rate:.0} a minute: {} steps, {} pieces of bodies, {} requests, {} ops",
        tally.steps, tally.chunks, tally.requests, tally.ops
    ))?;
    output::line(&format!(
        "checked: {} publications, {} events of handlers ({} tombstones), {} reconciles, {} terms",
        tally.publications, tally.events, tally.tombstones, tally.reconciles, tally.terms
    ))?;
    output::line(&format!(
        "level at the latest {:.1?} after the last fault; at most {} requests of an informer in 10 s; {} restores",
        tally.settle_max(),
        tally.requests_max,
        tally.restores
    ))?;
    output::line(
        "by the fault with the longest bound of those that could still have an effect (a hold, and what slow handlers still had to do, come on top):",
    )?;
    for ((name, longest), runs) in BOUNDED.iter().zip(tally.settle).zip(tally.settled) {
        let bound = bound_of(name);
        output::line(&format!(
            "  {name:14} {runs:>6} runs, level within {longest:>7.1?} of {bound:?}"
        ))?;
    }
    let total: u64 = (0..CLASSES.len())
        .map(|it| summary.coverage.total(it))
        .sum();
    output::line(&format!(
        "{total} faults and {} ops, by the state that they met:",
        tally.ops
    ))?;
    output::line(summary.coverage.to_string().trim_end())?;
    Ok(())
}

/// The failing case, as small as it gets.
fn report(outcome: &Outcome, case: Case) -> anyhow::Result<()> {
    if let Some(violation) = &outcome.violation {
        output::line(&format!("broken: {violation}"))?;
    }
    let ops = case.ops.len();
    let (small, outcome) = tidings_sim::shrink(case, SHRINK_RUNS_MAX);
    output::line(&format!(
        "# {} of {ops} ops are enough; replay with: tidings sim --trace --replay FILE",
        small.ops.len()
    ))?;
    if let Some(violation) = &outcome.violation {
        output::line(&format!("# {violation}"))?;
    }
    output::line(small.to_string().trim_end())?;
    Ok(())
}

/// With fewer seeds not every fault need meet every state.
const COVERAGE_SEEDS: u64 = 10_000;
const SHRINK_RUNS_MAX: u32 = 2000;
