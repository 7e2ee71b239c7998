//! `tidings measure`: what an informer costs, through the public facade alone.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tidings::{Event, Handler, Informer, ListMode, Raw, Resource, Scope};

use crate::{
    args::{Cache, List, Measure},
    connect, output,
    pods::{Projection, Stamped},
};

/// Runs the command.
pub(crate) async fn run(args: Measure) -> Result<ExitCode> {
    let resource = Resource::parse(&args.resource).context("--resource")?;
    let is_pods = resource.to_string() == "pods.v1";
    match args.cache {
        Cache::Raw => measure::<Raw>(args, resource).await?,
        Cache::Compressed => bail!("--cache compressed: not yet"),
        Cache::Projection | Cache::Typed if !is_pods => {
            bail!("--cache projection and typed know v1/pods alone");
        }
        Cache::Projection => measure::<Arc<Projection>>(args, resource).await?,
        Cache::Typed => measure::<Arc<Pod>>(args, resource).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure<P: Stamped>(args: Measure, resource: Resource) -> Result<()> {
    let client = connect::client(connect::config(&args.connection)?, args.http)?;
    let scope = Scope {
        namespace: args.namespace.clone(),
        ..Scope::all(resource)
    };
    let tally = Arc::new(Tally::default());
    let mode = match args.list {
        List::Auto => ListMode::Auto,
        List::Paged => ListMode::Paged,
        List::Watchlist => ListMode::WatchList,
        List::Whole => ListMode::Whole,
    };
    let handler = Counter {
        tally: Arc::clone(&tally),
        annotation: args.latency_annotation.clone().unwrap_or_default(),
        latencies: Vec::new(),
        wanted: args.events.unwrap_or(0),
        started: Instant::now(),
    };
    let informer = Informer::<P>::builder(client, scope)
        .list_mode(mode)
        .index("namespace", |entry, emit| {
            emit(entry.object.namespace().unwrap_or_default())
        })
        .handler(handler)
        .build()?;
    let handle = informer.handle();
    let limit = Duration::from_secs(args.timeout);
    let started = Instant::now();
    let running = tokio::spawn(informer.run());
    handle.wait_synced(limit).await?;
    let sync_wall = started.elapsed();
    let sync_cpu = cpu_ms()?;
    let state = handle.state();
    let mut report = json!({
        "objects": handle.store().len(), "list_bytes": state.list_bytes,
        "sync_wall_ms": ms(sync_wall), "sync_cpu_ms": sync_cpu,
    });
    if let Some(wanted) = args.events {
        tally.wait(wanted, limit).await?;
        report["events"] = wanted.into();
        let wall = tally.wall();
        report["events_wall_ms"] = ms(wall).into();
        report["events_cpu_ms"] = (cpu_ms()? - sync_cpu).into();
        report["events_per_s"] = per_second(wanted, wall).into();
    }
    report["rss_bytes"] = memory("VmRSS:")?.into();
    report["peak_rss_bytes"] = memory("VmHWM:")?.into();
    handle.stop();
    running.await.context("the informer")?;
    if args.events.is_some() && args.latency_annotation.is_some() {
        report["latency_us"] = tally.latency();
    }
    let text: usize = handle.store().snapshot().iter().map(P::text_len).sum();
    if text > 0 {
        output::note(&format!("the values hold {text} bytes of text"));
    }
    output::line(&report.to_string())?;
    Ok(())
}

/// What the handler has seen, for the main task to read.
#[derive(Default)]
struct Tally {
    events: AtomicU64,
    /// Nanoseconds since the handler was made.
    first: AtomicU64,
    last: AtomicU64,
    done: AtomicBool,
    latencies: std::sync::Mutex<Vec<u64>>,
}

impl Tally {
    async fn wait(&self, wanted: u64, limit: Duration) -> Result<()> {
        let started = Instant::now();
        while !self.done.load(Ordering::Acquire) {
            let seen = self.events.load(Ordering::Relaxed);
            ensure!(
                started.elapsed() < limit,
                "only {seen} of {wanted} events came within {} s",
                limit.as_secs()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn wall(&self) -> Duration {
        let (first, last) = (&self.first, &self.last);
        let nanos = last
            .load(Ordering::Acquire)
            .saturating_sub(first.load(Ordering::Acquire));
        Duration::from_nanos(nanos)
    }

    fn latency(&self) -> serde_json::Value {
        let mut all = self
            .latencies
            .lock()
            .map(|all| all.clone())
            .unwrap_or_default();
        all.sort_unstable();
        let at = |share: f64| percentile(&all, share) / 1000;
        json!({ "p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "max": at(1.0) })
    }
}

/// Counts live events and how late they are.
struct Counter {
    tally: Arc<Tally>,
    annotation: String,
    latencies: Vec<u64>,
    wanted: u64,
    started: Instant,
}

impl<P: Stamped> Handler<P> for Counter {
    fn handle(&mut self, event: Event<'_, P>) {
        if matches!(
            event,
            Event::Added {
                is_in_initial_list: true,
                ..
            }
        ) || self.wanted == 0
        {
            return;
        }
        if !self.annotation.is_empty()
            && let Some(sent) = P::sent(event.entry(), &self.annotation)
        {
            self.latencies.push(unix_nanos().saturating_sub(sent));
        }
        let now = nanos(self.started.elapsed());
        let events = self.tally.events.fetch_add(1, Ordering::Relaxed) + 1;
        if events == 1 {
            self.tally.first.store(now, Ordering::Release);
        }
        if events == self.wanted {
            self.tally.last.store(now, Ordering::Release);
            if let Ok(mut all) = self.tally.latencies.lock() {
                *all = std::mem::take(&mut self.latencies);
            }
            self.tally.done.store(true, Ordering::Release);
        }
    }
}

/// The value below which this share of the sorted values lies.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rank among fewer than 2^52 values"
)]
fn percentile(sorted: &[u64], share: f64) -> u64 {
    let rank = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(rank).copied().unwrap_or(0)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate needs no more than six digits"
)]
fn per_second(events: u64, wall: Duration) -> f64 {
    (events as f64 / wall.as_secs_f64().max(1e-9)).round()
}

fn ms(wall: Duration) -> f64 {
    (wall.as_secs_f64() * 10_000.0).round() / 10.0
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn unix_nanos() -> u64 {
    nanos(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

/// User and system time of this process, in steps of the kernel's clock tick of 10 ms.
fn cpu_ms() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/stat").context("this needs Linux's /proc")?;
    // The command's name may have blanks; the fields after its closing bracket have not.
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let field = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok());
    let ticks = field(12)
        .zip(field(13))
        .context("/proc/self/stat has no times")?;
    Ok((ticks.0 + ticks.1) * 10)
}

fn memory(name: &str) -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status").context("this needs Linux's /proc")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.with_context(|| format!("/proc/self/status has no {name}"))? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_ranks() {
        let all: Vec<u64> = (1..=1000).collect();
        assert_eq!((percentile(&all, 0.5), percentile(&all, 0.99)), (501, 990));
        assert_eq!((percentile(&all, 1.0), percentile(&[], 0.5)), (1000, 0));
    }

    #[test]
    fn this_process_has_times_and_memory() {
        assert!(memory("VmRSS:").unwrap() > 0 && memory("VmX:").is_err());
        assert!(cpu_ms().is_ok());
    }
}
