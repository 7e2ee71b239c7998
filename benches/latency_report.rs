//! How long an event takes from the server's write to the handler's call, the store updated.
//!
//! Prints percentiles, which criterion does not: `cargo bench --bench latency_report`. One thread
//! writes an event of 6.8 KB to a socket on loopback, at 1000 events a second; another runs the
//! informer on a current-thread runtime. `same_core` pins both to one core, `across_cores` to two.
//! `reconcile` is the way to a reconcile of the object's key by one worker on the same runtime.
//! Floors in the same run: a thread that reads the event's bytes with blocking reads, and a tokio
//! task that does the same, both without any engine. The stamp is taken before the write.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::{
    io::Write,
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rustix::thread::{CpuSet, sched_setaffinity};
use tidings::{
    Event, Informer, InformerHandle, ListMode, Payload, Raw, Resource, Scope,
    controller::{Action, Controller, Request, Source},
};
use tidings_benches::{
    pods::{self, Burst},
    projection::Projection,
    replay::{Loopback, discard, discard_head},
    samples::Spread,
};
use tidings_http::{Client, ClientConfig};
use tokio::io::AsyncReadExt;

const PODS: usize = 2_000;
const PERIOD: Duration = Duration::from_millis(1);
const LIMIT: Duration = Duration::from_secs(10);
const PATH: &str = "/api/v1/pods?watch=true";

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let is_smoke = std::env::args().any(|argument| argument == "--test");
    let events = if is_bench && !is_smoke { 10_000 } else { 50 };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let server = Loopback::start(Bytes::from(pods::list(PODS)));
    for (name, writer, reader) in [("same_core", 1, 1), ("across_cores", 0, 1)] {
        if cores < 2 {
            println!("latency/{name}: not measured, there is one core");
            continue;
        }
        let pins = Pins { writer, reader };
        let blocking = floor_blocking(&server, events, pins);
        let tokio = floor_tokio(&server, events, pins);
        println!("latency/{name}/1000ps/floor-blocking-read: {blocking}");
        println!("latency/{name}/1000ps/floor-tokio-read: {tokio}");
        let raw = informer::<Raw>(&server, events, pins);
        let projection = informer::<Arc<Projection>>(&server, events, pins);
        let reconcile = reconcile(&server, events, pins);
        let spreads = [
            ("raw", raw),
            ("projection", projection),
            ("reconcile", reconcile),
        ];
        for (cache, spread) in spreads {
            let ratios = spread.ratios(&tokio);
            println!("latency/{name}/1000ps/{cache}: {spread}; of the tokio read {ratios}");
        }
    }
}

/// The cores of the two threads.
#[derive(Clone, Copy)]
struct Pins {
    writer: usize,
    reader: usize,
}

/// Keeps the calling thread, and those that it starts, on a core.
fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    // Where the system forbids it the figures are those of unpinned threads.
    if let Err(error) = sched_setaffinity(None, &set) {
        println!("latency: core {core} cannot be chosen: {error}");
    }
}

fn floor_blocking(server: &Loopback, events: usize, pins: Pins) -> Spread {
    let mut stream = server.request(PATH);
    let (seen, came) = mpsc::channel();
    let burst = Burst::chunked(PODS, PODS);
    let len = burst.event(0).len();
    thread::spawn(move || {
        pin(pins.reader);
        discard_head(&mut stream);
        for _ in 0..events {
            discard(&mut stream, len);
            // The writer waits for each.
            let _ = seen.send(Instant::now());
        }
    });
    write(server.watch(), burst, events, pins, came)
}

fn floor_tokio(server: &Loopback, events: usize, pins: Pins) -> Spread {
    let stream = server.request(PATH);
    let (seen, came) = mpsc::channel();
    let burst = Burst::chunked(PODS, PODS);
    let len = burst.event(0).len();
    thread::spawn(move || {
        pin(pins.reader);
        let mut stream = stream;
        discard_head(&mut stream);
        stream.set_nonblocking(true).expect("it is a socket");
        runtime().block_on(async move {
            let mut stream = tokio::net::TcpStream::from_std(stream).expect("it is a socket");
            let mut buffer = vec![0; 64 << 10];
            for _ in 0..events {
                let mut left = len;
                while left > 0 {
                    let read = stream.read(&mut buffer).await.expect("it goes on");
                    assert!(read > 0, "the stream goes on");
                    left = left.saturating_sub(read);
                }
                // The writer waits for each.
                let _ = seen.send(Instant::now());
            }
        });
    });
    write(server.watch(), burst, events, pins, came)
}

fn informer<P: Payload>(server: &Loopback, events: usize, pins: Pins) -> Spread {
    let (seen, came) = mpsc::channel();
    let config = ClientConfig::from_server(&server.url()).expect("a URL");
    let client = Client::new(config).expect("a client");
    let scope = Scope::all(Resource::parse("v1/pods").expect("a resource"));
    let informer = Informer::<P>::builder(client, scope)
        .list_mode(ListMode::Whole)
        .index("namespace", |entry, emit| {
            emit(entry.object.namespace().unwrap_or_default());
        })
        .handler(move |event: Event<'_, P>| {
            if let Event::Updated { new, .. } = event {
                let now = Instant::now();
                assert!(new.effective().is_some());
                // The writer waits for each.
                let _ = seen.send(now);
            }
        })
        .build()
        .expect("a sound informer");
    let handle = informer.handle();
    let running = thread::spawn(move || {
        pin(pins.reader);
        runtime().block_on(informer.run());
    });
    wait_synced(&handle);
    let spread = write(
        server.watch(),
        Burst::chunked(PODS, PODS),
        events,
        pins,
        came,
    );
    assert_eq!(handle.store().len(), PODS);
    handle.stop();
    running.join().expect("the informer ends");
    spread
}

/// Until a worker's reconcile of the key has begun, with what is asked of the store there.
fn reconcile(server: &Loopback, events: usize, pins: Pins) -> Spread {
    let (seen, came) = mpsc::channel();
    let config = ClientConfig::from_server(&server.url()).expect("a URL");
    let client = Client::new(config).expect("a client");
    let scope = Scope::all(Resource::parse("v1/pods").expect("a resource"));
    let informer = Informer::<Raw>::builder(client, scope).list_mode(ListMode::Whole);
    let informer = informer.build().expect("a sound informer");
    let handle = informer.handle();
    let store = handle.store().clone();
    let is_live = Arc::new(AtomicBool::new(false));
    let tells = Arc::clone(&is_live);
    let controller = Controller::builder("latency").source(Source::new(&handle));
    let controller = controller.build(move |request: Request| {
        let now = Instant::now();
        assert!(store.get(request.key().as_str()).is_some());
        if tells.load(Relaxed) {
            // The writer waits for each.
            let _ = seen.send(now);
        }
        std::future::ready(Ok(Action::Done))
    });
    let working = controller.handle();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = thread::spawn(move || {
        pin(pins.reader);
        runtime().block_on(async {
            tokio::spawn(informer.run());
            let shutdown = async {
                let _ = stopped.await;
            };
            controller.run(shutdown).await
        })
    });
    while working.stats().done < PODS as u64 {
        thread::yield_now();
    }
    is_live.store(true, Relaxed);
    let burst = Burst::chunked(PODS, PODS);
    let spread = write(server.watch(), burst, events, pins, came);
    assert_eq!(working.stats().done, (PODS + events) as u64);
    drop(stop);
    let ended = running.join().expect("the controller ends");
    ended.expect("in order");
    spread
}

fn wait_synced<P: Payload>(handle: &InformerHandle<P>) {
    let synced = runtime().block_on(handle.wait_synced(LIMIT));
    synced.expect("it syncs");
}

/// Writes events at their pace and takes the time from before each write until it was seen.
fn write(
    mut stream: TcpStream,
    mut burst: Burst,
    events: usize,
    pins: Pins,
    came: mpsc::Receiver<Instant>,
) -> Spread {
    // In a thread of its own, so that the pin goes with it.
    let writing = thread::spawn(move || {
        pin(pins.writer);
        let mut times = Vec::with_capacity(events);
        let start = Instant::now();
        let mut due = start;
        for number in 0..events {
            if number > 0 && number % burst.len() == 0 {
                burst.renumber();
            }
            due += PERIOD;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let sent = Instant::now();
            let event = burst.event(number % burst.len());
            stream.write_all(event).expect("the reader is there");
            let seen = came.recv_timeout(LIMIT).expect("the event is seen");
            times.push(seen.saturating_duration_since(sent));
        }
        assert_eq!(times.len(), events);
        Spread::of(&mut times)
    });
    writing.join().expect("the writer ends")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}
