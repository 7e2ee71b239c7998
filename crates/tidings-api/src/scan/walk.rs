//! The token machine of the top level and of `metadata`: it notes where things are.
//!
//! Does not copy and does not unescape, except a key that is written with escapes.
//!
//! ```text
//!            {          string                value                , string
//!  Start ------> First --------> AfterKey -----------> AfterValue ----------> AfterKey
//!                  | }                                   | }
//!                  '---------> the level ends <----------'
//! ```
//!
//! In: strings and brackets in order (Visitor); what stands between two of them is read here.
//! Out: [`Fields`], spans that count from the object's start.
//! K1  A span is empty (0, 0) when the field is absent or not of its type.
//! K2  After the first breach of the grammar nothing but the object's end is looked for.

use tidings_scan::{Step, Visitor};

/// A range of the object's bytes; empty means absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    pub(super) fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn is_absent(self) -> bool {
        self.end == 0
    }
}

/// Where the fields are. Spans of strings leave out the quotes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields {
    pub(super) kind: Span,
    pub(super) api_version: Span,
    pub(super) name: Span,
    pub(super) namespace: Span,
    pub(super) uid: Span,
    pub(super) resource_version: Span,
    /// A JSON object, braces included.
    pub(super) labels: Span,
    /// A JSON object, braces included.
    pub(super) annotations: Span,
    /// What to leave out so that `managedFields` and its comma are gone.
    pub(super) cut: Span,
    /// Whether the closing brace of `metadata` was seen.
    pub(super) is_metadata_whole: bool,
}

impl Fields {
    /// Forgets the metadata: another one follows, and the last counts.
    fn clear_metadata(&mut self) {
        *self = Self {
            kind: self.kind,
            api_version: self.api_version,
            cut: self.cut,
            ..Self::default()
        };
    }
}

/// The machine's state, between any two tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walk {
    pub(super) fields: Fields,
    /// Where the grammar was breached first.
    pub(super) malformed_at: Option<usize>,
    expect: Expect,
    key: Key,
    is_in_metadata: bool,
    /// The cut's trailing comma is still to come.
    is_cut_open: bool,
    /// One past the token before.
    last: usize,
    /// Where the container at hand starts.
    container: usize,
    /// The quote that opened the key at hand.
    key_start: usize,
    /// The comma before the key at hand, 0 if it is the first of its object.
    comma: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expect {
    #[default]
    Start,
    /// A key, or the level's end.
    First,
    AfterKey,
    AfterValue,
    /// A key.
    AfterComma,
    /// The bracket that ends the container at hand.
    ContainerEnd,
    /// Only the bracket that ends the object.
    End,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Key {
    Annotations,
    ApiVersion,
    Kind,
    Labels,
    ManagedFields,
    Metadata,
    Name,
    Namespace,
    #[default]
    Other,
    ResourceVersion,
    Uid,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Array,
    Object,
    Scalar,
    String,
}

impl Walk {
    /// Waits for nothing but the end.
    pub(super) fn abandon(&mut self) {
        self.expect = Expect::End;
    }

    fn breach(&mut self, at: usize, is_over: bool) -> Step {
        self.malformed_at.get_or_insert(at);
        self.expect = Expect::End;
        if is_over { Step::Stop } else { Step::SkipAll }
    }

    #[inline]
    fn value(&mut self, shape: Shape, span: Span) {
        let string = if shape == Shape::String {
            span
        } else {
            Span::default()
        };
        let object = if shape == Shape::Object {
            span
        } else {
            Span::default()
        };
        match self.key {
            Key::Annotations => self.fields.annotations = object,
            Key::ApiVersion => self.fields.api_version = string,
            Key::Kind => self.fields.kind = string,
            Key::Labels => self.fields.labels = object,
            Key::ManagedFields => self.cut(span.end + usize::from(shape == Shape::String)),
            // An object is entered and does not come here.
            Key::Metadata => self.fields.clear_metadata(),
            Key::Name => self.fields.name = string,
            Key::Namespace => self.fields.namespace = string,
            Key::Other => {}
            Key::ResourceVersion => self.fields.resource_version = string,
            Key::Uid => self.fields.uid = string,
        }
        self.expect = Expect::AfterValue;
    }

    fn cut(&mut self, end: usize) {
        if self.fields.cut.is_absent() {
            self.is_cut_open = self.comma == 0;
            let start = if self.is_cut_open {
                self.key_start
            } else {
                self.comma
            };
            self.fields.cut = Span { start, end };
        }
    }

    #[inline]
    fn comma(&mut self, at: usize) {
        if self.is_cut_open {
            self.fields.cut.end = at + 1;
            self.is_cut_open = false;
        }
        self.comma = at;
    }

    fn level_ends(&mut self) -> Step {
        self.is_cut_open = false;
        if !self.is_in_metadata {
            return Step::Stop;
        }
        self.is_in_metadata = false;
        self.fields.is_metadata_whole = true;
        self.expect = Expect::AfterValue;
        Step::Next
    }

    /// A key, whose closing quote is at `end`.
    #[inline]
    fn key(&mut self, bytes: &[u8], start: usize, end: usize) {
        let raw = &bytes[start + 1..end];
        self.key_start = start;
        self.key = self.key_of(raw);
        if self.key == Key::Other && raw.contains(&b'\\') {
            self.key = self.escaped_key_of(&bytes[start..=end]);
        }
        self.expect = Expect::AfterKey;
    }

    /// Reads the punctuation, the scalars and the white space before the token at `upto`, byte by
    /// byte. Fails at the first byte that may not stand there.
    #[cold]
    fn gap(&mut self, bytes: &[u8], upto: usize) -> Result<(), usize> {
        let mut at = after_space(bytes, self.last, upto);
        if self.expect == Expect::AfterKey {
            if at == upto || bytes[at] != b':' {
                return Err(at);
            }
            at = after_space(bytes, at + 1, upto);
            if at == upto {
                // The token is the value, or begins it.
                self.last = upto;
                return Ok(());
            }
            let start = at;
            while at < upto
                && matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.' | b'E')
            {
                at += 1;
            }
            if at == start {
                return Err(at);
            }
            self.value(Shape::Scalar, Span { start, end: at });
            at = after_space(bytes, at, upto);
        }
        if self.expect == Expect::AfterValue && at < upto {
            if bytes[at] != b',' {
                return Err(at);
            }
            self.comma(at);
            self.expect = Expect::AfterComma;
            at = after_space(bytes, at + 1, upto);
        }
        self.last = upto;
        if at < upto { Err(at) } else { Ok(()) }
    }

    #[inline]
    fn key_of(&self, raw: &[u8]) -> Key {
        match (self.is_in_metadata, raw) {
            (false, b"kind") => Key::Kind,
            (false, b"apiVersion") => Key::ApiVersion,
            (false, b"metadata") => Key::Metadata,
            (true, b"name") => Key::Name,
            (true, b"namespace") => Key::Namespace,
            (true, b"uid") => Key::Uid,
            (true, b"resourceVersion") => Key::ResourceVersion,
            (true, b"labels") => Key::Labels,
            (true, b"annotations") => Key::Annotations,
            (true, b"managedFields") => Key::ManagedFields,
            _ => Key::Other,
        }
    }

    /// A key written with escapes is the key that it means.
    #[cold]
    fn escaped_key_of(&self, quoted: &[u8]) -> Key {
        serde_json::from_slice::<String>(quoted)
            .map_or(Key::Other, |key| self.key_of(key.as_bytes()))
    }
}

/// The machine at work on the bytes that are there.
pub(super) struct Visit<'w, 'b> {
    pub(super) walk: &'w mut Walk,
    /// The object's bytes from its start.
    pub(super) bytes: &'b [u8],
}

impl Visitor for Visit<'_, '_> {
    #[inline]
    fn string(&mut self, start: usize, end: usize) -> Step {
        let (walk, bytes) = (&mut *self.walk, self.bytes);
        // Compact JSON has one byte between strings; all else is read slowly.
        let gap = bytes.get(walk.last..start).unwrap_or_default();
        match (walk.expect, gap) {
            (Expect::AfterKey, b":") | (Expect::First, b"") => {}
            (Expect::AfterValue, b",") => {
                walk.comma(start - 1);
                walk.expect = Expect::AfterComma;
            }
            (Expect::AfterKey | Expect::AfterValue | Expect::First, _) => {
                if let Err(at) = walk.gap(bytes, start) {
                    return walk.breach(at, false);
                }
            }
            _ => return walk.breach(start, false),
        }
        walk.last = end + 1;
        match walk.expect {
            Expect::First | Expect::AfterComma => walk.key(bytes, start, end),
            Expect::AfterKey => {
                let start = start + 1;
                walk.value(Shape::String, Span { start, end });
            }
            _ => return walk.breach(start, false),
        }
        Step::Next
    }

    #[inline]
    fn bracket(&mut self, at: usize, byte: u8) -> Step {
        let (walk, bytes) = (&mut *self.walk, self.bytes);
        let is_close = matches!(byte, b'}' | b']');
        // A closing bracket at the top level ends the object, whatever is wrong with it.
        let is_over = is_close && !walk.is_in_metadata;
        match walk.expect {
            Expect::End => return Step::Stop,
            Expect::ContainerEnd => {
                let start = walk.container;
                let shape = match (bytes[start], byte) {
                    (b'{', b'}') => Shape::Object,
                    (b'[', b']') => Shape::Array,
                    _ => return walk.breach(at, false),
                };
                walk.last = at + 1;
                walk.value(shape, Span { start, end: at + 1 });
                return Step::Next;
            }
            Expect::Start => {
                walk.last = at + 1;
                walk.expect = Expect::First;
                return if byte == b'{' {
                    Step::Next
                } else {
                    walk.breach(at, is_close)
                };
            }
            Expect::First | Expect::AfterKey | Expect::AfterValue | Expect::AfterComma => {}
        }
        let is_plain = match bytes.get(walk.last..at).unwrap_or_default() {
            b":" => walk.expect == Expect::AfterKey && !is_close,
            b"" => walk.expect != Expect::AfterKey,
            _ => false,
        };
        if !is_plain && let Err(at) = walk.gap(bytes, at) {
            return walk.breach(at, is_over);
        }
        walk.last = at + 1;
        match (walk.expect, byte) {
            (Expect::First | Expect::AfterValue, b'}') => walk.level_ends(),
            (Expect::AfterKey, b'{') if walk.key == Key::Metadata => {
                walk.fields.clear_metadata();
                walk.is_in_metadata = true;
                walk.comma = 0;
                walk.expect = Expect::First;
                Step::Next
            }
            (Expect::AfterKey, b'{' | b'[') => {
                walk.container = at;
                walk.expect = Expect::ContainerEnd;
                Step::Skip
            }
            _ => walk.breach(at, is_over),
        }
    }
}

/// The first place from `at` on that is not white space, or `upto`.
fn after_space(bytes: &[u8], mut at: usize, upto: usize) -> usize {
    while at < upto && super::is_space(bytes[at]) {
        at += 1;
    }
    at
}
