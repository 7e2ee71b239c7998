//! The schemas of custom objects: what is dropped, filled in and refused.
//!
//! Does not evaluate CEL rules (`x-kubernetes-validations`) nor formats: objects that only those would
//! refuse are let in.
//!
//! In: the `openAPIV3Schema` of a definition's version, parsed once. Pruning comes before defaulting, and
//! that before validation; all three walk the object once.
//! Source: apiextensions-apiserver pkg/apiserver/schema/{pruning,defaulting}, validation/validation.go
//! @v0.36.3; the sentences are those of a real server.

mod prepare;
mod validate;

use std::collections::BTreeMap;

use serde_json::{Number, Value};

use super::shape::{Keys, Listing};

/// The schema of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    kind: String,
    nullable: bool,
    properties: BTreeMap<String, Self>,
    additional: Option<Box<Self>>,
    items: Option<Box<Self>>,
    required: Vec<String>,
    allowed: Vec<Value>,
    default: Option<Value>,
    minimum: Option<Number>,
    exclusive_minimum: bool,
    maximum: Option<Number>,
    exclusive_maximum: bool,
    multiple_of: Option<Number>,
    min_length: Option<u64>,
    max_length: Option<u64>,
    pattern: Option<Pattern>,
    min_items: Option<u64>,
    max_items: Option<u64>,
    unique_items: bool,
    min_properties: Option<u64>,
    max_properties: Option<u64>,
    all_of: Vec<Self>,
    any_of: Vec<Self>,
    one_of: Vec<Self>,
    not: Option<Box<Self>>,
    preserve: bool,
    embedded: bool,
    int_or_string: bool,
    list_type: String,
    list_keys: Vec<String>,
    map_type: String,
}

/// A regular expression that compares by its text.
#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    /// Nothing where the expression is none that is understood here.
    compiled: Option<regex::Regex>,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

// === impl Schema ===

impl Schema {
    /// Reads a schema; what is not understood is not asked of objects.
    #[must_use]
    pub fn parse(schema: &Value) -> Self {
        Self::parse_to(schema, DEPTH_MAX)
    }

    fn parse_to(schema: &Value, depth: usize) -> Self {
        if depth == 0 {
            return Self {
                preserve: true,
                ..Self::default()
            };
        }
        let below = |schema: &Value| Self::parse_to(schema, depth - 1);
        let boxed = |name: &str| {
            let part = schema.get(name).filter(|part| part.is_object());
            part.map(|part| Box::new(below(part)))
        };
        let flag = |name: &str| schema[name].as_bool().unwrap_or(false);
        let text = |name: &str| schema[name].as_str().unwrap_or_default().to_owned();
        let texts = |name: &str| {
            let items = schema[name].as_array().into_iter().flatten();
            items.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let number = |name: &str| schema[name].as_number().cloned();
        let count = |name: &str| schema[name].as_u64();
        let many = |name: &str| {
            let parts = schema[name].as_array().into_iter().flatten();
            parts.map(&below).collect()
        };
        let properties = schema["properties"].as_object().into_iter().flatten();
        let properties = properties.map(|(name, schema)| (name.clone(), below(schema)));
        let open = schema["additionalProperties"] == true;
        let pattern = schema["pattern"].as_str();
        Self {
            kind: text("type"),
            nullable: flag("nullable"),
            properties: properties.collect(),
            additional: boxed("additionalProperties").or_else(|| {
                open.then(|| {
                    Box::new(Self {
                        preserve: true,
                        ..Self::default()
                    })
                })
            }),
            items: boxed("items"),
            required: texts("required"),
            allowed: schema["enum"].as_array().cloned().unwrap_or_default(),
            default: schema.get("default").cloned(),
            minimum: number("minimum"),
            exclusive_minimum: flag("exclusiveMinimum"),
            maximum: number("maximum"),
            exclusive_maximum: flag("exclusiveMaximum"),
            multiple_of: number("multipleOf"),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            pattern: pattern.map(|text| Pattern {
                compiled: regex::Regex::new(text).ok(),
                text: text.to_owned(),
            }),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            unique_items: flag("uniqueItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            all_of: many("allOf"),
            any_of: many("anyOf"),
            one_of: many("oneOf"),
            not: boxed("not"),
            preserve: flag("x-kubernetes-preserve-unknown-fields"),
            embedded: flag("x-kubernetes-embedded-resource"),
            int_or_string: flag("x-kubernetes-int-or-string"),
            list_type: text("x-kubernetes-list-type"),
            list_keys: texts("x-kubernetes-list-map-keys"),
            map_type: text("x-kubernetes-map-type"),
        }
    }

    /// The schema of a member.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        let named = self.properties.get(name);
        named.or(self.additional.as_deref())
    }

    /// Whether a member is one of the properties.
    pub(super) fn names(&self, name: &str) -> bool {
        self.properties.contains_key(name)
    }

    /// Whether a member may be there.
    pub(super) fn admits(&self, name: &str) -> bool {
        self.preserve || self.member(name).is_some()
    }

    pub(super) fn items(&self) -> Option<&Self> {
        self.items.as_deref()
    }

    pub(super) fn listing(&self) -> Listing<'_> {
        match self.list_type.as_str() {
            "map" => Listing::Keyed(Keys::Named(&self.list_keys)),
            "set" => Listing::Set,
            _ => Listing::Atomic,
        }
    }

    pub(super) fn is_atomic_map(&self) -> bool {
        self.map_type == "atomic"
    }
}

/// Schemas are not deeper than this: below it anything goes.
const DEPTH_MAX: usize = 100;

#[cfg(test)]
mod tests;
