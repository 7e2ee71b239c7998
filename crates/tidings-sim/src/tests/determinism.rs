//! A seed is a case, a case is a text, and a run.

use crate::{Case, Outcome, case, run, run_hashed, run_seeds, run_traced};

#[test]
fn a_seed_gives_the_same_trace_twice() {
    let hashes: Vec<u64> = (0..20).map(|seed| run_hashed(case(seed)).hash).collect();
    for (seed, hash) in (0..).zip(&hashes) {
        assert_eq!(run_hashed(case(seed)).hash, *hash, "seed {seed}");
    }
    let mut different = hashes.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), hashes.len(), "the trace says what happens");
}

#[test]
fn whether_somebody_reads_the_trace_changes_nothing() {
    for seed in 0..10 {
        let plain = run(case(seed));
        let traced = run_traced(case(seed), |line| {
            assert!(line.len() <= 242, "a line has a bound");
            assert!(!line.contains('\n'));
        });
        let hash = traced.hash;
        assert_eq!(Outcome { hash, ..plain }, traced, "seed {seed}");
    }
}

#[test]
fn a_case_is_read_as_it_is_printed() {
    for seed in 0..300 {
        let case = case(seed);
        let text = case.to_string();
        assert_eq!(text.parse::<Case>().as_ref(), Ok(&case), "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_told_with_its_line() {
    let text = case(1).to_string();
    let world = text.lines().next().unwrap();
    for (wrong, line) in [
        (String::new(), 1),
        (format!("{world}\nt=1s put pod a/k1 app=x node=0"), 2),
        (format!("{world}\n\nt=x compact"), 3),
        (format!("{world}\nt=1s explode"), 2),
        (format!("{world}\nt=1s fault i0 nothing"), 2),
        (world.replace("ring=", "rung="), 1),
    ] {
        let error = wrong.parse::<Case>().unwrap_err();
        assert_eq!(error.line, line, "{wrong}: {error}");
    }
}

#[test]
fn threads_change_nothing() {
    let one = run_seeds(0, 12, 1, 5);
    let two = run_seeds(0, 12, 2, 5);
    assert_eq!(one, two);
    assert_eq!(one.seeds, 12);
}
