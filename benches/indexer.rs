//! The store: reads, writes, relists and snapshots, beside a hash map with the same hash.
//!
//! Floors in the same run: std's `HashMap` without any sharing, and the same behind a
//! `parking_lot::RwLock`. Every bench asserts what it did. The object of an upsert is made outside
//! the measured time; its release is inside, as in production.

use std::{
    collections::HashMap,
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use parking_lot::RwLock;
use tidings_benches::store::{SameHash, entry, filled, key, shuffled, write_at_a_pace};
use tidings_engine::{
    entry::Entry,
    indexer::{Indexer, IndexerConfig, Seen, StoreReader, Sweep},
};

const COUNT: usize = 100_000;

type Map = HashMap<Box<str>, Entry<()>, SameHash>;

fn map_of(indexer: &Indexer<()>) -> Map {
    let mut map = Map::default();
    let reader = indexer.reader();
    for number in 0..COUNT {
        let entry = reader.get(&key(number)).expect("it is there");
        map.insert(entry.object.key().into(), entry);
    }
    map
}

fn get(c: &mut Criterion) {
    let mut indexer = filled(COUNT, 1);
    let reader = indexer.reader();
    let keys: Vec<String> = shuffled(COUNT).into_iter().map(key).collect();
    let map = map_of(&indexer);
    let locked = RwLock::new(map.clone());
    let mut group = c.benchmark_group("indexer/get");
    let mut at = 0;
    let mut next = move || {
        at = (at + 1) % COUNT;
        at
    };
    group.bench_function("100k", |b| {
        b.iter(|| {
            let key = &keys[next()];
            let entry = reader.get(black_box(key)).expect("it is there");
            assert!(entry.object.bytes_len() > 4_000);
        });
    });
    group.bench_function("100k/with", |b| {
        b.iter(|| {
            let key = &keys[next()];
            let len = reader.with(black_box(key), |entry| entry.map(|e| e.object.bytes_len()));
            assert!(len.is_some_and(|len| len > 4_000));
        });
    });
    group.bench_function("100k/floor-hashmap", |b| {
        b.iter(|| {
            let key = &keys[next()];
            let entry = map
                .get(black_box(key.as_str()))
                .expect("it is there")
                .clone();
            assert!(entry.object.bytes_len() > 4_000);
        });
    });
    group.bench_function("100k/peer-rwlock", |b| {
        b.iter(|| {
            let key = &keys[next()];
            let entry = locked
                .read()
                .get(black_box(key.as_str()))
                .expect("it is there")
                .clone();
            assert!(entry.object.bytes_len() > 4_000);
        });
    });
    group.finish();
    let mut group = c.benchmark_group("indexer/get_under_10k_writes");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| write_at_a_pace(&mut indexer, COUNT, &stop));
        group.bench_function("100k", |b| {
            b.iter(|| {
                let key = &keys[next()];
                let entry = reader.get(black_box(key)).expect("it is there");
                assert!(entry.object.bytes_len() > 4_000);
            });
        });
        stop.store(true, Ordering::Relaxed);
        let writes = writer.join().expect("the writer ends");
        // Run once and not timed, a bench is over before the writer's first turn.
        let is_smoke = std::env::args().any(|argument| argument == "--test");
        assert!(writes > 0 || is_smoke);
    });
    group.finish();
}

fn upsert(c: &mut Criterion) {
    let mut group = c.benchmark_group("indexer/upsert/100k");
    for indexes in [0, 1, 4] {
        let mut indexer = filled(COUNT, indexes);
        let order = shuffled(COUNT);
        let mut turn = 0;
        let mut batch = Vec::new();
        group.bench_function(format!("{indexes}idx"), |b| {
            b.iter_custom(|count| {
                let mut spent = Duration::ZERO;
                let mut left = count;
                while left > 0 {
                    let len = left.min(1_000);
                    left -= len;
                    for _ in 0..len {
                        turn += 1;
                        batch.push(entry(&indexer, order[turn % COUNT], COUNT + turn));
                    }
                    let start = Instant::now();
                    for entry in batch.drain(..) {
                        assert!(indexer.upsert(entry).is_some());
                        assert!(indexer.publish(None, 0));
                        indexer.reclaim(1_000);
                    }
                    spent += start.elapsed();
                }
                spent
            });
        });
        assert_eq!(indexer.len(), COUNT);
    }
    group.finish();
    let mut group = c.benchmark_group("indexer/upsert_batch32/100k");
    for indexes in [0, 1] {
        let mut indexer = filled(COUNT, indexes);
        let order = shuffled(COUNT);
        let mut turn = 0;
        group.throughput(Throughput::Elements(32));
        group.bench_function(format!("{indexes}idx"), |b| {
            b.iter_custom(|count| {
                let mut spent = Duration::ZERO;
                for _ in 0..count {
                    let fresh = |turn: usize| entry(&indexer, order[turn % COUNT], COUNT + turn);
                    let batch: Vec<_> = (turn..turn + 32).map(fresh).collect();
                    turn += 32;
                    let start = Instant::now();
                    for entry in batch {
                        assert!(indexer.upsert(entry).is_some());
                    }
                    assert!(indexer.publish(None, 0));
                    indexer.reclaim(10_000);
                    spent += start.elapsed();
                }
                spent
            });
        });
    }
    group.finish();
}

fn replace_unchanged(c: &mut Criterion) {
    let mut indexer = filled(COUNT, 1);
    let generation = indexer.reader().generation();
    let mut group = c.benchmark_group("indexer/replace_unchanged");
    group
        .throughput(Throughput::Elements(COUNT as u64))
        .sample_size(10);
    group.bench_function("100k", |b| {
        b.iter_custom(|count| (0..count).map(|_| relist(&mut indexer)).sum());
    });
    group.finish();
    assert_eq!(indexer.reader().generation(), generation);
}

/// Relists everything unchanged. The items come as they do off the wire: made a moment ago, in
/// batches whose making is not counted.
fn relist(indexer: &mut Indexer<()>) -> Duration {
    let mut batch = Vec::with_capacity(64);
    let start = Instant::now();
    indexer.replace_begin(false);
    let mut spent = start.elapsed();
    for first in (0..COUNT).step_by(64) {
        let numbers = first..COUNT.min(first + 64);
        batch.extend(numbers.map(|number| entry(indexer, number, number + 1)));
        let start = Instant::now();
        for item in batch.drain(..) {
            assert!(matches!(indexer.replace_item(item), Seen::Unchanged));
        }
        spent += start.elapsed();
    }
    let start = Instant::now();
    assert!(indexer.replace_end(Sweep::All).is_empty());
    assert!(!indexer.publish(None, 0));
    indexer.reclaim(1_000);
    spent + start.elapsed()
}

fn load(c: &mut Criterion) {
    let count = 50_000;
    let template = filled(0, 1);
    let items: Vec<_> = (0..count)
        .map(|number| entry(&template, number, number + 1))
        .collect();
    let mut group = c.benchmark_group("indexer/load");
    group
        .throughput(Throughput::Elements(count as u64))
        .sample_size(20);
    for indexes in [0, 1] {
        group.bench_function(format!("50k/{indexes}idx"), |b| {
            b.iter_batched(
                || (filled(0, indexes), items.clone()),
                |(mut indexer, items)| {
                    indexer.replace_begin(false);
                    for item in items {
                        indexer.replace_item(item);
                    }
                    indexer.replace_end(Sweep::All);
                    assert!(indexer.publish(None, 0));
                    assert_eq!(indexer.len(), count);
                    indexer
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.bench_function("50k/floor-hashmap", |b| {
        b.iter_batched(
            || items.clone(),
            |items| {
                let mut map = Map::default();
                for item in items {
                    map.insert(item.object.key().into(), item);
                }
                assert_eq!(map.len(), count);
                map
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn snapshot(c: &mut Criterion) {
    let mut group = c.benchmark_group("indexer/snapshot");
    for (label, count) in [("1k", 1_000), ("100k", COUNT)] {
        let reader = filled(count, 1).reader();
        group.bench_function(BenchmarkId::from_parameter(label), |b| {
            b.iter(|| {
                let snapshot = black_box(&reader).snapshot();
                assert_eq!(snapshot.len(), count);
            });
        });
    }
    group.finish();
    let snapshot = filled(COUNT, 1).snapshot();
    let mut group = c.benchmark_group("indexer/iterate");
    group.throughput(Throughput::Elements(COUNT as u64));
    group.bench_function("100k", |b| {
        b.iter(|| {
            let hashes = black_box(&snapshot)
                .iter()
                .fold(0, |sum, entry| sum ^ entry.hash);
            assert_ne!(hashes, 0);
        });
    });
    group.finish();
}

fn by_index(c: &mut Criterion) {
    // 1667 objects of 100k under one value.
    let mut indexer = Indexer::new(IndexerConfig::default());
    let by_namespace = |entry: &Entry<()>, emit: &mut dyn FnMut(&str)| {
        emit(entry.object.namespace().unwrap_or_default());
    };
    indexer
        .add_index("namespace", Box::new(by_namespace))
        .expect("its name is new");
    for number in 0..COUNT {
        let entry = entry(&indexer, number, number + 1);
        indexer.upsert(entry);
    }
    indexer.publish(None, 0);
    let reader: StoreReader<()> = indexer.reader();
    let mut group = c.benchmark_group("indexer/by_index");
    group.throughput(Throughput::Elements(1_667));
    group.bench_function("1667", |b| {
        b.iter(|| {
            let snapshot = black_box(&reader).snapshot();
            let entries = snapshot
                .by_index("namespace", "namespace-07")
                .expect("it is there");
            let (count, hashes) = entries.fold((0, 0), |(n, sum), entry| (n + 1, sum ^ entry.hash));
            assert!(count == 1_667 && hashes != 0);
        });
    });
    group.bench_function("1667/cloned", |b| {
        b.iter(|| {
            let entries = reader
                .by_index("namespace", "namespace-07")
                .expect("it is there");
            assert_eq!(entries.len(), 1_667);
        });
    });
    group.finish();
}

criterion_group!(
    benches,
    get,
    upsert,
    replace_unchanged,
    load,
    snapshot,
    by_index
);
criterion_main!(benches);
