//! The API server dies, again and again, under writers that do not wait for it.

use tidings::{Informer, Raw};

use crate::{cluster::*, history::History, writers::Writers};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_s1_nothing_is_missing_after_crashes_of_the_api_server_under_load() {
    let mut cluster = Cluster::start(&[]);
    let (scope, history) = (configmaps(), History::default());
    let informer = Informer::<Raw>::builder(cluster.client(), scope.clone());
    let informer = informer.handler(history.handler()).build().unwrap();
    let handle = informer.handle();
    tokio::spawn(informer.run());
    handle.wait_synced(DEADLINE).await.unwrap();
    let writers = Writers::start(&cluster.client());
    for _ in 0..CRASHES {
        writers.accepted(100).await;
        let port = cluster.kill_apiserver();
        writers.failed().await;
        cluster.start_apiserver(&port);
        writers.accepted(100).await;
    }
    writers.stop().await;
    cluster.level(&handle, &scope).await;
    history.check(&cluster.truth(&scope).await).await;
    let counts = history.counts();
    assert!(counts.updated > 0 && counts.deleted > 0, "{counts:?}");
    assert_eq!(handle.state().condition.epoch, 0, "one history all along");
    handle.stop();
}

const CRASHES: usize = 3;
