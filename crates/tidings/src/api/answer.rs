//! What a server answers to a write: the object, or that there is none any more.
//!
//! Does not decide whether an answer is a refusal: its code has done that.
//!
//! W1  An object whose last finalizer went with the write is gone, although the answer shows it.
//! W2  A delete is over only if the answer leaves nothing that keeps the object: no finalizer, no grace.
//!
//! Source: apiserver registry/generic/registry/store.go and endpoints/handlers/delete.go @v0.36.3; rule
//! pr-N12.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, de::DeserializeOwned};
use tidings_api::{
    ObjectKey, ResourceVersion,
    gzip::GzipDecoder,
    status::{is_accepted, is_created},
};
use tidings_http::{Answer, SHORT_BODY_BYTES_MAX};

use super::{
    error::Unreadable,
    observer::{Verb, WriteOutcome},
};

/// An object as the server stored it. `Debug` leaves the object out.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written<T> {
    /// The object, with what the server added.
    pub object: T,
    /// Its key, which is new where the server made the name.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: String,
    /// Its version. A write that changes nothing has the version from before.
    pub version: ResourceVersion,
    /// Whether it was not there before.
    pub created: bool,
    /// Whether it went with this write: its deletion waited for a finalizer that the write took away.
    pub gone: bool,
}

/// What came of a delete.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deletion {
    /// The object is gone.
    Gone {
        /// Its uid; empty if the server did not say.
        uid: String,
    },
    /// It is marked as being deleted, and stays until its finalizers, its dependents or its grace
    /// period are over.
    Pending {
        /// Its uid; empty if the server did not say.
        uid: String,
        /// Its version with the mark, if the server said it.
        version: Option<ResourceVersion>,
        /// What it waits for.
        finalizers: Vec<String>,
    },
}

/// What every answer is read for, whatever its type.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Facts {
    kind: Option<String>,
    metadata: Option<Meta>,
    /// The uid that a Status gives, which says that a delete went well.
    #[serde(skip)]
    uid_in_status: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    deletion_timestamp: Option<String>,
    deletion_grace_period_seconds: Option<i64>,
    finalizers: Option<Vec<String>>,
}

/// A Status that says that a delete went well.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Success {
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    uid: Option<String>,
}

/// An object's identity, as a write left it.
pub(super) struct Identity {
    key: ObjectKey,
    uid: String,
    version: ResourceVersion,
    gone: bool,
}

impl<T> fmt::Debug for Written<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written")
            .field("key", &self.key)
            .field("uid", &self.uid)
            .field("version", &self.version)
            .field("created", &self.created)
            .field("gone", &self.gone)
            .finish_non_exhaustive()
    }
}

// === impl Facts ===

impl Facts {
    pub(super) fn read(body: &[u8]) -> Result<Self, Unreadable> {
        let mut facts: Self = decode(body)?;
        // A custom resource may have a `details` of its own, of any type.
        if facts.is_status() {
            let success: Success = decode(body)?;
            facts.uid_in_status = success.details.and_then(|it| it.uid).unwrap_or_default();
        }
        Ok(facts)
    }

    fn is_status(&self) -> bool {
        self.kind.as_deref() == Some("Status")
    }

    /// The identity of the object that the answer is.
    pub(super) fn identity(&self) -> Option<Identity> {
        let meta = self.metadata.as_ref()?;
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let uid = meta.uid.clone().filter(|uid| !uid.is_empty())?;
        Some(Identity {
            key: ObjectKey::new(namespace, meta.name.as_deref()?).ok()?,
            uid,
            version: meta.version()?,
            gone: meta.deletion_timestamp.is_some() && !meta.is_kept(),
        })
    }

    /// What came of a delete, given the code of its answer.
    pub(super) fn deletion(&self, code: u16) -> Deletion {
        let Some(meta) = self.metadata.as_ref().filter(|_| !self.is_status()) else {
            let uid = self.uid_in_status.clone();
            return if is_accepted(code) {
                Deletion::Pending {
                    uid,
                    version: None,
                    finalizers: Vec::new(),
                }
            } else {
                Deletion::Gone { uid }
            };
        };
        let uid = meta.uid.clone().unwrap_or_default();
        let is_marked = meta.deletion_timestamp.is_some();
        if is_accepted(code) || (is_marked && meta.is_kept()) {
            Deletion::Pending {
                uid,
                version: meta.version(),
                finalizers: meta.finalizers.clone().unwrap_or_default(),
            }
        } else {
            Deletion::Gone { uid }
        }
    }

    /// How a delete ended, for its observer.
    pub(super) fn deletion_outcome(&self, deletion: &Deletion) -> WriteOutcome {
        match deletion {
            Deletion::Gone { uid } => WriteOutcome::Deleted {
                uid: uid.clone(),
                // The object shown is the last one before: its version is not the deletion's.
                version: None,
            },
            Deletion::Pending { .. } => match self.identity() {
                Some(identity) => identity.stored(),
                None => WriteOutcome::Unknown,
            },
        }
    }
}

impl Meta {
    fn version(&self) -> Option<ResourceVersion> {
        ResourceVersion::parse(self.resource_version.as_deref()?).ok()
    }

    /// Whether something keeps an object that is marked as being deleted.
    fn is_kept(&self) -> bool {
        let has_finalizers = self.finalizers.as_ref().is_some_and(|it| !it.is_empty());
        has_finalizers || self.deletion_grace_period_seconds.is_some_and(|it| it > 0)
    }
}

impl Identity {
    /// How the write ended, for its observer.
    pub(super) fn outcome(&self, verb: Verb) -> WriteOutcome {
        if self.gone && verb != Verb::Create {
            return WriteOutcome::Deleted {
                uid: self.uid.clone(),
                version: None,
            };
        }
        self.stored()
    }

    fn stored(&self) -> WriteOutcome {
        WriteOutcome::Stored {
            key: self.key.clone(),
            uid: self.uid.clone(),
            version: self.version.clone(),
        }
    }

    pub(super) fn with<T>(self, object: T, code: u16) -> Written<T> {
        Written {
            object,
            key: self.key,
            uid: self.uid,
            version: self.version,
            created: is_created(code),
            gone: self.gone,
        }
    }
}

/// Reads an answer's body as a type. The error says where, not what: its own text quotes values.
pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(body).map_err(|error| Unreadable::Value {
        line: error.line(),
        column: error.column(),
    })
}

/// The body without its compression.
pub(crate) fn plain_body(answer: &Answer) -> Result<Cow<'_, [u8]>, Unreadable> {
    if answer.content_encoding != "gzip" {
        return Ok(Cow::Borrowed(&answer.body));
    }
    let mut plain = Vec::new();
    let mut gzip = GzipDecoder::new(Some(SHORT_BODY_BYTES_MAX as u64));
    let fed = gzip.feed(&answer.body, &mut |bytes| plain.extend_from_slice(bytes));
    match fed.and_then(|()| gzip.finish()) {
        Ok(()) => Ok(Cow::Owned(plain)),
        Err(_) => Err(Unreadable::Compressed),
    }
}
