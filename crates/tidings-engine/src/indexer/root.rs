//! A state of the store, and a published one with its version.
//!
//! Does not change once it is published.

use tidings_api::ResourceVersion;

use super::{
    KeyHasher,
    index::{Index, UnknownIndex},
};
use crate::{entry::Entry, pages::PageTrie};

/// The store and its indexes, which always go together.
pub(super) struct State<P> {
    pub(super) entries: PageTrie<Entry<P>>,
    pub(super) indexes: Vec<Index<P>>,
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

impl<P: Clone> Clone for State<P> {
    fn clone(&self) -> Self {
        Self {
            entries: self.entries.clone(),
            indexes: self.indexes.clone(),
            bytes: self.bytes,
        }
    }

    /// Keeps the allocation of the index list.
    fn clone_from(&mut self, source: &Self) {
        self.entries = source.entries.clone();
        self.indexes.clone_from(&source.indexes);
        self.bytes = source.bytes;
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

    pub(super) fn index(&self, name: &str) -> Result<&Index<P>, UnknownIndex> {
        let index = self.state.indexes.iter().find(|index| index.name() == name);
        index.ok_or_else(|| UnknownIndex { name: name.into() })
    }
}
