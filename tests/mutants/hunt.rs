//! Hunts: runs the cases of seeds, in order, until one breaks a rule, and says which.
//!
//! Does not know what was broken: it is copied beside a patched engine and built there by `run`.
//!
//! In: the first seed, how many at most, on how many threads. Out: `SEED RULE OBJECT ..`, or `-`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let [first, count, threads] = numbers[..] else {
        eprintln!("hunt FIRST_SEED SEEDS THREADS");
        return ExitCode::FAILURE;
    };
    // A panic of a simulated world is a broken rule.
    std::panic::set_hook(Box::new(|_| {}));
    let threads = usize::try_from(threads).unwrap_or(1);
    let summary = tidings_sim::run_seeds(first, count, threads, 1);
    // Seeds are taken in order and those that were taken are run to their end: it is the lowest.
    match summary.violations.first_key_value() {
        Some((seed, violation)) => println!("{seed} {violation}"),
        None => println!("- {} seeds broke no rule", summary.seeds),
    }
    ExitCode::SUCCESS
}
