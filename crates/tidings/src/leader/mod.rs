//! Leader election on a Lease: one of several processes does the work, and another takes over.
//!
//! Does not fence: the server stores a deposed leader's writes as gladly as the leader's, so work that must not
//! be done twice carries [`Leadership::fencing`] to whoever can refuse an old one (ctl-L13).
//!
//! L1  `is_leader` is false from `valid_until` on, whatever has become of the task of the election.
//! L2  The lease is given back only by [`LeaderHandle::release`], which is called after the work has ended.
//!
//! Source: client-go tools/leaderelection; rules ctl-L1..ctl-L17, cg-E1..cg-E10; the differences are in
//! `docs/src/why/leader.md`.

mod driver;
mod object;
mod wall;
mod wire;

use std::{fmt, sync::Arc, time::Duration};

use tidings_api::{
    Resource,
    options::{ListOptions, ListVersion, Scope},
    request::Request,
    resource::PathError,
};
use tidings_engine::{
    lease::{Config, ConfigError, LeaderElector, StopReason},
    reflector::ListMode,
};
use tokio::{sync::watch, time::Instant};

use self::{driver::Parts, object::LeaseObject, wire::Wire};
use crate::{
    informer::Informer,
    transport::{HttpTransport, Transport},
    wiring::rand_seed,
};

/// A configured election. [`LeaderElection::run`] stands for it; its handles may be taken before.
///
/// All replicas keep their informers running: leadership decides who writes, not who knows.
///
/// # Example
///
/// ```no_run
/// # async fn work(_fencing: u32) {}
/// # async fn run(client: tidings_http::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use tidings::LeaderElection;
///
/// let election = LeaderElection::builder(client, "default", "my-controller", "pod-7_5e1f").build()?;
/// let leader = election.handle();
/// tokio::spawn(election.run());
/// while let Some(fencing) = leader.wait_leader().await {
///     tokio::select! {
///         () = work(fencing) => break,
///         () = leader.wait_not_leader() => {} // The work was dropped, and begins anew with the next term.
///     }
/// }
/// leader.release().await; // The work has ended: another one may begin at once.
/// # Ok(())
/// # }
/// ```
pub struct LeaderElection {
    parts: Parts,
    handle: LeaderHandle,
}

/// Says for which lease to stand, and how.
pub struct LeaderElectionBuilder {
    transport: Arc<dyn Transport>,
    namespace: String,
    name: String,
    identity: String,
    config: Config,
    watches: bool,
}

/// A handle to an election, running or not. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct LeaderHandle {
    leadership: watch::Receiver<Leadership>,
    stop: Arc<watch::Sender<bool>>,
    lease_duration: Duration,
}

/// Who leads, as far as this candidate knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leadership {
    /// Whether this one led when that was published; ask [`Leadership::is_valid`] before acting on it.
    pub is_leader: bool,
    /// Who holds the lease by its record, empty if nobody does. It may have expired.
    pub holder: String,
    /// The lease's transitions, while this one leads: higher than that of every leader before.
    pub fencing: Option<u32>,
    /// When the last successful renewal was sent, while this one leads.
    pub renewed_at: Option<Instant>,
    /// When leadership ends, unless it is renewed before.
    pub valid_until: Option<Instant>,
    /// Why this one leads no more, since it last led.
    pub stopped_leading: Option<StopReason>,
    /// What went wrong with the last request, in one sentence.
    pub trouble: Option<String>,
    /// Whether the election has stopped, and if so, whether the lease is certainly not held by this
    /// one any more.
    pub released: Option<bool>,
}

// === impl LeaderElection ===

impl LeaderElection {
    /// Begins to configure a candidate. The identity must be of this process alone, such as a pod's name
    /// with a random suffix (ctl-L15).
    #[must_use]
    pub fn builder(
        client: tidings_http::Client,
        namespace: &str,
        name: &str,
        identity: &str,
    ) -> LeaderElectionBuilder {
        let transport = Arc::new(HttpTransport::new(client));
        Self::builder_over(transport, namespace, name, identity)
    }

    /// The same over any transport.
    #[must_use]
    pub fn builder_over(
        transport: Arc<dyn Transport>,
        namespace: &str,
        name: &str,
        identity: &str,
    ) -> LeaderElectionBuilder {
        LeaderElectionBuilder {
            transport,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity: identity.to_owned(),
            config: Config::default(),
            watches: true,
        }
    }

    /// A handle to this election.
    #[must_use]
    pub fn handle(&self) -> LeaderHandle {
        self.handle.clone()
    }

    /// Stands for the lease until [`LeaderHandle::release`] is called: leads, loses, stands again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the candidacy without giving the lease back: it is free for others when it
    /// expires. The handles show at once that this one leads no more.
    pub async fn run(self) {
        let Self { parts, handle } = self;
        // The handle holds a sender of the stop signal: dropped last, it keeps the signal alive.
        driver::run(parts).await;
        drop(handle);
    }
}

// === impl LeaderElectionBuilder ===

impl LeaderElectionBuilder {
    /// All the durations. A seed of 0 stands for one that is drawn here.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Whether the Lease is watched besides being polled. On: without it a release is noticed by the next
    /// poll only, up to 4.4 s later (ctl-L12). The watch needs the verbs list and watch.
    #[must_use]
    pub const fn watch(mut self, watches: bool) -> Self {
        self.watches = watches;
        self
    }

    /// Builds the election.
    ///
    /// # Errors
    ///
    /// [`ElectionError`] when the durations do not fit each other, or a name cannot stand in a URL.
    pub fn build(self) -> Result<LeaderElection, ElectionError> {
        let seed = match self.config.seed {
            0 => rand_seed(),
            seed => seed,
        };
        let config = Config {
            seed,
            ..self.config
        };
        let lease_duration = config.lease_duration;
        let elector =
            LeaderElector::try_new(config, &self.identity).map_err(ElectionError::Config)?;
        let leases =
            Resource::parse("coordination.k8s.io/v1/leases").map_err(ElectionError::Path)?;
        let namespace = Some(self.namespace.as_str());
        let path = leases.object_path(namespace, &self.name);
        let collection = leases.collection_path(namespace);
        let wire = Wire {
            transport: Arc::clone(&self.transport),
            path: path.map_err(ElectionError::Path)?,
            collection: collection.map_err(ElectionError::Path)?,
        };
        let scope = Scope {
            field_selector: format!("metadata.name={}", self.name),
            ..Scope::namespaced(leases, &self.namespace)
        };
        let consistent = ListOptions {
            version: ListVersion::Consistent,
            limit: None,
            continue_token: None,
        };
        Request::list(&scope, &consistent).map_err(ElectionError::Path)?;
        let informer = if self.watches {
            // One object: a list is one short answer, and no server lacks it.
            let builder = Informer::builder_over(self.transport, scope).list_mode(ListMode::Whole);
            // Its scope has just been checked, and it has no index.
            builder.build().ok()
        } else {
            None
        };
        let (leadership, leadership_out) = watch::channel(Leadership::default());
        let (stop, stop_out) = watch::channel(false);
        let handle = LeaderHandle {
            leadership: leadership_out,
            stop: Arc::new(stop),
            lease_duration,
        };
        let parts = Parts {
            elector,
            wire,
            blank: LeaseObject::new(&self.namespace, &self.name),
            key: format!("{}/{}", self.namespace, self.name),
            informer,
            stop: stop_out,
            leadership,
        };
        Ok(LeaderElection { parts, handle })
    }
}

// === impl LeaderHandle ===

impl LeaderHandle {
    /// The leadership as a value that can be watched; it changes with each renewal.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// The leadership now.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        self.leadership.borrow().clone()
    }

    /// Whether this one may act as the leader now.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.leadership.borrow().is_valid(Instant::now())
    }

    /// The fencing token, if this one leads now.
    #[must_use]
    pub fn fencing(&self) -> Option<u32> {
        let leadership = self.leadership.borrow();
        let is_valid = leadership.is_valid(Instant::now());
        leadership.fencing.filter(|_| is_valid)
    }

    /// Waits until this one leads, and returns the fencing token; `None` if the election has stopped.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn wait_leader(&self) -> Option<u32> {
        let mut leadership = self.leadership.clone();
        let decided = leadership.wait_for(|leadership| {
            leadership.is_valid(Instant::now()) || leadership.released.is_some()
        });
        let decided = decided.await.ok()?;
        decided.fencing.filter(|_| decided.released.is_none())
    }

    /// Waits until this one does not lead (any more): at once if it does not now, and at `valid_until` even
    /// when the election's task hangs.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn wait_not_leader(&self) {
        let mut leadership = self.leadership.clone();
        let fencing = leadership.borrow().fencing;
        loop {
            let valid_until = {
                let now = leadership.borrow_and_update();
                match now.valid_until {
                    // Another token is another term: the one that was waited for is over.
                    Some(valid_until) if now.is_valid(Instant::now()) && now.fencing == fencing => {
                        valid_until
                    }
                    _ => return,
                }
            };
            tokio::select! {
                () = tokio::time::sleep_until(valid_until) => {}
                changed = leadership.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Stops the election and gives the lease back, so that another candidate takes it at once. To be called
    /// after the guarded work has ended: from here on another one may do it (ctl-L11).
    ///
    /// Returns whether the lease is certainly not held by this one any more. If the server cannot be reached
    /// that is given up after the renew deadline, and the lease is free when it expires.
    /// Waits for as long as the election has not been run.
    ///
    /// # Cancel safety
    ///
    /// Once this was polled, the election stops and releases even if the future is dropped.
    pub async fn release(&self) -> bool {
        self.stop.send_replace(true);
        let mut leadership = self.leadership.clone();
        let stopped = leadership.wait_for(|leadership| leadership.released.is_some());
        match stopped.await {
            Ok(leadership) => leadership.released == Some(true),
            Err(_) => false,
        }
    }

    /// For a health check: whether the election's task does its work. It fails when this one claims to lead,
    /// and has not renewed for the lease's duration and `tolerance`: its task hangs, and the process should
    /// be restarted (ctl-L14, cg-E9).
    ///
    /// # Errors
    ///
    /// [`NotRenewed`], with how long ago the last renewal was.
    pub fn check(&self, tolerance: Duration) -> Result<(), NotRenewed> {
        let leadership = self.leadership.borrow();
        let Some(renewed_at) = leadership.renewed_at.filter(|_| leadership.is_leader) else {
            return Ok(());
        };
        let age = renewed_at.elapsed();
        if age > self.lease_duration.saturating_add(tolerance) {
            return Err(NotRenewed { age });
        }
        Ok(())
    }
}

// === impl Leadership ===

impl Leadership {
    /// Whether this one may act as the leader at that time.
    #[must_use]
    pub fn is_valid(&self, now: Instant) -> bool {
        self.is_leader && self.valid_until.is_some_and(|until| now < until)
    }
}

/// An election cannot be held so. The caller's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ElectionError {
    /// The identity is empty or the durations do not fit each other.
    Config(ConfigError),
    /// The namespace or the name cannot stand in a URL.
    Path(PathError),
}

impl fmt::Display for ElectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(_) => f.write_str("no election can be held with this configuration"),
            Self::Path(_) => f.write_str("the lease cannot be requested"),
        }
    }
}

impl std::error::Error for ElectionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Path(error) => Some(error),
        }
    }
}

/// This one claims to lead, but has not renewed for too long: the election's task hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotRenewed {
    /// How long ago the last successful renewal was sent.
    pub age: Duration,
}

impl fmt::Display for NotRenewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.age.as_secs_f64();
        write!(f, "the lease has not been renewed for {seconds:.1} s")
    }
}

impl std::error::Error for NotRenewed {}

#[cfg(test)]
mod tests;
