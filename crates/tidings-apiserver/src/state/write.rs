//! Writes: create, update, patch, delete, with optimistic concurrency.
//!
//! Source: rules pr-E1, pr-E2, pr-N9, pr-N10, pr-N12, pr-S2.

use std::sync::Arc;

use serde_json::{Map, Value};
use tidings_api::frame::EventKind;

use super::{Change, State, Stored};
use crate::{refusal::Refusal, seed::timestamp};

/// The outcome of a write: the object as it is now, or was last.
pub type Written = Result<Arc<Stored>, Refusal>;

/// A patch, by its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what this server supports")]
pub enum Patch {
    /// `application/json-patch+json`.
    Json,
    /// `application/merge-patch+json`.
    Merge,
}

/// Which part of an object a write may change (pr-N10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the server has these endpoints")]
pub enum Part {
    /// All but the status, where the kind has a status endpoint of its own.
    Main,
    /// The status alone: what `/status` changes.
    Status,
    /// Everything, for tests that write to the state directly.
    Whole,
}

/// What must hold for a delete to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the protocol's own two")]
pub struct Preconditions {
    /// The uid that the object must have.
    pub uid: Option<String>,
    /// The resourceVersion that the object must have.
    pub resource_version: Option<String>,
}

impl State {
    /// Creates an object; `now` is in seconds since 1970.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: no name, or there is one already.
    pub fn create(
        &mut self,
        resource: usize,
        namespace: Option<&str>,
        mut document: Value,
        now: u64,
    ) -> Written {
        let row = self.kind(resource).clone();
        if !document.is_object() {
            return Err(Refusal::bad_request("the body is not an object"));
        }
        if !document["metadata"].is_object() {
            document["metadata"] = Value::Object(Map::new());
        }
        self.check_kind(resource, &document)?;
        self.place(resource, namespace, &mut document)?;
        let meta = &mut document["metadata"];
        if meta["name"].as_str().is_none_or(str::is_empty) {
            let Some(prefix) = meta["generateName"]
                .as_str()
                .filter(|text| !text.is_empty())
            else {
                let message = "name or generateName is required";
                return Err(Refusal::new(422, "Invalid", message));
            };
            meta["name"] = format!("{prefix}{}", self.seed.suffix()).into();
        }
        let name = meta["name"].as_str().unwrap_or_default().to_owned();
        if name.contains('/') || name.len() > 253 {
            return Err(Refusal::new(
                422,
                "Invalid",
                "metadata.name is not a valid name",
            ));
        }
        meta["uid"] = self.seed.uid().into();
        meta["creationTimestamp"] = timestamp(now).into();
        meta["generation"] = 1.into();
        let stored = Stored::new(&row, document, self.rv + 1);
        if self.get(resource, &stored.key).is_some() {
            return Err(Refusal::already_exists(&row, &name));
        }
        Ok(self.put(resource, stored, None))
    }

    /// Replaces an object. A resourceVersion in the body must be the present one.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: not there, or changed meanwhile.
    pub fn update(&mut self, resource: usize, key: &str, document: Value) -> Written {
        self.update_part(resource, key, document, Part::Whole)
    }

    /// Replaces a part of an object, and leaves the rest as it is.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: not there, changed meanwhile, or a part that the kind does not have.
    pub fn update_part(
        &mut self,
        resource: usize,
        key: &str,
        mut document: Value,
        part: Part,
    ) -> Written {
        let row = self.kind(resource).clone();
        let old = self.existing(resource, key)?;
        self.check_kind(resource, &document)?;
        let was = old.document();
        let Some(meta) = document["metadata"].as_object() else {
            return Err(Refusal::bad_request("the body has no metadata"));
        };
        let said = |name: &str| meta.get(name).and_then(Value::as_str).unwrap_or_default();
        if !matches!(said("resourceVersion"), "" | "0")
            && said("resourceVersion") != old.rv.to_string()
        {
            return Err(Refusal::modified(&row, &old.name));
        }
        if !said("uid").is_empty() && said("uid") != old.uid {
            return Err(Refusal::conflict(&row, &old.name, "the uid differs"));
        }
        if part == Part::Status {
            document = with_status_of(&was, &document);
        } else if part == Part::Main && row.status {
            set_or_remove(&mut document, "status", &was["status"]);
        }
        let Some(meta) = document["metadata"].as_object_mut() else {
            return Err(Refusal::bad_request("the body has no metadata"));
        };
        for field in SERVER_FIELDS {
            match &was["metadata"][field] {
                Value::Null => meta.remove(field),
                value => meta.insert(field.to_owned(), value.clone()),
            };
        }
        // pr-N10: the generation moves on the spec alone.
        let generation = was["metadata"]["generation"].as_u64().unwrap_or(1);
        let moved = u64::from(document["spec"] != was["spec"]);
        document["metadata"]["generation"] = (generation + moved).into();
        if is_finished(&document) {
            self.remove(resource, &old);
            // A writer gets what it wrote, at the version that it replaced.
            return Ok(Arc::new(Stored::new(&row, document, old.rv)));
        }
        for field in ["kind", "apiVersion"] {
            document[field] = was[field].clone();
        }
        // A write that changes nothing is none.
        if document == was {
            return Ok(old);
        }
        let stored = Stored::new(&row, document, self.rv + 1);
        Ok(self.put(resource, stored, Some(old)))
    }

    /// Patches an object.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: not there, changed meanwhile, or the patch does not apply.
    pub fn patch(&mut self, resource: usize, key: &str, patch: Patch, body: &[u8]) -> Written {
        self.patch_part(resource, key, patch, body, Part::Whole)
    }

    /// Patches a part of an object; what the patch does elsewhere is dropped.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: not there, changed meanwhile, or the patch does not apply.
    pub fn patch_part(
        &mut self,
        resource: usize,
        key: &str,
        patch: Patch,
        body: &[u8],
        part: Part,
    ) -> Written {
        let old = self.existing(resource, key)?;
        let mut document = old.document();
        let bad = |error: serde_json::Error| Refusal::bad_request(error.to_string());
        match patch {
            Patch::Merge => {
                let patch: Value = serde_json::from_slice(body).map_err(bad)?;
                json_patch::merge(&mut document, &patch);
            }
            Patch::Json => {
                let patch: json_patch::Patch = serde_json::from_slice(body).map_err(bad)?;
                let applied = json_patch::patch(&mut document, &patch);
                applied.map_err(|error| Refusal::new(422, "Invalid", error.to_string()))?;
            }
        }
        self.update_part(resource, key, document, part)
    }

    /// Deletes an object, or marks it as being deleted while it has finalizers (pr-N12).
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: not there.
    pub fn delete(&mut self, resource: usize, key: &str, now: u64) -> Written {
        self.delete_if(resource, key, &Preconditions::default(), now)
    }

    /// Deletes an object if it is the one that is meant (pr-N12).
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: not there, or another one.
    pub fn delete_if(
        &mut self,
        resource: usize,
        key: &str,
        preconditions: &Preconditions,
        now: u64,
    ) -> Written {
        let row = self.kind(resource).clone();
        let old = self.existing(resource, key)?;
        let rv = old.rv.to_string();
        for (what, wanted, is) in [
            ("UID", &preconditions.uid, &old.uid),
            ("ResourceVersion", &preconditions.resource_version, &rv),
        ] {
            if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != is) {
                let why = format!(
                    "Precondition failed: {what} in precondition: {wanted}, {what} in object \
                     meta: {is}"
                );
                return Err(Refusal::conflict(&row, &old.name, &why));
            }
        }
        let mut document = old.document();
        if document["metadata"]["finalizers"]
            .as_array()
            .is_none_or(Vec::is_empty)
        {
            return Ok(self.remove(resource, &old));
        }
        if !document["metadata"]["deletionTimestamp"].is_null() {
            return Ok(old);
        }
        document["metadata"]["deletionTimestamp"] = timestamp(now).into();
        let stored = Stored::new(&row, document, self.rv + 1);
        Ok(self.put(resource, stored, Some(old)))
    }

    fn existing(&self, resource: usize, key: &str) -> Written {
        let name = key.rsplit('/').next().unwrap_or(key);
        let found = self.get(resource, key).cloned();
        found.ok_or_else(|| Refusal::not_found(self.kind(resource), name))
    }

    fn check_kind(&self, resource: usize, document: &Value) -> Result<(), Refusal> {
        let row = self.kind(resource);
        let kind = document["kind"].as_str().unwrap_or_default();
        let version = document["apiVersion"].as_str().unwrap_or_default();
        let fits = (kind.is_empty() || kind == row.kind)
            && (version.is_empty() || version == row.api_version());
        if fits {
            return Ok(());
        }
        let (own, wanted) = (row.api_version(), &row.kind);
        let message = format!("{version}, Kind={kind} cannot be handled as {own}, Kind={wanted}");
        Err(Refusal::bad_request(message))
    }

    fn place(
        &self,
        resource: usize,
        namespace: Option<&str>,
        document: &mut Value,
    ) -> Result<(), Refusal> {
        let is_namespaced = self.kind(resource).namespaced;
        let Some(meta) = document["metadata"].as_object_mut() else {
            return Ok(());
        };
        if !is_namespaced {
            meta.remove("namespace");
            return Ok(());
        }
        let said = meta
            .get("namespace")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let namespace = namespace.unwrap_or(said);
        if namespace.is_empty() || (!said.is_empty() && said != namespace) {
            let message = "the namespace of the object does not match the namespace of the request";
            return Err(Refusal::bad_request(message));
        }
        let namespace = namespace.to_owned();
        meta.insert("namespace".to_owned(), namespace.into());
        Ok(())
    }

    fn put(
        &mut self,
        resource: usize,
        stored: Stored,
        previous: Option<Arc<Stored>>,
    ) -> Arc<Stored> {
        self.rv += 1;
        let object = Arc::new(stored);
        let kind = if previous.is_some() {
            EventKind::Modified
        } else {
            EventKind::Added
        };
        self.collections[resource].insert(object.key.clone(), Arc::clone(&object));
        let change = Change {
            rv: self.rv,
            resource,
            kind,
            object: Arc::clone(&object),
            previous,
        };
        self.record(change);
        object
    }

    fn remove(&mut self, resource: usize, old: &Arc<Stored>) -> Arc<Stored> {
        self.rv += 1;
        self.collections[resource].remove(&old.key);
        self.record(Change {
            rv: self.rv,
            resource,
            kind: EventKind::Deleted,
            object: Arc::clone(old),
            previous: Some(Arc::clone(old)),
        });
        Arc::new(old.at(&self.kinds[resource], self.rv))
    }
}

/// An object as it was, with the status of another.
fn with_status_of(was: &Value, document: &Value) -> Value {
    let mut merged = was.clone();
    set_or_remove(&mut merged, "status", &document["status"]);
    merged
}

fn set_or_remove(document: &mut Value, field: &str, value: &Value) {
    match (document.as_object_mut(), value) {
        (None, _) => {}
        (Some(top), Value::Null) => {
            top.remove(field);
        }
        (Some(top), value) => {
            top.insert(field.to_owned(), value.clone());
        }
    }
}

/// Whether an object that is being deleted has lost its last finalizer.
fn is_finished(document: &Value) -> bool {
    let meta = &document["metadata"];
    !meta["deletionTimestamp"].is_null() && meta["finalizers"].as_array().is_none_or(Vec::is_empty)
}

/// What a client cannot change.
const SERVER_FIELDS: [&str; 6] = [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "resourceVersion",
];
