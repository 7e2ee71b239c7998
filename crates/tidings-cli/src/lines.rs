//! How `tidings watch` prints a change.
//!
//! Does not print. In: an event of a subscription. Out: lines, without anything that a terminal
//! would obey; in the JSON format each line is a JSON document.

use jiff::Timestamp;
use serde_json::{Value, json};
use tidings::{Entry, Raw, SubscriptionEvent};

use crate::{
    args::Format,
    diff::diff,
    output::{plain, plain_json},
};

/// The lines for an event.
pub(crate) fn lines(event: &SubscriptionEvent<Raw>, format: Format, now: Timestamp) -> Vec<String> {
    let (word, old, entry) = match event {
        SubscriptionEvent::Added(entry) => ("ADDED", None, entry),
        SubscriptionEvent::Deleted(entry) => ("DELETED", None, entry),
        SubscriptionEvent::Updated { old, new } => ("MODIFIED", Some(old), new),
        SubscriptionEvent::Poisoned(entry) => ("UNDECODABLE", None, entry),
        SubscriptionEvent::Resync(snapshot) if format == Format::Json => {
            return vec![json!({ "type": "RESYNC", "objects": snapshot.len() }).to_string()];
        }
        SubscriptionEvent::Resync(snapshot) => {
            return vec![format!("RESYNC    {} objects", snapshot.len())];
        }
        SubscriptionEvent::Synced => return Vec::new(),
    };
    if format == Format::Json {
        return vec![document(word, entry)];
    }
    let (object, is_wide) = (&entry.object, format == Format::Wide);
    let mut lines = vec![format!(
        "{word:<9} {} rv={}{}",
        plain(object.key()),
        plain(object.resource_version_text()),
        facts(object.json(), is_wide, now)
    )];
    if let (Format::Diff, Some(old)) = (format, old) {
        lines.extend(diff(old.object.json(), object.json()));
    }
    lines
}

fn document(word: &str, entry: &Entry<Raw>) -> String {
    let object = &entry.object;
    if object.json().is_empty() {
        let (key, version) = (object.key(), object.resource_version_text());
        let text = json!({ "type": word, "key": key, "resourceVersion": version }).to_string();
        return plain_json(&text);
    }
    format!(
        r#"{{"type":"{word}","object":{}}}"#,
        plain_json(object.json())
    )
}

/// What most people want to see of an object, as far as it has it.
fn facts(json: &str, is_wide: bool, now: Timestamp) -> String {
    let Ok(object) = serde_json::from_str::<Value>(json) else {
        return String::new();
    };
    let text = |path: &str| object.pointer(path).and_then(Value::as_str);
    let mut facts = Vec::new();
    facts.extend(text("/status/phase").map(plain));
    if text("/metadata/deletionTimestamp").is_some() {
        facts.push("terminating".to_owned());
    }
    if is_wide {
        facts.extend(ready(&object));
        facts.extend(restarts(&object));
    }
    facts.extend(text("/spec/nodeName").map(|node| format!("node={}", plain(node))));
    facts.extend(text("/status/podIP").map(|address| format!("ip={}", plain(address))));
    let created = text("/metadata/creationTimestamp").and_then(|text| text.parse().ok());
    facts.extend(created.map(|created| format!("age={}", age(created, now))));
    if is_wide {
        facts.extend(labels(&object));
    }
    facts.iter().map(|fact| format!(" {fact}")).collect()
}

/// Ready of all: containers of a pod, replicas of what has them.
fn ready(object: &Value) -> Option<String> {
    if let Some(containers) = object.pointer("/status/containerStatuses") {
        let containers = containers.as_array()?;
        let ready = containers.iter().filter(|one| one["ready"] == true);
        return Some(format!("ready={}/{}", ready.count(), containers.len()));
    }
    let wanted = object.pointer("/spec/replicas")?.as_u64()?;
    let ready = object.pointer("/status/readyReplicas");
    let ready = ready.and_then(Value::as_u64).unwrap_or(0);
    Some(format!("ready={ready}/{wanted}"))
}

fn restarts(object: &Value) -> Option<String> {
    let containers = object.pointer("/status/containerStatuses")?.as_array()?;
    let counts = containers
        .iter()
        .filter_map(|one| one["restartCount"].as_u64());
    let sum = counts.fold(0, u64::saturating_add);
    Some(format!("restarts={sum}"))
}

fn labels(object: &Value) -> Option<String> {
    let labels = object.pointer("/metadata/labels")?.as_object()?;
    let pairs = labels
        .iter()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let pairs: Vec<String> = pairs.collect();
    (!pairs.is_empty()).then(|| format!("labels={}", plain(&pairs.join(","))))
}

/// The largest unit that is full at least once.
fn age(created: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(created.as_second()).max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = r#"{"metadata":{"labels":{"app":"we\u001bb"},
        "creationTimestamp":"2026-01-02T03:04:05Z"},
        "spec":{"nodeName":"n1"},"status":{"phase":"Run\u0007ning","podIP":"10.0.0.1",
        "containerStatuses":[{"ready":true,"restartCount":2},{"ready":false,"restartCount":1}]}}"#;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn sec_29_facts_are_escaped_and_wide_has_more_of_them() {
        let now = at("2026-01-02T05:04:05Z");
        assert_eq!(
            facts(POD, false, now),
            " Run\\u{7}ning node=n1 ip=10.0.0.1 age=2h"
        );
        assert_eq!(
            facts(POD, true, now),
            " Run\\u{7}ning ready=1/2 restarts=3 node=n1 ip=10.0.0.1 age=2h labels=app=we\\u{1b}b"
        );
    }

    #[test]
    fn objects_of_any_shape_have_the_facts_that_they_have() {
        let now = at("2026-01-02T05:04:05Z");
        for bare in ["", "null", "{}", r#"{"status":{"phase":7},"metadata":[]}"#] {
            assert_eq!(facts(bare, true, now), "", "{bare}");
        }
        let deployment = r#"{"spec":{"replicas":3},"status":{"readyReplicas":2}}"#;
        assert_eq!(facts(deployment, true, now), " ready=2/3");
    }

    #[test]
    fn an_age_has_one_unit_and_is_never_negative() {
        let now = at("2026-01-02T03:04:05Z");
        for (created, said) in [
            ("2026-01-02T03:04:06Z", "0s"),
            ("2026-01-02T03:03:06Z", "59s"),
            ("2026-01-02T02:04:06Z", "59m"),
            ("2026-01-01T03:04:06Z", "23h"),
            ("2025-12-31T03:04:05Z", "2d"),
        ] {
            assert_eq!(age(at(created), now), said, "{created}");
        }
    }
}
