//! loom: every order of the steps of few threads, with at most so many preemptions.
//!
//! Its locks are steps; so are the counts of its `Arc`, which it also checks for leaks.

use std::sync::{
    Arc, PoisonError,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use loom::sync::{Condvar as Inner, Mutex as Lock, MutexGuard};
pub use loom::{
    sync::Arc as Counted,
    thread::{ThreadId, spawn},
};

pub struct Mutex<T>(Lock<T>);

pub struct Condvar(Inner);

/// Runs a scenario in every order with at most `preemptions` preemptions, or fewer if the environment
/// says so.
pub fn run(preemptions: usize, scenario: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.max_branches = 10_000;
    let orders = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&orders);
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        scenario();
    });
    println!("{} orders", orders.load(Relaxed));
}

pub fn this_thread() -> ThreadId {
    loom::thread::current().id()
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
