//! Bodies: whole ones, list bodies in pieces, and watches.
//!
//! Does not make frames: the state does. It paces them, compresses them and breaks them off.
//!
//! Source: endpoints/handlers/watch.go @v0.36.3, its compression @v0.37.2; rules pr-L20, pr-L21, pr-W7, pr-W18, pr-E11.

use std::{
    convert::Infallible,
    io::{self, Write as _},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body::{Frame, SizeHint};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    Shared,
    open::{Connection, Cut, WatchGuard},
    rules::{self, FramesMet},
    unix_seconds,
};
use crate::state::{Page, Watch, WatchStep};

/// A body that is whole or comes through a channel.
pub(super) enum Body {
    Whole(Option<Bytes>),
    Stream(mpsc::Receiver<io::Result<Bytes>>, Arc<Broken>),
}

/// Whether a body ends before its end: said when what was sent before has been taken.
#[derive(Debug, Default)]
pub(super) struct Broken(AtomicBool);

impl Broken {
    fn set(&self) {
        self.0.store(true, Relaxed);
    }
}

/// How a body is sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Way {
    /// The pieces in which it is sent.
    pub(super) chunk_bytes: Option<usize>,
    /// Drops of so many bytes, one each period.
    pub(super) drip: Option<(usize, Duration)>,
    pub(super) gzip: bool,
    /// After how many bytes it breaks off.
    pub(super) truncate: Option<usize>,
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
            Self::Stream(chunks, is_broken) => {
                let chunk = std::task::ready!(chunks.poll_recv(context));
                let cut = || is_broken.0.load(Relaxed).then(|| Err(broken()));
                Poll::Ready(chunk.or_else(cut).map(|chunk| chunk.map(Frame::data)))
            }
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
            Self::Stream(..) => SizeHint::default(),
        }
    }
}

/// A list body, made while it is sent.
///
/// A client that takes nothing for as long as a request may last loses the connection, or over HTTP/2 the
/// stream (pr-L21).
pub(super) fn list(connection: Option<&Arc<Connection>>, page: Page, way: Way) -> Body {
    let patience = |shared: &Shared| shared.config.request_timeout;
    let (pipe, body) = Pipe::new(connection, way, LIST_CHANNEL_LEN, patience);
    tokio::spawn(async move {
        let mut left = way.truncate.unwrap_or(usize::MAX);
        let mut encoder = way
            .gzip
            .then(|| GzEncoder::new(Vec::new(), Compression::fast()));
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
            if let Err(end) = pipe.send(chunk).await {
                return pipe.give_up(end);
            }
            if left == 0 {
                pipe.broken.set();
                return;
            }
        }
        if let Some(Ok(rest)) = encoder.map(GzEncoder::finish)
            && let Err(end) = pipe.send(rest.into()).await
        {
            pipe.give_up(end);
        }
    });
    body
}

/// A watch, until its client goes, its time is over, or something ends it.
pub(super) fn watching(
    connection: &Arc<Connection>,
    guard: WatchGuard,
    mut watch: Watch,
    timeout: Duration,
    way: Way,
) -> Body {
    let shared = Arc::clone(&connection.shared);
    let mut way = way;
    {
        let faults = shared.faults.lock();
        way.chunk_bytes = faults.chunk_bytes;
        if faults.drop_initial_events_end {
            watch.forget_end_bookmark();
        }
    }
    let patience = |shared: &Shared| shared.config.stall_max;
    let (pipe, body) = Pipe::new(Some(connection), way, CHANNEL_LEN, patience);
    tokio::spawn(async move {
        let mut stop = shared.stop.clone();
        let mut cut = guard.watch.cut.subscribe();
        tokio::select! {
            // What is written after a cut is not told before it.
            biased;
            // Also in the middle of a frame, if it comes to that.
            () = is_cut(&mut cut, Cut::Abruptly) => pipe.break_off().await,
            ended = follow(&shared, &guard, watch, timeout, &pipe) => {
                if let Err(end) = ended {
                    pipe.give_up(end);
                }
            }
            () = pipe.sender.closed() => {}
            _ = stop.changed() => {}
        }
    });
    body
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
    broken: Arc<Broken>,
    way: Way,
    /// Whom to blame for what is not taken, and how long to wait for it.
    connection: Option<(Arc<Connection>, Duration)>,
}

impl Pipe {
    fn new(
        connection: Option<&Arc<Connection>>,
        way: Way,
        chunks: usize,
        stall_max: impl Fn(&Shared) -> Duration,
    ) -> (Self, Body) {
        let (sender, receiver) = mpsc::channel(chunks);
        let broken = Arc::<Broken>::default();
        let body = Body::Stream(receiver, Arc::clone(&broken));
        let connection = connection.map(|it| (Arc::clone(it), stall_max(&it.shared)));
        let pipe = Self {
            sender,
            broken,
            way,
            connection,
        };
        (pipe, body)
    }

    async fn send(&self, mut bytes: Bytes) -> Result<(), End> {
        let (step, pause) = match self.way.drip {
            Some((bytes, period)) => (Some(bytes), Some(period)),
            None => (self.way.chunk_bytes, None),
        };
        let step = step.unwrap_or(usize::MAX).max(1);
        while !bytes.is_empty() {
            let chunk = bytes.split_to(step.min(bytes.len()));
            let sent = self.sender.send(Ok(chunk));
            match &self.connection {
                None => sent.await.map_err(|_| End::Gone)?,
                Some((_, max)) => match tokio::time::timeout(*max, sent).await {
                    Ok(sent) => sent.map_err(|_| End::Gone)?,
                    Err(_) => return Err(End::Stalled),
                },
            }
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
        Ok(())
    }

    /// Ends a body whose client takes nothing: it learns of it at the latest when it reads again.
    fn give_up(&self, end: End) {
        self.broken.set();
        if let (End::Stalled, Some((connection, _))) = (end, &self.connection)
            && !connection.is_h2()
        {
            connection.kill.notify_one();
        }
    }

    /// Breaks off in the middle of a frame.
    async fn break_off(&self) {
        self.broken.set();
        // No drops now: whoever cuts abruptly does not wait.
        let half = self.sender.send(Ok(Bytes::from_static(HALF_A_FRAME)));
        let _ = tokio::time::timeout(BREAK_PAUSE, half).await;
        // The half frame should leave before the connection does.
        tokio::task::yield_now().await;
    }
}

async fn follow(
    shared: &Shared,
    guard: &WatchGuard,
    mut watch: Watch,
    timeout: Duration,
    pipe: &Pipe,
) -> Result<(), End> {
    let gzip = pipe.way.gzip;
    let mut changed = shared.changed.subscribe();
    let mut cut = guard.watch.cut.subscribe();
    let deadline = Instant::now() + timeout;
    let period = shared.config.bookmark_period;
    // pr-E11: a last bookmark two seconds before the end.
    let last_bookmark = deadline
        .checked_sub(Duration::from_secs(2))
        .unwrap_or(deadline);
    let mut next_bookmark = (Instant::now() + period).min(last_bookmark);
    loop {
        changed.borrow_and_update();
        let (met, injected) = frames_met(shared, guard);
        if let Some(bytes) = injected {
            pipe.send(flushed(bytes, gzip)).await?;
        }
        let mut out = Vec::new();
        let mut step = WatchStep::Level;
        watch.at(unix_seconds());
        if !met.stalled {
            let bytes = if met.doubled { 1 } else { WATCH_CHUNK_BYTES };
            step = watch.step(&shared.state.lock(), bytes, &mut out);
        }
        if met.doubled {
            out.extend_from_within(..);
        }
        if !out.is_empty() && is_truncated(shared, guard) {
            out.truncate(half_a_frame(&out));
            return pipe.send(flushed(out, gzip)).await;
        }
        pipe.send(flushed(out, gzip)).await?;
        match step {
            WatchStep::Ended => return Ok(()),
            WatchStep::More => continue,
            WatchStep::Level => {}
        }
        tokio::select! {
            biased;
            // An abrupt cut is not waited for here.
            () = is_cut(&mut cut, Cut::Well) => return Ok(()),
            _ = changed.changed() => {}
            () = tokio::time::sleep_until(next_bookmark) => {
                next_bookmark = if next_bookmark < last_bookmark {
                    (next_bookmark + period).min(last_bookmark)
                } else {
                    deadline + period
                };
                let met = frames_met(shared, guard).0;
                if !met.stalled && !met.no_bookmarks {
                    let mut out = Vec::new();
                    watch.bookmark(&shared.state.lock(), &mut out);
                    pipe.send(flushed(out, gzip)).await?;
                }
            }
            () = tokio::time::sleep_until(deadline) => return Ok(()),
        }
    }
}

/// Comes back when the watch is cut in this way.
async fn is_cut(cut: &mut watch::Receiver<Option<Cut>>, how: Cut) {
    // The sender stands in the guard, which outlives this.
    let _ = cut.wait_for(|cut| *cut == Some(how)).await.map(|_| ());
}

/// What goes wrong with the frames of a watch, and bytes that are to be sent between them.
fn frames_met(shared: &Shared, guard: &WatchGuard) -> (FramesMet, Option<Vec<u8>>) {
    let mut faults = shared.faults.lock();
    let mut met = rules::meet_frames(&faults.rules, &guard.watch.asked);
    met.stalled |= faults.stall_watches;
    met.doubled |= faults.duplicate_frames;
    met.no_bookmarks |= faults.drop_bookmarks;
    (met, faults.inject.take().map(Vec::from))
}

/// Whether the next frame is the one that is to be cut; it is so once.
fn is_truncated(shared: &Shared, guard: &WatchGuard) -> bool {
    let wanted = &mut shared.faults.lock().truncate_frame;
    let meant = wanted.take_if(|which| which.selects(&guard.watch.asked));
    meant.is_some()
}

/// The middle of the first frame.
fn half_a_frame(frames: &[u8]) -> usize {
    let end = frames.iter().position(|byte| *byte == b'\n');
    end.unwrap_or(frames.len()) / 2
}

/// What one flush puts on the wire: with gzip a member of its own (pr-W7). Its data end before it does, so that
/// a reader need not wait for the next member: Go's looks for one before it hands out what came with the end.
pub(super) fn flushed(out: Vec<u8>, gzip: bool) -> Bytes {
    if !gzip || out.is_empty() {
        return out.into();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(&out).and_then(|()| encoder.flush());
    encoder.finish().unwrap_or_default().into()
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "cut")
}

/// The error of a handler that has none.
pub(super) type Never = Infallible;

const HALF_A_FRAME: &[u8] = br#"{"type":"MODIFIED","object":{"metadata":{"name":"#;
const BREAK_PAUSE: Duration = Duration::from_millis(100);
const CHANNEL_LEN: usize = 16;
/// Chunks of a list that wait for its client, who may be slow: enough to make one while another is sent.
const LIST_CHANNEL_LEN: usize = 2;
/// Below what malloc takes from the system anew each time, and small enough for a core's own cache.
const LIST_CHUNK_BYTES: usize = 64 << 10;
const WATCH_CHUNK_BYTES: usize = 64 << 10;
