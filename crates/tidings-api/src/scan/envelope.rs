//! The object around the objects: a list's or a frame's own fields, read byte by byte.
//!
//! Does not read the values that its owner takes over, and does not keep those that the owner does
//! not ask for.
//!
//! In: bytes, cut anywhere. Out: [`Stop`]s: a value starts, a captured value is whole, the end.
//! V1  Keys stand in any order.
//! V2  What is kept never exceeds `bytes_max`, counted over the envelope's own bytes.
//! V3  Nesting costs a counter, no stack (SEC-18).
//! Cost: about 1 ns a byte; an envelope has few.

use crate::limits::Limits;

/// An object that is read field by field.
#[derive(Debug)]
pub(crate) struct Envelope {
    state: State,
    key: Vec<u8>,
    value: Vec<u8>,
    is_capturing: bool,
    depth: u64,
    bytes: usize,
    bytes_max: usize,
}

/// Why the envelope stopped reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// All bytes given were read.
    Exhausted,
    /// The value of the key at hand starts with this byte, which was read. Unless the owner calls
    /// `capture` or `take`, the value is skipped.
    Value(u8),
    /// The captured value is whole.
    Captured,
    /// The closing brace was read.
    End,
}

/// What is wrong with an envelope, at the byte that was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The first byte is not a brace.
    NotAnObject,
    /// A byte that may not stand there.
    Unexpected,
    /// More bytes than the limit.
    TooLarge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    FirstKey,
    Key,
    InKey { is_escaped: bool },
    Colon,
    Value,
    Text { is_escaped: bool },
    Scalar,
    Container,
    TextInContainer { is_escaped: bool },
    Taken,
    Separator,
    End,
}

impl Envelope {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            state: State::Start,
            key: Vec::new(),
            value: Vec::new(),
            is_capturing: false,
            depth: 0,
            bytes: 0,
            bytes_max: limits.envelope_bytes_max,
        }
    }

    /// Waits for another object.
    pub(crate) fn reset(&mut self) {
        self.state = State::Start;
        self.is_capturing = false;
        self.bytes = 0;
    }

    /// Goes at once to a value that the owner reads: `len` bytes up to the value's first byte, that
    /// one included, need not be given. Returns false, and does nothing, if they exceed the limit.
    pub(crate) fn start_taken(&mut self, len: usize) -> bool {
        debug_assert_eq!(self.state, State::Start);
        // The opening brace is not counted.
        let fits = len - 1 <= self.bytes_max;
        if fits {
            self.bytes = len - 1;
            self.state = State::Taken;
        }
        fits
    }

    /// Keeps the value that has just started.
    pub(crate) fn capture(&mut self, first: u8) {
        self.is_capturing = true;
        self.value.clear();
        self.value.push(first);
    }

    /// Leaves the value that has just started to the owner, who calls [`Self::taken`] after it.
    pub(crate) fn take(&mut self) {
        self.state = State::Taken;
    }

    /// Goes on after a value that the owner has read.
    pub(crate) fn taken(&mut self) {
        self.state = State::Separator;
    }

    /// The key at hand.
    pub(crate) fn key(&self) -> std::borrow::Cow<'_, str> {
        if self.key.contains(&b'\\') {
            let quoted = [b"\"", &*self.key, b"\""].concat();
            return serde_json::from_slice::<String>(&quoted)
                .unwrap_or_default()
                .into();
        }
        std::str::from_utf8(&self.key).unwrap_or_default().into()
    }

    /// The captured value's text, empty if it is not UTF-8.
    pub(crate) fn value(&self) -> &str {
        std::str::from_utf8(&self.value).unwrap_or_default()
    }

    /// Whether the opening brace was read and the closing one not.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.state, State::Start | State::End)
    }

    /// Reads until there is something to say. Returns how many bytes were read.
    pub(crate) fn run(&mut self, bytes: &[u8]) -> (usize, Result<Stop, Fault>) {
        for (index, &byte) in bytes.iter().enumerate() {
            if self.is_scalar_over(byte) {
                self.state = State::Separator;
                if self.is_capturing {
                    self.is_capturing = false;
                    return (index, Ok(Stop::Captured));
                }
            }
            match self.byte(byte) {
                Ok(None) => {}
                Ok(Some(stop)) => return (index + 1, Ok(stop)),
                Err(fault) => return (index, Err(fault)),
            }
        }
        (bytes.len(), Ok(Stop::Exhausted))
    }

    fn is_scalar_over(&self, byte: u8) -> bool {
        self.state == State::Scalar && (is_space(byte) || matches!(byte, b',' | b'}'))
    }

    fn byte(&mut self, byte: u8) -> Result<Option<Stop>, Fault> {
        if self.state != State::Start {
            self.bytes += 1;
            if self.bytes > self.bytes_max {
                return Err(Fault::TooLarge);
            }
        }
        match self.state {
            State::InKey { .. } => self.in_key(byte),
            State::Text { .. }
            | State::Scalar
            | State::Container
            | State::TextInContainer { .. } => {
                return self.in_value(byte);
            }
            _ if is_space(byte) => {}
            State::Start if byte == b'{' => self.state = State::FirstKey,
            State::Start => return Err(Fault::NotAnObject),
            State::FirstKey | State::Key if byte == b'"' => {
                self.key.clear();
                self.state = State::InKey { is_escaped: false };
            }
            State::Colon if byte == b':' => self.state = State::Value,
            State::Value => return self.value_starts(byte).map(Some),
            State::Separator if byte == b',' => self.state = State::Key,
            State::FirstKey | State::Separator if byte == b'}' => {
                self.state = State::End;
                return Ok(Some(Stop::End));
            }
            State::FirstKey
            | State::Key
            | State::Colon
            | State::Separator
            | State::Taken
            | State::End => return Err(Fault::Unexpected),
        }
        Ok(None)
    }

    fn in_key(&mut self, byte: u8) {
        let is_escaped = self.state == State::InKey { is_escaped: true };
        if byte == b'"' && !is_escaped {
            self.state = State::Colon;
            return;
        }
        self.key.push(byte);
        self.state = State::InKey {
            is_escaped: byte == b'\\' && !is_escaped,
        };
    }

    fn value_starts(&mut self, byte: u8) -> Result<Stop, Fault> {
        self.state = match byte {
            b'"' => State::Text { is_escaped: false },
            b'{' | b'[' => {
                self.depth = 1;
                State::Container
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => State::Scalar,
            _ => return Err(Fault::Unexpected),
        };
        Ok(Stop::Value(byte))
    }

    fn in_value(&mut self, byte: u8) -> Result<Option<Stop>, Fault> {
        if self.is_capturing {
            self.value.push(byte);
        }
        self.state = match (self.state, byte) {
            (State::Text { is_escaped: false }, b'"') => return Ok(self.value_ends()),
            (State::Text { is_escaped }, _) => State::Text {
                is_escaped: byte == b'\\' && !is_escaped,
            },
            (State::TextInContainer { is_escaped: false }, b'"') => State::Container,
            (State::TextInContainer { is_escaped }, _) => State::TextInContainer {
                is_escaped: byte == b'\\' && !is_escaped,
            },
            (State::Container, b'"') => State::TextInContainer { is_escaped: false },
            (State::Container, b'{' | b'[') => {
                self.depth += 1;
                State::Container
            }
            (State::Container, b'}' | b']') => {
                self.depth -= 1;
                if self.depth == 0 {
                    return Ok(self.value_ends());
                }
                State::Container
            }
            (state, _) => state,
        };
        Ok(None)
    }

    fn value_ends(&mut self) -> Option<Stop> {
        self.state = State::Separator;
        std::mem::take(&mut self.is_capturing).then_some(Stop::Captured)
    }
}

/// Whether JSON allows the byte between tokens.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
