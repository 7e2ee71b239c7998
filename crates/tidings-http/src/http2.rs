//! HTTP/2: many watches on few connections, each list on one of its own.
//!
//! Does not run in the reader's task: a connection is driven by a task of its own, which hands
//! chunks over. Whoever wants no task boundary uses HTTP/1.1.
//!
//! I1  A shared connection carries at most as many streams as its server allows (pr-S8, pr-F22).
//! I2  After GOAWAY, or without an answer to a ping or to a request, a connection takes no new stream
//!     (pr-F26): what stands behind a peer that answers pings may be dead.
//! I3  A body is clean at its end only if END_STREAM came: hyper takes RST_STREAM(NO_ERROR) for an
//!     end, this module does not (pr-L21).
//!
//! Source: RFC 9113; rules pr-S8, pr-S9, pr-S10, pr-F20..pr-F26.

use std::{
    future::{Future as _, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http2::{Builder, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use crate::{
    config::ClientConfig,
    connect::Io,
    http1::{Failed, Read},
};

/// A connection that requests can share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    sender: SendRequest<Full<Bytes>>,
    streams: Arc<AtomicUsize>,
    /// How many the server allows.
    allowed: Arc<AtomicUsize>,
    /// How many we want.
    streams_max: usize,
    /// It has left a request without an answer.
    retired: Retired,
    pub(crate) tls_generation: u64,
}

/// A response's body.
#[derive(Debug)]
pub(crate) struct Stream {
    body: Incoming,
    retired: Retired,
    _slot: Slot,
}

/// A mark on a connection that it is to take no new stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retired(Arc<AtomicBool>);

/// A place among a connection's streams.
#[derive(Debug)]
pub(crate) struct Slot(Arc<AtomicUsize>);

/// Bytes of one body that may be on their way: more than any frame, and a list at full speed over
/// a round trip of some milliseconds.
const STREAM_WINDOW: u32 = 2 << 20;

/// Bytes of all bodies that may be on their way: eight full streams leave room for the others.
const CONNECTION_WINDOW: u32 = 32 << 20;

/// Large frames cost less; a server may use smaller ones.
const FRAME_BYTES: u32 = 256 << 10;

/// Most streams on one connection, even if its server allows more: one lost connection then cuts
/// no more watches than this.
const STREAMS_MAX: usize = 100;

/// Makes a fresh byte stream ready for requests and starts the task that drives it. The task ends
/// with the connection, or with the last sender and stream.
pub(crate) async fn begin(
    io: Io,
    config: &ClientConfig,
    tls_generation: u64,
) -> Result<Shared, hyper::Error> {
    let (sender, connection) = Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_BYTES)
        .max_header_list_size(u32::try_from(config.head_bytes_max).unwrap_or(u32::MAX))
        .keep_alive_interval(config.timeouts.http2_ping)
        .keep_alive_timeout(config.timeouts.http2_ping)
        .keep_alive_while_idle(false)
        .handshake(TokioIo::new(io))
        .await?;
    let allowed = Arc::new(AtomicUsize::new(STREAMS_MAX));
    let seen = Arc::clone(&allowed);
    tokio::spawn(async move {
        let mut connection = pin!(connection);
        let ended = poll_fn(|cx| {
            let ended = connection.as_mut().poll(cx);
            // The server may change its mind at any time: only the connection knows.
            seen.store(connection.current_max_send_streams(), Relaxed);
            ended
        });
        if let Err(error) = ended.await {
            tracing::debug!(%error, "connection ended");
        }
    });
    Ok(Shared {
        sender,
        streams: Arc::new(AtomicUsize::new(0)),
        allowed,
        streams_max: STREAMS_MAX,
        retired: Retired::default(),
        tls_generation,
    })
}

impl Shared {
    /// Whether the connection is still good for new streams.
    pub(crate) fn is_alive(&self) -> bool {
        self.sender.is_ready() && !self.retired.0.load(Relaxed)
    }

    /// The mark of this connection.
    pub(crate) fn retired(&self) -> Retired {
        self.retired.clone()
    }

    /// A place for one more stream, if there is one.
    pub(crate) fn reserve(&self) -> Option<Slot> {
        let max = self.allowed.load(Relaxed).min(self.streams_max);
        let taken = self
            .streams
            .fetch_update(Relaxed, Relaxed, |count| (count < max).then_some(count + 1));
        taken.is_ok().then(|| Slot(Arc::clone(&self.streams)))
    }

    /// The place of the request that the connection was opened for.
    pub(crate) fn reserve_first(&self) -> Slot {
        self.streams.fetch_add(1, Relaxed);
        Slot(Arc::clone(&self.streams))
    }

    /// The same connection, for one stream at a time.
    pub(crate) fn for_one(self) -> Self {
        Self {
            streams_max: 1,
            ..self
        }
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(
        mut self,
        request: http::Request<Full<Bytes>>,
        slot: Slot,
    ) -> Result<(http::response::Parts, Stream), Failed> {
        match self.sender.try_send_request(request).await {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                let stream = Stream {
                    body,
                    retired: self.retired,
                    _slot: slot,
                };
                Ok((parts, stream))
            }
            Err(mut failed) => {
                let unsent = failed.take_message();
                let error = Some(failed.into_error());
                Err(Failed { error, unsent })
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Retired {
    /// Streams that stand on the connection go on; it gets no new ones.
    pub(crate) fn set(&self) {
        self.0.store(true, Relaxed);
    }
}

impl Stream {
    /// The body stands still, and whatever else is asked on its connection may do so too.
    pub(crate) fn retire_connection(&self) {
        self.retired.set();
    }

    /// The next chunk.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Read> {
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(chunk) = frame.into_data()
                        && !chunk.is_empty()
                    {
                        return Poll::Ready(Read::Chunk(chunk));
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Read::Cut(Some(error))),
                Poll::Ready(None) if self.body.is_end_stream() => return Poll::Ready(Read::End),
                Poll::Ready(None) => return Poll::Ready(Read::Cut(None)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
