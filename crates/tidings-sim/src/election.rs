//! Candidates for a Lease of the simulated etcd: clocks that run at different rates, requests that get lost
//! or late on their way there or back, and processes that stand still or end.
//!
//! Does not decode: a candidate's requests are writes of the Lease object with its version, as the server
//! checks it; its watch shows the Lease after a while, or not at all.
//!
//! E1  At no time is the term of more than one candidate valid by its own clock (INV-S16), save for as
//!     long as a term lasts after etcd went back: the Lease then says what was, and nobody can know.
//! E2  A term's token is higher than that of any term of another process before it, as long as etcd does
//!     not go back.
//! E3  Whoever steps back gives the Lease back, or tries to as long as its term may last (ctl-L11).

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tidings_api::{Instant, ResourceVersion};
use tidings_apiserver::state::Stored;
use tidings_engine::lease::{
    Config, GetOutcome, Input, LeaderElector, Output, Record, Seen, Wall, WriteOutcome,
};

use crate::{
    knobs::Knobs,
    ops::Op,
    world::{Step, World},
};

pub(crate) struct Election {
    rng: fastrand::Rng,
    nodes: Vec<Node>,
    messages: BTreeMap<u64, Message>,
    next: u64,
    /// Token, candidate and incarnation of the last term.
    last_term: Option<(u32, usize, u32)>,
}

struct Node {
    elector: LeaderElector,
    incarnation: u32,
    /// How many nanoseconds this clock counts in a true second.
    rate: u64,
    offset: u64,
    paused_until: Instant,
    cut_until: Instant,
    wake_at: Instant,
    /// What the watch showed last arrives before what it shows next.
    watch_at: Instant,
    has_stopped: bool,
    /// When it was told to step back, on its own clock.
    stepped_back_at: Instant,
}

#[derive(Clone)]
enum Message {
    Answer(usize, u32, Input),
    Arrive(usize, u32, Output),
    Wake(usize, u32),
}

// === impl Election ===

impl Election {
    pub(crate) fn new(knobs: &Knobs) -> Self {
        let mut election = Self {
            rng: fastrand::Rng::with_seed(knobs.seed ^ 0x1ea5e),
            nodes: Vec::new(),
            messages: BTreeMap::new(),
            next: 0,
            last_term: None,
        };
        for index in 0..usize::from(knobs.candidates) {
            let node = election.node(index, 0);
            election.nodes.extend(node);
        }
        election
    }

    fn node(&mut self, index: usize, incarnation: u32) -> Option<Node> {
        let config = Config {
            seed: self.rng.u64(1..),
            ..Config::default()
        };
        let name = format!("c{index}_{incarnation}");
        Some(Node {
            elector: LeaderElector::try_new(config, &name).ok()?,
            incarnation,
            rate: self.rng.u64(990_000_000..=1_010_000_000),
            offset: self.rng.u64(..1000 * SECOND),
            paused_until: Instant::ZERO,
            cut_until: Instant::ZERO,
            wake_at: Instant::FAR_FUTURE,
            watch_at: Instant::ZERO,
            has_stopped: false,
            stepped_back_at: Instant::ZERO,
        })
    }

    /// How long a message takes, if it arrives at all.
    fn delay(&mut self, is_calm: bool) -> Option<Duration> {
        let micros = match self.rng.u8(..20) {
            0 if !is_calm => return None,
            1..3 if !is_calm => self.rng.u64(..8_000_000),
            _ => self.rng.u64(..50_000),
        };
        Some(Duration::from_micros(micros))
    }
}

// === impl Node ===

impl Node {
    fn local(&self, now: Instant) -> Instant {
        let ticks = u128::from(now.as_nanos()) * u128::from(self.rate) / u128::from(SECOND);
        Instant::from_nanos(u64::try_from(ticks).unwrap_or(u64::MAX))
            + Duration::from_nanos(self.offset)
    }

    /// The true time at which this clock will show that.
    fn true_time(&self, local: Instant) -> Instant {
        let ticks = u128::from(local.as_nanos().saturating_sub(self.offset));
        let nanos = ticks * u128::from(SECOND) / u128::from(self.rate) + 1;
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn leads(&self, now: Instant) -> bool {
        let term = self.elector.term();
        term.is_some_and(|term| term.is_valid(self.local(now)))
    }
}

impl World {
    pub(crate) fn start_candidates(&mut self) {
        for index in 0..self.election.nodes.len() {
            self.tell_candidate(index, Input::Start);
        }
    }

    fn post(&mut self, at: Instant, message: Message) {
        self.election.next += 1;
        let number = self.election.next;
        self.election.messages.insert(number, message);
        self.plan(at, Step::Election(number));
    }

    pub(crate) fn election_step(&mut self, number: u64) {
        let Some(message) = self.election.messages.remove(&number) else {
            return;
        };
        match message.clone() {
            Message::Arrive(index, incarnation, request) => {
                self.serve_candidate(index, incarnation, request);
            }
            Message::Answer(index, incarnation, input) => {
                if self.is_awake(index, incarnation, message) {
                    self.tell_candidate(index, input);
                }
            }
            Message::Wake(index, incarnation) => {
                if self.is_awake(index, incarnation, message) {
                    self.tell_candidate(index, Input::Tick);
                }
            }
        }
        self.check_leaders();
    }

    /// Whether the message is still of interest; a process that stands still gets it later.
    fn is_awake(&mut self, index: usize, incarnation: u32, message: Message) -> bool {
        let node = &self.election.nodes[index];
        if node.incarnation != incarnation || node.has_stopped {
            return false;
        }
        let until = node.paused_until;
        if until > self.now {
            self.post(until, message);
            return false;
        }
        true
    }

    fn tell_candidate(&mut self, index: usize, input: Input) {
        let now = self.now;
        let node = &mut self.election.nodes[index];
        let (local, incarnation) = (node.local(now), node.incarnation);
        let wall = Wall(i64::try_from(now.as_nanos() / 1000).unwrap_or(0));
        node.elector.handle(local, wall, input);
        loop {
            let node = &mut self.election.nodes[index];
            match node.elector.poll_output() {
                Output::Idle { wake_at } => {
                    let is_new = node.wake_at != wake_at && wake_at != Instant::FAR_FUTURE;
                    node.wake_at = wake_at;
                    if is_new {
                        let at = node.true_time(wake_at);
                        self.post(at, Message::Wake(index, incarnation));
                    }
                    break;
                }
                output @ (Output::Get { .. } | Output::Create { .. } | Output::Update { .. }) => {
                    let is_cut = node.cut_until > now;
                    if let Some(delay) = self.election.delay(self.is_calm).filter(|_| !is_cut) {
                        self.post(now + delay, Message::Arrive(index, incarnation, output));
                    }
                }
                Output::BecameLeader { fencing, .. } => self.begin_term(index, fencing),
                Output::StoppedLeading { reason } => {
                    self.trace
                        .line(now, format_args!("c{index} leads no more: {reason}"));
                }
                Output::LeaderChanged(_) => {}
                Output::Released { clean } => {
                    node.has_stopped = true;
                    if !clean {
                        self.check_release(index, local);
                    }
                }
            }
        }
        self.election.nodes[index].elector.check_invariants();
    }

    /// E2.
    fn begin_term(&mut self, index: usize, fencing: u32) {
        let now = self.now;
        self.tally.terms += 1;
        self.trace
            .line(now, format_args!("c{index} leads, token {fencing}"));
        let own = self.election.nodes[index].incarnation;
        if let Some((token, node, incarnation)) = self.election.last_term
            && self.restores == 0
        {
            let is_same = (index, own) == (node, incarnation);
            if fencing < token || (fencing == token && !is_same) {
                let what = format!("the token {fencing} follows {token} of c{node}");
                self.violate("INV-S16", &format!("c{index}"), what);
            }
        }
        self.election.last_term = Some((fencing, index, own));
    }

    /// E3.
    fn check_release(&mut self, index: usize, local: Instant) {
        let since = self.election.nodes[index].stepped_back_at;
        if local < since + Config::default().renew_deadline {
            let what = "it stepped back without having tried to give the Lease back".to_owned();
            self.violate("ctl-L11", &format!("c{index}"), what);
        }
    }

    /// E1.
    fn check_leaders(&mut self) {
        let now = self.now;
        let config = Config::default();
        // A candidate that stood still meanwhile may know a version that both histories have, and
        // its write is taken.
        let term = config.renew_deadline + CLOCK_MARGIN + STILL_MAX;
        let is_over = |at: Instant| at + term < now;
        if !self.restored_at.is_none_or(is_over) {
            return;
        }
        let nodes = self.election.nodes.iter().enumerate();
        let leading = nodes.filter(|(_, node)| node.leads(now));
        let leading: Vec<usize> = leading.map(|(index, _)| index).collect();
        if leading.len() > 1 {
            self.violate("INV-S16", "lease", format!("{leading:?} lead"));
        }
    }

    fn serve_candidate(&mut self, index: usize, incarnation: u32, request: Output) {
        let (id, is_get) = match &request {
            Output::Get { id } => (*id, true),
            Output::Create { id, .. } | Output::Update { id, .. } => (*id, false),
            _ => return,
        };
        let is_refused = !self.is_calm && self.election.rng.u8(..20) == 0;
        let input = if is_get {
            let outcome = match self.cluster.lease() {
                _ if is_refused => GetOutcome::Failed { retry_after: None },
                None => GetOutcome::NotFound,
                Some(lease) => GetOutcome::Found(seen(&lease)),
            };
            Input::GetAnswered { id, outcome }
        } else if is_refused {
            let outcome = WriteOutcome::Refused { retry_after: None };
            Input::WriteAnswered { id, outcome }
        } else {
            let mut outcome = match &request {
                Output::Create { record, .. } => self.cluster.write_lease(record, None),
                Output::Update {
                    record, version, ..
                } => self.cluster.write_lease(record, Some(version)),
                _ => return,
            };
            self.after_write();
            self.show_lease();
            if !self.is_calm && self.election.rng.u8(..20) == 0 {
                outcome = WriteOutcome::Unknown;
            }
            Input::WriteAnswered { id, outcome }
        };
        let is_cut = self.election.nodes[index].cut_until > self.now;
        if let Some(delay) = self.election.delay(self.is_calm).filter(|_| !is_cut) {
            let answer = Message::Answer(index, incarnation, input);
            self.post(self.now + delay, answer);
        }
    }

    /// The candidates' watches show the Lease, in order.
    fn show_lease(&mut self) {
        let input = match self.cluster.lease() {
            Some(lease) => Input::Observed(seen(&lease)),
            None => {
                let rv = self.cluster.etcd.resource_version();
                Input::ObservedAbsent(ResourceVersion::from_revision(rv))
            }
        };
        for index in 0..self.election.nodes.len() {
            let delay = self.election.delay(self.is_calm);
            let node = &mut self.election.nodes[index];
            let (Some(delay), false) = (delay, node.cut_until > self.now) else {
                continue;
            };
            let at = node.watch_at.max(self.now + delay);
            node.watch_at = at;
            let answer = Message::Answer(index, node.incarnation, input.clone());
            self.post(at, answer);
        }
    }

    pub(crate) fn disturb_election(&mut self, op: &Op) {
        let (candidate, millis) = match *op {
            Op::Pause { candidate, millis } | Op::CutOff { candidate, millis } => {
                (candidate, millis)
            }
            Op::Fall { candidate } | Op::StepBack { candidate } => (candidate, 0),
            _ => return,
        };
        let index = usize::from(candidate);
        let until = self.now + Duration::from_millis(u64::from(millis));
        let now = self.now;
        let Some(node) = self.election.nodes.get_mut(index) else {
            return;
        };
        match op {
            Op::Pause { .. } => node.paused_until = node.paused_until.max(until),
            Op::CutOff { .. } => node.cut_until = node.cut_until.max(until),
            Op::StepBack { .. } if node.paused_until <= now && !node.has_stopped => {
                if node.stepped_back_at == Instant::ZERO {
                    node.stepped_back_at = node.local(now);
                }
                self.tell_candidate(index, Input::Stop);
            }
            Op::Fall { .. } => self.restart_candidate(index),
            _ => {}
        }
        self.check_leaders();
    }

    fn restart_candidate(&mut self, index: usize) {
        let incarnation = self.election.nodes[index].incarnation + 1;
        if let Some(node) = self.election.node(index, incarnation) {
            self.election.nodes[index] = node;
            self.tell_candidate(index, Input::Start);
        }
    }

    pub(crate) fn calm_election(&mut self) {
        for index in 0..self.election.nodes.len() {
            let now = self.now;
            let node = &mut self.election.nodes[index];
            node.cut_until = now;
            // Who is about to step back would be gone for good.
            if node.has_stopped || node.stepped_back_at != Instant::ZERO {
                self.restart_candidate(index);
            }
        }
    }

    /// Whether somebody leads, if there is anybody who could.
    pub(crate) fn has_leader(&self) -> bool {
        let nodes = &self.election.nodes;
        nodes.is_empty() || nodes.iter().any(|node| node.leads(self.now))
    }
}

/// The Lease as an object.
pub(crate) fn document(record: &Record, version: Option<&ResourceVersion>) -> Value {
    let time = |wall: Option<Wall>| wall.map(|wall| wall.0.to_string());
    let mut document = json!({
        "metadata": { "name": "leader" },
        "spec": {
            "holderIdentity": record.holder,
            "leaseDurationSeconds": record.duration_seconds,
            "leaseTransitions": record.transitions,
            "acquireTime": time(record.acquire_time),
            "renewTime": time(record.renew_time),
        }
    });
    if let Some(version) = version {
        document["metadata"]["resourceVersion"] = version.to_string().into();
    }
    document
}

fn seen(lease: &Stored) -> Seen {
    let document = lease.document();
    let spec = &document["spec"];
    let number = |field: &str| spec[field].as_i64();
    let time = |field: &str| spec[field].as_str().and_then(|text| text.parse().ok());
    let to_small = |number: i64| i32::try_from(number).ok();
    Seen {
        record: Record {
            holder: spec["holderIdentity"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            duration_seconds: number("leaseDurationSeconds").and_then(to_small),
            acquire_time: time("acquireTime").map(Wall),
            renew_time: time("renewTime").map(Wall),
            transitions: number("leaseTransitions")
                .and_then(|number| u32::try_from(number).ok())
                .unwrap_or(0),
        },
        version: ResourceVersion::from_revision(lease.resource_version()),
    }
}

/// What the slowest clock adds to a term.
/// The longest that a candidate stands still.
const STILL_MAX: Duration = Duration::from_secs(30);
const CLOCK_MARGIN: Duration = Duration::from_millis(250);
const SECOND: u64 = 1_000_000_000;
