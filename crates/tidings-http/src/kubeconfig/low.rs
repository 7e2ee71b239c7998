//! A kubeconfig as it is written: names, texts and references, nothing looked up.
//!
//! Does not read files and does not judge: [`super::high`] does. Unknown fields are ignored, as
//! kubectl does; `null` stands for absent. Parsing is pure, bounded and never shows the text.
//!
//! I1  What is deeper than [`DEPTH_MAX`], or grows by aliases beyond [`NODES_MAX`], is refused
//!     (CVE-2019-11253).
//! I2  An error tells a place and a kind, never a value: values are secrets (SEC-27).
//!
//! Source: client-go tools/clientcmd/api/v1/types.go; rules SEC-9, SEC-11.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Deserializer};
use serde_saphyr::{Error as YamlError, options::DuplicateKeyPolicy};

use crate::{file::FILE_BYTES_MAX, secret::Secret};

/// A kubeconfig file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Config {
    /// The clusters.
    #[serde(deserialize_with = "null_is_default")]
    pub clusters: Vec<NamedCluster>,
    /// The contexts.
    #[serde(deserialize_with = "null_is_default")]
    pub contexts: Vec<NamedContext>,
    /// The context to use.
    #[serde(deserialize_with = "null_is_default")]
    pub current_context: String,
    /// The users.
    #[serde(deserialize_with = "null_is_default")]
    pub users: Vec<NamedUser>,
}

/// An entry of `clusters`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NamedCluster {
    /// The name.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// The cluster.
    #[serde(deserialize_with = "null_is_default")]
    pub cluster: Cluster,
}

/// An entry of `contexts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NamedContext {
    /// The name.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// The context.
    #[serde(deserialize_with = "null_is_default")]
    pub context: Context,
}

/// An entry of `users`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NamedUser {
    /// The name.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// The user.
    #[serde(deserialize_with = "null_is_default")]
    pub user: User,
}

/// How to reach a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Cluster {
    /// The server URL. It may hold a password and is hidden.
    #[serde(deserialize_with = "null_is_default")]
    pub server: Secret<String>,
    /// The name on the server's certificate, if it is not the URL's.
    pub tls_server_name: Option<String>,
    /// Whether any certificate is good.
    #[serde(deserialize_with = "null_is_default")]
    pub insecure_skip_tls_verify: bool,
    /// A file with the authorities.
    pub certificate_authority: Option<PathBuf>,
    /// The authorities: base64 of PEM.
    pub certificate_authority_data: Option<Secret<String>>,
    /// The proxy. It may hold a password and is hidden.
    pub proxy_url: Option<Secret<String>>,
    /// More, by name; exec plugins may ask for theirs.
    #[serde(deserialize_with = "null_is_default")]
    pub extensions: Vec<NamedExtension>,
}

/// An entry of `extensions`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NamedExtension {
    /// The name.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// Anything.
    pub extension: serde_json::Value,
}

/// A cluster and a user that belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Context {
    /// The cluster's name.
    #[serde(deserialize_with = "null_is_default")]
    pub cluster: String,
    /// The user's name, empty for nobody.
    #[serde(deserialize_with = "null_is_default")]
    pub user: String,
    /// The namespace to use.
    pub namespace: Option<String>,
}

/// Who to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct User {
    /// A file with a certificate.
    pub client_certificate: Option<PathBuf>,
    /// A certificate: base64 of PEM.
    pub client_certificate_data: Option<Secret<String>>,
    /// A file with the certificate's key.
    pub client_key: Option<PathBuf>,
    /// The certificate's key: base64 of PEM.
    pub client_key_data: Option<Secret<String>>,
    /// A bearer token.
    pub token: Option<Secret<String>>,
    /// A file with a bearer token.
    #[serde(rename = "tokenFile")]
    pub token_file: Option<PathBuf>,
    /// As whom to act.
    #[serde(rename = "as")]
    pub impersonate: Option<String>,
    /// With which uid.
    pub as_uid: Option<String>,
    /// In which groups.
    #[serde(deserialize_with = "null_is_default")]
    pub as_groups: Vec<String>,
    /// With what more.
    #[serde(deserialize_with = "null_is_default")]
    pub as_user_extra: BTreeMap<String, Vec<String>>,
    /// A user name.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret<String>>,
    /// A provider that was removed from Kubernetes in 1.26.
    pub auth_provider: Option<AuthProvider>,
    /// A plugin.
    pub exec: Option<Exec>,
}

/// A provider of another age.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct AuthProvider {
    /// Its name.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
}

/// A plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct Exec {
    /// The version of its protocol.
    #[serde(deserialize_with = "null_is_default")]
    pub api_version: String,
    /// The program.
    #[serde(deserialize_with = "null_is_default")]
    pub command: String,
    /// Its arguments, which some people put secrets into.
    #[serde(deserialize_with = "null_is_default")]
    pub args: Vec<Secret<String>>,
    /// Its environment.
    #[serde(deserialize_with = "null_is_default")]
    pub env: Vec<ExecEnv>,
    /// How to install it.
    #[serde(deserialize_with = "null_is_default")]
    pub install_hint: String,
    /// Whether it wants to know the cluster.
    #[serde(deserialize_with = "null_is_default")]
    pub provide_cluster_info: bool,
    /// `Never`, `IfAvailable` or `Always`.
    #[serde(deserialize_with = "null_is_default")]
    pub interactive_mode: String,
}

/// A variable of a plugin's environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ExecEnv {
    /// The name.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// The value.
    #[serde(deserialize_with = "null_is_default")]
    pub value: Secret<String>,
}

/// Why a text is no kubeconfig: a kind and a place, no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at line {line}, column {column}")]
#[non_exhaustive]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// The line, from 1; 0 if unknown.
    pub line: u64,
    /// The column, from 1; 0 if unknown.
    pub column: u64,
}

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// It is deeper, longer or has more aliases than any kubeconfig has.
    Budget,
    /// It is no UTF-8.
    Encoding,
    /// It is YAML, and a field holds what it cannot hold.
    Shape,
    /// It is no YAML.
    Syntax,
}

impl std::fmt::Display for ParseErrorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Budget => "more depth, length or aliases than a kubeconfig may have",
            Self::Encoding => "no utf-8",
            Self::Shape => "unexpected value",
            Self::Syntax => "invalid yaml",
        })
    }
}

impl std::fmt::Debug for NamedExtension {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What an extension holds is unknown: it is not shown.
        f.debug_struct("NamedExtension")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The deepest nesting. A kubeconfig without extensions has a depth of 6.
pub const DEPTH_MAX: usize = 32;

/// The most nodes, aliases expanded.
pub const NODES_MAX: usize = 100_000;

/// Reads a kubeconfig, YAML or JSON.
///
/// # Errors
///
/// [`ParseError`], which shows no part of the text.
pub fn parse(text: &[u8]) -> Result<Config, ParseError> {
    let nowhere = |kind| ParseError {
        kind,
        line: 0,
        column: 0,
    };
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(nowhere(ParseErrorKind::Budget));
    }
    let text = std::str::from_utf8(text).map_err(|_| nowhere(ParseErrorKind::Encoding))?;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_documents: 1,
            max_nodes: NODES_MAX,
            max_events: 3 * NODES_MAX,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_recorded_anchor_events: NODES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: NODES_MAX,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    // A file of comments alone is an empty kubeconfig, as it is for kubectl.
    let config: Result<Option<Config>, _> = serde_saphyr::from_str_with_options(text, options);
    config
        .map(Option::unwrap_or_default)
        .map_err(|error| located(&error))
}

fn located(error: &YamlError) -> ParseError {
    let mut inner = error.without_snippet();
    while let YamlError::AliasError { error, .. } = inner {
        inner = error;
    }
    let kind = match inner {
        YamlError::Budget { .. }
        | YamlError::AliasReplayLimitExceeded { .. }
        | YamlError::AliasExpansionLimitExceeded { .. }
        | YamlError::AliasReplayStackDepthExceeded { .. } => ParseErrorKind::Budget,
        YamlError::Unexpected { .. }
        | YamlError::NullIntoString { .. }
        | YamlError::InvalidBooleanStrict { .. }
        | YamlError::InvalidScalar { .. }
        | YamlError::SerdeInvalidType { .. }
        | YamlError::SerdeInvalidValue { .. } => ParseErrorKind::Shape,
        _ => ParseErrorKind::Syntax,
    };
    let place = error.location();
    ParseError {
        kind,
        line: place.map_or(0, |place| place.line()),
        column: place.map_or(0, |place| place.column()),
    }
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
