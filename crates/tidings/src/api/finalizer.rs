//! A finalizer: what keeps a deleted object until its controller has cleaned up behind it.
//!
//! Does not decide what to clean up, and does not wait: a reconcile loop calls it again.
//!
//! ```text
//!   seen               live, read anew             then
//!   has it, not deleted       (not read)           Live
//!   has it not         not deleted                 write it -> Added
//!   being deleted      being deleted, has it       clean up, take it away -> CleanedUp
//!   being deleted      has it not, or is gone      Gone
//! ```
//! Z1  The finalizer is taken away only after the cleanup of this very object (its uid) went well.
//! Z2  The others' finalizers stay: what is written is what was read, at the version that was read.
//! Z3  Nothing is written for an object that needs nothing; what was seen may be old, or a projection.
//!
//! Source: kubernetes concepts "Finalizers"; apiserver registry/generic/registry/store.go @v0.36.3; rules
//! pr-N12, pr-F3.

use std::{error, fmt, future::Future};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_api::{ObjectKey, ResourceVersion};

use super::{
    answer::Written,
    error::ApiError,
    resource_api::{Patch, ResourceApi},
    retry::{RetryPolicy, retry_on_conflict},
};

/// A finalizer by its name, such as `example.com/cleanup`.
#[derive(Clone, Debug, PartialEq)]
pub struct Finalizer {
    name: String,
    policy: RetryPolicy,
}

/// What a finalizer found to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finalized {
    /// The object bears the finalizer since just now. Go on: what is made for it from here on will be
    /// cleaned up.
    Added {
        /// Its version with it.
        version: ResourceVersion,
    },
    /// The object is being deleted, and its cleanup is done. Nothing more is to be done for it.
    CleanedUp,
    /// The object is gone, or is being deleted without the finalizer. Nothing is to be done for it.
    Gone,
    /// The object bears the finalizer. Go on.
    Live,
}

/// Why a finalizer could not do its part.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FinalizerError<E> {
    /// A read or a write failed. Its error says whose fault it is; call again.
    Api(ApiError),
    /// The cleanup failed. The object keeps the finalizer; call again.
    Cleanup(E),
}

/// What is read of an object.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Head {
    metadata: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta {
    uid: Option<String>,
    resource_version: Option<String>,
    deletion_timestamp: Option<String>,
    finalizers: Option<Vec<String>>,
}

// === impl Finalizer ===

impl Finalizer {
    /// A finalizer of this name: a domain, a slash, and a word.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            policy: RetryPolicy::OCCASIONAL,
        }
    }

    /// With another policy for conflicts with other writers.
    #[must_use]
    pub const fn retry(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Does what the object needs: bears the finalizer while it lives; is cleaned up, and loses the
    /// finalizer, when it is being deleted. Call it at the beginning of each reconcile, and go on only
    /// with [`Finalized::Added`] and [`Finalized::Live`].
    ///
    /// `seen` is the object as the store has it: it decides whether there is anything to do. The object
    /// is then read anew, and cleaned up only if it is still the same one. `cleanup` must bear to be
    /// called again: the process may end between its end and the write (pr-F3).
    ///
    /// # Errors
    ///
    /// [`FinalizerError::Cleanup`] as `cleanup` returned it, [`FinalizerError::Api`] else.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the cleanup where it is; the next call begins it anew.
    pub async fn run<T, C, R, E>(
        &self,
        objects: &ResourceApi,
        key: &ObjectKey,
        seen: &T,
        cleanup: C,
    ) -> Result<Finalized, FinalizerError<E>>
    where
        T: Serialize,
        C: FnOnce() -> R,
        R: Future<Output = Result<(), E>>,
    {
        let seen = Meta::of(seen);
        if self.is_on(&seen) && seen.deletion_timestamp.is_none() {
            return Ok(Finalized::Live);
        }
        let live = read(objects, key, seen.uid.as_deref()).await;
        let Some(live) = live.map_err(FinalizerError::Api)? else {
            return Ok(Finalized::Gone);
        };
        match (live.deletion_timestamp.is_some(), self.is_on(&live)) {
            (false, true) => Ok(Finalized::Live),
            (false, false) => self
                .add(objects, key, live)
                .await
                .map_err(FinalizerError::Api),
            (true, false) => Ok(Finalized::Gone),
            (true, true) => {
                cleanup().await.map_err(FinalizerError::Cleanup)?;
                let removed = self.remove(objects, key, live).await;
                removed.map_err(FinalizerError::Api)?;
                Ok(Finalized::CleanedUp)
            }
        }
    }

    async fn add(
        &self,
        objects: &ResourceApi,
        key: &ObjectKey,
        live: Meta,
    ) -> Result<Finalized, ApiError> {
        let uid = live.uid.clone();
        let mut at_hand = Some(live);
        let added = retry_on_conflict(self.policy, || {
            let (at_hand, uid) = (at_hand.take(), uid.clone());
            async move {
                let Some(live) = again(objects, key, at_hand, uid).await? else {
                    return Ok(Finalized::Gone);
                };
                match (live.deletion_timestamp.is_some(), self.is_on(&live)) {
                    // A deleted object takes no new finalizer, and there is nothing to clean up yet.
                    (true, _) => return Ok(Finalized::Gone),
                    (false, true) => return Ok(Finalized::Live),
                    (false, false) => {}
                }
                let mut finalizers = live.finalizers.clone().unwrap_or_default();
                finalizers.push(self.name.clone());
                let written = write(objects, key, &live, &finalizers).await?;
                let version = written.version;
                Ok(Finalized::Added { version })
            }
        });
        match added.await {
            Err(error) if error.is_not_found() => Ok(Finalized::Gone),
            other => other,
        }
    }

    async fn remove(
        &self,
        objects: &ResourceApi,
        key: &ObjectKey,
        live: Meta,
    ) -> Result<(), ApiError> {
        let uid = live.uid.clone();
        let mut at_hand = Some(live);
        let removed = retry_on_conflict(self.policy, || {
            let (at_hand, uid) = (at_hand.take(), uid.clone());
            async move {
                let Some(live) = again(objects, key, at_hand, uid).await? else {
                    return Ok(());
                };
                if self.is_on(&live) {
                    let mut finalizers = live.finalizers.clone().unwrap_or_default();
                    finalizers.retain(|name| *name != self.name);
                    write(objects, key, &live, &finalizers).await?;
                }
                Ok(())
            }
        });
        match removed.await {
            // It went between the read and the write: what was wanted has come about.
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    fn is_on(&self, meta: &Meta) -> bool {
        let names = meta.finalizers.as_ref();
        names.is_some_and(|names| names.contains(&self.name))
    }
}

impl Meta {
    fn of<T: Serialize>(object: &T) -> Self {
        let bytes = serde_json::to_vec(object).unwrap_or_default();
        let head: Head = serde_json::from_slice(&bytes).unwrap_or_default();
        head.metadata
    }
}

/// What is at hand, or else the object as it is now.
async fn again(
    objects: &ResourceApi,
    key: &ObjectKey,
    at_hand: Option<Meta>,
    uid: Option<String>,
) -> Result<Option<Meta>, ApiError> {
    match at_hand {
        Some(live) => Ok(Some(live)),
        None => read(objects, key, uid.as_deref()).await,
    }
}

/// The object as it is now, unless it is gone or another one has taken its name.
async fn read(
    objects: &ResourceApi,
    key: &ObjectKey,
    uid: Option<&str>,
) -> Result<Option<Meta>, ApiError> {
    let head: Head = match objects.get(key).await {
        Ok(head) => head,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let meta = head.metadata;
    let is_same = uid.is_none_or(|uid| meta.uid.as_deref() == Some(uid));
    Ok(is_same.then_some(meta))
}

/// Writes the list, unless the object has changed since it was read.
async fn write(
    objects: &ResourceApi,
    key: &ObjectKey,
    live: &Meta,
    finalizers: &[String],
) -> Result<Written<Value>, ApiError> {
    let patch = json!({ "metadata": {
        "uid": live.uid, "resourceVersion": live.resource_version, "finalizers": finalizers
    } });
    objects.patch(key, &Patch::Merge(patch)).await
}

impl<E: fmt::Display> fmt::Display for FinalizerError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(_) => f.write_str("the finalizer cannot be read or written"),
            Self::Cleanup(error) => write!(f, "the cleanup failed: {error}"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> error::Error for FinalizerError<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Api(error) => Some(error),
            Self::Cleanup(_) => None,
        }
    }
}
