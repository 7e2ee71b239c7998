//! A workqueue behind a lock, with workers that wait for it.
//!
//! Does not read a clock and has no timers: who waits is told until when. Does not know tokio or
//! threads: a waiter is a waker. `tests/schedules` includes this very file with other locks, and runs
//! it through every order of steps.
//!
//! ```text
//!  waiting:  | w3 | w5 | w8 |      an addition takes one off the list and wakes it
//!              ^ keeps the time: it sleeps until the next delayed key is due, the others just sleep
//! ```
//!
//! H1  While keys are queued and somebody is on the list, somebody has been taken off it and has not
//!     looked yet. Whoever looks, or gives up, wakes the next if keys are left: one wake-up at a time, as
//!     each costs more than all else here.
//! H2  While keys are delayed and somebody is on the list, somebody keeps the time, or is on its way
//!     and will.
//! H3  Once the queue is drained or shut down nobody stays on a list (cg-W6: all drainers are woken).
//! H4  Wakers are called and dropped outside the lock: what they do cannot deadlock it.
//! Source: rules cg-W4..W6; leader-follower timers replace the goroutine and the heartbeat of
//! client-go's delaying queue (cg-D3).

use std::{collections::VecDeque, hash::Hash, task::Waker};

use tidings_api::Instant;
use tidings_engine::workqueue::{Next, Priority, Taken, WorkQueue};

use crate::sync::Mutex;

/// A queue that threads share.
pub(super) struct Shared<K> {
    state: Mutex<State<K>>,
}

struct State<K> {
    queue: WorkQueue<K>,
    waiting: VecDeque<(u64, Waker)>,
    /// How many have been taken off the list and have not looked yet.
    on_their_way: usize,
    /// Who of those that wait keeps the time, and until when.
    timekeeper: Option<(u64, Instant)>,
    /// Who waits for the end of a drain.
    drains: Vec<Waker>,
    next_id: u64,
    /// A shutdown without a drain came: drains are over.
    is_cut: bool,
}

/// Who is to be woken once the lock is free.
enum Wakes {
    All(Vec<Waker>),
    Nobody,
    One(Waker),
}

/// One worker's place among those that wait, if it has one.
#[derive(Debug)]
pub(super) struct Waiter(Option<u64>);

/// What a worker that asks for a key gets.
#[derive(Debug)]
pub(super) enum Answer<K> {
    Key(Taken<K>),
    ShutDown,
    /// Its waker will be called; it is to look again by itself at this time, if there is one.
    Wait {
        alarm: Option<Instant>,
    },
}

// === impl Shared ===

impl<K: Clone + Eq + Hash> Shared<K> {
    pub(super) fn new(queue: WorkQueue<K>) -> Self {
        Self {
            state: Mutex::new(State {
                queue,
                waiting: VecDeque::new(),
                on_their_way: 0,
                timekeeper: None,
                drains: Vec::new(),
                next_id: 0,
                is_cut: false,
            }),
        }
    }

    /// Does something to the queue, and wakes who is concerned.
    pub(super) fn with<A>(&self, act: impl FnOnce(&mut WorkQueue<K>) -> A) -> A {
        let mut state = self.state.lock();
        let result = act(&mut state.queue);
        let wakes = state.settle();
        drop(state);
        wakes.wake();
        result
    }

    /// Adds many keys under one lock. One worker is woken, and hands that on (H1).
    pub(super) fn add_all<'a>(
        &self,
        now: Instant,
        keys: impl Iterator<Item = &'a K>,
        priority: Priority,
    ) where
        K: 'a,
    {
        self.with(|queue| {
            for key in keys {
                queue.add_with(now, key, priority);
            }
        });
    }

    /// A key, if there is one now.
    pub(super) fn try_get(&self, now: Instant) -> Option<Taken<K>> {
        match self.with(|queue| queue.get(now)) {
            Next::Key(taken) => Some(taken),
            Next::Empty { .. } | Next::ShutDown => None,
        }
    }

    /// A key, or a place among those that wait for one.
    pub(super) fn poll_get(&self, now: Instant, waiter: &mut Waiter, waker: &Waker) -> Answer<K> {
        let mut state = self.state.lock();
        let before = state.leave(waiter);
        let answer = match state.queue.get(now) {
            Next::Key(taken) => Answer::Key(taken),
            Next::ShutDown => Answer::ShutDown,
            Next::Empty { wake_at } => {
                let id = state.wait(waiter, waker.clone());
                let alarm = wake_at.filter(|_| state.timekeeper.is_none());
                state.timekeeper = alarm.map(|at| (id, at)).or(state.timekeeper);
                Answer::Wait { alarm }
            }
        };
        let wakes = state.settle();
        drop(state);
        wakes.wake();
        drop(before);
        answer
    }

    /// A worker does not wait any more. If it had been woken another one is.
    pub(super) fn give_up(&self, waiter: &mut Waiter) {
        if waiter.0.is_none() {
            return;
        }
        let mut state = self.state.lock();
        let before = state.leave(waiter);
        let wakes = state.settle();
        drop(state);
        wakes.wake();
        drop(before);
    }

    pub(super) fn shut_down(&self) {
        let mut state = self.state.lock();
        state.queue.shut_down();
        state.is_cut = true;
        let all = state.take_all();
        drop(state);
        all.wake();
    }

    /// Begins a drain; [`Shared::poll_drained`] says when it has ended.
    pub(super) fn drain(&self) {
        self.with(WorkQueue::shut_down_with_drain);
    }

    /// Whether a drain has ended, or a shutdown ended it; if not the waker will be called.
    pub(super) fn poll_drained(&self, waker: &Waker) -> bool {
        let mut state = self.state.lock();
        if state.is_cut || state.queue.is_drained() {
            return true;
        }
        if !state.drains.iter().any(|other| other.will_wake(waker)) {
            state.drains.push(waker.clone());
        }
        false
    }
}

// === impl State ===

impl<K: Clone + Eq + Hash> State<K> {
    /// Puts a waiter on the list.
    fn wait(&mut self, waiter: &mut Waiter, waker: Waker) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        waiter.0 = Some(id);
        self.waiting.push_back((id, waker));
        id
    }

    /// Takes a waiter off the list, or off those that are on their way. Returns its waker, to be
    /// dropped outside the lock.
    fn leave(&mut self, waiter: &mut Waiter) -> Option<Waker> {
        let own = waiter.0.take()?;
        self.timekeeper = self.timekeeper.filter(|(keeper, _)| *keeper != own);
        let at = self.waiting.iter().position(|(id, _)| *id == own);
        let Some(at) = at else {
            self.on_their_way = self.on_their_way.saturating_sub(1);
            return None;
        };
        self.waiting.remove(at).map(|(_, waker)| waker)
    }

    /// Who is to be woken after something was done (H1, H2, H3).
    fn settle(&mut self) -> Wakes {
        if self.waiting.is_empty() && self.drains.is_empty() {
            return Wakes::Nobody;
        }
        if self.queue.is_drained() {
            return self.take_all();
        }
        if self.on_their_way == 0 && !self.queue.is_empty() {
            return self.take_one();
        }
        let Some(next) = self.queue.next_wake() else {
            return Wakes::Nobody;
        };
        match self.timekeeper {
            None if self.on_their_way == 0 => self.take_one(),
            Some((keeper, alarm)) if next < alarm => self.take(keeper),
            None | Some(_) => Wakes::Nobody,
        }
    }

    /// Takes one off the list: who keeps the time only if nobody else is there.
    fn take_one(&mut self) -> Wakes {
        let keeper = self.timekeeper.map(|(keeper, _)| keeper);
        let mut ids = self.waiting.iter().map(|(id, _)| *id);
        match ids.find(|id| Some(*id) != keeper).or(keeper) {
            Some(id) => self.take(id),
            None => Wakes::Nobody,
        }
    }

    fn take(&mut self, own: u64) -> Wakes {
        self.timekeeper = self.timekeeper.filter(|(keeper, _)| *keeper != own);
        let at = self.waiting.iter().position(|(id, _)| *id == own);
        let taken = at.and_then(|at| self.waiting.remove(at));
        taken.map_or(Wakes::Nobody, |(_, waker)| {
            self.on_their_way += 1;
            Wakes::One(waker)
        })
    }

    fn take_all(&mut self) -> Wakes {
        self.timekeeper = None;
        self.on_their_way += self.waiting.len();
        let workers = self.waiting.drain(..).map(|(_, waker)| waker);
        Wakes::All(workers.chain(self.drains.drain(..)).collect())
    }
}

// === impl Waiter ===

impl Waiter {
    pub(super) const NONE: Self = Self(None);
}

// === impl Wakes ===

impl Wakes {
    fn wake(self) {
        match self {
            Self::All(wakers) => wakers.into_iter().for_each(Waker::wake),
            Self::Nobody => {}
            Self::One(waker) => waker.wake(),
        }
    }
}
