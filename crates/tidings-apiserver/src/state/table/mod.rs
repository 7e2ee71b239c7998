//! Tables and bare metadata: what a list, a watch or an object looks like to who asks for columns.
//!
//! Does not negotiate: a [`Form`] is handed in. Objects in their plain form pass by untouched.
//!
//! In: stored objects. Out: JSON of `Table` and `PartialObjectMetadata` of meta.k8s.io.
//! B1  Every row has as many cells as there are column definitions, whatever the object holds.
//! B2  Of a watch only the first event has the column definitions.
//! Cost: an object is parsed once for its row; plain objects are not parsed at all.
//! Source: endpoints/handlers/response.go and registry/rest/table.go @v0.36.3, apiextensions-apiserver
//! pkg/registry/customresource/tableconvertor @v0.36.3; rule pr-N1.

pub(super) mod age;
mod cells;
mod columns;
mod json_path;
mod pod;

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use self::{
    columns::{Cell, Column},
    json_path::{JsonPath, text_of},
};
use super::{Stored, view::View};
use crate::kind::KindRow;

/// In what form objects are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the forms that the protocol has")]
pub enum Form {
    /// Their metadata alone, in this version of meta.k8s.io.
    Metadata(MetaVersion),
    /// As they are.
    #[default]
    Plain,
    /// Rows of a table.
    Table(MetaVersion, Include),
}

/// A version of meta.k8s.io; they differ in their name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two")]
pub enum MetaVersion {
    /// `v1`
    #[default]
    V1,
    /// `v1beta1`
    V1Beta1,
}

/// What of the object a row carries: `includeObject`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the protocol's own list")]
pub enum Include {
    /// Its metadata.
    #[default]
    Metadata,
    /// Nothing.
    None,
    /// All of it.
    Object,
}

/// The columns that a definition asks for besides the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed(Arc<[PrintedColumn]>);

#[derive(Debug, PartialEq, Eq)]
struct PrintedColumn {
    /// As the table's head has it.
    head: Value,
    kind: String,
    /// Nothing where the path is not understood.
    path: Option<JsonPath>,
}

/// Writes objects in a form, at a time.
#[derive(Clone)]
pub(super) struct Printer {
    form: Form,
    columns: Columns,
    /// Seconds since 1970.
    pub(super) now: u64,
}

#[derive(Clone)]
enum Columns {
    BuiltIn(&'static [Column]),
    Custom(Printed),
}

// === impl MetaVersion ===

impl MetaVersion {
    const fn name(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

// === impl Printed ===

impl Printed {
    /// Reads `additionalPrinterColumns`; a definition without any shows its objects' age.
    #[must_use]
    pub fn parse(columns: &Value) -> Self {
        let age = || {
            json!([{ "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
            "description": "" }])
        };
        let given = columns.as_array().filter(|columns| !columns.is_empty());
        let given = given
            .cloned()
            .unwrap_or_else(|| age().as_array().cloned().unwrap_or_default());
        Self(given.iter().map(PrintedColumn::parse).collect())
    }
}

impl PrintedColumn {
    fn parse(column: &Value) -> Self {
        let text = |name: &str| column[name].as_str().unwrap_or_default();
        let path = text("jsonPath");
        let description = match text("description") {
            "" => format!("Custom resource definition column (in JSONPath format): {path}"),
            given => given.to_owned(),
        };
        let priority = column["priority"].as_i64().unwrap_or(0);
        Self {
            head: json!({ "name": text("name"), "type": text("type"), "format": text("format"),
                "description": description, "priority": priority }),
            kind: text("type").to_owned(),
            path: JsonPath::parse(path),
        }
    }

    fn cell(&self, document: &Value, now: u64) -> Value {
        let found = self.path.as_ref().map(|path| path.find(document));
        let Some(value) = found.and_then(|found| found.first().copied()) else {
            return Value::Null;
        };
        match (&*self.kind, value) {
            ("string", value) => text_of(value).into(),
            ("integer", Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => whole.into(),
                #[expect(clippy::cast_possible_truncation, reason = "as the server's cast does")]
                (None, Some(float)) => (float as i64).into(),
                (None, None) => Value::Null,
            },
            ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
            ("date", Value::String(text)) => match age::unix_seconds(text) {
                Some(_) => age::since(value, now).into(),
                None => "<invalid>".into(),
            },
            _ => Value::Null,
        }
    }
}

// === impl Column ===

impl Column {
    fn head(&self) -> Value {
        json!({ "name": self.name, "type": self.kind, "format": self.format, "description": "",
            "priority": i32::from(self.wide) })
    }

    fn cell(&self, document: &Value, now: u64) -> Value {
        match self.cell {
            Cell::Age(path) => {
                age::since(document.pointer(path).unwrap_or(&Value::Null), now).into()
            }
            Cell::Count(path) => document
                .pointer(path)
                .and_then(Value::as_i64)
                .unwrap_or(0)
                .into(),
            Cell::Made(make) => make(document, now),
            Cell::Text(path, absent) => {
                let found = document.pointer(path).and_then(Value::as_str);
                found
                    .filter(|text| !text.is_empty())
                    .unwrap_or(absent)
                    .into()
            }
        }
    }
}

// === impl Printer ===

impl Printer {
    pub(super) fn new(form: Form, row: &KindRow, now: u64) -> Self {
        let columns = match &row.columns {
            Some(printed) => Columns::Custom(printed.clone()),
            None => Columns::BuiltIn(columns::of(&row.group, &row.plural)),
        };
        Self { form, columns, now }
    }

    /// What stands before and after the items of a list, if it is not what always stands there.
    pub(super) fn envelope(&self, meta: &Value) -> Option<(Vec<u8>, Vec<u8>)> {
        let (head, version) = match self.form {
            Form::Plain => return None,
            Form::Metadata(version) => {
                let version = version.name();
                let head = format!(
                    r#"{{"kind":"PartialObjectMetadataList","apiVersion":"{version}","metadata":{meta},"items":["#
                );
                return Some((head.into_bytes(), b"]}\n".to_vec()));
            }
            Form::Table(version, _) => (self.heads(), version.name()),
        };
        let head = table_head(version, meta, &head);
        Some((head.into_bytes(), b"]}\n".to_vec()))
    }

    /// Appends an item of a list.
    pub(super) fn write_item(&self, view: &View, object: &Stored, out: &mut Vec<u8>) {
        match self.form {
            Form::Metadata(version) => write_metadata(version, object.item(), out),
            Form::Plain => view.write_item(object, out),
            Form::Table(version, include) => self.write_row(version, include, view, object, out),
        }
    }

    /// Appends an object that stands by itself; `has_head` says whether a table names its columns.
    pub(super) fn write_full(
        &self,
        view: &View,
        object: &Stored,
        has_head: bool,
        out: &mut Vec<u8>,
    ) {
        match self.form {
            Form::Metadata(version) => write_metadata(version, object.item(), out),
            Form::Plain => view.write_full(object, out),
            Form::Table(version, include) => {
                let meta = json!({ "resourceVersion": object.rv.to_string() });
                let heads = if has_head { self.heads() } else { Value::Null };
                out.extend_from_slice(table_head(version.name(), &meta, &heads).as_bytes());
                self.write_row(version, include, view, object, out);
                out.extend_from_slice(b"]}");
            }
        }
    }

    /// A bookmark's object in this form: the metadata is all that it has.
    pub(super) fn bookmark(&self, meta: &Value, has_head: bool) -> Option<Vec<u8>> {
        let (Form::Metadata(version) | Form::Table(version, _)) = self.form else {
            return None;
        };
        let name = version.name();
        let partial =
            json!({ "kind": "PartialObjectMetadata", "apiVersion": name, "metadata": meta });
        let Form::Table(..) = self.form else {
            return Some(partial.to_string().into_bytes());
        };
        let own = json!({ "resourceVersion": meta["resourceVersion"] });
        let heads = if has_head { self.heads() } else { Value::Null };
        let cells = self.cells(&json!({ "metadata": meta }));
        let row = json!({ "cells": cells, "object": partial });
        Some(format!("{}{row}]}}", table_head(name, &own, &heads)).into_bytes())
    }

    pub(super) const fn is_plain(&self) -> bool {
        matches!(self.form, Form::Plain)
    }

    fn write_row(
        &self,
        version: MetaVersion,
        include: Include,
        view: &View,
        object: &Stored,
        out: &mut Vec<u8>,
    ) {
        let document = object.document();
        let cells = Value::Array(self.cells(&document));
        out.extend_from_slice(format!(r#"{{"cells":{cells}"#).as_bytes());
        if let Some(conditions) = conditions(&document) {
            out.extend_from_slice(format!(r#","conditions":[{conditions}]"#).as_bytes());
        }
        out.extend_from_slice(br#","object":"#);
        match include {
            Include::Metadata => write_metadata(version, object.item(), out),
            Include::None => out.extend_from_slice(b"null"),
            Include::Object => view.write_full(object, out),
        }
        out.push(b'}');
    }

    fn heads(&self) -> Value {
        match &self.columns {
            Columns::BuiltIn(columns) => columns.iter().map(Column::head).collect(),
            Columns::Custom(Printed(columns)) => {
                let name = json!({ "name": "Name", "type": "string", "format": "name", "description": "",
                    "priority": 0 });
                std::iter::once(name)
                    .chain(columns.iter().map(|column| column.head.clone()))
                    .collect()
            }
        }
    }

    fn cells(&self, document: &Value) -> Vec<Value> {
        match &self.columns {
            Columns::BuiltIn(columns) => columns
                .iter()
                .map(|column| column.cell(document, self.now))
                .collect(),
            Columns::Custom(Printed(columns)) => {
                let name = document["metadata"]["name"].as_str().unwrap_or_default();
                let others = columns.iter().map(|column| column.cell(document, self.now));
                std::iter::once(name.into()).chain(others).collect()
            }
        }
    }
}

fn table_head(version: &str, meta: &Value, heads: &Value) -> String {
    format!(
        r#"{{"kind":"Table","apiVersion":"{version}","metadata":{meta},"columnDefinitions":{heads},"rows":["#
    )
}

/// A pod that ended says so in its row.
fn conditions(document: &Value) -> Option<Value> {
    // No other kind has this phase together with containers.
    document.pointer("/spec/containers")?;
    let (reason, message) = match document["status"]["phase"].as_str()? {
        "Failed" => ("Failed", "The pod failed."),
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        _ => return None,
    };
    Some(json!({ "type": "Completed", "status": "True", "reason": reason, "message": message }))
}

/// An object of which nothing but the metadata is read, and that not taken apart.
#[derive(Deserialize)]
struct Bare<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

fn write_metadata(version: MetaVersion, item: &[u8], out: &mut Vec<u8>) {
    let bare = serde_json::from_slice::<Bare<'_>>(item);
    // Every object was laid out with metadata.
    let metadata = bare.as_ref().map_or("{}", |bare| bare.metadata.get());
    let head = format!(
        r#"{{"kind":"PartialObjectMetadata","apiVersion":"{}","metadata":"#,
        version.name()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(metadata.as_bytes());
    out.push(b'}');
}

#[cfg(test)]
mod tests;
