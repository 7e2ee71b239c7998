//! An embedded API server: lists, watches and writes for the resources of a table.
//!
//! The state is pure: versions, history and selection are decided without a socket or a clock, so
//! that the same code can serve a simulation. The front (feature `serve`) is a thin skin over HTTP.
//! It never imports the engine: oracle and subject share only the words of `tidings-api`.

pub mod churn;
pub mod fixture;
mod json;
pub mod kind;
mod messages;
mod refusal;
mod seed;
#[cfg(feature = "serve")]
pub mod serve;
pub mod state;
mod yaml;

pub use kind::KindRow;
pub use refusal::{Refusal, RefusalCause};
pub use seed::{Seed, timestamp};
pub use state::State;
