//! Writers that do not wait for a server that is not there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tidings_http::Client;
use tokio::{task::JoinSet, time::MissedTickBehavior};

use crate::cluster::*;

/// Tasks that write, update and delete ConfigMaps, each its own, until they are stopped.
pub(crate) struct Writers {
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
    pub(crate) fn start(client: &Client) -> Self {
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
    pub(crate) async fn accepted(&self, more: usize) {
        let goal = self.tally.accepted.load(Relaxed) + more;
        until("writes are accepted", async || {
            self.tally.accepted.load(Relaxed) >= goal
        })
        .await;
    }

    /// Writes so far: accepted, and failed or without an answer.
    #[cfg(feature = "soak")]
    pub(crate) fn tally(&self) -> (usize, usize) {
        (
            self.tally.accepted.load(Relaxed),
            self.tally.failed.load(Relaxed),
        )
    }

    /// Waits until each writer may have failed twice.
    pub(crate) async fn failed(&self) {
        let goal = self.tally.failed.load(Relaxed) + 2 * WRITERS;
        until("writes fail", async || {
            self.tally.failed.load(Relaxed) >= goal
        })
        .await;
    }

    pub(crate) async fn stop(mut self) {
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

const WRITERS: usize = 4;
