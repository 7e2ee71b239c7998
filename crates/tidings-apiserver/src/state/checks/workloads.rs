//! Controllers of pods: their selectors and templates, and how they replace pods.

use serde_json::Value;

use super::{Faults, is_empty};

pub(super) fn deployment(spec: &Value, path: &str, faults: &mut Faults) {
    selector(spec, path, "deployment", true, faults);
    let strategy = &spec["strategy"];
    let place = format!("{path}.strategy");
    let kind = strategy["type"].as_str().unwrap_or_default();
    match kind {
        "Recreate" if !strategy["rollingUpdate"].is_null() => {
            let why = "may not be specified when strategy `type` is 'Recreate'";
            faults.forbidden(&format!("{place}.rollingUpdate"), why);
        }
        "Recreate" | "RollingUpdate" => {}
        _ => faults.unsupported(&place, &unrolled(kind), &["Recreate", "RollingUpdate"]),
    }
}

pub(super) fn replica_set(spec: &Value, path: &str, faults: &mut Faults) {
    selector(spec, path, "deployment", true, faults);
}

pub(super) fn daemon_set(spec: &Value, path: &str, faults: &mut Faults) {
    selector(spec, path, "daemonset", false, faults);
    let kind = spec["updateStrategy"]["type"].as_str().unwrap_or_default();
    if !matches!(kind, "OnDelete" | "RollingUpdate") {
        let place = format!("{path}.updateStrategy");
        faults.unsupported(&place, &unrolled(kind), &["RollingUpdate", "OnDelete"]);
    }
}

pub(super) fn stateful_set(spec: &Value, path: &str, faults: &mut Faults) {
    selector(spec, path, "statefulset", true, faults);
    let policy = &spec["podManagementPolicy"];
    if *policy != "OrderedReady" && *policy != "Parallel" {
        let place = format!("{path}.podManagementPolicy");
        faults.invalid(&place, policy, "must be 'OrderedReady' or 'Parallel'");
    }
    let kind = spec["updateStrategy"]["type"].as_str().unwrap_or_default();
    if !matches!(kind, "OnDelete" | "RollingUpdate") {
        let place = format!("{path}.updateStrategy");
        faults.invalid(
            &place,
            &unrolled(kind),
            "must be 'RollingUpdate' or 'OnDelete'",
        );
    }
}

/// As the server shows a strategy of its own types.
fn unrolled(kind: &str) -> String {
    format!("{{\"Type\":{},\"RollingUpdate\":null}}", Value::from(kind))
}

pub(super) fn job(spec: &Value, path: &str, faults: &mut Faults) {
    let policy = &spec["template"]["spec"]["restartPolicy"];
    if *policy == "Always" {
        let place = format!("{path}.template.spec.restartPolicy");
        faults.required(&place, "valid values: \"OnFailure\", \"Never\"");
    }
}

/// A controller selects the pods of its template.
fn selector(spec: &Value, path: &str, kind: &str, is_required: bool, faults: &mut Faults) {
    let place = format!("{path}.selector");
    let selector = &spec["selector"];
    if selector.is_null() && is_required {
        faults.required(&place, "");
    } else if is_empty(selector) && !selector.is_null() {
        faults.invalid(
            &place,
            selector,
            &format!("empty selector is invalid for {kind}"),
        );
    }
    let before = faults.0.len();
    let expressions = selector["matchExpressions"].as_array();
    for (index, term) in expressions.into_iter().flatten().enumerate() {
        let place = format!("{place}.matchExpressions[{index}]");
        match term["operator"].as_str().unwrap_or_default() {
            "In" | "NotIn" if is_empty(&term["values"]) => {
                let why = "must be specified when `operator` is 'In' or 'NotIn'";
                faults.required(&format!("{place}.values"), why);
            }
            "Exists" | "DoesNotExist" if !is_empty(&term["values"]) => {
                let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                faults.forbidden(&format!("{place}.values"), why);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => {
                let why = "not a valid selector operator";
                faults.invalid(&format!("{place}.operator"), &term["operator"], why);
            }
        }
    }
    if faults.0.len() > before {
        return faults.invalid(&place, selector, "invalid label selector");
    }
    let labels = &spec["template"]["metadata"]["labels"];
    if selector.is_null() || !selects(selector, labels) {
        let place = format!("{path}.template.metadata.labels");
        faults.invalid(
            &place,
            labels,
            "`selector` does not match template `labels`",
        );
    }
}

fn selects(selector: &Value, labels: &Value) -> bool {
    let mut all = selector["matchLabels"].as_object().into_iter().flatten();
    let mut terms = selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten();
    all.all(|(name, value)| labels[name.as_str()] == *value)
        && terms.all(|term| {
            let label = &labels[term["key"].as_str().unwrap_or_default()];
            let values = term["values"].as_array();
            let is_in = values.is_some_and(|values| values.contains(label));
            match term["operator"].as_str().unwrap_or_default() {
                "In" => is_in,
                "NotIn" => !is_in,
                "Exists" => !label.is_null(),
                _ => label.is_null(),
            }
        })
}
