//! What the reflector tells the store: one change, or one step of a relist.
//!
//! A relist is a stream of steps and not one big delta, so that the list body never has to be held:
//! `Begin`, then each item as it arrives, then `End`, which alone makes the result visible
//! (INV-S5), or `Abort`, which leaves everything as it was.
//!
//! Source: client-go tools/cache/delta_fifo.go and the_real_fifo.go; rules cg-Q1, cg-Q3.

use std::fmt;

use tidings_api::ResourceVersion;

use crate::entry::Entry;

/// One change on its way from the reflector to the store.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every consumer decides on every kind of delta"
)]
pub enum Delta<P> {
    /// The object appeared, or the server says so again.
    Added(Entry<P>),
    /// The object changed.
    Updated(Entry<P>),
    /// The object is gone; the entry holds its last state and the deletion's version (pr-E2).
    Deleted(Entry<P>),
    /// A step of a relist.
    Replaced(Replaced<P>),
    /// Every stored object is to be told again to the handlers that asked for resyncs.
    Sync,
    /// Nothing changed up to this version.
    Bookmark(ResourceVersion),
}

impl<P> Delta<P> {
    /// The entry of a change of one object: what may be merged with others of its key.
    #[must_use]
    pub const fn change(&self) -> Option<&Entry<P>> {
        match self {
            Self::Added(entry) | Self::Updated(entry) | Self::Deleted(entry) => Some(entry),
            Self::Replaced(_) | Self::Sync | Self::Bookmark(_) => None,
        }
    }

    /// The key that this delta concerns, absent for those that concern all.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Added(entry) | Self::Updated(entry) | Self::Deleted(entry) => {
                Some(entry.object.key())
            }
            Self::Replaced(Replaced::Item(entry) | Replaced::Removed(entry)) => {
                Some(entry.object.key())
            }
            Self::Replaced(Replaced::Begin { .. } | Replaced::End { .. } | Replaced::Abort)
            | Self::Sync
            | Self::Bookmark(_) => None,
        }
    }
}

impl<P> fmt::Display for Delta<P> {
    /// The trace notation: `updated default/web-0@1043`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(entry) => write!(f, "added {:?}", entry.object),
            Self::Updated(entry) => write!(f, "updated {:?}", entry.object),
            Self::Deleted(entry) => write!(f, "deleted {:?}", entry.object),
            Self::Replaced(step) => step.fmt(f),
            Self::Sync => f.write_str("sync"),
            Self::Bookmark(version) => write!(f, "bookmark {version}"),
        }
    }
}

/// One step of a relist.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every consumer decides on every step"
)]
pub enum Replaced<P> {
    /// A list begins. Nothing of what follows is visible before its end.
    Begin {
        /// The server's history is another one: equal versions prove nothing (INV-S4).
        force_diff: bool,
    },
    /// The list has this object.
    Item(Entry<P>),
    /// The object went away while the initial events of a WatchList were still coming (cg-R30).
    Removed(Entry<P>),
    /// The list is complete: what was not in it is gone.
    End {
        /// The version of the list.
        resource_version: ResourceVersion,
        /// The epoch that the list opened or continues.
        epoch: u64,
        /// Whether absence proves deletion: not when an item could not be attributed (INV-S11).
        sweep: bool,
    },
    /// The list failed on the way: nothing of it counts.
    Abort,
}

impl<P> fmt::Display for Replaced<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin { force_diff: false } => f.write_str("replace{"),
            Self::Begin { force_diff: true } => f.write_str("replace{!"),
            Self::Item(entry) => write!(f, "{:?}", entry.object),
            Self::Removed(entry) => write!(f, "-{:?}", entry.object),
            Self::End {
                resource_version,
                epoch,
                sweep,
            } => {
                let suffix = if *sweep { "" } else { " no-sweep" };
                write!(f, "}} rv={resource_version} epoch={epoch}{suffix}")
            }
            Self::Abort => f.write_str("}abort"),
        }
    }
}
