//! What changed since one last looked: for consumers in other tasks, however slow.
//!
//! Does not queue events: a subscription keeps the snapshot that it last told, and tells the
//! difference to the present one. So changes of one key between two looks are one change, deletes
//! keep their last state, and nothing that the consumer does can stall the informer.
//!
//! ```text
//!  published:   g1 ---- g2 ---- g3 ---- g4 ---- g5
//!  told up to:          known ---------------> target      next() tells slices of the difference
//! ```
//!
//! S1  What was told, folded, is `known` plus the told part of the difference; once the difference
//!     is told it is `target`.
//! S2  A consumer that is more than `lag_max` changes behind loses its `known`: the memory that it
//!     pins is bounded. It is told [`SubscriptionEvent::Resync`] with the present store, which
//!     replaces whatever it holds.
//! Source: DESIGN 2 and traps; rules INV-S6, INV-S7, INV-S13.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Weak},
};

use tidings_engine::{
    entry::Entry,
    fanout::{Change, Event},
    indexer::{Snapshot, SnapshotDiff},
};

use crate::{
    state::Progress,
    store::Store,
    sync::{Mutex, watch},
};

/// One thing that a subscription tells.
#[derive(Clone)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a consumer decides on every kind of event"
)]
pub enum SubscriptionEvent<P> {
    /// The object is new to this subscription.
    Added(Entry<P>),
    /// The object is gone; this is the last state that the subscription was told.
    Deleted(Entry<P>),
    /// The object cannot be decoded at present.
    Poisoned(Entry<P>),
    /// The subscription fell too far behind: what it told before counts no more, this is the
    /// state now. What is not in it is gone.
    Resync(Snapshot<P>),
    /// Everything that was there at first has been told; once.
    Synced,
    /// The object changed.
    Updated {
        /// What the subscription told last.
        old: Entry<P>,
        /// The object now.
        new: Entry<P>,
    },
}

/// How far a subscription is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lag {
    /// Changes that the store has seen since the snapshot that was told last.
    pub changes: u64,
    /// How often the subscription was too far behind.
    pub resyncs: u64,
}

/// A stream of changes; see the module.
pub struct Subscription<P> {
    store: Store<P>,
    progress: watch::Receiver<Progress>,
    slot: Arc<Slot<P>>,
    ready: VecDeque<SubscriptionEvent<P>>,
    synced: bool,
    resyncs: u64,
}

struct Slot<P> {
    position: Mutex<Option<Position<P>>>,
}

struct Position<P> {
    known: Snapshot<P>,
    known_changes: u64,
    under_way: Option<(Snapshot<P>, u64, SnapshotDiff<P>)>,
}

/// All subscriptions of an informer, for the driver to cut those that pin too much.
pub(crate) struct Subscribers<P> {
    lag_max: u64,
    slots: Mutex<Vec<Weak<Slot<P>>>>,
}

// === impl Subscription ===

impl<P: Clone> Subscription<P> {
    pub(crate) fn new(
        store: Store<P>,
        progress: watch::Receiver<Progress>,
        subscribers: &Subscribers<P>,
    ) -> Self {
        let position = Position {
            known: Snapshot::empty(),
            known_changes: 0,
            under_way: None,
        };
        let slot = Arc::new(Slot {
            position: Mutex::new(Some(position)),
        });
        subscribers.add(&slot);
        Self {
            store,
            progress,
            slot,
            ready: VecDeque::new(),
            synced: false,
            resyncs: 0,
        }
    }

    /// The next event, or `None` once the informer has stopped and everything is told.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<SubscriptionEvent<P>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let progress = self.progress.borrow_and_update().clone();
            if self.fill(&progress) {
                continue;
            }
            if progress.stopped || self.progress.changed().await.is_err() {
                return None;
            }
        }
    }

    /// How far the subscription is behind.
    #[must_use]
    pub fn lag(&self) -> Lag {
        let changes = self.progress.borrow().changes;
        let position = self.slot.position.lock();
        let known = position
            .as_ref()
            .map_or(0, |position| position.known_changes);
        Lag {
            changes: changes.saturating_sub(known),
            resyncs: self.resyncs,
        }
    }

    /// Takes a slice of what is to be told. Returns whether there may be more.
    fn fill(&mut self, progress: &Progress) -> bool {
        let mut guard = self.slot.position.lock();
        let Some(position) = guard.as_mut() else {
            let known = self.store.snapshot();
            self.resyncs += 1;
            self.ready.clear();
            self.ready
                .push_back(SubscriptionEvent::Resync(known.clone()));
            let known_changes = progress.changes;
            *guard = Some(Position {
                known,
                known_changes,
                under_way: None,
            });
            return true;
        };
        if let Some((target, changes, mut difference)) = position.under_way.take() {
            let slice = difference.next_slice(SLICE_LEN);
            if slice.is_empty() {
                position.known = target;
                position.known_changes = changes;
            } else {
                position.under_way = Some((target, changes, difference));
            }
            for difference in slice {
                let change = Change::from(difference);
                change.tell(false, |event| {
                    self.ready.push_back(SubscriptionEvent::from(&event))
                });
            }
            return true;
        }
        let target = self.store.snapshot();
        if target.generation() != position.known.generation() {
            let difference = position.known.diff_to(&target);
            position.under_way = Some((target, progress.changes, difference));
            return true;
        }
        if !self.synced && position.known.resource_version().is_some() {
            self.synced = true;
            self.ready.push_back(SubscriptionEvent::Synced);
            return true;
        }
        false
    }
}

impl<P> fmt::Debug for SubscriptionEvent<P> {
    /// The kind of event and its key and version; never the content, which may be a Secret's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(entry) => write!(f, "added {:?}", entry.object),
            Self::Deleted(entry) => write!(f, "deleted {:?}", entry.object),
            Self::Poisoned(entry) => write!(f, "poisoned {:?}", entry.object),
            Self::Resync(snapshot) => write!(f, "resync of {}", snapshot.len()),
            Self::Synced => f.write_str("synced"),
            Self::Updated { new, .. } => write!(f, "updated {:?}", new.object),
        }
    }
}

impl<P: Clone> From<&Event<'_, P>> for SubscriptionEvent<P> {
    fn from(event: &Event<'_, P>) -> Self {
        match event {
            Event::Added { new, .. } => Self::Added((*new).clone()),
            Event::Updated { old, new } => Self::Updated {
                old: (*old).clone(),
                new: (*new).clone(),
            },
            Event::Deleted { last, .. } => Self::Deleted((*last).clone()),
            Event::Poisoned { entry } => Self::Poisoned((*entry).clone()),
        }
    }
}

// === impl Subscribers ===

impl<P> Subscribers<P> {
    pub(crate) fn new(lag_max: u64) -> Self {
        Self {
            lag_max,
            slots: Mutex::new(Vec::new()),
        }
    }

    fn add(&self, slot: &Arc<Slot<P>>) {
        self.slots.lock().push(Arc::downgrade(slot));
    }

    /// Takes the snapshots of those that are too far behind (S2).
    pub(crate) fn cut_laggards(&self, changes: u64) {
        self.slots.lock().retain(|slot| {
            let Some(slot) = slot.upgrade() else {
                return false;
            };
            let mut position = slot.position.lock();
            let behind = |position: &Position<P>| changes.saturating_sub(position.known_changes);
            if position
                .as_ref()
                .is_some_and(|position| behind(position) > self.lag_max)
            {
                *position = None;
            }
            true
        });
    }
}

/// Changes that are taken out of a difference at once: the most that a consumer that never comes
/// back keeps alive beside its snapshots.
const SLICE_LEN: usize = 256;
