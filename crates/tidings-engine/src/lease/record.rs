//! The words of an election: the record in the lease, a term of leadership, why one ends.

use std::fmt;

use tidings_api::{Instant, ResourceVersion};

/// A wall clock's time in microseconds since 1970, as a record carries it. It is written and compared
/// for equality, and nothing is ever concluded from its order (ctl-L4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a number with a meaning")]
pub struct Wall(pub i64);

/// What the election reads and writes of a Lease's spec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data with no invariant of its own"
)]
pub struct Record {
    /// Who holds the lease; empty if nobody does (ctl-L7).
    pub holder: String,
    /// For how many seconds after its last change the record holds; absent or not positive in
    /// records that no elector wrote.
    pub duration_seconds: Option<i32>,
    /// When the holder took it, by the holder's clock.
    pub acquire_time: Option<Wall>,
    /// When the holder last renewed it, by the holder's clock.
    pub renew_time: Option<Wall>,
    /// How often the lease has changed hands: the fencing token.
    pub transitions: u32,
}

/// A record at a version, as the server told it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data with no invariant of its own"
)]
pub struct Seen {
    /// The record.
    pub record: Record,
    /// The Lease's resourceVersion.
    pub version: ResourceVersion,
}

/// A time of leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data with no invariant of its own"
)]
pub struct Term {
    /// The lease's transitions: grows from holder to holder (ctl-L13).
    pub fencing: u32,
    /// When the last successful renewal was sent.
    pub renewed_at: Instant,
    /// When leadership ends at the latest, unless it is renewed before.
    pub valid_until: Instant,
}

impl Term {
    /// Whether one may act as the leader now: asked by whoever acts, it is right even when the
    /// machine has not been called for long.
    #[must_use]
    pub fn is_valid(&self, now: Instant) -> bool {
        now < self.valid_until
    }
}

/// Why a leader leads no more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the skin tells every reason apart")]
pub enum StopReason {
    /// Somebody deleted the Lease.
    Deleted,
    /// No renewal succeeded in time (ctl-L9).
    Expired,
    /// The record has our identity, but we did not write it: another process has the same
    /// identity (ctl-L15), or somebody edited the Lease.
    IdentityInUse,
    /// Another candidate holds the lease.
    Lost {
        /// Who.
        to: String,
    },
    /// It was stopped.
    Stopped,
    /// Somebody else emptied the holder.
    Vacated,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deleted => f.write_str("the lease was deleted"),
            Self::Expired => f.write_str("no renewal succeeded in time"),
            Self::IdentityInUse => f.write_str("another process renews with this identity"),
            Self::Lost { to } => write!(f, "the lease was lost to {to}"),
            Self::Stopped => f.write_str("stopped"),
            Self::Vacated => f.write_str("somebody else gave the lease back"),
        }
    }
}
