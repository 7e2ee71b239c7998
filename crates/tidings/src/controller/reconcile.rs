//! What a controller's author writes: one function from a key to an outcome.

use std::{error::Error, fmt, future::Future, sync::Arc, time::Duration};

use tidings_api::ObjectKey;
use tidings_engine::workqueue::Reason;

use super::{leading::Term, own_writes::OwnWrites};
use crate::api::{Api, ApiError};

/// Makes the world what an object says.
///
/// It is level-triggered: a key says that something may have changed, and the stores say what is. It
/// must be idempotent, and must survive being dropped at any `await`: at a deadline, when the leadership
/// is lost, and at the end of a shutdown's limit.
pub trait Reconciler: Send + Sync + 'static {
    /// Looks at the object of a key, and at what belongs to it, and does what is missing.
    fn reconcile(&self, request: Request) -> impl Future<Output = Outcome> + Send;
}

impl<F, R> Reconciler for F
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Outcome> + Send,
{
    fn reconcile(&self, request: Request) -> impl Future<Output = Outcome> + Send {
        self(request)
    }
}

/// How a reconcile ended.
pub type Outcome = Result<Action, Failure>;

/// What is to happen with a key that was reconciled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what can follow")]
pub enum Action {
    /// Look again after this time, whether something changed or not. The key's failures are forgotten.
    Again(Duration),
    /// Nothing, until something changes. The key's failures are forgotten.
    #[default]
    Done,
}

/// Why a reconcile did not do it. Any error becomes a [`Failure::retry`] by `?`.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure {
    reason: String,
    is_final: bool,
    wait: Option<Duration>,
}

/// One key to reconcile.
#[derive(Clone)]
pub struct Request {
    pub(super) key: ObjectKey,
    pub(super) reason: Reason,
    pub(super) attempt: u32,
    pub(super) term: Option<Term>,
    pub(super) own_writes: Arc<OwnWrites>,
}

// === impl Failure ===

impl Failure {
    /// It is tried again, after as long as the rate limiter says.
    #[must_use]
    pub fn retry(reason: impl fmt::Display) -> Self {
        Self {
            reason: bounded(reason.to_string()),
            is_final: false,
            wait: None,
        }
    }

    /// It is not tried again until something changes: the key is parked, where
    /// [`super::ControllerHandle::parked`] shows it.
    #[must_use]
    pub fn give_up(reason: impl fmt::Display) -> Self {
        Self {
            is_final: true,
            ..Self::retry(reason)
        }
    }

    /// The sentence that says why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether it is not to be tried again.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        self.is_final
    }

    /// How long the server asked to be left alone.
    pub(super) const fn wait(&self) -> Option<Duration> {
        self.wait
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut wait = None;
        let mut reason = String::new();
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(error) = cause {
            let refusal = error.downcast_ref::<ApiError>();
            wait = wait.or_else(|| refusal.and_then(ApiError::retry_after));
            let text = error.to_string();
            if !reason.contains(&text) {
                let separator = if reason.is_empty() { "" } else { ": " };
                reason.push_str(separator);
                reason.push_str(&text);
            }
            cause = error.source();
        }
        Self {
            reason: bounded(reason),
            is_final: false,
            wait,
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_final { "give up" } else { "retry" };
        write!(f, "{kind}: {}", self.reason)
    }
}

/// The most that is kept of a reason: it may quote what somebody else wrote.
const REASON_BYTES_MAX: usize = 1024;

fn bounded(mut reason: String) -> String {
    if reason.len() > REASON_BYTES_MAX {
        let end = reason.floor_char_boundary(REASON_BYTES_MAX);
        reason.truncate(end);
    }
    reason
}

// === impl Request ===

impl Request {
    /// The object's key.
    #[must_use]
    pub const fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// What made it due.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// How often in a row it has failed before.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The number of this leadership, for whoever can refuse an older one; absent without an election.
    #[must_use]
    pub fn fencing(&self) -> Option<u32> {
        self.term.as_ref().map(|term| term.fencing)
    }

    /// Whether this replica still leads, by the clock; always without an election. To be asked right
    /// before something is done outside of the cluster.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        self.term.as_ref().is_none_or(Term::is_valid)
    }

    /// The same API with its writes remembered: this key is not reconciled again before the
    /// controller's stores have seen them. Once the leadership has ended it writes nothing.
    #[must_use]
    pub fn remember(&self, api: &Api) -> Api {
        self.own_writes.observe(&self.key, self.term.as_ref(), api)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}, attempt {})",
            self.key, self.reason, self.attempt
        )
    }
}
