//! The reconcile loop: from changes of objects to one function that makes the world what they say.
//!
//! ```text
//!  informers --events--> predicate --> map --> workqueue --key--> worker: own writes seen? --> reconcile
//!                                                  ^                                             |
//!                                                  '--- again after | retry with backoff <-------'
//!                                                       parked <---------- gave up
//! ```
//!
//! C1  No reconcile begins before every source is synced, nor, with an election, without the
//!     leadership.
//! C2  After the last change of a key it is reconciled at least once, whatever happens to workers in
//!     between; no key is reconciled twice at a time.
//! C3  A reconcile that wrote through [`Request::remember`] is not followed by one of the same key from
//!     stores that have not seen these writes, but for stores that may leave them out (W3 in
//!     `own_writes.rs`).
//! C4  A shutdown ends in this order: nothing new is taken, what is queued is done, informers stop, the
//!     lease is released. Its limit cuts the second step short.
//! C5  When the leadership is lost, or has not been renewed in time, every reconcile is dropped at once,
//!     and no write goes out through [`Request::remember`] any more, should one run on. The stores stay
//!     live, and the queue keeps what was due.
//!
//! Source: controller-runtime pkg/internal/controller @86a0d40e; research/controllers-gateways.md 1.1,
//! 1.3; `docs/src/tour/controller.md`.

mod leading;
mod own_writes;
pub mod owner;
mod parked;
pub mod predicate;
mod reconcile;
mod source;
mod status;
#[cfg(test)]
mod tests;
mod worker;

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tidings_api::ObjectKey;
use tidings_engine::workqueue::{KeyStatus, Priority, Stats, WorkQueueConfig};
use tokio::{sync::watch, task::JoinSet};
use tracing::info;

use self::{
    leading::{Leadership, Term},
    own_writes::OwnWrites,
    parked::Lot,
    source::AnySource,
    status::Counters,
    worker::Desk,
};
pub use self::{
    owner::OwnerKind,
    parked::Parked,
    reconcile::{Action, Failure, Outcome, Reconciler, Request},
    source::Source,
    status::{ControllerStats, Phase},
};
use crate::{error::Stopped, leader::LeaderHandle, payload::Payload, workqueue::WorkQueue};

/// A reconcile loop that is ready to run.
pub struct Controller<R> {
    core: Arc<Core>,
    reconciler: Arc<R>,
    sources: Vec<Box<dyn AnySource>>,
    leading: Leadership,
    /// The leadership in whose name the workers work.
    term: Option<Term>,
    phase: watch::Sender<Phase>,
    handle: ControllerHandle,
}

/// Says what a controller listens to and how it works.
pub struct ControllerBuilder {
    name: String,
    config: ControllerConfig,
    queue: WorkQueueConfig<ObjectKey>,
    sources: Vec<Box<dyn AnySource>>,
    leading: Leadership,
}

/// The numbers of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "configuration with public fields"
)]
pub struct ControllerConfig {
    /// How many keys are reconciled at a time. 1.
    pub workers: usize,
    /// How long one reconcile may take; then it is dropped and tried again. No limit.
    pub deadline: Option<Duration>,
    /// How often a key is tried again in a row before it is parked. No limit.
    pub retries_max: Option<u32>,
    /// How long a worker waits until the stores have seen a key's own writes; then the key comes again
    /// after as long once more. 5 s.
    pub own_writes_max: Duration,
    /// How long a shutdown may take to do what is queued. 30 s, as controller-runtime's.
    pub shutdown_max: Duration,
    /// Whether the informers are stopped at the end of a shutdown. Yes; shared ones stop for everybody.
    pub stops_informers: bool,
}

/// What workers and handles share.
struct Core {
    name: String,
    config: ControllerConfig,
    queue: WorkQueue<ObjectKey>,
    own_writes: Arc<OwnWrites>,
    parked: Lot,
    counters: Counters,
    desks: Vec<Desk>,
}

/// A view of a controller and a few words to it. Clones are handles to the same one.
#[derive(Clone)]
pub struct ControllerHandle {
    core: Arc<Core>,
    phase: watch::Receiver<Phase>,
}

/// A controller has ended, and not because it was asked to and had the time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControllerError {
    /// An informer has stopped: its store will not change any more, so reconciling from it would be
    /// wrong. Whoever stopped it decides what is next.
    SourceStopped {
        /// Its resource.
        resource: String,
    },
    /// The shutdown's limit came before everything was done. What is left is done by whoever comes
    /// next, from the objects as they are.
    ShutdownLimit {
        /// Keys that nobody has looked at.
        queued: usize,
        /// Reconciles that were dropped.
        running: usize,
    },
    /// A worker has ended by itself: a defect of this library.
    WorkerLost,
}

// === impl ControllerBuilder ===

impl ControllerBuilder {
    /// Listens to an informer.
    #[must_use]
    pub fn source<S: Payload>(mut self, source: Source<S>) -> Self {
        self.sources.push(source.erase());
        self
    }

    /// All the numbers.
    #[must_use]
    pub const fn config(mut self, config: ControllerConfig) -> Self {
        self.config = config;
        self
    }

    /// How many keys are reconciled at a time, at least one.
    #[must_use]
    pub const fn workers(mut self, workers: usize) -> Self {
        self.config.workers = workers;
        self
    }

    /// The queue: its rate limiter, its tenants, its patience.
    #[must_use]
    pub fn queue(mut self, config: WorkQueueConfig<ObjectKey>) -> Self {
        self.queue = config;
        self
    }

    /// Works only while this candidate leads, and releases the lease at the end of a shutdown.
    #[must_use]
    pub fn leader(mut self, leader: LeaderHandle) -> Self {
        self.leading = Leadership::of(leader);
        self
    }

    /// A controller that calls `reconciler`.
    #[must_use]
    pub fn build<R: Reconciler>(self, reconciler: R) -> Controller<R> {
        let workers = self.config.workers.max(1);
        let stores = self.sources.iter().map(|source| source.seen()).collect();
        let core = Arc::new(Core {
            name: self.name,
            config: self.config,
            queue: WorkQueue::new(self.queue),
            own_writes: Arc::new(OwnWrites::new(stores)),
            parked: Lot::default(),
            counters: Counters::default(),
            desks: (0..workers).map(|_| Desk::default()).collect(),
        });
        let waiting_for = names(&self.sources);
        let (phase, phase_out) = watch::channel(Phase::Syncing { waiting_for });
        Controller {
            handle: ControllerHandle {
                core: Arc::clone(&core),
                phase: phase_out,
            },
            core,
            reconciler: Arc::new(reconciler),
            sources: self.sources,
            leading: self.leading,
            term: None,
            phase,
        }
    }
}

fn names(sources: &[Box<dyn AnySource>]) -> Vec<String> {
    let waits = sources.iter().filter(|source| !source.is_synced());
    waits
        .map(|source| source.scope().resource.to_string())
        .collect()
}

impl Default for ControllerConfig {
    fn default() -> Self {
        Self {
            workers: 1,
            deadline: None,
            retries_max: None,
            own_writes_max: Duration::from_secs(5),
            shutdown_max: Duration::from_secs(30),
            stops_informers: true,
        }
    }
}

// === impl Controller ===

impl Controller<()> {
    /// Begins to configure a controller. The name stands in logs and metrics.
    #[must_use]
    pub fn builder(name: &str) -> ControllerBuilder {
        ControllerBuilder {
            name: name.to_owned(),
            config: ControllerConfig::default(),
            queue: WorkQueueConfig {
                seed: crate::wiring::rand_seed(),
                ..WorkQueueConfig::default()
            },
            sources: Vec::new(),
            leading: Leadership::default(),
        }
    }
}

impl<R: Reconciler> Controller<R> {
    /// A handle to this controller.
    #[must_use]
    pub fn handle(&self) -> ControllerHandle {
        self.handle.clone()
    }

    /// Works until `shutdown` is there, then ends in order (C4).
    ///
    /// # Errors
    ///
    /// [`ControllerError`] when it ended for another reason, or not everything was done in time.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime: each worker is a task.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the workers at once; informers and the lease are left alone. The handles
    /// say that it has stopped.
    pub async fn run(
        mut self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ControllerError> {
        let mut shutdown = pin!(shutdown);
        let mut workers = JoinSet::new();
        let ended = tokio::select! {
            error = self.live(&mut workers) => Err(error),
            () = &mut shutdown => Ok(()),
        };
        let ended = match ended {
            Ok(()) => self.drain(&mut workers).await,
            Err(error) => {
                self.cut(&mut workers).await;
                Err(error)
            }
        };
        self.close().await;
        ended
    }

    /// Everything up to the shutdown: it returns only what forbids to go on.
    async fn live(&mut self, workers: &mut JoinSet<()>) -> ControllerError {
        if let Err(error) = self.begin().await {
            return error;
        }
        loop {
            let term = tokio::select! {
                stopped = stopped(&self.sources) => return stopped,
                term = self.leading.lead(&self.phase) => term,
            };
            self.term.clone_from(&term);
            self.enter(Phase::Running);
            for at in 0..self.core.desks.len() {
                let (core, reconciler) = (Arc::clone(&self.core), Arc::clone(&self.reconciler));
                workers.spawn(worker::work(core, reconciler, at, term.clone()));
            }
            tokio::select! {
                biased;
                () = self.leading.lost(term.as_ref()) => self.cut(workers).await,
                stopped = stopped(&self.sources) => return stopped,
                _ = workers.join_next() => return ControllerError::WorkerLost,
            }
        }
    }

    /// Listens to the sources and waits until all are synced (C1).
    async fn begin(&mut self) -> Result<(), ControllerError> {
        for source in &mut self.sources {
            let attached = source.attach(&self.core.queue).await;
            attached.map_err(|Stopped { .. }| stopped_one(&**source))?;
        }
        tokio::select! {
            stopped = stopped(&self.sources) => Err(stopped),
            synced = self.sync() => synced,
        }
    }

    async fn sync(&self) -> Result<(), ControllerError> {
        for source in &self.sources {
            let waiting_for = names(&self.sources);
            if !waiting_for.is_empty() {
                self.enter(Phase::Syncing { waiting_for });
            }
            let synced = source.wait_synced().await;
            synced.map_err(|_| stopped_one(&**source))?;
        }
        Ok(())
    }

    /// Does what is left, within the limit (C4).
    async fn drain(&mut self, workers: &mut JoinSet<()>) -> Result<(), ControllerError> {
        let core = &self.core;
        if workers.is_empty() {
            // Not begun, or standing by: what is queued is for whoever leads.
            core.queue.shut_down();
            return Ok(());
        }
        self.phase.send_replace(Phase::Draining);
        // The workers' own: it may be over, and there may be another one already.
        let term = self.term.take();
        let drained = async {
            core.queue.shut_down_with_drain().await;
            while workers.join_next().await.is_some() {}
        };
        let ended = tokio::select! {
            biased;
            () = self.leading.lost(term.as_ref()) => Ok(()),
            drained = tokio::time::timeout(core.config.shutdown_max, drained) => drained,
        };
        let stats = core.queue.stats();
        self.cut(workers).await;
        ended.map_err(|_| ControllerError::ShutdownLimit {
            queued: stats.depth.iter().sum(),
            running: stats.processing,
        })
    }

    /// Drops what is worked on (C5). What a worker held is queued again, for the next ones.
    async fn cut(&self, workers: &mut JoinSet<()>) {
        workers.shutdown().await;
    }

    /// The rest of the order: informers stop, the lease is released.
    async fn close(&mut self) {
        self.core.queue.shut_down();
        let limit = self.core.config.shutdown_max;
        for source in &self.sources {
            // An informer that does not answer is told nothing more either.
            let _ = tokio::time::timeout(limit, source.detach()).await;
            if self.core.config.stops_informers {
                source.stop();
            }
        }
        // A lease that cannot be released expires.
        let _ = tokio::time::timeout(limit, self.leading.release()).await;
        self.enter(Phase::Stopped);
    }

    fn enter(&self, phase: Phase) {
        info!(controller = self.core.name, "{phase}");
        self.phase.send_replace(phase);
    }
}

impl<R> Drop for Controller<R> {
    /// Run to its end or not, nobody works any more: the informers' handlers must not fill the queue, and
    /// the handles must not say otherwise.
    fn drop(&mut self) {
        self.core.queue.shut_down();
        self.phase.send_replace(Phase::Stopped);
    }
}

/// Waits until one of the sources has stopped.
async fn stopped(sources: &[Box<dyn AnySource>]) -> ControllerError {
    let mut all: Vec<_> = sources.iter().map(|source| source.stopped()).collect();
    poll_fn(|context| {
        let mut stopped = all.iter_mut();
        let at = stopped.position(|stopped| stopped.as_mut().poll(context).is_ready());
        at.map_or(Poll::Pending, |at| Poll::Ready(stopped_one(&*sources[at])))
    })
    .await
}

fn stopped_one(source: &dyn AnySource) -> ControllerError {
    ControllerError::SourceStopped {
        resource: source.scope().resource.to_string(),
    }
}

// === impl ControllerHandle ===

impl ControllerHandle {
    /// Where it is in its life.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    /// The same as a value that can be watched.
    #[must_use]
    pub fn watch_phase(&self) -> watch::Receiver<Phase> {
        self.phase.clone()
    }

    /// How reconciles ended.
    #[must_use]
    pub fn stats(&self) -> ControllerStats {
        let own_writes = &self.core.own_writes;
        ControllerStats {
            parked: self.core.parked.len(),
            own_write_waits: own_writes.waits(),
            own_write_timeouts: own_writes.timeouts(),
            own_writes_forgotten: own_writes.forgotten(),
            own_writes_pending: own_writes.pending(),
            ..self.core.counters.read()
        }
    }

    /// The queue's counters.
    #[must_use]
    pub fn queue_stats(&self) -> Stats {
        self.core.queue.stats()
    }

    /// At most `len_max` keys with what they wait for, in no particular order.
    #[must_use]
    pub fn dump(&self, len_max: usize) -> Vec<KeyStatus<ObjectKey>> {
        self.core.queue.dump(len_max)
    }

    /// The keys that were given up.
    #[must_use]
    pub fn parked(&self) -> Vec<Parked> {
        self.core.parked.list()
    }

    /// Has a parked key be tried again: whether it was parked.
    pub fn retry(&self, key: &ObjectKey) -> bool {
        let was = self.core.parked.contains(key);
        if was {
            self.core.queue.add(key);
        }
        was
    }

    /// Has a key be looked at, whether it changed or not.
    pub fn trigger(&self, key: &ObjectKey, priority: Priority) {
        self.core.queue.add_with(key, priority);
    }

    /// Forgets that a key is due, and drops its reconcile if one is under way: whether there was
    /// anything to cancel. A change makes it due again.
    pub fn cancel(&self, key: &ObjectKey) -> bool {
        let was_due = self.core.queue.cancel(key.as_str());
        // All of them: one that has just let go of the key may still show it.
        let desks = self.core.desks.iter();
        desks.filter(|desk| desk.cancel(key)).count() > 0 || was_due
    }
}

impl fmt::Debug for ControllerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControllerHandle")
            .field("name", &self.core.name)
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

// === impl ControllerError ===

impl fmt::Display for ControllerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SourceStopped { resource } => {
                write!(
                    f,
                    "the informer of {resource} has stopped under its controller"
                )
            }
            Self::ShutdownLimit { queued, running } => write!(
                f,
                "the shutdown's limit came with {queued} keys queued and {running} reconciles under way"
            ),
            Self::WorkerLost => f.write_str("a worker has ended by itself"),
        }
    }
}

impl std::error::Error for ControllerError {}
