//! An object's key within one resource: `namespace/name`, or `name` for a cluster-scoped object.
//!
//! The text form is client-go's `MetaNamespaceKeyFunc`, so keys can be compared with its logs.

use std::{borrow::Borrow, error, fmt, sync::Arc};

/// The key of an object within its resource. Clones share the text; it hashes and compares as its text
/// does, so that maps and queues of keys can be asked by `&str`.
///
/// # Example
///
/// ```
/// use tidings_api::ObjectKey;
///
/// let key = ObjectKey::parse("default/web-0").unwrap();
/// assert_eq!((key.namespace(), key.name()), (Some("default"), "web-0"));
/// assert_eq!(ObjectKey::parse("node-1").unwrap().namespace(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    text: Arc<str>,
}

impl ObjectKey {
    /// A key from its parts. An empty namespace means a cluster-scoped object.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when a part contains a slash or the name is empty.
    pub fn new(namespace: &str, name: &str) -> Result<Self, KeyError> {
        if name.is_empty() || name.contains('/') || namespace.contains('/') {
            return Err(KeyError);
        }
        let text = if namespace.is_empty() {
            name.into()
        } else {
            format!("{namespace}/{name}")
        };
        Ok(Self { text: text.into() })
    }

    /// A key from its text, `namespace/name` or `name`.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when a part is empty or there is more than one slash.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        match text.split_once('/') {
            Some(("", _)) => Err(KeyError),
            Some((namespace, name)) => Self::new(namespace, name),
            None => Self::new("", text),
        }
    }

    /// The namespace, absent for a cluster-scoped object.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.text.split_once('/').map(|(namespace, _)| namespace)
    }

    /// The name within the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text
            .split_once('/')
            .map_or(&*self.text, |(_, name)| name)
    }

    /// The text form, `namespace/name` or `name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Borrow<str> for ObjectKey {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The text is not a key: the caller gave an empty part or a slash too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyError;

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object key is `namespace/name` or `name`, without empty parts")
    }
}

impl error::Error for KeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_both_forms() {
        for text in ["default/web-0", "node-1"] {
            assert_eq!(ObjectKey::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn refuses_what_is_not_a_key() {
        for text in ["", "/", "/a", "a/", "a/b/c"] {
            assert_eq!(ObjectKey::parse(text), Err(KeyError), "{text:?}");
        }
    }
}
