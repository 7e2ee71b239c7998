//! Reading the copy: by key, by index, as a whole, and waiting for it to reach a version.

use std::{sync::Arc, time::Duration};

use tidings_api::{Object, ResourceVersion};
use tidings_engine::{
    entry::{Entry, Poison, Value},
    indexer::{Snapshot, StoreReader, UnknownIndex},
};

use crate::{state::Progress, sync::watch};

/// A handle to read an informer's store. Clones read the same store; reading never waits for the
/// writer.
pub struct Store<P> {
    reader: StoreReader<P>,
    progress: watch::Receiver<Progress>,
}

/// What a lookup finds. Absence is never concluded from what cannot be decoded (INV-S11).
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a lookup has exactly these answers"
)]
pub enum Lookup<P> {
    /// There is no such object.
    Absent,
    /// There is.
    Present(Entry<P>),
    /// There is, but its present version cannot be decoded.
    Undecodable {
        /// Key and version.
        entry: Entry<P>,
        /// What is wrong, without the content.
        problem: String,
        /// The value of the last version that could be decoded, if there was one.
        last_good: Option<P>,
        /// The object of that version, if there was one: in a raw cache it has the JSON.
        last_object: Option<Object>,
    },
}

/// How a wait for a version ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a wait ends in one of these ways")]
pub enum WaitOutcome {
    /// The server's history is another one: the version means nothing in it (INV-S17).
    EpochChanged,
    /// The store has the version, or a later one.
    Reached,
    /// The informer has stopped.
    Stopped,
    /// The time is over.
    TimedOut,
}

// === impl Store ===

impl<P: Clone> Store<P> {
    pub(crate) const fn new(reader: StoreReader<P>, progress: watch::Receiver<Progress>) -> Self {
        Self { reader, progress }
    }

    /// The object of a key, `namespace/name` or `name`, whether it can be decoded or not.
    ///
    /// # Complexity
    ///
    /// O(1), without waiting and without allocation.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Entry<P>> {
        self.reader.get(key)
    }

    /// The object of a key, with its three answers told apart.
    #[must_use]
    pub fn lookup(&self, key: &str) -> Lookup<P> {
        let Some(entry) = self.get(key) else {
            return Lookup::Absent;
        };
        let poison: Arc<Poison<P>> = match &entry.value {
            Value::Decoded(_) => return Lookup::Present(entry),
            Value::Poisoned(poison) => Arc::clone(poison),
        };
        let (last_good, last_object) = (poison.last_good.clone(), poison.last_object.clone());
        Lookup::Undecodable {
            entry,
            problem: poison.problem.clone(),
            last_good,
            last_object,
        }
    }

    /// All objects, in no particular order.
    #[must_use]
    pub fn list(&self) -> Vec<Entry<P>> {
        self.reader.list()
    }

    /// The objects for which an index has a value.
    ///
    /// # Errors
    ///
    /// [`UnknownIndex`] when there is no index of that name.
    pub fn by_index(&self, name: &str, value: &str) -> Result<Vec<Entry<P>>, UnknownIndex> {
        self.reader.by_index(name, value)
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.reader.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reader.is_empty()
    }

    /// The store with its indexes at one version; O(1). It keeps what it shows alive, so it should
    /// not be kept for long.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<P> {
        self.reader.snapshot()
    }

    /// The version that the store has reached, absent before the first sync.
    #[must_use]
    pub fn resource_version(&self) -> Option<ResourceVersion> {
        self.reader.resource_version()
    }

    /// Waits until the store has a version, such as that of one's own write (INV-S17).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn wait_for(&self, version: &ResourceVersion, timeout: Duration) -> WaitOutcome {
        let mut progress = self.progress.clone();
        let epoch = progress.borrow().epoch;
        let reached = progress.wait_for(|progress| {
            let is_there = |at: &ResourceVersion| at.is_at_least(version);
            progress.stopped
                || progress.epoch != epoch
                || progress.resource_version.as_ref().is_some_and(is_there)
        });
        match tokio::time::timeout(timeout, reached).await {
            Err(_) => WaitOutcome::TimedOut,
            Ok(Err(_)) => WaitOutcome::Stopped,
            Ok(Ok(progress)) if progress.epoch != epoch => WaitOutcome::EpochChanged,
            Ok(Ok(progress)) if progress.stopped => WaitOutcome::Stopped,
            Ok(Ok(_)) => WaitOutcome::Reached,
        }
    }
}

impl<P> Clone for Store<P> {
    fn clone(&self) -> Self {
        Self {
            reader: self.reader.clone(),
            progress: self.progress.clone(),
        }
    }
}
