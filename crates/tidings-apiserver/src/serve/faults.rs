//! The levers: what a test may make the server do wrong.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{refusal::Refusal, state::WatchListSupport};

/// What the server does wrong at present.
#[derive(Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "levers that tests set with struct update syntax"
)]
pub struct Faults {
    /// Refusals for the next requests, one each.
    pub refusals: VecDeque<Refusal>,
    /// How `sendInitialEvents` is treated.
    pub watch_list: WatchListSupport,
    /// No bookmarks but the one that ends initial events.
    pub drop_bookmarks: bool,
    /// Bodies are sent in pieces of this many bytes.
    pub chunk_bytes: Option<usize>,
    /// The next list body is cut after this many bytes, its connection broken.
    pub truncate_list: Option<usize>,
    /// Watches send nothing, but stand.
    pub stall_watches: bool,
    /// These bytes are sent on the next watch that has something to send.
    pub inject: Option<Bytes>,
}

/// The last cut of all watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data with no invariant of its own"
)]
pub struct Cut {
    /// How many cuts there were.
    pub count: u64,
    /// Whether the connection breaks in place of ending well.
    pub abruptly: bool,
}
