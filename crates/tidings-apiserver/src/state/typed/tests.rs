//! What becomes of documents that say too much, too little, or it in another type.

use super::*;
use crate::kind::built_in;

fn row(kind: &str) -> KindRow {
    let mut rows = built_in().into_iter();
    rows.find(|row| row.kind == kind).unwrap()
}

fn settled(kind: &str, mut document: Value) -> (Value, Findings) {
    let findings = settle(&row(kind), &mut document, false);
    (document, findings)
}

#[test]
fn unknown_fields_go_and_are_told_with_their_paths() {
    let (pod, findings) = settled(
        "Pod",
        json!({ "kind": "Pod", "apiVersion": "v1", "top": 1, "metadata": { "nam": 1 },
            "spec": { "containers": [{ "name": "a" }, { "name": "c", "fo": 1, "ports": [{ "x": 1 }] }],
                "volumes": [{ "name": "v", "volumeSource": {}, "emptyDir": { "y": 1 } }] } }),
    );
    assert_eq!(
        findings.unknown,
        [
            "metadata.nam",
            "spec.containers[1].fo",
            "spec.containers[1].ports[0].x",
            "spec.volumes[0].emptyDir.y",
            "spec.volumes[0].volumeSource",
            "top"
        ]
    );
    assert_eq!(findings.fault, None);
    assert_eq!(
        pod["spec"],
        json!({ "containers": [{ "name": "a", "resources": {} },
            { "name": "c", "ports": [{ "containerPort": 0 }], "resources": {} }],
            "volumes": [{ "name": "v", "emptyDir": {} }] })
    );
    let definition = json!({ "spec": { "versions": [{ "schema": { "openAPIV3Schema": {
        "properties": { "spec": { "items": { "typ": 1 } }, "any": { "additionalProperties": true } } } } }] } });
    let unknown = settled("CustomResourceDefinition", definition).1.unknown;
    assert_eq!(
        unknown,
        ["spec.versions[0].schema.openAPIV3Schema.properties.spec.items.typ"]
    );
}

#[test]
fn each_wrong_type_has_the_words_of_the_server() {
    for (kind, document, expected) in [
        (
            "Pod",
            json!({ "spec": { "containers": "c" } }),
            "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            "Pod",
            json!({ "spec": { "containers": ["c"] } }),
            "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type v1.Container",
        ),
        (
            "Pod",
            json!({ "metadata": "a" }),
            "json: cannot unmarshal string into Go struct field Pod.metadata of type v1.ObjectMeta",
        ),
        (
            "Pod",
            json!({ "metadata": { "labels": { "a": 1 } } }),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            "Pod",
            json!({ "metadata": { "labels": [1] } }),
            "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (
            "Pod",
            json!({ "metadata": { "creationTimestamp": 5 } }),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        ),
        (
            "Pod",
            json!({ "metadata": { "creationTimestamp": "x" } }),
            "parsing time \"x\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"x\" as \"2006\"",
        ),
        (
            "Pod",
            json!({ "spec": { "priority": 1.5 } }),
            "json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.priority of type int32",
        ),
        (
            "Pod",
            json!({ "spec": { "priority": 99_999_999_999_i64 } }),
            "json: cannot unmarshal number 99999999999 into Go struct field PodSpec.spec.priority of type int32",
        ),
        (
            "Service",
            json!({ "spec": { "ports": [{ "targetPort": true }] } }),
            "json: cannot unmarshal bool into Go struct field ServicePort.spec.ports.targetPort of type int32",
        ),
        (
            "Secret",
            json!({ "data": { "a": 5 } }),
            "json: cannot unmarshal number into Go struct field Secret.data of type []uint8",
        ),
        (
            "Secret",
            json!({ "data": { "a": "%%" } }),
            "illegal base64 data at input byte 0",
        ),
        (
            "ConfigMap",
            json!({ "data": { "a": {} } }),
            "json: cannot unmarshal object into Go struct field ConfigMap.data of type string",
        ),
    ] {
        let findings = settled(kind, document).1;
        assert_eq!(findings.fault.as_deref(), Some(expected), "{kind}");
    }
}

#[test]
fn what_holds_nothing_is_written_as_go_writes_it() {
    let (map, findings) = settled(
        "ConfigMap",
        json!({ "data": { "a": null }, "binaryData": {}, "immutable": false }),
    );
    assert_eq!(findings, Findings::default());
    assert_eq!(
        map,
        json!({ "metadata": {}, "data": { "a": "" }, "immutable": false })
    );
    let (deployment, _) = settled(
        "Deployment",
        json!({ "spec": { "paused": false, "replicas": 0 } }),
    );
    assert_eq!(
        deployment,
        json!({ "metadata": {}, "status": {}, "spec": { "replicas": 0, "selector": null, "strategy": {},
            "template": { "metadata": {}, "spec": { "containers": null } } } })
    );
    for kind in built_in() {
        let mut once = json!({ "metadata": { "name": "x" } });
        settle(&kind, &mut once, true);
        let mut twice = once.clone();
        assert_eq!(
            settle(&kind, &mut twice, true),
            Findings::default(),
            "{}",
            kind.kind
        );
        assert_eq!(once, twice, "Y1: {}", kind.kind);
    }
}
