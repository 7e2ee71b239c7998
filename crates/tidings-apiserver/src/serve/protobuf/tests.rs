//! Messages as kubectl 1.35 sent them, and messages that nobody should send.

use super::*;

/// `kubectl create namespace zed`, as it went over the wire.
const NAMESPACE: &[u8] =
    b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x1b\x0a\x13\x0a\x03zed\x12\0\x1a\0\"\0*\0\
    2\08\0B\0\x12\0\x1a\x02\x0a\0\x1a\0\"\0";

/// A field of bytes; all that is written here is shorter than 128.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
    out.extend_from_slice(bytes);
    out
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
fn every_served_built_in_kind_but_definitions_has_a_message() {
    for row in crate::kind::built_in()
        .iter()
        .filter(|row| row.kind != "CustomResourceDefinition")
    {
        let body = enveloped(&row.api_version(), &row.kind, &field(1, &field(1, b"x")));
        assert_eq!(
            parse(&body).unwrap()["metadata"]["name"],
            "x",
            "{}",
            row.kind
        );
    }
    let definition = enveloped("apiextensions.k8s.io/v1", "CustomResourceDefinition", b"");
    assert!(matches!(
        parse(&definition),
        Err(ProtobufError::UnknownKind(_))
    ));
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
    // meta.OwnerReference cannot nest; a JSON schema's message is not served, so depth is tried on the reader.
    let message = message("meta.ObjectMeta").unwrap();
    assert_eq!(
        read(message, b"", 0, &mut Map::new()),
        Err(ProtobufError::TooDeep)
    );
}
