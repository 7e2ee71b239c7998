//! Strategic merge patches: merge patches that know the keys of lists.
//!
//! Does not know custom resources: they have no such patches.
//!
//! A merged list has the items of the patch in the patch's order, or that of `$setElementOrder`; the others
//! stand among them as they stood in the list before.
//!
//! Source: apimachinery pkg/util/strategicpatch/patch.go @v0.36.3; rule pr-N9.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    patch::type_of,
    shape::{Listing, Shape},
};
use crate::refusal::{Refusal, RefusalCause};

/// Applies a patch to an object.
///
/// # Errors
///
/// A [`Refusal`]: a directive that there is not, an item without its key.
pub(super) fn patch(
    shape: Shape<'_>,
    target: &mut Map<String, Value>,
    patch: &Map<String, Value>,
) -> Result<(), Refusal> {
    if directive(patch)? == Some(Directive::Replace) {
        *target = without_directives(patch);
        return Ok(());
    }
    if let Some(kept) = patch.get("$retainKeys").and_then(Value::as_array) {
        target.retain(|name, _| kept.iter().any(|kept| kept == name));
    }
    for (name, change) in patch {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            let gone = change.as_array().cloned().unwrap_or_default();
            if let Some(Value::Array(items)) = target.get_mut(list) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if let Some(list) = name.strip_prefix("$setElementOrder/") {
            if let (Some(Value::Array(items)), Some(order)) =
                (target.get_mut(list), change.as_array())
                && !patch.contains_key(list)
            {
                let before = items.clone();
                *items = in_order(shape.field(list), std::mem::take(items), order, &before);
            }
            continue;
        }
        if name.starts_with('$') {
            continue;
        }
        let below = shape.field(name);
        match change {
            Value::Null => {
                target.remove(name);
            }
            Value::Object(change) => {
                if directive(change)? == Some(Directive::Delete) {
                    target.remove(name);
                    continue;
                }
                let member = target.entry(name.clone()).or_insert(Value::Null);
                if !member.is_object() {
                    *member = Value::Object(Map::new());
                }
                if let Value::Object(member) = member {
                    self::patch(below, member, change)?;
                }
            }
            Value::Array(change) => {
                let member = target.entry(name.clone()).or_insert(Value::Null);
                let items = member.as_array().cloned().unwrap_or_default();
                let merged = patch_list(below, items.clone(), change)?;
                let order = patch.get(&format!("$setElementOrder/{name}"));
                let order = order.and_then(Value::as_array).unwrap_or(change);
                *member = Value::Array(in_order(below, merged, order, &items));
            }
            change if below.patch_key().is_some() => {
                let message = format!(
                    "Invalid value: \"map[{name}:{}]\": cannot restore slice from {}",
                    go(change),
                    type_of(change)
                );
                let cause = RefusalCause::new("FieldValueInvalid", message, "patch");
                return Err(Refusal::invalid("", "", "", vec![cause]));
            }
            change => {
                target.insert(name.clone(), change.clone());
            }
        }
    }
    Ok(())
}

fn patch_list(
    shape: Shape<'_>,
    mut items: Vec<Value>,
    change: &[Value],
) -> Result<Vec<Value>, Refusal> {
    if let Some(key) = shape.patch_key() {
        return patch_items(shape, key, items, change);
    }
    if shape.listing() == Listing::Set {
        for item in change {
            if !items.contains(item) {
                items.push(item.clone());
            }
        }
        return Ok(items);
    }
    Ok(change.to_vec())
}

fn patch_items(
    shape: Shape<'_>,
    key: &str,
    mut items: Vec<Value>,
    change: &[Value],
) -> Result<Vec<Value>, Refusal> {
    let replaces = |item: &&Value| {
        item.as_object().is_some_and(|it| it.len() == 1) && item["$patch"] == "replace"
    };
    if change.iter().any(|item| replaces(&item)) {
        let rest = change.iter().filter(|item| !replaces(item));
        return Ok(rest.cloned().collect());
    }
    for item in change {
        let name = item.get(key);
        let (Some(fields), Some(name)) = (item.as_object(), name) else {
            // Go prints a map so.
            let message = format!(
                "map: {} does not contain declared merge key: {key}",
                go(item)
            );
            return Err(Refusal::new(500, "", message));
        };
        match directive(fields)? {
            Some(Directive::Delete) => items.retain(|item| item.get(key) != Some(name)),
            given => {
                let found = items.iter_mut().find(|item| item.get(key) == Some(name));
                match found {
                    Some(Value::Object(found)) => patch(shape.item(), found, fields)?,
                    _ if given == Some(Directive::Replace) => {
                        items.push(Value::Object(without_directives(fields)));
                    }
                    _ => {
                        // A new item is what the patch makes of nothing: directives and nulls go.
                        let mut fresh = Map::new();
                        patch(shape.item(), &mut fresh, fields)?;
                        items.push(Value::Object(fresh));
                    }
                }
            }
        }
    }
    Ok(items)
}

/// The items of a merged list: those of `order` as it has them, the others among them as before.
fn in_order(shape: Shape<'_>, merged: Vec<Value>, order: &[Value], before: &[Value]) -> Vec<Value> {
    let key = shape.patch_key();
    if key.is_none() && shape.listing() != Listing::Set {
        return merged;
    }
    let name = |item: &Value| key.map_or(item, |key| &item[key]).to_string();
    let places = |list: &[Value]| {
        let named = list.iter().enumerate().map(|(at, item)| (name(item), at));
        named.collect::<BTreeMap<String, usize>>()
    };
    let (wanted, before) = (places(order), places(before));
    let (mut ordered, others): (Vec<Value>, Vec<Value>) = merged
        .into_iter()
        .partition(|item| wanted.contains_key(&name(item)));
    ordered.sort_by_key(|item| wanted.get(&name(item)).copied());
    let mut others = others.into_iter().peekable();
    let mut all = Vec::new();
    for item in ordered {
        let place = before.get(&name(&item)).copied();
        let is_earlier = |other: &Value| {
            let other = before.get(&name(other)).copied();
            place.is_some_and(|place| other.is_some_and(|other| other < place))
        };
        while let Some(other) = others.next_if(|other| is_earlier(other)) {
            all.push(other);
        }
        all.push(item);
    }
    all.extend(others);
    all
}

/// `$patch`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Directive {
    Delete,
    Replace,
}

fn directive(patch: &Map<String, Value>) -> Result<Option<Directive>, Refusal> {
    match patch
        .get("$patch")
        .map(|given| given.as_str().unwrap_or_default())
    {
        None | Some("merge") => Ok(None),
        Some("delete") => Ok(Some(Directive::Delete)),
        Some("replace") => Ok(Some(Directive::Replace)),
        Some(other) => {
            let map = go(&Value::Object(patch.clone()));
            let message = format!("unknown patch type: {other} in map: {map}");
            Err(Refusal::new(500, "", message))
        }
    }
}

fn without_directives(patch: &Map<String, Value>) -> Map<String, Value> {
    let own = patch.iter().filter(|(name, _)| !name.starts_with('$'));
    own.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A value as the server's language prints it.
fn go(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Null => "<nil>".to_owned(),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| format!("{name}:{}", go(value)));
            format!("map[{}]", members.collect::<Vec<_>>().join(" "))
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
