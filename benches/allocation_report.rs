//! Allocations an object of a list, and an event of a watch: counted, so the same in every run.
//!
//! Prints one line a figure, and fails if one is over its bound: `cargo bench --bench
//! allocation_report`. Counted are allocations and reallocations of the whole process, which here
//! has one thread: first of the machine fed with bytes, then of the facade's driver over a scripted
//! transport, runtime included; last the bytes that the embedded API server's state holds. Nothing is counted of the bench itself, whose bytes are made before.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::{alloc::System, sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tidings::{Informer, ListMode, Payload, Raw, Resource, ResourceVersion, Scope};
use tidings_apiserver::{
    State,
    state::{Admission, Part, Terms},
};
use tidings_benches::{
    feed::Feed,
    pods::{self, Burst},
    projection::Projection,
    replay::Script,
    store::{entry, filled},
    tally::Tally,
};
use tidings_engine::{delta_fifo::Order, indexer::Sweep};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PODS: usize = 20_000;
const LIMIT: Duration = Duration::from_secs(60);
/// The target is 1, the object itself; what is above it is its share of pages and index.
const LISTED_MAX: f64 = 1.5;
/// The target: bytes that the API server's state holds for a byte of JSON, the history's records included.
const AT_REST_MAX: f64 = 1.5;
/// The target, under either order.
const EVENT_MAX: f64 = 2.0;

fn main() {
    // Counts need no quiet machine: smoke mode counts less, and asserts the same.
    let is_smoke = std::env::args().any(|argument| argument == "--test");
    let pods = if is_smoke { PODS / 4 } else { PODS };
    let list = pods::list(pods);
    for indexes in [0, 1] {
        let (loaded, changed) = store(pods, indexes);
        println!(
            "allocations/listed/store/{indexes}idx: {loaded:.3} an object, its own not among them"
        );
        println!(
            "allocations/event/store/{indexes}idx: {changed:.3} an event, its own not among them"
        );
    }
    for (name, order) in [("arrival", Order::Arrival), ("per_key", Order::PerKey)] {
        engine(name, order, &list, pods);
    }
    let list = Bytes::from(list);
    let (listed, event) = facade::<Raw>(&list, pods);
    show("facade/raw", listed, event);
    assert!(listed <= LISTED_MAX && event <= EVENT_MAX);
    let (listed, event) = facade::<Arc<Projection>>(&list, pods);
    show("facade/projection", listed, event);
    at_rest("pods", "6.8KB", pods, |number| {
        serde_json::from_str(&pods::object(number)).expect("a pod")
    });
    at_rest("configmaps", "1KB", pods, |number| {
        let data = "0123456789abcdef".repeat(50);
        json!({ "metadata": { "name": format!("map-{number:06}"), "labels": { "app": "shop" } },
            "data": { "key": data } })
    });
}

/// The API server's state: what it holds for each byte of JSON, and what updates leave in the history.
fn at_rest(plural: &str, size: &str, objects: usize, object: impl Fn(usize) -> Value) {
    let mut state = State::new(1);
    let resource = state.resource("", "v1", plural).expect("it is served");
    let terms = Terms {
        admission: Admission::Strict,
        manager: "bench",
        ..Terms::open(1_767_225_600)
    };
    let mut json = 0;
    let held = Region::new(GLOBAL);
    for number in 0..objects {
        let mut document = object(number);
        let meta = document["metadata"].as_object_mut().expect("metadata");
        meta.remove("resourceVersion");
        meta.insert("namespace".to_owned(), "default".into());
        let created = state.create_with(resource, Some("default"), document, &terms);
        json += created.expect("a new object").object.bytes_len();
    }
    let loaded = live(&held);
    let listed = state.list(resource, &Default::default()).expect("a list");
    assert_eq!(listed.items.len(), objects);
    for item in &listed.items {
        let mut document = item.document();
        document["metadata"]["labels"]["turn"] = "2".into();
        let updated = state.update_with(resource, item.key(), document, Part::Main, &terms);
        updated.expect("an object that is there");
    }
    drop(listed);
    let (updated, history) = (live(&held), state.history_size());
    state.compact();
    let compacted = live(&held);
    let ratio = |bytes| ratio(bytes, json);
    println!(
        "bytes/at_rest/apiserver/{plural}/{size}: {:.3} a byte of JSON; after as many updates {:.3}, of which \
         the history counts {:.3} as its own; compacted {:.3}",
        ratio(loaded),
        ratio(updated),
        ratio(history.bytes),
        ratio(compacted)
    );
    assert_eq!(history.entries, 2 * objects);
    assert!(ratio(loaded) <= AT_REST_MAX && ratio(compacted) <= AT_REST_MAX);
    // What the history counts is freed with it, but for the map's and the queue's own room.
    assert!(updated - compacted >= history.bytes * 9 / 10);
}

/// Bytes that are held now and were not when the region began.
fn live(region: &Region<'_, System>) -> usize {
    let change = region.change();
    change.bytes_allocated - change.bytes_deallocated
}

#[expect(clippy::cast_precision_loss, reason = "bytes are far below 2^52")]
fn ratio(bytes: usize, of: usize) -> f64 {
    bytes as f64 / of as f64
}

/// The store alone: a list into an empty one, then one update of each object, 32 a publication.
fn store(pods: usize, indexes: usize) -> (f64, f64) {
    let mut indexer = filled(0, indexes);
    let items: Vec<_> = (0..pods).map(|number| entry(&indexer, number, 1)).collect();
    let loaded = count(pods, || {
        indexer.replace_begin(false);
        for item in items {
            indexer.replace_item(item);
        }
        assert!(indexer.replace_end(Sweep::All).is_empty() && indexer.publish(None, 0));
    });
    let mut changed = 0.0;
    for version in 2..4 {
        let items: Vec<_> = (0..pods)
            .map(|number| entry(&indexer, number, version))
            .collect();
        changed = count(pods, || {
            for (at, item) in items.into_iter().enumerate() {
                assert!(indexer.upsert(item).is_some());
                if at % 32 == 31 {
                    assert!(indexer.publish(None, 0));
                    indexer.reclaim(4_096);
                }
            }
        });
    }
    (loaded, changed)
}

fn engine(name: &str, order: Order, list: &str, pods: usize) {
    let tally = Tally::default();
    let mut feed = Feed::new(order, tally.handler());
    let mut burst = Burst::new(pods, pods);
    let listed = count(pods, || feed.list(list.as_bytes()));
    // The first burst makes room in the buffers; what is counted is the steady state.
    feed.watch(burst.bytes());
    burst.renumber();
    let event = count(pods, || feed.watch(burst.bytes()));
    assert_eq!(
        (tally.added(), tally.updated()),
        (pods as u64, 2 * pods as u64)
    );
    show(&format!("engine/raw/{name}"), listed, event);
    assert!(listed <= LISTED_MAX, "{listed} allocations a listed object");
    assert!(event <= EVENT_MAX, "{event} allocations an event");
    // After a burst the same list would be one of the past, and open another epoch.
    let mut feed = Feed::new(order, Tally::default().handler());
    feed.list(list.as_bytes());
    feed.expire();
    let unchanged = count(pods, || feed.list(list.as_bytes()));
    println!("allocations/relist_unchanged/{pods}/engine/raw/{name}: {unchanged:.3} an object");
}

fn facade<P: Payload>(list: &Bytes, pods: usize) -> (f64, f64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (script, tally) = (Script::new(list.clone()), Tally::default());
    let mut burst = Burst::new(pods, pods);
    let scope = Scope::all(Resource::parse("v1/pods").expect("a resource"));
    let informer = Informer::<P>::builder_over(Arc::new(script.clone()), scope)
        .list_mode(ListMode::Whole)
        .index("namespace", |entry, emit| {
            emit(entry.object.namespace().unwrap_or_default());
        })
        .handler(tally.handler())
        .build()
        .expect("a sound informer");
    let handle = informer.handle();
    let told = |wanted: u64| {
        let tally = tally.clone();
        async move {
            while tally.events() < wanted {
                tokio::task::yield_now().await;
            }
        }
    };
    let mut running = None;
    let listed = count(pods, || {
        running = Some(runtime.spawn(informer.run()));
        runtime.block_on(told(pods as u64));
    });
    let mut event = 0.0;
    for turn in 2..4 {
        let last = ResourceVersion::from_revision(burst.renumber());
        let bytes = Bytes::copy_from_slice(burst.bytes());
        event = count(pods, || {
            script.send(&bytes);
            runtime.block_on(told(turn * pods as u64));
        });
        let reached = runtime.block_on(handle.wait_for(&last, LIMIT));
        assert_eq!(reached, tidings::WaitOutcome::Reached);
    }
    handle.stop();
    let ended = running.map(|running| runtime.block_on(running));
    assert!(ended.is_some_and(|ended| ended.is_ok()));
    (listed, event)
}

/// Allocations and reallocations of `work`, an object.
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn count(objects: usize, work: impl FnOnce()) -> f64 {
    let region = Region::new(GLOBAL);
    work();
    let change = region.change();
    (change.allocations + change.reallocations) as f64 / objects as f64
}

fn show(what: &str, listed: f64, event: f64) {
    println!("allocations/listed/{what}: {listed:.3} an object");
    println!("allocations/event/{what}: {event:.3} an event");
}
