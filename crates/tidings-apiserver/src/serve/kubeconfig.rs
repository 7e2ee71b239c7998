//! The kubeconfig of a server, and files that others may not read.
//!
//! Does not read any.
//!
//! K1  A file is there whole or not at all, and its owner alone may read it.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::access::Token;

/// A kubeconfig: one cluster, a user for each token, the first of which is used.
pub(super) fn text(url: &str, authorities: Option<&str>, tokens: &[Token]) -> String {
    // JSON strings are YAML strings.
    let quoted = |text: &str| json!(text).to_string();
    let authorities = authorities.map_or_else(String::new, |pem| {
        format!("    certificate-authority-data: {}\n", STANDARD.encode(pem))
    });
    let mut users = String::new();
    let mut names = BTreeSet::new();
    for token in tokens {
        let name = &token.user().name;
        if names.insert(name) {
            let (name, secret) = (quoted(name), quoted(token.secret()));
            users.push_str(&format!("- name: {name}\n  user:\n    token: {secret}\n"));
        }
    }
    let user = tokens.first().map_or("tidings", |token| &token.user().name);
    if users.is_empty() {
        users = format!("- name: {user}\n  user: {{}}\n");
    }
    let (url, user) = (quoted(url), quoted(user));
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: tidings\nclusters:\n- name: tidings\n  cluster:\n    \
         server: {url}\n{authorities}users:\n{users}contexts:\n- name: tidings\n  context:\n    \
         cluster: tidings\n    user: {user}\n    namespace: default\n"
    )
}

/// Replaces a file in one step. What is no file, such as `/dev/stdout`, is written to.
pub(super) fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    // Through a link, so that the link stays.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&path).is_ok_and(|known| !known.is_file()) {
        return fs::write(&path, text);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let next = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // One of a process that had our number and died.
    let _ = fs::remove_file(&next);
    let written = options
        .open(&next)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&next, &path));
    if written.is_err() {
        let _ = fs::remove_file(&next);
    }
    written
}
