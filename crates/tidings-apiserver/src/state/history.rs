//! The changes of late, in order: what watches are cursors on, and lists of the past read.
//!
//! Does not keep what is still there: of an object that exists the history holds a share, so its bytes
//! are not the history's own.
//!
//! ```text
//!  change 41      change 42            change 43            the collection
//!  added a@41     a@41 -> a@42         a@42 -> a@43  ---->  a@43
//!                  own: a@41            own: a@42
//! ```
//!
//! H1  `bytes` is what would be freed if the history were: what each change replaced, and what a deletion
//!     left, with its share of the record.
//! H2  At most `len_max` changes, and no more than `bytes_max` bytes unless the last change alone has more.
//! H3  Changes go from the oldest on; the version of the last that went is `compacted`.
//! Cost: push O(1) amortized, a place by its version O(log n).
//! Source: rules pr-E12, pr-W11; kube-apiserver bounds the number alone, which objects of 3 MB make much.

use std::{collections::VecDeque, sync::Arc};

use tidings_api::frame::EventKind;

use super::Stored;

/// One write, as watches see it.
#[derive(Clone)]
pub(super) struct Change {
    pub(super) rv: u64,
    pub(super) collection: usize,
    pub(super) kind: EventKind,
    /// As it is after the change; of a deletion as it was, at the deletion's version (pr-E2).
    pub(super) object: Arc<Stored>,
    pub(super) previous: Option<Arc<Stored>>,
}

/// How much the history holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair of counts")]
pub struct HistorySize {
    /// Changes.
    pub entries: usize,
    /// Bytes that nothing else holds: objects that were replaced or deleted, and the records.
    pub bytes: usize,
}

pub(super) struct History {
    changes: VecDeque<Change>,
    bytes: usize,
    pub(super) len_max: usize,
    pub(super) bytes_max: usize,
    /// The version up to which changes are gone.
    compacted: u64,
}

// === impl Change ===

impl Change {
    /// What goes with it (H1).
    fn bytes(&self) -> usize {
        let replaced = self.previous.as_ref().map_or(0, |it| it.held_bytes_len());
        let is_last = self.kind == EventKind::Deleted;
        let left = if is_last {
            self.object.held_bytes_len()
        } else {
            0
        };
        size_of::<Self>() + replaced + left
    }
}

// === impl History ===

impl History {
    pub(super) fn new(compacted: u64) -> Self {
        Self {
            changes: VecDeque::new(),
            bytes: 0,
            len_max: LEN_MAX,
            bytes_max: BYTES_MAX,
            compacted,
        }
    }

    pub(super) fn push(&mut self, change: Change) {
        self.bytes += change.bytes();
        self.changes.push_back(change);
        self.trim();
    }

    /// Forgets what is over a bound (H2, H3).
    pub(super) fn trim(&mut self) {
        while self.changes.len() > self.len_max
            || (self.bytes > self.bytes_max && self.changes.len() > 1)
        {
            let Some(change) = self.changes.pop_front() else {
                return;
            };
            self.bytes -= change.bytes();
            self.compacted = change.rv;
        }
    }

    /// Forgets all up to a version, which is the present one.
    pub(super) fn compact(&mut self, rv: u64) {
        // The room of a long history goes with it.
        self.changes = VecDeque::new();
        self.bytes = 0;
        self.compacted = rv;
    }

    pub(super) const fn compacted(&self) -> u64 {
        self.compacted
    }

    /// The changes after a version, which is not before `compacted`.
    pub(super) fn after(&self, rv: u64) -> impl Iterator<Item = &Change> {
        let first = self.changes.partition_point(|change| change.rv <= rv);
        self.changes.range(first..)
    }

    pub(super) fn size(&self) -> HistorySize {
        HistorySize {
            entries: self.changes.len(),
            bytes: self.bytes,
        }
    }

    /// H1 and H2, for tests.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        let bytes: usize = self.changes.iter().map(Change::bytes).sum();
        assert_eq!(bytes, self.bytes);
        assert!(self.changes.len() <= self.len_max);
        assert!(bytes <= self.bytes_max || self.changes.len() <= 1);
        let mut rv = self.compacted;
        for change in &self.changes {
            assert!(change.rv > rv);
            rv = change.rv;
        }
    }
}

/// Changes kept by default: the watch cache's largest ring (pr-E12).
const LEN_MAX: usize = 102_400;

/// Bytes kept by default: all changes that the number allows of objects of 2 KB, or 80 of the largest.
const BYTES_MAX: usize = 256 << 20;
