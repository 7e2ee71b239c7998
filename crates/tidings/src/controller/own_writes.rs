//! Read-your-writes: a key is not reconciled from stores that have not seen its last reconcile's writes.
//!
//! Does not delay writes and does not read for the author: it remembers, and a worker waits.
//!
//! ```text
//!   reconcile k: create child --> 201, version 70        later: reconcile k
//!                 remembered: k -> child@70               waits until the store of children has 70
//! ```
//!
//! W1  A write that was answered is awaited until the store has its version, or, for a deletion, until the
//!     store has no object of that uid at the key.
//! W2  A write whose outcome is unknown is settled by reading the object from the server, past every
//!     cache; then it is awaited like one that was answered.
//! W3  A write into a resource that no source of the controller follows is not awaited: no store can
//!     show it. Nor is one that a source's namespace leaves out. A source with a selector may leave the
//!     object out, too, and nobody can tell: it is awaited for half of the time, and then taken for seen.
//! W4  Of several writes of one object the last counts; at most `WRITES_MAX` objects are remembered for
//!     a key: beyond, the oldest is forgotten, and counted. Writes of keys that never come again are
//!     forgotten once they have been seen.
//! Source: KEP-5647; controller-runtime PR 3472; research 4.8 of client-go.md: caches trail one's own
//! writes by 10 to 500 ms, which is how controllers create things twice.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::Value;
use tidings_api::{
    ObjectKey, Resource, ResourceVersion,
    options::{ListOptions, ListVersion, Scope},
    request::Request,
};
use tokio::time::Instant;

use super::{leading::Term, source::Seen};
use crate::api::{Api, WriteObserver, WriteOutcome, WriteTarget, plain_body};

/// What a controller has written and its stores may not have seen.
pub(super) struct OwnWrites {
    stores: Vec<Arc<dyn Seen>>,
    pending: Mutex<Pending>,
    numbers: AtomicU64,
    waits: AtomicU64,
    timeouts: AtomicU64,
    forgotten: AtomicU64,
}

/// Writes by the key in whose name they were made.
#[derive(Default)]
struct Pending {
    writes: HashMap<ObjectKey, VecDeque<Write>>,
    /// With so many keys it is looked which have been seen: a key may never come again.
    sweep_at: usize,
}

#[derive(Clone)]
pub(super) struct Write {
    number: u64,
    resource: Resource,
    namespace: Option<String>,
    /// Absent for a create without a name, of which nobody knows how it ended.
    key: Option<ObjectKey>,
    pub(super) expects: Expects,
    /// For reading what is unknown.
    api: Api,
    /// The histories that the stores were in, in their order: in another one its version says nothing.
    epochs: Vec<u64>,
}

#[derive(Clone, Debug)]
pub(super) enum Expects {
    /// No object, or one of another uid.
    Gone {
        uid: String,
    },
    /// Nobody knows.
    Unknown,
    Version(ResourceVersion),
}

/// Whether the stores have seen everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    Clear,
    /// Not within the time that was given.
    Stale,
}

/// Writes in the name of one key.
pub(super) struct Observer {
    pub(super) own_writes: Arc<OwnWrites>,
    pub(super) key: ObjectKey,
    pub(super) term: Option<Term>,
    pub(super) api: Api,
}

// === impl OwnWrites ===

impl OwnWrites {
    pub(super) fn new(stores: Vec<Arc<dyn Seen>>) -> Self {
        Self {
            stores,
            pending: Mutex::default(),
            numbers: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
        }
    }

    /// An API whose writes are remembered for a key.
    pub(super) fn observe(
        self: &Arc<Self>,
        key: &ObjectKey,
        term: Option<&Term>,
        api: &Api,
    ) -> Api {
        let observer = Observer {
            own_writes: Arc::clone(self),
            key: key.clone(),
            term: term.cloned(),
            api: api.clone(),
        };
        api.clone().observed_by(Arc::new(observer))
    }

    /// Waits until the stores have seen what was written for a key, and forgets it then.
    pub(super) async fn seen(&self, key: &ObjectKey, timeout: Duration) -> Sight {
        if self.first_of(key).is_none() {
            return Sight::Clear;
        }
        let mut has_waited = false;
        let all = async {
            while let Some(write) = self.first_of(key) {
                has_waited |= self.await_one(&write, timeout / 2).await;
                self.forget(key, write.number);
            }
        };
        let sight = match tokio::time::timeout(timeout, all).await {
            Ok(()) => Sight::Clear,
            Err(_) => Sight::Stale,
        };
        let is_stale = sight == Sight::Stale;
        self.waits
            .fetch_add(u64::from(has_waited || is_stale), Relaxed);
        self.timeouts.fetch_add(u64::from(is_stale), Relaxed);
        sight
    }

    /// Keys with writes that a store may not have seen.
    pub(super) fn pending(&self) -> usize {
        self.pending.lock().writes.len()
    }

    /// How often a worker had to wait.
    pub(super) fn waits(&self) -> u64 {
        self.waits.load(Relaxed)
    }

    /// How often it waited in vain.
    pub(super) fn timeouts(&self) -> u64 {
        self.timeouts.load(Relaxed)
    }

    /// How many writes were forgotten unseen (W4).
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten.load(Relaxed)
    }

    pub(super) fn first_of(&self, key: &ObjectKey) -> Option<Write> {
        let pending = self.pending.lock();
        pending
            .writes
            .get(key)
            .and_then(|writes| writes.front().cloned())
    }

    fn epochs(&self) -> Vec<u64> {
        let epoch = |store: &Arc<dyn Seen>| store.progress().borrow().epoch;
        self.stores.iter().map(epoch).collect()
    }

    fn forget(&self, key: &ObjectKey, number: u64) {
        let mut pending = self.pending.lock();
        let Some(writes) = pending.writes.get_mut(key) else {
            return;
        };
        writes.retain(|write| write.number != number);
        if writes.is_empty() {
            pending.writes.remove(key);
        }
    }

    fn remember(&self, key: &ObjectKey, write: Write) {
        if !self
            .stores
            .iter()
            .any(|store| follows(store.scope(), &write))
        {
            return;
        }
        let mut pending = self.pending.lock();
        if pending.writes.len() >= pending.sweep_at.max(SWEEP_MIN) {
            pending.writes.retain(|_, writes| {
                writes.retain(|write| !self.is_seen(write));
                !writes.is_empty()
            });
            // Twice what is left: on average a write pays for looking at two.
            pending.sweep_at = pending.writes.len() * 2;
        }
        let writes = pending.writes.entry(key.clone()).or_default();
        let is_same = |other: &Write| other.resource == write.resource && other.key == write.key;
        if write.key.is_some() {
            writes.retain(|other| !is_same(other));
        }
        if writes.len() >= WRITES_MAX {
            writes.pop_front();
            self.forgotten.fetch_add(1, Relaxed);
        }
        writes.push_back(write);
    }

    /// Whether every store that follows the object has seen a write, without waiting.
    fn is_seen(&self, write: &Write) -> bool {
        let mut stores = self.stores.iter();
        stores.all(|store| {
            !follows(store.scope(), write) || has_seen(&**store, write, &write.expects)
        })
    }

    /// Waits until every store that follows the object has seen a write. Whether there was anything to
    /// wait for.
    async fn await_one(&self, write: &Write, partial_max: Duration) -> bool {
        let mut has_waited = false;
        // One for all stores: each with its own, several could use up the time together for ever.
        let partial_until = Instant::now() + partial_max;
        for (store, epoch) in self.stores.iter().zip(&write.epochs) {
            if !follows(store.scope(), write) {
                continue;
            }
            let expects = match &write.expects {
                Expects::Unknown => {
                    has_waited = true;
                    settle(write, &**store).await
                }
                known => known.clone(),
            };
            if has_seen(&**store, write, &expects) {
                continue;
            }
            has_waited = true;
            let wait = wait_for(&**store, write, &expects, *epoch);
            if is_partial(store.scope()) {
                // The object may not be among those that the store shows: half of the time must do.
                let _ = tokio::time::timeout_at(partial_until, wait).await;
            } else {
                wait.await;
            }
        }
        has_waited
    }
}

/// Waits until a store has seen a write, or cannot: it has stopped, or its server's history is another.
async fn wait_for(store: &dyn Seen, write: &Write, expects: &Expects, epoch: u64) {
    let mut progress = store.progress();
    loop {
        let now = progress.borrow_and_update().clone();
        if now.stopped || now.epoch != epoch || has_seen(store, write, expects) {
            return;
        }
        if progress.changed().await.is_err() {
            return;
        }
    }
}

fn has_seen(store: &dyn Seen, write: &Write, expects: &Expects) -> bool {
    let object = write
        .key
        .as_ref()
        .and_then(|key| store.object(key.as_str()));
    match expects {
        Expects::Gone { uid } => object.is_none_or(|object| object.uid() != uid),
        Expects::Unknown => false,
        Expects::Version(version) => {
            let has = |at: &ResourceVersion| at.is_at_least(version);
            let of_object = object.and_then(|object| object.resource_version().ok());
            of_object.as_ref().is_some_and(has) || store.version().as_ref().is_some_and(has)
        }
    }
}

/// Asks the server what became of a write, until it answers (W2).
async fn settle(write: &Write, store: &dyn Seen) -> Expects {
    loop {
        let known = match &write.key {
            Some(key) => match write.api.resource(&write.resource).get::<Value>(key).await {
                Ok(object) => version_in(&object),
                Err(error) if error.is_not_found() => {
                    // What the store shows at the key, if anything, is what is gone.
                    let uid = store.object(key.as_str());
                    let uid = uid.map_or_else(String::new, |object| object.uid().to_owned());
                    Some(Expects::Gone { uid })
                }
                Err(_) => None,
            },
            None => probe(write).await,
        };
        if let Some(known) = known {
            return known;
        }
        tokio::time::sleep(SETTLE_PERIOD).await;
    }
}

/// The version of the collection now: a store that has reached it has seen the create, if it happened.
async fn probe(write: &Write) -> Option<Expects> {
    let mut scope = Scope::all(write.resource.clone());
    scope.namespace.clone_from(&write.namespace);
    let options = ListOptions {
        version: ListVersion::Consistent,
        limit: Some(1),
        continue_token: None,
    };
    let request = Request::list(&scope, &options).ok()?;
    let answer = write.api.client().send(&request).await.ok()?;
    let body = plain_body(&answer).ok()?;
    let list = serde_json::from_slice::<Value>(&body).ok()?;
    version_in(&list)
}

fn version_in(document: &Value) -> Option<Expects> {
    let version = document["metadata"]["resourceVersion"].as_str()?;
    ResourceVersion::parse(version).ok().map(Expects::Version)
}

/// Whether a store of this scope may show the object of a write (W3).
fn follows(scope: &Scope, write: &Write) -> bool {
    let namespace = scope.namespace.as_deref();
    scope.resource == write.resource
        && namespace.is_none_or(|namespace| write.namespace.as_deref() == Some(namespace))
}

/// Whether a store of this scope leaves out objects for what they are.
const fn is_partial(scope: &Scope) -> bool {
    !scope.label_selector.is_empty() || !scope.field_selector.is_empty()
}

/// Objects of which writes are remembered for one key.
const WRITES_MAX: usize = 256;
/// Keys with writes that are not looked through for what has been seen.
const SWEEP_MIN: usize = 1024;
/// How often a server that does not answer is asked again.
const SETTLE_PERIOD: Duration = Duration::from_millis(250);

// === impl Observer ===

impl WriteObserver for Observer {
    fn permits(&self, _write: &WriteTarget) -> Result<(), &'static str> {
        match &self.term {
            Some(term) if !term.is_valid() => Err("this replica does not lead any more"),
            _ => Ok(()),
        }
    }

    fn begun(&self, _write: &WriteTarget) {}

    fn ended(&self, write: &WriteTarget, outcome: &WriteOutcome) {
        let (key, expects) = match outcome {
            // Without a uid nobody could tell the object from the next one of its name.
            WriteOutcome::Deleted { uid, .. } if uid.is_empty() => {
                (write.key.clone(), Expects::Unknown)
            }
            WriteOutcome::Deleted { uid, .. } => {
                (write.key.clone(), Expects::Gone { uid: uid.clone() })
            }
            WriteOutcome::Stored { key, version, .. } => {
                (Some(key.clone()), Expects::Version(version.clone()))
            }
            WriteOutcome::Unknown => (write.key.clone(), Expects::Unknown),
            WriteOutcome::Refused => return,
        };
        let number = self.own_writes.numbers.fetch_add(1, Relaxed);
        let remembered = Write {
            number,
            resource: write.resource.clone(),
            namespace: write.namespace.clone(),
            key,
            expects,
            api: self.api.clone(),
            epochs: self.own_writes.epochs(),
        };
        self.own_writes.remember(&self.key, remembered);
    }
}
