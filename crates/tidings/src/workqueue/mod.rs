//! The workqueue that workers share: additions from anywhere, keys to whoever asks, in tasks or
//! threads.
//!
//! The decisions are those of the engine's queue, [`tidings_engine::workqueue`]; here are the lock, the
//! clock and the waiting. What a worker takes is an [`Item`], which is done when it is dropped: by
//! return, by `?`, by a panic or by a cancelled task.

mod shared;
#[cfg(test)]
mod tests;

use std::{
    borrow::Borrow,
    fmt,
    future::Future,
    hash::Hash,
    ops::Deref,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker, ready},
    thread::{self, Thread},
    time::Duration,
};

use tidings_api::Instant;
use tidings_engine::workqueue::{
    Added, KeyStatus, Priority, Reason, Stats, Taken, Ticket, WorkQueue as Core, WorkQueueConfig,
};
use tokio::time::Sleep;

use self::shared::{Answer, Shared, Waiter};

/// A workqueue. Clones are the same queue.
pub struct WorkQueue<K: Clone + Eq + Hash> {
    inner: Arc<Inner<K>>,
}

struct Inner<K> {
    shared: Shared<K>,
    started: tokio::time::Instant,
}

/// A key that a worker has: nobody else gets it before this is dropped.
pub struct Item<'a, K: Clone + Eq + Hash> {
    queue: &'a WorkQueue<K>,
    key: K,
    ticket: Option<Ticket>,
    reason: Reason,
    priority: Priority,
}

/// A worker that waits for a key; see [`WorkQueue::get`].
#[must_use = "nothing is taken before it is awaited"]
pub struct Get<'a, K: Clone + Eq + Hash> {
    queue: &'a WorkQueue<K>,
    waiter: Waiter,
    alarm: Option<Pin<Box<Sleep>>>,
}

// === impl WorkQueue ===

impl<K: Clone + Eq + Hash> WorkQueue<K> {
    /// An empty queue.
    #[must_use]
    pub fn new(config: WorkQueueConfig<K>) -> Self {
        Self {
            inner: Arc::new(Inner {
                shared: Shared::new(Core::new(config)),
                started: tokio::time::Instant::now(),
            }),
        }
    }

    /// Has a key be worked on.
    pub fn add(&self, key: &K) -> Added {
        self.add_with(key, Priority::Normal)
    }

    /// The same with a priority; a key that waits with a lower one moves up.
    pub fn add_with(&self, key: &K, priority: Priority) -> Added {
        let now = self.now();
        self.inner
            .shared
            .with(|queue| queue.add_with(now, key, priority))
    }

    /// Adds many keys under one lock.
    pub fn add_all<'a>(&self, keys: impl IntoIterator<Item = &'a K>, priority: Priority)
    where
        K: 'a,
    {
        let now = self.now();
        self.inner.shared.add_all(now, keys.into_iter(), priority);
    }

    /// Has a key be worked on after a delay, at once if it is zero. Of two delays of one key the one
    /// that ends first counts; [`WorkQueue::add`] supersedes both.
    pub fn add_after(&self, key: &K, delay: Duration) -> Added {
        self.add_after_with(key, delay, Priority::Normal)
    }

    /// The same with a priority.
    pub fn add_after_with(&self, key: &K, delay: Duration, priority: Priority) -> Added {
        let now = self.now();
        self.inner
            .shared
            .with(|queue| queue.add_after_with(now, key, delay, priority))
    }

    /// Has a key be worked on after as long as the rate limiter says, which is returned; `None` after a
    /// shutdown.
    pub fn add_rate_limited(&self, key: &K) -> Option<Duration> {
        self.add_rate_limited_with(key, Priority::Normal)
    }

    /// The same with a priority.
    pub fn add_rate_limited_with(&self, key: &K, priority: Priority) -> Option<Duration> {
        let now = self.now();
        self.inner
            .shared
            .with(|queue| queue.add_rate_limited_with(now, key, priority))
    }

    /// Waits for a key; `None` once the queue is shut down and nothing is left to do.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped: a key that it was woken for goes to another worker.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with a timer, when it has to wait for a delayed key.
    pub const fn get(&self) -> Get<'_, K> {
        Get {
            queue: self,
            waiter: Waiter::NONE,
            alarm: None,
        }
    }

    /// The same for a worker that is a thread: blocks it.
    #[must_use]
    pub fn get_blocking(&self) -> Option<Item<'_, K>> {
        if let Some(item) = self.try_get() {
            return Some(item);
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut waiter = Waiter::NONE;
        loop {
            let now = self.now();
            match self.inner.shared.poll_get(now, &mut waiter, &waker) {
                Answer::Key(taken) => return Some(self.item(taken)),
                Answer::ShutDown => return None,
                Answer::Wait { alarm: None } => thread::park(),
                Answer::Wait { alarm: Some(at) } => thread::park_timeout(at.saturating_since(now)),
            }
        }
    }

    /// A key, if there is one now.
    #[must_use]
    pub fn try_get(&self) -> Option<Item<'_, K>> {
        let taken = self.inner.shared.try_get(self.now())?;
        Some(self.item(taken))
    }

    /// Forgets that a key has failed.
    pub fn forget<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.inner.shared.with(|queue| queue.forget(key));
    }

    /// Takes back what was added of a key and no worker has: whether something was.
    pub fn cancel<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.inner.shared.with(|queue| queue.cancel(key))
    }

    /// Takes back a delayed addition alone: whether there was one.
    pub fn cancel_delayed<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.inner.shared.with(|queue| queue.cancel_delayed(key))
    }

    /// Rate-limited additions of a key since it was forgotten.
    #[must_use]
    pub fn num_requeues<Q>(&self, key: &Q) -> u32
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.inner.shared.with(|queue| queue.num_requeues(key))
    }

    /// How many keys wait for a worker; what is delayed or worked on does not count.
    #[must_use]
    pub fn len(&self) -> usize {
        let now = self.now();
        self.inner.shared.with(|queue| {
            queue.advance(now);
            queue.len()
        })
    }

    /// Whether no key waits for a worker.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The counters, and what is going on.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let now = self.now();
        self.inner.shared.with(|queue| queue.stats(now))
    }

    /// At most `len_max` keys with what they wait for, in no particular order.
    #[must_use]
    pub fn dump(&self, len_max: usize) -> Vec<KeyStatus<K>> {
        let now = self.now();
        self.inner.shared.with(|queue| queue.dump(now, len_max))
    }

    /// What is known of a key.
    #[must_use]
    pub fn status(&self, key: &K) -> Option<KeyStatus<K>> {
        let now = self.now();
        self.inner.shared.with(|queue| queue.status(now, key))
    }

    /// Takes no more additions and drops the delayed ones; what is queued is still handed out. Ends a
    /// drain.
    pub fn shut_down(&self) {
        self.inner.shared.shut_down();
    }

    /// Takes no more additions, and waits until everything that is queued or worked on is done.
    /// Without workers it waits until [`WorkQueue::shut_down`].
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped the drain goes on; it can be waited for again.
    pub async fn shut_down_with_drain(&self) {
        self.inner.shared.drain();
        std::future::poll_fn(|context| {
            if self.inner.shared.poll_drained(context.waker()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Whether the queue takes no more additions.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.inner.shared.with(|queue| queue.is_shutting_down())
    }

    fn now(&self) -> Instant {
        let elapsed = self.inner.started.elapsed();
        Instant::from_nanos(elapsed.as_secs() * 1_000_000_000 + u64::from(elapsed.subsec_nanos()))
    }

    fn item(&self, taken: Taken<K>) -> Item<'_, K> {
        Item {
            queue: self,
            key: taken.key,
            ticket: Some(taken.ticket),
            reason: taken.reason,
            priority: taken.priority,
        }
    }
}

impl<K: Clone + Eq + Hash> Clone for WorkQueue<K> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<K: Clone + Eq + Hash> fmt::Debug for WorkQueue<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.shared.with(|queue| fmt::Debug::fmt(queue, f))
    }
}

// === impl Get ===

impl<'a, K: Clone + Eq + Hash> Future for Get<'a, K> {
    type Output = Option<Item<'a, K>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            let queue = this.queue;
            let now = queue.now();
            let shared = &queue.inner.shared;
            match shared.poll_get(now, &mut this.waiter, context.waker()) {
                Answer::Key(taken) => return Poll::Ready(Some(queue.item(taken))),
                Answer::ShutDown => return Poll::Ready(None),
                Answer::Wait { alarm: None } => {
                    this.alarm = None;
                    return Poll::Pending;
                }
                Answer::Wait { alarm: Some(at) } => {
                    let until = queue.inner.started + at.saturating_since(Instant::ZERO);
                    let alarm = match &mut this.alarm {
                        Some(alarm) => {
                            alarm.as_mut().reset(until);
                            alarm
                        }
                        none => none.insert(Box::pin(tokio::time::sleep_until(until))),
                    };
                    // The time may be there already: then it is looked again.
                    ready!(alarm.as_mut().poll(context));
                }
            }
        }
    }
}

impl<K: Clone + Eq + Hash> Drop for Get<'_, K> {
    fn drop(&mut self) {
        self.queue.inner.shared.give_up(&mut self.waiter);
    }
}

impl<K: Clone + Eq + Hash> fmt::Debug for Get<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get").finish_non_exhaustive()
    }
}

// === impl Item ===

impl<K: Clone + Eq + Hash> Item<'_, K> {
    /// The key.
    pub const fn key(&self) -> &K {
        &self.key
    }

    /// What made it dirty.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// The level that it had.
    #[must_use]
    pub const fn priority(&self) -> Priority {
        self.priority
    }

    /// It worked: its failures are forgotten.
    pub fn forget(self) {
        self.queue.forget(&self.key);
    }

    /// It failed: it comes back after as long as the rate limiter says, which is returned; `None` after
    /// a shutdown.
    pub fn retry(self) -> Option<Duration> {
        self.queue.add_rate_limited_with(&self.key, self.priority)
    }

    /// It is done, and something else is to be done with the queue in the same step.
    pub(crate) fn settle(mut self, act: impl FnOnce(&mut Core<K>, Instant, &K)) {
        let now = self.queue.now();
        if let Some(ticket) = self.ticket.take() {
            self.queue.inner.shared.with(|queue| {
                act(queue, now, &self.key);
                queue.done(now, ticket);
            });
        }
    }

    /// It is done, as when it is dropped.
    pub fn done(self) {}
}

impl<K: Clone + Eq + Hash> Deref for Item<'_, K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.key
    }
}

impl<K: Clone + Eq + Hash> Drop for Item<'_, K> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            (self.queue.inner.shared).with(|queue| queue.done_just_now(ticket));
        }
    }
}

impl<K: Clone + Eq + Hash + fmt::Debug> fmt::Debug for Item<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Item({:?})", self.key)
    }
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
