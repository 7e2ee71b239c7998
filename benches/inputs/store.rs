//! A store as it is in production: 4.5 KB an object, keys of 31 bytes, an index of 50 values.

use std::{
    hash::{BuildHasher, Hasher},
    hint::spin_loop,
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rapidhash::v3::{RapidSecrets, rapidhash_v3_micro_inline};
use tidings_api::object::{Object, Parts};
use tidings_engine::{
    entry::{Entry, Value},
    indexer::{IndexFn, Indexer, IndexerConfig},
};

/// Bytes of an object's JSON.
pub const JSON_BYTES: usize = 4_400;
/// Values of an index.
pub const INDEX_VALUES: usize = 50;

static JSON: LazyLock<String> = LazyLock::new(|| "x".repeat(JSON_BYTES));

/// The key of an object, 31 bytes.
pub fn key(number: usize) -> String {
    format!("namespace-{:02}/deployment-{number:07}", number % 60)
}

/// An object in a version.
///
/// # Panics
///
/// If the key is not of the form `namespace/name`.
pub fn object(scratch: &mut String, number: usize, version: usize) -> Object {
    let key = key(number);
    let (namespace, name) = key.split_once('/').expect("it has a slash");
    let (uid, version) = (
        format!("6f1f0d0a-0000-4000-a000-{number:012x}"),
        version.to_string(),
    );
    let json = [JSON.as_str()];
    let parts = Parts {
        namespace,
        name,
        uid: &uid,
        resource_version: &version,
        labels: "",
        json: &json,
    };
    Object::pack(scratch, &parts).expect("it is small")
}

/// The entry of an object.
pub fn entry(indexer: &Indexer<()>, number: usize, version: usize) -> Entry<()> {
    let object = object(&mut String::new(), number, version);
    let hash = indexer.hash_key(object.key_bytes());
    Entry::new(hash, object, Value::Decoded(()))
}

/// An index function of 50 values that depends on the object's name: index `salt` has its own.
pub fn by_node(salt: usize) -> IndexFn<()> {
    let values: Vec<String> = (0..INDEX_VALUES)
        .map(|value| format!("node-{salt}-{value:03}.example.com"))
        .collect();
    Box::new(move |entry, emit| {
        let digits = entry.object.name().bytes().rev().take(4);
        let number = digits.fold(0, |sum: usize, digit| {
            sum.wrapping_mul(7 + salt) + usize::from(digit & 15)
        });
        emit(&values[number % INDEX_VALUES]);
    })
}

/// A published store of `count` objects with `indexes` indexes.
///
/// # Panics
///
/// If two indexes have one name.
pub fn filled(count: usize, indexes: usize) -> Indexer<()> {
    let mut indexer = Indexer::new(IndexerConfig {
        seed: 0x5eed,
        ..IndexerConfig::default()
    });
    for salt in 0..indexes {
        indexer
            .add_index(&format!("node-{salt}"), by_node(salt))
            .expect("its name is new");
    }
    for number in 0..count {
        let entry = entry(&indexer, number, number + 1);
        indexer.upsert(entry);
    }
    indexer.publish(None, 0);
    while indexer.reclaim(10_000) > 0 {}
    indexer
}

/// Numbers below `below` in an order that no prefetcher guesses, the same in every run.
pub fn shuffled(below: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..below).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for at in (1..below).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let other = usize::try_from(state >> 33).unwrap_or(0) % (at + 1);
        numbers.swap(at, other);
    }
    numbers
}

/// Upserts and publishes one object of `count` every 100 us until it is told to stop, and returns
/// how many.
///
/// # Panics
///
/// If a write is not published.
pub fn write_at_a_pace(indexer: &mut Indexer<()>, count: usize, stop: &AtomicBool) -> u32 {
    let start = Instant::now();
    let mut written = 0;
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        let entry = entry(indexer, turn * 7_919 % count, count + turn);
        indexer.upsert(entry);
        assert!(indexer.publish(None, 0));
        indexer.reclaim(1_000);
        written += 1;
        while start.elapsed() < Duration::from_micros(100) * written {
            spin_loop();
        }
    }
    written
}

/// std's map with the store's hash.
#[derive(Clone)]
pub struct SameHash(RapidSecrets);

/// The hasher of [`SameHash`].
pub struct SameHasher(RapidSecrets, u64);

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

impl Default for SameHash {
    fn default() -> Self {
        Self(RapidSecrets::seed(0x5eed))
    }
}
