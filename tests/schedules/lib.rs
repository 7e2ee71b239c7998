//! The workqueue's waiting, run through the orders of its steps: exhaustively by loom, at random by
//! shuttle.
//!
//! Does not test what the queue decides (the engine's tests do), timers (time is handed in: a clock
//! stands at an instant, alarms up to it ring at once, later ones never) or the futures around it.
//!
//! What is run is `crates/tidings/src/workqueue/shared.rs` itself, compiled twice with other locks.
//! Somebody who is left asleep is a deadlock, which both find.
//!
//! Each of these mutants of that file was made, and the test beside it failed, under both checkers where
//! it has threads:
//!
//! | mutant | found by |
//! |---|---|
//! | `give_up` does not settle | `who_gives_up_hands_on` |
//! | `poll_get` does not settle after a key | `an_earlier_delay_moves_the_alarm` |
//! | `take_all` wakes one drain | `two_drains_both_end` |
//! | `shut_down` takes one off the list | `a_shutdown_ends_drains` |
//! | `leave` does not clear the timekeeper | `the_time_is_kept_when_its_keeper_gives_up` |
//! | `settle` appoints no new timekeeper | `the_time_is_kept_when_its_keeper_gives_up` |
//! | `settle` does not wake it for an earlier delay | `an_earlier_delay_moves_the_alarm` |
//! | `settle` looks at workers alone, or not at the end of a drain | `a_drain_ends_when_everything_is_done` |
//! | `leave` does not count who was on its way | `two_additions_wake_two_workers` |
//! | `poll_drained` does not know a shutdown | `a_shutdown_ends_drains` |
//! | `take_one` takes the timekeeper alone | `two_keys_wake_two_workers` |
//! | a wake-up for each key; a wake-up that is not handed on; a timekeeper is sought while one comes | `one_is_woken_at_a_time` |
//!
//! That `take` and `take_all` clear the timekeeper is not needed, and no test can miss it: who was
//! taken clears it when it looks or gives up. It keeps the field's meaning, somebody on the list.
//!
//! Excluded from the workspace, so that neither checker reaches its lock file:
//! `cargo test --manifest-path tests/schedules/Cargo.toml`.
//! Source: H1..H4 in the file; rules cg-W1, cg-W5, cg-W6, cg-D3.

#![cfg(test)]

mod over_loom;
mod over_shuttle;
