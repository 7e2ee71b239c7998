//! The files in which threads meet, mounted over a checker's locks, and the scenarios for them.
//!
//! Does not run anything: `tests.rs` does. README.md says what is tested, and which broken lines were
//! found out. Two packages have this root, one for each checker, as a mounted file says `crate::` where
//! it means the crate that it stands in.

#![expect(dead_code, reason = "the scenarios use a part of what is mounted")]

// Mounted files of the facade name the engine by its own name.
extern crate self as tidings_engine;

#[cfg(feature = "loom")]
#[path = "loom/checker.rs"]
pub mod checker;
#[cfg(feature = "shuttle")]
#[path = "shuttle/checker.rs"]
pub mod checker;

mod channels;
pub mod scenarios;
mod sync;

// The engine, without its own `sync`.
#[path = "../../crates/tidings-engine/src/delta.rs"]
pub mod delta;
#[path = "../../crates/tidings-engine/src/delta_fifo/mod.rs"]
pub mod delta_fifo;
#[path = "../../crates/tidings-engine/src/entry.rs"]
pub mod entry;
#[path = "../../crates/tidings-engine/src/fanout/mod.rs"]
pub mod fanout;
#[path = "../../crates/tidings-engine/src/indexer/mod.rs"]
pub mod indexer;
#[path = "../../crates/tidings-engine/src/ingest/mod.rs"]
pub mod ingest;
#[path = "../../crates/tidings-engine/src/pages/mod.rs"]
pub mod pages;
#[path = "../../crates/tidings-engine/src/payload.rs"]
pub mod payload;
#[path = "../../crates/tidings-engine/src/pipeline/mod.rs"]
pub mod pipeline;
#[path = "../../crates/tidings-engine/src/reflector/mod.rs"]
pub mod reflector;
#[path = "../../crates/tidings-engine/src/view.rs"]
pub mod view;
#[path = "../../crates/tidings-engine/src/workqueue/mod.rs"]
pub mod workqueue;

// What of the facade meets other threads.
#[path = "../../crates/tidings/src/driver/desk.rs"]
mod desk;
#[path = "../../crates/tidings/src/error.rs"]
mod error;
#[path = "../../crates/tidings/src/workqueue/shared.rs"]
mod shared;
#[path = "../../crates/tidings/src/state.rs"]
mod state;
#[path = "../../crates/tidings/src/store.rs"]
mod store;
#[path = "../../crates/tidings/src/subscription.rs"]
mod subscription;
