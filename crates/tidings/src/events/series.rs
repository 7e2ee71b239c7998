//! Which reports become requests: equal ones become a series, and each object has a budget.
//!
//! Pure: time is handed in, nothing is sent, nothing waits. The recorder around it does.
//!
//! ```text
//!   report --budget--> create queued --> sending --> idle --again--> patch queued (count 2) --> ..
//!      | equal to a known one                         | counts, in memory
//!      '--> count + 1                                 | every 30 min, and after 6 min of silence: patch
//! ```
//! E1  At most `queue_max` requests wait; beyond, the oldest goes. A patch that goes is not lost: its
//!     count stands in the next one. A create that goes is counted as dropped.
//! E2  At most `series_max` events are remembered, and as many budgets; beyond, the oldest goes.
//! E3  One request is under way at a time. An event is created before it is patched.
//! E4  Repetitions are counted even while their event cannot be written.
//!
//! Cost: a report O(log n); a sweep, once a minute, O(n).
//! Source: client-go tools/events/event_broadcaster.go, tools/record/events_cache.go @v0.36.3.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use tidings_api::Instant;

use super::document::{Document, Identity};
use crate::api::ObjectReference;

/// The numbers of the aggregation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a table that users fill with struct update syntax"
)]
pub struct EventLimits {
    /// Most requests that wait to be sent. 1000, as in client-go; at least 1.
    pub queue_max: usize,
    /// Most events that are remembered for their repetitions. 4096, as in client-go.
    pub series_max: usize,
    /// How many requests an object may cause at once. 25, as in client-go.
    pub burst: u32,
    /// How long an object waits for one more request. 300 s, as in client-go.
    pub interval: Duration,
    /// After how long a silence a series is over. 6 min, as in client-go.
    pub finish: Duration,
    /// How often the count of a series that goes on is written. 30 min, as in client-go.
    pub refresh: Duration,
    /// How often one request is tried. 12, as in client-go; at least 1.
    pub attempts_max: u32,
    /// The wait after a failure, with up to a quarter more by chance. 10 s, as in client-go.
    pub retry: Duration,
}

impl Default for EventLimits {
    fn default() -> Self {
        Self {
            queue_max: 1000,
            series_max: 4096,
            burst: 25,
            interval: Duration::from_secs(300),
            finish: Duration::from_secs(6 * 60),
            refresh: Duration::from_secs(30 * 60),
            attempts_max: 12,
            retry: Duration::from_secs(10),
        }
    }
}

/// What became of the reports so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventStats {
    /// Reports that were taken.
    pub reported: u64,
    /// Reports that were counted into a series in place of being sent.
    pub repeated: u64,
    /// Reports that their object's budget did not allow.
    pub limited: u64,
    /// Events that were never created, since too many others came after them.
    pub dropped: u64,
    /// Requests that the server took.
    pub written: u64,
    /// Requests that the server refused for good, or that failed too often.
    pub failed: u64,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Output {
    /// Create the event.
    Create(u64, Box<Document>),
    /// Write the event's count; create it if it is gone.
    Patch(u64, Box<Document>),
    /// Nothing before this time, if there is one, or the next report.
    Idle { wake_at: Option<Instant> },
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// It is written, or was there already.
    Done,
    /// It will never be written: not allowed, not valid, its namespace is going.
    Refused,
    /// Perhaps later, and not before this wait.
    Later(Duration),
}

/// The machine.
pub(super) struct Series {
    limits: EventLimits,
    stats: EventStats,
    ids: HashMap<Identity, u64>,
    entries: BTreeMap<u64, Entry>,
    next_id: u64,
    queue: VecDeque<u64>,
    under_way: Option<u64>,
    /// Nothing is sent before: the server is in trouble.
    paused_until: Instant,
    /// From an object to the time at which its budget is whole again.
    budgets: HashMap<ObjectReference, Instant>,
    next_sweep: Instant,
    is_ending: bool,
    rng: fastrand::Rng,
}

/// One event that may be repeated.
struct Entry {
    document: Document,
    identity: Identity,
    /// Whether the server has, or had, the event.
    is_created: bool,
    is_queued: bool,
    /// Whether the server does not have the present count.
    is_dirty: bool,
    /// Whether that count is to be written as soon as the event is there.
    is_urgent: bool,
    last_seen: Instant,
    last_written: Instant,
    failures: u32,
}

// === impl Series ===

impl Series {
    pub(super) fn new(limits: EventLimits, seed: u64) -> Self {
        Self {
            limits: EventLimits {
                queue_max: limits.queue_max.max(1),
                // There is always one that is neither queued nor under way.
                series_max: limits.series_max.max(limits.queue_max.max(1) + 2),
                attempts_max: limits.attempts_max.max(1),
                ..limits
            },
            stats: EventStats::default(),
            ids: HashMap::new(),
            entries: BTreeMap::new(),
            next_id: 0,
            queue: VecDeque::new(),
            under_way: None,
            paused_until: Instant::ZERO,
            budgets: HashMap::new(),
            next_sweep: Instant::ZERO,
            is_ending: false,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// Something happened; `document` is the event that would be created for it.
    pub(super) fn handle_report(&mut self, now: Instant, document: Document) {
        self.stats.reported += 1;
        if self.entries.is_empty() {
            self.next_sweep = now + SWEEP;
        }
        let identity = document.identity();
        match self.ids.get(&identity).copied() {
            Some(id) => self.repeat(now, id, &document),
            None => self.begin(now, identity, document),
        }
    }

    /// The time has moved.
    pub(super) fn handle_time(&mut self, now: Instant) {
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now + SWEEP;
        self.budgets.retain(|_, whole_at| *whole_at > now);
        let limits = self.limits;
        let mut due = Vec::new();
        let mut over = Vec::new();
        for (&id, entry) in &self.entries {
            let is_busy = entry.is_queued || self.under_way == Some(id);
            let is_silent = now.saturating_since(entry.last_seen) >= limits.finish;
            let is_old = now.saturating_since(entry.last_written) >= limits.refresh;
            if is_busy {
                continue;
            }
            if entry.is_dirty && (is_silent || is_old) {
                due.push(id);
            } else if is_silent {
                over.push(id);
            }
        }
        for id in over {
            self.forget(id);
        }
        for id in due {
            self.enqueue(id);
        }
    }

    /// Nobody reports any more: all counts are to be written.
    pub(super) fn handle_end(&mut self) {
        self.is_ending = true;
        let is_due = |(&id, entry): (&u64, &Entry)| {
            (entry.is_dirty && !entry.is_queued && self.under_way != Some(id)).then_some(id)
        };
        let due: Vec<u64> = self.entries.iter().filter_map(is_due).collect();
        for id in due {
            self.enqueue(id);
        }
    }

    /// The request that was handed out has its answer.
    pub(super) fn handle_answer(&mut self, now: Instant, id: u64, answer: Answered) {
        assert_eq!(self.under_way.take(), Some(id), "one request at a time");
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        match answer {
            Answered::Done => {
                self.stats.written += 1;
                entry.is_created = true;
                entry.failures = 0;
                entry.last_written = now;
            }
            Answered::Refused => {
                self.stats.failed += 1;
                entry.failures = 0;
                entry.last_written = now;
            }
            Answered::Later(wait) => {
                entry.failures += 1;
                let is_last = entry.failures >= self.limits.attempts_max;
                let jitter = self.limits.retry.mul_f64(self.rng.f64() / 4.0);
                self.paused_until = now + self.limits.retry.max(wait) + jitter;
                if is_last {
                    self.stats.failed += 1;
                    entry.failures = 0;
                    entry.last_written = now;
                } else {
                    // Before the others: an older event is not overtaken by its own trouble.
                    entry.is_queued = true;
                    entry.is_dirty = true;
                    self.queue.push_front(id);
                }
                return;
            }
        }
        // What came while the event was under way goes after it.
        let is_due = entry.is_urgent || self.is_ending;
        if answer == Answered::Done && entry.is_dirty && is_due {
            self.enqueue(id);
        }
    }

    /// What is to be done now.
    pub(super) fn poll_output(&mut self, now: Instant) -> Output {
        let sweep = (!self.entries.is_empty()).then_some(self.next_sweep);
        if self.under_way.is_some() {
            return Output::Idle { wake_at: sweep };
        }
        if now < self.paused_until && !self.queue.is_empty() {
            let wake_at = sweep.map(|sweep| sweep.min(self.paused_until));
            return Output::Idle { wake_at };
        }
        while let Some(id) = self.queue.pop_front() {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            entry.is_queued = false;
            entry.is_dirty = false;
            entry.is_urgent = false;
            self.under_way = Some(id);
            let document = Box::new(entry.document.clone());
            return if entry.is_created && document.count() > 1 {
                Output::Patch(id, document)
            } else {
                Output::Create(id, document)
            };
        }
        Output::Idle { wake_at: sweep }
    }

    /// Whether everything that was to be written is, or has failed.
    pub(super) fn is_drained(&self) -> bool {
        self.queue.is_empty() && self.under_way.is_none()
    }

    pub(super) const fn stats(&self) -> EventStats {
        self.stats
    }
}

impl Series {
    /// An event that is not known: it is created, if its object may cause one more request.
    fn begin(&mut self, now: Instant, identity: Identity, document: Document) {
        if !self.spend(now, &identity.regarding) {
            self.stats.limited += 1;
            return;
        }
        if self.entries.len() >= self.limits.series_max {
            let busy = self.under_way;
            let is_idle = |(id, entry): &(&u64, &Entry)| !entry.is_queued && Some(**id) != busy;
            let oldest = self.entries.iter().find(is_idle).map(|(id, _)| *id);
            if let Some(oldest) = oldest {
                self.forget(oldest);
            }
        }
        let id = self.next_id;
        self.next_id += 1;
        let entry = Entry {
            document,
            identity: identity.clone(),
            is_created: false,
            is_queued: false,
            is_dirty: true,
            is_urgent: false,
            last_seen: now,
            last_written: now,
            failures: 0,
        };
        self.ids.insert(identity, id);
        self.entries.insert(id, entry);
        self.enqueue(id);
    }

    /// An event that is known: it is counted. The first repetition is written at once, if its object
    /// may cause one more request; the others with the next refresh.
    fn repeat(&mut self, now: Instant, id: u64, again: &Document) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        self.stats.repeated += 1;
        entry.document.repeat(again.time());
        entry.last_seen = now;
        entry.is_dirty = true;
        let is_first = entry.document.count() == 2;
        let (is_queued, is_created) = (entry.is_queued, entry.is_created);
        let subject = is_first.then(|| entry.identity.regarding.clone());
        let is_busy = is_queued || self.under_way == Some(id);
        // What is still queued takes its count along. What was refused is not tried for each repetition.
        let is_writable = !is_queued && (is_created || is_busy);
        let Some(subject) = subject.filter(|_| is_writable) else {
            return;
        };
        if !self.spend(now, &subject) {
            return;
        }
        match self.entries.get_mut(&id) {
            Some(entry) if is_busy => entry.is_urgent = true,
            _ => self.enqueue(id),
        }
    }

    fn enqueue(&mut self, id: u64) {
        if self.queue.len() >= self.limits.queue_max
            && let Some(oldest) = self.queue.pop_front()
            && let Some(entry) = self.entries.get_mut(&oldest)
        {
            entry.is_queued = false;
            if !entry.is_created {
                self.stats.dropped += 1;
                self.forget(oldest);
            }
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.is_queued = true;
            self.queue.push_back(id);
        }
    }

    fn forget(&mut self, id: u64) {
        if let Some(entry) = self.entries.remove(&id) {
            self.ids.remove(&entry.identity);
        }
    }

    /// Takes one request off an object's budget, if there is one left: a bucket of `burst` that gets
    /// one more each `interval`, kept as the time at which it is full again.
    fn spend(&mut self, now: Instant, subject: &ObjectReference) -> bool {
        let limits = self.limits;
        let whole_at = self.budgets.get(subject).copied().unwrap_or(now).max(now);
        let spent = whole_at + limits.interval;
        if spent.saturating_since(now) > limits.interval.saturating_mul(limits.burst) {
            return false;
        }
        if self.budgets.len() >= limits.series_max && !self.budgets.contains_key(subject) {
            let fullest = self.budgets.iter().min_by_key(|(_, whole_at)| **whole_at);
            if let Some(fullest) = fullest.map(|(subject, _)| subject.clone()) {
                self.budgets.remove(&fullest);
            }
        }
        self.budgets.insert(subject.clone(), spent);
        true
    }

    #[cfg(test)]
    pub(super) const fn paused_until(&self) -> Instant {
        self.paused_until
    }

    #[cfg(test)]
    pub(super) fn budgets_len(&self) -> usize {
        self.budgets.len()
    }

    /// E1 to E3, and that the two maps agree.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        assert!(self.queue.len() <= self.limits.queue_max + 1, "E1");
        assert!(self.entries.len() <= self.limits.series_max, "E2");
        assert!(self.budgets.len() <= self.limits.series_max, "E2");
        assert_eq!(self.ids.len(), self.entries.len());
        for (id, entry) in &self.entries {
            let times = self.queue.iter().filter(|queued| *queued == id).count();
            assert_eq!(
                times,
                usize::from(entry.is_queued),
                "queued once, or not at all"
            );
            assert_eq!(self.ids.get(&entry.identity), Some(id));
        }
        if let Some(id) = self.under_way {
            assert!(!self.queue.contains(&id), "E3");
        }
    }
}

/// How often it is looked what has fallen silent.
const SWEEP: Duration = Duration::from_secs(60);
