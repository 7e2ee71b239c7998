//! HTTP/1.1: one request at a time on a connection that its response owns.
//!
//! Does not pool and does not spawn: the connection is polled by whoever reads the body, so that
//! a byte crosses no task from the socket to its reader, and dropping the reader closes the socket.
//!
//! ```text
//!   poll_chunk --> body: a chunk there? --yes--> return it
//!       ^            | no
//!       '-- again -- connection: read the socket, parse, hand one chunk to the body
//! ```
//! I1  A body is clean at its end only if hyper saw the end that the framing announced (pr-L21).
//! I2  A connection is kept only when its body has ended cleanly and hyper takes a next request.
//!
//! Cost: one read of up to `read_buffer_bytes` and one allocation a chunk; the allocation is used
//! again if the chunk was dropped before the next is asked for.

use std::{
    future::{Future as _, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{Builder, Connection, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use crate::{config::ClientConfig, connect::Io};

/// A connection without a request on it.
#[derive(Debug)]
pub(crate) struct Idle {
    sender: SendRequest<Full<Bytes>>,
    connection: Pin<Box<Connection<TokioIo<Io>, Full<Bytes>>>>,
    pub(crate) since: Instant,
    pub(crate) tls_generation: u64,
}

/// A connection with a response's body on it.
pub(crate) struct Exchange {
    body: Incoming,
    /// `None` once the connection has ended.
    idle: Option<Idle>,
}

/// Why no head came.
pub(crate) struct Failed {
    pub(crate) error: Option<hyper::Error>,
    /// The request, if not one byte of it was sent.
    pub(crate) unsent: Option<http::Request<Full<Bytes>>>,
}

/// Makes a fresh byte stream ready for its first request.
pub(crate) async fn begin(
    io: Io,
    config: &ClientConfig,
    tls_generation: u64,
) -> Result<Idle, hyper::Error> {
    let (sender, connection) = Builder::new()
        .max_headers(config.headers_max)
        .max_header_size(config.head_bytes_max)
        .read_buf_exact_size(Some(config.read_buffer_bytes))
        .handshake(TokioIo::new(io))
        .await?;
    Ok(Idle {
        sender,
        connection: Box::pin(connection),
        since: Instant::now(),
        tls_generation,
    })
}

impl Idle {
    /// Whether the other side has left the connection open, as far as this side has heard.
    pub(crate) fn is_alive(&mut self) -> bool {
        // Nobody polls a kept connection: what has come for it meanwhile is seen only now.
        let mut cx = Context::from_waker(Waker::noop());
        self.connection.as_mut().poll(&mut cx).is_pending() && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(
        mut self,
        request: http::Request<Full<Bytes>>,
    ) -> Result<(http::response::Parts, Exchange), Failed> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let mut ended = false;
        let result = poll_fn(|cx| {
            if let Poll::Ready(result) = answer.as_mut().poll(cx) {
                return Poll::Ready(Some(result));
            }
            if !ended && let Poll::Ready(result) = self.connection.as_mut().poll(cx) {
                ended = true;
                if let Err(error) = result {
                    tracing::debug!(%error, "connection ended");
                }
            }
            match answer.as_mut().poll(cx) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending if ended => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        match result {
            Some(Ok(response)) => {
                let (parts, body) = response.into_parts();
                let idle = (!ended).then_some(self);
                Ok((parts, Exchange { body, idle }))
            }
            Some(Err(mut failed)) => {
                let unsent = failed.take_message();
                let error = Some(failed.into_error());
                Err(Failed { error, unsent })
            }
            None => Err(Failed {
                error: None,
                unsent: None,
            }),
        }
    }
}

/// What a step of reading a body came to.
pub(crate) enum Read {
    Chunk(Bytes),
    /// The body has ended as its framing announced.
    End,
    /// The body was cut.
    Cut(Option<hyper::Error>),
}

impl Exchange {
    /// The next chunk.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Read> {
        let mut driven = false;
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(chunk) => return Poll::Ready(Read::Chunk(chunk)),
                    Err(_trailers) => continue,
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Read::Cut(Some(error))),
                Poll::Ready(None) => return Poll::Ready(Read::End),
                Poll::Pending if driven => return Poll::Pending,
                Poll::Pending => {}
            }
            let Some(idle) = &mut self.idle else {
                return Poll::Ready(Read::Cut(None));
            };
            match idle.connection.as_mut().poll(cx) {
                // What the end of its connection means for the body, the body says itself.
                Poll::Ready(_) => self.idle = None,
                Poll::Pending => driven = true,
            }
        }
    }

    /// The connection, after a clean end, if it takes another request.
    pub(crate) fn into_idle(self) -> Option<Idle> {
        let mut idle = self.idle?;
        idle.since = Instant::now();
        idle.is_alive().then_some(idle)
    }
}
