//! A transport whose every answer the test writes by hand.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use tidings_api::Resource;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::{
    Informer, InformerBuilder, InformerHandle, Payload, Raw,
    transport::{Body, Opening, Response, TransportFailure},
};

/// The server's side of a scripted transport.
pub(super) struct Script {
    calls: mpsc::UnboundedReceiver<Conn>,
    pub(super) transport: Arc<ScriptTransport>,
}

pub(super) struct ScriptTransport {
    calls: mpsc::UnboundedSender<Conn>,
    pub(super) reloads: AtomicU32,
}

/// One request, to be answered.
pub(super) struct Conn {
    pub(super) path: String,
    pub(super) accept: &'static str,
    pub(super) purpose: Purpose,
    head: Option<oneshot::Sender<Result<Response, TransportFailure>>>,
    chunks: Option<mpsc::UnboundedSender<Chunk>>,
    body: Option<ScriptBody>,
}

type Chunk = Result<Bytes, TransportFailure>;

struct ScriptBody {
    chunks: mpsc::UnboundedReceiver<Chunk>,
}

impl Script {
    pub(super) fn new() -> Self {
        let (sender, calls) = mpsc::unbounded_channel();
        let transport = ScriptTransport {
            calls: sender,
            reloads: AtomicU32::new(0),
        };
        Self {
            calls,
            transport: Arc::new(transport),
        }
    }

    pub(super) fn builder<P: Payload>(&self) -> InformerBuilder<P> {
        self.builder_of(Scope::all(Resource::parse("v1/pods").unwrap()))
    }

    pub(super) fn builder_of<P: Payload>(&self, scope: Scope) -> InformerBuilder<P> {
        let transport: Arc<dyn Transport> = Arc::<ScriptTransport>::clone(&self.transport);
        Informer::builder_over(transport, scope)
    }

    /// A running raw informer.
    pub(super) fn raw(&self) -> InformerHandle<Raw> {
        start(self.builder())
    }

    /// The next request.
    pub(super) async fn accept(&mut self) -> Conn {
        let wait = Duration::from_secs(3600);
        tokio::time::timeout(wait, self.calls.recv())
            .await
            .expect("a request")
            .unwrap()
    }

    /// How many requests have come and not been accepted.
    pub(super) fn pending(&self) -> usize {
        self.calls.len()
    }
}

pub(super) fn start<P: Payload>(builder: InformerBuilder<P>) -> InformerHandle<P> {
    let informer = builder.build().unwrap();
    let handle = informer.handle();
    tokio::spawn(informer.run());
    handle
}

impl Transport for ScriptTransport {
    fn open(&self, request: Request, purpose: Purpose) -> Opening {
        let (head, answer) = oneshot::channel();
        let (chunks, receiver) = mpsc::unbounded_channel();
        let body = ScriptBody { chunks: receiver };
        let conn = Conn {
            path: request.path_and_query,
            accept: request.accept,
            purpose,
            head: Some(head),
            chunks: Some(chunks),
            body: Some(body),
        };
        let _ = self.calls.send(conn);
        Box::pin(async move {
            let gone = || TransportFailure("connection refused".to_owned());
            answer.await.map_err(|_| gone())?
        })
    }

    fn reload_credentials(&self) {
        self.reloads.fetch_add(1, Ordering::Relaxed);
    }

    fn identity(&self) -> String {
        "script".to_owned()
    }
}

impl Body for ScriptBody {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Chunk>> {
        self.chunks.poll_recv(context)
    }
}

impl Conn {
    pub(super) fn answer(&mut self, code: u16, content_type: &str) -> &mut Self {
        let body = Box::new(self.body.take().unwrap());
        let response = Response::new(code, content_type.to_owned(), body);
        let _ = self.head.take().unwrap().send(Ok(response));
        self
    }

    pub(super) fn answer_encoded(&mut self, encoding: &str) -> &mut Self {
        let body = Box::new(self.body.take().unwrap());
        let mut response = Response::new(200, "application/json".to_owned(), body);
        encoding.clone_into(&mut response.content_encoding);
        let _ = self.head.take().unwrap().send(Ok(response));
        self
    }

    pub(super) fn ok(&mut self) -> &mut Self {
        self.answer(200, "application/json")
    }

    pub(super) fn send(&mut self, bytes: impl Into<Bytes>) -> &mut Self {
        let _ = self.chunks.as_ref().unwrap().send(Ok(bytes.into()));
        self
    }

    /// The body ends where its framing says it may.
    pub(super) fn end(&mut self) {
        self.chunks = None;
    }

    pub(super) fn fail(&self, why: &str) {
        let _ = self
            .chunks
            .as_ref()
            .unwrap()
            .send(Err(TransportFailure(why.to_owned())));
    }

    /// Whether the client has dropped the stream.
    pub(super) async fn dropped(&self) {
        self.chunks.as_ref().unwrap().closed().await;
    }

    /// Answers a WatchList with these objects.
    pub(super) fn watch_list(&mut self, objects: &[String], version: u64) -> &mut Self {
        self.ok();
        for object in objects {
            self.send(event("ADDED", object));
        }
        self.send(end_bookmark(version))
    }
}

pub(super) fn pod(name: &str, version: u64) -> String {
    pod_with(name, version, r#","status":{"phase":"Running"}"#)
}

pub(super) fn pod_with(name: &str, version: u64, rest: &str) -> String {
    format!(
        r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{name}","namespace":"default","uid":"uid-{name}","resourceVersion":"{version}"}}{rest}}}"#
    )
}

pub(super) fn event(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

pub(super) fn bookmark(version: u64) -> String {
    let object = format!(
        r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"resourceVersion":"{version}"}}}}"#
    );
    event("BOOKMARK", &object)
}

pub(super) fn end_bookmark(version: u64) -> String {
    let object = format!(
        r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"resourceVersion":"{version}","annotations":{{"k8s.io/initial-events-end":"true"}}}}}}"#
    );
    event("BOOKMARK", &object)
}

pub(super) fn list(objects: &[String], version: u64) -> String {
    format!(
        r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"{version}"}},"items":[{}]}}"#,
        objects.join(",")
    )
}

/// Waits until the store shows these keys with these versions.
pub(super) async fn shows<P: Payload>(handle: &InformerHandle<P>, expected: &str) {
    let mut progress = handle.watch_progress();
    let text = || {
        let mut all: Vec<String> = handle
            .store()
            .list()
            .iter()
            .map(|entry| format!("{:?}", entry.object))
            .collect();
        all.sort();
        all.join(" ")
    };
    let reached = progress.wait_for(|_| text() == expected);
    let limit = Duration::from_secs(600);
    if tokio::time::timeout(limit, reached).await.is_err() {
        panic!(
            "the store shows {:?} and not {expected:?}: {}",
            text(),
            handle.state().summary()
        );
    }
}

/// Waits until the state is as asked.
pub(super) async fn until<P: Payload>(
    handle: &InformerHandle<P>,
    what: impl Fn(&State) -> bool,
) -> State {
    let mut state = handle.watch_state();
    let limit = Duration::from_secs(7200);
    let reached = tokio::time::timeout(limit, state.wait_for(|state| what(state))).await;
    reached.expect("the state in time").unwrap().clone()
}
