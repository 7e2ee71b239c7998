//! Realistic pods by number, for tests, benches and the demo.

use serde_json::{Value, json};

/// A running pod: some 3 KB of JSON with managedFields, as an API server stores it.
#[must_use]
pub fn pod(namespace: &str, app: &str, number: u64) -> Value {
    let name = format!(
        "{app}-{:08x}-{number:05}",
        number.wrapping_mul(2_654_435_761) >> 8
    );
    let owner = format!("{app}-7d9c5b6f48");
    let address = format!(
        "10.{}.{}.{}",
        number >> 16 & 255,
        number >> 8 & 255,
        number & 255
    );
    let conditions: Vec<Value> = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
        .iter()
        .map(|kind| json!({ "type": kind, "status": "True", "lastTransitionTime": STARTED }))
        .collect();
    let managed = |manager: &str, fields: Value| {
        json!({
            "manager": manager, "operation": "Update", "apiVersion": "v1", "time": STARTED,
            "fieldsType": "FieldsV1", "fieldsV1": fields
        })
    };
    json!({
        "metadata": {
            "name": name, "namespace": namespace,
            "labels": { "app": app, "pod-template-hash": "7d9c5b6f48", "tier": "backend" },
            "annotations": { "prometheus.io/scrape": "true", "prometheus.io/port": "9090" },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "controller": true,
                "uid": "7e6f1c1e-9d2b-4c1e-8f57-0d8a5a1f2b3c", "blockOwnerDeletion": true
            }],
            "managedFields": [
                managed("kube-controller-manager", json!({ "f:metadata": { "f:labels": {
                    ".": {}, "f:app": {}, "f:pod-template-hash": {}, "f:tier": {} } },
                    "f:spec": { "f:containers": { "k:{\"name\":\"app\"}": {
                    ".": {}, "f:image": {}, "f:name": {}, "f:resources": {} } } } })),
                managed("kubelet", json!({ "f:status": { "f:conditions": { ".": {},
                    "k:{\"type\":\"Ready\"}": { ".": {}, "f:status": {}, "f:type": {} } },
                    "f:phase": {}, "f:podIP": {}, "f:startTime": {} } }))
            ]
        },
        "spec": {
            "nodeName": format!("node-{:03}", number % 500),
            "containers": [{
                "name": "app", "image": format!("registry.example/{app}:1.4.2"),
                "env": [{ "name": "MODE", "value": "live" }, { "name": "LEVEL", "value": "info" }],
                "ports": [{ "containerPort": 8080, "protocol": "TCP" }],
                "resources": { "requests": { "cpu": "100m", "memory": "128Mi" } },
                "readinessProbe": { "httpGet": { "path": "/ready", "port": 8080 } }
            }],
            "restartPolicy": "Always", "serviceAccountName": "default",
            "schedulerName": "default-scheduler"
        },
        "status": {
            "phase": "Running", "hostIP": "192.0.2.7", "podIP": address, "startTime": STARTED,
            "conditions": conditions,
            "containerStatuses": [{
                "name": "app", "ready": true, "restartCount": 0, "started": true,
                "state": { "running": { "startedAt": STARTED } }
            }]
        }
    })
}

const STARTED: &str = "2026-01-02T03:04:05Z";
