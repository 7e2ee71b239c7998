//! What values built-in kinds take: rows of a table, by message, and a few functions for what no row can say.
//!
//! Does not check types (that was done when the object was decoded), and not all that the real server checks:
//! docs/src/reference/apiserver.md has the list.
//!
//! K1  Each fault is a cause of one refusal, up to `FAULTS_MAX`; the object is looked at to its end.
//! Source: kubernetes pkg/apis/*/validation/validation.go @v1.36.3; the sentences are those of a real server.

mod changes;
mod pods;
mod services;
mod table;
mod workloads;

use std::fmt::Display;

use serde_json::Value;

pub(super) use self::changes::check_change;
use super::names;
use crate::{
    kind::KindRow,
    messages::{Message, Shape, of_row},
    refusal::RefusalCause,
};

/// The faults found so far.
#[derive(Default)]
struct Faults(Vec<RefusalCause>);

impl Faults {
    fn add(&mut self, reason: &'static str, path: &str, message: String) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(RefusalCause::new(reason, message, path));
        }
    }

    fn required(&mut self, path: &str, why: &str) {
        let colon = if why.is_empty() { "" } else { ": " };
        self.add(
            "FieldValueRequired",
            path,
            format!("Required value{colon}{why}"),
        );
    }

    fn invalid(&mut self, path: &str, value: &dyn Display, why: &str) {
        self.add(
            "FieldValueInvalid",
            path,
            format!("Invalid value: {value}: {why}"),
        );
    }

    fn forbidden(&mut self, path: &str, why: &str) {
        self.add("FieldValueForbidden", path, format!("Forbidden: {why}"));
    }

    fn duplicate(&mut self, path: &str, value: &dyn Display) {
        self.add(
            "FieldValueDuplicate",
            path,
            format!("Duplicate value: {value}"),
        );
    }

    fn unsupported(&mut self, path: &str, value: &dyn Display, supported: &[&str]) {
        let quoted: Vec<String> = supported.iter().map(|text| format!("\"{text}\"")).collect();
        let quoted = quoted.join(", ");
        let message = format!("Unsupported value: {value}: supported values: {quoted}");
        self.add("FieldValueNotSupported", path, message);
    }
}

/// What a row asks of its field.
enum Rule {
    /// A whole number from here to there.
    Between(i64, i64),
    /// Whatever a function asks of the whole message.
    Do(fn(&Value, &str, &mut Faults)),
    /// A DNS label.
    Label,
    /// The keys and values are those of labels.
    Labels,
    NonNegative,
    OneOf(&'static [&'static str]),
    /// The name of a port, or its number.
    Port,
    Positive,
    /// It is there; with what else is said where it is not.
    Required(&'static str),
    /// A DNS subdomain.
    Subdomain,
    /// No two items have this in common, where they have it.
    Unique(&'static str),
}

/// A field of a message, and a rule for it.
struct Row(&'static str, &'static str, Rule);

/// What is wrong with an object.
pub(super) fn check(row: &KindRow, document: &Value) -> Vec<RefusalCause> {
    let mut faults = Faults::default();
    if let Some(message) = of_row(row) {
        check_message(message, document, "", &mut faults);
    }
    faults.0
}

fn check_message(message: &'static Message, value: &Value, path: &str, faults: &mut Faults) {
    // Metadata is checked where all kinds have it alike.
    if message.name == "meta.ObjectMeta" {
        if !path.is_empty() && path != "metadata" {
            // The server's own types have no metadata of their own here.
            let place = path.trim_end_matches("metadata").to_owned() + "labels";
            faults
                .0
                .extend(names::label_faults(&value["labels"], &place));
        }
        return;
    }
    for Row(_, field, rule) in table::of(message.name) {
        let (mut at, mut place) = (value, path.to_owned());
        for part in field.split('.').filter(|part| !part.is_empty()) {
            at = &at[part];
            place = below(&place, part);
        }
        rule.check(at, &place, faults);
    }
    let Some(members) = value.as_object() else {
        return;
    };
    for (name, member) in members {
        let Some(field) = message.field(name) else {
            continue;
        };
        let Some(inner) = field.message() else {
            continue;
        };
        let place = below(path, name);
        match (field.shape, member) {
            (Shape::One, Value::Object(_)) => check_message(inner, member, &place, faults),
            (Shape::List, Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    check_message(inner, item, &format!("{place}[{index}]"), faults);
                }
            }
            // No map of a checked kind holds messages.
            _ => {}
        }
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Whether nothing is said.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

// === impl Rule ===

impl Rule {
    fn check(&self, value: &Value, path: &str, faults: &mut Faults) {
        match self {
            Self::Do(check) => return check(value, path, faults),
            Self::Required(why) => {
                if is_empty(value) || value == 0 {
                    faults.required(path, why);
                }
                return;
            }
            _ if value.is_null() || value == "" => return,
            _ => {}
        }
        let number = value.as_i64();
        match self {
            Self::Between(min, max) => {
                if number.is_some_and(|number| !(*min..=*max).contains(&number)) {
                    let why = format!("must be between {min} and {max}, inclusive");
                    faults.invalid(path, value, &why);
                }
            }
            Self::Label => check_text(value, names::not_a_label, path, faults),
            Self::Labels => faults.0.extend(names::label_faults(value, path)),
            Self::NonNegative => {
                if number.is_some_and(|number| number < 0) {
                    faults.invalid(path, value, "must be greater than or equal to 0");
                }
            }
            Self::OneOf(supported) => {
                if !supported.iter().any(|text| value == *text) {
                    faults.unsupported(path, value, supported);
                }
            }
            Self::Port => check_port(value, path, faults),
            Self::Positive => {
                if number.is_some_and(|number| number <= 0) {
                    faults.invalid(path, value, "must be greater than 0");
                }
            }
            Self::Subdomain => check_text(value, names::not_a_subdomain, path, faults),
            Self::Unique(field) => check_unique(value, field, path, faults),
            Self::Do(_) | Self::Required(_) => {}
        }
    }
}

fn check_text(
    value: &Value,
    fault: fn(&str) -> Option<&'static str>,
    path: &str,
    faults: &mut Faults,
) {
    if let Some(why) = value.as_str().and_then(fault) {
        faults.invalid(path, value, why);
    }
}

fn check_port(value: &Value, path: &str, faults: &mut Faults) {
    match value {
        Value::Number(_) => Rule::Between(1, 65_535).check(value, path, faults),
        Value::String(name) => {
            let has_letter = name.bytes().any(|byte| byte.is_ascii_lowercase());
            let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
            if name.len() > 15 {
                faults.invalid(path, value, "must be no more than 15 characters");
            }
            if !name.bytes().all(is_plain) {
                let why = "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
                faults.invalid(path, value, why);
            }
            if !has_letter {
                faults.invalid(path, value, "must contain at least one letter (a-z)");
            }
            if name.contains("--") {
                faults.invalid(path, value, "must not contain consecutive hyphens");
            }
            if name.starts_with('-') || name.ends_with('-') {
                faults.invalid(path, value, "must not begin or end with a hyphen");
            }
        }
        _ => {}
    }
}

fn check_unique(value: &Value, field: &str, path: &str, faults: &mut Faults) {
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    for (index, item) in items.iter().enumerate() {
        let name = &item[field];
        if !is_empty(name) && items[..index].iter().any(|before| &before[field] == name) {
            faults.duplicate(&format!("{path}[{index}].{field}"), name);
        }
    }
}

/// Faults that are told of one object.
const FAULTS_MAX: usize = 50;

#[cfg(test)]
mod tests;
