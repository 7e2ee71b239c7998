//! Server-side apply: what is applied is merged into what is there, and what is applied no longer goes.
//!
//! Does not know the schemas of built-in kinds: a field that they do not have is kept, where the real
//! server answers 500.
//!
//! ```text
//!   live + applied  -> merged       lists by their keys, other values replaced
//!   merged - (owned last time, not now, by nobody else) -> new
//!   live ? new      -> conflicts    fields that others own and that changed
//! ```
//! Source: structured-merge-diff/v6 merge/update.go, typed/{merge,remove}.go; rule pr-N9; the refusals are
//! those of a real server.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    fields::{self, FieldSet},
    managed,
    order::{self, Source},
    shape::{Listing, Shape},
    write::{Part, Terms},
};
use crate::{
    kind::KindRow,
    refusal::{Refusal, RefusalCause},
};

/// What an apply makes of an object, its managers noted.
///
/// # Errors
///
/// A [`Refusal`]: a list that cannot be merged, or conflicts.
pub(super) fn applied(
    row: &KindRow,
    old: Option<&Value>,
    config: &Value,
    part: Part,
    terms: &Terms<'_>,
) -> Result<Value, Refusal> {
    let shape = Shape::of(row);
    let empty = json!({ "metadata": {} });
    let mut managers = managed::before_apply(row, old, terms.now);
    let live = old.unwrap_or(&empty);
    let own = managed::manager(row, terms, true);
    let mut config = config.clone();
    drop_other_part(row, part, &mut config);
    check_items(row, shape, &config, "")?;
    let given = FieldSet::of(shape, &config);
    let mut set = given.clone();
    managed::strip(&mut set);
    let merged = merge(shape, Some(live), &config, "");
    let mut new = merged.map_err(|cause| {
        let mut names = [live, &config].into_iter();
        let name = names.find_map(|it| it["metadata"]["name"].as_str());
        Refusal::invalid_object(row, name.unwrap_or_default(), vec![cause])
    })?;
    let mut kept = managers.owned_by_others(&own);
    // With what nobody owns: who applies a name keeps the metadata that it stands in.
    kept.union(&given);
    prune(shape, &mut new, &managers.last(&own), &kept);
    let change = managed::compare(row, live, &new);
    managers.note_apply(own, set, &change, terms.force)?;
    managers.write(&mut new);
    Ok(new)
}

/// What is applied to one endpoint changes nothing that belongs to the other (pr-N10).
fn drop_other_part(row: &KindRow, part: Part, config: &mut Value) {
    let Some(top) = config.as_object_mut() else {
        return;
    };
    match part {
        Part::Main if row.status => {
            top.remove("status");
        }
        Part::Status => {
            top.retain(|name, _| matches!(name.as_str(), "apiVersion" | "kind" | "status"));
            top.insert("metadata".to_owned(), json!({}));
        }
        Part::Main | Part::Whole => {}
    }
}

/// Refuses lists whose items cannot be told apart, and fields that a custom schema does not have.
fn check_items(row: &KindRow, shape: Shape<'_>, value: &Value, path: &str) -> Result<(), Refusal> {
    let fail = |path: &str, why: &str| {
        let (api, kind) = (row.api_version(), &row.kind);
        let slash = if row.group.is_empty() { "/" } else { "" };
        let message = format!(
            "failed to create typed patch object (/; {slash}{api}, Kind={kind}): {path}: {why}"
        );
        Err(Refusal::new(500, "", message))
    };
    match (value, shape.listing()) {
        (Value::Object(members), _) => {
            for (name, member) in members {
                let below = format!("{path}.{name}");
                let is_meta = path.is_empty() && matches!(name.as_str(), "apiVersion" | "kind");
                if let Shape::Custom(Some(schema)) | Shape::CustomRoot(Some(schema)) = shape
                    && !is_meta
                    && !schema.admits(name)
                    && !(path.is_empty() && name == "metadata")
                {
                    return fail(&below, "field not declared in schema");
                }
                check_items(row, shape.field(name), member, &below)?;
            }
        }
        (Value::Array(items), listing) => {
            let mut seen = BTreeSet::new();
            for (index, item) in items.iter().enumerate() {
                check_items(row, shape.item(), item, &format!("{path}[{index}]"))?;
                let name = match listing {
                    Listing::Atomic => continue,
                    Listing::Keyed(keys) => {
                        let Some(named) = keys.of(item) else { continue };
                        let names = named.iter().map(|(name, value)| format!("{name}={value}"));
                        names.collect::<Vec<String>>().join(",")
                    }
                    Listing::Set => format!("={item}"),
                };
                let why = format!("duplicate entries for key [{name}]");
                if !seen.insert(name) {
                    return fail(path, &why);
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// The live value with what is applied merged in.
fn merge(
    shape: Shape<'_>,
    live: Option<&Value>,
    config: &Value,
    path: &str,
) -> Result<Value, RefusalCause> {
    match (config, shape.listing()) {
        // To apply nothing to a field changes nothing.
        (Value::Null, _) => Ok(live.cloned().unwrap_or(Value::Null)),
        (Value::Object(members), _) if !shape.is_atomic_map() => {
            let mut merged = match live {
                Some(Value::Object(live)) => live.clone(),
                _ => Map::new(),
            };
            for (name, member) in members {
                let path = match path {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                let value = merge(shape.field(name), merged.get(name), member, &path)?;
                if !value.is_null() {
                    merged.insert(name.clone(), value);
                }
            }
            Ok(Value::Object(merged))
        }
        (Value::Array(items), listing @ (Listing::Keyed(_) | Listing::Set)) => {
            let live = live
                .and_then(Value::as_array)
                .map_or(&[][..], Vec::as_slice);
            merge_items(shape, listing, live, items, path)
        }
        _ => Ok(config.clone()),
    }
}

fn merge_items(
    shape: Shape<'_>,
    listing: Listing<'_>,
    live: &[Value],
    items: &[Value],
    path: &str,
) -> Result<Value, RefusalCause> {
    if let Listing::Keyed(keys) = listing
        && let Some(at) = items.iter().position(|item| keys.of(item).is_none())
    {
        // It would have been the next item.
        let field = format!("{path}[{}].{}", live.len() + at, keys.first());
        let missing = "Required value".to_owned();
        return Err(RefusalCause::new("FieldValueRequired", missing, &field));
    }
    let steps = |items: &[Value]| {
        let steps = items.iter().map(|item| fields::step(listing, item));
        steps.collect::<Vec<_>>()
    };
    let mut merged = Vec::new();
    for source in order::merged(&steps(live), &steps(items)) {
        let path = format!("{path}[{}]", merged.len());
        merged.push(match source {
            Source::Live(place) => live[place].clone(),
            Source::Applied(at) => merge(shape.item(), None, &items[at], &path)?,
            Source::Both(place, at) => merge(shape.item(), live.get(place), &items[at], &path)?,
        });
    }
    Ok(Value::Array(merged))
}

/// Takes out what was owned the last time and is kept by nobody.
fn prune(shape: Shape<'_>, value: &mut Value, last: &FieldSet, kept: &FieldSet) {
    match (value, shape.listing()) {
        (Value::Object(members), _) if !shape.is_atomic_map() => {
            for (step, below) in &last.parts {
                let Some(name) = step.strip_prefix("f:") else {
                    continue;
                };
                // An entry of a map is as an item of a list: who owns parts of it alone cannot keep it.
                let kept = kept.parts.get(step);
                let kept = kept.filter(|kept| kept.owned || !shape.is_entry(name));
                match (kept, members.get_mut(name)) {
                    (Some(kept), Some(member)) => prune(shape.field(name), member, below, kept),
                    (None, Some(_)) => {
                        members.remove(name);
                    }
                    (_, None) => {}
                }
            }
        }
        (Value::Array(items), listing) if listing != Listing::Atomic => {
            items.retain_mut(|item| {
                let step = fields::step(listing, item);
                let Some(below) = last.parts.get(&step) else {
                    return true;
                };
                let kept = kept.parts.get(&step);
                // Who owns parts of an item, but not that it is there, cannot keep it.
                let Some(kept) = kept.filter(|kept| kept.owned) else {
                    return false;
                };
                prune(shape.item(), item, below, kept);
                true
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
