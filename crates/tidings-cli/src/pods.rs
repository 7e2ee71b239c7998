//! Pods as `measure` keeps them: a compact projection, and the whole type.

use std::{fmt, sync::Arc};

use k8s_openapi::api::core::v1::Pod;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use tidings::{Entry, Payload, Raw};

/// What a routing controller reads of a pod. What it does not name is skipped.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Projection {
    metadata: Meta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Deserialize)]
struct Meta {
    #[serde(default)]
    labels: Pairs,
    #[serde(default)]
    annotations: Sent,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: Box<str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: Box<str>,
    #[serde(rename = "podIP")]
    pod_ip: Box<str>,
    conditions: Box<[Condition]>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: Box<str>,
    status: Box<str>,
}

/// A map of strings in one allocation: `key=value` lines.
#[derive(Debug, Default)]
struct Pairs(Box<str>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut text = String::new();
                while let Some((key, value)) = map.next_entry::<&str, &str>()? {
                    for part in [key, "=", value, "\n"] {
                        text.push_str(part);
                    }
                }
                Ok(Pairs(text.into()))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The one annotation that latency is measured by: the first whose value is a time in nanoseconds.
#[derive(Debug, Default)]
struct Sent(u64);

impl<'de> Deserialize<'de> for Sent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Find;
        impl<'de> Visitor<'de> for Find {
            type Value = Sent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sent, A::Error> {
                let mut sent = Sent::default();
                while map.next_key::<IgnoredAny>()?.is_some() {
                    let value: &str = map.next_value()?;
                    if value.len() == 19 && sent.0 == 0 {
                        sent.0 = value.parse().unwrap_or(0);
                    }
                }
                Ok(sent)
            }
        }
        deserializer.deserialize_map(Find)
    }
}

/// A payload that `measure` can find a time in.
pub(crate) trait Stamped: Payload {
    /// The time in the annotation of this name, in nanoseconds since 1970.
    fn sent(entry: &Entry<Self>, annotation: &str) -> Option<u64>;

    /// Bytes of text that the value holds, where that is known: it shows that all of it is there.
    fn text_len(entry: &Entry<Self>) -> usize {
        let _ = entry;
        0
    }
}

impl Stamped for Raw {
    fn sent(entry: &Entry<Self>, annotation: &str) -> Option<u64> {
        // The annotation's name in quotes stands nowhere else in an object but in keys like it.
        let json = entry.object.json();
        let needle = format!("\"{annotation}\":\"");
        let at = memchr::memmem::find(json.as_bytes(), needle.as_bytes())? + needle.len();
        let digits = json[at..].split('"').next()?;
        digits.parse().ok()
    }
}

impl Stamped for Arc<Projection> {
    fn sent(entry: &Entry<Self>, _annotation: &str) -> Option<u64> {
        entry
            .effective()
            .map(|pod| pod.metadata.annotations.0)
            .filter(|&sent| sent > 0)
    }

    fn text_len(entry: &Entry<Self>) -> usize {
        entry.effective().map_or(0, |pod| pod.text_len())
    }
}

impl Stamped for Arc<Pod> {
    fn sent(entry: &Entry<Self>, annotation: &str) -> Option<u64> {
        let annotations = entry.effective()?.metadata.annotations.as_ref()?;
        annotations.get(annotation)?.parse().ok()
    }
}

impl Projection {
    fn text_len(&self) -> usize {
        let conditions = self.status.conditions.iter();
        let conditions: usize = conditions
            .map(|one| one.kind.len() + one.status.len())
            .sum();
        self.metadata.labels.0.len()
            + self.spec.node_name.len()
            + self.status.phase.len()
            + self.status.pod_ip.len()
            + conditions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projection_keeps_what_it_names() {
        let json = r#"{"metadata":{"name":"a","labels":{"app":"web","tier":"x"},
            "annotations":{"other":"y","t":"1700000000000000000"}},"spec":{"nodeName":"n1","x":[1]},
            "status":{"phase":"Running","podIP":"10.0.0.1",
            "conditions":[{"type":"Ready","status":"True","reason":"z"}]}}"#;
        let pod: Projection = serde_json::from_str(json).unwrap();
        assert_eq!(&*pod.metadata.labels.0, "app=web\ntier=x\n");
        assert_eq!(pod.metadata.annotations.0, 1_700_000_000_000_000_000);
        assert_eq!(pod.text_len(), 15 + 2 + 7 + 8 + 9);
        let bare: Projection = serde_json::from_str(r#"{"metadata":{"name":"a"}}"#).unwrap();
        assert_eq!(bare.text_len(), 0);
    }
}
