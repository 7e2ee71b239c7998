//! What of a reflector decides its future, for an exploration that must know where it has been.
//!
//! Instants are left out, and with them how long a delay is: the exploration lets each deadline
//! come, whenever it is. Counters that only people read are left out too.

use std::fmt::Write as _;

use super::*;

impl<P> Reflector<P> {
    /// Two reflectors with the same text behave alike, whatever comes, but for the length of delays.
    pub(crate) fn fingerprint(&self, now: Instant) -> String {
        let phase = match &self.phase {
            Phase::Idle => "idle".to_owned(),
            Phase::Listing(listing) => format!("list {}", listing.fingerprint()),
            Phase::WatchListing(listing) => format!("watchlist {}", listing.fingerprint()),
            Phase::Watching(watching) => format!("watch {}", watching.fingerprint()),
            Phase::Draining => "draining".to_owned(),
            Phase::Waiting { next, .. } => format!("wait {next:?}"),
            Phase::Stopped => "stopped".to_owned(),
        };
        let Memory {
            short_streams,
            watch_list_failures,
            credentials_reloaded,
            too_large_since,
            undecodable_at,
            list_whole,
            silence_max,
            version_refused,
            unverified,
        } = &self.memory;
        let mut text = format!(
            "{phase}; {:?} {:?} {:?} {} {} {} {} {}",
            self.applied,
            self.received,
            self.whole,
            self.outstanding,
            self.epoch,
            self.force_diff,
            self.synced,
            self.fallback_until.is_some_and(|until| now < until),
        );
        // Writing to memory cannot fail.
        let _ = write!(
            text,
            " {short_streams} {watch_list_failures} {credentials_reloaded} {} {undecodable_at:?} \
             {list_whole} {} {version_refused} {unverified}",
            too_large_since.is_some(),
            silence_max.is_some(),
        );
        text
    }
}
