//! The store with its indexes: one writer, readers that never wait, snapshots.
//!
//! Does not decode, does not notify and does not decide what is newer: the pipeline does. A reader
//! sees only what was published, always the store and all indexes together.
//!
//! ```text
//!  writer                       published                     readers
//!  working state --publish----> ArcSwap<Root gen 43> <--load-- StoreReader::get
//!       ^                            |
//!       +-- redo what it lacks -- Root gen 42 (nobody has it: the next working state)
//!                                 Root gen 41 <--------------- Snapshot (someone still holds it)
//!                                 Root gen 40 -- nobody -----> graveyard: taken apart in slices
//! ```
//!
//! I1  Readers see published roots only; a root never changes (INV-S5).
//! I2  Each index is a pure function of the store: an entry stands under exactly the values that
//!     the index function emits for it (INV-S10). So a function must depend on the entry alone.
//! I3  The published version never goes back within an epoch, nor does the epoch (against cg-S4).
//! I4  Between `replace_begin` and its end nothing is published (INV-S5).
//! I5  Every root that was ever published is also held by the writer until nobody else has it, so no
//!     reader is ever the last holder of one; only when the `Indexer` itself is gone do readers free
//!     what they hold.
//! I6  `entry_bytes` is the sum of the stored objects' sizes, kept last good ones among them.
//! I7  Nodes of the store's trie are stamped with the generation that publishes them first, also when
//!     the change is done again (G5 of the pages).
//! I8  While there is a predecessor that was not brought up to date, the working state is what is
//!     published, and `working` is empty.
//! Cost: get O(log32 n) and one ArcSwap load; upsert one path in the store and one an index value,
//! twice, which are copied only if a snapshot shares them; publish one atomic store; snapshot O(1).
//! Source: client-go tools/cache/thread_safe_store.go @32ce75a7d; rules cg-S1..S5, cg-I12; INV-S4,
//! INV-S5, INV-S10. The order of steps between writer and readers is tested in `tests/schedules`, and with
//! arc-swap itself by real threads.

mod graveyard;
mod index;
mod reader;
mod redo;
mod replace;
mod root;
mod snapshot;

use std::sync::Arc;

use rapidhash::v3::{RapidSecrets, rapidhash_v3_micro_inline};
use tidings_api::ResourceVersion;

pub use self::{
    graveyard::Retained,
    index::{IndexError, IndexFailure, IndexFn, UnknownIndex},
    reader::StoreReader,
    replace::{Seen, Sweep},
    snapshot::{ByIndex, Snapshot, SnapshotDiff},
};
use self::{
    graveyard::{Graveyard, Pools},
    index::{Filed, Functions, Index},
    reader::Shared,
    redo::{Predecessor, Redo, Step},
    replace::Replacement,
    root::{Root, State},
};
use crate::{
    entry::Entry,
    pages::Keyed,
    sync::{ArcSwap, Counted},
};

/// The choices of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a table that users fill with struct update syntax"
)]
pub struct IndexerConfig {
    /// The seed of the key hash: random in production, fixed in a simulation.
    pub seed: u64,
    /// Hash bits in use: 64; tests use few, so that keys collide.
    pub hash_bits: u32,
}

impl Default for IndexerConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            hash_bits: u64::BITS,
        }
    }
}

/// How a store hashes keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyHasher {
    secrets: RapidSecrets,
    mask: u64,
}

/// The writer of a store. See the [module](self).
pub struct Indexer<P> {
    shared: Arc<Shared<P>>,
    hasher: KeyHasher,
    /// What is published.
    published: Counted<Root<P>>,
    working: State<P>,
    /// What `working` is to be made of, when it is needed (I8).
    predecessor: Option<Predecessor<P>>,
    /// What was done to `working` since it was what is published.
    redo: Redo<P>,
    functions: Functions<P>,
    replacement: Option<Replacement<P>>,
    /// Whether `working` differs from what is published.
    dirty: bool,
    /// What the working state has not any more, but the published root has.
    superseded: Retained,
    pools: Pools<P>,
    graveyard: Graveyard<P>,
}

// === impl Indexer ===

impl<P: Clone> Indexer<P> {
    /// An empty store, published as generation 0 without a version.
    #[must_use]
    pub fn new(config: IndexerConfig) -> Self {
        let hasher = KeyHasher::new(config);
        let published = Counted::new(Root::empty(hasher));
        let root = ArcSwap::new(Counted::clone(&published));
        let mut pools = Pools::default();
        pools.entries.set_stamp(1);
        Self {
            shared: Arc::new(Shared { root, hasher }),
            hasher,
            published,
            working: State::empty(),
            predecessor: None,
            redo: Redo::new(),
            functions: Functions::new(),
            replacement: None,
            dirty: false,
            superseded: Retained::default(),
            pools,
            graveyard: Graveyard::new(),
        }
    }

    /// Adds an index and fills it from what is stored, at any time (cg-S3); readers see it from the
    /// next publication on.
    ///
    /// A poisoned entry is passed to the function like any other: one that reads
    /// [`Entry::effective`] files it under its last good value, one that reads the object's
    /// metadata under its present metadata.
    ///
    /// # Errors
    ///
    /// [`IndexError::Duplicate`] if there is one of this name.
    pub fn add_index(&mut self, name: &str, function: IndexFn<P>) -> Result<(), IndexError> {
        if self.functions.contains(name) {
            return Err(IndexError::Duplicate { name: name.into() });
        }
        self.catch_up();
        self.redo.give_up();
        let name: Arc<str> = name.into();
        self.functions.push(Arc::clone(&name), function);
        self.working.indexes.push(Index::new(name));
        self.fill_index(self.working.indexes.len() - 1);
        self.dirty = true;
        Ok(())
    }

    /// Puts an entry in, in the place of the one with its key, which comes back; the indexes
    /// follow.
    pub fn upsert(&mut self, entry: Entry<P>) -> Option<Entry<P>> {
        debug_assert_eq!(
            entry.hash,
            self.hash_key(entry.object.key_bytes()),
            "an entry's hash is its key's under the store's seed"
        );
        self.catch_up();
        self.dirty = true;
        let mut entry = entry;
        entry.ordinal = self.working.ordinal(&entry);
        let old = self.working.insert(entry.clone(), &mut self.pools.entries);
        self.redo.push(Step::Insert(entry.clone()));
        if let Some(old) = &old {
            self.superseded.add(old);
        }
        if let Some(replacement) = &mut self.replacement {
            replacement.note_stored(old.as_ref(), Some(&entry));
        }
        self.update_indexes(old.as_ref(), Some(&entry));
        old
    }

    /// Takes an entry out of the store and its indexes.
    pub fn remove(&mut self, key: &str) -> Option<Entry<P>> {
        let hash = self.hash_key(key.as_bytes());
        self.catch_up();
        let pool = &mut self.pools.entries;
        let old = self.working.remove(hash, key.as_bytes(), pool)?;
        self.dirty = true;
        self.redo.push(Step::Remove(old.clone()));
        self.superseded.add(&old);
        if let Some(replacement) = &mut self.replacement {
            replacement.note_stored(Some(&old), None);
        }
        self.update_indexes(Some(&old), None);
        Some(old)
    }

    /// Makes the working state visible to readers, store and indexes in one step, and returns
    /// whether it did: not if nothing changed, and not during a replacement (I4).
    ///
    /// A version older than the published one of the same epoch is ignored, and so is an older
    /// epoch (I3). `None` keeps the version, except in a new epoch, which starts without one.
    pub fn publish(&mut self, resource_version: Option<ResourceVersion>, epoch: u64) -> bool {
        if self.replacement.is_some() {
            return false;
        }
        let published = &self.published;
        let epoch = epoch.max(published.epoch);
        let resource_version = match (&published.resource_version, resource_version) {
            (Some(present), None) if epoch == published.epoch => Some(present.clone()),
            (Some(present), Some(new)) if epoch == published.epoch && new.is_before(present) => {
                Some(present.clone())
            }
            (_, new) => new,
        };
        let is_new = self.dirty
            || epoch != published.epoch
            || resource_version != published.resource_version;
        if !is_new {
            return false;
        }
        let generation = published.generation + 1;
        self.catch_up();
        let mut root = self.graveyard.spare_root(self.hasher);
        if let Some(fresh) = Counted::get_mut(&mut root) {
            fresh.state = std::mem::replace(&mut self.working, State::empty());
            fresh.resource_version = resource_version;
            fresh.epoch = epoch;
            fresh.generation = generation;
        }
        self.published = Counted::clone(&root);
        // One of the two that the writer held goes with the old value of `published`.
        let root = self.shared.root.swap(root);
        self.predecessor = Some(Predecessor {
            root,
            superseded: std::mem::take(&mut self.superseded),
            lacks: std::mem::replace(&mut self.redo, Redo::new()),
        });
        self.dirty = false;
        true
    }

    /// Frees what nobody can see any more, about `budget` entries and nodes of it, and returns how
    /// many it did. To be called after each publication, when there is time: it also prepares the
    /// next working state.
    ///
    /// # Complexity
    ///
    /// O(budget), whatever was retired; roots that a snapshot still holds are passed over.
    pub fn reclaim(&mut self, budget: usize) -> usize {
        let done = self.prepare(budget);
        done + self
            .graveyard
            .reclaim(budget.saturating_sub(done), &mut self.pools)
    }

    /// The hash of a key, as [`Entry::hash`] must have it.
    #[must_use]
    pub fn hash_key(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    /// The entry of a key in the working state.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Entry<P>> {
        self.get_hashed(self.hash_key(key.as_bytes()), key)
    }

    /// As [`Self::get`], for a key whose hash is known.
    #[must_use]
    pub fn get_hashed(&self, hash: u64, key: &str) -> Option<&Entry<P>> {
        self.state().entries.get(hash, key.as_bytes())
    }

    /// Entries of the working state.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().entries.len()
    }

    /// Whether the working state has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the objects of the working state (I6).
    #[must_use]
    pub fn entry_bytes(&self) -> usize {
        self.state().bytes
    }

    /// What readers may still hold although the present root has it no more, or what waits to be
    /// freed.
    #[must_use]
    pub fn retained(&self) -> Retained {
        let mut retained = self.graveyard.retained();
        if let Some(predecessor) = &self.predecessor {
            retained.generations += 1;
            retained.entries += predecessor.superseded.entries;
            retained.bytes += predecessor.superseded.bytes;
        }
        retained
    }

    /// How often an index function panicked over a new entry; that entry is not in that index.
    #[must_use]
    pub const fn index_failures(&self) -> u64 {
        self.functions.failures()
    }

    /// The last time that an index function panicked.
    #[must_use]
    pub const fn last_index_failure(&self) -> Option<&IndexFailure> {
        self.functions.last_failure()
    }

    /// A handle for readers of what is published.
    #[must_use]
    pub fn reader(&self) -> StoreReader<P> {
        StoreReader::new(Arc::clone(&self.shared))
    }

    /// What is published.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<P> {
        Snapshot::new(Counted::clone(&self.published))
    }

    /// Checks I2, I6, the log and the tries; runs every index function over every entry.
    ///
    /// # Panics
    ///
    /// If one does not hold: a programmer's error, or an index function that does not depend on
    /// its entry alone.
    pub fn check_invariants(&self) {
        self.redo.check_invariants();
        let state = self.state();
        state.entries.check_invariants();
        let entries = || state.entries.iter();
        for entry in entries() {
            let hash = self.hash_key(entry.object.key_bytes());
            assert_eq!(entry.hash, hash, "the hash of {:?}", entry.object);
        }
        let bytes: usize = entries().map(Entry::bytes_len).sum();
        assert_eq!(bytes, state.bytes, "I6: the bytes");
        assert_eq!(
            state.indexes.len(),
            self.functions.len(),
            "I2: an index is missing"
        );
        for (at, index) in state.indexes.iter().enumerate() {
            let mut expected = 0;
            for entry in entries() {
                for value in self.functions.values(at, entry).iter() {
                    expected += 1;
                    let posting = index.get(self.hasher, value);
                    let filed = Filed::of(entry);
                    assert!(
                        posting.is_some_and(|posting| {
                            posting.filed.get(filed.hash, &filed.ordinal).is_some()
                        }),
                        "I2: {:?} is not in {}",
                        entry.object,
                        index.name()
                    );
                }
            }
            index.check_invariants(expected);
        }
    }

    /// The working state.
    fn state(&self) -> &State<P> {
        match &self.predecessor {
            Some(_) => &self.published.state,
            None => &self.working,
        }
    }

    /// Makes `working` what is published, whatever it takes (I8).
    fn catch_up(&mut self) {
        self.prepare(usize::MAX);
        // If there is still one a reader holds it, and shall keep it.
        self.start_over();
    }

    /// Leaves the predecessor to the graveyard: the working state becomes a copy of what is
    /// published, whose nodes are shared until they are touched.
    fn start_over(&mut self) {
        if let Some(predecessor) = self.predecessor.take() {
            self.graveyard
                .retire(predecessor.root, predecessor.superseded);
            self.working = self.published.state.clone();
            self.pools.entries.set_stamp(self.published.generation + 1);
        }
    }

    /// Brings the predecessor up to date, about `budget` steps of it, if nobody else has it, and
    /// returns how many it did.
    fn prepare(&mut self, budget: usize) -> usize {
        let Some(predecessor) = &mut self.predecessor else {
            return 0;
        };
        if !predecessor.lacks.is_whole() {
            self.start_over();
            return 0;
        }
        let Some(root) = Counted::get_mut(&mut predecessor.root) else {
            return 0;
        };
        let lacks = &mut predecessor.lacks;
        self.pools.entries.set_stamp(self.published.generation);
        let done = lacks.run(budget, &mut root.state, self.hasher, &mut self.pools);
        if !lacks.is_empty() {
            return done;
        }
        self.working = std::mem::replace(&mut root.state, State::empty());
        self.pools.entries.set_stamp(self.published.generation + 1);
        if let Some(predecessor) = self.predecessor.take() {
            self.graveyard
                .reuse_root(predecessor.root, predecessor.superseded);
        }
        done
    }

    fn update_indexes(&mut self, old: Option<&Entry<P>>, new: Option<&Entry<P>>) {
        for at in 0..self.working.indexes.len() {
            self.update_index(at, old, new);
        }
    }

    /// Files the new entry under the values that the old one, of the same key, did not have, and
    /// takes that one out from under those that the new one has not.
    fn update_index(&mut self, at: usize, old: Option<&Entry<P>>, new: Option<&Entry<P>>) {
        let index = &mut self.working.indexes[at];
        let (before, after) = self.functions.change(at, old, new);
        if let Some(new) = new {
            for value in after.iter().filter(|value| !before.contains(value)) {
                let value = index.file(self.hasher, value, Filed::of(new), &mut self.pools);
                self.redo.push(Step::File { index: at, value });
            }
        }
        if let Some(old) = old {
            for value in before.iter().filter(|value| !after.contains(value)) {
                let filed = Filed::of(old);
                if let Some(value) = index.unfile(self.hasher, value, filed, &mut self.pools) {
                    self.redo.push(Step::Unfile { index: at, value });
                }
            }
        }
    }

    /// Files every stored entry in index `at`, which is empty.
    fn fill_index(&mut self, at: usize) {
        let index = &mut self.working.indexes[at];
        for entry in &self.working.entries {
            let (_, values) = self.functions.change(at, None, Some(entry));
            for value in values.iter() {
                index.file(self.hasher, value, Filed::of(entry), &mut self.pools);
            }
        }
    }
}

// === impl KeyHasher ===

impl KeyHasher {
    fn new(config: IndexerConfig) -> Self {
        let unused = u64::MAX.checked_shr(config.hash_bits).unwrap_or(0);
        Self {
            secrets: RapidSecrets::seed(config.seed),
            mask: !unused,
        }
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        rapidhash_v3_micro_inline::<true, false>(key, &self.secrets) & self.mask
    }
}

impl<P> Keyed for Entry<P> {
    type Key = [u8];

    #[inline]
    fn hash(&self) -> u64 {
        self.hash
    }

    #[inline]
    fn key(&self) -> &[u8] {
        self.object.key_bytes()
    }

    fn is_same(&self, other: &Self) -> bool {
        self.object.is_same(&other.object)
    }
}

#[cfg(test)]
mod tests;
