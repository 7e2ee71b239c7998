//! shuttle: many orders, drawn at random, for any number of threads.
//!
//! Its own `Arc` is the standard one, whose counts are no steps: those of [`Counted`] are.

use std::{
    ops::Deref,
    sync::{Arc, PoisonError},
};

use shuttle::sync::{Condvar as Inner, Mutex as Lock, MutexGuard, atomic};
pub use shuttle::thread::{ThreadId, spawn};

pub struct Mutex<T>(Lock<T>);

pub struct Condvar(Inner);

/// A counted reference whose counts are steps.
pub struct Counted<T>(Arc<Stepped<T>>);

struct Stepped<T> {
    /// Counted at nothing: to touch it is a step.
    step: atomic::AtomicUsize,
    value: T,
}

/// Runs a scenario in many orders, half of them with priorities that change at few points (PCT). The
/// preemptions are not bounded. A failure prints the order, to be replayed.
pub fn run(_preemptions: usize, scenario: fn()) {
    let wanted = std::env::var("TIDINGS_SCHEDULES").ok();
    let orders = wanted.and_then(|text| text.parse().ok()).unwrap_or(ORDERS);
    shuttle::check_random(scenario, orders / 2);
    shuttle::check_pct(scenario, orders / 2, DEPTH);
}

pub fn this_thread() -> ThreadId {
    shuttle::thread::current().id()
}

// === impl Mutex ===

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self(Lock::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Condvar ===

impl Condvar {
    pub fn new() -> Self {
        Self(Inner::new())
    }

    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    pub fn notify(&self) {
        self.0.notify_one();
    }
}

// === impl Counted ===

impl<T> Counted<T> {
    pub fn new(value: T) -> Self {
        Self(Arc::new(Stepped {
            step: atomic::AtomicUsize::new(0),
            value,
        }))
    }

    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        this.step();
        Arc::get_mut(&mut this.0).map(|stepped| &mut stepped.value)
    }

    fn step(&self) {
        // Nothing is checked any more while a panic ends the run.
        if !std::thread::panicking() {
            self.0.step.load(atomic::Ordering::SeqCst);
        }
    }
}

impl<T> Clone for Counted<T> {
    fn clone(&self) -> Self {
        self.step();
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        self.step();
    }
}

impl<T> Deref for Counted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

/// How many orders of each kind; `TIDINGS_SCHEDULES` says another number.
const ORDERS: usize = 10_000;
/// How many of its changes of threads PCT places with care.
const DEPTH: usize = 4;
