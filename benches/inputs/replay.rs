//! Two servers of pre-rendered bytes: one in memory for the facade's driver, one on loopback.
//!
//! Neither understands Kubernetes: a list request gets the list, a watch request gets a stream to
//! which the bench writes. What they cost is small and the same for every client.
//!
//! ```text
//!  Script:   driver <- poll_chunk <- queue of Bytes <- Script::send
//!  Loopback: client <- socket <- a thread that writes the list; the watch's socket goes to the bench
//! ```

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, mpsc},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tidings::transport::{Body, Opening, Purpose, Response, Transport, TransportFailure};
use tidings_api::request::Request;

/// Bytes of one chunk of a scripted body: the transport's read buffer.
const CHUNK_BYTES: usize = 64 << 10;

/// A transport whose lists are given and whose watch is written by the bench.
#[derive(Clone)]
pub struct Script {
    list: Bytes,
    watch: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Bytes>,
    reader: Option<Waker>,
}

// === impl Script ===

impl Script {
    /// A transport that answers every list with `list`.
    #[must_use]
    pub fn new(list: Bytes) -> Self {
        Self {
            list,
            watch: Arc::default(),
        }
    }

    /// Adds bytes to the watch.
    pub fn send(&self, bytes: &Bytes) {
        let mut queue = self.watch.lock();
        queue.chunks.extend(chunks_of(bytes));
        let reader = queue.reader.take();
        drop(queue);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Transport for Script {
    fn open(&self, _request: Request, purpose: Purpose) -> Opening {
        let body: Box<dyn Body> = match purpose {
            Purpose::List | Purpose::Probe | Purpose::Short => {
                Box::new(ListBody(chunks_of(&self.list)))
            }
            Purpose::Watch => Box::new(WatchBody(Arc::clone(&self.watch))),
        };
        let response = Response::new(200, "application/json".to_owned(), body);
        Box::pin(std::future::ready(Ok(response)))
    }

    fn reload_credentials(&self) {}

    fn identity(&self) -> String {
        "script".to_owned()
    }
}

fn chunks_of(bytes: &Bytes) -> VecDeque<Bytes> {
    (0..bytes.len())
        .step_by(CHUNK_BYTES)
        .map(|start| bytes.slice(start..bytes.len().min(start + CHUNK_BYTES)))
        .collect()
}

struct ListBody(VecDeque<Bytes>);

impl Body for ListBody {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, TransportFailure>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

struct WatchBody(Arc<Mutex<Queue>>);

impl Body for WatchBody {
    fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, TransportFailure>>> {
        let mut queue = self.0.lock();
        if let Some(chunk) = queue.chunks.pop_front() {
            return Poll::Ready(Some(Ok(chunk)));
        }
        queue.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

/// A server on 127.0.0.1. Dropped, it takes no more connections.
pub struct Loopback {
    port: u16,
    watches: mpsc::Receiver<TcpStream>,
}

// === impl Loopback ===

impl Loopback {
    /// A server that answers every list with `list`.
    ///
    /// # Panics
    ///
    /// If the system has no port.
    #[must_use]
    pub fn start(list: Bytes) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let (watch, watches) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), list, watch) = (stream, list.clone(), watch.clone()) else {
                    return;
                };
                // A client that goes away ends its own thread.
                thread::spawn(move || serve(stream, &list, &watch));
            }
        });
        Self { port, watches }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next watch that a client opens: what is written to it is the body, in HTTP chunks.
    ///
    /// # Panics
    ///
    /// If none is opened in ten seconds.
    #[must_use]
    pub fn watch(&self) -> TcpStream {
        let opened = self.watches.recv_timeout(Duration::from_secs(10));
        opened.expect("a client opens a watch")
    }

    /// The next watch, if a client has opened one.
    #[must_use]
    pub fn try_watch(&self) -> Option<TcpStream> {
        self.watches.try_recv().ok()
    }

    /// A connection that has asked for the list or for a watch: for floors without any engine.
    ///
    /// # Panics
    ///
    /// If the server cannot be reached.
    #[must_use]
    pub fn request(&self, target: &str) -> TcpStream {
        let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = connected.expect("the server listens");
        stream.set_nodelay(true).expect("it is connected");
        write!(stream, "GET {target} HTTP/1.1\r\nHost: floor\r\n\r\n").expect("it is connected");
        stream
    }
}

/// Serves one connection until its watch begins, or the client goes.
fn serve(mut stream: TcpStream, list: &Bytes, watch: &mpsc::Sender<TcpStream>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            return Ok(());
        }
        head.extend_from_slice(&buffer[..len]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let is_watch = line.windows(6).any(|word| word == b"watch=");
        head.clear();
        if is_watch {
            stream.write_all(WATCH_HEAD)?;
            // The bench may have ended.
            let _ = watch.send(stream);
            return Ok(());
        }
        let len = list.len();
        stream.write_all(format!("{LIST_HEAD}Content-Length: {len}\r\n\r\n").as_bytes())?;
        stream.write_all(list)?;
    }
}

/// Reads and throws away as many bytes; the floor of everything that comes from a socket.
///
/// # Panics
///
/// If the stream ends before.
pub fn discard(stream: &mut TcpStream, mut len: usize) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while len > 0 {
        let read = stream.read(&mut buffer).expect("the stream goes on");
        assert!(read > 0, "the stream goes on");
        len = len.saturating_sub(read);
    }
}

/// Reads the head of an answer, byte by byte, so that the body is untouched.
///
/// # Panics
///
/// If the stream ends before.
pub fn discard_head(stream: &mut TcpStream) {
    let mut last = [0; 4];
    while &last != b"\r\n\r\n" {
        last.rotate_left(1);
        stream
            .read_exact(&mut last[3..])
            .expect("the stream goes on");
    }
}

const LIST_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
const WATCH_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
