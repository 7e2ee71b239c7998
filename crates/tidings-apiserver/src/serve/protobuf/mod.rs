//! Bodies in protobuf, as kubectl and typed Go clients send them, read into documents.
//!
//! Does not write protobuf: answers are JSON, which such clients accept beside it. Custom kinds have no protobuf.
//!
//! Which message has which fields says the table of `crate::messages`.
//!
//! ```text
//!  "k8s\0" | Unknown { 1: TypeMeta { 1: apiVersion, 2: kind }, 2: the object }
//! ```
//!
//! P1  A field that is not optional and holds the zero of its type is absent from the document, as it is in Go's
//!     JSON; one that is optional is there, zero or not.
//! P2  Nesting is bounded by `DEPTH_MAX`, memory by a multiple of the body.
//! Source: apimachinery pkg/runtime/serializer/protobuf @v0.36.3.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use crate::{
    messages::{Kind, Message, Shape, message},
    seed::timestamp,
};

/// Why a body is none that is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ProtobufError {
    /// It ends in the middle, or has what no encoder writes.
    Malformed,
    /// It is nested too deep.
    TooDeep,
    /// Its kind is not among those that have messages.
    UnknownKind(String),
}

impl fmt::Display for ProtobufError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => write!(out, "proto: the message is malformed"),
            Self::TooDeep => write!(out, "proto: the message is nested too deep"),
            Self::UnknownKind(kind) => write!(out, "no kind \"{kind}\" is registered for protobuf"),
        }
    }
}

/// Reads a body with its envelope.
pub(super) fn parse(body: &[u8]) -> Result<Value, ProtobufError> {
    let body = body.strip_prefix(MAGIC).ok_or(ProtobufError::Malformed)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields(body) {
        match field? {
            (1, Wire::Bytes(meta)) => {
                for field in Fields(meta) {
                    match field? {
                        (1, Wire::Bytes(text)) => api_version = utf8(text)?,
                        (2, Wire::Bytes(text)) => kind = utf8(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(object)) => raw = object,
            _ => {}
        }
    }
    let group = api_version
        .split_once('/')
        .map_or("core", |(group, _)| group);
    let package = group.split('.').next().unwrap_or_default();
    // Options have no group of their own: each group names them as its.
    let name = match &*kind {
        "DeleteOptions" => "meta.DeleteOptions".to_owned(),
        kind => format!("{package}.{kind}"),
    };
    let message = message(&name).ok_or_else(|| ProtobufError::UnknownKind(kind.clone()))?;
    let mut document = Map::new();
    read(message, raw, DEPTH_MAX, &mut document)?;
    document.insert("apiVersion".to_owned(), api_version.into());
    document.insert("kind".to_owned(), kind.into());
    Ok(document.into())
}

/// Reads a message's fields into a document.
fn read(
    message: &Message,
    bytes: &[u8],
    depth: usize,
    document: &mut Map<String, Value>,
) -> Result<(), ProtobufError> {
    let depth = depth.checked_sub(1).ok_or(ProtobufError::TooDeep)?;
    for field in Fields(bytes) {
        let (number, wire) = field?;
        // As there: what is not known is passed over.
        let Some(field) = message.fields.iter().find(|field| field.number == number) else {
            continue;
        };
        match (field.shape, &wire) {
            (Shape::One, Wire::Bytes(inner)) if field.inline => {
                if let Some(message) = field.message() {
                    read(message, inner, depth, document)?;
                }
            }
            (Shape::One, _) => {
                let value = value(field.kind, &wire, depth)?;
                if field.optional || !is_zero(&value) {
                    document.insert(field.name.to_owned(), value);
                }
            }
            (Shape::List, _) => {
                let value = value(field.kind, &wire, depth)?;
                let list = document.entry(field.name).or_insert_with(|| json!([]));
                list.as_array_mut()
                    .ok_or(ProtobufError::Malformed)?
                    .push(value);
            }
            (Shape::Map, Wire::Bytes(entry)) => {
                let (kind, mut key, mut held) = (field.kind, String::new(), None);
                for field in Fields(entry) {
                    match field? {
                        (1, Wire::Bytes(text)) => key = utf8(text)?,
                        (2, wire) => held = Some(value(kind, &wire, depth)?),
                        _ => {}
                    }
                }
                let map = document.entry(field.name).or_insert_with(|| json!({}));
                let held = held.unwrap_or_else(|| "".into());
                map.as_object_mut()
                    .ok_or(ProtobufError::Malformed)?
                    .insert(key, held);
            }
            (Shape::Map, Wire::Number(_)) => return Err(ProtobufError::Malformed),
        }
    }
    Ok(())
}

/// What Go leaves out of JSON.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) => false,
        Value::Object(members) => members.is_empty(),
    }
}

fn value(kind: Kind, wire: &Wire<'_>, depth: usize) -> Result<Value, ProtobufError> {
    let bytes = match (kind, wire) {
        (Kind::Bool, Wire::Number(number)) => return Ok((*number != 0).into()),
        (Kind::Int32 | Kind::Int64, Wire::Number(number)) => {
            return Ok(number.cast_signed().into());
        }
        (_, Wire::Number(_)) => return Err(ProtobufError::Malformed),
        (_, Wire::Bytes(bytes)) => *bytes,
    };
    match kind {
        Kind::String => Ok(utf8(bytes)?.into()),
        Kind::Bytes => Ok(STANDARD.encode(bytes).into()),
        Kind::IntOrString => int_or_string(bytes),
        Kind::Raw => match Fields(bytes).next() {
            Some(field) => match field? {
                (1, Wire::Bytes(json)) => {
                    serde_json::from_slice(json).map_err(|_| ProtobufError::Malformed)
                }
                _ => Err(ProtobufError::Malformed),
            },
            None => Ok(Value::Null),
        },
        Kind::MicroTime | Kind::Time => time(kind, bytes),
        Kind::Quantity => match Fields(bytes).next() {
            Some(field) => match field? {
                (1, Wire::Bytes(text)) => Ok(utf8(text)?.into()),
                _ => Err(ProtobufError::Malformed),
            },
            None => Ok("0".into()),
        },
        Kind::Message(name) => {
            let message = message(name).ok_or(ProtobufError::Malformed)?;
            let mut document = Map::new();
            read(message, bytes, depth, &mut document)?;
            Ok(document.into())
        }
        Kind::Float => float(bytes),
        Kind::MessageOrOther(name) => schema_or_other(name, bytes, depth),
        Kind::Bool | Kind::Int32 | Kind::Int64 => Err(ProtobufError::Malformed),
    }
}

/// A bound of a schema. What has no fraction shows none, as in Go's JSON.
fn float(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| ProtobufError::Malformed)?;
    let text = f64::from_le_bytes(bytes).to_string();
    // An infinity, or what is no number, cannot be written in JSON.
    serde_json::from_str(&text).map_err(|_| ProtobufError::Malformed)
}

/// The three types of definitions that JSON writes as one thing or another: a schema or a list of schemas,
/// and a schema or a bool, which is always sent.
fn schema_or_other(name: &'static str, bytes: &[u8], depth: usize) -> Result<Value, ProtobufError> {
    let (mut allows, mut schema, mut others) = (None, None, Vec::new());
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Number(flag)) => allows = Some(flag != 0),
            (1, wire) => schema = Some(value(Kind::Message(name), &wire, depth)?),
            (2, wire) => others.push(value(Kind::Message(name), &wire, depth)?),
            _ => {}
        }
    }
    Ok(match (allows, schema) {
        (Some(allows), _) => others.pop().unwrap_or_else(|| allows.into()),
        (None, Some(schema)) => schema,
        (None, None) => others.into(),
    })
}

fn int_or_string(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Number(kind)) => is_text = kind == 1,
            (2, Wire::Number(value)) => number = value.cast_signed(),
            (3, Wire::Bytes(value)) => text = utf8(value)?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

/// A time without seconds is none.
fn time(kind: Kind, bytes: &[u8]) -> Result<Value, ProtobufError> {
    let (mut seconds, mut nanos) = (None, 0);
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Number(value)) => seconds = Some(value),
            (2, Wire::Number(value)) => nanos = value,
            _ => {}
        }
    }
    let Some(seconds) = seconds else {
        return Ok(Value::Null);
    };
    // Times before 1970 or after the year 9999 are none that JSON could hold.
    if seconds > SECONDS_MAX || nanos > 999_999_999 {
        return Err(ProtobufError::Malformed);
    }
    let text = timestamp(seconds);
    let whole = text.trim_end_matches('Z');
    Ok(match kind {
        Kind::MicroTime => format!("{whole}.{:06}Z", nanos / 1_000).into(),
        _ => text.into(),
    })
}

fn utf8(bytes: &[u8]) -> Result<String, ProtobufError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| ProtobufError::Malformed)
}

/// A field's value as it stands on the wire.
enum Wire<'a> {
    Bytes(&'a [u8]),
    Number(u64),
}

/// The fields of a message, in order.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>), ProtobufError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(ProtobufError::Malformed))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Wire<'a>)> {
        let tag = self.number()?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.number()?),
            1 => Wire::Bytes(self.take(8)?),
            2 => {
                let len = usize::try_from(self.number()?).ok()?;
                Wire::Bytes(self.take(len)?)
            }
            5 => Wire::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((tag >> 3, wire))
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// Seven bits a byte, the low ones first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

const MAGIC: &[u8] = b"k8s\0";
const DEPTH_MAX: usize = 64;
/// 9999-12-31T23:59:59Z
const SECONDS_MAX: u64 = 253_402_300_799;

#[cfg(test)]
mod tests;
