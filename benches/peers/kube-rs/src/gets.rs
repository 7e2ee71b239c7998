//! Reads the store from a thread of its own while the reflector writes to it.
//!
//! Two readings: the mean over batches of gets, without a clock inside a batch, and percentiles of
//! single gets, each timed (they contain one reading of the clock, reported as `timer`). Two sets
//! of keys: a few that stay in the CPU's caches, and all of them, which is mostly memory latency.

use std::hash::Hash;
use std::hint::black_box;
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use kube::runtime::reflector::{Lookup, ObjectRef, Store};
use serde_json::{Value, json};

use crate::meter::percentiles;

/// The server begins its events some seconds after the sync: stay clear of the start.
const WARM_UP: Duration = Duration::from_secs(5);
/// As many keys as stay in the caches.
const HOT_KEYS: usize = 1024;
const BATCH: usize = 256;
const SAMPLES_MAX: usize = 1 << 22;

/// Starts a thread that reads the keys in random order for some seconds and sends the figures.
pub fn start<K>(store: Store<K>, keys: Vec<ObjectRef<K>>, seconds: u64) -> oneshot::Receiver<Value>
where
    K: Lookup + Clone + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone + Send + Sync,
{
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        std::thread::sleep(WARM_UP);
        let time = Duration::from_secs(seconds) / 2;
        let mut report = read(&store, &spread(&keys), time);
        report["all_keys"] = read(&store, &keys, time);
        // Nobody listens any more when the watcher has failed, and that failure is reported.
        sender.send(report).ok();
    });
    receiver
}

/// Returns a few keys from all over the store.
fn spread<K>(keys: &[ObjectRef<K>]) -> Vec<ObjectRef<K>>
where
    K: Lookup + Clone,
    K::DynamicType: Clone,
{
    keys.iter()
        .step_by((keys.len() / HOT_KEYS).max(1))
        .take(HOT_KEYS)
        .cloned()
        .collect()
}

fn read<K>(store: &Store<K>, keys: &[ObjectRef<K>], time: Duration) -> Value
where
    K: Lookup + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut pick = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        &keys[usize::try_from(random % keys.len() as u64).expect("an index fits")]
    };
    let end = Instant::now() + time;
    let mut singles = Vec::with_capacity(SAMPLES_MAX);
    let (mut batches, mut batch_ns) = (0_u64, 0_u64);
    while Instant::now() < end {
        let start = Instant::now();
        for _ in 0..BATCH {
            assert!(
                black_box(store.get(pick())).is_some(),
                "a listed pod is in the store"
            );
        }
        batch_ns += nanos(start);
        batches += 1;
        for _ in 0..BATCH {
            let key = pick();
            let start = Instant::now();
            black_box(store.get(key));
            let elapsed = nanos(start);
            if singles.len() < SAMPLES_MAX {
                singles.push(elapsed);
            }
        }
    }
    let mut timer: Vec<u64> = (0..100_000).map(|_| nanos(Instant::now())).collect();
    let mut report = percentiles(&mut singles, 1.0);
    report["mean"] = json!(batch_ns as f64 / (batches * BATCH as u64) as f64);
    report["timer"] = percentiles(&mut timer, 1.0)["p50"].clone();
    report
}

fn nanos(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
