//! Which fault met an informer in which state: a run set in which a pair that can meet never met proves
//! less than it says.
//!
//! Does not judge one run: a run meets a few.

use std::{fmt, ops::AddAssign, time::Duration};

use crate::{
    fault::{CLASSES, Fault},
    link::Asked,
    ops::Op,
};

/// The states of an informer, as a fault meets it.
pub const STATES: [&str; 5] = ["list", "page", "initial", "watch", "probe"];

/// Ops that are no writes, by the first word of their line.
const OPS: [&str; 15] = [
    "compact",
    "checkpoint",
    "restore",
    "crd-delete",
    "crd-create",
    "lag",
    "stick",
    "watchlists",
    "add-handler",
    "remove-handler",
    "resync",
    "hold",
    "jump",
    "crash",
    "recreate",
];

/// Counts of faults by the state that they met, and of ops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    faults: [[u64; STATES.len()]; CLASSES.len()],
    ops: [u64; OPS.len()],
}

// === impl Coverage ===

impl Coverage {
    pub(crate) fn note(&mut self, fault: Fault, asked: Option<Asked>, probing: bool) {
        let state = match asked {
            Some(Asked::List) => 0,
            Some(Asked::Page) => 1,
            Some(Asked::WatchList) => 2,
            Some(Asked::Watch) => 3,
            Some(Asked::Probe) => 4,
            None => return,
        };
        self.faults[fault.class()][state] += 1;
        if probing && state == 3 {
            self.faults[fault.class()][4] += 1;
        }
    }

    /// An op was executed, and did something.
    pub(crate) fn note_op(&mut self, op: &Op) {
        let word = op.to_string();
        let word = word.split(' ').next().unwrap_or_default();
        if let Some(index) = OPS.iter().position(|op| *op == word) {
            self.ops[index] += 1;
        }
    }

    /// Whether a class of fault, or an op, acted; nothing if there is none of that name.
    #[must_use]
    pub fn has_acted(&self, name: &str) -> Option<bool> {
        if let Some(class) = CLASSES.iter().position(|class| *class == name) {
            return Some(self.total(class) > 0);
        }
        let op = OPS.iter().position(|op| *op == name)?;
        Some(self.ops[op] > 0)
    }

    /// How often a class of fault met a state.
    #[must_use]
    pub fn count(&self, class: usize, state: usize) -> u64 {
        self.faults[class][state]
    }

    /// How often a class of fault acted.
    #[must_use]
    pub fn total(&self, class: usize) -> u64 {
        self.faults[class].iter().sum()
    }

    /// Pairs that can meet and never did.
    #[must_use]
    pub fn missing(&self) -> Vec<(&'static str, &'static str)> {
        let mut missing = Vec::new();
        for (class, name) in CLASSES.iter().enumerate() {
            for (state, state_name) in STATES.iter().enumerate() {
                if self.faults[class][state] == 0 && unreachable_because(name, state_name).is_none()
                {
                    missing.push((*name, *state_name));
                }
            }
        }
        missing
    }

    /// How long everything may take to be level after the faults of this run.
    pub(crate) fn bound(&self) -> Duration {
        let met = CLASSES.iter().enumerate();
        let met = met.filter(|(class, _)| self.total(*class) > 0);
        let longest = met.map(|(_, name)| bound_of(name)).max();
        longest.unwrap_or(Duration::ZERO).max(bound_of(""))
    }
}

impl AddAssign for Coverage {
    fn add_assign(&mut self, other: Self) {
        for (row, added) in self.faults.iter_mut().zip(other.faults) {
            for (count, added) in row.iter_mut().zip(added) {
                *count += added;
            }
        }
        for (count, added) in self.ops.iter_mut().zip(other.ops) {
            *count += added;
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:14}", "")?;
        for state in STATES {
            write!(f, "{state:>10}")?;
        }
        writeln!(f)?;
        for (class, name) in CLASSES.iter().enumerate() {
            write!(f, "{name:14}")?;
            for (state, state_name) in STATES.iter().enumerate() {
                match (
                    self.faults[class][state],
                    unreachable_because(name, state_name),
                ) {
                    (0, Some(_)) => write!(f, "{:>10}", "-")?,
                    (count, _) => write!(f, "{count:>10}")?,
                }
            }
            writeln!(f)?;
        }
        for (name, count) in OPS.iter().zip(self.ops) {
            write!(f, "{name} {count}  ")?;
        }
        Ok(())
    }
}

/// Why a fault cannot meet a state.
#[must_use]
pub fn unreachable_because(class: &str, state: &str) -> Option<&'static str> {
    match (class, state) {
        ("loop-pages", "page") => None,
        ("loop-pages", _) => Some("only a further page can repeat its token"),
        ("too-large", "probe") => Some("a probe asks for no version"),
        ("close-at-once", "initial" | "watch") => None,
        ("close-at-once", _) => Some("only watches are closed"),
        ("error-event", "initial" | "watch" | "probe") => None,
        ("error-event" | "unknown-type" | "bad-bookmark" | "low-bookmark", "list" | "page") => {
            Some("a list has no events")
        }
        (_, _) => None,
    }
}

/// How long everything may take to be level again after a fault of a class, once the faults stop.
#[must_use]
pub fn bound_of(class: &str) -> Duration {
    Duration::from_secs(match class {
        // A watch that was found healthy is looked at every ten minutes.
        "half-open" | "drip" | "lose-tail" => 900,
        // A list may be silent for a minute, drip for ten.
        "no-answer" | "stall" => 900,
        // The slow retry, doubled by jitter.
        "refuse" | "error-event" => 400,
        // A backoff, doubled by jitter, and a list.
        _ => 400,
    })
}
