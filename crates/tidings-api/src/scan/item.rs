//! What a scan hands out: an object with its metadata, or the name of what is wrong with it.
//!
//! Does not decode the object.
//!
//! In: the spans of a [`super::Scan`] and the object's bytes. Out: [`Item`].
//! N1  A usable item is UTF-8 and has a name; neither name nor namespace holds a slash (pr-F41).
//! N2  An unusable item has a key only if the key itself is sound and certainly complete.
//! Cost: one UTF-8 check; no allocation unless a token has escapes.

use std::{borrow::Cow, fmt, str};

use crate::object::{Object, PackError, Parts};

use super::{
    fields,
    walk::{Span, Walk},
};

/// One object of a list or an event.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "an object can be used or it cannot"
)]
pub enum Item<'a> {
    /// An object with a key.
    Usable(Scanned<'a>),
    /// An object that must not be served; if its key is known, the key is poisoned.
    Unusable(Unusable<'a>),
}

/// An object whose metadata was found.
#[derive(Clone)]
pub struct Scanned<'a> {
    text: &'a str,
    walk: &'a Walk,
    list: Option<&'a ListKind>,
    namespace: Cow<'a, str>,
    name: Cow<'a, str>,
    uid: Cow<'a, str>,
    resource_version: Cow<'a, str>,
}

/// An object that must not be served, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unusable<'a> {
    /// Namespace (empty for a cluster-scoped object) and name, if both are certain.
    pub key: Option<(Cow<'a, str>, Cow<'a, str>)>,
    /// The uid, empty if unknown.
    pub uid: Cow<'a, str>,
    /// The resourceVersion's text, empty if unknown.
    pub resource_version: Cow<'a, str>,
    /// What is wrong.
    pub problem: Problem,
    /// The object's length on the wire.
    pub bytes: u64,
    /// Where in the body it stands: its first byte, or that of its frame.
    pub offset: u64,
}

/// Why an object cannot be used. The server's or its data's fault; the key alone is poisoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A name, namespace, uid or version has an escape that means nothing, such as half of a
    /// surrogate pair (SEC-23).
    BadEscape,
    /// The name or the namespace holds a slash (pr-F41).
    BadKey,
    /// The bytes are not UTF-8 (SEC-23).
    InvalidUtf8 {
        /// The first of them that is not, from the object's start.
        offset: u64,
    },
    /// The top level or the metadata is not well-formed JSON.
    Malformed {
        /// Where, from the object's start.
        offset: u64,
    },
    /// There is no name (pr-F41).
    NoName,
    /// There is no object where one should be.
    NoObject,
    /// A name, namespace, uid, version, kind or apiVersion is longer than `token_bytes_max`
    /// (SEC-19).
    TokenTooLong,
    /// The nesting is deeper than `depth_max` (SEC-18).
    TooDeep,
    /// The object is longer than `object_bytes_max` (SEC-16).
    TooLarge,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadEscape => f.write_str("a metadata string has an invalid escape"),
            Self::BadKey => f.write_str("the name or namespace holds a slash"),
            Self::InvalidUtf8 { offset } => {
                write!(f, "the object is not UTF-8 at byte {offset}")
            }
            Self::Malformed { offset } => write!(f, "malformed JSON at byte {offset}"),
            Self::NoName => f.write_str("the object has no name"),
            Self::NoObject => f.write_str("there is no object"),
            Self::TokenTooLong => f.write_str("a metadata string is too long"),
            Self::TooDeep => f.write_str("the object is nested too deep"),
            Self::TooLarge => f.write_str("the object is too large"),
        }
    }
}

impl std::error::Error for Problem {}

/// The kind of a typed list's items, which do not name it themselves (pr-L18).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListKind {
    kind: String,
    api_version: String,
    prefix: String,
}

impl ListKind {
    /// The kind of the items of a list: `PodList` holds `Pod`. `None` for a plain `List`, whose
    /// items name their own kinds.
    #[must_use]
    pub fn of_list(list_kind: &str, api_version: &str) -> Option<Self> {
        let kind = list_kind.strip_suffix("List")?;
        if kind.is_empty() || api_version.is_empty() {
            return None;
        }
        let quoted = |text| serde_json::to_string(text).ok();
        Some(Self {
            prefix: format!(
                r#"{{"kind":{},"apiVersion":{},"#,
                quoted(kind)?,
                quoted(api_version)?
            ),
            kind: kind.into(),
            api_version: api_version.into(),
        })
    }

    /// The items' kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The items' apiVersion.
    #[must_use]
    pub fn api_version(&self) -> &str {
        &self.api_version
    }
}

/// How much of an object is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "packing acts on every choice")]
pub enum Keep {
    /// The JSON without `managedFields`.
    Json,
    /// The JSON as it came.
    JsonWithManagedFields,
    /// The key, the versions and the labels.
    Labels,
    /// The key and the versions.
    Nothing,
}

// === impl Item ===

impl<'a> Item<'a> {
    /// The object, if it can be used.
    #[must_use]
    pub fn usable(&self) -> Option<&Scanned<'a>> {
        match self {
            Self::Usable(scanned) => Some(scanned),
            Self::Unusable(_) => None,
        }
    }

    /// The same item, which stands at `offset` of its body.
    #[inline]
    pub(crate) fn placed(mut self, offset: u64) -> Self {
        if let Self::Unusable(unusable) = &mut self {
            unusable.offset = offset;
        }
        self
    }

    /// An item that stands for a value that is not an object.
    pub(crate) fn missing() -> Self {
        Self::Unusable(Unusable::unknown(Problem::NoObject))
    }
}

// === impl Unusable ===

impl Unusable<'_> {
    fn unknown(problem: Problem) -> Self {
        Self {
            key: None,
            uid: Cow::Borrowed(""),
            resource_version: Cow::Borrowed(""),
            problem,
            bytes: 0,
            offset: 0,
        }
    }

    /// The same, borrowing from this one.
    #[must_use]
    pub fn borrowed(&self) -> Unusable<'_> {
        Unusable {
            key: self
                .key
                .as_ref()
                .map(|(namespace, name)| ((&**namespace).into(), (&**name).into())),
            uid: (&*self.uid).into(),
            resource_version: (&*self.resource_version).into(),
            problem: self.problem,
            bytes: self.bytes,
            offset: self.offset,
        }
    }

    /// The same, owning its text.
    #[must_use]
    pub fn into_owned(self) -> Unusable<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Unusable {
            key: self
                .key
                .map(|(namespace, name)| (own(namespace), own(name))),
            uid: own(self.uid),
            resource_version: own(self.resource_version),
            problem: self.problem,
            bytes: self.bytes,
            offset: self.offset,
        }
    }
}

// === impl Scanned ===

impl<'a> Scanned<'a> {
    /// The object's text as it came, `managedFields` included.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The kind that the object names, or its list's.
    #[must_use]
    pub fn kind(&self) -> Option<Cow<'a, str>> {
        let own = self.optional(self.walk.fields.kind);
        own.or_else(|| self.list.map(|list| list.kind().into()))
    }

    /// The apiVersion that the object names, or its list's.
    #[must_use]
    pub fn api_version(&self) -> Option<Cow<'a, str>> {
        let own = self.optional(self.walk.fields.api_version);
        own.or_else(|| self.list.map(|list| list.api_version().into()))
    }

    /// The namespace, empty for a cluster-scoped object.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The uid, empty if the server gave none.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The resourceVersion's text, empty if the server gave none.
    #[must_use]
    pub fn resource_version(&self) -> &str {
        &self.resource_version
    }

    /// The labels as a JSON object, empty if there are none.
    #[must_use]
    pub fn labels(&self) -> &'a str {
        self.walk.fields.labels.of(self.text)
    }

    /// The annotations as a JSON object, empty if there are none.
    #[must_use]
    pub fn annotations(&self) -> &'a str {
        self.walk.fields.annotations.of(self.text)
    }

    /// The value of one annotation.
    ///
    /// # Complexity
    ///
    /// Reads all annotations, at the rate of `serde_json`.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<Cow<'a, str>> {
        fields::find(self.annotations(), key)
    }

    /// The text without `managedFields`, and with the kind and apiVersion of the list where the
    /// object names neither (pr-L18): pieces that follow each other, some perhaps empty.
    #[must_use]
    #[inline]
    pub fn json_pieces(&self) -> [&'a str; 3] {
        self.pieces(self.walk.fields.cut)
    }

    /// Packs the object into one allocation, using `scratch` to lay it out.
    ///
    /// # Errors
    ///
    /// [`PackError`] when a part is longer than its length field can say.
    #[inline]
    pub fn pack(&self, scratch: &mut String, keep: Keep) -> Result<Object, PackError> {
        let pieces = match keep {
            Keep::Json => self.json_pieces(),
            Keep::JsonWithManagedFields => self.pieces(Span::default()),
            Keep::Labels | Keep::Nothing => [""; 3],
        };
        let labels = match keep {
            Keep::Labels => self.labels(),
            Keep::Json | Keep::JsonWithManagedFields | Keep::Nothing => "",
        };
        let parts = Parts {
            namespace: &self.namespace,
            name: &self.name,
            uid: &self.uid,
            resource_version: &self.resource_version,
            labels,
            json: &pieces,
        };
        Object::pack(scratch, &parts)
    }

    fn pieces(&self, cut: Span) -> [&'a str; 3] {
        let fields = &self.walk.fields;
        let (prefix, start) = match self.list {
            Some(list) if fields.kind.is_absent() && fields.api_version.is_absent() => {
                (&*list.prefix, 1)
            }
            _ => ("", 0),
        };
        if cut.is_absent() {
            return [prefix, self.text.get(start..).unwrap_or_default(), ""];
        }
        [
            prefix,
            self.text.get(start..cut.start).unwrap_or_default(),
            self.text.get(cut.end..).unwrap_or_default(),
        ]
    }

    fn optional(&self, span: Span) -> Option<Cow<'a, str>> {
        if span.is_absent() {
            return None;
        }
        token(self.text.as_bytes(), span, usize::MAX).ok()
    }
}

impl fmt::Debug for Scanned<'_> {
    /// The key and version; never the content, which may be a Secret's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            namespace,
            name,
            resource_version,
            ..
        } = self;
        write!(f, "{namespace}/{name}@{resource_version}")
    }
}

/// The item that a finished walk makes of `bytes`.
#[inline]
pub(super) fn item<'a>(
    walk: &'a Walk,
    bytes: &'a [u8],
    list: Option<&'a ListKind>,
    problem: Option<Problem>,
    token_bytes_max: usize,
) -> Item<'a> {
    let found = match (problem, simdutf8::basic::from_utf8(bytes)) {
        (Some(problem), _) => Err(problem),
        (None, Err(_)) => Err(invalid_utf8(bytes, 0)),
        (None, Ok(text)) => scanned(walk, text, list, token_bytes_max),
    };
    match found {
        Ok(scanned) => Item::Usable(scanned),
        Err(problem) => Item::Unusable(unusable(walk, bytes, problem, token_bytes_max)),
    }
}

#[inline]
fn scanned<'a>(
    walk: &'a Walk,
    text: &'a str,
    list: Option<&'a ListKind>,
    token_bytes_max: usize,
) -> Result<Scanned<'a>, Problem> {
    let fields = &walk.fields;
    let read = |span| token(text.as_bytes(), span, token_bytes_max);
    let (namespace, name) = key(walk, text.as_bytes(), token_bytes_max)?;
    for span in [fields.kind, fields.api_version] {
        read(span)?;
    }
    Ok(Scanned {
        text,
        walk,
        list,
        namespace,
        name,
        uid: read(fields.uid)?,
        resource_version: read(fields.resource_version)?,
    })
}

/// Namespace and name, if they are sound (N1).
#[inline]
fn key<'a>(
    walk: &Walk,
    bytes: &'a [u8],
    token_bytes_max: usize,
) -> Result<(Cow<'a, str>, Cow<'a, str>), Problem> {
    let namespace = token(bytes, walk.fields.namespace, token_bytes_max)?;
    let name = token(bytes, walk.fields.name, token_bytes_max)?;
    if name.is_empty() {
        return Err(Problem::NoName);
    }
    if name.as_bytes().contains(&b'/') || namespace.as_bytes().contains(&b'/') {
        return Err(Problem::BadKey);
    }
    Ok((namespace, name))
}

#[cold]
pub(super) fn unusable<'a>(
    walk: &Walk,
    bytes: &'a [u8],
    problem: Problem,
    token_bytes_max: usize,
) -> Unusable<'a> {
    let fields = &walk.fields;
    // N2: a name whose namespace may still have followed would poison another key.
    let is_certain = fields.is_metadata_whole || !fields.namespace.is_absent();
    let read = |span| token(bytes, span, token_bytes_max).unwrap_or_default();
    Unusable {
        key: key(walk, bytes, token_bytes_max)
            .ok()
            .filter(|_| is_certain),
        uid: read(fields.uid),
        resource_version: read(fields.resource_version),
        problem,
        bytes: bytes.len() as u64,
        offset: 0,
    }
}

/// Says where `bytes`, which begin at `start` of the object, stop being UTF-8.
#[cold]
fn invalid_utf8(bytes: &[u8], start: usize) -> Problem {
    let valid = str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    Problem::InvalidUtf8 {
        offset: (start + valid) as u64,
    }
}

/// A string of the metadata, unescaped; empty if it is absent.
#[inline]
pub(super) fn token(
    bytes: &[u8],
    span: Span,
    token_bytes_max: usize,
) -> Result<Cow<'_, str>, Problem> {
    let raw = bytes.get(span.start..span.end).unwrap_or_default();
    if raw.len() > token_bytes_max {
        return Err(Problem::TokenTooLong);
    }
    if raw.contains(&b'\\') {
        return unescaped(bytes, span);
    }
    str::from_utf8(raw)
        .map(Cow::Borrowed)
        .map_err(|_| invalid_utf8(raw, span.start))
}

#[cold]
fn unescaped(bytes: &[u8], span: Span) -> Result<Cow<'_, str>, Problem> {
    // The quotes stand on either side of the span.
    let quoted = &bytes[span.start - 1..=span.end];
    serde_json::from_slice::<String>(quoted)
        .map(Cow::Owned)
        .map_err(|_| Problem::BadEscape)
}
