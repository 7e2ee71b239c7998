//! From a seed to a case: which faults there are at all, how extreme the knobs are, and what happens when.
//!
//! Does not see the world: a case is drawn whole before it is run, so that an op may find nothing to do.
//!
//! Source: swarm testing (Groce et al., 2012); pr 3.5 A3, A4.

use std::time::Duration;

use fastrand::Rng;
use tidings_api::Instant;
use tidings_engine::{delta_fifo::Order, reflector::ListMode};

use crate::{
    fault::{CLASSES, Fault},
    knobs::{InformerKnobs, Knobs},
    ops::{Case, Content, Kind, Op, Slot, Timed, WatchLists},
};

/// The case of a seed.
#[must_use]
pub fn case(seed: u64) -> Case {
    let mut rng = Rng::with_seed(seed);
    let mut swarm = Swarm::draw(&mut rng);
    let mut knobs = knobs(&mut rng, seed);
    swarm.crowd(&mut rng, &mut knobs);
    let longest = [60, 200, 500][rng.usize(..3)];
    let length = rng.usize(20..longest);
    let mut ops = Vec::with_capacity(length);
    let mut at = Instant::ZERO + Duration::from_millis(rng.u64(..50));
    while ops.len() < length {
        at = at + pause(&mut rng, swarm.pace);
        let op = swarm.op(&mut rng, &knobs);
        ops.push(Timed { at, op });
    }
    Case { knobs, ops }
}

/// One world that lasts for so many hours, with each fault in its time: every quarter of an hour has
/// some of them.
#[must_use]
pub fn long_case(seed: u64, hours: u32) -> Case {
    let mut rng = Rng::with_seed(seed);
    let mut knobs = knobs(&mut rng, seed);
    knobs.replicas = 3;
    knobs.workers = 3;
    knobs.candidates = 2;
    knobs.informers = (0..3).map(|_| informer(&mut rng)).collect();
    let mut ops = Vec::new();
    let mut at = Instant::ZERO;
    for quarter in 1..=u64::from(hours) * 4 {
        let end = Instant::ZERO + Duration::from_secs(900 * quarter);
        let swarm = Swarm::draw(&mut rng);
        while at < end {
            ops.push(Timed {
                at,
                op: swarm.op(&mut rng, &knobs),
            });
            at = at + pause(&mut rng, swarm.pace.max(1));
        }
    }
    Case { knobs, ops }
}

/// What a seed has of everything that there is.
struct Swarm {
    faults: Vec<usize>,
    /// Which ops beside writes and faults.
    others: Vec<u8>,
    /// How often in ten an op is a write, and a fault.
    writes: u8,
    faulty: u8,
    namespaces: u8,
    names: u8,
    poison: bool,
    finalizers: bool,
    /// Mostly short, mostly long, or mixed pauses.
    pace: u8,
    /// Most milliseconds that an informer is held up.
    held: u32,
}

// === impl Swarm ===

impl Swarm {
    fn draw(rng: &mut Rng) -> Self {
        // A class of which there is always some, and others by chance.
        let chance = rng.u8(1..10);
        let mut faults: Vec<usize> = (0..CLASSES.len())
            .filter(|_| rng.u8(..10) < chance)
            .collect();
        faults.push(rng.usize(..CLASSES.len()));
        let chance = rng.u8(..10);
        let mut others: Vec<u8> = (0..OTHERS).filter(|_| rng.u8(..10) < chance).collect();
        others.push(rng.u8(..OTHERS));
        Self {
            faults,
            others,
            writes: rng.u8(2..8),
            faulty: rng.u8(..5),
            namespaces: rng.u8(1..4),
            names: rng.u8(1..8),
            poison: rng.u8(..4) == 0,
            finalizers: rng.u8(..3) == 0,
            pace: rng.u8(..3),
            held: 20_000,
        }
    }

    /// Some worlds are about what is rare elsewhere: handlers that come and go while things are queued
    /// for them, lists that follow on events which still wait, and histories that are alike.
    fn crowd(&mut self, rng: &mut Rng, knobs: &mut Knobs) {
        let crowd = rng.u8(..8);
        if crowd == 0 {
            self.others = vec![
                ADD_HANDLER,
                ADD_HANDLER,
                REMOVE_HANDLER,
                REMOVE_HANDLER,
                8,
                HOLD,
            ];
            for informer in &mut knobs.informers {
                informer.budget = [1, 7][rng.usize(..2)];
                informer.slow = [1000, 100_000][rng.usize(..2)];
                informer.depth = 8192;
            }
            // More changes than objects: a late handler is level before the queue is empty.
            self.namespaces = 1;
            self.names = self.names.min(3);
        }
        if crowd == 1 {
            self.others = vec![HOLD, HOLD, COMPACT];
            self.faults = ["reset", "error-event", "eof"].map(class_of).to_vec();
            self.held = 200_000;
            for informer in &mut knobs.informers {
                informer.list =
                    [ListMode::Auto, ListMode::WatchList, ListMode::Paged][rng.usize(..3)];
                informer.order = Order::PerKey;
                informer.depth = 8192;
            }
        }
        if crowd == 2 {
            // Two histories that write the same few objects at the same versions (pr D5).
            self.others = vec![RESTORE];
            self.namespaces = 1;
            self.names = self.names.min(2);
            for informer in &mut knobs.informers {
                informer.kind = Kind::Pod;
                informer.app = None;
            }
        }
        if crowd < 3 {
            self.writes = rng.u8(5..8);
            self.faulty = 2;
            self.pace = [0, 2][rng.usize(..2)];
        }
    }

    fn op(&self, rng: &mut Rng, knobs: &Knobs) -> Op {
        let choice = rng.u8(..12);
        if choice < self.writes {
            return self.write(rng);
        }
        let informers = u8::try_from(knobs.informers.len()).unwrap_or(1);
        if choice < self.writes + self.faulty {
            let class = self.faults[rng.usize(..self.faults.len())];
            return Op::Fault {
                informer: rng.u8(..informers),
                fault: fault(rng, class),
                late: rng.bool(),
            };
        }
        let other = self.others[rng.usize(..self.others.len())];
        self.other(rng, other, informers, knobs)
    }

    fn slot(&self, rng: &mut Rng) -> Slot {
        let kind = match rng.u8(..6) {
            0..4 => Kind::Pod,
            4 => Kind::ConfigMap,
            _ => Kind::Widget,
        };
        Slot {
            kind,
            namespace: rng.u8(..self.namespaces),
            name: rng.u8(..self.names),
        }
    }

    fn content(&self, rng: &mut Rng) -> Content {
        Content {
            app: rng.u8(..3),
            node: rng.u8(..2),
            poison: self.poison && rng.u8(..5) == 0,
            finalizer: self.finalizers && rng.u8(..3) == 0,
        }
    }

    fn write(&self, rng: &mut Rng) -> Op {
        let slot = self.slot(rng);
        match rng.u8(..8) {
            0 | 1 => Op::Delete(slot),
            2 if self.finalizers => Op::Finalize(slot),
            3 => Op::Recreate(slot, self.content(rng)),
            _ => Op::Put(slot, self.content(rng)),
        }
    }

    fn other(&self, rng: &mut Rng, other: u8, informers: u8, knobs: &Knobs) -> Op {
        let informer = rng.u8(..informers);
        let replica = rng.u8(..knobs.replicas);
        let candidate = rng.u8(..knobs.candidates.max(1));
        match other {
            COMPACT => Op::Compact,
            RESTORE if rng.bool() => Op::Checkpoint,
            RESTORE => Op::Restore {
                writes: [0, 0, 1, 3, 20][rng.usize(..5)],
            },
            2 if rng.bool() => Op::CrdDelete,
            2 => Op::CrdCreate,
            3 => Op::Lag {
                replica,
                millis: [0, 10, 500, 5000, 60_000][rng.usize(..5)],
            },
            4 => Op::Stick {
                replica,
                millis: rng.u32(..60_000),
            },
            5 => Op::WatchLists {
                replica,
                mode: [
                    WatchLists::On,
                    WatchLists::Refused,
                    WatchLists::Ignored,
                    WatchLists::Endless,
                ][rng.usize(..4)],
            },
            ADD_HANDLER => Op::AddHandler {
                informer,
                panics: [0, 0, 2, 5][rng.usize(..4)],
                resync: [0, 0, 5, 60][rng.usize(..4)],
            },
            REMOVE_HANDLER => Op::RemoveHandler {
                informer,
                drain: rng.bool(),
            },
            8 => Op::Resync { informer },
            HOLD => Op::Hold {
                informer,
                millis: rng.u32(..self.held),
            },
            10 => Op::Jump {
                informer,
                seconds: [1, 30, 200, 3600][rng.usize(..4)],
            },
            11 => Op::Crash { informer },
            12 => Op::Pause {
                candidate,
                millis: rng.u32(..30_000),
            },
            13 => Op::Fall { candidate },
            14 => Op::StepBack { candidate },
            15 => Op::CutOff {
                candidate,
                millis: rng.u32(..40_000),
            },
            _ => self.write(rng),
        }
    }
}

/// Kinds of ops beside writes and faults.
const OTHERS: u8 = 16;
const COMPACT: u8 = 0;
const RESTORE: u8 = 1;
const ADD_HANDLER: u8 = 6;
const REMOVE_HANDLER: u8 = 7;
const HOLD: u8 = 9;

fn pause(rng: &mut Rng, pace: u8) -> Duration {
    let millis = match (pace, rng.u8(..10)) {
        (0, 0..9) | (2, 0..6) => rng.u64(..20),
        (1, 0) => rng.u64(..300_000),
        (_, 9) => rng.u64(..30_000),
        _ => rng.u64(..2000),
    };
    Duration::from_millis(millis)
}

/// The number of a class.
fn class_of(name: &str) -> usize {
    let found = CLASSES.iter().position(|class| *class == name);
    found.unwrap_or_default()
}

fn fault(rng: &mut Rng, class: usize) -> Fault {
    let millis = [1, 100, 3000, 40_000][rng.usize(..4)];
    match CLASSES[class] {
        "refuse" => Fault::Refuse {
            code: CODES[rng.usize(..CODES.len())],
            after: AFTER[rng.usize(..AFTER.len())],
            plain: rng.u8(..4) == 0,
        },
        // Longer than a version of the future is asked for, too.
        "too-large" => Fault::TooLarge {
            millis: [0, 0, millis * 2][rng.usize(..3)],
        },
        "overload" => Fault::Overload {
            code: [429, 503][rng.usize(..2)],
            after: AFTER[rng.usize(..AFTER.len())],
            millis,
        },
        "html" => Fault::Html,
        "no-answer" => Fault::NoAnswer,
        "no-connect" => Fault::NoConnect,
        "loop-pages" => Fault::LoopPages,
        "expire-tokens" => Fault::ExpireTokens,
        // Long enough for a backoff to show that it grows.
        "close-at-once" => Fault::CloseAtOnce {
            millis: millis * 15,
        },
        "error-event" => Fault::ErrorEvent {
            code: [410, 410, 500, 503, 504, 429, 401, 403][rng.usize(..8)],
        },
        "eof" => Fault::Eof,
        "reset" => Fault::Reset,
        "lose-tail" => Fault::LoseTail,
        "truncate" => Fault::Truncate { clean: rng.bool() },
        "half-open" => Fault::HalfOpen,
        "stall" => Fault::Stall { millis },
        "drip" => Fault::Drip {
            millis: [1, 200, 20_000][rng.usize(..3)],
        },
        "twice" => Fault::Twice,
        "garbage" => Fault::Garbage,
        "wrong-kind" => Fault::WrongKind,
        "unknown-type" => Fault::UnknownType,
        "nameless" => Fault::Nameless,
        "no-version" => Fault::NoVersion,
        "bad-bookmark" => Fault::BadBookmark,
        _ => Fault::LowBookmark,
    }
}

/// `Retry-After`, from none over none at all to two months.
const AFTER: [Option<u32>; 7] = [
    None,
    None,
    Some(0),
    Some(0),
    Some(1),
    Some(7),
    Some(4_000_000),
];

/// Codes of the decision table, and some that it does not name.
const CODES: [u16; 16] = [
    301, 400, 401, 403, 404, 405, 406, 410, 415, 422, 429, 500, 502, 503, 504, 507,
];

fn knobs(rng: &mut Rng, seed: u64) -> Knobs {
    let informers = (0..rng.usize(1..4)).map(|_| informer(rng)).collect();
    Knobs {
        seed,
        replicas: rng.u8(1..4),
        ring: [2, 10, 1000, 1000][rng.usize(..4)],
        chunk: [0, 0, 1, 13, 100_000][rng.usize(..5)],
        latency: [0, 2, 50, 1000][rng.usize(..4)],
        bookmarks: [0, 5, 60, 60, 600][rng.usize(..5)],
        gzip: rng.u8(..4) == 0,
        mute: rng.u8(..6) == 0,
        hash_bits: [2, 64, 64][rng.usize(..3)],
        informers,
        workers: rng.u8(..4),
        failures: rng.u8(..4) * 2,
        candidates: if rng.u8(..4) == 0 { 2 } else { 0 },
    }
}

fn informer(rng: &mut Rng) -> InformerKnobs {
    let kind = match rng.u8(..6) {
        0..4 => Kind::Pod,
        4 => Kind::ConfigMap,
        _ => Kind::Widget,
    };
    let some = |rng: &mut Rng, bound: u8| (rng.u8(..4) == 0).then(|| rng.u8(..bound));
    InformerKnobs {
        kind,
        namespace: some(rng, 2),
        app: some(rng, 3),
        node: some(rng, 2).filter(|_| kind == Kind::Pod),
        list: [
            ListMode::Auto,
            ListMode::Paged,
            ListMode::WatchList,
            ListMode::Whole,
        ][rng.usize(..4)],
        order: if rng.bool() {
            Order::Arrival
        } else {
            Order::PerKey
        },
        page: [1, 2, 500][rng.usize(..3)],
        batch: [1, 3, 1000][rng.usize(..3)],
        depth: [1, 4, 8192][rng.usize(..3)],
        budget: [1, 7, 1024][rng.usize(..3)],
        any: rng.u8(..6) == 0,
        slow: [0, 0, 0, 100, 1_000_000][rng.usize(..5)],
    }
}
