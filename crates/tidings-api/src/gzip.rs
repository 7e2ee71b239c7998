//! gzip as the API server streams it: many members, each closed at a flush.
//!
//! Does not wait for a member's end or for the next byte: what a flush has sent comes out at once.
//!
//! ```text
//!  header | deflate .. flush | deflate .. end | CRC, length | header | deflate ..
//!                           ^ out            ^ out         ^ another member, or the end
//! ```
//!
//! In: compressed bytes, cut anywhere. Out: slices of at most `OUTPUT_BYTES` each.
//! G1  All members count; only after a whole one may the stream end (cg-V11, pr-W7, pr-W8).
//! G2  Beyond the first 1 MiB the output is at most 200 times the input (SEC-17); what goes beyond
//!     is found before it is handed out.
//! Cost: zlib-rs's, about 0.7 ns an output byte; memory 32 KiB of window and one output buffer.
//! Source: RFC 1952; rules pr-W7, pr-W8, pr-W9, cg-V11, pr-F25, SEC-17.

use std::{error, fmt};

use flate2::{Crc, Decompress, FlushDecompress, Status};

/// Output that may be any multiple of the input: short streams compress well.
pub const RATIO_FREE_BYTES: u64 = 1 << 20;
/// Most output bytes for an input byte beyond [`RATIO_FREE_BYTES`].
pub const RATIO_MAX: u64 = 200;
/// Longest header of a member, with its optional fields.
pub const HEADER_BYTES_MAX: u32 = 128 << 10;

/// The decoder of one gzip stream.
pub struct GzipDecoder {
    inflate: Decompress,
    crc: Crc,
    state: State,
    flags: u8,
    /// Bytes of the header at hand.
    header_bytes: u32,
    /// The trailer at hand.
    trailer: [u8; 8],
    bytes_in: u64,
    bytes_out: u64,
    bytes_out_max: u64,
    buffer: Vec<u8>,
    failed: Option<GzipError>,
}

/// Why a gzip stream cannot be read further. The server's or the transport's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GzipError {
    /// The first bytes are not a gzip header.
    BadHeader {
        /// Compressed bytes up to here.
        offset: u64,
    },
    /// A member's checksum or length differs from its content's.
    BadTrailer {
        /// Compressed bytes up to here.
        offset: u64,
    },
    /// The compressed data is broken.
    Corrupt {
        /// Compressed bytes up to here.
        offset: u64,
    },
    /// The output exceeds the limit of this stream.
    TooLarge {
        /// Compressed bytes up to here.
        offset: u64,
    },
    /// The output exceeds [`RATIO_MAX`] times the input (SEC-17).
    TooDense {
        /// Compressed bytes up to here.
        offset: u64,
    },
    /// Something other than another member follows a member.
    TrailingBytes {
        /// Compressed bytes up to here.
        offset: u64,
    },
    /// The stream ended inside a member.
    Truncated {
        /// Compressed bytes up to here.
        offset: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the ten fixed bytes of a header; at 0 the stream may end.
    Header(u32),
    ExtraLength {
        index: u32,
        low: u8,
    },
    Extra {
        left: u16,
    },
    Name,
    Comment,
    HeaderCrc(u32),
    Body,
    Trailer(usize),
}

// === impl GzipDecoder ===

impl GzipDecoder {
    /// A decoder that gives out at most `bytes_out_max` bytes, if that is given.
    #[must_use]
    pub fn new(bytes_out_max: Option<u64>) -> Self {
        Self {
            inflate: Decompress::new(false),
            crc: Crc::new(),
            state: State::Header(0),
            flags: 0,
            header_bytes: 0,
            trailer: [0; 8],
            bytes_in: 0,
            bytes_out: 0,
            bytes_out_max: bytes_out_max.unwrap_or(u64::MAX),
            buffer: Vec::new(),
            failed: None,
        }
    }

    /// Takes compressed bytes and hands all that they mean to `sink`, in order.
    ///
    /// # Errors
    ///
    /// [`GzipError`] when the stream cannot be read further; all later calls repeat it.
    pub fn feed(&mut self, chunk: &[u8], sink: &mut impl FnMut(&[u8])) -> Result<(), GzipError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let fed = self.feed_chunk(chunk, sink);
        self.failed = fed.err();
        fed
    }

    /// Whether the stream may end here: before the first member or after a whole one.
    ///
    /// # Errors
    ///
    /// [`GzipError::Truncated`] if it ended inside a member, or the error that
    /// [`feed`](Self::feed) returned.
    pub fn finish(self) -> Result<(), GzipError> {
        match self.failed {
            Some(error) => Err(error),
            None if self.state != State::Header(0) => Err(GzipError::Truncated {
                offset: self.bytes_in,
            }),
            None => Ok(()),
        }
    }

    /// Compressed bytes taken so far.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in
    }

    /// Bytes handed out so far.
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out
    }

    fn feed_chunk(&mut self, chunk: &[u8], sink: &mut impl FnMut(&[u8])) -> Result<(), GzipError> {
        let mut rest = chunk;
        while let Some((&byte, after)) = rest.split_first() {
            if self.state == State::Body {
                let taken = self.body(rest, sink)?;
                rest = &rest[taken..];
                continue;
            }
            self.frame_byte(byte)?;
            self.bytes_in += 1;
            rest = after;
        }
        Ok(())
    }

    /// Inflates from `rest`. Returns how many bytes were taken: all, or up to the member's end.
    fn body(&mut self, rest: &[u8], sink: &mut impl FnMut(&[u8])) -> Result<usize, GzipError> {
        self.buffer.resize(OUTPUT_BYTES, 0);
        let mut taken = 0;
        loop {
            let (in_before, out_before) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(&rest[taken..], &mut self.buffer, FlushDecompress::Sync)
                .map_err(|_| GzipError::Corrupt {
                    offset: self.bytes_in,
                })?;
            let read = self.inflate.total_in() - in_before;
            let written =
                usize::try_from(self.inflate.total_out() - out_before).unwrap_or(OUTPUT_BYTES);
            taken += usize::try_from(read).unwrap_or(rest.len());
            self.bytes_in += read;
            if written > 0 {
                self.count(written as u64)?;
                let output = &self.buffer[..written];
                self.crc.update(output);
                sink(output);
            }
            match status {
                Status::StreamEnd => {
                    self.state = State::Trailer(0);
                    return Ok(taken);
                }
                // A full buffer may hide more output that needs no more input.
                _ if written == OUTPUT_BYTES => {}
                _ if taken == rest.len() => return Ok(taken),
                _ if read == 0 && written == 0 => {
                    return Err(GzipError::Corrupt {
                        offset: self.bytes_in,
                    });
                }
                _ => {}
            }
        }
    }

    fn count(&mut self, written: u64) -> Result<(), GzipError> {
        let offset = self.bytes_in;
        self.bytes_out += written;
        if self.bytes_out > self.bytes_out_max {
            return Err(GzipError::TooLarge { offset });
        }
        if self.bytes_out > RATIO_FREE_BYTES.max(self.bytes_in.saturating_mul(RATIO_MAX)) {
            return Err(GzipError::TooDense { offset });
        }
        Ok(())
    }

    /// Takes one byte of a header or trailer.
    fn frame_byte(&mut self, byte: u8) -> Result<(), GzipError> {
        let offset = self.bytes_in;
        if let State::Trailer(index) = self.state {
            self.trailer[index] = byte;
            self.state = State::Trailer(index + 1);
            return if index == 7 {
                self.member_ends()
            } else {
                Ok(())
            };
        }
        self.header_bytes += 1;
        if self.header_bytes > HEADER_BYTES_MAX {
            return Err(GzipError::BadHeader { offset });
        }
        match self.state {
            State::Header(index) => {
                let is_good = match index {
                    0 => byte == 0x1f,
                    1 => byte == 0x8b,
                    2 => byte == 8,
                    3 => byte & RESERVED == 0,
                    _ => true,
                };
                if !is_good && index == 0 && offset > 0 {
                    return Err(GzipError::TrailingBytes { offset });
                }
                if !is_good {
                    return Err(GzipError::BadHeader { offset });
                }
                if index == 3 {
                    self.flags = byte;
                }
                self.state = State::Header(index + 1);
                if index == 9 {
                    self.next_field(EXTRA);
                }
            }
            State::ExtraLength { index: 0, .. } => {
                self.state = State::ExtraLength {
                    index: 1,
                    low: byte,
                };
            }
            State::ExtraLength { low, .. } => match u16::from_le_bytes([low, byte]) {
                0 => self.next_field(NAME),
                left => self.state = State::Extra { left },
            },
            State::Extra { left: 1 } => self.next_field(NAME),
            State::Extra { left } => self.state = State::Extra { left: left - 1 },
            State::Name if byte == 0 => self.next_field(COMMENT),
            State::Comment if byte == 0 => self.next_field(HEADER_CRC),
            // The header's own checksum protects nothing that is used here.
            State::HeaderCrc(0) => self.state = State::HeaderCrc(1),
            State::HeaderCrc(_) => self.body_starts(),
            State::Name | State::Comment | State::Body | State::Trailer(_) => {}
        }
        Ok(())
    }

    /// Goes to the first optional field from `field` on that the header's flags announce.
    fn next_field(&mut self, field: u8) {
        let order = [EXTRA, NAME, COMMENT, HEADER_CRC];
        let next = order
            .into_iter()
            .skip_while(|&flag| flag != field)
            .find(|flag| self.flags & flag != 0);
        self.state = match next {
            Some(EXTRA) => State::ExtraLength { index: 0, low: 0 },
            Some(NAME) => State::Name,
            Some(COMMENT) => State::Comment,
            Some(_) => State::HeaderCrc(0),
            None => return self.body_starts(),
        };
    }

    fn body_starts(&mut self) {
        self.header_bytes = 0;
        self.inflate.reset(false);
        self.crc.reset();
        self.state = State::Body;
    }

    fn member_ends(&mut self) -> Result<(), GzipError> {
        let [sum @ .., _, _, _, _] = self.trailer;
        let [_, _, _, _, len @ ..] = self.trailer;
        if u32::from_le_bytes(sum) != self.crc.sum() || u32::from_le_bytes(len) != self.crc.amount()
        {
            return Err(GzipError::BadTrailer {
                offset: self.bytes_in,
            });
        }
        self.state = State::Header(0);
        Ok(())
    }
}

impl fmt::Debug for GzipDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GzipDecoder")
            .field("state", &self.state)
            .field("bytes_in", &self.bytes_in)
            .field("bytes_out", &self.bytes_out)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

// === impl GzipError ===

impl fmt::Display for GzipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, offset) = match self {
            Self::BadHeader { offset } => ("not a gzip header", offset),
            Self::BadTrailer { offset } => ("the gzip checksum does not match", offset),
            Self::Corrupt { offset } => ("the gzip data is corrupt", offset),
            Self::TooLarge { offset } => ("the gzip output exceeds its limit", offset),
            Self::TooDense { offset } => ("the gzip data expands beyond its limit", offset),
            Self::TrailingBytes { offset } => ("something follows the gzip data", offset),
            Self::Truncated { offset } => ("the gzip data ended too early", offset),
        };
        write!(f, "{what}, at byte {offset}")
    }
}

impl error::Error for GzipError {}

const OUTPUT_BYTES: usize = 64 << 10;
const HEADER_CRC: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

#[cfg(test)]
mod tests;
