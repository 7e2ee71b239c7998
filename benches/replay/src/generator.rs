//! Sends MODIFIED events at the times they are due, and stamps each with its send time.
//!
//! Open loop: event `n` is due `n / rate` after the start, whatever the client does. What is due
//! goes out in one write. The stamp is the clock when the event is composed, except that an event
//! that became due while the previous write was still blocked carries the time it was due: the
//! client's slowness is then in the latency (no coordinated omission), and an overslept timer of
//! the generator is not.
//! Cost: a copy of one pod and four patches an event, and one write a batch.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::http::Chunks;
use crate::pods::{Catalog, permuted};

/// A batch is written when it has this many bytes.
const BATCH_BYTES: usize = 128 * 1024;
const NANOS: u64 = 1_000_000_000;

/// What one event phase sends.
#[derive(Clone, Copy)]
pub struct Phase {
    /// How many events.
    pub events: u64,
    /// Events a second; 0 is as fast as the client reads.
    pub rate: u64,
}

/// What the generators have done, for `/replay/stats`.
#[derive(Default)]
pub struct Stats {
    /// Events written.
    pub events: AtomicU64,
    /// The longest time an event waited between being due and being written, in microseconds.
    pub behind_us_max: AtomicU64,
}

/// Sends one phase; `first` is the number of the first event in the watch's history.
///
/// # Errors
/// A failed write, which means that the client has gone.
pub fn run(
    out: &mut Chunks<'_>,
    catalog: &Catalog,
    metadata_only: bool,
    first: u64,
    phase: Phase,
    stats: &Stats,
) -> io::Result<()> {
    let mut batch = Vec::with_capacity(BATCH_BYTES + 32 * 1024);
    let start = wall_ns();
    // At rate 0 everything is due at once.
    let due = |n: u64| start + (n * NANOS).checked_div(phase.rate).unwrap_or(0);
    let mut unblocked = start;
    let mut sent = 0;
    while sent < phase.events {
        let next = due(sent);
        let mut now = wall_ns();
        if next > now {
            std::thread::sleep(Duration::from_nanos(next - now));
            now = wall_ns();
        }
        if phase.rate > 0 {
            stats
                .behind_us_max
                .fetch_max(now.saturating_sub(next) / 1_000, Ordering::Relaxed);
        }
        batch.clear();
        let before = sent;
        while sent < phase.events && due(sent) <= now && batch.len() < BATCH_BYTES {
            let was_blocked = phase.rate > 0 && due(sent) < unblocked;
            let stamp = if was_blocked { due(sent) } else { wall_ns() };
            append_modified(&mut batch, catalog, metadata_only, first + sent, stamp);
            sent += 1;
        }
        out.write_framed(&batch)?;
        unblocked = wall_ns();
        stats.events.fetch_add(sent - before, Ordering::Relaxed);
    }
    Ok(())
}

/// Appends event number `number` as one HTTP chunk.
fn append_modified(
    batch: &mut Vec<u8>,
    catalog: &Catalog,
    metadata_only: bool,
    number: u64,
    stamp: u64,
) {
    let index = permuted(number, catalog.len() as u64);
    let pod = catalog.pod(usize::try_from(index).expect("an index fits"));
    let (head, body, tail): (&[u8], _, &[u8]) = if metadata_only {
        (
            br#"{"type":"MODIFIED","object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","#,
            pod.metadata..pod.metadata_end,
            b"}}\n",
        )
    } else {
        (
            br#"{"type":"MODIFIED","object":"#,
            pod.object..pod.object_end,
            b"}\n",
        )
    };
    let len = head.len() + body.len() + tail.len();
    write!(batch, "{len:x}\r\n").expect("a Vec takes every write");
    batch.extend_from_slice(head);
    let start = batch.len();
    batch.extend_from_slice(catalog.slice(body.clone()));
    let object = &mut batch[start..];
    patch(
        object,
        pod.rv - body.start,
        10,
        catalog.list_rv() + 1 + number,
    );
    patch(object, pod.sent_at - body.start, 19, stamp);
    if !metadata_only {
        patch(object, pod.ready_second - body.start, 2, number % 60);
        patch(object, pod.restart_count - body.start, 1, number % 10);
    }
    batch.extend_from_slice(tail);
    batch.extend_from_slice(b"\r\n");
}

/// Overwrites `width` digits in place.
fn patch(bytes: &mut [u8], position: usize, width: usize, mut value: u64) {
    for digit in bytes[position..position + width].iter_mut().rev() {
        *digit = b"0123456789"[usize::try_from(value % 10).expect("one digit fits")];
        value /= 10;
    }
}

/// Returns the wall clock in nanoseconds since the Unix epoch.
fn wall_ns() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
