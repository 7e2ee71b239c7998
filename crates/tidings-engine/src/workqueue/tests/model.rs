//! A queue of plain vectors, and what it takes to run both queues side by side.
//!
//! Does not make programs: `programs.rs` draws them, and `fuzz/fuzz_targets/workqueue_ops.rs`, which
//! includes this very file, reads them from its input.

use std::{collections::BTreeMap, time::Duration};

use tidings_api::Instant;

use crate::workqueue::{
    Next, Priority, Ticket, WorkQueue, WorkQueueConfig, rate_limit::Exponential,
};

pub(crate) type Key = u8;

/// How many keys a program has.
pub(crate) const KEYS: Key = 12;

pub(crate) const PRIORITIES: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

/// Everything that a queue does, without an index, a wheel or a link.
#[derive(Default)]
struct Model {
    /// In the order in which they came: level, key.
    queued: Vec<(Priority, Key)>,
    turns: BTreeMap<Priority, Vec<String>>,
    passed_over: BTreeMap<Priority, u32>,
    /// Key to whether it is dirty, and with which priority.
    processing: BTreeMap<Key, Option<Priority>>,
    delayed: BTreeMap<Key, (Instant, Priority)>,
    failures: BTreeMap<Key, u32>,
    shut: Option<Shut>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shut {
    Down,
    Draining,
}

const PATIENCE: u32 = 3;

fn tenant(key: Key) -> &'static str {
    ["x", "y", "z"][usize::from(key) % 3]
}

fn tenant_of(key: &Key) -> &str {
    tenant(*key)
}

impl Model {
    fn mark(&mut self, key: Key, priority: Priority) {
        if let Some(dirty) = self.processing.get_mut(&key) {
            *dirty = Some(dirty.map_or(priority, |was| was.min(priority)));
        } else if let Some(at) = self.queued.iter().position(|(_, other)| *other == key) {
            let was = self.queued[at].0;
            if priority < was {
                self.unqueue(key);
                self.queue(key, priority);
            }
        } else {
            self.queue(key, priority);
        }
    }

    fn queue(&mut self, key: Key, priority: Priority) {
        self.queued.push((priority, key));
        let turn = self.turns.entry(priority).or_default();
        if !turn.iter().any(|other| other == tenant(key)) {
            turn.push(tenant(key).to_owned());
        }
    }

    fn unqueue(&mut self, key: Key) -> Option<Priority> {
        let at = self.queued.iter().position(|(_, other)| *other == key)?;
        let (priority, _) = self.queued.remove(at);
        let has_more =
            |(level, other): &(Priority, Key)| *level == priority && tenant(*other) == tenant(key);
        if !self.queued.iter().any(has_more) {
            let turn = self.turns.entry(priority).or_default();
            turn.retain(|other| other != tenant(key));
        }
        if !self.queued.iter().any(|(level, _)| *level == priority) {
            self.passed_over.remove(&priority);
        }
        Some(priority)
    }

    /// What the limiter of [`World`] says.
    fn retry_after(&self, key: Key) -> Duration {
        let failures = self.failures.get(&key).copied().unwrap_or_default();
        Duration::from_secs(1 << failures.min(3))
    }

    fn ripen(&mut self, now: Instant) {
        let mut due: Vec<_> = self
            .delayed
            .iter()
            .map(|(key, it)| (it.0, *key, it.1))
            .collect();
        due.retain(|(at, ..)| *at <= now);
        due.sort_unstable();
        for (_, key, priority) in due {
            self.delayed.remove(&key);
            self.mark(key, priority);
        }
    }

    fn pop(&mut self) -> Option<(Key, Priority)> {
        let waits = |level: &Priority| self.queued.iter().any(|(other, _)| other == level);
        let waiting: Vec<_> = PRIORITIES.into_iter().filter(waits).collect();
        let (highest, lower) = waiting.split_first()?;
        let mut chosen = *highest;
        for level in lower {
            let passed = self.passed_over.entry(*level).or_default();
            if *passed >= PATIENCE {
                chosen = *level;
            }
            *passed += 1;
        }
        self.passed_over.remove(&chosen);
        let turn = self.turns.get_mut(&chosen)?;
        let whose = turn.remove(0);
        turn.push(whose.clone());
        let is_it = |(level, key): &&(Priority, Key)| *level == chosen && tenant(*key) == whose;
        let key = self.queued.iter().find(is_it)?.1;
        self.unqueue(key);
        Some((key, chosen))
    }
}

/// One step of a program.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Add(Key, Priority),
    After(Key, u64, Priority),
    Retry(Key),
    Get,
    Done(usize),
    Forget(Key),
    Cancel(Key),
    CancelDelayed(Key),
    Pass(u64),
    ShutDown(bool),
}

/// Both queues.
pub(crate) struct World {
    queue: WorkQueue<Key>,
    model: Model,
    tickets: Vec<(Key, Ticket)>,
    now: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        let config = WorkQueueConfig {
            limiter: Box::new(Exponential {
                base: Duration::from_secs(1),
                max: Duration::from_secs(8),
            }),
            tenant: Some(Box::new(tenant_of)),
            patience: PATIENCE,
            seed: 1,
        };
        Self {
            queue: WorkQueue::new(config),
            model: Model::default(),
            tickets: Vec::new(),
            now: 0,
        }
    }

    /// Does one step with both, and compares them.
    pub(crate) fn step(&mut self, op: Op) {
        self.apply(op);
        self.compare();
    }

    fn apply(&mut self, op: Op) {
        // Each step at a time of its own, and so that no two delays end together: which of them comes
        // first is open (T1 of the wheel).
        self.now += 1;
        while self.is_tie(&op) {
            self.now += 1;
        }
        let now = Instant::from_nanos(self.now);
        let (queue, model) = (&mut self.queue, &mut self.model);
        let is_open = model.shut.is_none();
        match op {
            Op::Add(key, priority) => {
                queue.add_with(now, &key, priority);
                if is_open {
                    model.delayed.remove(&key);
                    model.mark(key, priority);
                }
            }
            Op::After(key, after, priority) => {
                let delay = Duration::from_nanos(after);
                queue.add_after_with(now, &key, delay, priority);
                self.delayed(key, after, priority);
            }
            Op::Retry(key) => {
                let failures = model.failures.get(&key).copied().unwrap_or_default();
                let wanted = model.retry_after(key);
                let delay = queue.add_rate_limited(now, &key);
                assert_eq!(delay, is_open.then_some(wanted));
                if is_open {
                    model.failures.insert(key, failures + 1);
                    let after = u64::try_from(wanted.as_nanos()).unwrap();
                    self.delayed(key, after, Priority::Normal);
                }
            }
            Op::Get => self.get(now),
            Op::Done(at) => {
                if self.tickets.is_empty() {
                    return;
                }
                let (key, ticket) = self.tickets.swap_remove(at % self.tickets.len());
                let dirty = model.processing.remove(&key).expect("it is worked on");
                assert_eq!(queue.done(now, ticket), dirty.is_some());
                if let Some(priority) = dirty {
                    model.queue(key, priority);
                }
            }
            Op::Forget(key) => {
                queue.forget(&key);
                model.failures.remove(&key);
            }
            Op::Cancel(key) => {
                let dirty = model.processing.get_mut(&key).and_then(Option::take);
                let was = model.unqueue(key).or(dirty).is_some();
                let was_delayed = model.delayed.remove(&key).is_some();
                assert_eq!(queue.cancel(&key), was || was_delayed);
            }
            Op::CancelDelayed(key) => {
                let was_delayed = model.delayed.remove(&key).is_some();
                assert_eq!(queue.cancel_delayed(&key), was_delayed);
            }
            Op::Pass(by) => self.now += by,
            Op::ShutDown(drain) => {
                model.delayed.clear();
                if drain {
                    queue.shut_down_with_drain();
                    model.shut = model.shut.or(Some(Shut::Draining));
                } else {
                    queue.shut_down();
                    model.shut = Some(Shut::Down);
                }
            }
        }
    }

    /// Whether a delay of this step would end with one of another key.
    fn is_tie(&self, op: &Op) -> bool {
        let (key, after) = match op {
            Op::After(key, after, _) => (key, Duration::from_nanos(*after)),
            Op::Retry(key) => (key, self.model.retry_after(*key)),
            _ => return false,
        };
        let at = Instant::from_nanos(self.now) + after;
        let mut others = self.model.delayed.iter().filter(|(other, _)| *other != key);
        others.any(|(_, (due, _))| *due == at)
    }

    fn delayed(&mut self, key: Key, after: u64, priority: Priority) {
        let model = &mut self.model;
        if model.shut.is_some() {
            return;
        }
        if after == 0 {
            model.delayed.remove(&key);
            model.mark(key, priority);
            return;
        }
        let at = Instant::from_nanos(self.now + after);
        let (was_at, was) = model.delayed.get(&key).copied().unwrap_or((at, priority));
        model
            .delayed
            .insert(key, (was_at.min(at), was.min(priority)));
    }

    fn get(&mut self, now: Instant) {
        let model = &mut self.model;
        model.ripen(now);
        let wanted = model.pop();
        match (self.queue.get(now), wanted) {
            (Next::Key(taken), Some((key, priority))) => {
                assert_eq!((taken.key, taken.priority), (key, priority));
                assert!(model.processing.insert(key, None).is_none(), "cg-W1");
                self.tickets.push((key, taken.ticket));
            }
            (Next::Empty { wake_at }, None) => {
                let next = model.delayed.values().map(|(at, _)| *at).min();
                assert_eq!(wake_at.is_some(), next.is_some());
                assert!(wake_at <= next);
                let stays = match model.shut {
                    None => true,
                    Some(Shut::Draining) => !model.processing.is_empty(),
                    Some(Shut::Down) => false,
                };
                assert!(stays);
            }
            (Next::ShutDown, None) => match model.shut {
                None => panic!("nobody shut it down"),
                Some(Shut::Draining) => assert!(model.processing.is_empty()),
                Some(Shut::Down) => {}
            },
            (got, wanted) => panic!("got {got:?}, wanted {wanted:?}"),
        }
    }

    fn compare(&self) {
        let (queue, model) = (&self.queue, &self.model);
        queue.check_invariants();
        assert_eq!(queue.len(), model.queued.len());
        assert_eq!(queue.processing_len(), model.processing.len());
        let stats = queue.stats(Instant::from_nanos(self.now));
        assert_eq!(stats.delayed, model.delayed.len());
        for key in 0..KEYS {
            let failures = model.failures.get(&key).copied().unwrap_or_default();
            assert_eq!(queue.num_requeues(&key), failures);
        }
        let is_done = model.queued.is_empty() && model.processing.is_empty();
        assert_eq!(queue.is_drained(), model.shut.is_some() && is_done);
    }
}
