//! What a controller is doing, as values.

use std::{
    fmt,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

/// Where a controller is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// It takes nothing new and does what is left.
    Draining,
    /// Its workers work.
    Running,
    /// Its stores are synced and its queue fills; another replica leads.
    Standby,
    /// It has ended.
    Stopped,
    /// It waits for the first complete state of these resources.
    Syncing {
        /// What is not there yet.
        waiting_for: Vec<String>,
    },
}

/// How reconciles ended, and what else was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ControllerStats {
    /// Reconciles under way.
    pub active: usize,
    /// Ended with [`super::Action::Done`].
    pub done: u64,
    /// Ended with [`super::Action::Again`].
    pub again: u64,
    /// Failed, and will be tried again; panics and deadlines included.
    pub retried: u64,
    /// Gave up, or failed too often: parked.
    pub gave_up: u64,
    /// Panicked.
    pub panicked: u64,
    /// Were not done within their deadline.
    pub timed_out: u64,
    /// Were dropped because somebody asked for it.
    pub cancelled: u64,
    /// Were dropped because the leadership was lost or a shutdown took too long; their keys are queued
    /// again.
    pub dropped: u64,
    /// Waits for a store to see the controller's own writes.
    pub own_write_waits: u64,
    /// Of these, waits that were given up for the time being.
    pub own_write_timeouts: u64,
    /// Own writes that were forgotten because one key had too many.
    pub own_writes_forgotten: u64,
    /// Keys with own writes that a store may not have seen.
    pub own_writes_pending: usize,
    /// Keys that are parked.
    pub parked: usize,
}

/// The counters behind [`ControllerStats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) active: AtomicUsize,
    pub(super) done: AtomicU64,
    pub(super) again: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) gave_up: AtomicU64,
    pub(super) panicked: AtomicU64,
    pub(super) timed_out: AtomicU64,
    pub(super) cancelled: AtomicU64,
    pub(super) dropped: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> ControllerStats {
        ControllerStats {
            active: self.active.load(Relaxed),
            done: self.done.load(Relaxed),
            again: self.again.load(Relaxed),
            retried: self.retried.load(Relaxed),
            gave_up: self.gave_up.load(Relaxed),
            panicked: self.panicked.load(Relaxed),
            timed_out: self.timed_out.load(Relaxed),
            cancelled: self.cancelled.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            ..ControllerStats::default()
        }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Draining => f.write_str("draining"),
            Self::Running => f.write_str("running"),
            Self::Standby => f.write_str("standing by: another replica leads"),
            Self::Stopped => f.write_str("stopped"),
            Self::Syncing { waiting_for } => {
                write!(f, "waiting for {} to be synced", waiting_for.join(", "))
            }
        }
    }
}
