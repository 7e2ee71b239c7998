//! The workqueue's core with workers that take time, fail, and write.
//!
//! Does not decide what a key needs: a worker reads the store of the first informer, remembers what it
//! saw, and now and then writes to the object.
//!
//! K1  No key is in the hands of two workers (INV-S12).
//! K2  No key is handed out before the earliest time for which it was put off (INV-S12).
//!     Nor is it kept back after that time while a worker has nothing to do (INV-L4).
//! K3  What a worker saw last of each key is, in the end, what the store has (INV-L4).
//! K4  No namespace waits while more keys of others are handed out than there are others (INV-S12).
//! K5  A drain hands out what was queued or is dirty, and takes nothing more (INV-S12).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tidings_api::Instant;
use tidings_engine::workqueue::{Added, Next, Reason, Ticket, WorkQueue, WorkQueueConfig};

use crate::{
    handlers::{Known, known},
    knobs::Knobs,
    world::{Step, World},
};

/// The queue, its workers, and what must be true of them.
pub(crate) struct Workers {
    queue: WorkQueue<String>,
    jobs: Vec<Option<Job>>,
    failures: u8,
    rng: fastrand::Rng,
    heard: Vec<String>,
    in_hand: BTreeSet<String>,
    /// Until when a key was put off, and those whose time came while they were in hand.
    put_off: BTreeMap<String, Instant>,
    came: BTreeSet<String>,
    /// One that should have been handed out, and that may be within this very moment.
    suspect: Option<(String, Instant)>,
    /// What was seen of each key at its last reconcile.
    seen: BTreeMap<String, Option<Known>>,
    /// How often a key failed since it was forgotten.
    failed: BTreeMap<String, u32>,
    /// How many keys of other namespaces were handed out while one of a namespace waited.
    passed_over: BTreeMap<char, u32>,
    waiting: BTreeSet<String>,
    /// When the queue is looked at next.
    alarm: Instant,
    /// Workers of an earlier process are heard of no more.
    incarnation: usize,
}

struct Job {
    ticket: Ticket,
    key: String,
    saw: Option<Known>,
}

// === impl Workers ===

impl Workers {
    pub(crate) fn new(knobs: &Knobs) -> Self {
        let config = WorkQueueConfig {
            seed: knobs.seed,
            tenant: Some(Box::new(|key: &String| {
                key.split('/').next().unwrap_or_default()
            })),
            ..WorkQueueConfig::default()
        };
        Self {
            queue: WorkQueue::new(config),
            jobs: (0..knobs.workers).map(|_| None).collect(),
            failures: knobs.failures,
            rng: fastrand::Rng::with_seed(knobs.seed ^ 0x77),
            heard: Vec::new(),
            in_hand: BTreeSet::new(),
            put_off: BTreeMap::new(),
            came: BTreeSet::new(),
            suspect: None,
            seen: BTreeMap::new(),
            failed: BTreeMap::new(),
            passed_over: BTreeMap::new(),
            waiting: BTreeSet::new(),
            alarm: Instant::FAR_FUTURE,
            incarnation: 0,
        }
    }

    pub(crate) fn crash(&mut self, knobs: &Knobs) {
        let incarnation = self.incarnation + 1;
        *self = Self::new(knobs);
        self.incarnation = incarnation;
    }

    pub(crate) fn hear(&mut self, key: String) {
        if !self.jobs.is_empty() {
            self.heard.push(key);
        }
    }

    /// Whether nothing is queued, put off or worked on.
    pub(crate) fn is_idle(&self) -> bool {
        self.jobs.is_empty()
            || (self.queue.is_empty()
                && self.queue.processing_len() == 0
                && self.queue.next_wake().is_none())
    }

    pub(crate) fn describe(&self) -> String {
        format!(
            "{} wait, {} in work, next {:?}",
            self.queue.len(),
            self.queue.processing_len(),
            self.queue.next_wake()
        )
    }

    /// An addition takes back what was put off; what had come already stays.
    fn note_added(&mut self, now: Instant, key: &str) {
        if self.put_off.remove(key).is_some_and(|due| due <= now) {
            self.came.insert(key.to_owned());
        }
    }

    /// The earliest of several times counts.
    fn put_off(&mut self, now: Instant, key: &str, until: Instant) {
        // One that is due in this very moment may have come or not: then the earlier one counts.
        if self.put_off.get(key).is_some_and(|due| *due < now) {
            self.put_off.remove(key);
            self.came.insert(key.to_owned());
        }
        let earliest = self.put_off.entry(key.to_owned()).or_insert(until);
        *earliest = (*earliest).min(until);
    }

    /// K4: a namespace that waited while more keys of others were handed out than there are others.
    fn is_unfair(&mut self, key: &str) -> Option<String> {
        let tenant = |key: &str| key.chars().next().unwrap_or_default();
        let served = tenant(key);
        self.waiting.remove(key);
        self.passed_over.remove(&served);
        let waiting: BTreeSet<char> = self.waiting.iter().map(|key| tenant(key)).collect();
        self.passed_over.retain(|it, _| waiting.contains(it));
        for other in waiting.into_iter().filter(|it| *it != served) {
            let passed_over = self.passed_over.entry(other).or_default();
            *passed_over += 1;
            if *passed_over > NAMESPACES_MAX {
                return Some(format!("{other}/ waits, passed over {passed_over} times"));
            }
        }
        None
    }

    /// K5: what is queued, or added while it is worked on, is still worked on after the queue is told
    /// to drain, and nothing else (INV-S12).
    fn drains(&mut self, now: Instant) -> Option<String> {
        let keys = ["a/k0", "b/k0", "a/k1"].map(str::to_owned);
        for key in &keys {
            self.queue.add(now, key);
        }
        let Next::Key(first) = self.queue.get(now) else {
            return Some("an added key is not handed out".to_owned());
        };
        self.queue.add(now, &first.key);
        self.queue.shut_down_with_drain();
        if self.queue.add(now, &"c/late".to_owned()) != Added::Ignored {
            return Some("it takes additions while it drains".to_owned());
        }
        self.queue.done(now, first.ticket);
        let mut taken = 0;
        while let Next::Key(next) = self.queue.get(now) {
            taken += 1;
            self.queue.done(now, next.ticket);
        }
        let is_drained = self.queue.is_drained();
        (taken != keys.len() || !is_drained)
            .then(|| format!("{taken} of {} keys came out of a drain", keys.len()))
    }

    /// K2: a key whose time has come, and which nobody has.
    fn overdue(&self, now: Instant) -> Option<&String> {
        let mut all = self.put_off.iter();
        let is_late = |(key, due): &(&String, &Instant)| {
            **due + LATE_MAX <= now && !self.in_hand.contains(*key)
        };
        all.find(is_late).map(|(key, _)| key)
    }

    /// K2: until when a key is put off that is handed out as if its time had come.
    fn is_early(&mut self, now: Instant, key: &str, reason: Reason) -> Option<Instant> {
        let came = self.came.remove(key);
        let due = self.put_off.get(key).copied();
        if due.is_some_and(|due| due <= now) {
            self.put_off.remove(key);
        }
        let is_late = matches!(reason, Reason::Delayed | Reason::Retry(_));
        due.filter(|due| is_late && !came && *due > now)
    }
}

impl World {
    /// What the handler heard is to be worked on.
    pub(crate) fn enqueue_heard(&mut self) {
        let now = self.now;
        let heard = std::mem::take(&mut self.workers.heard);
        if heard.is_empty() {
            return;
        }
        for key in heard {
            let added = self.workers.queue.add(now, &key);
            if added != Added::Ignored {
                self.workers.note_added(now, &key);
            }
            if added == Added::Queued {
                self.workers.waiting.insert(key);
            }
        }
        self.plan(now, Step::Work);
    }

    /// Idle workers take what there is.
    pub(crate) fn work(&mut self) {
        let now = self.now;
        if self.workers.alarm <= now {
            self.workers.alarm = Instant::FAR_FUTURE;
        }
        for worker in 0..self.workers.jobs.len() {
            if self.workers.jobs[worker].is_some() {
                continue;
            }
            let taken = match self.workers.queue.get(now) {
                Next::Key(taken) => taken,
                Next::Empty { .. } | Next::ShutDown => break,
            };
            if !self.workers.in_hand.insert(taken.key.clone()) {
                let what = "two workers have it".to_owned();
                return self.violate("INV-S12", &taken.key, what);
            }
            if let Some(what) = self.workers.is_unfair(&taken.key) {
                return self.violate("INV-S12", &taken.key, what);
            }
            if let Some(due) = self.workers.is_early(now, &taken.key, taken.reason) {
                let what = format!("it was put off until {due}");
                return self.violate("INV-S12", &taken.key, what);
            }
            let saw = self.look(&taken.key);
            self.tally.reconciles += 1;
            let millis = self.workers.rng.u64(..200);
            self.workers.jobs[worker] = Some(Job {
                ticket: taken.ticket,
                key: taken.key,
                saw,
            });
            let number = self.workers.incarnation * WORKERS_MAX + worker;
            self.plan_in(Duration::from_millis(millis), Step::Done(number));
        }
        self.workers.queue.advance(now);
        self.workers.queue.check_invariants();
        if let Some(wake) = self.workers.queue.next_wake()
            && wake < self.workers.alarm
        {
            self.workers.alarm = wake;
            self.plan(wake, Step::Work);
        }
    }

    fn look(&self, key: &str) -> Option<Known> {
        let reader = self.informers.first()?.pipeline.indexer().reader();
        let entry = reader.get(key)?;
        entry.effective()?;
        Some(known(&entry))
    }

    /// A worker is done: well, badly, with a write of its own, or with a wish to come back.
    pub(crate) fn finish_work(&mut self, number: usize) {
        let now = self.now;
        if number / WORKERS_MAX != self.workers.incarnation {
            return;
        }
        let job = self.workers.jobs.get_mut(number % WORKERS_MAX);
        let Some(job) = job.and_then(Option::take) else {
            return;
        };
        let fails = self.workers.failures > 0
            && !self.is_calm
            && self.workers.rng.u8(..self.workers.failures) == 0;
        if fails {
            if let Some(delay) = self.workers.queue.add_rate_limited(now, &job.key) {
                self.workers.put_off(now, &job.key, now + delay);
                self.plan(now + delay + LATE_MAX, Step::Overdue);
            }
            let failures = self.workers.failed.entry(job.key.clone()).or_default();
            *failures += 1;
            let (is, should) = (self.workers.queue.num_requeues(&job.key), *failures);
            if is != should {
                let what = format!("it failed {should} times, the queue says {is}");
                return self.violate("INV-S12", &job.key, what);
            }
        } else {
            self.workers.queue.forget(&job.key);
            self.workers.failed.remove(&job.key);
            self.workers.seen.insert(job.key.clone(), job.saw);
            let choice = if self.is_calm {
                9
            } else {
                self.workers.rng.u8(..10)
            };
            if choice == 0 {
                let delay = Duration::from_millis(self.workers.rng.u64(1..20_000));
                self.workers.queue.add_after(now, &job.key, delay);
                self.workers.put_off(now, &job.key, now + delay);
                self.plan(now + delay + LATE_MAX, Step::Overdue);
            }
            if choice == 1 {
                // Two delays, the later one last or first: the earlier one counts.
                let delays = [
                    self.workers.rng.u64(1..20_000),
                    self.workers.rng.u64(1..20_000),
                ];
                for delay in delays.map(Duration::from_millis) {
                    self.workers.queue.add_after(now, &job.key, delay);
                    self.workers.put_off(now, &job.key, now + delay);
                    self.plan(now + delay + LATE_MAX, Step::Overdue);
                }
            }
        }
        self.workers.in_hand.remove(&job.key);
        self.workers.queue.done(now, job.ticket);
        if !fails && !self.is_calm && self.workers.rng.u8(..20) == 0 {
            let kind = self.informers[0].knobs.kind;
            if self.cluster.touch(kind, &job.key) {
                self.after_write();
            }
        }
        self.plan(now, Step::Work);
    }

    /// K2: keys that were put off come in time, if anybody has time for them.
    pub(crate) fn check_overdue(&mut self) {
        let now = self.now;
        let workers = &mut self.workers;
        let Some(key) = workers.overdue(now).cloned() else {
            workers.suspect = None;
            return;
        };
        // Where others wait as well, a worker is idle for this moment only.
        let is_idle = workers.jobs.iter().any(Option::is_none);
        let has_time = is_idle && workers.queue.is_empty();
        let suspect = workers.suspect.take();
        let was_suspect = suspect.is_some_and(|(it, since)| it == key && since < now);
        if has_time && was_suspect {
            let what = "its time has come, a worker is idle, and it is not handed out".to_owned();
            return self.violate("INV-L4", &key, what);
        }
        workers.suspect = has_time.then_some((key, now));
        let delay = if has_time { LATE_MAX } else { LOOK_AGAIN };
        self.plan_in(delay, Step::Overdue);
    }

    /// K3: the last change of every key was reconciled.
    pub(crate) fn check_reconciled(&mut self) {
        if self.workers.jobs.is_empty() || self.violation.is_some() {
            return;
        }
        let snapshot = self.informers[0].pipeline.indexer().snapshot();
        let mut wrong = None;
        for (key, saw) in &self.workers.seen {
            let entry = snapshot.get(key);
            if entry.is_some_and(tidings_engine::entry::Entry::is_poisoned) {
                continue;
            }
            let is = entry.map(known);
            if is != *saw {
                wrong = Some((key.clone(), format!("seen {saw:?}, stored {is:?}")));
            }
        }
        for entry in snapshot.iter() {
            let key = entry.object.key();
            if !self.workers.seen.contains_key(key) && !entry.is_poisoned() {
                wrong = Some((key.to_owned(), "it was never reconciled".to_owned()));
            }
        }
        if let Some((key, what)) = wrong {
            self.violate("INV-L4", &key, what);
        }
        let now = self.now;
        if let Some(what) = self.workers.drains(now) {
            self.violate("INV-S12", "queue", what);
        }
    }
}

/// More namespaces than a world has.
const NAMESPACES_MAX: u32 = 4;
/// By how much a key may come too late.
const LATE_MAX: Duration = Duration::from_millis(2);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// More workers than a world has.
const WORKERS_MAX: usize = 256;
