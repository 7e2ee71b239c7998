//! What every running machine has around it: a clock, the commands of its handles, and what it
//! publishes to them.
//!
//! Does not know what drives the machine: a socket (`Driver`) or another store (`ViewDriver`).
//!
//! ```text
//!  handles  -- commands, stop -->  desk  --> machine
//!           <- progress, state --        <-- snapshot, condition, counters
//! ```
//!
//! K1  Progress moves with each publication of the store, at once.
//! K2  The state is published at once when it has turned, and else at most once in `STATE_PERIOD`,
//!     but always once more: the last change before a silence is counted.
//! Cost: two loads a turn; a state, which is some allocations, ten times a second.

use std::{sync::Arc, time::Duration};

use tidings_api::Instant;
use tidings_engine::{
    fanout::{Handler, HandlerId, HandlerOptions, Removal},
    indexer::{IndexError, IndexFn, Indexer},
    ingest::BadInput,
    pipeline::Pipeline,
    reflector::Condition,
    view::View,
};

use crate::{
    error::BuildError,
    payload::Payload,
    state::{Progress, State},
    subscription::Subscribers,
    sync::{mpsc, oneshot, watch},
};

/// What a handle asks of a running informer or view.
pub(crate) enum Command<P> {
    AddHandler(
        Box<dyn Handler<P>>,
        HandlerOptions,
        oneshot::Sender<HandlerId>,
    ),
    AddIndex(String, IndexFn<P>, oneshot::Sender<Result<(), BuildError>>),
    RemoveHandler(HandlerId, Removal, oneshot::Sender<bool>),
    Resync,
}

/// A driver's ends of the channels.
pub(crate) struct Ends<P> {
    pub(crate) commands: mpsc::Receiver<Command<P>>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) subscribers: Arc<Subscribers<P>>,
}

/// What handles may ask of a machine.
pub(crate) trait Machine<P> {
    fn add_handler(
        &mut self,
        now: Instant,
        handler: Box<dyn Handler<P>>,
        options: HandlerOptions,
    ) -> HandlerId;
    fn add_index(&mut self, name: &str, function: IndexFn<P>) -> Result<(), IndexError>;
    fn remove_handler(&mut self, id: HandlerId, removal: Removal) -> bool;
    fn resync(&mut self, now: Instant);
}

/// A driver's side of the channels to its handles.
pub(super) struct Desk<P> {
    ends: Ends<P>,
    started: tokio::time::Instant,
    state_published_at: Instant,
    /// When counters that were held back are to be published.
    state_due: Instant,
    commands_open: bool,
}

// === impl Desk ===

impl<P: Payload> Desk<P> {
    pub(super) fn new(ends: Ends<P>) -> Self {
        Self {
            ends,
            started: tokio::time::Instant::now(),
            state_published_at: Instant::ZERO,
            state_due: Instant::FAR_FUTURE,
            commands_open: true,
        }
    }

    /// The clock begins at zero.
    pub(super) fn start(&mut self) {
        self.started = tokio::time::Instant::now();
    }

    /// The next command; none once the machine is to stop. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Command<P>> {
        loop {
            tokio::select! {
                biased;
                // An error means that no handle is left, so that nobody could stop it any more.
                _ = self.ends.stop.wait_for(|stop| *stop) => return None,
                command = self.ends.commands.recv(), if self.commands_open => match command {
                    Some(command) => return Some(command),
                    None => self.commands_open = false,
                },
            }
        }
    }

    /// Does what a handle asked for.
    pub(super) fn handle(&self, machine: &mut impl Machine<P>, command: Command<P>) {
        let now = self.now();
        // Whoever asked may have gone: then nobody wants the answer.
        match command {
            Command::AddHandler(handler, options, answer) => {
                let _ = answer.send(machine.add_handler(now, handler, options));
            }
            Command::AddIndex(name, function, answer) => {
                let added = machine.add_index(&name, function);
                let _ = answer.send(added.map_err(|_| BuildError::DuplicateIndex { name }));
            }
            Command::RemoveHandler(id, removal, answer) => {
                let _ = answer.send(machine.remove_handler(id, removal));
            }
            Command::Resync => machine.resync(now),
        }
    }

    /// Publishes how far the store is, if it has moved (K1).
    pub(super) fn publish_progress(&self, indexer: &Indexer<P>, changes: u64) {
        let snapshot = indexer.snapshot();
        self.ends.progress.send_if_modified(|progress| {
            if progress.generation == snapshot.generation() {
                return false;
            }
            progress.resource_version = snapshot.resource_version().cloned();
            progress.epoch = snapshot.epoch();
            progress.generation = snapshot.generation();
            progress.changes = changes;
            true
        });
    }

    /// Whether the state is to be published now: because it has turned, or because it is time (K2).
    pub(super) fn owes_state(
        &mut self,
        now: Instant,
        condition: &Condition,
        bad_input: Option<&BadInput>,
    ) -> bool {
        let next = self.state_published_at + STATE_PERIOD;
        let owes = next <= now || self.ends.state.borrow().turned(condition, bad_input);
        self.state_due = if owes { Instant::FAR_FUTURE } else { next };
        owes
    }

    pub(super) fn publish_state(&mut self, now: Instant, state: State) {
        self.state_published_at = now;
        let changes = self.ends.progress.borrow().changes;
        self.ends.subscribers.cut_laggards(changes);
        self.ends.state.send_replace(state);
    }

    /// Tells everybody who waits that nothing more comes.
    pub(super) fn close(&self, state: State) {
        self.ends
            .progress
            .send_modify(|progress| progress.stopped = true);
        self.ends.state.send_replace(state);
    }

    pub(super) fn is_stopped(&self) -> bool {
        *self.ends.stop.borrow()
    }

    pub(super) fn now(&self) -> Instant {
        let nanos = self.started.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// When to wake for a machine that asked for `wake_at`.
    pub(super) fn due(&self, wake_at: Instant) -> tokio::time::Instant {
        let at = wake_at.min(self.state_due);
        // tokio cannot represent every far instant; a year is as good as never.
        self.started + Duration::from_nanos(at.as_nanos()).min(FAR)
    }
}

// === impl Machine ===

impl<P: Payload> Machine<P> for Pipeline<P> {
    fn add_handler(
        &mut self,
        now: Instant,
        handler: Box<dyn Handler<P>>,
        options: HandlerOptions,
    ) -> HandlerId {
        self.add_handler(now, handler, options)
    }

    fn add_index(&mut self, name: &str, function: IndexFn<P>) -> Result<(), IndexError> {
        self.add_index(name, function)
    }

    fn remove_handler(&mut self, id: HandlerId, removal: Removal) -> bool {
        self.remove_handler(id, removal)
    }

    fn resync(&mut self, _now: Instant) {
        self.resync();
    }
}

impl<B: Clone, P: Payload> Machine<P> for View<B, P> {
    fn add_handler(
        &mut self,
        now: Instant,
        handler: Box<dyn Handler<P>>,
        options: HandlerOptions,
    ) -> HandlerId {
        self.add_handler(now, handler, options)
    }

    fn add_index(&mut self, name: &str, function: IndexFn<P>) -> Result<(), IndexError> {
        self.add_index(name, function)
    }

    fn remove_handler(&mut self, id: HandlerId, removal: Removal) -> bool {
        self.remove_handler(id, removal)
    }

    fn resync(&mut self, now: Instant) {
        self.resync(now);
    }
}

/// How often counters are published while nothing else changes.
const STATE_PERIOD: Duration = Duration::from_millis(100);
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
