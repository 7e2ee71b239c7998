//! The messages of the built-in kinds: which fields there are, of what types.
//!
//! Does not hold what a field may contain beyond its type: defaults and checks have tables of their own.
//!
//! `messages.txt` has a line for each message: its name, then `number:field:type` for each field. In front of a
//! type stands `[` for a list, `{` for a map by strings, `*` for a field that may be absent, `+` for one whose
//! fields are those of the message around it. Behind it stands `?` for a message that may also be another value,
//! `!` for a field that is written even if it holds nothing.
//!
//! Source: the Go types of k8s.io/api, apimachinery and apiextensions-apiserver @v0.36.3, read by reflection.

use std::{collections::HashMap, sync::OnceLock};

use crate::kind::KindRow;

/// A message: its name, such as `core.Container`, and its fields.
pub(crate) struct Message {
    pub(crate) name: &'static str,
    pub(crate) fields: Vec<Field>,
}

/// A field of a message, as its line has it.
pub(crate) struct Field {
    #[cfg_attr(
        not(feature = "serve"),
        expect(dead_code, reason = "the front alone writes protobuf")
    )]
    pub(crate) number: u64,
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) kind: Kind,
    /// Whether its zero is told apart from its absence.
    pub(crate) optional: bool,
    /// Whether its fields are those of the message around it.
    pub(crate) inline: bool,
    /// Whether it is written even if it holds nothing.
    pub(crate) always: bool,
}

/// How many values a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    List,
    Map,
    One,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    /// Base64 in JSON.
    Bytes,
    Float,
    Int32,
    Int64,
    IntOrString,
    /// Another message, by its name.
    Message(&'static str),
    /// A message, or anything else.
    MessageOrOther(&'static str),
    MicroTime,
    Quantity,
    /// Anything.
    Raw,
    String,
    Time,
}

/// The message of a name.
pub(crate) fn message(name: &str) -> Option<&'static Message> {
    messages().get(name)
}

/// The message of a built-in kind.
pub(crate) fn of_row(row: &KindRow) -> Option<&'static Message> {
    if row.is_custom() {
        return None;
    }
    let package = match row.group.split('.').next() {
        None | Some("") => "core",
        Some(package) => package,
    };
    message(&format!("{package}.{}", row.kind))
}

fn messages() -> &'static HashMap<&'static str, Message> {
    static MESSAGES: OnceLock<HashMap<&'static str, Message>> = OnceLock::new();
    MESSAGES.get_or_init(|| {
        let line = |line: &'static str| {
            let (name, fields) = line.split_once(' ').unwrap_or((line, ""));
            let fields = fields.split(' ').filter_map(Field::parse).collect();
            (name, Message { name, fields })
        };
        include_str!("messages.txt").lines().map(line).collect()
    })
}

// === impl Message ===

impl Message {
    /// A field by its JSON name, its own or of a message that is inlined.
    pub(crate) fn field(&'static self, name: &str) -> Option<&'static Field> {
        let mut fields = self.fields.iter().filter(|field| !field.inline);
        let own = fields.find(|field| field.name == name);
        own.or_else(|| self.inlined().find_map(|message| message.field(name)))
    }

    /// The messages whose fields are its own.
    pub(crate) fn inlined(&self) -> impl Iterator<Item = &'static Self> {
        let inline = self.fields.iter().filter(|field| field.inline);
        inline.filter_map(|field| field.message())
    }

    /// Its name without the package, as Go's decoder calls it.
    pub(crate) fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }
}

// === impl Field ===

impl Field {
    fn parse(text: &'static str) -> Option<Self> {
        let (number, rest) = text.split_once(':')?;
        let (name, kind) = rest.split_once(':')?;
        let shape = match kind.as_bytes().first() {
            Some(b'[') => Shape::List,
            Some(b'{') => Shape::Map,
            _ => Shape::One,
        };
        Some(Self {
            number: number.parse().ok()?,
            name,
            shape,
            kind: Kind::parse(
                kind.trim_start_matches(['[', '{', '*', '+'])
                    .trim_end_matches('!'),
            ),
            optional: kind.starts_with('*'),
            inline: kind.starts_with('+'),
            always: kind.ends_with('!'),
        })
    }

    /// The message that it holds, if it holds one.
    pub(crate) fn message(&self) -> Option<&'static Message> {
        match self.kind {
            Kind::Message(name) | Kind::MessageOrOther(name) => message(name),
            _ => None,
        }
    }
}

// === impl Kind ===

impl Kind {
    fn parse(text: &'static str) -> Self {
        match text {
            "bool" => Self::Bool,
            "bytes" => Self::Bytes,
            "float64" => Self::Float,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "intstr" => Self::IntOrString,
            "meta.FieldsV1" | "raw" => Self::Raw,
            "meta.MicroTime" => Self::MicroTime,
            "meta.Time" => Self::Time,
            "quantity" => Self::Quantity,
            "string" => Self::String,
            name => match name.strip_suffix('?') {
                Some(name) => Self::MessageOrOther(name),
                None => Self::Message(name),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::built_in;

    #[test]
    fn every_built_in_kind_has_a_message_and_every_message_that_is_named_is_there() {
        for row in built_in() {
            let message = of_row(&row).unwrap_or_else(|| panic!("{} has no message", row.kind));
            assert!(message.field("metadata").is_some(), "{}", row.kind);
        }
        for message in messages().values() {
            for field in &message.fields {
                if let Kind::Message(name) | Kind::MessageOrOther(name) = field.kind {
                    assert!(
                        messages().contains_key(name),
                        "{} of {}",
                        name,
                        message.name
                    );
                }
            }
        }
    }

    #[test]
    fn a_field_is_found_where_it_is_inlined_and_says_what_it_is() {
        let volume = message("core.Volume").unwrap();
        let field = volume.field("emptyDir").unwrap();
        assert_eq!(field.kind, Kind::Message("core.EmptyDirVolumeSource"));
        assert!(field.optional && !field.always);
        assert!(
            volume.field("volumeSource").is_none(),
            "it has no name in JSON"
        );
        let data = message("core.Secret").unwrap().field("data").unwrap();
        assert_eq!((data.shape, data.kind), (Shape::Map, Kind::Bytes));
        let containers = message("core.PodSpec")
            .unwrap()
            .field("containers")
            .unwrap();
        assert!(containers.always && containers.shape == Shape::List);
    }
}
