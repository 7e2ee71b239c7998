//! The rows: which field of which message has to be what.

use super::{
    Row,
    Rule::{
        Between, Do, Label, Labels, NonNegative, OneOf, Port, Positive, Required, Subdomain, Unique,
    },
    pods, services, workloads,
};

/// The rows of a message.
pub(super) fn of(message: &str) -> &'static [Row] {
    let from = TABLE.partition_point(|row| row.0 < message);
    let rows = &TABLE[from..];
    &rows[..rows.partition_point(|row| row.0 == message)]
}

const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const SECONDS_MAX: i64 = 2_147_483_647;

/// Sorted by message.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    Row("apps.ControllerRevision", "data", Required("data is mandatory")),
    Row("apps.ControllerRevision", "revision", NonNegative),
    Row("apps.DaemonSetSpec", "", Do(workloads::daemon_set)),
    Row("apps.DaemonSetSpec", "minReadySeconds", NonNegative),
    Row("apps.DaemonSetSpec", "revisionHistoryLimit", NonNegative),
    Row("apps.DaemonSetSpec", "template.spec.restartPolicy", OneOf(&["Always"])),
    Row("apps.DeploymentSpec", "", Do(workloads::deployment)),
    Row("apps.DeploymentSpec", "minReadySeconds", NonNegative),
    Row("apps.DeploymentSpec", "replicas", NonNegative),
    Row("apps.DeploymentSpec", "revisionHistoryLimit", NonNegative),
    Row("apps.DeploymentSpec", "template.spec.restartPolicy", OneOf(&["Always"])),
    Row("apps.ReplicaSetSpec", "", Do(workloads::replica_set)),
    Row("apps.ReplicaSetSpec", "minReadySeconds", NonNegative),
    Row("apps.ReplicaSetSpec", "replicas", NonNegative),
    Row("apps.ReplicaSetSpec", "template.spec.restartPolicy", OneOf(&["Always"])),
    Row("apps.StatefulSetSpec", "", Do(workloads::stateful_set)),
    Row("apps.StatefulSetSpec", "minReadySeconds", NonNegative),
    Row("apps.StatefulSetSpec", "replicas", NonNegative),
    Row("apps.StatefulSetSpec", "template.spec.restartPolicy", OneOf(&["Always"])),
    Row("batch.CronJobSpec", "concurrencyPolicy", OneOf(&["Allow", "Forbid", "Replace"])),
    Row("batch.CronJobSpec", "schedule", Required("")),
    Row("batch.JobSpec", "", Do(workloads::job)),
    Row("batch.JobSpec", "backoffLimit", NonNegative),
    Row("batch.JobSpec", "completions", NonNegative),
    Row("batch.JobSpec", "parallelism", NonNegative),
    Row("coordination.LeaseSpec", "leaseDurationSeconds", Positive),
    Row("coordination.LeaseSpec", "leaseTransitions", NonNegative),
    Row("core.ConfigMap", "", Do(services::config_map)),
    Row("core.Container", "", Do(pods::container)),
    Row("core.Container", "image", Required("")),
    Row("core.Container", "imagePullPolicy", OneOf(&["Always", "IfNotPresent", "Never"])),
    Row("core.Container", "name", Required("")),
    Row("core.Container", "name", Label),
    Row("core.Container", "ports", Unique("name")),
    Row("core.ContainerPort", "containerPort", Required("")),
    Row("core.ContainerPort", "containerPort", Do(pods::port_or_none)),
    Row("core.ContainerPort", "hostPort", Do(pods::port_or_none)),
    Row("core.ContainerPort", "name", Port),
    Row("core.ContainerPort", "protocol", OneOf(PROTOCOLS)),
    Row("core.EndpointAddress", "ip", Do(services::address)),
    Row("core.EndpointPort", "port", Between(1, 65_535)),
    Row("core.EndpointPort", "protocol", OneOf(PROTOCOLS)),
    Row("core.EndpointSubset", "", Do(services::subset)),
    Row("core.EnvVar", "", Do(pods::variable)),
    Row("core.Event", "", Do(services::event)),
    Row("core.PersistentVolumeClaimSpec", "accessModes", Required("at least 1 access mode is required")),
    Row("core.PersistentVolumeClaimSpec", "resources", Do(pods::claim_size)),
    Row("core.PodSpec", "", Do(pods::spec)),
    Row("core.PodSpec", "activeDeadlineSeconds", Between(1, SECONDS_MAX)),
    Row("core.PodSpec", "containers", Required("")),
    Row("core.PodSpec", "containers", Unique("name")),
    Row("core.PodSpec", "dnsPolicy", OneOf(&["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"])),
    Row("core.PodSpec", "hostname", Label),
    Row("core.PodSpec", "nodeSelector", Labels),
    Row("core.PodSpec", "restartPolicy", OneOf(&["Always", "OnFailure", "Never"])),
    Row("core.PodSpec", "subdomain", Label),
    Row("core.PodSpec", "volumes", Unique("name")),
    Row("core.Probe", "", Do(pods::probe)),
    Row("core.ReplicationControllerSpec", "minReadySeconds", NonNegative),
    Row("core.ReplicationControllerSpec", "replicas", NonNegative),
    Row("core.ReplicationControllerSpec", "selector", Required("")),
    Row("core.ReplicationControllerSpec", "template", Required("")),
    Row("core.ResourceRequirements", "", Do(pods::resources)),
    Row("core.Secret", "", Do(services::secret)),
    Row("core.ServicePort", "port", Do(services::port)),
    Row("core.ServicePort", "protocol", OneOf(PROTOCOLS)),
    Row("core.ServicePort", "targetPort", Port),
    Row("core.ServiceSpec", "", Do(services::service)),
    Row("core.ServiceSpec", "ports", Unique("name")),
    Row("core.ServiceSpec", "selector", Labels),
    Row("core.ServiceSpec", "sessionAffinity", OneOf(&["ClientIP", "None"])),
    Row("core.ServiceSpec", "type", OneOf(&["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"])),
    Row("core.TCPSocketAction", "port", Port),
    Row("core.Toleration", "", Do(pods::toleration)),
    Row("core.Volume", "", Do(pods::volume)),
    Row("core.Volume", "name", Required("")),
    Row("core.Volume", "name", Label),
    Row("discovery.Endpoint", "addresses", Required("must contain at least 1 address")),
    Row("discovery.EndpointPort", "name", Label),
    Row("discovery.EndpointPort", "protocol", OneOf(PROTOCOLS)),
    Row("discovery.EndpointSlice", "", Do(services::slice)),
    Row("discovery.EndpointSlice", "addressType", Required("")),
    Row("discovery.EndpointSlice", "addressType", OneOf(&["FQDN", "IPv4", "IPv6"])),
    Row("networking.HTTPIngressPath", "", Do(services::ingress_path)),
    Row("networking.HTTPIngressRuleValue", "paths", Required("")),
    Row("networking.IngressBackend", "", Do(services::backend)),
    Row("networking.IngressClassSpec", "controller", Required("")),
    Row("networking.IngressRule", "host", Subdomain),
    Row("networking.IngressServiceBackend", "", Do(services::service_backend)),
    Row("networking.IngressServiceBackend", "name", Label),
    Row("networking.IngressSpec", "", Do(services::ingress)),
    Row("networking.NetworkPolicySpec", "policyTypes", Do(services::policy_types)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::message;

    #[test]
    fn the_table_is_sorted_and_names_fields_that_there_are() {
        assert!(TABLE.is_sorted_by_key(|row| row.0));
        for Row(name, path, _) in TABLE {
            let mut at = message(name);
            for part in path.split('.').filter(|part| !part.is_empty()) {
                let field = at.and_then(|message| message.field(part));
                at = field.unwrap_or_else(|| panic!("{name} {path}")).message();
            }
        }
        assert_eq!(of("core.PodSpec").len(), 10);
        assert!(of("core.Absent").is_empty());
    }
}
