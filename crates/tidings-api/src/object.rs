//! One object as it is kept: a single allocation with its key, its versions and, for a raw cache,
//! its JSON.
//!
//! Does not validate JSON and does not decode it: [`crate::scan`] finds the parts.
//!
//! ```text
//!  0        3         6         9       12           17
//!  +--------+---------+---------+-------+------------+
//!  | ns len | name len| uid len | rv len| labels len |    7 bits a byte, low bits first
//!  +--------+---------+---------+-------+------------+------------------------------+
//!  | "namespace/name" | uid | resourceVersion | labels (if no JSON) | JSON ...      |
//!  +--------------------------------------------------------------------------------+
//! ```
//!
//! O1  All of it is one `str`, the header too: so a part is read without checking it for UTF-8 again.
//! O2  The key is `namespace/name`, or `name` where the namespace is empty.
//! Cost: one allocation and one copy to build, O(1) to read any part, a counter to clone.

use std::{fmt, sync::Arc};

use crate::resource_version::{ResourceVersion, ResourceVersionError};

/// An object of one resource: key, uid, resourceVersion and, in a raw cache, its JSON.
///
/// Clones share the bytes.
#[derive(Clone)]
pub struct Object {
    text: Arc<str>,
}

/// The parts that an [`Object`] is built from; text is as it stands in the metadata, unescaped.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a plain argument list with names"
)]
pub struct Parts<'a> {
    /// The namespace, empty for a cluster-scoped object.
    pub namespace: &'a str,
    /// The name.
    pub name: &'a str,
    /// The uid, empty if the server gave none.
    pub uid: &'a str,
    /// The resourceVersion, empty if the server gave none.
    pub resource_version: &'a str,
    /// The labels as a JSON object, empty if there are none or they are not to be kept.
    pub labels: &'a str,
    /// The JSON to keep, in pieces that follow each other; empty for a decoded cache.
    pub json: &'a [&'a str],
}

impl Object {
    /// Packs an object into one allocation, using `scratch` to lay it out.
    ///
    /// # Errors
    ///
    /// [`PackError`] when a text is longer than its length field can say.
    pub fn pack(scratch: &mut String, parts: &Parts<'_>) -> Result<Self, PackError> {
        scratch.clear();
        for short in [
            parts.namespace,
            parts.name,
            parts.uid,
            parts.resource_version,
        ] {
            let len = u16::try_from(short.len()).map_err(|_| PackError)?;
            push_number::<SHORT_BYTES>(scratch, len.into());
        }
        let labels_len = u32::try_from(parts.labels.len()).map_err(|_| PackError)?;
        push_number::<LONG_BYTES>(scratch, labels_len);
        if !parts.namespace.is_empty() {
            scratch.push_str(parts.namespace);
            scratch.push('/');
        }
        for text in [parts.name, parts.uid, parts.resource_version, parts.labels] {
            scratch.push_str(text);
        }
        for piece in parts.json {
            scratch.push_str(piece);
        }
        Ok(Self {
            text: scratch.as_str().into(),
        })
    }

    /// A small object for tests and examples: no JSON, no labels.
    ///
    /// # Panics
    ///
    /// If a text is longer than 65 535 bytes.
    #[must_use]
    pub fn bare(namespace: &str, name: &str, uid: &str, resource_version: &str) -> Self {
        let parts = Parts {
            namespace,
            name,
            uid,
            resource_version,
            ..Parts::default()
        };
        Self::pack(&mut String::new(), &parts).expect("the texts are short")
    }

    /// The key, `namespace/name` or `name`.
    #[must_use]
    pub fn key(&self) -> &str {
        self.part(HEADER_BYTES, self.key_len())
    }

    /// The key's bytes: what the store compares.
    #[must_use]
    #[inline]
    pub fn key_bytes(&self) -> &[u8] {
        &self.text.as_bytes()[HEADER_BYTES..HEADER_BYTES + self.key_len()]
    }

    /// The namespace, absent for a cluster-scoped object.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        let len = self.short(Short::Namespace);
        (len > 0).then(|| self.part(HEADER_BYTES, len))
    }

    /// The name within the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        let name_len = self.short(Short::Name);
        self.part(HEADER_BYTES + self.key_len() - name_len, name_len)
    }

    /// The uid, empty if the server gave none.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.part(HEADER_BYTES + self.key_len(), self.short(Short::Uid))
    }

    /// The resourceVersion's text, empty if the server gave none.
    #[must_use]
    pub fn resource_version_text(&self) -> &str {
        let len = self.short(Short::ResourceVersion);
        self.part(self.labels_start() - len, len)
    }

    /// The resourceVersion.
    ///
    /// # Errors
    ///
    /// [`ResourceVersionError`] when the server gave none, or one that cannot be.
    pub fn resource_version(&self) -> Result<ResourceVersion, ResourceVersionError> {
        ResourceVersion::parse(self.resource_version_text())
    }

    /// The labels as a JSON object, empty if there are none or they were not kept.
    #[must_use]
    pub fn labels_json(&self) -> &str {
        self.part(self.labels_start(), self.labels_len())
    }

    /// The JSON, without managedFields unless they were asked for; empty in a decoded cache.
    #[must_use]
    pub fn json(&self) -> &str {
        let start = self.labels_start() + self.labels_len();
        self.part(start, self.text.len() - start)
    }

    /// Bytes of memory that this object holds, shared by its clones.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        self.text.len()
    }

    /// Whether the two share their bytes: one is a clone of the other.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text)
    }

    /// An identity that no other living object has; it may be used again once all clones are gone.
    #[must_use]
    pub fn address(&self) -> usize {
        self.text.as_ptr().addr()
    }

    /// Whether both are the same version of the same incarnation: equal uid and resourceVersion.
    #[must_use]
    pub fn is_same_version(&self, other: &Self) -> bool {
        self.uid() == other.uid()
            && self.resource_version_text() == other.resource_version_text()
            && !self.resource_version_text().is_empty()
    }

    #[inline]
    fn key_len(&self) -> usize {
        let (namespace_len, name_len) = (self.short(Short::Namespace), self.short(Short::Name));
        if namespace_len == 0 {
            name_len
        } else {
            namespace_len + 1 + name_len
        }
    }

    fn labels_start(&self) -> usize {
        let versions_len = self.short(Short::Uid) + self.short(Short::ResourceVersion);
        HEADER_BYTES + self.key_len() + versions_len
    }

    fn labels_len(&self) -> usize {
        self.number::<LONG_BYTES>(HEADER_BYTES - LONG_BYTES)
    }

    /// The length of one of the short parts.
    #[inline]
    fn short(&self, part: Short) -> usize {
        self.number::<SHORT_BYTES>(part as usize * SHORT_BYTES)
    }

    #[inline]
    fn number<const LEN: usize>(&self, at: usize) -> usize {
        let digits = &self.text.as_bytes()[at..at + LEN];
        // A u32 fits a usize on every target that tokio supports.
        (digits.iter().rev()).fold(0, |number, &digit| number << 7 | usize::from(digit))
    }

    fn part(&self, start: usize, len: usize) -> &str {
        // O1: parts begin and end at character boundaries, since each was packed as a `str`.
        self.text.get(start..start + len).unwrap_or_default()
    }
}

impl fmt::Debug for Object {
    /// The key and version; never the content, which may be a Secret's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.key(), self.resource_version_text())
    }
}

/// A part is too long to be packed: over 64 KiB for a name, or 4 GiB in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PackError;

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a part of the object is too long to be kept")
    }
}

impl std::error::Error for PackError {}

/// The parts whose lengths come first, in their order.
#[derive(Clone, Copy)]
enum Short {
    Namespace,
    Name,
    Uid,
    ResourceVersion,
}

/// Bytes of a u16, at 7 bits each.
const SHORT_BYTES: usize = 3;
/// Bytes of a u32.
const LONG_BYTES: usize = 5;
const HEADER_BYTES: usize = 4 * SHORT_BYTES + LONG_BYTES;

/// Writes a number as `LEN` characters of 7 bits.
fn push_number<const LEN: usize>(text: &mut String, mut number: u32) {
    for _ in 0..LEN {
        text.push(char::from(number.to_le_bytes()[0] & 0x7f));
        number >>= 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_comes_back() {
        let parts = Parts {
            namespace: "default",
            name: "web-0",
            uid: "u-1",
            resource_version: "1042",
            labels: r#"{"app":"web"}"#,
            json: &[r#"{"metadata":"#, "{}}"],
        };
        let object = Object::pack(&mut String::new(), &parts).unwrap();
        assert_eq!(object.key(), "default/web-0");
        assert_eq!(
            (object.namespace(), object.name()),
            (Some("default"), "web-0")
        );
        assert_eq!(
            (object.uid(), object.resource_version_text()),
            ("u-1", "1042")
        );
        assert_eq!(object.labels_json(), r#"{"app":"web"}"#);
        assert_eq!(object.json(), r#"{"metadata":{}}"#);
        assert_eq!(format!("{object:?}"), "default/web-0@1042");
    }

    #[test]
    fn long_and_foreign_parts_come_back() {
        let (name, labels, json) = ("x".repeat(65_535), "\u{fc}".repeat(70_000), "\u{1f600}");
        let parts = Parts {
            namespace: "\u{e9}",
            name: &name,
            uid: &name[..128],
            resource_version: &name[..127],
            labels: &labels,
            json: &[json, json],
        };
        let object = Object::pack(&mut String::new(), &parts).unwrap();
        assert_eq!(
            (object.namespace(), object.name()),
            (Some("\u{e9}"), &*name)
        );
        assert_eq!(object.key_bytes(), object.key().as_bytes());
        assert_eq!(
            (object.uid().len(), object.resource_version_text().len()),
            (128, 127)
        );
        assert_eq!(
            (object.labels_json(), object.json()),
            (&*labels, &*json.repeat(2))
        );
    }

    #[test]
    fn a_cluster_scoped_object_has_its_name_as_key() {
        let node = Object::bare("", "node-1", "u", "7");
        assert_eq!(
            (node.key(), node.namespace(), node.name()),
            ("node-1", None, "node-1")
        );
        assert_eq!((node.json(), node.labels_json()), ("", ""));
    }

    #[test]
    fn refuses_a_name_that_its_length_field_cannot_say() {
        let long = "x".repeat(70_000);
        let parts = Parts {
            name: &long,
            ..Parts::default()
        };
        assert_eq!(
            Object::pack(&mut String::new(), &parts).unwrap_err(),
            PackError
        );
    }

    #[test]
    fn without_a_version_two_objects_are_never_the_same_version() {
        let (a, b) = (
            Object::bare("n", "a", "u", ""),
            Object::bare("n", "a", "u", ""),
        );
        assert!(!a.is_same_version(&b));
        assert!(
            Object::bare("n", "a", "u", "1").is_same_version(&Object::bare("n", "a", "u", "1"))
        );
    }
}
