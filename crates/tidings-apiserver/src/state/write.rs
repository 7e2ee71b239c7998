//! Writes: create, update, patch and apply, with optimistic concurrency.
//!
//! Does not check what only the real server's own types know of built-in kinds: their fields may be any.
//!
//! W1  A refused write changes nothing, and neither does a dry run.
//! W2  A write that changes nothing takes no version.
//! Source: endpoints/handlers/{create,update,patch}.go and registry/rest/{create,update}.go @v0.36.3; rules
//! pr-E1, pr-E2, pr-N9, pr-N10, pr-N12, pr-S2; the sentences of refusals are those of a real server.

use std::sync::Arc;

use serde_json::{Map, Value};
use tidings_api::frame::EventKind;

use super::{State, Stored, decode::Source, history::Change, managed, names::check_name};
use crate::{kind::KindRow, refusal::Refusal, seed::timestamp};

/// The object as it is after a write, or was last.
pub type Written = Result<Arc<Stored>, Refusal>;

/// A write's object, and what became of it.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair")]
pub struct Outcome {
    /// The object as it is now, or was last.
    pub object: Arc<Stored>,
    /// What the write did.
    pub effect: Effect,
    /// What is said of what was written, though it was taken.
    pub warnings: Vec<String>,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a write does one of these")]
pub enum Effect {
    /// There is a new object.
    Created,
    /// The object is gone.
    Deleted,
    /// The object is as it was, or has changed.
    Updated,
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

/// How much is asked of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are these two")]
pub enum Admission {
    /// Anything: simulations, benches and tests lay objects down without their namespaces, owners and
    /// defaults, and no manager owns their fields.
    Open,
    /// What a server asks of its clients.
    Strict,
}

/// What becomes of fields that a kind does not have, and of those that are there twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the protocol's own three")]
pub enum FieldValidation {
    /// Nothing is said.
    Ignore,
    /// The write is refused.
    Strict,
    /// The answer warns of them.
    Warn,
}

/// Who writes, when, and how.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the options of all writes")]
pub struct Terms<'a> {
    /// How much is asked.
    pub admission: Admission,
    /// The field manager.
    pub manager: &'a str,
    /// The subresource that is written through, or empty.
    pub subresource: &'a str,
    /// Whether an apply takes what others own.
    pub force: bool,
    /// Whether only the answer is wanted.
    pub dry_run: bool,
    /// What becomes of fields that the kind does not have; they are never stored.
    pub fields: FieldValidation,
    /// The paths of fields that the body has twice.
    pub duplicates: &'a [String],
    /// Seconds since 1970.
    pub now: u64,
}

impl Terms<'_> {
    /// The terms of whoever writes to the state directly.
    #[must_use]
    pub const fn open(now: u64) -> Self {
        Self {
            admission: Admission::Open,
            manager: "",
            subresource: "",
            force: false,
            dry_run: false,
            fields: FieldValidation::Ignore,
            duplicates: &[],
            now,
        }
    }

    pub(super) fn is_strict(&self) -> bool {
        self.admission == Admission::Strict
    }
}

// === impl Outcome ===

impl Outcome {
    pub(super) const fn new(object: Arc<Stored>, effect: Effect) -> Self {
        Self {
            object,
            effect,
            warnings: Vec::new(),
        }
    }
}

// === impl State ===

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
        document: Value,
        now: u64,
    ) -> Written {
        let created = self.create_with(resource, namespace, document, &Terms::open(now));
        created.map(|outcome| outcome.object)
    }

    /// Replaces an object. A resourceVersion in the body must be the present one.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: not there, or changed meanwhile.
    pub fn update(&mut self, resource: usize, key: &str, document: Value) -> Written {
        let updated = self.update_with(resource, key, document, Part::Whole, &Terms::open(0));
        updated.map(|outcome| outcome.object)
    }

    /// Creates an object.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: no name, there is one already, or it is not what the kind's objects are like.
    pub fn create_with(
        &mut self,
        resource: usize,
        namespace: Option<&str>,
        mut document: Value,
        terms: &Terms<'_>,
    ) -> Result<Outcome, Refusal> {
        if !document.is_object() {
            return Err(Refusal::bad_request("the body is not an object"));
        }
        if document["metadata"].is_null() {
            document["metadata"] = Value::Object(Map::new());
        }
        self.check_kind(resource, &document)?;
        let version = document["metadata"]["resourceVersion"].as_str();
        if terms.is_strict() && !version.is_none_or(str::is_empty) {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(Refusal::new(500, "", message));
        }
        let warnings = self.decode(resource, &mut document, terms, &Source::Body)?;
        let document = self.places[resource].view.stored(document);
        let mut created = self.insert(resource, namespace, document, terms, false)?;
        created.warnings.splice(..0, warnings);
        Ok(created)
    }

    /// Puts a new object in its place.
    pub(super) fn insert(
        &mut self,
        resource: usize,
        namespace: Option<&str>,
        mut document: Value,
        terms: &Terms<'_>,
        is_apply: bool,
    ) -> Result<Outcome, Refusal> {
        let row = self.row(resource);
        self.place(resource, namespace, &mut document)?;
        let name = self.name(resource, &mut document, terms)?;
        let key = key_of(&document);
        if terms.is_strict() {
            self.check_home(resource, &document, &name)?;
        }
        self.begin(&row, &mut document, terms);
        if terms.is_strict() {
            self.complete(resource, None, &mut document)?;
            if !is_apply {
                managed::note_update(&row, None, &mut document, terms);
            }
            self.settle(resource, None, &mut document, terms)?;
        }
        // Last: an object that could not be is told so, even where there is one of its name.
        if let Some(there) = self.get(resource, &key) {
            let is_marked = !there.document()["metadata"]["deletionTimestamp"].is_null();
            return Err(if is_marked {
                Refusal::still_exists(&row, &name)
            } else {
                Refusal::already_exists(&row, &name)
            });
        }
        let rv = if terms.dry_run { 0 } else { self.rv + 1 };
        let stored = self.lay_out(resource, document, rv);
        let object = self.put(resource, stored, None, terms);
        Ok(Outcome::new(object, Effect::Created))
    }

    /// Replaces a part of an object, and leaves the rest as it is.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: not there, changed meanwhile, or not what the kind's objects are like.
    pub fn update_with(
        &mut self,
        resource: usize,
        key: &str,
        mut document: Value,
        part: Part,
        terms: &Terms<'_>,
    ) -> Result<Outcome, Refusal> {
        self.check_kind(resource, &document)?;
        let warnings = self.decode(resource, &mut document, terms, &Source::Body)?;
        let old = self.existing(resource, key)?;
        let row = self.row(resource);
        if terms.is_strict() {
            check_name(&document, &old.name)?;
            let version = document["metadata"]["resourceVersion"].as_str();
            if row.is_custom() && matches!(version, None | Some("" | "0")) {
                // pr-N10: custom resources are not updated unconditionally.
                let message = "Invalid value: 0: must be specified for an update";
                let field = "metadata.resourceVersion";
                let mut refusal =
                    Refusal::invalid_field(&row, &old.name, "FieldValueInvalid", field, message);
                refusal.kind = row.plural.to_string();
                refusal.message = refusal.message.replacen(&*row.kind, &row.plural, 1);
                return Err(refusal);
            }
        }
        let document = self.places[resource].view.stored(document);
        let mut updated = self.replace(resource, &old, document, part, terms, false)?;
        updated.warnings.splice(..0, warnings);
        Ok(updated)
    }

    /// Puts a document in place of an object, as far as the part goes.
    pub(super) fn replace(
        &mut self,
        resource: usize,
        old: &Arc<Stored>,
        mut document: Value,
        part: Part,
        terms: &Terms<'_>,
        is_apply: bool,
    ) -> Result<Outcome, Refusal> {
        let row = self.row(resource);
        let was = self.as_stored(resource, old);
        check_version(&row, old, &document)?;
        if part == Part::Status {
            document = with_status_of(&was, &document);
        } else if part == Part::Main && row.status {
            set_or_remove(&mut document, "status", &was["status"]);
        }
        let Some(meta) = document["metadata"].as_object_mut() else {
            return Err(Refusal::bad_request("the body has no metadata"));
        };
        let namespace = meta
            .get("namespace")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if terms.is_strict() && !matches!(namespace, "") && namespace != old.namespace {
            return Err(Refusal::other_namespace());
        }
        for field in SERVER_FIELDS {
            match &was["metadata"][field] {
                Value::Null => meta.remove(field),
                value => meta.insert(field.to_owned(), value.clone()),
            };
        }
        for field in ["kind", "apiVersion"] {
            document[field] = was[field].clone();
        }
        if terms.is_strict() {
            self.complete(resource, Some(&was), &mut document)?;
            if !is_apply {
                managed::note_update(&row, Some(&was), &mut document, terms);
            }
            self.settle(resource, Some(&was), &mut document, terms)?;
        }
        count_generation(&row, &was, &mut document);
        let object = Arc::clone(old);
        if is_finished(&row, &document) {
            self.remove(resource, &object, terms);
            // A writer gets what it wrote, at the version that it replaced.
            let object = Arc::new(self.lay_out(resource, document, old.rv));
            return Ok(Outcome::new(object, Effect::Deleted));
        }
        if document == was {
            return Ok(Outcome::new(object, Effect::Updated));
        }
        let rv = if terms.dry_run { old.rv } else { self.rv + 1 };
        let is_marked = !document["metadata"]["deletionTimestamp"].is_null();
        let stored = self.lay_out(resource, document, rv);
        let object = self.put(resource, stored, Some(object), terms);
        if is_marked && !terms.dry_run {
            self.note_marked(resource, &object);
        }
        Ok(Outcome::new(object, Effect::Updated))
    }

    /// A stored object as a document of the kind as which it is stored, at the version that is asked
    /// through.
    pub(super) fn as_stored(&self, resource: usize, object: &Stored) -> Value {
        let mut document = object.document();
        document["apiVersion"] = self.kind(resource).api_version().into();
        document
    }

    /// What every new object gets.
    fn begin(&mut self, row: &KindRow, document: &mut Value, terms: &Terms<'_>) {
        let meta = &mut document["metadata"];
        meta["uid"] = self.seed.uid().into();
        meta["creationTimestamp"] = timestamp(terms.now).into();
        if let Some(meta) = meta.as_object_mut() {
            for field in [
                "deletionTimestamp",
                "deletionGracePeriodSeconds",
                "selfLink",
            ] {
                meta.remove(field);
            }
            meta.remove("generation");
            if row.generation {
                meta.insert("generation".to_owned(), 1.into());
            }
        }
    }

    /// Lays a document out as the kind as which it is stored.
    pub(super) fn lay_out(&self, resource: usize, document: Value, rv: u64) -> Stored {
        let storage = self.places[resource].storage;
        let head = &self.places[storage].view.head;
        Stored::new(&self.kinds[storage], head, document, rv)
    }

    pub(super) fn existing(&self, resource: usize, key: &str) -> Written {
        let name = key.rsplit('/').next().unwrap_or(key);
        let found = self.get(resource, key).cloned();
        found.ok_or_else(|| Refusal::not_found(self.kind(resource), name))
    }

    pub(super) fn put(
        &mut self,
        resource: usize,
        stored: Stored,
        previous: Option<Arc<Stored>>,
        terms: &Terms<'_>,
    ) -> Arc<Stored> {
        let object = Arc::new(stored);
        if terms.dry_run {
            return object;
        }
        self.rv += 1;
        let kind = if previous.is_some() {
            EventKind::Modified
        } else {
            EventKind::Added
        };
        let collection = self.places[resource].collection;
        self.note_put(resource, previous.as_deref(), &object, terms);
        self.collections[collection].insert(object.key.clone(), Arc::clone(&object));
        let change = Change {
            rv: self.rv,
            collection,
            kind,
            object: Arc::clone(&object),
            previous,
        };
        self.history.push(change);
        object
    }

    pub(super) fn remove(
        &mut self,
        resource: usize,
        old: &Arc<Stored>,
        terms: &Terms<'_>,
    ) -> Arc<Stored> {
        if terms.dry_run {
            return Arc::clone(old);
        }
        self.rv += 1;
        let (collection, storage) = (
            self.places[resource].collection,
            self.places[resource].storage,
        );
        self.collections[collection].remove(&old.key);
        let gone = Arc::new(old.at(&self.kinds[storage], self.rv));
        self.history.push(Change {
            rv: self.rv,
            collection,
            kind: EventKind::Deleted,
            object: Arc::clone(&gone),
            previous: Some(Arc::clone(old)),
        });
        self.note_removal(resource, old);
        gone
    }
}

fn key_of(document: &Value) -> String {
    let text = |name: &str| document["metadata"][name].as_str().unwrap_or_default();
    match (text("namespace"), text("name")) {
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

/// An object that says who it is must be the one that is meant.
pub(super) fn check_version(row: &KindRow, old: &Stored, document: &Value) -> Result<(), Refusal> {
    let Some(meta) = document["metadata"].as_object() else {
        return Err(Refusal::bad_request("the body has no metadata"));
    };
    let said = |name: &str| meta.get(name).and_then(Value::as_str).unwrap_or_default();
    let version = said("resourceVersion");
    if !version.is_empty() && version.parse::<u64>().is_err() {
        let why = format!("strconv.ParseUint: parsing {version:?}: invalid syntax");
        return Err(Refusal::new(500, "", why));
    }
    if !matches!(version, "" | "0") && version != old.rv.to_string() {
        return Err(Refusal::modified(row, &old.name));
    }
    if !said("uid").is_empty() && said("uid") != old.uid {
        // The path of its storage: custom kinds have their group in it.
        let group = if row.is_custom() {
            format!("{}/", row.group)
        } else {
            String::new()
        };
        let namespace = if row.namespaced {
            format!("{}/", old.namespace)
        } else {
            String::new()
        };
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{group}{}/{namespace}{}, ResourceVersion: 0, \
             AdditionalErrorMsg: Precondition failed: UID in precondition: {}, UID in object meta: {}",
            row.plural,
            old.name,
            said("uid"),
            old.uid
        );
        return Err(Refusal::conflict(row, &old.name, &why));
    }
    Ok(())
}

/// An object as it was, with the status of another, and the managers that this one names.
fn with_status_of(was: &Value, document: &Value) -> Value {
    let mut merged = was.clone();
    set_or_remove(&mut merged, "status", &document["status"]);
    let managers = &document["metadata"]["managedFields"];
    if !managers.is_null() {
        merged["metadata"]["managedFields"] = managers.clone();
    }
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

/// pr-N10: the generation moves on all but metadata and status.
fn count_generation(row: &KindRow, was: &Value, document: &mut Value) {
    if !row.generation {
        set_or_remove(
            &mut document["metadata"],
            "generation",
            &was["metadata"]["generation"],
        );
        return;
    }
    let counts = |name: &str| !(name == "metadata" || (name == "status" && row.status));
    let (Some(old), Some(new)) = (was.as_object(), document.as_object()) else {
        return;
    };
    let names = old.keys().chain(new.keys());
    let moved = names
        .filter(|name| counts(name))
        .any(|name| old.get(name) != new.get(name));
    let generation = was["metadata"]["generation"].as_u64().unwrap_or(1);
    document["metadata"]["generation"] = (generation + u64::from(moved)).into();
}

/// Whether an object that is being deleted has lost its last finalizer.
fn is_finished(row: &KindRow, document: &Value) -> bool {
    let meta = &document["metadata"];
    let is_free = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    !meta["deletionTimestamp"].is_null()
        && meta["deletionGracePeriodSeconds"].as_u64().unwrap_or(0) == 0
        && is_free(&meta["finalizers"])
        && (!row.is("", "Namespace") || is_free(&document["spec"]["finalizers"]))
}

/// What a client cannot change.
const SERVER_FIELDS: [&str; 7] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "name",
    "namespace",
    "resourceVersion",
    "uid",
];
