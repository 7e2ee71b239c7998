//! Writes to a server whose answers the test writes by hand: those that the embedded server does not
//! give, and those that never come.

use std::{io::Write as _, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tidings::{
    Api, ApiError, DeleteOptions, Deletion, ObjectKey, Patch, Refusal, Resource, ResourceApi,
    Unreadable, WriteOptions, Written,
};
use tidings_http::{Client, ClientConfig, Credentials};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{
    support::DEADLINE,
    writes::{Notes, key},
};

/// A server that takes one connection at a time, and what talks to it.
struct Desk {
    listener: TcpListener,
    notes: Arc<Notes>,
    maps: ResourceApi,
    /// The object that is written.
    key: ObjectKey,
}

/// A request as it came.
struct Asked {
    head: String,
    body: String,
    stream: TcpStream,
}

async fn desk() -> Desk {
    desk_with(|_| {}).await
}

async fn desk_with(change: impl FnOnce(&mut ClientConfig)) -> Desk {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut config = ClientConfig::from_server(&url).unwrap();
    change(&mut config);
    let notes = Arc::new(Notes::default());
    let options = WriteOptions {
        field_manager: "desk".to_owned(),
        ..WriteOptions::default()
    };
    let api = Api::new(Client::new(config).unwrap())
        .observed_by(Arc::<Notes>::clone(&notes))
        .write_options(options);
    let maps = api.resource(&Resource::parse("v1/configmaps").unwrap());
    Desk {
        listener,
        notes,
        maps,
        key: key("default/a"),
    }
}

impl Asked {
    async fn answered(mut self, code: u16, headers: &str, body: &[u8]) -> Self {
        let length = body.len();
        let mut answer = Vec::new();
        write!(
            answer,
            "HTTP/1.1 {code} X\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n"
        )
        .unwrap();
        answer.extend_from_slice(body);
        self.stream.write_all(&answer).await.unwrap();
        self
    }
}

impl Desk {
    async fn asked(&self) -> Asked {
        let read = async {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            stream.read_exact(&mut body).await.unwrap();
            let body = String::from_utf8(body).unwrap();
            Asked { head, body, stream }
        };
        timeout(DEADLINE, read).await.expect("a request in time")
    }

    /// Answers one request with a code and a body, and returns the request.
    async fn answers(&self, code: u16, headers: &str, body: &[u8]) -> Asked {
        self.asked().await.answered(code, headers, body).await
    }

    /// As [`answers`](Self::answers), with something done between the request and its answer.
    async fn answers_after(&self, code: u16, body: &[u8], act: impl FnOnce()) -> Asked {
        let asked = self.asked().await;
        act();
        asked.answered(code, "", body).await
    }
    async fn patch(&self) -> Result<Written<Value>, ApiError> {
        let patch = Patch::Merge(json!({ "data": { "password": "hunter2" } }));
        self.maps.patch(&self.key, &patch).await
    }

    /// What a patch comes to that is answered so.
    async fn patched(
        &self,
        code: u16,
        headers: &str,
        body: &[u8],
    ) -> Result<Written<Value>, ApiError> {
        tokio::join!(self.patch(), self.answers(code, headers, body)).0
    }
}

const STORED: &str = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a",
    "namespace":"default","uid":"u1","resourceVersion":"7"},"data":{"value":"1"},"details":"its own"}"#;

#[tokio::test]
async fn an_apply_sends_its_fields_under_its_managers_name() {
    let desk = desk().await;
    let fields = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "value": "1" }
    });
    let (written, asked) = tokio::join!(
        desk.maps.apply::<_, Value>(&desk.key, &fields, true),
        desk.answers(201, "", STORED.as_bytes())
    );
    let written = written.unwrap();
    assert!(written.created);
    assert_eq!(
        (written.version.to_string(), written.uid.as_str()),
        ("7".to_owned(), "u1")
    );
    let line = asked.head.lines().next().unwrap();
    assert_eq!(
        line,
        "patch /api/v1/namespaces/default/configmaps/a?fieldmanager=desk&force=true http/1.1"
    );
    assert!(
        asked
            .head
            .contains("content-type: application/apply-patch+yaml\r\n")
    );
    assert_eq!(serde_json::from_str::<Value>(&asked.body).unwrap(), fields);
    assert_eq!(
        desk.notes.take(),
        [
            "begun apply default/a of configmaps.v1",
            "apply stored default/a@7"
        ]
    );

    let conflict = br#"{"kind":"Status","reason":"Conflict","code":409,"details":{"causes":[
        {"reason":"FieldManagerConflict","message":"conflict with \"other\"","field":".data.value"}]}}"#;
    let (refused, asked) = tokio::join!(
        desk.maps.apply::<_, Value>(&desk.key, &fields, false),
        desk.answers(409, "", conflict)
    );
    let refused = refused.unwrap_err();
    assert!(refused.is_conflict());
    let ApiError::Refused { status, .. } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(status.details.causes[0].field, ".data.value");
    assert!(!asked.head.contains("force"));
}

#[tokio::test]
async fn a_server_that_goes_in_the_middle_of_a_write_leaves_it_unknown() {
    let desk = desk().await;
    let (failed, ()) = tokio::join!(desk.patch(), async {
        drop(desk.asked().await);
    });
    let failed = failed.unwrap_err();
    assert!(
        failed.is_outcome_unknown() && failed.is_retriable(),
        "{failed:?}"
    );
    assert!(
        failed
            .to_string()
            .contains("it is unknown whether the server has acted")
    );
    assert_eq!(desk.notes.take()[1], "patch unknown");

    // The head of the answer says that it went well; the object did not come.
    let (failed, ()) = tokio::join!(desk.patch(), async {
        let mut asked = desk.asked().await;
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{\"kind\":";
        asked.stream.write_all(head).await.unwrap();
    });
    assert!(failed.unwrap_err().is_outcome_unknown());
    assert_eq!(desk.notes.take()[1], "patch unknown");

    // The same of a read is no question: nothing was to happen.
    let (failed, ()) = tokio::join!(desk.maps.get::<Value>(&desk.key), async {
        drop(desk.asked().await);
    });
    assert!(!failed.unwrap_err().is_outcome_unknown());
    assert_eq!(desk.notes.take(), Vec::<String>::new());
}

#[tokio::test]
async fn a_server_that_never_answers_leaves_a_write_unknown_after_the_deadline() {
    let desk = desk_with(|config| config.timeouts.short = Duration::from_millis(50)).await;
    let (failed, _asked) = tokio::join!(desk.patch(), desk.asked());
    assert!(failed.unwrap_err().is_outcome_unknown());
    assert_eq!(desk.notes.take()[1], "patch unknown");
}

#[tokio::test]
async fn a_server_that_is_not_there_has_not_acted() {
    let desk = desk().await;
    let Desk {
        listener,
        notes,
        maps,
        ..
    } = desk;
    drop(listener);
    let patch = Patch::Merge(json!({}));
    let failed = maps
        .patch::<Value>(&key("default/a"), &patch)
        .await
        .unwrap_err();
    assert!(
        !failed.is_outcome_unknown() && failed.is_retriable(),
        "{failed:?}"
    );
    assert_eq!(notes.take()[1], "patch refused");
}

#[tokio::test]
async fn a_write_whose_future_is_dropped_has_ended_once_and_is_unknown() {
    let desk = desk().await;
    let maps = desk.maps.clone();
    let task = tokio::spawn(async move {
        let patch = Patch::Merge(json!({}));
        maps.patch::<Value>(&key("default/a"), &patch).await
    });
    let asked = desk.asked().await;
    assert_eq!(
        desk.notes.take(),
        ["begun patch default/a of configmaps.v1"]
    );
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(desk.notes.take(), ["patch unknown"]);
    drop(asked);
}

#[tokio::test]
async fn a_refusal_after_the_fact_is_unknown_and_one_before_it_is_not() {
    let desk = desk().await;
    for (code, outcome) in [
        (500, "unknown"),
        (503, "unknown"),
        (504, "unknown"),
        (429, "refused"),
    ] {
        let failed = desk
            .patched(code, "Retry-After: 3\r\n", b"busy")
            .await
            .unwrap_err();
        assert_eq!(failed.retry_after(), Some(Duration::from_secs(3)));
        assert!(failed.is_retriable());
        assert_eq!(failed.is_outcome_unknown(), outcome == "unknown", "{code}");
        assert_eq!(desk.notes.take()[1], format!("patch {outcome}"));
    }
    let terminating = br#"{"kind":"Status","reason":"Forbidden","code":403,"details":{"causes":[
        {"reason":"NamespaceTerminating"}]}}"#;
    let failed = desk.patched(403, "", terminating).await.unwrap_err();
    assert_eq!(failed.refusal(), Some(Refusal::NamespaceTerminating));
    assert!(!failed.is_retriable());
}

#[tokio::test]
async fn a_refused_credential_is_loaded_anew_and_the_write_goes_out_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "old").unwrap();
    let desk = desk_with(|config| {
        config.credentials = Credentials::TokenFile {
            path: path.clone(),
            fallback: None,
        };
    })
    .await;
    let (written, ()) = tokio::join!(desk.patch(), async {
        let first = desk.answers_after(401, b"Unauthorized", || {
            std::fs::write(&path, "new").unwrap();
        });
        assert!(first.await.head.contains("authorization: bearer old\r\n"));
        let second = desk.answers(200, "", STORED.as_bytes()).await;
        assert!(second.head.contains("authorization: bearer new\r\n"));
        assert!(second.body.contains("hunter2"), "it is the same write");
    });
    assert_eq!(written.unwrap().version.to_string(), "7");
    let (refused, ()) = tokio::join!(desk.patch(), async {
        desk.answers(401, "", b"Unauthorized").await;
        desk.answers(401, "", b"Unauthorized").await;
    });
    assert_eq!(refused.unwrap_err().refusal(), Some(Refusal::Unauthorized));
    let notes = desk.notes.take();
    assert_eq!(notes.len(), 4, "{notes:?}");
    assert_eq!(notes[3], "patch refused");
}

/// An error says where the answer is odd, and never what stands there.
#[tokio::test]
async fn sec_27_a_write_whose_answer_cannot_be_read_has_happened() {
    let desk = desk().await;
    let patch = Patch::Merge(json!({ "data": {} }));
    assert_eq!(format!("{patch:?}"), "Patch::Merge(..)");
    let secret = STORED.replace(r#"{"value":"1"}"#, r#""hunter2""#);
    let (failed, _) = tokio::join!(
        desk.maps.patch::<Typed>(&desk.key, &patch),
        desk.answers(200, "", secret.as_bytes())
    );
    let failed = failed.unwrap_err();
    let ApiError::Answer { source, .. } = &failed else {
        panic!("{failed:?}");
    };
    assert!(
        matches!(source, Unreadable::Value { line: 2, .. }),
        "{source}"
    );
    assert!(!format!("{failed:?} {failed} {source}").contains("hunter2"));
    assert!(!failed.is_retriable());
    assert_eq!(desk.notes.take()[1], "patch stored default/a@7");

    for odd in [
        "{}",
        r#"{"metadata":{"name":"a","uid":"u1"}}"#,
        "[]",
        "ok",
        "",
    ] {
        let failed = desk.patched(200, "", odd.as_bytes()).await.unwrap_err();
        assert!(
            matches!(failed, ApiError::Answer { .. }),
            "{odd}: {failed:?}"
        );
        assert_eq!(desk.notes.take()[1], "patch unknown", "{odd}");
    }
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Typed {
    data: std::collections::BTreeMap<String, String>,
}

#[tokio::test]
async fn pr_n12_a_delete_is_over_only_if_nothing_keeps_the_object() {
    let desk = desk().await;
    let options = DeleteOptions::default();
    let marked = |rest: &str| {
        let mark =
            format!(r#""resourceVersion":"7","deletionTimestamp":"2026-01-01T00:00:00Z"{rest}"#);
        STORED.replace(r#""resourceVersion":"7""#, &mark)
    };
    let status = r#"{"kind":"Status","status":"Success","details":{"name":"a","uid":"u1"}}"#;
    let grace = marked(r#","deletionGracePeriodSeconds":30"#);
    let over = marked(r#","deletionGracePeriodSeconds":0"#);
    let foreground = marked(r#","finalizers":["foregroundDeletion"]"#);
    for (code, body, is_gone, note) in [
        (200, status, true, "deleted"),
        (202, status, false, "unknown"),
        (200, STORED, true, "deleted"),
        (202, STORED, false, "stored default/a@7"),
        (200, over.as_str(), true, "deleted"),
        (200, grace.as_str(), false, "stored default/a@7"),
        (202, foreground.as_str(), false, "stored default/a@7"),
    ] {
        let (deletion, _) = tokio::join!(
            desk.maps.delete(&desk.key, &options),
            desk.answers(code, "", body.as_bytes())
        );
        let deletion = deletion.unwrap();
        assert_eq!(
            matches!(deletion, Deletion::Gone { .. }),
            is_gone,
            "{code} {body}"
        );
        let (Deletion::Gone { uid } | Deletion::Pending { uid, .. }) = deletion else {
            panic!("another outcome");
        };
        assert_eq!(uid, "u1");
        assert_eq!(
            desk.notes.take()[1],
            format!("delete {note}"),
            "{code} {body}"
        );
    }
}

#[tokio::test]
async fn a_compressed_answer_is_read_and_a_broken_one_is_named() {
    let desk = desk_with(|config| config.accept_gzip = true).await;
    // gzip of `{"metadata":{"name":"a","uid":"u","resourceVersion":"7"}}`, stored without compression.
    let plain = br#"{"metadata":{"name":"a","uid":"u","resourceVersion":"7"}}"#;
    let whole = gzip_stored(plain);
    let written = desk
        .patched(200, "Content-Encoding: gzip\r\n", &whole)
        .await;
    assert_eq!(written.unwrap().version.to_string(), "7");
    desk.notes.take();
    let cut = &whole[..whole.len() - 3];
    let failed = desk
        .patched(200, "Content-Encoding: gzip\r\n", cut)
        .await
        .unwrap_err();
    assert!(matches!(
        failed,
        ApiError::Answer {
            source: Unreadable::Compressed,
            ..
        }
    ));
    assert_eq!(desk.notes.take()[1], "patch unknown");
}

/// A gzip member with one stored block.
fn gzip_stored(plain: &[u8]) -> Vec<u8> {
    let length = u16::try_from(plain.len()).unwrap();
    let mut crc = u32::MAX;
    for byte in plain {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
        }
    }
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&(!length).to_le_bytes());
    bytes.extend_from_slice(plain);
    bytes.extend_from_slice(&(!crc).to_le_bytes());
    bytes.extend_from_slice(&u32::from(length).to_le_bytes());
    bytes
}
