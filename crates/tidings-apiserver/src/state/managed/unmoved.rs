//! An update that leaves every field with its owners: most are such, and nothing has to be read of the
//! sets but the paths that the update changed.
//!
//! Does not decide for an update that gives or takes a field: that is what the whole of the sets is for.
//!
//! U1  What comes out is what the whole of the sets would have given (a test compares both).

use serde_json::{Map, Value};

use super::Manager;
use crate::state::fields::{Comparison, FieldSet};

/// The managers' entries after an update, if no field moves: as they were, but for the writer's time.
pub(super) fn entries(before: &[Value], own: &Manager, change: &Comparison) -> Option<Vec<Value>> {
    if !change.added.is_empty() || !change.removed.is_empty() {
        return None;
    }
    if before.is_empty() || !before.iter().all(|entry| entry["fieldsV1"].is_object()) {
        return None;
    }
    // M3: who changes nothing keeps its time.
    if change.is_idle() {
        return Some(before.to_vec());
    }
    let at = before.iter().position(|entry| is(entry, own))?;
    let is_as_before = |(index, entry): (usize, &Value)| {
        let fields = &entry["fieldsV1"];
        if index == at {
            covers(fields, &change.modified)
        } else {
            !touches(fields, &change.modified)
        }
    };
    if !before.iter().enumerate().all(is_as_before) {
        return None;
    }
    let mut after = before.to_vec();
    after[at]["time"] = own.time.as_str().into();
    sort(&mut after);
    Some(after)
}

/// Sorts entries as the server does: who applies before who updates, then by time and name.
fn sort(entries: &mut [Value]) {
    entries.sort_by(|one, other| order(one).cmp(&order(other)));
}

fn order(entry: &Value) -> (bool, &str, &str) {
    let text = |name: &str| entry[name].as_str().unwrap_or_default();
    (entry["operation"] != "Apply", text("time"), text("manager"))
}

/// Whether an entry is that of a manager that updates.
fn is(entry: &Value, own: &Manager) -> bool {
    let text = |name: &str| entry[name].as_str().unwrap_or_default();
    text("manager") == own.name
        && text("operation") != "Apply"
        && text("subresource") == own.subresource
        && text("apiVersion") == own.api_version
}

/// Whether all of a set is among the fields of an entry.
fn covers(fields: &Value, set: &FieldSet) -> bool {
    let Some(members) = fields.as_object() else {
        return false;
    };
    let has = |(step, below): (&String, &FieldSet)| {
        members
            .get(step)
            .is_some_and(|fields| covers(fields, below))
    };
    (!set.owned || is_owned(members)) && set.parts.iter().all(has)
}

/// Whether any of a set is among the fields of an entry.
fn touches(fields: &Value, set: &FieldSet) -> bool {
    let Some(members) = fields.as_object() else {
        return false;
    };
    let has = |(step, below): (&String, &FieldSet)| {
        members
            .get(step)
            .is_some_and(|fields| touches(fields, below))
    };
    (set.owned && is_owned(members)) || set.parts.iter().any(has)
}

/// Whether the place itself is in the set, beside what is below it.
fn is_owned(members: &Map<String, Value>) -> bool {
    members.is_empty() || members.contains_key(".")
}
