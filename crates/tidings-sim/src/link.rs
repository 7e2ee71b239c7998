//! A connection: what is on its way to a client, and everything that may become of it.
//!
//! Does not decode and does not know the server: it carries heads and bytes, late, in pieces, twice or
//! not at all.
//!
//! C1  What was sent arrives in the order in which it was sent, or the connection has ended.

use std::{collections::VecDeque, io::Write as _, time::Duration};

use flate2::{Compression, write::GzEncoder};
use tidings_api::Instant;
use tidings_apiserver::state::Watch;
use tidings_engine::ingest::{Body, ProbeBody};

use crate::fault::Fault;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    List,
    /// A further page of a list.
    Page,
    Probe,
    Watch,
    WatchList,
}

pub(crate) struct Connection {
    pub(crate) informer: usize,
    pub(crate) asked: Asked,
    pub(crate) replica: usize,
    pub(crate) path: String,
    pub(crate) rng: fastrand::Rng,
    /// The watch that the server serves on it.
    pub(crate) watch: Option<Box<Watch>>,
    /// Whether the server has nothing more to say.
    pub(crate) is_over: bool,
    pub(crate) gzip: bool,
    /// What is on its way, with the time of its arrival.
    pub(crate) items: VecDeque<(Instant, Item)>,
    last_arrival: Instant,
    /// Nothing arrives before.
    pub(crate) frozen_until: Instant,
    /// Milliseconds between two bytes.
    pub(crate) drip: Option<u32>,
    /// The client's side of it.
    pub(crate) reading: Reading,
}

/// What is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Head(Head),
    Bytes(Vec<u8>),
    End,
    Reset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) code: u16,
    pub(crate) content_type: &'static str,
    pub(crate) gzip: bool,
    pub(crate) retry_after: Option<Duration>,
}

/// How far the client has read.
pub(crate) enum Reading {
    Nothing,
    Body(Box<Body>),
    Probe(Box<ProbeBody>),
    Refusal(Head, Vec<u8>),
}

// === impl Connection ===

impl Connection {
    pub(crate) fn new(informer: usize, asked: Asked, path: String, seed: u64) -> Self {
        Self {
            informer,
            asked,
            replica: 0,
            path,
            rng: fastrand::Rng::with_seed(seed),
            watch: None,
            is_over: false,
            gzip: false,
            items: VecDeque::new(),
            last_arrival: Instant::ZERO,
            frozen_until: Instant::ZERO,
            drip: None,
            reading: Reading::Nothing,
        }
    }

    /// How long something is under way.
    pub(crate) fn latency(&mut self, millis_max: u32) -> Duration {
        let micros = u64::from(millis_max) * 1000;
        Duration::from_micros(self.rng.u64(..=micros))
    }

    /// Puts something on its way, and says when it arrives (C1).
    pub(crate) fn send(&mut self, now: Instant, latency: Duration, item: Item) -> Instant {
        let arrival = (now + latency)
            .max(self.last_arrival)
            .max(self.frozen_until);
        self.last_arrival = arrival;
        self.is_over |= matches!(item, Item::End | Item::Reset);
        self.items.push_back((arrival, item));
        arrival
    }

    /// Nothing that is on its way arrives before.
    pub(crate) fn freeze(&mut self, until: Instant) {
        self.frozen_until = until;
        self.last_arrival = self.last_arrival.max(until);
        for (arrival, _) in &mut self.items {
            *arrival = (*arrival).max(until);
        }
    }
}

/// What a fault makes of the bytes that a server sends, before they are compressed. `None` if it does
/// not fit here.
pub(crate) fn maimed(fault: Fault, asked: Asked, bytes: &[u8]) -> Option<Vec<u8>> {
    let is_stream = matches!(asked, Asked::Watch | Asked::WatchList);
    let frame = |meta: &str| {
        let object = format!(r#"{{"kind":"","apiVersion":"v1","metadata":{{{meta}}}}}"#);
        format!("{{\"type\":\"BOOKMARK\",\"object\":{object}}}\n").into_bytes()
    };
    match fault {
        Fault::Twice => Some([bytes, bytes].concat()),
        Fault::Garbage => Some([b"\x00\xffgarbage{", bytes].concat()),
        Fault::WrongKind => replaced(bytes, b"\"kind\":\"", b"\"kind\":\"X"),
        Fault::UnknownType if is_stream => replaced(bytes, b"\"type\":\"", b"\"type\":\"PAINTED_"),
        Fault::Nameless => replaced(bytes, b"\"name\":\"k", b"\"nome\":\"k"),
        Fault::NoVersion => replaced(bytes, b"\"resourceVersion\":\"", b"\"noVersion\":\""),
        Fault::BadBookmark if is_stream => Some([bytes, &frame("")].concat()),
        Fault::LowBookmark if is_stream => {
            Some([bytes, &frame(r#""resourceVersion":"1""#)].concat())
        }
        _ => None,
    }
}

/// Whether the client may be missing something after it that it cannot know of.
pub(crate) const fn blemishes(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::WrongKind | Fault::UnknownType | Fault::Nameless | Fault::NoVersion
    )
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len() + to.len());
    let mut rest = bytes;
    let mut found = false;
    while let Some(at) = position(rest, from) {
        found = true;
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    found.then_some(out)
}

/// Where one stands in the other.
pub(crate) fn position(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// One member (pr-W7).
pub(crate) fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}
