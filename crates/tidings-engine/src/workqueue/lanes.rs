//! In which order keys come out: levels of priority, and within a level the tenants in turn.
//!
//! Does not know keys: a lane is a list of slot numbers, linked through the slots.
//!
//! ```text
//!  High     turn -> | a | -> | b |           a: 7 4      b: 9
//!  Normal   turn -> | b |                    b: 1 2 5
//!  Low      (no tenant waits)                each lane: first in, first out
//! ```
//!
//! N1  A tenant is in a level's turn exactly when its lane there is not empty, and once.
//! N2  A level that waits is passed over for those above it at most `patience` times in a row, then
//!     it is served, of several the lowest first: so nothing waits for ever.
//! N3  Between two keys of one tenant every other tenant of the level is served once.
//! Cost: O(1) for all, but a new tenant allocates.
//! Source: asked for in Kubernetes since 2016, and in client-go in neither form; controller-runtime's
//! priority queue starves its lowest level as long as a higher one has work.

use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use rapidhash::fast::SeedableState;

use super::{LEVELS, Priority, slots::NONE};

/// The neighbours of what can stand in a list.
pub(super) trait Links {
    /// The next and the previous one.
    fn links(&mut self, id: u32) -> (&mut u32, &mut u32);
}

/// A doubly linked list of numbers; the links are kept by whatever the numbers stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane {
    pub(super) first: u32,
    pub(super) last: u32,
}

/// All lanes.
#[derive(Debug)]
pub(super) struct Lanes {
    tenants: Vec<Tenant>,
    free: Vec<u32>,
    by_name: HashTable<u32>,
    hasher: SeedableState<'static>,
    levels: [Level; LEVELS],
    patience: u32,
}

#[derive(Debug)]
struct Level {
    /// The tenants that have something here, in the order in which they are served.
    turn: Lane,
    len: usize,
    passed_over: u32,
}

#[derive(Debug)]
struct Tenant {
    name: Box<str>,
    hash: u64,
    /// Keys that belong to it, wherever they are.
    keys: u32,
    lanes: [Lane; LEVELS],
    /// Its neighbours in each level's turn.
    next: [u32; LEVELS],
    previous: [u32; LEVELS],
}

/// The links of one level's turn.
struct Turn<'a> {
    tenants: &'a mut [Tenant],
    level: usize,
}

/// The tenant of all keys where nobody tells tenants apart.
pub(super) const COMMON: u32 = 0;

// === impl Lanes ===

impl Lanes {
    pub(super) fn new(patience: u32, seed: u64) -> Self {
        Self {
            tenants: vec![Tenant::new("", 0)],
            free: Vec::new(),
            by_name: HashTable::new(),
            hasher: SeedableState::new(seed),
            levels: std::array::from_fn(|_| Level {
                turn: Lane::EMPTY,
                len: 0,
                passed_over: 0,
            }),
            patience,
        }
    }

    /// Counts a key for a tenant, which is new with its first.
    pub(super) fn join(&mut self, name: &str) -> u32 {
        let hash = self.hasher.hash_one(name);
        let tenants = &self.tenants;
        let is_it = |id: &u32| &*tenants[*id as usize].name == name;
        if let Some(id) = self.by_name.find(hash, is_it).copied() {
            self.tenants[id as usize].keys += 1;
            return id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.tenants.push(Tenant::new("", 0));
            // Tenants are at most as many as keys, which are numbered by `u32`.
            u32::try_from(self.tenants.len() - 1).unwrap_or(NONE)
        });
        self.tenants[id as usize] = Tenant::new(name, hash);
        let tenants = &self.tenants;
        self.by_name
            .insert_unique(hash, id, |other| tenants[*other as usize].hash);
        id
    }

    /// A key of a tenant is gone; the tenant goes with its last.
    pub(super) fn leave(&mut self, id: u32) {
        if id == COMMON {
            return;
        }
        let tenant = &mut self.tenants[id as usize];
        tenant.keys -= 1;
        if tenant.keys > 0 {
            return;
        }
        let hash = tenant.hash;
        if let Ok(found) = self.by_name.find_entry(hash, |other| *other == id) {
            found.remove();
        }
        self.free.push(id);
    }

    pub(super) fn tenant_name(&self, id: u32) -> &str {
        &self.tenants[id as usize].name
    }

    /// How many tenants have keys.
    pub(super) fn tenants(&self) -> usize {
        self.by_name.len()
    }

    /// Appends a slot to its tenant's lane of a level.
    pub(super) fn push(&mut self, id: u32, tenant: u32, level: Priority, links: &mut impl Links) {
        let at = level as usize;
        let lane = &mut self.tenants[tenant as usize].lanes[at];
        let was_empty = lane.is_empty();
        lane.push(id, links);
        self.levels[at].len += 1;
        if was_empty {
            let (turn, tenants) = (&mut self.levels[at].turn, &mut self.tenants[..]);
            turn.push(tenant, &mut Turn { tenants, level: at });
        }
    }

    /// Takes a slot out of its tenant's lane of a level, wherever it stands.
    pub(super) fn remove(&mut self, id: u32, tenant: u32, level: Priority, links: &mut impl Links) {
        let at = level as usize;
        let lane = &mut self.tenants[tenant as usize].lanes[at];
        lane.remove(id, links);
        let is_empty = lane.is_empty();
        let level = &mut self.levels[at];
        level.len -= 1;
        if level.len == 0 {
            level.passed_over = 0;
        }
        if is_empty {
            let tenants = &mut self.tenants[..];
            level.turn.remove(tenant, &mut Turn { tenants, level: at });
        }
    }

    /// Takes the slot whose turn it is.
    pub(super) fn pop(&mut self, links: &mut impl Links) -> Option<u32> {
        let at = self.choose()?;
        let level = &mut self.levels[at];
        let tenant = level.turn.first;
        let lane = &mut self.tenants[tenant as usize].lanes[at];
        let id = lane.first;
        lane.remove(id, links);
        let is_empty = lane.is_empty();
        level.len -= 1;
        if tenant == level.turn.last && !is_empty {
            return Some(id);
        }
        let tenants = &mut self.tenants[..];
        let mut turn = Turn { tenants, level: at };
        level.turn.remove(tenant, &mut turn);
        if !is_empty {
            level.turn.push(tenant, &mut turn);
        }
        Some(id)
    }

    /// How many slots wait in a level.
    pub(super) const fn len(&self, level: Priority) -> usize {
        self.levels[level as usize].len
    }

    /// How many slots wait.
    pub(super) fn total(&self) -> usize {
        self.levels.iter().map(|level| level.len).sum()
    }

    /// The tenants that have a turn in a level, with their lanes there.
    pub(super) fn waiting(&self, level: Priority) -> impl Iterator<Item = (u32, Lane)> + '_ {
        let at = level as usize;
        let known = |id: u32| (id != NONE).then_some(id);
        let next = move |id: &u32| known(self.tenants[*id as usize].next[at]);
        std::iter::successors(known(self.levels[at].turn.first), next)
            .map(move |id| (id, self.tenants[id as usize].lanes[at]))
    }

    /// How many keys belong to tenants.
    pub(super) fn keys(&self) -> usize {
        let keys = |id: &u32| self.tenants[*id as usize].keys as usize;
        self.by_name.iter().map(keys).sum()
    }

    /// The level to serve next (N2).
    fn choose(&mut self) -> Option<usize> {
        let highest = self.levels.iter().position(|level| level.len > 0)?;
        let mut chosen = highest;
        for (at, level) in self.levels.iter_mut().enumerate().skip(highest + 1) {
            if level.len == 0 {
                continue;
            }
            if level.passed_over >= self.patience {
                chosen = at;
            }
            level.passed_over = level.passed_over.saturating_add(1);
        }
        self.levels[chosen].passed_over = 0;
        Some(chosen)
    }
}

// === impl Tenant ===

impl Tenant {
    fn new(name: &str, hash: u64) -> Self {
        Self {
            name: name.into(),
            hash,
            keys: 1,
            lanes: [Lane::EMPTY; LEVELS],
            next: [NONE; LEVELS],
            previous: [NONE; LEVELS],
        }
    }
}

// === impl Turn ===

impl Links for Turn<'_> {
    fn links(&mut self, id: u32) -> (&mut u32, &mut u32) {
        let tenant = &mut self.tenants[id as usize];
        (
            &mut tenant.next[self.level],
            &mut tenant.previous[self.level],
        )
    }
}

// === impl Lane ===

impl Lane {
    pub(super) const EMPTY: Self = Self {
        first: NONE,
        last: NONE,
    };

    const fn is_empty(self) -> bool {
        self.first == NONE
    }

    pub(super) fn push(&mut self, id: u32, links: &mut impl Links) {
        let (next, previous) = links.links(id);
        (*next, *previous) = (NONE, self.last);
        if self.last == NONE {
            self.first = id;
        } else {
            *links.links(self.last).0 = id;
        }
        self.last = id;
    }

    pub(super) fn remove(&mut self, id: u32, links: &mut impl Links) {
        let (next, previous) = links.links(id);
        let (next, previous) = (
            std::mem::replace(next, NONE),
            std::mem::replace(previous, NONE),
        );
        if previous == NONE {
            self.first = next;
        } else {
            *links.links(previous).0 = next;
        }
        if next == NONE {
            self.last = previous;
        } else {
            *links.links(next).1 = previous;
        }
    }
}
