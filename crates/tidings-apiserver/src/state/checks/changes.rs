//! What may not change once it is there.
//!
//! Does not know what an object may be by itself.

use serde_json::Value;

use super::Faults;
use crate::{kind::KindRow, refusal::RefusalCause};

/// What is wrong with a change of an object.
pub(in crate::state) fn check_change(row: &KindRow, old: &Value, new: &Value) -> Vec<RefusalCause> {
    let mut faults = Faults::default();
    let fixed = FIXED.iter().filter(|(group, kind, _)| row.is(group, kind));
    for (_, _, path) in fixed {
        let pointer = format!("/{}", path.replace('.', "/"));
        let at = |document: &Value| document.pointer(&pointer).cloned().unwrap_or_default();
        if at(old) != at(new) {
            faults.invalid(path, &at(new), "field is immutable");
        }
    }
    match (&*row.group, &*row.kind) {
        ("", "ConfigMap" | "Secret") if old["immutable"] == true => sealed(old, new, &mut faults),
        ("", "Pod") => pod(&old["spec"], &new["spec"], &mut faults),
        ("apps", "StatefulSet") => stateful_set(&old["spec"], &new["spec"], &mut faults),
        _ => {}
    }
    faults.0
}

fn sealed(old: &Value, new: &Value, faults: &mut Faults) {
    let why = "field is immutable when `immutable` is set";
    if new["immutable"] != true {
        faults.forbidden("immutable", why);
    }
    for field in ["data", "binaryData"] {
        if old[field] != new[field] {
            faults.forbidden(field, why);
        }
    }
}

fn pod(old: &Value, new: &Value, faults: &mut Faults) {
    for list in ["containers", "initContainers"] {
        let count = |spec: &Value| spec[list].as_array().map_or(0, Vec::len);
        if count(old) != count(new) {
            let why = "pod updates may not add or remove containers";
            return faults.forbidden(&format!("spec.{list}"), why);
        }
    }
    let tolerations = |spec: &Value| spec["tolerations"].as_array().cloned().unwrap_or_default();
    let kept = tolerations(new);
    let is_kept = |toleration: &Value| kept.iter().any(|it| same_toleration(it, toleration));
    if !tolerations(old).iter().all(is_kept) {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        faults.forbidden("spec.tolerations", why);
    }
    if fixed_part(old) != fixed_part(new) {
        faults.forbidden("spec", POD_FIELDS);
    }
}

/// What of a pod may not change.
fn fixed_part(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for list in ["containers", "initContainers"] {
        if let Some(containers) = spec.get_mut(list).and_then(Value::as_array_mut) {
            containers
                .iter_mut()
                .for_each(|container| container["image"] = Value::Null);
        }
    }
    if let Some(members) = spec.as_object_mut() {
        let free = [
            "activeDeadlineSeconds",
            "terminationGracePeriodSeconds",
            "tolerations",
        ];
        members.retain(|name, _| !free.contains(&name.as_str()));
    }
    spec
}

fn same_toleration(one: &Value, other: &Value) -> bool {
    let fields = ["effect", "key", "operator", "value"];
    fields.iter().all(|field| one[*field] == other[*field])
}

fn stateful_set(old: &Value, new: &Value, faults: &mut Faults) {
    let rest = |spec: &Value| {
        let mut spec = spec.clone();
        if let Some(members) = spec.as_object_mut() {
            members.retain(|name, _| !FREE.contains(&name.as_str()));
        }
        spec
    };
    if rest(old) != rest(new) {
        faults.forbidden("spec", STATEFUL_SET_FIELDS);
    }
}

/// Group, kind, and what stays as it was.
const FIXED: &[(&str, &str, &str)] = &[
    ("", "Secret", "type"),
    ("apps", "DaemonSet", "spec.selector"),
    ("apps", "Deployment", "spec.selector"),
    ("apps", "ReplicaSet", "spec.selector"),
    ("batch", "Job", "spec.selector"),
    ("discovery.k8s.io", "EndpointSlice", "addressType"),
    ("networking.k8s.io", "IngressClass", "spec.controller"),
];

/// What of a stateful set may change.
const FREE: [&str; 7] = [
    "minReadySeconds",
    "ordinals",
    "persistentVolumeClaimRetentionPolicy",
    "replicas",
    "revisionHistoryLimit",
    "template",
    "updateStrategy",
];

const POD_FIELDS: &str = "pod updates may not change fields other than \
    `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` \
    (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 \
    if it was previously negative)";

const STATEFUL_SET_FIELDS: &str = "updates to statefulset spec for fields other than 'replicas', \
    'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' \
    and 'minReadySeconds' are forbidden";
