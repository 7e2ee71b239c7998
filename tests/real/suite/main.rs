//! The informer against a real kube-apiserver over etcd: what the embedded server only imitates.
//!
//! `tests/real/run` builds the server and says where it is.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod answers;
mod cases;
mod clients;
mod cluster;
mod command;
mod controller;
mod deep;
mod history;
mod kubectl;
mod leader;
mod load;
#[cfg(feature = "soak")]
mod soak;
mod tokens;
mod views;
mod writers;
mod writes;
