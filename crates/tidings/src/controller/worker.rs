//! One worker: a key from the queue, a reconcile, and what follows from how it ended.
//!
//! G1  A key whose reconcile was dropped before it ended is queued again, unless somebody cancelled it:
//!     whatever drops a worker loses nothing.
//! G2  The outcome of the last reconcile alone decides when a key is looked at again by itself: what an
//!     earlier one asked for is taken back.
//! G3  A panic is the failure of its key and of nothing else.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use tidings_api::ObjectKey;
use tokio::{sync::Notify, task::coop::consume_budget};
use tracing::{debug, warn};

use super::{
    Core,
    leading::Term,
    own_writes::Sight,
    reconcile::{Action, Failure, Outcome, Reconciler, Request},
    status::count,
};
use crate::workqueue::Item;

/// What a worker is working on, for whoever wants to cancel it.
#[derive(Debug, Default)]
pub(super) struct Desk {
    current: Mutex<Option<(ObjectKey, Arc<Notify>)>>,
}

/// How a reconcile ended, its own word or ours.
enum End {
    Cancelled,
    Outcome(Outcome),
    Panicked(String),
    TimedOut(Duration),
}

/// A key that is worked on. Dropped unfinished it is queued again (G1).
struct Turn<'a> {
    core: &'a Core,
    desk: &'a Desk,
    item: Option<Item<'a, ObjectKey>>,
}

/// Works until the queue is shut down.
pub(super) async fn work<R: Reconciler>(
    core: Arc<Core>,
    reconciler: Arc<R>,
    at: usize,
    term: Option<Term>,
) {
    while let Some(item) = core.queue.get().await {
        turn(&core, &*reconciler, at, term.clone(), item).await;
        // A long queue whose reconciles never wait must not keep the thread for itself: the informers,
        // the election and the shutdown may need it.
        consume_budget().await;
        if is_over(term.as_ref()) {
            // By the clock; until the controller hears of it the same key would come again and again.
            tokio::time::sleep(OVER_PERIOD).await;
        }
    }
}

fn is_over(term: Option<&Term>) -> bool {
    term.is_some_and(|term| !term.is_valid())
}

/// How long a worker rests whose leadership is over and that has not been dropped yet.
const OVER_PERIOD: Duration = Duration::from_millis(10);

async fn turn<R: Reconciler>(
    core: &Arc<Core>,
    reconciler: &R,
    at: usize,
    term: Option<Term>,
    item: Item<'_, ObjectKey>,
) {
    let key = item.key().clone();
    let reason = item.reason();
    core.parked.take(&key);
    let turn = Turn::begin(core, &core.desks[at], item);
    let cancelled = turn.desk.occupy(&key);
    let own_writes_max = core.config.own_writes_max.max(OWN_WRITES_MIN);
    let sight = tokio::select! {
        biased;
        () = cancelled.notified() => return turn.end(End::Cancelled),
        sight = core.own_writes.seen(&key, own_writes_max) => sight,
    };
    if sight == Sight::Stale {
        debug!(controller = core.name, %key, "its stores have not seen its own writes yet");
        turn.postpone(own_writes_max);
        return;
    }
    if is_over(term.as_ref()) {
        // Its end has not been heard of yet: the key is queued again (G1).
        return;
    }
    let attempt = core.queue.num_requeues(key.as_str());
    let request = Request {
        key,
        reason,
        attempt,
        term,
        own_writes: Arc::clone(&core.own_writes),
    };
    let mut reconcile = Caught::new(async { reconciler.reconcile(request).await });
    let end = tokio::select! {
        biased;
        () = cancelled.notified() => End::Cancelled,
        end = within(core.config.deadline, &mut reconcile) => end,
    };
    // Gone before its key is anybody else's: what it does last, such as dropping a write that is on its
    // way, belongs to it.
    if let Err(message) = reconcile.discard() {
        count(&core.counters.panicked);
        warn!(controller = core.name, key = %turn.key(), "panicked when it was dropped: {message}");
    }
    turn.end(end);
}

/// The least that a worker waits for its own writes: with nothing it would do nothing but ask.
const OWN_WRITES_MIN: Duration = Duration::from_millis(10);

async fn within(deadline: Option<Duration>, reconcile: impl Future<Output = End>) -> End {
    match deadline {
        None => reconcile.await,
        Some(deadline) => tokio::time::timeout(deadline, reconcile)
            .await
            .unwrap_or(End::TimedOut(deadline)),
    }
}

// === impl Turn ===

impl<'a> Turn<'a> {
    fn begin(core: &'a Core, desk: &'a Desk, item: Item<'a, ObjectKey>) -> Self {
        core.counters.active.fetch_add(1, Relaxed);
        Self {
            core,
            desk,
            item: Some(item),
        }
    }

    fn key(&self) -> &str {
        self.item.as_ref().map_or("", |item| item.key().as_str())
    }

    /// Not now: the key comes again a little later, and this was no attempt.
    fn postpone(mut self, delay: Duration) {
        if let Some(item) = self.item.take() {
            item.settle(|queue, now, key| {
                queue.add_after(now, key, delay);
            });
        }
    }

    fn end(mut self, end: End) {
        let Some(item) = self.item.take() else {
            return;
        };
        let counters = &self.core.counters;
        match end {
            End::Cancelled => count(&counters.cancelled),
            End::Outcome(Ok(Action::Done)) => {
                count(&counters.done);
                item.settle(|queue, _, key| {
                    queue.cancel_delayed(key);
                    queue.forget(key);
                });
            }
            End::Outcome(Ok(Action::Again(delay))) => {
                count(&counters.again);
                item.settle(|queue, now, key| {
                    queue.cancel_delayed(key);
                    queue.forget(key);
                    queue.add_after(now, key, delay);
                });
            }
            End::Outcome(Err(failure)) => self.fail(item, &failure),
            End::Panicked(message) => {
                count(&counters.panicked);
                self.fail(item, &Failure::retry(format_args!("panicked: {message}")));
            }
            End::TimedOut(after) => {
                count(&counters.timed_out);
                self.fail(
                    item,
                    &Failure::retry(format_args!("not done within {after:?}")),
                );
            }
        }
    }

    fn fail(&self, item: Item<'_, ObjectKey>, failure: &Failure) {
        let Core { name, counters, .. } = self.core;
        let attempts = self.core.queue.num_requeues(item.key().as_str()) + 1;
        let retries_max = self.core.config.retries_max.unwrap_or(u32::MAX);
        let key = item.key().clone();
        if failure.is_final() || attempts > retries_max {
            count(&counters.gave_up);
            warn!(controller = name, %key, attempts, "given up: {}", failure.reason());
            self.core.parked.park(&key, failure.reason(), attempts);
            item.settle(|queue, _, key| {
                queue.cancel_delayed(key);
                queue.forget(key);
            });
            return;
        }
        count(&counters.retried);
        let (mut delay, priority) = (Duration::ZERO, item.priority());
        item.settle(|queue, now, key| {
            queue.cancel_delayed(key);
            // The server's own word weighs more than our guess.
            let wait = failure.wait().unwrap_or_default();
            let added = queue.add_rate_limited_not_before(now, key, priority, wait);
            delay = added.unwrap_or_default();
        });
        debug!(controller = name, %key, attempts, ?delay, "failed: {}", failure.reason());
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.desk.leave();
        self.core.counters.active.fetch_sub(1, Relaxed);
        if let Some(item) = self.item.take() {
            count(&self.core.counters.dropped);
            let priority = item.priority();
            item.settle(|queue, now, key| {
                queue.add_with(now, key, priority);
            });
        }
    }
}

// === impl Desk ===

impl Desk {
    fn occupy(&self, key: &ObjectKey) -> Arc<Notify> {
        let cancelled = Arc::new(Notify::new());
        *self.current.lock() = Some((key.clone(), Arc::clone(&cancelled)));
        cancelled
    }

    fn leave(&self) {
        *self.current.lock() = None;
    }

    /// Cancels the work on a key, if it is done here.
    pub(super) fn cancel(&self, key: &ObjectKey) -> bool {
        let current = self.current.lock();
        let found = current.as_ref().filter(|(other, _)| other == key);
        found.map(|(_, cancelled)| cancelled.notify_one()).is_some()
    }
}

/// A reconcile whose panics are its end, even those of its drop.
struct Caught<F>(Option<Pin<Box<F>>>);

impl<F> Caught<F> {
    fn new(reconcile: F) -> Self {
        Self(Some(Box::pin(reconcile)))
    }

    /// Drops it: what it panicked with, if it did.
    fn discard(&mut self) -> Result<(), String> {
        let inner = self.0.take();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(inner)));
        dropped.map_err(|panic| message(&*panic))
    }
}

impl<F: Future<Output = Outcome>> Future for Caught<F> {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<End> {
        let Some(inner) = &mut self.0 else {
            return Poll::Pending;
        };
        match catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll(context))) {
            Ok(polled) => polled.map(End::Outcome),
            Err(panic) => Poll::Ready(End::Panicked(message(&*panic))),
        }
    }
}

impl<F> Drop for Caught<F> {
    fn drop(&mut self) {
        // Of a worker that is dropped: nobody is left to tell.
        let _ = self.discard();
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "without a message".to_owned())
}
