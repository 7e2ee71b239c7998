//! Reads the store of a Tidings informer while it follows the replay server, as the peers do.
//!
//! Prints one JSON object with the fields of `get_ns` that the peers print: the mean over batches
//! of gets without a clock inside, and percentiles of single gets with one reading of the clock.
//! Two sets of keys: as many as stay in the CPU's caches, and all of them.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::{
    env,
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tidings::{Informer, ListMode, Raw, Resource, Scope, Store};
use tidings_http::{Client, ClientConfig, kubeconfig};

/// The server begins its events some seconds after the sync: stay clear of the start.
const WARM_UP: Duration = Duration::from_secs(5);
const HOT_KEYS: usize = 1024;
const BATCH: usize = 256;
const SAMPLES_MAX: usize = 1 << 22;

fn main() -> Result<()> {
    let (mut config, mut seconds) = (None, 10);
    let mut words = env::args().skip(1);
    while let Some(flag) = words.next() {
        let value = words
            .next()
            .with_context(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--server" => config = Some(ClientConfig::from_server(&value).context("--server")?),
            "--kubeconfig" => {
                let overrides = kubeconfig::Overrides {
                    path: Some(value.into()),
                    ..kubeconfig::Overrides::default()
                };
                config = Some(kubeconfig::load(&overrides).context("--kubeconfig")?);
            }
            "--get-bench" => seconds = value.parse().context("--get-bench")?,
            // The server decides how many; the reads decide when it ends.
            "--events" => {}
            _ => bail!("unknown flag {flag}"),
        }
    }
    let config = config.context("--server or --kubeconfig is needed")?;
    let scope = Scope::all(Resource::parse("v1/pods")?);
    let informer = Informer::<Raw>::builder(Client::new(config)?, scope)
        .list_mode(ListMode::WatchList)
        .index("namespace", |entry, emit| {
            emit(entry.object.namespace().unwrap_or_default());
        })
        .build()?;
    let handle = informer.handle();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(async {
        let running = tokio::spawn(informer.run());
        handle.wait_synced(Duration::from_secs(120)).await?;
        let store = handle.store().clone();
        let changes = || handle.watch_progress().borrow().changes;
        tokio::time::sleep(WARM_UP).await;
        let (before, start) = (changes(), Instant::now());
        let (done, result) = tokio::sync::oneshot::channel();
        thread::spawn(move || done.send(measure(&store, Duration::from_secs(seconds))));
        let figures = result.await.context("the reading thread")??;
        let writes = u32::try_from(changes() - before).context("the writes")?;
        let rate = (f64::from(writes) / start.elapsed().as_secs_f64()).round();
        let objects = handle.store().len();
        ensure!(writes > 0, "nothing was written");
        handle.stop();
        running.await?;
        Ok::<_, anyhow::Error>(
            json!({"objects": objects, "list_bytes": 0, "events_per_s": rate, "get_ns": figures}),
        )
    })?;
    println!("{report}");
    Ok(())
}

fn measure(store: &Store<Raw>, time: Duration) -> Result<Value> {
    let keys: Vec<String> = store
        .snapshot()
        .iter()
        .map(|entry| entry.object.key().to_owned())
        .collect();
    ensure!(!keys.is_empty(), "the store is empty");
    let step = (keys.len() / HOT_KEYS).max(1);
    let hot: Vec<String> = keys.iter().step_by(step).take(HOT_KEYS).cloned().collect();
    let mut report = read(store, &hot, time / 2)?;
    report["all_keys"] = read(store, &keys, time / 2)?;
    Ok(report)
}

fn read(store: &Store<Raw>, keys: &[String], time: Duration) -> Result<Value> {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut pick = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let at = usize::try_from(random % keys.len() as u64).unwrap_or(0);
        keys[at].as_str()
    };
    let end = Instant::now() + time;
    let mut singles = Vec::with_capacity(SAMPLES_MAX);
    let (mut batches, mut spent) = (0_u32, Duration::ZERO);
    while Instant::now() < end {
        let start = Instant::now();
        for _ in 0..BATCH {
            let found = black_box(store.get(pick())).is_some();
            ensure!(found, "a listed pod is in the store");
        }
        spent += start.elapsed();
        batches += 1;
        for _ in 0..BATCH {
            let key = pick();
            let start = Instant::now();
            black_box(store.get(key));
            let elapsed = start.elapsed().as_nanos();
            if singles.len() < SAMPLES_MAX {
                singles.push(elapsed);
            }
        }
    }
    let mut timer: Vec<u128> = (0..100_000)
        .map(|_| Instant::now().elapsed().as_nanos())
        .collect();
    timer.sort_unstable();
    singles.sort_unstable();
    let at = |share: usize| u64::try_from(singles[(singles.len() - 1) * share / 1_000]).ok();
    let mean = spent.as_secs_f64() * 1e9 / (f64::from(batches) * 256.0);
    let timer = u64::try_from(timer[timer.len() / 2]).ok();
    Ok(json!({
        "p50": at(500), "p99": at(990), "p999": at(999), "max": at(1_000),
        "mean": mean, "timer": timer,
    }))
}
