//! tokio's channels, as far as the mounted files use them, over a checker's lock: each call is one
//! step, and whoever waits is a waker.
//!
//! Source: the contracts in tokio 1.54, `tokio::sync::{mpsc, oneshot, watch}`.

use std::{
    collections::VecDeque,
    future::poll_fn,
    mem::take,
    sync::Arc,
    task::{Poll, Waker},
};

use crate::checker::Mutex;

/// What the two ends of a channel share. Wakers are called outside the lock.
struct Shared<T> {
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    value: T,
    /// Counts what was sent.
    version: u64,
    senders: usize,
    receivers: usize,
    waiting: Vec<Waker>,
}

impl<T> Shared<T> {
    fn new(value: T) -> Arc<Self> {
        let inner = Inner {
            value,
            version: 0,
            senders: 1,
            receivers: 1,
            waiting: Vec::new(),
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
        })
    }

    fn with<R>(&self, act: impl FnOnce(&mut Inner<T>) -> R) -> R {
        act(&mut self.inner.lock())
    }

    /// Changes something that somebody may wait for.
    fn change<R>(&self, act: impl FnOnce(&mut Inner<T>) -> R) -> R {
        let (result, waiting) = self.with(|inner| {
            let result = act(inner);
            (result, take(&mut inner.waiting))
        });
        waiting.into_iter().for_each(Waker::wake);
        result
    }

    /// Waits until there is an answer.
    async fn until<R>(&self, mut look: impl FnMut(&mut Inner<T>) -> Option<R>) -> R {
        poll_fn(|context| {
            self.with(|inner| match look(inner) {
                Some(answer) => Poll::Ready(answer),
                None => {
                    inner.waiting.push(context.waker().clone());
                    Poll::Pending
                }
            })
        })
        .await
    }

    /// An end is gone. Nothing is counted any more while a panic ends the run.
    fn leave(&self, act: impl FnOnce(&mut Inner<T>)) {
        if !std::thread::panicking() {
            self.change(act);
        }
    }
}

pub mod watch {
    //! The last value, and whether one has seen it.

    use super::*;

    pub struct Sender<T>(Arc<Shared<T>>);

    pub struct Receiver<T> {
        shared: Arc<Shared<T>>,
        seen: u64,
    }

    /// A copy: nobody may keep tokio's for long either.
    pub struct Ref<T>(T);

    #[derive(Debug)]
    pub struct Closed;

    pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
        let shared = Shared::new(value);
        let receiver = Receiver {
            shared: Arc::clone(&shared),
            seen: 0,
        };
        (Sender(shared), receiver)
    }

    impl<T: Clone> Sender<T> {
        pub fn borrow(&self) -> Ref<T> {
            Ref(self.0.with(|inner| inner.value.clone()))
        }

        pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
            let (is_modified, waiting) = self.0.with(|inner| {
                if !modify(&mut inner.value) {
                    return (false, Vec::new());
                }
                inner.version += 1;
                (true, take(&mut inner.waiting))
            });
            waiting.into_iter().for_each(Waker::wake);
            is_modified
        }

        pub fn send_modify(&self, modify: impl FnOnce(&mut T)) {
            self.send_if_modified(|value| {
                modify(value);
                true
            });
        }

        pub fn send_replace(&self, value: T) {
            self.send_modify(|present| *present = value);
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            self.0.leave(|inner| inner.senders -= 1);
        }
    }

    impl<T: Clone> Receiver<T> {
        pub fn borrow(&self) -> Ref<T> {
            Ref(self.shared.with(|inner| inner.value.clone()))
        }

        pub fn borrow_and_update(&mut self) -> Ref<T> {
            let (value, seen) = (self.shared).with(|inner| (inner.value.clone(), inner.version));
            self.seen = seen;
            Ref(value)
        }

        pub async fn changed(&mut self) -> Result<(), Closed> {
            let seen = &mut self.seen;
            let look = |inner: &mut Inner<T>| {
                if inner.version != *seen {
                    *seen = inner.version;
                    return Some(Ok(()));
                }
                (inner.senders == 0).then_some(Err(Closed))
            };
            self.shared.until(look).await
        }

        pub async fn wait_for(
            &mut self,
            mut is_it: impl FnMut(&T) -> bool,
        ) -> Result<Ref<T>, Closed> {
            let seen = &mut self.seen;
            let look = |inner: &mut Inner<T>| {
                *seen = inner.version;
                if is_it(&inner.value) {
                    return Some(Ok(Ref(inner.value.clone())));
                }
                (inner.senders == 0).then_some(Err(Closed))
            };
            self.shared.until(look).await
        }
    }

    impl<T> Clone for Receiver<T> {
        fn clone(&self) -> Self {
            Self {
                shared: Arc::clone(&self.shared),
                seen: self.seen,
            }
        }
    }

    impl<T> std::ops::Deref for Ref<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }
}

pub mod mpsc {
    //! A queue with a bound.

    use super::*;

    pub struct Sender<T> {
        shared: Arc<Shared<VecDeque<T>>>,
        len_max: usize,
    }

    pub struct Receiver<T>(Arc<Shared<VecDeque<T>>>);

    pub struct Closed;

    pub fn channel<T>(len_max: usize) -> (Sender<T>, Receiver<T>) {
        let shared = Shared::new(VecDeque::new());
        let sender = Sender {
            shared: Arc::clone(&shared),
            len_max,
        };
        (sender, Receiver(shared))
    }

    impl<T> Sender<T> {
        pub async fn send(&self, value: T) -> Result<(), Closed> {
            let mut value = Some(value);
            let look = |inner: &mut Inner<VecDeque<T>>| {
                if inner.receivers == 0 {
                    return Some((Err(Closed), Vec::new()));
                }
                if inner.value.len() == self.len_max {
                    return None;
                }
                inner.value.extend(value.take());
                Some((Ok(()), take(&mut inner.waiting)))
            };
            let (result, waiting) = self.shared.until(look).await;
            waiting.into_iter().for_each(Waker::wake);
            result
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            self.shared.leave(|inner| inner.senders -= 1);
        }
    }

    impl<T> Receiver<T> {
        pub async fn recv(&mut self) -> Option<T> {
            let look = |inner: &mut Inner<VecDeque<T>>| match inner.value.pop_front() {
                Some(value) => Some((Some(value), take(&mut inner.waiting))),
                None => (inner.senders == 0).then(|| (None, Vec::new())),
            };
            let (value, waiting) = self.0.until(look).await;
            waiting.into_iter().for_each(Waker::wake);
            value
        }
    }

    impl<T> Drop for Receiver<T> {
        fn drop(&mut self) {
            let mut left = VecDeque::new();
            self.0.leave(|inner| {
                inner.receivers -= 1;
                left = take(&mut inner.value);
            });
        }
    }
}

pub mod oneshot {
    //! One answer, or none if whoever owes it is gone.

    use super::*;

    pub struct Sender<T>(Arc<Shared<Option<T>>>);

    pub struct Receiver<T>(Arc<Shared<Option<T>>>);

    pub struct Closed;

    pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
        let shared = Shared::new(None);
        (Sender(Arc::clone(&shared)), Receiver(shared))
    }

    impl<T> Sender<T> {
        /// The value comes back if nobody wants it any more.
        pub fn send(self, value: T) -> Result<(), T> {
            self.0.change(|inner| {
                if inner.receivers == 0 {
                    return Err(value);
                }
                inner.value = Some(value);
                Ok(())
            })
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            self.0.leave(|inner| inner.senders -= 1);
        }
    }

    impl<T> Receiver<T> {
        pub async fn answer(self) -> Result<T, Closed> {
            let look = |inner: &mut Inner<Option<T>>| match inner.value.take() {
                Some(value) => Some(Ok(value)),
                None => (inner.senders == 0).then_some(Err(Closed)),
            };
            self.0.until(look).await
        }
    }

    impl<T> Drop for Receiver<T> {
        fn drop(&mut self) {
            self.0.leave(|inner| inner.receivers -= 1);
        }
    }
}
