//! Plain counters of one client.
//!
//! Does not export and does not label: an exporter above reads snapshots. Counters only grow;
//! relaxed atomics, since no counter is read to decide something.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::client::Purpose;

/// The counters of one client, shared by all its streams.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: [[AtomicU64; CLASSES]; PURPOSES],
    pub(crate) bytes_in: AtomicU64,
    pub(crate) connects: AtomicU64,
    pub(crate) connect_failures: AtomicU64,
    pub(crate) credential_refreshes: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) reused: AtomicU64,
    pub(crate) tls_handshakes: AtomicU64,
    pub(crate) truncated: AtomicU64,
}

const PURPOSES: usize = 3;
const CLASSES: usize = 6;

/// What the counters stood at, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestMetrics {
    /// Requests for lists, by outcome.
    pub list: Outcomes,
    /// Short requests, by outcome.
    pub short: Outcomes,
    /// Requests for watches, by outcome.
    pub watch: Outcomes,
    /// Bytes of bodies received, after TLS, before decompression.
    pub bytes_in: u64,
    /// Connections opened.
    pub connects: u64,
    /// Connections that could not be opened.
    pub connect_failures: u64,
    /// Credentials loaded: token files read, plugins run.
    pub credential_refreshes: u64,
    /// Requests sent again because a kept connection turned out to be dead.
    pub retries: u64,
    /// Requests that went out on a kept or shared connection.
    pub reused: u64,
    /// TLS handshakes done.
    pub tls_handshakes: u64,
    /// Bodies that ended before their framing said so.
    pub truncated: u64,
}

/// Requests by the class of their answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcomes {
    /// No answer came.
    pub failed: u64,
    /// An answer 1xx, which ends no request: always 0 from a correct server.
    pub informational: u64,
    /// An answer 2xx.
    pub success: u64,
    /// An answer 3xx. Redirects are not followed.
    pub redirection: u64,
    /// An answer 4xx.
    pub client_error: u64,
    /// An answer 5xx, or a code out of range.
    pub server_error: u64,
}

impl Metrics {
    /// Counts one request by the status of its answer, 0 without one.
    pub(crate) fn request(&self, purpose: Purpose, status: u16) {
        let class = usize::from(status / 100).min(CLASSES - 1);
        add(&self.requests[index(purpose)][class], 1);
    }

    pub(crate) fn snapshot(&self) -> RequestMetrics {
        RequestMetrics {
            list: self.outcomes(Purpose::List),
            short: self.outcomes(Purpose::Short),
            watch: self.outcomes(Purpose::Watch),
            bytes_in: self.bytes_in.load(Relaxed),
            connects: self.connects.load(Relaxed),
            connect_failures: self.connect_failures.load(Relaxed),
            credential_refreshes: self.credential_refreshes.load(Relaxed),
            retries: self.retries.load(Relaxed),
            reused: self.reused.load(Relaxed),
            tls_handshakes: self.tls_handshakes.load(Relaxed),
            truncated: self.truncated.load(Relaxed),
        }
    }

    fn outcomes(&self, purpose: Purpose) -> Outcomes {
        let classes = &self.requests[index(purpose)];
        Outcomes {
            failed: classes[0].load(Relaxed),
            informational: classes[1].load(Relaxed),
            success: classes[2].load(Relaxed),
            redirection: classes[3].load(Relaxed),
            client_error: classes[4].load(Relaxed),
            server_error: classes[5].load(Relaxed),
        }
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Relaxed);
}

const fn index(purpose: Purpose) -> usize {
    match purpose {
        Purpose::List => 0,
        Purpose::Short => 1,
        Purpose::Watch => 2,
    }
}
