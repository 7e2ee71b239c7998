//! The whole machine in process: bytes of a list or a watch to a handler's call, without sockets,
//! clock or runtime.
//!
//! Bytes -> decoder -> reflector -> DeltaFIFO -> store with one index -> handler, as the driver does
//! it between two reads. Floors in the same run: finding the line ends alone (memchr), finding and
//! packing the objects alone, and putting packed objects into a std map alone. A relist of an
//! unchanged set asserts that nobody was told anything.

use std::{
    collections::HashMap,
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use tidings_api::{
    frame::{Frame, FrameDecoder},
    limits::Limits,
    page::{PageDecoder, PageEvent},
    scan::{Item, Keep},
};
use tidings_benches::{
    feed::Feed,
    pods::{self, Burst},
    store::SameHash,
    tally::Tally,
};
use tidings_engine::delta_fifo::Order;

const PODS: usize = 10_000;
const ORDERS: [(&str, Order); 2] = [("arrival", Order::Arrival), ("per_key", Order::PerKey)];

type Map = HashMap<Box<str>, tidings_api::Object, SameHash>;

/// Packs each object and hands it over, nothing else: what any raw store has to do.
fn pack_list(body: &[u8], mut take: impl FnMut(tidings_api::Object)) {
    let mut scratch = String::new();
    let mut page = PageDecoder::new(&Limits::default());
    for chunk in body.chunks(256 << 10) {
        page.feed(chunk, &mut |event| {
            if let PageEvent::Item(Item::Usable(pod)) = event {
                take(pod.pack(&mut scratch, Keep::Json).expect("it is small"));
            }
        })
        .expect("the list is sound");
    }
    assert_eq!(page.finish().expect("it is whole").items, PODS as u64);
}

/// The same of a watch.
fn pack_watch(bytes: &[u8], mut take: impl FnMut(tidings_api::Object)) {
    let mut scratch = String::new();
    let mut frames = FrameDecoder::new(&Limits::default());
    for chunk in bytes.chunks(256 << 10) {
        frames
            .feed(chunk, &mut |frame| {
                if let Frame::Event { item, .. } = frame
                    && let Some(pod) = item.usable()
                {
                    take(pod.pack(&mut scratch, Keep::Json).expect("it is small"));
                }
            })
            .expect("the stream is sound");
    }
}

fn sync(c: &mut Criterion) {
    let list = pods::list(PODS);
    let mut group = c.benchmark_group("pipeline/sync");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(PODS as u64));
    for (name, order) in ORDERS {
        group.bench_function(BenchmarkId::new("10k", name), |b| {
            b.iter_with_large_drop(|| {
                let tally = Tally::default();
                let mut feed = Feed::new(order, tally.handler());
                feed.list(black_box(list.as_bytes()));
                assert_eq!(tally.added(), PODS as u64);
                assert!(feed.pipeline().is_synced());
                feed
            });
        });
    }
    group.bench_function("10k/floor-pack", |b| {
        b.iter_with_large_drop(|| {
            let mut objects = Vec::new();
            pack_list(black_box(list.as_bytes()), |object| objects.push(object));
            assert_eq!(objects.len(), PODS);
            objects
        });
    });
    group.bench_function("10k/floor-pack-hashmap", |b| {
        b.iter_with_large_drop(|| {
            let mut map = Map::default();
            pack_list(black_box(list.as_bytes()), |object| {
                map.insert(object.key().into(), object);
            });
            assert_eq!(map.len(), PODS);
            map
        });
    });
    group.finish();
}

/// One turn of the machine for each 256 KiB that was read, and one for each event: what a
/// publication an event costs.
fn burst(c: &mut Criterion) {
    let mut burst = Burst::new(PODS, PODS);
    let mut group = c.benchmark_group("pipeline/burst");
    group
        .sample_size(20)
        .throughput(Throughput::Elements(PODS as u64));
    for (name, order) in ORDERS {
        time_burst(&mut group, name, order, &mut burst, |feed, burst| {
            feed.watch(black_box(burst.bytes()));
        });
    }
    let order = Order::Arrival;
    time_burst(
        &mut group,
        "event-by-event",
        order,
        &mut burst,
        |feed, burst| {
            for event in 0..PODS {
                feed.watch(black_box(burst.event(event)));
            }
        },
    );
    burst_floors(&mut group, &burst);
    group.finish();
}

fn time_burst(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    order: Order,
    burst: &mut Burst,
    send: impl Fn(&mut Feed, &Burst),
) {
    let tally = Tally::default();
    let mut feed = Feed::new(order, tally.handler());
    feed.list(pods::list(PODS).as_bytes());
    let mut sent = 0;
    group.bench_function(BenchmarkId::new("10k", name), |b| {
        b.iter_custom(|iterations| {
            let mut spent = Duration::ZERO;
            for _ in 0..iterations {
                burst.renumber();
                let start = Instant::now();
                send(&mut feed, burst);
                spent += start.elapsed();
                sent += PODS as u64;
                assert_eq!(tally.updated(), sent);
            }
            spent
        });
    });
    assert_eq!(feed.pipeline().indexer().len(), PODS);
}

fn burst_floors(group: &mut BenchmarkGroup<'_, WallTime>, burst: &Burst) {
    group.bench_function("10k/floor-memchr", |b| {
        b.iter(|| {
            let lines = memchr::memchr_iter(b'\n', black_box(burst.bytes())).count();
            assert_eq!(lines, PODS);
        });
    });
    group.bench_function("10k/floor-pack", |b| {
        b.iter(|| {
            let mut len = 0;
            pack_watch(black_box(burst.bytes()), |object| len += object.bytes_len());
            assert!(len > PODS * 4_000);
        });
    });
    let mut map = Map::default();
    pack_watch(burst.bytes(), |object| {
        map.insert(object.key().into(), object);
    });
    // What a store with the same guarantees cannot do without: find, swap, free the old object.
    group.bench_function("10k/floor-pack-hashmap", |b| {
        b.iter(|| {
            pack_watch(black_box(burst.bytes()), |object| {
                let stored = map.get_mut(object.key()).expect("it is stored");
                *stored = object;
            });
            assert_eq!(map.len(), PODS);
        });
    });
}

fn relist(c: &mut Criterion) {
    let list = pods::list(PODS);
    let mut group = c.benchmark_group("pipeline/relist_unchanged");
    group
        .sample_size(20)
        .throughput(Throughput::Elements(PODS as u64));
    let tally = Tally::default();
    let mut feed = Feed::new(Order::Arrival, tally.handler());
    feed.list(list.as_bytes());
    group.bench_function("10k", |b| {
        b.iter(|| {
            feed.expire();
            feed.list(black_box(list.as_bytes()));
        });
    });
    assert_eq!((tally.events(), tally.added()), (PODS as u64, PODS as u64));
    group.bench_function("10k/floor-scan", |b| {
        b.iter(|| {
            let mut page = PageDecoder::new(&Limits::default());
            let mut names = 0;
            for chunk in black_box(list.as_bytes()).chunks(256 << 10) {
                page.feed(chunk, &mut |event| {
                    if let PageEvent::Item(Item::Usable(pod)) = event {
                        names += pod.name().len();
                    }
                })
                .expect("the list is sound");
            }
            assert_eq!(names, PODS * 9);
        });
    });
    group.finish();
}

criterion_group!(benches, sync, burst, relist);
criterion_main!(benches);
