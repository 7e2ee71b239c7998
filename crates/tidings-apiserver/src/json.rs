//! JSON bodies as documents, with the fields that they have twice.
//!
//! Does not know which fields there may be.
//!
//! J1  Of two values of one field the last counts, but two objects are one with the fields of both, as the server's
//!     decoder has it.
//! J2  What is no UTF-8 becomes U+FFFD, as there.
//! Source: sigs.k8s.io/json @v0.0.0-20250730193827, encoding/json.

use std::{fmt, fmt::Write as _};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A document, and the paths of the fields that it has twice.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) document: Value,
    pub(crate) duplicates: Vec<String>,
}

/// Reads a body.
///
/// # Errors
///
/// That it is no JSON.
pub(crate) fn parse(body: &[u8]) -> Result<Parsed, serde_json::Error> {
    let mut duplicates = Vec::new();
    let text = String::from_utf8_lossy(body);
    let mut reader = serde_json::Deserializer::from_str(&text);
    let seed = Reading {
        at: None,
        duplicates: &mut duplicates,
    };
    let document = seed.deserialize(&mut reader)?;
    reader.end()?;
    Ok(Parsed {
        document,
        duplicates,
    })
}

/// A value being read, and where it stands.
struct Reading<'a, 'p> {
    at: Option<&'p Place<'p>>,
    duplicates: &'a mut Vec<String>,
}

/// A place in the document, with the one around it.
struct Place<'p> {
    around: Option<&'p Self>,
    step: Step<'p>,
}

enum Step<'p> {
    Field(&'p str),
    Item(usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(around) = self.around {
            write!(out, "{around}")?;
        }
        match self.step {
            Step::Field(name) if self.around.is_none() => out.write_str(name),
            Step::Field(name) => {
                out.write_char('.')?;
                out.write_str(name)
            }
            Step::Item(index) => write!(out, "[{index}]"),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reading<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_, '_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any value")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(flag.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let place = Place {
                around: self.at,
                step: Step::Item(list.len()),
            };
            let seed = Reading {
                at: Some(&place),
                duplicates: self.duplicates,
            };
            match items.next_element_seed(seed)? {
                Some(item) => list.push(item),
                None => return Ok(list.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let place = Place {
                around: self.at,
                step: Step::Field(&name),
            };
            if members.contains_key(&name) && self.duplicates.len() < DUPLICATES_MAX {
                let path = place.to_string();
                if !self.duplicates.contains(&path) {
                    self.duplicates.push(path);
                }
            }
            let seed = Reading {
                at: Some(&place),
                duplicates: self.duplicates,
            };
            let value = fields.next_value_seed(seed)?;
            match members.get_mut(&name) {
                Some(there) => merge(there, value),
                None => {
                    members.insert(name, value);
                }
            }
        }
        Ok(members.into())
    }
}

/// The second value of a field.
fn merge(there: &mut Value, value: Value) {
    match (there, value) {
        (Value::Object(there), Value::Object(members)) => {
            for (name, value) in members {
                match there.get_mut(&name) {
                    Some(there) => merge(there, value),
                    None => {
                        there.insert(name, value);
                    }
                }
            }
        }
        (there, value) => *there = value,
    }
}

/// Fields told of that are there twice.
const DUPLICATES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_there_twice_is_told_once_and_the_last_counts() {
        let body = br#"{"a":1,"l":[{"b":1,"b":2,"b":3}],"d":{"x":1},"d":{"y":{"z":1,"z":2}},"a":[true,null,1.5,"t"]}"#;
        let parsed = parse(body).unwrap();
        let expected = json!({ "a": [true, null, 1.5, "t"], "l": [{ "b": 3 }], "d": { "x": 1, "y": { "z": 2 } } });
        assert_eq!(parsed.document, expected);
        assert_eq!(parsed.duplicates, ["l[0].b", "d", "d.y.z", "a"]);
    }

    #[test]
    fn what_is_no_json_is_refused_and_what_is_no_utf8_is_replaced() {
        for bad in [&b"{"[..], b"", b"{}x", b"{\"a\":}", b"[1,]"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse(b"\"a\xff\"").unwrap().document, "a\u{fffd}");
        let deep = "[".repeat(100_000);
        assert!(parse(deep.as_bytes()).is_err());
    }
}
