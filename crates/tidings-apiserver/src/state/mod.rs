//! The versioned state: objects, one global resourceVersion, and the history of changes.
//!
//! Does not do I/O and reads no clock: wall time and seeds are handed in.
//!
//! ```text
//!  history:   | rv 41 | rv 42 | rv 43 | .. | rv 97 |      watches are cursors on it: they own no
//!             ^ compacted                  ^ rv            buffer, and a slow one falls off the end
//! ```
//!
//! T1  `rv` grows by one with each write; each object carries the rv of its last write (pr-E1).
//! T2  The history holds every change after `compacted`, in order, at most `history_max` of them.
//! T3  A change keeps the state before it, so that selection can be decided on both (pr-E3).
//! Source: rules pr-L1..pr-L24, pr-E1..pr-E5, cg-V6.

mod discovery;
mod list;
mod object;
mod watch;
mod write;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use tidings_api::frame::EventKind;

pub use self::{
    list::{ListQuery, Match, Page},
    object::Stored,
    watch::{Watch, WatchListSupport, WatchQuery, WatchStep},
    write::{Part, Patch, Preconditions, Written},
};
use crate::{
    kind::{KindRow, built_in},
    refusal::Refusal,
    seed::Seed,
};

/// All objects of all resources at one version.
pub struct State {
    kinds: Vec<KindRow>,
    collections: Vec<Collection>,
    history: VecDeque<Change>,
    history_max: usize,
    rv: u64,
    compacted: u64,
    /// Continue tokens of an older version are refused, whatever the history still has.
    tokens_from: u64,
    seed: Seed,
}

type Collection = BTreeMap<String, Arc<Stored>>;

/// One write, as watches see it.
pub(crate) struct Change {
    rv: u64,
    resource: usize,
    kind: EventKind,
    object: Arc<Stored>,
    previous: Option<Arc<Stored>>,
}

/// A copy of the objects at one version, to go back to (an etcd snapshot).
pub struct Checkpoint {
    collections: Vec<Collection>,
    rv: u64,
}

// === impl State ===

impl State {
    /// An empty state that serves the built-in kinds.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let kinds = built_in();
        Self {
            collections: kinds.iter().map(|_| Collection::new()).collect(),
            kinds,
            history: VecDeque::new(),
            history_max: HISTORY_MAX,
            rv: 1,
            compacted: 1,
            tokens_from: 0,
            seed: Seed::new(seed),
        }
    }

    /// Serves one more kind.
    pub fn register(&mut self, row: KindRow) {
        self.kinds.push(row);
        self.collections.push(Collection::new());
    }

    /// How many changes the history keeps.
    pub fn set_history_max(&mut self, changes: usize) {
        self.history_max = changes.max(1);
        self.trim_history();
    }

    /// Where a resource stands in the table.
    #[must_use]
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<usize> {
        let is_it =
            |row: &KindRow| row.group == group && row.version == version && row.plural == plural;
        self.kinds.iter().position(is_it)
    }

    /// The table's row of a resource.
    ///
    /// # Panics
    ///
    /// If `resource` did not come from [`State::resource`].
    #[must_use]
    pub fn kind(&self, resource: usize) -> &KindRow {
        &self.kinds[resource]
    }

    /// The table.
    #[must_use]
    pub fn kinds(&self) -> &[KindRow] {
        &self.kinds
    }

    /// The version now.
    #[must_use]
    pub const fn resource_version(&self) -> u64 {
        self.rv
    }

    /// How many objects a resource has.
    #[must_use]
    pub fn len(&self, resource: usize) -> usize {
        self.collections[resource].len()
    }

    /// Whether a resource has none.
    #[must_use]
    pub fn is_empty(&self, resource: usize) -> bool {
        self.len(resource) == 0
    }

    /// The object of a key, `namespace/name` or `name`.
    #[must_use]
    pub fn get(&self, resource: usize, key: &str) -> Option<&Arc<Stored>> {
        self.collections[resource].get(key)
    }

    /// Forgets the history: watches at an older version meet 410 (pr-W11).
    pub fn compact(&mut self) {
        self.history.clear();
        self.compacted = self.rv;
    }

    /// Refuses the continue tokens given so far, as after a compaction, without forgetting (pr-L10).
    pub fn expire_tokens(&mut self) {
        self.tokens_from = self.rv + 1;
    }

    /// A copy of the objects and their version.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            collections: self.collections.clone(),
            rv: self.rv,
        }
    }

    /// Goes back to a checkpoint, as a restored etcd does: versions go back, and the history with
    /// them (pr-F9). Whoever serves this state must cut the open watches.
    pub fn restore(&mut self, checkpoint: &Checkpoint) {
        self.collections.clone_from(&checkpoint.collections);
        self.collections
            .resize_with(self.kinds.len(), Collection::new);
        self.rv = checkpoint.rv;
        self.history.clear();
        self.compacted = self.rv;
        self.tokens_from = 0;
    }

    fn record(&mut self, change: Change) {
        self.history.push_back(change);
        self.trim_history();
    }

    fn trim_history(&mut self) {
        while self.history.len() > self.history_max {
            if let Some(change) = self.history.pop_front() {
                self.compacted = change.rv;
            }
        }
    }

    /// Where in the history the first change after a version is, or the 410 that says it is gone.
    fn history_after(&self, rv: u64) -> Result<usize, Refusal> {
        if rv < self.compacted {
            let message = format!("too old resource version: {rv} ({})", self.compacted);
            return Err(Refusal::new(410, "Expired", message));
        }
        Ok(self.history.partition_point(|change| change.rv <= rv))
    }
}

/// Changes kept by default: the watch cache's largest ring (pr-E12).
const HISTORY_MAX: usize = 102_400;

#[cfg(test)]
mod tests;
