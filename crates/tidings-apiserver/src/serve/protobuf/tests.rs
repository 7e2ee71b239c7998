//! Messages as kubectl 1.35 sent them, and messages that nobody should send.

use super::*;

/// `kubectl create namespace zed`, as it went over the wire.
const NAMESPACE: &[u8] =
    b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x1b\x0a\x13\x0a\x03zed\x12\0\x1a\0\"\0*\0\
    2\08\0B\0\x12\0\x1a\x02\x0a\0\x1a\0\"\0";

/// Seven bits a byte, the low ones first.
fn varint(mut number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap());
    out
}

/// A field of bytes.
fn field(number: usize, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(bytes.len()), bytes.to_vec()].concat()
}

fn enveloped(api_version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
    let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), field(1, &meta), field(2, object)].concat()
}

#[test]
fn what_kubectl_sends_is_read_and_zeros_are_left_out() {
    let expected =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "zed" } });
    assert_eq!(parse(NAMESPACE), Ok(expected));
}

#[test]
fn fields_take_their_shapes() {
    let entry = [field(1, b"k"), field(2, b"\x01\x02")].concat();
    let secret = [field(1, &field(1, b"s")), field(2, &entry), vec![5 << 3, 0]].concat();
    let secret = parse(&enveloped("v1", "Secret", &secret)).unwrap();
    assert_eq!(secret["data"], json!({ "k": "AQI=" }));
    // Optional, so that its zero is told (P1).
    assert_eq!(secret["immutable"], false);
    let port = [vec![3 << 3, 80], field(4, b"\x08\x01\x10\0\x1a\x04http")].concat();
    let service = parse(&enveloped("v1", "Service", &field(2, &field(1, &port)))).unwrap();
    assert_eq!(
        service["spec"]["ports"],
        json!([{ "port": 80, "targetPort": "http" }])
    );
    let source = field(2, &field(2, b""));
    let volume = field(1, &[field(1, b"v"), source].concat());
    let pod = parse(&enveloped("v1", "Pod", &field(2, &volume))).unwrap();
    // The source's fields are the volume's own.
    assert_eq!(
        pod["spec"]["volumes"],
        json!([{ "name": "v", "emptyDir": {} }])
    );
    let renewed = field(4, b"\x08\x80\x92\xb8\xc3\x06\x10\xe8\x07");
    let lease = parse(&enveloped(
        "coordination.k8s.io/v1",
        "Lease",
        &field(2, &renewed),
    ))
    .unwrap();
    assert_eq!(lease["spec"]["renewTime"], "2025-07-09T06:15:28.000001Z");
    let options = parse(&enveloped("apps/v1", "DeleteOptions", &field(4, b"Orphan"))).unwrap();
    assert_eq!(options["propagationPolicy"], "Orphan");
}

#[test]
fn every_served_built_in_kind_has_a_message() {
    for row in crate::kind::built_in() {
        let body = enveloped(&row.api_version(), &row.kind, &field(1, &field(1, b"x")));
        assert_eq!(
            parse(&body).unwrap()["metadata"]["name"],
            "x",
            "{}",
            row.kind
        );
    }
}

/// The schema of a definition, read as the real type of its field is.
fn schema(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let message = message("apiextensions.JSONSchemaProps").unwrap();
    let mut document = Map::new();
    read(message, bytes, DEPTH_MAX, &mut document)?;
    Ok(document.into())
}

#[test]
fn a_schema_in_protobuf_has_numbers_and_what_is_one_thing_or_another() {
    let text = field(5, b"string");
    let bound = |number: u8, value: f64| [&[number << 3 | 1], &value.to_le_bytes()[..]].concat();
    let cases = [
        (bound(9, 2.5), json!({ "maximum": 2.5 })),
        // Optional, so that nothing is something; and without a fraction none is shown.
        (bound(11, 0.0), json!({ "minimum": 0 })),
        (bound(11, -3.0), json!({ "minimum": -3 })),
        (
            field(8, &field(1, b"{\"a\":1}")),
            json!({ "default": { "a": 1 } }),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(schema(&bytes).unwrap(), expected);
    }
    let cases = [
        (
            field(24, &field(1, &text)),
            json!({ "items": { "type": "string" } }),
        ),
        (
            field(24, &[field(2, &text), field(2, &text)].concat()),
            json!({ "items": [{ "type": "string" }, { "type": "string" }] }),
        ),
        (
            field(30, &[1 << 3, 0]),
            json!({ "additionalProperties": false }),
        ),
        (
            field(30, &[&[1 << 3, 1][..], &field(2, &text)].concat()),
            json!({ "additionalProperties": { "type": "string" } }),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(schema(&bytes).unwrap(), expected);
    }
    assert_eq!(schema(&bound(9, f64::NAN)), Err(ProtobufError::Malformed));
    let nested = (0..DEPTH_MAX).fold(text, |inner, _| field(28, &inner));
    assert_eq!(schema(&nested), Err(ProtobufError::TooDeep));
}

#[test]
fn bodies_that_nobody_should_send_are_refused() {
    // Every beginning of a message is none, or has less; the last four bytes say nothing.
    for end in 0..NAMESPACE.len() - 4 {
        let cut = parse(&NAMESPACE[..end]);
        assert!(cut.is_err() || cut != parse(NAMESPACE), "{end}");
    }
    let unknown = parse(&enveloped("x.io/v1", "Thing", b""));
    assert_eq!(unknown, Err(ProtobufError::UnknownKind("Thing".to_owned())));
    let wrong_type = enveloped("v1", "Namespace", &[1 << 3, 1]);
    assert_eq!(parse(&wrong_type), Err(ProtobufError::Malformed));
    let endless = [
        MAGIC,
        &[
            0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ],
    ]
    .concat();
    assert_eq!(parse(&endless), Err(ProtobufError::Malformed));
    let message = message("meta.ObjectMeta").unwrap();
    assert_eq!(
        read(message, b"", 0, &mut Map::new()),
        Err(ProtobufError::TooDeep)
    );
}
