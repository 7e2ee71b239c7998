//! OpenAPI v3 documents: enough to explain custom kinds and to say that fields are validated here.
//!
//! Does not describe built-in kinds: their fields have types, and no words. There is no v2.
//!
//! In: a path below `/openapi/v3`. Out: the index, or the document of a group and version, made from the table
//! of kinds and from the definitions, when it is asked for.
//! Source: kube-openapi pkg/handler3 and apiextensions-apiserver pkg/controller/openapi/builder @v0.36.3.

use serde_json::{Map, Value, json};

use super::{State, shape};
use crate::{
    kind::KindRow,
    messages::{Kind, Message, Shape, message, of_row},
};

impl State {
    /// The document of a path below `/openapi/v3`, the path without a slash in front; nothing for others.
    #[must_use]
    pub fn openapi(&self, path: &str) -> Option<Value> {
        if path.is_empty() {
            return Some(self.openapi_index());
        }
        let parts: Vec<&str> = path.split('/').collect();
        let (group, version) = match parts.as_slice() {
            ["api", version] => ("", *version),
            ["apis", group, version] => (*group, *version),
            _ => return None,
        };
        let here = |row: &&KindRow| row.group == group && row.version == version;
        let rows: Vec<&KindRow> = self.kinds().filter(here).collect();
        if rows.is_empty() {
            return None;
        }
        let mut schemas = Map::new();
        schemas.insert(LIST_META.to_owned(), json!({ "type": "object" }));
        add_messages("meta.ObjectMeta", &mut schemas);
        let mut paths = Map::new();
        for row in rows {
            let name = schema_name(row);
            let list = json!({
                "type": "object", "required": ["items"],
                "properties": {
                    "apiVersion": named("string", API_VERSION), "kind": named("string", KIND),
                    "metadata": reference(LIST_META, "Standard list metadata."),
                    "items": { "type": "array", "items": reference(&name, "") }
                },
                "x-kubernetes-group-version-kind": [gvk(row, "List")]
            });
            schemas.insert(format!("{name}List"), list);
            if let Some(message) = of_row(row) {
                add_messages(message.name, &mut schemas);
            }
            schemas.insert(name, self.object_schema(row));
            add_paths(row, &mut paths);
        }
        Some(json!({
            "openapi": "3.0.0", "info": { "title": "Kubernetes", "version": "v1.36.0+tidings" },
            "paths": paths, "components": { "schemas": schemas }
        }))
    }

    fn openapi_index(&self) -> Value {
        let mut paths = Map::new();
        let mut add = |path: String| {
            // The version stands for the content: a definition that changes has another one.
            let url = format!("/openapi/v3/{path}?hash={}", self.resource_version());
            paths.insert(path, json!({ "serverRelativeURL": url }));
        };
        add("api/v1".to_owned());
        for group in self.group_names() {
            for version in self.versions(group) {
                add(format!("apis/{group}/{version}"));
            }
        }
        json!({ "paths": paths })
    }

    /// The schema of an object: a definition's own, with what every object has.
    fn object_schema(&self, row: &KindRow) -> Value {
        let built_in = of_row(row).map(message_schema);
        let mut schema = built_in
            .or_else(|| self.defined_schema(row))
            .unwrap_or_else(
                || json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }),
            );
        if !schema["properties"].is_object() {
            schema["properties"] = json!({});
        }
        let properties = &mut schema["properties"];
        properties["apiVersion"] = named("string", API_VERSION);
        properties["kind"] = named("string", KIND);
        properties["metadata"] = reference(OBJECT_META, METADATA);
        schema["x-kubernetes-group-version-kind"] = json!([gvk(row, "")]);
        schema
    }

    /// The schema as the definition of a kind has it.
    fn defined_schema(&self, row: &KindRow) -> Option<Value> {
        let definitions =
            self.resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")?;
        let definition = self.get(definitions, &row.group_resource())?.document();
        let mut versions = definition["spec"]["versions"].as_array()?.iter();
        let version = versions.find(|version| version["name"] == *row.version)?;
        let schema = &version["schema"]["openAPIV3Schema"];
        schema.is_object().then(|| schema.clone())
    }
}

/// The paths of a kind: which verbs it has, and that writes know `fieldValidation`.
fn add_paths(row: &KindRow, paths: &mut Map<String, Value>) {
    let root = if row.group.is_empty() {
        "/api"
    } else {
        "/apis"
    };
    let base = format!("{root}/{}", row.api_version());
    let collection = match row.namespaced {
        true => format!("{base}/namespaces/{{namespace}}/{}", row.plural),
        false => format!("{base}/{}", row.plural),
    };
    let operation = |action: &str, is_write: bool, bodies: &[&str]| {
        let mut operation = json!({
            "x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk(row, ""),
            "responses": { "200": { "description": "OK" } }
        });
        if is_write {
            let parameter = |name: &str| json!({ "name": name, "in": "query", "schema": { "type": "string", "uniqueItems": true } });
            operation["parameters"] = json!([
                parameter("dryRun"),
                parameter("fieldManager"),
                parameter("fieldValidation")
            ]);
            let body = json!({ "schema": reference(&schema_name(row), "") });
            let bodies = bodies
                .iter()
                .map(|media_type| ((*media_type).to_owned(), body.clone()));
            operation["requestBody"] = json!({ "content": bodies.collect::<Map<_, _>>() });
        }
        operation
    };
    let json = ["application/json", "application/yaml"];
    // Without the strategic merge patch, which is taken all the same: who reads here that it is would merge by
    // the fields of a schema, and there are none; as it is, kubectl merges by the types that it has itself.
    let patches = [
        "application/apply-patch+yaml",
        "application/json-patch+json",
        "application/merge-patch+json",
    ];
    let object = json!({
        "get": operation("get", false, &[]), "put": operation("put", true, &json),
        "patch": operation("patch", true, &patches), "delete": operation("delete", false, &[])
    });
    let whole =
        json!({ "get": operation("list", false, &[]), "post": operation("post", true, &json) });
    paths.insert(format!("{collection}/{{name}}"), object);
    paths.insert(collection, whole);
}

/// As it is done there: the group backwards, then version and kind.
fn schema_name(row: &KindRow) -> String {
    let (version, kind) = (&row.version, &row.kind);
    if row.is_custom() {
        let mut group: Vec<&str> = row.group.split('.').collect();
        group.reverse();
        return format!("{}.{version}.{kind}", group.join("."));
    }
    if let Some(message) = of_row(row) {
        return component(message.name);
    }
    let group = row.group.split('.').next().unwrap_or_default();
    format!("io.k8s.api.{group}.{version}.{kind}")
}

fn gvk(row: &KindRow, suffix: &str) -> Value {
    json!({ "group": row.group, "version": row.version, "kind": format!("{}{suffix}", row.kind) })
}

fn named(kind: &str, description: &str) -> Value {
    json!({ "type": kind, "description": description })
}

fn reference(name: &str, description: &str) -> Value {
    let target = json!({ "$ref": format!("#/components/schemas/{name}") });
    match description {
        "" => target,
        _ => json!({ "allOf": [target], "description": description }),
    }
}

/// Adds a message, and those that it holds.
fn add_messages(name: &'static str, schemas: &mut Map<String, Value>) {
    let component = component(name);
    let Some(message) = message(name).filter(|_| !schemas.contains_key(&component)) else {
        return;
    };
    schemas.insert(component, message_schema(message));
    for (name, schema) in [
        (
            INT_OR_STRING,
            json!({ "format": "int-or-string", "oneOf": [{ "type": "integer" }, { "type": "string" }] }),
        ),
        (
            QUANTITY,
            json!({ "oneOf": [{ "type": "string" }, { "type": "number" }] }),
        ),
    ] {
        schemas.entry(name).or_insert(schema);
    }
    let mut around = vec![message];
    around.extend(message.inlined());
    for field in around.iter().flat_map(|message| &message.fields) {
        if let Kind::Message(name) | Kind::MessageOrOther(name) = field.kind {
            add_messages(name, schemas);
        }
    }
}

/// The schema of a message, its fields and those that it has from others.
fn message_schema(message: &'static Message) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let mut around = vec![message];
    around.extend(message.inlined());
    let fields = around.iter().flat_map(|message| &message.fields);
    for field in fields.filter(|field| !field.inline) {
        let one = type_schema(field.kind);
        let schema = match field.shape {
            Shape::List => {
                let mut list = json!({ "type": "array", "items": one });
                note_patches(message, field.name, &mut list);
                list
            }
            Shape::Map => json!({ "type": "object", "additionalProperties": one }),
            Shape::One => one,
        };
        properties.insert(field.name.to_owned(), schema);
        // Structs are always written; what else is has to be given.
        let is_struct =
            field.shape == Shape::One && matches!(field.kind, Kind::Message(_) | Kind::Time);
        if field.always && !is_struct {
            required.push(field.name);
        }
    }
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

/// How kubectl is to make a strategic merge patch of a list: it reads so here.
fn note_patches(message: &Message, field: &'static str, list: &mut Value) {
    let owners = [
        "EndpointSlice",
        "NetworkPolicy",
        "Node",
        "ServiceAccount",
        "Service",
    ];
    let is_of = |owner: &&&str| message.short_name().starts_with(**owner);
    let shape = shape::Shape::BuiltIn {
        kind: owners.iter().find(is_of).copied().unwrap_or_default(),
        name: field,
        standing: false,
    };
    if let Some(key) = shape.patch_key() {
        list["x-kubernetes-patch-merge-key"] = key.into();
        let keeps = if field == "volumes" {
            "merge,retainKeys"
        } else {
            "merge"
        };
        list["x-kubernetes-patch-strategy"] = keeps.into();
    } else if shape.listing() == shape::Listing::Set {
        list["x-kubernetes-patch-strategy"] = "merge".into();
    }
}

fn type_schema(kind: Kind) -> Value {
    match kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Bytes => json!({ "type": "string", "format": "byte" }),
        Kind::Float => json!({ "type": "number", "format": "double" }),
        Kind::Int32 => json!({ "type": "integer", "format": "int32" }),
        Kind::Int64 => json!({ "type": "integer", "format": "int64" }),
        Kind::IntOrString => reference(INT_OR_STRING, ""),
        Kind::Message(name) | Kind::MessageOrOther(name) => reference(&component(name), ""),
        Kind::MicroTime | Kind::Time => json!({ "type": "string", "format": "date-time" }),
        Kind::Quantity => reference(QUANTITY, ""),
        Kind::Raw => json!({ "type": "object" }),
        Kind::String => json!({ "type": "string" }),
    }
}

/// The name of a message's schema.
fn component(name: &str) -> String {
    match name.split_once('.') {
        Some(("meta", kind)) => format!("io.k8s.apimachinery.pkg.apis.meta.v1.{kind}"),
        Some(("apiextensions", kind)) => {
            format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.{kind}")
        }
        Some((package, kind)) => format!("io.k8s.api.{package}.v1.{kind}"),
        None => name.to_owned(),
    }
}

const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

const METADATA: &str = "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/\
    sig-architecture/api-conventions.md#metadata";

const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. Servers \
    should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: \
    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";

const KIND: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer \
    this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: \
    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_and_version_of_the_index_has_a_document_with_its_kinds() {
        let mut state = State::new(1);
        state.register(KindRow::custom("x.io", "v2", "things", "Thing"));
        let index = state.openapi("").unwrap();
        let paths = index["paths"].as_object().unwrap();
        assert!(paths.contains_key("apis/x.io/v2"));
        for path in paths.keys() {
            let document = state.openapi(path).unwrap();
            let schemas = document["components"]["schemas"].as_object().unwrap();
            let name = path
                .strip_prefix("apis/")
                .or_else(|| path.strip_prefix("api/"));
            let kinds = state
                .kinds()
                .filter(|row| Some(&*row.api_version()) == name);
            for row in kinds {
                let schema = &schemas[&schema_name(row)];
                assert_eq!(
                    schema["x-kubernetes-group-version-kind"][0]["kind"],
                    *row.kind
                );
            }
            let all = document["paths"].as_object().unwrap().iter();
            for (path, operations) in all.filter(|(path, _)| path.ends_with("{name}")) {
                let parameters = operations["patch"]["parameters"].as_array().unwrap();
                assert!(
                    parameters.iter().any(|it| it["name"] == "fieldValidation"),
                    "{path}"
                );
            }
        }
        let core = state.openapi("api/v1").unwrap();
        let schemas = &core["components"]["schemas"];
        let port = &schemas["io.k8s.api.core.v1.ContainerPort"];
        assert_eq!(port["properties"]["containerPort"]["type"], "integer");
        assert_eq!(port["required"], json!(["containerPort"]));
        let key = |message: &str, field: &str| {
            let list = &schemas[format!("io.k8s.api.core.v1.{message}")]["properties"][field];
            list["x-kubernetes-patch-merge-key"].clone()
        };
        assert_eq!(key("PodSpec", "containers"), "name");
        assert_eq!(key("Container", "ports"), "containerPort");
        assert_eq!(key("ServiceSpec", "ports"), "port");
        assert_eq!(key("Container", "args"), Value::Null);
        for schema in schemas.as_object().unwrap().values() {
            for text in schema.to_string().split("#/components/schemas/").skip(1) {
                let name = text.split('"').next().unwrap();
                assert!(schemas.get(name).is_some(), "{name}");
            }
        }
        assert_eq!(state.openapi("apis/absent/v1"), None);
        assert_eq!(state.openapi("v2"), None);
    }
}
