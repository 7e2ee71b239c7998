//! The kinds that the controller reads and writes: its own in full, the others as far as it looks at
//! them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings::OwnerReference;

/// What a user asks for: an image, so many of it, behind a port.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MyService {
    pub(crate) metadata: Meta,
    pub(crate) spec: Spec,
    #[serde(default)]
    pub(crate) status: Status,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) image: String,
    pub(crate) replicas: u32,
    pub(crate) port: u16,
}

/// What the controller says back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    /// The generation of the spec that the rest is about.
    #[serde(default)]
    pub(crate) observed_generation: u64,
    /// Whether everything that the spec asks for is there.
    #[serde(default)]
    pub(crate) is_ready: bool,
}

/// What the controller reads of an object's metadata, and of no other.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Meta {
    pub(crate) uid: String,
    pub(crate) generation: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deletion_timestamp: Option<String>,
    pub(crate) finalizers: Vec<String>,
    pub(crate) owner_references: Vec<OwnerReference>,
}

/// The part of a Deployment that the controller owns.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Deployment {
    #[serde(default)]
    pub(crate) metadata: Owners,
    pub(crate) spec: DeploymentSpec,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct DeploymentSpec {
    #[serde(default)]
    pub(crate) replicas: u32,
    pub(crate) template: Template,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Template {
    pub(crate) spec: PodSpec,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct PodSpec {
    pub(crate) containers: Vec<Container>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Container {
    pub(crate) image: String,
}

/// The part of a Service that the controller owns.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Service {
    #[serde(default)]
    pub(crate) metadata: Owners,
    pub(crate) spec: ServiceSpec,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct ServiceSpec {
    #[serde(default)]
    pub(crate) ports: Vec<Port>,
    #[serde(default)]
    pub(crate) selector: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Port {
    pub(crate) port: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Owners {
    pub(crate) owner_references: Vec<OwnerReference>,
}

impl Spec {
    /// Whether a Deployment is what this asks for, as far as the controller owns it.
    pub(crate) fn is_met_by_deployment(&self, uid: &str, deployment: &Deployment) -> bool {
        let containers = &deployment.spec.template.spec.containers;
        deployment.metadata.has(uid)
            && deployment.spec.replicas == self.replicas
            && containers
                .iter()
                .any(|container| container.image == self.image)
    }

    /// Whether a Service is.
    pub(crate) fn is_met_by_service(&self, uid: &str, name: &str, service: &Service) -> bool {
        service.metadata.has(uid)
            && service.spec.ports.iter().any(|port| port.port == self.port)
            && service
                .spec
                .selector
                .get("app")
                .is_some_and(|app| app == name)
    }

    /// The fields of the Deployment that the controller owns.
    pub(crate) fn deployment(&self, namespace: &str, name: &str, owner: &OwnerReference) -> Value {
        let labels = json!({ "app": name });
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": name, "namespace": namespace, "ownerReferences": [owner] },
            "spec": {
                "replicas": self.replicas,
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": { "containers": [{ "name": "main", "image": self.image }] }
                }
            }
        })
    }

    /// The fields of the Service that the controller owns.
    pub(crate) fn service(&self, namespace: &str, name: &str, owner: &OwnerReference) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": name, "namespace": namespace, "ownerReferences": [owner] },
            "spec": {
                "selector": { "app": name },
                "ports": [{ "name": "main", "port": self.port, "protocol": "TCP" }]
            }
        })
    }
}

impl Owners {
    fn has(&self, uid: &str) -> bool {
        self.owner_references.iter().any(|owner| owner.uid == uid)
    }
}

/// The definition of the kind, for the API server.
pub(crate) fn definition() -> Value {
    let schema = json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["image", "replicas", "port"],
                "properties": {
                    "image": { "type": "string", "minLength": 1 },
                    "replicas": { "type": "integer", "minimum": 0 },
                    "port": { "type": "integer", "minimum": 1, "maximum": 65535 }
                }
            },
            "status": {
                "type": "object",
                "properties": {
                    "observedGeneration": { "type": "integer" },
                    "isReady": { "type": "boolean" }
                }
            }
        }
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": "myservices.example.com" },
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {
                "plural": "myservices",
                "singular": "myservice",
                "kind": "MyService",
                "listKind": "MyServiceList"
            },
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": schema }
            }]
        }
    })
}
