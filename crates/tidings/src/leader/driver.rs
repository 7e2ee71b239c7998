//! Where the elector, its requests, the watch and the clock meet.
//!
//! Does not decide anything: it sends what the elector asks for, tells it what comes, and calls it when it asked
//! to be called.
//!
//! D1  At most one request is in flight: a new one drops the one before.
//! D2  What is published is what the elector says, before anything is waited for.
//! D3  The watch only adds: if it fails, or is refused, the polls go on without it.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tidings_api::{Instant, ResourceVersion};
use tidings_engine::{
    entry::Value,
    lease::{Input, LeaderElector, Output, RequestId, StopReason, WriteOutcome},
};
use tokio::{sync::watch, time::sleep_until};

use super::{
    Leadership,
    object::LeaseObject,
    wall,
    wire::{Answered, Wire, is_at},
};
use crate::{informer::Informer, informer::InformerHandle, state::Progress};

/// What the driver is built from.
pub(super) struct Parts {
    pub(super) elector: LeaderElector,
    pub(super) wire: Wire,
    /// The Lease as it would be created.
    pub(super) blank: LeaseObject,
    /// The Lease's key, `namespace/name`.
    pub(super) key: String,
    /// The watch of the Lease, unless the polls are to do alone.
    pub(super) informer: Option<Informer<Arc<LeaseObject>>>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) leadership: watch::Sender<Leadership>,
}

/// A running election.
pub(super) struct Driver {
    elector: LeaderElector,
    wire: Wire,
    blank: LeaseObject,
    key: String,
    leadership: watch::Sender<Leadership>,
    started: tokio::time::Instant,
    wake_at: Instant,
    request: Option<RequestFuture>,
    /// The Lease as the last answer had it, and as the watch shows it: what is written next replaces
    /// one of them.
    answered: Option<LeaseObject>,
    watched: Option<Arc<LeaseObject>>,
    trouble: Option<String>,
    stopped_leading: Option<StopReason>,
    /// Whether the lease is certainly given back, once it has stopped.
    released: Option<bool>,
}

type RequestFuture = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// The watch of the Lease.
struct Watch {
    run: Pin<Box<dyn Future<Output = ()> + Send>>,
    handle: InformerHandle<Arc<LeaseObject>>,
    progress: watch::Receiver<Progress>,
}

/// Runs an election until it is stopped.
pub(super) async fn run(parts: Parts) {
    let mut stop = parts.stop;
    let mut watching = parts.informer.map(Watch::new);
    let mut driver = Driver {
        elector: parts.elector,
        wire: parts.wire,
        blank: parts.blank,
        key: parts.key,
        leadership: parts.leadership,
        started: tokio::time::Instant::now(),
        wake_at: Instant::FAR_FUTURE,
        request: None,
        answered: None,
        watched: None,
        trouble: None,
        stopped_leading: None,
        released: None,
    };
    driver.feed(Input::Start);
    let mut is_stopping = false;
    while driver.released.is_none() {
        let wake_at = driver.instant_of(driver.wake_at);
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop), if !is_stopping => {
                is_stopping = true;
                driver.feed(Input::Stop);
            }
            answered = answer(&mut driver.request) => driver.handle_answer(answered),
            () = sleep_until(wake_at) => driver.feed(Input::Tick),
            () = Watch::changed(&mut watching) => {
                if let Some(watching) = &watching {
                    driver.observe(&watching.handle);
                }
            }
        }
    }
}

/// The answer to the request, when there is one.
async fn answer(request: &mut Option<RequestFuture>) -> Answered {
    match request {
        Some(request) => request.await,
        None => std::future::pending().await,
    }
}

// === impl Driver ===

impl Driver {
    fn feed(&mut self, input: Input) {
        let now = self.now();
        self.elector.handle(now, wall::now(), input);
        loop {
            match self.elector.poll_output() {
                Output::Idle { wake_at } => {
                    self.wake_at = wake_at;
                    break;
                }
                Output::Get { id } => self.send(self.wire.clone().get(id)),
                Output::Create { id, record } => {
                    self.send(self.wire.clone().create(id, self.blank.clone(), record));
                }
                Output::Update {
                    id,
                    record,
                    version,
                } => match self.base(&version) {
                    Some(base) => self.send(self.wire.clone().update(id, base, record)),
                    // Never so, but it would be wrong to write without the rest of the object.
                    None => self.send(std::future::ready(Answered::conflict(id))),
                },
                Output::BecameLeader { fencing, .. } => {
                    tracing::info!(lease = %self.key, fencing, "leading");
                    self.stopped_leading = None;
                }
                Output::StoppedLeading { reason } => {
                    tracing::info!(lease = %self.key, %reason, "leading no more");
                    self.stopped_leading = Some(reason);
                }
                Output::LeaderChanged(leader) => {
                    tracing::debug!(lease = %self.key, %leader, "the leader");
                }
                Output::Released { clean } => {
                    self.request = None;
                    self.released = Some(clean);
                }
            }
        }
        self.publish();
    }

    /// Sends a request in the place of the one before (D1).
    fn send(&mut self, request: impl Future<Output = Answered> + Send + 'static) {
        if self.request.replace(Box::pin(request)).is_some() {
            self.trouble = Some("the last request was not answered in time".to_owned());
        }
    }

    /// The Lease at a version that is to be replaced.
    fn base(&self, version: &ResourceVersion) -> Option<LeaseObject> {
        let known = [self.answered.as_ref(), self.watched.as_deref()];
        let mut known = known.into_iter().flatten();
        known.find(|object| is_at(object, version)).cloned()
    }

    fn handle_answer(&mut self, answered: Answered) {
        self.request = None;
        if answered.object.is_some() {
            self.answered = answered.object;
        }
        if answered.is_unauthorized {
            self.wire.transport.reload_credentials();
        }
        if let Some(trouble) = &answered.trouble {
            tracing::debug!(lease = %self.key, %trouble, "no answer to act upon");
        }
        self.trouble = answered.trouble;
        self.feed(answered.input);
    }

    /// Tells what the watch shows. What cannot be decoded tells nothing: the polls do.
    fn observe(&mut self, handle: &InformerHandle<Arc<LeaseObject>>) {
        let snapshot = handle.store().snapshot();
        let Some(version) = snapshot.resource_version() else {
            return;
        };
        let input = match snapshot.get(&self.key).map(|entry| &entry.value) {
            None => {
                self.watched = None;
                Input::ObservedAbsent(version.clone())
            }
            Some(Value::Decoded(object)) => {
                let Some(seen) = object.seen() else { return };
                self.watched = Some(Arc::clone(object));
                Input::Observed(seen)
            }
            Some(Value::Poisoned(_)) => return,
        };
        self.feed(input);
    }

    fn publish(&self) {
        let term = self.elector.term();
        let now = Leadership {
            is_leader: term.is_some(),
            holder: self.elector.holder().to_owned(),
            fencing: term.map(|term| term.fencing),
            renewed_at: term.map(|term| self.instant_of(term.renewed_at)),
            valid_until: term.map(|term| self.instant_of(term.valid_until)),
            stopped_leading: self.stopped_leading.clone(),
            trouble: self.trouble.clone(),
            released: self.released,
        };
        self.leadership.send_if_modified(|known| {
            let is_news = *known != now;
            *known = now;
            is_news
        });
    }

    fn now(&self) -> Instant {
        let nanos = self.started.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn instant_of(&self, at: Instant) -> tokio::time::Instant {
        // tokio cannot represent every far instant; a year is as good as never.
        self.started + Duration::from_nanos(at.as_nanos()).min(FAR)
    }
}

impl Drop for Driver {
    /// Whoever drops the election without stopping it leaves the lease to expire; nobody may go on in its name.
    fn drop(&mut self) {
        if self.released.is_none() {
            self.leadership.send_modify(|leadership| {
                leadership.is_leader = false;
                leadership.fencing = None;
                leadership.valid_until = None;
                leadership.renewed_at = None;
                leadership.stopped_leading = Some(StopReason::Stopped);
                leadership.released = Some(false);
            });
        }
    }
}

// === impl Watch ===

impl Watch {
    fn new(informer: Informer<Arc<LeaseObject>>) -> Self {
        let handle = informer.handle();
        Self {
            progress: handle.watch_progress(),
            handle,
            run: Box::pin(informer.run()),
        }
    }

    /// Runs the watch until it has published something.
    async fn changed(watching: &mut Option<Self>) {
        let Some(watching) = watching else {
            return std::future::pending().await;
        };
        tokio::select! {
            // Its end would be its own: nobody stops it but the one who drops it.
            () = &mut watching.run => std::future::pending().await,
            changed = watching.progress.changed() => if changed.is_err() {
                std::future::pending().await
            },
        }
    }
}

// === impl Answered ===

impl Answered {
    const fn conflict(id: RequestId) -> Self {
        let outcome = WriteOutcome::Conflict;
        Self {
            input: Input::WriteAnswered { id, outcome },
            object: None,
            trouble: None,
            is_unauthorized: false,
        }
    }
}

const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
