//! What does not change in a run: how the servers, the link, the informers and the workers are made.

use std::fmt;

use tidings_engine::{delta_fifo::Order, reflector::ListMode};

use crate::ops::Kind;

/// The knobs of a world.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Knobs {
    /// What the link draws from.
    pub seed: u64,
    /// API servers.
    pub replicas: u8,
    /// Changes that an API server remembers (pr-E12).
    pub ring: u32,
    /// Bytes of a chunk; 0 for any size.
    pub chunk: u32,
    /// Most milliseconds that bytes are under way.
    pub latency: u32,
    /// Seconds between bookmarks; 0 for none.
    pub bookmarks: u32,
    /// Whether bodies are compressed, watches a member a flush (pr-W7).
    pub gzip: bool,
    /// Whether a watch whose version is gone is closed without a word, where others say 410 (pr-W12).
    pub mute: bool,
    /// Hash bits of the stores: few, so that keys collide.
    pub hash_bits: u32,
    /// The informers.
    pub informers: Vec<InformerKnobs>,
    /// Workers of the workqueue that the first informer feeds; 0 for none.
    pub workers: u8,
    /// Of so many reconciles one fails; 0 for none.
    pub failures: u8,
    /// Candidates for a Lease; 0 for none.
    pub candidates: u8,
}

/// The knobs of an informer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct InformerKnobs {
    /// What it follows.
    pub kind: Kind,
    /// In which namespace, if not in all.
    pub namespace: Option<u8>,
    /// With which label `app`, if not with any.
    pub app: Option<u8>,
    /// With which field `spec.nodeName`, if not with any; of pods alone.
    pub node: Option<u8>,
    /// How the state is fetched.
    pub list: ListMode,
    /// The order of the DeltaFIFO.
    pub order: Order,
    /// Items of a page.
    pub page: u32,
    /// Deltas of a batch.
    pub batch: u32,
    /// Most deltas that wait.
    pub depth: u32,
    /// Events that are told in one go.
    pub budget: u32,
    /// Whether the first list may come from any version (pr-L2).
    pub any: bool,
    /// Microseconds that its handlers take for an event.
    pub slow: u32,
}

impl fmt::Display for Knobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "world seed={} replicas={} ring={} chunk={} latency={} bookmarks={} gzip={} \
             mute={} hash-bits={} workers={} failures={} candidates={}",
            self.seed,
            self.replicas,
            self.ring,
            self.chunk,
            self.latency,
            self.bookmarks,
            u8::from(self.gzip),
            u8::from(self.mute),
            self.hash_bits,
            self.workers,
            self.failures,
            self.candidates
        )?;
        for informer in &self.informers {
            writeln!(f, "{informer}")?;
        }
        Ok(())
    }
}

impl fmt::Display for InformerKnobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = match self.list {
            ListMode::Auto => "auto",
            ListMode::Paged => "paged",
            ListMode::WatchList => "watchlist",
            ListMode::Whole => "whole",
        };
        let order = match self.order {
            Order::Arrival => "arrival",
            Order::PerKey => "per-key",
        };
        write!(f, "informer kind={} list={list} order={order}", self.kind)?;
        for (name, value) in [
            ("namespace", self.namespace),
            ("app", self.app),
            ("node", self.node),
        ] {
            if let Some(value) = value {
                write!(f, " {name}={value}")?;
            }
        }
        write!(
            f,
            " page={} batch={} depth={} budget={} any={} slow={}",
            self.page,
            self.batch,
            self.depth,
            self.budget,
            u8::from(self.any),
            self.slow
        )
    }
}
