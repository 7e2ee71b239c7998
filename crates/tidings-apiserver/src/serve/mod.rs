//! The HTTP front: a thin skin over the state, with levers for faults.
//!
//! Does not decide anything that a client could tell apart from the protocol: the state does.
//!
//! F1  A watch's task ends when its client goes, when it is cut, or when the server stops; a client
//!     that does not read holds at most `CHANNEL_LEN` chunks, and its connection is broken once it
//!     has taken nothing for `stall_max` (pr-W18, cg-V5).
//! F2  Beyond loopback it listens only with TLS and tokens.
//! F3  After [`Handle::shutdown`] no task of the server is left.

mod accept;
mod access;
mod act;
mod admin;
mod documents;
mod faults;
mod gate;
#[cfg(any(test, fuzzing))]
pub mod in_process;
mod kubeconfig;
mod levers;
mod listen;
mod open;
mod protobuf;
mod reviews;
mod route;
mod rules;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod write;

use std::{
    error, fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use self::kubeconfig::write_secret;
pub use self::{
    access::{RandomError, Token, TokenFileError, User},
    faults::Faults,
    open::{ConnectionInfo, WatchInfo},
    rules::{Effect, Rule, Which},
};
use crate::{
    churn::Churn,
    seed::Seed,
    state::{Checkpoint, HistorySize, State},
};

/// How to serve.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a table that users fill with struct update syntax"
)]
pub struct Config {
    /// Where to listen; loopback only, unless there are TLS and tokens. Port 0 lets the system choose.
    pub address: SocketAddr,
    /// Whether to speak HTTPS, and how.
    pub tls: Option<Tls>,
    /// The bearer tokens, one of which clients must send; with none, everybody is welcome.
    pub tokens: Vec<Token>,
    /// Where the admin endpoint listens, on loopback; there is none unless this is given.
    pub admin: Option<SocketAddr>,
    /// Where the kubeconfig is kept, now and after each rotation.
    pub kubeconfig_out: Option<PathBuf>,
    /// The seed of uids and of the churn.
    pub seed: u64,
    /// How often bookmarks are sent. 60 s (pr-E11).
    pub bookmark_period: Duration,
    /// How long a watch's client may take nothing of what is to be sent. 10 s.
    pub stall_max: Duration,
    /// How long a handshake and the head of a request may take. 32 s (pr-S8).
    pub header_timeout: Duration,
    /// How long the body of a request may take, and how long a list's client may take nothing. 60 s (pr-L21).
    pub request_timeout: Duration,
    /// How many connections there may be; the next one is turned away. 4096.
    pub connections_max: usize,
    /// Whether WatchLists are compressed for clients that accept it, a gzip member a flush (pr-W7). Off, as in
    /// 1.36; 1.37 does so.
    pub watch_list_gzip: bool,
    /// Whether large lists are compressed for clients that accept it (pr-L20).
    pub list_gzip: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: None,
            tokens: Vec::new(),
            admin: None,
            kubeconfig_out: None,
            seed: 1,
            bookmark_period: Duration::from_secs(60),
            stall_max: Duration::from_secs(10),
            header_timeout: Duration::from_secs(32),
            request_timeout: Duration::from_secs(60),
            connections_max: 4096,
            watch_list_gzip: false,
            list_gzip: true,
        }
    }
}

/// HTTPS with an authority of the server's own; it needs the feature `tls`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "settings that users fill with struct update syntax"
)]
pub struct Tls {
    /// Names and addresses by which clients know the server, beside `localhost` and those of loopback.
    pub names: Vec<String>,
    /// Where to leave `ca.crt`, `tls.crt` and `tls.key`; they stay in memory otherwise.
    pub dir: Option<PathBuf>,
}

/// Why a server does not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The admin endpoint would be open to others. The caller chooses an address of loopback.
    AdminExposed(SocketAddr),
    /// It would be open to others. The caller's choice: TLS and tokens, or loopback.
    Exposed(SocketAddr),
    /// The address cannot be had; the system says why.
    Listen(SocketAddr, io::Error),
    /// The certificates cannot be made, or this build cannot: a name may be none.
    Tls(String),
    /// The kubeconfig or a certificate cannot be written; the system says why.
    Write(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exposed(address) => write!(
                out,
                "refusing to listen on {address}, beyond loopback, without both TLS and tokens: give both \
                 (--tls, --token-file), or listen on 127.0.0.1"
            ),
            Self::AdminExposed(address) => write!(
                out,
                "refusing to listen on {address}: the admin endpoint is for loopback alone"
            ),
            Self::Listen(address, error) => write!(out, "cannot listen on {address}: {error}"),
            Self::Tls(why) => write!(out, "cannot make certificates: {why}"),
            Self::Write(error) => write!(out, "cannot write the access files: {error}"),
        }
    }
}

impl error::Error for StartError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::AdminExposed(_) | Self::Exposed(_) | Self::Tls(_) => None,
            Self::Listen(_, error) | Self::Write(error) => Some(error),
        }
    }
}

/// A running server.
pub struct Handle {
    shared: Arc<Shared>,
    admin: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    serving: JoinSet<()>,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    address: SocketAddr,
    pub(crate) state: Mutex<State>,
    /// Moves with each write, for the watches to look again.
    pub(crate) changed: watch::Sender<u64>,
    pub(crate) faults: Mutex<Faults>,
    /// Decides what is left to chance: timeouts and refusals.
    pub(crate) seed: Mutex<Seed>,
    /// The tokens that are good now.
    tokens: Mutex<Arc<[Token]>>,
    #[cfg(feature = "tls")]
    authority: Option<tls::Authority>,
    open: open::Open,
    /// What to go back to.
    checkpoint: Mutex<Option<Checkpoint>>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// Starts a server.
///
/// # Errors
///
/// When the address cannot be had or would be open to others, or the files of the access cannot be made.
///
/// # Cancel safety
///
/// Dropping the future starts nothing.
pub async fn start(config: Config) -> Result<Handle, StartError> {
    let is_guarded = config.tls.is_some() && !config.tokens.is_empty();
    if !config.address.ip().is_loopback() && !is_guarded {
        return Err(StartError::Exposed(config.address));
    }
    if let Some(admin) = config.admin.filter(|admin| !admin.ip().is_loopback()) {
        return Err(StartError::AdminExposed(admin));
    }
    #[cfg(not(feature = "tls"))]
    if config.tls.is_some() {
        let why = "this build has no TLS: the feature `tls` is off";
        return Err(StartError::Tls(why.to_owned()));
    }
    #[cfg(feature = "tls")]
    let authority = match &config.tls {
        Some(tls) => Some(tls::Authority::new(
            names(&config, tls),
            tls.dir.as_deref(),
        )?),
        None => None,
    };
    let (listener, address) = listen_on(config.address).await?;
    let admin = match config.admin {
        Some(admin) => Some(listen_on(admin).await?),
        None => None,
    };
    let (stop, stopped) = watch::channel(false);
    let shared = Shared::new(config, address, stopped);
    #[cfg(feature = "tls")]
    let shared = Shared {
        authority,
        ..shared
    };
    let shared = Arc::new(shared);
    shared.write_kubeconfig().map_err(StartError::Write)?;
    let mut serving = JoinSet::new();
    serving.spawn(listen::serve(listener, Arc::clone(&shared)));
    let admin_address = admin.as_ref().map(|(_, address)| *address);
    if let Some((listener, _)) = admin {
        serving.spawn(admin::serve(listener, Arc::clone(&shared)));
    }
    Ok(Handle {
        shared,
        admin: admin_address,
        stop,
        serving,
    })
}

async fn listen_on(wanted: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen(wanted, error);
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// The names that a certificate bears.
#[cfg(feature = "tls")]
fn names(config: &Config, tls: &Tls) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    if !config.address.ip().is_unspecified() {
        names.push(config.address.ip().to_string());
    }
    names.extend(tls.names.iter().cloned());
    names.sort();
    names.dedup();
    names
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

// === impl Shared ===

impl Shared {
    /// A server without objects, and without TLS.
    fn new(config: Config, address: SocketAddr, stop: watch::Receiver<bool>) -> Self {
        Self {
            address,
            state: Mutex::new(State::new_at(config.seed, unix_seconds())),
            changed: watch::Sender::new(0),
            faults: Mutex::default(),
            seed: Mutex::new(Seed::new(config.seed ^ 0x0005_eed0_f0dd_5eed)),
            tokens: Mutex::new(config.tokens.clone().into()),
            #[cfg(feature = "tls")]
            authority: None,
            open: open::Open::default(),
            checkpoint: Mutex::default(),
            stop,
            config,
        }
    }

    #[cfg_attr(
        not(feature = "tls"),
        expect(clippy::unused_self, reason = "the feature decides")
    )]
    const fn is_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.authority.is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    fn url(&self) -> String {
        let mut address = self.address;
        // Nobody connects to "any address".
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        let scheme = if self.is_tls() { "https" } else { "http" };
        format!("{scheme}://{address}")
    }

    fn tokens(&self) -> Arc<[Token]> {
        Arc::clone(&self.tokens.lock())
    }

    #[cfg_attr(
        not(feature = "tls"),
        expect(clippy::unused_self, reason = "the feature decides")
    )]
    fn authorities(&self) -> Option<String> {
        #[cfg(feature = "tls")]
        return self.authority.as_ref().map(tls::Authority::bundle);
        #[cfg(not(feature = "tls"))]
        None
    }

    fn kubeconfig(&self) -> String {
        kubeconfig::text(&self.url(), self.authorities().as_deref(), &self.tokens())
    }

    fn write_kubeconfig(&self) -> io::Result<()> {
        match &self.config.kubeconfig_out {
            Some(path) => write_secret(path, &self.kubeconfig()),
            None => Ok(()),
        }
    }
}

// === impl Handle ===

impl Handle {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// `http://` or `https://`, and an address to connect to.
    #[must_use]
    pub fn url(&self) -> String {
        self.shared.url()
    }

    /// Where the admin endpoint listens, if there is one.
    #[must_use]
    pub const fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// A kubeconfig for this server, with a user for each token; the first one is used.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        self.shared.kubeconfig()
    }

    /// The certificates to trust, as PEM, if it speaks TLS.
    #[must_use]
    pub fn authorities(&self) -> Option<String> {
        self.shared.authorities()
    }

    /// The tokens that are good now.
    #[must_use]
    pub fn tokens(&self) -> Arc<[Token]> {
        self.shared.tokens()
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
        // The tasks end by themselves; of one that panicked there is nothing more to end.
        let mut serving = self.serving;
        while serving.join_next().await.is_some() {}
    }
}

pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
