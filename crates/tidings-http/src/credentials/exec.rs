//! Exec plugins: a program that prints a credential.
//!
//! Does not cache (the authenticator does) and never shows what the plugin printed. The plugin's
//! standard error goes where ours goes, as with kubectl, since it talks to the operator.
//!
//! I1  No shell: the command is a program and its arguments (SEC-2).
//! I2  The plugin ends within [`EXEC_TIMEOUT`] and prints at most [`OUTPUT_BYTES_MAX`], or is killed.
//! I3  The answer is in the version that was asked for.
//!
//! Source: client-go plugin/pkg/client/auth/exec/exec.go and its v1 types; rules SEC-1, SEC-2, pr-F62.

use std::{
    ffi::OsString,
    fmt,
    process::Stdio,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
};
use zeroize::Zeroizing;

use super::error::{CredentialError, ExecError};
use crate::{
    secret::Secret,
    tls::{ClientCertificate, Source},
};

/// A plugin, as a kubeconfig describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecSettings {
    /// The version that both sides speak.
    pub version: ExecVersion,
    /// The program: a name to look up in `PATH`, or a path.
    pub command: OsString,
    /// Its arguments, which some people put secrets into.
    pub args: Vec<Secret<String>>,
    /// Environment variables to add to those of this process.
    pub env: Vec<(String, Secret<String>)>,
    /// How to install the program, in words for the operator.
    pub install_hint: String,
    /// What to tell the plugin about the cluster, if it wants to know.
    pub cluster: Option<ExecCluster>,
    /// Whether the plugin insists on a terminal.
    pub needs_terminal: bool,
    /// The deadline.
    pub timeout: Duration,
}

/// The version of the plugin's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExecVersion {
    /// `client.authentication.k8s.io/v1`
    V1,
    /// `client.authentication.k8s.io/v1beta1`
    V1Beta1,
}

/// What a plugin is told about the cluster.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ExecCluster {
    /// The server URL.
    pub server: String,
    /// The name that the server's certificate bears, if another.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tls_server_name: String,
    /// Whether certificates are not verified.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_tls_verify: bool,
    /// The authorities: base64 of PEM.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub certificate_authority_data: String,
    /// The proxy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub proxy_url: String,
    /// What the kubeconfig has under the extension `client.authentication.k8s.io/exec`.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub config: serde_json::Value,
}

/// Whether plugins may run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExecPolicy {
    /// Any plugin that the kubeconfig names, as kubectl does. A kubeconfig is code then: use only
    /// files that you trust.
    #[default]
    Allow,
    /// Only plugins whose `command` is one of these, letter for letter.
    AllowOnly(Vec<OsString>),
    /// None.
    Deny,
}

/// What a plugin answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) token: Option<Secret<String>>,
    pub(crate) certificate: Option<ClientCertificate>,
    pub(crate) expires: Option<SystemTime>,
}

/// A plugin has to end within this time.
pub(crate) const EXEC_TIMEOUT: Duration = Duration::from_secs(60);

/// The most bytes that a plugin may print.
pub(crate) const OUTPUT_BYTES_MAX: usize = 1 << 20;

impl ExecVersion {
    /// Reads an `apiVersion`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::V1, Self::V1Beta1]
            .into_iter()
            .find(|version| version.as_str() == text)
    }

    /// The `apiVersion`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "client.authentication.k8s.io/v1",
            Self::V1Beta1 => "client.authentication.k8s.io/v1beta1",
        }
    }
}

impl fmt::Debug for ExecCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The proxy's URL may hold a password, and the extension anything: neither is shown.
        f.debug_struct("ExecCluster").finish_non_exhaustive()
    }
}

impl ExecSettings {
    /// A plugin without arguments.
    pub fn new(version: ExecVersion, command: impl Into<OsString>) -> Self {
        Self {
            version,
            command: command.into(),
            args: Vec::new(),
            env: Vec::new(),
            install_hint: String::new(),
            cluster: None,
            needs_terminal: false,
            timeout: EXEC_TIMEOUT,
        }
    }
}

impl ExecPolicy {
    /// Whether a plugin may run.
    pub(crate) fn check(&self, settings: &ExecSettings) -> Result<(), CredentialError> {
        let allowed = match self {
            Self::Allow => true,
            Self::AllowOnly(commands) => commands.contains(&settings.command),
            Self::Deny => false,
        };
        if allowed {
            Ok(())
        } else {
            Err(failed(settings, ExecError::Forbidden))
        }
    }
}

/// Runs a plugin once. Dropping the future kills it.
pub(crate) async fn run(settings: &ExecSettings) -> Result<Answer, CredentialError> {
    let output = match tokio::time::timeout(settings.timeout, output(settings)).await {
        Ok(output) => output,
        Err(_) => Err(ExecError::Timeout {
            after: settings.timeout,
        }),
    };
    output
        .and_then(|output| read(settings.version, &output))
        .map_err(|error| failed(settings, error))
}

fn failed(settings: &ExecSettings, source: ExecError) -> CredentialError {
    CredentialError::Exec {
        command: settings.command.to_string_lossy().into_owned(),
        source,
    }
}

async fn output(settings: &ExecSettings) -> Result<Zeroizing<Vec<u8>>, ExecError> {
    if settings.needs_terminal {
        return Err(ExecError::Interactive);
    }
    let mut command = Command::new(&settings.command);
    command
        .args(settings.args.iter().map(Secret::expose))
        .env("KUBERNETES_EXEC_INFO", info(settings))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    for (name, value) in &settings.env {
        command.env(name, value.expose());
    }
    #[cfg(unix)]
    command.process_group(0);
    let spawn = |error| ExecError::Spawn {
        source: Arc::new(error),
        install_hint: settings.install_hint.clone(),
    };
    let mut child = command.spawn().map_err(spawn)?;
    let mut group = Group::of(&child);
    let output = match child.stdout.take() {
        Some(stdout) => read_bounded(stdout).await?,
        None => Zeroizing::default(),
    };
    let status = child.wait().await.map_err(spawn)?;
    group.spare();
    if status.success() {
        Ok(output)
    } else {
        Err(ExecError::Failed { status })
    }
}

/// The processes of a plugin that has not ended: what it started is killed with it.
struct Group {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

impl Group {
    #[cfg(unix)]
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self {
            leader: id.and_then(rustix::process::Pid::from_raw),
        }
    }

    #[cfg(not(unix))]
    const fn of(_child: &Child) -> Self {
        Self {}
    }

    /// Leaves alone what a plugin that has ended has left running, such as an agent.
    const fn spare(&mut self) {
        #[cfg(unix)]
        {
            self.leader = None;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader {
            use rustix::process::{Signal, kill_process_group};
            // It may have ended by itself: then there is nothing to do.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

async fn read_bounded(stdout: impl AsyncRead + Unpin) -> Result<Zeroizing<Vec<u8>>, ExecError> {
    let mut output = Zeroizing::new(Vec::new());
    let limit = OUTPUT_BYTES_MAX as u64 + 1;
    let read = stdout.take(limit).read_to_end(&mut output).await;
    read.map_err(|error| ExecError::Spawn {
        source: Arc::new(error),
        install_hint: String::new(),
    })?;
    if output.len() > OUTPUT_BYTES_MAX {
        return Err(ExecError::OutputTooLong {
            limit: OUTPUT_BYTES_MAX,
        });
    }
    Ok(output)
}

/// The text of `KUBERNETES_EXEC_INFO`.
fn info(settings: &ExecSettings) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Info<'a> {
        kind: &'static str,
        api_version: &'static str,
        spec: Spec<'a>,
    }
    #[derive(Serialize)]
    struct Spec<'a> {
        interactive: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        cluster: Option<&'a ExecCluster>,
    }
    let info = Info {
        kind: "ExecCredential",
        api_version: settings.version.as_str(),
        spec: Spec {
            interactive: false,
            cluster: settings.cluster.as_ref(),
        },
    };
    serde_json::to_string(&info).unwrap_or_default()
}

/// Reads what a plugin printed.
fn read(version: ExecVersion, output: &[u8]) -> Result<Answer, ExecError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Credential {
        kind: String,
        api_version: String,
        status: Option<Status>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    #[derive(Default)]
    struct Status {
        token: Option<Secret<String>>,
        client_certificate_data: Option<Secret<String>>,
        client_key_data: Option<Secret<String>>,
        expiration_timestamp: Option<String>,
    }
    let credential: Credential = serde_json::from_slice(output).map_err(|error| {
        // The error's own text quotes what it met: only its place is passed on (SEC-27).
        ExecError::Malformed {
            what: match error.classify() {
                serde_json::error::Category::Data => "unexpected value",
                serde_json::error::Category::Eof => "unexpected end",
                serde_json::error::Category::Io | serde_json::error::Category::Syntax => {
                    "invalid json"
                }
            },
            line: error.line(),
            column: error.column(),
        }
    })?;
    if credential.kind != "ExecCredential" || credential.api_version != version.as_str() {
        return Err(ExecError::Version {
            expected: version.as_str(),
        });
    }
    let status = credential.status.ok_or(ExecError::NoCredential)?;
    let token = status.token.filter(|token| !token.expose().is_empty());
    let certificate = match (status.client_certificate_data, status.client_key_data) {
        (Some(certificate), Some(key)) => Some(ClientCertificate {
            certificate: inline(&certificate),
            key: inline(&key),
        }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(ExecError::NoCredential),
    };
    if token.is_none() && certificate.is_none() {
        return Err(ExecError::NoCredential);
    }
    let expires = status.expiration_timestamp.map(|text| expiry(&text));
    Ok(Answer {
        token,
        certificate,
        expires: expires.transpose()?,
    })
}

fn inline(text: &Secret<String>) -> Source {
    Source::Inline(Secret::new(text.expose().clone().into_bytes()))
}

fn expiry(text: &str) -> Result<SystemTime, ExecError> {
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    parsed
        .map(SystemTime::from)
        .map_err(|_| ExecError::Malformed {
            what: "no rfc 3339 expirationTimestamp",
            line: 0,
            column: 0,
        })
}

#[cfg(all(test, unix))]
mod tests;
