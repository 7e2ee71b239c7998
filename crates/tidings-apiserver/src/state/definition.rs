//! Definitions of custom kinds: accepted, served, and taken back.
//!
//! Does not convert between versions by webhook: only the strategy `None` is accepted.
//!
//! D1  All versions of a definition share their objects; each has a row and a schema of its own.
//! D2  A kind is served from the write that creates its definition on (the real server takes a moment).
//! D3  A definition made anew, under the same name, begins with no objects.
//! Source: apiextensions-apiserver pkg/controller/{status,finalizer}, pkg/apis/apiextensions/validation
//! @v0.36.3; the sentences are those of a real server.

use std::{borrow::Cow, cmp::Reverse, sync::Arc};

use serde_json::{Value, json};

use super::{State, Stored, schema::Schema, table::Printed, view::Place};
use crate::{
    kind::{Field, KindRow, Scale},
    refusal::{Refusal, RefusalCause},
    seed::timestamp,
};

/// Fills in the names that a definition leaves to the server, and checks it.
pub(super) fn complete(row: &KindRow, name: &str, document: &mut Value) -> Result<(), Refusal> {
    let kind = document["spec"]["names"]["kind"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let spec = &mut document["spec"];
    if let Some(names) = spec["names"].as_object_mut() {
        names
            .entry("singular")
            .or_insert_with(|| kind.to_lowercase().into());
        names
            .entry("listKind")
            .or_insert_with(|| format!("{kind}List").into());
    }
    if let Some(spec) = spec.as_object_mut() {
        spec.entry("conversion")
            .or_insert_with(|| json!({ "strategy": "None" }));
    }
    let causes = faults(name, &document["spec"]);
    if causes.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid_object(row, name, causes))
}

fn faults(name: &str, spec: &Value) -> Vec<RefusalCause> {
    let mut causes = Vec::new();
    let mut add = |reason, field: &str, message: String| {
        causes.push(RefusalCause::new(reason, message, field));
    };
    let text = |pointer: &str| {
        spec.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    for (pointer, field) in [
        ("/group", "spec.group"),
        ("/names/plural", "spec.names.plural"),
        ("/names/kind", "spec.names.kind"),
        ("/scope", "spec.scope"),
    ] {
        if text(pointer).is_empty() {
            add("FieldValueRequired", field, "Required value".to_owned());
        }
    }
    let wanted = format!("{}.{}", text("/names/plural"), text("/group"));
    if name != wanted {
        let message =
            format!("Invalid value: \"{name}\": must be spec.names.plural+\".\"+spec.group");
        add("FieldValueInvalid", "metadata.name", message);
    }
    if !matches!(text("/scope"), "" | "Cluster" | "Namespaced") {
        let scope = text("/scope");
        let message = format!(
            "Unsupported value: \"{scope}\": supported values: \"Cluster\", \"Namespaced\""
        );
        add("FieldValueNotSupported", "spec.scope", message);
    }
    let strategy = text("/conversion/strategy");
    if strategy != "None" {
        let message = format!("Unsupported value: \"{strategy}\": supported values: \"None\"");
        add(
            "FieldValueNotSupported",
            "spec.conversion.strategy",
            message,
        );
    }
    let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
    for (index, version) in versions.iter().enumerate() {
        if !version["schema"]["openAPIV3Schema"].is_object() {
            let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
            add("FieldValueRequired", &field, "Required value".to_owned());
        }
    }
    let stored = versions.iter().filter(|version| version["storage"] == true);
    if stored.count() != 1 {
        let message = "Invalid value: must have exactly one version marked as storage version";
        add("FieldValueInvalid", "spec.versions", message.to_owned());
    }
    causes
}

impl State {
    /// Says in a definition's status whether its names are accepted, and with them the definition.
    pub(super) fn accept(&self, document: &mut Value, now: u64) {
        let spec = document["spec"].clone();
        let conflict = self.name_conflict(document);
        let before = document["status"]["conditions"].clone();
        let condition = |kind: &str, holds: bool, reason: &str, message: &str| {
            let status = if holds { "True" } else { "False" };
            let mut all = before.as_array().into_iter().flatten();
            let known = all.find(|it| it["type"] == kind && it["status"] == status);
            let since = known.map_or_else(
                || timestamp(now).into(),
                |known| known["lastTransitionTime"].clone(),
            );
            json!({ "type": kind, "status": status, "lastTransitionTime": since,
                "reason": reason, "message": message })
        };
        let mut conditions = match &conflict {
            None => vec![
                condition("NamesAccepted", true, "NoConflicts", "no conflicts found"),
                condition(
                    "Established",
                    true,
                    "InitialNamesAccepted",
                    "the initial names have been accepted",
                ),
            ],
            Some((reason, name)) => {
                let message = format!("\"{name}\" is already in use");
                vec![
                    condition("NamesAccepted", false, reason, &message),
                    condition(
                        "Established",
                        false,
                        "NotAccepted",
                        "not all names are accepted",
                    ),
                ]
            }
        };
        let known = |it: &&Value| it["type"] == "NamesAccepted" || it["type"] == "Established";
        let others = before.as_array().into_iter().flatten();
        conditions.extend(others.filter(|it| !known(it)).cloned());
        let names = match conflict {
            None => spec["names"].clone(),
            Some(_) => json!({ "plural": spec["names"]["plural"], "kind": "" }),
        };
        let mut stored = document["status"]["storedVersions"].clone();
        let versions = spec["versions"].as_array().into_iter().flatten();
        for version in versions.filter(|version| version["storage"] == true) {
            match stored.as_array_mut() {
                Some(stored) if stored.contains(&version["name"]) => {}
                Some(stored) => stored.push(version["name"].clone()),
                None => stored = json!([version["name"]]),
            }
        }
        document["status"] = json!({
            "conditions": conditions, "acceptedNames": names, "storedVersions": stored
        });
    }

    /// A name of a definition that another kind of its group has.
    fn name_conflict(&self, document: &Value) -> Option<(&'static str, String)> {
        let spec = &document["spec"];
        let uid = document["metadata"]["uid"].as_str();
        let text = |pointer: &str| {
            spec.pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (group, kind, plural) = (text("/group"), text("/names/kind"), text("/names/plural"));
        let rows = self.kinds.iter().zip(&self.places);
        let others = rows.filter(|(row, place)| {
            place.served && row.group == group && place.definition.as_deref() != uid
        });
        for (row, _) in others {
            if row.plural == plural {
                return Some(("PluralConflict", plural.to_owned()));
            }
            if row.kind == kind {
                return Some(("KindConflict", kind.to_owned()));
            }
        }
        None
    }

    /// Says in a definition's status that its objects are being deleted.
    pub(super) fn note_ending(&self, document: &mut Value, now: u64) {
        if let Some(conditions) = document["status"]["conditions"].as_array_mut() {
            conditions.push(json!({
                "type": "Terminating", "status": "True", "lastTransitionTime": timestamp(now),
                "reason": "InstanceDeletionInProgress",
                "message": "CustomResource deletion is in progress"
            }));
        }
    }

    /// The kind as which a definition's objects are stored.
    pub(super) fn defined(&self, uid: &str) -> Option<usize> {
        let mut places = self.places.iter();
        let place = places.find(|place| place.definition.as_deref() == Some(uid))?;
        Some(place.storage)
    }

    /// Serves what a definition says (D1, D2).
    pub(super) fn define(&mut self, object: &Stored) {
        let document = object.document();
        let conditions = document["status"]["conditions"].as_array();
        let is_established = conditions.is_some_and(|conditions| {
            let mut all = conditions.iter();
            all.any(|it| it["type"] == "Established" && it["status"] == "True")
        });
        let spec = &document["spec"];
        let mut versions: Vec<&Value> = spec["versions"].as_array().into_iter().flatten().collect();
        versions.sort_by_key(|version| Reverse(priority(version["name"].as_str().unwrap_or(""))));
        for place in &mut self.places {
            if place.definition.as_deref() == Some(object.uid()) {
                place.served = false;
            }
        }
        let collection = self
            .defined(object.uid())
            .map(|it| self.places[it].collection);
        let collection = collection.unwrap_or_else(|| {
            self.collections.push(super::Collection::new());
            self.collections.len() - 1
        });
        let mut indices = Vec::new();
        let mut storage = None;
        for version in versions {
            let row = row(spec, version);
            let is_served = is_established && version["served"] == true;
            let mut places = self.places.iter().zip(&self.kinds);
            let known = places.position(|(place, known)| {
                place.definition.as_deref() == Some(object.uid()) && known.version == row.version
            });
            let index = known.unwrap_or(self.kinds.len());
            let mut place = Place::own(&row, index, collection);
            place.definition = Some(object.uid().to_owned());
            place.served = is_served;
            match known {
                Some(index) => {
                    place.since = self.places[index].since;
                    self.kinds[index] = Arc::new(row);
                    self.places[index] = place;
                }
                None => {
                    place.since = object.rv;
                    self.kinds.push(Arc::new(row));
                    self.places.push(place);
                }
            }
            if version["storage"] == true {
                storage = Some(index);
            }
            indices.push(index);
        }
        for index in indices {
            self.places[index].storage = storage.unwrap_or(index);
        }
    }

    /// Serves a definition's kinds no longer; their objects are forgotten (D3).
    pub(super) fn undefine(&mut self, uid: &str) {
        for place in &mut self.places {
            if place.definition.as_deref() == Some(uid) {
                place.served = false;
                self.collections[place.collection].clear();
            }
        }
    }

    /// Serves what the definitions that are there say, and nothing else: after the state was put back.
    pub(super) fn redefine(&mut self) {
        for place in &mut self.places {
            place.served &= place.definition.is_none();
        }
        let definitions = self.resource("apiextensions.k8s.io", "v1", "customresourcedefinitions");
        let Some(definitions) = definitions else {
            return;
        };
        let all: Vec<Arc<Stored>> = self.objects(definitions).values().cloned().collect();
        for definition in all {
            self.define(&definition);
        }
    }
}

/// The row of a definition's version.
fn row(spec: &Value, version: &Value) -> KindRow {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names = &spec["names"];
    let list = |list: &Value| {
        let items = list.as_array().into_iter().flatten();
        items.map(|it| Cow::Owned(text(it))).collect()
    };
    let subresources = &version["subresources"];
    let pointer = |path: &Value| Cow::Owned(text(path).replace('.', "/"));
    let scale = &subresources["scale"];
    let columns = version["selectableFields"].as_array().into_iter().flatten();
    let schema = Schema::parse(&version["schema"]["openAPIV3Schema"]);
    KindRow {
        short_names: list(&names["shortNames"]),
        namespaced: spec["scope"] == "Namespaced",
        status: subresources["status"].is_object(),
        scale: scale.is_object().then(|| Scale {
            spec: pointer(&scale["specReplicasPath"]),
            status: pointer(&scale["statusReplicasPath"]),
            selector: pointer(&scale["labelSelectorPath"]),
        }),
        fields: columns
            .map(|column| Field {
                path: text(&column["jsonPath"])
                    .trim_start_matches('.')
                    .to_owned()
                    .into(),
                absent: "",
            })
            .collect(),
        schema: Some(Arc::new(schema)),
        singular: match names["singular"].as_str() {
            None | Some("") => text(&names["kind"]).to_lowercase().into(),
            Some(singular) => singular.to_owned().into(),
        },
        categories: list(&names["categories"]),
        columns: Some(Printed::parse(&version["additionalPrinterColumns"])),
        ..KindRow::custom(
            &text(&spec["group"]),
            &text(&version["name"]),
            &text(&names["plural"]),
            &text(&names["kind"]),
        )
    }
}

/// Which version clients should prefer: the highest stable one, then beta, then alpha.
fn priority(version: &str) -> (u8, u64, u64) {
    let parse = || {
        let rest = version.strip_prefix('v')?;
        let end = rest
            .find(|it: char| !it.is_ascii_digit())
            .unwrap_or(rest.len());
        let (major, rest) = rest.split_at(end);
        let major = major.parse().ok()?;
        if rest.is_empty() {
            return Some((3, major, 0));
        }
        let (level, minor) = match rest.strip_prefix("beta") {
            Some(minor) => (2, minor),
            None => (1, rest.strip_prefix("alpha")?),
        };
        Some((level, major, minor.parse().ok()?))
    };
    parse().unwrap_or((0, 0, 0))
}

#[cfg(test)]
mod tests;
