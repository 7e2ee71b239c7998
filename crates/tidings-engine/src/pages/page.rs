//! A page: up to eight items, found by their hashes.
//!
//! Does not allocate and does not grow: a full page says so.
//!
//! N3  The first `len` items are there, the others are not.
//! Cost: a get compares the hashes one after the other. A byte of each hash in front, compared all
//! at once, made it slower: the items' cache lines then come after that one and not with it.

use super::{Keyed, is_key};

/// Items of a page. Wider pages are read no faster, and each copy counts up every object in them.
pub(super) const PAGE_LEN: usize = 8;

pub(super) struct Page<E> {
    /// When an item was changed last (G5).
    pub(super) stamp: u64,
    len: u8,
    items: [Option<E>; PAGE_LEN],
}

/// What became of an item that was put into a page.
pub(super) enum Inserted<E> {
    New,
    Replaced(E),
    /// There is no room; the item comes back.
    Full(E),
}

// === impl Page ===

impl<E> Page<E> {
    pub(super) const fn new() -> Self {
        Self {
            stamp: 0,
            len: 0,
            items: [const { None }; PAGE_LEN],
        }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    pub(super) fn items(&self) -> &[Option<E>] {
        &self.items[..self.len()]
    }

    /// Takes the last item out.
    pub(super) fn pop(&mut self) -> Option<E> {
        let last = self.len().checked_sub(1)?;
        self.len -= 1;
        self.items[last].take()
    }
}

impl<E: Clone> Page<E> {
    /// Makes a new page hold the same items as another.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.len = other.len;
        for (to, from) in self.items.iter_mut().zip(other.items()) {
            to.clone_from(from);
        }
    }
}

impl<E: Keyed> Page<E> {
    pub(super) fn check(&self) {
        for (at, item) in self.items.iter().enumerate() {
            assert_eq!(item.is_some(), at < self.len(), "N3: a gap");
        }
    }

    #[inline]
    pub(super) fn get(&self, hash: u64, key: &E::Key) -> Option<&E> {
        self.items
            .iter()
            .flatten()
            .find(|item| is_key(*item, hash, key))
    }

    fn position(&self, hash: u64, key: &E::Key) -> Option<usize> {
        let is_it = |item: &Option<E>| item.as_ref().is_some_and(|item| is_key(item, hash, key));
        self.items.iter().position(is_it)
    }

    pub(super) fn get_mut(&mut self, hash: u64, key: &E::Key) -> Option<&mut E> {
        let at = self.position(hash, key)?;
        self.items[at].as_mut()
    }

    pub(super) fn insert(&mut self, item: E) -> Inserted<E> {
        if let Some(old) = self.get_mut(item.hash(), item.key()) {
            return Inserted::Replaced(std::mem::replace(old, item));
        }
        if self.len() == PAGE_LEN {
            return Inserted::Full(item);
        }
        self.push(item);
        Inserted::New
    }

    pub(super) fn push(&mut self, item: E) {
        let at = self.len();
        self.items[at] = Some(item);
        self.len += 1;
    }

    pub(super) fn remove(&mut self, hash: u64, key: &E::Key) -> Option<E> {
        let at = self.position(hash, key)?;
        self.take(at)
    }

    /// Takes item `at` out; the last one fills the gap.
    fn take(&mut self, at: usize) -> Option<E> {
        let last = self.len() - 1;
        self.items.swap(at, last);
        self.pop()
    }

    /// Moves the items that are `chosen` to another page, which has room for them.
    pub(super) fn move_to(&mut self, other: &mut Self, chosen: impl Fn(&E) -> bool) {
        let mut at = 0;
        while let Some(item) = self.items.get(at).and_then(Option::as_ref) {
            if chosen(item) {
                if let Some(item) = self.take(at) {
                    other.push(item);
                }
            } else {
                at += 1;
            }
        }
    }
}
