//! Who is told of writes: the ground of read-your-writes.
//!
//! Does not judge: an observer decides what to await.
//!
//! ```text
//!   begun --> request on its way --> ended(Stored | Deleted | Refused | Unknown)
//!                   | future dropped
//!                   '-------------> ended(Unknown)
//! ```
//! O1  `ended` follows `begun` exactly once.
//! O2  `Refused` is said only when the server cannot have acted.

use std::{fmt, sync::Arc};

use tidings_api::{ObjectKey, Resource, ResourceVersion};

use super::error::ApiError;

/// Someone who is told of each write. Called in the writer's task: it must neither block nor panic.
pub trait WriteObserver: Send + Sync {
    /// Asked right before a write goes out: an error is why it must not, and is what the writer gets.
    /// Nothing else is said of such a write.
    ///
    /// # Errors
    ///
    /// A sentence that says why.
    fn permits(&self, _write: &WriteTarget) -> Result<(), &'static str> {
        Ok(())
    }

    /// A write is about to go out.
    fn begun(&self, write: &WriteTarget);

    /// The write is over, or nobody waits for it any longer. Called once for each `begun`.
    fn ended(&self, write: &WriteTarget, outcome: &WriteOutcome);
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct WriteTarget {
    /// What was asked.
    pub verb: Verb,
    /// The resource.
    pub resource: Resource,
    /// The namespace, absent for a cluster-scoped object.
    pub namespace: Option<String>,
    /// The object's key; absent for a create that leaves the name to the server.
    pub key: Option<ObjectKey>,
    /// The subresource, such as `status`.
    pub subresource: Option<String>,
}

/// What is asked of the server, in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verb {
    /// A server-side apply.
    Apply,
    /// A create.
    Create,
    /// A delete.
    Delete,
    /// A read. Observers see none.
    Get,
    /// A patch.
    Patch,
    /// A replacement.
    Update,
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteOutcome {
    /// The object is gone.
    Deleted {
        /// Its uid; empty if the server did not say.
        uid: String,
        /// The version of the deletion, if the server said it.
        version: Option<ResourceVersion>,
    },
    /// The server has not acted, and will not.
    Refused,
    /// The object is stored: created, changed, unchanged, or marked as being deleted.
    Stored {
        /// Its key, which is new where the server made the name.
        key: ObjectKey,
        /// Its uid.
        uid: String,
        /// Its version: a store that has reached it has seen the write.
        version: ResourceVersion,
    },
    /// It may have happened, or may yet happen.
    Unknown,
}

impl fmt::Display for WriteTarget {
    /// `update default/web/status of deployments.v1.apps`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.verb)?;
        match (&self.key, &self.namespace) {
            (Some(key), _) => write!(f, "{key}")?,
            (None, Some(namespace)) => write!(f, "{namespace}/(a new name)")?,
            (None, None) => f.write_str("(a new name)")?,
        }
        if let Some(subresource) = &self.subresource {
            write!(f, "/{subresource}")?;
        }
        write!(f, " of {}", self.resource)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apply => "apply",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Get => "get",
            Self::Patch => "patch",
            Self::Update => "update",
        })
    }
}

/// A write on its way, as its observer sees it: over when it is ended or dropped.
pub(super) struct Observation<'a> {
    observer: Option<Arc<dyn WriteObserver>>,
    target: &'a WriteTarget,
}

impl<'a> Observation<'a> {
    pub(super) fn begin(
        observer: Option<&Arc<dyn WriteObserver>>,
        target: &'a WriteTarget,
    ) -> Result<Self, ApiError> {
        if let Some(observer) = observer {
            let permitted = observer.permits(target);
            permitted.map_err(|why| ApiError::NotPermitted {
                target: Box::new(target.clone()),
                why,
            })?;
            observer.begun(target);
        }
        Ok(Self {
            observer: observer.cloned(),
            target,
        })
    }

    pub(super) fn end(mut self, outcome: &WriteOutcome) {
        if let Some(observer) = self.observer.take() {
            observer.ended(self.target, outcome);
        }
    }
}

impl Drop for Observation<'_> {
    fn drop(&mut self) {
        if let Some(observer) = self.observer.take() {
            observer.ended(self.target, &WriteOutcome::Unknown);
        }
    }
}
