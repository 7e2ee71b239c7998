//! Services, endpoints, ingresses, and the maps that pods read, where a field depends on another.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::{Faults, Rule, is_empty};
use crate::state::names;

fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn service(spec: &Value, path: &str, faults: &mut Faults) {
    let ports = items(spec, "ports");
    let is_external = spec["type"] == "ExternalName";
    if ports.is_empty() && spec["clusterIP"] != "None" && !is_external {
        faults.required(&format!("{path}.ports"), "");
    }
    if is_external && is_empty(&spec["externalName"]) {
        faults.required(&format!("{path}.externalName"), "");
    }
    for (index, port) in ports.iter().enumerate() {
        let place = format!("{path}.ports[{index}]");
        if ports.len() > 1 && is_empty(&port["name"]) {
            faults.required(&format!("{place}.name"), "");
        }
        Rule::Label.check(&port["name"], &format!("{place}.name"), faults);
        let is_same = |it: &Value| it["port"] == port["port"] && it["protocol"] == port["protocol"];
        let is_named = ports.len() == 1 || !is_empty(&port["name"]);
        if is_named && ports[..index].iter().any(is_same) {
            // As the server's own types are written.
            let (protocol, number) = (&port["protocol"], &port["port"]);
            let shown = format!(
                "{{\"Name\":\"\",\"Protocol\":{protocol},\"AppProtocol\":null,\"Port\":{number},\
                 \"TargetPort\":0,\"NodePort\":0}}"
            );
            faults.duplicate(&place, &shown);
        }
    }
    let address = &spec["clusterIP"];
    let is_none = is_empty(address) || *address == "None";
    if !is_none && !is_address(address) {
        faults.invalid(&format!("{path}.clusterIPs[0]"), address, NOT_AN_ADDRESS);
    }
}

/// An event is where that is of which it tells, or in the default namespace.
pub(super) fn event(event: &Value, _: &str, faults: &mut Faults) {
    let home = event["metadata"]["namespace"].as_str().unwrap_or_default();
    let of = &event["involvedObject"]["namespace"];
    let fits = match of.as_str().unwrap_or_default() {
        "" => matches!(home, "" | "default" | "kube-system"),
        namespace => namespace == home,
    };
    if !fits {
        let of = if of.is_null() {
            &Value::String(String::new())
        } else {
            of
        };
        faults.invalid(
            "involvedObject.namespace",
            of,
            "does not match event.namespace",
        );
    }
}

pub(super) fn port(port: &Value, path: &str, faults: &mut Faults) {
    Rule::Between(1, 65_535).check(port, path, faults);
}

pub(super) fn address(address: &Value, path: &str, faults: &mut Faults) {
    if !is_address(address) {
        faults.invalid(path, address, NOT_AN_ADDRESS);
    }
}

fn is_address(value: &Value) -> bool {
    let parsed = value.as_str().map(str::parse::<IpAddr>);
    matches!(parsed, Some(Ok(_)))
}

pub(super) fn subset(subset: &Value, path: &str, faults: &mut Faults) {
    if is_empty(&subset["addresses"]) && is_empty(&subset["notReadyAddresses"]) {
        faults.required(path, "must specify `addresses` or `notReadyAddresses`");
    }
}

/// The addresses of a slice are of its type.
pub(super) fn slice(slice: &Value, _: &str, faults: &mut Faults) {
    let kind = slice["addressType"].as_str().unwrap_or_default();
    for (index, endpoint) in items(slice, "endpoints").iter().enumerate() {
        for (at, address) in items(endpoint, "addresses").iter().enumerate() {
            let text = address.as_str().unwrap_or_default();
            let why = match kind {
                "IPv4" if text.parse::<Ipv4Addr>().is_err() => NOT_AN_ADDRESS,
                "IPv6" if text.parse::<Ipv6Addr>().is_err() => NOT_AN_ADDRESS,
                "FQDN" => names::not_a_subdomain(text).unwrap_or_default(),
                _ => "",
            };
            if !why.is_empty() {
                faults.invalid(&format!("endpoints[{index}].addresses[{at}]"), address, why);
            }
        }
    }
}

pub(super) fn ingress(spec: &Value, path: &str, faults: &mut Faults) {
    if items(spec, "rules").is_empty() && spec["defaultBackend"].is_null() {
        let why = "either `defaultBackend` or `rules` must be specified";
        faults.invalid(path, &Value::Null, why);
    }
}

pub(super) fn ingress_path(path: &Value, place: &str, faults: &mut Faults) {
    let kind = &path["pathType"];
    if kind.is_null() {
        return faults.required(&format!("{place}.pathType"), "pathType must be specified");
    }
    let kinds = ["Exact", "ImplementationSpecific", "Prefix"];
    if !kinds.iter().any(|it| kind == *it) {
        faults.unsupported(&format!("{place}.pathType"), kind, &kinds);
    }
    let text = path["path"].as_str().unwrap_or_default();
    if matches!(kind.as_str(), Some("Exact" | "Prefix")) && !text.starts_with('/') {
        faults.invalid(
            &format!("{place}.path"),
            &path["path"],
            "must be an absolute path",
        );
    }
}

pub(super) fn backend(backend: &Value, path: &str, faults: &mut Faults) {
    if backend["service"].is_null() && backend["resource"].is_null() {
        let why = "resource or service backend is required";
        faults.invalid(path, &Value::from(""), why);
    }
}

pub(super) fn service_backend(backend: &Value, path: &str, faults: &mut Faults) {
    let (name, number) = (&backend["port"]["name"], &backend["port"]["number"]);
    let is_bare = is_empty(name) && (number.is_null() || *number == 0);
    if is_bare {
        // What is told of is the backend around it.
        let around = path.trim_end_matches(".service");
        faults.required(around, "port name or number is required");
    }
}

pub(super) fn policy_types(types: &Value, path: &str, faults: &mut Faults) {
    for (index, kind) in types.as_array().into_iter().flatten().enumerate() {
        let place = format!("{path}[{index}]");
        Rule::OneOf(&["Ingress", "Egress"]).check(kind, &place, faults);
    }
}

pub(super) fn config_map(map: &Value, _: &str, faults: &mut Faults) {
    let mut bytes = 0;
    for (name, text) in map["data"].as_object().into_iter().flatten() {
        key("data", name, faults);
        if !map["binaryData"][name.as_str()].is_null() {
            let why = "duplicate of key present in binaryData";
            faults.invalid(&format!("data[{name}]"), &Value::from(name.as_str()), why);
        }
        bytes += text.as_str().map_or(0, str::len);
    }
    for (name, text) in map["binaryData"].as_object().into_iter().flatten() {
        key("binaryData", name, faults);
        bytes += decoded_len(text);
    }
    too_long(bytes, "[]", faults);
}

pub(super) fn secret(secret: &Value, _: &str, faults: &mut Faults) {
    let mut bytes = 0;
    for (name, text) in secret["data"].as_object().into_iter().flatten() {
        key("data", name, faults);
        bytes += decoded_len(text);
    }
    too_long(bytes, "data", faults);
    let wanted: &[&str] = match secret["type"].as_str().unwrap_or_default() {
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/basic-auth" => {
            let has = |name: &str| !secret["data"][name].is_null();
            if has("username") || has("password") {
                &[]
            } else {
                &["username", "password"]
            }
        }
        _ => &[],
    };
    for name in wanted
        .iter()
        .filter(|name| secret["data"][**name].is_null())
    {
        faults.required(&format!("data[{name}]"), "");
    }
}

fn decoded_len(text: &Value) -> usize {
    let text = text.as_str().unwrap_or_default();
    text.len() / 4 * 3 - text.bytes().rev().take_while(|byte| *byte == b'=').count()
}

fn too_long(bytes: usize, path: &str, faults: &mut Faults) {
    if bytes > DATA_BYTES_MAX {
        let message = format!("Too long: may not be more than {DATA_BYTES_MAX} bytes");
        faults.add("FieldValueTooLong", path, message);
    }
}

fn key(field: &str, name: &str, faults: &mut Faults) {
    let place = format!("{field}[{name}]");
    let is_mark = |byte: u8| matches!(byte, b'-' | b'_' | b'.');
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || is_mark(byte);
    let value = Value::from(name);
    if name.len() > 253 {
        faults.invalid(&place, &value, "must be no more than 253 characters");
    }
    if name.is_empty() || !name.bytes().all(is_fit) {
        faults.invalid(&place, &value, NOT_A_KEY);
    }
    match name {
        "." => faults.invalid(&place, &value, "must not be '.'"),
        ".." => faults.invalid(&place, &value, "must not be '..'"),
        _ if name.starts_with("..") => faults.invalid(&place, &value, "must not start with '..'"),
        _ => {}
    }
}

/// Bytes of a map's or secret's values.
const DATA_BYTES_MAX: usize = 1 << 20;

const NOT_AN_ADDRESS: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

const NOT_A_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' \
    (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
