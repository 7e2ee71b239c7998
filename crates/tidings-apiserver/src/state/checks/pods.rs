//! Pods and what is in them, where a field depends on another.

use serde_json::Value;

use super::{Faults, Rule, is_empty};

fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

/// Names of containers are theirs alone, and what they mount is there.
pub(super) fn spec(spec: &Value, path: &str, faults: &mut Faults) {
    let names: Vec<&Value> = items(spec, "containers")
        .iter()
        .map(|it| &it["name"])
        .collect();
    let volumes: Vec<&Value> = items(spec, "volumes")
        .iter()
        .map(|it| &it["name"])
        .collect();
    for list in ["initContainers", "containers"] {
        for (index, container) in items(spec, list).iter().enumerate() {
            let place = format!("{path}.{list}[{index}]");
            let before = &items(spec, list)[..index];
            let is_taken = names.contains(&&container["name"])
                || before.iter().any(|it| it["name"] == container["name"]);
            if list == "initContainers" && is_taken && !is_empty(&container["name"]) {
                faults.duplicate(&format!("{place}.name"), &container["name"]);
            }
            mounts(container, &volumes, &place, faults);
        }
    }
}

fn mounts(container: &Value, volumes: &[&Value], path: &str, faults: &mut Faults) {
    let mounts = items(container, "volumeMounts");
    for (index, mount) in mounts.iter().enumerate() {
        let place = format!("{path}.volumeMounts[{index}]");
        let name = &mount["name"];
        if is_empty(name) {
            faults.required(&format!("{place}.name"), "");
        } else if !volumes.contains(&name) {
            let message = format!("Not found: {name}");
            faults.add("FieldValueNotFound", &format!("{place}.name"), message);
        }
        let at = &mount["mountPath"];
        if is_empty(at) {
            faults.required(&format!("{place}.mountPath"), "");
        } else if mounts[..index]
            .iter()
            .any(|before| before["mountPath"] == *at)
        {
            faults.invalid(&format!("{place}.mountPath"), at, "must be unique");
        }
    }
}

pub(super) fn container(container: &Value, path: &str, faults: &mut Faults) {
    let image = container["image"].as_str().unwrap_or_default();
    if image.trim() != image {
        let why = "must not have leading or trailing whitespace";
        faults.invalid(&format!("{path}.image"), &container["image"], why);
    }
    let probe = &container["livenessProbe"];
    for name in ["livenessProbe", "startupProbe"] {
        let threshold = &container[name]["successThreshold"];
        if threshold.as_i64().is_some_and(|times| times != 1) && !probe.is_null() {
            faults.invalid(
                &format!("{path}.{name}.successThreshold"),
                threshold,
                "must be 1",
            );
        }
    }
}

/// Zero is no port.
pub(super) fn port_or_none(port: &Value, path: &str, faults: &mut Faults) {
    if *port != 0 {
        Rule::Between(1, 65_535).check(port, path, faults);
    }
}

pub(super) fn variable(variable: &Value, path: &str, faults: &mut Faults) {
    let place = format!("{path}.name");
    let name = variable["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        return faults.required(&place, "");
    }
    let is_fit = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
    if !name.bytes().all(is_fit) {
        let why = "a valid environment variable name must consist only of printable ASCII \
                   characters other than '='";
        faults.invalid(&place, &variable["name"], why);
    }
}

pub(super) fn probe(probe: &Value, path: &str, faults: &mut Faults) {
    let handlers = ["exec", "grpc", "httpGet", "tcpSocket"];
    if handlers.iter().all(|handler| probe[*handler].is_null()) {
        faults.required(path, "must specify a handler type");
    }
}

/// A volume comes from one place.
pub(super) fn volume(volume: &Value, path: &str, faults: &mut Faults) {
    let members = volume.as_object().into_iter().flatten();
    let mut sources = members.filter(|(name, _)| *name != "name");
    let _first = sources.next();
    for (name, _) in sources {
        let why = "may not specify more than 1 volume type";
        faults.forbidden(&format!("{path}.{name}"), why);
    }
}

pub(super) fn toleration(toleration: &Value, path: &str, faults: &mut Faults) {
    let place = format!("{path}.operator");
    let operator = &toleration["operator"];
    if is_empty(&toleration["key"]) && *operator != "Exists" {
        let why = "operator must be Exists when `key` is empty, which means \"match all values and \
                   all keys\"";
        faults.invalid(&place, operator, why);
    }
    Rule::OneOf(&["Equal", "Exists"]).check(operator, &place, faults);
}

/// What is asked for is not more than what may be used.
pub(super) fn resources(resources: &Value, path: &str, faults: &mut Faults) {
    for part in ["limits", "requests"] {
        for (name, amount) in resources[part].as_object().into_iter().flatten() {
            if amount.as_str().is_some_and(|text| text.starts_with('-')) {
                let place = format!("{path}.{part}[{name}]");
                faults.invalid(&place, amount, "must be greater than or equal to 0");
            }
        }
    }
    for (name, request) in resources["requests"].as_object().into_iter().flatten() {
        let limit = &resources["limits"][name.as_str()];
        let (Some(asked), Some(most)) = (amount(request), amount(limit)) else {
            continue;
        };
        if asked > most {
            let limit = limit.as_str().unwrap_or_default();
            let why = format!("must be less than or equal to {name} limit of {limit}");
            faults.invalid(&format!("{path}.requests"), request, &why);
        }
    }
}

fn amount(value: &Value) -> Option<i128> {
    crate::state::typed::nanos_of(value.as_str()?)
}

pub(super) fn claim_size(resources: &Value, path: &str, faults: &mut Faults) {
    if is_empty(&resources["requests"]["storage"]) {
        faults.required(&format!("{path}[storage]"), "");
    }
}
