//! Pods as `measure` keeps them: a compact projection, and the whole type.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, OnceLock},
};

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
                while let Some((Text(key), Text(value))) = map.next_entry()? {
                    for part in [&*key, "=", &*value, "\n"] {
                        text.push_str(part);
                    }
                }
                Ok(Pairs(text.into()))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The annotation that latency is measured by; set once, before the first object is decoded.
static ANNOTATION: OnceLock<Box<str>> = OnceLock::new();

/// Has projections keep the time in this annotation. The first call counts.
pub(crate) fn look_for(annotation: &str) {
    // A second call would have to name the same annotation: there is one command a process.
    let _ = ANNOTATION.set(annotation.into());
}

/// A string that is borrowed unless it has escapes, as annotations often have.
struct Text<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take;
        impl<'de> Visitor<'de> for Take {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Take)
    }
}

/// The time in the one annotation that latency is measured by; 0 if there is none.
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
                let wanted = ANNOTATION.get().map(AsRef::as_ref);
                while let Some(Text(key)) = map.next_key()? {
                    if wanted == Some(&*key) {
                        let Text(value) = map.next_value()?;
                        sent.0 = value.parse().unwrap_or(0);
                    } else {
                        map.next_value::<IgnoredAny>()?;
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
        // managedFields are not kept, and there names have a prefix: the first is the annotation.
        time_in(entry.object.json(), annotation)
    }
}

/// The number in the first string that has this name.
fn time_in(json: &str, name: &str) -> Option<u64> {
    let name = format!("\"{name}\"");
    let at = memchr::memmem::find(json.as_bytes(), name.as_bytes())? + name.len();
    let value = json[at..].trim_start().strip_prefix(':')?;
    let value = value.trim_start().strip_prefix('"')?;
    value.split('"').next()?.parse().ok()
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
        look_for("t");
        let json = r#"{"metadata":{"name":"a","labels":{"app":"web","tier":"x"},
            "annotations":{"a":"1600000000000000000","last":"{\"a\":1}","t":"1700000000000000000"}},"spec":{"nodeName":"n1","x":[1]},
            "status":{"phase":"Running","podIP":"10.0.0.1",
            "conditions":[{"type":"Ready","status":"True","reason":"z"}]}}"#;
        let pod: Projection = serde_json::from_str(json).unwrap();
        assert_eq!(&*pod.metadata.labels.0, "app=web\ntier=x\n");
        assert_eq!(pod.metadata.annotations.0, 1_700_000_000_000_000_000);
        assert_eq!(pod.text_len(), 15 + 2 + 7 + 8 + 9);
        let bare: Projection = serde_json::from_str(r#"{"metadata":{"name":"a"}}"#).unwrap();
        assert_eq!(bare.text_len(), 0);
    }

    #[test]
    fn a_time_is_found_in_json_however_it_is_spaced() {
        for json in [r#"{"x":{"a/b":"17"}}"#, r#"{"x":{"a/b" : "17"}}"#] {
            assert_eq!(time_in(json, "a/b"), Some(17), "{json}");
        }
        for json in [
            r#"{"a/b":17}"#,
            r#"{"a/c":"17"}"#,
            r#"{"a/b":"x"}"#,
            r#"["a/b"]"#,
        ] {
            assert_eq!(time_in(json, "a/b"), None, "{json}");
        }
    }
}
