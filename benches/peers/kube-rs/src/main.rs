//! Measures a kube-rs reflector on the replay server and prints one JSON object, like `tidings measure`.
//!
//! The consumer is the stream that `reflector` returns: when it yields an event, the store already
//! holds the object. That is where latency ends.

mod args;
mod gets;
mod meter;

use std::fmt::Debug;
use std::hash::Hash;
use std::pin::pin;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{self, ObjectRef, store::Writer};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Map, Value, json};

use crate::args::{Args, List, Mode};
use crate::meter::{Latencies, Usage, wall_ns};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    if let Err(message) = run() {
        eprintln!("tidings-peer-kube-rs: {message}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), String> {
    let Some(args) = Args::parse(std::env::args().skip(1))? else {
        print!("{}", args::HELP);
        return Ok(());
    };
    let mut builder = if args.multi {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|error| format!("no tokio runtime: {error}"))?;
    let report = if args.multi {
        // A task of its own, as the main thread of a multi-threaded runtime is not a worker.
        let task = runtime.spawn(measure(args));
        runtime
            .block_on(task)
            .map_err(|error| format!("the task failed: {error}"))??
    } else {
        runtime.block_on(measure(args))?
    };
    println!("{}", Value::Object(report));
    // The process ends without freeing the store: that is not part of the measurement.
    std::process::exit(0);
}

async fn measure(args: Args) -> Result<Map<String, Value>, String> {
    let client = Client::try_from(config(&args).await?)
        .map_err(|error| format!("cannot make a client: {error}"))?;
    let config = match args.list {
        List::Paged => watcher::Config::default(),
        List::Watchlist => watcher::Config::default().streaming_lists(),
    };
    match args.mode {
        Mode::Typed => {
            let stream = watch(Api::<Pod>::all(client), config);
            if args.prune {
                follow(Writer::default(), (), stream.modify(prune), &args).await
            } else {
                follow(Writer::default(), (), stream, &args).await
            }
        }
        Mode::Metadata => {
            let stream = watch(Api::<PartialObjectMeta<Pod>>::all(client), config);
            if args.prune {
                let stream = stream.modify(prune::<PartialObjectMeta<Pod>>);
                follow(Writer::default(), (), stream, &args).await
            } else {
                follow(Writer::default(), (), stream, &args).await
            }
        }
        Mode::Dynamic => {
            let resource = ApiResource::erase::<Pod>(&());
            let stream = watch(Api::<DynamicObject>::all_with(client, &resource), config);
            let writer = Writer::new(resource.clone());
            if args.prune {
                follow(writer, resource, stream.modify(prune), &args).await
            } else {
                follow(writer, resource, stream, &args).await
            }
        }
    }
}

/// Returns how to reach the server.
async fn config(args: &Args) -> Result<kube::Config, String> {
    if args.kubeconfig.is_empty() {
        let url = args.server.parse();
        let url = url.map_err(|error| format!("--server: {error}"))?;
        return Ok(kube::Config::new(url));
    }
    let failed = |error| format!("--kubeconfig: {error}");
    let kubeconfig = Kubeconfig::read_from(&args.kubeconfig).map_err(failed)?;
    let options = KubeConfigOptions::default();
    kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(failed)
}

fn prune<K: Resource>(object: &mut K) {
    object.managed_fields_mut().clear();
}

/// Runs the reflector until the store is synced and, if asked for, until all events have come.
async fn follow<K, S>(
    writer: Writer<K>,
    resource: K::DynamicType,
    events: S,
    args: &Args,
) -> Result<Map<String, Value>, String>
where
    K: Resource + Clone + Debug + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone + Send + Sync,
    S: Stream<Item = watcher::Result<Event<K>>> + Send,
{
    let start_ns = wall_ns();
    let store = writer.as_reader();
    let mut stream = pin!(reflector::reflector(writer, events));
    let mut report = Map::new();
    loop {
        match next(&mut stream).await? {
            Event::InitDone => break,
            Event::Apply(_) | Event::Delete(_) => {
                return Err("an event came before the store was synced".to_owned());
            }
            Event::Init | Event::InitApply(_) => {}
        }
    }
    let synced = Usage::now();
    report.insert("objects".to_owned(), json!(store.len()));
    report.insert("list_bytes".to_owned(), json!(0));
    report.insert("sync_wall_ms".to_owned(), json!(ms(wall_ns() - start_ns)));
    synced.put_sync(&mut report);
    if args.events == 0 && args.get_bench_s == 0 {
        return Ok(report);
    }

    let mut latencies = Latencies::with_capacity(args.events);
    if args.get_bench_s == 0 {
        while latencies.len() < args.events {
            take(next(&mut stream).await?, args, &mut latencies);
        }
        latencies.put(&mut report);
        return Ok(report);
    }
    let keys = store.state().into_iter();
    let keys = keys
        .map(|object| ObjectRef::from_obj_with(&*object, resource.clone()))
        .collect();
    let mut figures = gets::start(store, keys, args.get_bench_s);
    loop {
        tokio::select! {
            event = next(&mut stream) => take(event?, args, &mut latencies),
            figures = &mut figures => {
                latencies.put(&mut report);
                let figures = figures.map_err(|_| "the reading thread panicked".to_owned())?;
                report.insert("get_ns".to_owned(), figures);
                return Ok(report);
            }
        }
    }
}

/// Notes the latency of an event that the store already holds.
fn take<K: Resource>(event: Event<K>, args: &Args, latencies: &mut Latencies) {
    if let Event::Apply(object) = event {
        let now = wall_ns();
        let stamp = object.annotations().get(&args.latency_annotation);
        let sent = stamp.and_then(|digits| digits.parse().ok()).unwrap_or(now);
        latencies.add(sent, now);
    }
}

/// Returns the next event. A version that the server has forgotten is no failure: the watcher
/// lists again.
async fn next<K, S>(stream: &mut S) -> Result<Event<K>, String>
where
    S: Stream<Item = watcher::Result<Event<K>>> + Unpin,
{
    loop {
        match stream.next().await {
            Some(Ok(event)) => return Ok(event),
            Some(Err(watcher::Error::WatchError(status))) if status.code == 410 => {}
            Some(Err(error)) => return Err(format!("the watcher failed: {error}")),
            None => return Err("the watcher ended".to_owned()),
        }
    }
}

fn ms(ns: u64) -> f64 {
    (ns / 1_000) as f64 / 1_000.0
}
