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

use super::{Change, State, Stored, apply, managed, shape::Shape, strategic};
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

/// A patch, by its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what this server supports")]
pub enum Patch {
    /// `application/apply-patch+yaml`.
    Apply,
    /// `application/json-patch+json`.
    Json,
    /// `application/merge-patch+json`.
    Merge,
    /// `application/strategic-merge-patch+json`.
    Strategic,
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
    /// Whether fields that the kind does not have are refused, in place of being dropped.
    pub strict_fields: bool,
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
            strict_fields: false,
            now,
        }
    }

    pub(super) fn is_strict(&self) -> bool {
        self.admission == Admission::Strict
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

    /// Patches an object.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: not there, changed meanwhile, or the patch does not apply.
    pub fn patch(&mut self, resource: usize, key: &str, patch: Patch, body: &[u8]) -> Written {
        let terms = Terms::open(0);
        let patched = self.patch_with(resource, key, patch, body, Part::Whole, &terms);
        patched.map(|outcome| outcome.object)
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
        if !document["metadata"].is_object() {
            document["metadata"] = Value::Object(Map::new());
        }
        self.check_kind(resource, &document)?;
        let version = document["metadata"]["resourceVersion"].as_str();
        if terms.is_strict() && !version.is_none_or(str::is_empty) {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(Refusal::new(500, "", message));
        }
        let document = self.places[resource].view.stored(document);
        self.insert(resource, namespace, document, terms, false)
    }

    /// Puts a new object in its place.
    fn insert(
        &mut self,
        resource: usize,
        namespace: Option<&str>,
        mut document: Value,
        terms: &Terms<'_>,
        is_apply: bool,
    ) -> Result<Outcome, Refusal> {
        let row = self.kind(resource).clone();
        self.place(resource, namespace, &mut document)?;
        let name = self.name(&row, &mut document, terms)?;
        let key = key_of(&document);
        if terms.is_strict() {
            self.check_home(resource, &document, &name)?;
        }
        self.begin(&row, &mut document, terms);
        if terms.is_strict() {
            self.complete(&row, None, &mut document, terms)?;
            if !is_apply {
                managed::note_update(&row, None, &mut document, terms);
            }
            self.settle(resource, None, &mut document, terms)?;
        }
        // Last: an object that could not be is told so, even where there is one of its name.
        if self.get(resource, &key).is_some() {
            return Err(Refusal::already_exists(&row, &name));
        }
        let rv = if terms.dry_run { 0 } else { self.rv + 1 };
        let stored = self.lay_out(resource, document, rv);
        let object = self.put(resource, stored, None, terms);
        let effect = Effect::Created;
        Ok(Outcome { object, effect })
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
        document: Value,
        part: Part,
        terms: &Terms<'_>,
    ) -> Result<Outcome, Refusal> {
        let old = self.existing(resource, key)?;
        self.check_kind(resource, &document)?;
        let row = self.kind(resource).clone();
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
        self.replace(resource, &old, document, part, terms, false)
    }

    /// Puts a document in place of an object, as far as the part goes.
    fn replace(
        &mut self,
        resource: usize,
        old: &Arc<Stored>,
        mut document: Value,
        part: Part,
        terms: &Terms<'_>,
        is_apply: bool,
    ) -> Result<Outcome, Refusal> {
        let row = self.kind(resource).clone();
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
            self.complete(&row, Some(&was), &mut document, terms)?;
            if !is_apply {
                managed::note_update(&row, Some(&was), &mut document, terms);
            }
            self.settle(resource, Some(&was), &mut document, terms)?;
        }
        count_generation(&row, &was, &mut document);
        let object = Arc::clone(old);
        if is_finished(&row, &document) {
            return Ok(Outcome {
                object: self.remove(resource, &object, terms),
                effect: Effect::Deleted,
            });
        }
        let effect = Effect::Updated;
        if document == was {
            return Ok(Outcome { object, effect });
        }
        let rv = if terms.dry_run { old.rv } else { self.rv + 1 };
        let is_marked = !document["metadata"]["deletionTimestamp"].is_null();
        let stored = self.lay_out(resource, document, rv);
        let object = self.put(resource, stored, Some(object), terms);
        if is_marked && !terms.dry_run {
            self.note_marked(resource, &object);
        }
        Ok(Outcome { object, effect })
    }

    /// Patches a part of an object; what the patch does elsewhere is dropped.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: not there, changed meanwhile, or the patch does not apply.
    pub fn patch_with(
        &mut self,
        resource: usize,
        key: &str,
        patch: Patch,
        body: &[u8],
        part: Part,
        terms: &Terms<'_>,
    ) -> Result<Outcome, Refusal> {
        let row = self.kind(resource).clone();
        if patch == Patch::Apply {
            let config = parse_applied(&row, body)?;
            return self.apply_with(resource, key, config, part, terms);
        }
        let old = self.existing(resource, key)?;
        let mut document = self.places[resource].view.document(&old);
        patched(&row, &mut document, patch, body)?;
        let name = document["metadata"]["name"].as_str().unwrap_or_default();
        if terms.is_strict() && !name.is_empty() {
            check_name(&document, &old.name)?;
        }
        self.check_kind(resource, &document)?;
        let document = self.places[resource].view.stored(document);
        self.replace(resource, &old, document, part, terms, false)
    }

    /// Applies a configuration: creates the object, or merges it into what is there.
    fn apply_with(
        &mut self,
        resource: usize,
        key: &str,
        mut config: Value,
        part: Part,
        terms: &Terms<'_>,
    ) -> Result<Outcome, Refusal> {
        let row = self.kind(resource).clone();
        let name = key.rsplit('/').next().unwrap_or(key).to_owned();
        let namespace = key
            .rsplit_once('/')
            .map(|(namespace, _)| namespace.to_owned());
        if !config["metadata"].is_object() {
            config["metadata"] = Value::Object(Map::new());
        }
        if !config["metadata"]["managedFields"].is_null() {
            return Err(Refusal::bad_request("metadata.managedFields must be nil"));
        }
        let config = self.places[resource].view.stored(config);
        match self.get(resource, key).cloned() {
            Some(old) => {
                if !config["metadata"]["name"].is_null() {
                    check_name(&config, &old.name)?;
                }
                check_version(&row, &old, &config)?;
                let was = self.as_stored(resource, &old);
                let new = apply::applied(&row, Some(&was), &config, part, terms)?;
                // Whoever owned metadata and applies none has taken the name away, too.
                check_name(&new, &old.name)?;
                self.replace(resource, &old, new, part, terms, true)
            }
            None if part == Part::Status => Err(Refusal::not_found(&row, &name)),
            None => {
                check_name(&config, &name)?;
                if let Some(uid) = config["metadata"]["uid"]
                    .as_str()
                    .filter(|uid| !uid.is_empty())
                {
                    let why = format!(
                        "uid mismatch: the provided object specified uid {uid}, and no existing \
                         object was found"
                    );
                    return Err(Refusal::conflict(&row, &name, &why));
                }
                let mut new = apply::applied(&row, None, &config, part, terms)?;
                new["apiVersion"] = row.api_version().into();
                new["kind"] = row.kind.to_string().into();
                if let Some(meta) = new["metadata"].as_object_mut() {
                    meta.remove("resourceVersion");
                }
                self.insert(resource, namespace.as_deref(), new, terms, true)
            }
        }
    }

    /// A stored object as a document of the kind as which it is stored, at the version that is asked
    /// through.
    fn as_stored(&self, resource: usize, object: &Stored) -> Value {
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

    fn check_kind(&self, resource: usize, document: &Value) -> Result<(), Refusal> {
        let row = self.kind(resource);
        let kind = document["kind"].as_str().unwrap_or_default();
        let version = document["apiVersion"].as_str().unwrap_or_default();
        let own = row.api_version();
        let fits = (kind.is_empty() || kind == row.kind) && (version.is_empty() || version == own);
        if fits {
            return Ok(());
        }
        let message = if row.is_custom() && version != own {
            format!(
                "the API version in the data ({version}) does not match the expected API version \
                 ({own})"
            )
        } else {
            let wanted = &row.kind;
            let kind = if kind.is_empty() { wanted } else { kind };
            format!("{kind} in version \"{version}\" cannot be handled as a {wanted}")
        };
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
            let message = "the namespace of the provided object does not match the namespace sent \
                           on the request";
            return Err(Refusal::bad_request(message));
        }
        let namespace = namespace.to_owned();
        meta.insert("namespace".to_owned(), namespace.into());
        Ok(())
    }

    /// The name of a new object, made up where only its beginning is given.
    fn name(
        &mut self,
        row: &KindRow,
        document: &mut Value,
        terms: &Terms<'_>,
    ) -> Result<String, Refusal> {
        let meta = &mut document["metadata"];
        if meta["name"].as_str().is_none_or(str::is_empty) {
            let prefix = meta["generateName"].as_str();
            let Some(prefix) = prefix.filter(|text| !text.is_empty()) else {
                let message = "Required value: name or generateName is required";
                let field = "metadata.name";
                return Err(Refusal::invalid_field(
                    row,
                    "",
                    "FieldValueRequired",
                    field,
                    message,
                ));
            };
            meta["name"] = format!("{prefix}{}", self.seed.suffix()).into();
        }
        let name = meta["name"].as_str().unwrap_or_default().to_owned();
        let is_open = !terms.is_strict() && !name.contains('/') && name.len() <= 253;
        if is_open || is_name(&name) {
            return Ok(name);
        }
        let message = format!("Invalid value: \"{name}\": {NOT_A_NAME}");
        let field = "metadata.name";
        Err(Refusal::invalid_field(
            row,
            &name,
            "FieldValueInvalid",
            field,
            message,
        ))
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
        self.record(change);
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
        self.record(Change {
            rv: self.rv,
            collection,
            kind: EventKind::Deleted,
            object: Arc::clone(old),
            previous: Some(Arc::clone(old)),
        });
        self.note_removal(resource, old);
        Arc::new(old.at(&self.kinds[storage], self.rv))
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
fn check_version(row: &KindRow, old: &Stored, document: &Value) -> Result<(), Refusal> {
    let Some(meta) = document["metadata"].as_object() else {
        return Err(Refusal::bad_request("the body has no metadata"));
    };
    let said = |name: &str| meta.get(name).and_then(Value::as_str).unwrap_or_default();
    let version = said("resourceVersion");
    if !matches!(version, "" | "0") && version != old.rv.to_string() {
        return Err(Refusal::modified(row, &old.name));
    }
    if !said("uid").is_empty() && said("uid") != old.uid {
        let why = format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {}",
            said("uid"),
            old.uid
        );
        return Err(Refusal::conflict(row, &old.name, &why));
    }
    Ok(())
}

fn check_name(document: &Value, wanted: &str) -> Result<(), Refusal> {
    let message = match document["metadata"]["name"].as_str().unwrap_or_default() {
        "" => format!(
            "the name of the object ({wanted} based on URL) was undeterminable: name must be provided"
        ),
        name if name != wanted => {
            format!("the name of the object ({name}) does not match the name on the URL ({wanted})")
        }
        _ => return Ok(()),
    };
    Err(Refusal::bad_request(message))
}

pub(super) fn patched(
    row: &KindRow,
    document: &mut Value,
    patch: Patch,
    body: &[u8],
) -> Result<(), Refusal> {
    let parsed = |what: &str| -> Result<Value, Refusal> {
        let patch: Value = serde_json::from_slice(body)
            .map_err(|error| Refusal::bad_request(format!("{what}{error}")))?;
        if patch.is_object() {
            return Ok(patch);
        }
        let is = type_of(&patch);
        Err(Refusal::bad_request(format!(
            "{what}json: cannot unmarshal {is} into Go value of type map[string]interface {{}}"
        )))
    };
    match patch {
        Patch::Apply => {}
        Patch::Merge => json_patch::merge(document, &parsed("error decoding patch: ")?),
        Patch::Strategic if row.is_custom() => return Err(Refusal::unknown_patch(row)),
        Patch::Strategic => {
            let patch = parsed("")?;
            if let (Some(document), Some(patch)) = (document.as_object_mut(), patch.as_object()) {
                strategic::patch(Shape::of(row), document, patch)?;
            }
        }
        Patch::Json => {
            let patch: json_patch::Patch = serde_json::from_slice(body)
                .map_err(|error| Refusal::bad_request(format!("error decoding patch: {error}")))?;
            let applied = json_patch::patch(document, &patch);
            applied.map_err(|_| Refusal::inapplicable())?;
        }
    }
    Ok(())
}

/// The body of an apply, YAML or the JSON in it, which says what it is.
fn parse_applied(row: &KindRow, body: &[u8]) -> Result<Value, Refusal> {
    let bad = |error: &dyn std::fmt::Display| {
        Refusal::bad_request(format!("error decoding YAML: {error}"))
    };
    let config: Value = match serde_json::from_slice(body) {
        Ok(config) => config,
        Err(_) => {
            let text = std::str::from_utf8(body).map_err(|error| bad(&error))?;
            serde_saphyr::from_str(text).map_err(|error| bad(&error))?
        }
    };
    if !config.is_object() {
        let is = type_of(&config);
        let why = format!(
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {is} into Go value \
             of type map[string]interface {{}}"
        );
        return Err(bad(&why));
    }
    let text = |name: &str| config[name].as_str().unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    if version != row.api_version() || kind != row.kind {
        let slash = if version.contains('/') { "" } else { "/" };
        let message = format!("invalid object type: {slash}{version}, Kind={kind}");
        return Err(Refusal::bad_request(message));
    }
    Ok(config)
}

/// A value's type as the server's language calls it.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "array",
        Value::Bool(_) => "bool",
        Value::Null => "null",
        Value::Number(_) => "number",
        Value::Object(_) => "object",
        Value::String(_) => "string",
    }
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
        && is_free(&meta["finalizers"])
        && (!row.is("", "Namespace") || is_free(&document["spec"]["finalizers"]))
}

/// Whether a name is a DNS subdomain.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty()
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

const NOT_A_NAME: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', \
    regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

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
