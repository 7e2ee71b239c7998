//! How often bad input is written to the log: a server that sends nothing else must not fill a disk.
//!
//! Does not count for the state, which has the number of all and the last one.
//!
//! C1  The first of each complaint is written at once.
//! C2  Later ones are written at most once in `PERIOD` for each complaint, with the number of those
//!     that were left out since the last.
//! Cost: a comparison.

use std::time::Duration;

use tidings_api::Instant;

/// What is wrong with an object or a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// Its payload cannot be decoded.
    Undecodable,
    /// A frame of an unknown type.
    UnknownType,
    /// The object cannot be read, or has no key.
    Unusable,
    /// The object is of another kind than the others.
    WrongKind,
}

/// What was written of each complaint.
#[derive(Debug, Default)]
pub(super) struct Complaints([Written; 4]);

#[derive(Clone, Copy, Debug, Default)]
struct Written {
    last: Option<Instant>,
    left_out: u64,
}

impl Complaints {
    /// Whether to write this one: then how many like it were left out before it.
    pub(super) fn admit(&mut self, now: Instant, complaint: Complaint) -> Option<u64> {
        let written = &mut self.0[complaint as usize];
        if written
            .last
            .is_some_and(|last| now.saturating_since(last) < PERIOD)
        {
            written.left_out += 1;
            return None;
        }
        written.last = Some(now);
        Some(std::mem::take(&mut written.left_out))
    }
}

const PERIOD: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
