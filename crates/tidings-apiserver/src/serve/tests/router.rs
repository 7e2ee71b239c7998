//! The router without sockets: requests that no client of ours makes.

use bytes::Bytes;
use http::{Request, Response};

use super::*;
use crate::serve::in_process::InProcess;

async fn answer(server: &InProcess, method: &str, target: &str) -> Response<Option<Bytes>> {
    let request = Request::builder().method(method).uri(target);
    server.answer(request.body(Bytes::new()).unwrap()).await
}

#[tokio::test]
async fn only_two_hexadecimal_digits_are_a_byte() {
    let server = InProcess::new(Config::default());
    for (target, code) in [
        ("/api/v1/namespaces/default", 200),
        ("/api/v1/namespaces/d%65fault", 200),
        ("/api/v1/namespaces/d%6", 404),
        // A sign is no digit.
        ("/api/v1/namespaces/%+0default", 404),
        ("/api/v1/namespaces/%ff", 404),
    ] {
        let answer = answer(&server, "GET", target).await;
        assert_eq!(answer.status().as_u16(), code, "{target}");
        let body: Value = serde_json::from_slice(&answer.into_body().unwrap()).unwrap();
        let kind = if code == 200 { "Namespace" } else { "Status" };
        assert_eq!(body["kind"], kind, "{target}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_without_sockets_ends_with_its_time() {
    let server = InProcess::new(Config::default());
    let target = "/api/v1/namespaces?watch=1&timeoutSeconds=86400&resourceVersion=0";
    let answer = answer(&server, "GET", target).await;
    assert_eq!(answer.status().as_u16(), 200);
    let body = answer.into_body().expect("it ends well");
    let mut frames = serde_json::Deserializer::from_slice(&body).into_iter::<Value>();
    assert!(frames.all(|frame| frame.unwrap()["type"] == "ADDED"));
}
