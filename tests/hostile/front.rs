//! An address that is either the embedded API server's or a hostile script's, as the row says.
//!
//! Does not judge. What it passes on it passes on byte by byte; only HTTP/2, which the embedded
//! server does not speak, is translated.
//!
//! F1  A change of the mode closes every connection of the old one.
//! F2  Each request that a script gets, or is refused on its behalf, is counted before it is answered.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc};

use tidings_api::request::Request;
use tidings_http::{Client, ClientConfig, Purpose};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

use crate::words;

/// What the hostile server does with one connection. When it returns, the connection is closed.
pub(crate) type Script = Arc<dyn Fn(Exchange) -> Playing + Send + Sync>;
pub(crate) type Playing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection that a script plays on.
pub(crate) struct Exchange {
    pub(crate) io: TcpStream,
    /// The request's head, empty where the script reads by itself.
    pub(crate) head: String,
    /// How many connections the script had before.
    pub(crate) round: u32,
    /// The version that the good server is at.
    pub(crate) version: u64,
}

/// Which requests meet the script.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Each connection, before a byte of it is read.
    Connection,
    /// Lists; watches are told that their version has expired.
    List,
    /// Watches; lists are answered by the good server.
    Watch,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nobody is there.
    Down,
    Good,
    Hostile,
}

/// How the good server speaks.
#[derive(Clone)]
pub(crate) enum Speech {
    Http1,
    Http2,
    Tls(TlsAcceptor),
}

#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    mode: watch::Sender<Mode>,
    hits: watch::Sender<u32>,
}

struct Server {
    front: Front,
    behind: SocketAddr,
    place: Place,
    speech: Speech,
    script: Script,
    version: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl Front {
    pub(crate) async fn start(
        behind: SocketAddr,
        (place, speech, script): (Place, Speech, Script),
        version: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = Self {
            address: listener.local_addr().unwrap(),
            mode: watch::Sender::new(Mode::Good),
            hits: watch::Sender::new(0),
        };
        let server = Arc::new(Server {
            front: front.clone(),
            behind,
            place,
            speech,
            script,
            version: Arc::new(version),
        });
        tokio::spawn(async move {
            while let Ok((io, _)) = listener.accept().await {
                let _ = io.set_nodelay(true);
                let server = Arc::clone(&server);
                let mut mode = server.front.mode.subscribe();
                let at_first = *mode.borrow_and_update();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = mode.wait_for(|mode| *mode != at_first) => {}
                        () = server.serve(at_first, io) => {}
                    }
                });
            }
        });
        front
    }

    pub(crate) fn turn(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    pub(crate) fn hits(&self) -> watch::Receiver<u32> {
        self.hits.subscribe()
    }
}

impl Server {
    async fn serve(&self, mode: Mode, io: TcpStream) {
        match (mode, self.place) {
            (Mode::Down, _) => {}
            (Mode::Good, _) => self.be_good(io).await,
            (Mode::Hostile, Place::Connection) => self.play(io, String::new()).await,
            (Mode::Hostile, place) => self.read_and_play(place, io).await,
        }
    }

    async fn read_and_play(&self, place: Place, mut io: TcpStream) {
        let Some(head) = words::read_head(&mut io).await else {
            return;
        };
        let is_watch = head.lines().next().unwrap_or_default().contains("watch=");
        if is_watch == (place == Place::Watch) {
            return self.play(io, head).await;
        }
        self.front.hits.send_modify(|hits| *hits += 1);
        if is_watch {
            let _ = io.write_all(words::expired().as_bytes()).await;
        } else {
            relay(self.behind, io, head.as_bytes()).await;
        }
    }

    async fn play(&self, io: TcpStream, head: String) {
        // Before the request is counted: the row may be over then, and go on to write.
        let version = (self.version)();
        let mut round = 0;
        self.front.hits.send_modify(|hits| {
            round = *hits;
            *hits += 1;
        });
        let exchange = Exchange {
            io,
            head,
            round,
            version,
        };
        (self.script)(exchange).await;
    }

    async fn be_good(&self, io: TcpStream) {
        match &self.speech {
            Speech::Http1 => relay(self.behind, io, b"").await,
            Speech::Http2 => translate(self.behind, io).await,
            Speech::Tls(tls) => {
                if let Ok(io) = tls.accept(io).await {
                    relay(self.behind, io, b"").await;
                }
            }
        }
    }
}

/// Passes bytes on, beginning with those that were read already.
pub(crate) async fn relay(
    behind: SocketAddr,
    mut io: impl AsyncRead + AsyncWrite + Unpin,
    head: &[u8],
) {
    let Ok(mut other) = TcpStream::connect(behind).await else {
        return;
    };
    let _ = other.set_nodelay(true);
    if other.write_all(head).await.is_ok() {
        let _ = tokio::io::copy_bidirectional(&mut io, &mut other).await;
    }
}

/// Answers HTTP/2 with what the server behind answers over HTTP/1.1.
async fn translate(behind: SocketAddr, io: impl AsyncRead + AsyncWrite + Unpin) {
    let config = ClientConfig::from_server(&format!("http://{behind}")).unwrap();
    let client = Client::new(config).unwrap();
    let Ok(mut connection) = h2::server::handshake(io).await else {
        return;
    };
    let mut streams = tokio::task::JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        streams.spawn(translate_one(client.clone(), request, respond));
    }
}

async fn translate_one(
    client: Client,
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<bytes::Bytes>,
) {
    let path = request.uri().path_and_query().unwrap().to_string();
    let opened = client.open(&Request::get(path), Purpose::Watch).await;
    let Ok(mut response) = opened else { return };
    let head = http::Response::builder()
        .status(response.status)
        .header("content-type", response.content_type.clone());
    let Ok(mut stream) = respond.send_response(head.body(()).unwrap(), false) else {
        return;
    };
    while let Some(Ok(chunk)) = response.chunk().await {
        if stream.send_data(chunk, false).is_err() {
            return;
        }
    }
    let _ = stream.send_data(bytes::Bytes::new(), true);
}

impl Exchange {
    /// Sends bytes. Returns whether the client still takes them.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.io.write_all(bytes.as_ref()).await.is_ok() && self.io.flush().await.is_ok()
    }

    /// Sends bytes again and again, until the client has had enough.
    pub(crate) async fn send_for_ever(&mut self, bytes: &[u8]) {
        while self.send(bytes).await {}
    }

    /// Answers 200, with a JSON body in chunks to follow.
    pub(crate) async fn begin(&mut self) -> bool {
        self.send(words::OK).await
    }

    /// Sends a piece of a body in chunks.
    pub(crate) async fn chunk(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.send(words::chunk(bytes.as_ref())).await
    }

    /// Sends a whole answer, in one chunk.
    pub(crate) async fn answer(&mut self, body: impl AsRef<[u8]>) {
        let body = words::chunk(body.as_ref());
        let end: &[u8] = b"0\r\n\r\n";
        self.send([words::OK.as_bytes(), &body, end].concat()).await;
    }

    /// Waits until the client has closed the connection.
    pub(crate) async fn hold(&mut self) {
        while self.io.read_u8().await.is_ok() {}
    }
}
