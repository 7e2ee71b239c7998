//! What the reflector is told and what it asks for.

use std::{fmt, time::Duration};

use tidings_api::{
    Instant, ResourceVersion,
    frame::EventKind,
    options::{ListOptions, WatchOptions},
    resource_version::ResourceVersionError,
    status::Status,
};

use crate::{delta::Delta, entry::Entry};

/// Something that happened. Inputs about a response concern the stream asked for last.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the shells and the simulator produce every kind"
)]
pub enum Input<P> {
    /// Begin to follow the resource.
    Start,
    /// Time passed: the instant that [`Output::Idle`] named has come.
    Tick,
    /// The server accepted the request; its body follows.
    Accepted,
    /// The server refused the request.
    Refused {
        /// The HTTP code.
        code: u16,
        /// The body, as far as it is a Status.
        status: Box<Status>,
        /// The `Retry-After` header.
        retry_after: Option<Duration>,
    },
    /// One item of a list.
    Item(Received<P>),
    /// The list, or this page of it, is complete.
    PageEnd {
        /// The version in the list's metadata.
        resource_version: Result<ResourceVersion, ResourceVersionError>,
        /// The token of the next page, empty if this was the last.
        continue_token: String,
        /// How many items are still to come, if the server says so.
        remaining: Option<u64>,
    },
    /// A watch event about an object.
    Event(EventKind, Received<P>),
    /// A bookmark (pr-E4).
    Bookmark {
        /// Its version.
        resource_version: Result<ResourceVersion, ResourceVersionError>,
        /// Whether it ends the initial events of a WatchList (pr-E5).
        initial_events_end: bool,
    },
    /// An ERROR event (pr-W11).
    ErrorEvent(Box<Status>),
    /// A well-formed frame that says nothing this machine may act upon.
    Unfit(Unfit),
    /// The stream ended where its framing says it may.
    Ended,
    /// The stream, or the attempt to open it, failed.
    Broken(Failure),
    /// The consumer has applied deltas to the store.
    Applied {
        /// How many of those that were enqueued.
        deltas: u64,
        /// The store's version now, if it moved.
        resource_version: Option<ResourceVersion>,
    },
    /// The answer to a probe: the version of a consistent list (pr-E11c).
    ProbeAnswered(ResourceVersion),
    /// The probe was refused or failed.
    ProbeFailed,
    /// Stop for good.
    Stop,
}

/// An object as it came: usable, possibly poisoned, or without an attributable key.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "an object is one or the other")]
pub enum Received<P> {
    /// An object with a key. Its value may be poisoned.
    Entry(Entry<P>),
    /// An item whose key could not be found (pr-F41): it hurts nobody, and proves no absence.
    Keyless,
}

/// Why a well-formed frame is not acted upon (pr 1.7, last row).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "counted one by one")]
pub enum Unfit {
    /// The event type is none that the protocol has (pr-E7).
    UnknownType,
    /// The object is of another kind than the list said.
    WrongKind,
}

impl Unfit {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::UnknownType => "an event has an unknown type",
            Self::WrongKind => "an object is of another kind",
        }
    }
}

/// How a stream, or the attempt to open it, failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data with no invariant of its own"
)]
pub struct Failure {
    /// What kind of failure: it decides what is done.
    pub kind: FailureKind,
    /// One sentence for people, without secrets and without content.
    pub message: String,
}

/// The kinds of failure that are treated differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the reflector decides on every kind"
)]
pub enum FailureKind {
    /// The connection could not be made, or broke, or its body ended early.
    Transport,
    /// The bytes are not what the protocol has: not JSON, a frame over its bound, an HTML page.
    Undecodable,
}

/// What the machine asks for.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the shells and the simulator obey every kind"
)]
pub enum Output<P> {
    /// Put this delta into the DeltaFIFO.
    Enqueue(Delta<P>),
    /// Drop the stream in flight, if any, and open this one.
    Open(Call),
    /// Drop the stream in flight.
    Close,
    /// Load the credentials anew before the next request.
    ReloadCredentials,
    /// Send a consistent list of one item beside the stream and report its version.
    Probe,
    /// Nothing more to do before this instant, unless something happens.
    Idle {
        /// When to send [`Input::Tick`].
        wake_at: Instant,
    },
}

/// A request to make.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the shells send every kind")]
pub enum Call {
    /// A list or a page of one.
    List(ListOptions),
    /// A watch, with or without initial events.
    Watch(WatchOptions),
}

impl<P> fmt::Display for Output<P> {
    /// The trace notation: `LIST limit=500 rv=''`, `WATCH rv=10`, `updated a@12`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enqueue(delta) => delta.fmt(f),
            Self::Open(call) => call.fmt(f),
            Self::Close => f.write_str("close"),
            Self::ReloadCredentials => f.write_str("reload-credentials"),
            Self::Probe => f.write_str("PROBE"),
            Self::Idle { wake_at } if *wake_at == Instant::FAR_FUTURE => f.write_str("idle"),
            Self::Idle { wake_at } => write!(f, "wake t={wake_at}"),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use tidings_api::options::ListVersion;
        match self {
            Self::List(options) => {
                f.write_str("LIST")?;
                if let Some(limit) = options.limit {
                    write!(f, " limit={limit}")?;
                }
                match (&options.continue_token, &options.version) {
                    (Some(token), _) => write!(f, " continue={token}"),
                    (None, ListVersion::Consistent) => f.write_str(" rv=''"),
                    (None, ListVersion::Any) => f.write_str(" rv=0"),
                    (None, ListVersion::NotOlderThan(version)) => write!(f, " rv>={version}"),
                    (None, ListVersion::Exact(version)) => write!(f, " rv=={version}"),
                }
            }
            Self::Watch(options) => {
                f.write_str(if options.send_initial_events {
                    "WATCHLIST"
                } else {
                    "WATCH"
                })?;
                match &options.resource_version {
                    Some(version) => write!(f, " rv={version}"),
                    None => f.write_str(" rv=''"),
                }
            }
        }
    }
}
