//! Validation of custom objects, in the words of the real server.
//!
//! Does not stop at the first fault: each is a cause of one refusal, up to a bound.

use std::{cmp::Ordering, collections::BTreeSet};

use serde_json::{Number, Value};

use super::Schema;
use crate::refusal::RefusalCause;

/// The faults found so far.
struct Faults(Vec<RefusalCause>);

impl Faults {
    fn add(&mut self, reason: &'static str, field: &str, message: String) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(RefusalCause::new(reason, message, field));
        }
    }

    fn invalid(&mut self, path: &str, value: &Value, why: &str) {
        let message = format!("Invalid value: {value}: {path} in body {why}");
        self.add("FieldValueInvalid", path, message);
    }
}

impl Schema {
    /// What is wrong with an object.
    pub(in crate::state) fn validate(&self, document: &Value) -> Vec<RefusalCause> {
        let mut faults = Faults(Vec::new());
        self.check(document, "", &mut faults);
        faults.0
    }

    fn check(&self, value: &Value, path: &str, faults: &mut Faults) {
        if value.is_null() && self.nullable {
            return;
        }
        if let Some(wanted) = self.wrong_type(value) {
            let is = type_of(value);
            let message = format!(
                "Invalid value: \"{is}\": {path} in body must be of type {wanted}: \"{is}\""
            );
            return faults.add("FieldValueTypeInvalid", path, message);
        }
        match value {
            Value::Array(items) => self.check_items(value, items, path, faults),
            Value::Number(number) => self.check_number(value, number, path, faults),
            Value::Object(_) => self.check_members(value, path, faults),
            Value::String(text) => self.check_text(value, text, path, faults),
            Value::Bool(_) | Value::Null => {}
        }
        if !self.allowed.is_empty() && !self.allowed.contains(value) {
            let allowed: Vec<String> = self.allowed.iter().map(quoted).collect();
            let allowed = allowed.join(", ");
            let message = format!("Unsupported value: {value}: supported values: {allowed}");
            faults.add("FieldValueNotSupported", path, message);
        }
        self.check_combinations(value, path, faults);
    }

    /// The type that the value should have had, if it has another.
    fn wrong_type(&self, value: &Value) -> Option<String> {
        let is = type_of(value);
        if self.int_or_string {
            let fits = matches!(is, "integer" | "string");
            return (!fits).then(|| "integer,string".to_owned());
        }
        let fits = self.kind.is_empty() || self.kind == is;
        let widened = self.kind == "number" && is == "integer";
        (!fits && !widened).then(|| self.kind.clone())
    }

    fn check_members(&self, value: &Value, path: &str, faults: &mut Faults) {
        let Some(members) = value.as_object() else {
            return;
        };
        let below = |name: &str| match path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        for name in &self.required {
            if !members.contains_key(name) {
                let missing = "Required value".to_owned();
                faults.add("FieldValueRequired", &below(name), missing);
            }
        }
        let len = members.len() as u64;
        if let Some(max) = self.max_properties.filter(|max| len > *max) {
            too_many(path, len, max, faults);
        }
        if let Some(min) = self.min_properties.filter(|min| len < *min) {
            let why = format!("should have at least {min} properties");
            faults.invalid(path, &len.into(), &why);
        }
        for (name, value) in members {
            if let Some(schema) = self.member(name) {
                schema.check(value, &below(name), faults);
            }
        }
    }

    fn check_items(&self, value: &Value, items: &[Value], path: &str, faults: &mut Faults) {
        let len = items.len() as u64;
        if let Some(max) = self.max_items.filter(|max| len > *max) {
            too_many(path, len, max, faults);
        }
        if let Some(min) = self.min_items.filter(|min| len < *min) {
            let why = format!("should have at least {min} items");
            faults.invalid(path, &len.into(), &why);
        }
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if let Some(schema) = &self.items {
                schema.check(item, &path, faults);
            }
            let name = match self.list_type.as_str() {
                "map" => {
                    let keys = self.list_keys.iter();
                    let keys = keys.map(|key| (key.clone(), item[key].clone()));
                    Value::Object(keys.collect()).to_string()
                }
                "set" => item.to_string(),
                _ => continue,
            };
            let message = format!("Duplicate value: {name}");
            if !seen.insert(name) {
                faults.add("FieldValueDuplicate", &path, message);
            }
        }
        let different = || {
            let texts: BTreeSet<String> = items.iter().map(Value::to_string).collect();
            texts.len()
        };
        if self.unique_items && different() < items.len() {
            faults.invalid(path, value, "shouldn't contain duplicates");
        }
    }

    fn check_number(&self, value: &Value, number: &Number, path: &str, faults: &mut Faults) {
        let order = |bound: &Number| compare(number, bound);
        if let Some(min) = &self.minimum {
            let is_exclusive = self.exclusive_minimum;
            let is_low = order(min) == Ordering::Less;
            if is_low || (is_exclusive && order(min) == Ordering::Equal) {
                let or = if is_exclusive { "" } else { " or equal to" };
                faults.invalid(
                    path,
                    value,
                    &format!("should be greater than{or} {}", whole(min)),
                );
            }
        }
        if let Some(max) = &self.maximum {
            let is_exclusive = self.exclusive_maximum;
            let is_high = order(max) == Ordering::Greater;
            if is_high || (is_exclusive && order(max) == Ordering::Equal) {
                let or = if is_exclusive { "" } else { " or equal to" };
                faults.invalid(
                    path,
                    value,
                    &format!("should be less than{or} {}", whole(max)),
                );
            }
        }
        if let Some(of) = &self.multiple_of {
            let is_multiple = match (number.as_i64(), of.as_i64()) {
                (Some(number), Some(of)) => number.checked_rem(of).is_none_or(|rest| rest == 0),
                _ => {
                    let quotient = as_f64(number) / as_f64(of);
                    (quotient - quotient.round()).abs() < 1e-9
                }
            };
            if !is_multiple {
                faults.invalid(
                    path,
                    value,
                    &format!("should be a multiple of {}", whole(of)),
                );
            }
        }
    }

    /// A text's first fault is told.
    fn check_text(&self, value: &Value, text: &str, path: &str, faults: &mut Faults) {
        let len = text.chars().count() as u64;
        if let Some(max) = self.max_length.filter(|max| len > *max) {
            let message = format!("Too long: may not be more than {max} bytes");
            return faults.add("FieldValueTooLong", path, message);
        }
        if let Some(min) = self.min_length.filter(|min| len < *min) {
            let why = format!("should be at least {min} chars long");
            return faults.invalid(path, value, &why);
        }
        if let Some(pattern) = &self.pattern {
            let compiled = pattern.compiled.as_ref();
            if compiled.is_some_and(|compiled| !compiled.is_match(text)) {
                faults.invalid(path, value, &format!("should match '{}'", pattern.text));
            }
        }
    }

    fn check_combinations(&self, value: &Value, path: &str, faults: &mut Faults) {
        let is_valid = |schema: &Self| {
            let mut faults = Faults(Vec::new());
            schema.check(value, path, &mut faults);
            faults.0.is_empty()
        };
        let valid = |schemas: &[Self]| schemas.iter().filter(|schema| is_valid(schema)).count();
        let mut refuse = |why: &str| {
            let message = format!("Invalid value: \"\": \"{path}\" {why}");
            faults.add("FieldValueInvalid", "<nil>", message);
        };
        if valid(&self.all_of) < self.all_of.len() {
            refuse("must validate all the schemas (allOf)");
        }
        if !self.any_of.is_empty() && valid(&self.any_of) == 0 {
            refuse("must validate at least one schema (anyOf)");
        }
        let one = valid(&self.one_of);
        if !self.one_of.is_empty() && one == 0 {
            refuse("must validate one and only one schema (oneOf). Found none valid");
        } else if one > 1 {
            refuse("must validate one and only one schema (oneOf). Found more than one valid");
        }
        if self.not.as_ref().is_some_and(|schema| is_valid(schema)) {
            refuse("must not validate the schema (not)");
        }
    }
}

fn too_many(path: &str, len: u64, max: u64, faults: &mut Faults) {
    let message = format!("Too many: {len}: must have at most {max} items");
    faults.add("FieldValueTooMany", path, message);
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "array",
        Value::Bool(_) => "boolean",
        Value::Null => "null",
        Value::Number(number) if number.is_f64() && as_f64(number).fract() != 0.0 => "number",
        Value::Number(_) => "integer",
        Value::Object(_) => "object",
        Value::String(_) => "string",
    }
}

fn compare(one: &Number, other: &Number) -> Ordering {
    match (one.as_i64(), other.as_i64()) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => as_f64(one).total_cmp(&as_f64(other)),
    }
}

/// A bound as Go prints it: what has no fraction shows none.
fn whole(number: &Number) -> String {
    let mut text = number.to_string();
    if text.ends_with(".0") {
        text.truncate(text.len() - 2);
    }
    text
}

/// A value of an enumeration as a refusal lists it: whatever it is, in quotes.
fn quoted(value: &Value) -> String {
    match value {
        Value::String(_) => value.to_string(),
        other => format!("\"{other}\""),
    }
}

fn as_f64(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

/// Faults that are told of one object.
const FAULTS_MAX: usize = 50;
