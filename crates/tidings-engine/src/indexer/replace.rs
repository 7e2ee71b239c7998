//! A relist as mark and sweep: what the list still has is marked, what changed is staged, and the
//! end removes the rest.
//!
//! Does not publish: until the end, and the publication after it, readers see the old state.
//!
//! ```text
//!  begin          working state = base          marks = {}
//!  item, same     untouched                     marks += the stored object
//!  item, changed  staged                        marks += the new object
//!  end            - every unmarked object       abort: working state = base
//! ```
//!
//! M1  `marks` are addresses of objects of the working state: each object is held there, so its
//!     address is its own.
//! M2  `base` is the working state at begin, changes made since by other calls not included: an
//!     abort undoes them too.
//! M3  A store that was empty when the list began keeps no marks: whatever it has by the end was
//!     listed, or came as an event since.
//! Cost: an unchanged item one lookup and one set insertion, nothing allocated; the set takes 9 to
//! 18 bytes an object; the staged changes one path each.
//! Source: DESIGN 2 (the list body is a stream); rules cg-S1, cg-P5; INV-S4, INV-S5.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
};

use super::{Indexer, index::Index, redo::Mark, root::State};
use crate::entry::Entry;

/// What a listed item was to the store.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "there is nothing else that it could be"
)]
pub enum Seen<P> {
    /// It was not stored, or not in this version; now it is staged.
    Changed {
        /// What was stored.
        old: Option<Entry<P>>,
    },
    /// Its version was stored; it is marked, and the stored entry stays.
    Unchanged,
}

/// What the end of a list says of the objects that it did not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "absence proves deletion or it does not"
)]
pub enum Sweep {
    /// They are gone.
    All,
    /// Nothing: an item could not be attributed to a key (INV-S11).
    Nothing,
}

type Marks = HashSet<usize, BuildHasherDefault<AddressHasher>>;

/// A replacement in progress.
pub(super) struct Replacement<P> {
    base: State<P>,
    base_is_dirty: bool,
    redo: Mark,
    marks: Option<Marks>,
    force_diff: bool,
}

impl<P: Clone> Indexer<P> {
    /// Begins a relist; one that is under way is aborted. With `force_diff`, as at the begin of a
    /// new epoch, equal versions prove nothing and every item counts as changed (INV-S4).
    pub fn replace_begin(&mut self, force_diff: bool) {
        self.replace_abort();
        self.catch_up();
        let marks = (!self.is_empty()).then(|| {
            let mut marks = Marks::default();
            marks.reserve(self.len());
            marks
        });
        self.replacement = Some(Replacement {
            base: self.working.clone(),
            base_is_dirty: self.dirty,
            redo: self.redo.mark(),
            marks,
            force_diff,
        });
    }

    /// Takes an item of the list. If its (uid, resourceVersion) is stored, it is dropped.
    ///
    /// # Panics
    ///
    /// If no relist was begun: a programmer's error.
    pub fn replace_item(&mut self, entry: Entry<P>) -> Seen<P> {
        let replacement = self
            .replacement
            .as_mut()
            .expect("replace_begin comes first");
        let stored = self
            .working
            .entries
            .get(entry.hash, entry.object.key_bytes());
        if let Some(stored) = stored
            && !replacement.force_diff
            && stored.object.is_same_version(&entry.object)
        {
            replacement.mark(stored);
            return Seen::Unchanged;
        }
        Seen::Changed {
            old: self.upsert(entry),
        }
    }

    /// Marks a key whose item the list has, but that cannot be used: its entry, if there is one,
    /// stays as it is. Returns whether there is one.
    ///
    /// # Panics
    ///
    /// If no relist was begun: a programmer's error.
    pub fn replace_keep(&mut self, key: &str) -> bool {
        let hash = self.hash_key(key.as_bytes());
        let replacement = self
            .replacement
            .as_mut()
            .expect("replace_begin comes first");
        let Some(stored) = self.working.entries.get(hash, key.as_bytes()) else {
            return false;
        };
        replacement.mark(stored);
        true
    }

    /// Ends a relist: removes what the list did not have, as far as `sweep` allows, and returns
    /// it. The publication that makes it visible is the caller's next step.
    ///
    /// # Panics
    ///
    /// If no relist was begun: a programmer's error.
    pub fn replace_end(&mut self, sweep: Sweep) -> Vec<Entry<P>> {
        let replacement = self.replacement.take().expect("replace_begin comes first");
        self.graveyard.bury(replacement.base);
        let Some(marks) = replacement.marks.filter(|_| sweep == Sweep::All) else {
            return Vec::new();
        };
        if marks.len() == self.len() {
            return Vec::new();
        }
        let is_gone = |entry: &&Entry<P>| !marks.contains(&entry.object.address());
        let gone: Vec<_> = self
            .working
            .entries
            .iter()
            .filter(is_gone)
            .cloned()
            .collect();
        for entry in &gone {
            self.remove(entry.object.key());
        }
        gone
    }

    /// Gives a relist up: the working state is again what it was when the relist began. Without one
    /// under way it does nothing.
    pub fn replace_abort(&mut self) {
        let Some(replacement) = self.replacement.take() else {
            return;
        };
        let staged = std::mem::replace(&mut self.working, replacement.base);
        self.graveyard.bury(staged);
        self.dirty = replacement.base_is_dirty;
        self.redo.back_to(replacement.redo);
        for at in self.working.indexes.len()..self.functions.len() {
            let name = self.functions.name(at).clone();
            self.redo.give_up();
            self.working.indexes.push(Index::new(name));
            self.fill_index(at);
            self.dirty = true;
        }
    }

    /// Whether a relist is under way.
    #[must_use]
    pub const fn is_replacing(&self) -> bool {
        self.replacement.is_some()
    }
}

// === impl Replacement ===

impl<P> Replacement<P> {
    /// Keeps the marks exact (M1): what was just stored is seen, what was there before is not any
    /// more.
    pub(super) fn note_stored(&mut self, old: Option<&Entry<P>>, new: Option<&Entry<P>>) {
        if let (Some(marks), Some(old)) = (&mut self.marks, old) {
            marks.remove(&old.object.address());
        }
        if let Some(new) = new {
            self.mark(new);
        }
    }

    fn mark(&mut self, entry: &Entry<P>) {
        if let Some(marks) = &mut self.marks {
            marks.insert(entry.object.address());
        }
    }
}

/// Spreads an address over the bits that the set looks at.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, address: usize) {
        let mixed = (self.0 ^ address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
