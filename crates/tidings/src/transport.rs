//! How an informer reaches a server: a request out, a stream of chunks back.
//!
//! [`tidings_http::Client`] is the real one. The trait exists so that the driver can be run over
//! scripted streams, with every fault and a paused clock.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tidings_api::request::Request;

/// What a request is for: it decides about deadlines and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every transport decides about every purpose"
)]
pub enum Purpose {
    /// A list, or a page of one.
    List,
    /// A probe of a silent watch: it must not share the watch's connection state.
    Probe,
    /// A request about one object, with a short answer.
    Short,
    /// A watch.
    Watch,
}

/// A way to a server.
pub trait Transport: Send + Sync + 'static {
    /// Opens a stream. It must fail, sooner or later, rather than hang.
    fn open(&self, request: Request, purpose: Purpose) -> Opening;

    /// Loads the credentials anew before the next request.
    fn reload_credentials(&self);

    /// What makes two streams of equal scope one: the endpoint and the credentials, without
    /// secrets.
    fn identity(&self) -> String;
}

/// A request under way.
pub type Opening = Pin<Box<dyn Future<Output = Result<Response, TransportFailure>> + Send>>;

/// A response's head, and its body as it comes.
#[non_exhaustive]
pub struct Response {
    /// The HTTP code.
    pub status: u16,
    /// The `Content-Type`, empty if absent.
    pub content_type: String,
    /// The `Content-Encoding`, empty if absent.
    pub content_encoding: String,
    /// The `Retry-After`, if it is one.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Box<dyn Body>,
}

impl Response {
    /// A response from its parts.
    #[must_use]
    pub fn new(status: u16, content_type: String, body: Box<dyn Body>) -> Self {
        Self {
            status,
            content_type,
            content_encoding: String::new(),
            retry_after: None,
            body,
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .finish_non_exhaustive()
    }
}

/// A body as it comes.
pub trait Body: Send {
    /// The next chunk; `None` at an end that the framing allows.
    fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, TransportFailure>>>;
}

/// The stream, or the attempt to open it, failed. One sentence, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing but its sentence")]
pub struct TransportFailure(pub String);

impl fmt::Display for TransportFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TransportFailure {}

/// [`tidings_http::Client`] as a transport.
pub struct HttpTransport {
    client: tidings_http::Client,
    refused: Arc<Mutex<Option<tidings_http::CredentialVersion>>>,
}

impl HttpTransport {
    /// A transport over a client.
    #[must_use]
    pub fn new(client: tidings_http::Client) -> Self {
        Self {
            client,
            refused: Arc::default(),
        }
    }
}

impl Transport for HttpTransport {
    fn open(&self, request: Request, purpose: Purpose) -> Opening {
        let (client, refused) = (self.client.clone(), Arc::clone(&self.refused));
        Box::pin(async move {
            let purpose = match purpose {
                Purpose::List => tidings_http::Purpose::List,
                Purpose::Probe | Purpose::Short => tidings_http::Purpose::Short,
                Purpose::Watch => tidings_http::Purpose::Watch,
            };
            let opened = client.open(&request, purpose).await;
            let response = opened.map_err(|error| describe(&error))?;
            if response.status == 401 {
                *refused.lock() = Some(response.credential);
            }
            Ok(Response {
                status: response.status,
                content_type: response.content_type.clone(),
                content_encoding: response.content_encoding.clone(),
                retry_after: response.retry_after,
                body: Box::new(HttpBody(response)),
            })
        })
    }

    fn reload_credentials(&self) {
        if let Some(version) = self.refused.lock().take() {
            self.client.refresh_credentials(version);
        }
    }

    fn identity(&self) -> String {
        format!("{:?}", self.client.identity())
    }
}

struct HttpBody(tidings_http::Response);

impl Body for HttpBody {
    fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, TransportFailure>>> {
        let polled = self.0.poll_chunk(context);
        polled.map(|chunk| chunk.map(|chunk| chunk.map_err(|error| describe(&error))))
    }
}

/// The error and its causes in one bounded line: a cause may quote what the peer said, as a GOAWAY's
/// reasons are (SEC-29).
fn describe(error: &dyn std::error::Error) -> TransportFailure {
    let mut text = bounded(error);
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = bounded(cause);
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    TransportFailure(text)
}

fn bounded(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let printable = text.chars().filter(|c| !c.is_control());
    printable.take(CAUSE_CHARS_MAX).collect()
}

/// Most characters of one cause that are repeated.
const CAUSE_CHARS_MAX: usize = 300;
