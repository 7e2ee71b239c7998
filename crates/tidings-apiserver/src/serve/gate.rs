//! A socket that can fall silent: nothing is read, nothing is written, and it is not closed.
//!
//! Does not know HTTP or TLS, which lie above it. To the other side it looks as a machine that hangs: its
//! kernel still takes bytes, until its buffers are full, and nobody answers (pr-F20).

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::watch,
};

/// Whether one socket is silent, and who waits for the end of it.
pub(super) struct Silence {
    is_on: watch::Sender<bool>,
    /// The task that reads and writes; they are one.
    waiting: Mutex<[Option<Waker>; 2]>,
}

impl Silence {
    pub(super) fn new(is_on: bool) -> Self {
        Self {
            is_on: watch::Sender::new(is_on),
            waiting: Mutex::default(),
        }
    }

    pub(super) fn is_on(&self) -> bool {
        *self.is_on.borrow()
    }

    pub(super) fn set(&self, is_on: bool) {
        self.is_on.send_replace(is_on);
        if !is_on {
            let waiting = std::mem::take(&mut *self.waiting.lock());
            waiting.into_iter().flatten().for_each(Waker::wake);
        }
    }

    /// Comes back when nobody is silent any more.
    pub(super) async fn over(&self) {
        let mut is_on = self.is_on.subscribe();
        // The sender lives as long as we do.
        let _ = is_on.wait_for(|is_on| !is_on).await;
    }

    /// Pending while silent. The waker is left first, so that an end in between is not missed.
    fn poll(&self, side: usize, context: &Context<'_>) -> Poll<()> {
        if !self.is_on() {
            return Poll::Ready(());
        }
        self.waiting.lock()[side] = Some(context.waker().clone());
        if self.is_on() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

/// The socket behind its gate.
pub(super) struct Gate {
    socket: TcpStream,
    silence: Arc<Silence>,
}

impl Gate {
    pub(super) const fn new(socket: TcpStream, silence: Arc<Silence>) -> Self {
        Self { socket, silence }
    }
}

const READ: usize = 0;
const WRITE: usize = 1;

impl AsyncRead for Gate {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        std::task::ready!(gate.silence.poll(READ, context));
        Pin::new(&mut gate.socket).poll_read(context, into)
    }
}

impl AsyncWrite for Gate {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        std::task::ready!(gate.silence.poll(WRITE, context));
        Pin::new(&mut gate.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        std::task::ready!(gate.silence.poll(WRITE, context));
        Pin::new(&mut gate.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        std::task::ready!(gate.silence.poll(WRITE, context));
        Pin::new(&mut gate.socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        std::task::ready!(gate.silence.poll(WRITE, context));
        Pin::new(&mut gate.socket).poll_shutdown(context)
    }
}
