//! Reads and writes of single objects, for controllers: what informers do not do.
//!
//! Does not cache, does not queue and does not wait out refusals: a controller's work queue does. One
//! request goes out for each call; a second one only where the first has provably not been acted upon
//! (a dead kept connection, a credential that had to be loaded anew).
//!
//! In: a resource, a key, an object that serde can write. Out: the object as the server stored it, with
//! its version and uid, or an [`ApiError`] that says whether the write may have happened.
//!
//! A1  A write that ends without an answer is never said to have failed: its outcome is unknown.
//! A2  An observer hears of each write twice: before it goes out, and once when it is over, also if its
//!     future was dropped.
//! A3  No body is ever printed, and nothing that a server says about a Secret (SEC-27, SEC-29).
//!
//! Source: client-go rest/request.go @v0.36.3; rules pr-N9, pr-N10, pr-N12, pr-S1, pr-S2, pr-S6.

mod answer;
mod error;
mod finalizer;
mod observer;
mod owner;
mod resource_api;
mod retry;

use std::{fmt, sync::Arc};

use tidings_api::{
    Resource,
    request::Request,
    status::{Refusal, Status, is_success, refusal, retry_after_of},
    write::WriteOptions,
};
use tidings_http::{Answer, Client};

pub(crate) use self::answer::plain_body;
pub use self::{
    answer::{Deletion, Written},
    error::{ApiError, Unreadable},
    finalizer::{Finalized, Finalizer, FinalizerError},
    observer::{Verb, WriteObserver, WriteOutcome, WriteTarget},
    owner::{ObjectReference, OwnerError, OwnerReference},
    resource_api::{Patch, ResourceApi},
    retry::{RetryPolicy, retry_if, retry_on_conflict},
};

/// Single objects of one API server. Cheap to clone; clones share the client and the observer.
///
/// # Example
///
/// ```no_run
/// # async fn run(client: tidings_http::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use serde_json::{Value, json};
/// use tidings::{Api, ObjectKey, Patch, Resource, Written};
///
/// let maps = Api::new(client).resource(&Resource::parse("v1/configmaps")?);
/// let key = ObjectKey::parse("default/settings")?;
/// let patch = Patch::Merge(json!({ "data": { "level": "debug" } }));
/// let written: Written<Value> = maps.patch(&key, &patch).await?;
/// println!("stored at {}", written.version);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Api {
    client: Client,
    observer: Option<Arc<dyn WriteObserver>>,
    options: WriteOptions,
}

impl Api {
    /// Over a client, without an observer.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            observer: None,
            options: WriteOptions::default(),
        }
    }

    /// With someone who is told of every write through this value and the clones made from it later.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn WriteObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// With options for all creates, updates, patches and applies: the field manager, and what the
    /// server does about unknown fields.
    #[must_use]
    pub fn write_options(mut self, options: WriteOptions) -> Self {
        self.options = options;
        self
    }

    /// The objects of one resource.
    #[must_use]
    pub fn resource(&self, resource: &Resource) -> ResourceApi {
        ResourceApi::new(self.clone(), resource.clone())
    }

    /// The same without an observer.
    pub(crate) fn unobserved(&self) -> Self {
        Self {
            observer: None,
            ..self.clone()
        }
    }

    /// The client underneath.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a request and returns the answer if it says that the server did what was asked.
    async fn exchange(&self, target: &WriteTarget, request: &Request) -> Result<Answer, ApiError> {
        let first = self.send(target, request).await?;
        let credential = first.credential;
        match judge(target, first) {
            Err(error) if error.refusal() == Some(Refusal::Unauthorized) => {
                // Tokens are renewed under our feet. A server that refuses one has not acted, so that
                // even a write may go out again, once.
                self.client.refresh_credentials(credential);
                judge(target, self.send(target, request).await?)
            }
            judged => judged,
        }
    }

    async fn send(&self, target: &WriteTarget, request: &Request) -> Result<Answer, ApiError> {
        let sent = self.client.send(request).await;
        sent.map_err(|source| ApiError::transport(target, source))
    }
}

/// The answer, if the server did what was asked.
fn judge(target: &WriteTarget, answer: Answer) -> Result<Answer, ApiError> {
    if is_success(answer.status) {
        return Ok(answer);
    }
    let body = plain_body(&answer).unwrap_or_default();
    let status = Status::parse(answer.status, &body);
    let refusal = refusal(answer.status, &status);
    let wait = retry_after_of(&status, answer.retry_after);
    Err(ApiError::refused(target, refusal, status, wait))
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("endpoint", self.client.endpoint())
            .field("observed", &self.observer.is_some())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
