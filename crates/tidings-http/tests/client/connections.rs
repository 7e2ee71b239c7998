//! Connections: who gets which, what is kept, and what is tried again.

use std::time::Duration;

use tidings_api::request::{JSON, Request};
use tidings_http::{Client, Proxy, Purpose, TransportError};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

use crate::server::{End, Server, ok, open, pods, read, read_head, reply};

#[tokio::test]
async fn pages_and_probes_share_a_kept_connection_and_a_watch_begins_its_own() {
    let server = Server::start([ok("1"), ok("2"), ok("3"), ok("4")]).await;
    let client = server.client();
    for _ in 0..2 {
        read(&mut open(&client, Purpose::List).await).await.unwrap();
    }
    client.send(&pods()).await.unwrap();
    assert_eq!(server.connections(), 1);
    assert_eq!(client.metrics().reused, 2);
    read(&mut open(&client, Purpose::Watch).await)
        .await
        .unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn pr_f26_a_kept_connection_that_died_costs_one_more_try() {
    let closed = reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", End::Close);
    let server = Server::start([closed, ok("fresh")]).await;
    let client = server.client();
    client.send(&pods()).await.unwrap();
    let answer = client.send(&pods()).await.unwrap();
    assert_eq!(answer.body, "fresh");
}

#[tokio::test]
async fn a_read_that_met_a_dying_connection_is_sent_again_and_a_write_is_not() {
    let server = Server::start([ok("1"), reply("", End::Close), ok("2")]).await;
    let client = server.client();
    client.send(&pods()).await.unwrap();
    assert_eq!(client.send(&pods()).await.unwrap().body, "2");
    let metrics = client.metrics();
    assert_eq!((metrics.retries, metrics.connects), (1, 2));

    let server = Server::start([ok("1"), reply("", End::Close), ok("2")]).await;
    let client = server.client();
    client.send(&pods()).await.unwrap();
    let write = Request::write("POST", "/api/v1/pods".to_owned(), JSON, b"{}".to_vec());
    let error = client.send(&write).await.unwrap_err();
    assert!(matches!(error, TransportError::Closed { .. }), "{error:?}");
    assert_eq!(server.heads().len(), 2, "the write went out once");
}

#[tokio::test]
async fn kept_connections_grow_old_and_can_be_closed() {
    let server = Server::start((0..3).map(|_| ok(""))).await;
    let client = server.client();
    client.send(&pods()).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    client.send(&pods()).await.unwrap();
    assert_eq!(server.connections(), 2);
    client.close_kept();
    client.send(&pods()).await.unwrap();
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn an_answer_that_never_begins_is_a_closed_connection() {
    let server = Server::start([reply("", End::Close), reply("HTTP/1.1 2", End::Reset)]).await;
    let client = server.client();
    for _ in 0..2 {
        let error = client.open(&pods(), Purpose::Watch).await.unwrap_err();
        assert!(matches!(error, TransportError::Closed { .. }), "{error:?}");
    }
    assert_eq!(client.metrics().watch.failed, 2);
}

#[tokio::test]
async fn pr_f27_nobody_listening_and_no_such_name_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = |url: String| async move {
        let config = tidings_http::ClientConfig::from_server(&url).unwrap();
        let client = Client::new(config).unwrap();
        let error = client.open(&pods(), Purpose::List).await.unwrap_err();
        assert_eq!(client.metrics().connect_failures, 1);
        error
    };
    let refused = error(format!("http://{address}")).await;
    assert!(
        matches!(refused, TransportError::Connect { .. }),
        "{refused:?}"
    );
    assert_eq!(
        refused.to_string(),
        format!("cannot connect to http://{address}")
    );
    let unknown = error("http://no-such-host.invalid".to_owned()).await;
    assert!(
        matches!(
            unknown,
            TransportError::Resolve { .. } | TransportError::Timeout { .. }
        ),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn pr_f27_a_name_with_several_addresses_tries_them() {
    let server = Server::start([ok("")]).await;
    let url = format!("http://localhost:{}", server.address.port());
    let config = tidings_http::ClientConfig::from_server(&url).unwrap();
    let client = Client::new(config).unwrap();
    assert_eq!(client.send(&pods()).await.unwrap().status, 200);
}

#[tokio::test]
async fn sec_5_a_proxy_opens_a_tunnel_with_its_own_credentials() {
    let server = Server::start([ok("through")]).await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = server.config();
    let url = format!("http://me:p%40ss@{}", proxy.local_addr().unwrap());
    config.proxy = Some(Proxy::parse(&url).unwrap());
    let client = Client::new(config).unwrap();
    let target = server.address;
    let tunnel = tokio::spawn(async move {
        let (mut client, _) = proxy.accept().await.unwrap();
        let head = read_head(&mut client).await.unwrap();
        client
            .write_all(b"HTTP/1.1 200 Connected\r\n\r\n")
            .await
            .unwrap();
        let mut server = tokio::net::TcpStream::connect(target).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        head
    });
    assert_eq!(client.send(&pods()).await.unwrap().body, "through");
    drop(client);
    let head = tunnel.await.unwrap();
    assert!(
        head.starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")),
        "{head}"
    );
    assert!(
        head.contains("Proxy-Authorization: Basic bWU6cEBzcw==\r\n"),
        "{head}"
    );
}

#[tokio::test]
async fn sec_5_a_proxy_that_refuses_is_named() {
    let proxy = Server::start([reply("HTTP/1.1 407 No\r\n\r\n", End::Keep)]).await;
    let mut config = tidings_http::ClientConfig::from_server("http://10.0.0.1").unwrap();
    config.proxy = Some(Proxy::parse(&format!("http://{}", proxy.address)).unwrap());
    let error = Client::new(config)
        .unwrap()
        .send(&pods())
        .await
        .unwrap_err();
    assert!(matches!(error, TransportError::Proxy { .. }), "{error:?}");
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_is_the_callers_fault() {
    let server = Server::start([]).await;
    for path in ["api", "", "/a b", "http://elsewhere/"] {
        let request = Request::get(path.to_owned());
        let error = server.client().send(&request).await.unwrap_err();
        assert!(
            matches!(error, TransportError::Request { .. }),
            "{path}: {error:?}"
        );
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_and_answers_go_from_thread_to_thread() {
    let server = Server::start((0..8).map(|_| ok("hello"))).await;
    let client = server.client();
    let mut tasks = Vec::new();
    for purpose in [Purpose::List, Purpose::Watch].repeat(4) {
        let client = client.clone();
        tasks.push(tokio::spawn(async move {
            let mut response = open(&client, purpose).await;
            tokio::spawn(async move { read(&mut response).await.unwrap() })
                .await
                .unwrap()
        }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap(), b"hello");
    }
}
