//! A store over a store: another payload, fewer objects, the same stream.
//!
//! Does not know the reflector or a server: its source is the snapshots of another store, the base.
//! Does not decode: whoever drives it says what an entry of the base is to the view.
//!
//! ```text
//!  base       g1 -------- g2 -------- g3 ------------ g4
//!  the view   known                   target            the difference, in slices, projected
//!                                                       into a store and told to handlers of its own
//! ```
//!
//! V1  Readers of the view see whole publications of the base, as of the version of that: a relist
//!     of the base is one publication here too (INV-S5).
//! V2  A key of the base that is not selected is not in the view; one that ceases to be selected is
//!     told as deleted.
//! V3  An entry whose selection cannot be read stays what it is to the view, in or out (INV-S11).
//! V4  At most two publications of the base are pinned: `known`, and the one under way.
//! Cost: O(what changed), each changed entry projected once, however many versions it had between
//! two looks; the objects are shared with the base.
//! Source: DESIGN 4.8.

use std::{collections::VecDeque, sync::Arc};

use tidings_api::Instant;

use crate::{
    entry::{Entry, Poison, Value},
    fanout::{Change, Fanout, FanoutLimits, Handler, HandlerId, HandlerOptions, Removal},
    indexer::{IndexError, IndexFn, Indexer, Snapshot, SnapshotDiff},
    pages::Difference,
};

/// What an entry of the base is to a view.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "an entry is selected, it is not, or nobody can say"
)]
pub enum Projected<P> {
    /// It is in the view, with this value.
    Selected(Value<P>),
    /// It is not.
    Unselected,
    /// What decides about it cannot be read; one sentence, without the content.
    Unreadable(String),
}

/// A store that follows another. See the [module](self).
pub struct View<B, P> {
    known: Snapshot<B>,
    under_way: Option<UnderWay<B>>,
    indexer: Indexer<P>,
    fanout: Fanout<P>,
    unpublished: VecDeque<Change<P>>,
    is_synced: bool,
    poisoned: u64,
}

struct UnderWay<B> {
    target: Snapshot<B>,
    difference: SnapshotDiff<B>,
}

// === impl View ===

impl<B: Clone, P: Clone> View<B, P> {
    /// A view into an empty store.
    #[must_use]
    pub fn new(indexer: Indexer<P>, limits: FanoutLimits) -> Self {
        Self {
            known: Snapshot::empty(),
            under_way: None,
            indexer,
            fanout: Fanout::new(limits),
            unpublished: VecDeque::new(),
            is_synced: false,
            poisoned: 0,
        }
    }

    /// Follows the base by about `budget` entries and events, and returns whether there is more to
    /// do at once.
    pub fn run(
        &mut self,
        now: Instant,
        budget: usize,
        base: &Snapshot<B>,
        project: &mut impl FnMut(&Entry<B>) -> Projected<P>,
    ) -> bool {
        let budget = budget.max(1);
        let mut left = budget;
        while left > 0 {
            left = self.fanout.tell_live(now, left);
            if left == 0 || !self.follow(base, &mut left, project) {
                break;
            }
        }
        let late = left.max(budget / 4).max(1);
        self.fanout.tell_late(now, late, &self.indexer.snapshot());
        self.indexer.reclaim(RECLAIM_MAX);
        self.fanout.has_work(now) || self.is_behind(base)
    }

    /// Adds a handler; it catches up with the store first.
    pub fn add_handler(
        &mut self,
        now: Instant,
        handler: Box<dyn Handler<P>>,
        options: HandlerOptions,
    ) -> HandlerId {
        let store = self.indexer.snapshot();
        self.fanout.add(now, handler, options, &store)
    }

    /// Removes a handler; `false` if it is not there (any more).
    pub fn remove_handler(&mut self, id: HandlerId, removal: Removal) -> bool {
        self.fanout.remove(id, removal)
    }

    /// Adds an index, at any time; it is seen with the next publication, at once if the view is
    /// level with the base.
    ///
    /// # Errors
    ///
    /// [`IndexError`] if there is one of that name.
    pub fn add_index(&mut self, name: &str, function: IndexFn<P>) -> Result<(), IndexError> {
        self.indexer.add_index(name, function)?;
        if self.under_way.is_none() {
            self.indexer.publish(None, self.known.epoch());
        }
        Ok(())
    }

    /// Every handler that asked for resyncs is due at once.
    pub fn resync(&mut self, now: Instant) {
        self.fanout.resync_now(now);
    }

    /// Whether a complete state of the base has been published.
    #[must_use]
    pub const fn is_synced(&self) -> bool {
        self.is_synced
    }

    /// Entries that came and cannot be decoded, so far.
    #[must_use]
    pub const fn poisoned(&self) -> u64 {
        self.poisoned
    }

    /// The store's writer.
    #[must_use]
    pub const fn indexer(&self) -> &Indexer<P> {
        &self.indexer
    }

    /// The handlers.
    #[must_use]
    pub const fn fanout(&self) -> &Fanout<P> {
        &self.fanout
    }

    /// Checks the store.
    ///
    /// # Panics
    ///
    /// If it is not sane: a programmer's error.
    pub fn check_invariants(&self) {
        self.indexer.check_invariants();
        assert!(
            self.under_way.is_some() || self.unpublished.is_empty(),
            "V1: a publication has been forgotten"
        );
    }

    fn is_behind(&self, base: &Snapshot<B>) -> bool {
        self.under_way.is_some() || self.known.generation() != base.generation()
    }

    /// Takes one step towards the base. Returns whether there was one to take.
    fn follow(
        &mut self,
        base: &Snapshot<B>,
        left: &mut usize,
        project: &mut impl FnMut(&Entry<B>) -> Projected<P>,
    ) -> bool {
        let Some(mut under_way) = self.under_way.take() else {
            if !self.is_behind(base) {
                return false;
            }
            self.under_way = Some(UnderWay {
                target: base.clone(),
                difference: self.known.diff_to(base),
            });
            return true;
        };
        let slice = under_way.difference.next_slice(*left);
        *left -= slice.len().min(*left);
        if slice.is_empty() {
            self.known = under_way.target;
            self.publish();
            return true;
        }
        for difference in slice {
            self.apply(&difference, project);
        }
        self.under_way = Some(under_way);
        true
    }

    fn apply(
        &mut self,
        difference: &Difference<Entry<B>>,
        project: &mut impl FnMut(&Entry<B>) -> Projected<P>,
    ) {
        let (Difference::Added(entry)
        | Difference::Changed { new: entry, .. }
        | Difference::Removed(entry)) = difference;
        let projected = difference
            .newer()
            .map_or(Projected::Unselected, &mut *project);
        let stored = self.indexer.get(entry.object.key());
        let value = match projected {
            Projected::Selected(value) => value,
            Projected::Unreadable(problem) if stored.is_some() => {
                Value::Poisoned(Arc::new(Poison::new(problem, None)))
            }
            Projected::Unreadable(_) | Projected::Unselected => {
                if let Some(old) = self.indexer.remove(entry.object.key()) {
                    self.unpublished
                        .push_back(Change::Removed { old, last: None });
                }
                return;
            }
        };
        self.poisoned += u64::from(matches!(value, Value::Poisoned(_)));
        let hash = self.indexer.hash_key(entry.object.key_bytes());
        let entry = Entry::new(hash, entry.object.clone(), value).with_last_good(stored);
        let old = self.indexer.upsert(entry.clone());
        self.unpublished.push_back(Change::stored(old, entry));
    }

    /// V1: makes visible what the difference brought.
    fn publish(&mut self) {
        let version = self.known.resource_version().cloned();
        let has_version = version.is_some();
        self.indexer.publish(version, self.known.epoch());
        self.fanout.push(&mut self.unpublished);
        if has_version && !self.is_synced {
            self.is_synced = true;
            self.fanout.push_synced();
        }
    }
}

/// Retired objects that are freed in one call of [`View::run`].
const RECLAIM_MAX: usize = 4096;

#[cfg(test)]
mod tests;
