//! The fan-out: one change to many handlers, a late handler's catch-up, a slow subscription.
//!
//! Floors in the same run: calling the same handlers through `Box<dyn FnMut>` without catching
//! panics, and walking the snapshot. A subscription is measured over the facade: what it tells
//! after many changes of few keys is one change a key (DESIGN: coalesced, never queued).

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidings::{Informer, ListMode, Raw, Resource, ResourceVersion, Scope, SubscriptionEvent};
use tidings_api::Instant as EngineInstant;
use tidings_benches::{
    pods::{self, Burst},
    replay::Script,
    store::{entry, filled},
    tally::Tally,
};
use tidings_engine::{
    entry::Entry,
    fanout::{Change, Event, Fanout, FanoutLimits, Handler, HandlerState},
    indexer::Snapshot,
};

const HANDLERS: [usize; 3] = [1, 10, 100];
const CHANGES: usize = 1_000;
const NOW: EngineInstant = EngineInstant::ZERO;

fn changes() -> Vec<Change<()>> {
    let indexer = filled(0, 0);
    (0..CHANGES)
        .map(|number| Change::Updated {
            old: entry(&indexer, number, 1),
            new: entry(&indexer, number, 2),
        })
        .collect()
}

/// The figure is of one change to all handlers.
fn tell(c: &mut Criterion) {
    let changes = changes();
    let mut group = c.benchmark_group("fanout/tell");
    group.throughput(Throughput::Elements(1));
    for count in HANDLERS {
        let tally = Tally::default();
        let mut fanout = Fanout::new(FanoutLimits::default());
        for _ in 0..count {
            let handler: Box<dyn Handler<()>> = Box::new(tally.handler());
            fanout.add(NOW, handler, Default::default(), &Snapshot::empty());
        }
        let mut told = 0;
        group.bench_function(format!("{count}handlers"), |b| {
            b.iter_custom(|iterations| {
                let (mut spent, mut left) = (Duration::ZERO, iterations);
                while left > 0 {
                    let len = left.min(CHANGES as u64);
                    let mut batch = changes.iter().take(usize_of(len)).cloned().collect();
                    let start = Instant::now();
                    fanout.push(&mut batch);
                    assert_eq!(fanout.tell_live(NOW, CHANGES + 1) as u64, 1_001 - len);
                    spent += start.elapsed();
                    (left, told) = (left - len, told + len);
                }
                spent
            });
        });
        assert_eq!(tally.updated(), told * count as u64);
        floor_tell(&mut group, count, &changes);
    }
    group.finish();
}

type Boxed = Box<dyn FnMut(Event<'_, ()>) + Send>;

fn floor_tell(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    count: usize,
    changes: &[Change<()>],
) {
    let tally = Tally::default();
    let mut handlers: Vec<Boxed> = (0..count)
        .map(|_| {
            let mut handler = tally.handler::<()>();
            let call: Boxed = Box::new(move |event| handler.handle(event));
            call
        })
        .collect();
    let (mut told, mut turn) = (0, 0);
    group.bench_function(format!("{count}handlers/floor-dyn-call"), |b| {
        b.iter(|| {
            let change = black_box(&changes[turn]);
            turn = (turn + 1) % CHANGES;
            let Change::Updated { old, new } = change else {
                return;
            };
            for handler in &mut handlers {
                handler(Event::Updated { old, new });
            }
            told += count as u64;
        });
    });
    assert_eq!(tally.updated(), told);
}

fn catch_up(c: &mut Criterion) {
    let mut group = c.benchmark_group("fanout/catch_up");
    group.sample_size(10);
    for (size, count) in [("10k", 10_000), ("100k", 100_000)] {
        let snapshot = filled(count, 1).snapshot();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(size, |b| {
            b.iter(|| {
                let tally = Tally::default();
                let mut fanout = Fanout::new(FanoutLimits::default());
                let handler = Box::new(tally.handler());
                let id = fanout.add(NOW, handler, Default::default(), &snapshot);
                let state = |fanout: &Fanout<()>| fanout.handler(id).map(|status| status.state);
                while state(&fanout) == Some(HandlerState::CatchingUp) {
                    fanout.tell_late(NOW, 1024, &snapshot);
                }
                assert_eq!(state(&fanout), Some(HandlerState::Live));
                assert_eq!(tally.added(), count as u64);
            });
        });
        group.bench_function(BenchmarkId::new(size, "floor-iterate"), |b| {
            b.iter(|| {
                let tally = Tally::default();
                let mut handler = tally.handler::<()>();
                for new in &snapshot_of(&snapshot) {
                    handler.handle(Event::Added {
                        new,
                        is_in_initial_list: true,
                    });
                }
                assert_eq!(tally.added(), count as u64);
            });
        });
    }
    group.finish();
}

/// The entries as references, gathered as a list does.
fn snapshot_of(snapshot: &Snapshot<()>) -> Vec<Entry<()>> {
    black_box(snapshot).iter().cloned().collect()
}

/// The difference that a subscription tells: 1 000 of 100 000 objects changed, each ten times.
fn difference(c: &mut Criterion) {
    let mut indexer = filled(100_000, 1);
    let known = indexer.snapshot();
    for turn in 0..10_000 {
        let number = turn % 1_000 * 97;
        let entry = entry(&indexer, number, 200_000 + turn);
        indexer.upsert(entry);
        indexer.publish(None, 0);
    }
    let target = indexer.snapshot();
    let mut group = c.benchmark_group("fanout/difference");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("100k/1k-changed", |b| {
        b.iter(|| {
            let (mut difference, mut changed) = (known.diff_to(black_box(&target)), 0);
            loop {
                let slice = difference.next_slice(256);
                if slice.is_empty() {
                    break;
                }
                changed += slice.len();
            }
            assert_eq!(changed, 1_000);
        });
    });
    group.finish();
}

/// A subscriber that sleeps through a burst of 2 000 events about 200 pods, then catches up. The
/// figure is of the catch-up alone; `10k` is the store's size.
fn coalesce(c: &mut Criterion) {
    const STORED: usize = 10_000;
    const TOUCHED: usize = 200;
    let script = Script::new(Bytes::from(pods::list(STORED)));
    let mut burst = Burst::new(2_000, TOUCHED);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let scope = Scope::all(Resource::parse("v1/pods").expect("a resource"));
    let informer = Informer::<Raw>::builder_over(std::sync::Arc::new(script.clone()), scope)
        .list_mode(ListMode::Whole)
        .build()
        .expect("a sound informer");
    let handle = informer.handle();
    let running = runtime.spawn(informer.run());
    let mut subscription = handle.subscribe();
    let initial = runtime.block_on(async {
        let mut told = 0;
        while !matches!(subscription.next().await, Some(SubscriptionEvent::Synced)) {
            told += 1;
        }
        told
    });
    assert_eq!(initial, STORED);
    let mut group = c.benchmark_group("fanout/coalesce");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(TOUCHED as u64));
    group.bench_function("10k/2k-events-of-200", |b| {
        b.iter_custom(|iterations| {
            let mut spent = Duration::ZERO;
            for _ in 0..iterations {
                let last = ResourceVersion::from_revision(burst.renumber());
                script.send(&Bytes::copy_from_slice(burst.bytes()));
                runtime.block_on(async {
                    handle.wait_for(&last, Duration::from_secs(10)).await;
                    let start = Instant::now();
                    for _ in 0..TOUCHED {
                        let event = subscription.next().await;
                        assert!(matches!(event, Some(SubscriptionEvent::Updated { .. })));
                    }
                    spent += start.elapsed();
                });
            }
            assert_eq!(subscription.lag().resyncs, 0);
            spent
        });
    });
    group.finish();
    handle.stop();
    runtime.block_on(running).expect("the informer ends");
}

fn usize_of(count: u64) -> usize {
    usize::try_from(count).expect("it is small")
}

criterion_group!(benches, tell, catch_up, difference, coalesce);
criterion_main!(benches);
