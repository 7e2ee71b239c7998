//! Small files from outside: credentials, certificates, kubeconfigs.
//!
//! Reads whole and blocking: the files are small, local and read a few times a minute at most.
//! Does not follow what is no regular file: a device or a pipe could block for ever (SEC-3).
//!
//! I1  No read returns more than the asked limit.
//! Source: rules SEC-3, SEC-6, SEC-7.

use std::{
    fs::{File, Metadata},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

/// The most bytes that a kubeconfig, token or certificate file may have.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why a file could not be read. It names the file, never its content.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The path is a directory, a device or a pipe. Whoever set the path corrects it.
    #[error("{} is not a regular file", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// The file cannot be opened or read: it is absent, or this process may not. Whoever runs the
    /// process makes it readable.
    #[error("cannot read {}", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The file is longer than any such file is. Most likely the path is wrong.
    #[error("{} has more than {limit} bytes", path.display())]
    TooLarge {
        /// The path.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
}

impl FileError {
    /// Whether the file is not there at all.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// What tells one version of a file from the next without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
}

impl Stamp {
    /// The stamp of a file as it stands now; `None` if it cannot be asked.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        path.metadata().ok().map(|metadata| Self::from(&metadata))
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            modified: metadata.modified().ok(),
            len: metadata.len(),
        }
    }
}

/// Reads a regular file of at most [`FILE_BYTES_MAX`].
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |error: io::Error| FileError::Read {
        path: path.to_owned(),
        source: Arc::new(error),
    };
    // Asked before opening, since opening a pipe waits for its writer.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(FileError::NotRegular {
            path: path.to_owned(),
        });
    }
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
            limit: FILE_BYTES_MAX,
        });
    }
    Ok(bytes)
}
