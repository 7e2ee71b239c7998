//! One line a step: left what happened, right what was asked for; and a number that stands for all lines.
//!
//! Does not print: whoever runs a world says what becomes of a line. A line has a bounded length, and
//! no content of objects.

use std::fmt;

use tidings_api::Instant;

/// Takes lines.
pub(crate) type Sink = Box<dyn FnMut(&str)>;

/// The lines of a run, as far as somebody wants them.
#[derive(Default)]
pub(crate) struct Trace {
    sink: Option<Sink>,
    /// Whether lines are made at all.
    is_on: bool,
    hash: u64,
    lines: u64,
}

// === impl Trace ===

impl Trace {
    /// A trace of which only the number is wanted.
    pub(crate) fn hashed() -> Self {
        Self {
            is_on: true,
            ..Self::default()
        }
    }

    /// A trace whose lines somebody takes.
    pub(crate) fn to(sink: Sink) -> Self {
        Self {
            sink: Some(sink),
            ..Self::hashed()
        }
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.is_on
    }

    pub(crate) fn line(&mut self, now: Instant, line: fmt::Arguments<'_>) {
        if !self.is_on {
            return;
        }
        let mut text = format!("t={now} {line}");
        if text.len() > LINE_BYTES_MAX {
            let mut end = LINE_BYTES_MAX;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            text.push_str("..");
        }
        self.lines += 1;
        for byte in text.bytes().chain([b'\n']) {
            // FNV-1a.
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if let Some(sink) = &mut self.sink {
            sink(&text);
        }
    }

    /// What all lines are, in a number.
    pub(crate) const fn hash(&self) -> u64 {
        self.hash ^ self.lines
    }
}

const LINE_BYTES_MAX: usize = 240;
