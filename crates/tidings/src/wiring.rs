//! What informers and views have alike around their machines: what their builders are told, a store
//! with its first indexes, and the channels between a driver and its handles.

use std::sync::Arc;

use tidings_api::{Instant, options::Scope};
use tidings_engine::{
    fanout::{Handler, HandlerOptions},
    indexer::{IndexFn, Indexer, IndexerConfig, StoreReader},
};

use crate::{
    driver::{Ends, Machine},
    error::BuildError,
    informer::InformerHandle,
    payload::Payload,
    state::{Progress, State},
    store::Store,
    subscription::Subscribers,
    sync::{mpsc, watch},
};

/// What both builders are told: who reads the store in which ways, and who is told of it.
pub(crate) struct Options<P> {
    indexes: Vec<(String, IndexFn<P>)>,
    handlers: Vec<(Box<dyn Handler<P>>, HandlerOptions)>,
    pub(crate) lag_max: u64,
}

impl<P: Payload> Options<P> {
    pub(crate) const fn new() -> Self {
        Self {
            indexes: Vec::new(),
            handlers: Vec::new(),
            lag_max: LAG_MAX,
        }
    }

    pub(crate) fn add_index(&mut self, name: &str, function: IndexFn<P>) {
        self.indexes.push((name.to_owned(), function));
    }

    pub(crate) fn add_handler(&mut self, options: HandlerOptions, handler: Box<dyn Handler<P>>) {
        self.handlers.push((handler, options));
    }

    /// An empty store with the indexes.
    pub(crate) fn store(&mut self, seed: u64) -> Result<Indexer<P>, BuildError> {
        let mut indexer = Indexer::new(IndexerConfig {
            seed,
            ..IndexerConfig::default()
        });
        for (name, function) in self.indexes.drain(..) {
            let added = indexer.add_index(&name, function);
            added.map_err(|_| BuildError::DuplicateIndex { name })?;
        }
        Ok(indexer)
    }

    /// Has a machine that has not begun tell the handlers.
    pub(crate) fn hand_over(&mut self, machine: &mut impl Machine<P>) {
        for (handler, options) in self.handlers.drain(..) {
            machine.add_handler(Instant::ZERO, handler, options);
        }
    }
}

/// The channels between a driver and the handle to it.
pub(crate) fn wire<P: Payload>(
    scope: Scope,
    reader: StoreReader<P>,
    state: State,
    lag_max: u64,
) -> (InformerHandle<P>, Ends<P>) {
    let (commands, commands_out) = mpsc::channel(COMMANDS_MAX);
    let (stop, stop_out) = watch::channel(false);
    let (state, state_out) = watch::channel(state);
    let (progress, progress_out) = watch::channel(Progress::default());
    let subscribers = Arc::new(Subscribers::new(lag_max));
    let store = Store::new(reader, progress_out.clone());
    let watched = (state_out, progress_out);
    let handle = InformerHandle::new(
        scope,
        commands,
        stop,
        watched,
        store,
        Arc::clone(&subscribers),
    );
    let ends = Ends {
        commands: commands_out,
        stop: stop_out,
        state,
        progress,
        subscribers,
    };
    (handle, ends)
}

/// A seed for jitter and hashing that differs from process to process and from call to call.
pub(crate) fn rand_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8)
}

/// Commands that may wait for a driver; senders wait beyond it.
const COMMANDS_MAX: usize = 64;
/// How many changes a subscription may lag by default.
const LAG_MAX: u64 = 100_000;
