//! A server of one resource without sockets: objects that the test puts and takes away.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tidings_api::{Resource, options::Scope, request::Request};
use tokio::sync::mpsc;

use crate::{
    Informer, InformerHandle, Raw,
    transport::{Body, Opening, Purpose, Response, Transport, TransportFailure},
};

/// The objects of one resource, with their history for whoever watches.
#[derive(Clone)]
pub(super) struct Feed {
    state: Arc<Mutex<State>>,
    resource: Resource,
}

#[derive(Default)]
struct State {
    version: u64,
    objects: BTreeMap<String, Value>,
    watches: Vec<mpsc::UnboundedSender<Chunk>>,
    /// Requests are not answered.
    is_silent: bool,
}

type Chunk = Result<Bytes, TransportFailure>;

struct Stream(mpsc::UnboundedReceiver<Chunk>);

/// A ConfigMap with some data.
pub(super) fn config_map(name: &str, data: &Value) -> Value {
    json!({ "kind": "ConfigMap", "apiVersion": "v1", "data": data,
        "metadata": { "name": name, "namespace": "default", "uid": format!("uid-{name}") } })
}

impl Feed {
    pub(super) fn new(resource: &str) -> Self {
        Self {
            state: Arc::default(),
            resource: Resource::parse(resource).unwrap(),
        }
    }

    /// A feed that answers nothing until [`Feed::speak`].
    pub(super) fn silent(resource: &str) -> Self {
        let feed = Self::new(resource);
        feed.state.lock().is_silent = true;
        feed
    }

    /// Answers those who wait.
    pub(super) fn speak(&self) {
        let mut state = self.state.lock();
        state.is_silent = false;
        let initial = state.initial();
        for watch in &state.watches {
            let _ = watch.send(Ok(initial.clone()));
        }
    }

    /// A running raw informer.
    pub(super) fn informer(&self) -> InformerHandle<Raw> {
        let scope = Scope::all(self.resource.clone());
        let informer = Informer::builder_over(Arc::new(self.clone()), scope);
        let informer = informer.build().unwrap();
        let handle = informer.handle();
        tokio::spawn(informer.run());
        handle
    }

    /// Creates or changes an object; its version is returned.
    pub(super) fn put(&self, mut object: Value) -> u64 {
        let state = &mut *self.state.lock();
        state.version += 1;
        object["metadata"]["resourceVersion"] = state.version.to_string().into();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let was = state.objects.insert(name, object.clone());
        state.tell(if was.is_some() { "MODIFIED" } else { "ADDED" }, &object);
        state.version
    }

    pub(super) fn delete(&self, name: &str) -> u64 {
        let state = &mut *self.state.lock();
        state.version += 1;
        let mut object = state.objects.remove(name).unwrap();
        object["metadata"]["resourceVersion"] = state.version.to_string().into();
        state.tell("DELETED", &object);
        state.version
    }
}

impl State {
    fn tell(&mut self, kind: &str, object: &Value) {
        let frame = frame(kind, object);
        self.watches
            .retain(|watch| watch.send(Ok(frame.clone())).is_ok());
    }

    fn initial(&self) -> Bytes {
        let mut bytes = Vec::new();
        for object in self.objects.values() {
            bytes.extend_from_slice(&frame("ADDED", object));
        }
        let annotations = json!({ "k8s.io/initial-events-end": "true" });
        let end = json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata":
            { "resourceVersion": self.version.max(1).to_string(), "annotations": annotations } });
        bytes.extend_from_slice(&frame("BOOKMARK", &end));
        bytes.into()
    }
}

fn frame(kind: &str, object: &Value) -> Bytes {
    format!("{}\n", json!({ "type": kind, "object": object })).into()
}

impl Transport for Feed {
    fn open(&self, _request: Request, purpose: Purpose) -> Opening {
        let state = Arc::clone(&self.state);
        Box::pin(async move {
            if purpose != Purpose::Watch {
                return Err(TransportFailure("this server only watches".to_owned()));
            }
            let (sender, receiver) = mpsc::unbounded_channel();
            let mut state = state.lock();
            if !state.is_silent {
                let _ = sender.send(Ok(state.initial()));
            }
            state.watches.push(sender);
            let body = Box::new(Stream(receiver));
            Ok(Response::new(200, "application/json".to_owned(), body))
        })
    }

    fn reload_credentials(&self) {}

    fn identity(&self) -> String {
        "feed".to_owned()
    }
}

impl Body for Stream {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Chunk>> {
        self.0.poll_recv(context)
    }
}
