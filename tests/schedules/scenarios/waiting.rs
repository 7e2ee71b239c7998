//! Workers that are threads of a checker, under a clock that stands still.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Waker,
};

use tidings_api::Instant;

use super::sleeper::Sleeper;
use crate::{
    shared::{Answer, Shared, Waiter},
    workqueue::{Next, Taken, WorkQueue, WorkQueueConfig},
};

pub(super) type Key = u8;

/// How many keys the scenarios have.
pub(super) const KEYS: usize = 8;

/// A queue, and what is known of its keys beside it: that is no part of what is checked, so it takes
/// no steps.
pub(super) struct World {
    pub(super) shared: Shared<Key>,
    /// Workers that have each key.
    busy: [AtomicUsize; KEYS],
    /// What was asked for, and what a worker saw of it.
    pub(super) desired: [AtomicUsize; KEYS],
    pub(super) seen: [AtomicUsize; KEYS],
}

pub(super) const fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

// === impl World ===

impl World {
    pub(super) fn new() -> Arc<Self> {
        let zeros = || std::array::from_fn(|_| AtomicUsize::new(0));
        Arc::new(Self {
            shared: Shared::new(WorkQueue::new(WorkQueueConfig::default())),
            busy: zeros(),
            desired: zeros(),
            seen: zeros(),
        })
    }

    /// Changes what is wanted of a key, and says so.
    pub(super) fn change(&self, key: Key) {
        self.desired[usize::from(key)].fetch_add(1, SeqCst);
        self.shared.with(|queue| queue.add(at(0), &key));
    }

    /// Waits for a key; alarms up to `now` ring at once.
    pub(super) fn get(&self, now: Instant) -> Option<Taken<Key>> {
        let mut waiter = Waiter::NONE;
        self.get_as(&mut waiter, now)
    }

    /// The same for who may be on the list already.
    pub(super) fn get_as(&self, waiter: &mut Waiter, now: Instant) -> Option<Taken<Key>> {
        let sleeper = Arc::new(Sleeper::new());
        let waker = Waker::from(Arc::clone(&sleeper));
        let mut time = at(0);
        loop {
            match self.shared.poll_get(time, waiter, &waker) {
                Answer::Key(taken) => return Some(self.took(taken)),
                Answer::ShutDown => return None,
                Answer::Wait { alarm: Some(at) } if at <= now => time = at,
                Answer::Wait { .. } => sleeper.wait_for_it(),
            }
        }
    }

    /// Asks once; nobody will hear what wakes it.
    pub(super) fn ask(&self, waiter: &mut Waiter) -> Option<Taken<Key>> {
        match self.shared.poll_get(at(0), waiter, Waker::noop()) {
            Answer::Key(taken) => Some(self.took(taken)),
            Answer::ShutDown | Answer::Wait { .. } => None,
        }
    }

    fn took(&self, taken: Taken<Key>) -> Taken<Key> {
        let key = usize::from(taken.key);
        assert_eq!(self.busy[key].fetch_add(1, SeqCst), 0, "cg-W1: one worker");
        self.seen[key].store(self.desired[key].load(SeqCst), SeqCst);
        taken
    }

    /// Gives a key back.
    pub(super) fn done(&self, taken: Taken<Key>) {
        self.busy[usize::from(taken.key)].fetch_sub(1, SeqCst);
        self.shared.with(|queue| queue.done(at(0), taken.ticket));
    }

    /// Works on keys until the queue is shut down; returns how many.
    pub(super) fn work(&self, now: Instant) -> usize {
        std::iter::from_fn(|| self.get(now).map(|taken| self.done(taken))).count()
    }

    /// Drains the queue and waits for the end of it.
    pub(super) fn drain(&self) {
        self.shared.drain();
        let sleeper = Arc::new(Sleeper::new());
        let waker = Waker::from(Arc::clone(&sleeper));
        while !self.shared.poll_drained(&waker) {
            sleeper.wait_for_it();
        }
    }

    /// Asserts that nothing is left of anything.
    pub(super) fn assert_drained(&self) {
        self.shared.with(|queue| {
            queue.check_invariants();
            assert!(
                queue.is_drained(),
                "a drain has ended before everything is done"
            );
            assert!(matches!(queue.get(at(u64::MAX)), Next::ShutDown));
        });
        for (seen, desired) in self.seen.iter().zip(&self.desired) {
            assert_eq!(seen.load(SeqCst), desired.load(SeqCst), "a change was lost");
        }
    }
}
