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
            format!(
                "{kind} in version \"{version}\" cannot be handled as a {wanted}: no kind \"{kind}\" is \
                 registered for version \"{version}\" in scheme \"pkg/runtime/scheme.go:111\""
            )
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
            let message = "the namespace of the provided object does not match the namespace sent \
                           on the request";
            return Err(Refusal::bad_request(message));
        }
        let namespace = namespace.to_owned();
        meta.insert("namespace".to_owned(), namespace.into());
        Ok(())
    }

    /// The name of a new object, made up where only its beginning is given.
    pub(super) fn name(
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
        let is_open = !terms.is_strict() && !name.contains('/') && name.len() <= NAME_BYTES_MAX;
        let is_dotted = row.is("", "Namespace") && name.contains('.');
        if is_open || (is_name(&name) && !is_dotted) {
            return Ok(name);
        }
        let why = if name.len() > NAME_BYTES_MAX {
            "must be no more than 253 characters"
        } else if row.is("", "Namespace") && name.contains('.') {
            "must not contain dots"
        } else {
            NOT_A_NAME
        };
        let message = format!("Invalid value: \"{name}\": {why}");
        let field = "metadata.name";
        Err(Refusal::invalid_field(
            row,
            &name,
            "FieldValueInvalid",
            field,
            message,
        ))
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

/// Whether a name is a DNS subdomain.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty()
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label)
}

const NOT_A_NAME: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', \
    regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// What an object says of itself beside its name must be well formed.
pub(super) fn check_metadata(row: &KindRow, name: &str, document: &Value) -> Result<(), Refusal> {
    let mut causes = Vec::new();
    let meta = &document["metadata"];
    for (label, value) in meta["labels"].as_object().into_iter().flatten() {
        check_label(label, value, &mut causes);
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
    if causes.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid_object(row, name, causes))
}

fn check_label(label: &str, value: &Value, causes: &mut Vec<RefusalCause>) {
    let mut add = |value: &Value, why: &str| {
        let message = format!("Invalid value: {value}: {why}");
        let field = "metadata.labels";
        causes.push(RefusalCause::new("FieldValueInvalid", message, field));
    };
    let (prefix, last) = match label.rsplit_once('/') {
        Some((prefix, last)) => (Some(prefix), last),
        None => (None, label),
    };
    if prefix.is_some_and(|prefix| !is_name(prefix)) {
        add(&label.into(), &format!("prefix part {NOT_A_NAME}"));
    }
    if last.is_empty() || !is_word(last) {
        add(&label.into(), NOT_A_LABEL);
    }
    if !value.as_str().is_some_and(is_word) {
        add(value, NOT_A_VALUE);
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
