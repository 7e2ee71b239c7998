//! What is in a workqueue, for people: what waits, since when, and why.
//!
//! Source: asked for by users of client-go, whose queue cannot be looked into (cg-D4).

use std::{fmt, hash::Hash, time::Duration};

use tidings_api::Instant;

use super::{Priority, Reason, WorkQueue, lanes::COMMON};

/// One key and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyStatus<K> {
    /// The key.
    pub key: K,
    /// Its tenant, empty where tenants are not told apart.
    pub tenant: String,
    /// It waits for a worker, or, while it is worked on, to be worked on again.
    pub dirty: Option<Dirty>,
    /// It is worked on, for so long.
    pub processing: Option<Duration>,
    /// It will be added.
    pub delayed: Option<Delayed>,
    /// Rate-limited additions since it was forgotten.
    pub requeues: u32,
}

/// Why a key waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dirty {
    /// How long it has waited.
    pub waited: Duration,
    /// Its level.
    pub priority: Priority,
    /// What made it dirty.
    pub reason: Reason,
}

/// A key that waits for its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delayed {
    /// How long it still waits.
    pub remaining: Duration,
    /// The level that it will have.
    pub priority: Priority,
    /// Why.
    pub reason: Reason,
}

impl<K: Clone + Eq + Hash> WorkQueue<K> {
    /// What is known of a key.
    #[must_use]
    pub fn status(&self, now: Instant, key: &K) -> Option<KeyStatus<K>> {
        self.slots.find(key).and_then(|id| self.status_of(now, id))
    }

    /// At most `len_max` keys, in no particular order.
    ///
    /// # Complexity
    ///
    /// O(keys listed).
    #[must_use]
    pub fn dump(&self, now: Instant, len_max: usize) -> Vec<KeyStatus<K>> {
        let ids = self.slots.ids();
        ids.filter_map(|id| self.status_of(now, id))
            .take(len_max)
            .collect()
    }

    fn status_of(&self, now: Instant, id: u32) -> Option<KeyStatus<K>> {
        let slot = self.slots.at(id);
        let tenant = match slot.tenant {
            COMMON => "",
            other => self.lanes.tenant_name(other),
        };
        Some(KeyStatus {
            key: slot.key.clone()?,
            tenant: tenant.to_owned(),
            dirty: slot.is_dirty.then(|| Dirty {
                waited: now.saturating_since(slot.since),
                priority: slot.priority,
                reason: slot.reason,
            }),
            processing: slot
                .is_processing
                .then(|| now.saturating_since(slot.started)),
            delayed: self.wheel.due_at(id).map(|at| Delayed {
                remaining: at.saturating_since(now),
                priority: slot.delayed_priority,
                reason: slot.delayed_reason,
            }),
            requeues: slot.failures,
        })
    }
}

impl<K: fmt::Display> fmt::Display for KeyStatus<K> {
    /// One line: `default/web-0 [default] waits 1.2s (normal, retry 3), requeues 3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key)?;
        if !self.tenant.is_empty() {
            write!(f, " [{}]", self.tenant)?;
        }
        let mut separator = " ";
        if let Some(running) = self.processing {
            write!(f, "{separator}worked on for {running:?}")?;
            separator = ", ";
        }
        if let Some(dirty) = &self.dirty {
            let Dirty {
                waited,
                priority,
                reason,
            } = dirty;
            write!(f, "{separator}waits {waited:?} ({priority}, {reason})")?;
            separator = ", ";
        }
        if let Some(delayed) = &self.delayed {
            let Delayed {
                remaining,
                priority,
                reason,
            } = delayed;
            write!(f, "{separator}due in {remaining:?} ({priority}, {reason})")?;
            separator = ", ";
        }
        if self.requeues > 0 {
            write!(f, "{separator}requeues {}", self.requeues)?;
        }
        Ok(())
    }
}
