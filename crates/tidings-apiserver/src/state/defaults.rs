//! What a server makes of a client's object before it is stored: defaults, checks, addresses.
//!
//! Does not default all that the real server does: of built-in kinds only what clients read (a table),
//! of custom ones what their schema says.
//!
//! Source: kubernetes pkg/apis/{core,apps,batch}/v1/defaults.go, pkg/registry/core/{pod,service,namespace}
//! and plugin/pkg/admission/namespace/lifecycle @v1.36.3; the sentences are those of a real server.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    State,
    address::keep_address,
    delete::DEFINITIONS,
    names::{check_finalizers, check_metadata},
    write::Terms,
};
use crate::{
    kind::KindRow,
    refusal::{Refusal, RefusalCause},
    seed::timestamp,
};

impl State {
    /// The namespaces that are there from the beginning, at the first version and without a change.
    pub(super) fn lay_namespaces(&mut self, now: u64) {
        let Some(resource) = self.namespaces() else {
            return;
        };
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            let mut document = json!({ "metadata": {
                "name": name, "uid": self.seed.uid(), "creationTimestamp": timestamp(now)
            } });
            begin_namespace(&mut document);
            let stored = self.lay_out(resource, document, self.rv);
            let collection = self.places[resource].collection;
            self.collections[collection].insert(name.into(), Arc::new(stored));
        }
    }

    pub(super) fn namespaces(&self) -> Option<usize> {
        self.resource("", "v1", "namespaces")
    }

    /// Whether a new object may be where it wants to be.
    pub(super) fn check_home(
        &self,
        resource: usize,
        document: &Value,
        name: &str,
    ) -> Result<(), Refusal> {
        let row = self.kind(resource);
        let definition = format!("{}.{}", row.plural, row.group);
        let definitions = self.resource(DEFINITIONS.0, "v1", "customresourcedefinitions");
        if row.is_custom()
            && definitions.is_some_and(|definitions| self.is_marked(definitions, &definition))
        {
            let why = "create not allowed while custom resource definition is terminating";
            return Err(Refusal::forbidden(row, name, why));
        }
        let namespace = document["metadata"]["namespace"].as_str();
        let (Some(namespace), Some(namespaces)) = (namespace, self.namespaces()) else {
            return Ok(());
        };
        if self.get(namespaces, namespace).is_none() {
            return Err(Refusal::not_found(self.kind(namespaces), namespace));
        }
        if !self.is_marked(namespaces, namespace) {
            return Ok(());
        }
        let why = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        let mut refusal = Refusal::forbidden(row, name, &why);
        let message = format!("namespace {namespace} is being terminated");
        let field = "metadata.namespace";
        refusal
            .causes
            .push(RefusalCause::new("NamespaceTerminating", message, field));
        Err(refusal)
    }

    /// Fills in what the client left out, before anybody owns it, and checks what there is.
    pub(super) fn complete(
        &self,
        row: &KindRow,
        old: Option<&Value>,
        document: &mut Value,
        terms: &Terms<'_>,
    ) -> Result<(), Refusal> {
        let name = document["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        drop_empty_metadata(document);
        // pr-N10: a status is written through its own endpoint; nodes bring theirs.
        if old.is_none() && row.status && !row.is("", "Node") {
            remove(document, "status");
        }
        if let Some(schema) = &row.schema {
            let unknown = schema.unknown(document);
            if terms.strict_fields && !unknown.is_empty() {
                let unknown: Vec<String> = unknown
                    .iter()
                    .map(|path| format!("unknown field \"{path}\""))
                    .collect();
                let (version, kind) = (&row.version, &row.kind);
                return Err(Refusal::bad_request(format!(
                    "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding \
                     error: {}",
                    unknown.join(", ")
                )));
            }
            schema.prepare(document);
            let causes = schema.validate(document);
            if !causes.is_empty() {
                return Err(Refusal::invalid_object(row, &name, causes));
            }
        } else if !row.is_custom() {
            drop_nulls(document);
            fill(row, document);
        }
        if row.is("", "Namespace") && old.is_none() {
            begin_namespace(document);
        }
        if row.is("", "Service") {
            keep_address(old, document);
        }
        if row.is(DEFINITIONS.0, DEFINITIONS.1) {
            super::definition::complete(row, &name, document)?;
        }
        Ok(())
    }

    /// Fills in what is the server's own, and refuses what may not change.
    pub(super) fn settle(
        &mut self,
        resource: usize,
        old: Option<&Value>,
        document: &mut Value,
        terms: &Terms<'_>,
    ) -> Result<(), Refusal> {
        let row = self.row(resource);
        let name = document["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        check_metadata(&row, &name, document)?;
        if let Some(old) = old {
            check_finalizers(&row, &name, old, document)?;
        }
        if row.is("", "Service") {
            self.give_address(&row, &name, old, document)?;
        }
        if row.is("", "Pod") && document["status"]["phase"].is_null() {
            document["status"]["phase"] = "Pending".into();
        }
        if row.is(DEFINITIONS.0, DEFINITIONS.1) {
            self.accept(document, terms.now);
        }
        Ok(())
    }
}

fn begin_namespace(document: &mut Value) {
    let name = document["metadata"]["name"].clone();
    document["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
    document["spec"] = json!({ "finalizers": ["kubernetes"] });
    document["status"] = json!({ "phase": "Active" });
}

/// Metadata is typed for every kind: what is empty there is not there.
fn drop_empty_metadata(document: &mut Value) {
    let Some(meta) = document["metadata"].as_object_mut() else {
        return;
    };
    meta.retain(|_, member| match member {
        Value::Array(items) => !items.is_empty(),
        Value::Null => false,
        Value::Object(members) => !members.is_empty(),
        _ => true,
    });
}

/// Typed objects know no nulls but in place of nothing.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        _ => {}
    }
}

fn remove(document: &mut Value, field: &str) {
    if let Some(top) = document.as_object_mut() {
        top.remove(field);
    }
}

/// Fills in the table's defaults.
fn fill(row: &KindRow, document: &mut Value) {
    for default in DEFAULTS.iter().filter(|it| row.is(it.group, it.kind)) {
        set(document, default.path, default.value);
    }
}

/// Sets what is missing at a path; `*` stands for each item of a list.
fn set(value: &mut Value, path: &str, default: &str) {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    if first == "*" {
        let items = value.as_array_mut().into_iter().flatten();
        return items.for_each(|item| set(item, rest, default));
    }
    let Some(members) = value.as_object_mut() else {
        return;
    };
    if !rest.is_empty() {
        if let Some(member) = members.get_mut(first) {
            set(member, rest, default);
        }
        return;
    }
    if !members.contains_key(first) {
        // A number where it is one.
        let parsed = default.parse::<u64>().map(Value::from);
        members.insert(first.to_owned(), parsed.unwrap_or_else(|_| default.into()));
    }
}

/// A field that clients read, and what it is where nobody gave it.
struct Default {
    group: &'static str,
    kind: &'static str,
    path: &'static str,
    value: &'static str,
}

const fn default(
    group: &'static str,
    kind: &'static str,
    path: &'static str,
    value: &'static str,
) -> Default {
    Default {
        group,
        kind,
        path,
        value,
    }
}

#[rustfmt::skip]
const DEFAULTS: &[Default] = &[
    default("", "Pod", "spec.containers.*.ports.*.protocol", "TCP"),
    default("", "Pod", "spec.restartPolicy", "Always"),
    default("", "ReplicationController", "spec.replicas", "1"),
    default("", "Secret", "type", "Opaque"),
    default("", "Service", "spec.ports.*.protocol", "TCP"),
    default("", "Service", "spec.sessionAffinity", "None"),
    default("", "Service", "spec.type", "ClusterIP"),
    default("apps", "DaemonSet", "spec.template.spec.containers.*.ports.*.protocol", "TCP"),
    default("apps", "DaemonSet", "spec.template.spec.restartPolicy", "Always"),
    default("apps", "Deployment", "spec.replicas", "1"),
    default("apps", "Deployment", "spec.template.spec.containers.*.ports.*.protocol", "TCP"),
    default("apps", "Deployment", "spec.template.spec.restartPolicy", "Always"),
    default("apps", "ReplicaSet", "spec.replicas", "1"),
    default("apps", "ReplicaSet", "spec.template.spec.containers.*.ports.*.protocol", "TCP"),
    default("apps", "ReplicaSet", "spec.template.spec.restartPolicy", "Always"),
    default("apps", "StatefulSet", "spec.replicas", "1"),
    default("apps", "StatefulSet", "spec.template.spec.containers.*.ports.*.protocol", "TCP"),
    default("apps", "StatefulSet", "spec.template.spec.restartPolicy", "Always"),
    default("batch", "Job", "spec.completions", "1"),
    default("batch", "Job", "spec.parallelism", "1"),
];

#[cfg(test)]
mod tests;
