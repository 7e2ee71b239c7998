//! An answer: its head as values, its body as chunks.
//!
//! Does not decode and does not judge: a 410 or a redirect is an answer like any other.
//!
//! I1  `None` comes once, after a body that ended as its framing announced; a body that was cut ends
//!     with an error instead (pr-L21, pr-F23).
//! I2  After `None` or an error no chunk comes any more.
//! I3  Dropping a response over HTTP/1.1 closes its connection, unless its body had ended.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use tidings_api::status::parse_retry_after;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    credentials::CredentialVersion,
    dispatch::Dispatch,
    error::TransportError,
    http1::{Exchange, Read},
    http2::Stream,
    metrics::add,
};

/// An answer.
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The `Content-Type`, empty if absent.
    pub content_type: String,
    /// The `Content-Encoding`, empty if absent: the chunks are as they came.
    pub content_encoding: String,
    /// How long the server asks to wait (pr-S6).
    pub retry_after: Option<Duration>,
    /// The name under which the server logged the request (pr-S11).
    pub audit_id: Option<String>,
    /// Which version of our credential the request bore: name it when it was refused.
    pub credential: CredentialVersion,
    headers: HeaderMap,
    body: Body,
    received: u64,
    idle: Option<IdleDeadline>,
    dispatch: Arc<Dispatch>,
}

/// A short answer, read whole.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The `Content-Type`, empty if absent.
    pub content_type: String,
    /// The `Content-Encoding`, empty if absent: the body is as it came.
    pub content_encoding: String,
    /// How long the server asks to wait (pr-S6).
    pub retry_after: Option<Duration>,
    /// The name under which the server logged the request (pr-S11).
    pub audit_id: Option<String>,
    /// Which version of our credential the request bore: name it when it was refused.
    pub credential: CredentialVersion,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Where chunks come from.
pub(crate) enum Body {
    Http1(Box<Exchange>),
    Http2(Box<Stream>),
    Ended,
}

/// A deadline that each chunk moves. The timer is set anew only when it fires, since chunks come
/// far more often.
struct IdleDeadline {
    limit: Duration,
    last: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Response {
    pub(crate) fn new(
        parts: http::response::Parts,
        body: Body,
        idle: Option<Duration>,
        credential: CredentialVersion,
        dispatch: Arc<Dispatch>,
    ) -> Self {
        let headers = parts.headers;
        let text = |name: &str| header_text(&headers, name).unwrap_or_default().to_owned();
        Self {
            status: parts.status.as_u16(),
            content_type: text("content-type"),
            content_encoding: text("content-encoding"),
            retry_after: header_text(&headers, "retry-after").and_then(parse_retry_after),
            audit_id: header_text(&headers, "audit-id").map(str::to_owned),
            credential,
            body,
            received: 0,
            idle: idle.map(IdleDeadline::new),
            dispatch,
            headers,
        }
    }

    /// The value of a header, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header_text(&self.headers, name)
    }

    /// The bytes of the body so far.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Polls for the next chunk; `None` after a clean end.
    ///
    /// # Errors
    ///
    /// [`TransportError::Truncated`] if the body was cut, [`TransportError::Stalled`] if a list's
    /// body stood still.
    pub fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, TransportError>>> {
        let read = match &mut self.body {
            Body::Http1(exchange) => exchange.poll_read(cx),
            Body::Http2(stream) => stream.poll_read(cx),
            Body::Ended => return Poll::Ready(None),
        };
        match read {
            Poll::Ready(Read::Chunk(chunk)) => {
                self.received += chunk.len() as u64;
                add(&self.dispatch.metrics.bytes_in, chunk.len() as u64);
                if let Some(idle) = &mut self.idle {
                    idle.last = Instant::now();
                }
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(Read::End) => {
                if let Body::Http1(exchange) = std::mem::replace(&mut self.body, Body::Ended)
                    && let Some(idle) = exchange.into_idle()
                {
                    self.dispatch.keep(idle);
                }
                Poll::Ready(None)
            }
            Poll::Ready(Read::Cut(source)) => {
                self.body = Body::Ended;
                add(&self.dispatch.metrics.truncated, 1);
                Poll::Ready(Some(Err(TransportError::Truncated {
                    received: self.received,
                    source: source.map(Arc::new),
                })))
            }
            Poll::Pending => self.poll_idle(cx).map(|error| Some(Err(error))),
        }
    }

    /// Waits for the next chunk; `None` after a clean end.
    ///
    /// # Errors
    ///
    /// As [`Response::poll_chunk`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what a dropped call has not returned, the next one does.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, TransportError>> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// Reads the rest of the body, at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`TransportError::BodyTooLarge`] beyond the limit, else as [`Response::poll_chunk`].
    ///
    /// # Cancel safety
    ///
    /// What was read by a dropped call is lost.
    pub async fn read_to_limit(&mut self, limit: usize) -> Result<Bytes, TransportError> {
        let mut whole: Option<Bytes> = None;
        let mut joined = BytesMut::new();
        while let Some(chunk) = self.chunk().await {
            let chunk = chunk?;
            if joined.len() + whole.as_ref().map_or(0, Bytes::len) + chunk.len() > limit {
                return Err(TransportError::BodyTooLarge { limit });
            }
            // One chunk is the whole of most short bodies: it is not copied.
            if whole.is_none() && joined.is_empty() {
                whole = Some(chunk);
                continue;
            }
            if let Some(first) = whole.take() {
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&chunk);
        }
        Ok(whole.unwrap_or_else(|| joined.freeze()))
    }

    /// Reads the whole body of a short answer.
    pub(crate) async fn into_answer(mut self, limit: usize) -> Result<Answer, TransportError> {
        let body = self.read_to_limit(limit).await?;
        Ok(Answer {
            status: self.status,
            content_type: self.content_type,
            content_encoding: self.content_encoding,
            retry_after: self.retry_after,
            audit_id: self.audit_id,
            credential: self.credential,
            headers: self.headers,
            body,
        })
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<TransportError> {
        let Some(idle) = &mut self.idle else {
            return Poll::Pending;
        };
        while idle.sleep.as_mut().poll(cx).is_ready() {
            let end = idle.last + idle.limit;
            if end <= Instant::now() {
                if let Body::Http2(stream) = &self.body {
                    stream.retire_connection();
                }
                self.body = Body::Ended;
                return Poll::Ready(TransportError::Stalled {
                    idle: idle.limit,
                    received: self.received,
                });
            }
            idle.sleep.as_mut().reset(end);
        }
        Poll::Pending
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .field("audit_id", &self.audit_id)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

impl IdleDeadline {
    fn new(limit: Duration) -> Self {
        let last = Instant::now();
        Self {
            limit,
            last,
            sleep: Box::pin(sleep_until(last + limit)),
        }
    }
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
