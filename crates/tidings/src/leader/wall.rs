//! The wall clock, for the record of a Lease alone.
//!
//! Nothing reads it to decide anything: what it shows is written for people and compared for equality
//! (ctl-L4). The one place of this crate where it is read (pr-F63).

use std::time::{SystemTime, UNIX_EPOCH};

use tidings_engine::lease::Wall;

/// What it shows; the epoch if it is set to a time before.
pub(super) fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since.map_or(0, |since| since.as_micros());
    Wall(i64::try_from(micros).unwrap_or(i64::MAX))
}
