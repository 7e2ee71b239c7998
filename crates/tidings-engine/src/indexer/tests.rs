//! The store by its rules, against a naive model, and with real threads.

mod model;
mod reader;
mod redo;
mod replace;
mod rules;
mod threads;
mod world;

use tidings_api::Object;

use super::*;
use crate::entry::{Poison, Value};

/// A store with the index `node`, whose values are the payload's parts between commas.
fn store() -> Indexer<String> {
    let mut indexer = Indexer::new(IndexerConfig {
        seed: 7,
        ..IndexerConfig::default()
    });
    indexer.add_index("node", by_parts()).unwrap();
    indexer
}

fn by_parts() -> IndexFn<String> {
    Box::new(|entry, emit| {
        if let Some(payload) = entry.effective() {
            payload
                .split(',')
                .filter(|part| !part.is_empty())
                .for_each(emit);
        }
    })
}

fn entry(indexer: &Indexer<String>, key: &str, version: u64, payload: &str) -> Entry<String> {
    let object = Object::bare("default", key, "uid", &version.to_string());
    let hash = indexer.hash_key(object.key_bytes());
    Entry::new(hash, object, Value::Decoded(payload.to_owned()))
}

/// `web-0@1042=node-1`, version and payload by default 1 and empty.
fn put(indexer: &mut Indexer<String>, text: &str) -> Option<Entry<String>> {
    let (rest, payload) = text.split_once('=').unwrap_or((text, ""));
    let (key, version) = rest.split_once('@').unwrap_or((rest, "1"));
    let entry = entry(indexer, key, version.parse().unwrap(), payload);
    let old = indexer.upsert(entry);
    indexer.check_invariants();
    old
}

fn rv(revision: u64) -> Option<ResourceVersion> {
    Some(ResourceVersion::from_revision(revision))
}

/// What a snapshot has, as text: `web-0@1042=node-1`, sorted.
fn list(snapshot: &Snapshot<String>) -> String {
    let mut lines: Vec<_> = snapshot.iter().map(line).collect();
    lines.sort_unstable();
    lines.join(" ")
}

fn under(snapshot: &Snapshot<String>, value: &str) -> String {
    let mut lines: Vec<_> = snapshot
        .by_index("node", value)
        .unwrap()
        .map(line)
        .collect();
    lines.sort_unstable();
    lines.join(" ")
}

fn line(entry: &Entry<String>) -> String {
    let payload = entry.effective().map_or("", String::as_str);
    format!(
        "{}@{}={payload}",
        entry.object.name(),
        entry.object.resource_version_text()
    )
}
