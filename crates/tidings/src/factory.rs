//! Shared informers: one stream for all who follow the same thing.
//!
//! What makes two streams one is the endpoint, the credentials, the resource, the namespace, the
//! server-side selectors (DESIGN 4.8), and here also the payload, since each object is decoded
//! once, into one type. Projections of one raw stream are a subscription on [`crate::Raw`].

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tidings_api::options::Scope;

use crate::{
    error::BuildError,
    informer::{Informer, InformerBuilder, InformerHandle},
    payload::Payload,
    transport::{HttpTransport, Transport},
};

/// Starts informers on demand and shares them; the last one out stops it.
pub struct Factory {
    transport: Arc<dyn Transport>,
    shared: Mutex<HashMap<Key, Weak<dyn Any + Send + Sync>>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    identity: String,
    scope: Scope,
    payload: TypeId,
}

/// A share of a running informer. It stops when the last share is dropped.
pub struct SharedInformer<P: Payload> {
    running: Arc<Running<P>>,
}

struct Running<P: Payload>(InformerHandle<P>);

// === impl Factory ===

impl Factory {
    /// A factory over a client.
    #[must_use]
    pub fn new(client: tidings_http::Client) -> Self {
        Self::over(Arc::new(HttpTransport::new(client)))
    }

    /// The same over any transport.
    #[must_use]
    pub fn over(transport: Arc<dyn Transport>) -> Self {
        Self {
            transport,
            shared: Mutex::default(),
        }
    }

    /// The informer of a scope: a share of the running one, or a new one, configured by
    /// `configure` and spawned on the current runtime.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when a new one cannot be built.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime.
    pub fn informer<P: Payload>(
        &self,
        scope: Scope,
        configure: impl FnOnce(InformerBuilder<P>) -> InformerBuilder<P>,
    ) -> Result<SharedInformer<P>, BuildError> {
        let key = Key {
            identity: self.transport.identity(),
            scope: scope.clone(),
            payload: TypeId::of::<P>(),
        };
        let mut shared = self.shared.lock();
        shared.retain(|_, running| running.strong_count() > 0);
        let running = shared.get(&key).and_then(Weak::upgrade);
        if let Some(running) = running.and_then(|any| any.downcast::<Running<P>>().ok()) {
            return Ok(SharedInformer { running });
        }
        let builder = Informer::builder_over(Arc::clone(&self.transport), scope);
        let informer = configure(builder).build()?;
        let running = Arc::new(Running(informer.handle()));
        let erased: Arc<dyn Any + Send + Sync> = Arc::<Running<P>>::clone(&running);
        shared.insert(key, Arc::downgrade(&erased));
        tokio::spawn(informer.run());
        Ok(SharedInformer { running })
    }

    /// How many informers run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared
            .lock()
            .values()
            .filter(|running| running.strong_count() > 0)
            .count()
    }

    /// Whether none runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

// === impl SharedInformer ===

impl<P: Payload> Clone for SharedInformer<P> {
    fn clone(&self) -> Self {
        Self {
            running: Arc::clone(&self.running),
        }
    }
}

impl<P: Payload> Deref for SharedInformer<P> {
    type Target = InformerHandle<P>;

    fn deref(&self) -> &InformerHandle<P> {
        &self.running.0
    }
}

impl<P: Payload> Drop for Running<P> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
