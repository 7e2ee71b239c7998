//! The files of the repository, as text.
//!
//! Does not ask git: a build directory is known by its name.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file and its path from the root, with slashes.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Directories that are not part of the tree.
const SKIPPED: [&str; 8] = [
    ".git",
    "artifacts",
    "book",
    "corpus",
    "coverage",
    "proptest-regressions",
    "target",
    "testdata",
];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files whose name ends in `.extension`, in the order of their paths.
pub(crate) fn files(extensions: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    walk(&root(), "", extensions, &mut found);
    assert!(!found.is_empty(), "no files of {extensions:?}");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The text of one file that has to be there.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn walk(directory: &Path, prefix: &str, extensions: &[&str], found: &mut Vec<File>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{prefix}: {error}"));
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}/{name}")
        };
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                walk(&entry.path(), &path, extensions, found);
            }
            continue;
        }
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        if kind.is_file() && extensions.contains(&extension) {
            // A file may go while the tree is walked: then it is not part of it.
            if let Ok(bytes) = fs::read(entry.path()) {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                found.push(File { path, text });
            }
        }
    }
}

impl File {
    /// Whether the whole file is test code.
    pub(crate) fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
    }

    /// What of the file is test code: all of it, or the module at its end.
    pub(crate) fn test_part(&self) -> &str {
        if self.is_test() {
            return &self.text;
        }
        self.text
            .find(INLINE_TESTS)
            .map_or("", |at| &self.text[at..])
    }

    /// The file without its tests.
    pub(crate) fn code_part(&self) -> &str {
        if self.is_test() {
            return "";
        }
        self.text
            .find(INLINE_TESTS)
            .map_or(&self.text, |at| &self.text[..at])
    }
}

const INLINE_TESTS: &str = "#[cfg(test)]\nmod tests {";
