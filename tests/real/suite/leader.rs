//! Leader election on Leases that a real API server validates, while kubectl meddles.

use std::time::Duration;

use tidings::{ElectionConfig, LeaderElection, LeaderHandle, StopReason};
use tokio::task::JoinHandle;

use crate::cluster::*;

/// Polls are 8 to 17.6 s apart: what happens sooner is the watch's doing.
fn candidate(cluster: &Cluster, identity: &str) -> (LeaderHandle, JoinHandle<()>) {
    let config = ElectionConfig {
        retry_period: Duration::from_secs(8),
        ..ElectionConfig::default()
    };
    let builder = LeaderElection::builder(cluster.client(), "default", "x", identity);
    let election = builder.config(config).build().unwrap();
    (election.handle(), tokio::spawn(election.run()))
}

async fn leads(handle: &LeaderHandle) -> u32 {
    let led = tokio::time::timeout(DEADLINE, handle.wait_leader()).await;
    led.unwrap_or_else(|_| panic!("{:?}", handle.leadership()))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctl_l11_ctl_l16_leases_pass_from_one_to_the_next_under_validation() {
    let cluster = Cluster::start(&[]);
    let field = |path: &str| {
        let path = format!("jsonpath={{{path}}}");
        cluster.kubectl(&["get", "lease", "x", "-o", &path])
    };
    let (first, task) = candidate(&cluster, "a");
    assert_eq!(leads(&first).await, 0);
    cluster.kubectl(&["label", "lease", "x", "team=a"]);
    let acquired = field(".spec.acquireTime");
    let renewed = field(".spec.renewTime");
    let (second, _task) = candidate(&cluster, "b");
    until("the standby knows the leader", async || {
        second.leadership().holder == "a"
    })
    .await;
    // The version moved with the label: the renewal that follows is none the worse.
    until("it renews", async || field(".spec.renewTime") != renewed).await;
    assert_eq!(field(".spec.acquireTime"), acquired);
    assert_eq!(field(".metadata.labels.team"), "a");
    assert!(first.is_leader());
    assert!(first.release().await);
    task.await.unwrap();
    assert_eq!(leads(&second).await, 1);
    let managers = field(".metadata.managedFields[*].manager");
    assert!(managers.contains("kubectl"), "{managers}");

    // kubectl takes it away, and gives it back.
    let patch = |holder: &str| {
        let patch = format!(r#"{{"spec":{{"holderIdentity":"{holder}"}}}}"#);
        cluster.kubectl(&["patch", "lease", "x", "--type=merge", "-p", &patch]);
    };
    patch("thief");
    until("it sees the theft", async || !second.is_leader()).await;
    let to = "thief".to_owned();
    let reason = second.leadership().stopped_leading;
    assert_eq!(reason, Some(StopReason::Lost { to }));
    patch("");
    assert_eq!(leads(&second).await, 2);
    cluster.kubectl(&["delete", "lease", "x"]);
    until("it leads again, with a higher token", async || {
        second.fencing() == Some(3)
    })
    .await;
    assert_eq!(field(".spec.leaseTransitions"), "3");
}
