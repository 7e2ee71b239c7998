//! The workqueue under the loads that the peers measure: nanoseconds and allocations an operation.
//!
//! Prints one JSON object. `core` is the engine's queue, with time handed in; `skin` the one that
//! threads share, with its lock, clock and counters; `floor` a set and a queue of the standard
//! library that deduplicate for one worker, without delays. Every figure is the median of `ROUNDS`
//! rounds, and with `least` the shortest: that one nobody interrupted. Allocations are counted over
//! all rounds, and those of `core` are asserted to be none.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::{
    alloc::System,
    cell::RefCell,
    collections::{HashSet, VecDeque},
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant as Clock},
};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tidings::{Instant, WorkQueue as Skin};
use tidings_engine::workqueue::{Next, Priority, WorkQueue, WorkQueueConfig};
use tokio::runtime::{Builder, EnterGuard};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Key = Arc<str>;

const KEYS: usize = 1024;
const WAITING: usize = 100_000;
const MANY: usize = 1_000_000;
const ROUNDS: usize = 51;
/// Operations of a round: shorter than a time slice.
const TURNS: usize = 20_000;
/// Rounds of the crowds, which are longer.
const CROWDS: usize = 15;
const WORKERS: usize = 4;

fn main() -> Result<()> {
    let figures = match std::env::args().nth(1).as_deref() {
        Some("core") => core(),
        Some("floor") => floor(),
        Some("skin") => skin(),
        other => bail!("one of core, floor and skin, not {other:?}"),
    };
    println!("{}", json!({ "workqueue": figures }));
    Ok(())
}

fn keys(from: usize, len: usize) -> Vec<Key> {
    (from..from + len)
        .map(|at| format!("namespace-{}/object-{at:07}", at % 16).into())
        .collect()
}

/// Nanoseconds of an operation in each round, and the allocations of one.
struct Measured {
    times: Vec<f64>,
    allocations: f64,
}

fn measure(rounds: usize, operations: usize, mut round: impl FnMut()) -> Measured {
    measure_each(rounds, operations, |_| round(), |()| {})
}

/// The same with something between two rounds that is not measured.
fn measure_each<T>(
    rounds: usize,
    operations: usize,
    mut round: impl FnMut(usize) -> T,
    mut between: impl FnMut(T),
) -> Measured {
    // The first round grows what is kept.
    let first = round(0);
    between(first);
    let mut times = Vec::with_capacity(rounds);
    let mut allocations = 0;
    for number in 1..=rounds {
        let region = Region::new(GLOBAL);
        let began = Clock::now();
        let made = round(number);
        times.push(nanos(began.elapsed()) / float(operations));
        let change = region.change();
        allocations += change.allocations + change.reallocations;
        between(made);
    }
    times.sort_by(f64::total_cmp);
    Measured {
        times,
        allocations: float(allocations) / float(operations * rounds),
    }
}

impl Measured {
    fn figure(&self) -> Value {
        json!({
            "ns": self.times[self.times.len() / 2], "least": self.times[0],
            "allocations": self.allocations,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
const fn float(count: usize) -> f64 {
    count as f64
}

const fn nanos(took: Duration) -> f64 {
    took.as_secs_f64() * 1e9
}

/// A clock that moves by a microsecond at each reading.
struct Ticks(u64);

impl Ticks {
    const fn now(&mut self) -> Instant {
        self.0 += 1000;
        Instant::from_nanos(self.0)
    }
}

// --- the engine's queue ---

fn core() -> Value {
    let (turn, waiting) = (core_turns(0), core_turns(WAITING));
    let (few, mut ticks) = (keys(0, KEYS), Ticks(0));
    let mut queue = WorkQueue::new(WorkQueueConfig::default());
    let dirty = measure(ROUNDS, TURNS, || {
        for key in few.iter().cycle().take(TURNS) {
            queue.add(ticks.now(), key);
        }
    });
    assert_eq!(queue.len(), KEYS);
    let (delayed, fresh) = (keys(0, WAITING), keys(WAITING, TURNS));
    let queue = RefCell::new(WorkQueue::new(WorkQueueConfig::default()));
    let add_all = |keys: &[Key]| {
        let mut queue = queue.borrow_mut();
        for (key, delay) in keys.iter().zip(delays()) {
            queue.add_after(Instant::ZERO, key, delay);
        }
    };
    add_all(&delayed);
    let take_back = |()| {
        let mut queue = queue.borrow_mut();
        assert_eq!(queue.stats(Instant::ZERO).delayed, WAITING + TURNS);
        assert!(fresh.iter().all(|key| queue.cancel_delayed(key)));
    };
    let add_after = measure_each(ROUNDS, TURNS, |_| add_all(&fresh), take_back);
    for measured in [&turn, &waiting, &dirty, &add_after] {
        assert!(measured.allocations == 0.0, "the core allocates");
    }
    let (many_ns, many_bytes) = many(|keys| {
        let mut queue = WorkQueue::new(WorkQueueConfig::default());
        for key in keys {
            queue.add(ticks.now(), key);
        }
        assert_eq!(queue.len(), MANY);
        queue
    });
    json!({
        "turn": turn.figure(), "waiting": waiting.figure(), "dirty": dirty.figure(),
        "add_after": add_after.figure(), "many_ns": many_ns, "many_bytes": many_bytes,
    })
}

/// Additions, each followed by a key that is taken and done, while so many wait.
fn core_turns(waiting: usize) -> Measured {
    let (keys, mut ticks) = (keys(0, KEYS + waiting), Ticks(0));
    let mut queue = WorkQueue::new(WorkQueueConfig::default());
    for key in &keys[..waiting] {
        queue.add(ticks.now(), key);
    }
    let mut turns = keys.iter().cycle().skip(waiting);
    let measured = measure(ROUNDS, TURNS, || {
        for key in turns.by_ref().take(TURNS) {
            queue.add(ticks.now(), key);
            let Next::Key(taken) = queue.get(ticks.now()) else {
                panic!("the queue is not empty");
            };
            queue.done(ticks.now(), taken.ticket);
        }
    });
    assert_eq!(queue.len(), waiting);
    measured
}

/// Mean nanoseconds of an addition when so many keys are queued in the end, and the bytes of each
/// beside the key itself.
fn many<Q>(fill: impl FnOnce(&[Key]) -> Q) -> (f64, f64) {
    let keys = keys(0, MANY);
    let region = Region::new(GLOBAL);
    let began = Clock::now();
    let queue = fill(&keys);
    let took = nanos(began.elapsed());
    let change = region.change();
    let bytes = change.bytes_allocated - change.bytes_deallocated;
    drop(queue);
    // The pointer is the key's; what it points to was there before.
    let beside = float(bytes) / float(MANY) - float(size_of::<Key>());
    (took / float(MANY), beside)
}

/// Delays from a minute to an hour, in no order.
fn delays() -> impl Iterator<Item = Duration> {
    let mut state = 7_u64;
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        60 * Duration::from_micros((state >> 20) % 60_000_000 + 1_000_000)
    })
}

fn floor() -> Value {
    let keys = keys(0, KEYS);
    let mut turns = keys.iter().cycle();
    let (mut set, mut queue) = (HashSet::<Key>::new(), VecDeque::<Key>::new());
    let turn = measure(ROUNDS, TURNS, || {
        for key in turns.by_ref().take(TURNS) {
            if set.insert(Arc::clone(key)) {
                queue.push_back(Arc::clone(key));
            }
            let key = queue.pop_front().expect("it is not empty");
            set.remove(&key);
            black_box(key);
        }
    });
    json!({ "turn": turn.figure() })
}

// --- the queue that threads share ---

fn skin() -> Value {
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let queue = || Skin::<Key>::new(WorkQueueConfig::default());
    let few = keys(0, KEYS);
    let shared = queue();
    let mut turns = few.iter().cycle();
    let turn = measure(ROUNDS, TURNS, || {
        for key in turns.by_ref().take(TURNS) {
            shared.add(key);
            black_box(shared.get_blocking().expect("it is not empty")).done();
        }
    });
    let task = measure(ROUNDS, TURNS, || {
        runtime.block_on(async {
            for key in turns.by_ref().take(TURNS) {
                shared.add(key);
                black_box(shared.get().await.expect("it is not empty")).done();
            }
        });
    });
    let others = keys(KEYS, WAITING);
    shared.add_all(&others, Priority::Normal);
    let mut turns = few.iter().chain(&others).cycle();
    let waiting = measure(ROUNDS, TURNS, || {
        for key in turns.by_ref().take(TURNS) {
            shared.add(key);
            black_box(shared.get_blocking().expect("it is not empty")).done();
        }
    });
    assert_eq!(shared.len(), WAITING);
    let shared = queue();
    let dirty = measure(ROUNDS, TURNS, || {
        for key in few.iter().cycle().take(TURNS) {
            shared.add(key);
        }
    });
    let crowd_keys = keys(0, WAITING);
    let crowd = measure(CROWDS, WAITING, || crowd_of_threads(&crowd_keys));
    let pool = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    let pool = pool.expect("a runtime");
    let crowd_keys: Arc<[Key]> = crowd_keys.into();
    let task_crowd = measure(CROWDS, WAITING, || {
        pool.block_on(crowd_of_tasks(&crowd_keys))
    });
    let (many_ns, many_bytes) = many(|keys| {
        let shared = queue();
        for key in keys {
            shared.add(key);
        }
        shared
    });
    let add_after = skin_add_after(&runtime.enter());
    json!({
        "turn": turn.figure(), "task_turn": task.figure(), "waiting": waiting.figure(),
        "dirty": dirty.figure(), "add_after": add_after.figure(), "crowd": crowd.figure(),
        "task_crowd": task_crowd.figure(), "many_ns": many_ns, "many_bytes": many_bytes,
    })
}

/// Takes the runtime's guard, since the queue may set a timer.
fn skin_add_after(_entered: &EnterGuard<'_>) -> Measured {
    let shared = Skin::<Key>::new(WorkQueueConfig::default());
    let (delayed, fresh) = (keys(0, WAITING), keys(WAITING, TURNS));
    let add_all = |keys: &[Key]| {
        for (key, delay) in keys.iter().zip(delays()) {
            shared.add_after(key, delay);
        }
    };
    add_all(&delayed);
    let take_back = |()| {
        assert_eq!(shared.stats().delayed, WAITING + TURNS);
        assert!(fresh.iter().all(|key| shared.cancel_delayed(key)));
    };
    measure_each(ROUNDS, TURNS, |_| add_all(&fresh), take_back)
}

/// Four threads add a quarter of the keys each, four others work on them.
fn crowd_of_threads(keys: &[Key]) {
    let queue = Skin::<Key>::new(WorkQueueConfig::default());
    let worked = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(item) = queue.get_blocking() {
                    item.done();
                    if worked.fetch_add(1, Relaxed) + 1 == keys.len() {
                        queue.shut_down();
                    }
                }
            });
        }
        for part in keys.chunks(keys.len() / WORKERS) {
            scope.spawn(|| part.iter().for_each(|key| _ = queue.add(key)));
        }
    });
    assert_eq!(worked.into_inner(), keys.len());
}

async fn crowd_of_tasks(keys: &Arc<[Key]>) {
    let queue = Skin::<Key>::new(WorkQueueConfig::default());
    let worked = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..WORKERS {
        let (queue, worked, len) = (queue.clone(), Arc::clone(&worked), keys.len());
        tasks.spawn(async move {
            while let Some(item) = queue.get().await {
                item.done();
                if worked.fetch_add(1, Relaxed) + 1 == len {
                    queue.shut_down();
                }
            }
        });
    }
    for part in 0..WORKERS {
        let (queue, keys) = (queue.clone(), Arc::clone(keys));
        tasks.spawn(async move {
            let len = keys.len() / WORKERS;
            for key in &keys[part * len..(part + 1) * len] {
                queue.add(key);
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(worked.load(Relaxed), keys.len());
}
