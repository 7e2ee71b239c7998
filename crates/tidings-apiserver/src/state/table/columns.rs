//! The columns of the built-in kinds: a table of what is shown where.
//!
//! Does not make the cells that need thought: those are functions of `cells` and `pod`.
//!
//! Source: kubernetes pkg/printers/internalversion/printers.go @v1.36.3; headers as a real server sent them.

use serde_json::Value;

use super::{cells, pod};

/// One column.
pub(super) struct Column {
    pub(super) name: &'static str,
    /// `string`, `integer`, `boolean` or `date`.
    pub(super) kind: &'static str,
    pub(super) format: &'static str,
    /// Shown with `-o wide` alone.
    pub(super) wide: bool,
    pub(super) cell: Cell,
}

/// Where a cell comes from; paths are JSON pointers.
pub(super) enum Cell {
    /// The time since a timestamp.
    Age(&'static str),
    /// A number, 0 where there is none.
    Count(&'static str),
    Made(fn(&Value, u64) -> Value),
    /// A text, and what stands in its place.
    Text(&'static str, &'static str),
}

/// The columns of a built-in kind.
pub(super) fn of(group: &str, plural: &str) -> &'static [Column] {
    // Events have two groups and one storage.
    let group = if plural == "events" { "" } else { group };
    let known = TABLE.iter().find(|row| row.0 == group && row.1 == plural);
    known.map_or(DEFAULT, |row| row.2)
}

const fn column(name: &'static str, kind: &'static str, cell: Cell) -> Column {
    Column {
        name,
        kind,
        format: "",
        wide: false,
        cell,
    }
}

const fn text(name: &'static str, path: &'static str, absent: &'static str) -> Column {
    column(name, "string", Cell::Text(path, absent))
}

const fn count(name: &'static str, path: &'static str) -> Column {
    column(name, "integer", Cell::Count(path))
}

const fn made(name: &'static str, make: fn(&Value, u64) -> Value) -> Column {
    column(name, "string", Cell::Made(make))
}

const fn wide(column: Column) -> Column {
    Column {
        wide: true,
        ..column
    }
}

const fn name(cell: Cell) -> Column {
    Column {
        format: "name",
        ..column("Name", "string", cell)
    }
}

const NAME: Column = name(Cell::Text("/metadata/name", ""));
const AGE: Column = column("Age", "string", Cell::Age("/metadata/creationTimestamp"));
const CONTAINERS: Column = wide(made("Containers", cells::containers));
const IMAGES: Column = wide(made("Images", cells::images));
const SELECTOR: Column = wide(made("Selector", cells::selector));

/// What kinds without columns of their own show.
const DEFAULT: &[Column] = &[
    NAME,
    column(
        "Created At",
        "date",
        Cell::Text("/metadata/creationTimestamp", ""),
    ),
];

#[rustfmt::skip]
const TABLE: &[(&str, &str, &[Column])] = &[
    ("", "configmaps", &[NAME, column("Data", "string", Cell::Made(cells::config_data)), AGE]),
    ("", "endpoints", &[NAME, made("Endpoints", cells::endpoints), AGE]),
    ("", "events", &[
        made("Last Seen", cells::event_last_seen), text("Type", "/type", ""), text("Reason", "/reason", ""),
        made("Object", cells::event_object), wide(text("Subobject", "/involvedObject/fieldPath", "")),
        wide(made("Source", cells::event_source)), made("Message", cells::event_message),
        wide(made("First Seen", cells::event_first_seen)), wide(made("Count", cells::event_count)), wide(NAME),
    ]),
    ("", "namespaces", &[NAME, text("Status", "/status/phase", ""), AGE]),
    ("", "nodes", &[
        NAME, made("Status", cells::node_status), made("Roles", cells::node_roles), AGE,
        text("Version", "/status/nodeInfo/kubeletVersion", ""),
        wide(made("Internal-IP", cells::node_internal)), wide(made("External-IP", cells::node_external)),
        wide(text("OS-Image", "/status/nodeInfo/osImage", "<unknown>")),
        wide(made("Kernel-Version", cells::node_kernel)),
        wide(text("Container-Runtime", "/status/nodeInfo/containerRuntimeVersion", "<unknown>")),
    ]),
    ("", "persistentvolumeclaims", &[
        NAME, made("Status", cells::volume_phase), text("Volume", "/spec/volumeName", ""),
        made("Capacity", cells::claim_capacity), made("Access Modes", cells::claim_modes),
        text("StorageClass", "/spec/storageClassName", ""),
        text("VolumeAttributesClass", "/spec/volumeAttributesClassName", "<unset>"), AGE,
        wide(text("VolumeMode", "/spec/volumeMode", "<unset>")),
    ]),
    ("", "persistentvolumes", &[
        NAME, text("Capacity", "/spec/capacity/storage", "0"), made("Access Modes", cells::volume_modes),
        text("Reclaim Policy", "/spec/persistentVolumeReclaimPolicy", ""), made("Status", cells::volume_phase),
        made("Claim", cells::volume_claim), text("StorageClass", "/spec/storageClassName", ""),
        text("VolumeAttributesClass", "/spec/volumeAttributesClassName", "<unset>"),
        text("Reason", "/status/reason", ""), AGE, wide(text("VolumeMode", "/spec/volumeMode", "<unset>")),
    ]),
    ("", "pods", &[
        NAME, made("Ready", pod::ready), made("Status", pod::status), made("Restarts", pod::restarts), AGE,
        wide(text("IP", "/status/podIPs/0/ip", "<none>")), wide(text("Node", "/spec/nodeName", "<none>")),
        wide(text("Nominated Node", "/status/nominatedNodeName", "<none>")),
        wide(made("Readiness Gates", pod::gates)),
    ]),
    ("", "replicationcontrollers", &[
        NAME, count("Desired", "/spec/replicas"), count("Current", "/status/replicas"),
        count("Ready", "/status/readyReplicas"), AGE, CONTAINERS, IMAGES,
        wide(made("Selector", cells::plain_selector)),
    ]),
    ("", "secrets", &[NAME, text("Type", "/type", ""), column("Data", "string", Cell::Made(cells::config_data)), AGE]),
    ("", "serviceaccounts", &[NAME, AGE]),
    ("", "services", &[
        NAME, text("Type", "/spec/type", ""), text("Cluster-IP", "/spec/clusterIPs/0", "<none>"),
        made("External-IP", cells::service_external), made("Port(s)", cells::service_ports), AGE,
        wide(made("Selector", cells::plain_selector)),
    ]),
    ("apps", "daemonsets", &[
        NAME, count("Desired", "/status/desiredNumberScheduled"), count("Current", "/status/currentNumberScheduled"),
        count("Ready", "/status/numberReady"), count("Up-to-date", "/status/updatedNumberScheduled"),
        count("Available", "/status/numberAvailable"), made("Node Selector", cells::node_selector), AGE,
        CONTAINERS, IMAGES, SELECTOR,
    ]),
    ("apps", "deployments", &[
        NAME, made("Ready", cells::replicas_ready), column("Up-to-date", "string", Cell::Count("/status/updatedReplicas")),
        column("Available", "string", Cell::Count("/status/availableReplicas")), AGE, CONTAINERS, IMAGES,
        wide(made("Selector", cells::deployment_selector)),
    ]),
    ("apps", "replicasets", &[
        NAME, count("Desired", "/spec/replicas"), count("Current", "/status/replicas"),
        count("Ready", "/status/readyReplicas"), AGE, CONTAINERS, IMAGES, SELECTOR,
    ]),
    ("apps", "statefulsets", &[NAME, made("Ready", cells::replicas_ready), AGE, CONTAINERS, IMAGES]),
    ("batch", "cronjobs", &[
        NAME, text("Schedule", "/spec/schedule", ""), text("Timezone", "/spec/timeZone", "<none>"),
        column("Suspend", "boolean", Cell::Made(cells::cron_suspend)),
        column("Active", "integer", Cell::Made(cells::cron_active)), made("Last Schedule", cells::cron_last), AGE,
        CONTAINERS, IMAGES, wide(made("Selector", cells::cron_selector)),
    ]),
    ("batch", "jobs", &[
        NAME, made("Status", cells::job_status), made("Completions", cells::job_completions),
        made("Duration", cells::job_duration), AGE, CONTAINERS, IMAGES, SELECTOR,
    ]),
    ("coordination.k8s.io", "leases", &[NAME, text("Holder", "/spec/holderIdentity", ""), AGE]),
    ("discovery.k8s.io", "endpointslices", &[
        NAME, text("AddressType", "/addressType", ""), made("Ports", cells::slice_ports),
        made("Endpoints", cells::slice_endpoints), AGE,
    ]),
    ("networking.k8s.io", "ingressclasses", &[
        name(Cell::Made(cells::class_name)), text("Controller", "/spec/controller", ""),
        made("Parameters", cells::class_parameters), AGE,
    ]),
    ("networking.k8s.io", "ingresses", &[
        NAME, text("Class", "/spec/ingressClassName", "<none>"), made("Hosts", cells::ingress_hosts),
        made("Address", cells::ingress_address), made("Ports", cells::ingress_ports), AGE,
    ]),
    ("networking.k8s.io", "networkpolicies", &[NAME, made("Pod-Selector", cells::policy_selector), AGE]),
];
