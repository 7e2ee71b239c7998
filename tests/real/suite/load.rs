//! The API server dies, again and again, under writers that do not wait for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tidings::{Informer, Raw};
use tidings_http::Client;
use tokio::{task::JoinSet, time::MissedTickBehavior};

use crate::{cluster::*, history::History};

/// Tasks that write, update and delete ConfigMaps, each its own, until they are stopped.
struct Writers {
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
}

#[derive(Default)]
struct Tally {
    accepted: AtomicUsize,
    failed: AtomicUsize,
}

impl Writers {
    fn start(client: &Client) -> Self {
        let (stop, tally) = (Arc::<AtomicBool>::default(), Arc::<Tally>::default());
        let mut tasks = JoinSet::new();
        for writer in 0..WRITERS {
            let work = work(
                client.clone(),
                writer,
                Arc::clone(&stop),
                Arc::clone(&tally),
            );
            tasks.spawn(work);
        }
        Self { tasks, stop, tally }
    }

    /// Waits until so many more writes were accepted.
    async fn accepted(&self, more: usize) {
        let goal = self.tally.accepted.load(Relaxed) + more;
        until("writes are accepted", async || {
            self.tally.accepted.load(Relaxed) >= goal
        })
        .await;
    }

    /// Waits until so many more writes have failed.
    async fn failed(&self, more: usize) {
        let goal = self.tally.failed.load(Relaxed) + more;
        until("writes fail", async || {
            self.tally.failed.load(Relaxed) >= goal
        })
        .await;
    }

    async fn stop(mut self) {
        self.stop.store(true, Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

async fn work(client: Client, writer: usize, stop: Arc<AtomicBool>, tally: Arc<Tally>) {
    let scope = configmaps();
    let mut turn = 0;
    let mut turns = tokio::time::interval(Duration::from_millis(5));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.load(Relaxed) {
        turn += 1;
        let name = format!("w{writer}-{}", turn % 5);
        let done = if turn % 7 == 0 {
            delete(&client, &scope, &name).await
        } else {
            let body = configmap(&name, &turn.to_string());
            write(&client, &scope, body).await
        };
        let count = if done.is_ok() {
            &tally.accepted
        } else {
            &tally.failed
        };
        count.fetch_add(1, Relaxed);
        // A dead server refuses at once: this keeps the loop from taking a core.
        turns.tick().await;
    }
}

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
        writers.failed(2 * WRITERS).await;
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

const WRITERS: usize = 4;
const CRASHES: usize = 3;
