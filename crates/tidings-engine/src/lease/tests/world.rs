//! A small simulated world: a server with optimistic concurrency, two or three candidates, clocks that run at
//! different rates, and everything that can happen to a message.
//!
//! Each seed is one run. It prints itself when it fails; `TIDINGS_SEED=n` replays it alone, and
//! `TIDINGS_SEEDS=n` runs that many.
//!
//! W1  At no time is the term of more than one candidate valid by its own clock, paused ones included.
//! W2  A term's token is higher than that of any term of another process before it.
//! W3  Once the faults stop, somebody leads in bounded time; a release is followed by another leader within
//!     a second, a crash within the lease's duration and a retry period after the last renewal.

use std::{cmp::Reverse, collections::BTreeMap};

use tidings_api::ResourceVersion;

use super::*;

struct World {
    rng: fastrand::Rng,
    config: Config,
    now: u64,
    events: BTreeMap<Reverse<u64>, Event>,
    agenda: std::collections::BinaryHeap<Reverse<(u64, u64)>>,
    next_event: u64,
    /// The Lease, and the versions that it had.
    lease: Option<(Record, u64)>,
    version: u64,
    nodes: Vec<Node>,
    calm: bool,
    same_identity: bool,
    last_term: Option<(u32, usize, u64)>,
    tally: Tally,
}

struct Node {
    elector: LeaderElector,
    incarnation: u64,
    /// How many nanoseconds this clock counts in a true second.
    rate: u64,
    offset: u64,
    wall: i64,
    paused_until: u64,
    wake_at: Instant,
    watch_broken: bool,
    /// Events of the watch arrive in order.
    watch_at: u64,
    stopped: bool,
}

#[derive(Clone)]
enum Event {
    Answer(usize, u64, Input),
    Arrive(usize, u64, Output),
    Chaos,
    Wake(usize, u64),
}

/// What happened in all runs together: a world in which nothing happens proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    terms: u64,
    expired: u64,
    lost: u64,
    released: u64,
    crashes: u64,
    pauses: u64,
    conflicts: u64,
    steps: u64,
}

const SECOND: u64 = 1_000_000_000;
const MILLI: u64 = 1_000_000;

// === impl World ===

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let millis = Duration::from_millis;
        let (lease, renew, retry) =
            [(15, 10_000, 2000), (6, 4000, 1000), (3, 2000, 500)][rng.usize(..3)];
        let config = Config {
            lease_duration: Duration::from_secs(lease),
            renew_deadline: millis(renew),
            retry_period: millis(retry),
            ..Config::default()
        };
        let mut world = Self {
            config,
            now: 0,
            events: BTreeMap::new(),
            agenda: std::collections::BinaryHeap::new(),
            next_event: 0,
            lease: None,
            version: 1,
            nodes: Vec::new(),
            calm: false,
            same_identity: rng.u8(..8) == 0,
            last_term: None,
            tally: Tally::default(),
            rng,
        };
        for index in 0..world.rng.usize(2..4) {
            let node = world.node(index, 0);
            world.nodes.push(node);
            world.feed(index, Input::Start);
        }
        world.at(SECOND, Event::Chaos);
        world
    }

    fn node(&mut self, index: usize, incarnation: u64) -> Node {
        let name = match (self.same_identity, self.rng.bool()) {
            (true, _) => "same".to_owned(),
            // A restart may keep its name, as a pod of a StatefulSet does.
            (false, true) => format!("n{index}"),
            (false, false) => format!("n{index}_{incarnation}"),
        };
        let config = Config {
            seed: self.rng.u64(..),
            ..self.config.clone()
        };
        Node {
            elector: LeaderElector::try_new(config, &name).unwrap(),
            incarnation,
            rate: self.rng.u64(990_000_000..=1_010_000_000),
            offset: self.rng.u64(..1000 * SECOND),
            wall: self.rng.i64(..1 << 50),
            paused_until: 0,
            wake_at: Instant::FAR_FUTURE,
            watch_broken: self.rng.u8(..4) == 0,
            watch_at: 0,
            stopped: false,
        }
    }

    fn at(&mut self, time: u64, event: Event) {
        self.next_event += 1;
        self.events.insert(Reverse(self.next_event), event);
        self.agenda.push(Reverse((time, self.next_event)));
    }

    fn local(&self, index: usize) -> Instant {
        let node = &self.nodes[index];
        let ticks = u128::from(self.now) * u128::from(node.rate) / u128::from(SECOND);
        Instant::from_nanos(node.offset + u64::try_from(ticks).unwrap())
    }

    /// The true time at which a node's clock will show that.
    fn true_time(&self, index: usize, local: Instant) -> u64 {
        let node = &self.nodes[index];
        let ticks = u128::from(local.as_nanos().saturating_sub(node.offset));
        let time = ticks * u128::from(SECOND) / u128::from(node.rate);
        u64::try_from(time).unwrap().max(self.now) + 1
    }

    /// How long a message takes, if it arrives at all.
    fn delay(&mut self) -> Option<u64> {
        if self.calm {
            return Some(self.rng.u64(MILLI..50 * MILLI));
        }
        match self.rng.u8(..20) {
            0..2 => None,
            2..4 => Some(self.rng.u64(..8 * SECOND)),
            4..7 => Some(self.rng.u64(..SECOND)),
            _ => Some(self.rng.u64(..50 * MILLI)),
        }
    }

    /// Whether the event of that process is still of interest; a paused one gets it later.
    fn is_awake(&mut self, index: usize, incarnation: u64, event: Event) -> bool {
        let node = &self.nodes[index];
        if node.incarnation != incarnation || node.stopped {
            return false;
        }
        let until = node.paused_until;
        if until > self.now {
            self.at(until, event);
            return false;
        }
        true
    }

    fn step(&mut self) {
        let Reverse((time, number)) = self.agenda.pop().unwrap();
        self.now = self.now.max(time);
        self.tally.steps += 1;
        let event = self.events.remove(&Reverse(number)).unwrap();
        match event.clone() {
            Event::Answer(index, incarnation, input) => {
                if self.is_awake(index, incarnation, event) {
                    self.feed(index, input);
                }
            }
            Event::Wake(index, incarnation) => {
                if self.is_awake(index, incarnation, event) {
                    // Ticks may be early, and for a wake that is no longer wanted.
                    self.feed(index, Input::Tick);
                }
            }
            Event::Arrive(index, incarnation, request) => self.serve(index, incarnation, request),
            Event::Chaos => self.chaos(),
        }
        self.check();
    }

    fn feed(&mut self, index: usize, input: Input) {
        let now = self.local(index);
        if matches!(
            input,
            Input::WriteAnswered {
                outcome: WriteOutcome::Conflict,
                ..
            }
        ) {
            self.tally.conflicts += 1;
        }
        let node = &mut self.nodes[index];
        let wall = Wall(node.wall + i64::try_from(self.now / 1000).unwrap());
        node.elector.handle(now, wall, input);
        let incarnation = node.incarnation;
        loop {
            let output = self.nodes[index].elector.poll_output();
            match output {
                Output::Idle { wake_at } => {
                    let is_new = wake_at != self.nodes[index].wake_at;
                    self.nodes[index].wake_at = wake_at;
                    if is_new && wake_at != Instant::FAR_FUTURE {
                        let time = self.true_time(index, wake_at) + self.rng.u64(..5 * MILLI);
                        self.at(time, Event::Wake(index, incarnation));
                    }
                    break;
                }
                Output::Get { .. } | Output::Create { .. } | Output::Update { .. } => {
                    if let Some(delay) = self.delay() {
                        let arrival = Event::Arrive(index, incarnation, output);
                        self.at(self.now + delay, arrival);
                    }
                }
                Output::BecameLeader { fencing, .. } => self.begin_term(index, fencing),
                Output::StoppedLeading { reason } => match reason {
                    StopReason::Expired => self.tally.expired += 1,
                    StopReason::Stopped => {}
                    StopReason::Deleted
                    | StopReason::IdentityInUse
                    | StopReason::Lost { .. }
                    | StopReason::Vacated => self.tally.lost += 1,
                },
                Output::LeaderChanged(_) => {}
                Output::Released { .. } => {
                    self.tally.released += 1;
                    self.nodes[index].stopped = true;
                }
            }
        }
        self.nodes[index].elector.check_invariants();
    }

    /// W2.
    fn begin_term(&mut self, index: usize, fencing: u32) {
        self.tally.terms += 1;
        let own = (index, self.nodes[index].incarnation);
        if let Some((token, node, incarnation)) = self.last_term {
            let is_same = own == (node, incarnation);
            assert!(
                fencing > token || (is_same && fencing == token),
                "the token {fencing} of {own:?} follows {token} of {:?}",
                (node, incarnation)
            );
        }
        self.last_term = Some((fencing, own.0, own.1));
    }

    fn serve(&mut self, index: usize, incarnation: u64, request: Output) {
        let version = |version| ResourceVersion::from_revision(version);
        let input = match request {
            Output::Get { id } => {
                let outcome = match &self.lease {
                    _ if !self.calm && self.rng.u8(..20) == 0 => {
                        let retry_after = self.rng.bool().then(|| Duration::from_secs(1));
                        GetOutcome::Failed { retry_after }
                    }
                    None => GetOutcome::NotFound,
                    Some((record, at)) => GetOutcome::Found(Seen {
                        record: record.clone(),
                        version: version(*at),
                    }),
                };
                Input::GetAnswered { id, outcome }
            }
            Output::Create { id, record } => {
                let is_free = self.lease.is_none();
                let outcome = self.store(record, is_free);
                Input::WriteAnswered { id, outcome }
            }
            Output::Update {
                id,
                record,
                version: replaces,
            } => {
                let now = self.lease.as_ref().map(|(_, at)| version(*at));
                let outcome = self.store(record, now == Some(replaces));
                Input::WriteAnswered { id, outcome }
            }
            other => panic!("{other}"),
        };
        if let Some(delay) = self.delay() {
            let answer = Event::Answer(index, incarnation, input);
            self.at(self.now + delay, answer);
        }
    }

    fn store(&mut self, record: Record, is_allowed: bool) -> WriteOutcome {
        if !is_allowed {
            return WriteOutcome::Conflict;
        }
        if !self.calm && self.rng.u8(..20) == 0 {
            let retry_after = None;
            return WriteOutcome::Refused { retry_after };
        }
        self.version += self.rng.u64(1..4);
        self.lease = Some((record, self.version));
        for index in 0..self.nodes.len() {
            self.show(index);
        }
        if !self.calm && self.rng.u8(..20) == 0 {
            return WriteOutcome::Unknown;
        }
        let version = ResourceVersion::from_revision(self.version);
        WriteOutcome::Stored { version }
    }

    /// The watch of a node shows the present state, in order.
    fn show(&mut self, index: usize) {
        if self.nodes[index].watch_broken {
            return;
        }
        let delay = match self.rng.u8(..10) {
            0 if !self.calm => self.rng.u64(..5 * SECOND),
            _ => self.rng.u64(..50 * MILLI),
        };
        let input = match &self.lease {
            Some((record, version)) => Input::Observed(Seen {
                record: record.clone(),
                version: ResourceVersion::from_revision(*version),
            }),
            None => Input::ObservedAbsent(ResourceVersion::from_revision(self.version)),
        };
        let node = &mut self.nodes[index];
        node.watch_at = node.watch_at.max(self.now + delay) + 1;
        let (time, incarnation) = (node.watch_at, node.incarnation);
        self.at(time, Event::Answer(index, incarnation, input));
    }

    fn chaos(&mut self) {
        if self.calm {
            return;
        }
        let index = self.rng.usize(..self.nodes.len());
        // Two thirds of what happens, happens to the leader.
        let leader = (self.nodes.iter()).position(|node| node.elector.term().is_some());
        let index = leader.filter(|_| self.rng.u8(..3) > 0).unwrap_or(index);
        match self.rng.u8(..12) {
            0..3 => {
                self.tally.pauses += 1;
                let until = self.now + self.rng.u64(..30 * SECOND);
                self.nodes[index].paused_until = until;
            }
            3..5 => self.crash(index),
            5..7 if self.nodes[index].paused_until <= self.now => {
                if self.nodes[index].stopped {
                    self.crash(index);
                } else {
                    self.feed(index, Input::Stop);
                }
            }
            7..9 => {
                self.nodes[index].watch_broken ^= true;
                self.show(index);
            }
            // Somebody labels the Lease.
            9 => {
                if let Some((record, _)) = self.lease.clone() {
                    self.version += 1;
                    self.lease = Some((record, self.version));
                    for index in 0..self.nodes.len() {
                        self.show(index);
                    }
                }
            }
            _ => {}
        }
        let pause = self.rng.u64(..10 * SECOND);
        self.at(self.now + pause, Event::Chaos);
    }

    fn crash(&mut self, index: usize) {
        self.tally.crashes += 1;
        let incarnation = self.nodes[index].incarnation + 1;
        self.nodes[index] = self.node(index, incarnation);
        self.feed(index, Input::Start);
        self.show(index);
    }

    /// W1.
    fn check(&self) {
        let valid: Vec<usize> = (0..self.nodes.len())
            .filter(|index| {
                let term = self.nodes[*index].elector.term();
                term.is_some_and(|term| term.is_valid(self.local(*index)))
            })
            .collect();
        assert!(
            valid.len() < 2,
            "{valid:?} lead at {} s",
            self.now as f64 / 1e9
        );
    }

    fn leader(&self) -> Option<usize> {
        let mut all = 0..self.nodes.len();
        all.find(|index| {
            let term = self.nodes[*index].elector.term();
            term.is_some_and(|term| term.is_valid(self.local(*index)))
        })
    }

    /// Lets time pass until another than `not` leads, at most so long.
    fn until_led(&mut self, within: Duration, not: Option<usize>) -> usize {
        let end = self.now + u64::try_from(within.as_nanos()).unwrap();
        loop {
            match self.leader() {
                Some(leader) if Some(leader) != not => return leader,
                _ => {}
            }
            let Some(Reverse((time, _))) = self.agenda.peek() else {
                panic!("nothing will ever happen");
            };
            assert!(
                *time <= end,
                "nobody leads for {within:?}: {:?}",
                self.lease
            );
            self.step();
        }
    }

    fn pass(&mut self, nanos: u64) {
        let end = self.now + nanos;
        while self.agenda.peek().is_some_and(|next| next.0.0 < end) {
            self.step();
        }
        self.now = end;
    }

    /// W3.
    fn settle(&mut self) {
        self.calm = true;
        // What was paused or slow, or is about to stop, has its time.
        self.pass(40 * SECOND);
        for index in 0..self.nodes.len() {
            if self.nodes[index].stopped {
                self.crash(index);
            }
            self.nodes[index].watch_broken = false;
            self.show(index);
        }
        let lease = self.config.lease_duration;
        let slowest = lease.mul_f64(1.02) + self.config.retry_period * 5;
        let leader = self.until_led(slowest, None);
        self.feed(leader, Input::Stop);
        let next = self.until_led(Duration::from_secs(1), Some(leader));
        self.crash(leader);
        self.nodes[leader].watch_broken = false;
        self.pass(5 * SECOND);
        // The last renewal may be as fresh as now.
        self.nodes[next].stopped = true;
        let config = self.nodes[next].elector.config.clone();
        self.nodes[next].elector = LeaderElector::try_new(config, "gone").unwrap();
        self.until_led(lease.mul_f64(1.02) + self.config.retry_period, Some(next));
    }
}

fn run(seed: u64) -> Tally {
    let mut world = World::new(seed);
    let end = SECOND * world.rng.u64(30..400);
    while world.now < end {
        world.step();
    }
    world.settle();
    world.tally
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test is told by its environment what to run"
)]
fn option(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn ctl_l4_ctl_l9_ctl_l12_no_two_lead_at_one_time_and_somebody_does() {
    let (first, count) = match option("TIDINGS_SEED") {
        Some(seed) => (seed, 1),
        None => (0, option("TIDINGS_SEEDS").unwrap_or(1000)),
    };
    let mut all = Tally::default();
    for seed in first..first + count {
        let result = std::panic::catch_unwind(|| run(seed));
        let tally = result.unwrap_or_else(|panic| {
            println!("replay with TIDINGS_SEED={seed}");
            std::panic::resume_unwind(panic)
        });
        all.terms += tally.terms;
        all.expired += tally.expired;
        all.lost += tally.lost;
        all.released += tally.released;
        all.crashes += tally.crashes;
        all.pauses += tally.pauses;
        all.conflicts += tally.conflicts;
        all.steps += tally.steps;
    }
    println!("{count} seeds: {all:?}");
    assert_eq!(
        all.lost, 0,
        "a valid term is never lost to another candidate"
    );
    if count >= 500 {
        let least = [
            all.terms / 5,
            all.expired,
            all.released,
            all.crashes,
            all.pauses,
        ];
        assert!(least.iter().all(|times| *times > count), "{all:?}");
        assert!(all.conflicts > count, "{all:?}");
    }
}

/// The generator draws from its seed alone.
#[test]
fn one_seed_is_one_election() {
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}
