//! The world: a clock that nobody winds, an agenda, and everything that happens on it.
//!
//! Does not decide what goes wrong: the case does. One thread, one seed, no clock and no hash of the
//! machine it runs on, so that a case is a run.
//!
//! ```text
//!  agenda --> step --> servers, links, informers, workers, candidates --> checks --> agenda
//! ```
//!
//! W1  Time does not go back.
//! W2  After each step that an informer worked in, all its rules are checked; the first that is broken
//!     ends the run.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use tidings_api::Instant;

use crate::{
    bounds::{Acted, BOUNDED, bound_of},
    checks::Violation,
    cluster::Cluster,
    coverage::{Coverage, states_of},
    election::Election,
    fault::{CLASSES, Fault},
    informer::Informer,
    link::{Asked, Connection},
    ops::{Case, Op, WatchLists},
    tally::Tally,
    trace::Trace,
    worker::Workers,
};

/// One run in progress.
pub(crate) struct World {
    pub(crate) case: Case,
    pub(crate) now: Instant,
    agenda: BinaryHeap<Reverse<Planned>>,
    planned: u64,
    /// A run that does more than this does nothing else any more.
    steps_max: u64,
    pub(crate) cluster: Cluster,
    pub(crate) informers: Vec<Informer>,
    pub(crate) connections: BTreeMap<u32, Connection>,
    pub(crate) connected: u32,
    pub(crate) workers: Workers,
    pub(crate) election: Election,
    /// The faults are over.
    pub(crate) is_calm: bool,
    pub(crate) trace: Trace,
    pub(crate) tally: Tally,
    pub(crate) coverage: Coverage,
    acted: Acted,
    pub(crate) violation: Option<Violation>,
    /// How many times etcd was restored, and when last.
    pub(crate) restores: u64,
    /// When something happened beside a write.
    pub(crate) troubles: VecDeque<Instant>,
    pub(crate) restored_at: Option<Instant>,
}

/// What is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The op of that number.
    Op(usize),
    /// A request reaches its server.
    Arrive(u32),
    /// Something reaches the client.
    Deliver(u32),
    /// The server has more to send on a watch.
    Pump(u32),
    /// A bookmark is due.
    Bookmark(u32),
    /// A watch has lasted long enough.
    Expire(u32),
    /// A request to a server that hears nothing of etcd has waited long enough.
    GiveUp(u32),
    /// An API server follows etcd.
    Follow(usize, u64),
    /// An informer asked to be woken, or is busy no more.
    Wake(usize),
    /// A handler of an informer may have lacked something for too long.
    Lack(usize),
    /// A key that was put off is to have been handed out.
    Overdue,
    /// The workers look at their queue.
    Work,
    /// A worker is done.
    Done(usize),
    /// A candidate's message arrives, or its time has come.
    Election(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Planned {
    at: Instant,
    number: u64,
    step: Step,
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

// === impl World ===

impl World {
    pub(crate) fn new(case: Case, trace: Trace) -> Self {
        let cluster = Cluster::new(&case.knobs);
        let informers = (0..case.knobs.informers.len())
            .map(|index| Informer::new(index, &case.knobs))
            .collect();
        let steps_max = STEPS_MAX.max(case_steps_max(&case));
        let mut world = Self {
            workers: Workers::new(&case.knobs),
            election: Election::new(&case.knobs),
            case,
            now: Instant::ZERO,
            agenda: BinaryHeap::new(),
            planned: 0,
            cluster,
            informers,
            connections: BTreeMap::new(),
            connected: 0,
            is_calm: false,
            trace,
            tally: Tally::default(),
            coverage: Coverage::default(),
            acted: Acted::default(),
            steps_max,
            violation: None,
            restores: 0,
            troubles: VecDeque::new(),
            restored_at: None,
        };
        for index in 0..world.case.ops.len() {
            let at = world.case.ops[index].at;
            world.plan(at, Step::Op(index));
        }
        world.start_candidates();
        world
    }

    /// Runs the case, then lets the faults stop and sees whether everything gets level.
    pub(crate) fn run(&mut self) {
        let ended = catch_unwind(AssertUnwindSafe(|| {
            for index in 0..self.informers.len() {
                self.start_informer(index);
            }
            let end = self.case.ops.last().map_or(Instant::ZERO, |last| last.at);
            self.pass_until(end);
            self.settle();
        }));
        if let Err(panic) = ended {
            let what = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let what = what.unwrap_or_else(|| "a panic without words".to_owned());
            self.violate("INV-S14", "-", format!("a panic: {what}"));
        }
    }

    /// Notes a broken rule; the first one counts.
    pub(crate) fn violate(&mut self, rule: &'static str, object: &str, what: String) {
        if self.violation.is_some() {
            return;
        }
        let (now, step) = (self.now, self.tally.steps);
        self.trace
            .line(now, format_args!("!! {rule} {object}: {what}"));
        self.violation = Some(Violation {
            rule,
            object: object.to_owned(),
            what,
            at: now,
            step,
        });
    }

    pub(crate) fn plan(&mut self, at: Instant, step: Step) {
        self.planned += 1;
        self.agenda.push(Reverse(Planned {
            at: at.max(self.now),
            number: self.planned,
            step,
        }));
    }

    pub(crate) fn plan_in(&mut self, delay: Duration, step: Step) {
        self.plan(self.now + delay, step);
    }

    /// Lets everything happen that is due until then.
    pub(crate) fn pass_until(&mut self, end: Instant) {
        while self.violation.is_none()
            && self.tally.steps < self.steps_max
            && self
                .agenda
                .peek()
                .is_some_and(|Reverse(next)| next.at <= end)
        {
            self.step();
        }
        self.now = self.now.max(end);
    }

    /// Does the next thing; `false` if there is none.
    pub(crate) fn step(&mut self) -> bool {
        let Some(Reverse(planned)) = self.agenda.pop() else {
            return false;
        };
        debug_assert!(planned.at >= self.now, "W1");
        self.now = planned.at;
        self.tally.steps += 1;
        match planned.step {
            Step::Op(index) => self.do_op(index),
            Step::Arrive(id) => self.arrive(id),
            Step::Deliver(id) => self.deliver(id),
            Step::Pump(id) => self.pump(id),
            Step::Bookmark(id) => self.send_bookmark(id),
            Step::Expire(id) => self.expire(id),
            Step::GiveUp(id) => self.give_up(id),
            Step::Follow(replica, rv) => self.follow(replica, rv),
            Step::Wake(index) => self.wake(index),
            Step::Lack(index) => self.check_lacks(index),
            Step::Overdue => self.check_overdue(),
            Step::Work => self.work(),
            Step::Done(worker) => self.finish_work(worker),
            Step::Election(number) => self.election_step(number),
        }
        true
    }

    fn do_op(&mut self, index: usize) {
        let op = self.case.ops[index].op.clone();
        self.tally.ops += 1;
        // A restore counts if there was a copy.
        if !matches!(op, Op::Restore { .. }) {
            self.note_op(&op);
        }
        let now = self.now;
        if !matches!(
            op,
            Op::Put(..) | Op::Delete(_) | Op::Finalize(_) | Op::Recreate(..)
        ) {
            self.troubles.push_back(now);
        }
        if self.trace.is_on() {
            self.trace.line(now, format_args!("op {op}"));
        }
        match op {
            Op::Put(slot, content) => {
                self.cluster.put(slot, content);
                self.after_write();
            }
            Op::Delete(slot) => {
                self.cluster.delete(slot);
                self.after_write();
            }
            Op::Finalize(slot) => {
                self.cluster.finalize(slot);
                self.after_write();
            }
            Op::Recreate(slot, content) => {
                self.cluster.delete(slot);
                self.cluster.put(slot, content);
                self.after_write();
            }
            Op::Compact => {
                self.cluster.compact();
                self.pump_all(None);
            }
            Op::Checkpoint => self.cluster.keep(),
            Op::Restore { writes } => self.restore(writes),
            Op::CrdDelete => {
                self.cluster.delete_definition();
                self.after_write();
            }
            Op::CrdCreate => {
                self.cluster.create_definition();
                self.after_write();
            }
            Op::Lag { .. } | Op::Stick { .. } | Op::WatchLists { .. } => self.change_server(&op),
            Op::Fault {
                informer,
                fault,
                late,
            } => self.bring_fault(usize::from(informer), fault, late),
            Op::AddHandler { .. } | Op::RemoveHandler { .. } | Op::Resync { .. } => {
                self.change_handlers(&op);
            }
            Op::Hold { informer, millis } => self.hold(usize::from(informer), millis),
            Op::Jump { informer, seconds } => self.jump(usize::from(informer), seconds),
            Op::Crash { informer } => self.crash(usize::from(informer)),
            Op::Pause { .. } | Op::Fall { .. } | Op::StepBack { .. } | Op::CutOff { .. } => {
                self.disturb_election(&op);
            }
        }
    }

    /// Whom an op meets doing what: one informer, or all.
    fn note_op(&mut self, op: &Op) {
        if matches!(
            op,
            Op::Put(..) | Op::Delete(_) | Op::Finalize(_) | Op::Fault { .. }
        ) {
            return;
        }
        let one = op.informer().map(usize::from);
        let all = self.informers.iter().enumerate();
        let concerned = all.filter(|(index, _)| one.is_none_or(|one| one == *index));
        let connections = &self.connections;
        let states = concerned.flat_map(|(_, informer)| {
            let asked = informer.stream.and_then(|id| connections.get(&id));
            let (is_probing, is_waiting) = (informer.probe.is_some(), informer.is_waiting());
            states_of(asked.map(|it| it.asked), is_probing, is_waiting)
        });
        self.coverage.note_op(op, states);
        let word = op.to_string();
        self.acted
            .note(word.split(' ').next().unwrap_or_default(), self.now);
    }

    fn change_server(&mut self, op: &Op) {
        match *op {
            Op::Lag { replica, millis } => {
                if let Some(replica) = self.cluster.replicas.get_mut(usize::from(replica)) {
                    replica.lag_millis = millis;
                }
            }
            Op::Stick { replica, millis } => {
                let until = self.now + Duration::from_millis(u64::from(millis));
                let index = usize::from(replica);
                if let Some(replica) = self.cluster.replicas.get_mut(index) {
                    replica.stuck_until = until;
                    self.plan(until, Step::Follow(index, u64::MAX));
                }
            }
            Op::WatchLists { replica, mode } => {
                if let Some(replica) = self.cluster.replicas.get_mut(usize::from(replica)) {
                    replica.watch_lists = mode;
                }
            }
            _ => {}
        }
    }

    /// Etcd goes back; all streams end, and the new history goes on before anybody comes back.
    fn restore(&mut self, writes: u8) {
        if !self.cluster.restore() {
            // There is no copy.
            return;
        }
        self.note_op(&Op::Restore { writes });
        self.restores += 1;
        self.restored_at = Some(self.now);
        self.tally.restores += 1;
        for informer in &self.informers {
            informer.note_restore();
        }
        let ids: Vec<u32> = self.connections.keys().copied().collect();
        for id in ids {
            self.break_connection(id, true);
        }
        for number in 0..writes {
            self.cluster.put_after_restore(number);
        }
        self.after_write();
    }

    /// Faults stop, and within their bounds everything is level again.
    fn settle(&mut self) {
        self.is_calm = true;
        for replica in &mut self.cluster.replicas {
            replica.lag_millis = 0;
            replica.stuck_until = self.now;
            replica.watch_lists = WatchLists::On;
        }
        for informer in &mut self.informers {
            informer.calm(self.now);
        }
        for connection in self.connections.values_mut() {
            connection.drip = None;
        }
        self.calm_election();
        self.cluster.create_definition();
        for number in 0..3 {
            self.cluster.put_after_restore(number);
        }
        self.after_write();
        if self.case.knobs.mute {
            self.acted.note("mute", self.now);
        }
        let worst = self.acted.worst(self.now);
        let within = bound_of(BOUNDED[worst]) + self.still_busy();
        self.tally.settled[worst] += 1;
        self.pass_until_level(within, worst, false);
        if self.violation.is_some() {
            return;
        }
        // Some faults cannot be seen by a client: a new list is all that helps (DESIGN 4.5), and
        // a version that is no more makes it take one.
        for index in 0..self.informers.len() {
            if self.informers[index].is_doubtful() {
                self.bring_fault(index, Fault::Reset, false);
            }
        }
        // Higher than what anybody has, or has on its way.
        let highest = self.cluster.highest();
        while self.cluster.etcd.resource_version() <= highest {
            self.cluster.put_after_restore(0);
        }
        self.cluster.compact();
        self.pump_all(None);
        self.pass_until_level(within, worst, true);
        self.check_end();
    }

    /// Waits until every informer that can know better has what the server has.
    fn pass_until_level(&mut self, within: Duration, worst: usize, all: bool) {
        let end = self.now + within;
        let began = self.now;
        while self.violation.is_none() {
            let wanted = |informer: &Informer| all || !informer.is_doubtful();
            let is_level = |world: &Self| {
                let mut informers = world.informers.iter().filter(|it| wanted(it));
                informers.all(|informer| world.is_level(informer)) && world.workers.is_idle()
            };
            if is_level(self) && self.has_leader() {
                break;
            }
            let next = self.agenda.peek().map(|Reverse(next)| next.at);
            if next.is_none_or(|next| next > end) || self.tally.steps >= self.steps_max {
                self.now = self.now.max(end);
                return self.report_unlevel(all, within);
            }
            self.step();
        }
        let took = self.now.saturating_since(began);
        let longest = &mut self.tally.settle[worst];
        *longest = (*longest).max(took);
    }

    /// How long informers are still held up, or their handlers at work.
    fn still_busy(&self) -> Duration {
        let informers = self.informers.iter();
        let until = informers.map(Informer::busy_until).max();
        until.map_or(Duration::ZERO, |until| until.saturating_since(self.now))
    }

    fn report_unlevel(&mut self, all: bool, within: Duration) {
        for index in 0..self.informers.len() {
            let informer = &self.informers[index];
            if (all || !informer.is_doubtful()) && !self.is_level(informer) {
                let what = format!(
                    "not level {within:?} after the last fault: {}",
                    self.gap(index)
                );
                return self.violate("INV-L1", &format!("i{index}"), what);
            }
        }
        if !self.workers.is_idle() {
            let what = self.workers.describe();
            return self.violate("INV-L4", "queue", what);
        }
        self.violate("INV-L1", "lease", "nobody leads".to_owned());
    }

    /// The phase in which a fault meets an informer's stream.
    pub(crate) fn note_fault(&mut self, index: usize, asked: Option<Asked>, fault: Fault) {
        let probing = self.informers[index].probe.is_some();
        self.coverage.note(fault, asked, probing);
        self.acted.note(CLASSES[fault.class()], self.now);
        if self.trace.is_on() {
            let now = self.now;
            self.trace.line(now, format_args!("i{index} x {fault}"));
        }
    }
}

/// Long cases may do more.
fn case_steps_max(case: &Case) -> u64 {
    case.ops.len() as u64 * STEPS_EACH
}

const STEPS_MAX: u64 = 2_000_000;
const STEPS_EACH: u64 = 4000;
