//! The workqueue's core: additions, deduplication, delays, with time handed in.
//!
//! Every bench asserts what it did. The floor is a set and a queue of the standard library that do
//! the same for one worker without delays: what deduplication costs without tickets and counters.
//!
//! Source of the targets: client-go 0.36 takes 149-162 ns for add, get and done, 44 ns for an addition
//! of a key that is dirty, 445 ns for a delayed addition; `benches/peers/run --scenarios workqueue`
//! measures it beside the same work here, and the queue that threads share (`peers/tidings/workqueue.rs`).

use std::{
    collections::{HashSet, VecDeque},
    hint::black_box,
    sync::Arc,
    time::Duration,
};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tidings::Instant;
use tidings_engine::workqueue::{Next, Priority, WorkQueue, WorkQueueConfig};

type Key = Arc<str>;

fn keys(len: usize) -> Vec<Key> {
    (0..len)
        .map(|at| format!("namespace-{}/object-{at:06}", at % 16).into())
        .collect()
}

/// A clock that moves by a microsecond at each reading, as handing in time costs nothing.
struct Clock(u64);

impl Clock {
    const fn now(&mut self) -> Instant {
        self.0 += 1000;
        Instant::from_nanos(self.0)
    }
}

fn turn(queue: &mut WorkQueue<Key>, clock: &mut Clock, key: &Key) {
    queue.add(clock.now(), key);
    let Next::Key(taken) = queue.get(clock.now()) else {
        panic!("the queue is not empty");
    };
    queue.done(clock.now(), taken.ticket);
}

fn add_get_done(c: &mut Criterion) {
    let mut group = c.benchmark_group("workqueue/add_get_done");
    group.throughput(Throughput::Elements(1));
    for (name, waiting) in [("1024", 0), ("1024/100k_waiting", 100_000)] {
        let keys = keys(1024 + waiting);
        let mut queue = WorkQueue::new(WorkQueueConfig::default());
        let mut clock = Clock(0);
        for key in &keys[..waiting] {
            queue.add(clock.now(), key);
        }
        // Each key that is added was taken 1024 turns before.
        let mut turns = keys.iter().cycle().skip(waiting);
        group.bench_function(name, |b| {
            b.iter(|| {
                turn(
                    &mut queue,
                    &mut clock,
                    turns.next().expect("a cycle has no end"),
                );
            });
        });
        assert_eq!(queue.len(), waiting);
        assert!(queue.stats(clock.now()).taken > 0);
    }
    let keys = keys(1024);
    let mut turns = keys.iter().cycle();
    let (mut set, mut queue) = (HashSet::<Key>::new(), VecDeque::<Key>::new());
    group.bench_function("floor/1024", |b| {
        b.iter(|| {
            let key = turns.next().expect("a cycle has no end");
            if set.insert(Arc::clone(key)) {
                queue.push_back(Arc::clone(key));
            }
            let key = queue.pop_front().expect("it is not empty");
            set.remove(&key);
            black_box(key);
        });
    });
    group.finish();
}

fn tenants(c: &mut Criterion) {
    let keys = keys(1024);
    let mut queue = WorkQueue::new(WorkQueueConfig {
        tenant: Some(Box::new(|key: &Key| {
            key.split_once('/').map_or("", |(namespace, _)| namespace)
        })),
        ..WorkQueueConfig::default()
    });
    let mut clock = Clock(0);
    for (at, key) in keys.iter().enumerate().take(512) {
        let priority = [Priority::High, Priority::Normal, Priority::Low][at % 3];
        queue.add_with(clock.now(), key, priority);
    }
    let mut turns = keys.iter().cycle();
    c.bench_function("workqueue/add_get_done/1024/16_tenants_3_levels", |b| {
        b.iter(|| {
            turn(
                &mut queue,
                &mut clock,
                turns.next().expect("a cycle has no end"),
            )
        });
    });
    assert!(queue.stats(clock.now()).tenants <= 16);
}

fn add_dirty(c: &mut Criterion) {
    let keys = keys(1024);
    let mut queue = WorkQueue::new(WorkQueueConfig::default());
    let mut clock = Clock(0);
    for key in &keys {
        queue.add(clock.now(), key);
    }
    let mut turns = keys.iter().cycle();
    c.bench_function("workqueue/add_dirty/1024", |b| {
        b.iter(|| queue.add(clock.now(), turns.next().expect("a cycle has no end")));
    });
    assert_eq!(queue.len(), 1024);
    assert!(queue.stats(clock.now()).deduplicated > 0);
}

/// How many keys wait for their time.
const PENDING: usize = 100_000;

fn all_delayed(keys: &[Key], delays: &[Duration]) -> WorkQueue<Key> {
    let mut queue = WorkQueue::new(WorkQueueConfig::default());
    for (key, delay) in keys.iter().zip(delays) {
        queue.add_after(Instant::ZERO, key, *delay);
    }
    assert_eq!(queue.stats(Instant::ZERO).delayed, PENDING);
    queue
}

fn add_after(c: &mut Criterion) {
    let mut group = c.benchmark_group("workqueue/add_after");
    let (keys, delays) = (keys(PENDING), delays(PENDING));
    // Each key's delay is taken back and given anew: as many wait before as after.
    let mut queue = all_delayed(&keys, &delays);
    let mut turns = keys.iter().zip(delays.iter().rev()).cycle();
    group.bench_function("cancel_and_add/100k", |b| {
        b.iter(|| {
            let (key, delay) = turns.next().expect("a cycle has no end");
            queue.cancel_delayed(key);
            queue.add_after(Instant::ZERO, key, *delay)
        });
    });
    assert_eq!(queue.stats(Instant::ZERO).delayed, PENDING);
    // Additions alone, to a queue that holds 100 000 already.
    let fresh = keys_from(PENDING, 20_000);
    group.throughput(Throughput::Elements(fresh.len() as u64));
    group.sample_size(10);
    group.bench_function("new/100k", |b| {
        b.iter_batched_ref(
            || all_delayed(&keys, &delays),
            |queue| {
                for (key, delay) in fresh.iter().zip(&delays) {
                    queue.add_after(Instant::ZERO, key, *delay);
                }
                assert_eq!(queue.stats(Instant::ZERO).delayed, PENDING + fresh.len());
            },
            BatchSize::PerIteration,
        );
    });
    // The whole life of a delay: it is due, is worked on, and waits again; 100 000 wait.
    let mut queue = all_delayed(&keys, &delays);
    let mut now = Instant::ZERO;
    let mut again = delays.iter().cycle();
    group.throughput(Throughput::Elements(1));
    group.bench_function("due_get_done_again/100k", |b| {
        b.iter(|| {
            loop {
                match queue.get(now) {
                    Next::Key(taken) => {
                        queue.done(now, taken.ticket);
                        let delay = again.next().expect("a cycle has no end");
                        queue.add_after(now, &taken.key, *delay);
                        break;
                    }
                    Next::Empty { wake_at } => now = wake_at.expect("100 000 wait"),
                    Next::ShutDown => unreachable!("nobody shuts it down"),
                }
            }
        });
    });
    group.finish();
}

fn keys_from(first: usize, len: usize) -> Vec<Key> {
    keys(first + len).split_off(first)
}

/// Delays up to a minute, in no order.
fn delays(len: usize) -> Vec<Duration> {
    let mut state = 7_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Duration::from_micros((state >> 20) % 60_000_000 + 1)
    };
    (0..len).map(|_| next()).collect()
}

criterion_group!(benches, add_get_done, tenants, add_dirty, add_after);
criterion_main!(benches);
