//! The client: a request value in, an answer as a stream of chunks out.
//!
//! Does not decode, does not retry refusals, does not wait out backoffs: the reflector decides, on
//! the answer or the error that it gets. The one repetition: a request that went out on a kept
//! connection which turned out to be dead goes out once more on a fresh one (pr-F26).
//!
//! | purpose | connection over HTTP/1.1 | over HTTP/2 |
//! |---|---|---|
//! | list | kept or fresh, its own; kept after a clean end | kept or fresh, its own |
//! | short | kept or fresh; kept after a clean end | shared |
//! | watch | always fresh, its own | shared |
//!
//! I1  A request bears credentials to the configured endpoint and to no other (SEC-12): redirects
//!     are returned, not followed.
//! I2  A watch over HTTP/1.1 never begins on a connection that nobody has watched.
//!
//! Source: rules pr-S8..pr-S12, SEC-12, SEC-14, SEC-15, pr-F20..pr-F27, cg 1.6.

use std::sync::Arc;

use tidings_api::request::Request;
use tokio::time::timeout;

use crate::{
    config::{ClientConfig, ConfigError},
    credentials::CredentialVersion,
    dispatch::Dispatch,
    endpoint::Endpoint,
    error::{Step, TransportError},
    identity::Identity,
    metrics::RequestMetrics,
    response::{Answer, Response},
};

/// A client of one API server with one credential. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Client {
    dispatch: Arc<Dispatch>,
}

/// What a request is for: it decides its deadlines and its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "callers choose, they do not match")]
pub enum Purpose {
    /// A list, or a page of one: large, must not stand still.
    List,
    /// A small answer: discovery, probes, writes.
    Short,
    /// A watch: endless, may be silent.
    Watch,
}

/// The default bound of a short answer's body, in bytes.
pub const SHORT_BODY_BYTES_MAX: usize = 16 << 20;

impl Client {
    /// A client for a configuration. Certificates are read now, credentials at the first request.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if certificates or credentials are of no use.
    pub fn new(config: ClientConfig) -> Result<Self, ConfigError> {
        Dispatch::new(config).map(|dispatch| Self {
            dispatch: Arc::new(dispatch),
        })
    }

    /// Sends a request and waits for the head of its answer, whatever its status.
    ///
    /// # Errors
    ///
    /// [`TransportError`] if no answer came.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes its connection; whether the server has acted is then unknown.
    pub async fn open(
        &self,
        request: &Request,
        purpose: Purpose,
    ) -> Result<Response, TransportError> {
        let result = self.dispatch.exchange(request, purpose).await;
        let status = result.as_ref().map_or(0, |response| response.status);
        self.dispatch.metrics.request(purpose, status);
        result
    }

    /// Sends a short request and reads its answer whole, up to [`SHORT_BODY_BYTES_MAX`].
    ///
    /// # Errors
    ///
    /// [`TransportError`] if no answer came, or not a whole one in time.
    ///
    /// # Cancel safety
    ///
    /// As [`Client::open`].
    pub async fn send(&self, request: &Request) -> Result<Answer, TransportError> {
        let after = self.dispatch.config.timeouts.short;
        let whole = async {
            let response = self.open(request, Purpose::Short).await?;
            response.into_answer(SHORT_BODY_BYTES_MAX).await
        };
        timeout(after, whole)
            .await
            .unwrap_or_else(|_| Err(self.dispatch.late(Step::Body, after)))
    }

    /// Takes note that the server refused a credential (401): the next request loads it anew.
    /// Streams that were refused together cause one load.
    pub fn refresh_credentials(&self, refused: CredentialVersion) {
        self.dispatch.authenticator.refuse(refused);
    }

    /// Closes the connections that are kept for the next list or short request, so that it meets
    /// another server behind a balancer.
    pub fn close_kept(&self) {
        self.dispatch.close_kept();
    }

    /// What makes streams of two clients interchangeable: endpoint and credential.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.dispatch.identity.clone()
    }

    /// Where the server is.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.dispatch.config.endpoint
    }

    /// The namespace that the configuration names, if it names one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.dispatch.config.namespace.as_deref()
    }

    /// What the counters stand at.
    #[must_use]
    pub fn metrics(&self) -> RequestMetrics {
        self.dispatch.metrics.snapshot()
    }
}
