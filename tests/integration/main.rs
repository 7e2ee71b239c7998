//! The facade against the embedded API server, over real sockets on loopback.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod access;
mod answers;
mod bad_config;
mod bad_input;
mod changes;
mod events;
mod faults;
mod finalizers;
mod leader;
mod levers;
mod scripted;
mod support;
mod together;
mod writes;
