//! A server that answers with bytes from a script, and the certificates that it needs.
//!
//! It parses no more than it must: the tests decide each byte of an answer, and where it is split.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tidings_api::request::Request;
use tidings_http::{Client, ClientConfig, Purpose, Response, TransportError};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// One answer: its bytes in the pieces in which they are sent, and what follows.
pub(crate) struct Reply {
    pub(crate) pieces: Vec<Vec<u8>>,
    pub(crate) end: End,
}

/// What follows an answer.
#[derive(Clone, Copy)]
pub(crate) enum End {
    /// The connection is closed without a farewell.
    Close,
    /// The connection serves the next request.
    Keep,
    /// The connection is reset.
    Reset,
    /// Nothing comes any more.
    Stall,
}

/// The server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    script: Arc<Mutex<VecDeque<Reply>>>,
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

pub(crate) fn reply(text: &str, end: End) -> Reply {
    Reply {
        pieces: vec![text.as_bytes().to_vec()],
        end,
    }
}

/// A whole answer with a length.
pub(crate) fn ok(body: &str) -> Reply {
    let len = body.len();
    reply(
        &format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{body}"),
        End::Keep,
    )
}

impl Server {
    pub(crate) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        Self::run(script, None).await
    }

    pub(crate) async fn start_tls(
        script: impl IntoIterator<Item = Reply>,
        config: rustls::ServerConfig,
    ) -> Self {
        Self::run(script, Some(Arc::new(config).into())).await
    }

    async fn run(script: impl IntoIterator<Item = Reply>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            heads: Arc::default(),
            connections: Arc::default(),
        };
        let (script, heads) = (Arc::clone(&server.script), Arc::clone(&server.heads));
        let connections = Arc::clone(&server.connections);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, SeqCst);
                let (script, heads) = (Arc::clone(&script), Arc::clone(&heads));
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &script, &heads).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &script, &heads).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// The heads of the requests that have come.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    pub(crate) fn config(&self) -> ClientConfig {
        ClientConfig::from_server(&format!("http://{}", self.address)).unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.config()).unwrap()
    }
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    fn reset(self);
}

impl Stream for TcpStream {
    fn reset(self) {
        let socket = socket2::SockRef::from(&self);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

impl Stream for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset(self) {
        self.into_inner().0.reset();
    }
}

async fn serve(
    mut stream: impl Stream,
    script: &Mutex<VecDeque<Reply>>,
    heads: &Mutex<Vec<String>>,
) {
    while let Some(head) = read_head(&mut stream).await {
        heads.lock().unwrap().push(head);
        let next = script.lock().unwrap().pop_front();
        let Some(reply) = next else {
            return std::future::pending().await;
        };
        for piece in &reply.pieces {
            if stream.write_all(piece).await.is_err() || stream.flush().await.is_err() {
                return;
            }
            // The other side is given a chance to read each piece by itself.
            tokio::task::yield_now().await;
        }
        match reply.end {
            End::Close => return,
            End::Keep => {}
            End::Reset => return stream.reset(),
            End::Stall => return std::future::pending().await,
        }
    }
}

pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(head).unwrap();
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(text)
}

pub(crate) fn pods() -> Request {
    Request::get("/api/v1/pods".to_owned())
}

pub(crate) async fn open(client: &Client, purpose: Purpose) -> Response {
    client.open(&pods(), purpose).await.unwrap()
}

/// Reads a body to its end.
pub(crate) async fn read(response: &mut Response) -> Result<Vec<u8>, TransportError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await {
        body.extend_from_slice(&chunk?);
    }
    Ok(body)
}

/// An authority that issues certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, as PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn issue(&self, name: &str) -> Issued {
        self.issue_with(name, |_| {})
    }

    pub(crate) fn issue_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Issued {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// A server's TLS configuration that asks for no client certificate.
    pub(crate) fn server(&self, name: &str) -> rustls::ServerConfig {
        server_config(&self.issue(name), None)
    }
}

/// A server's TLS configuration; with an authority, it wants a certificate of that authority.
pub(crate) fn server_config(own: &Issued, clients: Option<&Authority>) -> rustls::ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(authority.0.der().clone()).unwrap();
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
                Arc::new(roots),
                provider,
            );
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
    builder.with_single_cert(chain, key).unwrap()
}
