//! Which fault, and which op, met an informer in which state: a run set in which a pair that can meet never met proves
//! less than it says.
//!
//! Does not judge one run: a run meets a few.

use std::{fmt, ops::AddAssign};

use crate::{
    fault::{CLASSES, Fault},
    link::Asked,
    ops::Op,
};

/// The states of an informer, as a fault meets it.
pub const STATES: [&str; 6] = ["list", "page", "initial", "watch", "probe", "waiting"];
const WAITING: usize = 5;

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
    ops: [[u64; STATES.len()]; OPS.len()],
    done: [u64; OPS.len()],
}

// === impl Coverage ===

impl Coverage {
    pub(crate) fn note(&mut self, fault: Fault, asked: Option<Asked>, probing: bool) {
        let Some(state) = asked.map(state_of) else {
            return;
        };
        self.faults[fault.class()][state] += 1;
        if probing && state == state_of(Asked::Watch) {
            self.faults[fault.class()][state_of(Asked::Probe)] += 1;
        }
    }

    /// A fault is to meet the request that ends a wait, or acts meanwhile.
    pub(crate) fn note_waiting(&mut self, fault: Fault) {
        self.faults[fault.class()][WAITING] += 1;
    }

    /// An op was executed, and did something, while informers were in these states.
    pub(crate) fn note_op(&mut self, op: &Op, states: impl Iterator<Item = usize>) {
        let word = op.to_string();
        let word = word.split(' ').next().unwrap_or_default();
        if let Some(index) = OPS.iter().position(|op| *op == word) {
            self.done[index] += 1;
            states.for_each(|state| self.ops[index][state] += 1);
        }
    }

    /// Whether a class of fault, or an op, acted; nothing if there is none of that name.
    #[must_use]
    pub fn has_acted(&self, name: &str) -> Option<bool> {
        if let Some(class) = CLASSES.iter().position(|class| *class == name) {
            return Some(self.total(class) > 0);
        }
        let op = OPS.iter().position(|op| *op == name)?;
        Some(self.done[op] > 0)
    }

    /// How often a class of fault met a state.
    #[must_use]
    pub const fn count(&self, class: usize, state: usize) -> u64 {
        self.faults[class][state]
    }

    /// How often a class of fault acted on a request or on an answer.
    #[must_use]
    pub fn total(&self, class: usize) -> u64 {
        self.faults[class][..WAITING].iter().sum()
    }

    /// Pairs that can meet and never did.
    #[must_use]
    pub fn missing(&self) -> Vec<(&'static str, &'static str)> {
        let mut missing = Vec::new();
        for (name, counts) in self.rows() {
            for (state, count) in STATES.iter().zip(counts) {
                if *count == 0 && unreachable_because(name, state).is_none() {
                    missing.push((name, *state));
                }
            }
        }
        missing
    }

    fn rows(&self) -> impl Iterator<Item = (&'static str, &[u64; STATES.len()])> {
        let faults = CLASSES.into_iter().zip(&self.faults);
        faults.chain(OPS.into_iter().zip(&self.ops))
    }
}

impl AddAssign for Coverage {
    fn add_assign(&mut self, other: Self) {
        let rows = self.faults.iter_mut().chain(&mut self.ops);
        for (row, added) in rows.zip(other.faults.iter().chain(&other.ops)) {
            for (count, added) in row.iter_mut().zip(added) {
                *count += added;
            }
        }
        for (count, added) in self.done.iter_mut().zip(other.done) {
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
        for (name, counts) in self.rows() {
            write!(f, "{name:14}")?;
            for (state, count) in STATES.iter().zip(counts) {
                match (count, unreachable_because(name, state)) {
                    (0, Some(_)) => write!(f, "{:>10}", "-")?,
                    (count, _) => write!(f, "{count:>10}")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

const fn state_of(asked: Asked) -> usize {
    match asked {
        Asked::List => 0,
        Asked::Page => 1,
        Asked::WatchList => 2,
        Asked::Watch => 3,
        Asked::Probe => 4,
    }
}

/// The states in which an informer is: what it has asked for, or that it waits.
pub(crate) fn states_of(
    asked: Option<Asked>,
    is_probing: bool,
    is_waiting: bool,
) -> impl Iterator<Item = usize> {
    let probe = is_probing.then_some(Asked::Probe);
    let open = asked.into_iter().chain(probe).map(state_of);
    open.chain((is_waiting && asked.is_none()).then_some(WAITING))
}

/// Why a fault cannot meet a state.
#[must_use]
pub fn unreachable_because(class: &str, state: &str) -> Option<&'static str> {
    match (class, state) {
        ("loop-pages", "page") => None,
        ("loop-pages", state) if state != "waiting" => {
            Some("only a further page can repeat its token")
        }
        (
            "refuse" | "too-large" | "html" | "no-answer" | "no-connect" | "loop-pages"
            | "expire-tokens" | "close-at-once" | "overload",
            "waiting",
        ) => None,
        (class, "waiting") if CLASSES.contains(&class) => Some("nothing is on its way"),
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
