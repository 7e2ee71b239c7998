//! Objects that are refused, cause by cause; the table against the real server is tests/real/suite/answers/checks.txt.

use serde_json::json;

use super::*;
use crate::kind::built_in;

fn faults(kind: &str, document: Value) -> Vec<String> {
    let row = built_in().into_iter().find(|row| row.kind == kind).unwrap();
    let causes = check(&row, &document).into_iter();
    causes
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect()
}

#[test]
fn rows_and_functions_tell_where_the_fault_is() {
    let pod = json!({ "spec": { "containers": [
        { "name": "a", "image": "i", "livenessProbe": {}, "ports": [{ "containerPort": 70_000 }],
          "resources": { "limits": { "cpu": "500m" }, "requests": { "cpu": "1" } },
          "volumeMounts": [{ "name": "none", "mountPath": "/a" }] },
        { "name": "a", "imagePullPolicy": "Odd" }
    ] } });
    assert_eq!(
        faults("Pod", pod),
        [
            "spec.containers[0].volumeMounts[0].name: Not found: \"none\"",
            "spec.containers[1].name: Duplicate value: \"a\"",
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            "spec.containers[0].resources.requests: Invalid value: \"1\": must be less than or equal to cpu limit of 500m",
            "spec.containers[1].image: Required value",
            "spec.containers[1].imagePullPolicy: Unsupported value: \"Odd\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
        ]
    );
}

#[test]
fn a_selector_selects_its_template() {
    let with = |selector: Value| {
        let template = json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [{ "name": "c", "image": "i" }] } });
        let spec = json!({ "selector": selector, "strategy": { "type": "Recreate" }, "template": template });
        faults("Deployment", json!({ "spec": spec }))
    };
    assert_eq!(with(json!({ "matchLabels": { "a": "b" } })), [""; 0]);
    let term = |operator: &str, values: &[&str]| {
        with(
            json!({ "matchExpressions": [{ "key": "a", "operator": operator, "values": values }] }),
        )
        .len()
    };
    assert_eq!(
        (
            term("In", &["b", "c"]),
            term("NotIn", &["c"]),
            term("Exists", &[])
        ),
        (0, 0, 0)
    );
    assert_eq!(
        (
            term("In", &["c"]),
            term("DoesNotExist", &[]),
            term("Odd", &[])
        ),
        (1, 1, 2)
    );
    assert_eq!(with(json!({ "matchLabels": { "a": "c" } })).len(), 1);
    assert_eq!(with(Value::Null).len(), 2);
}

#[test]
fn what_may_not_change_does_not() {
    let row = |kind: &str| built_in().into_iter().find(|row| row.kind == kind).unwrap();
    let fields = |kind: &str, old: Value, new: Value| {
        let causes = check_change(&row(kind), &old, &new).into_iter();
        causes.map(|cause| cause.field).collect::<Vec<_>>()
    };
    let pod = |image: &str, node: &str| json!({ "spec": { "containers": [{ "image": image }], "nodeName": node } });
    assert_eq!(fields("Pod", pod("a", ""), pod("b", "")), [""; 0]);
    assert_eq!(fields("Pod", pod("a", ""), pod("a", "n")), ["spec"]);
    let map = |value: &str| json!({ "immutable": true, "data": { "a": value } });
    assert_eq!(fields("ConfigMap", map("1"), map("2")), ["data"]);
    assert_eq!(
        fields("ConfigMap", json!({ "data": {} }), map("2")),
        [""; 0]
    );
    let set =
        |replicas: u8, name: &str| json!({ "spec": { "replicas": replicas, "serviceName": name } });
    assert_eq!(fields("StatefulSet", set(1, "a"), set(2, "a")), [""; 0]);
    assert_eq!(fields("StatefulSet", set(1, "a"), set(1, "b")), ["spec"]);
}
