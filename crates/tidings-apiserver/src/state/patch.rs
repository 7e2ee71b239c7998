//! Patches: JSON, merge, strategic merge and apply.
//!
//! Does not store anything: what a patch makes of an object is written as an update is.
//!
//! Source: endpoints/handlers/patch.go @v0.36.3; rules pr-N9, pr-N10; the sentences of refusals are those
//! of a real server.

use serde_json::{Map, Value};

use super::{
    Outcome, State, Stored, apply,
    decode::Source,
    names::check_name,
    shape::Shape,
    strategic, typed,
    write::{Part, Terms, Written, check_version},
};
use crate::{
    json,
    kind::KindRow,
    refusal::{Refusal, RefusalCause},
    yaml,
};

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

impl State {
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
        let row = self.row(resource);
        if patch == Patch::Apply {
            let config = parse_applied(&row, body)?;
            typed_config(&row, key, &config, terms)?;
            return self.apply_with(resource, key, config, part, terms);
        }
        let old = self.existing(resource, key)?;
        let mut document = self.places[resource].view.document(&old);
        let duplicates = patched(&row, &mut document, patch, body)?;
        let terms = &Terms {
            duplicates: &duplicates,
            ..*terms
        };
        if !document.is_object() {
            return Err(Refusal::inapplicable());
        }
        let text = match patch {
            Patch::Strategic => String::from_utf8_lossy(body).into_owned(),
            Patch::Apply | Patch::Json | Patch::Merge => document.to_string(),
        };
        let source = Source::Patch(text);
        self.check_patched_kind(resource, patch, &mut document, &source)?;
        let warnings = self.decode(resource, &mut document, terms, &source)?;
        if terms.is_strict() {
            check_name(&document, &old.name)?;
            check_uid(&row, &old, &document)?;
        }
        let document = self.places[resource].view.stored(document);
        let mut patched = self.replace(resource, &old, document, part, terms, false)?;
        patched.warnings.splice(..0, warnings);
        Ok(patched)
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
        let row = self.row(resource);
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
}

/// What is applied must be what the kind's objects are like, but for its defaults.
fn typed_config(
    row: &KindRow,
    key: &str,
    config: &Value,
    terms: &Terms<'_>,
) -> Result<(), Refusal> {
    if !terms.is_strict() {
        return Ok(());
    }
    let findings = typed::settle(row, &mut config.clone(), false);
    let fields = findings.unknown.iter();
    let fields = fields.map(|path| format!(".{path}: field not declared in schema"));
    let faults: Vec<String> = findings.fault.into_iter().chain(fields).collect();
    let why = match faults.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    let (version, kind) = (row.api_version(), &row.kind);
    let version = if row.group.is_empty() {
        format!("/{version}")
    } else {
        version
    };
    let namespace = config["metadata"]["namespace"].as_str().unwrap_or_default();
    let name = key.rsplit('/').next().unwrap_or(key);
    let message = format!(
        "failed to create typed patch object ({namespace}/{name}; {version}, Kind={kind}): {why}"
    );
    Err(Refusal::new(500, "", message))
}

/// A patch cannot make another object of the one that is there.
fn check_uid(row: &KindRow, old: &Stored, document: &Value) -> Result<(), Refusal> {
    let uid = &document["metadata"]["uid"];
    if uid
        .as_str()
        .is_none_or(|uid| uid.is_empty() || uid == old.uid)
    {
        return Ok(());
    }
    let message = format!("Invalid value: {uid}: field is immutable");
    let cause = RefusalCause::new("FieldValueInvalid", message, "metadata.uid");
    // The real server says it twice.
    Err(Refusal::invalid_object(
        row,
        &old.name,
        vec![cause.clone(), cause],
    ))
}

/// Applies a patch to a document, and returns the paths of fields that the patch has twice.
pub(super) fn patched(
    row: &KindRow,
    document: &mut Value,
    patch: Patch,
    body: &[u8],
) -> Result<Vec<String>, Refusal> {
    let parsed = |what: &str| -> Result<json::Parsed, Refusal> {
        let parsed =
            json::parse(body).map_err(|error| Refusal::bad_request(format!("{what}{error}")))?;
        if parsed.document.is_object() {
            return Ok(parsed);
        }
        let is = type_of(&parsed.document);
        Err(Refusal::bad_request(format!(
            "{what}json: cannot unmarshal {is} into Go value of type map[string]interface {{}}"
        )))
    };
    match patch {
        Patch::Apply => Ok(Vec::new()),
        Patch::Merge => {
            let patch = parsed("error decoding patch: ")?;
            json_patch::merge(document, &patch.document);
            Ok(patch.duplicates)
        }
        Patch::Strategic if row.is_custom() => Err(Refusal::unknown_patch(row)),
        Patch::Strategic => {
            let patch = parsed("")?;
            if let (Some(document), Some(patch)) =
                (document.as_object_mut(), patch.document.as_object())
            {
                strategic::patch(Shape::of(row), document, patch)?;
            }
            Ok(patch.duplicates)
        }
        Patch::Json => {
            let bad = |error| Refusal::bad_request(format!("error decoding patch: {error}"));
            let mut operations: Vec<Map<String, Value>> =
                serde_json::from_slice(body).map_err(bad)?;
            for operation in &mut operations {
                // As there: who gives no value gives null.
                if matches!(
                    operation.get("op").and_then(Value::as_str),
                    Some("add" | "replace" | "test")
                ) {
                    operation.entry("value").or_insert(Value::Null);
                }
            }
            let operations = operations.into_iter().map(Value::Object).collect();
            let patch = serde_json::from_value(operations).map_err(|_| Refusal::inapplicable())?;
            patch_json(document, patch)?;
            Ok(Vec::new())
        }
    }
}

/// Applies operation by operation, so that copies of copies are seen to grow (pr-N9).
fn patch_json(document: &mut Value, patch: json_patch::Patch) -> Result<(), Refusal> {
    let count = patch.0.len();
    if count > OPERATIONS_MAX {
        let message = format!(
            "Request entity too large: The allowed maximum operations in a JSON patch is \
             {OPERATIONS_MAX}, got {count}"
        );
        return Err(Refusal::new(413, "RequestEntityTooLarge", message));
    }
    let mut copied_bytes = 0;
    for operation in patch.0 {
        if let json_patch::PatchOperation::Copy(copy) = &operation {
            let from = document.pointer(copy.from.as_str());
            copied_bytes += from.map_or(0, |value| value.to_string().len());
        }
        if copied_bytes > COPIED_BYTES_MAX {
            return Err(Refusal::inapplicable());
        }
        // As there: what is not there equals null. kube-rs adds its finalizer behind such a test.
        if let json_patch::PatchOperation::Test(test) = &operation
            && test.value.is_null()
            && document.pointer(test.path.as_str()).is_none()
            && parent(document, test.path.as_str()).is_some()
        {
            continue;
        }
        let one = json_patch::Patch(vec![operation]);
        let applied = json_patch::patch(document, &one);
        applied.map_err(|_| Refusal::inapplicable())?;
    }
    Ok(())
}

/// What holds the value that a pointer names.
fn parent<'a>(document: &'a Value, pointer: &str) -> Option<&'a Value> {
    let (parent, _) = pointer.rsplit_once('/')?;
    document.pointer(parent)
}

/// Operations of a JSON patch.
const OPERATIONS_MAX: usize = 10_000;

/// Bytes that the copies of a JSON patch may add.
const COPIED_BYTES_MAX: usize = 3 << 20;

/// The body of an apply, YAML or the JSON in it, which says what it is.
fn parse_applied(row: &KindRow, body: &[u8]) -> Result<Value, Refusal> {
    let bad = |error: &dyn std::fmt::Display| {
        Refusal::bad_request(format!("error decoding YAML: {error}"))
    };
    let mut config = yaml::parse(body).map_err(|error| bad(&error))?;
    if config.is_null() {
        config = Value::Object(Map::new());
    }
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
pub(crate) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "array",
        Value::Bool(_) => "bool",
        Value::Null => "null",
        Value::Number(_) => "number",
        Value::Object(_) => "object",
        Value::String(_) => "string",
    }
}
