//! What is made of objects that leave things out, and when their generation moves.

use serde_json::{Value, json};

use crate::{
    Refusal, State,
    state::{Admission, DeleteOptions, Part, Patch, Terms},
};

fn strict() -> Terms<'static> {
    Terms {
        admission: Admission::Strict,
        manager: "t",
        ..Terms::open(0)
    }
}

fn create(state: &mut State, group: &str, plural: &str, spec: Value) -> Result<Value, Refusal> {
    let resource = state.resource(group, "v1", plural).unwrap();
    let count = state.len(resource);
    let document = json!({ "metadata": { "name": format!("s{count}") }, "spec": spec });
    let namespace = state.kind(resource).namespaced.then_some("default");
    let created = state.create_with(resource, namespace, document, &strict());
    created.map(|outcome| outcome.object.document())
}

#[test]
fn services_get_addresses_of_their_own() {
    let state = &mut State::new(1);
    let mut address = |spec: Value| {
        let created = create(state, "", "services", spec)?;
        assert_eq!(
            created["spec"]["clusterIPs"][0],
            created["spec"]["clusterIP"]
        );
        Ok(created["spec"]["clusterIP"]
            .as_str()
            .unwrap_or("-")
            .to_owned())
    };
    let ports = json!([{ "port": 80 }]);
    let taken = json!({ "ports": ports, "clusterIP": "10.96.0.3" });
    assert_eq!(address(taken.clone()).unwrap(), "10.96.0.3");
    assert_eq!(address(json!({ "ports": ports })).unwrap(), "10.96.0.2");
    assert_eq!(address(json!({ "ports": ports })).unwrap(), "10.96.0.4");
    let headless = json!({ "ports": ports, "clusterIP": "None" });
    assert_eq!(address(headless.clone()).unwrap(), "None");
    assert_eq!(address(headless).unwrap(), "None", "nobody's own");
    let elsewhere = json!({ "type": "ExternalName", "externalName": "x.y" });
    assert_eq!(address(elsewhere).unwrap(), "-");
    let refusal: Refusal = address(taken).unwrap_err();
    let expected = "Service \"s6\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.3\"]: failed \
                    to allocate IP 10.96.0.3: provided IP is already allocated";
    assert_eq!((refusal.code, refusal.message.as_str()), (422, expected));
}

#[test]
fn a_services_address_stays() {
    let state = &mut State::new(1);
    let created = create(state, "", "services", json!({ "ports": [{ "port": 80 }] })).unwrap();
    assert_eq!(created["spec"]["type"], "ClusterIP");
    assert_eq!(created["spec"]["ports"][0]["protocol"], "TCP");
    let resource = state.resource("", "v1", "services").unwrap();
    let silent = json!({ "metadata": { "name": "s0" }, "spec": { "ports": [{ "port": 81 }] } });
    let put = state.update_with(resource, "default/s0", silent, Part::Main, &strict());
    let put = put.unwrap().object.document();
    assert_eq!(put["spec"]["clusterIP"], created["spec"]["clusterIP"]);
    let other = br#"{"spec":{"clusterIP":"10.96.0.77"}}"#;
    let (key, part) = ("default/s0", Part::Main);
    let patched = state.patch_with(resource, key, Patch::Merge, other, part, &strict());
    let refusal = patched.unwrap_err();
    let expected = "Service \"s0\" is invalid: spec.clusterIPs[0]: Invalid value: [\"10.96.0.77\"]: may \
                    not change once set";
    assert_eq!((refusal.code, refusal.message.as_str()), (422, expected));
}

/// The spec of a controller of pods.
fn workload() -> Value {
    let ports = json!([{ "containerPort": 1 }]);
    json!({ "selector": { "matchLabels": { "a": "b" } }, "template": {
        "metadata": { "creationTimestamp": null, "labels": { "a": "b" } },
        "spec": { "containers": [{ "name": "c", "image": "i", "ports": ports }] } } })
}

#[test]
fn clients_find_the_defaults_that_they_read() {
    let state = &mut State::new(1);
    for plural in ["deployments", "replicasets", "statefulsets"] {
        let created = create(state, "apps", plural, workload()).unwrap();
        assert_eq!(created["spec"]["replicas"], 1, "{plural}");
        let pod = &created["spec"]["template"];
        assert_eq!(pod["spec"]["restartPolicy"], "Always", "{plural}");
        let port = &pod["spec"]["containers"][0]["ports"][0];
        assert_eq!(port["protocol"], "TCP", "{plural}");
        let labels = json!({ "labels": { "a": "b" } });
        assert_eq!(pod["metadata"], labels, "a typed object has no nulls");
    }
    let mut none = workload();
    none["replicas"] = 0.into();
    let none = create(state, "apps", "deployments", none).unwrap();
    assert_eq!(none["spec"]["replicas"], 0);
    let containers = json!([{ "name": "c", "image": "i" }]);
    let pod = create(
        state,
        "",
        "pods",
        json!({ "restartPolicy": "Never", "containers": containers }),
    )
    .unwrap();
    assert_eq!(pod["spec"]["restartPolicy"], "Never");
    assert_eq!(pod["status"]["phase"], "Pending");
    let time = "2026-01-01T00:00:00.123456Z";
    let lease = create(
        state,
        "coordination.k8s.io",
        "leases",
        json!({ "renewTime": time }),
    );
    assert_eq!(lease.unwrap()["spec"]["renewTime"], time);
}

#[test]
fn pr_n10_the_generation_moves_with_the_spec_and_the_beginning_of_the_end() {
    let state = &mut State::new(1);
    create(state, "apps", "deployments", workload()).unwrap();
    let resource = state.resource("apps", "v1", "deployments").unwrap();
    let mut patch = |body: &str, part| {
        let (key, body) = ("default/s0", body.as_bytes());
        let patched = state.patch_with(resource, key, Patch::Merge, body, part, &strict());
        patched.unwrap().object.document()["metadata"]["generation"].clone()
    };
    assert_eq!(patch(r#"{"metadata":{"labels":{"a":"b"}}}"#, Part::Main), 1);
    assert_eq!(patch(r#"{"status":{"replicas":1}}"#, Part::Status), 1);
    assert_eq!(patch(r#"{"spec":{"replicas":2}}"#, Part::Main), 2);
    assert_eq!(
        patch(r#"{"metadata":{"finalizers":["x.io/a"]}}"#, Part::Main),
        2
    );
    let options = DeleteOptions::default();
    let marked = state.delete_with(resource, "default/s0", &options, &strict());
    let marked = marked.unwrap().object.document();
    assert_eq!(marked["metadata"]["generation"], 3);
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
    let more = br#"{"metadata":{"finalizers":["x.io/a","x.io/b"]}}"#;
    let (key, part) = ("default/s0", Part::Main);
    let refusal = state.patch_with(resource, key, Patch::Merge, more, part, &strict());
    assert_eq!(refusal.unwrap_err().code, 422, "no new finalizers");
    let map = create(state, "", "configmaps", json!({})).unwrap();
    assert!(
        map["metadata"]["generation"].is_null(),
        "not every kind counts"
    );
}

#[test]
fn a_dry_run_answers_and_changes_nothing() {
    let state = &mut State::new(1);
    let resource = state.resource("", "v1", "configmaps").unwrap();
    let dry = Terms {
        dry_run: true,
        ..strict()
    };
    let document = json!({ "metadata": { "name": "d" }, "data": { "k": "v" } });
    let created = state.create_with(resource, Some("default"), document.clone(), &dry);
    let created = created.unwrap().object.document();
    assert_eq!(created["data"]["k"], "v");
    assert!(created["metadata"]["resourceVersion"].is_null());
    assert_eq!((state.len(resource), state.resource_version()), (0, 1));
    state
        .create_with(resource, Some("default"), document, &strict())
        .unwrap();
    let (key, body) = ("default/d", br#"{"data":{"k":"w"}}"#);
    let patched = state.patch_with(resource, key, Patch::Merge, body, Part::Main, &dry);
    assert_eq!(patched.unwrap().object.document()["data"]["k"], "w");
    assert_eq!(
        state.get(resource, key).unwrap().document()["data"]["k"],
        "v"
    );
    state
        .delete_with(resource, key, &DeleteOptions::default(), &dry)
        .unwrap();
    assert_eq!((state.len(resource), state.resource_version()), (1, 2));
}

#[test]
fn owner_references_are_whole() {
    let state = &mut State::new(1);
    let resource = state.resource("", "v1", "configmaps").unwrap();
    let document = json!({ "metadata": { "name": "o", "ownerReferences": [{ "kind": "X" }] } });
    let refusal = state.create_with(resource, Some("default"), document, &strict());
    let refusal = refusal.unwrap_err();
    let expected = "ConfigMap \"o\" is invalid: [metadata.ownerReferences.apiVersion: Invalid value: \
                    \"\": version must not be empty, metadata.ownerReferences.name: Invalid value: \"\": \
                    must not be empty, metadata.ownerReferences.uid: Invalid value: \"\": must not be \
                    empty]";
    assert_eq!((refusal.code, refusal.message.as_str()), (422, expected));
}

#[test]
fn pr_n10_a_new_object_has_no_status_of_its_clients_making() {
    let state = &mut State::new(1);
    for (plural, namespace, kept) in [("pods", Some("default"), false), ("nodes", None, true)] {
        let resource = state.resource("", "v1", plural).unwrap();
        let mut document = json!({ "metadata": { "name": "s" }, "status": { "phase": "Odd" } });
        if plural == "pods" {
            document["spec"] = json!({ "containers": [{ "name": "c", "image": "i" }] });
        }
        let created = state.create_with(resource, namespace, document, &strict());
        let phase = created.unwrap().object.document()["status"]["phase"].clone();
        assert_eq!(phase == "Odd", kept, "{plural}");
    }
}
