//! Reads request heads and writes chunked responses, as much HTTP/1.1 as the clients need.
//!
//! A body is gathered from borrowed slices and written with one `writev` a chunk, so that a list
//! costs the server no copy of its own.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use crate::connection::Connection;

const HEAD_BYTES_MAX: usize = 64 * 1024;
/// A chunk is sent when it has this many bytes or slices.
const CHUNK_BYTES: usize = 256 * 1024;
const CHUNK_SLICES_MAX: usize = 512;

/// The first line of a request, and the one header that matters.
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    /// Whether the Accept header asks for `PartialObjectMetadata`.
    pub metadata_only: bool,
}

impl Request {
    /// Reads the next request of a connection; `None` is the end of it.
    ///
    /// `carry` holds bytes read beyond the last request.
    ///
    /// # Errors
    /// A failed read, or a head that is too long or not HTTP.
    pub fn read(stream: &mut Connection, carry: &mut Vec<u8>) -> io::Result<Option<Self>> {
        let head_len = loop {
            if let Some(end) = carry.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if carry.len() > HEAD_BYTES_MAX {
                return Err(io::Error::new(
                    ErrorKind::InvalidData,
                    "request head too long",
                ));
            }
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer)? {
                0 => return Ok(None),
                len => carry.extend_from_slice(&buffer[..len]),
            }
        };
        let head = String::from_utf8_lossy(&carry[..head_len]).into_owned();
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "not an HTTP request",
            ));
        };
        let (mut metadata_only, mut body_len) = (false, 0_usize);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("accept") {
                metadata_only = value.contains("as=PartialObjectMetadata");
            } else if name.eq_ignore_ascii_case("content-length") {
                body_len = value.trim().parse().unwrap_or(0);
            }
        }
        carry.drain(..head_len);
        discard(stream, carry, body_len)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Ok(Some(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            metadata_only,
        }))
    }

    /// Returns the value of a query parameter, still percent-encoded.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(key, value)| (key == name && !value.is_empty()).then_some(value))
    }

    /// Tells whether a query parameter is `true` or `1`.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.param(name), Some("true" | "1"))
    }
}

/// Drops the body of a request; no route reads one.
fn discard(stream: &mut Connection, carry: &mut Vec<u8>, mut len: usize) -> io::Result<()> {
    let buffered = len.min(carry.len());
    carry.drain(..buffered);
    len -= buffered;
    io::copy(&mut Read::by_ref(stream).take(len as u64), &mut io::sink()).map(|_| ())
}

/// Writes a whole response whose body is short.
///
/// # Errors
/// A failed write.
pub fn respond(stream: &mut Connection, status: &str, body: &str) -> io::Result<()> {
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(response.as_bytes())
}

/// A response body under way, in chunks of borrowed slices.
pub struct Chunks<'a> {
    stream: &'a mut Connection,
    slices: Vec<&'a [u8]>,
    bytes: usize,
}

impl<'a> Chunks<'a> {
    /// Writes the response head and starts the body.
    ///
    /// # Errors
    /// A failed write.
    pub fn start(stream: &'a mut Connection) -> io::Result<Self> {
        stream.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        )?;
        Ok(Self {
            stream,
            slices: Vec::with_capacity(CHUNK_SLICES_MAX + 8),
            bytes: 0,
        })
    }

    /// Appends bytes to the chunk; a full chunk is sent.
    ///
    /// # Errors
    /// A failed write.
    pub fn push(&mut self, bytes: &'a [u8]) -> io::Result<()> {
        self.bytes += bytes.len();
        self.slices.push(bytes);
        if self.bytes >= CHUNK_BYTES || self.slices.len() >= CHUNK_SLICES_MAX {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends what is gathered as one chunk.
    ///
    /// # Errors
    /// A failed write.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.bytes == 0 {
            return Ok(());
        }
        let header = format!("{:x}\r\n", self.bytes);
        let mut vector: Vec<IoSlice<'_>> = Vec::with_capacity(self.slices.len() + 2);
        vector.push(IoSlice::new(header.as_bytes()));
        vector.extend(self.slices.iter().map(|slice| IoSlice::new(slice)));
        vector.push(IoSlice::new(b"\r\n"));
        write_all_vectored(self.stream, &mut vector)?;
        self.slices.clear();
        self.bytes = 0;
        Ok(())
    }

    /// Sends bytes that are chunks already; what was gathered goes first.
    ///
    /// # Errors
    /// A failed write.
    pub fn write_framed(&mut self, frames: &[u8]) -> io::Result<()> {
        self.flush()?;
        self.stream.write_all(frames)
    }

    /// Sends the rest and ends the body.
    ///
    /// # Errors
    /// A failed write.
    pub fn finish(mut self) -> io::Result<()> {
        self.write_framed(b"0\r\n\r\n")
    }

    /// Tells whether the client has closed its side; waits at most a millisecond.
    pub fn is_closed(&mut self) -> bool {
        self.stream.is_closed()
    }
}

fn write_all_vectored(stream: &mut Connection, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !slices.is_empty() {
        match stream.write_vectored(slices) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(len) => IoSlice::advance_slices(&mut slices, len),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
