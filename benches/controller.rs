//! The reconcile loop: how many reconciles that do nothing four workers do, and what a key costs that
//! waits.
//!
//! Keys come by `trigger`, as from changes, but without an informer in the way. Each bench asserts that
//! every key was reconciled.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidings::{
    ObjectKey, Priority,
    controller::{Action, Controller, ControllerHandle, Request},
};
use tokio::sync::Notify;

/// Keys that are made due together.
const KEYS: usize = 100_000;
const WORKERS: usize = 4;

struct Bench {
    runtime: tokio::runtime::Runtime,
    handle: ControllerHandle,
    keys: Vec<ObjectKey>,
    done: Arc<AtomicUsize>,
    all: Arc<Notify>,
}

impl Bench {
    /// A controller on a runtime of so many threads.
    fn start(threads: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()
            .expect("a runtime");
        let (done, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (count, told) = (Arc::clone(&done), Arc::clone(&all));
        let controller = Controller::builder("bench").workers(WORKERS);
        let controller = controller.build(move |_: Request| {
            if count.fetch_add(1, Relaxed) + 1 == KEYS {
                told.notify_one();
            }
            std::future::ready(Ok(Action::Done))
        });
        let handle = controller.handle();
        runtime.spawn(controller.run(std::future::pending()));
        let key = |at| ObjectKey::parse(&format!("default/object-{at:06}")).expect("a key");
        Self {
            runtime,
            handle,
            keys: (0..KEYS).map(key).collect(),
            done,
            all,
        }
    }

    /// Makes all keys due and waits until all are reconciled.
    fn round(&self) {
        self.done.store(0, Relaxed);
        for key in &self.keys {
            self.handle.trigger(key, Priority::Normal);
        }
        self.runtime.block_on(self.all.notified());
        assert_eq!(self.done.load(Relaxed), KEYS);
    }

    /// Waits until the workers have given back what they took: the last reconcile tells of itself
    /// before it has ended, and its worker may still be counting it.
    fn settle(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.handle.queue_stats().tracked > 0 {
            assert!(Instant::now() < deadline, "a worker keeps its key");
            std::thread::yield_now();
        }
    }
}

fn reconcile(c: &mut Criterion) {
    let mut group = c.benchmark_group("controller/reconcile_noop/100k/4_workers");
    group.throughput(Throughput::Elements(KEYS as u64));
    group.sample_size(10);
    for threads in [1, 2] {
        let bench = Bench::start(threads);
        group.bench_function(format!("{threads}_threads"), |b| {
            b.iter_custom(|rounds| {
                let mut took = Duration::ZERO;
                for _ in 0..rounds {
                    let started = Instant::now();
                    bench.round();
                    took += started.elapsed();
                }
                took
            });
        });
        bench.settle();
        let stats = bench.handle.stats();
        assert_eq!(stats.done % KEYS as u64, 0, "each key once a round");
        assert_eq!(
            bench.handle.queue_stats().tracked,
            0,
            "nothing is kept of them"
        );
    }
    group.finish();
}

criterion_group!(benches, reconcile);
criterion_main!(benches);
