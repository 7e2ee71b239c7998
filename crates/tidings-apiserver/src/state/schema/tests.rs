//! Objects against one schema; the refusals are those that a real server gave to the same objects.

use serde_json::{Value, json};

use super::*;
use crate::refusal::RefusalCause;

fn schema() -> Schema {
    let spec = json!({
        "type": "object", "required": ["size"],
        "properties": {
            "size": { "type": "integer", "minimum": 1, "maximum": 10 },
            "color": { "type": "string", "enum": ["red", "blue"], "default": "red" },
            "code": { "type": "string", "pattern": "^[a-z]+$", "maxLength": 5, "minLength": 2 },
            "tags": { "type": "array", "items": { "type": "string" }, "maxItems": 2 },
            "ports": {
                "type": "array", "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": { "type": "object", "required": ["name"], "properties": {
                    "name": { "type": "string" }, "port": { "type": "integer", "default": 80 } } }
            },
            "any": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            "io": { "x-kubernetes-int-or-string": true },
            "map": { "type": "object", "additionalProperties": { "type": "integer" } },
            "nul": { "type": "string", "nullable": true },
            "fl": { "type": "number", "minimum": 0, "exclusiveMinimum": true },
            "five": { "type": "integer", "multipleOf": 5 },
            "b": { "type": "boolean" },
            "one": { "type": "object", "properties": { "a": {}, "b": {} },
                "oneOf": [{ "required": ["a"] }, { "required": ["b"] }] }
        }
    });
    Schema::parse(&json!({ "type": "object", "properties": { "spec": spec } }))
}

fn stored(spec: Value) -> Value {
    let mut document = json!({ "apiVersion": "x/v1", "metadata": { "name": "w" }, "spec": spec });
    schema().prepare(&mut document);
    assert_eq!(
        document["metadata"]["name"], "w",
        "metadata is not the schema's"
    );
    document["spec"].clone()
}

/// What is wrong, as `field: message`.
fn faults(spec: Value) -> Vec<String> {
    let mut document = json!({ "spec": spec });
    schema().prepare(&mut document);
    let faults = schema().validate(&document);
    let line = |fault: &RefusalCause| format!("{}: {}", fault.field, fault.message);
    faults.iter().map(line).collect()
}

#[test]
fn unknown_fields_go_and_missing_ones_get_their_defaults() {
    let given = json!({ "size": 3, "odd": 1, "any": { "x": { "y": 1 } }, "ports": [{ "name": "a", "z": 1 }],
        "map": { "k": 1 }, "color": null, "nul": null, "tags": null });
    assert_eq!(
        stored(given.clone()),
        json!({ "size": 3, "any": { "x": { "y": 1 } }, "ports": [{ "name": "a", "port": 80 }],
            "map": { "k": 1 }, "color": "red", "nul": null })
    );
    let unknown = schema().unknown(&json!({ "kind": "W", "spec": given, "top": 1 }));
    assert_eq!(unknown, ["spec.odd", "spec.ports[0].z", "top"]);
}

#[test]
fn each_fault_has_the_words_of_the_server() {
    for line in FAULTS.lines() {
        let (spec, expected) = line.split_once(" -> ").unwrap();
        let spec: Value = serde_json::from_str(spec).unwrap();
        assert_eq!(faults(spec), [expected], "{line}");
    }
    for spec in [
        json!({ "size": 3, "io": "5" }),
        json!({ "size": 3, "io": 5, "fl": 2 }),
        json!({ "size": 3, "one": { "b": 1 } }),
        json!({ "size": 3, "nul": null, "five": 10 }),
    ] {
        assert_eq!(faults(spec), Vec::<String>::new());
    }
    assert_eq!(faults(json!({ "size": 0, "color": "green" })).len(), 2);
}

const FAULTS: &str = r#"{} -> spec.size: Required value
{"size":null} -> spec.size: Required value
{"size":"3"} -> spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"
{"size":1.5} -> spec.size: Invalid value: "number": spec.size in body must be of type integer: "number"
{"size":0} -> spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1
{"size":11} -> spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10
{"size":3,"fl":0} -> spec.fl: Invalid value: 0: spec.fl in body should be greater than 0
{"size":3,"five":7} -> spec.five: Invalid value: 7: spec.five in body should be a multiple of 5
{"size":3,"color":"green"} -> spec.color: Unsupported value: "green": supported values: "red", "blue"
{"size":3,"code":"ABC"} -> spec.code: Invalid value: "ABC": spec.code in body should match '^[a-z]+$'
{"size":3,"code":"ABCDEFG"} -> spec.code: Too long: may not be more than 5 bytes
{"size":3,"code":"a"} -> spec.code: Invalid value: "a": spec.code in body should be at least 2 chars long
{"size":3,"tags":["a","b","c"]} -> spec.tags: Too many: 3: must have at most 2 items
{"size":3,"tags":[1]} -> spec.tags[0]: Invalid value: "integer": spec.tags[0] in body must be of type string: "integer"
{"size":3,"io":true} -> spec.io: Invalid value: "boolean": spec.io in body must be of type integer,string: "boolean"
{"size":3,"map":{"b":"x"}} -> spec.map.b: Invalid value: "string": spec.map.b in body must be of type integer: "string"
{"size":3,"b":"x"} -> spec.b: Invalid value: "string": spec.b in body must be of type boolean: "string"
{"size":3,"ports":[{}]} -> spec.ports[0].name: Required value
{"size":3,"ports":[{"name":"a"},{"name":"a"}]} -> spec.ports[1]: Duplicate value: {"name":"a"}
{"size":3,"one":{}} -> <nil>: Invalid value: "": "spec.one" must validate one and only one schema (oneOf). Found none valid
"x" -> spec: Invalid value: "string": spec in body must be of type object: "string""#;

#[test]
fn a_schema_may_be_deep_and_faults_many_without_end() {
    let mut schema = json!({ "type": "string" });
    for _ in 0..300 {
        schema = json!({ "type": "object", "properties": { "a": schema } });
    }
    let mut value = json!(1);
    for _ in 0..300 {
        value = json!({ "a": value });
    }
    let schema = Schema::parse(&schema);
    schema.prepare(&mut value);
    assert!(schema.validate(&value).is_empty(), "so deep anything goes");
    let strings = Schema::parse(&json!({ "type": "array", "items": { "type": "string" } }));
    let numbers = Value::from((0..1_000).collect::<Vec<_>>());
    assert_eq!(strings.validate(&numbers).len(), 50);
}
