//! Leader election on a Lease: one of several processes does the work, and another takes over.
//!
//! Does not fence: the server stores a deposed leader's writes as gladly as the leader's, so work that must not
//! be done twice carries [`Leadership::fencing`] to whoever can refuse an old one (ctl-L13).
//!
//! Source: client-go tools/leaderelection; rules ctl-L1..ctl-L17, cg-E1..cg-E10; the differences are in
//! `docs/src/why/leader.md`.

mod driver;
mod handle;
mod object;
mod wall;
mod wire;

use std::{fmt, sync::Arc};

use tidings_api::{
    Resource,
    options::{ListOptions, ListVersion, Scope},
    request::Request,
    resource::PathError,
};
use tidings_engine::{
    lease::{Config, ConfigError, LeaderElector},
    reflector::ListMode,
};
use tokio::sync::watch;

pub use self::handle::{LeaderHandle, Leadership, NotRenewed};
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

#[cfg(test)]
mod tests;
