//! What an informer keeps of an object: its JSON, or a value decoded from it once, at ingest.
//!
//! Decoding happens exactly once an object (cg-R32); an object that cannot be decoded hurts its own
//! key alone (DESIGN 4.7).

use std::{fmt, sync::Arc};

use serde::de::DeserializeOwned;
pub use tidings_api::scan::Keep;

/// What is kept of each object. [`Raw`] keeps the JSON; an `Arc<T>` keeps a `T`, which may be a
/// full type or a projection: a struct that names the fields in use.
pub trait Payload: Clone + Send + Sync + 'static {
    /// Which bytes the store keeps beside the key.
    const KEEP: Keep;

    /// Whether [`Payload::decode`] reads the JSON at all.
    const DECODES: bool;

    /// Decodes an object, without managedFields.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], with the place and without the content.
    fn decode(json: &str) -> Result<Self, DecodeError>;
}

/// The payload of a raw cache: nothing beside the object's JSON, which is decoded when read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing in it")]
pub struct Raw;

impl Payload for Raw {
    const KEEP: Keep = Keep::Json;
    const DECODES: bool = false;

    fn decode(_json: &str) -> Result<Self, DecodeError> {
        Ok(Self)
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Payload for Arc<T> {
    const KEEP: Keep = Keep::Nothing;
    const DECODES: bool = true;

    fn decode(json: &str) -> Result<Self, DecodeError> {
        serde_json::from_str(json)
            .map(Self::new)
            .map_err(|error| DecodeError::new(&error))
    }
}

/// The object is not what its type says. Somebody stored it so: the type is too narrow for what
/// the API allows, or the object is broken. The key is poisoned and the rest goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeError {
    /// What is wrong, without the content: serde's message quotes values, which may be secret.
    pub what: &'static str,
    /// Where, as a line and a column of the JSON.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl DecodeError {
    /// For a payload with a decoder of its own: a sentence without the content, and the place.
    #[must_use]
    pub const fn at(what: &'static str, line: usize, column: usize) -> Self {
        Self { what, line, column }
    }

    fn new(error: &serde_json::Error) -> Self {
        let what = match error.classify() {
            serde_json::error::Category::Data => "the object does not fit its type",
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => {
                "the object is not valid JSON, or nested too deep"
            }
        };
        Self {
            what,
            line: error.line(),
            column: error.column(),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (line {}, column {})",
            self.what, self.line, self.column
        )
    }
}

impl std::error::Error for DecodeError {}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Spec {
        replicas: i32,
    }

    #[test]
    fn a_decode_error_names_the_place_and_never_the_content() {
        let error = <Arc<Spec>>::decode(r#"{"replicas":"hunter2-secret"}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the object does not fit its type (line 1, column 28)"
        );
        assert!(!format!("{error:?}{error}").contains("hunter2"));
        assert_eq!(
            <Arc<Spec>>::decode(r#"{"replicas":3}"#).unwrap().replicas,
            3
        );
    }

    #[test]
    fn sec_20_a_value_nested_too_deep_is_an_error_and_not_an_abort() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(<Arc<serde_json::Value>>::decode(&deep).is_err());
    }
}
