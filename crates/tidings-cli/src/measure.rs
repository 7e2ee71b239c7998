//! `tidings measure`: what an informer costs, through the public facade alone.

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tidings::{Informer, InformerHandle, ListMode, Raw, Resource, Scope};

use crate::{
    args::{Cache, List, Measure},
    connect, meter, output,
    pods::{self, Projection, Stamped},
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
    let mode = match args.list {
        List::Auto => ListMode::Auto,
        List::Paged => ListMode::Paged,
        List::Watchlist => ListMode::WatchList,
        List::Whole => ListMode::Whole,
    };
    if let Some(annotation) = &args.latency_annotation {
        pods::look_for(annotation);
    }
    let (counter, tally) = meter::counter(args.latency_annotation.as_deref(), args.events);
    let informer = Informer::<P>::builder(client, scope)
        .list_mode(mode)
        .index("namespace", |entry, emit| {
            emit(entry.object.namespace().unwrap_or_default())
        })
        .handler(counter)
        .build()?;
    let handle = informer.handle();
    let limit = Duration::from_secs(args.timeout);
    let started = Instant::now();
    let running = tokio::spawn(informer.run());
    handle.wait_synced(limit).await?;
    let left = limit.saturating_sub(started.elapsed());
    tally.wait_told(handle.store().len(), left).await?;
    let (sync_wall, sync_cpu) = (started.elapsed(), meter::cpu());
    let mut report = json!({
        "objects": handle.store().len(), "list_bytes": handle.state().list_bytes,
        "sync_wall_ms": ms(sync_wall), "sync_cpu_ms": ms(sync_cpu),
        "rss_bytes": meter::memory("VmRSS:")?, "peak_rss_bytes": meter::memory("VmHWM:")?,
    });
    if let Some(wanted) = args.events {
        let seen = tally.wait_events(wanted, limit).await?;
        report["events"] = wanted.into();
        report["events_wall_ms"] = ms(seen.wall).into();
        report["events_cpu_ms"] = ms(seen.cpu).into();
        report["events_per_s"] = per_second(wanted, seen.wall).into();
        report["events_peak_rss_bytes"] = meter::memory("VmHWM:")?.into();
        if let Some(annotation) = &args.latency_annotation {
            report["latency_us"] = latency(seen.latencies, annotation)?;
        }
    }
    handle.stop();
    running.await.context("the informer")?;
    tell_quality(&handle, tally.undecodable());
    output::line(&report.to_string())?;
    Ok(())
}

/// What the figures are worth, on stderr: objects that were not decoded cost less than others.
fn tell_quality<P: Stamped>(handle: &InformerHandle<P>, undecodable: u64) {
    if undecodable > 0 {
        output::note(&format!(
            "warning: {undecodable} times an object could not be decoded"
        ));
    }
    let text: usize = handle.store().snapshot().iter().map(P::text_len).sum();
    if text > 0 {
        output::note(&format!("the values hold {text} bytes of text"));
    }
}

/// The spread of the latencies, given in nanoseconds.
fn latency(mut all: Vec<u64>, annotation: &str) -> Result<serde_json::Value> {
    ensure!(
        !all.is_empty(),
        "no event carried a time in the annotation {annotation:?}"
    );
    all.sort_unstable();
    let at = |share: f64| percentile(&all, share) / 1000;
    Ok(json!({ "p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "max": at(1.0) }))
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

/// Events after the first, by the time from the first to the last.
#[expect(
    clippy::cast_precision_loss,
    reason = "a rate needs no more than six digits"
)]
fn per_second(events: u64, wall: Duration) -> f64 {
    (events.saturating_sub(1) as f64 / wall.as_secs_f64().max(1e-9)).round()
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
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
    fn latencies_are_sorted_and_their_absence_is_an_error() {
        let spread = latency(vec![9_000, 1_000, 5_000], "t").unwrap();
        assert_eq!(spread, json!({ "p50": 5, "p99": 9, "p999": 9, "max": 9 }));
        let error = latency(Vec::new(), "t").unwrap_err();
        assert!(error.to_string().contains("\"t\""), "{error}");
    }

    #[test]
    fn a_rate_counts_the_gaps_between_events() {
        assert!((per_second(11, Duration::from_secs(2)) - 5.0).abs() < 1e-9);
        assert!((ms(Duration::from_micros(1_260)) - 1.3).abs() < 1e-9);
    }
}
