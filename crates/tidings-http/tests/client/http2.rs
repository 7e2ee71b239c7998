//! HTTP/2: shared connections, and ends that are none.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use h2::{Reason, server::SendResponse};
use tidings_api::request::Request;
use tidings_http::{
    Client, ClientConfig, HttpVersion, Purpose, Response, TransportError,
    tls::{Roots, TlsError},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::server::{Authority, Server, ok, pods, read};

/// A server whose answers depend on the path.
struct H2 {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl H2 {
    async fn start(streams_max: u32) -> Self {
        Self::run(streams_max, None).await
    }

    async fn run(streams_max: u32, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, SeqCst);
                match tls.clone() {
                    None => drop(tokio::spawn(serve(stream, streams_max))),
                    Some(tls) => drop(tokio::spawn(async move {
                        serve(tls.accept(stream).await.unwrap(), streams_max).await;
                    })),
                }
            }
        });
        Self {
            address,
            connections,
        }
    }

    fn client(&self) -> Client {
        let url = format!("http://{}", self.address);
        let mut config = ClientConfig::from_server(&url).unwrap();
        config.http = HttpVersion::Http2;
        Client::new(config).unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, streams_max: u32) {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(streams_max);
    let mut connection = builder.handshake::<_, Bytes>(stream).await.unwrap();
    let (mut held, mut doomed) = (Vec::new(), Vec::new());
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        assert!(request.uri().authority().is_some(), "the whole URI is sent");
        let mut send = |body: &'static str, end| send(&mut respond, body, end);
        match request.uri().path() {
            "/hold" => held.push(send("first", false)),
            "/no-error" => doomed.push((send("first", false), Reason::NO_ERROR)),
            "/internal" => doomed.push((send("first", false), Reason::INTERNAL_ERROR)),
            "/cancel" => doomed.push((send("first", false), Reason::CANCEL)),
            "/reset" => {
                for (mut stream, reason) in doomed.drain(..) {
                    stream.send_reset(reason);
                }
                drop(send("done", true));
            }
            "/goaway" => {
                send("last", true);
                connection.graceful_shutdown();
            }
            "/vanish" => return,
            _ => drop(send("hello", true)),
        }
    }
}

fn send(respond: &mut SendResponse<Bytes>, body: &'static str, end: bool) -> h2::SendStream<Bytes> {
    let mut stream = respond
        .send_response(http::Response::new(()), false)
        .unwrap();
    stream
        .send_data(Bytes::from_static(body.as_bytes()), end)
        .unwrap();
    stream
}

async fn open(client: &Client, path: &str, purpose: Purpose) -> Response {
    let request = Request::get(path.to_owned());
    client.open(&request, purpose).await.unwrap()
}

#[tokio::test]
async fn watches_share_a_connection_and_a_list_has_its_own() {
    let server = H2::start(100).await;
    let client = server.client();
    let mut watches = Vec::new();
    for _ in 0..3 {
        watches.push(open(&client, "/hold", Purpose::Watch).await);
    }
    client.send(&pods()).await.unwrap();
    assert_eq!(server.connections(), 1);
    for _ in 0..2 {
        let mut list = open(&client, "/pods", Purpose::List).await;
        assert_eq!(read(&mut list).await.unwrap(), b"hello");
    }
    assert_eq!(
        server.connections(),
        2,
        "both pages on one other connection"
    );
    let mut lists = Vec::new();
    for _ in 0..2 {
        lists.push(open(&client, "/hold", Purpose::List).await);
    }
    assert_eq!(server.connections(), 3, "two lists at a time on two");
}

#[tokio::test]
async fn pr_s8_pr_f22_streams_beyond_the_limit_get_another_connection() {
    let server = H2::start(2).await;
    let client = server.client();
    // The limit comes with the settings, before the first answer.
    let mut watches = Vec::new();
    for _ in 0..5 {
        let mut watch = open(&client, "/hold", Purpose::Watch).await;
        assert_eq!(watch.chunk().await.unwrap().unwrap(), "first");
        watches.push(watch);
    }
    assert_eq!(server.connections(), 3);
    // A stream that is over leaves its place to the next.
    watches.clear();
    let _watch = open(&client, "/hold", Purpose::Watch).await;
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn pr_l21_only_end_stream_is_an_end() {
    let server = H2::start(100).await;
    let client = server.client();
    let mut whole = open(&client, "/pods", Purpose::Watch).await;
    assert_eq!(read(&mut whole).await.unwrap(), b"hello");
    for path in ["/no-error", "/internal", "/cancel", "/hold"] {
        let mut response = open(&client, path, Purpose::Watch).await;
        assert_eq!(response.chunk().await.unwrap().unwrap(), "first");
        let end = if path == "/hold" { "/vanish" } else { "/reset" };
        let _ = client
            .open(&Request::get(end.to_owned()), Purpose::Short)
            .await;
        let error = read(&mut response).await.unwrap_err();
        assert!(
            matches!(error, TransportError::Truncated { .. }),
            "{path}: {error:?}"
        );
    }
}

#[tokio::test]
async fn pr_s9_pr_f26_after_goaway_streams_go_on_and_new_ones_go_elsewhere() {
    let server = H2::start(100).await;
    let client = server.client();
    let mut watch = open(&client, "/hold", Purpose::Watch).await;
    let mut last = open(&client, "/goaway", Purpose::Short).await;
    assert_eq!(read(&mut last).await.unwrap(), b"last");
    for _ in 0..3 {
        client.send(&pods()).await.unwrap();
    }
    assert_eq!(watch.chunk().await.unwrap().unwrap(), "first");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn sec_15_the_protocol_is_agreed_over_tls_and_auto_takes_what_there_is() {
    let authority = Authority::new();
    let mut tls = authority.server("127.0.0.1");
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let server = Server::start_tls([ok("1"), ok("2")], tls).await;
    let url = format!("https://{}", server.address);
    let mut config = ClientConfig::from_server(&url).unwrap();
    config.tls.roots = Roots::Anyone;
    config.http = HttpVersion::Auto;
    let client = Client::new(config.clone()).unwrap();
    assert_eq!(client.send(&pods()).await.unwrap().body, "1");
    assert_eq!(client.send(&pods()).await.unwrap().body, "2");
    config.http = HttpVersion::Http2;
    let error = Client::new(config)
        .unwrap()
        .send(&pods())
        .await
        .unwrap_err();
    assert!(
        matches!(
            &error,
            TransportError::Tls {
                source: TlsError::NoHttp2,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn sec_15_auto_takes_http_2_where_it_is_offered() {
    let authority = Authority::new();
    let mut tls = authority.server("127.0.0.1");
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let server = H2::run(100, Some(Arc::new(tls).into())).await;
    let url = format!("https://{}", server.address);
    let mut config = ClientConfig::from_server(&url).unwrap();
    config.tls.roots = Roots::Anyone;
    for http in [HttpVersion::Auto, HttpVersion::Http2] {
        config.http = http;
        let client = Client::new(config.clone()).unwrap();
        let mut watch = open(&client, "/hold", Purpose::Watch).await;
        assert_eq!(watch.chunk().await.unwrap().unwrap(), "first");
        assert_eq!(client.send(&pods()).await.unwrap().body, "hello");
        assert_eq!(client.metrics().connects, 1);
    }
}
