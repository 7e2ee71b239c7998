//! A server whose every byte the test writes by hand, over real sockets, and the words that it says.
//!
//! Each connection brings one request. It is counted before the test sees it, so that a test can
//! say how many requests a fault costs.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tidings::{BackoffConfig, InformerBuilder, InformerHandle, Payload, Raw, ReflectorConfig};
use tidings_http::{Client, ClientConfig};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::support::{DEADLINE, scope, start, until};

/// The server's side.
pub(crate) struct Scripted {
    pub(crate) address: std::net::SocketAddr,
    requests: mpsc::UnboundedReceiver<Conn>,
    connections: Arc<AtomicUsize>,
    tls: Arc<Mutex<Option<TlsAcceptor>>>,
}

/// One request, to be answered.
pub(crate) struct Conn {
    pub(crate) path: String,
    stream: Box<dyn Stream>,
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Scripted {
    pub(crate) async fn new() -> Self {
        Self::run(None).await
    }

    pub(crate) async fn with_tls(config: rustls::ServerConfig) -> Self {
        Self::run(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn run(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let tls = Arc::new(Mutex::new(tls));
        let server = Self {
            address,
            requests,
            connections: Arc::clone(&connections),
            tls: Arc::clone(&tls),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, SeqCst);
                let (sender, tls) = (sender.clone(), tls.lock().unwrap().clone());
                tokio::spawn(async move {
                    let mut stream: Box<dyn Stream> = match tls {
                        None => Box::new(stream),
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => Box::new(stream),
                            Err(_) => return,
                        },
                    };
                    if let Some(path) = read_path(&mut stream).await {
                        let _ = sender.send(Conn { path, stream });
                    }
                });
            }
        });
        server
    }

    /// The next request.
    pub(crate) async fn accept(&mut self) -> Conn {
        let next = timeout(DEADLINE, self.requests.recv()).await;
        next.expect("a request in time").unwrap()
    }

    /// The next request, which has to be a list.
    pub(crate) async fn list(&mut self) -> Conn {
        let conn = self.accept().await;
        assert!(!conn.path.contains("watch="), "{}", conn.path);
        conn
    }

    /// The next request, which has to be a watch from a version.
    pub(crate) async fn watch(&mut self, version: u64) -> Conn {
        let conn = self.accept().await;
        let from = format!("&resourceVersion={version}");
        assert!(
            conn.path.contains("watch=") && conn.path.contains(&from),
            "{} from {version}",
            conn.path
        );
        conn
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// Uses another certificate for the connections to come.
    pub(crate) fn renew(&self, config: rustls::ServerConfig) {
        *self.tls.lock().unwrap() = Some(TlsAcceptor::from(Arc::new(config)));
    }

    pub(crate) fn config(&self) -> ClientConfig {
        ClientConfig::from_server(&format!("http://{}", self.address)).unwrap()
    }

    /// An informer that is not patient: its delays are a hundredth of the usual ones.
    pub(crate) fn builder<P: Payload>(&self) -> InformerBuilder<P> {
        over(self.config())
    }

    pub(crate) fn raw(&self) -> InformerHandle<Raw> {
        start(self.builder())
    }
}

pub(crate) fn over<P: Payload>(config: ClientConfig) -> InformerBuilder<P> {
    let client = Client::new(config).unwrap();
    tidings::Informer::builder(client, scope()).reflector(impatient())
}

/// Lists in one piece, short delays, and every watch that ends counts as short.
pub(crate) fn impatient() -> ReflectorConfig {
    ReflectorConfig {
        list_mode: tidings::ListMode::Whole,
        backoff: BackoffConfig {
            initial: std::time::Duration::from_millis(8),
            max: std::time::Duration::from_millis(300),
            ..BackoffConfig::default()
        },
        short_stream: std::time::Duration::from_secs(3600),
        ..ReflectorConfig::default()
    }
}

impl Conn {
    /// Answers that a body follows.
    pub(crate) async fn ok(mut self) -> Self {
        self.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
              Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        )
        .await;
        self
    }

    /// Sends a piece of the body. Returns whether the client still takes it.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let bytes = bytes.as_ref();
        let size = format!("{:x}\r\n", bytes.len());
        self.write(size.as_bytes()).await && self.write(bytes).await && self.write(b"\r\n").await
    }

    /// Ends the body as it should end.
    pub(crate) async fn end(mut self) {
        self.write(b"0\r\n\r\n").await;
    }

    /// Answers with a whole list.
    pub(crate) async fn answer(self, body: impl AsRef<[u8]>) {
        let mut conn = self.ok().await;
        conn.send(body).await;
        conn.end().await;
    }

    /// Waits until the client has closed the connection.
    pub(crate) async fn dropped(mut self) {
        let closed = async { while self.stream.read_u8().await.is_ok() {} };
        timeout(DEADLINE, closed).await.expect("a closed stream");
    }

    async fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok() && self.stream.flush().await.is_ok()
    }
}

async fn read_path(stream: &mut Box<dyn Stream>) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(head).ok()?;
    text.split(' ').nth(1).map(str::to_owned)
}

/// A ConfigMap; `rest` follows its metadata.
pub(crate) fn object_with(name: &str, version: u64, rest: &str) -> String {
    format!(
        r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"{name}","namespace":"default","uid":"uid-{name}","resourceVersion":"{version}"}}{rest}}}"#
    )
}

pub(crate) fn object(name: &str, version: u64) -> String {
    object_with(name, version, r#","data":{"value":"1"}"#)
}

pub(crate) fn event(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

/// The end of a history: what leads to a list.
pub(crate) fn expired() -> String {
    event(
        "ERROR",
        r#"{"kind":"Status","code":410,"reason":"Expired"}"#,
    )
}

pub(crate) fn list_head(meta: &str) -> String {
    format!(r#"{{"kind":"ConfigMapList","apiVersion":"v1","metadata":{{{meta}}},"items":["#)
}

pub(crate) fn list(objects: &[String], version: u64) -> String {
    let head = list_head(&format!(r#""resourceVersion":"{version}""#));
    format!("{head}{}]}}", objects.join(","))
}

/// Waits until the store has these keys in these versions.
pub(crate) async fn shows<P: Payload>(handle: &InformerHandle<P>, expected: &[&str]) {
    let mut progress = handle.watch_progress();
    let reached = progress.wait_for(|_| crate::support::shown(handle) == expected);
    if timeout(DEADLINE, reached).await.is_err() {
        panic!(
            "shown {:?}, not {expected:?}: {}",
            crate::support::shown(handle),
            handle.state().summary()
        );
    }
}

/// Waits for trouble, and returns its reason and its sentence.
pub(crate) async fn trouble<P: Payload>(
    handle: &InformerHandle<P>,
    word: &str,
) -> (tidings::WakeReason, String) {
    let has = |state: &tidings::State| {
        let trouble = state.condition.trouble.as_ref();
        trouble.is_some_and(|trouble| trouble.message.contains(word))
    };
    let trouble = until(handle, has).await.condition.trouble.unwrap();
    (trouble.reason, trouble.message)
}

/// Waits until so many objects and frames were bad, and returns the last one.
pub(crate) async fn bad<P: Payload>(handle: &InformerHandle<P>, count: u64) -> tidings::BadInput {
    let has = |state: &tidings::State| state.bad_input.as_ref().is_some_and(|b| b.count >= count);
    until(handle, has).await.bad_input.unwrap()
}

/// Waits until nothing is wrong.
pub(crate) async fn well<P: Payload>(handle: &InformerHandle<P>) -> tidings::State {
    until(handle, |state| {
        state.condition.trouble.is_none() && state.condition.stale_since.is_none()
    })
    .await
}
