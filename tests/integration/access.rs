//! HTTPS and tokens: the kubeconfig that the server writes is enough, and rotations are followed.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tempfile::TempDir;
use tidings::{Informer, InformerHandle, Raw, WakeReason};
use tidings_api::request::Request;
use tidings_apiserver::serve::{self, Config, Handle, Tls, Token, Which};
use tidings_http::{
    Client, ClientConfig, Credentials, HttpVersion, Purpose, kubeconfig,
    tls::{Roots, Source},
};

use crate::{scripted::impatient, support::*};

/// A server over TLS with a token, and the files by which it is reached.
pub(crate) struct Secure {
    pub(crate) server: Handle,
    dir: TempDir,
}

impl Secure {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            tls: Some(Tls::default()),
            tokens: vec![Token::admin("first")],
            admin: Some(([127, 0, 0, 1], 0).into()),
            kubeconfig_out: Some(dir.path().join("kubeconfig")),
            ..Config::default()
        };
        let server = serve::start(config).await.unwrap();
        let secure = Self { server, dir };
        secure.write_authorities();
        secure.write_token();
        secure
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Replaced in one step, as a mounted volume is.
    fn replace(&self, name: &str, text: &str) {
        let next = self.path("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, self.path(name)).unwrap();
    }

    fn write_authorities(&self) {
        self.replace("ca.crt", &self.server.authorities().unwrap());
    }

    fn write_token(&self) {
        self.replace("token", self.server.tokens()[0].secret());
    }

    /// The kubeconfig that the server wrote.
    pub(crate) fn config(&self) -> ClientConfig {
        let overrides = kubeconfig::Overrides {
            path: Some(self.path("kubeconfig")),
            ..kubeconfig::Overrides::default()
        };
        kubeconfig::load(&overrides).unwrap()
    }

    /// The same with authority and token in files, as in a pod.
    fn config_of_files(&self) -> ClientConfig {
        let mut config = self.config();
        config.tls.roots = Roots::Given(Source::File(self.path("ca.crt")));
        config.credentials = Credentials::TokenFile {
            path: self.path("token"),
            fallback: None,
        };
        config
    }
}

pub(crate) async fn follow(config: ClientConfig) -> InformerHandle<Raw> {
    let client = Client::new(config).unwrap();
    let builder = Informer::builder(client, scope()).reflector(impatient());
    let handle = start(builder);
    handle.wait_synced(DEADLINE).await.unwrap();
    handle
}

fn reason(handle: &InformerHandle<Raw>, reason: WakeReason) -> u64 {
    let reasons = handle.state().stats.reasons;
    reasons.get(&reason).copied().unwrap_or(0)
}

#[tokio::test]
async fn the_kubeconfig_is_enough_over_http_1_and_http_2() {
    let secure = Secure::start().await;
    let server = &secure.server;
    put(server, "a", "1");
    for (http, protocol) in [(HttpVersion::Http1, "http/1.1"), (HttpVersion::Auto, "h2")] {
        let mut config = secure.config();
        config.http = http;
        let handle = follow(config).await;
        watched(server, 1).await;
        put(server, "b", protocol);
        level(server, &handle).await;
        let watch = &server.open_watches()[0];
        let open = server.open_connections();
        let connection = open.iter().find(|it| it.id == watch.connection);
        let connection = connection.unwrap();
        assert_eq!(
            (connection.protocol, &*connection.user),
            (protocol, "admin")
        );
        handle.stop();
        watched(server, 0).await;
    }
    secure.server.shutdown().await;
}

#[tokio::test]
async fn who_trusts_another_authority_or_has_another_token_gets_nothing() {
    let secure = Secure::start().await;
    let other = Secure::start().await;
    let request = || Request::get("/api/v1/configmaps".to_owned());
    let mut config = other.config();
    config.endpoint = secure.config().endpoint;
    let distrusted = Client::new(config).unwrap().send(&request()).await;
    let error = distrusted.err().unwrap();
    let told = format!("{error:?}");
    assert!(told.contains("UnknownIssuer"), "{told}");
    let mut config = secure.config();
    config.credentials = Credentials::None;
    let answer = Client::new(config).unwrap().send(&request()).await;
    assert_eq!(answer.unwrap().status, 401);
    let client = Client::new(secure.config()).unwrap();
    assert_eq!(client.send(&request()).await.unwrap().status, 200);
}

/// pr-F61: clients that keep the old authority are lost until they read its file again.
#[tokio::test]
async fn pr_f61_a_rotated_authority_is_followed_when_its_file_is_there() {
    let secure = Secure::start().await;
    let server = &secure.server;
    put(server, "a", "1");
    let handle = follow(secure.config_of_files()).await;
    watched(server, 1).await;
    server.rotate_authority(false).unwrap();
    put(server, "b", "the stream that is open tells it");
    level(server, &handle).await;
    assert_eq!(reason(&handle, WakeReason::Transport), 0);
    server.cut_watches(true);
    put(server, "c", "while nothing is trusted");
    until(&handle, |state| {
        state.stats.reasons.get(&WakeReason::Transport) > Some(&1)
    })
    .await;
    assert_eq!(handle.store().len(), 2);
    secure.write_authorities();
    level(server, &handle).await;
    assert_eq!(handle.state().stats.lists, 1, "resumed, not listed");
}

#[tokio::test]
async fn pr_f61_with_the_old_authority_kept_clients_go_over_one_by_one() {
    let secure = Secure::start().await;
    let server = &secure.server;
    let handle = follow(secure.config_of_files()).await;
    watched(server, 1).await;
    // Who is told of both beforehand does not notice: here the file comes before the cut.
    server.rotate_authority(true).unwrap();
    let kept = server.authorities().unwrap();
    assert_eq!(kept.matches("BEGIN CERTIFICATE").count(), 2);
    secure.write_authorities();
    follow(secure.config()).await;
    server.cut_watches(true);
    put(server, "a", "1");
    level(server, &handle).await;
}

#[tokio::test]
async fn pr_f60_rotated_tokens_are_followed_when_their_file_is_there() {
    let secure = Secure::start().await;
    let server = &secure.server;
    let handle = follow(secure.config_of_files()).await;
    watched(server, 1).await;

    // The file is there in time: one refusal, and the next request bears the new token.
    server.rotate_tokens().unwrap();
    secure.write_token();
    put(server, "a", "the stream that is open tells it");
    level(server, &handle).await;
    assert_eq!(reason(&handle, WakeReason::Unauthorized), 0);
    server.cut_watches(true);
    put(server, "b", "1");
    level(server, &handle).await;
    assert_eq!(reason(&handle, WakeReason::Unauthorized), 1);

    // It comes late.
    server.rotate_tokens().unwrap();
    server.cut_watches(true);
    put(server, "c", "while no token is good");
    until(&handle, |state| {
        state.stats.reasons.get(&WakeReason::Unauthorized) > Some(&2)
    })
    .await;
    assert_eq!(handle.store().len(), 2);
    secure.write_token();
    level(server, &handle).await;
    assert_eq!(handle.state().stats.lists, 1, "resumed, not listed");
}

/// pr-S9: what is under way goes on, and what is new takes another connection.
#[tokio::test]
async fn pr_s9_pr_f26_goaway_moves_new_requests_to_another_connection() {
    let secure = Secure::start().await;
    let server = &secure.server;
    let mut config = secure.config();
    config.http = HttpVersion::Http2;
    let client = Client::new(config).unwrap();
    let builder = Informer::<Raw>::builder(client.clone(), scope()).reflector(impatient());
    let handle = start(builder);
    handle.wait_synced(DEADLINE).await.unwrap();
    watched(server, 1).await;
    let watch = server.open_watches()[0].clone();
    assert_eq!(server.go_away(&Which::resource("configmaps")), 1);
    put(server, "a", "on the stream that goes on");
    level(server, &handle).await;
    let still = server.open_watches();
    assert_eq!(
        still,
        std::slice::from_ref(&watch),
        "the watch was not ended"
    );
    server.cut_watches(false);
    put(server, "b", "on another connection");
    level(server, &handle).await;
    watched(server, 1).await;
    assert_ne!(server.open_watches()[0].connection, watch.connection);
    assert_eq!(handle.state().stats.lists, 1);
}

#[tokio::test]
async fn pr_s9_goaway_by_chance_takes_no_answer_with_it() {
    let secure = Secure::start().await;
    let server = &secure.server;
    for http in [HttpVersion::Http1, HttpVersion::Http2] {
        let rule = serve::Rule::new(serve::Effect::GoAway).at(0.5);
        server.faults(|faults| faults.rules = vec![rule]);
        let mut config = secure.config();
        config.http = http;
        let client = Arc::new(Client::new(config).unwrap());
        let handle = follow(secure.config()).await;
        for number in 0..50 {
            let request = Request::get("/api/v1/configmaps?limit=1".to_owned());
            let answer = client.send(&request).await;
            assert_eq!(answer.unwrap().status, 200, "{http:?} {number}");
        }
        let connects = client.metrics().connects;
        assert!((10..45).contains(&connects), "{http:?}: {connects}");
        put(server, "a", "1");
        level(server, &handle).await;
        server.reset();
        handle.stop();
    }
}

/// Over HTTP/2 a stream that nobody reads is ended, and the connection and its other streams go on.
#[tokio::test]
async fn pr_w18_pr_f22_a_stalled_stream_is_ended_without_its_connection() {
    let config = Config {
        tls: Some(Tls::default()),
        tokens: vec![Token::admin("first")],
        // The list is given up before the watch, whose end shows.
        stall_max: Duration::from_millis(400),
        request_timeout: Duration::from_millis(50),
        ..Config::default()
    };
    let server = serve::start(config).await.unwrap();
    let value = "x".repeat(64 << 10);
    for number in 0..400 {
        put(&server, &format!("c{number:03}"), &value);
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    std::fs::write(&path, server.kubeconfig()).unwrap();
    let overrides = kubeconfig::Overrides {
        path: Some(path),
        ..kubeconfig::Overrides::default()
    };
    let mut config = kubeconfig::load(&overrides).unwrap();
    config.http = HttpVersion::Http2;
    let client = Client::new(config).unwrap();
    let path = "/api/v1/configmaps".to_owned();
    let watch = Request::get(format!("{path}?watch=1"));
    // Some 26 MB each, of which nothing is read for now.
    let list = Request::get(path);
    let mut listing = client.open(&list, Purpose::List).await.unwrap();
    let mut watching = client.open(&watch, Purpose::Watch).await.unwrap();
    watched(&server, 0).await;
    let small = Request::get("/api/v1/namespaces/default/configmaps/c000".to_owned());
    assert_eq!(client.send(&small).await.unwrap().status, 200);
    for body in [&mut watching, &mut listing] {
        let mut bytes = 0;
        let ended = loop {
            match body.chunk().await {
                Some(Ok(chunk)) => bytes += chunk.len(),
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        };
        assert!(ended.is_some(), "it ended well after {bytes} bytes");
        assert!(bytes < 26 << 20, "{bytes}");
    }
    assert_eq!(client.send(&small).await.unwrap().status, 200);
    server.shutdown().await;
}

#[tokio::test]
async fn after_a_shutdown_nothing_of_the_server_is_left() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let secure = Secure::start().await;
    for http in [HttpVersion::Http1, HttpVersion::Http2] {
        let mut config = secure.config();
        config.http = http;
        // The first request of each client hangs, the second is a watch.
        let hang = serve::Rule::new(serve::Effect::Hang).on(Which {
            verb: Some("list".to_owned()),
            ..Which::default()
        });
        secure.server.faults(|faults| faults.rules = vec![hang]);
        let client = Client::new(config).unwrap();
        let path = "/api/v1/configmaps".to_owned();
        let watch = Request::get(format!("{path}?watch=1"));
        let watching = client.open(&watch, Purpose::Watch).await.unwrap();
        let list = Request::get(path);
        let requests = requests(&secure.server);
        tokio::select! {
            _ = client.send(&list) => panic!("it is answered"),
            () = until_requests(&secure.server, requests + 1) => {}
        }
        drop(watching);
    }
    secure.server.silence(&Which::default());
    secure.server.shutdown().await;
    let none = async {
        while metrics.num_alive_tasks() > before {
            tokio::task::yield_now().await;
        }
    };
    let gone = tokio::time::timeout(DEADLINE, none).await;
    assert!(gone.is_ok(), "{} tasks are left", metrics.num_alive_tasks());
}

fn requests(server: &Handle) -> u64 {
    server.open_connections().iter().map(|it| it.requests).sum()
}

async fn until_requests(server: &Handle, count: u64) {
    while requests(server) < count {
        tokio::task::yield_now().await;
    }
}
