//! One object as it is kept: a single allocation with its key, its versions and, for a raw cache,
//! its JSON.
//!
//! Does not validate JSON and does not decode it: [`crate::scan`] finds the parts.
//!
//! ```text
//!  0        2         4        6       8             12            16           20
//!  +--------+---------+--------+-------+-------------+-------------+------------+
//!  | ns len | name len| uid len| rv len| labels start| labels len  | json start |
//!  +--------+---------+--------+-------+-------------+-------------+------------+
//!  | "namespace/name" | uid | resourceVersion | labels (if no JSON) | JSON ...   |
//!  +------------------------------------------------------------------------------+
//! ```
//!
//! O1  `json start <= len`; all text before it is UTF-8, and so is the JSON.
//! O2  The key is `namespace/name`, or `name` where the namespace is empty.
//! Cost: one allocation and one copy to build, O(1) to read any part, a counter to clone.

use std::{fmt, sync::Arc};

use crate::resource_version::{ResourceVersion, ResourceVersionError};

/// An object of one resource: key, uid, resourceVersion and, in a raw cache, its JSON.
///
/// Clones share the bytes.
#[derive(Clone)]
pub struct Object {
    bytes: Arc<[u8]>,
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
    pub fn pack(scratch: &mut Vec<u8>, parts: &Parts<'_>) -> Result<Self, PackError> {
        let short = |text: &str| u16::try_from(text.len()).map_err(|_| PackError);
        scratch.clear();
        scratch.extend_from_slice(&short(parts.namespace)?.to_le_bytes());
        scratch.extend_from_slice(&short(parts.name)?.to_le_bytes());
        scratch.extend_from_slice(&short(parts.uid)?.to_le_bytes());
        scratch.extend_from_slice(&short(parts.resource_version)?.to_le_bytes());
        scratch.resize(HEADER_BYTES, 0);
        if !parts.namespace.is_empty() {
            scratch.extend_from_slice(parts.namespace.as_bytes());
            scratch.push(b'/');
        }
        scratch.extend_from_slice(parts.name.as_bytes());
        scratch.extend_from_slice(parts.uid.as_bytes());
        scratch.extend_from_slice(parts.resource_version.as_bytes());
        let labels_start = offset(scratch.len())?;
        scratch.extend_from_slice(parts.labels.as_bytes());
        let json_start = offset(scratch.len())?;
        for piece in parts.json {
            scratch.extend_from_slice(piece.as_bytes());
        }
        offset(scratch.len())?;
        let labels_len = offset(parts.labels.len())?;
        scratch[8..12].copy_from_slice(&labels_start.to_le_bytes());
        scratch[12..16].copy_from_slice(&labels_len.to_le_bytes());
        scratch[16..20].copy_from_slice(&json_start.to_le_bytes());
        Ok(Self {
            bytes: scratch.as_slice().into(),
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
        Self::pack(&mut Vec::new(), &parts).expect("the texts are short")
    }

    /// The key, `namespace/name` or `name`.
    #[must_use]
    pub fn key(&self) -> &str {
        self.text(HEADER_BYTES, self.key_len())
    }

    /// The key's bytes: what the store compares.
    #[must_use]
    pub fn key_bytes(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..HEADER_BYTES + self.key_len()]
    }

    /// The namespace, absent for a cluster-scoped object.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        let len = self.length(0);
        (len > 0).then(|| self.text(HEADER_BYTES, len))
    }

    /// The name within the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        let name_len = self.length(2);
        self.text(HEADER_BYTES + self.key_len() - name_len, name_len)
    }

    /// The uid, empty if the server gave none.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.text(HEADER_BYTES + self.key_len(), self.length(4))
    }

    /// The resourceVersion's text, empty if the server gave none.
    #[must_use]
    pub fn resource_version_text(&self) -> &str {
        self.text(
            HEADER_BYTES + self.key_len() + self.length(4),
            self.length(6),
        )
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
        self.text(self.offset(8), self.offset(12))
    }

    /// The JSON, without managedFields unless they were asked for; empty in a decoded cache.
    #[must_use]
    pub fn json(&self) -> &str {
        let start = self.offset(16);
        self.text(start, self.bytes.len() - start)
    }

    /// Bytes of memory that this object holds, shared by its clones.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the two share their bytes: one is a clone of the other.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bytes, &other.bytes)
    }

    /// An identity that no other living object has; it may be used again once all clones are gone.
    #[must_use]
    pub fn address(&self) -> usize {
        self.bytes.as_ptr().addr()
    }

    /// Whether both are the same version of the same incarnation: equal uid and resourceVersion.
    #[must_use]
    pub fn is_same_version(&self, other: &Self) -> bool {
        self.uid() == other.uid()
            && self.resource_version_text() == other.resource_version_text()
            && !self.resource_version_text().is_empty()
    }

    fn key_len(&self) -> usize {
        let (namespace_len, name_len) = (self.length(0), self.length(2));
        if namespace_len == 0 {
            name_len
        } else {
            namespace_len + 1 + name_len
        }
    }

    fn length(&self, at: usize) -> usize {
        usize::from(u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]))
    }

    fn offset(&self, at: usize) -> usize {
        let field: [u8; 4] = [0, 1, 2, 3].map(|index| self.bytes[at + index]);
        // A u32 fits a usize on every target that tokio supports.
        u32::from_le_bytes(field) as usize
    }

    fn text(&self, start: usize, len: usize) -> &str {
        // O1: packed from &str at character boundaries, so this check never fails.
        std::str::from_utf8(&self.bytes[start..start + len]).unwrap_or_default()
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

const HEADER_BYTES: usize = 20;

fn offset(len: usize) -> Result<u32, PackError> {
    u32::try_from(len).map_err(|_| PackError)
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
        let object = Object::pack(&mut Vec::new(), &parts).unwrap();
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
            Object::pack(&mut Vec::new(), &parts).unwrap_err(),
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
