//! The Lease as it stands on the wire, and the record in it.
//!
//! Does not interpret anything but the record: labels, annotations and what else the spec has (the
//! strategy and the preferred holder of KEP-4355 among it) is sent back as it came.
//!
//! Source: kubernetes staging/src/k8s.io/api/coordination/v1/types.go @v1.36.3.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidings_api::ResourceVersion;
use tidings_engine::lease::{Record, Seen, Wall};

/// A Lease, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct LeaseObject(Value);

impl LeaseObject {
    /// A Lease that is to be created.
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self(json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": { "namespace": namespace, "name": name },
        }))
    }

    /// The record and the version, if the object has a version.
    pub(super) fn seen(&self) -> Option<Seen> {
        let version = self.0["metadata"]["resourceVersion"].as_str()?;
        let spec = &self.0["spec"];
        let text = |field: &str| spec[field].as_str();
        let number = |field: &str| {
            let number = spec[field].as_i64();
            number.and_then(|number| i32::try_from(number).ok())
        };
        let record = Record {
            holder: text("holderIdentity").unwrap_or_default().to_owned(),
            duration_seconds: number("leaseDurationSeconds"),
            acquire_time: text("acquireTime").and_then(parse_micro_time),
            renew_time: text("renewTime").and_then(parse_micro_time),
            transitions: number("leaseTransitions")
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or_default(),
        };
        let version = ResourceVersion::parse(version).ok()?;
        Some(Seen { record, version })
    }

    /// The Lease with another record, as the body of a request. An update has the version that it
    /// replaces, since the object has it (ctl-L6).
    pub(super) fn with_record(&self, record: &Record) -> Vec<u8> {
        let mut object = self.0.clone();
        if !object["spec"].is_object() {
            object["spec"] = Value::Object(Map::new());
        }
        let spec = &mut object["spec"];
        spec["holderIdentity"] = record.holder.as_str().into();
        spec["leaseTransitions"] = record.transitions.into();
        spec["leaseDurationSeconds"] = record.duration_seconds.into();
        for (field, time) in [
            ("acquireTime", record.acquire_time),
            ("renewTime", record.renew_time),
        ] {
            spec[field] = time.and_then(micro_time).into();
        }
        object.to_string().into_bytes()
    }
}

/// A MicroTime: RFC 3339 in UTC with exactly six decimals, as the API server parses it.
fn micro_time(wall: Wall) -> Option<String> {
    let time = Timestamp::from_microsecond(wall.0).ok()?;
    Some(format!("{time:.6}"))
}

fn parse_micro_time(text: &str) -> Option<Wall> {
    let time: Timestamp = text.parse().ok()?;
    Some(Wall(time.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> LeaseObject {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_record_survives_the_wire_with_its_microseconds() {
        let record = Record {
            holder: "a".to_owned(),
            duration_seconds: Some(15),
            acquire_time: Some(Wall(1_700_000_000_000_001)),
            renew_time: Some(Wall(1_700_000_000_100_000)),
            transitions: 4,
        };
        let text = String::from_utf8(LeaseObject::new("ns", "x").with_record(&record)).unwrap();
        assert!(
            text.contains(r#""acquireTime":"2023-11-14T22:13:20.000001Z""#),
            "{text}"
        );
        assert!(
            text.contains(r#""renewTime":"2023-11-14T22:13:20.100000Z""#),
            "{text}"
        );
        let mut object = read(&text);
        assert_eq!(object.seen(), None, "it has no version yet");
        object.0["metadata"]["resourceVersion"] = "7".into();
        let seen = object.seen().unwrap();
        assert_eq!(
            (seen.record, seen.version.to_string()),
            (record, "7".to_owned())
        );
    }

    #[test]
    fn ctl_l16_what_is_not_the_record_is_sent_back_as_it_came() {
        let object = read(
            r#"{"metadata":{"name":"x","resourceVersion":"7","labels":{"a":"b"},"uid":"u"},
                "spec":{"strategy":"OldestEmulationVersion","preferredHolder":"p","future":[1]},"more":1}"#,
        );
        let record = Record {
            holder: "me".to_owned(),
            ..Record::default()
        };
        let written: Value = serde_json::from_slice(&object.with_record(&record)).unwrap();
        assert_eq!(written["metadata"], object.0["metadata"]);
        assert_eq!(written["more"], 1);
        for field in ["strategy", "preferredHolder", "future"] {
            assert_eq!(written["spec"][field], object.0["spec"][field], "{field}");
        }
        assert_eq!(written["spec"]["holderIdentity"], "me");
    }

    /// Somebody else's Lease may have any fields, and none.
    #[test]
    fn a_spec_that_is_odd_is_read_as_far_as_it_goes() {
        for (spec, expected) in [
            ("{}", Record::default()),
            ("null", Record::default()),
            (
                r#"{"holderIdentity":null,"leaseDurationSeconds":-1,"leaseTransitions":-4,"renewTime":"soon"}"#,
                Record {
                    duration_seconds: Some(-1),
                    ..Record::default()
                },
            ),
            (
                r#"{"leaseDurationSeconds":99999999999,"renewTime":"1970-01-01T00:00:01+00:00"}"#,
                Record {
                    renew_time: Some(Wall(1_000_000)),
                    ..Record::default()
                },
            ),
        ] {
            let text = format!(r#"{{"metadata":{{"resourceVersion":"7"}},"spec":{spec}}}"#);
            assert_eq!(read(&text).seen().unwrap().record, expected, "{spec}");
        }
        assert_eq!(read("[]").seen(), None);
        assert_eq!(read(r#"{"metadata":{"resourceVersion":""}}"#).seen(), None);
    }
}
