//! What the scripts say: heads, chunks, objects, lists and events.

use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::log::CONTENT;

/// A head that announces chunks of JSON.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                             Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";

/// A refusal by a watch of a version that is too old.
pub(crate) fn expired() -> String {
    status(
        "410 Gone",
        r#"{"kind":"Status","code":410,"reason":"Expired"}"#,
    )
}

/// A whole answer.
pub(crate) fn status(line: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {line}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

/// A head of one's own, with what comes after it.
pub(crate) fn with_head(headers: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{headers}\r\n{body}")
}

pub(crate) fn chunk(bytes: &[u8]) -> Vec<u8> {
    let size = format!("{:x}\r\n", bytes.len());
    [size.as_bytes(), bytes, b"\r\n"].concat()
}

/// A ConfigMap with a secret in it.
pub(crate) fn object(name: &str, version: impl std::fmt::Display) -> String {
    object_with(name, &format!("uid-{name}"), version)
}

pub(crate) fn object_with(name: &str, uid: &str, version: impl std::fmt::Display) -> String {
    format!(
        r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"{name}","namespace":"default","uid":"{uid}","resourceVersion":"{version}"}},"data":{{"value":"{CONTENT}"}}}}"#
    )
}

pub(crate) fn event(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

pub(crate) fn bookmark(version: impl std::fmt::Display) -> String {
    event(
        "BOOKMARK",
        &format!(
            r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"resourceVersion":"{version}"}}}}"#
        ),
    )
}

pub(crate) fn list_head(meta: &str) -> String {
    format!(r#"{{"kind":"ConfigMapList","apiVersion":"v1","metadata":{{{meta}}},"items":["#)
}

pub(crate) fn list(objects: &[String], version: impl std::fmt::Display) -> String {
    let head = list_head(&format!(r#""resourceVersion":"{version}""#));
    format!("{head}{}]}}", objects.join(","))
}

/// Reads the head of a request, which has no body.
pub(crate) async fn read_head(io: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}
