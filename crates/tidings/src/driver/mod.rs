//! The one place where sockets, clock and machine meet.
//!
//! Does not decide anything: it opens what the pipeline asks for, feeds it what comes, and calls it
//! when it asked to be called. From the socket's bytes to the handler's call a live event crosses
//! no task boundary.
//!
//! D1  Nothing is read while the pipeline does not want input: the back-pressure reaches the server.
//! D2  A poll works for at most about `POLL_BUDGET`, then lets other tasks of the thread run.
//! D3  Once the pipeline asks for another stream, nothing of the old one is fed any more.
//! D4  A deadline, or a probe's answer, waits for no more than a batch of the stream.

mod desk;
mod link;
pub(crate) mod view;

use std::{sync::Arc, time::Duration};

use tidings_api::{
    Instant, ResourceVersion,
    limits::Limits,
    options::{ListOptions, ListVersion, Scope},
    request::Request,
};
use tidings_engine::{
    ingest::Ingest,
    pipeline::Pipeline,
    reflector::{Call, Condition, Failure, FailureKind, Input, Output},
};

pub(crate) use self::desk::{Command, Ends, Machine};
use self::{
    desk::Desk,
    link::{Link, LinkEvent, ProbeFuture},
};
use crate::{
    payload::Payload,
    state::State,
    transport::{Purpose, Transport},
};

/// What the driver is built from.
pub(crate) struct Parts<P> {
    pub(crate) scope: Scope,
    pub(crate) limits: Limits,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) pipeline: Pipeline<P>,
}

/// A running informer.
pub(crate) struct Driver<P: Payload> {
    parts: Parts<P>,
    desk: Desk<P>,
    ingest: Ingest<P>,
    link: Link,
    probe: Option<ProbeFuture>,
    wake_at: Instant,
}

impl<P: Payload> Driver<P> {
    pub(crate) fn new(parts: Parts<P>, ends: Ends<P>) -> Self {
        let reader = parts.pipeline.indexer().reader();
        Self {
            desk: Desk::new(ends),
            ingest: Ingest::new(reader),
            link: Link::Closed,
            probe: None,
            wake_at: Instant::FAR_FUTURE,
            parts,
        }
    }

    /// Runs until it is stopped; then nothing of it is left.
    pub(crate) async fn run(mut self) {
        self.desk.start();
        self.feed(Input::Start);
        let alarm = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(alarm);
        let mut poll_began = tokio::time::Instant::now();
        while !self.desk.is_stopped() {
            let more = self.turn();
            if poll_began.elapsed() >= POLL_BUDGET {
                tokio::task::yield_now().await;
                poll_began = tokio::time::Instant::now();
            }
            // An alarm that rings early is harmless, one that is set anew for each event is not
            // cheap: it is moved only when it would ring too late, or has rung.
            let due = self.desk.due(self.wake_at);
            if alarm.is_elapsed() || due < alarm.deadline() {
                alarm.as_mut().reset(due);
            }
            let wants_input = self.parts.pipeline.wants_input();
            let waits = !more && !self.link.is_ready();
            tokio::select! {
                biased;
                command = self.desk.next() => match command {
                    Some(command) => self.desk.handle(&mut self.parts.pipeline, command),
                    None => break,
                },
                // Before the link (D4): whoever floods it would put off every deadline.
                () = &mut alarm => self.feed(Input::Tick),
                version = link::probed(&mut self.probe) => {
                    self.probe = None;
                    let answer = version.map_or(Input::ProbeFailed, Input::ProbeAnswered);
                    self.feed(answer);
                }
                event = self.link.next(), if wants_input => {
                    self.handle_link(event);
                    self.read_on().await;
                }
                () = std::future::ready(()), if more => {}
            }
            if waits {
                poll_began = tokio::time::Instant::now();
            }
        }
        self.shut_down();
    }

    /// Lets the pipeline work, and does what it asks for. Returns whether it has more to do.
    fn turn(&mut self) -> bool {
        let now = self.desk.now();
        let more = self.parts.pipeline.run(now, EVENTS_BUDGET);
        loop {
            match self.parts.pipeline.poll_output() {
                Output::Idle { wake_at } => {
                    self.wake_at = wake_at;
                    break;
                }
                Output::Open(call) => self.open(&call),
                Output::Close => {
                    self.link = Link::Closed;
                    self.probe = None;
                }
                Output::ReloadCredentials => self.parts.transport.reload_credentials(),
                Output::Probe => self.start_probe(),
                // The pipeline keeps its deltas to itself.
                Output::Enqueue(_) => {}
            }
        }
        self.publish(now);
        more
    }

    /// Takes what the link has at hand, so that a burst is applied and published in batches: a
    /// server writes each event as an HTTP chunk of its own. Waits for nothing.
    async fn read_on(&mut self) {
        let enough = self.ingest.bytes_received() + BATCH_BYTES;
        while self.ingest.bytes_received() < enough
            && self.parts.pipeline.wants_input()
            && !self.parts.pipeline.leaves_stream()
            && let Some(event) = self.link.next_at_hand().await
        {
            self.handle_link(event);
        }
    }

    fn feed(&mut self, input: Input<P>) {
        let now = self.desk.now();
        self.parts.pipeline.handle(now, input);
    }

    fn open(&mut self, call: &Call) {
        let scope = &self.parts.scope;
        let (request, purpose) = match call {
            Call::List(options) => (Request::list(scope, options), Purpose::List),
            Call::Watch(options) => (Request::watch(scope, options), Purpose::Watch),
        };
        // The scope was checked when the informer was built.
        let Ok(request) = request else {
            return;
        };
        tracing::debug!(%call, resource = %scope.resource, "open");
        let is_further_page =
            matches!(call, Call::List(options) if options.continue_token.is_some());
        self.ingest.begin(is_further_page);
        let opening = self.parts.transport.open(request, purpose);
        self.link = Link::opening(opening, purpose, self.parts.limits);
    }

    fn start_probe(&mut self) {
        let options = ListOptions {
            version: ListVersion::Consistent,
            limit: Some(1),
            continue_token: None,
        };
        if let Ok(request) = Request::list(&self.parts.scope, &options) {
            let opening = self.parts.transport.open(request, Purpose::Probe);
            self.probe = Some(Box::pin(link::probe(opening, self.parts.limits)));
        }
    }

    fn handle_link(&mut self, event: LinkEvent) {
        let now = self.desk.now();
        match event {
            LinkEvent::Accepted => self.parts.pipeline.handle(now, Input::Accepted),
            LinkEvent::Refused {
                code,
                status,
                retry_after,
            } => {
                self.link = Link::Closed;
                self.feed(Input::Refused {
                    code,
                    status,
                    retry_after,
                });
            }
            LinkEvent::Slice(slice) => {
                let Link::Open(stream) = &mut self.link else {
                    return;
                };
                let (content, pipeline) = (&mut stream.content, &mut self.parts.pipeline);
                let fed = self.ingest.feed(now, &slice, content, pipeline);
                self.log_reports();
                if let Err(message) = fed {
                    self.fail(FailureKind::Undecodable, message);
                }
            }
            LinkEvent::Ended => {
                let finished = match std::mem::replace(&mut self.link, Link::Closed) {
                    Link::Open(stream) => self.ingest.finish(stream.content),
                    Link::Closed | Link::Opening { .. } | Link::Refused { .. } => Ok(Input::Ended),
                };
                self.feed(finished.unwrap_or_else(Input::Broken));
            }
            LinkEvent::Failed(kind, message) => self.fail(kind, message),
        }
    }

    fn log_reports(&mut self) {
        while let Some(report) = self.ingest.poll_report() {
            tracing::warn!(
                key = report.key,
                problem = report.problem,
                left_out = report.left_out,
                "an object or a frame cannot be used"
            );
        }
    }

    fn fail(&mut self, kind: FailureKind, message: String) {
        self.link = Link::Closed;
        self.feed(Input::Broken(Failure { kind, message }));
    }

    fn publish(&mut self, now: Instant) {
        let pipeline = &self.parts.pipeline;
        self.desk
            .publish_progress(pipeline.indexer(), pipeline.fanout().changes());
        let condition = pipeline.condition();
        let bad_input = self.ingest.bad_input();
        if self.desk.owes_state(now, &condition, bad_input) {
            self.desk.publish_state(now, self.state(now, condition));
        }
    }

    fn state(&self, now: Instant, condition: Condition) -> State {
        let pipeline = &self.parts.pipeline;
        let indexer = pipeline.indexer();
        State {
            condition,
            at: now,
            objects: indexer.len(),
            object_bytes: indexer.entry_bytes(),
            over_budget: pipeline.over_budget(),
            depth: pipeline.depth(),
            backlog: pipeline.fanout().backlog(),
            handlers: pipeline.fanout().handlers().collect(),
            index_failures: indexer.index_failures(),
            stats: pipeline.reflector().stats().clone(),
            dropped: pipeline.dropped(),
            bytes_received: self.ingest.bytes_received(),
            list_bytes: self.ingest.list_bytes(),
            poisoned_items: self.ingest.poisoned(),
            bad_input: self.ingest.bad_input().cloned(),
        }
    }

    /// Nothing is left behind: streams are closed, and everybody who waits learns of it.
    fn shut_down(mut self) {
        self.feed(Input::Stop);
        self.turn();
        let now = self.desk.now();
        self.desk
            .close(self.state(now, self.parts.pipeline.condition()));
    }
}

/// The version that a probe's list carries.
pub(crate) type Probed = Option<ResourceVersion>;

/// How long one poll may work before other tasks of the thread run.
const POLL_BUDGET: Duration = Duration::from_micros(200);
/// Bytes that are read, if they are there, before what they brought is applied and told: some 20
/// events, 150 us.
const BATCH_BYTES: u64 = 128 << 10;
/// How many events are told to handlers between two looks at the socket.
const EVENTS_BUDGET: usize = 1024;

#[cfg(test)]
mod tests;
