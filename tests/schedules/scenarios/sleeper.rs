//! A thread of a checker that sleeps until it is woken. Somebody who is left asleep is a deadlock,
//! which both checkers find.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use crate::checker::{Condvar, Mutex};

pub(super) struct Sleeper {
    is_woken: Mutex<bool>,
    bell: Condvar,
}

/// Runs a future to its end.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let sleeper = Arc::new(Sleeper::new());
    let waker = Waker::from(Arc::clone(&sleeper));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return result;
        }
        sleeper.wait_for_it();
    }
}

/// Looks at a future once.
pub(super) fn look_at<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

impl Sleeper {
    pub(super) fn new() -> Self {
        Self {
            is_woken: Mutex::new(false),
            bell: Condvar::new(),
        }
    }

    pub(super) fn wait_for_it(&self) {
        let mut is_woken = self.is_woken.lock();
        while !*is_woken {
            is_woken = self.bell.wait(is_woken);
        }
        *is_woken = false;
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        *self.is_woken.lock() = true;
        self.bell.notify();
    }
}
