//! Sets of fields, as `managedFields` writes them (FieldsV1), and what a change did to which fields.
//!
//! Does not know who owns a field, nor what any field means: lists and maps are taken apart as their
//! shape says.
//!
//! A step of a path is text: `f:name` a member, `k:{"name":"a"}` an item by its keys, `v:"x"` an item by
//! its value. A node that is owned itself and has parts below has a member `.` beside them.
//! Source: structured-merge-diff/v6 fieldpath/{set,serialize}.go, typed/{tofieldset,compare}.go.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::shape::{Listing, Shape};

/// A set of fields: a tree of steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldSet {
    /// Whether the place itself is in the set.
    pub(super) owned: bool,
    pub(super) parts: BTreeMap<String, Self>,
}

/// What a change did.
#[derive(Default)]
pub(super) struct Comparison {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

// === impl FieldSet ===

impl FieldSet {
    /// Reads FieldsV1; what is no step of it is left out.
    pub(super) fn parse(fields: &Value) -> Self {
        let Some(members) = fields.as_object() else {
            return Self::default();
        };
        let mut set = Self {
            owned: members.is_empty() || members.contains_key("."),
            parts: BTreeMap::new(),
        };
        for (step, below) in members.iter().filter(|(step, _)| *step != ".") {
            set.parts.insert(step.clone(), Self::parse(below));
        }
        set
    }

    /// Writes FieldsV1.
    pub(super) fn into_value(self) -> Value {
        let mut members = Map::new();
        if self.owned && !self.parts.is_empty() {
            members.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (step, below) in self.parts {
            members.insert(step, below.into_value());
        }
        Value::Object(members)
    }

    /// The fields of a value.
    pub(super) fn of(shape: Shape<'_>, value: &Value) -> Self {
        let mut set = Self::default();
        match (value, shape.listing()) {
            (Value::Object(members), _) if !shape.is_atomic_map() => {
                for (name, member) in members {
                    let mut below = Self::of(shape.field(name), member);
                    below.owned |= shape.is_entry(name) || is_bare(member);
                    // A list that merges and has no items says nothing.
                    if !below.is_empty() {
                        set.parts.insert(format!("f:{name}"), below);
                    }
                }
            }
            (Value::Array(items), listing) if listing != Listing::Atomic => {
                for item in items {
                    let mut below = Self::of(shape.item(), item);
                    below.owned = true;
                    set.parts.insert(step(listing, item), below);
                }
            }
            _ => set.owned = true,
        }
        set
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.owned && self.parts.is_empty()
    }

    pub(super) fn union(&mut self, other: &Self) {
        self.owned |= other.owned;
        for (step, below) in &other.parts {
            self.parts.entry(step.clone()).or_default().union(below);
        }
    }

    /// The same with a set that nobody needs any more.
    pub(super) fn absorb(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        self.owned |= other.owned;
        for (step, below) in other.parts {
            self.parts.entry(step).or_default().absorb(below);
        }
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        self.owned &= !other.owned;
        for (step, below) in &other.parts {
            if let Some(mine) = self.parts.get_mut(step) {
                mine.subtract(below);
                if mine.is_empty() {
                    self.parts.remove(step);
                }
            }
        }
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        let mut both = Self {
            owned: self.owned && other.owned,
            parts: BTreeMap::new(),
        };
        for (step, below) in &self.parts {
            let Some(theirs) = other.parts.get(step) else {
                continue;
            };
            let common = below.intersection(theirs);
            if !common.is_empty() {
                both.parts.insert(step.clone(), common);
            }
        }
        both
    }

    /// The paths as people read them, such as `.spec.containers[name="a"].image`; those of one level
    /// before those below.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.push_paths("", &mut paths);
        paths
    }

    fn push_paths(&self, prefix: &str, paths: &mut Vec<String>) {
        for (step, below) in &self.parts {
            if below.owned {
                paths.push(format!("{prefix}{}", shown(step)));
            }
        }
        for (step, below) in &self.parts {
            below.push_paths(&format!("{prefix}{}", shown(step)), paths);
        }
    }
}

// === impl Comparison ===

impl Comparison {
    /// What it takes to get from one value to another.
    pub(super) fn of(shape: Shape<'_>, old: Option<&Value>, new: Option<&Value>) -> Self {
        let mut all = Self::default();
        if old == new {
            return all;
        }
        let listing = shape.listing();
        // What is written though it holds nothing is as good as absent.
        let (old, new) = match (old, new) {
            (Some(Value::Null), Some(some)) if !some.is_null() => (None, new),
            (Some(some), Some(Value::Null)) if !some.is_null() => (old, None),
            both => both,
        };
        let parts = match (old, new) {
            (None | Some(Value::Object(_)), None | Some(Value::Object(_)))
                if !shape.is_atomic_map() =>
            {
                all.members(shape, old, new);
                true
            }
            (None | Some(Value::Array(_)), None | Some(Value::Array(_)))
                if listing != Listing::Atomic =>
            {
                all.items(shape, listing, old, new);
                true
            }
            _ => false,
        };
        match (old, new) {
            (None, Some(_)) => all.added.owned = !(parts && shape.is_standing()),
            (Some(_), None) => all.removed.owned = true,
            (Some(_), Some(_)) => all.modified.owned = !parts,
            (None, None) => {}
        }
        all
    }

    /// Whether it gave nobody anything.
    pub(super) fn is_idle(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty()
    }

    fn members(&mut self, shape: Shape<'_>, old: Option<&Value>, new: Option<&Value>) {
        let old = old.and_then(Value::as_object);
        let new = new.and_then(Value::as_object);
        for (name, value) in old.into_iter().flatten() {
            let after = new.and_then(|new| new.get(name));
            let below = Self::of(shape.field(name), Some(value), after);
            self.put(|| format!("f:{name}"), below);
        }
        for (name, value) in new.into_iter().flatten() {
            if old.is_none_or(|old| !old.contains_key(name)) {
                let below = Self::of(shape.field(name), None, Some(value));
                self.put(|| format!("f:{name}"), below);
            }
        }
    }

    fn items(
        &mut self,
        shape: Shape<'_>,
        listing: Listing<'_>,
        old: Option<&Value>,
        new: Option<&Value>,
    ) {
        let (old, new) = (named(listing, old), named(listing, new));
        for (step, value) in &old {
            let below = Self::of(shape.item(), Some(value), new.get(step).copied());
            self.put(|| step.clone(), below);
        }
        for (step, value) in new.iter().filter(|(step, _)| !old.contains_key(*step)) {
            let below = Self::of(shape.item(), None, Some(value));
            self.put(|| step.clone(), below);
        }
    }

    /// Most parts have not changed: their step is not even written.
    fn put(&mut self, step: impl Fn() -> String, below: Self) {
        for (set, part) in [
            (&mut self.added, below.added),
            (&mut self.modified, below.modified),
            (&mut self.removed, below.removed),
        ] {
            if !part.is_empty() {
                set.parts.insert(step(), part);
            }
        }
    }
}

/// The items of a list by their steps.
fn named<'a>(listing: Listing<'_>, list: Option<&'a Value>) -> BTreeMap<String, &'a Value> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.map(|item| (step(listing, item), item)).collect()
}

/// Whether there is nothing below a value that could be owned in its stead.
fn is_bare(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Null => true,
        _ => false,
    }
}

/// The step to an item of a list that merges.
pub(super) fn step(listing: Listing<'_>, item: &Value) -> String {
    match listing {
        // An item that cannot be named is told apart by all that it is.
        Listing::Keyed(keys) => match keys.of(item) {
            Some(named) => format!("k:{}", Value::Object(named)),
            None => format!("v:{item}"),
        },
        Listing::Atomic | Listing::Set => format!("v:{item}"),
    }
}

fn shown(step: &str) -> String {
    let (kind, rest) = step.split_at(step.len().min(2));
    match kind {
        "f:" => format!(".{rest}"),
        "k:" => {
            let keys: Map<String, Value> = serde_json::from_str(rest).unwrap_or_default();
            let keys: Vec<String> = keys
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!("[{}]", keys.join(","))
        }
        _ => format!("[={rest}]"),
    }
}
