//! The cells that are more than a field of the object.
//!
//! Each is a function of the document and the present, in seconds since 1970. An object of a built-in kind may
//! hold anything, so whatever is not there, or not as expected, counts as absent.
//!
//! Source: kubernetes pkg/printers/internalversion/printers.go @v1.36.3.

use std::collections::BTreeSet;

use serde_json::Value;

use super::age;

/// The elements of a list.
pub(super) fn items<'a>(document: &'a Value, pointer: &str) -> &'a [Value] {
    let found = document.pointer(pointer).and_then(Value::as_array);
    found.map_or(&[], Vec::as_slice)
}

fn text<'a>(document: &'a Value, pointer: &str) -> &'a str {
    document
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or("")
}

fn number(document: &Value, pointer: &str) -> i64 {
    document
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or(0)
}

fn or<'a>(text: &'a str, absent: &'a str) -> &'a str {
    if text.is_empty() { absent } else { text }
}

fn count(document: &Value, name: &str) -> usize {
    document[name].as_object().map_or(0, serde_json::Map::len)
}

// === Configuration ===

pub(super) fn config_data(object: &Value, _: u64) -> Value {
    (count(object, "data") + count(object, "binaryData")).into()
}

// === Workloads ===

fn pod_spec(object: &Value) -> &Value {
    let cron = object.pointer("/spec/jobTemplate/spec/template/spec");
    let spec = cron.or_else(|| object.pointer("/spec/template/spec"));
    spec.unwrap_or(&Value::Null)
}

fn of_containers(object: &Value, name: &str) -> Value {
    let all = items(pod_spec(object), "/containers").iter();
    let all: Vec<&str> = all.map(|it| it[name].as_str().unwrap_or("")).collect();
    all.join(",").into()
}

pub(super) fn containers(object: &Value, _: u64) -> Value {
    of_containers(object, "name")
}

pub(super) fn images(object: &Value, _: u64) -> Value {
    of_containers(object, "image")
}

pub(super) fn replicas_ready(object: &Value, _: u64) -> Value {
    let (ready, wanted) = (
        number(object, "/status/readyReplicas"),
        number(object, "/spec/replicas"),
    );
    format!("{ready}/{wanted}").into()
}

/// A label selector as one writes it on the command line, requirements by their keys.
fn written_selector(selector: &Value) -> String {
    let mut terms: Vec<(&str, String)> = Vec::new();
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        terms.push((key, format!("{key}={}", value.as_str().unwrap_or(""))));
    }
    for term in items(selector, "/matchExpressions") {
        let key = text(term, "/key");
        let mut values: Vec<&str> = items(term, "/values")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        values.sort_unstable();
        let values = values.join(",");
        let written = match text(term, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return "<error>".to_owned(),
        };
        terms.push((key, written));
    }
    terms.sort_by_key(|(key, _)| *key);
    let terms: Vec<String> = terms.into_iter().map(|(_, term)| term).collect();
    terms.join(",")
}

fn selector_at(object: &Value, pointer: &str) -> Value {
    let selector = object.pointer(pointer).unwrap_or(&Value::Null);
    or(&written_selector(selector), "<none>").into()
}

pub(super) fn selector(object: &Value, _: u64) -> Value {
    selector_at(object, "/spec/selector")
}

pub(super) fn deployment_selector(object: &Value, _: u64) -> Value {
    let written = written_selector(&object["spec"]["selector"]);
    if written == "<error>" {
        "<invalid>".into()
    } else {
        written.into()
    }
}

pub(super) fn cron_selector(object: &Value, _: u64) -> Value {
    selector_at(object, "/spec/jobTemplate/spec/selector")
}

pub(super) fn policy_selector(object: &Value, _: u64) -> Value {
    selector_at(object, "/spec/podSelector")
}

/// Labels as `key=value`, by their keys.
fn written_labels(labels: &Value) -> Value {
    let pairs = labels.as_object().into_iter().flatten();
    let pairs: Vec<String> = pairs
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("")))
        .collect();
    or(&pairs.join(","), "<none>").into()
}

pub(super) fn plain_selector(object: &Value, _: u64) -> Value {
    written_labels(&object["spec"]["selector"])
}

pub(super) fn node_selector(object: &Value, _: u64) -> Value {
    written_labels(&pod_spec(object)["nodeSelector"])
}

pub(super) fn cron_suspend(object: &Value, _: u64) -> Value {
    match object["spec"]["suspend"].as_bool() {
        Some(true) => "True".into(),
        Some(false) => "False".into(),
        None => "<unset>".into(),
    }
}

pub(super) fn cron_active(object: &Value, _: u64) -> Value {
    items(object, "/status/active").len().into()
}

pub(super) fn cron_last(object: &Value, now: u64) -> Value {
    match &object["status"]["lastScheduleTime"] {
        Value::Null => "<none>".into(),
        then => age::since(then, now).into(),
    }
}

pub(super) fn job_status(job: &Value, _: u64) -> Value {
    let has = |kind: &str| {
        let mut all = items(job, "/status/conditions").iter();
        all.any(|it| it["type"] == kind && it["status"] == "True")
    };
    let is_ending = !job["metadata"]["deletionTimestamp"].is_null();
    let status = match () {
        () if has("Complete") => "Complete",
        () if has("Failed") => "Failed",
        () if is_ending => "Terminating",
        () if has("Suspended") => "Suspended",
        () if has("FailureTarget") => "FailureTarget",
        () if has("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    };
    status.into()
}

pub(super) fn job_completions(job: &Value, _: u64) -> Value {
    let done = number(job, "/status/succeeded");
    let wanted = job["spec"]["completions"].as_i64();
    match (wanted, number(job, "/spec/parallelism")) {
        (Some(wanted), _) => format!("{done}/{wanted}").into(),
        (None, parallel) if parallel > 1 => format!("{done}/1 of {parallel}").into(),
        (None, _) => format!("{done}/1").into(),
    }
}

pub(super) fn job_duration(job: &Value, now: u64) -> Value {
    let at = |name: &str| job["status"][name].as_str().and_then(age::unix_seconds);
    let end = at("completionTime").unwrap_or_else(|| now.cast_signed());
    at("startTime").map_or_else(
        || "".into(),
        |start| age::human(end.saturating_sub(start)).into(),
    )
}

// === Events ===

pub(super) fn event_first_seen(event: &Value, now: u64) -> Value {
    match &event["firstTimestamp"] {
        Value::Null => age::since(&event["eventTime"], now).into(),
        then => age::since(then, now).into(),
    }
}

pub(super) fn event_last_seen(event: &Value, now: u64) -> Value {
    if event["series"].is_object() {
        return age::since(&event["series"]["lastObservedTime"], now).into();
    }
    match &event["lastTimestamp"] {
        Value::Null => event_first_seen(event, now),
        then => age::since(then, now).into(),
    }
}

pub(super) fn event_count(event: &Value, _: u64) -> Value {
    if event["series"].is_object() {
        return number(event, "/series/count").into();
    }
    number(event, "/count").max(1).into()
}

pub(super) fn event_object(event: &Value, _: u64) -> Value {
    let kind = text(event, "/involvedObject/kind").to_lowercase();
    match text(event, "/involvedObject/name") {
        "" => kind.into(),
        name => format!("{kind}/{name}").into(),
    }
}

pub(super) fn event_source(event: &Value, _: u64) -> Value {
    let component = or(
        text(event, "/source/component"),
        text(event, "/reportingComponent"),
    );
    match or(
        text(event, "/source/host"),
        text(event, "/reportingInstance"),
    ) {
        "" => component.into(),
        host => format!("{component}, {host}").into(),
    }
}

pub(super) fn event_message(event: &Value, _: u64) -> Value {
    text(event, "/message").trim().into()
}

// === Nodes and volumes ===

pub(super) fn node_status(node: &Value, _: u64) -> Value {
    let ready = items(node, "/status/conditions")
        .iter()
        .rev()
        .find(|it| it["type"] == "Ready");
    let status = match ready.map(|it| it["status"] == "True") {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    };
    let cordoned = node["spec"]["unschedulable"] == true;
    if cordoned {
        format!("{status},SchedulingDisabled").into()
    } else {
        status.into()
    }
}

pub(super) fn node_roles(node: &Value, _: u64) -> Value {
    let mut roles = BTreeSet::new();
    for (key, value) in node["metadata"]["labels"].as_object().into_iter().flatten() {
        let named = key.strip_prefix("node-role.kubernetes.io/");
        let given = (key == "kubernetes.io/role")
            .then(|| value.as_str())
            .flatten();
        roles.extend(named.or(given).filter(|role| !role.is_empty()));
    }
    let roles: Vec<&str> = roles.into_iter().collect();
    or(&roles.join(","), "<none>").into()
}

fn node_address(node: &Value, kind: &str) -> Value {
    let found = items(node, "/status/addresses")
        .iter()
        .find(|it| it["type"] == kind);
    found
        .and_then(|it| it["address"].as_str())
        .unwrap_or("<none>")
        .into()
}

pub(super) fn node_internal(node: &Value, _: u64) -> Value {
    node_address(node, "InternalIP")
}

pub(super) fn node_external(node: &Value, _: u64) -> Value {
    node_address(node, "ExternalIP")
}

pub(super) fn node_kernel(node: &Value, _: u64) -> Value {
    let kernel = or(text(node, "/status/nodeInfo/kernelVersion"), "<unknown>");
    match text(node, "/status/nodeInfo/architecture") {
        "" => kernel.into(),
        architecture => format!("{kernel} ({architecture})").into(),
    }
}

fn written_modes(modes: &[Value]) -> Value {
    let shown = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let shown = shown
        .iter()
        .filter(|(mode, _)| modes.iter().any(|it| it == mode));
    let shown: Vec<&str> = shown.map(|(_, short)| *short).collect();
    shown.join(",").into()
}

pub(super) fn volume_modes(volume: &Value, _: u64) -> Value {
    written_modes(items(volume, "/spec/accessModes"))
}

pub(super) fn volume_phase(volume: &Value, _: u64) -> Value {
    if volume["metadata"]["deletionTimestamp"].is_null() {
        return text(volume, "/status/phase").into();
    }
    "Terminating".into()
}

pub(super) fn volume_claim(volume: &Value, _: u64) -> Value {
    let claim = &volume["spec"]["claimRef"];
    if !claim.is_object() {
        return "".into();
    }
    format!("{}/{}", text(claim, "/namespace"), text(claim, "/name")).into()
}

/// What a claim has is shown once it is bound.
pub(super) fn claim_capacity(claim: &Value, _: u64) -> Value {
    if text(claim, "/spec/volumeName").is_empty() {
        return "".into();
    }
    or(text(claim, "/status/capacity/storage"), "0").into()
}

pub(super) fn claim_modes(claim: &Value, _: u64) -> Value {
    if text(claim, "/spec/volumeName").is_empty() {
        return "".into();
    }
    written_modes(items(claim, "/status/accessModes"))
}

// === Network ===

/// The first three, and how many more there are.
fn with_more(all: &[String]) -> String {
    let shown = all[..all.len().min(3)].join(",");
    match all.len() {
        ..=3 => shown,
        len => format!("{shown} + {} more...", len - 3),
    }
}

pub(super) fn endpoints(object: &Value, _: u64) -> Value {
    let mut all = Vec::new();
    for subset in items(object, "/subsets") {
        let addresses = items(subset, "/addresses").iter().map(|it| text(it, "/ip"));
        let ports = items(subset, "/ports");
        if ports.is_empty() {
            all.extend(addresses.clone().map(str::to_owned));
        }
        for port in ports {
            let port = number(port, "/port");
            let joined = |ip: &str| {
                if ip.contains(':') {
                    format!("[{ip}]:{port}")
                } else {
                    format!("{ip}:{port}")
                }
            };
            all.extend(addresses.clone().map(joined));
        }
    }
    if items(object, "/subsets").is_empty() {
        return "<none>".into();
    }
    with_more(&all).into()
}

pub(super) fn slice_ports(slice: &Value, _: u64) -> Value {
    let written = |port: &Value| match (port["port"].as_i64(), port["name"].as_str()) {
        (Some(port), _) => port.to_string(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "*".to_owned(),
    };
    let all: Vec<String> = items(slice, "/ports").iter().map(written).collect();
    or(&with_more(&all), "<unset>").into()
}

pub(super) fn slice_endpoints(slice: &Value, _: u64) -> Value {
    let addresses = items(slice, "/endpoints")
        .iter()
        .flat_map(|it| items(it, "/addresses"));
    let all: Vec<String> = addresses
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    or(&with_more(&all), "<unset>").into()
}

/// The addresses of a load balancer, or its names.
fn balancer(object: &Value) -> String {
    let all = items(object, "/status/loadBalancer/ingress").iter();
    let all: BTreeSet<&str> = all
        .map(|it| or(text(it, "/ip"), text(it, "/hostname")))
        .collect();
    let all: Vec<&str> = all.into_iter().filter(|it| !it.is_empty()).collect();
    all.join(",")
}

pub(super) fn service_external(service: &Value, _: u64) -> Value {
    let given = items(service, "/spec/externalIPs")
        .iter()
        .filter_map(Value::as_str);
    let given: Vec<&str> = given.collect();
    match text(service, "/spec/type") {
        "ClusterIP" | "NodePort" => or(&given.join(","), "<none>").into(),
        "LoadBalancer" => {
            let balancer = balancer(service);
            let all: Vec<&str> = Some(&*balancer)
                .into_iter()
                .filter(|it| !it.is_empty())
                .chain(given)
                .collect();
            or(&all.join(","), "<pending>").into()
        }
        "ExternalName" => text(service, "/spec/externalName").into(),
        _ => "<unknown>".into(),
    }
}

pub(super) fn service_ports(service: &Value, _: u64) -> Value {
    let written = |port: &Value| {
        let protocol = text(port, "/protocol");
        match (number(port, "/port"), number(port, "/nodePort")) {
            (port, node) if node > 0 => format!("{port}:{node}/{protocol}"),
            (port, _) => format!("{port}/{protocol}"),
        }
    };
    let all: Vec<String> = items(service, "/spec/ports").iter().map(written).collect();
    or(&all.join(","), "<none>").into()
}

pub(super) fn ingress_hosts(ingress: &Value, _: u64) -> Value {
    let rules = items(ingress, "/spec/rules");
    let hosts = rules
        .iter()
        .map(|rule| text(rule, "/host"))
        .filter(|host| !host.is_empty());
    let hosts: Vec<&str> = hosts.take(3).collect();
    // As there: what is left is counted by rules, with a host or without.
    match (hosts.len(), rules.len()) {
        (0, _) => "*".into(),
        (3, rules) if rules > 3 => format!("{} + {} more...", hosts.join(","), rules - 3).into(),
        _ => hosts.join(",").into(),
    }
}

pub(super) fn ingress_address(ingress: &Value, _: u64) -> Value {
    balancer(ingress).into()
}

pub(super) fn ingress_ports(ingress: &Value, _: u64) -> Value {
    if items(ingress, "/spec/tls").is_empty() {
        "80".into()
    } else {
        "80, 443".into()
    }
}

pub(super) fn class_name(class: &Value, _: u64) -> Value {
    let name = text(class, "/metadata/name");
    let mark = &class["metadata"]["annotations"]["ingressclass.kubernetes.io/is-default-class"];
    if mark == "true" {
        format!("{name} (default)").into()
    } else {
        name.into()
    }
}

pub(super) fn class_parameters(class: &Value, _: u64) -> Value {
    let parameters = &class["spec"]["parameters"];
    if !parameters.is_object() {
        return "<none>".into();
    }
    let (kind, name) = (text(parameters, "/kind"), text(parameters, "/name"));
    match parameters["apiGroup"].as_str() {
        Some(group) => format!("{kind}.{group}/{name}").into(),
        None => format!("{kind}/{name}").into(),
    }
}
