//! Objects of built-in kinds as the server's own types know them: unknown fields go, types are checked, and what
//! holds nothing is written as Go writes it.
//!
//! Does not say what a value may be within its type: `checks` does. It fills in the defaults on its way, where
//! asked to, for they belong to the same walk.
//!
//! Y1  What comes out has only fields of the table, each of its type; settling it again changes nothing.
//! Y2  A null is what nothing is: it goes, except as an entry of a map or list, where it is the type's zero.
//! Cost: one walk, in place.
//! Source: sigs.k8s.io/json and encoding/json decode.go, the `json` tags of the types; the sentences are those of
//! a real server.

mod defaults;
mod scalar;

pub(super) use self::scalar::nanos_of;
use serde_json::{Map, Value, json};

use super::patch::type_of;
use crate::{
    kind::KindRow,
    messages::{Field, Kind, Message, Shape, message, of_row},
};

/// What is not as the types want it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// The paths of fields that there are not.
    pub(super) unknown: Vec<String>,
    /// The first value of another type, in the decoder's words.
    pub(super) fault: Option<String>,
}

/// Makes a document what its types would hold of it; with `fill`, with defaults.
pub(super) fn settle(row: &KindRow, document: &mut Value, fill: bool) -> Findings {
    let Some(message) = of_row(row) else {
        return Findings::default();
    };
    walk(message, document, fill)
}

/// Checks the types of what is no object of a kind, such as options, and returns the first fault.
pub(crate) fn settle_options(name: &str, document: &mut Value) -> Option<String> {
    message(name).and_then(|message| walk(message, document, false).fault)
}

/// An object that says nothing, as its types write it.
pub(super) fn nothing(row: &KindRow) -> Value {
    let mut document = json!({ "metadata": {} });
    settle(row, &mut document, false);
    document
}

/// The same for the metadata of a custom object.
pub(super) fn settle_metadata(document: &mut Value) -> Findings {
    let mut findings = Findings::default();
    if let (Some(message), Some(meta)) = (message("meta.ObjectMeta"), document.get_mut("metadata"))
    {
        findings = walk(message, meta, false);
    }
    for path in &mut findings.unknown {
        path.insert_str(0, "metadata.");
    }
    findings
}

fn walk(message: &'static Message, document: &mut Value, fill: bool) -> Findings {
    let mut walk = Walk {
        path: Vec::new(),
        findings: Findings::default(),
        fill,
    };
    if let Some(members) = document.as_object_mut() {
        walk.message(message, members);
    }
    walk.findings
}

struct Walk {
    path: Vec<Step>,
    findings: Findings,
    fill: bool,
}

enum Step {
    Entry(String),
    Field(&'static str),
    Item(usize),
}

impl Walk {
    fn message(&mut self, message: &'static Message, members: &mut Map<String, Value>) {
        let is_top = self.path.is_empty();
        if self.fill {
            defaults::fill(message, members);
        }
        members.retain(|name, value| {
            // The claims of a set are objects of their own, too.
            let is_named = is_top || message.name == "core.PersistentVolumeClaim";
            if is_named && matches!(name.as_str(), "apiVersion" | "kind") {
                return true;
            }
            let Some(field) = message.field(name) else {
                self.unknown(name);
                return false;
            };
            self.path.push(Step::Field(field.name));
            let is_kept = self.field(message, field, value);
            self.path.pop();
            is_kept
        });
        self.write_standing(message, members);
    }

    /// What Go writes of a field that holds nothing.
    fn write_standing(&mut self, message: &'static Message, members: &mut Map<String, Value>) {
        for field in message.fields.iter().filter(|field| field.always) {
            if members.contains_key(field.name) {
                continue;
            }
            let mut nothing = if field.shape == Shape::One && !field.optional {
                zero(field.kind)
            } else {
                Value::Null
            };
            if let (Some(message), Some(members)) = (field.message(), nothing.as_object_mut()) {
                self.path.push(Step::Field(field.name));
                self.message(message, members);
                self.path.pop();
            }
            members.insert(field.name.to_owned(), nothing);
        }
        for inner in message.inlined() {
            self.write_standing(inner, members);
        }
    }

    /// Whether the field stays.
    fn field(&mut self, owner: &'static Message, field: &Field, value: &mut Value) -> bool {
        if value.is_null() {
            return false;
        }
        match (field.shape, &mut *value) {
            (Shape::One, value) => {
                self.value(owner, field, value);
                field.optional || field.always || !is_zero(value)
            }
            (Shape::List, Value::Array(items)) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.path.push(Step::Item(index));
                    self.value(owner, field, item);
                    self.path.pop();
                }
                field.always || !items.is_empty()
            }
            (Shape::Map, Value::Object(entries)) => {
                for (name, entry) in entries.iter_mut() {
                    // Only a message below an entry can have a path to tell.
                    let is_deep = field.message().is_some();
                    self.path.push(Step::Entry(if is_deep {
                        name.clone()
                    } else {
                        String::new()
                    }));
                    self.value(owner, field, entry);
                    self.path.pop();
                }
                field.always || !entries.is_empty()
            }
            (Shape::List, value) => {
                let wanted = format!("[]{}", go_type(field.kind));
                self.mismatch(owner, value, &wanted);
                false
            }
            (Shape::Map, value) => {
                let wanted = format!("map[string]{}", go_type(field.kind));
                self.mismatch(owner, value, &wanted);
                false
            }
        }
    }

    /// One value: of a field, of a list's item or of a map's entry.
    fn value(&mut self, owner: &'static Message, field: &Field, value: &mut Value) {
        if value.is_null() {
            *value = zero(field.kind);
        }
        match (field.kind, &mut *value) {
            (Kind::Message(_) | Kind::MessageOrOther(_), Value::Object(members)) => {
                if let Some(message) = field.message() {
                    self.message(message, members);
                }
            }
            (Kind::MessageOrOther(_) | Kind::Raw, _)
            | (Kind::Bool, Value::Bool(_))
            | (Kind::Float, Value::Number(_))
            | (Kind::String, Value::String(_)) => {}
            (kind, value) => match scalar::settle(kind, value) {
                Ok(()) => {}
                Err(scalar::Fault::Type) => self.mismatch(owner, value, &go_type(kind)),
                Err(scalar::Fault::Said(said)) => self.fault(said),
            },
        }
    }

    fn unknown(&mut self, name: &str) {
        if self.findings.unknown.len() < UNKNOWN_MAX {
            let mut path = String::new();
            for step in &self.path {
                match step {
                    Step::Entry(name) => path.push_str(&format!("{name}.")),
                    Step::Field(name) => path.push_str(&format!("{name}.")),
                    Step::Item(index) => {
                        path.pop();
                        path.push_str(&format!("[{index}]."));
                    }
                }
            }
            self.findings.unknown.push(path + name);
        }
    }

    fn mismatch(&mut self, owner: &Message, value: &Value, wanted: &str) {
        if self.findings.fault.is_some() {
            return;
        }
        let wanted = match wanted {
            "v1.Time" | "v1.MicroTime" => "string",
            "intstr.IntOrString" => "int32",
            wanted => wanted,
        };
        let is = match value {
            Value::Number(number) if matches!(wanted, "int32" | "int64") => {
                format!("number {number}")
            }
            value => type_of(value).to_owned(),
        };
        let fields = self.path.iter().filter_map(|step| match step {
            Step::Field(name) => Some(*name),
            Step::Entry(_) | Step::Item(_) => None,
        });
        let path: Vec<&str> = fields.collect();
        let (owner, path) = (owner.short_name(), path.join("."));
        self.fault(format!(
            "json: cannot unmarshal {is} into Go struct field {owner}.{path} of type {wanted}"
        ));
    }

    fn fault(&mut self, said: String) {
        self.findings.fault.get_or_insert(said);
    }
}

/// How Go's decoder calls a type.
fn go_type(kind: Kind) -> String {
    match kind {
        Kind::Bool => "bool".to_owned(),
        Kind::Bytes => "[]uint8".to_owned(),
        Kind::Float => "float64".to_owned(),
        Kind::Int32 => "int32".to_owned(),
        Kind::Int64 => "int64".to_owned(),
        Kind::IntOrString => "intstr.IntOrString".to_owned(),
        Kind::Message(name) | Kind::MessageOrOther(name) => {
            format!("v1.{}", name.rsplit('.').next().unwrap_or(name))
        }
        Kind::MicroTime => "v1.MicroTime".to_owned(),
        Kind::Quantity => "resource.Quantity".to_owned(),
        Kind::Raw => "runtime.RawExtension".to_owned(),
        Kind::String => "string".to_owned(),
        Kind::Time => "v1.Time".to_owned(),
    }
}

/// What a value is where nothing was said.
fn zero(kind: Kind) -> Value {
    match kind {
        Kind::Bool => false.into(),
        Kind::Float | Kind::Int32 | Kind::Int64 | Kind::IntOrString => 0.into(),
        Kind::Bytes | Kind::String => "".into(),
        Kind::Message(_) => json!({}),
        Kind::MessageOrOther(_) | Kind::MicroTime | Kind::Raw | Kind::Time => Value::Null,
        Kind::Quantity => "0".into(),
    }
}

/// What Go leaves out of JSON where it may.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Bool(flag) => !flag,
        Value::Null => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Object(members) => members.is_empty(),
        Value::String(text) => text.is_empty(),
    }
}

/// Unknown fields that are told of one object.
const UNKNOWN_MAX: usize = 100;

#[cfg(test)]
mod tests;
