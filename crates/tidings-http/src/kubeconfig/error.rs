//! What is wrong with a kubeconfig: the file, the entry and the field, never a value.

use std::path::PathBuf;

use super::low::ParseError;
use crate::{endpoint::EndpointError, file::FileError, proxy::ProxyError};

/// Why a kubeconfig is of no use. Unless a variant says otherwise, whoever wrote the file corrects
/// it; trying again does not help.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KubeconfigError {
    /// A user has a token and a user name as well.
    #[error("user {user:?} has both a token and a user name; keep one")]
    Ambiguous {
        /// The user's entry.
        user: String,
    },
    /// A user relies on an `auth-provider`, which Kubernetes removed in 1.26.
    #[error("user {user:?} uses the auth-provider {provider:?}, which was removed; use exec")]
    AuthProvider {
        /// The user's entry.
        user: String,
        /// The provider.
        provider: String,
    },
    /// A field that holds base64 does not.
    #[error("{field} of {entry:?} is no base64")]
    Base64 {
        /// The field.
        field: &'static str,
        /// The entry that it stands in.
        entry: String,
    },
    /// One file has two entries with one name.
    #[error("{} has the {kind} {name:?} twice", file.display())]
    Duplicate {
        /// The file.
        file: PathBuf,
        /// The kind of entry.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// An exec plugin without a command.
    #[error("the exec plugin of user {user:?} has no command")]
    ExecCommand {
        /// The user's entry.
        user: String,
    },
    /// An exec plugin speaks a version that this client does not.
    #[error(
        "the exec plugin of user {user:?} speaks {version:?}; \
         this client speaks client.authentication.k8s.io/v1 and /v1beta1"
    )]
    ExecVersion {
        /// The user's entry.
        user: String,
        /// The version in the file.
        version: String,
    },
    /// A file cannot be read. Whoever runs the process makes it readable.
    #[error("a kubeconfig file cannot be read")]
    File(#[from] FileError),
    /// A client certificate without its key, or a key without its certificate.
    #[error("user {user:?} has a client certificate without its key, or the reverse")]
    HalfCertificate {
        /// The user's entry.
        user: String,
    },
    /// `as-uid`, `as-groups` or `as-user-extra` without `as`.
    #[error("user {user:?} has parts of an impersonation, but not `as`")]
    ImpersonationWithoutUser {
        /// The user's entry.
        user: String,
    },
    /// Verification is turned off and an authority is named: one of them is a mistake (SEC-4).
    #[error(
        "cluster {cluster:?} has insecure-skip-tls-verify and a certificate authority; keep one"
    )]
    InsecureWithAuthority {
        /// The cluster's entry.
        cluster: String,
    },
    /// The context's cluster has no entry.
    #[error("there is no cluster {name:?}; there is {known:?}")]
    MissingCluster {
        /// The name that was looked up.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The context has no entry. Whoever chose it chooses another.
    #[error("there is no context {name:?}; there is {known:?}")]
    MissingContext {
        /// The name that was looked up.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The context's user has no entry.
    #[error("there is no user {name:?}; there is {known:?}")]
    MissingUser {
        /// The name that was looked up.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// No context is chosen: `current-context` is empty. Whoever runs the process chooses one.
    #[error("no context is chosen; there is {known:?}")]
    NoContext {
        /// The names that there are.
        known: Vec<String>,
    },
    /// None of the files exists. Whoever runs the process sets `KUBECONFIG` or passes a path.
    #[error("no kubeconfig found, looked for {tried:?}")]
    NotFound {
        /// The files that were looked for; empty if there is no home directory either.
        tried: Vec<PathBuf>,
    },
    /// A file is no kubeconfig.
    #[error("{} is no kubeconfig", file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where.
        source: ParseError,
    },
    /// The proxy of a cluster is of no use.
    #[error("the proxy-url of cluster {cluster:?} cannot be used")]
    Proxy {
        /// The cluster's entry.
        cluster: String,
        /// Why.
        source: ProxyError,
    },
    /// The server URL of a cluster is of no use.
    #[error("the server of cluster {cluster:?} cannot be used")]
    Server {
        /// The cluster's entry.
        cluster: String,
        /// Why.
        source: EndpointError,
    },
}
