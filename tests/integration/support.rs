//! A server, an informer, and waiting on conditions with a deadline.

use std::time::Duration;

use serde_json::{Value, json};
use tidings::{
    Informer, InformerBuilder, InformerHandle, ListMode, Payload, Raw, Resource, Scope, State,
};
use tidings_apiserver::serve::{self, Config, Handle};

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) async fn server() -> Handle {
    // The informer has to bear what servers from 1.37 on send.
    let config = Config {
        watch_list_gzip: true,
        ..Config::default()
    };
    serve::start(config).await.unwrap()
}

pub(crate) fn scope() -> Scope {
    Scope::all(Resource::parse("v1/configmaps").unwrap())
}

pub(crate) fn client(server: &Handle) -> tidings_http::Client {
    let config = tidings_http::ClientConfig::from_server(&server.url()).unwrap();
    tidings_http::Client::new(config).unwrap()
}

pub(crate) fn builder<P: Payload>(server: &Handle, scope: Scope) -> InformerBuilder<P> {
    Informer::builder(client(server), scope)
}

pub(crate) fn start<P: Payload>(builder: InformerBuilder<P>) -> InformerHandle<P> {
    let informer = builder.build().unwrap();
    let handle = informer.handle();
    tokio::spawn(informer.run());
    handle
}

pub(crate) async fn raw(server: &Handle) -> InformerHandle<Raw> {
    let handle = start(builder(server, scope()));
    handle.wait_synced(DEADLINE).await.unwrap();
    handle
}

pub(crate) fn modes() -> [ListMode; 4] {
    [
        ListMode::Auto,
        ListMode::Paged,
        ListMode::WatchList,
        ListMode::Whole,
    ]
}

/// Creates or replaces a ConfigMap and returns its version.
pub(crate) fn put(server: &Handle, name: &str, value: &str) -> u64 {
    put_labelled(server, name, value, json!({}))
}

pub(crate) fn put_labelled(server: &Handle, name: &str, value: &str, labels: Value) -> u64 {
    server.apply(|state| {
        let resource = state.resource("", "v1", "configmaps").unwrap();
        let document = json!({
            "metadata": { "name": name, "namespace": "default", "labels": labels },
            "data": { "value": value }
        });
        let key = format!("default/{name}");
        let written = if state.get(resource, &key).is_some() {
            state.update(resource, &key, document)
        } else {
            state.create(resource, Some("default"), document, 1_700_000_000)
        };
        written.unwrap().resource_version()
    })
}

pub(crate) fn delete(server: &Handle, name: &str) {
    server.apply(|state| {
        let resource = state.resource("", "v1", "configmaps").unwrap();
        state
            .delete(resource, &format!("default/{name}"), 1_700_000_000)
            .unwrap();
    });
}

/// The names and versions that the server has.
pub(crate) fn truth(server: &Handle) -> Vec<String> {
    server.apply(|state| {
        let resource = state.resource("", "v1", "configmaps").unwrap();
        let page = state
            .list(resource, &tidings_apiserver::state::ListQuery::default())
            .unwrap();
        let text = |object: &std::sync::Arc<tidings_apiserver::state::Stored>| {
            format!("{}@{}", object.key(), object.resource_version())
        };
        page.items.iter().map(text).collect()
    })
}

pub(crate) fn shown<P: Payload>(handle: &InformerHandle<P>) -> Vec<String> {
    let mut all: Vec<String> = handle
        .store()
        .list()
        .iter()
        .map(|entry| format!("{:?}", entry.object))
        .collect();
    all.sort();
    all
}

/// Waits until the store is the server's state.
pub(crate) async fn level<P: Payload>(server: &Handle, handle: &InformerHandle<P>) {
    let mut progress = handle.watch_progress();
    let expected = truth(server);
    let reached = progress.wait_for(|_| shown(handle) == expected);
    if tokio::time::timeout(DEADLINE, reached).await.is_err() {
        panic!(
            "shown {:?}, not {expected:?}: {}",
            shown(handle),
            handle.state().summary()
        );
    }
}

pub(crate) async fn until<P: Payload>(
    handle: &InformerHandle<P>,
    what: impl Fn(&State) -> bool,
) -> State {
    let mut state = handle.watch_state();
    let reached = tokio::time::timeout(DEADLINE, state.wait_for(|state| what(state))).await;
    reached.expect("the state in time").unwrap().clone()
}

/// Waits until so many clients watch.
pub(crate) async fn watched(server: &Handle, count: usize) {
    let reached = async {
        while server.watches() != count {
            tokio::task::yield_now().await;
        }
    };
    let reached = tokio::time::timeout(DEADLINE, reached).await;
    reached.expect("so many watches in time");
}
