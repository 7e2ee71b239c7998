//! The nodes of the trie: branches of slots, pages of items, buckets of collisions.
//!
//! Does not know how many items the whole has.
//!
//! ```text
//!  starts  1 0 0 0 0 0 0 0  1 0 0 0  1 0  1  1     bit i: a run begins at slot i
//!  slots   A . . . . . . .  B . . .  C .  D  E     only a run's first slot holds its node
//!          |---- 8 -----|  |- 4 -|  |2|  1  1     so each child is held once
//! ```
//!
//! N1  Bit 0 of `starts` is set; the slots between the starts are empty.
//! N2  A run longer than one slot is empty or a page; only a run of one slot is a branch or bucket.
//! N3  The first `len` items of a page are there, the others are not; `tags` are their hashes' last
//!     bytes. Branching takes the first bits, tags the last, so the two say different things.
//! Cost: a get reads a branch's `starts` and one slot, then a page's tags and one item.

use std::sync::Arc;

use super::{Keyed, is_key};

/// Hash bits that a branch consumes.
pub(super) const BRANCH_BITS: u32 = 4;
/// Slots of a branch.
pub(super) const BRANCH_LEN: usize = 1 << BRANCH_BITS;
/// Items of a page. Wider pages are read no faster, and each copy counts up every object in them.
pub(super) const PAGE_LEN: usize = 8;
/// Levels of branches until the hash is used up.
pub(super) const LEVEL_MAX: u32 = u64::BITS / BRANCH_BITS;

/// One place of the trie.
#[derive(Default)]
pub(super) enum Slot<E> {
    #[default]
    Empty,
    Page(Arc<Page<E>>),
    Branch(Arc<Branch<E>>),
    /// Items whose hashes are equal in all bits; below the last level only.
    Bucket(Arc<Vec<E>>),
}

pub(super) struct Branch<E> {
    starts: u16,
    slots: [Slot<E>; BRANCH_LEN],
}

pub(super) struct Page<E> {
    tags: [u8; PAGE_LEN],
    len: u8,
    items: [Option<E>; PAGE_LEN],
}

/// Nodes that are not in use any more, to be the next copies.
///
/// Bounded: what does not fit is freed.
pub struct Pool<E> {
    pages: Vec<Arc<Page<E>>>,
    branches: Vec<Arc<Branch<E>>>,
}

// === impl Slot ===

impl<E: Keyed> Slot<E> {
    #[inline]
    pub(super) fn get(&self, hash: u64, key: &[u8]) -> Option<&E> {
        let (mut slot, mut bits) = (self, hash);
        loop {
            match slot {
                Self::Empty => return None,
                Self::Page(page) => return page.get(hash, key),
                Self::Branch(branch) => {
                    slot = branch.child(bits);
                    bits <<= BRANCH_BITS;
                }
                Self::Bucket(items) => return items.iter().find(|item| is_key(*item, hash, key)),
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

    /// Items of a leaf; `None` for a branch.
    fn leaf_len(&self) -> Option<usize> {
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
                for (at, item) in page.items.iter().enumerate() {
                    assert_eq!(item.is_some(), at < page.len(), "N3: a gap");
                    if let Some(item) = item {
                        assert!(leads_here(item), "G2: an item in the wrong page");
                        assert_eq!(page.tags[at], tag(item.hash()), "N3: a wrong tag");
                    }
                }
            }
            Self::Branch(branch) => branch.check(level, prefix, bits),
            Self::Bucket(items) => {
                assert!(items.len() > PAGE_LEN / 2, "G3: a small bucket");
                assert_eq!(level, LEVEL_MAX, "a bucket above the bottom");
                assert!(items.iter().all(leads_here), "G2: an item in the wrong bucket");
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
                let same = items.iter_mut().find(|old| is_key(*old, item.hash(), item.key()));
                if let Some(old) = same {
                    return Some(std::mem::replace(old, item));
                }
                items.push(item);
                None
            }
        }
    }

    pub(super) fn get_mut(&mut self, hash: u64, key: &[u8], pool: &mut Pool<E>) -> Option<&mut E> {
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
        key: &[u8],
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
            let items = unshare_page(&mut page, pool).items.iter_mut();
            *self = Self::Bucket(Arc::new(items.filter_map(Option::take).collect()));
            return;
        }
        let mut branch = pool.branch();
        unshare_branch(&mut branch, pool).slots[0] = Self::Page(page);
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

// === impl Branch ===

impl<E> Branch<E> {
    fn new() -> Self {
        Self { starts: 1, slots: [const { Slot::Empty }; BRANCH_LEN] }
    }

    #[inline]
    fn child(&self, bits: u64) -> &Slot<E> {
        &self.slots[self.run_start(index(bits))]
    }

    #[inline]
    fn child_mut(&mut self, bits: u64) -> &mut Slot<E> {
        &mut self.slots[self.run_start(index(bits))]
    }

    /// The node of the run that slot `at` belongs to, and where the run ends.
    pub(super) fn run(&self, at: usize) -> (&Slot<E>, usize) {
        let start = self.run_start(at);
        (&self.slots[start], start + self.run_len(start))
    }

    pub(super) fn slots(&self) -> &[Slot<E>] {
        &self.slots
    }

    /// Hands all children to `each` and is as good as new.
    pub(super) fn drain(&mut self, mut each: impl FnMut(Slot<E>)) {
        let mut left = self.starts;
        while left != 0 {
            each(std::mem::take(&mut self.slots[left.trailing_zeros() as usize]));
            left &= left - 1;
        }
        self.starts = 1;
    }

    #[inline]
    fn run_start(&self, at: usize) -> usize {
        let upto = self.starts & (u16::MAX >> (BRANCH_LEN - 1 - at));
        // N1: bit 0 is set, so there is a start; the mask tells the compiler that it fits.
        (upto.leading_zeros() as usize ^ (BRANCH_LEN - 1)) & (BRANCH_LEN - 1)
    }

    fn run_len(&self, start: usize) -> usize {
        let after = u32::from(self.starts) >> (start + 1);
        match after {
            0 => BRANCH_LEN - start,
            _ => after.trailing_zeros() as usize + 1,
        }
    }
}

impl<E: Keyed> Branch<E> {
    fn check(&self, level: u32, prefix: u64, bits: u32) {
        assert!(level < LEVEL_MAX && self.starts & 1 == 1, "N1: a start at slot 0");
        let mut at = 0;
        while at < BRANCH_LEN {
            let (slot, end) = self.run(at);
            let len = end - at;
            assert!(len.is_power_of_two() && at.is_multiple_of(len), "G2: a crooked run");
            assert!(len == 1 || slot.leaf_len().is_some(), "N2: a branch in several slots");
            assert!(len < BRANCH_LEN || slot.leaf_len().is_none(), "G3: a branch of one leaf");
            let rest = &self.slots[at + 1..end];
            assert!(rest.iter().all(|slot| matches!(slot, Slot::Empty)), "N1: a hidden node");
            if let (Some(sum), true) = (self.mergeable(at), len < BRANCH_LEN) {
                assert!(sum > PAGE_LEN / 2, "G3: two sparse siblings");
            }
            let run_bits = BRANCH_BITS - len.trailing_zeros();
            let shift = u64::BITS - bits - BRANCH_BITS;
            slot.check(level + 1, prefix | (at as u64) << shift, bits + run_bits);
            at = end;
        }
    }

    /// Items of the leaf at `start` and of its sibling, if the two could be one.
    fn mergeable(&self, start: usize) -> Option<usize> {
        let len = self.run_len(start);
        let sibling = start ^ len;
        if len == BRANCH_LEN || self.run_start(sibling) != sibling || self.run_len(sibling) != len {
            return None;
        }
        Some(self.slots[start].leaf_len()? + self.slots[sibling].leaf_len()?)
    }
}

impl<E: Keyed + Clone> Branch<E> {
    fn insert(&mut self, level: u32, item: E, pool: &mut Pool<E>) -> Option<E> {
        let at = index(item.hash() << (level * BRANCH_BITS));
        let mut item = item;
        loop {
            let start = self.run_start(at);
            let len = self.run_len(start);
            if len == 1 {
                return self.slots[start].insert(level + 1, item, pool);
            }
            // N2: a run of several slots is a page or empty.
            let Slot::Page(page) = &mut self.slots[start] else {
                self.slots[start] = pool.page_with(item);
                return None;
            };
            let page = unshare_page(page, pool);
            match page.insert(item) {
                Inserted::New => return None,
                Inserted::Replaced(old) => return Some(old),
                Inserted::Full(back) => item = back,
            }
            let half = len / 2;
            let mut other = pool.page();
            let upper = unshare_page(&mut other, pool);
            page.move_to(upper, |item| {
                index(item.hash() << (level * BRANCH_BITS)) >= start + half
            });
            let (lower_len, upper_len) = (page.len(), upper.len());
            self.starts |= 1 << (start + half);
            self.slots[start + half] = Slot::Page(other);
            if lower_len == 0 {
                pool.reuse(&mut self.slots[start]);
            }
            if upper_len == 0 {
                pool.reuse(&mut self.slots[start + half]);
            }
        }
    }

    fn remove(&mut self, level: u32, hash: u64, key: &[u8], pool: &mut Pool<E>) -> Option<E> {
        let mut start = self.run_start(index(hash << (level * BRANCH_BITS)));
        let removed = self.slots[start].remove(level + 1, hash, key, pool);
        while let Some(sum) = self.mergeable(start)
            && sum <= PAGE_LEN / 2
        {
            let len = self.run_len(start);
            let (lower, upper) = (start & !len, start | len);
            self.starts &= !(1 << upper);
            let mut upper = std::mem::take(&mut self.slots[upper]);
            match (&mut self.slots[lower], &mut upper) {
                (Slot::Page(to), Slot::Page(from)) => {
                    let to = unshare_page(to, pool);
                    unshare_page(from, pool).move_to(to, |_| true);
                    pool.reuse(&mut upper);
                }
                (_, Slot::Empty) => {}
                (to, _) => *to = upper,
            }
            start = lower;
        }
        removed
    }

    /// The child, if there is only one and it is a leaf: it can take the branch's place.
    fn take_only_leaf(&mut self) -> Option<Slot<E>> {
        let is_only = self.starts == 1 && self.slots[0].leaf_len().is_some();
        is_only.then(|| std::mem::take(&mut self.slots[0]))
    }
}

// === impl Page ===

pub(super) enum Inserted<E> {
    New,
    Replaced(E),
    Full(E),
}

impl<E> Page<E> {
    const fn new() -> Self {
        Self { tags: [0; PAGE_LEN], len: 0, items: [const { None }; PAGE_LEN] }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    pub(super) fn items(&self) -> &[Option<E>] {
        &self.items[..self.len()]
    }

    pub(super) fn pop(&mut self) -> Option<E> {
        let last = self.len().checked_sub(1)?;
        self.len -= 1;
        self.items[last].take()
    }
}

impl<E: Keyed> Page<E> {
    #[inline]
    pub(super) fn get(&self, hash: u64, key: &[u8]) -> Option<&E> {
        let mut candidates = candidates(self.tags, tag(hash));
        while candidates != 0 {
            let at = candidates.trailing_zeros() as usize / 8;
            if let Some(item) = &self.items[at]
                && is_key(item, hash, key)
            {
                return Some(item);
            }
            candidates &= candidates - 1;
        }
        None
    }

    fn position(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let is_it = |item: &Option<E>| item.as_ref().is_some_and(|item| is_key(item, hash, key));
        let mut candidates = candidates(self.tags, tag(hash));
        while candidates != 0 {
            let at = candidates.trailing_zeros() as usize / 8;
            if is_it(&self.items[at]) {
                return Some(at);
            }
            candidates &= candidates - 1;
        }
        None
    }

    fn get_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut E> {
        let at = self.position(hash, key)?;
        self.items[at].as_mut()
    }

    fn insert(&mut self, item: E) -> Inserted<E> {
        if let Some(old) = self.get_mut(item.hash(), item.key()) {
            return Inserted::Replaced(std::mem::replace(old, item));
        }
        if self.len() == PAGE_LEN {
            return Inserted::Full(item);
        }
        self.push(item);
        Inserted::New
    }

    fn push(&mut self, item: E) {
        let at = self.len();
        self.tags[at] = tag(item.hash());
        self.items[at] = Some(item);
        self.len += 1;
    }

    fn remove(&mut self, hash: u64, key: &[u8]) -> Option<E> {
        let at = self.position(hash, key)?;
        self.take(at)
    }

    /// Takes item `at` out; the last one fills the gap.
    fn take(&mut self, at: usize) -> Option<E> {
        let last = self.len() - 1;
        self.items.swap(at, last);
        self.tags.swap(at, last);
        self.pop()
    }

    /// Moves the items that are `chosen` to another page, which has room for them.
    fn move_to(&mut self, other: &mut Self, chosen: impl Fn(&E) -> bool) {
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

// === impl Pool ===

impl<E> Pool<E> {
    /// An empty pool; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { pages: Vec::new(), branches: Vec::new() }
    }

    fn page(&mut self) -> Arc<Page<E>> {
        self.pages.pop().unwrap_or_else(|| Arc::new(Page::new()))
    }

    fn branch(&mut self) -> Arc<Branch<E>> {
        self.branches.pop().unwrap_or_else(|| Arc::new(Branch::new()))
    }

    /// Takes back a page that nobody else holds and that has no items.
    pub(super) fn give_page(&mut self, page: Arc<Page<E>>) {
        if self.pages.len() < SPARE_MAX {
            self.pages.push(page);
        }
    }

    /// Takes back a branch that nobody else holds and that has no children.
    pub(super) fn give_branch(&mut self, branch: Arc<Branch<E>>) {
        if self.branches.len() < SPARE_MAX {
            self.branches.push(branch);
        }
    }

    /// Empties a slot whose node has nothing in it any more, and keeps the node.
    fn reuse(&mut self, slot: &mut Slot<E>) {
        match std::mem::take(slot) {
            Slot::Page(page) => self.give_page(page),
            Slot::Branch(branch) => self.give_branch(branch),
            Slot::Empty | Slot::Bucket(_) => {}
        }
    }
}

impl<E: Keyed + Clone> Pool<E> {
    fn page_with(&mut self, item: E) -> Slot<E> {
        let mut page = self.page();
        unshare_page(&mut page, self).push(item);
        Slot::Page(page)
    }
}

impl<E> Default for Pool<E> {
    fn default() -> Self {
        Self::new()
    }
}

/// Spare nodes of a kind that a pool keeps.
const SPARE_MAX: usize = 256;

/// Makes this holder the only one, by a copy if there are others (G4).
fn unshare_page<'a, E: Keyed + Clone>(
    page: &'a mut Arc<Page<E>>,
    pool: &mut Pool<E>,
) -> &'a mut Page<E> {
    if Arc::get_mut(page).is_none() {
        let mut copy = pool.page();
        let fresh = Arc::get_mut(&mut copy).expect("a spare page is held by nobody else");
        fresh.tags = page.tags;
        fresh.len = page.len;
        for (to, from) in fresh.items.iter_mut().zip(page.items()) {
            to.clone_from(from);
        }
        *page = copy;
    }
    Arc::get_mut(page).expect("the copy is held by nobody else")
}

/// As [`unshare_page`], for a branch.
fn unshare_branch<'a, E>(
    branch: &'a mut Arc<Branch<E>>,
    pool: &mut Pool<E>,
) -> &'a mut Branch<E> {
    if Arc::get_mut(branch).is_none() {
        let mut copy = pool.branch();
        let fresh = Arc::get_mut(&mut copy).expect("a spare branch is held by nobody else");
        fresh.starts = branch.starts;
        let mut left = branch.starts;
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            fresh.slots[at] = branch.slots[at].clone();
            left &= left - 1;
        }
        *branch = copy;
    }
    Arc::get_mut(branch).expect("the copy is held by nobody else")
}

/// The slot that the first bits name.
#[inline]
pub(super) const fn index(bits: u64) -> usize {
    (bits >> (u64::BITS - BRANCH_BITS)) as usize
}

/// The first `bits` bits of a hash, the others zero.
pub(super) fn prefix_of(hash: u64, bits: u32) -> u64 {
    hash & !u64::MAX.checked_shr(bits).unwrap_or(0)
}

const fn tag(hash: u64) -> u8 {
    hash.to_le_bytes()[0]
}

/// Marks the bytes of `tags` that equal `tag`, each by its highest bit. A byte after an equal one
/// may be marked though it differs, so that each is to be verified.
#[inline]
const fn candidates(tags: [u8; PAGE_LEN], tag: u8) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; PAGE_LEN]);
    let differing = u64::from_le_bytes(tags) ^ ONES * (tag as u64);
    differing.wrapping_sub(ONES) & !differing & (ONES << 7)
}
