//! JSON texts that are hard to scan: nasty strings, escapes, and the words of the metadata at every
//! depth.

use proptest::prelude::*;

/// A JSON value as a tree that still has its order.
#[derive(Clone, Debug)]
enum Doc {
    Scalar(&'static str),
    /// Text, and which characters to write as `\u` escapes.
    Text(String, u64),
    Array(Vec<Self>),
    Object(Vec<((String, u64), Self)>),
}

/// A JSON object with metadata, keys in any order, each once.
pub(super) fn object() -> impl Strategy<Value = String> {
    let metadata = prop_oneof![
        9 => fields(&META_KEYS, 0..9).prop_map(Doc::Object),
        1 => doc(),
    ];
    let top = (
        fields(&TOP_KEYS, 0..5),
        metadata,
        any::<bool>(),
        any::<u64>(),
    );
    top.prop_map(|(mut fields, metadata, is_last, spaces)| {
        fields.retain(|((key, _), _)| key != "metadata");
        let at = if is_last {
            fields.len()
        } else {
            fields.len() / 2
        };
        fields.insert(at, (("metadata".into(), 0), metadata));
        let mut text = String::new();
        let mut spaces = Spaces(spaces);
        write(&Doc::Object(fields), &mut text, &mut spaces);
        text
    })
}

/// Bytes that look like JSON here and there.
pub(super) fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"",
            "\\",
            " ",
            "{\"metadata\":{",
            "\"name\":\"a\"",
            "\"managedFields\":",
            "\"kind\"",
            "\"x\":[1]",
            "null",
            "\u{e9}",
            "\"\\u0061\"",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| [vec![b'{'], pieces.concat()].concat())
}

fn doc() -> impl Strategy<Value = Doc> {
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "null",
            "true",
            "0",
            "-1.5e300",
            "18446744073709551616"
        ])
        .prop_map(Doc::Scalar),
        text().prop_map(|(text, escapes)| Doc::Text(text, escapes)),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let key = prop_oneof![
            2 => prop::sample::select([&META_KEYS[..], &TOP_KEYS[..]].concat())
                .prop_map(|key| (key.to_owned(), 0)),
            1 => text(),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Doc::Array),
            prop::collection::vec((key, inner), 0..5).prop_map(|mut fields| {
                unique(&mut fields);
                Doc::Object(fields)
            }),
        ]
    })
}

type Field = ((String, u64), Doc);

fn fields(keys: &[&'static str], len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Field>> {
    let key = (
        prop::sample::select(keys.to_vec()),
        prop_oneof![4 => Just(0), 1 => any::<u64>()],
    )
        .prop_map(|(key, escapes)| (key.to_owned(), escapes));
    let value = prop_oneof![
        2 => text().prop_map(|(text, escapes)| Doc::Text(text, escapes)),
        1 => doc(),
    ];
    prop::collection::vec((key, value), len).prop_map(|mut fields| {
        unique(&mut fields);
        fields
    })
}

fn unique(fields: &mut Vec<Field>) {
    let mut seen = std::collections::BTreeSet::new();
    fields.retain(|((key, _), _)| seen.insert(key.clone()));
}

fn text() -> impl Strategy<Value = (String, u64)> {
    let text = prop_oneof![
        2 => "[a-z0-9/.-]{0,12}",
        1 => prop::collection::vec(prop::sample::select(vec!['{', '}', '[', ']', '"', '\\', ':', ',']), 0..20)
            .prop_map(|chars| chars.into_iter().collect::<String>()),
        1 => (0_usize..90).prop_map(|len| "\\".repeat(len)),
        1 => any::<String>(),
    ];
    (text, prop_oneof![3 => Just(0), 1 => any::<u64>()])
}

fn write(doc: &Doc, out: &mut String, spaces: &mut Spaces) {
    spaces.put(out);
    match doc {
        Doc::Scalar(text) => out.push_str(text),
        Doc::Text(text, escapes) => write_text(text, *escapes, out),
        Doc::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write(item, out, spaces);
            }
            out.push(']');
        }
        Doc::Object(fields) => {
            out.push('{');
            for (index, ((key, escapes), value)) in fields.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                spaces.put(out);
                write_text(key, *escapes, out);
                spaces.put(out);
                out.push(':');
                write(value, out, spaces);
                spaces.put(out);
            }
            spaces.put(out);
            out.push('}');
        }
    }
}

fn write_text(text: &str, escapes: u64, out: &mut String) {
    out.push('"');
    for (index, char) in text.chars().enumerate() {
        if escapes >> (index % 64) & 1 == 1 {
            for unit in char.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            let quoted = serde_json::to_string(&char).unwrap();
            out.push_str(&quoted[1..quoted.len() - 1]);
        }
    }
    out.push('"');
}

/// White space here and there, drawn from the bits of a number; 0 draws none.
struct Spaces(u64);

impl Spaces {
    fn put(&mut self, out: &mut String) {
        self.0 = self.0.rotate_left(1);
        if self.0 & 0b1001 == 0b1001 && !out.is_empty() {
            out.push_str(if self.0 & 2 == 0 { "\r\n" } else { "\t " });
        }
    }
}

const META_KEYS: [&str; 9] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "labels",
    "annotations",
    "managedFields",
    "metadata",
    "ownerReferences",
];
const TOP_KEYS: [&str; 7] = [
    "kind",
    "apiVersion",
    "spec",
    "status",
    "name",
    "managedFields",
    "labels",
];
