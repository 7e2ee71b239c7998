//! What an elector is told and what it asks for.

use std::{fmt, time::Duration};

use tidings_api::{Instant, ResourceVersion};

use super::record::{Record, Seen, StopReason};

/// The number of a request; an answer that bears an old one is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a number with a meaning")]
pub struct RequestId(pub u64);

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the shells and the simulator produce every kind"
)]
pub enum Input {
    /// Begin to stand for election.
    Start,
    /// Time passed: the instant that [`Output::Idle`] named has come.
    Tick,
    /// How a get ended.
    GetAnswered {
        /// Of which request.
        id: RequestId,
        /// How.
        outcome: GetOutcome,
    },
    /// How a create or an update ended.
    WriteAnswered {
        /// Of which request.
        id: RequestId,
        /// How.
        outcome: WriteOutcome,
    },
    /// The watch of the Lease shows it at a version. What is told may be late.
    Observed(Seen),
    /// The watch shows no Lease at a version of the collection. May be late.
    ObservedAbsent(ResourceVersion),
    /// Stop for good; give the lease back, if so configured. The guarded work has ended (ctl-L11).
    Stop,
}

/// How a get ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the shells produce every kind")]
pub enum GetOutcome {
    /// The Lease is there.
    Found(Seen),
    /// It is not there.
    NotFound,
    /// Nobody knows: no answer, or a refusal.
    Failed {
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
    },
}

/// How a create or an update ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the shells produce every kind")]
pub enum WriteOutcome {
    /// It is stored.
    Stored {
        /// The Lease's new version.
        version: ResourceVersion,
    },
    /// It is not stored, since the Lease has changed, has appeared or has gone.
    Conflict,
    /// It is certainly not stored, for another reason.
    Refused {
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
    },
    /// It may be stored, or may still be: no answer, or trouble in the server.
    Unknown,
}

/// What the machine asks for. A request takes the place of the one before, whose answer is not
/// waited for any more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the shells and the simulator obey every kind"
)]
pub enum Output {
    /// Read the Lease.
    Get {
        /// Its number.
        id: RequestId,
    },
    /// Create the Lease.
    Create {
        /// Its number.
        id: RequestId,
        /// What to write.
        record: Record,
    },
    /// Replace the record, if the Lease still has this version.
    Update {
        /// Its number.
        id: RequestId,
        /// What to write.
        record: Record,
        /// The version that it must have.
        version: ResourceVersion,
    },
    /// The work may begin.
    BecameLeader {
        /// The lease's transitions.
        fencing: u32,
        /// When leadership ends, unless it is renewed; [`super::LeaderElector::term`] has it later on.
        valid_until: Instant,
    },
    /// The work must have ended.
    StoppedLeading {
        /// Why.
        reason: StopReason,
    },
    /// Another one holds the lease, as far as is known; empty if nobody does.
    LeaderChanged(String),
    /// It has stopped; nothing follows.
    Released {
        /// Whether the lease is certainly not held by this one: else it is free when it expires.
        clean: bool,
    },
    /// Nothing more to do before this instant, unless something happens.
    Idle {
        /// When to send [`Input::Tick`].
        wake_at: Instant,
    },
}

impl fmt::Display for Output {
    /// The trace notation: `GET`, `UPDATE me d=15 tr=4 rv=10`, `lead fencing=4 until=10s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get { .. } => f.write_str("GET"),
            Self::Create { record, .. } => write!(f, "CREATE {record}"),
            Self::Update {
                record, version, ..
            } => write!(f, "UPDATE {record} rv={version}"),
            Self::BecameLeader {
                fencing,
                valid_until,
            } => write!(f, "lead fencing={fencing} until={valid_until}"),
            Self::StoppedLeading { reason } => write!(f, "stop: {reason}"),
            Self::LeaderChanged(holder) => write!(f, "leader '{holder}'"),
            Self::Released { clean: true } => f.write_str("released"),
            Self::Released { clean: false } => f.write_str("given up"),
            Self::Idle { wake_at } if *wake_at == Instant::FAR_FUTURE => f.write_str("idle"),
            Self::Idle { wake_at } => write!(f, "wake {wake_at}"),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holder = if self.holder.is_empty() {
            "-"
        } else {
            &self.holder
        };
        write!(f, "{holder}")?;
        if let Some(seconds) = self.duration_seconds {
            write!(f, " d={seconds}")?;
        }
        if let (Some(acquired), Some(renewed)) = (self.acquire_time, self.renew_time) {
            write!(f, " at={}..{}", acquired.0, renewed.0)?;
        }
        write!(f, " tr={}", self.transitions)
    }
}
