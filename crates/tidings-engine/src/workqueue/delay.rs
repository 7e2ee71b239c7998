//! What waits for its time: a hierarchical timing wheel.
//!
//! Does not know keys: it holds slot numbers with the instant at which each is due.
//!
//! ```text
//!  level 3   256 x 4.6 h         an item moves down a level when its bucket begins,
//!  level 2   256 x 65.5 s        and is due at its own instant, not at its bucket's
//!  level 1   256 x 256 ms
//!  level 0   256 x 1 ms
//! ```
//!
//! T1  An item is handed out by the first `advance` whose `now` is not before its instant, and by
//!     none before; what one `advance` hands out comes in the order of the instants, and of equal
//!     ones in any.
//! T2  `next_wake` is not later than the earliest instant. It is earlier where a bucket is to be moved
//!     down first, and once after a removal: then `advance` hands out nothing and it is later.
//! Cost: insert and remove O(1), `advance` O(items due + buckets that are not empty), no allocation
//! while slot numbers do not grow; 24 bytes for each slot number up to the largest that waited.
//! Items beyond 49 days wait in the last level and are sorted in again.
//! Source: Varghese and Lauck, Hashed and Hierarchical Timing Wheels, 1987; measured against heaps
//! before it was chosen (a heap has no cancellation, cg-D4).

use tidings_api::Instant;

use super::slots::NONE;

/// Slot numbers by the instant at which they are due.
#[derive(Debug)]
pub(super) struct Wheel {
    /// By slot number.
    items: Vec<Item>,
    /// Apart, since they are large: a queue is a few hundred bytes that can be moved.
    levels: Box<[Level]>,
    /// The tick up to which buckets have been handed out or moved down.
    tick: u64,
    len: usize,
    /// Nothing is due before; most of the time that is all there is to know.
    quiet_until: Instant,
    /// What is due of one bucket, to be sorted; empty between calls.
    due: Vec<(Instant, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    at: Instant,
    next: u32,
    previous: u32,
    bucket: u16,
}

#[derive(Debug)]
struct Level {
    first: [u32; BUCKETS],
    /// A bit for each bucket that is not empty.
    occupied: [u64; BUCKETS / 64],
}

const LEVELS: usize = 4;
const BUCKET_BITS: usize = 8;
const BUCKETS: usize = 1 << BUCKET_BITS;
const TICK_NS: u64 = 1_000_000;
/// In no bucket.
const NOWHERE: u16 = u16::MAX;

// === impl Wheel ===

impl Wheel {
    pub(super) fn new() -> Self {
        Self {
            items: Vec::new(),
            levels: (0..LEVELS).map(|_| Level::new()).collect(),
            tick: 0,
            len: 0,
            quiet_until: Instant::FAR_FUTURE,
            due: Vec::new(),
        }
    }

    /// How many items wait.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is due.
    pub(super) fn is_quiet_at(&self, now: Instant) -> bool {
        now < self.quiet_until
    }

    /// When an item is due, if it waits.
    pub(super) fn due_at(&self, id: u32) -> Option<Instant> {
        let item = self.items.get(id as usize)?;
        (item.bucket != NOWHERE).then_some(item.at)
    }

    /// Has an item wait; it must not wait already.
    pub(super) fn insert(&mut self, id: u32, at: Instant) {
        let needed = id as usize + 1;
        if self.items.len() < needed {
            self.items.resize(needed, Item::ABSENT);
        }
        debug_assert_eq!(self.items[id as usize].bucket, NOWHERE, "it waits already");
        self.items[id as usize].at = at;
        self.link(id);
        self.len += 1;
        self.quiet_until = self.quiet_until.min(at);
    }

    /// Takes an item out before its time; `false` if it does not wait.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        if self.due_at(id).is_none() {
            return false;
        }
        self.unlink(id);
        self.len -= 1;
        true
    }

    /// Moves what is due to the end of `ripe`, in order.
    pub(super) fn advance(&mut self, now: Instant, ripe: &mut Vec<u32>) {
        // Another thread may have read its clock later and come first.
        let until = (now.as_nanos() / TICK_NS).max(self.tick);
        while let Some((level, bucket, begins)) = self.next_bucket() {
            if begins > until {
                break;
            }
            self.tick = self.tick.max(begins);
            if level > 0 {
                self.move_down(level, bucket);
                continue;
            }
            self.collect(bucket, now);
            self.due.sort_unstable();
            ripe.extend(self.due.drain(..).map(|(_, id)| id));
            if begins == until {
                // What is left of this tick is due later within it.
                break;
            }
        }
        self.tick = until;
        self.quiet_until = self.earliest().unwrap_or(Instant::FAR_FUTURE);
    }

    /// When to call `advance` next, if anything waits.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        (self.len > 0).then_some(self.quiet_until)
    }

    /// The earliest instant, or that at which the bucket begins in which it is.
    fn earliest(&self) -> Option<Instant> {
        let (level, bucket, begins) = self.next_bucket()?;
        if level > 0 {
            return Some(Instant::from_nanos(begins.saturating_mul(TICK_NS)));
        }
        let first = self.levels[0].first[bucket];
        let known = |id: u32| (id != NONE).then_some(id);
        let next = |id: &u32| known(self.items[*id as usize].next);
        let ids = std::iter::successors(known(first), next);
        ids.map(|id| self.items[id as usize].at).min()
    }

    /// The first bucket that is not empty, and the tick at which it begins. A bucket of a higher
    /// level comes before one of a lower that begins with it: its items may be earlier.
    fn next_bucket(&self) -> Option<(usize, usize, u64)> {
        if self.len == 0 {
            return None;
        }
        let mut best: Option<(usize, usize, u64)> = None;
        for (at, level) in self.levels.iter().enumerate() {
            let here = self.tick >> (BUCKET_BITS * at);
            let Some(ahead) = level.first_from(bucket_of(here)) else {
                continue;
            };
            let place = here + ahead as u64;
            let (begins, bucket) = (place << (BUCKET_BITS * at), bucket_of(place));
            if best.is_none_or(|(_, _, earliest)| begins <= earliest) {
                best = Some((at, bucket, begins));
            }
        }
        best
    }

    /// Puts a waiting item into the bucket for its instant.
    fn link(&mut self, id: u32) {
        // What is due in the past is due in the current tick.
        let tick = (self.items[id as usize].at.as_nanos() / TICK_NS).max(self.tick);
        // The level is that of the highest bit in which it differs from the present tick.
        let differs = 63 - ((tick ^ self.tick) | 1).leading_zeros() as usize;
        let level = (differs / BUCKET_BITS).min(LEVELS - 1);
        let (place, here) = (
            tick >> (BUCKET_BITS * level),
            self.tick >> (BUCKET_BITS * level),
        );
        // Beyond the last level: into its last bucket, from where it is sorted in again.
        let bucket = bucket_of(place.min(here + BUCKETS as u64 - 1));
        let first = self.levels[level].push(bucket, id);
        if first != NONE {
            self.items[first as usize].previous = id;
        }
        let item = &mut self.items[id as usize];
        (item.next, item.previous) = (first, NONE);
        item.bucket = u16::try_from(level * BUCKETS + bucket).unwrap_or(NOWHERE);
    }

    fn unlink(&mut self, id: u32) {
        let item = std::mem::replace(&mut self.items[id as usize], Item::ABSENT);
        if item.next != NONE {
            self.items[item.next as usize].previous = item.previous;
        }
        if item.previous == NONE {
            let (level, bucket) = (
                item.bucket as usize / BUCKETS,
                item.bucket as usize % BUCKETS,
            );
            self.levels[level].set_first(bucket, item.next);
        } else {
            self.items[item.previous as usize].next = item.next;
        }
    }

    fn move_down(&mut self, level: usize, bucket: usize) {
        let mut id = self.levels[level].first[bucket];
        self.levels[level].set_first(bucket, NONE);
        while id != NONE {
            let next = self.items[id as usize].next;
            self.link(id);
            id = next;
        }
    }

    /// Moves what is due in a bucket of the lowest level to `due`.
    fn collect(&mut self, bucket: usize, now: Instant) {
        let mut id = self.levels[0].first[bucket];
        while id != NONE {
            let Item { at, next, .. } = self.items[id as usize];
            if at <= now {
                self.unlink(id);
                self.len -= 1;
                self.due.push((at, id));
            }
            id = next;
        }
    }
}

/// The bucket of a place counted since the clock's start.
fn bucket_of(place: u64) -> usize {
    usize::try_from(place % BUCKETS as u64).unwrap_or_default()
}

// === impl Item ===

impl Item {
    const ABSENT: Self = Self {
        at: Instant::ZERO,
        next: NONE,
        previous: NONE,
        bucket: NOWHERE,
    };
}

// === impl Level ===

impl Level {
    const fn new() -> Self {
        Self {
            first: [NONE; BUCKETS],
            occupied: [0; BUCKETS / 64],
        }
    }

    /// Puts an item at the head of a bucket and returns what stood there.
    fn push(&mut self, bucket: usize, id: u32) -> u32 {
        self.occupied[bucket / 64] |= 1 << (bucket % 64);
        std::mem::replace(&mut self.first[bucket], id)
    }

    fn set_first(&mut self, bucket: usize, id: u32) {
        self.first[bucket] = id;
        if id == NONE {
            self.occupied[bucket / 64] &= !(1 << (bucket % 64));
        }
    }

    /// How many buckets lie between `from` and the first occupied one, going around.
    fn first_from(&self, from: usize) -> Option<usize> {
        let words = self.occupied.len();
        for step in 0..=words {
            let word = (from / 64 + step) % words;
            let mut bits = self.occupied[word];
            if step == 0 {
                bits &= u64::MAX << (from % 64);
            } else if step == words {
                bits &= !(u64::MAX << (from % 64));
            }
            if bits != 0 {
                let bucket = word * 64 + bits.trailing_zeros() as usize;
                return Some((bucket + BUCKETS - from) % BUCKETS);
            }
        }
        None
    }
}
