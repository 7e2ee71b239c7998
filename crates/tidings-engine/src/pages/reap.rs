//! Takes tries apart in slices, so that nobody has to free a large one at once.
//!
//! Does not decide which tries may go: the owner hands them over when nobody else holds them.
//!
//! R1  Only nodes that are held by nobody else are taken apart; of the others one count goes down.
//! Cost: O(budget) a call; the work list has at most 32 slots for each branch in progress.

use std::sync::Arc;

use super::{Keyed, PageTrie, Pool, Root, node::Slot};

/// The work list of tries that are being taken apart.
pub struct Reaper<E> {
    work: Vec<Slot<E>>,
}

// === impl Reaper ===

impl<E: Keyed> Reaper<E> {
    /// Nothing to take apart.
    #[must_use]
    pub const fn new() -> Self {
        Self { work: Vec::new() }
    }

    /// Whether there is nothing to take apart.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.work.is_empty()
    }

    /// Takes a trie over. Its only item, if it is small enough to have no page, goes to `each`.
    pub fn add(&mut self, trie: PageTrie<E>, mut each: impl FnMut(E)) {
        match trie.root {
            Root::One(item) => each(item),
            Root::Slot(Slot::Empty) => {}
            Root::Slot(slot) => self.work.push(slot),
        }
    }

    /// Takes nodes apart until about `budget` items and nodes are done, and returns what is left
    /// of the budget. Each item goes to `each`, each node to the pool.
    pub fn run(&mut self, mut budget: usize, pool: &mut Pool<E>, mut each: impl FnMut(E)) -> usize {
        while budget > 0
            && let Some(slot) = self.work.pop()
        {
            let mut done = 1;
            match slot {
                Slot::Empty => {}
                Slot::Page(mut page) => {
                    if let Some(inner) = sole(&mut page) {
                        while let Some(item) = inner.pop() {
                            each(item);
                            done += 1;
                        }
                        pool.give_page(page);
                    }
                }
                Slot::Branch(mut branch) => {
                    if let Some(inner) = sole(&mut branch) {
                        inner.drain(|slot| self.work.push(slot));
                        pool.give_branch(branch);
                    }
                }
                Slot::Bucket(mut items) => {
                    if let Some(inner) = sole(&mut items) {
                        done += inner.len();
                        inner.drain(..).for_each(&mut each);
                    }
                }
            }
            budget = budget.saturating_sub(done);
        }
        budget
    }
}

impl<E: Keyed> Default for Reaper<E> {
    fn default() -> Self {
        Self::new()
    }
}

/// The node, if nobody else holds it. The count is read first: most nodes are shared, and a read
/// is cheaper than the exchange that `get_mut` starts with.
fn sole<T>(node: &mut Arc<T>) -> Option<&mut T> {
    if Arc::strong_count(node) == 1 {
        Arc::get_mut(node)
    } else {
        None
    }
}
