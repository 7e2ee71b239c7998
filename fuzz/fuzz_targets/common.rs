//! What the targets share: how an item prints, how an input is cut, and what `serde_json` finds.
//!
//! The second reading shares no code with the first: a document is parsed whole, and its fields are
//! taken in order, equal keys too. Of equal keys the last counts, of several `managedFields` the
//! first is cut.

#![allow(dead_code, reason = "each target uses its part")]

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use tidings_api::{
    limits::Limits,
    scan::{Item, Problem, Scanned},
};

/// Inputs up to here are cut once at each place.
const EACH_CUT_MAX: usize = 256;

/// Everything that an item says, in one line.
pub fn line(item: &Item<'_>) -> String {
    match item {
        Item::Usable(scanned) => format!("{} {}", head(scanned), scanned.json_pieces().concat()),
        Item::Unusable(unusable) => format!("{unusable:?}"),
    }
}

fn head(scanned: &Scanned<'_>) -> String {
    format!(
        "{}/{} {} {} {:?} {:?} {} {}",
        scanned.namespace(),
        scanned.name(),
        scanned.uid(),
        scanned.resource_version(),
        scanned.kind(),
        scanned.api_version(),
        scanned.labels(),
        scanned.annotations(),
    )
}

/// Splits the input: its first byte says how the rest is cut into chunks.
pub fn cuts(data: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = data.split_first()?;
    Some((usize::from(first) + 1, rest))
}

/// Asserts that `read` answers the same however `text` is cut: into steps of this length, into
/// single bytes, and, if it is short, in two at each place. Returns the answer.
pub fn same_at_any_cut<T: PartialEq + fmt::Debug>(
    text: &[u8],
    step: usize,
    read: impl Fn(&[&[u8]]) -> T,
) -> T {
    let whole = read(&[text]);
    for step in [step, 1] {
        let chunks: Vec<_> = text.chunks(step).collect();
        assert_eq!(read(&chunks), whole, "steps of {step}");
    }
    if text.len() <= EACH_CUT_MAX {
        for at in 1..text.len() {
            let (start, end) = text.split_at(at);
            assert_eq!(read(&[start, end]), whole, "cut at {at}");
        }
    }
    whole
}

// What serde_json finds.

/// The fields of the object that `text` is, in order. `None` if it is not an object.
pub fn fields(text: &str) -> Option<Vec<(String, &str)>> {
    serde_json::from_str::<Fields<'_>>(text).ok().map(|it| it.0)
}

/// The last field of that name.
pub fn last<'a>(fields: &[(String, &'a str)], key: &str) -> Option<&'a str> {
    let mut named = fields.iter().filter(|(own, _)| own == key);
    named.next_back().map(|(_, value)| *value)
}

/// The string that a field's text is.
pub fn text_of(raw: Option<&str>) -> Option<String> {
    serde_json::from_str(raw?).ok()
}

/// Whether `serde_json` reads it as a document, and not merely as balanced text.
pub fn is_document(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok()
}

/// The strings of an object's own metadata, as the walk finds them.
pub struct Expected<'a> {
    top: Vec<(String, &'a str)>,
    meta: Vec<(String, &'a str)>,
}

impl<'a> Expected<'a> {
    /// `None` if `text` is not an object.
    pub fn of(text: &'a str) -> Option<Self> {
        let top = fields(text)?;
        let meta = last(&top, "metadata").and_then(fields).unwrap_or_default();
        Some(Self { top, meta })
    }

    /// A string of the top level, empty if it is absent or too long.
    pub fn top(&self, key: &str) -> String {
        token(last(&self.top, key)).unwrap_or_default()
    }

    /// A string of the metadata, of any length.
    pub fn meta(&self, key: &str) -> Option<String> {
        text_of(last(&self.meta, key))
    }

    /// The text of an object in the metadata, empty if it is something else.
    pub fn object(&self, key: &str) -> &'a str {
        let found = last(&self.meta, key).filter(|text| text.starts_with('{'));
        found.unwrap_or_default()
    }

    fn key(&self) -> Result<(String, String), Problem> {
        let namespace = token(last(&self.meta, "namespace"))?;
        let name = token(last(&self.meta, "name"))?;
        match (
            name.is_empty(),
            name.contains('/') || namespace.contains('/'),
        ) {
            (true, _) => Err(Problem::NoName),
            (false, true) => Err(Problem::BadKey),
            (false, false) => Ok((namespace, name)),
        }
    }

    fn problem(&self) -> Option<Problem> {
        let of_top = ["kind", "apiVersion"].map(|key| last(&self.top, key));
        let of_meta = ["uid", "resourceVersion"].map(|key| last(&self.meta, key));
        let others = of_top.into_iter().chain(of_meta);
        let mut problems = others.filter_map(|raw| token(raw).err());
        self.key().err().or_else(|| problems.next())
    }

    fn head(&self, list: Option<&(String, String)>) -> String {
        let own = |key| text_of(last(&self.top, key));
        let meta = |key| self.meta(key).unwrap_or_default();
        format!(
            "{}/{} {} {} {:?} {:?} {} {}",
            meta("namespace"),
            meta("name"),
            meta("uid"),
            meta("resourceVersion"),
            own("kind").or_else(|| list.map(|it| it.0.clone())),
            own("apiVersion").or_else(|| list.map(|it| it.1.clone())),
            self.object("labels"),
            self.object("annotations"),
        )
    }

    /// All fields but the first `managedFields`, those of every metadata after their own key.
    fn less_managed_fields(&self) -> Vec<(String, String)> {
        let mut flat = flat(&self.top);
        let is_managed = |(key, _): &(String, String)| key == "metadata.managedFields";
        if let Some(at) = flat.iter().position(is_managed) {
            flat.remove(at);
        }
        flat
    }
}

/// Asserts that `item` says what `serde_json` finds in `text`, an object that stands at `offset`
/// and in a list whose items are of this kind and apiVersion.
pub fn check_item(item: &Item<'_>, text: &str, list: Option<&(String, String)>, offset: usize) {
    let expected = Expected::of(text).expect("an object");
    let scanned = match item {
        Item::Usable(scanned) => scanned,
        Item::Unusable(unusable) => {
            assert_eq!(Some(unusable.problem), expected.problem(), "{text}");
            let key = unusable.key.clone();
            let key = key.map(|(namespace, name)| (namespace.into_owned(), name.into_owned()));
            assert_eq!(key, expected.key().ok());
            assert_eq!(unusable.bytes, text.len() as u64);
            assert_eq!(unusable.offset, offset as u64);
            return;
        }
    };
    assert_eq!(expected.problem(), None, "{text}");
    assert_eq!(head(scanned), expected.head(list));
    assert_eq!(scanned.text(), text);
    let [prefix, before, after] = scanned.json_pieces();
    let own = |key| text_of(last(&expected.top, key));
    let lacks = own("kind").is_none() && own("apiVersion").is_none();
    let added = list.filter(|_| lacks);
    let added = added.map(|(kind, version)| [("kind", kind), ("apiVersion", version)]);
    assert_eq!(prefix.is_empty(), added.is_none());
    let quoted = |(key, text): (&str, &String)| (key.to_owned(), Value::from(&**text).to_string());
    let mut kept: Vec<_> = added.into_iter().flatten().map(quoted).collect();
    kept.extend(expected.less_managed_fields());
    let json = [prefix, before, after].concat();
    let found = fields(&json).expect("what is left is an object");
    assert_eq!(flat(&found), kept, "{text}");
    // Byte for byte: what is cut is one piece.
    let body = text
        .get(usize::from(!prefix.is_empty())..)
        .unwrap_or_default();
    assert!(body.starts_with(before) && body.ends_with(after));
    let is_cut = flat(&expected.top).len() > expected.less_managed_fields().len();
    assert_eq!(before.len() + after.len() < body.len(), is_cut);
}

/// A string as it may stand in a key: absent is empty, and its spelling is bounded.
fn token(raw: Option<&str>) -> Result<String, Problem> {
    match raw {
        Some(raw) if raw.starts_with('"') => {
            let is_long = raw.len() - 2 > Limits::default().token_bytes_max;
            let text = text_of(Some(raw)).unwrap_or_default();
            if is_long {
                Err(Problem::TokenTooLong)
            } else {
                Ok(text)
            }
        }
        _ => Ok(String::new()),
    }
}

/// The top level's fields in order, and those of each metadata after it.
fn flat(top: &[(String, &str)]) -> Vec<(String, String)> {
    let mut flat = Vec::new();
    for (key, value) in top {
        match fields(value).filter(|_| key == "metadata") {
            Some(inner) => {
                flat.push((key.clone(), "{".to_owned()));
                let inner = inner.into_iter();
                flat.extend(
                    inner.map(|(own, value)| (format!("metadata.{own}"), value.to_owned())),
                );
            }
            None => flat.push((key.clone(), (*value).to_owned())),
        }
    }
    flat
}

struct Fields<'a>(Vec<(String, &'a str)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder).map(Self)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Vec<(String, &'de str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            fields.push((key, value.get()));
        }
        Ok(fields)
    }
}
