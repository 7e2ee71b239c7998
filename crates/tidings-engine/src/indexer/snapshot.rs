//! One publication, held: store and indexes as of one version.
//!
//! Does not change and does not stop the writer. It keeps alive what it shows: let it go when it
//! has been read (the writer's gauge is [`super::Retained`]).

use std::sync::Arc;

use tidings_api::ResourceVersion;

use super::{
    IndexerConfig, KeyHasher,
    index::{Filed, UnknownIndex},
    root::Root,
};
use crate::{
    entry::Entry,
    pages::{Diff, Difference, Iter},
    sync::Counted,
};

/// A consistent view of a store and its indexes; clones are the same view.
pub struct Snapshot<P> {
    root: Counted<Root<P>>,
}

/// The entries under one value of an index.
pub struct ByIndex<'a, P> {
    filed: Option<Iter<'a, Filed>>,
    root: &'a Root<P>,
}

/// What turns one snapshot into another, in slices; it holds both.
pub struct SnapshotDiff<P> {
    diff: Diff<Entry<P>>,
    /// While these are held, the nodes that `diff` walks are not the last of their kind (I5 of the
    /// indexer).
    _roots: [Counted<Root<P>>; 2],
}

// === impl Snapshot ===

impl<P> Snapshot<P> {
    pub(super) const fn new(root: Counted<Root<P>>) -> Self {
        Self { root }
    }

    /// The snapshot of a store that has nothing: what someone knows who knows nothing yet.
    #[must_use]
    pub fn empty() -> Self {
        Self::new(Counted::new(Root::empty(KeyHasher::new(
            IndexerConfig::default(),
        ))))
    }

    /// The entry of a key.
    #[must_use]
    #[inline]
    pub fn get(&self, key: &str) -> Option<&Entry<P>> {
        self.root.get(key)
    }

    /// All entries, in no particular order (cg-S5).
    #[must_use]
    pub fn iter(&self) -> Iter<'_, Entry<P>> {
        self.root.state.entries.iter()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.root.state.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the objects.
    #[must_use]
    pub fn entry_bytes(&self) -> usize {
        self.root.state.bytes
    }

    /// The entries for which the index function emitted `value`, in no particular order.
    ///
    /// # Errors
    ///
    /// [`UnknownIndex`] if the store had no index of this name.
    pub fn by_index(&self, name: &str, value: &str) -> Result<ByIndex<'_, P>, UnknownIndex> {
        let posting = self.root.index(name)?.get(self.root.hasher, value);
        Ok(ByIndex {
            filed: posting.map(|posting| posting.filed.iter()),
            root: &self.root,
        })
    }

    /// The keys of those entries, sorted (client-go's IndexKeys).
    ///
    /// # Errors
    ///
    /// [`UnknownIndex`] if the store had no index of this name.
    pub fn index_keys(&self, name: &str, value: &str) -> Result<Vec<Box<str>>, UnknownIndex> {
        let entries = self.by_index(name, value)?;
        let mut keys: Vec<Box<str>> = entries.map(|entry| entry.object.key().into()).collect();
        keys.sort_unstable();
        Ok(keys)
    }

    /// All values of an index, sorted (client-go's ListIndexFuncValues).
    ///
    /// # Errors
    ///
    /// [`UnknownIndex`] if the store had no index of this name.
    pub fn index_values(&self, name: &str) -> Result<Vec<Arc<str>>, UnknownIndex> {
        Ok(self.root.index(name)?.values())
    }

    /// The version of the collection, if one was known.
    #[must_use]
    pub fn resource_version(&self) -> Option<&ResourceVersion> {
        self.root.resource_version.as_ref()
    }

    /// The server history that the version belongs to.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.root.epoch
    }

    /// The number of publications up to this one.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.root.generation
    }
}

impl<P: Clone> Snapshot<P> {
    /// What turns this snapshot into a newer one of the same store, or an empty one into any.
    /// An entry differs if its object is another one, even one of the same version.
    #[must_use]
    pub fn diff_to(&self, newer: &Self) -> SnapshotDiff<P> {
        SnapshotDiff {
            diff: self.root.state.entries.diff(&newer.root.state.entries),
            _roots: [Counted::clone(&self.root), Counted::clone(&newer.root)],
        }
    }
}

impl<'a, P> IntoIterator for &'a Snapshot<P> {
    type Item = &'a Entry<P>;
    type IntoIter = Iter<'a, Entry<P>>;

    fn into_iter(self) -> Iter<'a, Entry<P>> {
        self.iter()
    }
}

/// Not derived: the entries need not be clonable.
impl<P> Clone for Snapshot<P> {
    fn clone(&self) -> Self {
        Self::new(Counted::clone(&self.root))
    }
}

// === impl ByIndex ===

impl<'a, P> Iterator for ByIndex<'a, P> {
    type Item = &'a Entry<P>;

    #[inline]
    fn next(&mut self) -> Option<&'a Entry<P>> {
        let filed = self.filed.as_mut()?;
        // I2: whatever is filed is stored.
        filed.find_map(|filed| self.root.filed(*filed))
    }
}

// === impl SnapshotDiff ===

impl<P: Clone> SnapshotDiff<P> {
    /// The next differences, at most `len_max` of them, in no particular order. None are left when
    /// the slice is empty, if `len_max` is not zero.
    #[must_use]
    pub fn next_slice(&mut self, len_max: usize) -> Vec<Difference<Entry<P>>> {
        self.diff.next_slice(len_max)
    }

    /// Nodes of the tries that were looked at so far: what the difference cost.
    #[must_use]
    pub const fn compared(&self) -> usize {
        self.diff.compared()
    }
}
