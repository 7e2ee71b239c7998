//! The store: reads, writes, relists and snapshots, beside a hash map with the same hash.
//!
//! Floors in the same run: std's `HashMap` without any sharing, and the same behind a
//! `parking_lot::RwLock`. Every bench asserts what it did. The object of an upsert is made outside
//! the measured time; its release is inside, as in production.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher},
    hint::{black_box, spin_loop},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use parking_lot::RwLock;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_micro_inline};
use tidings_engine::{
    entry::Entry,
    indexer::{Indexer, IndexerConfig, Seen, StoreReader, Sweep},
};

mod store;

use store::{entry, filled, key, shuffled};

const COUNT: usize = 100_000;
/// Writes a second beside the reader.
const WRITES: u32 = 10_000;

/// std's map with the store's hash.
#[derive(Clone)]
struct SameHash(RapidSecrets);

struct SameHasher(RapidSecrets, u64);

impl BuildHasher for SameHash {
    type Hasher = SameHasher;

    fn build_hasher(&self) -> SameHasher {
        SameHasher(self.0, 0)
    }
}

impl Hasher for SameHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.1 = rapidhash_v3_micro_inline::<true, false>(bytes, &self.0);
    }

    fn write_u8(&mut self, _: u8) {
        // The end mark of a str; the map hashes one key only.
    }

    fn finish(&self) -> u64 {
        self.1
    }
}

type Map = HashMap<Box<str>, Entry<()>, SameHash>;

fn map_of(indexer: &Indexer<()>) -> Map {
    let mut map = Map::with_hasher(SameHash(RapidSecrets::seed(0x5eed)));
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
    let written = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| write_at_a_pace(&mut indexer, &stop, &written));
        group.bench_function("100k", |b| {
            b.iter(|| {
                let key = &keys[next()];
                let entry = reader.get(black_box(key)).expect("it is there");
                assert!(entry.object.bytes_len() > 4_000);
            });
        });
        stop.store(true, Ordering::Relaxed);
    });
    assert!(written.load(Ordering::Relaxed) > u64::from(WRITES));
    group.finish();
}

/// Upserts and publishes one object every 100 us until it is told to stop.
fn write_at_a_pace(indexer: &mut Indexer<()>, stop: &AtomicBool, written: &AtomicU64) {
    let start = Instant::now();
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let entry = entry(indexer, turn * 7_919 % COUNT, COUNT + turn);
        indexer.upsert(entry);
        assert!(indexer.publish(None, 0));
        indexer.reclaim(1_000);
        let count = written.fetch_add(1, Ordering::Relaxed) + 1;
        let due = Duration::from_secs(count) / WRITES;
        while start.elapsed() < due {
            spin_loop();
        }
    }
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
    let items: Vec<_> = (0..COUNT)
        .map(|number| entry(&indexer, number, number + 1))
        .collect();
    let generation = indexer.reader().generation();
    let mut group = c.benchmark_group("indexer/replace_unchanged");
    group
        .throughput(Throughput::Elements(COUNT as u64))
        .sample_size(20);
    group.bench_function("100k", |b| {
        b.iter_batched(
            || items.clone(),
            |items| {
                indexer.replace_begin(false);
                for item in items {
                    assert!(matches!(indexer.replace_item(item), Seen::Unchanged));
                }
                assert!(indexer.replace_end(Sweep::All).is_empty());
                assert!(!indexer.publish(None, 0));
                indexer.reclaim(1_000);
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
    assert_eq!(indexer.reader().generation(), generation);
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
                let mut map = Map::with_hasher(SameHash(RapidSecrets::seed(0x5eed)));
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
