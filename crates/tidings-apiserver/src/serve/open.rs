//! What is open: the connections and the watches, by number.
//!
//! Does not serve them. Each entry has the switches by which one connection or watch is made to misbehave.
//!
//! O1  An entry is there exactly as long as its guard.
//! O2  There are at most `connections_max` connections.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{Notify, watch};

use super::{
    Shared,
    gate::Silence,
    rules::{Asked, Which},
};

/// The tables.
#[derive(Default)]
pub(crate) struct Open {
    last: AtomicU64,
    connections: Mutex<BTreeMap<u64, Arc<Connection>>>,
    watches: Mutex<BTreeMap<u64, Arc<OpenWatch>>>,
}

/// One connection.
pub(crate) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) id: u64,
    peer: SocketAddr,
    pub(super) silence: Arc<Silence>,
    /// Breaks the connection at once, whatever is still to be sent.
    pub(super) kill: Notify,
    /// Lets the connection end when what is under way has ended (pr-S9).
    pub(super) retire: Notify,
    seen: Mutex<Seen>,
}

/// What was seen on a connection.
#[derive(Clone, Debug, Default)]
struct Seen {
    protocol: &'static str,
    requests: u64,
    user: String,
    user_agent: String,
}

/// One watch.
pub(super) struct OpenWatch {
    pub(super) asked: Asked,
    pub(super) cut: watch::Sender<Option<Cut>>,
}

/// How a watch is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// In the middle of a frame and of the connection.
    Abruptly,
    /// At a frame's end.
    Well,
}

/// A connection as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Its number.
    pub id: u64,
    /// The client's address.
    pub peer: SocketAddr,
    /// `http/1.1`, `h2`, or empty before that is known.
    pub protocol: &'static str,
    /// How many requests came.
    pub requests: u64,
    /// Whether it has been silenced.
    pub silent: bool,
    /// The user of the last request.
    pub user: String,
    /// The user agent of the last request.
    pub user_agent: String,
}

/// A watch as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WatchInfo {
    /// Its number.
    pub id: u64,
    /// The number of its connection.
    pub connection: u64,
    /// The resource, `plural` or `plural.group`.
    pub resource: String,
    /// The user.
    pub user: String,
    /// The user agent.
    pub user_agent: String,
}

// === impl Open ===

impl Open {
    /// Takes in a connection, if there is room for one.
    pub(super) fn connection(
        shared: &Arc<Shared>,
        peer: SocketAddr,
        is_silent: bool,
    ) -> Option<Admitted> {
        let open = &shared.open;
        let mut all = open.connections.lock();
        if all.len() >= shared.config.connections_max {
            return None;
        }
        let connection = Arc::new(Connection {
            shared: Arc::clone(shared),
            id: open.next(),
            peer,
            silence: Arc::new(Silence::new(is_silent)),
            kill: Notify::new(),
            retire: Notify::new(),
            seen: Mutex::default(),
        });
        all.insert(connection.id, Arc::clone(&connection));
        Some(Admitted(connection))
    }

    /// Takes in a watch; `asked` gets its number.
    pub(super) fn watch(shared: &Arc<Shared>, mut asked: Asked) -> WatchGuard {
        asked.watch = shared.open.next();
        let watch = Arc::new(OpenWatch {
            cut: watch::Sender::new(None),
            asked,
        });
        let entry = Arc::clone(&watch);
        shared.open.watches.lock().insert(watch.asked.watch, entry);
        WatchGuard {
            shared: Arc::clone(shared),
            watch,
        }
    }

    fn next(&self) -> u64 {
        self.last.fetch_add(1, Relaxed) + 1
    }

    pub(super) fn connections(&self) -> Vec<ConnectionInfo> {
        let all = self.connections.lock();
        all.values().map(|connection| connection.info()).collect()
    }

    pub(super) fn watches(&self) -> Vec<WatchInfo> {
        let all = self.watches.lock();
        all.values().map(|watch| watch.info()).collect()
    }

    pub(super) fn watch_count(&self) -> usize {
        self.watches.lock().len()
    }

    /// Ends the watches that are meant, and returns how many.
    pub(super) fn cut(&self, which: &Which, how: Cut) -> usize {
        let all = self.watches.lock();
        let meant = all.values().filter(|watch| which.selects(&watch.asked));
        let cut = meant.inspect(|watch| {
            watch.cut.send_replace(Some(how));
        });
        cut.count()
    }

    /// Does something to the connections that are meant, and returns how many.
    pub(super) fn each(&self, which: &Which, act: impl Fn(&Connection)) -> usize {
        let all: Vec<Arc<Connection>> = self.connections.lock().values().cloned().collect();
        // A watch or its resource stands for the connection that it is on.
        let watched: Vec<u64> = {
            let watches = self.watches.lock();
            let meant = watches.values().filter(|watch| which.selects(&watch.asked));
            meant.map(|watch| watch.asked.connection).collect()
        };
        let meant = |connection: &&Arc<Connection>| {
            watched.contains(&connection.id) || which.selects(&connection.asked())
        };
        all.iter().filter(meant).inspect(|it| act(it)).count()
    }
}

// === impl Connection ===

impl Connection {
    pub(super) fn speaks(&self, protocol: &'static str) {
        self.seen.lock().protocol = protocol;
    }

    pub(super) fn is_h2(&self) -> bool {
        self.seen.lock().protocol == "h2"
    }

    /// Counts a request.
    pub(super) fn saw_request(&self) {
        self.seen.lock().requests += 1;
    }

    /// Whether there was any request.
    pub(super) fn is_begun(&self) -> bool {
        self.seen.lock().requests > 0
    }

    /// Notes who asks.
    pub(super) fn saw_user(&self, user: &str, user_agent: &str) {
        let mut seen = self.seen.lock();
        if seen.user != user {
            user.clone_into(&mut seen.user);
        }
        if seen.user_agent != user_agent {
            user_agent.clone_into(&mut seen.user_agent);
        }
    }

    /// What it is, as far as that is known without a request.
    fn asked(&self) -> Asked {
        let seen = self.seen.lock();
        Asked {
            connection: self.id,
            user: seen.user.clone(),
            user_agent: seen.user_agent.clone(),
            ..Asked::default()
        }
    }

    fn info(&self) -> ConnectionInfo {
        let seen = self.seen.lock().clone();
        ConnectionInfo {
            id: self.id,
            peer: self.peer,
            protocol: seen.protocol,
            requests: seen.requests,
            silent: self.silence.is_on(),
            user: seen.user,
            user_agent: seen.user_agent,
        }
    }
}

impl OpenWatch {
    fn info(&self) -> WatchInfo {
        let asked = &self.asked;
        WatchInfo {
            id: asked.watch,
            connection: asked.connection,
            resource: asked.resource.clone(),
            user: asked.user.clone(),
            user_agent: asked.user_agent.clone(),
        }
    }
}

/// A connection that was taken in; its entry goes with it.
pub(super) struct Admitted(pub(super) Arc<Connection>);

impl Drop for Admitted {
    fn drop(&mut self) {
        let open = &self.0.shared.open;
        open.connections.lock().remove(&self.0.id);
    }
}

/// A watch that was taken in; its entry goes with it.
pub(super) struct WatchGuard {
    shared: Arc<Shared>,
    pub(super) watch: Arc<OpenWatch>,
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        let id = self.watch.asked.watch;
        self.shared.open.watches.lock().remove(&id);
    }
}
