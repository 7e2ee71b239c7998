//! A view: another type, or fewer objects, of what a raw informer follows already.
//!
//! It opens no stream. It has a store, indexes, handlers and subscriptions of its own, and is read
//! through the same [`InformerHandle`] as an informer (DESIGN 4.8).

use tidings_api::selector::LabelSelector;
use tidings_engine::{
    entry::Entry,
    fanout::{FanoutLimits, Handler, HandlerOptions},
    view::View as Machine,
};

use crate::{
    driver::view::{ViewDriver, ViewParts, state_of},
    error::BuildError,
    informer::InformerHandle,
    payload::{Payload, Raw},
    wiring::{Options, rand_seed, wire},
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
    fanout: FanoutLimits,
    options: Options<P>,
}

// === impl ViewBuilder ===

impl<P: Payload> ViewBuilder<P> {
    pub(crate) fn new(base: InformerHandle<Raw>) -> Self {
        Self {
            base,
            labels: None,
            fanout: FanoutLimits::default(),
            options: Options::new(),
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

    /// Builds the view.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when two indexes have one name.
    pub fn build(mut self) -> Result<View<P>, BuildError> {
        let indexer = self.options.store(rand_seed())?;
        let reader = indexer.reader();
        let mut view = Machine::new(indexer, self.fanout);
        self.options.hand_over(&mut view);
        let mut scope = self.base.scope().clone();
        if let Some(labels) = &self.labels {
            scope.label_selector = labels.to_string();
        }
        let state = state_of(&view, self.base.state());
        let (handle, ends) = wire(scope, reader, state, self.options.lag_max);
        let parts = ViewParts {
            base: self.base,
            labels: self.labels,
            view,
        };
        let driver = ViewDriver::new(parts, ends);
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
