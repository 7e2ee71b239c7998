//! Resources (group, version, plural) and the URL paths of their collections and objects.
//!
//! Paths are built from typed segments only; a segment that could change the path's meaning is
//! refused before it gets there (SEC-13).

use std::{error, fmt};

/// A group/version/resource (GVR), such as `v1/pods` or `networking.k8s.io/v1/ingresses`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    group: Box<str>,
    version: Box<str>,
    plural: Box<str>,
}

impl Resource {
    /// A resource from its parts; the core group is the empty string.
    ///
    /// # Errors
    ///
    /// [`PathError`] when a part cannot stand in a URL path.
    pub fn new(group: &str, version: &str, plural: &str) -> Result<Self, PathError> {
        if !group.is_empty() {
            check_segment("group", group)?;
        }
        check_segment("version", version)?;
        check_segment("resource", plural)?;
        Ok(Self {
            group: group.into(),
            version: version.into(),
            plural: plural.into(),
        })
    }

    /// A resource from `version/resource` (core group) or `group/version/resource`.
    ///
    /// # Errors
    ///
    /// [`PathError`] when the text has another shape or a part cannot stand in a URL path.
    ///
    /// # Example
    ///
    /// ```
    /// let pods = tidings_api::Resource::parse("v1/pods").unwrap();
    /// assert_eq!(pods.collection_path(Some("default")).unwrap(), "/api/v1/namespaces/default/pods");
    /// ```
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            [version, plural] => Self::new("", version, plural),
            [group, version, plural] if !group.is_empty() => Self::new(group, version, plural),
            _ => Err(PathError {
                what: "resource",
                problem: Problem::Shape,
            }),
        }
    }

    /// The API group, empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The API version, such as `v1`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The plural name, such as `pods`.
    #[must_use]
    pub fn plural(&self) -> &str {
        &self.plural
    }

    /// `version`, or `group/version`: what objects carry as `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The path of the collection, in one namespace or across all.
    ///
    /// # Errors
    ///
    /// [`PathError`] when the namespace cannot stand in a URL path.
    pub fn collection_path(&self, namespace: Option<&str>) -> Result<String, PathError> {
        let mut path = String::from(if self.group.is_empty() {
            "/api/"
        } else {
            "/apis/"
        });
        if !self.group.is_empty() {
            push_encoded(&mut path, &self.group);
            path.push('/');
        }
        push_encoded(&mut path, &self.version);
        if let Some(namespace) = namespace {
            check_segment("namespace", namespace)?;
            path.push_str("/namespaces/");
            push_encoded(&mut path, namespace);
        }
        path.push('/');
        push_encoded(&mut path, &self.plural);
        Ok(path)
    }

    /// The path of one object.
    ///
    /// # Errors
    ///
    /// [`PathError`] when the namespace or name cannot stand in a URL path.
    pub fn object_path(&self, namespace: Option<&str>, name: &str) -> Result<String, PathError> {
        check_segment("name", name)?;
        let mut path = self.collection_path(namespace)?;
        path.push('/');
        push_encoded(&mut path, name);
        Ok(path)
    }

    /// The path of a subresource of one object, such as its `status`.
    ///
    /// # Errors
    ///
    /// [`PathError`] when the namespace, name or subresource cannot stand in a URL path.
    pub fn subresource_path(
        &self,
        namespace: Option<&str>,
        name: &str,
        subresource: &str,
    ) -> Result<String, PathError> {
        check_segment("subresource", subresource)?;
        let mut path = self.object_path(namespace, name)?;
        path.push('/');
        push_encoded(&mut path, subresource);
        Ok(path)
    }
}

impl fmt::Display for Resource {
    /// `pods.v1` or `ingresses.v1.networking.k8s.io`, as kubectl names a full resource.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.plural, self.version)?;
        if self.group.is_empty() {
            Ok(())
        } else {
            write!(f, ".{}", self.group)
        }
    }
}

/// A part of a path that must not reach a URL: the caller's, or a hostile object's, fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathError {
    /// Which part: `group`, `version`, `resource`, `namespace`, `name` or
    /// `subresource`.
    pub what: &'static str,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    Character,
    Dots,
    Empty,
    Shape,
    TooLong,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.what;
        match self.problem {
            Problem::Character => write!(f, "the {what} has a slash, percent or control character"),
            Problem::Dots => write!(f, "the {what} is a relative path segment"),
            Problem::Empty => write!(f, "the {what} is empty"),
            Problem::Shape => {
                write!(
                    f,
                    "a {what} is written `version/resource` or `group/version/resource`"
                )
            }
            Problem::TooLong => write!(f, "the {what} is longer than {SEGMENT_BYTES_MAX} bytes"),
        }
    }
}

impl error::Error for PathError {}

fn check_segment(what: &'static str, segment: &str) -> Result<(), PathError> {
    let problem = if segment.is_empty() {
        Problem::Empty
    } else if segment == "." || segment == ".." {
        Problem::Dots
    } else if segment.len() > SEGMENT_BYTES_MAX {
        Problem::TooLong
    } else if segment
        .chars()
        .any(|c| c == '/' || c == '%' || c == '\\' || c.is_control())
    {
        Problem::Character
    } else {
        return Ok(());
    };
    Err(PathError { what, problem })
}

/// Appends `text` with every byte outside RFC 3986's unreserved set percent-encoded.
pub(crate) fn push_encoded(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// Kubernetes names have at most 253 bytes; nothing longer needs to reach a URL.
const SEGMENT_BYTES_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pr_l24_paths_of_core_and_group_resources() {
        let pods = Resource::parse("v1/pods").unwrap();
        let ingresses = Resource::parse("networking.k8s.io/v1/ingresses").unwrap();
        assert_eq!(pods.collection_path(None).unwrap(), "/api/v1/pods");
        assert_eq!(
            ingresses.object_path(Some("default"), "web").unwrap(),
            "/apis/networking.k8s.io/v1/namespaces/default/ingresses/web"
        );
        assert_eq!(ingresses.to_string(), "ingresses.v1.networking.k8s.io");
        assert_eq!(ingresses.api_version(), "networking.k8s.io/v1");
    }

    #[test]
    fn sec_13_hostile_segments_never_reach_a_path() {
        let roles = Resource::parse("rbac.authorization.k8s.io/v1/clusterroles").unwrap();
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "a%2fb",
            "a\nb",
            "a\\b",
            &"x".repeat(254),
        ] {
            assert!(roles.object_path(None, name).is_err(), "{name:?}");
        }
        let path = roles.object_path(None, "system:node").unwrap();
        assert!(path.ends_with("/clusterroles/system%3Anode"), "{path}");
    }

    #[test]
    fn refuses_other_shapes() {
        for text in ["pods", "", "a/b/c/d", "/v1/pods", "v1/"] {
            assert!(Resource::parse(text).is_err(), "{text:?}");
        }
    }
}
