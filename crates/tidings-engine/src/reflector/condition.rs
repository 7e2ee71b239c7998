//! What a reflector is doing, as a value: the one thing that metrics, progress bars, health checks
//! and a status page read.

use std::fmt;

use tidings_api::{Instant, ResourceVersion};

/// The reflector's present condition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Condition {
    /// What it is doing.
    pub activity: Activity,
    /// Whether a complete state has ever been applied to the store.
    pub synced: bool,
    /// Since when the store may lag the server for another reason than the network's delay.
    pub stale_since: Option<Instant>,
    /// What went wrong last, until something goes right.
    pub trouble: Option<Trouble>,
    /// The version that the store has reached.
    pub resource_version: Option<ResourceVersion>,
    /// The server history that this version belongs to.
    pub epoch: u64,
}

/// What a reflector is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a status page shows every kind")]
pub enum Activity {
    /// Not started.
    Idle,
    /// Fetching the state.
    Listing {
        /// Items so far.
        items: u64,
        /// Items still to come, where the server says so.
        remaining: Option<u64>,
        /// Whether they come as the initial events of a watch.
        streaming: bool,
    },
    /// Following changes.
    Watching,
    /// Waiting before the next attempt.
    Waiting {
        /// Until when.
        until: Instant,
    },
    /// Stopped for good.
    Stopped,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trouble {
    /// What kind of trouble it is.
    pub reason: WakeReason,
    /// One sentence for people, without secrets and without content.
    pub message: String,
    /// Failures in a row.
    pub attempts: u32,
}

/// Why a stream is not simply followed: shown in traces and counted in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "counted one by one")]
pub enum WakeReason {
    /// The stream ended well.
    Ended,
    /// A consistent read proved that the server's history is another one.
    EpochChanged,
    /// 410: the version is gone.
    Expired,
    /// 403.
    Forbidden,
    /// 404 on the collection.
    KindGone,
    /// 406 or 415.
    NotAcceptable,
    /// Another 4xx.
    Rejected,
    /// 5xx.
    ServerTrouble,
    /// Stream after stream ends at once.
    ShortStreams,
    /// A deadline passed, or a probe found the stream dead.
    Silent,
    /// 429.
    Throttled,
    /// The version lies in the server's future.
    TooLargeVersion,
    /// The connection failed.
    Transport,
    /// 401.
    Unauthorized,
    /// The bytes were not what the protocol has.
    Undecodable,
    /// Too many frames that could not be acted upon.
    UnfitEvents,
    /// An event was older than what the store already has.
    VersionWentBack,
    /// The WatchList was refused or did not end.
    WatchListFailed,
}

impl fmt::Display for WakeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// How often what happened, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// LIST requests, pages and probes not counted.
    pub lists: u64,
    /// Further pages.
    pub pages: u64,
    /// WATCH requests with initial events.
    pub watch_lists: u64,
    /// Plain WATCH requests.
    pub watches: u64,
    /// Probes of silent watches.
    pub probes: u64,
    /// Items of lists and initial events.
    pub items: u64,
    /// Events about objects, initial ones not counted.
    pub events: u64,
    /// Bookmarks.
    pub bookmarks: u64,
    /// Bookmarks without a usable or with a lower version (pr-F14).
    pub bookmarks_ignored: u64,
    /// Items and events without an attributable key (pr-F41).
    pub keyless: u64,
    /// Frames that could not be acted upon (pr-E7).
    pub unfit: u64,
    /// Times that a consistent read proved a new server history.
    pub epochs: u64,
    /// Waits and relists by reason, indexed by the reason's discriminant.
    pub reasons: std::collections::BTreeMap<WakeReason, u64>,
}
