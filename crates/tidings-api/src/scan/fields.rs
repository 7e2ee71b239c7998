//! Reads the fields of a small JSON object one by one, keeping what is not asked for as raw text.
//!
//! Does not fail on a field of an unexpected type, nor on equal keys: the caller lets the last
//! count, as the server does (SEC-22).

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Hands each key and the raw text of its value to `each`, in order.
pub(crate) fn each_field<'a>(
    object: &'a str,
    each: impl FnMut(&str, &'a str),
) -> Result<(), serde_json::Error> {
    serde_json::Deserializer::from_str(object).deserialize_map(Each(each))
}

/// The string that a raw value is, or `None` if it is something else.
pub(crate) fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(raw)
        .ok()
        .map(|text| text.0)
}

/// The string under `key` in an object of strings; the last one counts.
pub(super) fn find<'a>(object: &'a str, key: &str) -> Option<Cow<'a, str>> {
    if object.is_empty() {
        return None;
    }
    let mut found = None;
    each_field(object, |name, raw| {
        if name == key {
            found = text_of(raw);
        }
    })
    .ok()?;
    found
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

struct Each<F>(F);

impl<'de, F: FnMut(&str, &'de str)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((Text(key), raw)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
            (self.0)(&key, raw.get());
        }
        Ok(())
    }
}
