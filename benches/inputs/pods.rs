//! Pods as an API server prints them: about 6.8 KB, 2.3 KB of it `managedFields`.
//!
//! Compact JSON, fields in the order of the Go structs, map keys sorted; list items carry no kind
//! and apiVersion.

/// A list body of `count` pods.
#[must_use]
pub fn list(count: usize) -> String {
    let items: Vec<String> = (0..count)
        .map(|index| format!("{{{}}}", pod(index)))
        .collect();
    format!(
        r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"4000000000"}},"items":[{}]}}"#,
        items.join(",")
    )
}

/// A watch stream of `count` MODIFIED events, a line each.
#[must_use]
pub fn events(count: usize) -> String {
    (0..count)
        .map(|index| {
            format!(
                "{{\"type\":\"MODIFIED\",\"object\":{{\"kind\":\"Pod\",\"apiVersion\":\"v1\",{}}}}}\n",
                pod(index)
            )
        })
        .collect()
}

/// One pod as an object of its own.
#[must_use]
pub fn object(index: usize) -> String {
    format!("{{{}}}", pod(index))
}

/// The name of a pod.
#[must_use]
pub fn name(index: usize) -> String {
    format!("app-{index:05}")
}

/// A burst of MODIFIED events as one piece of bytes, which can be given newer versions in place.
///
/// An informer drops events that are not newer than what it has: before each turn the burst is
/// renumbered, outside of the measured time.
pub struct Burst {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    versions: Vec<usize>,
    next_version: u64,
}

impl Burst {
    /// So many events about `objects` pods, in an order that no prefetcher guesses; bare lines.
    #[must_use]
    pub fn new(events: usize, objects: usize) -> Self {
        Self::build(events, objects, false)
    }

    /// The same, each event an HTTP chunk of its own, as an API server writes them.
    #[must_use]
    pub fn chunked(events: usize, objects: usize) -> Self {
        Self::build(events, objects, true)
    }

    fn build(events: usize, objects: usize, is_chunked: bool) -> Self {
        let order = crate::store::shuffled(objects);
        let mut burst = Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            versions: Vec::new(),
            next_version: FIRST_VERSION + 100_000_000,
        };
        for event in 0..events {
            let line = format!(
                "{{\"type\":\"MODIFIED\",\"object\":{{\"kind\":\"Pod\",\"apiVersion\":\"v1\",{}}}}}\n",
                pod(order[event % objects])
            );
            let (before, after) = if is_chunked {
                (format!("{:x}\r\n", line.len()), "\r\n")
            } else {
                (String::new(), "")
            };
            burst.bytes.extend_from_slice(before.as_bytes());
            let at = line.find(VERSION_FIELD).expect("a pod has a version");
            burst
                .versions
                .push(burst.bytes.len() + at + VERSION_FIELD.len());
            burst.bytes.extend_from_slice(line.as_bytes());
            burst.bytes.extend_from_slice(after.as_bytes());
            burst.ends.push(burst.bytes.len());
        }
        burst.renumber();
        burst
    }

    /// Gives every event a version that is newer than all before, and returns the last one.
    pub fn renumber(&mut self) -> u64 {
        for &at in &self.versions {
            let digits = format!("{:010}", self.next_version);
            self.bytes[at..at + 10].copy_from_slice(digits.as_bytes());
            self.next_version += 1;
        }
        self.next_version - 1
    }

    /// All events.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// One event.
    #[must_use]
    pub fn event(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[number]]
    }

    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

fn pod(index: usize) -> String {
    let seed = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let uid = format!(
        "{:08x}-0000-4000-a000-{:012x}",
        seed >> 32,
        seed & 0xffff_ffff_ffff
    );
    let text = [METADATA, MANAGED, SPEC, STATUS].concat();
    text.replace("NAME", &name(index))
        .replace("APP", &format!("app-{:05}", index / 20))
        .replace("UID", &uid)
        .replace("VERSION", &format!("{}", FIRST_VERSION + index as u64))
        .replace("HASH", &format!("{:016x}", seed))
        .replace(
            "ADDRESS",
            &format!("10.16.{}.{}", index / 256 % 256, index % 256),
        )
        .replace(
            "CREATED",
            &format!("2026-10-{:02}T{:02}:00", 1 + seed % 28, seed / 31 % 24),
        )
}

/// The version of the first pod; all have ten digits.
const FIRST_VERSION: u64 = 4_000_000_000;
const VERSION_FIELD: &str = "\"resourceVersion\":\"";

const METADATA: &str = concat!(
    r#""metadata":{"name":"NAME","generateName":"app-","namespace":"ns-07","uid":"UID","resourceVersion":"VERSION","generation":1,"creationTimestamp":"CREATED:07Z","#,
    r#""labels":{"app":"APP","pod-template-hash":"7d9c5b8f64","team":"team-12","tier":"backend","version":"v1.7.0"},"#,
    r#""annotations":{"prometheus.io/port":"9090","prometheus.io/scrape":"true","example.com/build":"2026-10-01.4711","#,
    r#""example.com/config-hash":"HASHHASHHASHHASH","example.com/note":"rolled out by the release pipeline, see the run book for how to roll back"},"#,
    r#""ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"APP-7d9c5b8f64","uid":"6f1f0d0a-0000-4000-a000-00000000beef","controller":true,"blockOwnerDeletion":true}],"#,
);

const MANAGED: &str = concat!(
    r#""managedFields":[{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":"CREATED:07Z","fieldsType":"FieldsV1","fieldsV1":"#,
    r#"{"f:metadata":{"f:annotations":{".":{},"f:prometheus.io/port":{},"f:prometheus.io/scrape":{},"f:example.com/build":{}},"#,
    r#""f:generateName":{},"f:labels":{".":{},"f:app":{},"f:pod-template-hash":{},"f:team":{},"f:tier":{},"f:version":{}},"#,
    r#""f:ownerReferences":{".":{},"k:{\"uid\":\"6f1f0d0a-0000-4000-a000-00000000beef\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"#,
    r#""f:args":{},"f:env":{".":{},"k:{\"name\":\"LOG_LEVEL\"}":{".":{},"f:name":{},"f:value":{}},"k:{\"name\":\"POD_IP\"}":{".":{},"f:name":{},"#,
    r#""f:valueFrom":{".":{},"f:fieldRef":{}}}},"f:image":{},"f:imagePullPolicy":{},"f:livenessProbe":{".":{},"f:failureThreshold":{},"#,
    r#""f:httpGet":{".":{},"f:path":{},"f:port":{},"f:scheme":{}},"f:periodSeconds":{},"f:successThreshold":{},"f:timeoutSeconds":{}},"#,
    r#""f:name":{},"f:ports":{".":{},"k:{\"containerPort\":8080,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:name":{},"f:protocol":{}}},"#,
    r#""f:resources":{".":{},"f:limits":{".":{},"f:memory":{}},"f:requests":{".":{},"f:cpu":{},"f:memory":{}}},"#,
    r#""f:volumeMounts":{".":{},"k:{\"mountPath\":\"/etc/app\"}":{".":{},"f:mountPath":{},"f:name":{},"f:readOnly":{}}}}},"#,
    r#""f:dnsPolicy":{},"f:restartPolicy":{},"f:serviceAccount":{},"f:volumes":{".":{},"k:{\"name\":\"config\"}":{".":{},"f:configMap":{},"f:name":{}}}}}},"#,
    r#"{"manager":"kubelet","operation":"Update","apiVersion":"v1","time":"CREATED:31Z","fieldsType":"FieldsV1","fieldsV1":"#,
    r#"{"f:status":{"f:conditions":{"k:{\"type\":\"ContainersReady\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},"#,
    r#""k:{\"type\":\"Initialized\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},"#,
    r#""k:{\"type\":\"Ready\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}}},"#,
    r#""f:containerStatuses":{},"f:hostIP":{},"f:hostIPs":{},"f:phase":{},"f:podIP":{},"f:podIPs":{},"f:startTime":{}}},"subresource":"status"}]},"#,
);

const SPEC: &str = concat!(
    r#""spec":{"volumes":[{"name":"config","configMap":{"name":"APP","defaultMode":420}},{"name":"kube-api-access","projected":{"sources":["#,
    r#"{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}},"#,
    r#"{"downwardAPI":{"items":[{"path":"namespace","fieldRef":{"apiVersion":"v1","fieldPath":"metadata.namespace"}}]}}],"defaultMode":420}}],"#,
    r#""containers":[{"name":"app","image":"registry.example.com/shop/APP:v1.7.0","args":["serve","--listen=:8080","--config=/etc/app/config.yaml"],"#,
    r#""ports":[{"name":"http","containerPort":8080,"protocol":"TCP"},{"name":"metrics","containerPort":9090,"protocol":"TCP"}],"#,
    r#""env":[{"name":"LOG_LEVEL","value":"info"},{"name":"POD_IP","valueFrom":{"fieldRef":{"apiVersion":"v1","fieldPath":"status.podIP"}}},"#,
    r#"{"name":"DATABASE_URL","valueFrom":{"secretKeyRef":{"name":"APP-db","key":"url"}}},{"name":"CACHE_ADDR","value":"cache-07.ns-07.svc.cluster.local:6379"},"#,
    r#"{"name":"QUEUE_ADDR","value":"queue-07.ns-07.svc.cluster.local:5672"},{"name":"TRACE_SAMPLE","value":"0.05"}],"#,
    r#""resources":{"limits":{"memory":"512Mi"},"requests":{"cpu":"250m","memory":"256Mi"}},"#,
    r#""volumeMounts":[{"name":"config","readOnly":true,"mountPath":"/etc/app"},{"name":"kube-api-access","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],"#,
    r#""livenessProbe":{"httpGet":{"path":"/healthz","port":"http","scheme":"HTTP"},"initialDelaySeconds":10,"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3},"#,
    r#""readinessProbe":{"httpGet":{"path":"/readyz","port":"http","scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":5,"successThreshold":1,"failureThreshold":3},"#,
    r#""terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent","#,
    r#""securityContext":{"capabilities":{"drop":["ALL"]},"runAsUser":1000,"readOnlyRootFilesystem":true,"allowPrivilegeEscalation":false}}],"#,
    r#""restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"APP","serviceAccount":"APP","#,
    r#""nodeName":"node-042.example.com","securityContext":{"runAsNonRoot":true,"fsGroup":2000},"schedulerName":"default-scheduler","#,
    r#""tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300},"#,
    r#"{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}],"#,
    r#""priority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"},"#,
);

const STATUS: &str = concat!(
    r#""status":{"phase":"Running","conditions":["#,
    r#"{"type":"PodReadyToStartContainers","status":"True","lastProbeTime":null,"lastTransitionTime":"CREATED:09Z"},"#,
    r#"{"type":"Initialized","status":"True","lastProbeTime":null,"lastTransitionTime":"CREATED:07Z"},"#,
    r#"{"type":"Ready","status":"True","lastProbeTime":null,"lastTransitionTime":"CREATED:31Z"},"#,
    r#"{"type":"ContainersReady","status":"True","lastProbeTime":null,"lastTransitionTime":"CREATED:31Z"},"#,
    r#"{"type":"PodScheduled","status":"True","lastProbeTime":null,"lastTransitionTime":"CREATED:07Z"}],"#,
    r#""hostIP":"10.0.1.42","hostIPs":[{"ip":"10.0.1.42"}],"podIP":"ADDRESS","podIPs":[{"ip":"ADDRESS"}],"startTime":"CREATED:07Z","#,
    r#""containerStatuses":[{"name":"app","state":{"running":{"startedAt":"CREATED:12Z"}},"lastState":{},"ready":true,"restartCount":0,"#,
    r#""image":"registry.example.com/shop/APP:v1.7.0","imageID":"registry.example.com/shop/APP@sha256:HASHHASHHASHHASH","#,
    r#""containerID":"containerd://HASHHASHHASHHASH","started":true,"allocatedResources":{"cpu":"250m","memory":"256Mi"},"#,
    r#""resources":{"limits":{"memory":"512Mi"},"requests":{"cpu":"250m","memory":"256Mi"}}}],"qosClass":"Burstable"}"#,
);
