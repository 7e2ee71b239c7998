//! Kubeconfig files: found, parsed ([`low`]), merged and resolved ([`high`]).
//!
//! A kubeconfig is code: its exec plugins run programs and its paths name files. Load only files
//! that you trust, or forbid plugins with [`ExecPolicy`](crate::credentials::ExecPolicy) (SEC-1).
//!
//! Source: client-go tools/clientcmd/loader.go; rules SEC-1, SEC-9, SEC-10, SEC-11.

mod error;
pub mod high;
pub mod low;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

pub use self::{
    error::KubeconfigError,
    high::{Kubeconfig, Overrides},
    low::{ParseError, ParseErrorKind, parse},
};
use crate::{config::ClientConfig, file};

/// Finds, reads, merges and resolves: the configuration that kubectl would use.
///
/// # Errors
///
/// [`KubeconfigError::NotFound`] if there is no file, the others if there is one and it is of no
/// use.
pub fn load(overrides: &Overrides) -> Result<ClientConfig, KubeconfigError> {
    read(overrides)?.resolve(overrides)
}

/// Finds, reads and merges the files.
///
/// # Errors
///
/// As [`load`].
pub fn read(overrides: &Overrides) -> Result<Kubeconfig, KubeconfigError> {
    match &overrides.path {
        Some(path) => read_files(std::slice::from_ref(path)),
        None => read_files(&paths(
            std::env::var_os("KUBECONFIG").as_deref(),
            std::env::home_dir().as_deref(),
        )),
    }
}

/// Where kubectl looks: the list in `KUBECONFIG`, else `.kube/config` in the home directory.
#[must_use]
pub fn paths(kubeconfig: Option<&OsStr>, home: Option<&Path>) -> Vec<PathBuf> {
    let listed = kubeconfig.map(std::env::split_paths).into_iter().flatten();
    let listed: Vec<_> = listed.filter(|path| !path.as_os_str().is_empty()).collect();
    if listed.is_empty() {
        let home = home.filter(|home| !home.as_os_str().is_empty());
        home.map(|home| home.join(".kube/config"))
            .into_iter()
            .collect()
    } else {
        listed
    }
}

/// Reads and merges files, the first going before the others. Files that do not exist are passed
/// over, as kubectl does, unless none exists.
///
/// # Errors
///
/// As [`load`].
pub fn read_files(paths: &[PathBuf]) -> Result<Kubeconfig, KubeconfigError> {
    let mut merged = Kubeconfig::default();
    let mut found = false;
    for path in paths {
        let text = match file::read(path) {
            Ok(text) => zeroize::Zeroizing::new(text),
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error.into()),
        };
        found = true;
        warn_if_shared(path);
        let config = parse(&text).map_err(|source| KubeconfigError::Parse {
            file: path.clone(),
            source,
        })?;
        merged.merge(config, path)?;
    }
    if found {
        Ok(merged)
    } else {
        Err(KubeconfigError::NotFound {
            tried: paths.to_vec(),
        })
    }
}

/// SEC-10: a file of secrets that others may read is worth a word.
fn warn_if_shared(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        const OTHERS: u32 = 0o077;
        let mode = path
            .metadata()
            .map(|metadata| metadata.permissions().mode());
        if mode.is_ok_and(|mode| mode & OTHERS != 0) {
            tracing::warn!(path = %path.display(), "others than its owner can read the kubeconfig");
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

#[cfg(test)]
mod tests;
