//! Views of one stream, while kubectl makes the changes.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use tidings::{Factory, InformerHandle, LabelSelector, Payload, Raw};

use crate::{cluster::*, history::History};

/// A projection of a ConfigMap.
#[derive(Deserialize)]
struct Named {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

fn app(handle: &InformerHandle<Arc<Named>>, name: &str) -> Option<String> {
    let entry = handle.store().get(&format!("default/{name}"))?;
    entry.effective()?.metadata.labels.get("app").cloned()
}

/// Waits until a view has exactly the objects that the server selects.
async fn level<P: Payload>(cluster: &Cluster, view: &InformerHandle<P>, labels: &str) {
    until("the view is level", async || {
        let path = "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} \
                    {.metadata.uid}@{.metadata.resourceVersion}{\"\\n\"}{end}";
        let truth = cluster.kubectl(&["get", "configmaps", "-l", labels, "-o", path]);
        let mut truth: Vec<&str> = truth.lines().collect();
        truth.sort_unstable();
        shown(view) == truth
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn design_4_8_views_follow_kubectl_over_one_stream() {
    let cluster = Cluster::start(&[]);
    let factory = Factory::new(cluster.client());
    let (scope, history) = (configmaps(), History::default());
    let base = factory.informer::<Raw>(scope.clone(), |stream| stream);
    let base = base.unwrap();
    base.wait_synced(DEADLINE).await.unwrap();
    let web = LabelSelector::parse("app=web").unwrap();
    let told = history.handler();
    let web = factory.view::<Arc<Named>>(scope.clone(), Some(web), |view| view.handler(told));
    let web = web.unwrap();
    let all = base.view::<Arc<Named>>().build().unwrap();
    let named = all.handle();
    tokio::spawn(all.run());

    for name in ["one", "two", "three"] {
        cluster.kubectl(&["create", "configmap", name, "--from-literal=a=b"]);
    }
    cluster.kubectl(&["label", "configmap", "one", "two", "app=web"]);
    level(&cluster, &web, "app=web").await;
    assert_eq!(web.store().len(), 2);
    // In, out, changed within, and gone.
    cluster.kubectl(&["label", "configmap", "three", "app=web"]);
    cluster.kubectl(&["label", "configmap", "one", "app=db", "--overwrite"]);
    cluster.kubectl(&["annotate", "configmap", "two", "note=changed"]);
    level(&cluster, &web, "app=web").await;
    cluster.kubectl(&["delete", "configmap", "three"]);
    level(&cluster, &web, "app=web").await;
    assert_eq!(shown(&web).len(), 1);
    assert_eq!(app(&web, "two").as_deref(), Some("web"));
    history.check(&shown(&web)).await;
    let counts = history.counts();
    let seen = (counts.added, counts.updated, counts.deleted);
    assert_eq!(seen, (3, 1, 2), "out of the selection is deleted");

    cluster.level(&named, &scope).await;
    assert_eq!(app(&named, "one").as_deref(), Some("db"));
    assert_eq!(app(&named, "kube-root-ca.crt"), None);
    let stats = base.state().stats;
    let streams = stats.watches + stats.watch_lists;
    assert_eq!((factory.streams(), streams), (1, 1), "{stats:?}");
    drop((base, web));
    let state = &mut named.watch_state();
    let stopped = state.wait_for(tidings::State::is_stopped);
    let stopped = tokio::time::timeout(DEADLINE, stopped).await;
    stopped
        .expect("the last share is gone, and its stream with it")
        .unwrap();
}
