//! Who owns what after applies and updates; the answers are those that a real server gave to the same
//! requests.

use serde_json::{Value, json};

use crate::{
    Refusal, State,
    kind::KindRow,
    state::{Admission, Effect, Part, Patch, Terms},
};

const KEY: &str = "default/s";

struct Bench {
    state: State,
    resource: usize,
    now: u64,
}

fn bench(group: &str, plural: &str) -> Bench {
    let state = State::new(7);
    let resource = state.resource(group, "v1", plural).unwrap();
    let now = 1_767_225_600;
    Bench {
        state,
        resource,
        now,
    }
}

impl Bench {
    fn terms(manager: &str, force: bool, now: u64) -> Terms<'_> {
        Terms {
            admission: Admission::Strict,
            manager,
            force,
            ..Terms::open(now)
        }
    }

    fn send(&mut self, manager: &str, patch: Patch, body: &str) -> Result<Value, Refusal> {
        self.now += 1;
        let force = manager.ends_with('!');
        let manager = manager.trim_end_matches('!');
        let terms = Self::terms(manager, force, self.now);
        let key = KEY;
        let body = body.as_bytes();
        let sent = self
            .state
            .patch_with(self.resource, key, patch, body, Part::Main, &terms);
        sent.map(|outcome| outcome.object.document())
    }

    fn apply(&mut self, manager: &str, config: &Value) -> Result<Value, Refusal> {
        let row = self.state.kind(self.resource);
        let mut whole = json!({
            "apiVersion": row.api_version(), "kind": row.kind, "metadata": { "name": "s" }
        });
        json_patch::merge(&mut whole, config);
        self.send(manager, Patch::Apply, &whole.to_string())
    }

    fn merge(&mut self, manager: &str, patch: &Value) -> Value {
        let sent = self.send(manager, Patch::Merge, &patch.to_string());
        sent.unwrap()
    }
}

/// The managers as lines: name, operation, fields.
fn owners(document: &Value) -> Vec<String> {
    let entries = document["metadata"]["managedFields"].as_array();
    let line = |entry: &Value| {
        let (name, operation) = (&entry["manager"], &entry["operation"]);
        let text = format!("{name} {operation} {}", entry["fieldsV1"]);
        text.replace('"', "")
    };
    entries.into_iter().flatten().map(line).collect()
}

fn refused(result: Result<Value, Refusal>) -> (u16, String) {
    let refusal = result.unwrap_err();
    (refusal.code, refusal.message)
}

#[test]
fn an_apply_creates_and_owns_its_leaves() {
    let mut bench = bench("", "configmaps");
    let terms = Bench::terms("m1", false, 0);
    let body = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s, labels: {a: b}, finalizers: [x.io/a]}\n\
                data: {k: v, l: w}\n";
    let apply = |bench: &mut Bench| {
        let resource = bench.resource;
        let body = body.as_bytes();
        let state = &mut bench.state;
        let sent = state.patch_with(resource, KEY, Patch::Apply, body, Part::Main, &terms);
        sent.unwrap()
    };
    let created = apply(&mut bench);
    assert_eq!(created.effect, Effect::Created);
    let document = created.object.document();
    let fields = json!({
        "f:data": { "f:k": {}, "f:l": {} },
        "f:metadata": { "f:finalizers": { "v:\"x.io/a\"": {} }, "f:labels": { "f:a": {} } }
    });
    let entry = json!({
        "manager": "m1", "operation": "Apply", "apiVersion": "v1",
        "time": "1970-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": fields
    });
    assert_eq!(document["metadata"]["managedFields"], json!([entry]));
    let version = bench.state.resource_version();
    let again = apply(&mut bench);
    assert_eq!(again.effect, Effect::Updated);
    assert_eq!(bench.state.resource_version(), version, "nothing changed");
}

#[test]
fn fields_of_others_conflict_unless_forced() {
    let mut bench = bench("", "configmaps");
    let config = json!({ "metadata": { "labels": { "a": "b" } }, "data": { "k": "v", "l": "w" } });
    bench.apply("m1", &config).unwrap();
    let refusal = bench.apply("m2", &json!({ "data": { "k": "other" } }));
    let refusal = refusal.unwrap_err();
    let status: Value = serde_json::from_slice(&refusal.to_json()).unwrap();
    assert_eq!(
        status,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "Apply failed with 1 conflict: conflict with \"m1\": .data.k",
            "reason": "Conflict",
            "details": { "causes": [{
                "reason": "FieldManagerConflict", "message": "conflict with \"m1\"",
                "field": ".data.k"
            }] },
            "code": 409
        })
    );
    let three = json!({ "metadata": { "labels": { "a": "c" } }, "data": { "k": "x", "l": "z" } });
    let (_, message) = refused(bench.apply("m2", &three));
    let expected = "Apply failed with 3 conflicts: conflicts with \"m1\":\n- .data.k\n- .data.l\n\
                    - .metadata.labels.a";
    assert_eq!(message, expected);
    let shared = bench.apply("m2", &json!({ "data": { "l": "w", "n": "1" } }));
    assert_eq!(
        shared.unwrap()["data"],
        json!({ "k": "v", "l": "w", "n": "1" })
    );
    let forced = bench.apply("m2!", &json!({ "data": { "k": "forced" } }));
    let forced = forced.unwrap();
    assert_eq!(forced["data"], json!({ "k": "forced", "l": "w" }));
    assert_eq!(
        owners(&forced),
        [
            "m1 Apply {f:data:{f:l:{}},f:metadata:{f:labels:{f:a:{}}}}",
            "m2 Apply {f:data:{f:k:{}}}"
        ]
    );
}

#[test]
fn what_is_applied_no_longer_goes_unless_another_owns_it() {
    let mut bench = bench("", "configmaps");
    let config = json!({
        "metadata": { "labels": { "a": "b" }, "finalizers": ["x.io/a"] },
        "data": { "k": "v", "l": "w", "m": "x" }
    });
    bench.apply("m1", &config).unwrap();
    bench.apply("m2", &json!({ "data": { "l": "w" } })).unwrap();
    bench.merge(
        "other",
        &json!({ "metadata": { "finalizers": ["x.io/a", "x.io/b"] } }),
    );
    let left = bench.apply("m1", &json!({ "data": { "k": "v" } })).unwrap();
    assert_eq!(left["data"], json!({ "k": "v", "l": "w" }));
    assert!(left["metadata"]["labels"].is_null());
    assert_eq!(left["metadata"]["finalizers"], json!(["x.io/b"]));
}

#[test]
fn an_update_takes_what_it_changes_and_gives_up_what_it_removes() {
    let mut bench = bench("", "configmaps");
    bench
        .apply("m1", &json!({ "data": { "k": "v", "l": "w" } }))
        .unwrap();
    let updated = bench.merge("kubectl", &json!({ "data": { "k": "u", "n": "1" } }));
    assert_eq!(
        owners(&updated),
        [
            "m1 Apply {f:data:{f:l:{}}}",
            "kubectl Update {f:data:{f:k:{},f:n:{}}}"
        ]
    );
    let (code, message) = refused(bench.apply("m1", &json!({ "data": { "k": "v" } })));
    assert_eq!(code, 409);
    assert_eq!(
        message,
        "Apply failed with 1 conflict: conflict with \"kubectl\" using v1: .data.k"
    );
    let gone = bench.merge("kubectl", &json!({ "data": null }));
    assert_eq!(owners(&gone), Vec::<String>::new());
}

#[test]
fn a_creation_by_another_verb_owns_maps_and_items_whole() {
    let mut bench = bench("apps", "deployments");
    let terms = Bench::terms("curl", false, 0);
    let document = json!({ "metadata": { "name": "s", "labels": { "a": "b" } }, "spec": {
        "selector": { "matchLabels": { "app": "d" } },
        "template": { "metadata": { "labels": { "app": "d" } }, "spec": { "containers": [
            { "name": "c", "image": "i", "ports": [{ "containerPort": 80 }] }
        ] } }
    } });
    let created = bench
        .state
        .create_with(bench.resource, Some("default"), document, &terms);
    let created = created.unwrap().object.document();
    assert_eq!(
        created["metadata"]["managedFields"][0]["fieldsV1"],
        json!({
            "f:metadata": { "f:labels": { ".": {}, "f:a": {} } },
            "f:spec": {
                "f:progressDeadlineSeconds": {}, "f:replicas": {}, "f:revisionHistoryLimit": {},
                "f:selector": {},
                "f:strategy": { "f:type": {}, "f:rollingUpdate": {
                    ".": {}, "f:maxSurge": {}, "f:maxUnavailable": {} } },
                "f:template": { "f:metadata": { "f:labels": { ".": {}, "f:app": {} } }, "f:spec": {
                    "f:containers": { "k:{\"name\":\"c\"}": {
                        ".": {}, "f:image": {}, "f:imagePullPolicy": {}, "f:name": {},
                        "f:resources": {}, "f:terminationMessagePath": {},
                        "f:terminationMessagePolicy": {},
                        "f:ports": { ".": {},
                            "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {
                                ".": {}, "f:containerPort": {}, "f:protocol": {} } }
                    } },
                    "f:dnsPolicy": {}, "f:restartPolicy": {}, "f:schedulerName": {},
                    "f:securityContext": {}, "f:terminationGracePeriodSeconds": {}
                } }
            }
        })
    );
}

/// A deployment that is checked and found well.
fn deployment(containers: Value) -> Value {
    let labels = json!({ "app": "d" });
    json!({ "spec": { "selector": { "matchLabels": labels }, "template": {
        "metadata": { "labels": labels }, "spec": { "containers": containers } } } })
}

/// Its containers without their defaults.
fn plain(deployment: &Value) -> Value {
    let mut containers = deployment["spec"]["template"]["spec"]["containers"].clone();
    for container in containers.as_array_mut().unwrap() {
        let defaults = [
            "imagePullPolicy",
            "resources",
            "terminationMessagePath",
            "terminationMessagePolicy",
        ];
        container
            .as_object_mut()
            .unwrap()
            .retain(|name, _| !defaults.contains(&name.as_str()));
    }
    containers
}

#[test]
fn lists_merge_by_their_keys() {
    let mut bench = bench("apps", "deployments");
    let port = json!({ "containerPort": 80 });
    let first = deployment(json!([
        { "name": "a", "image": "i", "ports": [port], "env": [{ "name": "X", "value": "1" }] },
        { "name": "b", "image": "i" }
    ]));
    bench.apply("m1", &first).unwrap();
    // The protocol has a default, so that both speak of the same port.
    let second = deployment(json!([
        { "name": "b", "image": "i", "env": [{ "name": "Y", "value": "2" }] },
        { "name": "a", "ports": [{ "containerPort": 80, "protocol": "TCP", "name": "web" }] },
        { "name": "c", "image": "j" }
    ]));
    let merged = bench.apply("m2", &second).unwrap();
    assert_eq!(
        plain(&merged),
        json!([
            { "name": "b", "image": "i", "env": [{ "name": "Y", "value": "2" }] },
            { "name": "a", "image": "i", "env": [{ "name": "X", "value": "1" }],
              "ports": [{ "containerPort": 80, "protocol": "TCP", "name": "web" }] },
            { "name": "c", "image": "j" }
        ]),
        "in the order that was applied last"
    );
    let (_, message) =
        refused(bench.apply("m3", &deployment(json!([{ "name": "a", "image": "x" }]))));
    let expected = "Apply failed with 1 conflict: conflict with \"m1\": \
                    .spec.template.spec.containers[name=\"a\"].image";
    assert_eq!(message, expected);
    // Without its container: b stays for m2 has it too, a's own parts go.
    let left = bench
        .apply("m1", &deployment(json!([{ "name": "a", "image": "i" }])))
        .unwrap();
    let containers = plain(&left);
    assert_eq!(containers[1]["env"], json!(null));
    assert_eq!(
        containers[0],
        json!({ "name": "b", "image": "i", "env": [{ "name": "Y", "value": "2" }] })
    );
}

#[test]
fn items_without_their_keys_and_doubles_are_refused() {
    let mut bench = bench("apps", "deployments");
    let (code, message) = refused(bench.apply("m", &deployment(json!([{ "image": "i" }]))));
    let expected = "Deployment.apps \"s\" is invalid: \
                    spec.template.spec.containers[0].name: Required value";
    assert_eq!((code, message.as_str()), (422, expected));
    let double = deployment(json!([{ "name": "q" }, { "name": "q" }]));
    let (code, message) = refused(bench.apply("m", &double));
    let expected = "failed to create typed patch object (/; apps/v1, Kind=Deployment): \
                    .spec.template.spec.containers: duplicate entries for key [name=\"q\"]";
    assert_eq!((code, message.as_str()), (500, expected));
    let twice = json!({ "metadata": { "finalizers": ["x.io/a", "x.io/a"] } });
    let (code, message) = refused(bench.apply("m", &twice));
    let expected = ".metadata.finalizers: duplicate entries for key [=\"x.io/a\"]";
    assert!(code == 500 && message.ends_with(expected), "{message}");
}

#[test]
fn without_managers_the_first_apply_finds_those_before() {
    let mut bench = bench("", "configmaps");
    bench
        .apply("m1", &json!({ "data": { "k": "v", "l": "w" } }))
        .unwrap();
    let forgotten = bench.merge("x", &json!({ "metadata": { "managedFields": [{}] } }));
    assert_eq!(owners(&forgotten), Vec::<String>::new());
    let updated = bench.merge("x", &json!({ "data": { "k": "x3" } }));
    assert_eq!(owners(&updated), Vec::<String>::new(), "still not tracked");
    let applied = bench.apply("m4", &json!({ "data": { "q": "u" } })).unwrap();
    assert_eq!(
        owners(&applied),
        [
            "m4 Apply {f:data:{f:q:{}}}",
            "before-first-apply Update {f:data:{.:{},f:k:{},f:l:{}}}"
        ]
    );
}

#[test]
fn what_is_no_configuration_is_refused() {
    let mut bench = bench("", "configmaps");
    let mut send = |body: &str| refused(bench.send("m", Patch::Apply, body));
    assert_eq!(send("[]").0, 400);
    assert_eq!(send("{bad").0, 400);
    let bad = |text: &str| (400, text.to_owned());
    assert_eq!(send("{}"), bad("invalid object type: /, Kind="));
    let secret = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"}}"#;
    assert_eq!(send(secret), bad("invalid object type: /v1, Kind=Secret"));
    let unnamed = r#"{"apiVersion":"v1","kind":"ConfigMap"}"#;
    let expected =
        "the name of the object (s based on URL) was undeterminable: name must be provided";
    assert_eq!(send(unnamed), bad(expected));
    let managed =
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"s","managedFields":[]}}"#;
    assert_eq!(send(managed), bad("metadata.managedFields must be nil"));
    let known = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"s","uid":"x"}}"#;
    let expected = "Operation cannot be fulfilled on configmaps \"s\": uid mismatch: the provided \
                    object specified uid x, and no existing object was found";
    assert_eq!(send(known), (409, expected.to_owned()));
}

#[test]
fn pr_n10_a_status_is_applied_through_its_own_endpoint() {
    let mut bench = bench("apps", "deployments");
    let mut config = deployment(json!([{ "name": "c", "image": "i" }]));
    config["spec"]["replicas"] = 2.into();
    config["status"] = json!({ "replicas": 9 });
    let applied = bench.apply("m", &config);
    let applied = applied.unwrap();
    assert_eq!(applied["status"], json!({}));
    let terms = Terms {
        subresource: "status",
        ..Bench::terms("st", false, 9)
    };
    let body = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "s" },
        "spec": { "replicas": 7 },
        "status": { "replicas": 1, "conditions": [{ "type": "Available", "status": "True" }] }
    });
    let body = body.to_string();
    let (resource, patch) = (bench.resource, Patch::Apply);
    let state = &mut bench.state;
    let applied = state.patch_with(resource, KEY, patch, body.as_bytes(), Part::Status, &terms);
    let applied = applied.unwrap().object.document();
    assert_eq!(applied["spec"]["replicas"], 2);
    assert_eq!(applied["status"]["replicas"], 1);
    assert_eq!(applied["metadata"]["generation"], 1);
    let entries = applied["metadata"]["managedFields"].as_array().unwrap();
    let status = entries
        .iter()
        .find(|entry| entry["manager"] == "st")
        .unwrap();
    assert_eq!(status["subresource"], "status");
    assert_eq!(
        status["fieldsV1"],
        json!({ "f:status": {
            "f:conditions": { "k:{\"type\":\"Available\"}": { ".": {}, "f:status": {}, "f:type": {} } },
            "f:replicas": {}
        } })
    );
}

#[test]
fn objects_without_a_schema_merge_as_plain_maps() {
    let mut bench = bench("", "configmaps");
    bench
        .state
        .register(KindRow::custom("ex.com", "v1", "widgets", "Widget"));
    bench.resource = bench.state.resource("ex.com", "v1", "widgets").unwrap();
    bench
        .apply("a", &json!({ "spec": { "size": 1, "tags": ["x"] } }))
        .unwrap();
    let (_, message) = refused(bench.apply("b", &json!({ "spec": { "tags": ["y"] } })));
    assert_eq!(
        message,
        "Apply failed with 1 conflict: conflict with \"a\": .spec.tags"
    );
    let merged = bench
        .apply("b", &json!({ "spec": { "color": "red" } }))
        .unwrap();
    assert_eq!(
        merged["spec"],
        json!({ "size": 1, "tags": ["x"], "color": "red" })
    );
}

#[test]
fn an_item_goes_with_who_owns_that_it_is_there() {
    let mut bench = bench("apps", "deployments");
    let both = deployment(json!([{ "name": "c", "image": "i" }, { "name": "d", "image": "i" }]));
    bench.apply("m1", &both).unwrap();
    let change = deployment(json!([{ "name": "d", "image": "k" }]));
    let changed = bench.send("o", Patch::Strategic, &change.to_string());
    assert!(owners(&changed.unwrap())[1].contains("f:image"));
    let left = bench
        .apply("m1", &deployment(json!([{ "name": "c", "image": "i" }])))
        .unwrap();
    assert_eq!(plain(&left), json!([{ "name": "c", "image": "i" }]));
    assert_eq!(
        owners(&left).len(),
        1,
        "nothing is left that the other could own"
    );
}

#[test]
fn a_managers_time_moves_when_it_changes_something() {
    let mut bench = bench("", "configmaps");
    let times = |document: &Value| {
        let entries = document["metadata"]["managedFields"].as_array().unwrap();
        let time = |entry: &Value| entry["time"].as_str().unwrap()[17..19].to_owned();
        entries.iter().map(time).collect::<Vec<_>>().join(" ")
    };
    let config = |value: &str| json!({ "data": { "k": value } });
    assert_eq!(times(&bench.apply("m", &config("v")).unwrap()), "01");
    assert_eq!(times(&bench.apply("m", &config("w")).unwrap()), "02");
    assert_eq!(
        times(&bench.apply("m", &config("w")).unwrap()),
        "02",
        "nothing to do"
    );
    let label = |value: &str| json!({ "metadata": { "labels": { "a": value, "b": "c" } } });
    assert_eq!(times(&bench.merge("u", &label("1"))), "02 04");
    assert_eq!(
        times(&bench.merge("u", &label("2"))),
        "02 05",
        "of what it owns already"
    );
    let less = json!({ "metadata": { "labels": { "b": null } } });
    assert_eq!(
        times(&bench.merge("u", &less)),
        "02 05",
        "to give up is no change"
    );
}

#[test]
fn what_is_empty_owns_nothing_where_lists_merge_and_in_metadata() {
    let mut bench = bench("", "pods");
    let config = json!({ "metadata": { "labels": {}, "finalizers": [] },
        "spec": { "containers": [{ "name": "c", "image": "i", "env": [] }], "nodeSelector": {}, "tolerations": [] } });
    let applied = bench.apply("m", &config).unwrap();
    assert_eq!(
        owners(&applied),
        [
            "m Apply {f:metadata:{f:labels:{}},f:spec:{f:containers:{k:{\\name\\:\\c\\}:{.:{},f:image:{},\
          f:name:{}}},f:nodeSelector:{},f:tolerations:{}}}"
        ]
    );
    assert!(applied["metadata"]["labels"].is_null());
    assert!(applied["metadata"]["finalizers"].is_null());
}
