//! The pure machines of the informer, in the order in which a watch event visits them.
//!
//! Nothing here blocks, reads a clock, opens a socket or draws a random number: time, bytes and
//! randomness are handed in.

pub mod payload;

pub mod entry;

pub mod delta;

pub mod reflector;

pub mod delta_fifo;

pub mod pages;

mod sync;

pub mod indexer;

pub mod fanout;

pub mod view;

pub mod pipeline;

pub mod ingest;

pub mod workqueue;

pub mod lease;
