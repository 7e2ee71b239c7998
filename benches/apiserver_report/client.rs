//! The least client that will do: requests as text, answers read and thrown away.
//!
//! Does not understand more of HTTP than what these servers send.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Bytes of a body, and when its first one came after the request.
pub(crate) struct Fetched {
    pub(crate) bytes: usize,
    pub(crate) first: Duration,
}

/// Reads the answer to a GET off a connection of its own, its frame of chunks included.
pub(crate) fn fetch(address: SocketAddr, path: &str) -> Fetched {
    let mut stream = ask(address, path, "close");
    let asked = Instant::now();
    let mut buffer = vec![0; 256 << 10];
    let (mut bytes, mut first) = (0, None);
    let mut head = Vec::new();
    loop {
        let read = stream.read(&mut buffer).expect("the server is there");
        if read == 0 {
            break;
        }
        if first.is_some() {
            bytes += read;
            continue;
        }
        head.extend_from_slice(&buffer[..read]);
        if let Some(end) = head_end(&head)
            && end < head.len()
        {
            first = Some(asked.elapsed());
            assert!(head.starts_with(b"HTTP/1.1 200"), "{}", text(&head));
            bytes += head.len() - end;
        }
    }
    let first = first.expect("there is a body");
    Fetched { bytes, first }
}

/// The body of a GET, taken out of its chunks.
pub(crate) fn body(address: SocketAddr, path: &str) -> Vec<u8> {
    let mut all = Vec::new();
    let mut stream = ask(address, path, "close");
    stream.read_to_end(&mut all).expect("the server is there");
    let end = head_end(&all).expect("a head");
    if !text(&all[..end]).contains("transfer-encoding: chunked") {
        return all.split_off(end);
    }
    let (mut rest, mut body) = (&all[end..], Vec::new());
    loop {
        let line = memchr::memmem::find(rest, b"\r\n").expect("a chunk's length");
        let len = usize::from_str_radix(&text(&rest[..line]), 16).expect("a length");
        if len == 0 {
            return body;
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + len]);
        rest = &rest[line + 2 + len + 2..];
    }
}

/// Sends a GET and leaves its answer to be read.
pub(crate) fn ask(address: SocketAddr, path: &str, connection: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: {connection}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is sent");
    stream
}

/// A connection that writes, one request after the other.
pub(crate) struct Writer {
    stream: tokio::net::TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Writer {
    pub(crate) async fn new(address: SocketAddr) -> Self {
        let stream = tokio::net::TcpStream::connect(address).await;
        let stream = stream.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            request: Vec::new(),
            answer: Vec::new(),
        }
    }

    /// Sends a body and waits for the whole answer; its code.
    pub(crate) async fn send(&mut self, method: &str, path: &str, body: &[u8]) -> u16 {
        self.request.clear();
        let len = body.len();
        write!(
            self.request,
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench/1\r\nContent-Type: \
             application/json\r\nContent-Length: {len}\r\n\r\n"
        )
        .expect("memory");
        self.request.extend_from_slice(body);
        self.stream.write_all(&self.request).await.expect("sent");
        self.answer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.answer).await.expect("read");
            assert!(read > 0, "the server answers");
            let Some(end) = head_end(&self.answer) else {
                continue;
            };
            let (head, body) = self.answer.split_at(end);
            let is_whole = match content_length(head) {
                Some(len) => body.len() >= len,
                None => body.ends_with(b"\r\n0\r\n\r\n"),
            };
            if is_whole {
                return text(&head[9..12]).parse().expect("a code");
            }
        }
    }

    /// The last answer, for what went wrong.
    pub(crate) fn answer(&self) -> String {
        text(&self.answer)
    }
}

/// The length of a body that is not sent in chunks.
fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length: ";
    let at = memchr::memmem::find(head, NAME)?;
    let digits = head[at + NAME.len()..].iter();
    let digits = digits.take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')))
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
