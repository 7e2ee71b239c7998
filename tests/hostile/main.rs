//! Hostile and broken servers over real sockets: each row is a server, and what an informer does about it.
//!
//! Does not test what a row's peer could do by itself: the good server behind the hostile one is the
//! embedded one, tested elsewhere.
//!
//! ```text
//!   informer --> front --+-- Good:    passed on to the embedded API server
//!                        '-- Hostile: the row's script
//! ```
//! Of each row: its memory is measured, its error is clear, it neither panics nor hurries, no secret
//! and no body is told, and once the same address behaves the informer is equal to it.
//!
//! The allocator that counts serves the whole process, so rows run one after another, and in a
//! program of their own. `cargo test -p tidings-tests --test hostile -- --nocapture` prints what was
//! measured.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod bodies;
mod cuts;
mod front;
mod heads;
mod http2;
mod lies;
mod log;
mod redirects;
mod runner;
mod tls;
mod words;

/// Counts what is allocated, for the peaks.
#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
