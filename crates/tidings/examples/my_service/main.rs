//! A controller for a kind of its own.
//!
//! Without arguments it starts an API server, lets the controller work, and checks what it did. With
//! `--kubeconfig FILE --outside DIR --identity NAME` it works in a cluster until it is told to end; of
//! several such processes one leads. `--definition` prints the definition of the kind.

mod controller;
mod objects;
mod outside;

use std::{
    collections::HashMap, error::Error, future::Future, io::Write as _, path::PathBuf,
    time::Duration,
};

use serde_json::{Value, json};
use tidings::{Api, ElectionConfig, LeaderElection, ObjectKey, Patch, Resource, Written};
use tidings_apiserver::serve;
use tidings_http::{Client, ClientConfig, kubeconfig};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    controller::{MyServices, Resources},
    outside::Outside,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        None => return demonstrate().await,
        Some("--definition") => {
            writeln!(std::io::stdout(), "{}", objects::definition())?;
            return Ok(());
        }
        Some(_) => {}
    }
    let options: HashMap<&str, &str> = arguments
        .chunks_exact(2)
        .map(|pair| (pair[0].as_str(), pair[1].as_str()))
        .collect();
    let option = |name: &str| {
        let found = options.get(name).copied();
        found.ok_or_else(|| format!("{name} is not given"))
    };
    let overrides = kubeconfig::Overrides {
        path: Some(PathBuf::from(option("--kubeconfig")?)),
        ..kubeconfig::Overrides::default()
    };
    let client = Client::new(kubeconfig::load(&overrides)?)?;
    let identity = option("--identity")?;
    let outside = Outside::new(PathBuf::from(option("--outside")?), identity)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let shutdown = async move {
        terminate.recv().await;
    };
    work(client, outside, identity, shutdown).await
}

/// Stands for election, and works while it leads, until the shutdown.
async fn work(
    client: Client,
    outside: Outside,
    identity: &str,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), Box<dyn Error>> {
    let election = LeaderElection::builder(client.clone(), "default", "my-service", identity)
        .config(ElectionConfig {
            lease_duration: Duration::from_secs(4),
            renew_deadline: Duration::from_secs(3),
            retry_period: Duration::from_millis(500),
            ..ElectionConfig::default()
        })
        .build()?;
    let leader = election.handle();
    tokio::spawn(election.run());
    let (reconciler, builder) =
        MyServices::start(&client, outside).map_err(|failure| failure.reason().to_owned())?;
    let controller = builder.leader(leader).build(reconciler);
    controller.run(shutdown).await?;
    Ok(())
}

/// The whole life of a MyService, against a server of its own.
async fn demonstrate() -> Result<(), Box<dyn Error>> {
    let server = serve::start(serve::Config::default()).await?;
    let client = Client::new(ClientConfig::from_server(&server.url())?)?;
    let resources = Resources::new().map_err(|failure| failure.reason().to_owned())?;
    let api = Api::new(client.clone());
    let definitions = Resource::parse("apiextensions.k8s.io/v1/customresourcedefinitions")?;
    let _: Written<Value> = api
        .resource(&definitions)
        .create(None, &objects::definition())
        .await?;

    let dir = std::env::temp_dir().join(format!("my-service-{}", std::process::id()));
    let outside = Outside::new(dir.clone(), "demo")?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async {
        let _ = stopped.await;
    };
    let running = tokio::spawn({
        let outside = outside.clone();
        async move {
            let ended = work(client, outside, "demo", shutdown).await;
            ended.map_err(|error| error.to_string())
        }
    });

    let my_services = api.resource(&resources.my_services);
    let key = ObjectKey::parse("default/web")?;
    let object = json!({
        "apiVersion": "example.com/v1",
        "kind": "MyService",
        "metadata": { "name": "web" },
        "spec": { "image": "nginx:1", "replicas": 2, "port": 80 }
    });
    let _: Written<Value> = my_services.create(Some("default"), &object).await?;
    let ready = |generation: u64| {
        move |object: &Value| {
            object["status"]["isReady"] == true
                && object["status"]["observedGeneration"] == generation
        }
    };
    until(&api, &resources.my_services, &key, ready(1)).await?;
    let service: Value = api.resource(&resources.services).get(&key).await?;
    assert_eq!(service["spec"]["ports"][0]["port"], 80);
    assert_eq!(
        service["metadata"]["ownerReferences"][0]["kind"],
        "MyService"
    );
    assert_eq!(outside.records()?, 1);

    // The spec changes, and the Deployment follows.
    let patch = Patch::Merge(json!({ "spec": { "replicas": 5 } }));
    let _: Written<Value> = my_services.patch(&key, &patch).await?;
    until(&api, &resources.my_services, &key, ready(2)).await?;
    let has_replicas = |object: &Value| object["spec"]["replicas"] == 5;
    until(&api, &resources.deployments, &key, has_replicas).await?;

    // Somebody else changes what the controller owns: it is put right.
    let patch = Patch::Merge(json!({ "spec": { "replicas": 1 } }));
    let _: Written<Value> = api
        .resource(&resources.deployments)
        .patch(&key, &patch)
        .await?;
    until(&api, &resources.deployments, &key, has_replicas).await?;

    // It is deleted: what is outside is cleaned up first, and what it owned is collected.
    my_services.delete(&key, &Default::default()).await?;
    gone(&api, &resources.my_services, &key).await?;
    assert_eq!(outside.records()?, 0);
    gone(&api, &resources.deployments, &key).await?;
    gone(&api, &resources.services, &key).await?;

    let _ = stop.send(());
    running.await??;
    std::fs::remove_dir_all(dir)?;
    eprintln!("a MyService was made, changed, put right and cleaned up");
    Ok(())
}

/// Waits until an object is as it should be, for ten seconds at most.
async fn until(
    api: &Api,
    resource: &Resource,
    key: &ObjectKey,
    what: impl Fn(&Value) -> bool,
) -> Result<(), Box<dyn Error>> {
    let reached = async {
        loop {
            match api.resource(resource).get::<Value>(key).await {
                Ok(object) if what(&object) => return,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let limit = Duration::from_secs(10);
    let reached = tokio::time::timeout(limit, reached).await;
    Ok(reached.map_err(|_| format!("{key} of {resource} is not as it should be"))?)
}

/// Waits until an object is gone.
async fn gone(api: &Api, resource: &Resource, key: &ObjectKey) -> Result<(), Box<dyn Error>> {
    let is_gone = async {
        loop {
            match api.resource(resource).get::<Value>(key).await {
                Err(error) if error.is_not_found() => return,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let limit = Duration::from_secs(10);
    let is_gone = tokio::time::timeout(limit, is_gone).await;
    Ok(is_gone.map_err(|_| format!("{key} of {resource} is still there"))?)
}
