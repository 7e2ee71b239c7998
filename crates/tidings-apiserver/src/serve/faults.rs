//! The levers: what a test may make the server do wrong.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use super::rules::{Rule, Which};
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
    /// A refusal for this many of a hundred requests, by the server's seed.
    pub refuse_percent: Option<(u64, Refusal)>,
    /// How long each request waits before it is answered.
    pub delay: Duration,
    /// How `sendInitialEvents` is treated.
    pub watch_list: WatchListSupport,
    /// No bookmarks but the one that ends initial events.
    pub drop_bookmarks: bool,
    /// No bookmark ends the initial events (pr-F15).
    pub drop_initial_events_end: bool,
    /// Every frame of a watch is sent twice (pr-F45).
    pub duplicate_frames: bool,
    /// The resourceVersion that the next list claims, whatever it is (pr-F14).
    pub list_version: Option<String>,
    /// Bodies are sent in pieces of this many bytes.
    pub chunk_bytes: Option<usize>,
    /// The next list body is cut after this many bytes, its connection broken.
    pub truncate_list: Option<usize>,
    /// Watches send nothing, but stand.
    pub stall_watches: bool,
    /// These bytes are sent on the next watch that has something to send.
    pub inject: Option<Bytes>,
    /// What goes wrong for some requests, watches or connections, or now and then.
    pub rules: Vec<Rule>,
    /// The next frame of one of these watches is cut in its middle, and the stream ends well (pr-F23).
    pub truncate_frame: Option<Which>,
    /// New connections are accepted and then nothing is read of them (pr-F20).
    pub half_open: bool,
}

impl Faults {
    /// The refusal of the next request, given a number below a hundred.
    pub(crate) fn refuse(&mut self, chance: u64) -> Option<Refusal> {
        let by_chance = self.refuse_percent.as_ref();
        let by_chance = by_chance.filter(|(percent, _)| chance < *percent);
        let by_chance = by_chance.map(|(_, refusal)| refusal.clone());
        self.refusals.pop_front().or(by_chance)
    }
}
