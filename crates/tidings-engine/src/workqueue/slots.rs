//! Where the keys of a workqueue live: a slot each, found by key or by number.
//!
//! Does not decide anything: what a key's flags mean is the queue's business.
//!
//! ```text
//!  table (by hash): . 2 . . 0 . 1 .          chunks of slots: | 0 | 1 | 2 | free -> 3 |
//! ```
//!
//! L1  A slot is occupied exactly when its number stands in the table.
//! L2  A ticket names a slot and the occupant that it was given for: a later occupant of the same
//!     slot has another stamp.
//! Cost: O(1), no allocation while the number of keys does not grow. Chunks are never moved, so that
//! growth copies no key; the table's growth reads the hashes alone.

use std::{
    borrow::Borrow,
    hash::{BuildHasher as _, Hash},
};

use hashbrown::{HashTable, hash_table::Entry};
use rapidhash::fast::SeedableState;
use tidings_api::Instant;

use super::{Priority, Reason, lanes::COMMON};

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

/// One key with all that is known of it.
#[derive(Debug)]
pub(super) struct Slot<K> {
    pub(super) key: Option<K>,
    hash: u32,
    /// Since when it waits for a worker, while it is dirty.
    pub(super) since: Instant,
    /// Since when it is worked on, while it is.
    pub(super) started: Instant,
    /// The neighbours in a lane, or among those that are worked on.
    pub(super) next: u32,
    pub(super) previous: u32,
    pub(super) tenant: u32,
    /// Rate-limited additions since the key was forgotten.
    pub(super) failures: u32,
    stamp: u32,
    pub(super) is_dirty: bool,
    pub(super) is_processing: bool,
    pub(super) is_delayed: bool,
    pub(super) priority: Priority,
    pub(super) reason: Reason,
    /// The priority and the reason with which it will be added when its delay is over.
    pub(super) delayed_priority: Priority,
    pub(super) delayed_reason: Reason,
}

/// All slots, and the way from a key to its own.
#[derive(Debug)]
pub(super) struct Slots<K> {
    chunks: Vec<Box<[Slot<K>]>>,
    free: u32,
    table: HashTable<Place>,
    hasher: SeedableState<'static>,
    stamps: u32,
}

/// Where a key is. The hash stands beside the number, so that a look at the table decides nearly always
/// which slot it is, and growth reads the table alone.
#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u32,
    id: u32,
}

/// What a worker gives back when it is done; it names the key without a lookup.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket {
    id: u32,
    stamp: u32,
}

const CHUNK_BITS: u32 = 10;
/// The last place in a chunk, and the mask of places.
const CHUNK_LAST: u32 = (1 << CHUNK_BITS) - 1;

// === impl Slots ===

impl<K: Hash + Eq> Slots<K> {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            chunks: Vec::new(),
            free: NONE,
            table: HashTable::new(),
            hasher: SeedableState::new(seed),
            stamps: 0,
        }
    }

    pub(super) fn find<Q>(&self, key: &Q) -> Option<u32>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.find_hashed(self.hash(key), key)
    }

    /// The slot of a key, and whether it is a new one.
    pub(super) fn find_or_insert(&mut self, key: &K) -> (u32, bool)
    where
        K: Clone,
    {
        // Before the table is borrowed; one look into it finds the key or the place for it.
        if self.free == NONE {
            self.grow();
        }
        let hash = self.hash(key);
        let id = self.free;
        let is_it = |place: &Place| place.hash == hash && slot_of(&self.chunks, place.id).has(key);
        match (self.table).entry(Place { hash, id }.wide(), is_it, Place::wide) {
            Entry::Occupied(found) => return (found.get().id, false),
            Entry::Vacant(place) => place.insert(Place { hash, id }),
        };
        self.stamps = self.stamps.wrapping_add(1);
        let stamp = self.stamps;
        // A vacant slot is as new but for these.
        let slot = self.at_mut(id);
        slot.key = Some(key.clone());
        (slot.hash, slot.stamp) = (hash, stamp);
        self.free = std::mem::replace(&mut slot.next, NONE);
        (id, true)
    }

    /// Empties a slot, which must be idle: in no list, with nothing to know.
    pub(super) fn remove(&mut self, id: u32) {
        let free = std::mem::replace(&mut self.free, id);
        let slot = self.at_mut(id);
        debug_assert!(slot.is_idle(), "an idle slot is as new but for its key");
        slot.key = None;
        (slot.next, slot.tenant) = (free, COMMON);
        let hash = slot.hash;
        let wide = Place { hash, id }.wide();
        if let Ok(found) = self.table.find_entry(wide, |other| other.id == id) {
            found.remove();
        }
    }

    pub(super) fn ticket(&self, id: u32) -> Ticket {
        let stamp = self.at(id).stamp;
        Ticket { id, stamp }
    }

    /// The slot that a ticket was given for, if its key is still there.
    pub(super) fn redeem(&self, ticket: &Ticket) -> Option<u32> {
        let chunk = self.chunks.get(ticket.id as usize >> CHUNK_BITS)?;
        let slot = &chunk[(ticket.id & CHUNK_LAST) as usize];
        (slot.key.is_some() && slot.stamp == ticket.stamp).then_some(ticket.id)
    }

    pub(super) fn at(&self, id: u32) -> &Slot<K> {
        slot_of(&self.chunks, id)
    }

    pub(super) fn at_mut(&mut self, id: u32) -> &mut Slot<K> {
        &mut self.chunks[id as usize >> CHUNK_BITS][(id & CHUNK_LAST) as usize]
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// All occupied slots, in no particular order.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.table.iter().map(|place| place.id)
    }

    /// The upper half of the hash: the lower one follows from it ([`Place::wide`]).
    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u32 {
        u32::try_from(self.hasher.hash_one(key) >> 32).unwrap_or_default()
    }

    fn find_hashed<Q>(&self, hash: u32, key: &Q) -> Option<u32>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let wide = Place { hash, id: NONE }.wide();
        let is_it = |place: &Place| place.hash == hash && slot_of(&self.chunks, place.id).has(key);
        let found = self.table.find(wide, is_it);
        found.map(|place| place.id)
    }

    fn grow(&mut self) {
        let first = u32::try_from(self.chunks.len() << CHUNK_BITS).unwrap_or(NONE);
        let last = first.saturating_add(CHUNK_LAST);
        assert!(
            last < NONE,
            "a workqueue has room for four thousand million keys"
        );
        let next = |id| if id == last { NONE } else { id + 1 };
        self.chunks
            .push((first..=last).map(|id| Slot::vacant(next(id))).collect());
        self.free = first;
    }
}

fn slot_of<K>(chunks: &[Box<[Slot<K>]>], id: u32) -> &Slot<K> {
    &chunks[id as usize >> CHUNK_BITS][(id & CHUNK_LAST) as usize]
}

// === impl Place ===

impl Place {
    /// The table wants its low bits and its high ones mixed.
    const fn wide(&self) -> u64 {
        (self.hash as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

// === impl Slot ===

impl<K> Slot<K> {
    const fn vacant(next: u32) -> Self {
        Self {
            key: None,
            hash: 0,
            since: Instant::ZERO,
            started: Instant::ZERO,
            next,
            previous: NONE,
            tenant: COMMON,
            failures: 0,
            stamp: 0,
            is_dirty: false,
            is_processing: false,
            is_delayed: false,
            priority: Priority::Normal,
            reason: Reason::Added,
            delayed_priority: Priority::Normal,
            delayed_reason: Reason::Added,
        }
    }

    /// Whether it is this key's.
    fn has<Q: Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.key.as_ref().is_some_and(|own| own.borrow() == key)
    }

    /// Whether it waits in a lane for a worker.
    pub(super) const fn is_queued(&self) -> bool {
        self.is_dirty && !self.is_processing
    }

    /// Whether nothing is left to know about the key.
    pub(super) const fn is_idle(&self) -> bool {
        !self.is_dirty && !self.is_processing && !self.is_delayed && self.failures == 0
    }
}

#[cfg(test)]
mod tests;
