//! Credentials on the wire: who sends which token, and when it is loaded anew.

use std::fs;

use tidings_http::{
    Client, Credentials, HttpVersion, Secret, TransportError,
    credentials::{ExecSettings, ExecVersion, Impersonation},
};

use crate::server::{End, Server, ok, pods, reply};

const REFUSED: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";

fn authorization(head: &str) -> Option<&str> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("authorization").then_some(value)
    })
}

#[tokio::test]
async fn pr_f60_a_refused_token_is_read_again_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    fs::write(&path, "old").unwrap();
    let server = Server::start([reply(REFUSED, End::Keep), ok(""), ok("")]).await;
    let mut config = server.config();
    config.credentials = Credentials::TokenFile {
        path: path.clone(),
        fallback: None,
    };
    let client = Client::new(config).unwrap();
    let refused = client.send(&pods()).await.unwrap();
    assert_eq!(refused.status, 401);
    fs::write(&path, "new").unwrap();
    client.refresh_credentials(refused.credential);
    client.send(&pods()).await.unwrap();
    client.refresh_credentials(refused.credential);
    client.send(&pods()).await.unwrap();
    let heads = server.heads();
    let sent: Vec<_> = heads
        .iter()
        .map(|head| authorization(head).unwrap())
        .collect();
    assert_eq!(sent, ["Bearer old", "Bearer new", "Bearer new"]);
    assert_eq!(client.metrics().credential_refreshes, 2);
}

#[cfg(unix)]
#[tokio::test]
async fn cg_1_6_a_plugin_runs_once_and_again_after_a_refusal() {
    let directory = tempfile::tempdir().unwrap();
    let count = directory.path().join("count");
    let mut settings = ExecSettings::new(ExecVersion::V1, "/bin/sh");
    let script = r#"echo x >> "$COUNT"; N=$(($(wc -l < "$COUNT"))); printf '%s' \
        "{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\
        \"status\":{\"token\":\"token-$N\"}}""#;
    settings.args = vec!["-c".to_owned().into(), script.to_owned().into()];
    let count = count.to_str().unwrap().to_owned();
    settings.env = vec![("COUNT".to_owned(), count.into())];
    let server = Server::start([ok(""), reply(REFUSED, End::Keep), ok("")]).await;
    let mut config = server.config();
    config.credentials = Credentials::Exec(Box::new(settings));
    let client = Client::new(config).unwrap();
    client.send(&pods()).await.unwrap();
    let refused = client.send(&pods()).await.unwrap();
    client.refresh_credentials(refused.credential);
    client.send(&pods()).await.unwrap();
    let heads = server.heads();
    let sent: Vec<_> = heads
        .iter()
        .map(|head| authorization(head).unwrap())
        .collect();
    assert_eq!(sent, ["Bearer token-1", "Bearer token-1", "Bearer token-2"]);
}

#[tokio::test]
async fn without_a_credential_nothing_is_sent() {
    let server = Server::start([ok("")]).await;
    let mut config = server.config();
    config.credentials = Credentials::TokenFile {
        path: "/nowhere/token".into(),
        fallback: None,
    };
    let error = Client::new(config)
        .unwrap()
        .send(&pods())
        .await
        .unwrap_err();
    assert!(matches!(error, TransportError::Credentials(_)), "{error:?}");
    assert_eq!(server.connections(), 0);
    server.client().send(&pods()).await.unwrap();
    assert_eq!(authorization(&server.heads()[0]), None);
}

#[tokio::test]
async fn impersonation_goes_with_every_request() {
    let server = Server::start([ok("")]).await;
    let mut config = server.config();
    config.impersonation = Some(Impersonation {
        user: "jane".to_owned(),
        groups: vec!["a".to_owned(), "b".to_owned()],
        ..Impersonation::default()
    });
    Client::new(config).unwrap().send(&pods()).await.unwrap();
    let head = server.heads().remove(0).to_lowercase();
    assert!(head.contains("impersonate-user: jane\r\n"), "{head}");
    assert_eq!(head.matches("impersonate-group: ").count(), 2);
}

#[tokio::test]
async fn identity_tells_credentials_apart_and_reveals_none() {
    let server = Server::start([]).await;
    let identity = |token: &str, http| {
        let mut config = server.config();
        config.credentials = Credentials::Token(Secret::new(token.to_owned()));
        config.http = http;
        Client::new(config).unwrap().identity()
    };
    let one = identity("CANARY", HttpVersion::Http1);
    assert_eq!(one, identity("CANARY", HttpVersion::Http2));
    assert_ne!(one, identity("CANARY2", HttpVersion::Http1));
    assert_ne!(one, server.client().identity());
    assert!(!format!("{one:?}").contains("CANARY"));
    assert_eq!(one.endpoint(), format!("http://{}", server.address));
}
