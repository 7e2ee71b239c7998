//! A state of the store, and a published one with its version.
//!
//! Does not change once it is published.

use tidings_api::ResourceVersion;

use super::{
    KeyHasher,
    index::{Filed, Index, UnknownIndex},
};
use crate::{
    entry::{Entry, Ordinal},
    pages::{PageTrie, Pool},
};

/// The store and its indexes, which always go together.
pub(super) struct State<P> {
    pub(super) entries: PageTrie<Entry<P>>,
    pub(super) indexes: Vec<Index>,
    /// The sum of the objects' sizes.
    pub(super) bytes: usize,
}

/// What a publication makes visible.
pub(super) struct Root<P> {
    pub(super) state: State<P>,
    pub(super) hasher: KeyHasher,
    pub(super) resource_version: Option<ResourceVersion>,
    pub(super) epoch: u64,
    pub(super) generation: u64,
}

// === impl State ===

impl<P> State<P> {
    pub(super) const fn empty() -> Self {
        Self {
            entries: PageTrie::new(),
            indexes: Vec::new(),
            bytes: 0,
        }
    }
}

impl<P: Clone> State<P> {
    /// Puts an entry in; the indexes are the caller's to update.
    pub(super) fn insert(
        &mut self,
        entry: Entry<P>,
        pool: &mut Pool<Entry<P>>,
    ) -> Option<Entry<P>> {
        self.bytes += entry.bytes_len();
        let old = self.entries.insert(entry, pool);
        if let Some(old) = &old {
            self.bytes -= old.bytes_len();
        }
        old
    }

    /// The ordinal that an entry has or would have: the least that no other key of its hash has.
    pub(super) fn ordinal(&self, entry: &Entry<P>) -> Ordinal {
        if let Some(stored) = self.entries.get(entry.hash, entry.object.key_bytes()) {
            return stored.ordinal;
        }
        let mut ordinal = Ordinal::FIRST;
        let is_taken = |ordinal| {
            let mut others = self.entries.with_hash(entry.hash);
            others.any(|other| other.ordinal == ordinal)
        };
        while is_taken(ordinal) {
            ordinal = ordinal.next();
        }
        ordinal
    }

    /// Takes an entry out; the indexes are the caller's to update.
    pub(super) fn remove(
        &mut self,
        hash: u64,
        key: &[u8],
        pool: &mut Pool<Entry<P>>,
    ) -> Option<Entry<P>> {
        let old = self.entries.remove(hash, key, pool)?;
        self.bytes -= old.bytes_len();
        Some(old)
    }
}

impl<P: Clone> Clone for State<P> {
    fn clone(&self) -> Self {
        Self {
            entries: self.entries.clone(),
            indexes: self.indexes.clone(),
            bytes: self.bytes,
        }
    }
}

// === impl Root ===

impl<P> Root<P> {
    pub(super) const fn empty(hasher: KeyHasher) -> Self {
        Self {
            state: State::empty(),
            hasher,
            resource_version: None,
            epoch: 0,
            generation: 0,
        }
    }

    #[inline]
    pub(super) fn get(&self, key: &str) -> Option<&Entry<P>> {
        let hash = self.hasher.hash(key.as_bytes());
        self.state.entries.get(hash, key.as_bytes())
    }

    /// The entry that an index has filed.
    #[inline]
    pub(super) fn filed(&self, filed: Filed) -> Option<&Entry<P>> {
        let mut entries = self.state.entries.with_hash(filed.hash);
        entries.find(|entry| entry.ordinal == filed.ordinal)
    }

    pub(super) fn index(&self, name: &str) -> Result<&Index, UnknownIndex> {
        let index = self.state.indexes.iter().find(|index| index.name() == name);
        index.ok_or_else(|| UnknownIndex { name: name.into() })
    }
}
