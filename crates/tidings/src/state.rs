//! What an informer is doing, as values that can be watched. Metrics, progress bars, health checks
//! and status pages read these and nothing else.

use std::time::Duration;

use tidings_api::ResourceVersion;
use tidings_engine::{
    fanout::HandlerStatus,
    ingest::BadInput,
    pipeline::Dropped,
    reflector::{Activity, Condition, Stats},
};

/// The state of one informer. Changes of activity, trouble, staleness and sync are published at
/// once, counters with them and otherwise a few times a second.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct State {
    /// What the reflector is doing.
    pub condition: Condition,
    /// When this was published, on the informer's clock (that of the condition's instants).
    pub at: tidings_api::Instant,
    /// Objects in the store.
    pub objects: usize,
    /// Bytes of the stored objects.
    pub object_bytes: usize,
    /// Objects that could not be decoded when they came, so far.
    pub poisoned_items: u64,
    /// Objects that came and did not fit [`crate::PipelineConfig::store_bytes_max`], so far.
    pub over_budget: u64,
    /// The last object or frame that could not be used, so far.
    pub bad_input: Option<BadInput>,
    /// Deltas that wait in the DeltaFIFO.
    pub depth: usize,
    /// Changes that wait to be told to handlers.
    pub backlog: usize,
    /// How each handler is doing.
    pub handlers: Vec<HandlerStatus>,
    /// How often an index function panicked over an entry, which is not in that index then (cg-P7).
    pub index_failures: u64,
    /// How often the reflector did what.
    pub stats: Stats,
    /// Events that changed nothing.
    pub dropped: Dropped,
    /// Bytes of response bodies, as they came off the connection.
    pub bytes_received: u64,
    /// Bytes of the list bodies among them, after decompression.
    pub list_bytes: u64,
}

impl State {
    /// Whether the condition differs in more than counters and versions, or something bad came.
    pub(crate) fn turned(&self, condition: &Condition, bad_input: Option<&BadInput>) -> bool {
        let known = &self.condition;
        let count = |bad: &BadInput| bad.count;
        self.bad_input.as_ref().map(count) != bad_input.map(count)
            || std::mem::discriminant(&known.activity)
                != std::mem::discriminant(&condition.activity)
            || known.synced != condition.synced
            || known.stale_since != condition.stale_since
            || known.trouble != condition.trouble
            || known.epoch != condition.epoch
    }

    /// Whether a complete state has ever been in the store.
    #[must_use]
    pub const fn is_synced(&self) -> bool {
        self.condition.synced
    }

    /// Whether the informer has stopped.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        matches!(self.condition.activity, Activity::Stopped)
    }

    /// How long the store may have lagged the server for another reason than the network's delay.
    #[must_use]
    pub fn stale_for(&self) -> Option<Duration> {
        self.condition
            .stale_since
            .map(|since| self.at.saturating_since(since))
    }

    /// One line for people.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut line = match &self.condition.activity {
            Activity::Idle => "not started".to_owned(),
            Activity::Listing {
                items,
                remaining: Some(remaining),
                ..
            } => {
                format!("listing: {items} of {}", items + remaining)
            }
            Activity::Listing {
                items,
                remaining: None,
                ..
            } => format!("listing: {items}"),
            Activity::Watching if self.condition.stale_since.is_some() => {
                "watching, maybe stale".to_owned()
            }
            Activity::Watching => "live".to_owned(),
            Activity::Waiting { until } => {
                let wait = until.saturating_since(self.at);
                format!("next attempt in {:.1} s", wait.as_secs_f64())
            }
            Activity::Stopped => "stopped".to_owned(),
        };
        if let Some(trouble) = &self.condition.trouble {
            line.push_str(" (");
            line.push_str(&trouble.message);
            line.push(')');
        }
        line
    }
}

/// How far the store is; published with every change of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The version that readers see.
    pub resource_version: Option<ResourceVersion>,
    /// The server history that it belongs to.
    pub epoch: u64,
    /// Grows with each publication.
    pub generation: u64,
    /// Changes so far.
    pub changes: u64,
    /// The informer has stopped.
    pub stopped: bool,
}
