//! The whole engine against the embedded API server's state, over a faulty link, in virtual time.
//!
//! Does not open a socket, read a clock or start a thread for a world: a seed is a case, a case is a run,
//! and the same run every time.
//!
//! ```text
//!  seed --generate--> Case (knobs, ops) --World--> Outcome (tally, coverage, the first broken rule)
//!                       ^                              |
//!                       +----------- shrink -----------+
//! ```
//!
//! What is simulated is what is shipped: lists and watches are bytes of the embedded server's state, cut
//! anywhere, and go through the ingest and the pipeline of the engine as in the driver.

mod asking;
mod bounds;
pub mod catalogue;
mod checks;
mod client;
mod cluster;
mod coverage;
mod election;
mod fault;
mod generate;
mod handlers;
mod informer;
mod inject;
mod knobs;
mod link;
mod model;
mod ops;
mod parse;
mod reading;
mod run;
mod serve;
mod shrink;
mod stores;
mod tally;
mod trace;
mod worker;
mod world;

pub use self::{
    bounds::{BOUNDED, bound_of},
    checks::Violation,
    coverage::{Coverage, STATES, unreachable_because},
    fault::{CLASSES, Fault},
    generate::{case, long_case},
    knobs::{InformerKnobs, Knobs},
    ops::{Case, Content, Kind, Op, Slot, Timed, WatchLists},
    parse::ParseError,
    run::{Outcome, Summary, run, run_hashed, run_seeds, run_traced},
    shrink::shrink,
    tally::Tally,
};

#[cfg(test)]
mod tests;
