//! Which keys are to be worked on: each once, in turn, and again when it changed meanwhile.
//!
//! Does not wait, lock or wake: time is handed in, and a shell has workers wait for [`Next::Key`].
//!
//! ```text
//!            add                   get                  done
//!  (unknown) ---> dirty, queued ---------> processing ---------> (forgotten, or its failures kept)
//!      ^              ^                     | add  ^
//!      | add_after    | due, or add         v      | get
//!      '--> delayed --'              dirty, processing --- done ---> dirty, queued
//! ```
//!
//! K1  A key is queued exactly when it is dirty and nobody works on it; no key is with two workers
//!     (cg-W1).
//! K2  What is added while it is dirty is one addition (cg-W2); a higher priority moves it up, to the
//!     end of that level.
//! K3  After the last addition of a key it is handed to a worker at least once, unless it is
//!     cancelled or the queue shut down.
//! K4  A delayed addition is superseded by an addition of the same key (client-go fires it again,
//!     cg-D5), and of two delayed ones the earlier counts (cg-D2). A delayed addition of a key that is
//!     dirty stays: it may be meant for later.
//! K5  Drained means that nothing is queued and nothing is worked on (client-go forgets what is
//!     queued, cg-W5).
//! Cost: every operation O(1) but a shutdown, no allocation while the number of keys does not grow. Memory: about
//! 90 bytes a key beside the key, 24 more once it was delayed.
//! Source: client-go util/workqueue @32ce75a7d; rules cg-W1..W6, cg-D1..D5, cg-L1..L4.

mod delay;
mod dump;
mod invariants;
mod lanes;
pub mod rate_limit;
mod slots;
mod stats;
#[cfg(test)]
mod tests;

use std::{
    borrow::Borrow,
    fmt,
    hash::Hash,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use tidings_api::Instant;

use self::{
    delay::Wheel,
    lanes::{COMMON, Lane, Lanes, Links},
    rate_limit::{RateLimiter, default_controller_limiter},
    slots::Slots,
};
pub use self::{
    dump::{Delayed, Dirty, KeyStatus},
    slots::Ticket,
    stats::{Durations, Stats},
};

/// A workqueue; see the module.
pub struct WorkQueue<K> {
    slots: Slots<K>,
    lanes: Lanes,
    wheel: Wheel,
    /// Empty; its memory is used again.
    due: Vec<u32>,
    /// The slots that are worked on.
    processing: Lane,
    processing_len: usize,
    limiter: Box<dyn RateLimiter>,
    tenant: Option<TenantFn<K>>,
    shutdown: Shutdown,
    stats: Stats,
    /// When work began that has ended since the time was last known ([`WorkQueue::done_just_now`]).
    ended: Vec<Instant>,
}

/// The choices of a queue.
#[expect(
    clippy::exhaustive_structs,
    reason = "configuration with public fields"
)]
pub struct WorkQueueConfig<K> {
    /// How long rate-limited additions wait.
    pub limiter: Box<dyn RateLimiter>,
    /// Whose a key is: tenants of one priority are served in turn. Without it all keys are one
    /// tenant's.
    pub tenant: Option<TenantFn<K>>,
    /// How often in a row a lower priority that waits is passed over.
    pub patience: u32,
    /// Where the hashes begin.
    pub seed: u64,
}

/// The tenant of a key, such as its namespace.
pub type TenantFn<K> = Box<dyn Fn(&K) -> &str + Send>;

/// A level of priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a fixed set of levels")]
pub enum Priority {
    /// Before everything else.
    High,
    /// What nobody said anything about.
    #[default]
    Normal,
    /// What can wait, such as the first look at what was there before.
    Low,
}

/// How many levels there are.
pub const LEVELS: usize = 3;

/// What made a key dirty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the ways into the queue")]
pub enum Reason {
    /// It was added.
    Added,
    /// It was added after a delay.
    Delayed,
    /// It was added rate-limited, for the so-manieth time, counted from one.
    Retry(u32),
}

/// What an addition did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers may decide on each")]
pub enum Added {
    /// It was dirty already.
    Deduplicated,
    /// It waits for its time.
    Delayed,
    /// The queue is shut down.
    Ignored,
    /// Somebody works on it: it is queued again when that is done.
    Marked,
    /// It waits for a worker.
    Queued,
    /// It was dirty already, and has a higher priority now.
    Raised,
}

/// What a worker gets.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a worker decides on each")]
pub enum Next<K> {
    /// Nothing at present; ask again after an addition, after a `done`, or at this time.
    Empty {
        /// When the next delayed key is due.
        wake_at: Option<Instant>,
    },
    /// A key to work on.
    Key(Taken<K>),
    /// Nothing any more.
    ShutDown,
}

/// A key that was handed to a worker.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plain record")]
pub struct Taken<K> {
    /// The key.
    pub key: K,
    /// To be given back with [`WorkQueue::done`].
    pub ticket: Ticket,
    /// What made it dirty.
    pub reason: Reason,
    /// The level that it had.
    pub priority: Priority,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shutdown {
    No,
    /// Workers stay until everything is done.
    Draining,
    /// Workers go once nothing is queued.
    Yes,
}

// === impl WorkQueueConfig ===

impl<K> Default for WorkQueueConfig<K> {
    fn default() -> Self {
        Self {
            limiter: Box::new(default_controller_limiter()),
            tenant: None,
            patience: 16,
            seed: 0,
        }
    }
}

impl<K> fmt::Debug for WorkQueueConfig<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkQueueConfig")
            .field("tenants", &self.tenant.is_some())
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

// === impl WorkQueue ===

impl<K: Clone + Eq + Hash> WorkQueue<K> {
    /// An empty queue.
    #[must_use]
    pub fn new(config: WorkQueueConfig<K>) -> Self {
        Self {
            slots: Slots::new(config.seed),
            lanes: Lanes::new(config.patience, config.seed),
            wheel: Wheel::new(),
            due: Vec::new(),
            processing: Lane::EMPTY,
            processing_len: 0,
            limiter: config.limiter,
            tenant: config.tenant,
            shutdown: Shutdown::No,
            stats: Stats::default(),
            ended: Vec::new(),
        }
    }

    /// Has a key be worked on (cg-W2).
    pub fn add(&mut self, now: Instant, key: &K) -> Added {
        self.add_with(now, key, Priority::Normal)
    }

    /// The same with a priority; a key that waits with a lower one moves up.
    pub fn add_with(&mut self, now: Instant, key: &K, priority: Priority) -> Added {
        if self.is_shutting_down() {
            self.stats.ignored += 1;
            return Added::Ignored;
        }
        self.note_ended(now);
        let id = self.slot_of(key);
        if self.slots.at(id).is_delayed {
            self.slots.at_mut(id).is_delayed = false;
            self.wheel.remove(id);
        }
        self.mark(now, id, priority, Reason::Added)
    }

    /// Has a key be worked on after a delay; at once if it is zero (cg-D1). Of two delays of one key
    /// the one that ends first counts (cg-D2).
    pub fn add_after(&mut self, now: Instant, key: &K, delay: Duration) -> Added {
        self.add_after_with(now, key, delay, Priority::Normal)
    }

    /// The same with a priority, which the key has from then on.
    pub fn add_after_with(
        &mut self,
        now: Instant,
        key: &K,
        delay: Duration,
        priority: Priority,
    ) -> Added {
        self.delay(now, key, delay, priority, Reason::Delayed)
    }

    /// Has a key be worked on after as long as its limiter says, and counts that for it. Returns the
    /// delay, or `None` after a shutdown.
    pub fn add_rate_limited(&mut self, now: Instant, key: &K) -> Option<Duration> {
        self.add_rate_limited_with(now, key, Priority::Normal)
    }

    /// The same with a priority, which the key has from then on.
    pub fn add_rate_limited_with(
        &mut self,
        now: Instant,
        key: &K,
        priority: Priority,
    ) -> Option<Duration> {
        self.add_rate_limited_not_before(now, key, priority, Duration::ZERO)
    }

    /// The same, but not before a delay of the caller's, such as a server's Retry-After.
    pub fn add_rate_limited_not_before(
        &mut self,
        now: Instant,
        key: &K,
        priority: Priority,
        delay_min: Duration,
    ) -> Option<Duration> {
        if self.is_shutting_down() {
            self.stats.ignored += 1;
            return None;
        }
        let id = self.slot_of(key);
        let slot = self.slots.at_mut(id);
        let attempt = slot.failures;
        slot.failures = attempt.saturating_add(1);
        let reason = Reason::Retry(slot.failures);
        // A limiter of the user's own may panic: its key must not be lost for that.
        let limited = catch_unwind(AssertUnwindSafe(|| self.limiter.delay(now, attempt)));
        let delay = limited.unwrap_or(PANIC_DELAY).max(delay_min);
        self.delay(now, key, delay, priority, reason);
        Some(delay)
    }

    /// A key to work on, if there is one: what is due is queued first, and after a shutdown what is
    /// queued is still handed out (cg-W4).
    pub fn get(&mut self, now: Instant) -> Next<K> {
        self.note_ended(now);
        self.advance(now);
        if let Some(taken) = self.take(now) {
            return Next::Key(taken);
        }
        match self.shutdown {
            Shutdown::No => Next::Empty {
                wake_at: self.wheel.next_wake(),
            },
            // A key that is worked on may be dirty: it will be queued again.
            Shutdown::Draining if self.processing_len > 0 => Next::Empty { wake_at: None },
            Shutdown::Draining | Shutdown::Yes => Next::ShutDown,
        }
    }

    /// A worker is done with a key; it is queued again, at the end, if it was added meanwhile
    /// (cg-W3). Returns whether it was.
    pub fn done(&mut self, now: Instant, ticket: Ticket) -> bool {
        let is_queued = self.done_just_now(ticket);
        self.note_ended(now);
        is_queued
    }

    /// The same without the time: what is asked of the queue next says it. A worker asks for its next
    /// key right away, so that one reading of a clock serves both.
    pub fn done_just_now(&mut self, ticket: Ticket) -> bool {
        let Some(id) = self.slots.redeem(&ticket) else {
            debug_assert!(false, "a ticket of another queue");
            return false;
        };
        let slot = self.slots.at_mut(id);
        debug_assert!(slot.is_processing, "a ticket is given back once");
        slot.is_processing = false;
        let (is_dirty, tenant, priority) = (slot.is_dirty, slot.tenant, slot.priority);
        self.ended.push(slot.started);
        self.processing.remove(id, &mut self.slots);
        self.processing_len -= 1;
        if is_dirty {
            self.lanes.push(id, tenant, priority, &mut self.slots);
        } else {
            self.release(id);
        }
        is_dirty
    }

    /// Forgets that a key has failed: its next rate-limited addition is its first. Does not touch an
    /// addition that waits.
    pub fn forget<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some(id) = self.slots.find(key) {
            self.slots.at_mut(id).failures = 0;
            self.release(id);
        }
    }

    /// Takes back what was added of a key and no worker has: whether something was. Who works on it
    /// goes on, and its failures are remembered.
    pub fn cancel<Q>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let Some(id) = self.slots.find(key) else {
            return false;
        };
        let slot = self.slots.at_mut(id);
        let was_queued = slot.is_queued();
        let (was_dirty, was_delayed) = (slot.is_dirty, slot.is_delayed);
        let (tenant, priority) = (slot.tenant, slot.priority);
        (slot.is_dirty, slot.is_delayed) = (false, false);
        if was_queued {
            self.lanes.remove(id, tenant, priority, &mut self.slots);
        }
        self.wheel.remove(id);
        self.stats.cancelled += u64::from(was_dirty || was_delayed);
        self.release(id);
        was_dirty || was_delayed
    }

    /// Takes back a delayed addition alone: whether there was one.
    pub fn cancel_delayed<Q>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let Some(id) = self.slots.find(key) else {
            return false;
        };
        let was_delayed = std::mem::take(&mut self.slots.at_mut(id).is_delayed);
        self.wheel.remove(id);
        self.stats.cancelled += u64::from(was_delayed);
        self.release(id);
        was_delayed
    }

    /// Queues what is due.
    pub fn advance(&mut self, now: Instant) {
        if self.wheel.is_quiet_at(now) {
            return;
        }
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now, &mut due);
        for id in due.drain(..) {
            let slot = self.slots.at_mut(id);
            slot.is_delayed = false;
            let (priority, reason) = (slot.delayed_priority, slot.delayed_reason);
            self.mark(now, id, priority, reason);
        }
        self.due = due;
    }

    /// Takes no more additions and drops the delayed ones. What is queued is still handed out; a
    /// drain that is under way ends (cg-W5).
    pub fn shut_down(&mut self) {
        self.drop_delays();
        self.shutdown = Shutdown::Yes;
    }

    /// The same, but workers stay until [`WorkQueue::is_drained`]: what is dirty while it is worked
    /// on is worked on again.
    pub fn shut_down_with_drain(&mut self) {
        self.drop_delays();
        if self.shutdown == Shutdown::No {
            self.shutdown = Shutdown::Draining;
        }
    }

    /// Whether the queue takes no more additions.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.shutdown != Shutdown::No
    }

    /// Whether it is shut down, nothing is queued and nothing is worked on (K5).
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.is_shutting_down() && self.is_empty() && self.processing_len == 0
    }

    /// Rate-limited additions of a key since it was forgotten (cg-L2).
    #[must_use]
    pub fn num_requeues<Q>(&self, key: &Q) -> u32
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let found = self.slots.find(key);
        found.map_or(0, |id| self.slots.at(id).failures)
    }

    /// How many keys wait for a worker; what is delayed or worked on does not count.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lanes.total()
    }

    /// Whether no key waits for a worker.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many keys are worked on.
    #[must_use]
    pub const fn processing_len(&self) -> usize {
        self.processing_len
    }

    /// When the next delayed key is due.
    #[must_use]
    pub fn next_wake(&self) -> Option<Instant> {
        self.wheel.next_wake()
    }

    /// The counters, with what is going on at `now`.
    ///
    /// # Complexity
    ///
    /// O(keys that are worked on).
    #[must_use]
    pub fn stats(&self, now: Instant) -> Stats {
        let mut stats = self.stats;
        for started in &self.ended {
            stats.work_duration.record(*started, now);
        }
        for (level, depth) in PRIORITIES.into_iter().zip(&mut stats.depth) {
            *depth = self.lanes.len(level);
        }
        stats.delayed = self.wheel.len();
        stats.processing = self.processing_len;
        stats.tracked = self.slots.len();
        stats.tenants = self.lanes.tenants();
        let mut id = self.processing.first;
        while id != slots::NONE {
            let slot = self.slots.at(id);
            let running = now.saturating_since(slot.started);
            stats.unfinished_work = stats.unfinished_work.saturating_add(running);
            stats.longest_running = stats.longest_running.max(running);
            id = slot.next;
        }
        stats
    }

    fn note_ended(&mut self, now: Instant) {
        for started in self.ended.drain(..) {
            self.stats.work_duration.record(started, now);
        }
    }

    fn slot_of(&mut self, key: &K) -> u32 {
        let (id, is_new) = self.slots.find_or_insert(key);
        if is_new {
            let tenant = self.tenant.as_ref().and_then(|tenant| {
                // One that panics has told nothing: the key is nobody's in particular.
                catch_unwind(AssertUnwindSafe(|| tenant(key))).ok()
            });
            let tenant = tenant.map_or(COMMON, |name| self.lanes.join(name));
            self.slots.at_mut(id).tenant = tenant;
        }
        id
    }

    /// Makes a key dirty.
    fn mark(&mut self, now: Instant, id: u32, priority: Priority, reason: Reason) -> Added {
        let slot = self.slots.at_mut(id);
        let (tenant, was) = (slot.tenant, slot.priority);
        if slot.is_dirty {
            self.stats.deduplicated += 1;
            if priority >= was {
                return Added::Deduplicated;
            }
            slot.priority = priority;
            if slot.is_queued() {
                self.lanes.remove(id, tenant, was, &mut self.slots);
                self.lanes.push(id, tenant, priority, &mut self.slots);
            }
            return Added::Raised;
        }
        slot.is_dirty = true;
        (slot.since, slot.priority, slot.reason) = (now, priority, reason);
        self.stats.adds += 1;
        if slot.is_processing {
            return Added::Marked;
        }
        self.lanes.push(id, tenant, priority, &mut self.slots);
        Added::Queued
    }

    fn delay(
        &mut self,
        now: Instant,
        key: &K,
        delay: Duration,
        priority: Priority,
        reason: Reason,
    ) -> Added {
        if self.is_shutting_down() {
            self.stats.ignored += 1;
            return Added::Ignored;
        }
        self.stats.retries += 1;
        let id = self.slot_of(key);
        if delay.is_zero() {
            if std::mem::take(&mut self.slots.at_mut(id).is_delayed) {
                self.wheel.remove(id);
            }
            return self.mark(now, id, priority, reason);
        }
        let at = now + delay;
        let slot = self.slots.at_mut(id);
        if slot.is_delayed {
            // A higher priority is kept, whichever of the two comes first.
            slot.delayed_priority = slot.delayed_priority.min(priority);
            if self.wheel.due_at(id).is_some_and(|due| due <= at) {
                return Added::Deduplicated;
            }
            self.wheel.remove(id);
        } else {
            slot.is_delayed = true;
            slot.delayed_priority = priority;
        }
        slot.delayed_reason = reason;
        self.wheel.insert(id, at);
        Added::Delayed
    }

    fn take(&mut self, now: Instant) -> Option<Taken<K>> {
        let id = self.lanes.pop(&mut self.slots)?;
        let slot = self.slots.at_mut(id);
        slot.is_dirty = false;
        slot.is_processing = true;
        slot.started = now;
        let (reason, priority) = (slot.reason, slot.priority);
        let key = slot.key.clone()?;
        self.stats.queue_duration.record(slot.since, now);
        self.stats.taken += 1;
        self.processing.push(id, &mut self.slots);
        self.processing_len += 1;
        Some(Taken {
            key,
            ticket: self.slots.ticket(id),
            reason,
            priority,
        })
    }

    fn drop_delays(&mut self) {
        let is_delayed = |id: &u32| self.slots.at(*id).is_delayed;
        let dropped: Vec<u32> = self.slots.ids().filter(is_delayed).collect();
        self.stats.delays_dropped += dropped.len() as u64;
        for id in dropped {
            self.slots.at_mut(id).is_delayed = false;
            self.wheel.remove(id);
            self.release(id);
        }
    }

    /// Frees a slot of which there is nothing left to know.
    fn release(&mut self, id: u32) {
        let slot = self.slots.at(id);
        if slot.is_idle() {
            self.lanes.leave(slot.tenant);
            self.slots.remove(id);
        }
    }
}

impl<K> fmt::Debug for WorkQueue<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkQueue")
            .field("queued", &self.lanes.total())
            .field("processing", &self.processing_len)
            .field("delayed", &self.wheel.len())
            .field("shutdown", &self.shutdown)
            .finish_non_exhaustive()
    }
}

/// How long a key waits whose limiter panicked.
const PANIC_DELAY: Duration = Duration::from_secs(1);

// === impl Priority ===

const PRIORITIES: [Priority; LEVELS] = [Priority::High, Priority::Normal, Priority::Low];

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        })
    }
}

// === impl Reason ===

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added => f.write_str("added"),
            Self::Delayed => f.write_str("after a delay"),
            Self::Retry(attempt) => write!(f, "retry {attempt}"),
        }
    }
}

// === impl Slots ===

impl<K> Links for Slots<K>
where
    K: Eq + Hash,
{
    #[inline]
    fn links(&mut self, id: u32) -> (&mut u32, &mut u32) {
        let slot = self.at_mut(id);
        (&mut slot.next, &mut slot.previous)
    }
}
