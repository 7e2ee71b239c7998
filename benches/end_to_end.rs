//! The facade's informer on a current-thread runtime: over a scripted transport, and over a socket
//! on loopback from a server that replays pre-rendered bytes.
//!
//! `scripted` is the driver without the transport; `loopback` adds HTTP/1.1 and the kernel, with
//! the server in a thread of its own. The floor of both is reading the same bytes off the same
//! socket and throwing them away. Latency from a write to the handler is in `latency_report`.

use std::{
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use tidings::{
    Informer, InformerBuilder, InformerHandle, ListMode, Payload, Raw, Resource, ResourceVersion,
    Scope, WaitOutcome,
};
use tidings_benches::{
    pods::{self, Burst},
    projection::Projection,
    replay::{Loopback, Script, discard, discard_head},
    tally::Tally,
};
use tidings_http::{Client, ClientConfig};
use tokio::runtime::Runtime;

const PODS: usize = 10_000;
const PATH: &str = "/api/v1/pods?watch=true";
const LIMIT: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn scope() -> Scope {
    Scope::all(Resource::parse("v1/pods").expect("a resource"))
}

fn over_loopback<P: Payload>(server: &Loopback) -> InformerBuilder<P> {
    let config = ClientConfig::from_server(&server.url()).expect("a URL");
    Informer::builder(Client::new(config).expect("a client"), scope())
}

fn over_script<P: Payload>(script: &Script) -> InformerBuilder<P> {
    Informer::builder_over(Arc::new(script.clone()), scope())
}

/// An informer with one index and one handler, as users have it.
fn build<P: Payload>(builder: InformerBuilder<P>, tally: &Tally) -> Informer<P> {
    builder
        .list_mode(ListMode::Whole)
        .index("namespace", |entry, emit| {
            emit(entry.object.namespace().unwrap_or_default());
        })
        .handler(tally.handler())
        .build()
        .expect("a sound informer")
}

/// From the start of the informer until its handler was told everything. Its end is not counted.
fn time_sync<P: Payload>(builder: InformerBuilder<P>) -> Duration {
    let (runtime, tally) = (runtime(), Tally::default());
    let informer = build(builder, &tally);
    let handle = informer.handle();
    let start = Instant::now();
    let running = runtime.spawn(informer.run());
    runtime.block_on(async {
        handle.wait_synced(LIMIT).await.expect("it syncs");
        while tally.added() < PODS as u64 {
            tokio::task::yield_now().await;
        }
    });
    let spent = start.elapsed();
    assert_eq!(handle.store().len(), PODS);
    handle.stop();
    runtime.block_on(running).expect("the informer ends");
    spent
}

fn sync(c: &mut Criterion) {
    let list = Bytes::from(pods::list(PODS));
    let script = Script::new(list.clone());
    let server = Loopback::start(list.clone());
    let mut group = c.benchmark_group("end_to_end/sync");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(PODS as u64));
    group.bench_function("10k/scripted-raw", |b| {
        b.iter_custom(|count| {
            (0..count)
                .map(|_| time_sync::<Raw>(over_script(&script)))
                .sum()
        });
    });
    group.bench_function("10k/loopback-raw", |b| {
        b.iter_custom(|count| {
            (0..count)
                .map(|_| time_sync::<Raw>(over_loopback(&server)))
                .sum()
        });
    });
    group.bench_function("10k/loopback-projection", |b| {
        b.iter_custom(|count| {
            (0..count)
                .map(|_| time_sync::<Arc<Projection>>(over_loopback(&server)))
                .sum()
        });
    });
    group.bench_function("10k/floor-socket", |b| {
        b.iter(|| {
            let mut stream = server.request("/api/v1/pods");
            discard_head(&mut stream);
            discard(&mut stream, list.len());
        });
    });
    group.finish();
}

/// Runs until the store has the version and the handler was told as many updates.
fn wait_burst<P: Payload>(
    runtime: &Runtime,
    handle: &InformerHandle<P>,
    version: u64,
    told: impl Fn() -> bool,
) {
    let version = ResourceVersion::from_revision(version);
    runtime.block_on(async {
        let reached = handle.wait_for(&version, LIMIT).await;
        assert_eq!(reached, WaitOutcome::Reached);
        while !told() {
            tokio::task::yield_now().await;
        }
    });
}

/// Writes a burst to a watch.
type Send = Box<dyn FnMut(Bytes)>;

/// Measures bursts through an informer that is live; `send` writes one, from wherever it does.
fn time_bursts(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: &str,
    builder: InformerBuilder<Raw>,
    mut burst: Burst,
    sender: impl Fn() -> Option<Send>,
) {
    let (runtime, tally) = (runtime(), Tally::default());
    let informer = build(builder, &tally);
    let handle = informer.handle();
    let running = runtime.spawn(informer.run());
    runtime.block_on(async { handle.wait_synced(LIMIT).await.expect("it syncs") });
    // The watch is asked for in one of the informer's next turns.
    let mut send = runtime.block_on(async {
        loop {
            if let Some(send) = sender() {
                return send;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let mut sent = 0;
    group.bench_function(id, |b| {
        b.iter_custom(|count| {
            let mut spent = Duration::ZERO;
            for _ in 0..count {
                let last = burst.renumber();
                let bytes = Bytes::copy_from_slice(burst.bytes());
                sent += PODS as u64;
                let start = Instant::now();
                send(bytes);
                wait_burst(&runtime, &handle, last, || tally.updated() >= sent);
                spent += start.elapsed();
                assert_eq!(tally.updated(), sent);
            }
            spent
        });
    });
    handle.stop();
    runtime.block_on(running).expect("the informer ends");
}

fn burst(c: &mut Criterion) {
    let list = Bytes::from(pods::list(PODS));
    let script = Script::new(list.clone());
    let server = Loopback::start(list);
    let mut group = c.benchmark_group("end_to_end/burst");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(PODS as u64));
    let sender = || -> Option<Send> {
        let script = script.clone();
        Some(Box::new(move |bytes| script.send(&bytes)))
    };
    let lines = Burst::new(PODS, PODS);
    time_bursts(
        &mut group,
        "10k/scripted-raw",
        over_script(&script),
        lines,
        sender,
    );
    let chunked = Burst::chunked(PODS, PODS);
    let len = chunked.bytes().len();
    let floor = Bytes::copy_from_slice(chunked.bytes());
    time_bursts(
        &mut group,
        "10k/loopback-raw",
        over_loopback(&server),
        chunked,
        || server.try_watch().map(writer),
    );
    let mut stream = server.request(PATH);
    discard_head(&mut stream);
    let mut send = writer(server.watch());
    group.bench_function("10k/floor-socket", |b| {
        b.iter(|| {
            send(floor.clone());
            discard(&mut stream, len);
        });
    });
    group.finish();
}

/// A thread that writes what it is given to the stream.
fn writer(mut stream: std::net::TcpStream) -> Send {
    let (sender, receiver) = std::sync::mpsc::channel::<Bytes>();
    std::thread::spawn(move || {
        for bytes in receiver {
            // A client that has ended ends the writer too.
            if stream.write_all(&bytes).is_err() {
                return;
            }
        }
    });
    Box::new(move |bytes| sender.send(bytes).expect("the writer goes on"))
}

criterion_group!(benches, sync, burst);
criterion_main!(benches);
