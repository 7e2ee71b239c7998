//! What can go wrong for a user of the facade.

use std::{fmt, time::Duration};

use tidings_api::resource::PathError;

/// The informer has stopped: nothing will change any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the informer has stopped")
    }
}

impl std::error::Error for Stopped {}

/// An informer cannot be built. The caller's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// Two indexes have one name.
    DuplicateIndex {
        /// The name.
        name: String,
    },
    /// The scope's namespace cannot stand in a URL.
    Path(PathError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateIndex { name } => write!(f, "there is already an index named {name}"),
            Self::Path(_) => f.write_str("the scope cannot be requested"),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::DuplicateIndex { .. } => None,
            Self::Path(error) => Some(error),
        }
    }
}

/// The informer was not synced in time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncError {
    /// It has stopped: nothing will change any more.
    Stopped,
    /// The time is over; the informer goes on trying.
    TimedOut {
        /// How long was waited.
        after: Duration,
        /// What it was doing, or what went wrong last.
        doing: String,
    },
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => Stopped.fmt(f),
            Self::TimedOut { after, doing } => {
                write!(f, "not synced after {:.1} s: {doing}", after.as_secs_f64())
            }
        }
    }
}

impl std::error::Error for SyncError {}
