//! What the crates' own `sync` files have, over a checker's locks: the mounted files meet here.
//!
//! Models third parties' contracts, not their code: arc-swap and tokio have proofs and tests of their
//! own. What is under test is what Tidings does between two calls of them.
//!
//! A1  `swap` is one step, and whoever loads gets the value of the last swap. Once a swap returns, its
//!     result is counted for every guard of it that is still there (arc-swap pays its debts before it
//!     returns), so `Counted::get_mut` tells whether a reader has it.
//! A2  A guard is a counted reference. arc-swap's may be an uncounted debt for as long as its value
//!     is the present one; nobody asks for the count of that.

use std::ops::Deref;

pub use crate::{
    channels::{mpsc, oneshot, watch},
    checker::{Counted, Mutex},
};

pub struct ArcSwap<T>(Mutex<Counted<T>>);

pub struct Guard<T>(Counted<T>);

// === impl ArcSwap ===

impl<T> ArcSwap<T> {
    pub fn new(value: Counted<T>) -> Self {
        Self(Mutex::new(value))
    }

    pub fn load(&self) -> Guard<T> {
        Guard(self.load_full())
    }

    pub fn load_full(&self) -> Counted<T> {
        Counted::clone(&*self.0.lock())
    }

    pub fn swap(&self, value: Counted<T>) -> Counted<T> {
        std::mem::replace(&mut *self.0.lock(), value)
    }
}

// === impl Guard ===

impl<T> Deref for Guard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
