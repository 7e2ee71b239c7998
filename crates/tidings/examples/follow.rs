//! An informer from end to end: it starts its own API server, follows it, and checks what it saw.

use std::{error::Error, sync::Arc, time::Duration};

use serde::Deserialize;
use tidings::{Event, Informer, Resource, ResourceVersion, Scope, SubscriptionEvent, WaitOutcome};
use tidings_apiserver::serve::{self, Config};

/// A projection: of each pod only what is named here is decoded and kept.
#[derive(Debug, Deserialize)]
struct Pod {
    spec: Spec,
    status: Status,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    node_name: String,
}

#[derive(Debug, Deserialize)]
struct Status {
    phase: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = serve::start(Config::default()).await?;
    let pods = server.apply(|state| {
        let pods = state.resource("", "v1", "pods").expect("pods are built in");
        for number in 0..3 {
            let pod = tidings_apiserver::fixture::pod("default", "web", number);
            let _ = state.create(pods, Some("default"), pod, 0);
        }
        pods
    });

    let config = tidings_http::ClientConfig::from_server(&server.url())?;
    let client = tidings_http::Client::new(config)?;
    let informer = Informer::<Arc<Pod>>::builder(client, Scope::all(Resource::parse("v1/pods")?))
        .index("node", |entry, emit| {
            if let Some(pod) = entry.effective() {
                emit(&pod.spec.node_name);
            }
        })
        .handler(|event: Event<'_, Arc<Pod>>| eprintln!("{:?}", event.entry().object))
        .build()?;
    let handle = informer.handle();
    let running = tokio::spawn(informer.run());
    handle.wait_synced(Duration::from_secs(10)).await?;
    assert_eq!(handle.store().by_index("node", "node-001")?.len(), 1);

    // A subscription is for other tasks, however slow: it tells what changed since it last looked.
    let mut changes = handle.subscribe();
    while !matches!(changes.next().await, Some(SubscriptionEvent::Synced) | None) {}
    let key = handle.store().by_index("node", "node-001")?[0]
        .object
        .key()
        .to_owned();
    let written = server.apply(|state| {
        let patch = br#"{"status":{"phase":"Failed"}}"#;
        let written = state.patch(pods, &key, tidings_apiserver::state::Patch::Merge, patch);
        written.map_or(0, |stored| stored.resource_version())
    });

    // Read your own write: wait until the store has it.
    let version = ResourceVersion::from_revision(written);
    let outcome = handle.wait_for(&version, Duration::from_secs(10)).await;
    assert_eq!(outcome, WaitOutcome::Reached);
    let Some(SubscriptionEvent::Updated { old, new }) = changes.next().await else {
        return Err("an update was expected".into());
    };
    let phase =
        |entry: &tidings::Entry<Arc<Pod>>| entry.effective().map(|pod| pod.status.phase.clone());
    assert_eq!(phase(&old).as_deref(), Some("Running"));
    assert_eq!(phase(&new).as_deref(), Some("Failed"));

    handle.stop();
    running.await?;
    server.shutdown().await;
    Ok(())
}
