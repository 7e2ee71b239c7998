//! What an object calls itself: kind, namespace, name, labels, finalizers, owners.
//!
//! Does not know the rest of an object.
//!
//! Source: apimachinery pkg/api/validation/objectmeta.go, util/validation @v0.36.3; the sentences are those
//! of a real server.

use serde_json::Value;

use super::{State, write::Terms};
use crate::{
    kind::KindRow,
    refusal::{Refusal, RefusalCause},
};

impl State {
    /// Whether a document is of the kind that it is written as.
    pub(super) fn check_kind(&self, resource: usize, document: &Value) -> Result<(), Refusal> {
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
            let version = if version.is_empty() { &own } else { version };
            let short = version.rsplit('/').next().unwrap_or(version);
            let is_served = |it: &&KindRow| it.kind == *kind && it.api_version() == *version;
            let why = if self.kinds().any(|it| is_served(&it)) {
                format!("converting ({short}.{kind}) to (core.{wanted}): unknown conversion")
            } else {
                not_registered(kind, version)
            };
            format!("{kind} in version \"{short}\" cannot be handled as a {wanted}: {why}")
        };
        Err(Refusal::bad_request(message))
    }

    /// Puts a document into the namespace that the request names.
    pub(super) fn place(
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
            return Err(Refusal::other_namespace());
        }
        let namespace = namespace.to_owned();
        meta.insert("namespace".to_owned(), namespace.into());
        Ok(())
    }

    /// The name of a new object, made up where only its beginning is given. What is wrong with a name is said
    /// with all else that is wrong, except to those of whom nothing else is asked.
    pub(super) fn name(
        &mut self,
        resource: usize,
        document: &mut Value,
        terms: &Terms<'_>,
    ) -> Result<String, Refusal> {
        let meta = &document["metadata"];
        let text = |name: &str| meta[name].as_str().unwrap_or_default().to_owned();
        let (mut name, prefix, namespace) = (text("name"), text("generateName"), text("namespace"));
        if name.is_empty() && !prefix.is_empty() {
            let end = prefix.floor_char_boundary(GENERATED_BYTES_MAX);
            // As there: a name that is taken is not the last word.
            for _ in 0..GENERATIONS_MAX {
                name = format!("{}{}", &prefix[..end], self.seed.suffix());
                let key = match namespace.as_str() {
                    "" => name.clone(),
                    namespace => format!("{namespace}/{name}"),
                };
                if self.get(resource, &key).is_none() {
                    break;
                }
            }
            document["metadata"]["name"] = name.as_str().into();
        }
        let is_open = !name.is_empty() && !name.contains('/') && name.len() <= NAME_BYTES_MAX;
        if terms.is_strict() || is_open {
            return Ok(name);
        }
        let row = self.kind(resource);
        Err(Refusal::invalid_object(row, &name, name_faults(row, &name)))
    }
}

/// An object that is written must be named as its path says.
pub(super) fn check_name(document: &Value, wanted: &str) -> Result<(), Refusal> {
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

/// What is said of a kind that there is not.
pub(crate) fn not_registered(kind: &str, version: &str) -> String {
    format!(
        "no kind \"{kind}\" is registered for version \"{version}\" in scheme \
         \"pkg/runtime/scheme.go:111\""
    )
}

/// What is wrong with an object's name.
fn name_faults(row: &KindRow, name: &str) -> Vec<RefusalCause> {
    let field = "metadata.name";
    if name.is_empty() {
        let message = "Required value: name or generateName is required".to_owned();
        return vec![RefusalCause::new("FieldValueRequired", message, field)];
    }
    let is_label = row.is("", "Namespace") || row.is("", "Service");
    let fault = match () {
        () if is_label && name.contains('.') => Some("must not contain dots"),
        () if is_label => not_a_label(name),
        () => not_a_subdomain(name),
    };
    let cause = |why: &str| {
        let message = format!("Invalid value: {}: {why}", Value::from(name));
        RefusalCause::new("FieldValueInvalid", message, field)
    };
    fault.map(cause).into_iter().collect()
}

/// What is wrong with a text that should be a DNS subdomain.
pub(super) fn not_a_subdomain(text: &str) -> Option<&'static str> {
    match () {
        () if text.len() > NAME_BYTES_MAX => Some("must be no more than 253 characters"),
        () if !text.split('.').all(is_label) => Some(NOT_A_NAME),
        () => None,
    }
}

/// What is wrong with a text that should be a DNS label.
pub(super) fn not_a_label(text: &str) -> Option<&'static str> {
    match () {
        () if text.len() > 63 => Some("must be no more than 63 characters"),
        () if !is_label(text) => Some(NOT_A_DNS_LABEL),
        () => None,
    }
}

/// What is wrong with the beginning of a name: a hyphen may be its end.
fn not_a_prefix(text: &str) -> Option<&'static str> {
    let text = text.strip_suffix('-').unwrap_or(text);
    if text.is_empty() {
        None
    } else {
        not_a_subdomain(text)
    }
}

fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !label.is_empty()
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

const NOT_A_DNS_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters \
    or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used \
    for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

const NOT_A_NAME: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', \
    regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// What an object says of itself must be well formed.
pub(super) fn metadata_faults(row: &KindRow, name: &str, document: &Value) -> Vec<RefusalCause> {
    let meta = &document["metadata"];
    let mut causes = name_faults(row, name);
    if let Some(why) = meta["generateName"].as_str().and_then(not_a_prefix) {
        let message = format!("Invalid value: {}: {why}", meta["generateName"]);
        causes.push(RefusalCause::new(
            "FieldValueInvalid",
            message,
            "metadata.generateName",
        ));
    }
    causes.extend(label_faults(&meta["labels"], "metadata.labels"));
    for name in meta["annotations"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
    {
        // Their case does not count.
        let lower = name.to_lowercase();
        check_key(&lower, name, "metadata.annotations", &mut causes);
    }
    let owners = meta["ownerReferences"].as_array().into_iter().flatten();
    let controllers: Vec<&Value> = owners.filter(|owner| owner["controller"] == true).collect();
    if let [one, other, ..] = controllers.as_slice() {
        let shown = |owner: &Value| {
            let text = |field: &str| owner[field].as_str().unwrap_or_default().to_owned();
            format!("{}/{}", text("kind"), text("name"))
        };
        let message = format!(
            "Invalid value: {}: Only one reference can have Controller set to true. Found \"true\" in \
             references for {} and {}",
            meta["ownerReferences"],
            shown(one),
            shown(other)
        );
        let field = "metadata.ownerReferences";
        causes.push(RefusalCause::new("FieldValueInvalid", message, field));
    }
    let owners = meta["ownerReferences"].as_array();
    for owner in owners.into_iter().flatten() {
        for (field, why) in OWNER_FIELDS {
            if owner[field].as_str().is_none_or(str::is_empty) {
                let message = format!("Invalid value: \"\": {why}");
                let field = format!("metadata.ownerReferences.{field}");
                causes.push(RefusalCause::new("FieldValueInvalid", message, &field));
            }
        }
    }
    let finalizers = meta["finalizers"].as_array();
    for (index, finalizer) in finalizers.into_iter().flatten().enumerate() {
        let text = finalizer.as_str().unwrap_or_default();
        if !text.contains('/') && !FINALIZERS.contains(&text) {
            let message = format!("Invalid value: {finalizer}: {NOT_A_FINALIZER}");
            let field = format!("metadata.finalizers[{index}]");
            causes.push(RefusalCause::new("FieldValueInvalid", message, &field));
        }
    }
    causes
}

/// What is wrong with labels.
pub(super) fn label_faults(labels: &Value, field: &str) -> Vec<RefusalCause> {
    let mut causes = Vec::new();
    for (label, value) in labels.as_object().into_iter().flatten() {
        check_label(label, value, field, &mut causes);
    }
    causes
}

fn check_label(label: &str, value: &Value, field: &str, causes: &mut Vec<RefusalCause>) {
    check_key(label, label, field, causes);
    if !value.as_str().is_some_and(is_word) {
        let message = format!("Invalid value: {value}: {NOT_A_VALUE}");
        causes.push(RefusalCause::new("FieldValueInvalid", message, field));
    }
}

/// Checks a key of labels or annotations, and tells of it as it was written.
fn check_key(key: &str, written: &str, field: &str, causes: &mut Vec<RefusalCause>) {
    let mut add = |why: &str| {
        let message = format!("Invalid value: {}: {why}", Value::from(written));
        causes.push(RefusalCause::new("FieldValueInvalid", message, field));
    };
    let (prefix, last) = match key.rsplit_once('/') {
        Some((prefix, last)) => (Some(prefix), last),
        None => (None, key),
    };
    if prefix.is_some_and(|prefix| not_a_subdomain(prefix).is_some()) {
        add(&format!("prefix part {NOT_A_NAME}"));
    }
    if last.is_empty() || !is_word(last) {
        add(NOT_A_LABEL);
    }
}

/// Whether a text may stand in a label: at most 63 letters, digits and some marks, none at its ends.
fn is_word(text: &str) -> bool {
    let is_mark = |byte: u8| matches!(byte, b'-' | b'_' | b'.');
    let is_end = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 63
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || is_mark(byte))
        && is_end(text.bytes().next())
        && is_end(text.bytes().last())
}

/// pr-N12: an object that is being deleted gets no new finalizers.
pub(super) fn check_finalizers(
    row: &KindRow,
    name: &str,
    old: &Value,
    new: &Value,
) -> Result<(), Refusal> {
    if old["metadata"]["deletionTimestamp"].is_null() {
        return Ok(());
    }
    let list = |document: &Value| {
        let list = document["metadata"]["finalizers"].as_array().cloned();
        list.unwrap_or_default()
    };
    let before = list(old);
    let added: Vec<String> = list(new)
        .iter()
        .filter(|it| !before.contains(it))
        .map(Value::to_string)
        .collect();
    if added.is_empty() {
        return Ok(());
    }
    let message = format!(
        "Forbidden: no new finalizers can be added if the object is being deleted, found new \
         finalizers []string{{{}}}",
        added.join(", ")
    );
    let field = "metadata.finalizers";
    Err(Refusal::invalid_field(
        row,
        name,
        "FieldValueForbidden",
        field,
        message,
    ))
}

/// Bytes of the beginning of a name that is made up.
const GENERATED_BYTES_MAX: usize = 58;

/// Names that are tried until one is free.
const GENERATIONS_MAX: usize = 8;

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 253;

/// What an owner reference must have, and what is said where it has not.
const OWNER_FIELDS: [(&str, &str); 4] = [
    ("apiVersion", "version must not be empty"),
    ("kind", "must not be empty"),
    ("name", "must not be empty"),
    ("uid", "must not be empty"),
];

/// Finalizers that need no domain.
const FINALIZERS: [&str; 3] = ["foregroundDeletion", "kubernetes", "orphan"];

const NOT_A_FINALIZER: &str = "name is neither a standard finalizer name nor is it fully qualified";

const NOT_A_LABEL: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must \
    start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used \
    for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

const NOT_A_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, \
    '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
    'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

#[cfg(test)]
mod tests;
