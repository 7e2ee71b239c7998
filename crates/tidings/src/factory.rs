//! Shared informers: one stream for all who follow the same thing.
//!
//! What makes two streams one is the endpoint, the credentials, the resource, the namespace and the
//! server-side selectors (DESIGN 4.8). A [`Factory::view`] of another type, or through a label
//! selector, is fed by that one stream, which keeps the objects' JSON for it. Who needs one type only
//! and not the JSON takes [`Factory::informer`] of that type, which decodes at ingest and is shared
//! among those who ask for the same type.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tidings_api::{options::Scope, selector::LabelSelector};

use crate::{
    error::BuildError,
    informer::{Informer, InformerBuilder, InformerHandle},
    payload::{Payload, Raw},
    transport::{HttpTransport, Transport},
    view::ViewBuilder,
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
    /// The selector of a view, as text; a stream has none.
    view: Option<String>,
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
        let key = self.key::<P>(&scope, None);
        self.share(key, || {
            let builder = Informer::builder_over(Arc::clone(&self.transport), scope);
            let informer = configure(builder).build()?;
            let handle = informer.handle();
            tokio::spawn(informer.run());
            Ok(handle)
        })
    }

    /// A view of the scope's one raw stream, which is started if it does not run, and stopped with
    /// its last user: another type of the same objects, and with `labels` only those that it
    /// selects. Views of one type through one selector are shared, too; `configure` is for the first.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when the stream or the view cannot be built.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use std::{collections::BTreeMap, sync::Arc};
    /// use tidings::{Factory, LabelSelector, Raw, Scope};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Service {
    ///     spec: BTreeMap<String, serde_json::Value>,
    /// }
    ///
    /// # fn example(factory: &Factory, scope: Scope) -> Result<(), Box<dyn std::error::Error>> {
    /// let all = factory.informer::<Raw>(scope.clone(), |stream| stream)?;
    /// let web = LabelSelector::parse("app=web")?;
    /// let some = factory.view::<Arc<Service>>(scope, Some(web), |view| view)?;
    /// assert_eq!(factory.streams(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn view<P: Payload>(
        &self,
        scope: Scope,
        labels: Option<LabelSelector>,
        configure: impl FnOnce(ViewBuilder<P>) -> ViewBuilder<P>,
    ) -> Result<SharedInformer<P>, BuildError> {
        let base = self.informer::<Raw>(scope.clone(), |stream| stream)?;
        let selector = labels
            .as_ref()
            .map_or_else(String::new, ToString::to_string);
        let key = self.key::<P>(&scope, Some(selector));
        self.share(key, || {
            let mut builder = base.view::<P>();
            if let Some(labels) = labels {
                builder = builder.labels(labels);
            }
            let view = configure(builder).build()?;
            let handle = view.handle();
            tokio::spawn(async move {
                view.run().await;
                // The stream's share goes with the view.
                drop(base);
            });
            Ok(handle)
        })
    }

    /// How many streams are open: informers, without the views on them.
    #[must_use]
    pub fn streams(&self) -> usize {
        let shared = self.shared.lock();
        let is_stream = |(key, running): &(&Key, &Weak<_>)| {
            key.view.is_none() && Weak::strong_count(running) > 0
        };
        shared.iter().filter(is_stream).count()
    }

    /// How many informers and views run.
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

    fn key<P: Payload>(&self, scope: &Scope, view: Option<String>) -> Key {
        Key {
            identity: self.transport.identity(),
            scope: scope.clone(),
            payload: TypeId::of::<P>(),
            view,
        }
    }

    /// A share of what runs under a key, or of what `start` starts.
    fn share<P: Payload>(
        &self,
        key: Key,
        start: impl FnOnce() -> Result<InformerHandle<P>, BuildError>,
    ) -> Result<SharedInformer<P>, BuildError> {
        let mut shared = self.shared.lock();
        shared.retain(|_, running| running.strong_count() > 0);
        let running = shared.get(&key).and_then(Weak::upgrade);
        if let Some(running) = running.and_then(|any| any.downcast::<Running<P>>().ok()) {
            return Ok(SharedInformer { running });
        }
        let running = Arc::new(Running(start()?));
        let erased: Arc<dyn Any + Send + Sync> = Arc::<Running<P>>::clone(&running);
        shared.insert(key, Arc::downgrade(&erased));
        Ok(SharedInformer { running })
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
