//! A view: another type, or fewer objects, of what a raw informer follows already.
//!
//! It opens no stream. It has a store, indexes, handlers and subscriptions of its own, and is read
//! through the same [`InformerHandle`] as an informer (DESIGN 4.8).

use std::sync::Arc;

use tidings_api::selector::LabelSelector;
use tidings_engine::{
    entry::Entry,
    fanout::{FanoutLimits, Handler, HandlerOptions},
    indexer::{IndexFn, Indexer, IndexerConfig},
    view::View as Machine,
};
use tokio::sync::{mpsc, watch};

use crate::{
    driver::view::{ViewDriver, ViewParts, state_of},
    error::BuildError,
    informer::{COMMANDS_MAX, InformerHandle, LAG_MAX, rand_seed},
    payload::{Payload, Raw},
    state::Progress,
    store::Store,
    subscription::Subscribers,
};

/// A configured view. [`View::run`] makes it live; its handles may be taken before.
pub struct View<P: Payload> {
    driver: ViewDriver<P>,
    handle: InformerHandle<P>,
}

/// Says what a view has of its base, and who is told.
pub struct ViewBuilder<P: Payload> {
    base: InformerHandle<Raw>,
    labels: Option<LabelSelector>,
    indexes: Vec<(String, IndexFn<P>)>,
    handlers: Vec<(Box<dyn Handler<P>>, HandlerOptions)>,
    fanout: FanoutLimits,
    lag_max: u64,
}

// === impl ViewBuilder ===

impl<P: Payload> ViewBuilder<P> {
    pub(crate) fn new(base: InformerHandle<Raw>) -> Self {
        Self {
            base,
            labels: None,
            indexes: Vec::new(),
            handlers: Vec::new(),
            fanout: FanoutLimits::default(),
            lag_max: LAG_MAX,
        }
    }

    /// Only the objects that this selects. An object whose labels change so that it is not selected
    /// any more is told as deleted, with its last selected state.
    #[must_use]
    pub fn labels(mut self, selector: LabelSelector) -> Self {
        self.labels = Some(selector);
        self
    }

    /// The bounds of the fan-out to this view's handlers.
    #[must_use]
    pub const fn fanout(mut self, limits: FanoutLimits) -> Self {
        self.fanout = limits;
        self
    }

    /// How many changes a subscription may lag before it is told to resync.
    #[must_use]
    pub const fn subscription_lag_max(mut self, changes: u64) -> Self {
        self.lag_max = changes;
        self
    }

    /// Adds an index: for each object the function emits the values under which it is found.
    #[must_use]
    pub fn index(
        mut self,
        name: &str,
        function: impl Fn(&Entry<P>, &mut dyn FnMut(&str)) + Send + 'static,
    ) -> Self {
        self.indexes.push((name.to_owned(), Box::new(function)));
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
        self.handlers.push((Box::new(handler), options));
        self
    }

    /// Builds the view.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when two indexes have one name.
    pub fn build(self) -> Result<View<P>, BuildError> {
        let mut indexer = Indexer::new(IndexerConfig {
            seed: rand_seed(),
            ..IndexerConfig::default()
        });
        for (name, function) in self.indexes {
            let added = indexer.add_index(&name, function);
            added.map_err(|_| BuildError::DuplicateIndex { name })?;
        }
        let reader = indexer.reader();
        let mut view = Machine::new(indexer, self.fanout);
        for (handler, options) in self.handlers {
            view.add_handler(tidings_api::Instant::ZERO, handler, options);
        }
        let (commands, commands_out) = mpsc::channel(COMMANDS_MAX);
        let (stop, stop_out) = watch::channel(false);
        let (state, state_out) = watch::channel(state_of(&view, self.base.state()));
        let (progress, progress_out) = watch::channel(Progress::default());
        let subscribers = Arc::new(Subscribers::new(self.lag_max));
        let store = Store::new(reader, progress_out.clone());
        let watched = (state_out, progress_out);
        let handle = InformerHandle::new(commands, stop, watched, store, Arc::clone(&subscribers));
        let driver = ViewDriver::new(ViewParts {
            base: self.base,
            labels: self.labels,
            view,
            commands: commands_out,
            stop: stop_out,
            state,
            progress,
            subscribers,
        });
        Ok(View { driver, handle })
    }
}

// === impl View ===

impl<P: Payload> View<P> {
    /// A handle to this view.
    #[must_use]
    pub fn handle(&self) -> InformerHandle<P> {
        self.handle.clone()
    }

    /// Follows the base until [`InformerHandle::stop`] is called for the view or for the base.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the view; its store remains as it was.
    pub async fn run(self) {
        let Self { driver, handle } = self;
        // The handle holds a sender of the stop signal: dropped last, it keeps the signal alive.
        driver.run().await;
        drop(handle);
    }
}
