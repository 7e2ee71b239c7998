//! All items of a trie, one after the other.
//!
//! Does not allocate: the path is as deep as a trie can be.

use super::{branch::LEVEL_MAX, node::Slot};

/// Iterates over the items of a [`super::PageTrie`], in no particular order.
pub struct Iter<'a, E> {
    /// What is left of the slots of the branches on the path; the last of `depth` is the deepest.
    path: [&'a [Slot<E>]; LEVEL_MAX as usize],
    depth: usize,
    leaf: Leaf<'a, E>,
}

enum Leaf<'a, E> {
    Page(std::slice::Iter<'a, Option<E>>),
    Bucket(std::slice::Iter<'a, E>),
}

// === impl Iter ===

impl<'a, E> Iter<'a, E> {
    pub(super) fn one(item: &'a E) -> Self {
        let leaf = Leaf::Bucket(std::slice::from_ref(item).iter());
        Self {
            path: [&[]; LEVEL_MAX as usize],
            depth: 0,
            leaf,
        }
    }

    pub(super) fn all(slot: &'a Slot<E>) -> Self {
        let leaf = Leaf::Bucket([].iter());
        let mut iter = Self {
            path: [&[]; LEVEL_MAX as usize],
            depth: 0,
            leaf,
        };
        iter.enter(slot);
        iter
    }

    fn enter(&mut self, slot: &'a Slot<E>) {
        match slot {
            Slot::Empty => {}
            Slot::Page(page) => self.leaf = Leaf::Page(page.items().iter()),
            Slot::Branch(branch) => {
                self.path[self.depth] = branch.slots();
                self.depth += 1;
            }
            Slot::Bucket(items) => self.leaf = Leaf::Bucket(items.iter()),
        }
    }
}

impl<'a, E> Iterator for Iter<'a, E> {
    type Item = &'a E;

    #[inline]
    fn next(&mut self) -> Option<&'a E> {
        loop {
            let item = match &mut self.leaf {
                Leaf::Page(items) => items.next().and_then(Option::as_ref),
                Leaf::Bucket(items) => items.next(),
            };
            if item.is_some() {
                return item;
            }
            let slots = &mut self.path[self.depth.checked_sub(1)?];
            match slots.split_first() {
                Some((slot, rest)) => {
                    *slots = rest;
                    self.enter(slot);
                }
                None => self.depth -= 1,
            }
        }
    }
}
