//! A persistent set of keyed items: a hash trie with small leaf pages, copied where it is shared.
//!
//! Has no locks and no threads: one writer changes its own trie, everybody else holds clones of it,
//! which never change.
//!
//! ```text
//!  a clone                the changed trie
//!  [branch: 32 slots]     [branch': the copy]        5 hash bits a level
//!    |         |            |          |
//!    |         +------------|-- page --+             shared: not touched
//!    v                      v
//!  [page: <= 8 items]     [page': the copy]          a page owns 1, 2, 4, .. 32 slots in a row
//! ```
//!
//! A full page splits in two by the next hash bit while it owns several slots, and becomes a branch
//! when it owns one (extendible hashing within a node), so pages stay about 70 % full. Items whose
//! first 60 hash bits are equal end in a bucket, at the bottom. A single item takes no page.
//!
//! G1  `len` is the number of items; each is found by its hash and key, and no key occurs twice.
//! G2  Every run of slots is a power of two long and aligned to it; its item's hashes lead there.
//! G3  No two sibling leaves of equal width hold together at most half a page; no branch has only
//!     one leaf: so a trie that loses its items loses its nodes.
//! G4  Only a node that is held once is changed; one that is held more often is copied first.
//! G5  A change stamps the nodes on its path with the number of its batch ([`Pool::set_stamp`]). So of
//!     two states with one past, whose batches have other numbers, nodes of one place that have the
//!     same stamp have the same items, even if they are not shared.
//! Cost: get, insert, remove O(log32 n), at most 12 branches and one leaf; clone O(1); a change of a
//! shared trie copies one path: a counter for each child of its branches and each item of its page,
//! and no allocation when the pool has spare nodes. Memory: 60 to 80 bytes an item of 32 bytes.
//! Source: Fagin et al., Extendible hashing (1979); Bagwell, Ideal hash trees (2001).

mod branch;
mod diff;
mod iter;
mod node;
mod page;
mod pool;
mod reap;

use self::node::{Leaf, Slot};
pub use self::{
    diff::{Diff, Difference},
    iter::Iter,
    pool::Pool,
    reap::Reaper,
};

/// What a [`PageTrie`] holds: an item with a key and the key's hash.
pub trait Keyed {
    /// What tells items with equal hashes apart.
    type Key: PartialEq + ?Sized;

    /// The key's hash: equal for equal keys.
    fn hash(&self) -> u64;

    /// The key.
    fn key(&self) -> &Self::Key;

    /// Whether `other`, of the same key, is this very item and not a later one.
    fn is_same(&self, other: &Self) -> bool;
}

/// A persistent set of keyed items; a clone is a snapshot.
pub struct PageTrie<E> {
    root: Root<E>,
    len: usize,
}

enum Root<E> {
    /// Typical for the values of an index: no page for a single item.
    One(E),
    Slot(Slot<E>),
}

// === impl PageTrie ===

impl<E: Keyed> PageTrie<E> {
    /// An empty set; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            root: Root::Slot(Slot::Empty),
            len: 0,
        }
    }

    /// How many items there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The item with this key, whose hash is `hash`.
    #[must_use]
    #[inline]
    pub fn get(&self, hash: u64, key: &E::Key) -> Option<&E> {
        match &self.root {
            Root::One(item) => is_key(item, hash, key).then_some(item),
            Root::Slot(slot) => slot.leaf(hash).get(hash, key),
        }
    }

    /// All items whose hash is `hash`: one or none, but for collisions.
    pub fn with_hash(&self, hash: u64) -> impl Iterator<Item = &E> {
        let leaf = match &self.root {
            Root::One(item) => Leaf::Bucket(std::slice::from_ref(item)),
            Root::Slot(slot) => slot.leaf(hash),
        };
        leaf.items().filter(move |item| item.hash() == hash)
    }

    /// All items, in no particular order.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, E> {
        match &self.root {
            Root::One(item) => Iter::one(item),
            Root::Slot(slot) => Iter::all(slot),
        }
    }

    /// Whether nothing was changed between the two: they share their root.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.root, &other.root) {
            (Root::One(left), Root::One(right)) => {
                is_key(left, right.hash(), right.key()) && left.is_same(right)
            }
            (Root::Slot(left), Root::Slot(right)) => left.is_same(right),
            (Root::One(_), Root::Slot(_)) | (Root::Slot(_), Root::One(_)) => false,
        }
    }

    /// Checks G1 to G3.
    ///
    /// # Panics
    ///
    /// If one does not hold: a programmer's error.
    pub fn check_invariants(&self) {
        if let Root::Slot(slot) = &self.root {
            slot.check(0, 0, 0);
            assert!(self.len != 1, "a single item takes no page");
        }
        let mut count = 0;
        for item in self.iter() {
            count += 1;
            let found = self.get(item.hash(), item.key());
            assert!(
                found.is_some_and(|found| std::ptr::eq(found, item)),
                "G1: lost an item"
            );
        }
        assert_eq!(count, self.len, "G1: the length");
    }
}

impl<E: Keyed + Clone> PageTrie<E> {
    /// Puts an item in, and returns the one that had its key.
    pub fn insert(&mut self, item: E, pool: &mut Pool<E>) -> Option<E> {
        if self.len == 0 {
            self.root = Root::One(item);
            self.len = 1;
            return None;
        }
        if let Root::One(present) = &mut self.root {
            if is_key(present, item.hash(), item.key()) {
                return Some(std::mem::replace(present, item));
            }
            let one = std::mem::replace(&mut self.root, Root::Slot(Slot::Empty));
            if let (Root::One(one), Root::Slot(slot)) = (one, &mut self.root) {
                slot.insert(0, one, pool);
            }
        }
        let Root::Slot(slot) = &mut self.root else {
            return None;
        };
        let old = slot.insert(0, item, pool);
        self.len += usize::from(old.is_none());
        old
    }

    /// The item with this key, to be changed in place; its key must stay what it is.
    pub fn get_mut(&mut self, hash: u64, key: &E::Key, pool: &mut Pool<E>) -> Option<&mut E> {
        // An absent key must not cost a copy of the path.
        self.get(hash, key)?;
        match &mut self.root {
            Root::One(item) => Some(item),
            Root::Slot(slot) => slot.get_mut(hash, key, pool),
        }
    }

    /// Takes the item with this key out.
    pub fn remove(&mut self, hash: u64, key: &E::Key, pool: &mut Pool<E>) -> Option<E> {
        self.get(hash, key)?;
        self.len -= 1;
        if self.len == 0 {
            let root = std::mem::replace(&mut self.root, Root::Slot(Slot::Empty));
            return match root {
                Root::One(item) => Some(item),
                Root::Slot(mut slot) => slot.remove(0, hash, key, pool),
            };
        }
        let Root::Slot(slot) = &mut self.root else {
            return None;
        };
        let removed = slot.remove(0, hash, key, pool);
        if self.len == 1
            && let Some(last) = slot.take_only(pool)
        {
            self.root = Root::One(last);
        }
        removed
    }

    /// What turns `self` into `newer`, in slices; what did not change is skipped.
    ///
    /// The two have one past: they are clones of one trie, changed by the same steps under the same
    /// stamps ([`Pool::set_stamp`]) as far as both went; or the older one is empty.
    #[must_use]
    pub fn diff(&self, newer: &Self) -> Diff<E> {
        Diff::new(self.root.to_slot(), newer.root.to_slot())
    }
}

impl<E> Clone for PageTrie<E>
where
    E: Clone,
{
    fn clone(&self) -> Self {
        let root = match &self.root {
            Root::One(item) => Root::One(item.clone()),
            Root::Slot(slot) => Root::Slot(slot.clone()),
        };
        Self {
            root,
            len: self.len,
        }
    }
}

impl<E: Keyed> Default for PageTrie<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a, E: Keyed> IntoIterator for &'a PageTrie<E> {
    type Item = &'a E;
    type IntoIter = Iter<'a, E>;

    fn into_iter(self) -> Iter<'a, E> {
        self.iter()
    }
}

impl<E: Keyed + Clone> Root<E> {
    /// The root as a node, for those that walk two tries together.
    fn to_slot(&self) -> Slot<E> {
        match self {
            Self::One(item) => Slot::Bucket(vec![item.clone()].into()),
            Self::Slot(slot) => slot.clone(),
        }
    }
}

fn is_key<E: Keyed>(item: &E, hash: u64, key: &E::Key) -> bool {
    item.hash() == hash && item.key() == key
}

#[cfg(test)]
mod tests;
