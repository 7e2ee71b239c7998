//! A watch cache: a state that follows another one, some way behind it.
//!
//! Does not decide when it follows, and takes no writes of its own: whoever simulates several API
//! servers over one etcd says how far behind each of them is (pr-F1).
//!
//! ```text
//!  etcd      | 41 | 42 | 43 | .. | 97 |
//!  replica        | 42 | .. | 60 |           lists and watches end at 60, and begin after its own ring
//! ```
//!
//! R1  At a version a replica has what its leader had at that version.
//! R2  Its history is its own: a replica that began late, or whose ring is small, answers 410 where its
//!     leader would not.
//! Source: storage/cacher/{cacher,watch_cache}.go @v0.36.3; rules pr-E12, pr-L14, pr-W12.

use std::sync::Arc;

use tidings_api::frame::EventKind;

use super::{
    State, Stored,
    delete::DEFINITIONS,
    history::{Change, History},
};

/// One change, as whoever follows the state sees it.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Changed<'a> {
    /// The version of the change.
    pub rv: u64,
    /// The plural name of the kind as which the object is stored.
    pub plural: &'a str,
    /// The object, or what it was last.
    pub object: &'a Arc<Stored>,
    /// Whether it is gone.
    pub is_deleted: bool,
}

impl State {
    /// A watch cache that begins at the present version, with a history of its own.
    #[must_use]
    pub fn replica(&self, history_max: usize) -> Self {
        let mut history = History::new(self.rv);
        history.len_max = history_max.max(1);
        Self {
            kinds: self.kinds.clone(),
            places: self.places.clone(),
            collections: self.collections.clone(),
            dependents: self.dependents.clone(),
            work: self.work.clone(),
            next_address: self.next_address,
            history,
            rv: self.rv,
            tokens_from: self.tokens_from,
            seed: self.seed.clone(),
        }
    }

    /// Takes over the changes of `leader` up to a version. Returns `false` if the leader does not have
    /// them any more: then the replica begins anew, at the leader's version, and its watches end.
    pub fn follow(&mut self, leader: &Self, rv: u64) -> bool {
        if self.rv >= rv.min(leader.rv) {
            return true;
        }
        let Ok(changes) = leader.changes_after(self.rv) else {
            *self = leader.replica(self.history.len_max);
            return false;
        };
        for change in changes {
            if change.rv > rv {
                break;
            }
            self.take_over(change);
        }
        true
    }

    /// The changes after a version, in order, as far as they are remembered.
    pub fn changed_since(&self, rv: u64) -> impl Iterator<Item = Changed<'_>> {
        self.history.after(rv).map(|change| {
            let of_collection = |place: &&super::Place| place.collection == change.collection;
            let place = self.places.iter().find(of_collection);
            Changed {
                rv: change.rv,
                plural: place.map_or("", |place| &self.kinds[place.storage].plural),
                object: &change.object,
                is_deleted: change.kind == EventKind::Deleted,
            }
        })
    }

    fn take_over(&mut self, change: &Change) {
        let object = &change.object;
        let mut places = self.places.iter();
        let is_definition = places
            .find(|place| place.collection == change.collection)
            .is_some_and(|place| self.kinds[place.storage].is(DEFINITIONS.0, DEFINITIONS.1));
        let collection = &mut self.collections[change.collection];
        if change.kind == EventKind::Deleted {
            collection.remove(&object.key);
            if is_definition {
                self.undefine(&object.uid);
            }
        } else {
            collection.insert(Arc::clone(&object.key), Arc::clone(object));
            if is_definition {
                self.define(object);
            }
        }
        self.rv = change.rv;
        self.history.push(change.clone());
    }
}

#[cfg(test)]
mod tests;
