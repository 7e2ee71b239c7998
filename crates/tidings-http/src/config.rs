//! Everything that a client needs to know, as one value.
//!
//! Does not connect and does not read credentials yet: paths are kept, contents are read when a
//! request goes out.
//!
//! | bound | default | why |
//! |---|---|---|
//! | `timeouts.connect` | 10 s | a SYN is resent at 1, 3 and 7 s |
//! | `timeouts.tls_handshake` | 10 s | the Go client's own |
//! | `timeouts.head` | 70 s | a list may wait in the server up to its own limit of 60 s (pr-L21) |
//! | `timeouts.short` | 32 s | discovery's limit in client-go (cg 1.6) |
//! | `timeouts.list_idle` | 60 s | the server ends a list at 60 s (pr-L21) |
//! | `timeouts.tcp_user` | 20 s | finds a half-open connection (pr-F20) |
//! | `timeouts.keep` | 30 s | a kept connection is younger than any balancer's idle limit |
//! | `head_bytes_max` | 64 KiB | SEC-14 |
//! | `headers_max` | 128 | SEC-14 |
//! | `read_buffer_bytes` | 64 KiB | measured (`examples/receive.rs`): smaller costs more reads, larger leaves the cache |

use std::time::Duration;

use crate::{
    credentials::{CredentialError, Credentials, ExecPolicy, Impersonation},
    endpoint::{Endpoint, EndpointError},
    in_cluster::{self, InClusterError, ServiceAccount},
    kubeconfig::{self, KubeconfigError},
    proxy::Proxy,
    tls::{TlsConfigError, TlsSettings},
};

/// Everything that a [`Client`](crate::Client) needs to know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    /// Where the server is.
    pub endpoint: Endpoint,
    /// How to speak TLS with it.
    pub tls: TlsSettings,
    /// How to say who we are.
    pub credentials: Credentials,
    /// As whom to act, if not as ourselves.
    pub impersonation: Option<Impersonation>,
    /// Whether exec plugins may run.
    pub exec_policy: ExecPolicy,
    /// The proxy to tunnel through. Environment variables are never consulted (SEC-5).
    pub proxy: Option<Proxy>,
    /// The namespace that the context or the service account names, if it names one.
    pub namespace: Option<String>,
    /// Which version of HTTP to speak.
    pub http: HttpVersion,
    /// Whether compressed answers are welcome. The body is passed on as it came; its
    /// `content_encoding` says which it is.
    pub accept_gzip: bool,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// Most bytes of an answer's head.
    pub head_bytes_max: usize,
    /// Most headers of an answer.
    pub headers_max: usize,
    /// Size of the read buffer of a list or watch over HTTP/1.1, in bytes.
    pub read_buffer_bytes: usize,
}

/// Which version of HTTP to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpVersion {
    /// HTTP/2 if the server offers it over TLS, else HTTP/1.1.
    Auto,
    /// HTTP/1.1, one connection for each list and watch.
    #[default]
    Http1,
    /// HTTP/2, watches sharing connections. Without TLS by prior knowledge.
    Http2,
}

/// Deadlines of the transport. Silence on a watch is not among them: the engine's watchdog judges
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// For opening a TCP connection, all addresses together, and for the proxy's tunnel.
    pub connect: Duration,
    /// For the TLS handshake.
    pub tls_handshake: Duration,
    /// From the request to the head of the answer, for lists and watches.
    pub head: Duration,
    /// From the request to the end of the answer, for short requests.
    pub short: Duration,
    /// The longest standstill within a list's body.
    pub list_idle: Duration,
    /// How long sent bytes may stay unacknowledged before the connection is dead.
    pub tcp_user: Duration,
    /// How long a connection may be idle before the system asks the other side whether it lives.
    pub tcp_keepalive: Duration,
    /// How often HTTP/2 asks the other side whether it lives, and how long it waits.
    pub http2_ping: Duration,
    /// How long a finished connection is kept for the next list or short request.
    pub keep: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            tls_handshake: Duration::from_secs(10),
            head: Duration::from_secs(70),
            short: Duration::from_secs(32),
            list_idle: Duration::from_secs(60),
            tcp_user: Duration::from_secs(20),
            tcp_keepalive: Duration::from_secs(10),
            http2_ping: Duration::from_secs(8),
            keep: Duration::from_secs(30),
        }
    }
}

impl ClientConfig {
    /// A configuration for an endpoint, without credentials, trusting the platform's authorities.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            tls: TlsSettings::default(),
            credentials: Credentials::None,
            impersonation: None,
            exec_policy: ExecPolicy::default(),
            proxy: None,
            namespace: None,
            http: HttpVersion::default(),
            accept_gzip: false,
            timeouts: Timeouts::default(),
            head_bytes_max: 64 << 10,
            headers_max: 128,
            read_buffer_bytes: 64 << 10,
        }
    }

    /// A configuration for a server URL, without credentials.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] if the text is no server URL.
    pub fn from_server(url: &str) -> Result<Self, EndpointError> {
        Endpoint::parse(url).map(Self::new)
    }

    /// The configuration that the environment offers: the kubeconfig if there is one, else the
    /// pod's service account.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Kubeconfig`] if there is a kubeconfig and it is of no use: it is not passed
    /// over in silence. [`ConfigError::Nothing`] if there is neither.
    pub fn infer() -> Result<Self, ConfigError> {
        let kubeconfig = match kubeconfig::load(&kubeconfig::Overrides::default()) {
            Ok(config) => return Ok(config),
            Err(error @ KubeconfigError::NotFound { .. }) => error,
            Err(error) => return Err(error.into()),
        };
        Self::in_cluster().map_err(|in_cluster| ConfigError::Nothing {
            kubeconfig,
            in_cluster,
        })
    }

    /// The configuration of the pod that this process runs in.
    ///
    /// # Errors
    ///
    /// [`InClusterError`] if this is no pod, or its files are of no use.
    pub fn in_cluster() -> Result<Self, InClusterError> {
        in_cluster::load(&ServiceAccount::from_env())
    }
}

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A credential cannot stand in a header. Whoever wrote it corrects it.
    #[error("the credentials cannot be used")]
    Credentials(#[from] CredentialError),
    /// The server URL is of no use. Whoever wrote it corrects it.
    #[error("the server url cannot be used")]
    Endpoint(#[from] EndpointError),
    /// The pod's service account is of no use. The operator of the cluster corrects the pod.
    #[error("the service account cannot be used")]
    InCluster(#[from] InClusterError),
    /// The kubeconfig is of no use. Its source says what to correct.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[from] KubeconfigError),
    /// There is neither a kubeconfig nor a service account. Set `KUBECONFIG`, or run in a pod.
    #[error("no cluster is configured: {kubeconfig}, and {in_cluster}")]
    Nothing {
        /// What was tried first.
        #[source]
        kubeconfig: KubeconfigError,
        /// What was tried then.
        in_cluster: InClusterError,
    },
    /// Certificates or keys are of no use. Its source says which.
    #[error("the tls configuration cannot be used")]
    Tls(#[from] TlsConfigError),
}
