//! Tells people what a controller does: events, aggregated and sent behind the caller's back.
//!
//! Does not block whoever reports, and does not promise that a report arrives: events are for people.
//!
//! ```text
//!   EventRecorder::report --lock, count--> Series --one at a time--> EventSender::run --> server
//!                                            ^                             | answer, or a wait
//!                                            '-----------------------------'
//! ```
//! V1  A report costs a short lock and no I/O, whatever the server does.
//! V2  One request is under way at a time; the lock is not held meanwhile.
//! V3  The sender ends when nobody can report any more and what was reported is sent or given up.
//!
//! Source: client-go tools/events @v0.36.3.

mod document;
mod series;

use std::{
    fmt,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tidings_api::{Instant, ObjectKey, Resource, status::Refusal};
use tokio::sync::Notify;

use self::{
    document::{Document, WallTime},
    series::{Answered, Output, Series},
};
pub use self::{
    document::{EventReport, EventSource, Severity},
    series::{EventLimits, EventStats},
};
use crate::{
    api::{Api, ApiError, Patch, ResourceApi, Written},
    wiring::rand_seed,
};

/// Reports events. Cheap to clone; clones share everything.
///
/// # Example
///
/// ```no_run
/// # async fn run(api: tidings::Api, web: tidings::ObjectReference) {
/// use tidings::{EventLimits, EventRecorder, EventReport, EventSource};
///
/// let source = EventSource::new("example.com/web", "web-controller-0");
/// let (events, sender) = EventRecorder::new(&api, source, EventLimits::default());
/// let sending = tokio::spawn(sender.run());
/// events.report(EventReport::normal(web, "Scaled", "Scaling", "scaled to 3 replicas"));
/// drop(events);
/// let _ = sending.await; // What was reported is sent.
/// # }
/// ```
pub struct EventRecorder {
    shared: Arc<Shared>,
}

/// Sends what recorders report. Its future is the user's to spawn.
#[must_use = "nothing is sent unless it runs"]
pub struct EventSender {
    shared: Arc<Shared>,
    sink: Box<dyn Sink>,
}

struct Shared {
    state: Mutex<State>,
    wake: Notify,
    source: Arc<EventSource>,
    start: tokio::time::Instant,
    wall_clock: fn() -> u64,
}

struct State {
    series: Series,
    recorders: usize,
    /// The time of the latest event: each has its own, since it is in its name.
    last: u64,
}

/// Where events are written.
trait Sink: Send {
    fn send<'a>(&'a self, output: &'a Output) -> Sending<'a>;
}

type Sending<'a> = Pin<Box<dyn Future<Output = Answered> + Send + 'a>>;

// === impl EventRecorder ===

impl EventRecorder {
    /// A recorder, and the sender that has to run for it.
    pub fn new(api: &Api, source: EventSource, limits: EventLimits) -> (Self, EventSender) {
        // Who waits for its own writes does not wait for events.
        let api = api.unobserved();
        let sink = Box::new(ApiSink { api });
        Self::with_sink(sink, source, limits, unix_nanos)
    }

    fn with_sink(
        sink: Box<dyn Sink>,
        source: EventSource,
        limits: EventLimits,
        wall_clock: fn() -> u64,
    ) -> (Self, EventSender) {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                series: Series::new(limits, rand_seed()),
                recorders: 1,
                last: 0,
            }),
            wake: Notify::new(),
            source: Arc::new(source),
            start: tokio::time::Instant::now(),
            wall_clock,
        });
        let sender = EventSender {
            shared: Arc::clone(&shared),
            sink,
        };
        (Self { shared }, sender)
    }

    /// Takes a report. Never waits; what is too much is counted and dropped, see
    /// [`EventLimits`] and [`stats`](Self::stats).
    pub fn report(&self, report: EventReport) {
        let now = self.shared.now();
        {
            let mut state = self.shared.state.lock();
            let time = (self.shared.wall_clock)().max(state.last + 1);
            state.last = time;
            let source = Arc::clone(&self.shared.source);
            let document = Document::new(report, source, WallTime(time));
            state.series.handle_report(now, document);
        }
        self.shared.wake.notify_one();
    }

    /// What became of the reports so far.
    #[must_use]
    pub fn stats(&self) -> EventStats {
        self.shared.state.lock().series.stats()
    }
}

impl Clone for EventRecorder {
    fn clone(&self) -> Self {
        self.shared.state.lock().recorders += 1;
        let shared = Arc::clone(&self.shared);
        Self { shared }
    }
}

impl Drop for EventRecorder {
    fn drop(&mut self) {
        self.shared.state.lock().recorders -= 1;
        self.shared.wake.notify_one();
    }
}

impl fmt::Debug for EventRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventRecorder")
            .field("source", &self.shared.source)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

// === impl EventSender ===

impl EventSender {
    /// Sends until the last recorder is dropped and all counts are written or given up. Bound the wait
    /// for that end with a timeout: a server that is away is waited for.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses what is not sent yet; recorders go on taking reports, within their
    /// limits.
    pub async fn run(self) {
        loop {
            let mut woken = pin!(self.shared.wake.notified());
            woken.as_mut().enable();
            let (output, is_over) = self.shared.next();
            match output {
                Output::Create(id, _) | Output::Patch(id, _) => {
                    let answer = self.sink.send(&output).await;
                    let now = self.shared.now();
                    let mut state = self.shared.state.lock();
                    state.series.handle_answer(now, id, answer);
                }
                Output::Idle { .. } if is_over => return,
                Output::Idle { wake_at: None } => woken.await,
                Output::Idle { wake_at: Some(at) } => {
                    let at = self.shared.start + at.saturating_since(Instant::ZERO);
                    // Whichever it is, the series says what is next.
                    let _ = tokio::time::timeout_at(at, woken).await;
                }
            }
        }
    }
}

impl fmt::Debug for EventSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSender")
            .field("source", &self.shared.source)
            .finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    /// What is to be done, and whether nothing will ever be once that is nothing.
    fn next(&self) -> (Output, bool) {
        let now = self.now();
        let mut state = self.state.lock();
        state.series.handle_time(now);
        let is_ending = state.recorders == 0;
        if is_ending {
            state.series.handle_end();
        }
        let output = state.series.poll_output(now);
        let is_over = is_ending && state.series.is_drained();
        (output, is_over)
    }
}

/// The server's events.
struct ApiSink {
    api: Api,
}

impl Sink for ApiSink {
    fn send<'a>(&'a self, output: &'a Output) -> Sending<'a> {
        Box::pin(async move {
            let Ok(resource) = Resource::new("events.k8s.io", "v1", "events") else {
                return Answered::Refused;
            };
            let events = self.api.resource(&resource);
            match output {
                Output::Create(_, document) => create(&events, document).await,
                Output::Patch(_, document) => patch(&events, document).await,
                Output::Idle { .. } => Answered::Done,
            }
        })
    }
}

async fn create(events: &ResourceApi, document: &Document) -> Answered {
    let event = document.to_json();
    match events.create(Some(document.namespace()), &event).await {
        // An earlier attempt whose answer was lost.
        Err(error) if error.is_already_exists() => Answered::Done,
        other => answered(other),
    }
}

async fn patch(events: &ResourceApi, document: &Document) -> Answered {
    let Ok(key) = ObjectKey::new(document.namespace(), &document.name) else {
        return Answered::Refused;
    };
    let change = Patch::Merge(json!({ "series": document.series() }));
    match events.patch(&key, &change).await {
        // Servers forget events after an hour.
        Err(error) if error.is_not_found() => create(events, document).await,
        other => answered(other),
    }
}

fn answered(result: Result<Written<Value>, ApiError>) -> Answered {
    let error = match result {
        // An answer that cannot be read says that it is written.
        Ok(_) | Err(ApiError::Answer { .. }) => return Answered::Done,
        Err(error) => error,
    };
    // A credential may be renewed; a role is not granted from one minute to the next.
    if error.is_retriable() || error.refusal() == Some(Refusal::Unauthorized) {
        tracing::debug!(%error, "an event is to be written later");
        Answered::Later(error.retry_after().unwrap_or(Duration::ZERO))
    } else {
        tracing::warn!(%error, "an event cannot be written");
        Answered::Refused
    }
}

/// The wall clock: it stands in events for people, and nothing is decided by it.
fn unix_nanos() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
