//! What criterion does not show of the store: the longest wait of a reader, allocations an event,
//! bytes an object and an index's entry, what a read by index costs an entry.
//!
//! Prints one line a figure; `cargo bench --bench indexer_report`. The peer of the waits is a
//! `HashMap` behind a `parking_lot::RwLock` that is cleared and filled again under it, as
//! client-go's Replace does (cg-S1).

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::{
    alloc::System,
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use parking_lot::RwLock;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tidings_benches::store::{SameHash, entry, filled, key, shuffled, write_at_a_pace};
use tidings_engine::{
    entry::Entry,
    indexer::{Indexer, Sweep},
};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const COUNT: usize = 100_000;

fn main() {
    // `cargo test --benches` runs this too, with another argument; smoke mode has both.
    let has = |wanted| std::env::args().any(|argument| argument == wanted);
    if !has("--bench") || has("--test") {
        overhead(&[1_000]);
        return indexes(1_000, &[10]);
    }
    overhead(&[1_000, 10_000, 25_000, 50_000, 100_000, 200_000]);
    indexes(COUNT, &[1, 10, 100, 2_000]);
    allocations();
    reads();
    events();
    waits();
}

/// Bytes beside the objects' own, with one index of 50 values.
fn overhead(counts: &[usize]) {
    for &count in counts {
        let region = Region::new(GLOBAL);
        let indexer = filled(count, 1);
        let change = region.change();
        let live = change.bytes_allocated - change.bytes_deallocated;
        let overhead = (live - indexer.entry_bytes()) / count;
        assert_eq!(indexer.reader().len(), count);
        println!("overhead/{count}: {overhead} bytes an object, two counters of 8 among them");
    }
}

/// One index, with so many entries under each value: its bytes, and what reading it costs.
fn indexes(count: usize, entries_a_value: &[usize]) {
    let bytes = |values: Option<usize>| {
        let region = Region::new(GLOBAL);
        let indexer = filled_by(count, values);
        let change = region.change();
        (change.bytes_allocated - change.bytes_deallocated, indexer)
    };
    let (bare, indexer) = bytes(None);
    println!(
        "index/{count}, none: {} bytes an object, two counters of 8 among them",
        (bare - indexer.entry_bytes()) / count
    );
    for &entries in entries_a_value {
        let values = count / entries;
        let (live, indexer) = bytes(Some(values));
        println!(
            "index/{count}, {entries} entries a value: {} bytes an entry and value",
            live.saturating_sub(bare) / count
        );
        by_index(&indexer, values, entries);
    }
}

/// Nanoseconds an entry of reads by index: of all values, so that each entry is cold, and of one
/// value again and again; through a snapshot, and with the entries cloned.
fn by_index(indexer: &Indexer<()>, values: usize, entries: usize) {
    let (reader, snapshot) = (indexer.reader(), indexer.snapshot());
    let names: Vec<_> = shuffled(values).into_iter().map(value).collect();
    let look = |name: &String| {
        let found = snapshot.by_index("group", name).expect("it is there");
        let (count, sum) = found.fold((0, 0), |(n, sum), entry| (n + 1, sum ^ entry.hash));
        assert!(count == entries && sum != 0);
    };
    let clone = |name: &String| {
        let found = reader.by_index("group", name).expect("it is there");
        assert_eq!(found.len(), entries);
    };
    for (heat, names) in [("cold", names.as_slice()), ("hot", &names[..1])] {
        let looked = an_entry(names, entries, look);
        let cloned = an_entry(names, entries, clone);
        println!("    by_index/{heat}, ns an entry: snapshot {looked}, cloned {cloned}");
    }
}

/// The distribution of what an entry costs, some 2000 of them between two looks at the clock.
fn an_entry(names: &[String], entries: usize, read: impl Fn(&String)) -> String {
    let mut cycle = names.iter().cycle();
    let turn = 2_000_usize.div_ceil(entries);
    let mut times: Vec<_> = (0..1_000)
        .map(|_| {
            let start = Instant::now();
            cycle.by_ref().take(turn).for_each(&read);
            start.elapsed().as_nanos() / (turn * entries) as u128
        })
        .collect();
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    format!("p10 {} p50 {} p90 {}", at(10), at(50), at(90))
}

/// A store whose index, if any, has so many values.
fn filled_by(count: usize, values: Option<usize>) -> Indexer<()> {
    let mut indexer = filled(0, 0);
    if let Some(values) = values {
        let names: Vec<_> = (0..values).map(value).collect();
        let group = move |entry: &Entry<()>, emit: &mut dyn FnMut(&str)| {
            let digits = entry.object.name().bytes().filter(u8::is_ascii_digit);
            let number = digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
            emit(&names[number % names.len()]);
        };
        let added = indexer.add_index("group", Box::new(group));
        added.expect("its name is new");
    }
    for number in 0..count {
        let entry = entry(&indexer, number, number + 1);
        indexer.upsert(entry);
    }
    indexer.publish(None, 0);
    while indexer.reclaim(10_000) > 0 {}
    indexer
}

fn value(number: usize) -> String {
    format!("node-{number:06}.example.com")
}

/// Allocations of upsert + publish + reclaim in the steady state, the object not among them.
fn allocations() {
    for indexes in [0, 1, 4] {
        let mut indexer = filled(COUNT, indexes);
        let order = shuffled(COUNT);
        let entries: Vec<_> = order[..2_000]
            .iter()
            .map(|&number| entry(&indexer, number, COUNT + number))
            .collect();
        let (mut measured, mut region) = (0, Region::new(GLOBAL));
        for (turn, entry) in entries.into_iter().enumerate() {
            if turn == 1_000 {
                region = Region::new(GLOBAL);
            }
            measured += usize::from(turn >= 1_000);
            indexer.upsert(entry);
            assert!(indexer.publish(None, 0));
            indexer.reclaim(1_000);
        }
        let change = region.change();
        let count = change.allocations + change.reallocations;
        println!("allocations/upsert+publish/{indexes}idx: {count} in {measured} events");
    }
    let mut indexer = filled(COUNT, 1);
    let items: Vec<_> = (0..COUNT)
        .map(|number| entry(&indexer, number, number + 1))
        .collect();
    let region = Region::new(GLOBAL);
    indexer.replace_begin(false);
    for item in items {
        indexer.replace_item(item);
    }
    assert!(indexer.replace_end(Sweep::All).is_empty() && !indexer.publish(None, 0));
    let change = region.change();
    println!(
        "allocations/replace_unchanged: {} in {COUNT} items, {} bytes",
        change.allocations, change.bytes_allocated
    );
}

/// The distribution of one event's cost.
fn events() {
    let mut indexer = filled(COUNT, 1);
    let order = shuffled(COUNT);
    let mut times = Vec::new();
    for chunk in order.chunks(1_000) {
        let fresh = |&number: &usize| entry(&indexer, number, COUNT + number);
        let batch: Vec<_> = chunk.iter().map(fresh).collect();
        for entry in batch {
            let start = Instant::now();
            indexer.upsert(entry);
            indexer.publish(None, 0);
            indexer.reclaim(1_000);
            times.push(start.elapsed().as_nanos());
        }
    }
    println!("upsert+publish+reclaim/1idx: {} ns", summary(&mut times));
}

/// Reads in short turns beside the floors, so that the machine's noise hits all alike.
fn reads() {
    let mut indexer = filled(COUNT, 1);
    let reader = indexer.reader();
    let map: HashMap<Box<str>, Entry<()>, SameHash> = reader
        .snapshot()
        .iter()
        .map(|entry| (entry.object.key().into(), entry.clone()))
        .collect();
    let locked = RwLock::new(map.clone());
    let keys: Vec<_> = shuffled(COUNT).into_iter().map(key).collect();
    // All keys, each cold, and few keys again and again, as the peers' own benches read.
    let hot = &keys[..HOT_COUNT];
    let turns = |keys: &[String]| {
        let snapshot = reader.snapshot();
        let mut turns = [
            Turn::new("floor-hashmap", |key| map.get(key).cloned().is_some()),
            Turn::new("peer-rwlock", |key| {
                locked.read().get(key).cloned().is_some()
            }),
            Turn::new("get", |key| reader.get(key).is_some()),
            Turn::new("with", |key| reader.with(key, |entry| entry.is_some())),
            Turn::new("snapshot.get", |key| snapshot.get(key).is_some()),
        ];
        // Each reads other keys than its neighbours have read a moment ago.
        let chunks: Vec<_> = keys.chunks(1_000).collect();
        for round in 0..1_000 {
            for (at, turn) in turns.iter_mut().enumerate() {
                turn.take(chunks[(round + at * 20) % chunks.len()]);
            }
        }
        turns.map(|turn| turn.to_string()).join("\n    ")
    };
    println!("get/100k, ns:\n    {}", turns(&keys));
    println!("get/1024 of 100k, ns:\n    {}", turns(hot));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| write_at_a_pace(&mut indexer, COUNT, &stop));
        println!("get/100k under 10k writes/s, ns:\n    {}", turns(&keys));
        println!(
            "get/1024 of 100k under 10k writes/s, ns:\n    {}",
            turns(hot)
        );
        stop.store(true, Ordering::Relaxed);
        assert!(writer.join().expect("the writer ends") > 1_000);
    });
}

/// Keys that are read again and again, as in `benches/peers`.
const HOT_COUNT: usize = 1_024;

/// One way to read, and how long its chunks took.
struct Turn<'a> {
    name: &'static str,
    get: Box<dyn Fn(&str) -> bool + 'a>,
    times: Vec<u128>,
}

impl<'a> Turn<'a> {
    fn new(name: &'static str, get: impl Fn(&str) -> bool + 'a) -> Self {
        Self {
            name,
            get: Box::new(get),
            times: Vec::new(),
        }
    }

    fn take(&mut self, keys: &[String]) {
        let start = Instant::now();
        for key in keys {
            assert!((self.get)(key));
        }
        self.times
            .push(start.elapsed().as_nanos() / keys.len() as u128);
    }
}

impl std::fmt::Display for Turn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut times = self.times.clone();
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        write!(
            f,
            "{:14} p1 {} p10 {} p50 {}",
            self.name,
            at(1),
            at(10),
            at(50)
        )
    }
}

/// Waits of a reader while every object is replaced, again and again.
fn waits() {
    let mut indexer = filled(COUNT, 1);
    let reader = indexer.reader();
    let idle = watch(
        |key| assert!(reader.get(key).is_some()),
        || thread::sleep(std::time::Duration::from_secs(2)),
    );
    println!("wait/idle: {idle} ns");
    let replaced = watch(
        |key| assert!(reader.get(key).is_some()),
        || {
            for round in 1..=5 {
                indexer.replace_begin(false);
                for number in 0..COUNT {
                    let entry = entry(&indexer, number, round * COUNT + number);
                    indexer.replace_item(entry);
                }
                assert!(indexer.replace_end(Sweep::All).is_empty());
                assert!(indexer.publish(None, 0));
                while indexer.reclaim(4_096) > 0 {}
            }
        },
    );
    println!("wait/replace: {replaced} ns");
    let locked: RwLock<HashMap<String, Entry<()>>> = RwLock::default();
    let fill = |round: usize| -> HashMap<_, _> {
        let fresh = |number| (key(number), entry(&indexer, number, round * COUNT + number));
        (0..COUNT).map(fresh).collect()
    };
    *locked.write() = fill(9);
    let peer = watch(
        |key| assert!(locked.read().get(key).cloned().is_some()),
        || {
            for round in 10..15 {
                let mut items: Vec<_> = fill(round).into_iter().collect();
                let mut map = locked.write();
                map.clear();
                map.extend(items.drain(..));
            }
        },
    );
    println!("wait/replace/peer-rwlock: {peer} ns");
    println!(
        "wait/replace of the peer: p99.9 1/{}, longest 1/{}",
        peer.p999 / replaced.p999.max(1),
        peer.longest / replaced.longest.max(1)
    );
}

/// A reader's waits in nanoseconds.
struct Waits {
    text: String,
    p999: u128,
    longest: u128,
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Times each of a reader's gets while `work` is done.
fn watch(get: impl Fn(&str) + Sync, work: impl FnOnce()) -> Waits {
    let keys: Vec<_> = shuffled(COUNT).into_iter().map(key).collect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut times = Vec::with_capacity(100_000_000);
            for key in keys.iter().cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let start = Instant::now();
                get(key);
                times.push(start.elapsed().as_nanos());
            }
            Waits {
                text: summary(&mut times),
                p999: times[(times.len() - 1) * 999 / 1_000],
                longest: times.last().copied().unwrap_or(0),
            }
        });
        work();
        stop.store(true, Ordering::Relaxed);
        reader.join().expect("the reader ends")
    })
}

fn summary(times: &mut [u128]) -> String {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100_000];
    format!(
        "p50 {} p99 {} p99.9 {} p99.99 {} max {} (n {})",
        at(50_000),
        at(99_000),
        at(99_900),
        at(99_990),
        at(100_000),
        times.len()
    )
}
