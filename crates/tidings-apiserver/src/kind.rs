//! The kinds that are served, as rows of a table: adding one is data, not code.
//!
//! Does not know any object's fields but those that can be selected by. Versions of one kind are rows
//! of their own; the state knows which of them share their objects.
//!
//! Source: the selectable fields are those of kubernetes pkg/apis/*/v1/conversion.go @v1.36.3;
//! rules pr-L17, pr-L18.

use std::{borrow::Cow, sync::Arc};

use self::Habit::{Generation, Orphans, Returned};
use crate::state::{Printed, Schema};

/// One kind, as its resource is served.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a row that tests write in full")]
pub struct KindRow {
    /// The API group, empty for the core group.
    pub group: Cow<'static, str>,
    /// The API version, such as `v1`.
    pub version: Cow<'static, str>,
    /// The resource's plural name, such as `pods`.
    pub plural: Cow<'static, str>,
    /// The kind, such as `Pod`.
    pub kind: Cow<'static, str>,
    /// Short names for the command line, such as `po`.
    pub short_names: Vec<Cow<'static, str>>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether there is a `/status` subresource.
    pub status: bool,
    /// How lists and objects are laid out.
    pub style: Style,
    /// What can be selected by, besides name and namespace.
    pub fields: Vec<Field>,
    /// Whether objects count the changes of their spec in `metadata.generation` (pr-N10).
    pub generation: bool,
    /// Whether the answer to a deletion is the object even when it is gone (pr-N12).
    pub returns_deleted: bool,
    /// Whether dependents are orphaned when a deletion says nothing about them.
    pub orphans: bool,
    /// Where `/scale` reads and writes, if there is one.
    pub scale: Option<Scale>,
    /// What custom objects must look like; nothing where anything goes.
    pub schema: Option<Arc<Schema>>,
    /// The name of one object, such as `pod`.
    pub singular: Cow<'static, str>,
    /// Groups of kinds for the command line, such as `all`.
    pub categories: Vec<Cow<'static, str>>,
    /// The columns that a definition asks for; built-in kinds have theirs in a table.
    pub columns: Option<Printed>,
}

/// The layout of a kind's JSON (pr-L17, pr-L18).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the server has these two encoders")]
pub enum Style {
    /// Keys in alphabetical order: metadata after the items, which carry their kind.
    Custom,
    /// `kind, apiVersion, metadata, items`; the items carry no kind.
    Typed,
}

/// A field that objects can be selected by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair")]
pub struct Field {
    /// Its path, such as `spec.nodeName`.
    pub path: Cow<'static, str>,
    /// Its value where the object has none.
    pub absent: &'static str,
}

/// Where `/scale` finds its numbers: JSON pointers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the subresource's own three paths"
)]
pub struct Scale {
    /// The wanted replicas.
    pub spec: Cow<'static, str>,
    /// The replicas that there are.
    pub status: Cow<'static, str>,
    /// The label selector of the replicas, or empty.
    pub selector: Cow<'static, str>,
}

impl KindRow {
    /// A row of a custom resource: namespaced, with status, no selectable fields.
    #[must_use]
    pub fn custom(group: &str, version: &str, plural: &str, kind: &str) -> Self {
        let own = |text: &str| Cow::Owned(text.to_owned());
        Self {
            group: own(group),
            version: own(version),
            plural: own(plural),
            kind: own(kind),
            short_names: Vec::new(),
            namespaced: true,
            status: true,
            style: Style::Custom,
            fields: Vec::new(),
            generation: true,
            returns_deleted: false,
            orphans: false,
            scale: None,
            schema: None,
            singular: Cow::Owned(kind.to_lowercase()),
            categories: Vec::new(),
            columns: Some(Printed::parse(&serde_json::Value::Null)),
        }
    }

    /// Whether its objects are custom ones.
    pub(crate) fn is_custom(&self) -> bool {
        self.style == Style::Custom
    }

    /// Whether it is this kind of this group, in whatever version.
    pub(crate) fn is(&self, group: &str, kind: &str) -> bool {
        // Kinds differ sooner than groups.
        self.kind == kind && self.group == group
    }

    /// `version`, or `group/version`: what objects carry as `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `plural`, or `plural.group`: how refusals name a resource.
    #[must_use]
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_string()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// The place of a path among the selectable fields.
    pub(crate) fn field(&self, path: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.path == path)
    }
}

/// The kinds that are served without registration.
#[must_use]
pub fn built_in() -> Vec<KindRow> {
    TABLE.iter().map(Line::row).collect()
}

/// What not every kind does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// Counts the changes of its spec.
    Generation,
    /// Orphans its dependents unless told otherwise.
    Orphans,
    /// Is the answer to its own deletion.
    Returned,
    /// Has `/scale`.
    Scale,
}

/// A line of the table: group, version, plural, kind, short name, namespaced, status, habits, fields.
/// A field whose absence is not the empty string has it after an equals sign.
struct Line(
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    bool,
    bool,
    &'static [Habit],
    &'static [&'static str],
);

impl Line {
    fn row(&self) -> KindRow {
        let Self(group, version, plural, kind, short, namespaced, status, habits, fields) = *self;
        let field = |text: &'static str| {
            let (path, absent) = text.split_once('=').unwrap_or((text, ""));
            let path = Cow::Borrowed(path);
            Field { path, absent }
        };
        let short_names = short.split_terminator(',').map(Cow::Borrowed).collect();
        KindRow {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed(version),
            plural: Cow::Borrowed(plural),
            kind: Cow::Borrowed(kind),
            short_names,
            namespaced,
            status,
            style: Style::Typed,
            fields: fields.iter().copied().map(field).collect(),
            generation: habits.contains(&Generation),
            returns_deleted: habits.contains(&Returned),
            orphans: habits.contains(&Orphans),
            scale: habits.contains(&Habit::Scale).then_some(Scale {
                spec: Cow::Borrowed("/spec/replicas"),
                status: Cow::Borrowed("/status/replicas"),
                selector: Cow::Borrowed("/spec/selector"),
            }),
            schema: None,
            singular: Cow::Owned(kind.to_lowercase()),
            categories: category(group, plural)
                .map(Cow::Borrowed)
                .into_iter()
                .collect(),
            columns: None,
        }
    }
}

/// The category of a built-in kind.
fn category(group: &str, plural: &str) -> Option<&'static str> {
    match (group, plural) {
        ("apps", "controllerrevisions") => None,
        ("apps" | "batch", _) | ("", "pods" | "replicationcontrollers" | "services") => Some("all"),
        ("apiextensions.k8s.io", _) => Some("api-extensions"),
        _ => None,
    }
}

#[rustfmt::skip]
const TABLE: &[Line] = &[
    Line("", "v1", "configmaps", "ConfigMap", "cm", true, false, &[], &[]),
    Line("", "v1", "endpoints", "Endpoints", "ep", true, false, &[], &[]),
    Line("", "v1", "events", "Event", "ev", true, false, &[], EVENT_FIELDS),
    Line("", "v1", "namespaces", "Namespace", "ns", false, true, &[Returned], &["status.phase"]),
    Line("", "v1", "nodes", "Node", "no", false, true, &[], &["spec.unschedulable=false"]),
    Line("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", "pvc", true, true, &[], &[]),
    Line("", "v1", "persistentvolumes", "PersistentVolume", "pv", false, true, &[], &[]),
    Line("", "v1", "pods", "Pod", "po", true, true, &[Generation, Returned], POD_FIELDS),
    Line("", "v1", "replicationcontrollers", "ReplicationController", "rc", true, true, &[Generation, Orphans, Habit::Scale], &["status.replicas=0"]),
    Line("", "v1", "secrets", "Secret", "", true, false, &[], &["type"]),
    Line("", "v1", "serviceaccounts", "ServiceAccount", "sa", true, false, &[Returned], &[]),
    Line("", "v1", "services", "Service", "svc", true, true, &[Returned], &["spec.clusterIP", "spec.type"]),
    Line("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", "crd,crds", false, true, &[Generation, Returned], &[]),
    Line("apps", "v1", "controllerrevisions", "ControllerRevision", "", true, false, &[], &[]),
    Line("apps", "v1", "daemonsets", "DaemonSet", "ds", true, true, &[Generation], &[]),
    Line("apps", "v1", "deployments", "Deployment", "deploy", true, true, &[Generation, Habit::Scale], &[]),
    Line("apps", "v1", "replicasets", "ReplicaSet", "rs", true, true, &[Generation, Habit::Scale], &[]),
    Line("apps", "v1", "statefulsets", "StatefulSet", "sts", true, true, &[Generation, Habit::Scale], &[]),
    Line("batch", "v1", "cronjobs", "CronJob", "cj", true, true, &[Generation], &[]),
    Line("batch", "v1", "jobs", "Job", "", true, true, &[Generation, Orphans], &["status.successful=0"]),
    Line("coordination.k8s.io", "v1", "leases", "Lease", "", true, false, &[], &[]),
    Line("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", "", true, false, &[Generation], &[]),
    Line("networking.k8s.io", "v1", "ingressclasses", "IngressClass", "", false, false, &[Generation], &[]),
    Line("networking.k8s.io", "v1", "ingresses", "Ingress", "ing", true, true, &[Generation], &[]),
    Line("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", "netpol", true, false, &[Generation], &[]),
];

const POD_FIELDS: &[&str] = &[
    "spec.hostNetwork=false",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.nominatedNodeName",
    "status.phase",
    "status.podIP",
    "status.podIPs",
];

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.apiVersion",
    "involvedObject.fieldPath",
    "involvedObject.kind",
    "involvedObject.name",
    "involvedObject.namespace",
    "involvedObject.resourceVersion",
    "involvedObject.uid",
    "reason",
    "reportingComponent",
    "source",
    "type",
];
