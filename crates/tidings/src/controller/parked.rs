//! Keys that are not tried again by themselves: the dead letters.
//!
//! P1  A key is parked from its last failure until it is due again: a change, a delay or somebody's word
//!     makes it due, and takes it out.
//! P2  At most `PARKED_MAX` keys are parked: beyond, the one that has been there longest is forgotten. A change
//!     still makes it due.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;
use tidings_api::ObjectKey;
use tokio::time::Instant;

/// A key that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parked {
    /// The key.
    pub key: ObjectKey,
    /// Why.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// For how long it has been parked.
    pub since: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Lot {
    keys: Mutex<HashMap<ObjectKey, Letter>>,
    /// Read without the lock: most of the time nothing is parked.
    len: AtomicUsize,
}

#[derive(Debug)]
struct Letter {
    reason: String,
    attempts: u32,
    at: Instant,
}

impl Lot {
    pub(super) fn park(&self, key: &ObjectKey, reason: &str, attempts: u32) {
        let letter = Letter {
            reason: reason.to_owned(),
            attempts,
            at: Instant::now(),
        };
        let mut keys = self.keys.lock();
        if keys.len() >= PARKED_MAX && !keys.contains_key(key) {
            let oldest = keys.iter().min_by_key(|(_, letter)| letter.at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                keys.remove(&oldest);
            }
        }
        keys.insert(key.clone(), letter);
        self.len.store(keys.len(), Relaxed);
    }

    /// Takes a key out; `false` if it is not parked.
    pub(super) fn take(&self, key: &ObjectKey) -> bool {
        if self.len() == 0 {
            return false;
        }
        let mut keys = self.keys.lock();
        let was = keys.remove(key).is_some();
        self.len.store(keys.len(), Relaxed);
        was
    }

    pub(super) fn contains(&self, key: &ObjectKey) -> bool {
        self.keys.lock().contains_key(key)
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// All of them, by key.
    pub(super) fn list(&self) -> Vec<Parked> {
        let keys = self.keys.lock();
        let parked = |(key, letter): (&ObjectKey, &Letter)| Parked {
            key: key.clone(),
            reason: letter.reason.clone(),
            attempts: letter.attempts,
            since: letter.at.elapsed(),
        };
        let mut list: Vec<_> = keys.iter().map(parked).collect();
        list.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        list
    }
}

/// Keys that are parked at most.
const PARKED_MAX: usize = 10_000;
