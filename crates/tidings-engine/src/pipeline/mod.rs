//! One informer as a machine: reflector, DeltaFIFO, store and fan-out, in the order in which an
//! event visits them.
//!
//! Does not read bytes, decode or wait: the shell and the simulator drive the same machine.
//!
//! ```text
//!  input -> reflector -> DeltaFIFO -> store and indexes -> publish -> handlers
//!              ^                            |
//!              +-------- applied -----------+
//! ```
//!
//! The law: while [`Pipeline::wants_input`], feed one [`Input`]; call [`Pipeline::run`] until it
//! has no more to do; drain [`Pipeline::poll_output`] until [`Output::Idle`]; repeat.
//!
//! P1  Readers see the store after whole batches only, and never the middle of a relist (INV-S5).
//! P2  Per uid and epoch a stored version never goes back; an event that is older than the store,
//!     or the same, is dropped and counted (INV-S3).
//! P3  A delete of a key, or of a uid, that is not stored is dropped and counted (against cg-Q1).
//! P4  A value that cannot be decoded keeps the last good one of the same uid beside it (INV-S11).
//! P5  On a relist the deletions are told first, then the rest in the list's order (cg-P5).
//! Source: client-go tools/cache/controller.go @32ce75a7d; rules cg-P1..P8; INV-S1..S7.

mod apply;

use std::collections::VecDeque;

use tidings_api::{Instant, ResourceVersion};

use crate::{
    delta::Delta,
    delta_fifo::{DeltaFifo, Full, Order},
    fanout::{Change, Fanout, FanoutLimits, Handler, HandlerId, HandlerOptions, Removal},
    indexer::{IndexError, IndexFn, Indexer},
    reflector::{Condition, Input, Output, Reflector},
};

/// The choices of an informer's pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a table that users fill with struct update syntax"
)]
pub struct PipelineConfig {
    /// The order of the DeltaFIFO.
    pub order: Order,
    /// Most deltas that wait in it; at the bound the shell stops reading. 8192.
    pub depth_max: usize,
    /// Deltas that are applied between two publications. 1000 (cg-Q6).
    pub batch_max: usize,
    /// Retired objects that are freed in one call of [`Pipeline::run`]. 4096.
    pub reclaim_max: usize,
    /// Most bytes of all stored objects. An object that does not fit is stored without its content,
    /// poisoned; it heals with its next change or the next list, if there is room then. A decoded
    /// payload's own memory is not known and not counted. No bound.
    pub store_bytes_max: usize,
    /// The bounds of the fan-out.
    pub fanout: FanoutLimits,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            order: Order::Arrival,
            depth_max: 8192,
            batch_max: 1000,
            reclaim_max: 4096,
            store_bytes_max: usize::MAX,
            fanout: FanoutLimits::default(),
        }
    }
}

/// Events that changed nothing, by reason (P2, P3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// The same version of the same object again.
    pub same_version: u64,
    /// An older version than the stored one.
    pub older_version: u64,
    /// A delete of a key that is not stored.
    pub unknown_delete: u64,
    /// A delete of an earlier incarnation.
    pub other_uid: u64,
}

/// An informer without its sockets and its clock.
pub struct Pipeline<P> {
    config: PipelineConfig,
    reflector: Reflector<P>,
    fifo: DeltaFifo<P>,
    indexer: Indexer<P>,
    fanout: Fanout<P>,
    /// What did not fit the DeltaFIFO: at most what one input enqueues.
    spill: VecDeque<Delta<P>>,
    batch: Vec<Delta<P>>,
    /// The changes of a relist in progress; told when it ends.
    staged: Option<VecDeque<Change<P>>>,
    /// Whether a poisoned entry was ever stored.
    has_poisoned: bool,
    /// Changes applied but not yet published.
    unpublished: VecDeque<Change<P>>,
    synced_after_publish: bool,
    /// The version to publish next, if it moved.
    version: Option<ResourceVersion>,
    epoch: u64,
    dirty: bool,
    dropped: Dropped,
    over_budget: u64,
    /// Deltas that the DeltaFIFO merged into others and the reflector has not been told of.
    merged: u64,
    /// Deltas that were applied and are not published yet.
    unreported: u64,
    outputs: VecDeque<Output<P>>,
    held: bool,
}

// === impl Pipeline ===

impl<P: Clone> Pipeline<P> {
    /// A pipeline over a store, empty or restored.
    #[must_use]
    pub fn new(config: PipelineConfig, reflector: Reflector<P>, indexer: Indexer<P>) -> Self {
        Self {
            fifo: DeltaFifo::new(config.order, config.depth_max),
            fanout: Fanout::new(config.fanout),
            config,
            epoch: reflector.epoch(),
            reflector,
            indexer,
            spill: VecDeque::new(),
            batch: Vec::new(),
            staged: None,
            has_poisoned: false,
            unpublished: VecDeque::new(),
            synced_after_publish: false,
            version: None,
            dirty: false,
            dropped: Dropped::default(),
            over_budget: 0,
            merged: 0,
            unreported: 0,
            outputs: VecDeque::new(),
            held: false,
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: Input<P>) {
        self.reflector.handle(now, input);
        self.take_outputs();
    }

    /// Whether the next input may come: the back-pressure on the stream (cg-Q7).
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !self.fifo.is_full() && self.spill.is_empty()
    }

    /// Applies what waits, publishes it, and tells at most `budget` events to handlers. Returns
    /// whether there is more to do at once.
    pub fn run(&mut self, now: Instant, budget: usize) -> bool {
        let mut left = budget.max(1);
        while left > 0 {
            // What was applied is told before more is applied, so that the queue stays short.
            left = self.fanout.tell_live(now, left);
            if left == 0 || self.held || !self.apply_batch(now) {
                break;
            }
        }
        // Late handlers never keep the live ones waiting, nor are they forgotten under load.
        let late = left.max(budget / 4).max(1);
        self.fanout.tell_late(now, late, &self.indexer.snapshot());
        self.indexer.reclaim(self.config.reclaim_max);
        self.fanout.has_work(now) || (!self.held && !self.fifo.is_empty())
    }

    /// The next thing for the shell to do.
    pub fn poll_output(&mut self) -> Output<P> {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        match self.reflector.poll_output() {
            Output::Idle { wake_at } => Output::Idle {
                wake_at: wake_at.min(self.fanout.wake_at()),
            },
            // take_outputs has drained all others; nothing is lost if it has not.
            output => output,
        }
    }

    /// Stops applying, so that deltas gather in the DeltaFIFO until it is full; or goes on.
    pub const fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Adds a handler; late ones catch up with the store first.
    pub fn add_handler(
        &mut self,
        now: Instant,
        handler: Box<dyn Handler<P>>,
        options: HandlerOptions,
    ) -> HandlerId {
        self.fanout
            .add(now, handler, options, &self.indexer.snapshot())
    }

    /// Removes a handler; `false` if it is not there (any more).
    pub fn remove_handler(&mut self, id: HandlerId, removal: Removal) -> bool {
        self.fanout.remove(id, removal)
    }

    /// Adds an index, at any time: what is stored is indexed and published at once (cg-I12).
    ///
    /// # Errors
    ///
    /// [`IndexError`] if there is one of that name.
    pub fn add_index(&mut self, name: &str, function: IndexFn<P>) -> Result<(), IndexError> {
        self.indexer.add_index(name, function)?;
        self.dirty = true;
        self.publish();
        Ok(())
    }

    /// Whether another stream has been asked for, or none: what the present one still brings must
    /// not be fed any more.
    #[must_use]
    pub fn leaves_stream(&self) -> bool {
        self.outputs
            .iter()
            .any(|output| matches!(output, Output::Open(_) | Output::Close))
    }

    /// Puts a resync into the DeltaFIFO (cg-F5, cg-Q3).
    pub fn resync(&mut self) {
        self.enqueue(Delta::Sync);
    }

    /// What the reflector is doing.
    #[must_use]
    pub fn condition(&self) -> Condition {
        Condition {
            synced: self.is_synced(),
            ..self.reflector.condition()
        }
    }

    /// Whether a complete state has been published.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.indexer.snapshot().resource_version().is_some()
    }

    /// Deltas that wait.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.fifo.depth() + self.spill.len()
    }

    /// Events that changed nothing.
    #[must_use]
    pub const fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Objects that came and did not fit [`PipelineConfig::store_bytes_max`].
    #[must_use]
    pub const fn over_budget(&self) -> u64 {
        self.over_budget
    }

    /// The reflector, for its counters.
    #[must_use]
    pub const fn reflector(&self) -> &Reflector<P> {
        &self.reflector
    }

    /// The handlers.
    #[must_use]
    pub const fn fanout(&self) -> &Fanout<P> {
        &self.fanout
    }

    /// The store's writer, for indexes to be added and readers to be made.
    pub const fn indexer_mut(&mut self) -> &mut Indexer<P> {
        &mut self.indexer
    }

    /// The store's writer.
    #[must_use]
    pub const fn indexer(&self) -> &Indexer<P> {
        &self.indexer
    }

    /// Checks every room.
    ///
    /// # Panics
    ///
    /// If one is not sane: a programmer's error.
    pub fn check_invariants(&self) {
        self.reflector.check_invariants();
        self.fifo.check_invariants();
        self.indexer.check_invariants();
    }

    fn take_outputs(&mut self) {
        loop {
            match self.reflector.poll_output() {
                Output::Idle { .. } => return,
                Output::Enqueue(delta) => self.enqueue(delta),
                output => self.outputs.push_back(output),
            }
        }
    }

    fn enqueue(&mut self, delta: Delta<P>) {
        if !self.spill.is_empty() {
            return self.spill.push_back(delta);
        }
        self.push(delta);
    }

    /// Puts a delta into the DeltaFIFO, or into the spill if that is full. One that the queue
    /// merged into another will not come out again, so it counts as applied now: else the
    /// reflector would wait for it for ever (F2 of the reflector).
    fn push(&mut self, delta: Delta<P>) {
        let depth = self.fifo.depth();
        let is_own = matches!(delta, Delta::Sync);
        match self.fifo.push(delta) {
            Err(Full(delta)) => self.spill.push_back(delta),
            Ok(()) if self.fifo.depth() == depth => self.merged += u64::from(!is_own),
            Ok(()) => {}
        }
    }
}

#[cfg(test)]
mod tests;
