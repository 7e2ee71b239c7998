//! One stored object: its JSON, laid out once, and what can be selected by.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tidings_api::selector::{FieldSelector, LabelOperator, LabelSelector};

use crate::kind::{KindRow, Style};

/// An object as it stands in the state; immutable and shared by lists, history and watches.
#[derive(Clone, Debug)]
pub struct Stored {
    pub(crate) key: Arc<str>,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) rv: u64,
    /// The object without kind and apiVersion, as typed lists have it (pr-L18).
    item: Bytes,
    /// `{"kind":..,"apiVersion":..,`
    head: Arc<str>,
    style: Style,
    /// The labels' JSON, or nothing.
    labels: Box<str>,
    /// Whether every label is a text, as it should be.
    has_plain_labels: bool,
    fields: Box<[Box<str>]>,
    /// The uids of its owners.
    pub(crate) owners: Box<[String]>,
}

impl Stored {
    /// Lays out a document. Its metadata must have been filled in. At version 0 it has none yet.
    pub(crate) fn new(row: &KindRow, head: &Arc<str>, mut document: Value, rv: u64) -> Self {
        let text = |document: &Value, name: &str| {
            document["metadata"][name]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        if let Some(top) = document.as_object_mut() {
            top.remove("kind");
            top.remove("apiVersion");
        }
        if rv > 0 {
            document["metadata"]["resourceVersion"] = Value::String(rv.to_string());
        } else if let Some(meta) = document["metadata"].as_object_mut() {
            meta.remove("resourceVersion");
        }
        let (namespace, name) = (text(&document, "namespace"), text(&document, "name"));
        let key = match namespace.as_str() {
            "" => Arc::from(name.as_str()),
            namespace => format!("{namespace}/{name}").into(),
        };
        let labels = match &document["metadata"]["labels"] {
            // A map of JSON can be written.
            Value::Object(labels) if !labels.is_empty() => {
                serde_json::to_string(labels).unwrap_or_default()
            }
            _ => String::new(),
        };
        let all = document["metadata"]["labels"].as_object();
        let has_plain_labels = all.is_none_or(|all| all.values().all(Value::is_string));
        let fields = row.fields.iter().map(|field| {
            let mut steps = field.path.split('.');
            let value = steps.try_fold(&document, |value, step| value.get(step));
            // Of a list of addresses the first can be selected by.
            let value = match value {
                Some(Value::Array(items)) => items.first().map(|item| &item["ip"]),
                value => value,
            };
            match value {
                Some(Value::String(text)) => text.as_str().into(),
                Some(Value::Null) | None => field.absent.into(),
                Some(other) => other.to_string().into(),
            }
        });
        Self {
            fields: fields.collect(),
            uid: text(&document, "uid"),
            key,
            namespace,
            name,
            rv,
            item: exact(lay_out(&document, row.style)),
            head: Arc::clone(head),
            owners: owners(&document),
            style: row.style,
            labels: labels.into(),
            has_plain_labels,
        }
    }

    /// The key, `namespace/name` or `name`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The version of its last write.
    #[must_use]
    pub const fn resource_version(&self) -> u64 {
        self.rv
    }

    /// The uid.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Appends the object with kind and apiVersion.
    pub fn write_full(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(&self.item[1..]);
    }

    /// The object without kind and apiVersion.
    pub(crate) fn item(&self) -> &Bytes {
        &self.item
    }

    /// The value of a selectable field.
    pub(crate) fn field(&self, index: usize) -> Option<&str> {
        self.fields.get(index).map(|field| &**field)
    }

    /// Its bytes with kind and apiVersion: the JSON that it stands for.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        self.head.len() + self.item.len() - 1
    }

    /// Bytes of memory that it takes, as far as it says itself: what is shared is not counted.
    pub(super) fn held_bytes_len(&self) -> usize {
        let texts = [&self.namespace, &self.name, &self.uid].map(String::len);
        let fields = self
            .fields
            .iter()
            .map(|field| field.len() + size_of::<Box<str>>());
        let owners = self
            .owners
            .iter()
            .map(|uid| uid.len() + size_of::<String>());
        size_of::<Self>()
            + self.key.len()
            + self.item.len()
            + self.labels.len()
            + texts.iter().sum::<usize>()
            + fields.sum::<usize>()
            + owners.sum::<usize>()
    }

    /// Whether a text stands somewhere in it.
    pub(crate) fn says(&self, text: &str) -> bool {
        // Laid out as text.
        std::str::from_utf8(&self.item).is_ok_and(|item| item.contains(text))
    }

    pub(crate) const fn style(&self) -> Style {
        self.style
    }

    /// The object as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.head.len() + self.item.len());
        self.write_full(&mut out);
        out
    }

    /// The object as a document.
    #[must_use]
    pub fn document(&self) -> Value {
        // Laid out from a document, so it is one.
        serde_json::from_slice(&self.to_json()).unwrap_or_default()
    }

    /// The same object at another version: what a DELETED event carries (pr-E2).
    pub(crate) fn at(&self, row: &KindRow, rv: u64) -> Self {
        Self::new(row, &self.head, self.document(), rv)
    }
}

fn owners(document: &Value) -> Box<[String]> {
    let owners = document["metadata"]["ownerReferences"].as_array();
    let uids = owners
        .into_iter()
        .flatten()
        .filter_map(|owner| owner["uid"].as_str());
    uids.map(str::to_owned).collect()
}

/// The text without the room that it was written into: objects are kept for long.
pub(super) fn exact(text: Vec<u8>) -> Bytes {
    text.into_boxed_slice().into()
}

/// The object's text without kind and apiVersion, in the order of the kind's encoder: typed objects
/// begin with their metadata, and that with the name (pr-L17).
pub(super) fn lay_out(document: &Value, style: Style) -> Vec<u8> {
    let mut text = Vec::with_capacity(LAY_OUT_BYTES);
    let (Style::Typed, Some(top)) = (style, document.as_object()) else {
        push(&mut text, document);
        return text;
    };
    let meta = document["metadata"].as_object();
    let known = META_ORDER
        .iter()
        .filter_map(|key| Some((*key, meta?.get(*key)?)));
    let other = meta.into_iter().flatten();
    let other = other.map(|(key, value)| (key.as_str(), value));
    text.extend_from_slice(b"{\"metadata\":{");
    push_members(
        &mut text,
        known.chain(other.filter(|(key, _)| !META_ORDER.contains(key))),
    );
    let rest = top.iter().filter(|(key, _)| *key != "metadata");
    text.push(b'}');
    push_members(&mut text, rest.map(|(key, value)| (key.as_str(), value)));
    text.push(b'}');
    text
}

fn push_members<'a>(text: &mut Vec<u8>, members: impl Iterator<Item = (&'a str, &'a Value)>) {
    for (key, value) in members {
        if text.last() != Some(&b'{') {
            text.push(b',');
        }
        push(text, key);
        text.push(b':');
        push(text, value);
    }
}

/// Appends a key or a value.
fn push<T: serde::Serialize + ?Sized>(text: &mut Vec<u8>, value: &T) {
    // JSON into memory cannot fail.
    let _ = serde_json::to_writer(text, value);
}

/// Room to lay an object out in; larger ones make more.
const LAY_OUT_BYTES: usize = 2 << 10;

/// The order of Go's `ObjectMeta`.
const META_ORDER: [&str; 14] = [
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

/// What a list or watch selects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    pub(crate) namespace: Option<String>,
    labels: LabelSelector,
    fields: FieldSelector,
    /// What the labels' JSON must contain, so that it need not be read: a quote within a text is escaped,
    /// so a map of texts has a pair exactly when the pair stands there.
    pairs: Vec<String>,
    /// Whether there is nothing to ask of labels but those.
    has_pairs_only: bool,
}

impl Selection {
    pub(crate) fn new(
        namespace: Option<String>,
        labels: LabelSelector,
        fields: FieldSelector,
    ) -> Self {
        let equal = labels.requirements().iter().filter_map(|requirement| {
            let (LabelOperator::Equals, [value]) = (requirement.operator(), requirement.values())
            else {
                return None;
            };
            let key = Value::from(requirement.key());
            Some(format!("{key}:{}", Value::from(value.as_str())))
        });
        let pairs: Vec<String> = equal.collect();
        Self {
            has_pairs_only: pairs.len() == labels.requirements().len(),
            pairs,
            namespace,
            labels,
            fields,
        }
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether it names one object, so that nothing can follow it.
    pub(crate) fn is_of_one(&self, row: &KindRow) -> bool {
        let is_placed = self.namespace.is_some() || !row.namespaced;
        is_placed && self.fields.exact("metadata.name").is_some()
    }

    fn matches_labels(&self, object: &Stored) -> bool {
        let has = |pair: &String| object.labels.contains(pair.as_str());
        self.pairs.iter().all(has)
            && ((self.has_pairs_only && object.has_plain_labels)
                || self.labels.matches_labels_json(&object.labels))
    }

    pub(crate) fn matches(&self, row: &KindRow, object: &Stored) -> bool {
        let here = self
            .namespace
            .as_ref()
            .is_none_or(|ns| *ns == object.namespace);
        here && self.matches_labels(object)
            && self.fields.matches(|path| match path {
                "metadata.name" => Some(object.name.as_str()),
                "metadata.namespace" => Some(object.namespace.as_str()),
                _ => row.field(path).map(|index| &*object.fields[index]),
            })
    }
}
