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
//! T2  The history holds every change after its `compacted`, in order, bounded in number and bytes.
//! T3  A change keeps the state before it, so that selection can be decided on both (pr-E3).
//! Source: rules pr-L1..pr-L24, pr-E1..pr-E5, cg-V6.

mod address;
mod admission;
mod apply;
mod checks;
mod collect;
mod decode;
mod defaults;
mod definition;
mod delete;
mod discovery;
mod fields;
mod history;
mod list;
mod managed;
mod names;
mod object;
mod openapi;
mod order;
mod patch;
mod replica;
mod scale;
mod schema;
mod shape;
mod strategic;
mod table;
mod typed;
mod view;
mod watch;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use imbl::OrdMap;

use self::{
    collect::Work,
    history::{Change, History},
    view::Place,
};
pub use self::{
    delete::{DeleteOptions, Preconditions, Propagation},
    history::HistorySize,
    list::{ListQuery, Match, Page, Snapshot},
    object::Stored,
    patch::Patch,
    replica::Changed,
    schema::Schema,
    table::{Form, Include, MetaVersion, Printed},
    watch::{Watch, WatchListSupport, WatchQuery, WatchStep},
    write::{Admission, Effect, FieldValidation, Outcome, Part, Terms, Written},
};
#[cfg(feature = "serve")]
pub(crate) use self::{
    list::{match_faults, not_a_version},
    names::not_registered,
    patch::type_of,
    typed::settle_options,
};
use crate::{
    kind::{KindRow, built_in},
    refusal::Refusal,
    seed::Seed,
};

/// All objects of all resources at one version.
pub struct State {
    kinds: Vec<Arc<KindRow>>,
    /// Where each kind's objects are, and how it shows them.
    places: Vec<Place>,
    collections: Vec<Collection>,
    /// The objects that name an owner, by its uid: collection and key.
    dependents: BTreeMap<String, BTreeSet<(usize, Arc<str>)>>,
    /// What is to be looked at because of the writes so far.
    work: BTreeSet<Work>,
    /// The next service address to try.
    next_address: u32,
    history: History,
    rv: u64,
    /// Continue tokens of an older version are refused, whatever the history still has.
    tokens_from: u64,
    seed: Seed,
}

/// The objects of a kind by their keys. A copy of it is one counted reference, and shares what does not
/// change afterwards: lists are read off such a copy, while writes go on.
type Collection = OrdMap<Arc<str>, Arc<Stored>>;

/// A copy of the objects at one version, to go back to (an etcd snapshot).
pub struct Checkpoint {
    collections: Vec<Collection>,
    rv: u64,
}

// === impl State ===

impl State {
    /// A state that serves the built-in kinds and has the namespaces of every cluster, which are there
    /// from the first version on.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::new_at(seed, 0)
    }

    /// The same, begun at a time in seconds since 1970: its namespaces are as old.
    #[must_use]
    pub fn new_at(seed: u64, now: u64) -> Self {
        let mut state = Self {
            kinds: Vec::new(),
            places: Vec::new(),
            collections: Vec::new(),
            dependents: BTreeMap::new(),
            work: BTreeSet::new(),
            next_address: 0,
            history: History::new(1),
            rv: 1,
            tokens_from: 0,
            seed: Seed::new(seed),
        };
        for row in built_in() {
            state.register(row);
        }
        state.share_events();
        state.lay_namespaces(now);
        state
    }

    /// Serves one more kind.
    pub fn register(&mut self, row: KindRow) {
        let collection = self.collections.len();
        self.collections.push(Collection::new());
        self.places
            .push(Place::own(&row, self.kinds.len(), collection));
        self.kinds.push(Arc::new(row));
    }

    /// How many changes the history keeps at most. 102 400 unless set.
    pub fn set_history_max(&mut self, changes: usize) {
        self.history.len_max = changes.max(1);
        self.history.trim();
    }

    /// How many bytes the history keeps at most, as long as it has more than one change. 256 MiB unless
    /// set.
    pub fn set_history_bytes_max(&mut self, bytes: usize) {
        self.history.bytes_max = bytes;
        self.history.trim();
    }

    /// How much the history holds, apart from the objects that there are.
    #[must_use]
    pub fn history_size(&self) -> HistorySize {
        self.history.size()
    }

    /// Where a resource stands in the table.
    #[must_use]
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<usize> {
        let is_it =
            |row: &KindRow| row.group == group && row.version == version && row.plural == plural;
        let mut rows = self.kinds.iter().zip(&self.places);
        rows.position(|(row, place)| place.served && is_it(row))
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

    /// The same row, to be kept while the state changes.
    pub(crate) fn row(&self, resource: usize) -> Arc<KindRow> {
        Arc::clone(&self.kinds[resource])
    }

    /// The table, as far as it is served.
    pub fn kinds(&self) -> impl Iterator<Item = &KindRow> {
        let rows = self.kinds.iter().zip(&self.places);
        rows.filter_map(|(row, place)| place.served.then_some(&**row))
    }

    fn objects(&self, resource: usize) -> &Collection {
        &self.collections[self.places[resource].collection]
    }

    /// The version now.
    #[must_use]
    pub const fn resource_version(&self) -> u64 {
        self.rv
    }

    /// How many objects a resource has.
    #[must_use]
    pub fn len(&self, resource: usize) -> usize {
        self.objects(resource).len()
    }

    /// Whether a resource has none.
    #[must_use]
    pub fn is_empty(&self, resource: usize) -> bool {
        self.len(resource) == 0
    }

    /// The object of a key, `namespace/name` or `name`.
    #[must_use]
    pub fn get(&self, resource: usize, key: &str) -> Option<&Arc<Stored>> {
        self.objects(resource).get(key)
    }

    /// Forgets the history: watches at an older version meet 410 (pr-W11).
    pub fn compact(&mut self) {
        self.history.compact(self.rv);
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
        let wanted = self.places.iter().map(|place| place.collection + 1).max();
        self.collections
            .resize_with(wanted.unwrap_or(0), Collection::new);
        self.rebuild();
        self.rv = checkpoint.rv;
        self.history.compact(self.rv);
        self.tokens_from = 0;
    }

    /// The changes after a version, or the 410 that says that they are gone.
    fn changes_after(&self, rv: u64) -> Result<impl Iterator<Item = &Change>, Refusal> {
        let compacted = self.history.compacted();
        if rv < compacted {
            let message = format!("too old resource version: {rv} ({compacted})");
            return Err(Refusal::new(410, "Expired", message));
        }
        Ok(self.history.after(rv))
    }
}

#[cfg(test)]
mod tests;
