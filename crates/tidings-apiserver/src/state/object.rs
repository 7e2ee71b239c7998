//! One stored object: its JSON as it is sent, and where its parts stand in it.
//!
//! Does not decode what it need not: top level and metadata are split, all else is kept as text.
//!
//! ```text
//!  {"kind":"Pod","apiVersion":"v1","metadata":{..,"resourceVersion":"42",..,"labels":{..}},"spec":..
//!  ^ full: watch events, GET        ^ item_at: list items, after a brace
//!                                                          ^^ rv_at          ^^^^ labels_at
//! ```
//!
//! O1  `bytes[rv_at]` are the digits of `rv`; `bytes[labels_at]` is a JSON object or empty.
//! O2  `fields` has one value for each selectable field of the row, in its order.
//! Cost: one pass over the text to split, one copy to write.

use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::kind::{KindRow, Style};

/// The members of a JSON object in their order, each value as its text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    pub(crate) fn parse(text: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(text)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.get()).filter(|text| *text != "null")
    }

    /// A member that is a string, decoded.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        scalar(self.get(name)?)
    }

    pub(crate) fn set(&mut self, name: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    pub(crate) fn set_text(&mut self, name: &str, value: &str) {
        if let Ok(raw) = serde_json::value::to_raw_value(value) {
            self.set(name, raw);
        }
    }

    pub(crate) fn set_number(&mut self, name: &str, value: u64) {
        if let Ok(raw) = serde_json::value::to_raw_value(&value) {
            self.set(name, raw);
        }
    }

    pub(crate) fn copy_from(&mut self, name: &str, other: &Self) {
        match other.0.iter().find(|(key, _)| key == name) {
            Some((_, value)) => self.set(name, value.clone()),
            None => self.remove(name),
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(key, _)| key != name);
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }

    fn sort_by_place(&mut self, place: impl Fn(&str) -> usize) {
        self.0.sort_by_key(|(key, _)| place(key));
    }

    fn sort_by_name(&mut self) {
        self.0.sort_by(|left, right| left.0.cmp(&right.0));
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Members::default();
                while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    members.set(&key, value);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// An object that is being written: its top level and its metadata, split.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    pub(crate) top: Members,
    pub(crate) meta: Members,
}

impl Document {
    pub(crate) fn parse(text: &[u8]) -> serde_json::Result<Self> {
        let mut top = Members::parse(text)?;
        let meta = match top.get("metadata") {
            Some(meta) => Members::parse(meta.as_bytes())?,
            None => Members::default(),
        };
        top.remove("metadata");
        Ok(Self { top, meta })
    }

    /// Lays the object out as the row's encoder does and finds its parts.
    pub(crate) fn store(mut self, row: &KindRow, key: Arc<str>, rv: u64) -> Stored {
        self.meta.set_text("resourceVersion", &rv.to_string());
        self.top.set_text("kind", &row.kind);
        self.top.set_text("apiVersion", &row.api_version());
        self.top.set("metadata", RawValue::NULL.to_owned());
        match row.style {
            Style::Custom => {
                self.top.sort_by_name();
                self.meta.sort_by_name();
            }
            Style::Typed => {
                self.top.sort_by_place(|key| place(TOP_ORDER, key));
                self.meta.sort_by_place(|key| place(META_ORDER, key));
            }
        }
        let fields = self.field_values(row);
        let uid = self.meta.text("uid").unwrap_or_default().into();
        let mut writer = Writer::default();
        for (key, value) in &self.top.0 {
            if key == "metadata" {
                if row.style == Style::Typed {
                    writer.item_at = writer.out.len() + 1;
                }
                writer.metadata(&self.meta);
            } else {
                writer.member(key, value.get());
            }
        }
        writer.out.push(b'}');
        Stored {
            key,
            uid,
            rv,
            bytes: writer.out.into(),
            item_at: writer.item_at,
            rv_at: writer.rv_at,
            labels_at: writer.labels_at,
            fields,
        }
    }

    fn field_values(&self, row: &KindRow) -> Box<[Box<str>]> {
        let mut roots: Vec<(&str, Members)> = Vec::new();
        let mut values = Vec::with_capacity(row.fields.len());
        for field in &row.fields {
            let (root, rest) = field.path.split_once('.').unwrap_or((&field.path, ""));
            let value = if rest.is_empty() {
                self.top.text(root)
            } else {
                if !roots.iter().any(|(name, _)| *name == root) {
                    let text = self.top.get(root).unwrap_or("{}");
                    roots.push((root, Members::parse(text.as_bytes()).unwrap_or_default()));
                }
                let members = roots.iter().find(|(name, _)| *name == root);
                members.and_then(|(_, members)| nested(members, rest))
            };
            let value = value.unwrap_or(Cow::Borrowed(field.absent));
            values.push(value.into_owned().into_boxed_str());
        }
        values.into_boxed_slice()
    }
}

#[derive(Default)]
struct Writer {
    out: Vec<u8>,
    item_at: usize,
    rv_at: Range<usize>,
    labels_at: Range<usize>,
}

impl Writer {
    fn member(&mut self, key: &str, value: &str) -> Range<usize> {
        self.out.push(if self.out.is_empty() || self.out.ends_with(b"{") {
            b','
        } else {
            b','
        });
        self.raw(key, value)
    }

    fn raw(&mut self, key: &str, value: &str) -> Range<usize> {
        // A key is a string: writing it to memory cannot fail.
        let _ = serde_json::to_writer(&mut self.out, key);
        self.out.push(b':');
        let start = self.out.len();
        self.out.extend_from_slice(value.as_bytes());
        start..self.out.len()
    }

    fn metadata(&mut self, meta: &Members) {
        let _ = meta;
    }
}

/// An object as it stands in the store: immutable, shared by lists, history and watches.
pub struct Stored {
    key: Arc<str>,
    uid: Box<str>,
    rv: u64,
    bytes: Bytes,
    item_at: usize,
    rv_at: Range<usize>,
    labels_at: Range<usize>,
    fields: Box<[Box<str>]>,
}
