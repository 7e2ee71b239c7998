//! Reads the clock, the CPU time and the memory of this process, and sums up latencies.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

/// Returns the wall clock in nanoseconds since the Unix epoch.
pub fn wall_ns() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// CPU time in microseconds and minor faults, of the whole process.
pub struct Usage {
    user_us: i64,
    system_us: i64,
    minor_faults: i64,
}

impl Usage {
    /// Asks the kernel.
    pub fn now() -> Self {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the pointer is valid for one rusage, which all-zero bytes already initialise.
        let usage = unsafe {
            libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
            usage.assume_init()
        };
        let micros = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
        Self {
            user_us: micros(usage.ru_utime),
            system_us: micros(usage.ru_stime),
            minor_faults: usage.ru_minflt,
        }
    }

    /// Returns what was used since an earlier reading.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            user_us: self.user_us - before.user_us,
            system_us: self.system_us - before.system_us,
            minor_faults: self.minor_faults - before.minor_faults,
        }
    }

    /// Adds the figures of the sync to the report.
    pub fn put_sync(&self, report: &mut Map<String, Value>) {
        report.insert("sync_cpu_ms".to_owned(), json!(self.cpu_ms()));
        report.insert(
            "sync_user_ms".to_owned(),
            json!(self.user_us as f64 / 1_000.0),
        );
        report.insert(
            "sync_system_ms".to_owned(),
            json!(self.system_us as f64 / 1_000.0),
        );
        report.insert("sync_minor_faults".to_owned(), json!(self.minor_faults));
        report.insert("rss_bytes".to_owned(), json!(status_bytes("VmRSS:")));
        report.insert("peak_rss_bytes".to_owned(), json!(status_bytes("VmHWM:")));
    }

    fn cpu_ms(&self) -> f64 {
        (self.user_us + self.system_us) as f64 / 1_000.0
    }
}

/// Reads one size from the kernel's status file of this process; 0 where there is none.
fn status_bytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_default();
    line.split_whitespace()
        .next()
        .and_then(|kb| kb.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// The latency of each event, and what was used since the first one came.
pub struct Latencies {
    ns: Vec<u64>,
    /// The clock and the usage when the first event was seen.
    first: Option<(u64, Usage)>,
    last_ns: u64,
}

impl Latencies {
    /// Makes room for all events beforehand.
    pub fn with_capacity(count: usize) -> Self {
        Self {
            ns: Vec::with_capacity(count),
            first: None,
            last_ns: 0,
        }
    }

    /// Adds an event by the times it was sent and seen.
    pub fn add(&mut self, sent_ns: u64, seen_ns: u64) {
        self.first.get_or_insert_with(|| (seen_ns, Usage::now()));
        self.ns.push(seen_ns.saturating_sub(sent_ns));
        self.last_ns = seen_ns;
    }

    /// Returns how many events there were.
    pub fn len(&self) -> usize {
        self.ns.len()
    }

    /// Adds the figures of the event phase to the report.
    pub fn put(mut self, report: &mut Map<String, Value>) {
        let Some((first_ns, before)) = self.first.take() else {
            return;
        };
        let usage = Usage::now().since(&before);
        let wall_ms = (self.last_ns - first_ns) as f64 / 1e6;
        report.insert("events".to_owned(), json!(self.ns.len()));
        report.insert("events_wall_ms".to_owned(), json!(wall_ms));
        report.insert("events_cpu_ms".to_owned(), json!(usage.cpu_ms()));
        let rate = if wall_ms > 0.0 {
            self.ns.len() as f64 / wall_ms * 1e3
        } else {
            0.0
        };
        report.insert("events_per_s".to_owned(), json!(rate.round()));
        report.insert("latency_us".to_owned(), percentiles(&mut self.ns, 1e3));
        report.insert(
            "events_peak_rss_bytes".to_owned(),
            json!(status_bytes("VmHWM:")),
        );
    }
}

/// Sorts the samples and returns p50, p99, p999 and max, each divided by `unit`.
pub fn percentiles(samples: &mut [u64], unit: f64) -> Value {
    samples.sort_unstable();
    let at = |share: f64| {
        let last = samples.len().saturating_sub(1);
        let rank = (last as f64 * share).round() as usize;
        samples
            .get(rank)
            .map_or(0.0, |sample| *sample as f64 / unit)
    };
    json!({ "p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "max": at(1.0) })
}
