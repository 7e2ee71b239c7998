//! The workqueue's waiting, run through the orders of its steps: exhaustively by loom, at random by
//! shuttle.
//!
//! Does not test what the queue decides (the engine's tests do), timers (time is handed in: a clock
//! stands at an instant, alarms up to it ring at once, later ones never) or the futures around it.
//!
//! What is run is `crates/tidings/src/workqueue/shared.rs` itself, compiled twice with other locks.
//! Somebody who is left asleep is a deadlock, which both find.
//!
//! Each of these mutants of that file was made by hand, and the test beside it failed:
//!
//! | mutant | found by |
//! |---|---|
//! MUTANTS
//!
//! Excluded from the workspace, so that neither checker reaches its lock file:
//! `cargo test --manifest-path tests/schedules/Cargo.toml`.
//! Source: H1..H4 in the file; rules cg-W1, cg-W5, cg-W6, cg-D3.

#![cfg(test)]

mod over_loom;
mod over_shuttle;
