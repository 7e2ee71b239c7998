//! What fields of built-in kinds are where nobody gave them: rows of a table, by message.
//!
//! Does not know what depends on other objects, such as addresses, nor what admission adds.
//!
//! D1  A row fills in what is missing, and never changes what is there.
//! Source: kubernetes pkg/apis/{apps,batch,core,discovery,networking}/v1/defaults.go @v1.36.3.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use crate::messages::Message;

/// Fills in the defaults of one message; those of the messages in it come after.
pub(super) fn fill(message: &Message, members: &mut Map<String, Value>) {
    let from = DEFAULTS.partition_point(|row| row.message < message.name);
    let rows = DEFAULTS[from..]
        .iter()
        .take_while(|row| row.message == message.name);
    for row in rows {
        if !row.condition.holds(members) {
            continue;
        }
        let made = match row.what {
            What::Copy(field) => {
                if members.get(row.path).is_some_and(|value| *value == 0) {
                    members.remove(row.path);
                }
                members.get(field).cloned()
            }
            What::Do(change) => {
                change(members);
                None
            }
            What::Json(text) => serde_json::from_str(text).ok(),
            What::Made(make) => make(members),
        };
        if let Some(value) = made.filter(|value| !value.is_null()) {
            put(members, row.path, value);
        }
    }
}

/// Puts a value where there is none yet; the maps on the way are made, too.
fn put(members: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            let place = members.entry(path).or_insert(Value::Null);
            // What is not optional in Go is missing where it is empty.
            if place.is_null() || place == "" {
                *place = value;
            }
        }
        Some((first, rest)) => {
            let inner = members
                .entry(first)
                .or_insert_with(|| Value::Object(Map::new()));
            if let Some(members) = inner.as_object_mut() {
                put(members, rest, value);
            }
        }
    }
}

/// A field and its default.
struct Row {
    message: &'static str,
    path: &'static str,
    condition: Condition,
    what: What,
}

enum What {
    /// As another field of the message.
    Copy(&'static str),
    /// Some more than one field.
    Do(fn(&mut Map<String, Value>)),
    Json(&'static str),
    Made(fn(&Map<String, Value>) -> Option<Value>),
}

enum Condition {
    Always,
    /// A field is one of these texts.
    Is(&'static str, &'static [&'static str]),
    /// None but these fields are there.
    Only(&'static [&'static str]),
    /// A field is there.
    With(&'static str),
}

impl Condition {
    fn holds(&self, members: &Map<String, Value>) -> bool {
        match self {
            Self::Always => true,
            Self::Is(field, texts) => {
                let text = members
                    .get(*field)
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                texts.contains(&text)
            }
            Self::Only(fields) => members.keys().all(|field| fields.contains(&field.as_str())),
            Self::With(field) => members.get(*field).is_some_and(|value| !value.is_null()),
        }
    }
}

const fn row(message: &'static str, path: &'static str, json: &'static str) -> Row {
    made(message, path, Condition::Always, What::Json(json))
}

const fn made(message: &'static str, path: &'static str, condition: Condition, what: What) -> Row {
    Row {
        message,
        path,
        condition,
        what,
    }
}

/// An image whose tag may move is pulled each time.
fn pull_policy(container: &Map<String, Value>) -> Option<Value> {
    let image = container.get("image").and_then(Value::as_str)?;
    let name = image.rsplit('/').next().unwrap_or(image);
    let moves = !name.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == "latest");
    Some(if moves { "Always" } else { "IfNotPresent" }.into())
}

/// A policy is about what comes in, and about what goes out if it says something of it.
fn policy_types(spec: &Map<String, Value>) -> Option<Value> {
    let has_egress = spec
        .get("egress")
        .and_then(Value::as_array)
        .is_some_and(|it| !it.is_empty());
    Some(
        if has_egress {
            vec!["Ingress", "Egress"]
        } else {
            vec!["Ingress"]
        }
        .into(),
    )
}

/// What runs to its end once, without a number of ends.
fn one_completion(spec: &Map<String, Value>) -> Option<Value> {
    let is_queue = spec.get("parallelism").is_some_and(|it| !it.is_null());
    (!is_queue).then(|| 1.into())
}

/// Texts are given as they are, and kept as bytes.
fn string_data(secret: &mut Map<String, Value>) {
    let Some(Value::Object(texts)) = secret.remove("stringData") else {
        return;
    };
    let data = secret
        .entry("data")
        .or_insert_with(|| Value::Object(Map::new()));
    for (name, text) in texts {
        let bytes = STANDARD.encode(text.as_str().unwrap_or_default());
        if let Some(data) = data.as_object_mut() {
            data.insert(name, bytes.into());
        }
    }
}

fn containers(spec: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let spec = spec.as_object_mut().into_iter().flatten();
    let lists = spec.filter(|(name, _)| matches!(name.as_str(), "containers" | "initContainers"));
    let items = lists.filter_map(|(_, list)| list.as_array_mut()).flatten();
    items.filter_map(Value::as_object_mut)
}

/// On the host's network a port is the host's.
fn host_ports(pod: &mut Map<String, Value>) {
    let Some(spec) = pod
        .get_mut("spec")
        .filter(|spec| spec["hostNetwork"] == true)
    else {
        return;
    };
    for container in containers(spec) {
        let ports = container.get_mut("ports").and_then(Value::as_array_mut);
        for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
            if let Some(number) = port.get("containerPort").cloned() {
                put(port, "hostPort", number);
            }
        }
    }
}

/// What a container may use is what it asks for, if it asks for nothing else.
fn requests(pod: &mut Map<String, Value>) {
    let Some(spec) = pod.get_mut("spec") else {
        return;
    };
    for container in containers(spec) {
        let resources = container
            .get_mut("resources")
            .and_then(Value::as_object_mut);
        let Some(resources) = resources else { continue };
        let limits = resources.get("limits").and_then(Value::as_object).cloned();
        for (name, limit) in limits.unwrap_or_default() {
            let requests = resources
                .entry("requests")
                .or_insert_with(|| Value::Object(Map::new()));
            if let Some(requests) = requests.as_object_mut() {
                put(requests, &name, limit);
            }
        }
    }
}

/// What a controller selects is what its template is labelled with.
fn template_labels(controller: &mut Map<String, Value>) {
    let labels = controller
        .get("spec")
        .map(|spec| &spec["template"]["metadata"]["labels"]);
    let Some(labels) = labels.filter(|labels| labels.is_object()).cloned() else {
        return;
    };
    put(controller, "metadata.labels", labels.clone());
    put(controller, "spec.selector", labels);
}

fn template_generation(set: &mut Map<String, Value>) {
    let meta = set
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    if meta["annotations"].is_null() && meta.is_object() {
        meta["annotations"] = Value::Object(Map::new());
    }
    if let Some(annotations) = meta["annotations"].as_object_mut() {
        annotations
            .entry("deprecated.daemonset.template.generation")
            .or_insert_with(|| "1".into());
    }
}

/// A set's claims say what they are.
fn claims(spec: &mut Map<String, Value>) {
    let claims = spec
        .get_mut("volumeClaimTemplates")
        .and_then(Value::as_array_mut);
    for claim in claims
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        put(claim, "apiVersion", "v1".into());
        put(claim, "kind", "PersistentVolumeClaim".into());
    }
}

/// A namespace can be selected by its name.
fn namespace_label(namespace: &mut Map<String, Value>) {
    let name = namespace
        .get("metadata")
        .and_then(|meta| meta["name"].as_str());
    let Some(name) = name.filter(|name| !name.is_empty()).map(Value::from) else {
        return;
    };
    if let Some(meta) = namespace.get_mut("metadata") {
        let labels = &mut meta["labels"];
        if labels.is_null() || labels.is_object() {
            labels["kubernetes.io/metadata.name"] = name;
        }
    }
}

fn pod_cidrs(spec: &Map<String, Value>) -> Option<Value> {
    Some(vec![spec.get("podCIDR")?.clone()].into())
}

fn pod_ips(status: &Map<String, Value>) -> Option<Value> {
    Some(json!([{ "ip": status.get("podIP")? }]))
}

const SERVED: Condition = Condition::Is("type", &["", "ClusterIP", "LoadBalancer", "NodePort"]);
const OUTSIDE: Condition = Condition::Is("type", &["LoadBalancer", "NodePort"]);
const ROLLING: Condition = Condition::Is("type", &["", "RollingUpdate"]);

/// Sorted by message; within one in the order in which they are filled in.
#[rustfmt::skip]
const DEFAULTS: &[Row] = &[
    made("apps.DaemonSet", "metadata", Condition::Always, What::Do(template_generation)),
    row("apps.DaemonSetSpec", "revisionHistoryLimit", "10"),
    row("apps.DaemonSetSpec", "updateStrategy.type", "\"RollingUpdate\""),
    made("apps.DaemonSetUpdateStrategy", "rollingUpdate.maxSurge", ROLLING, What::Json("0")),
    made("apps.DaemonSetUpdateStrategy", "rollingUpdate.maxUnavailable", ROLLING, What::Json("1")),
    row("apps.DeploymentSpec", "progressDeadlineSeconds", "600"),
    row("apps.DeploymentSpec", "replicas", "1"),
    row("apps.DeploymentSpec", "revisionHistoryLimit", "10"),
    row("apps.DeploymentSpec", "strategy.type", "\"RollingUpdate\""),
    made("apps.DeploymentStrategy", "rollingUpdate.maxSurge", ROLLING, What::Json("\"25%\"")),
    made("apps.DeploymentStrategy", "rollingUpdate.maxUnavailable", ROLLING, What::Json("\"25%\"")),
    row("apps.ReplicaSetSpec", "replicas", "1"),
    row("apps.StatefulSetPersistentVolumeClaimRetentionPolicy", "whenDeleted", "\"Retain\""),
    row("apps.StatefulSetPersistentVolumeClaimRetentionPolicy", "whenScaled", "\"Retain\""),
    row("apps.StatefulSetSpec", "persistentVolumeClaimRetentionPolicy", "{}"),
    row("apps.StatefulSetSpec", "podManagementPolicy", "\"OrderedReady\""),
    row("apps.StatefulSetSpec", "replicas", "1"),
    row("apps.StatefulSetSpec", "revisionHistoryLimit", "10"),
    row("apps.StatefulSetSpec", "updateStrategy.type", "\"RollingUpdate\""),
    made("apps.StatefulSetSpec", "volumeClaimTemplates", Condition::With("volumeClaimTemplates"), What::Do(claims)),
    made("apps.StatefulSetUpdateStrategy", "rollingUpdate.partition", ROLLING, What::Json("0")),
    row("batch.CronJobSpec", "concurrencyPolicy", "\"Allow\""),
    row("batch.CronJobSpec", "failedJobsHistoryLimit", "1"),
    row("batch.CronJobSpec", "successfulJobsHistoryLimit", "3"),
    row("batch.CronJobSpec", "suspend", "false"),
    row("batch.Job", "spec.backoffLimit", "6"),
    row("batch.Job", "spec.completionMode", "\"NonIndexed\""),
    row("batch.Job", "spec.podReplacementPolicy", "\"TerminatingOrFailed\""),
    row("batch.Job", "spec.suspend", "false"),
    made("batch.JobSpec", "completions", Condition::With("backoffLimit"), What::Made(one_completion)),
    made("batch.JobSpec", "parallelism", Condition::With("backoffLimit"), What::Json("1")),
    row("core.ConfigMapVolumeSource", "defaultMode", "420"),
    made("core.Container", "imagePullPolicy", Condition::Always, What::Made(pull_policy)),
    row("core.Container", "terminationMessagePath", "\"/dev/termination-log\""),
    row("core.Container", "terminationMessagePolicy", "\"File\""),
    row("core.ContainerPort", "protocol", "\"TCP\""),
    row("core.DownwardAPIVolumeSource", "defaultMode", "420"),
    row("core.EndpointPort", "protocol", "\"TCP\""),
    row("core.HTTPGetAction", "path", "\"/\""),
    row("core.HTTPGetAction", "scheme", "\"HTTP\""),
    row("core.HostPathVolumeSource", "type", "\"\""),
    made("core.Namespace", "metadata", Condition::Always, What::Do(namespace_label)),
    made("core.NodeSpec", "podCIDRs", Condition::With("podCIDR"), What::Made(pod_cidrs)),
    made("core.NodeStatus", "allocatable", Condition::With("capacity"), What::Copy("capacity")),
    row("core.ObjectFieldSelector", "apiVersion", "\"v1\""),
    row("core.PersistentVolume", "status.phase", "\"Pending\""),
    row("core.PersistentVolumeClaim", "status.phase", "\"Pending\""),
    row("core.PersistentVolumeClaimSpec", "volumeMode", "\"Filesystem\""),
    row("core.PersistentVolumeSpec", "persistentVolumeReclaimPolicy", "\"Retain\""),
    row("core.PersistentVolumeSpec", "volumeMode", "\"Filesystem\""),
    made("core.Pod", "spec", Condition::Always, What::Do(host_ports)),
    made("core.Pod", "spec", Condition::Always, What::Do(requests)),
    row("core.Pod", "spec.enableServiceLinks", "true"),
    row("core.PodSpec", "dnsPolicy", "\"ClusterFirst\""),
    row("core.PodSpec", "restartPolicy", "\"Always\""),
    row("core.PodSpec", "schedulerName", "\"default-scheduler\""),
    row("core.PodSpec", "securityContext", "{}"),
    row("core.PodSpec", "terminationGracePeriodSeconds", "30"),
    made("core.PodSpec", "serviceAccountName", Condition::Always, What::Copy("serviceAccount")),
    made("core.PodSpec", "serviceAccount", Condition::Always, What::Copy("serviceAccountName")),
    made("core.PodStatus", "podIPs", Condition::With("podIP"), What::Made(pod_ips)),
    row("core.Probe", "failureThreshold", "3"),
    row("core.Probe", "periodSeconds", "10"),
    row("core.Probe", "successThreshold", "1"),
    row("core.Probe", "timeoutSeconds", "1"),
    row("core.ProjectedVolumeSource", "defaultMode", "420"),
    made("core.ReplicationController", "spec", Condition::Always, What::Do(template_labels)),
    row("core.ReplicationControllerSpec", "replicas", "1"),
    made("core.Secret", "data", Condition::With("stringData"), What::Do(string_data)),
    row("core.Secret", "type", "\"Opaque\""),
    row("core.SecretVolumeSource", "defaultMode", "420"),
    row("core.ServiceAccountTokenProjection", "expirationSeconds", "3600"),
    row("core.ServicePort", "protocol", "\"TCP\""),
    made("core.ServicePort", "targetPort", Condition::Always, What::Copy("port")),
    row("core.ServiceSpec", "sessionAffinity", "\"None\""),
    made("core.ServiceSpec", "sessionAffinityConfig.clientIP.timeoutSeconds", Condition::Is("sessionAffinity", &["ClientIP"]), What::Json("10800")),
    row("core.ServiceSpec", "type", "\"ClusterIP\""),
    made("core.ServiceSpec", "allocateLoadBalancerNodePorts", Condition::Is("type", &["LoadBalancer"]), What::Json("true")),
    made("core.ServiceSpec", "externalTrafficPolicy", OUTSIDE, What::Json("\"Cluster\"")),
    made("core.ServiceSpec", "internalTrafficPolicy", SERVED, What::Json("\"Cluster\"")),
    made("core.Volume", "emptyDir", Condition::Only(&["name"]), What::Json("{}")),
    row("discovery.EndpointPort", "name", "\"\""),
    row("discovery.EndpointPort", "protocol", "\"TCP\""),
    made("networking.IngressClassSpec", "parameters.scope", Condition::With("parameters"), What::Json("\"Cluster\"")),
    row("networking.NetworkPolicyPort", "protocol", "\"TCP\""),
    made("networking.NetworkPolicySpec", "policyTypes", Condition::Always, What::Made(policy_types)),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::messages::message;

    #[test]
    fn the_table_is_sorted_and_names_fields_that_there_are() {
        assert!(DEFAULTS.is_sorted_by_key(|row| row.message));
        for row in DEFAULTS {
            let mut at = message(row.message);
            for part in row.path.split('.') {
                let field = at.and_then(|message| message.field(part));
                let field = field.unwrap_or_else(|| panic!("{} {}", row.message, row.path));
                at = field.message();
            }
            if let What::Json(text) = row.what {
                assert!(serde_json::from_str::<Value>(text).is_ok(), "{text}");
            }
        }
    }

    #[test]
    fn what_is_missing_is_filled_in_and_what_is_there_stays() {
        let filled = |name: &str, mut given: Value| {
            fill(message(name).unwrap(), given.as_object_mut().unwrap());
            given
        };
        let container = |image: &str| {
            filled("core.Container", json!({ "image": image }))["imagePullPolicy"].clone()
        };
        assert_eq!(container("host:5000/i"), "Always");
        assert_eq!(container("host:5000/i:1"), "IfNotPresent");
        assert_eq!(container("i:latest"), "Always");
        assert_eq!(container("i@sha256:00"), "IfNotPresent");
        let port = json!({ "port": 80, "targetPort": "http" });
        assert_eq!(filled("core.ServicePort", port)["targetPort"], "http");
        let recreated = json!({ "type": "Recreate" });
        assert_eq!(
            filled("apps.DeploymentStrategy", recreated.clone()),
            recreated
        );
        let external = filled("core.ServiceSpec", json!({ "type": "ExternalName" }));
        assert!(external["internalTrafficPolicy"].is_null());
    }
}
