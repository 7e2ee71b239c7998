//! A place of the trie: nothing, a page, a branch, or a bucket of collisions.
//!
//! Does not know how many items the whole has.
//!
//! Cost: a get reads one slot of a branch, its `starts` if that is empty, then the hashes of a page.

use std::sync::Arc;

use super::{
    Keyed,
    branch::{BRANCH_BITS, Branch, LEVEL_MAX},
    is_key,
    page::{Inserted, PAGE_LEN, Page},
    pool::{Pool, unshare_branch, unshare_page},
};

/// One place of the trie.
#[derive(Default)]
pub(super) enum Slot<E> {
    #[default]
    Empty,
    Page(Arc<Page<E>>),
    Branch(Arc<Branch<E>>),
    /// Items whose hashes are equal in all bits that branches look at; below the last level only.
    Bucket(Arc<Vec<E>>),
}

/// The items of a place without branches.
pub(super) enum Leaf<'a, E> {
    Page(&'a Page<E>),
    Bucket(&'a [E]),
}

// === impl Leaf ===

impl<'a, E: Keyed> Leaf<'a, E> {
    #[inline]
    pub(super) fn get(self, hash: u64, key: &E::Key) -> Option<&'a E> {
        match self {
            Self::Page(page) => page.get(hash, key),
            Self::Bucket(items) => items.iter().find(|item| is_key(*item, hash, key)),
        }
    }

    pub(super) fn items(self) -> impl Iterator<Item = &'a E> {
        let (page, bucket): (&[Option<E>], &[E]) = match self {
            Self::Page(page) => (page.items(), &[]),
            Self::Bucket(items) => (&[], items),
        };
        page.iter().flatten().chain(bucket)
    }
}

// === impl Slot ===

impl<E: Keyed> Slot<E> {
    /// The leaf that a hash leads to.
    #[inline]
    pub(super) fn leaf(&self, hash: u64) -> Leaf<'_, E> {
        let (mut slot, mut bits) = (self, hash);
        loop {
            match slot {
                Self::Empty => return Leaf::Bucket(&[]),
                Self::Page(page) => return Leaf::Page(page),
                Self::Branch(branch) => {
                    slot = branch.child(bits);
                    bits <<= BRANCH_BITS;
                }
                Self::Bucket(items) => return Leaf::Bucket(items),
            }
        }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Empty, Self::Empty) => true,
            (Self::Page(left), Self::Page(right)) => Arc::ptr_eq(left, right),
            (Self::Branch(left), Self::Branch(right)) => Arc::ptr_eq(left, right),
            (Self::Bucket(left), Self::Bucket(right)) => Arc::ptr_eq(left, right),
            (Self::Empty | Self::Page(_) | Self::Branch(_) | Self::Bucket(_), _) => false,
        }
    }

    /// Whether this node and one that stands in the very same slots of another state of the trie have
    /// the same items, as far as that can be told without looking at them (G5).
    pub(super) fn is_unchanged(&self, other: &Self) -> bool {
        let is_stamped_alike = match (self, other) {
            (Self::Page(left), Self::Page(right)) => left.stamp == right.stamp,
            (Self::Branch(left), Self::Branch(right)) => left.stamp == right.stamp,
            (Self::Empty | Self::Page(_) | Self::Branch(_) | Self::Bucket(_), _) => false,
        };
        is_stamped_alike || self.is_same(other)
    }

    /// Items of a leaf; `None` for a branch.
    pub(super) fn leaf_len(&self) -> Option<usize> {
        match self {
            Self::Empty => Some(0),
            Self::Page(page) => Some(page.len()),
            Self::Branch(_) => None,
            Self::Bucket(items) => Some(items.len()),
        }
    }

    /// Checks the invariants below this slot, which holds the hashes whose first `bits` bits are
    /// `prefix`.
    pub(super) fn check(&self, level: u32, prefix: u64, bits: u32) {
        let leads_here = |item: &E| prefix_of(item.hash(), bits) == prefix;
        match self {
            Self::Empty => {}
            Self::Page(page) => {
                assert!(page.len() > 0, "G3: an empty page");
                page.check();
                let mut items = page.items().iter().flatten();
                assert!(items.all(leads_here), "G2: an item in the wrong page");
            }
            Self::Branch(branch) => branch.check(level, prefix, bits),
            Self::Bucket(items) => {
                assert!(items.len() > PAGE_LEN / 2, "G3: a small bucket");
                assert_eq!(level, LEVEL_MAX, "a bucket above the bottom");
                assert!(
                    items.iter().all(leads_here),
                    "G2: an item in the wrong bucket"
                );
            }
        }
    }
}

impl<E: Keyed + Clone> Slot<E> {
    /// Puts an item into this slot, whose branch would be at `level`.
    pub(super) fn insert(&mut self, level: u32, item: E, pool: &mut Pool<E>) -> Option<E> {
        if let Self::Page(page) = self {
            match unshare_page(page, pool).insert(item) {
                Inserted::New => return None,
                Inserted::Replaced(old) => return Some(old),
                Inserted::Full(item) => {
                    self.grow(level, pool);
                    return self.insert(level, item, pool);
                }
            }
        }
        match self {
            Self::Empty | Self::Page(_) => {
                *self = pool.page_with(item);
                None
            }
            Self::Branch(branch) => unshare_branch(branch, pool).insert(level, item, pool),
            Self::Bucket(items) => {
                let items = Arc::make_mut(items);
                let same = items
                    .iter_mut()
                    .find(|old| is_key(*old, item.hash(), item.key()));
                if let Some(old) = same {
                    return Some(std::mem::replace(old, item));
                }
                items.push(item);
                None
            }
        }
    }

    pub(super) fn get_mut(
        &mut self,
        hash: u64,
        key: &E::Key,
        pool: &mut Pool<E>,
    ) -> Option<&mut E> {
        let (mut slot, mut bits) = (self, hash);
        loop {
            match slot {
                Self::Empty => return None,
                Self::Page(page) => return unshare_page(page, pool).get_mut(hash, key),
                Self::Branch(branch) => {
                    slot = unshare_branch(branch, pool).child_mut(bits);
                    bits <<= BRANCH_BITS;
                }
                Self::Bucket(items) => {
                    let items = Arc::make_mut(items);
                    return items.iter_mut().find(|item| is_key(*item, hash, key));
                }
            }
        }
    }

    /// Takes an item out; what is left is a smaller kind of node where G3 asks for it.
    pub(super) fn remove(
        &mut self,
        level: u32,
        hash: u64,
        key: &E::Key,
        pool: &mut Pool<E>,
    ) -> Option<E> {
        match self {
            Self::Empty => None,
            Self::Page(page) => {
                let page = unshare_page(page, pool);
                let removed = page.remove(hash, key);
                if page.len() == 0 {
                    pool.reuse(self);
                }
                removed
            }
            Self::Branch(branch) => {
                let branch = unshare_branch(branch, pool);
                let removed = branch.remove(level, hash, key, pool);
                if let Some(only) = branch.take_only_leaf() {
                    pool.reuse(self);
                    *self = only;
                }
                removed
            }
            Self::Bucket(items) => {
                let items = Arc::make_mut(items);
                let at = items.iter().position(|item| is_key(item, hash, key))?;
                let removed = items.swap_remove(at);
                if items.len() <= PAGE_LEN / 2 {
                    let items = std::mem::take(items);
                    *self = Self::Empty;
                    for item in items {
                        self.insert(level, item, pool);
                    }
                }
                Some(removed)
            }
        }
    }

    /// The item of a page that has no other.
    pub(super) fn take_only(&mut self, pool: &mut Pool<E>) -> Option<E> {
        let Self::Page(page) = self else {
            return None;
        };
        let page = unshare_page(page, pool);
        if page.len() != 1 {
            return None;
        }
        let item = page.pop();
        pool.reuse(self);
        item
    }

    /// Makes room in place of a full page that owns one slot.
    fn grow(&mut self, level: u32, pool: &mut Pool<E>) {
        let Self::Page(mut page) = std::mem::take(self) else {
            return;
        };
        if level == LEVEL_MAX {
            let page = unshare_page(&mut page, pool);
            *self = Self::Bucket(Arc::new(std::iter::from_fn(|| page.pop()).collect()));
            return;
        }
        let mut branch = pool.branch();
        unshare_branch(&mut branch, pool).set_only(Self::Page(page));
        *self = Self::Branch(branch);
    }
}

/// Not derived: the items need not be clonable, the nodes are shared.
impl<E> Clone for Slot<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Page(page) => Self::Page(Arc::clone(page)),
            Self::Branch(branch) => Self::Branch(Arc::clone(branch)),
            Self::Bucket(items) => Self::Bucket(Arc::clone(items)),
        }
    }
}

/// The first `bits` bits of a hash, the others zero.
pub(super) fn prefix_of(hash: u64, bits: u32) -> u64 {
    hash & !u64::MAX.checked_shr(bits).unwrap_or(0)
}
