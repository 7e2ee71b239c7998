//! One storage, several views: versions of a custom kind, and the two groups that serve events.
//!
//! Does not convert more than names: another version shows the same fields under another apiVersion
//! (conversion strategy `None`), and events.k8s.io calls some fields of an event differently.
//!
//! Source: kubernetes pkg/apis/events/v1/conversion.go @v1.36.3.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use serde_json::Value;

use super::{
    State, Stored,
    object::lay_out,
    table::{Form, Printer},
};
use crate::kind::{KindRow, Style};

/// Where a kind's objects are.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) collection: usize,
    /// The kind as which they are stored.
    pub(super) storage: usize,
    pub(super) view: View,
    /// Whether requests find it: not after its definition has gone.
    pub(super) served: bool,
    /// The uid of the definition that it comes from.
    pub(super) definition: Option<String>,
    /// The version from which on it is served: its watch cache knows nothing older.
    pub(super) since: u64,
}

/// How a kind shows stored objects.
#[derive(Clone)]
pub(super) struct View {
    /// `{"kind":..,"apiVersion":..,`
    pub(super) head: Arc<str>,
    api_version: Arc<str>,
    /// Stored names and those shown in their stead.
    renamed: &'static [(&'static str, &'static str)],
}

// === impl Place ===

impl Place {
    /// The place of a kind that has its objects to itself.
    pub(super) fn own(row: &KindRow, storage: usize, collection: usize) -> Self {
        let api_version = row.api_version();
        let head = format!(r#"{{"kind":"{}","apiVersion":"{api_version}","#, row.kind);
        Self {
            collection,
            storage,
            view: View {
                head: head.into(),
                api_version: api_version.into(),
                renamed: &[],
            },
            served: true,
            definition: None,
            since: 0,
        }
    }
}

// === impl View ===

impl View {
    /// Appends an object with kind and apiVersion.
    pub(super) fn write_full(&self, object: &Stored, out: &mut Vec<u8>) {
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(&self.item(object)[1..]);
    }

    /// Appends an object as an item of a list.
    pub(super) fn write_item(&self, object: &Stored, out: &mut Vec<u8>) {
        match object.style() {
            Style::Custom => self.write_full(object, out),
            Style::Typed => out.extend_from_slice(&self.item(object)),
        }
    }

    fn item(&self, object: &Stored) -> Bytes {
        if self.renamed.is_empty() {
            return object.item().clone();
        }
        let mut document = self.document(object);
        if let Some(top) = document.as_object_mut() {
            top.remove("kind");
            top.remove("apiVersion");
        }
        lay_out(&document, object.style()).into()
    }

    pub(super) fn item_bytes_len(&self, object: &Stored) -> usize {
        match object.style() {
            Style::Custom => self.head.len() + object.item().len() - 1,
            Style::Typed => object.item().len(),
        }
    }

    /// An object as this view shows it.
    pub(super) fn document(&self, object: &Stored) -> Value {
        let mut document = object.document();
        document["apiVersion"] = Value::from(&*self.api_version);
        for (stored, shown) in self.renamed {
            rename(&mut document, stored, shown);
        }
        document
    }

    /// What is stored for a document that came through this view.
    pub(super) fn stored(&self, mut document: Value) -> Value {
        for (stored, shown) in self.renamed {
            rename(&mut document, shown, stored);
        }
        document
    }
}

fn rename(document: &mut Value, from: &str, to: &str) {
    if let Some(top) = document.as_object_mut()
        && let Some(value) = top.remove(from)
    {
        top.insert(to.to_owned(), value);
    }
}

impl State {
    /// Serves one more version of a kind's objects.
    pub(super) fn register_view(&mut self, row: KindRow, storage: usize) {
        let collection = self.places[storage].collection;
        self.places.push(Place::own(&row, storage, collection));
        self.kinds.push(Arc::new(row));
    }

    /// Serves core events as events.k8s.io, too.
    pub(super) fn share_events(&mut self) {
        let Some(storage) = self.resource("", "v1", "events") else {
            return;
        };
        let mut row = KindRow::clone(&self.kinds[storage]);
        row.group = Cow::Borrowed("events.k8s.io");
        for field in &mut row.fields {
            if let Some(rest) = field.path.strip_prefix("involvedObject.") {
                field.path = format!("regarding.{rest}").into();
            } else if field.path == "reportingComponent" {
                field.path = Cow::Borrowed("reportingController");
            }
        }
        self.register_view(row, storage);
        if let Some(place) = self.places.last_mut() {
            place.view.renamed = EVENT_NAMES;
        }
    }

    /// An object as a kind shows it.
    #[must_use]
    pub fn shown_document(&self, resource: usize, object: &Stored) -> Value {
        self.places[resource].view.document(object)
    }

    /// An object as a kind shows it in a form, as of a time in seconds since 1970, as JSON.
    #[must_use]
    pub fn printed(&self, resource: usize, object: &Stored, form: Form, now: u64) -> Vec<u8> {
        if form == Form::Plain {
            return self.shown(resource, object);
        }
        let mut out = Vec::with_capacity(object.item().len() + 64);
        let printer = Printer::new(form, self.kind(resource), now);
        printer.write_full(&self.places[resource].view, object, true, &mut out);
        out
    }

    /// An object as a kind shows it, as JSON.
    #[must_use]
    pub fn shown(&self, resource: usize, object: &Stored) -> Vec<u8> {
        let mut out = Vec::with_capacity(object.item().len() + 64);
        self.places[resource].view.write_full(object, &mut out);
        out
    }
}

/// What core events and those of events.k8s.io call differently.
const EVENT_NAMES: &[(&str, &str)] = &[
    ("count", "deprecatedCount"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("involvedObject", "regarding"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
];
