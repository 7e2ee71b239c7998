//! What the benches have in common: pods as an API server prints them, stores, a server that
//! replays bytes, and the way from bytes into the engine.
//!
//! Measures nothing itself. Everything is the same in every run: no clock and no randomness
//! decides what is made here.

pub mod feed;
pub mod pods;
pub mod projection;
pub mod replay;
pub mod samples;
pub mod store;
pub mod tally;
