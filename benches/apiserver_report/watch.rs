//! 100 watchers of config maps at 1000 writes a second: how late each event is.

use std::{
    io::Read as _,
    net::SocketAddr,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tidings_apiserver::serve::Handle;
use tidings_benches::samples::Spread;
use tokio::{io::AsyncReadExt as _, runtime::Runtime};

use crate::{
    client::{self, Writer},
    clock::{self, Start},
    floor, objects,
};

const OBJECTS: usize = 500;
const PERIOD: Duration = Duration::from_millis(1);

pub(crate) fn report(runtime: &Runtime, server: &Handle, watchers: usize, events: usize) {
    fill(server.address());
    let floor = floor::start(runtime, Bytes::new());
    for (name, address, label) in [
        ("floor-hyper-broadcast", floor, ""),
        ("plain", server.address(), ""),
        ("label", server.address(), "&labelSelector=app%3Dshop"),
    ] {
        let version = server.apply(|state| state.resource_version());
        let query = format!("watch=1&resourceVersion={version}{label}");
        one(name, address, &query, watchers, events);
    }
}

fn fill(address: SocketAddr) {
    let runtime = runtime();
    runtime.block_on(async {
        let mut writer = Writer::new(address).await;
        for number in 0..OBJECTS {
            let body = objects::config_map(number, 0);
            let code = writer.send("POST", objects::COLLECTION, &body).await;
            assert_eq!(code, 201, "{}", writer.answer());
        }
    });
}

fn one(name: &str, address: SocketAddr, query: &str, watchers: usize, events: usize) {
    let path = format!("{}?{query}", objects::COLLECTION);
    let epoch = Instant::now();
    let mut sockets = Vec::new();
    for _ in 0..watchers {
        let mut stream = client::ask(address, &path, "keep-alive");
        // The head comes at once: from here on the watch is open.
        let mut byte = [0; 4096];
        let read = stream.read(&mut byte).expect("a head");
        assert!(byte[..read].starts_with(b"HTTP/1.1 200"));
        sockets.push(stream);
    }
    let (ready, wait) = mpsc::channel();
    let start = Start::now();
    let reading = thread::spawn(move || {
        let lags = runtime().block_on(read_all(sockets, events, epoch, ready));
        (lags, clock::thread())
    });
    wait.recv().expect("the readers are there");
    let writing = thread::spawn(move || {
        runtime().block_on(write(address, events, epoch));
        clock::thread()
    });
    let writer = writing.join().expect("the writer ends");
    let (lags, reader) = reading.join().expect("the readers end");
    let cost = start.cost(writer + reader);
    let mut all: Vec<Duration> = lags.concat();
    assert_eq!(all.len(), watchers * events);
    let worst = lags.iter().filter_map(|lags| lags.iter().max()).max();
    let spread = Spread::of(&mut all);
    println!(
        "apiserver/watch/{watchers}x{events}/{name}: {spread}; slowest watcher {:.1?}; wall {:.1?}, \
         CPU server {:.1?}, readers {reader:.1?}, writer {writer:.1?}",
        worst.copied().unwrap_or_default(),
        cost.wall,
        cost.server
    );
}

/// One write a millisecond, each stamped before it is sent.
async fn write(address: SocketAddr, events: usize, epoch: Instant) {
    let mut writer = Writer::new(address).await;
    let start = Instant::now();
    for number in 0..events {
        let due = start + PERIOD * u32::try_from(number).unwrap_or(u32::MAX);
        tokio::time::sleep_until(due.into()).await;
        let object = number % OBJECTS;
        let body = objects::config_map(object, objects::stamp(epoch));
        let code = writer.send("PUT", &objects::path(object), &body).await;
        assert_eq!(code, 200, "{}", writer.answer());
    }
}

/// Every event's lag, a list for each watcher.
async fn read_all(
    sockets: Vec<std::net::TcpStream>,
    events: usize,
    epoch: Instant,
    ready: mpsc::Sender<()>,
) -> Vec<Vec<Duration>> {
    let tasks: Vec<_> = sockets
        .into_iter()
        .map(|socket| {
            socket.set_nonblocking(true).expect("a socket");
            let socket = tokio::net::TcpStream::from_std(socket).expect("a socket");
            tokio::spawn(read(socket, events, epoch))
        })
        .collect();
    ready.send(()).expect("somebody waits");
    let mut lags = Vec::new();
    for task in tasks {
        lags.push(task.await.expect("a watcher sees all"));
    }
    lags
}

async fn read(mut socket: tokio::net::TcpStream, events: usize, epoch: Instant) -> Vec<Duration> {
    let mut lags = Vec::with_capacity(events);
    let mut buffer = Vec::with_capacity(64 << 10);
    let mut last = 0;
    while lags.len() < events {
        let read = socket.read_buf(&mut buffer).await.expect("it goes on");
        assert!(read > 0, "no watch is ended");
        let now = epoch.elapsed().as_nanos();
        let done = objects::stamps(&buffer, |stamp| {
            assert!(stamp > last, "in the order of the writes");
            last = stamp;
            let lag = u64::try_from(now.saturating_sub(stamp)).unwrap_or(u64::MAX);
            lags.push(Duration::from_nanos(lag));
        });
        buffer.drain(..done);
    }
    lags
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}
