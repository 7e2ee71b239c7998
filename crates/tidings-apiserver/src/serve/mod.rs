//! The HTTP front: a thin skin over the state, with levers for faults.
//!
//! Does not decide anything that a client could tell apart from the protocol: the state does.
//!
//! F1  A watch's task ends when its client goes, when it is cut, or when the server stops; a client
//!     that does not read holds at most `CHANNEL_LEN` chunks, and its connection is broken once it
//!     has taken nothing for `stall_max` (pr-W18, cg-V5).
//! F2  After [`Handle::shutdown`] no task of the server is left.

mod accept;
mod documents;
mod faults;
mod protobuf;
mod route;
mod stream;
mod write;

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinSet,
};

pub use self::faults::{Cut, Faults};
use crate::{
    churn::Churn,
    seed::Seed,
    state::{HistorySize, State},
};

/// How to serve.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a table that users fill with struct update syntax"
)]
pub struct Config {
    /// Where to listen; loopback only, unless there is a token. Port 0 lets the system choose.
    pub address: SocketAddr,
    /// The bearer token that clients must send, if any.
    pub token: Option<String>,
    /// The seed of uids and of the churn.
    pub seed: u64,
    /// How often bookmarks are sent. 60 s (pr-E11).
    pub bookmark_period: Duration,
    /// How long a watch's client may take nothing of what is to be sent. 10 s.
    pub stall_max: Duration,
    /// Whether WatchLists are compressed for clients that accept it, a gzip member a flush (pr-W7).
    pub watch_list_gzip: bool,
    /// Whether large lists are compressed for clients that accept it (pr-L20).
    pub list_gzip: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: None,
            seed: 1,
            bookmark_period: Duration::from_secs(60),
            stall_max: Duration::from_secs(10),
            watch_list_gzip: true,
            list_gzip: true,
        }
    }
}

/// A running server.
pub struct Handle {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) state: Mutex<State>,
    /// Moves with each write, for the watches to look again.
    pub(crate) changed: watch::Sender<u64>,
    pub(crate) faults: Mutex<Faults>,
    /// Decides what is left to chance: timeouts and refusals.
    pub(crate) seed: Mutex<Seed>,
    pub(crate) cuts: watch::Sender<Cut>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// Starts a server.
///
/// # Errors
///
/// When the address cannot be bound, or is not loopback and there is no token.
///
/// # Cancel safety
///
/// Dropping the future starts nothing.
pub async fn start(config: Config) -> io::Result<Handle> {
    if !config.address.ip().is_loopback() && config.token.is_none() {
        let message = "refusing to listen beyond loopback without a token";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    let listener = TcpListener::bind(config.address).await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let shared = Arc::new(Shared {
        state: Mutex::new(State::new_at(config.seed, unix_seconds())),
        changed: watch::Sender::new(0),
        faults: Mutex::default(),
        seed: Mutex::new(Seed::new(config.seed ^ 0x0005_eed0_f0dd_5eed)),
        cuts: watch::Sender::new(Cut::default()),
        stop: stopped,
        config,
    });
    let serving = tokio::spawn(serve(listener, Arc::clone(&shared)));
    Ok(Handle {
        shared,
        address,
        stop,
        serving,
    })
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut stop = shared.stop.clone();
    let mut connections = JoinSet::new();
    connections.spawn(collect(Arc::clone(&shared)));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stop.changed() => break,
        };
        // A connection that failed before it began concerns nobody.
        let Ok((socket, _)) = accepted else { continue };
        let _ = socket.set_nodelay(true);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let mut stop = shared.stop.clone();
            let kill = Arc::new(Notify::new());
            let killed = Arc::clone(&kill);
            let context = Arc::new(route::Connection { shared, kill });
            let service = service_fn(|request| route::answer(Arc::clone(&context), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            tokio::select! {
                _ = connection => {}
                () = killed.notified() => {}
                _ = stop.changed() => {}
            }
        });
    }
    connections.shutdown().await;
}

/// Does what follows from the writes, a step at a time, so that requests come in between.
async fn collect(shared: Arc<Shared>) {
    let mut changed = shared.changed.subscribe();
    loop {
        // The lock is given back with each step.
        while shared.state.lock().collect(unix_seconds()) {
            shared.changed.send_modify(|writes| *writes += 1);
            tokio::task::yield_now().await;
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

// === impl Handle ===

impl Handle {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and the address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig for this server.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        let user = match &self.shared.config.token {
            Some(token) => format!("{{\"token\":\"{token}\"}}"),
            None => "{}".to_owned(),
        };
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: tidings\nclusters:\n\
             - name: tidings\n  cluster:\n    server: {}\nusers:\n- name: tidings\n  user: {user}\n\
             contexts:\n- name: tidings\n  context:\n    cluster: tidings\n    user: tidings\n    \
             namespace: default\n",
            self.url()
        )
    }

    /// Reads or writes the state directly; watches learn of it.
    pub fn apply<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.shared.state.lock());
        self.shared.changed.send_modify(|writes| *writes += 1);
        result
    }

    /// How much the history of changes holds, apart from the objects that there are.
    #[must_use]
    pub fn history_size(&self) -> HistorySize {
        self.shared.state.lock().history_size()
    }

    /// The levers for faults.
    pub fn faults<R>(&self, change: impl FnOnce(&mut Faults) -> R) -> R {
        change(&mut self.shared.faults.lock())
    }

    /// Ends all open watches: at a frame's end, or in the middle of the connection.
    pub fn cut_watches(&self, abruptly: bool) {
        self.shared.cuts.send_modify(|cut| {
            cut.count += 1;
            cut.abruptly = abruptly;
        });
    }

    /// Forgets the history: watches and continue tokens of older versions meet 410.
    pub fn compact(&self) {
        self.apply(State::compact);
    }

    /// How many clients watch.
    #[must_use]
    pub fn watches(&self) -> usize {
        self.shared.cuts.receiver_count()
    }

    /// Runs the scripted churn until the server stops: `pods` to begin with, then a step a period.
    pub fn churn(&self, pods: u64, period: Duration) {
        let shared = Arc::clone(&self.shared);
        let mut churn = Churn::new(shared.config.seed);
        churn.fill(&mut shared.state.lock(), pods, unix_seconds());
        let mut stop = shared.stop.clone();
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(period);
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    _ = stop.changed() => return,
                }
                churn.step(&mut shared.state.lock(), unix_seconds());
                shared.changed.send_modify(|writes| *writes += 1);
            }
        });
    }

    /// Stops the server and waits until nothing of it is left.
    ///
    /// # Cancel safety
    ///
    /// The server stops even if the future is dropped.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        // The task ends by itself; if it panicked there is nothing more to end.
        let _ = self.serving.await;
    }
}

pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
