//! What has to hold against the real thing.

use std::time::Duration;

use tidings::{Lookup, Raw, Resource, Scope, WakeReason};

use crate::cluster::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_syncs_follows_and_selects() {
    let cluster = Cluster::start(&[]);
    for number in 0..20 {
        cluster.put(&format!("c{number}"), "1").await;
    }
    let scope = configmaps();
    let handle = cluster.follow::<Raw>(scope.clone());
    handle.wait_synced(DEADLINE).await.unwrap();
    cluster.level(&handle, &scope).await;

    // Live changes, made by kubectl.
    cluster.kubectl(&["create", "configmap", "by-kubectl", "--from-literal=a=b"]);
    cluster.kubectl(&["label", "configmap", "by-kubectl", "app=web"]);
    cluster.kubectl(&["delete", "configmap", "c3"]);
    cluster.level(&handle, &scope).await;
    assert!(matches!(
        handle.store().lookup("default/c3"),
        Lookup::Absent
    ));

    // Selectors on the server's side.
    let mut labelled = configmaps();
    labelled.label_selector = "app=web".to_owned();
    let labelled = cluster.follow::<Raw>(labelled);
    labelled.wait_synced(DEADLINE).await.unwrap();
    assert_eq!(labelled.store().len(), 1);

    // A megabyte.
    cluster.put("big", &"x".repeat(1_000_000)).await;
    cluster.level(&handle, &scope).await;
    handle.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custom_resources_are_followed() {
    let cluster = Cluster::start(&[]);
    cluster.define("smoke/definition.yaml", "smokes.tidings.dev");
    let scope = Scope::all(Resource::parse("tidings.dev/v1/smokes").unwrap());
    let handle = cluster.follow::<Raw>(scope.clone());
    handle.wait_synced(DEADLINE).await.unwrap();
    let object = concat!(env!("CARGO_MANIFEST_DIR"), "/smoke/object.yaml");
    cluster.kubectl(&["apply", "-f", object]);
    cluster.level(&handle, &scope).await;
    assert_eq!(handle.store().len(), 1);
    handle.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pr_w11_a_compacted_version_is_relisted() {
    // Without its watch cache the API server passes etcd's own compaction on at once.
    let mut cluster = Cluster::start(&["--watch-cache=false"]);
    cluster.put("a", "1").await;
    let scope = configmaps();
    let handle = cluster.follow::<Raw>(scope.clone());
    handle.wait_synced(DEADLINE).await.unwrap();
    let port = cluster.kill_apiserver();
    cluster.start_apiserver("0");
    for number in 0..5 {
        cluster.put("b", &number.to_string()).await;
    }
    let etcd = cluster.etcd_url();
    cluster.tool(&["compact", "--etcd", &etcd]);
    cluster.kill_apiserver();
    cluster.start_apiserver(&port);
    cluster.level(&handle, &scope).await;
    let reasons = handle.state().stats.reasons;
    assert!(reasons.contains_key(&WakeReason::Expired), "{reasons:?}");
    handle.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_s4_pr_f9_etcd_restored_from_a_snapshot_is_followed_back() {
    let mut cluster = Cluster::start(&[]);
    cluster.put("a", "1").await;
    let scope = configmaps();
    let handle = cluster.follow::<Raw>(scope.clone());
    handle.wait_synced(DEADLINE).await.unwrap();
    let (etcd, saved) = (cluster.etcd_url(), cluster.path("saved"));
    let saved = saved.to_str().unwrap().to_owned();
    cluster.tool(&["snapshot", "--etcd", &etcd, "--out", &saved]);
    for number in 0..60 {
        cluster.put("lost", &number.to_string()).await;
    }
    cluster.level(&handle, &scope).await;
    let server_port = cluster.kill_apiserver();
    let etcd_port = cluster.kill_etcd();
    let restored = cluster.path("restored");
    cluster.tool(&[
        "restore",
        "--in",
        &saved,
        "--dir",
        restored.to_str().unwrap(),
    ]);
    cluster.start_etcd("restored", &etcd_port);
    cluster.start_apiserver(&server_port);
    // The watch at the lost version stands in silence; the probe finds out after 130 s.
    let found = tokio::time::timeout(Duration::from_secs(300), async {
        let mut state = handle.watch_state();
        let _ = state.wait_for(|state| state.condition.epoch == 1).await;
    });
    found.await.expect("the new history is found");
    cluster.level(&handle, &scope).await;
    assert!(matches!(
        handle.store().lookup("default/lost"),
        Lookup::Absent
    ));
    handle.stop();
}
