//! The stream in flight: from a request under way to slices of its body.
//!
//! In: an opening. Out: accepted or refused, then slices of bounded length, then an end.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tidings_api::{limits::Limits, status::Status};
use tidings_engine::{
    ingest::{Body as Content, Form, ProbeBody},
    reflector::FailureKind,
};
use tokio::time::Sleep;

use super::Probed;
use crate::transport::{Body, Opening, Purpose, Response, TransportFailure};

pub(super) type ProbeFuture = Pin<Box<dyn Future<Output = Probed> + Send>>;

/// What the driver has in flight.
pub(super) enum Link {
    Closed,
    Opening {
        opening: Opening,
        purpose: Purpose,
        limits: Limits,
    },
    /// A refusal: its body is read as far as a Status may go, and as long as it may take.
    Refused {
        response: Response,
        text: Vec<u8>,
        late: Pin<Box<Sleep>>,
    },
    Open(Box<Stream>),
}

/// A body and how far it has been read.
pub(super) struct Stream {
    source: Box<dyn Body>,
    pending: Bytes,
    pub(super) content: Content,
}

/// What happened on the link.
pub(super) enum LinkEvent {
    Accepted,
    Refused {
        code: u16,
        status: Box<Status>,
        retry_after: Option<Duration>,
    },
    Slice(Bytes),
    Ended,
    Failed(FailureKind, String),
}

impl Link {
    pub(super) const fn opening(opening: Opening, purpose: Purpose, limits: Limits) -> Self {
        Self::Opening {
            opening,
            purpose,
            limits,
        }
    }

    /// Whether there is something to read without waiting for the socket.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self, Self::Open(stream) if !stream.pending.is_empty())
    }

    /// The next event. Cancel safe: everything that was read is in `self`.
    pub(super) async fn next(&mut self) -> LinkEvent {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The next event of an open stream if it is there already. Cancel safe, as [`Self::next`].
    pub(super) async fn next_at_hand(&mut self) -> Option<LinkEvent> {
        if !matches!(self, Self::Open(_)) {
            return None;
        }
        poll_fn(|context| match self.poll_next(context) {
            Poll::Ready(event) => Poll::Ready(Some(event)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<LinkEvent> {
        loop {
            match self {
                Self::Closed => return Poll::Pending,
                Self::Opening {
                    opening,
                    purpose,
                    limits,
                } => {
                    let Poll::Ready(opened) = opening.as_mut().poll(context) else {
                        return Poll::Pending;
                    };
                    let (purpose, limits) = (*purpose, *limits);
                    match opened {
                        Err(failure) => return Poll::Ready(self.fail(failure)),
                        Ok(response) if response.status == 200 => {
                            return Poll::Ready(self.accept(response, purpose, &limits));
                        }
                        Ok(response) => {
                            *self = Self::Refused {
                                response,
                                text: Vec::new(),
                                late: Box::pin(tokio::time::sleep(REFUSAL_WAIT)),
                            }
                        }
                    }
                }
                Self::Refused {
                    response,
                    text,
                    late,
                } => {
                    let is_late = late.as_mut().poll(context).is_ready();
                    match response.body.poll_chunk(context) {
                        Poll::Pending if !is_late => return Poll::Pending,
                        Poll::Ready(Some(Ok(chunk)))
                            if !is_late && text.len() < REFUSAL_BYTES_MAX =>
                        {
                            let room = REFUSAL_BYTES_MAX - text.len();
                            text.extend_from_slice(&chunk[..chunk.len().min(room)]);
                            continue;
                        }
                        // The code alone says what to do: whatever more was to come is not waited for.
                        Poll::Pending | Poll::Ready(_) => {}
                    }
                    let code = response.status;
                    let status = Box::new(Status::parse(code, text));
                    let retry_after = response.retry_after;
                    return Poll::Ready(LinkEvent::Refused {
                        code,
                        status,
                        retry_after,
                    });
                }
                Self::Open(stream) => return stream.poll_slice(context),
            }
        }
    }

    fn fail(&mut self, failure: TransportFailure) -> LinkEvent {
        *self = Self::Closed;
        LinkEvent::Failed(FailureKind::Transport, failure.0)
    }

    fn accept(&mut self, response: Response, purpose: Purpose, limits: &Limits) -> LinkEvent {
        *self = Self::Closed;
        let form = match purpose {
            Purpose::List | Purpose::Probe | Purpose::Short => Form::Page,
            Purpose::Watch => Form::Frames,
        };
        let (media, encoding) = (&response.content_type, &response.content_encoding);
        let content = match Content::open(form, media, encoding, limits) {
            Ok(content) => content,
            Err(message) => return LinkEvent::Failed(FailureKind::Undecodable, message),
        };
        *self = Self::Open(Box::new(Stream {
            source: response.body,
            pending: Bytes::new(),
            content,
        }));
        LinkEvent::Accepted
    }
}

impl Stream {
    fn poll_slice(&mut self, context: &mut Context<'_>) -> Poll<LinkEvent> {
        if self.pending.is_empty() {
            match std::task::ready!(self.source.poll_chunk(context)) {
                None => return Poll::Ready(LinkEvent::Ended),
                Some(Err(failure)) => {
                    return Poll::Ready(LinkEvent::Failed(FailureKind::Transport, failure.0));
                }
                Some(Ok(chunk)) => self.pending = chunk,
            }
        }
        let step = self.content.slice_bytes_max();
        let slice = self.pending.split_to(self.pending.len().min(step));
        Poll::Ready(LinkEvent::Slice(slice))
    }
}

/// The probe's answer, when there is a probe.
pub(super) async fn probed(probe: &mut Option<ProbeFuture>) -> Probed {
    match probe {
        Some(probe) => probe.await,
        None => std::future::pending().await,
    }
}

/// Sends a consistent list of one item and reads its version (pr-E11c).
pub(super) async fn probe(opening: Opening, limits: Limits) -> Probed {
    let mut response = opening
        .await
        .ok()
        .filter(|response| response.status == 200)?;
    let mut answer = ProbeBody::new(&limits);
    while let Some(chunk) = poll_fn(|context| response.body.poll_chunk(context)).await {
        if !answer.feed(&chunk.ok()?) {
            return None;
        }
    }
    answer.finish()
}

/// Most bytes of a refusal's body that are read.
const REFUSAL_BYTES_MAX: usize = 64 << 10;
/// How long a refusal's body may take once its head has come; it is usually in the same packet.
const REFUSAL_WAIT: Duration = Duration::from_secs(5);
