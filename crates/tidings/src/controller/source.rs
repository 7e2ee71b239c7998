//! What makes a controller work on a key: changes of an informer's objects, through a predicate and a
//! map.
//!
//! Does not decide what is to be done: a key says that something about it has changed, nothing more.
//!
//! | map | keys of |
//! |---|---|
//! | none | the object itself: a primary resource |
//! | [`Source::to`] | whatever a function finds in the object, such as a label or a reference |
//! | [`Source::to_owner`] | the object's owners of one kind |
//! | [`Source::through`] | all objects of another store that an index finds, such as those that refer to it |
//!
//! An update is mapped twice, as the object was and as it is: a reference that is taken away concerns
//! who was referred to. What was there before, and what a resync tells again, has a low priority.
//!
//! Source: controller-runtime pkg/{source,handler} @86a0d40e.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tidings_api::{Object, ObjectKey, ResourceVersion, options::Scope};
use tidings_engine::{
    entry::Entry,
    fanout::{Event, HandlerId, HandlerOptions, Removal},
    workqueue::Priority,
};
use tokio::sync::watch;

use super::{
    owner,
    predicate::{Always, Predicate},
};
use crate::{
    api::OwnerReference,
    error::{Stopped, SyncError},
    informer::InformerHandle,
    payload::Payload,
    state::Progress,
    store::Store,
    workqueue::WorkQueue,
};

/// One informer that a controller listens to.
pub struct Source<S: Payload> {
    handle: InformerHandle<S>,
    predicate: Box<dyn Predicate<S>>,
    map: MapFn<S>,
    options: HandlerOptions,
}

/// Emits the keys that an object concerns, as `namespace/name` or `name`.
type MapFn<S> = Box<dyn Fn(&Entry<S>, &mut dyn FnMut(&str)) + Send>;

/// What stands between an informer and the queue.
type Wiring<S> = (Box<dyn Predicate<S>>, MapFn<S>);

/// A future of a trait that must be an object.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A source whose payload does not matter any more.
pub(super) trait AnySource: Send + Sync {
    fn scope(&self) -> &Scope;
    fn wait_synced(&self) -> Boxed<'_, Result<(), SyncError>>;
    fn is_synced(&self) -> bool;
    /// Waits until the informer has stopped.
    fn stopped(&self) -> Boxed<'_, ()>;
    fn attach(&mut self, queue: &WorkQueue<ObjectKey>) -> Boxed<'_, Result<(), Stopped>>;
    fn detach(&self) -> Boxed<'_, ()>;
    fn stop(&self);
    fn seen(&self) -> Arc<dyn Seen>;
}

/// A store, as far as it matters which writes it has seen.
pub(super) trait Seen: Send + Sync {
    fn scope(&self) -> &Scope;
    fn object(&self, key: &str) -> Option<Object>;
    fn version(&self) -> Option<ResourceVersion>;
    fn progress(&self) -> watch::Receiver<Progress>;
}

/// A source that is ready to be listened to, or is.
pub(super) struct Attached<S: Payload> {
    handle: InformerHandle<S>,
    /// Taken when it is attached.
    wiring: Mutex<Option<Wiring<S>>>,
    options: HandlerOptions,
    id: Option<HandlerId>,
}

// === impl Source ===

impl<S: Payload> Source<S> {
    /// The objects of an informer, each under its own key.
    #[must_use]
    pub fn new(handle: &InformerHandle<S>) -> Self {
        Self {
            handle: handle.clone(),
            predicate: Box::new(Always),
            map: Box::new(|entry, emit| emit(entry.object.key())),
            options: HandlerOptions::default(),
        }
    }

    /// The keys that a function emits for an object, in place of the object's own.
    #[must_use]
    pub fn to(mut self, map: impl Fn(&Entry<S>, &mut dyn FnMut(&str)) + Send + 'static) -> Self {
        self.map = Box::new(map);
        self
    }

    /// The object's owners of a kind: `references` emits the owner references that are looked at, as
    /// [`owner::of_json`] does for raw objects.
    #[must_use]
    pub fn to_owner(
        self,
        owner: owner::OwnerKind,
        references: impl Fn(&Entry<S>, &mut dyn FnMut(&OwnerReference)) + Send + 'static,
    ) -> Self {
        self.to(move |entry, emit| {
            references(entry, &mut |reference| {
                owner.key_of(reference, entry.object.namespace(), emit);
            });
        })
    }

    /// The objects of another store that its index finds under the values that `values` emits.
    ///
    /// An index that is not there finds nothing; [`super::ControllerBuilder::build`] cannot know.
    #[must_use]
    pub fn through<P: Payload>(
        self,
        store: &Store<P>,
        index: &str,
        values: impl Fn(&Entry<S>, &mut dyn FnMut(&str)) + Send + 'static,
    ) -> Self {
        let (store, index) = (store.clone(), index.to_owned());
        self.to(move |entry, emit| {
            values(entry, &mut |value| {
                let found = store.by_index(&index, value).unwrap_or_default();
                found.iter().for_each(|entry| emit(entry.object.key()));
            });
        })
    }

    /// Only the changes that a predicate admits.
    #[must_use]
    pub fn only(mut self, predicate: impl Predicate<S> + 'static) -> Self {
        self.predicate = Box::new(predicate);
        self
    }

    /// Has every object looked at again at this period, with a low priority; at least a second.
    #[must_use]
    pub const fn resync(mut self, period: Duration) -> Self {
        self.options.resync = Some(period);
        self
    }

    pub(super) fn erase(self) -> Box<dyn AnySource> {
        Box::new(Attached {
            handle: self.handle,
            wiring: Mutex::new(Some((self.predicate, self.map))),
            options: self.options,
            id: None,
        })
    }
}

// === impl Attached ===

impl<S: Payload> AnySource for Attached<S> {
    fn scope(&self) -> &Scope {
        self.handle.scope()
    }

    fn wait_synced(&self) -> Boxed<'_, Result<(), SyncError>> {
        Box::pin(self.handle.wait_synced(FOR_EVER))
    }

    fn is_synced(&self) -> bool {
        self.handle.store().resource_version().is_some()
    }

    fn stopped(&self) -> Boxed<'_, ()> {
        Box::pin(async {
            let mut progress = self.handle.watch_progress();
            // No sender is no informer.
            let _ = progress.wait_for(|progress| progress.stopped).await;
        })
    }

    fn attach(&mut self, queue: &WorkQueue<ObjectKey>) -> Boxed<'_, Result<(), Stopped>> {
        let queue = queue.clone();
        Box::pin(async move {
            let wiring = self.wiring.lock().take();
            let Some((mut predicate, map)) = wiring else {
                return Ok(());
            };
            let handler = move |event: Event<'_, S>| enqueue(&queue, &mut *predicate, &map, &event);
            self.id = Some(self.handle.add_handler(self.options, handler).await?);
            Ok(())
        })
    }

    fn detach(&self) -> Boxed<'_, ()> {
        Box::pin(async {
            if let Some(id) = self.id {
                // One that has stopped tells nobody anything any more.
                let _ = self.handle.remove_handler(id, Removal::Drop).await;
            }
        })
    }

    fn stop(&self) {
        self.handle.stop();
    }

    fn seen(&self) -> Arc<dyn Seen> {
        Arc::new(self.handle.clone())
    }
}

impl<S: Payload> Seen for InformerHandle<S> {
    fn scope(&self) -> &Scope {
        Self::scope(self)
    }

    fn object(&self, key: &str) -> Option<Object> {
        self.store().get(key).map(|entry| entry.object)
    }

    fn version(&self) -> Option<ResourceVersion> {
        self.store().resource_version()
    }

    fn progress(&self) -> watch::Receiver<Progress> {
        self.watch_progress()
    }
}

/// From an event to the keys that it concerns.
fn enqueue<S: Payload>(
    queue: &WorkQueue<ObjectKey>,
    predicate: &mut dyn Predicate<S>,
    map: &MapFn<S>,
    event: &Event<'_, S>,
) {
    if !predicate.admits(event) {
        return;
    }
    let add = |entry: &Entry<S>, priority| {
        map(entry, &mut |key| {
            // A map of the user's may emit what is no key: there is nothing to work on.
            if let Ok(key) = ObjectKey::parse(key) {
                queue.add_with(&key, priority);
            }
        });
    };
    match event {
        Event::Added {
            new,
            is_in_initial_list: true,
        } => add(new, Priority::Low),
        Event::Updated { old, new } if old.object.is_same_version(&new.object) => {
            add(new, Priority::Low);
        }
        Event::Updated { old, new } => {
            add(old, Priority::Normal);
            add(new, Priority::Normal);
        }
        Event::Added { new: entry, .. }
        | Event::Deleted { last: entry, .. }
        | Event::Poisoned { entry } => add(entry, Priority::Normal),
    }
}

/// Longer than anybody waits, and within what a timer can hold.
const FOR_EVER: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 10);
