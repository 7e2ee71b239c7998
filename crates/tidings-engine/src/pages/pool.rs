//! Spare nodes, and the copies that are made of shared ones.
//!
//! Does not look for spare nodes: [`super::Reaper`] brings them.
//!
//! Cost: a copy counts each child or item up; with a spare node at hand it allocates nothing.

use std::sync::Arc;

use super::{Keyed, branch::Branch, node::Slot, page::Page};

/// Nodes that are not in use any more, to be the next copies.
///
/// Bounded: what does not fit is freed.
pub struct Pool<E> {
    /// The stamp of the nodes that are changed now (G5).
    stamp: u64,
    pages: Vec<Arc<Page<E>>>,
    branches: Vec<Arc<Branch<E>>>,
    /// Nodes of a kind to be made when there are none left; it doubles up to `BATCH_MAX`.
    batch: usize,
}

// === impl Pool ===

impl<E> Pool<E> {
    /// An empty pool; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            stamp: 0,
            pages: Vec::new(),
            branches: Vec::new(),
            batch: 1,
        }
    }

    /// What is changed from now on has this stamp (G5).
    pub const fn set_stamp(&mut self, stamp: u64) {
        self.stamp = stamp;
    }

    pub(super) fn page(&mut self) -> Arc<Page<E>> {
        if self.pages.is_empty() {
            let batch = self.next_batch();
            self.pages.extend((1..batch).map(|_| Arc::new(Page::new())));
        }
        self.pages.pop().unwrap_or_else(|| Arc::new(Page::new()))
    }

    pub(super) fn branch(&mut self) -> Arc<Branch<E>> {
        if self.branches.is_empty() {
            let batch = self.next_batch() / 4;
            self.branches
                .extend((1..batch).map(|_| Arc::new(Branch::new())));
        }
        self.branches
            .pop()
            .unwrap_or_else(|| Arc::new(Branch::new()))
    }

    fn next_batch(&mut self) -> usize {
        let batch = self.batch;
        self.batch = (2 * batch).min(BATCH_MAX);
        batch
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
    pub(super) fn reuse(&mut self, slot: &mut Slot<E>) {
        match std::mem::take(slot) {
            Slot::Page(page) => self.give_page(page),
            Slot::Branch(branch) => self.give_branch(branch),
            Slot::Empty | Slot::Bucket(_) => {}
        }
    }
}

impl<E: Keyed + Clone> Pool<E> {
    pub(super) fn page_with(&mut self, item: E) -> Slot<E> {
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
/// Nodes made at once. Nodes that are made one by one lie between the objects, each on a memory
/// page of its own, and every step of a get misses the TLB.
const BATCH_MAX: usize = 64;

/// Makes this holder the only one, by a copy if there are others (G4), in order to change it (G5).
pub(super) fn unshare_page<'a, E: Keyed + Clone>(
    page: &'a mut Arc<Page<E>>,
    pool: &mut Pool<E>,
) -> &'a mut Page<E> {
    if Arc::get_mut(page).is_none() {
        let mut copy = pool.page();
        let fresh = Arc::get_mut(&mut copy).expect("a spare page is held by nobody else");
        fresh.copy_from(page);
        *page = copy;
    }
    let page = Arc::get_mut(page).expect("the copy is held by nobody else");
    page.stamp = pool.stamp;
    page
}

/// As [`unshare_page`], for a branch.
pub(super) fn unshare_branch<'a, E>(
    branch: &'a mut Arc<Branch<E>>,
    pool: &mut Pool<E>,
) -> &'a mut Branch<E> {
    if Arc::get_mut(branch).is_none() {
        let mut copy = pool.branch();
        let fresh = Arc::get_mut(&mut copy).expect("a spare branch is held by nobody else");
        fresh.copy_from(branch);
        *branch = copy;
    }
    let branch = Arc::get_mut(branch).expect("the copy is held by nobody else");
    branch.stamp = pool.stamp;
    branch
}
