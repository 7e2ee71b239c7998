//! Pruning and defaulting of custom objects.
//!
//! Does not refuse anything: what has the wrong type is left for validation.

use serde_json::{Map, Value};

use super::Schema;

/// What every object has, whatever its schema says.
const OF_OBJECTS: [&str; 3] = ["apiVersion", "kind", "metadata"];

impl Schema {
    /// Drops what the schema does not know, and fills in what it has defaults for.
    pub(in crate::state) fn prepare(&self, document: &mut Value) {
        if let Value::Object(top) = document {
            self.members(top, &OF_OBJECTS);
        }
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::Object(members) if self.embedded => self.members(members, &OF_OBJECTS),
            Value::Object(members) => self.members(members, &[]),
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    items.iter_mut().for_each(|item| schema.value(item));
                }
            }
            _ => {}
        }
    }

    fn members(&self, members: &mut Map<String, Value>, kept: &[&str]) {
        members.retain(|name, value| {
            if kept.contains(&name.as_str()) {
                return true;
            }
            let schema = self.member(name);
            // A null where none may be stands for the field's absence.
            let is_absence = schema.is_some_and(|schema| !schema.nullable && !schema.preserve);
            (schema.is_some() || self.preserve) && !(value.is_null() && is_absence)
        });
        for (name, schema) in &self.properties {
            let default = schema.default.as_ref();
            if let Some(default) = default.filter(|_| !members.contains_key(name)) {
                members.insert(name.clone(), default.clone());
            }
        }
        for (name, value) in members.iter_mut() {
            if let Some(schema) = self.member(name).filter(|_| !kept.contains(&name.as_str())) {
                schema.value(value);
            }
        }
    }

    /// The members that pruning would drop, as paths.
    pub(in crate::state) fn unknown(&self, document: &Value) -> Vec<String> {
        let mut found = Vec::new();
        self.find_unknown(document, "", &OF_OBJECTS, &mut found);
        found
    }

    fn find_unknown(&self, value: &Value, path: &str, kept: &[&str], found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    if kept.contains(&name.as_str()) {
                        continue;
                    }
                    let below = match path {
                        "" => name.clone(),
                        path => format!("{path}.{name}"),
                    };
                    match self.member(name) {
                        Some(schema) => {
                            let kept: &[&str] = if schema.embedded { &OF_OBJECTS } else { &[] };
                            schema.find_unknown(value, &below, kept, found);
                        }
                        None if self.preserve => {}
                        None => found.push(below),
                    }
                }
            }
            Value::Array(items) => {
                let Some(schema) = &self.items else { return };
                for (index, item) in items.iter().enumerate() {
                    schema.find_unknown(item, &format!("{path}[{index}]"), &[], found);
                }
            }
            _ => {}
        }
    }
}
