//! The configuration of a pod: what every container with a service account finds.
//!
//! Does not read the token (the authenticator does, again and again) and trusts nothing but the
//! cluster's own authority (SEC-7). Proxies of the environment are not used (SEC-5).
//!
//! Source: client-go rest/config.go `InClusterConfig`; rules SEC-5, SEC-6, SEC-7, SEC-8.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{
    config::ClientConfig,
    credentials::Credentials,
    endpoint::Endpoint,
    file::{self, FileError},
    tls::{Roots, Source},
};

/// Where a pod's service account is found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "places for tests and unusual pods to fill"
)]
pub struct ServiceAccount {
    /// What `KUBERNETES_SERVICE_HOST` says.
    pub host: Option<OsString>,
    /// What `KUBERNETES_SERVICE_PORT` says.
    pub port: Option<OsString>,
    /// The directory with `token`, `ca.crt` and `namespace`.
    pub directory: PathBuf,
}

/// Why there is no configuration of a pod.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InClusterError {
    /// A file of the service account cannot be read: most often
    /// `automountServiceAccountToken: false`. The operator of the cluster corrects the pod.
    #[error("the service account cannot be read")]
    File(#[from] FileError),
    /// The port is no number. Whoever set the variable corrects it.
    #[error("KUBERNETES_SERVICE_PORT is no port number")]
    Port,
    /// The variables are not set: this is no pod.
    #[error("this process runs in no pod (KUBERNETES_SERVICE_HOST is not set)")]
    NotInCluster,
}

/// Where Kubernetes puts a pod's service account.
pub const DIRECTORY: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

impl ServiceAccount {
    /// What this process's environment says, and the directory that Kubernetes uses.
    #[must_use]
    pub fn from_env() -> Self {
        Self {
            host: std::env::var_os("KUBERNETES_SERVICE_HOST"),
            port: std::env::var_os("KUBERNETES_SERVICE_PORT"),
            directory: PathBuf::from(DIRECTORY),
        }
    }
}

/// Makes the configuration of a pod.
///
/// # Errors
///
/// [`InClusterError::NotInCluster`] if this is no pod, the others if its parts are of no use.
pub fn load(account: &ServiceAccount) -> Result<ClientConfig, InClusterError> {
    let text = |value: &Option<OsString>| value.as_ref()?.to_str().map(str::to_owned);
    let host = text(&account.host).filter(|host| !host.is_empty());
    let port = text(&account.port).filter(|port| !port.is_empty());
    let (Some(host), Some(port)) = (host, port) else {
        return Err(InClusterError::NotInCluster);
    };
    let port = port.parse().map_err(|_| InClusterError::Port)?;
    let at = |name: &str| account.directory.join(name);
    // Read once for the error's sake: what is missing shows here and not at the first request.
    file::read(&at("token"))?;
    file::read(&at("ca.crt"))?;
    let mut config = ClientConfig::new(Endpoint::https(&host, port));
    config.tls.roots = Roots::Given(Source::File(at("ca.crt")));
    config.credentials = Credentials::TokenFile {
        path: at("token"),
        fallback: None,
    };
    config.namespace = namespace(&at("namespace"));
    Ok(config)
}

fn namespace(path: &Path) -> Option<String> {
    let bytes = file::read(path).ok()?;
    let text = std::str::from_utf8(&bytes).ok()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
