//! What one candidate knows of the Lease, and which of its own writes may have landed, or still may.
//!
//! Does not decide what to do about it.
//!
//! K1  The answer to a request that was sent after the last news is believed. Other news, which may be
//!     late, are believed only if their version is newer; if that cannot be told, a get has to.
//! K2  A record counts as ours only if we wrote it: its holder being our identity is not enough
//!     (ctl-L15). Every record that we write differs from those before in its `renew_time`.
//! K3  `since` moves when the record changes, and with nothing else (ctl-L4, pr-N11).
//! Cost: O(`SENT_MAX`) an input.

use std::{cmp::Ordering, collections::VecDeque, time::Duration};

use tidings_api::{Instant, ResourceVersion};

use super::record::{Record, Seen, Wall};

/// What is known of the Lease.
#[derive(Debug)]
pub(super) struct Knowledge {
    identity: String,
    known: Known,
    /// The last version that the Lease, or a collection without it, was known to have.
    floor: Option<ResourceVersion>,
    /// How often anything was learned.
    news: u64,
    /// What is known may have changed in a way that only a get can tell.
    unsure: bool,
    /// The last record that is known to have been stored by us.
    written: Option<Record>,
    /// Writes that may have landed, or still may, the oldest first.
    sent: VecDeque<Sent>,
    /// The highest count of transitions ever seen.
    transitions_seen: Option<u32>,
}

#[derive(Debug)]
pub(super) enum Known {
    Absent {
        since: Instant,
        take_jitter: Duration,
    },
    Nothing,
    Present(Present),
}

/// The Lease as it is, for all that is known.
#[derive(Debug)]
pub(super) struct Present {
    pub(super) record: Record,
    pub(super) version: ResourceVersion,
    pub(super) holder: Holder,
    /// When this record was first seen.
    pub(super) since: Instant,
    take_jitter: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Nobody,
    /// Another one, or one with our identity that is not us.
    Other,
    Ourselves,
}

/// A write under way or without a known outcome.
#[derive(Debug)]
struct Sent {
    record: Record,
    /// The version that it replaces; absent for a create.
    replaces: Option<ResourceVersion>,
    at: Instant,
}

/// Where news come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// An answer; with how much was known when its request was sent.
    Answer { news: u64 },
    /// The watch: true at some time, maybe not any more.
    Watch,
}

/// What became of a piece of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learned {
    /// It cannot be told whether it is newer than what is known.
    Doubtful,
    /// It is not newer than what is known.
    Ignored,
    /// It is known now. If it is a write of ours whose outcome was not known, when that was sent.
    Taken { landed: Option<Instant> },
}

// === impl Knowledge ===

impl Knowledge {
    pub(super) fn new(identity: String) -> Self {
        Self {
            identity,
            known: Known::Nothing,
            floor: None,
            news: 0,
            unsure: true,
            written: None,
            sent: VecDeque::new(),
            transitions_seen: None,
        }
    }

    /// Learns a record. `take_jitter` is how long to wait before the lease is taken, should it be free.
    pub(super) fn learn(
        &mut self,
        now: Instant,
        seen: Seen,
        source: Source,
        take_jitter: Duration,
    ) -> Learned {
        let Seen { record, version } = seen;
        if let Some(refused) = self.judge(&version, source) {
            return refused;
        }
        let landed = self.landed(&record);
        if landed.is_some() {
            self.written = Some(record.clone());
        }
        let is_ours = self.written.as_ref() == Some(&record);
        let holder = match record.holder.as_str() {
            "" => Holder::Nobody,
            _ if is_ours => Holder::Ourselves,
            _ => Holder::Other,
        };
        let (since, take_jitter) = match &self.known {
            Known::Present(known) if known.record == record => (known.since, known.take_jitter),
            Known::Absent { .. } | Known::Nothing | Known::Present(_) => (now, take_jitter),
        };
        self.transitions_seen = self.transitions_seen.max(Some(record.transitions));
        self.settle(Some(version.clone()));
        self.known = Known::Present(Present {
            record,
            version,
            holder,
            since,
            take_jitter,
        });
        Learned::Taken { landed }
    }

    /// Learns that there is no Lease, at a version of the collection if that is known.
    pub(super) fn learn_absent(
        &mut self,
        now: Instant,
        version: Option<ResourceVersion>,
        source: Source,
        take_jitter: Duration,
    ) -> Learned {
        let refused = match (&version, source) {
            (Some(version), _) => self.judge(version, source),
            (None, Source::Answer { news }) if news == self.news => None,
            // Somebody has created it meanwhile, and the watch was faster.
            (None, Source::Answer { .. } | Source::Watch) => Some(Learned::Ignored),
        };
        if let Some(refused) = refused {
            return refused;
        }
        if !matches!(self.known, Known::Absent { .. }) {
            let since = now;
            self.known = Known::Absent { since, take_jitter };
        }
        let floor = version.or_else(|| self.floor.take());
        self.settle(None);
        self.floor = floor;
        Learned::Taken { landed: None }
    }

    /// Whether news at a version are to be refused (K1).
    fn judge(&self, version: &ResourceVersion, source: Source) -> Option<Learned> {
        if let Source::Answer { news } = source
            && news == self.news
        {
            return None;
        }
        match self.floor.as_ref().map(|floor| version.compare(floor)) {
            None | Some(Some(Ordering::Greater)) => None,
            Some(Some(Ordering::Less | Ordering::Equal)) => Some(Learned::Ignored),
            Some(None) => Some(Learned::Doubtful),
        }
    }

    /// The Lease has this version now, or is absent: writes that replace another one are dead.
    fn settle(&mut self, version: Option<ResourceVersion>) {
        self.sent.retain(|sent| sent.replaces == version);
        self.floor = version;
        self.news += 1;
        self.unsure = false;
    }

    fn landed(&self, record: &Record) -> Option<Instant> {
        let sent = self.sent.iter().find(|sent| sent.record == *record);
        sent.map(|sent| sent.at)
    }

    /// Takes note of a write that is about to be sent. Beyond `SENT_MAX` the oldest is forgotten: should
    /// it land after all, its record is one that we did not write.
    pub(super) fn sending(
        &mut self,
        now: Instant,
        record: Record,
        replaces: Option<ResourceVersion>,
    ) {
        if self.sent.len() == SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent {
            record,
            replaces,
            at: now,
        });
    }

    pub(super) const fn doubt(&mut self) {
        self.unsure = true;
    }

    /// How often anything was learned: grows.
    pub(super) const fn news(&self) -> u64 {
        self.news
    }

    pub(super) const fn known(&self) -> &Known {
        &self.known
    }

    /// Whether a get has to come before a write.
    pub(super) const fn is_unsure(&self) -> bool {
        self.unsure || matches!(self.known, Known::Nothing)
    }

    pub(super) fn holder(&self) -> Holder {
        match &self.known {
            Known::Present(present) => present.holder,
            Known::Absent { .. } | Known::Nothing => Holder::Nobody,
        }
    }

    /// The holder's identity; empty if there is none.
    pub(super) fn holder_identity(&self) -> &str {
        match &self.known {
            Known::Present(present) => &present.record.holder,
            Known::Absent { .. } | Known::Nothing => "",
        }
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// The version that a write would replace; absent for a create.
    pub(super) const fn version(&self) -> Option<&ResourceVersion> {
        match &self.known {
            Known::Present(present) => Some(&present.version),
            Known::Absent { .. } | Known::Nothing => None,
        }
    }

    /// Whether a write of ours may hold the lease, now or later.
    pub(super) fn may_be_held(&self) -> bool {
        self.holder() == Holder::Ourselves || !self.sent.is_empty()
    }

    pub(super) fn has_sent(&self) -> bool {
        !self.sent.is_empty()
    }

    /// From when on a candidate may write itself into the record, as far as is known.
    pub(super) fn take_at(&self, duration: Duration) -> Instant {
        if self.is_unsure() {
            return Instant::FAR_FUTURE;
        }
        match &self.known {
            Known::Nothing => Instant::FAR_FUTURE,
            Known::Absent { since, take_jitter } => *since + *take_jitter,
            Known::Present(present) => match present.holder {
                Holder::Nobody => present.since + present.take_jitter,
                Holder::Ourselves => present.since,
                Holder::Other => present.expires_at(duration) + present.take_jitter,
            },
        }
    }

    /// Whether the lease can be had: free, ours, or not changed for its duration (ctl-L4, ctl-L7).
    pub(super) fn is_free(&self, now: Instant, duration: Duration) -> bool {
        match &self.known {
            Known::Nothing => false,
            Known::Absent { .. } => true,
            Known::Present(present) => {
                present.holder != Holder::Other || present.expires_at(duration) <= now
            }
        }
    }

    /// The transitions of a term that follows what is known: they never go back, even where somebody has
    /// deleted the Lease or written it anew.
    pub(super) fn next_transitions(&self) -> u32 {
        self.transitions_seen
            .map_or(0, |seen| seen.saturating_add(1).min(TRANSITIONS_MAX))
    }

    /// A time to write that differs from those of all records that could be mistaken for the new
    /// one: a wall clock may stand still, but an unchanged record is no renewal (K2, K3).
    pub(super) fn distinct(&self, wall: Wall) -> Wall {
        let is_taken = |wall| {
            let known = match &self.known {
                Known::Present(present) => present.record.renew_time,
                Known::Absent { .. } | Known::Nothing => None,
            };
            let mut sent = self.sent.iter().map(|sent| sent.record.renew_time);
            known == Some(wall) || sent.any(|time| time == Some(wall))
        };
        let mut wall = wall;
        while is_taken(wall) {
            wall = Wall(wall.0.wrapping_add(1));
        }
        wall
    }

    pub(super) fn check_invariants(&self) {
        assert!(self.sent.len() <= SENT_MAX, "writes in doubt are bounded");
        if self.holder() == Holder::Ourselves {
            assert_eq!(self.holder_identity(), self.identity);
        }
    }
}

// === impl Present ===

impl Present {
    fn expires_at(&self, default: Duration) -> Instant {
        let seconds = self.record.duration_seconds.unwrap_or_default();
        // A record without a duration is no elector's: it is given the time that ours have.
        let duration = match u64::try_from(seconds) {
            Ok(seconds) if seconds > 0 => Duration::from_secs(seconds),
            Ok(_) | Err(_) => default,
        };
        self.since + duration
    }
}

/// Most writes whose outcome is not known. A leader sends five in its ten seconds.
const SENT_MAX: usize = 16;
/// The API has an `i32`.
const TRANSITIONS_MAX: u32 = i32::MAX.unsigned_abs();
