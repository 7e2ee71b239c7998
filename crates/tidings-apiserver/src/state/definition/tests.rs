//! The life of a definition: refused, accepted, served, changed, and gone.

use serde_json::{Value, json};

use crate::{
    Refusal, State,
    kind::{KindRow, Scale},
    state::{
        Admission, DeleteOptions, Part, Patch, Terms, WatchListSupport, WatchQuery, WatchStep,
    },
};

const NAME: &str = "widgets.ex.com";

fn strict() -> Terms<'static> {
    Terms {
        admission: Admission::Strict,
        manager: "t",
        ..Terms::open(0)
    }
}

fn definition(name: &str, plural: &str, kind: &str) -> Value {
    let schema = json!({ "openAPIV3Schema": { "type": "object", "properties": {
        "spec": { "type": "object", "required": ["size"], "properties": {
            "size": { "type": "integer" }, "color": { "type": "string", "default": "red" } } },
        "status": { "type": "object", "properties": { "ready": { "type": "boolean" } } }
    } } });
    let scale = json!({ "specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size" });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": name },
        "spec": {
            "group": "ex.com", "scope": "Namespaced", "names": { "plural": plural, "kind": kind },
            "versions": [
                { "name": "v1beta1", "served": true, "storage": false, "schema": schema },
                { "name": "v1", "served": true, "storage": true, "schema": schema,
                  "subresources": { "status": {}, "scale": scale } }
            ]
        }
    })
}

struct Bench {
    state: State,
    definitions: usize,
}

fn bench() -> Bench {
    let state = State::new(7);
    let definitions = state
        .resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        .unwrap();
    Bench { state, definitions }
}

impl Bench {
    fn define(&mut self, document: Value) -> Result<Value, Refusal> {
        let created = self
            .state
            .create_with(self.definitions, None, document, &strict());
        created.map(|outcome| outcome.object.document())
    }

    fn widgets(&self, version: &str) -> Option<usize> {
        self.state.resource("ex.com", version, "widgets")
    }

    fn create(&mut self, version: &str, name: &str) -> Result<Value, Refusal> {
        let resource = self.widgets(version).ok_or_else(Refusal::no_such_path)?;
        let document = json!({ "metadata": { "name": name }, "spec": { "size": 3, "odd": 1 } });
        let namespace = Some("default");
        let created = self
            .state
            .create_with(resource, namespace, document, &strict());
        created.map(|outcome| outcome.object.document())
    }

    fn delete(&mut self) {
        let (state, resource) = (&mut self.state, self.definitions);
        let deleted = state.delete_with(resource, NAME, &DeleteOptions::default(), &strict());
        let deleted = deleted.unwrap().object.document();
        let finalizers = json!(["customresourcecleanup.apiextensions.k8s.io"]);
        assert_eq!(deleted["metadata"]["finalizers"], finalizers);
    }
}

fn conditions(document: &Value) -> Vec<String> {
    let conditions = document["status"]["conditions"].as_array().unwrap();
    let line = |it: &Value| format!("{}={} {}", it["type"], it["status"], it["reason"]);
    let lines = conditions.iter().map(line);
    lines.map(|line| line.replace('"', "")).collect()
}

#[test]
fn a_definition_is_established_and_served_at_once() {
    let mut bench = bench();
    let defined = bench.define(definition(NAME, "widgets", "Widget")).unwrap();
    assert_eq!(
        conditions(&defined),
        [
            "NamesAccepted=True NoConflicts",
            "Established=True InitialNamesAccepted"
        ]
    );
    let names = json!({ "plural": "widgets", "kind": "Widget", "singular": "widget",
        "listKind": "WidgetList" });
    assert_eq!(defined["status"]["acceptedNames"], names);
    assert_eq!(defined["status"]["storedVersions"], json!(["v1"]));
    let created = bench.create("v1", "a").unwrap();
    assert_eq!(created["spec"], json!({ "size": 3, "color": "red" }));
    let group = bench.state.discovery("/apis/ex.com").unwrap();
    assert_eq!(
        group["preferredVersion"]["version"], "v1",
        "stable before beta"
    );
    let listed = bench.state.discovery("/apis/ex.com/v1").unwrap();
    let names = listed["resources"].as_array().unwrap().iter();
    let names: Vec<&str> = names.map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["widgets", "widgets/scale", "widgets/status"]);
}

#[test]
fn versions_share_their_objects() {
    let mut bench = bench();
    bench.define(definition(NAME, "widgets", "Widget")).unwrap();
    bench.create("v1beta1", "a").unwrap();
    let (old, new) = (
        bench.widgets("v1beta1").unwrap(),
        bench.widgets("v1").unwrap(),
    );
    let shown = |resource| {
        let object = bench.state.get(resource, "default/a").unwrap();
        let document: Value = serde_json::from_slice(&bench.state.shown(resource, object)).unwrap();
        document["apiVersion"].clone()
    };
    assert_eq!(
        (shown(old), shown(new)),
        (json!("ex.com/v1beta1"), json!("ex.com/v1"))
    );
    let query = WatchQuery::default();
    let opened = bench.state.watch(old, &query, WatchListSupport::On);
    let mut watch = opened.unwrap();
    let change = br#"{"spec":{"size":4}}"#;
    let (key, part) = ("default/a", Part::Main);
    let changed = bench
        .state
        .patch_with(new, key, Patch::Merge, change, part, &strict());
    changed.unwrap();
    let mut out = Vec::new();
    watch.step(&bench.state, 1 << 20, &mut out);
    let frames: Vec<Value> = serde_json::Deserializer::from_slice(&out)
        .into_iter()
        .map(|frame| frame.unwrap())
        .collect();
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[1]["type"], "MODIFIED");
    assert_eq!(frames[1]["object"]["apiVersion"], "ex.com/v1beta1");
    assert_eq!(frames[1]["object"]["spec"]["size"], 4);
}

#[test]
fn pr_n10_custom_objects_have_status_and_scale_as_declared() {
    let mut bench = bench();
    bench.define(definition(NAME, "widgets", "Widget")).unwrap();
    bench.create("v1", "a").unwrap();
    let resource = bench.widgets("v1").unwrap();
    let key = "default/a";
    let both = br#"{"spec":{"size":9},"status":{"ready":true,"odd":1}}"#;
    let state = &mut bench.state;
    let status = state.patch_with(resource, key, Patch::Merge, both, Part::Status, &strict());
    let status = status.unwrap().object.document();
    assert_eq!(status["spec"]["size"], 3);
    assert_eq!(status["status"], json!({ "ready": true }));
    assert_eq!(status["metadata"]["generation"], 1);
    let wanted = br#"{"spec":{"replicas":5}}"#;
    let scaled = state.rescale(resource, key, Some(Patch::Merge), wanted, &strict());
    assert_eq!(scaled.unwrap().object.document()["spec"]["size"], 5);
    let scale = state.scale(resource, key).unwrap();
    assert_eq!(
        (&scale["kind"], &scale["spec"]["replicas"]),
        (&json!("Scale"), &json!(5))
    );
    assert_eq!(scale["status"]["replicas"], 0);
    let unconditional = json!({ "metadata": { "name": "a" }, "spec": { "size": 4 } });
    let put = state.update_with(resource, key, unconditional, Part::Main, &strict());
    let refusal = put.unwrap_err();
    let expected = "widgets.ex.com \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must \
                    be specified for an update";
    assert_eq!((refusal.code, refusal.message.as_str()), (422, expected));
    let strategic = state.patch_with(
        resource,
        key,
        Patch::Strategic,
        b"{}",
        Part::Main,
        &strict(),
    );
    assert_eq!(strategic.unwrap_err().code, 415);
}

#[test]
fn what_cannot_be_served_is_refused() {
    let mut bench = bench();
    let mut refused = |document: Value| {
        let refusal = bench.define(document).unwrap_err();
        assert_eq!(refusal.code, 422);
        refusal.message
    };
    let expected = "CustomResourceDefinition.apiextensions.k8s.io \"x.ex.com\" is invalid: \
                    metadata.name: Invalid value: \"x.ex.com\": must be \
                    spec.names.plural+\".\"+spec.group";
    assert_eq!(
        refused(definition("x.ex.com", "widgets", "Widget")),
        expected
    );
    let mut bare = definition(NAME, "widgets", "Widget");
    bare["spec"]["versions"][0]["schema"] = Value::Null;
    let expected = "CustomResourceDefinition.apiextensions.k8s.io \"widgets.ex.com\" is invalid: \
                    spec.versions[0].schema.openAPIV3Schema: Required value";
    assert_eq!(refused(bare), expected);
    let mut hooked = definition(NAME, "widgets", "Widget");
    hooked["spec"]["conversion"] = json!({ "strategy": "Webhook" });
    assert!(refused(hooked).contains("spec.conversion.strategy: Unsupported value"));
    let mut twice = definition(NAME, "widgets", "Widget");
    twice["spec"]["versions"][0]["storage"] = true.into();
    assert!(refused(twice).contains("exactly one version"));
}

#[test]
fn a_kind_that_is_taken_is_not_established() {
    let mut bench = bench();
    bench.define(definition(NAME, "widgets", "Widget")).unwrap();
    let second = bench.define(definition("gadgets.ex.com", "gadgets", "Widget"));
    assert_eq!(
        conditions(&second.unwrap()),
        [
            "NamesAccepted=False KindConflict",
            "Established=False NotAccepted"
        ]
    );
    assert!(bench.state.resource("ex.com", "v1", "gadgets").is_none());
}

#[test]
fn a_definition_takes_its_objects_with_it_and_comes_back_without_them() {
    let mut bench = bench();
    let first = bench.define(definition(NAME, "widgets", "Widget")).unwrap();
    for number in 0..120 {
        bench.create("v1", &format!("w{number}")).unwrap();
    }
    let resource = bench.widgets("v1").unwrap();
    let held = br#"{"metadata":{"finalizers":["x.io/a"]}}"#;
    bench
        .state
        .patch(resource, "default/w7", Patch::Merge, held)
        .unwrap();
    let query = WatchQuery::default();
    let mut watch = bench
        .state
        .watch(resource, &query, WatchListSupport::On)
        .unwrap();
    bench.delete();
    let refusal = bench.create("v1", "late").unwrap_err();
    let expected = "widgets.ex.com \"late\" is forbidden: create not allowed while custom resource \
                    definition is terminating";
    assert_eq!((refusal.code, refusal.message.as_str()), (403, expected));
    while bench.state.collect(0) {}
    assert_eq!(bench.state.len(resource), 1, "one is held by its finalizer");
    let free = br#"{"metadata":{"finalizers":null}}"#;
    bench
        .state
        .patch(resource, "default/w7", Patch::Merge, free)
        .unwrap();
    while bench.state.collect(0) {}
    assert_eq!(bench.widgets("v1"), None);
    assert!(bench.state.discovery("/apis/ex.com").is_none());
    let mut out = Vec::new();
    let mut step = WatchStep::More;
    while step == WatchStep::More {
        let len = out.len();
        step = watch.step(&bench.state, len + 1, &mut out);
    }
    assert_eq!(step, WatchStep::Ended, "its watches end");
    let frames = serde_json::Deserializer::from_slice(&out).into_iter::<Value>();
    let deleted = frames.filter(|frame| frame.as_ref().unwrap()["type"] == "DELETED");
    assert_eq!(
        deleted.count(),
        120,
        "after they have told of all deletions"
    );
    let second = bench.define(definition(NAME, "widgets", "Widget")).unwrap();
    assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
    assert_eq!(bench.state.len(bench.widgets("v1").unwrap()), 0);
}

#[test]
fn a_changed_definition_is_served_as_it_is_now() {
    let mut bench = bench();
    bench.define(definition(NAME, "widgets", "Widget")).unwrap();
    bench.create("v1beta1", "a").unwrap();
    let mut changed = definition(NAME, "widgets", "Widget");
    changed["spec"]["versions"]
        .as_array_mut()
        .unwrap()
        .remove(0);
    let schema = &mut changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    schema["properties"]["spec"]["properties"]["odd"] = json!({ "type": "integer" });
    let (state, resource) = (&mut bench.state, bench.definitions);
    let updated = state.update_with(resource, NAME, changed, Part::Main, &strict());
    assert_eq!(
        updated.unwrap().object.document()["metadata"]["generation"],
        2
    );
    assert_eq!(bench.widgets("v1beta1"), None);
    let created = bench.create("v1", "b").unwrap();
    assert_eq!(created["spec"]["odd"], 1);
    assert_eq!(
        bench.state.len(bench.widgets("v1").unwrap()),
        2,
        "the objects stay"
    );
}

#[test]
fn pr_f9_definitions_go_back_with_the_state() {
    let mut bench = bench();
    let before = bench.state.checkpoint();
    bench.define(definition(NAME, "widgets", "Widget")).unwrap();
    bench.create("v1", "a").unwrap();
    let with = bench.state.checkpoint();
    bench.state.restore(&before);
    assert_eq!(bench.widgets("v1"), None);
    bench.state.restore(&with);
    let resource = bench.widgets("v1").unwrap();
    assert!(bench.state.get(resource, "default/a").is_some());
}

#[test]
fn pr_n9_custom_lists_are_applied_by_the_keys_of_their_schema() {
    let mut bench = bench();
    let mut document = definition(NAME, "widgets", "Widget");
    let items = json!({ "type": "object", "properties": {
        "name": { "type": "string" }, "port": { "type": "integer" } } });
    let spec = "/spec/versions/1/schema/openAPIV3Schema/properties/spec/properties";
    let fields = document.pointer_mut(spec).unwrap();
    fields["ports"] = json!({ "type": "array", "items": items, "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"] });
    fields["tags"] = json!({ "type": "array", "items": { "type": "string" } });
    bench.define(document).unwrap();
    bench.create("v1", "a").unwrap();
    let resource = bench.widgets("v1").unwrap();
    let mut apply = |manager: &str, spec: Value| {
        let body = json!({ "apiVersion": "ex.com/v1", "kind": "Widget",
            "metadata": { "name": "a" }, "spec": spec });
        let terms = Terms {
            manager,
            ..strict()
        };
        let (key, body) = ("default/a", body.to_string());
        let (state, patch) = (&mut bench.state, Patch::Apply);
        state
            .patch_with(resource, key, patch, body.as_bytes(), Part::Main, &terms)
            .map(|outcome| outcome.object.document())
            .map_err(|refusal| (refusal.code, refusal.message))
    };
    let first = json!({ "ports": [{ "name": "b", "port": 5 }], "tags": ["x"] });
    apply("a", first).unwrap();
    let more = apply("b", json!({ "ports": [{ "name": "c" }] })).unwrap();
    let ports = json!([{ "name": "b", "port": 5 }, { "name": "c" }]);
    assert_eq!(more["spec"]["ports"], ports);
    let entries = more["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(
        entries[1]["fieldsV1"],
        json!({ "f:spec": { "f:ports": { "k:{\"name\":\"c\"}": { ".": {}, "f:name": {} } } } })
    );
    let other = json!({ "ports": [{ "name": "b", "port": 6 }], "tags": ["y"] });
    let expected = "Apply failed with 2 conflicts: conflicts with \"a\":\n- .spec.tags\n\
                    - .spec.ports[name=\"b\"].port";
    assert_eq!(apply("b", other).unwrap_err(), (409, expected.to_owned()));
    let expected = "failed to create typed patch object (/; ex.com/v1, Kind=Widget): .spec.odd: field \
                    not declared in schema";
    assert_eq!(
        apply("b", json!({ "odd": 1 })).unwrap_err(),
        (500, expected.to_owned())
    );
}

#[test]
fn a_definition_that_is_torn_out_leaves_nothing() {
    let mut bench = bench();
    bench.define(definition(NAME, "widgets", "Widget")).unwrap();
    bench.create("v1", "a").unwrap();
    let resource = bench.widgets("v1").unwrap();
    let held = br#"{"metadata":{"finalizers":["x.io/a"]}}"#;
    bench
        .state
        .patch(resource, "default/a", Patch::Merge, held)
        .unwrap();
    bench.delete();
    let torn = br#"{"metadata":{"finalizers":null}}"#;
    bench
        .state
        .patch(bench.definitions, NAME, Patch::Merge, torn)
        .unwrap();
    while bench.state.collect(0) {}
    assert_eq!(bench.widgets("v1"), None);
    assert_eq!(bench.state.len(resource), 0);
}

#[test]
fn a_scale_without_a_selector_path_has_no_selector() {
    let mut state = State::new(1);
    let row = KindRow {
        scale: Some(Scale {
            spec: "/spec/size".into(),
            status: "/status/size".into(),
            selector: "".into(),
        }),
        ..KindRow::custom("x.io", "v1", "things", "Thing")
    };
    state.register(row);
    let resource = state.resource("x.io", "v1", "things").unwrap();
    let thing = json!({ "metadata": { "name": "t" }, "spec": { "size": 3 } });
    state.create(resource, Some("default"), thing, 0).unwrap();
    let scale = state.scale(resource, "default/t").unwrap();
    assert_eq!(scale["spec"]["replicas"], 3);
    assert_eq!(scale["status"].get("selector"), None);
}
