//! How long everything may take to be level again, once the faults stop: a bound for each of them.
//!
//! Does not measure: the world does, and holds each run to the largest bound of what may still have an
//! effect. The numbers are the reflector's own.
//!
//! B1  What acted longer ago than its bound has no effect any more.
//!
//! ```text
//!  any fault   a wait, a refusal for what was compacted meanwhile, a wait, a list     180 s
//!  half-open   ten minutes of silence, the verdict on a probe, and the above          850 s
//! ```

use std::time::Duration;

use tidings_api::{Instant, status::RETRY_AFTER_MAX};
use tidings_engine::reflector::Config;

/// What has a bound of its own, by the class of a fault, the word of an op or a knob; the last stands for all
/// others.
pub const BOUNDED: [&str; 14] = [
    "half-open",
    "no-answer",
    "restore",
    "refuse",
    "error-event",
    "overload",
    "crd-delete",
    "too-large",
    "stall",
    "watchlists",
    "mute",
    "add-handler",
    "drip",
    "others",
];

const OTHERS: usize = BOUNDED.len() - 1;

/// How long everything may take to be level again after a fault or an op, once the faults stop.
#[must_use]
pub fn bound_of(name: &str) -> Duration {
    let config = Config::default();
    // The longest wait after a failure, doubled by jitter.
    let wait = config.backoff.max * 2;
    let base = wait + wait + config.list_silence_max;
    let own = match name {
        // A watch that was found healthy is looked at after so long, wherever it leads: to a dead
        // peer, to one that never answers, to a version of the future.
        "half-open" | "no-answer" | "restore" => config.silence_max_healthy + config.probe_verdict,
        // 403 and 404; or the server's own word, with jitter.
        "refuse" | "error-event" | "overload" | "crd-delete" => {
            (config.slow_retry * 2).max(RETRY_AFTER_MAX * 3 / 2)
        }
        // Each of the closed watches is followed by a wait.
        "mute" => wait * config.short_streams_max,
        "too-large" => config.too_large_max,
        "watchlists" => config.watch_list_first_max,
        "stall" => STALL_MAX,
        "drip" => DRIP_MAX,
        // What a handler panicked on is told again.
        "add-handler" => REDELIVERY,
        _ => Duration::ZERO,
    };
    base + own
}

/// When each of them acted last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Acted([Option<Instant>; BOUNDED.len()]);

// === impl Acted ===

impl Acted {
    pub(crate) fn note(&mut self, name: &str, now: Instant) {
        let row = BOUNDED.iter().position(|row| *row == name);
        self.0[row.unwrap_or(OTHERS)] = Some(now);
    }

    /// The one with the largest bound of those that may still have an effect (B1).
    pub(crate) fn worst(&self, now: Instant) -> usize {
        let rows = BOUNDED.iter().zip(&self.0).enumerate();
        let is_near = |name: &str, at: Instant| at + bound_of(name) >= now;
        let near = rows.filter(|(_, (name, at))| at.is_some_and(|at| is_near(name, at)));
        let worst = near.max_by_key(|(row, (name, _))| (bound_of(name), BOUNDED.len() - row));
        worst.map_or(OTHERS, |(row, _)| row)
    }
}

/// The longest that the generator draws.
const STALL_MAX: Duration = Duration::from_secs(40);
const DRIP_MAX: Duration = Duration::from_secs(20);
/// The fan-out's own default, and a moment.
const REDELIVERY: Duration = Duration::from_secs(31);
