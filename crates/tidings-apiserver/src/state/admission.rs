//! What the server adds to objects by itself, after it has counted whose fields they hold.
//!
//! Does not know what clients may leave out: those defaults belong to the types, and to whoever wrote the object.
//!
//! Source: kubernetes pkg/registry/core/{namespace,pod,service}/strategy.go, plugin/pkg/admission/{priority,
//! defaulttolerationseconds,nodetaint,storage/storageobjectinuseprotection}, pkg/apis/core/helper/qos @v1.36.3.

use serde_json::{Value, json};

use crate::kind::KindRow;

/// Completes an object, one that is new more than one that changes.
pub(super) fn admit(row: &KindRow, old: Option<&Value>, document: &mut Value) {
    if let Some(old) = old.filter(|_| row.is("", "Pod")) {
        // Its quality is what it was made with.
        document["status"]["qosClass"] = old["status"]["qosClass"].clone();
        return with_list(&mut document["spec"]["tolerations"], tolerate);
    }
    if !row.group.is_empty() || old.is_some() {
        return;
    }
    match &*row.kind {
        "Namespace" => begin_namespace(document),
        "Node" => {
            let taint = json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" });
            with_list(&mut document["spec"]["taints"], |taints| {
                if !taints.contains(&taint) {
                    taints.push(taint);
                }
            });
        }
        "PersistentVolume" => protect(document, "kubernetes.io/pv-protection"),
        "PersistentVolumeClaim" => protect(document, "kubernetes.io/pvc-protection"),
        "Pod" => begin_pod(document),
        "Service" => begin_service(document),
        _ => {}
    }
}

/// A namespace is active as soon as it is there.
pub(super) fn begin_namespace(document: &mut Value) {
    let name = document["metadata"]["name"].clone();
    document["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
    document["spec"] = json!({ "finalizers": ["kubernetes"] });
    document["status"] = json!({ "phase": "Active" });
}

fn protect(document: &mut Value, finalizer: &str) {
    with_list(&mut document["metadata"]["finalizers"], |finalizers| {
        if !finalizers.iter().any(|it| it == finalizer) {
            finalizers.push(finalizer.into());
        }
    });
}

/// A list that may not be there yet.
fn with_list(value: &mut Value, change: impl FnOnce(&mut Vec<Value>)) {
    if value.is_null() {
        *value = json!([]);
    }
    if let Some(items) = value.as_array_mut() {
        change(items);
    }
}

fn begin_pod(document: &mut Value) {
    document["status"]["phase"] = "Pending".into();
    document["status"]["qosClass"] = quality(document).into();
    let spec = &mut document["spec"];
    spec["priority"] = 0.into();
    if spec["preemptionPolicy"].is_null() {
        spec["preemptionPolicy"] = "PreemptLowerPriority".into();
    }
    with_list(&mut spec["tolerations"], tolerate);
}

/// Whoever says nothing of a failing node waits for it a while.
fn tolerate(tolerations: &mut Vec<Value>) {
    for taint in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        let is_tolerated = |toleration: &Value| {
            let (key, effect) = (&toleration["key"], &toleration["effect"]);
            (key == taint || key.is_null()) && (effect == "NoExecute" || effect.is_null())
        };
        if !tolerations.iter().any(is_tolerated) {
            tolerations.push(json!({
                "key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300
            }));
        }
    }
}

/// How sure a pod may be of what it needs.
fn quality(pod: &Value) -> &'static str {
    let lists = ["containers", "initContainers"].iter();
    let all = lists
        .filter_map(|list| pod["spec"][*list].as_array())
        .flatten();
    let (mut asks, mut is_sure) = (false, true);
    for container in all {
        let resources = &container["resources"];
        for name in ["cpu", "memory"] {
            let (limit, request) = (&resources["limits"][name], &resources["requests"][name]);
            asks |= !(limit.is_null() && request.is_null());
            is_sure &= !limit.is_null() && limit == request;
        }
    }
    match (asks, is_sure) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn begin_service(document: &mut Value) {
    let spec = &mut document["spec"];
    if spec["type"] == "ExternalName" {
        return;
    }
    // Whoever finds endpoints by other means may have them in both families.
    let is_bare = spec["clusterIP"] == "None" && spec["selector"].is_null();
    let (families, policy) = if is_bare {
        (json!(["IPv4", "IPv6"]), "RequireDualStack")
    } else {
        (json!(["IPv4"]), "SingleStack")
    };
    if spec["ipFamilyPolicy"].is_null() && spec["ipFamilies"].is_null() {
        spec["ipFamilyPolicy"] = policy.into();
        spec["ipFamilies"] = families;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_quality_is_what_all_its_containers_have() {
        let of = |one: Value, other: Value| {
            quality(
                &json!({ "spec": { "containers": [{ "resources": one }, { "resources": other }] } }),
            )
        };
        let full = json!({ "limits": { "cpu": "1", "memory": "1Gi" }, "requests": { "cpu": "1", "memory": "1Gi" } });
        assert_eq!(of(full.clone(), full.clone()), "Guaranteed");
        assert_eq!(of(full, json!({})), "Burstable");
        assert_eq!(of(json!({}), json!({})), "BestEffort");
        assert_eq!(
            of(json!({}), json!({ "requests": { "cpu": "1" } })),
            "Burstable"
        );
    }

    #[test]
    fn a_pod_tolerates_what_it_says_no_more() {
        let mut pod = json!({ "spec": { "tolerations": [{ "operator": "Exists" }] } });
        begin_pod(&mut pod);
        assert_eq!(
            pod["spec"]["tolerations"],
            json!([{ "operator": "Exists" }])
        );
        let mut pod = json!({ "spec": {} });
        begin_pod(&mut pod);
        assert_eq!(pod["spec"]["tolerations"].as_array().unwrap().len(), 2);
        assert_eq!(
            pod["status"],
            json!({ "phase": "Pending", "qosClass": "BestEffort" })
        );
    }
}
