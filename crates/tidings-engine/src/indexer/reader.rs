//! The readers' handle: what is published, one question at a time.
//!
//! Does not hold a root between two questions, so an idle reader pins nothing. Does not wait for
//! the writer, whatever it does.
//!
//! Cost: one ArcSwap load a question; a get clones the entry, which counts one object up.

use std::sync::Arc;

use tidings_api::ResourceVersion;

use super::{KeyHasher, index::UnknownIndex, root::Root, snapshot::Snapshot};
use crate::{entry::Entry, sync::ArcSwap};

/// What writer and readers share.
pub(super) struct Shared<P> {
    pub(super) root: ArcSwap<Root<P>>,
    pub(super) hasher: KeyHasher,
}

/// A handle to read a store; clones read the same store.
///
/// Two questions may be answered from two publications: whoever needs them to agree takes a
/// [`Snapshot`].
pub struct StoreReader<P> {
    shared: Arc<Shared<P>>,
}

// === impl StoreReader ===

impl<P> StoreReader<P> {
    pub(super) const fn new(shared: Arc<Shared<P>>) -> Self {
        Self { shared }
    }

    /// Looks at the entry of a key without cloning it. `look` should be short: it delays nobody,
    /// but keeps the whole publication alive.
    #[inline]
    pub fn with<R>(&self, key: &str, look: impl FnOnce(Option<&Entry<P>>) -> R) -> R {
        look(self.shared.root.load().get(key))
    }

    /// Whether there is an entry of this key.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.with(key, |entry| entry.is_some())
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.root.load().state.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the objects.
    #[must_use]
    pub fn entry_bytes(&self) -> usize {
        self.shared.root.load().state.bytes
    }

    /// All values of an index, sorted (client-go's ListIndexFuncValues).
    ///
    /// # Errors
    ///
    /// [`UnknownIndex`] if no index of this name was published.
    pub fn index_values(&self, name: &str) -> Result<Vec<Arc<str>>, UnknownIndex> {
        Ok(self.shared.root.load().index(name)?.values())
    }

    /// Everything that is published now, to be read together. O(1).
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<P> {
        Snapshot::new(self.shared.root.load_full())
    }

    /// The version of the collection that is published, if any was.
    #[must_use]
    pub fn resource_version(&self) -> Option<ResourceVersion> {
        self.shared.root.load().resource_version.clone()
    }

    /// The server history that the version belongs to.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.shared.root.load().epoch
    }

    /// The number of publications so far.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.shared.root.load().generation
    }

    /// The hash of a key, as [`Entry::hash`] must have it.
    #[must_use]
    pub fn hash_key(&self, key: &[u8]) -> u64 {
        self.shared.hasher.hash(key)
    }
}

impl<P: Clone> StoreReader<P> {
    /// The entry of a key.
    #[must_use]
    #[inline]
    pub fn get(&self, key: &str) -> Option<Entry<P>> {
        self.with(key, |entry| entry.cloned())
    }

    /// All entries, in no particular order (cg-S5).
    #[must_use]
    pub fn list(&self) -> Vec<Entry<P>> {
        self.snapshot().iter().cloned().collect()
    }

    /// The entries for which the index function emitted `value`, in no particular order.
    ///
    /// # Errors
    ///
    /// [`UnknownIndex`] if no index of this name was published.
    pub fn by_index(&self, name: &str, value: &str) -> Result<Vec<Entry<P>>, UnknownIndex> {
        Ok(self.snapshot().by_index(name, value)?.cloned().collect())
    }

    /// The keys of those entries, sorted (client-go's IndexKeys).
    ///
    /// # Errors
    ///
    /// [`UnknownIndex`] if no index of this name was published.
    pub fn index_keys(&self, name: &str, value: &str) -> Result<Vec<Box<str>>, UnknownIndex> {
        self.snapshot().index_keys(name, value)
    }
}

/// Not derived: the entries need not be clonable.
impl<P> Clone for StoreReader<P> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}
