//! resourceVersions: opaque tokens that may be ordered when both look like etcd revisions.
//!
//! V1  Two versions compare only if both are decimal, without leading zero, not zero and at most
//!     2^128 - 1 (pr-R1, cg-V12).
//! V2  Everything else is compared for equality only (pr-R2).
//! V3  The comparison says nothing across resources or server histories (pr-R3): that is the
//!     caller's to know, see the engine's epochs.
//!
//! Source: KEP-5504; rules cg-V12, pr-R1, pr-R2, pr-R3.

use std::{cmp::Ordering, error, fmt, sync::Arc};

/// Longest text accepted, in bytes. A comparable version has at most 39 digits; extension servers
/// may use other forms, but not unbounded ones.
pub const RESOURCE_VERSION_BYTES_MAX: usize = 128;

/// The version of an object or of a collection, as a server wrote it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ResourceVersion(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Number(u128),
    Opaque(Arc<str>),
}

impl ResourceVersion {
    /// Reads a version as it stands in an object's or a list's metadata.
    ///
    /// # Errors
    ///
    /// [`ResourceVersionError`] when the text is empty, too long or not printable ASCII.
    pub fn parse(text: &str) -> Result<Self, ResourceVersionError> {
        if text.is_empty() {
            return Err(ResourceVersionError::Empty);
        }
        if text.len() > RESOURCE_VERSION_BYTES_MAX {
            return Err(ResourceVersionError::TooLong { bytes: text.len() });
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ResourceVersionError::NotPrintable);
        }
        let comparable = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if comparable => Ok(Self(Repr::Number(number))),
            _ => Ok(Self(Repr::Opaque(text.into()))),
        }
    }

    /// A version that compares, for tests and servers that count revisions. Zero is opaque.
    #[must_use]
    pub fn from_revision(revision: u64) -> Self {
        match revision {
            0 => Self(Repr::Opaque("0".into())),
            _ => Self(Repr::Number(u128::from(revision))),
        }
    }

    /// The order of two versions of one resource within one server history, or `None` where
    /// the two differ and at least one is opaque.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (&self.0, &other.0) {
            (Repr::Number(left), Repr::Number(right)) => Some(left.cmp(right)),
            (left, right) => (left == right).then_some(Ordering::Equal),
        }
    }

    /// Whether `self` is known to be older than `other`.
    #[must_use]
    pub fn is_before(&self, other: &Self) -> bool {
        self.compare(other) == Some(Ordering::Less)
    }

    /// Whether `self` is known to be `other` or newer.
    #[must_use]
    pub fn is_at_least(&self, other: &Self) -> bool {
        matches!(
            self.compare(other),
            Some(Ordering::Equal | Ordering::Greater)
        )
    }

    /// Whether this version can be ordered against another comparable one.
    #[must_use]
    pub fn is_comparable(&self) -> bool {
        matches!(self.0, Repr::Number(_))
    }
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Number(number) => write!(f, "{number}"),
            Repr::Opaque(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rv:{self}")
    }
}

/// The text cannot be a resourceVersion: the server's fault; it is counted and not acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResourceVersionError {
    /// The field is absent or empty.
    Empty,
    /// A byte is not printable ASCII.
    NotPrintable,
    /// The text is longer than [`RESOURCE_VERSION_BYTES_MAX`].
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl fmt::Display for ResourceVersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the resourceVersion is empty"),
            Self::NotPrintable => f.write_str("the resourceVersion is not printable ASCII"),
            Self::TooLong { bytes } => write!(f, "the resourceVersion has {bytes} bytes"),
        }
    }
}

impl error::Error for ResourceVersionError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn rv(text: &str) -> ResourceVersion {
        ResourceVersion::parse(text).unwrap()
    }

    #[test]
    fn cg_v12_pr_r1_decimal_versions_compare_by_value_up_to_128_bits() {
        assert!(rv("9").is_before(&rv("10")));
        let largest = rv("340282366920938463463374607431768211455");
        assert!(largest.is_comparable() && rv("1").is_before(&largest));
        assert_eq!(
            rv("340282366920938463463374607431768211456").compare(&largest),
            None
        );
        assert_eq!(largest.to_string().len(), 39);
    }

    #[test]
    fn pr_r2_other_versions_are_equal_or_incomparable() {
        for text in ["0", "012", "1a", "-1", "+1", "1.5"] {
            assert!(!rv(text).is_comparable(), "{text}");
            assert_eq!(rv(text).compare(&rv(text)), Some(Ordering::Equal));
            assert_eq!(rv(text).compare(&rv("7")), None);
            assert_eq!(rv(text).to_string(), text);
        }
    }

    #[test]
    fn refuses_what_no_server_may_send() {
        assert_eq!(ResourceVersion::parse(""), Err(ResourceVersionError::Empty));
        assert_eq!(
            ResourceVersion::parse("1 2"),
            Err(ResourceVersionError::NotPrintable)
        );
        let long = "1".repeat(RESOURCE_VERSION_BYTES_MAX + 1);
        assert!(matches!(
            ResourceVersion::parse(&long),
            Err(ResourceVersionError::TooLong { bytes: 129 })
        ));
    }
}
