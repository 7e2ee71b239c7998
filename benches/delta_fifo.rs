//! The DeltaFIFO under both orders: push and pop, deltas of one key, and a relist with tombstones.
//!
//! Deltas carry objects without JSON, made outside of the measured time; batches are popped as the
//! pipeline does. The floor is std's `VecDeque` with the same deltas. What per-key order saves, or
//! costs, is in the variants: `hot100` has a hundred keys and the rest are updates of them.

use std::{collections::VecDeque, hint::black_box};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidings_api::{Instant, Object, ResourceVersion, status::Status};
use tidings_benches::tally::Tally;
use tidings_engine::{
    delta::{Delta, Replaced},
    delta_fifo::{DeltaFifo, Order},
    entry::{Entry, Value},
    indexer::{Indexer, IndexerConfig},
    pipeline::{Pipeline, PipelineConfig},
    reflector::{Call, Config, Input, ListMode, Output, Received, Reflector},
};

const SIZES: [(&str, usize); 2] = [("1k", 1_000), ("100k", 100_000)];
const ORDERS: [(&str, Order); 2] = [("arrival", Order::Arrival), ("per_key", Order::PerKey)];
/// Deltas that are popped at once, as the pipeline does.
const BATCH: usize = 1_000;

fn entry(number: usize, version: usize) -> Entry<()> {
    let (name, uid) = (format!("pod-{number:07}"), format!("uid-{number:032}"));
    let object = Object::bare("default", &name, &uid, &version.to_string());
    Entry::new(number as u64, object, Value::Decoded(()))
}

/// `count` updates of `keys` keys.
fn updates(count: usize, keys: usize) -> Vec<Delta<()>> {
    let update = |number: usize| Delta::Updated(entry(number % keys, number + 1));
    (0..count).map(update).collect()
}

fn pop_all(fifo: &mut DeltaFifo<()>, batch: &mut Vec<Delta<()>>) -> usize {
    let mut popped = 0;
    while fifo.pop_batch(BATCH, batch) > 0 {
        popped += batch.len();
        black_box(&mut *batch).clear();
    }
    popped
}

fn push_pop(c: &mut Criterion) {
    let mut group = c.benchmark_group("delta_fifo/push_pop");
    group.sample_size(20);
    for (size, count) in SIZES {
        group.throughput(Throughput::Elements(count as u64));
        for (keys, id) in [(count, size.to_owned()), (100, format!("{size}-hot100"))] {
            for (name, order) in ORDERS {
                group.bench_function(BenchmarkId::new(&id, name), |b| {
                    b.iter_batched(
                        || (DeltaFifo::new(order, count), updates(count, keys)),
                        |(mut fifo, deltas)| {
                            for delta in deltas {
                                assert!(fifo.push(delta).is_ok());
                            }
                            assert!(fifo.is_full());
                            assert_eq!(pop_all(&mut fifo, &mut Vec::new()), count);
                            assert!(fifo.is_empty());
                            fifo
                        },
                        BatchSize::LargeInput,
                    );
                });
            }
        }
        group.bench_function(BenchmarkId::new(size, "floor-vecdeque"), |b| {
            b.iter_batched(
                || updates(count, count),
                |deltas| {
                    let (mut queue, mut popped) = (VecDeque::new(), 0);
                    for delta in deltas {
                        queue.push_back(delta);
                    }
                    while let Some(delta) = queue.pop_front() {
                        popped += 1;
                        drop(black_box(delta));
                    }
                    assert_eq!(popped, count);
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// The steps of a relist, which are barriers under both orders.
fn replace(c: &mut Criterion) {
    let mut group = c.benchmark_group("delta_fifo/replace");
    group.sample_size(20);
    for (size, count) in SIZES {
        group.throughput(Throughput::Elements(count as u64));
        for (name, order) in ORDERS {
            group.bench_function(BenchmarkId::new(size, name), |b| {
                b.iter_batched(
                    || {
                        let items = (0..count).map(|number| Replaced::Item(entry(number, 1)));
                        let begin = Replaced::Begin { force_diff: false };
                        let end = Replaced::End {
                            resource_version: ResourceVersion::from_revision(9),
                            epoch: 0,
                            sweep: true,
                        };
                        let steps = std::iter::once(begin).chain(items).chain([end]);
                        let steps: Vec<_> = steps.map(Delta::Replaced).collect();
                        (DeltaFifo::new(order, count + 2), steps)
                    },
                    |(mut fifo, steps)| {
                        for step in steps {
                            assert!(fifo.push(step).is_ok());
                        }
                        assert_eq!(pop_all(&mut fifo, &mut Vec::new()), count + 2);
                        fifo
                    },
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

/// An informer's machine over a list of `items`, live.
fn pipeline(order: Order, items: Vec<Entry<()>>, tally: &Tally) -> Pipeline<()> {
    let reflector = Reflector::new(Config {
        list_mode: ListMode::Whole,
        ..Config::default()
    });
    let config = PipelineConfig {
        order,
        ..PipelineConfig::default()
    };
    let indexer = Indexer::new(IndexerConfig::default());
    let mut pipeline = Pipeline::new(config, reflector, indexer);
    pipeline.add_handler(Instant::ZERO, Box::new(tally.handler()), Default::default());
    pipeline.handle(Instant::ZERO, Input::Start);
    list(Instant::ZERO, &mut pipeline, items);
    pipeline
}

/// Lets the pipeline work until it is idle, and says what it asks for and when it wakes.
fn work(now: Instant, pipeline: &mut Pipeline<()>) -> (Option<Call>, Instant) {
    let mut asked = None;
    while pipeline.run(now, BATCH) {}
    loop {
        match pipeline.poll_output() {
            Output::Idle { wake_at } => return (asked, wake_at),
            Output::Open(call) => asked = Some(call),
            Output::Close | Output::Enqueue(_) | Output::Probe | Output::ReloadCredentials => {}
        }
    }
}

fn list(now: Instant, pipeline: &mut Pipeline<()>, items: Vec<Entry<()>>) {
    assert!(matches!(work(now, pipeline).0, Some(Call::List(_))));
    pipeline.handle(now, Input::Accepted);
    for item in items {
        pipeline.handle(now, Input::Item(Received::Entry(item)));
        if !pipeline.wants_input() {
            work(now, pipeline);
        }
    }
    let end = Input::PageEnd {
        resource_version: Ok(ResourceVersion::from_revision(1_000_000_000)),
        continue_token: String::new(),
        remaining: None,
    };
    pipeline.handle(now, end);
    assert!(matches!(work(now, pipeline).0, Some(Call::Watch(_))));
    pipeline.handle(now, Input::Accepted);
}

/// A relist in which every tenth object is missing: the rest is unchanged, the missing are told as
/// tombstones. Through the pipeline, since the store alone knows what is missing.
fn tombstones(c: &mut Criterion) {
    let mut group = c.benchmark_group("delta_fifo/replace_tombstones");
    group.sample_size(10);
    for (size, count) in SIZES {
        group.throughput(Throughput::Elements(count as u64));
        for (name, order) in ORDERS {
            group.bench_function(BenchmarkId::new(size, name), |b| {
                b.iter_batched(
                    || {
                        let hash = Indexer::<()>::new(IndexerConfig::default());
                        let item = |number: usize| {
                            let entry = entry(number, number + 1);
                            let hash = hash.hash_key(entry.object.key_bytes());
                            Entry::new(hash, entry.object, entry.value)
                        };
                        let all: Vec<_> = (0..count).map(item).collect();
                        let kept = (0..count).filter(|number| number % 10 != 0).map(item);
                        let (tally, kept): (_, Vec<_>) = (Tally::default(), kept.collect());
                        let pipeline = pipeline(order, all, &tally);
                        assert_eq!(tally.added(), count as u64);
                        (pipeline, kept, tally)
                    },
                    |(mut pipeline, kept, tally)| {
                        let status = br#"{"kind":"Status","code":410,"reason":"Expired"}"#;
                        let expired = Box::new(Status::parse(410, status));
                        pipeline.handle(Instant::ZERO, Input::ErrorEvent(expired));
                        let (_, wake_at) = work(Instant::ZERO, &mut pipeline);
                        pipeline.handle(wake_at, Input::Tick);
                        list(wake_at, &mut pipeline, kept);
                        assert_eq!(tally.deleted(), count as u64 / 10);
                        assert_eq!(tally.updated(), 0);
                        assert_eq!(pipeline.indexer().len(), count - count / 10);
                        pipeline
                    },
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, push_pop, replace, tombstones);
criterion_main!(benches);
