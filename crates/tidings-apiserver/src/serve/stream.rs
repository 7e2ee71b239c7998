//! Bodies: whole ones, list bodies in pieces, and watches.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::Frame;
use tokio::{sync::mpsc, time::Instant};

use super::Shared;
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
}

/// A list body, made while it is sent.
pub(super) fn list(page: Page, chunk_bytes: Option<usize>, truncate: Option<usize>) -> Body {
    let (sender, receiver) = mpsc::channel(CHANNEL_LEN);
    tokio::spawn(async move {
        let mut left = truncate.unwrap_or(usize::MAX);
        for chunk in page.chunks(LIST_CHUNK_BYTES) {
            let mut chunk = Bytes::from(chunk);
            chunk.truncate(left);
            left -= chunk.len();
            if send(&sender, chunk, chunk_bytes).await.is_err() {
                return;
            }
            if left == 0 {
                let _ = sender.send(Err(broken())).await;
                return;
            }
        }
    });
    Body::Stream(receiver)
}

/// A watch, until its client goes, its time is over, or something ends it.
pub(super) fn watch(shared: Arc<Shared>, watch: Watch, timeout: Duration) -> Body {
    let (sender, receiver) = mpsc::channel(CHANNEL_LEN);
    tokio::spawn(async move {
        let mut stop = shared.stop.clone();
        tokio::select! {
            Ok(()) | Err(Gone) = follow(&shared, watch, timeout, &sender) => {}
            () = sender.closed() => {}
            _ = stop.changed() => {}
        }
    });
    Body::Stream(receiver)
}

/// The client is gone.
struct Gone;

async fn follow(
    shared: &Shared,
    mut watch: Watch,
    timeout: Duration,
    sender: &mpsc::Sender<io::Result<Bytes>>,
) -> Result<(), Gone> {
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
        let (stalled, chunk_bytes, injected) = {
            let mut faults = shared.faults.lock();
            (
                faults.stall_watches,
                faults.chunk_bytes,
                faults.inject.take(),
            )
        };
        if let Some(bytes) = injected {
            send(sender, bytes, chunk_bytes).await?;
        }
        let mut out = Vec::new();
        let mut step = WatchStep::Level;
        if !stalled {
            step = watch.step(&shared.state.lock(), WATCH_CHUNK_BYTES, &mut out);
        }
        if !out.is_empty() {
            send(sender, out.into(), chunk_bytes).await?;
        }
        match step {
            WatchStep::Ended => return Ok(()),
            WatchStep::More => continue,
            WatchStep::Level => {}
        }
        tokio::select! {
            biased;
            _ = cuts.changed() => {
                if cuts.borrow().abruptly {
                    let _ = sender.send(Err(broken())).await;
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
                    send(sender, out.into(), chunk_bytes).await?;
                }
            }
            () = tokio::time::sleep_until(deadline) => return Ok(()),
        }
    }
}

async fn send(
    sender: &mpsc::Sender<io::Result<Bytes>>,
    mut bytes: Bytes,
    chunk_bytes: Option<usize>,
) -> Result<(), Gone> {
    let step = chunk_bytes.unwrap_or(usize::MAX).max(1);
    while !bytes.is_empty() {
        let chunk = bytes.split_to(step.min(bytes.len()));
        sender.send(Ok(chunk)).await.map_err(|_| Gone)?;
    }
    Ok(())
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "cut")
}

/// The error of a handler that has none.
pub(super) type Never = Infallible;

const CHANNEL_LEN: usize = 16;
const LIST_CHUNK_BYTES: usize = 256 << 10;
const WATCH_CHUNK_BYTES: usize = 64 << 10;
