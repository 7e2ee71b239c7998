//! What queues, controllers, elections and informers count, in Prometheus' text format 0.0.4.
//!
//! Does not collect, serve or keep anything: a scrape reads the values, tells them to an [`Exposition`] and
//! sends its text with the type [`CONTENT_TYPE`].
//!
//! X1  The samples of a family stand together, below its one HELP and TYPE.
//! X2  No series stands twice: of two parts of one kind and name the first counts, since a server that finds
//!     a series twice refuses all of them.
//! X3  A label's value is written so that it ends where it ends, whatever is in it.
//!
//! Names are those of client-go and controller-runtime where the meaning is theirs, else they begin with
//! `tidings_`; `docs/src/reference/metrics.md` lists them.
//! Source: prometheus/docs exposition_formats.md; client-go util/workqueue/metrics.go @32ce75a7d;
//! controller-runtime pkg/internal/controller/metrics @86a0d40e.

use std::{
    collections::BTreeSet,
    fmt::{self, Display, Write as _},
};

use tidings_engine::workqueue::{Durations, LEVELS, Stats as WorkQueueStats};
use tokio::time::Instant;

use crate::{controller::ControllerStats, leader::Leadership, state::State};

/// The `Content-Type` of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Values on their way to a text.
///
/// # Example
///
/// ```
/// use tidings::{WorkQueueStats, metrics::Exposition};
///
/// let mut exposition = Exposition::new();
/// exposition.work_queue("pods", &WorkQueueStats::default());
/// let text = exposition.to_string();
/// assert!(text.contains("workqueue_adds_total{name=\"pods\"} 0\n"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    families: Vec<Family>,
    /// The parts that were told: kind and name.
    told: BTreeSet<(&'static str, String)>,
}

#[derive(Clone, Debug)]
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: String,
}

/// The samples of one part: a queue, a controller, an election or an informer.
struct Part<'a> {
    families: &'a mut Vec<Family>,
    /// The label that says which part, escaped.
    label: String,
}

// === impl Exposition ===

impl Exposition {
    /// Without values.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            families: Vec::new(),
            told: BTreeSet::new(),
        }
    }

    /// A queue.
    pub fn work_queue(&mut self, name: &str, stats: &WorkQueueStats) {
        let Some(mut part) = self.part("workqueue", "name", name) else {
            return;
        };
        for (level, depth) in LEVEL_NAMES.iter().zip(stats.depth) {
            let more = format!(",priority=\"{level}\"");
            let help = "Keys that wait for a worker.";
            part.sample("workqueue_depth", "gauge", help, &more, depth);
        }
        part.counter("workqueue_adds_total", "Keys that became due.", stats.adds);
        let help = "Additions after a delay.";
        part.counter("workqueue_retries_total", help, stats.retries);
        let help = "How long keys waited for a worker.";
        part.histogram(
            "workqueue_queue_duration_seconds",
            help,
            &stats.queue_duration,
        );
        let help = "How long workers worked on keys.";
        part.histogram(
            "workqueue_work_duration_seconds",
            help,
            &stats.work_duration,
        );
        let unfinished = stats.unfinished_work.as_secs_f64();
        let help = "How long what is worked on has been so, together.";
        part.gauge("workqueue_unfinished_work_seconds", help, unfinished);
        let longest = stats.longest_running.as_secs_f64();
        let help = "How long the first of what is worked on has been so.";
        part.gauge("workqueue_longest_running_processor_seconds", help, longest);
        let help = "Additions of keys that were due already.";
        part.counter(
            "tidings_workqueue_deduplicated_total",
            help,
            stats.deduplicated,
        );
        let help = "Keys that wait for their time.";
        part.gauge("tidings_workqueue_delayed", help, stats.delayed);
        let help = "Keys that are worked on.";
        part.gauge("tidings_workqueue_processing", help, stats.processing);
    }

    /// A controller.
    pub fn controller(&mut self, name: &str, stats: &ControllerStats) {
        let Some(mut part) = self.part("controller", "controller", name) else {
            return;
        };
        let errors = stats.retried.saturating_add(stats.gave_up);
        let results = [
            ("success", stats.done),
            ("requeue_after", stats.again),
            ("error", errors),
        ];
        for (result, count) in results {
            let more = format!(",result=\"{result}\"");
            let help = "Reconciles that ended, by how.";
            part.sample(
                "controller_runtime_reconcile_total",
                "counter",
                help,
                &more,
                count,
            );
        }
        for (name, help, count) in of_controller(stats) {
            part.counter(name, help, count);
        }
        let gauges = [
            (
                "controller_runtime_active_workers",
                "Workers that have a key.",
                stats.active,
            ),
            (
                "tidings_controller_own_writes_pending",
                "Keys with own writes that a store may not have seen.",
                stats.own_writes_pending,
            ),
            (
                "tidings_controller_parked",
                "Keys that are parked.",
                stats.parked,
            ),
        ];
        for (name, help, value) in gauges {
            part.gauge(name, help, value);
        }
    }

    /// A candidate's part in an election: whether it leads at `now`, by the clock.
    pub fn leader(&mut self, name: &str, leadership: &Leadership, now: Instant) {
        let Some(mut part) = self.part("leader", "name", name) else {
            return;
        };
        let leads = leadership.is_valid(now);
        let help = "Whether this candidate leads.";
        part.gauge("leader_election_master_status", help, u8::from(leads));
        if let Some(fencing) = leadership.fencing.filter(|_| leads) {
            let help = "The number of the leadership, while this candidate leads.";
            part.gauge("tidings_leader_fencing_token", help, fencing);
        }
    }

    /// An informer. The name is the caller's: that of its resource, where one is followed once.
    pub fn informer(&mut self, name: &str, state: &State) {
        let Some(mut part) = self.part("informer", "informer", name) else {
            return;
        };
        let synced = u8::from(state.is_synced());
        let help = "Whether a complete state has ever been in the store.";
        part.gauge("tidings_informer_synced", help, synced);
        let stale = state.stale_for().unwrap_or_default().as_secs_f64();
        let help = "How long the store may have lagged the server.";
        part.gauge("tidings_informer_stale_seconds", help, stale);
        let gauges = [
            (
                "tidings_informer_objects",
                "Objects in the store.",
                state.objects,
            ),
            (
                "tidings_informer_object_bytes",
                "Bytes of the stored objects.",
                state.object_bytes,
            ),
            (
                "tidings_informer_delta_fifo_depth",
                "Deltas that wait in the DeltaFIFO.",
                state.depth,
            ),
            (
                "tidings_informer_backlog",
                "Changes that wait to be told to handlers.",
                state.backlog,
            ),
        ];
        for (name, help, value) in gauges {
            part.gauge(name, help, value);
        }
        for (name, help, count) in of_informer(state) {
            part.counter(name, help, count);
        }
    }

    /// The samples of a part that has not been told yet (X2).
    fn part(&mut self, kind: &'static str, label: &str, name: &str) -> Option<Part<'_>> {
        if !self.told.insert((kind, name.to_owned())) {
            return None;
        }
        Some(Part {
            label: format!("{label}=\"{}\"", escaped(name)),
            families: &mut self.families,
        })
    }
}

impl Display for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for family in &self.families {
            let (name, kind, help) = (family.name, family.kind, family.help);
            writeln!(f, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
            f.write_str(&family.samples)?;
        }
        Ok(())
    }
}

/// A name, what it means, and the count.
type Counter = (&'static str, &'static str, u64);

/// What a controller counts beside the ways in which reconciles end.
fn of_controller(stats: &ControllerStats) -> [Counter; 9] {
    [
        (
            "controller_runtime_reconcile_errors_total",
            "Reconciles that failed.",
            stats.retried.saturating_add(stats.gave_up),
        ),
        (
            "controller_runtime_reconcile_panics_total",
            "Reconciles that panicked.",
            stats.panicked,
        ),
        (
            "controller_runtime_reconcile_timeouts_total",
            "Reconciles that were not done within their deadline.",
            stats.timed_out,
        ),
        (
            "tidings_controller_given_up_total",
            "Reconciles after which a key was parked.",
            stats.gave_up,
        ),
        (
            "tidings_controller_cancelled_total",
            "Reconciles that somebody cancelled.",
            stats.cancelled,
        ),
        (
            "tidings_controller_dropped_total",
            "Reconciles that a lost leadership or a shutdown cut short.",
            stats.dropped,
        ),
        (
            "tidings_controller_own_write_waits_total",
            "Waits for a store to see own writes.",
            stats.own_write_waits,
        ),
        (
            "tidings_controller_own_write_timeouts_total",
            "Of these, waits that were given up for the time being.",
            stats.own_write_timeouts,
        ),
        (
            "tidings_controller_own_writes_forgotten_total",
            "Own writes that were forgotten because one key had too many.",
            stats.own_writes_forgotten,
        ),
    ]
}

/// What an informer counts.
fn of_informer(state: &State) -> [Counter; 12] {
    let stats = &state.stats;
    [
        (
            "tidings_informer_lists_total",
            "Lists, pages and probes not counted.",
            stats.lists,
        ),
        (
            "tidings_informer_pages_total",
            "Further pages of lists.",
            stats.pages,
        ),
        (
            "tidings_informer_watch_lists_total",
            "Watches with initial events.",
            stats.watch_lists,
        ),
        (
            "tidings_informer_watches_total",
            "Plain watches.",
            stats.watches,
        ),
        (
            "tidings_informer_probes_total",
            "Probes of silent watches.",
            stats.probes,
        ),
        (
            "tidings_informer_events_total",
            "Events about objects, initial ones not counted.",
            stats.events,
        ),
        (
            "tidings_informer_bookmarks_total",
            "Bookmarks.",
            stats.bookmarks,
        ),
        (
            "tidings_informer_epochs_total",
            "New histories of the server.",
            stats.epochs,
        ),
        (
            "tidings_informer_poisoned_total",
            "Objects that could not be decoded.",
            state.poisoned_items,
        ),
        (
            "tidings_informer_over_budget_total",
            "Objects that did not fit the store's budget.",
            state.over_budget,
        ),
        (
            "tidings_informer_index_failures_total",
            "Panics of index functions.",
            state.index_failures,
        ),
        (
            "tidings_informer_received_bytes_total",
            "Bytes of response bodies as they came.",
            state.bytes_received,
        ),
    ]
}

/// The values of the label `priority`, the highest first, as [`WorkQueueStats::depth`] is.
const LEVEL_NAMES: [&str; LEVELS] = ["high", "normal", "low"];

/// Prometheus' three escapes of a label's value.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

// === impl Part ===

impl Part<'_> {
    fn counter(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.sample(name, "counter", help, "", value);
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, value: impl Display) {
        self.sample(name, "gauge", help, "", value);
    }

    fn sample(
        &mut self,
        name: &'static str,
        kind: &'static str,
        help: &'static str,
        more: &str,
        value: impl Display,
    ) {
        let label = self.label.clone();
        write_line(
            self.family(name, kind, help),
            (name, ""),
            (&label, more),
            value,
        );
    }

    /// Cumulative buckets in seconds, the last one of everything.
    fn histogram(&mut self, name: &'static str, help: &'static str, durations: &Durations) {
        let label = self.label.clone();
        let text = self.family(name, "histogram", help);
        for (bound, count) in durations.buckets() {
            let more = format!(",le=\"{}\"", bound.as_secs_f64());
            write_line(text, (name, "_bucket"), (&label, &more), count);
        }
        let all = (label.as_str(), ",le=\"+Inf\"");
        write_line(text, (name, "_bucket"), all, durations.count());
        let sum = durations.sum().as_secs_f64();
        write_line(text, (name, "_sum"), (&label, ""), sum);
        write_line(text, (name, "_count"), (&label, ""), durations.count());
    }

    fn family(
        &mut self,
        name: &'static str,
        kind: &'static str,
        help: &'static str,
    ) -> &mut String {
        let known = self.families.iter().position(|family| family.name == name);
        let at = known.unwrap_or_else(|| {
            self.families.push(Family {
                name,
                kind,
                help,
                samples: String::new(),
            });
            self.families.len() - 1
        });
        &mut self.families[at].samples
    }
}

fn write_line(
    text: &mut String,
    (name, suffix): (&str, &str),
    (label, more): (&str, &str),
    value: impl Display,
) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{name}{suffix}{{{label}{more}}} {value}");
}

#[cfg(test)]
mod tests;
