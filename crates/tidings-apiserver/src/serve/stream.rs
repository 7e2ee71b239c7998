//! Bodies: whole ones, list bodies in pieces, and watches.
//!
//! Does not make frames: the state does. It paces them, compresses them and breaks them off.
//!
//! Source: endpoints/handlers/watch.go @v0.36.3; rules pr-L20, pr-L21, pr-W7, pr-W18, pr-E11.

use std::{
    convert::Infallible,
    io::{self, Write as _},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body::{Frame, SizeHint};
use tokio::{sync::mpsc, time::Instant};

use super::{Shared, route::Connection, unix_seconds};
use crate::state::{Page, Watch, WatchStep};

/// A body that is whole or comes through a channel.
pub(super) enum Body {
    Whole(Option<Bytes>),
    Stream(mpsc::Receiver<io::Result<Bytes>>),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(chunks) => chunks
                .poll_recv(context)
                .map(|chunk| chunk.map(|chunk| chunk.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            // So that it is sent with its length, in one piece with the head.
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// A list body, made while it is sent.
pub(super) fn list(
    page: Page,
    chunk_bytes: Option<usize>,
    truncate: Option<usize>,
    gzip: bool,
) -> Body {
    let (sender, receiver) = mpsc::channel(LIST_CHANNEL_LEN);
    let pipe = Pipe {
        sender,
        chunk_bytes,
        stall_max: None,
    };
    tokio::spawn(async move {
        let mut left = truncate.unwrap_or(usize::MAX);
        let mut encoder = gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
        for chunk in page.chunks(LIST_CHUNK_BYTES) {
            let mut chunk = match &mut encoder {
                None => Bytes::from(chunk),
                Some(encoder) => {
                    // Writing to memory cannot fail.
                    let _ = encoder.write_all(&chunk);
                    std::mem::take(encoder.get_mut()).into()
                }
            };
            chunk.truncate(left);
            left -= chunk.len();
            if pipe.send(chunk).await.is_err() {
                return;
            }
            if left == 0 {
                let _ = pipe.sender.send(Err(broken())).await;
                return;
            }
        }
        if let Some(Ok(rest)) = encoder.map(GzEncoder::finish) {
            // The client may be gone: then nobody misses the end.
            let _ = pipe.send(rest.into()).await;
        }
    });
    Body::Stream(receiver)
}

/// A watch, until its client goes, its time is over, or something ends it.
pub(super) fn watch(
    connection: &Connection,
    mut watch: Watch,
    timeout: Duration,
    gzip: bool,
) -> Body {
    let (sender, receiver) = mpsc::channel(CHANNEL_LEN);
    let shared = Arc::clone(&connection.shared);
    let kill = Arc::clone(&connection.kill);
    if shared.faults.lock().drop_initial_events_end {
        watch.forget_end_bookmark();
    }
    tokio::spawn(async move {
        let mut stop = shared.stop.clone();
        let pipe = Pipe {
            sender: sender.clone(),
            chunk_bytes: shared.faults.lock().chunk_bytes,
            stall_max: Some(shared.config.stall_max),
        };
        tokio::select! {
            ended = follow(&shared, watch, timeout, gzip, &pipe) => {
                if ended == Err(End::Stalled) {
                    kill.notify_one();
                }
            }
            () = sender.closed() => {}
            _ = stop.changed() => {}
        }
    });
    Body::Stream(receiver)
}

/// Why nothing more can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client is gone.
    Gone,
    /// The client has not read for too long (pr-W18).
    Stalled,
}

/// The way into a body: pieces of the size that is asked for, and no patience without end.
struct Pipe {
    sender: mpsc::Sender<io::Result<Bytes>>,
    chunk_bytes: Option<usize>,
    stall_max: Option<Duration>,
}

impl Pipe {
    async fn send(&self, mut bytes: Bytes) -> Result<(), End> {
        let step = self.chunk_bytes.unwrap_or(usize::MAX).max(1);
        while !bytes.is_empty() {
            let chunk = bytes.split_to(step.min(bytes.len()));
            let sent = self.sender.send(Ok(chunk));
            match self.stall_max {
                None => sent.await.map_err(|_| End::Gone)?,
                Some(max) => match tokio::time::timeout(max, sent).await {
                    Ok(sent) => sent.map_err(|_| End::Gone)?,
                    Err(_) => return Err(End::Stalled),
                },
            }
        }
        Ok(())
    }

    /// Breaks off in the middle of a frame.
    async fn break_off(&self) {
        let _ = self.send(Bytes::from_static(HALF_A_FRAME)).await;
        // The half frame should leave before the connection does.
        tokio::task::yield_now().await;
        let _ = self.sender.send(Err(broken())).await;
    }
}

async fn follow(
    shared: &Shared,
    mut watch: Watch,
    timeout: Duration,
    gzip: bool,
    pipe: &Pipe,
) -> Result<(), End> {
    let mut changed = shared.changed.subscribe();
    let mut cuts = shared.cuts.subscribe();
    let deadline = Instant::now() + timeout;
    let period = shared.config.bookmark_period;
    // pr-E11: a last bookmark two seconds before the end.
    let last_bookmark = deadline
        .checked_sub(Duration::from_secs(2))
        .unwrap_or(deadline);
    let mut next_bookmark = (Instant::now() + period).min(last_bookmark);
    loop {
        changed.borrow_and_update();
        let (stalled, doubled, injected) = {
            let mut faults = shared.faults.lock();
            let injected = faults.inject.take();
            (faults.stall_watches, faults.duplicate_frames, injected)
        };
        if let Some(bytes) = injected {
            pipe.send(flushed(bytes.into(), gzip)).await?;
        }
        let mut out = Vec::new();
        let mut step = WatchStep::Level;
        watch.at(unix_seconds());
        if !stalled {
            let bytes = if doubled { 1 } else { WATCH_CHUNK_BYTES };
            step = watch.step(&shared.state.lock(), bytes, &mut out);
        }
        if doubled {
            out.extend_from_within(..);
        }
        pipe.send(flushed(out, gzip)).await?;
        match step {
            WatchStep::Ended => return Ok(()),
            WatchStep::More => continue,
            WatchStep::Level => {}
        }
        tokio::select! {
            biased;
            _ = cuts.changed() => {
                if cuts.borrow().abruptly {
                    pipe.break_off().await;
                }
                return Ok(());
            }
            _ = changed.changed() => {}
            () = tokio::time::sleep_until(next_bookmark) => {
                next_bookmark = if next_bookmark < last_bookmark {
                    (next_bookmark + period).min(last_bookmark)
                } else {
                    deadline + period
                };
                if !stalled && !shared.faults.lock().drop_bookmarks {
                    let mut out = Vec::new();
                    watch.bookmark(&shared.state.lock(), &mut out);
                    pipe.send(flushed(out, gzip)).await?;
                }
            }
            () = tokio::time::sleep_until(deadline) => return Ok(()),
        }
    }
}

/// What one flush puts on the wire: with gzip a member of its own (pr-W7).
fn flushed(out: Vec<u8>, gzip: bool) -> Bytes {
    if !gzip || out.is_empty() {
        return out.into();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(&out);
    encoder.finish().unwrap_or_default().into()
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "cut")
}

/// The error of a handler that has none.
pub(super) type Never = Infallible;

const HALF_A_FRAME: &[u8] = br#"{"type":"MODIFIED","object":{"metadata":{"name":"#;
const CHANNEL_LEN: usize = 16;
/// Chunks of a list that wait for its client, who may be slow: enough to make one while another is sent.
const LIST_CHANNEL_LEN: usize = 2;
/// Below what malloc takes from the system anew each time, and small enough for a core's own cache.
const LIST_CHUNK_BYTES: usize = 64 << 10;
const WATCH_CHUNK_BYTES: usize = 64 << 10;
