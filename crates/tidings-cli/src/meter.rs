//! What `measure` reads: a handler that counts, and the CPU time and memory of this process.
//!
//! Does not know what a figure is for. The handler runs in the informer's task and the command
//! waits in another; between them stands a [`Tally`].
//!
//! M1  The clocks are read before the annotation is looked for: the search is not in the latency.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use rustix::time::{ClockId, clock_gettime};
use tidings::{Event, Handler};
use tokio::sync::Notify;

use crate::pods::Stamped;

/// What was seen of the events, once all of them have come.
#[derive(Debug)]
pub(crate) struct Seen {
    /// From the first event to the last.
    pub(crate) wall: Duration,
    /// CPU time of the process meanwhile.
    pub(crate) cpu: Duration,
    /// How late each event was that carried a time, in nanoseconds.
    pub(crate) latencies: Vec<u64>,
}

/// What the handler has seen, for the command to wait for.
pub(crate) struct Tally {
    /// Objects of the initial state that the handler was told.
    initial: AtomicU64,
    /// The number of them that the command waits for.
    initial_wanted: AtomicU64,
    events: AtomicU64,
    undecodable: AtomicU64,
    seen: Mutex<Option<Seen>>,
    turned: Notify,
}

/// Counts events and how late they are.
pub(crate) struct Counter {
    tally: Arc<Tally>,
    annotation: Option<Box<str>>,
    wanted: u64,
    first: Option<(Instant, Duration)>,
    latencies: Vec<u64>,
}

/// A handler, and what it has seen.
pub(crate) fn counter(annotation: Option<&str>, wanted: Option<u64>) -> (Counter, Arc<Tally>) {
    let tally = Arc::new(Tally {
        initial: AtomicU64::new(0),
        initial_wanted: AtomicU64::new(u64::MAX),
        events: AtomicU64::new(0),
        undecodable: AtomicU64::new(0),
        seen: Mutex::new(None),
        turned: Notify::new(),
    });
    let wanted = wanted.unwrap_or(0);
    let room = if annotation.is_some() { wanted } else { 0 };
    let room = usize::try_from(room).unwrap_or(0).min(LATENCIES_AT_ONCE);
    let counter = Counter {
        tally: Arc::clone(&tally),
        annotation: annotation.map(Into::into),
        wanted,
        first: None,
        latencies: Vec::with_capacity(room),
    };
    (counter, tally)
}

// === impl Tally ===

impl Tally {
    /// Waits until the handler was told the initial state, of so many objects.
    pub(crate) async fn wait_told(&self, objects: usize, limit: Duration) -> Result<()> {
        let wanted = objects as u64;
        self.initial_wanted.store(wanted, Ordering::SeqCst);
        let told = || self.initial.load(Ordering::SeqCst);
        // An event after the initial state proves that the handler has that behind it.
        let is_told = || told() >= wanted || self.events.load(Ordering::SeqCst) > 0;
        if self.wait(is_told, limit).await.is_err() {
            bail!(
                "the handler was told only {} of {wanted} objects in time",
                told()
            );
        }
        Ok(())
    }

    /// Waits until so many events were handled.
    pub(crate) async fn wait_events(&self, wanted: u64, limit: Duration) -> Result<Seen> {
        let take = || self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = self.wait(|| take().is_some(), limit).await;
        if let (Ok(()), Some(seen)) = (ended, take().take()) {
            return Ok(seen);
        }
        let came = self.events.load(Ordering::SeqCst);
        bail!(
            "only {came} of {wanted} events came within {} s",
            limit.as_secs()
        );
    }

    /// How often the handler was told of an object that cannot be decoded.
    pub(crate) fn undecodable(&self) -> u64 {
        self.undecodable.load(Ordering::SeqCst)
    }

    async fn wait(
        &self,
        holds: impl Fn() -> bool,
        limit: Duration,
    ) -> Result<(), tokio::time::error::Elapsed> {
        tokio::time::timeout(limit, async {
            while !holds() {
                self.turned.notified().await;
            }
        })
        .await
    }

    /// Whether the event belongs to the initial state; counts it there.
    fn is_initial<P>(&self, event: &Event<'_, P>) -> bool {
        let wanted = self.initial_wanted.load(Ordering::SeqCst);
        let is_initial = match event {
            Event::Added {
                is_in_initial_list, ..
            } => *is_in_initial_list,
            Event::Poisoned { .. } => {
                self.undecodable.fetch_add(1, Ordering::SeqCst);
                self.initial.load(Ordering::SeqCst) < wanted
            }
            Event::Updated { .. } | Event::Deleted { .. } => false,
        };
        if is_initial && self.initial.fetch_add(1, Ordering::SeqCst) + 1 >= wanted {
            self.turned.notify_one();
        }
        is_initial
    }
}

// === impl Counter ===

impl<P: Stamped> Handler<P> for Counter {
    fn handle(&mut self, event: Event<'_, P>) {
        if self.tally.is_initial(&event) {
            return;
        }
        let events = self.tally.events.fetch_add(1, Ordering::SeqCst) + 1;
        if events > self.wanted {
            return;
        }
        if let (Some(annotation), Event::Added { new, .. } | Event::Updated { new, .. }) =
            (&self.annotation, &event)
        {
            let now = unix_nanos();
            let sent = P::sent(new, annotation);
            let late = sent.map(|sent| now.saturating_sub(sent));
            self.latencies.extend(late);
        }
        let (first, first_cpu) = *self.first.get_or_insert_with(|| (Instant::now(), cpu()));
        if events == 1 {
            self.tally.turned.notify_one();
        }
        if events == self.wanted {
            let seen = Seen {
                wall: first.elapsed(),
                cpu: cpu().saturating_sub(first_cpu),
                latencies: std::mem::take(&mut self.latencies),
            };
            let slot = &self.tally.seen;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
            self.tally.turned.notify_one();
        }
    }
}

/// User and system time of this process, all threads together.
pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // The clock counts up from zero: neither part is negative.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A size that the kernel tells of this process, in bytes.
pub(crate) fn memory(name: &str) -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status").context("this needs Linux's /proc")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.with_context(|| format!("/proc/self/status has no {name}"))? * 1024)
}

fn unix_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

/// Latencies for which there is room before the first comes; beyond it the list grows.
const LATENCIES_AT_ONCE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_times_and_memory() {
        assert!(memory("VmRSS:").unwrap() > 0 && memory("VmX:").is_err());
        let before = cpu();
        assert!(before > Duration::ZERO && cpu() >= before);
    }

    #[tokio::test]
    async fn events_that_stay_away_are_an_error_with_their_number() {
        let (_counter, tally) = counter(None, Some(3));
        let error = tally.wait_events(3, Duration::ZERO).await.unwrap_err();
        assert_eq!(error.to_string(), "only 0 of 3 events came within 0 s");
        let error = tally.wait_told(2, Duration::ZERO).await.unwrap_err();
        assert!(error.to_string().contains("only 0 of 2"), "{error}");
        tally.wait_told(0, Duration::ZERO).await.unwrap();
    }
}
