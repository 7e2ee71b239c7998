//! Bodies: whole ones, split anywhere, and those that were cut.

use std::time::Duration;

use tidings_http::{Client, Purpose, TransportError};

use crate::server::{End, Reply, Server, ok, open, pods, read, reply};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\
    Content-Type: application/json\r\nAudit-Id: a-1\r\n\r\n";

#[tokio::test]
async fn pr_l21_a_body_is_whole_wherever_it_is_split() {
    let text = format!("{CHUNKED}5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\nX: trailer\r\n\r\n");
    for at in 1..text.len() {
        let (one, two) = text.as_bytes().split_at(at);
        let pieces = vec![one.to_vec(), two.to_vec()];
        let server = Server::start([Reply {
            pieces,
            end: End::Keep,
        }])
        .await;
        let mut response = open(&server.client(), Purpose::List).await;
        assert_eq!(read(&mut response).await.unwrap(), b"hello, world", "{at}");
        assert_eq!(response.received(), 12);
        assert!(response.chunk().await.is_none(), "the end stays the end");
    }
}

#[tokio::test]
async fn the_head_is_read_into_values() {
    let server = Server::start([
        reply(&format!("{CHUNKED}0\r\n\r\n"), End::Keep),
        reply(
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 3\r\n\r\nno.",
            End::Keep,
        ),
    ])
    .await;
    let client = server.client();
    let response = open(&client, Purpose::Watch).await;
    assert_eq!(
        (response.status, response.audit_id.as_deref()),
        (200, Some("a-1"))
    );
    assert_eq!(response.content_type, "application/json");
    assert_eq!(response.content_encoding, "");
    let answer = client.send(&pods()).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (429, &b"no."[..]));
    assert_eq!(answer.retry_after, Some(Duration::from_secs(7)));
    let metrics = client.metrics();
    assert_eq!((metrics.watch.success, metrics.short.client_error), (1, 1));
    assert_eq!(metrics.bytes_in, 3);

    let head = server.heads().remove(0);
    assert!(head.starts_with("GET /api/v1/pods HTTP/1.1\r\n"), "{head}");
    let has = |line: &str| head.to_lowercase().contains(&format!("\r\n{line}\r\n"));
    assert!(has(&format!("host: {}", server.address)), "{head}");
    assert!(
        has("accept-encoding: identity") && has("accept: application/json"),
        "{head}"
    );
    assert!(
        has(concat!("user-agent: tidings/", env!("CARGO_PKG_VERSION"))),
        "{head}"
    );
}

#[tokio::test]
async fn pr_l21_pr_f23_a_cut_body_is_an_error_and_never_an_end() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    for (text, received) in [
        (format!("{CHUNKED}5\r\nhello\r\n"), 5),
        (format!("{CHUNKED}5\r\nhel"), 3),
        (format!("{CHUNKED}5\r\nhello\r\n0\r\n"), 5),
        (format!("{CHUNKED}5\r\nhello"), 5),
        (CHUNKED.to_owned(), 0),
        (format!("{length}hello"), 5),
        (length.to_owned(), 0),
        (format!("{CHUNKED}5\r\nhelloXX"), 5),
        (format!("{CHUNKED}zz\r\n"), 0),
    ] {
        let server = Server::start([reply(&text, End::Close)]).await;
        let client = server.client();
        let mut response = open(&client, Purpose::List).await;
        let error = read(&mut response).await.unwrap_err();
        assert!(
            matches!(&error, TransportError::Truncated { received: got, .. } if *got == received),
            "{text:?}: {error:?}"
        );
        assert_eq!(client.metrics().truncated, 1);
    }
}

#[tokio::test]
async fn pr_f23_a_reset_is_no_end() {
    let text = format!("{CHUNKED}5\r\nhello\r\n");
    let server = Server::start([reply(&text, End::Reset)]).await;
    let mut response = open(&server.client(), Purpose::Watch).await;
    let error = read(&mut response).await.unwrap_err();
    assert!(
        matches!(error, TransportError::Truncated { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn pr_f20_a_list_that_stands_still_ends_with_an_error() {
    let text = format!("{CHUNKED}5\r\nhello\r\n");
    let server = Server::start([reply(&text, End::Stall)]).await;
    let mut config = server.config();
    config.timeouts.list_idle = Duration::from_millis(50);
    let mut response = open(&Client::new(config).unwrap(), Purpose::List).await;
    let error = read(&mut response).await.unwrap_err();
    assert!(
        matches!(error, TransportError::Stalled { received: 5, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn pr_f20_a_head_that_does_not_come_ends_with_an_error() {
    let server = Server::start([]).await;
    let mut config = server.config();
    config.timeouts.head = Duration::from_millis(50);
    config.timeouts.short = Duration::from_millis(50);
    let client = Client::new(config).unwrap();
    for purpose in [Purpose::List, Purpose::Watch, Purpose::Short] {
        let error = client.open(&pods(), purpose).await.unwrap_err();
        assert!(matches!(error, TransportError::Timeout { .. }), "{error:?}");
    }
    let error = client.send(&pods()).await.unwrap_err();
    assert!(
        error.to_string().contains("took longer than 50ms"),
        "{error}"
    );
}

#[tokio::test]
async fn sec_14_a_head_is_bounded() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100 << 10));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(200));
    for text in [&long, &many, "SSH-2.0-OpenSSH_9\r\n\r\n"] {
        let server = Server::start([reply(text, End::Keep)]).await;
        let error = server
            .client()
            .open(&pods(), Purpose::List)
            .await
            .unwrap_err();
        assert!(matches!(error, TransportError::Http { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_short_body_is_bounded() {
    let server = Server::start([ok("hello"), ok("hello")]).await;
    let client = server.client();
    let mut response = open(&client, Purpose::Short).await;
    let error = response.read_to_limit(4).await.unwrap_err();
    assert!(matches!(error, TransportError::BodyTooLarge { limit: 4 }));
    let mut response = open(&client, Purpose::Short).await;
    assert_eq!(response.read_to_limit(5).await.unwrap(), "hello");
}

/// Neither for the API server nor for anybody else (pr-S12).
#[tokio::test]
async fn sec_12_a_redirect_is_returned_and_not_followed() {
    let other = Server::start([ok("")]).await;
    let text = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n",
        other.address
    );
    let server = Server::start([reply(&text, End::Keep)]).await;
    let answer = server.client().send(&pods()).await.unwrap();
    assert_eq!(answer.status, 302);
    assert_eq!(other.connections(), 0);
}
