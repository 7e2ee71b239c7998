//! An informer: what to follow, how, and the handle to what it knows.

use std::{sync::Arc, time::Duration};

use tidings_api::{Instant, ResourceVersion, limits::Limits, options::Scope, request::Request};
use tidings_engine::{
    entry::Entry,
    fanout::{Handler, HandlerId, HandlerOptions, Removal},
    indexer::IndexFn,
    pipeline::{Pipeline, PipelineConfig},
    reflector::{Config as ReflectorConfig, ListMode, Reflector, Stats},
};

use crate::{
    driver::{Command, Driver, Parts},
    error::{BuildError, Stopped, SyncError},
    payload::{Payload, Raw},
    state::{Progress, State},
    store::Store,
    subscription::{Subscribers, Subscription},
    sync::{mpsc, oneshot, watch},
    transport::{HttpTransport, Transport},
    view::ViewBuilder,
    wiring::{Options, rand_seed, wire},
};

/// A configured informer. [`Informer::run`] makes it live; its handles may be taken before.
pub struct Informer<P: Payload> {
    driver: Driver<P>,
    handle: InformerHandle<P>,
}

/// Says what an informer follows and how.
pub struct InformerBuilder<P: Payload> {
    transport: Arc<dyn Transport>,
    scope: Scope,
    limits: Limits,
    reflector: ReflectorConfig,
    pipeline: PipelineConfig,
    options: Options<P>,
}

/// A handle to an informer, running or not. Clones are handles to the same one.
pub struct InformerHandle<P> {
    scope: Arc<Scope>,
    commands: mpsc::Sender<Command<P>>,
    stop: Arc<watch::Sender<bool>>,
    state: watch::Receiver<State>,
    progress: watch::Receiver<Progress>,
    store: Store<P>,
    subscribers: Arc<Subscribers<P>>,
}

// === impl InformerBuilder ===

impl<P: Payload> InformerBuilder<P> {
    fn new(transport: Arc<dyn Transport>, scope: Scope) -> Self {
        let seed = rand_seed();
        Self {
            transport,
            scope,
            limits: Limits::default(),
            reflector: ReflectorConfig {
                seed,
                ..ReflectorConfig::default()
            },
            pipeline: PipelineConfig::default(),
            options: Options::new(),
        }
    }

    /// How the state is fetched before it is watched.
    #[must_use]
    pub const fn list_mode(mut self, mode: ListMode) -> Self {
        self.reflector.list_mode = mode;
        self
    }

    /// All the numbers of the reflector. A seed of 0 stands for one that is drawn here: clients with
    /// one seed would come back together (pr-F50), and hash keys alike (SEC-24).
    #[must_use]
    pub fn reflector(mut self, config: ReflectorConfig) -> Self {
        let seed = match config.seed {
            0 => self.reflector.seed,
            seed => seed,
        };
        self.reflector = ReflectorConfig { seed, ..config };
        self
    }

    /// All the numbers of the pipeline.
    #[must_use]
    pub const fn pipeline(mut self, config: PipelineConfig) -> Self {
        self.pipeline = config;
        self
    }

    /// The bounds of the wire.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How many changes a subscription may lag before it is told to resync.
    #[must_use]
    pub const fn subscription_lag_max(mut self, changes: u64) -> Self {
        self.options.lag_max = changes;
        self
    }

    /// Adds an index: for each object the function emits the values under which it is found.
    #[must_use]
    pub fn index(
        mut self,
        name: &str,
        function: impl Fn(&Entry<P>, &mut dyn FnMut(&str)) + Send + 'static,
    ) -> Self {
        self.options.add_index(name, Box::new(function));
        self
    }

    /// Adds a handler, which is told everything from the first object on.
    #[must_use]
    pub fn handler(self, handler: impl Handler<P> + 'static) -> Self {
        self.handler_with(HandlerOptions::default(), handler)
    }

    /// Adds a handler with options.
    #[must_use]
    pub fn handler_with(
        mut self,
        options: HandlerOptions,
        handler: impl Handler<P> + 'static,
    ) -> Self {
        self.options.add_handler(options, Box::new(handler));
        self
    }

    /// Builds the informer.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when the scope cannot be requested or two indexes have one name.
    pub fn build(mut self) -> Result<Informer<P>, BuildError> {
        let probe = tidings_api::options::ListOptions {
            version: tidings_api::options::ListVersion::Consistent,
            limit: None,
            continue_token: None,
        };
        Request::list(&self.scope, &probe).map_err(BuildError::Path)?;
        let indexer = self.options.store(self.reflector.seed)?;
        let reader = indexer.reader();
        let mut config = self.reflector;
        // pr-F8: events expire in groups, each group at one version.
        let resource = &self.scope.resource;
        config.shared_versions |=
            resource.plural() == "events" && ["", "events.k8s.io"].contains(&resource.group());
        let reflector = Reflector::new(config);
        let mut pipeline = Pipeline::new(self.pipeline, reflector, indexer);
        self.options.hand_over(&mut pipeline);
        let (scope, state) = (self.scope.clone(), initial_state(&pipeline));
        let (handle, ends) = wire(scope, reader, state, self.options.lag_max);
        let parts = Parts {
            scope: self.scope,
            limits: self.limits,
            transport: self.transport,
            pipeline,
        };
        let driver = Driver::new(parts, ends);
        Ok(Informer { driver, handle })
    }
}

// === impl Informer ===

impl<P: Payload> Informer<P> {
    /// Begins to configure an informer of a scope, over a client.
    #[must_use]
    pub fn builder(client: tidings_http::Client, scope: Scope) -> InformerBuilder<P> {
        Self::builder_over(Arc::new(HttpTransport::new(client)), scope)
    }

    /// The same over any transport.
    #[must_use]
    pub fn builder_over(transport: Arc<dyn Transport>, scope: Scope) -> InformerBuilder<P> {
        InformerBuilder::new(transport, scope)
    }

    /// A handle to this informer.
    #[must_use]
    pub fn handle(&self) -> InformerHandle<P> {
        self.handle.clone()
    }

    /// Follows the resource until [`InformerHandle::stop`] is called.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the informer; its connections are closed, and the store remains
    /// as it was.
    pub async fn run(self) {
        let Self { driver, handle } = self;
        // The handle holds a sender of the stop signal: dropped last, it keeps the signal alive.
        driver.run().await;
        drop(handle);
    }
}

// === impl InformerHandle ===

impl InformerHandle<Raw> {
    /// Begins to configure a view of what this informer follows, without another stream: other
    /// types, or only some objects. It lives as long as this informer runs.
    #[must_use]
    pub fn view<P: Payload>(&self) -> ViewBuilder<P> {
        ViewBuilder::new(self.clone())
    }
}

impl<P: Payload> InformerHandle<P> {
    pub(crate) fn new(
        scope: Scope,
        commands: mpsc::Sender<Command<P>>,
        stop: watch::Sender<bool>,
        (state, progress): (watch::Receiver<State>, watch::Receiver<Progress>),
        store: Store<P>,
        subscribers: Arc<Subscribers<P>>,
    ) -> Self {
        Self {
            scope: Arc::new(scope),
            commands,
            stop: Arc::new(stop),
            state,
            progress,
            store,
            subscribers,
        }
    }

    /// What is followed. A view's selector stands in its label selector.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &Store<P> {
        &self.store
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// The state as a value that can be watched.
    #[must_use]
    pub fn watch_state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// How far the store is, as a value that can be watched; it moves with each publication.
    #[must_use]
    pub fn watch_progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits until a complete state is in the store.
    ///
    /// # Errors
    ///
    /// [`SyncError`] when the time is over, with what it was doing, or when the informer stopped.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn wait_synced(&self, timeout: Duration) -> Result<(), SyncError> {
        let mut progress = self.progress.clone();
        let synced =
            progress.wait_for(|progress| progress.resource_version.is_some() || progress.stopped);
        match tokio::time::timeout(timeout, synced).await {
            Err(_) => {
                let doing = self.state.borrow().summary();
                Err(SyncError::TimedOut {
                    after: timeout,
                    doing,
                })
            }
            Ok(Ok(progress)) if progress.resource_version.is_some() => Ok(()),
            Ok(_) => Err(SyncError::Stopped),
        }
    }

    /// Waits until the store has a version; see [`Store::wait_for`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn wait_for(
        &self,
        version: &ResourceVersion,
        timeout: Duration,
    ) -> crate::store::WaitOutcome {
        self.store.wait_for(version, timeout).await
    }

    /// A stream of changes for a consumer in another task; it begins with what is there.
    #[must_use]
    pub fn subscribe(&self) -> Subscription<P> {
        Subscription::new(self.store.clone(), self.progress.clone(), &self.subscribers)
    }

    /// Adds a handler; it is told what is there first, while nothing stops for the others.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the informer has stopped.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped the handler may or may not have been added.
    pub async fn add_handler(
        &self,
        options: HandlerOptions,
        handler: impl Handler<P> + 'static,
    ) -> Result<HandlerId, Stopped> {
        self.ask(|answer| Command::AddHandler(Box::new(handler), options, answer))
            .await
    }

    /// Removes a handler; `false` if it is not there (any more). Once this returns, it is not
    /// called any more.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the informer has stopped.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped the handler may or may not have been removed.
    pub async fn remove_handler(&self, id: HandlerId, removal: Removal) -> Result<bool, Stopped> {
        self.ask(|answer| Command::RemoveHandler(id, removal, answer))
            .await
    }

    /// Adds an index; what is stored is indexed at once (cg-I12).
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the informer has stopped; inside, [`BuildError`] when the name is taken.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped the index may or may not have been added.
    pub async fn add_index(
        &self,
        name: &str,
        function: impl Fn(&Entry<P>, &mut dyn FnMut(&str)) + Send + 'static,
    ) -> Result<Result<(), BuildError>, Stopped> {
        let function: IndexFn<P> = Box::new(function);
        self.ask(|answer| Command::AddIndex(name.to_owned(), function, answer))
            .await
    }

    /// Has every handler that asked for resyncs told everything again.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the informer has stopped.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped the resync may or may not happen.
    pub async fn resync(&self) -> Result<(), Stopped> {
        self.commands
            .send(Command::Resync)
            .await
            .map_err(|_| Stopped)
    }

    /// Stops the informer. [`Informer::run`] returns soon after; the store remains as it is.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    async fn ask<A>(
        &self,
        command: impl FnOnce(oneshot::Sender<A>) -> Command<P>,
    ) -> Result<A, Stopped> {
        let (sender, receiver) = oneshot::channel();
        self.commands
            .send(command(sender))
            .await
            .map_err(|_| Stopped)?;
        receiver.await.map_err(|_| Stopped)
    }
}

impl<P> Clone for InformerHandle<P> {
    fn clone(&self) -> Self {
        Self {
            scope: Arc::clone(&self.scope),
            commands: self.commands.clone(),
            stop: Arc::clone(&self.stop),
            state: self.state.clone(),
            progress: self.progress.clone(),
            store: self.store.clone(),
            subscribers: Arc::clone(&self.subscribers),
        }
    }
}

fn initial_state<P: Payload>(pipeline: &Pipeline<P>) -> State {
    State {
        condition: pipeline.condition(),
        at: Instant::ZERO,
        objects: 0,
        object_bytes: 0,
        poisoned_items: 0,
        over_budget: 0,
        bad_input: None,
        depth: 0,
        backlog: 0,
        handlers: Vec::new(),
        index_failures: 0,
        stats: Stats::default(),
        dropped: pipeline.dropped(),
        bytes_received: 0,
        list_bytes: 0,
    }
}
