//! The reconcile loop over fed informers, under a paused clock.

mod feed;
mod life;
mod outcomes;
mod own_writes;
mod sources;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, timeout},
};

use self::feed::{Feed, config_map};
use super::*;
use crate::{InformerHandle, Raw};

/// A running controller whose reconciles are told to the test.
struct Running {
    handle: ControllerHandle,
    heard: mpsc::UnboundedReceiver<(String, u64)>,
    shutdown: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Result<(), ControllerError>>,
}

impl Running {
    /// Starts a controller whose reconciles tell their key, and the milliseconds since the start,
    /// and then do what `act` says.
    fn start<A, F>(builder: ControllerBuilder, act: A) -> Self
    where
        A: Fn(Request) -> F + Send + Sync + 'static,
        F: Future<Output = Outcome> + Send + 'static,
    {
        let (told, heard) = mpsc::unbounded_channel();
        let started = Instant::now();
        let controller = builder.build(move |request: Request| {
            let after = u64::try_from(started.elapsed().as_millis()).unwrap();
            told.send((request.key().to_string(), after)).unwrap();
            act(request)
        });
        let handle = controller.handle();
        let (shutdown, asked) = oneshot::channel();
        let ended = tokio::spawn(controller.run(async {
            let _ = asked.await;
        }));
        Self {
            handle,
            heard,
            shutdown: Some(shutdown),
            ended,
        }
    }

    async fn next(&mut self) -> (String, u64) {
        let heard = timeout(Duration::from_secs(3600), self.heard.recv()).await;
        heard.expect("a reconcile within an hour").expect("it runs")
    }

    /// The keys of the next reconciles.
    async fn next_keys(&mut self, count: usize) -> Vec<String> {
        let mut keys = Vec::new();
        for _ in 0..count {
            keys.push(self.next().await.0);
        }
        keys
    }

    /// Nothing is reconciled for so long.
    async fn is_quiet(&mut self, time: Duration) {
        if let Ok(heard) = timeout(time, self.heard.recv()).await {
            panic!("reconciled {heard:?}");
        }
    }

    async fn phase(&self, wanted: Phase) {
        let mut phase = self.handle.watch_phase();
        let reached = phase.wait_for(|phase| *phase == wanted);
        let reached = timeout(Duration::from_secs(3600), reached).await;
        reached.expect("the phase comes").expect("it runs");
    }

    /// Waits until a condition of the handle holds, which only reconciles change.
    async fn until(&self, what: impl Fn(&ControllerStats) -> bool) -> ControllerStats {
        let reached = async {
            loop {
                let stats = self.handle.stats();
                if what(&stats) {
                    return stats;
                }
                pass(Duration::from_millis(1)).await;
            }
        };
        let reached = timeout(Duration::from_secs(3600), reached).await;
        reached.unwrap_or_else(|_| panic!("the stats stay {:?}", self.handle.stats()))
    }

    async fn shut_down(mut self) -> Result<(), ControllerError> {
        let _ = self.shutdown.take().map(|shutdown| shutdown.send(()));
        let ended = timeout(Duration::from_secs(3600), self.ended).await;
        ended.expect("it ends").expect("it does not panic")
    }
}

/// Lets time pass, on the paused clock.
async fn pass(time: Duration) {
    tokio::time::sleep_until(Instant::now() + time).await;
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

/// A controller of the feed's ConfigMaps.
fn of(informer: &InformerHandle<Raw>) -> ControllerBuilder {
    Controller::builder("test").source(Source::new(informer))
}
