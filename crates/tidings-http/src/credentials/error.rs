//! Why there is no credential. No variant repeats a credential, nor what a plugin printed.

use std::{io, process::ExitStatus, sync::Arc, time::Duration};

use http::HeaderName;

use crate::file::FileError;

/// Why there is no credential.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The exec plugin did not deliver. Its source says why.
    #[error("the exec plugin {command:?} gave no credential")]
    Exec {
        /// The plugin.
        command: String,
        /// Why.
        source: ExecError,
    },
    /// A name to act as cannot stand in a header. Whoever wrote it corrects it.
    #[error("the value of {header} cannot stand in a header")]
    Impersonation {
        /// The header.
        header: HeaderName,
    },
    /// The token or password is empty, or holds what no header may hold, such as a line break in
    /// its middle. Whoever issued it corrects it.
    #[error(
        "the credential{} is empty or holds characters that no header may hold",
        origin.as_ref().map(|origin| format!(" from {origin:?}")).unwrap_or_default()
    )]
    Malformed {
        /// The file or the plugin that it comes from.
        origin: Option<String>,
    },
    /// The token file cannot be read. Whoever runs the process makes it readable.
    #[error("the token file cannot be read")]
    TokenFile(#[from] FileError),
}

/// Why an exec plugin gave no credential.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The plugin ended with a failure. What it wrote to its standard error says more.
    #[error("it ended with {status}")]
    Failed {
        /// How it ended.
        status: ExitStatus,
    },
    /// Plugins may not run here, or not this one. The operator of the client allows it, or
    /// chooses another kind of credential (SEC-1).
    #[error("the policy of this client does not allow it to run")]
    Forbidden,
    /// The plugin needs to talk to a person, which this client cannot offer.
    #[error("it needs an interactive terminal")]
    Interactive,
    /// The output is no `ExecCredential`. The author of the plugin corrects it.
    #[error("its output is no exec credential: {what} at line {line}, column {column}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// The line in the output, from 1.
        line: usize,
        /// The column in the line.
        column: usize,
    },
    /// The credential holds neither a token nor a certificate with its key, or half of a pair.
    #[error("its credential has neither a token nor a certificate with its key")]
    NoCredential,
    /// The plugin printed more than a credential needs, and was killed.
    #[error("it printed more than {limit} bytes")]
    OutputTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The plugin cannot be started: most often it is not installed, or not on the `PATH`.
    #[error("it cannot be started{}", hint(install_hint))]
    Spawn {
        /// What the system said.
        source: Arc<io::Error>,
        /// How to install it, in the words of the kubeconfig.
        install_hint: String,
    },
    /// The plugin did not end in time, and was killed.
    #[error("it did not end within {after:?}")]
    Timeout {
        /// The limit.
        after: Duration,
    },
    /// The plugin answered in another version than the kubeconfig names.
    #[error("it answered in another api version than {expected}")]
    Version {
        /// The version that the kubeconfig names.
        expected: &'static str,
    },
}

fn hint(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        // Free text from a file: escaped, so that it cannot forge a line of a log (SEC-29).
        format!(": {}", text.escape_debug())
    }
}
