//! Builds the pods that every client is given, as the bytes that a watch sends.
//!
//! Does not parse and does not change a byte after the start: an event is a copy, patched by the
//! generator. All pods lie in one buffer, in key order, each already framed as one HTTP chunk
//! with one ADDED event; a list is gathered from slices of the same buffer.
//!
//! ```text
//! 1a97\r\n {"type":"ADDED","object": {"kind":"Pod","apiVersion":"v1", "metadata":{..} ,"spec".. } }\n \r\n
//! ^frame                     ^object                              ^metadata      ^metadata_end ^object_end
//! ```
//!
//! The JSON is what an API server prints: compact, fields in the order of the Go structs, map
//! keys sorted, list items without kind and apiVersion.

use std::io::Write;
use std::ops::Range;

/// The annotation that carries the wall clock of the send, as 19 digits of nanoseconds.
pub const SENT_AT: &str = "tidings.dev/sent-at";

/// Every resourceVersion is this plus a small number, so that all have ten digits.
const RV_BASE: u64 = 4_000_000_000;
const NAMESPACE_COUNT: usize = 60;
const NODE_COUNT: usize = 500;
/// What the start of an object costs before its metadata; list items drop it.
pub const KIND: &[u8] = br#"{"kind":"Pod","apiVersion":"v1","#;

/// Where one pod lies in the buffer; all positions count from the buffer's start.
#[derive(Clone, Copy, Default)]
pub struct Pod {
    /// First byte of the HTTP chunk header.
    pub frame: usize,
    /// The object's opening brace.
    pub object: usize,
    /// The quote that opens `"metadata"`.
    pub metadata: usize,
    /// One past the closing brace of the metadata.
    pub metadata_end: usize,
    /// One past the object's closing brace.
    pub object_end: usize,
    /// One past the chunk's trailing CRLF.
    pub frame_end: usize,
    /// Ten digits of `metadata.resourceVersion`.
    pub rv: usize,
    /// Nineteen digits of the sent-at annotation.
    pub sent_at: usize,
    /// Two digits, the seconds in the Ready condition's lastTransitionTime.
    pub ready_second: usize,
    /// One digit, the first container's restartCount.
    pub restart_count: usize,
}

/// All pods, and the resourceVersion at which they are listed.
pub struct Catalog {
    bytes: Vec<u8>,
    pods: Vec<Pod>,
}

impl Catalog {
    /// Builds `count` pods.
    pub fn new(count: usize) -> Self {
        let mut bytes = Vec::with_capacity(count * 7_200 + 8_192);
        let mut pods = Vec::with_capacity(count);
        let mut line = Vec::with_capacity(16_384);
        for index in 0..count {
            line.clear();
            let mut pod = Pod::default();
            line.extend_from_slice(br#"{"type":"ADDED","object":"#);
            write_pod(&mut line, &mut pod, index, count);
            line.extend_from_slice(b"}\n");
            pod.frame = bytes.len();
            write!(bytes, "{:x}\r\n", line.len()).expect("a Vec takes every write");
            let start = bytes.len();
            for position in [
                &mut pod.object,
                &mut pod.metadata,
                &mut pod.metadata_end,
                &mut pod.object_end,
                &mut pod.rv,
                &mut pod.sent_at,
                &mut pod.ready_second,
                &mut pod.restart_count,
            ] {
                *position += start;
            }
            bytes.extend_from_slice(&line);
            bytes.extend_from_slice(b"\r\n");
            pod.frame_end = bytes.len();
            pods.push(pod);
        }
        Self { bytes, pods }
    }

    /// Returns how many pods there are.
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Returns the places of one pod.
    pub fn pod(&self, index: usize) -> Pod {
        self.pods[index]
    }

    /// Returns the bytes of a range of the buffer.
    pub fn slice(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Returns all ADDED events, framed as chunks, ready to be written.
    pub fn added_frames(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the resourceVersion of the list; event number `n` (from 0) has this plus `n + 1`.
    pub fn list_rv(&self) -> u64 {
        RV_BASE + self.pods.len() as u64
    }

    /// Returns the mean size of a list item.
    pub fn mean_item_bytes(&self) -> usize {
        let total: usize = self
            .pods
            .iter()
            .map(|pod| pod.object_end - pod.metadata + 1)
            .sum();
        total.checked_div(self.pods.len()).unwrap_or(0)
    }
}

/// Appends formatted text; a `Vec` takes every write.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => {
        write!($out, $($arg)*).expect("a Vec takes every write")
    };
}

/// The values that the parts of one pod share.
struct Facts {
    app: usize,
    sidecar: bool,
    node: usize,
    hash: String,
    name: String,
    namespace: String,
    created: String,
    ip: String,
    host_ip: String,
}

fn write_pod(out: &mut Vec<u8>, pod: &mut Pod, index: usize, count: usize) {
    let digits = count.saturating_sub(1).to_string().len().max(5);
    let seed = scramble(index as u64);
    let app = index / 20;
    let facts = Facts {
        app,
        sidecar: index.is_multiple_of(4),
        node: usize::try_from(seed % NODE_COUNT as u64).expect("fits"),
        hash: format!("{:010x}", scramble(app as u64) & 0xff_ffff_ffff),
        name: format!("app-{index:0digits$}"),
        namespace: format!("ns-{:02}", index * NAMESPACE_COUNT / count),
        created: format!(
            "2026-10-{:02}T{:02}:{:02}",
            1 + seed % 28,
            seed / 31 % 24,
            seed / 977 % 60
        ),
        ip: format!(
            "10.{}.{}.{}",
            16 + index / 65_536,
            index / 256 % 256,
            index % 256
        ),
        host_ip: format!("10.0.{}.{}", seed % 500 / 250, 1 + seed % 250),
    };
    pod.object = out.len();
    out.extend_from_slice(KIND);
    pod.metadata = out.len();
    write_metadata(out, pod, &facts, (index, count), seed);
    pod.metadata_end = out.len();
    write_spec(out, &facts);
    write_status(out, pod, &facts, seed);
    out.push(b'}');
    pod.object_end = out.len();
}

fn write_metadata(
    out: &mut Vec<u8>,
    pod: &mut Pod,
    facts: &Facts,
    (index, count): (usize, usize),
    seed: u64,
) {
    let Facts {
        app,
        hash,
        name,
        namespace,
        created,
        ..
    } = facts;
    let owner = uid(scramble(*app as u64 + 1_000_000));
    put!(
        out,
        r#""metadata":{{"name":"{name}","generateName":"app-","namespace":"{namespace}","#
    );
    put!(out, r#""uid":"{}","resourceVersion":""#, uid(seed));
    pod.rv = out.len();
    // A permutation, as the RVs of a real list are not in key order.
    let rv = RV_BASE + 1 + permuted(index as u64, count as u64);
    put!(out, "{rv:010}");
    put!(
        out,
        r#"","generation":1,"creationTimestamp":"{created}:07Z","#
    );
    put!(
        out,
        r#""labels":{{"app":"app-{app:05}","pod-template-hash":"{hash}","team":"team-{:02}","#,
        app % 40
    );
    put!(out, r#""tier":"backend","version":"v1.{}.0"}},"#, app % 30);
    put!(
        out,
        r#""annotations":{{"prometheus.io/port":"9090","prometheus.io/scrape":"true","{SENT_AT}":""#
    );
    pod.sent_at = out.len();
    put!(out, "{:019}", 0);
    put!(
        out,
        r#""}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"app-{app:05}-{hash}","#
    );
    put!(
        out,
        r#""uid":"{owner}","controller":true,"blockOwnerDeletion":true}}],"#
    );
    put!(out, r#""managedFields":["#);
    put!(
        out,
        r#"{{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":"{created}:07Z","fieldsType":"FieldsV1","fieldsV1":"#
    );
    put!(out, "{}", MANAGED_SPEC.replace("OWNER", &owner));
    put!(
        out,
        r#"}},{{"manager":"kubelet","operation":"Update","apiVersion":"v1","time":"{created}:31Z","fieldsType":"FieldsV1","fieldsV1":"#
    );
    out.extend_from_slice(MANAGED_STATUS.as_bytes());
    put!(out, r#","subresource":"status"}}]}}"#);
}

const MANAGED_SPEC: &str = concat!(
    r#"{"f:metadata":{"f:annotations":{".":{},"f:prometheus.io/port":{},"f:prometheus.io/scrape":{},"f:tidings.dev/sent-at":{}},"#,
    r#""f:generateName":{},"f:labels":{".":{},"f:app":{},"f:pod-template-hash":{},"f:team":{},"f:tier":{},"f:version":{}},"#,
    r#""f:ownerReferences":{".":{},"k:{\"uid\":\"OWNER\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"#,
    r#""f:args":{},"f:env":{".":{},"k:{\"name\":\"LOG_LEVEL\"}":{".":{},"f:name":{},"f:value":{}},"k:{\"name\":\"POD_IP\"}":{".":{},"f:name":{},"#,
    r#""f:valueFrom":{".":{},"f:fieldRef":{}}}},"f:image":{},"f:imagePullPolicy":{},"f:livenessProbe":{".":{},"f:failureThreshold":{},"#,
    r#""f:httpGet":{".":{},"f:path":{},"f:port":{},"f:scheme":{}},"f:periodSeconds":{},"f:successThreshold":{},"f:timeoutSeconds":{}},"#,
    r#""f:name":{},"f:readinessProbe":{".":{},"f:failureThreshold":{},"f:httpGet":{".":{},"f:path":{},"f:port":{},"f:scheme":{}},"f:periodSeconds":{}},"f:ports":{".":{},"k:{\"containerPort\":8080,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:name":{},"f:protocol":{}}},"#,
    r#""f:resources":{".":{},"f:limits":{".":{},"f:memory":{}},"f:requests":{".":{},"f:cpu":{},"f:memory":{}}},"#,
    r#""f:volumeMounts":{".":{},"k:{\"mountPath\":\"/etc/app\"}":{".":{},"f:mountPath":{},"f:name":{},"f:readOnly":{}}}}},"#,
    r#""f:dnsPolicy":{},"f:restartPolicy":{},"f:serviceAccount":{},"f:volumes":{".":{},"k:{\"name\":\"config\"}":{".":{},"f:configMap":{},"f:name":{}}}}}"#,
);

const MANAGED_STATUS: &str = concat!(
    r#"{"f:status":{"f:conditions":{"k:{\"type\":\"ContainersReady\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},"#,
    r#""k:{\"type\":\"Initialized\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},"#,
    r#""k:{\"type\":\"PodReadyToStartContainers\"}":{".":{},"f:status":{},"f:type":{}},"#,
    r#""k:{\"type\":\"Ready\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}}},"#,
    r#""f:containerStatuses":{},"f:hostIP":{},"f:hostIPs":{},"f:observedGeneration":{},"f:phase":{},"f:podIP":{},"f:podIPs":{},"f:startTime":{}}}"#,
);

fn write_spec(out: &mut Vec<u8>, facts: &Facts) {
    put!(
        out,
        r#","spec":{{"volumes":[{{"name":"config","configMap":{{"name":"app-{:05}","defaultMode":420}}}},"#,
        facts.app
    );
    out.extend_from_slice(concat!(
        r#"{"name":"kube-api-access","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},"#,
        r#"{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}},"#,
        r#"{"downwardAPI":{"items":[{"path":"namespace","fieldRef":{"apiVersion":"v1","fieldPath":"metadata.namespace"}}]}}],"defaultMode":420}}],"#,
        r#""containers":["#
    ).as_bytes());
    write_container(out, facts);
    if facts.sidecar {
        out.extend_from_slice(concat!(
            r#",{"name":"proxy","image":"images.example.com/mesh/proxy:1.29.1","args":["sidecar","--log-level=warn"],"#,
            r#""ports":[{"name":"admin","containerPort":15000,"protocol":"TCP"}],"resources":{"requests":{"cpu":"50m","memory":"64Mi"}},"#,
            r#""terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent"}"#
        ).as_bytes());
    }
    put!(
        out,
        r#"],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"app-{:05}","#,
        facts.app
    );
    put!(
        out,
        r#""serviceAccount":"app-{:05}","nodeName":"node-{:03}.example.com","securityContext":{{"runAsNonRoot":true,"fsGroup":2000}},"#,
        facts.app,
        facts.node
    );
    out.extend_from_slice(concat!(
        r#""schedulerName":"default-scheduler","#,
        r#""tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300},"#,
        r#"{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}],"#,
        r#""priority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"}"#
    ).as_bytes());
}

fn write_container(out: &mut Vec<u8>, facts: &Facts) {
    let Facts { app, .. } = facts;
    put!(
        out,
        r#"{{"name":"app","image":"images.example.com/shop/app-{app:05}:v1.{}.0","args":["serve","--listen=:8080","--config=/etc/app/config.yaml"],"#,
        app % 30
    );
    out.extend_from_slice(concat!(
        r#""ports":[{"name":"http","containerPort":8080,"protocol":"TCP"},{"name":"metrics","containerPort":9090,"protocol":"TCP"}],"#,
        r#""env":[{"name":"LOG_LEVEL","value":"info"},{"name":"POD_IP","valueFrom":{"fieldRef":{"apiVersion":"v1","fieldPath":"status.podIP"}}},"#
    ).as_bytes());
    put!(
        out,
        r#"{{"name":"DATABASE_URL","valueFrom":{{"secretKeyRef":{{"name":"app-{app:05}-db","key":"url"}}}}}},"#
    );
    put!(
        out,
        r#"{{"name":"CACHE_ADDRESS","value":"cache-{:02}.{}.svc.cluster.local:6379"}}],"#,
        app % 12,
        facts.namespace
    );
    out.extend_from_slice(concat!(
        r#""resources":{"limits":{"memory":"512Mi"},"requests":{"cpu":"250m","memory":"256Mi"}},"#,
        r#""volumeMounts":[{"name":"config","readOnly":true,"mountPath":"/etc/app"},"#,
        r#"{"name":"kube-api-access","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],"#,
        r#""livenessProbe":{"httpGet":{"path":"/healthz","port":"http","scheme":"HTTP"},"initialDelaySeconds":10,"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3},"#,
        r#""readinessProbe":{"httpGet":{"path":"/readyz","port":"http","scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":5,"successThreshold":1,"failureThreshold":3},"#,
        r#""terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent","#,
        r#""securityContext":{"capabilities":{"drop":["ALL"]},"runAsUser":1000,"readOnlyRootFilesystem":true,"allowPrivilegeEscalation":false}}"#
    ).as_bytes());
}

fn write_status(out: &mut Vec<u8>, pod: &mut Pod, facts: &Facts, seed: u64) {
    let Facts {
        created,
        ip,
        host_ip,
        ..
    } = facts;
    put!(
        out,
        r#","status":{{"observedGeneration":1,"phase":"Running","conditions":["#
    );
    for (kind, second) in [("PodReadyToStartContainers", 9), ("Initialized", 7)] {
        put!(
            out,
            r#"{{"type":"{kind}","observedGeneration":1,"status":"True","lastProbeTime":null,"lastTransitionTime":"{created}:{second:02}Z"}},"#
        );
    }
    put!(
        out,
        r#"{{"type":"Ready","observedGeneration":1,"status":"True","lastProbeTime":null,"lastTransitionTime":"{created}:"#
    );
    pod.ready_second = out.len();
    put!(out, r#"31Z"}},"#);
    for (kind, second, end) in [("ContainersReady", 31, ","), ("PodScheduled", 7, "],")] {
        put!(
            out,
            r#"{{"type":"{kind}","observedGeneration":1,"status":"True","lastProbeTime":null,"lastTransitionTime":"{created}:{second:02}Z"}}{end}"#
        );
    }
    put!(
        out,
        r#""hostIP":"{host_ip}","hostIPs":[{{"ip":"{host_ip}"}}],"podIP":"{ip}","podIPs":[{{"ip":"{ip}"}}],"startTime":"{created}:07Z","#
    );
    write_container_statuses(out, pod, facts, seed);
}

fn write_container_statuses(out: &mut Vec<u8>, pod: &mut Pod, facts: &Facts, seed: u64) {
    let Facts { app, created, .. } = facts;
    put!(
        out,
        r#""containerStatuses":[{{"name":"app","state":{{"running":{{"startedAt":"{created}:12Z"}}}},"lastState":{{}},"ready":true,"restartCount":"#
    );
    pod.restart_count = out.len();
    put!(
        out,
        r#"0,"image":"images.example.com/shop/app-{app:05}:v1.{}.0","#,
        app % 30
    );
    let image = scramble(*app as u64 + 7);
    put!(
        out,
        r#""imageID":"images.example.com/shop/app-{app:05}@sha256:{0:016x}{0:016x}{0:016x}{0:016x}","#,
        image
    );
    put!(
        out,
        r#""containerID":"containerd://{0:016x}{1:016x}{0:016x}{1:016x}","started":true}}"#,
        seed,
        scramble(seed)
    );
    if facts.sidecar {
        put!(
            out,
            r#",{{"name":"proxy","state":{{"running":{{"startedAt":"{created}:11Z"}}}},"lastState":{{}},"ready":true,"restartCount":0,"#
        );
        put!(
            out,
            r#""image":"images.example.com/mesh/proxy:1.29.1","imageID":"images.example.com/mesh/proxy@sha256:{0:016x}{0:016x}{0:016x}{0:016x}","#,
            0x5eed_u64
        );
        put!(
            out,
            r#""containerID":"containerd://{1:016x}{0:016x}{1:016x}{0:016x}","started":true}}"#,
            seed,
            scramble(seed)
        );
    }
    put!(out, r#"],"qosClass":"Burstable"}}"#);
}

/// Maps `0..count` onto itself in an order that no cache likes; `index` may exceed `count`.
pub fn permuted(index: u64, count: u64) -> u64 {
    let stride = if count.is_multiple_of(7_919) {
        7_907
    } else {
        7_919
    };
    index % count * stride % count
}

fn uid(seed: u64) -> String {
    let low = scramble(seed ^ 0x9e37_79b9);
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        seed >> 32,
        seed >> 16 & 0xffff,
        seed & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}

/// Mixes the bits of a number (the finalizer of splitmix64), so that values look random but repeat.
fn scramble(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
