//! A real control plane of two processes, and clients of it.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidings::{Informer, InformerHandle, Payload, Resource, Scope};
use tidings_api::request::Request;
use tidings_http::{Answer, Client, ClientConfig, kubeconfig};

pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// etcd and kube-apiserver, each a process that ends with its standard input.
pub(crate) struct Cluster {
    pub(crate) dir: TempDir,
    etcd: Option<(Child, String)>,
    apiserver: Option<(Child, String)>,
    flags: Vec<String>,
}

impl Cluster {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        let dir = TempDir::new().unwrap();
        let mut cluster = Self {
            dir,
            etcd: None,
            apiserver: None,
            flags,
        };
        cluster.start_etcd("etcd", "0");
        cluster.start_apiserver("0");
        cluster
    }

    pub(crate) fn start_etcd(&mut self, dir: &str, port: &str) {
        let dir = self.path(dir);
        let args = [
            "etcd",
            "--dir",
            dir.to_str().unwrap(),
            "--port",
            port,
            "--until-eof",
        ];
        self.etcd = Some(spawn(&args));
    }

    pub(crate) fn start_apiserver(&mut self, port: &str) {
        let (dir, etcd) = (self.path("apiserver"), self.etcd_url());
        let mut args = vec!["apiserver", "--dir", dir.to_str().unwrap(), "--etcd", &etcd];
        args.extend(["--port", port, "--until-eof", "--"]);
        args.extend(self.flags.iter().map(String::as_str));
        self.apiserver = Some(spawn(&args));
    }

    /// Kills the API server as a crash does, and returns its port.
    pub(crate) fn kill_apiserver(&mut self) -> String {
        kill(self.apiserver.take())
    }

    pub(crate) fn kill_etcd(&mut self) -> String {
        kill(self.etcd.take())
    }

    pub(crate) fn etcd_url(&self) -> String {
        self.etcd.as_ref().unwrap().1.clone()
    }

    pub(crate) fn tool(&self, args: &[&str]) {
        let status = Command::new(binary()).args(args).status().unwrap();
        assert!(status.success(), "{args:?}");
    }

    /// Runs kubectl to its end and returns what it printed.
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        let kubectl = std::env::var("TIDINGS_REAL_KUBECTL").expect("run tests/real/run");
        let output = Command::new(kubectl)
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .args(args)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "kubectl {args:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Makes a definition of custom resources known, and waits until it is served.
    pub(crate) fn define(&self, file: &str, name: &str) {
        let file = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        self.kubectl(&["apply", "-f", &file]);
        let definition = format!("crd/{name}");
        self.kubectl(&[
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            &definition,
        ]);
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.path("apiserver").join("kubeconfig")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let overrides = kubeconfig::Overrides {
            path: Some(self.kubeconfig()),
            ..kubeconfig::Overrides::default()
        };
        kubeconfig::load(&overrides).unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.config()).unwrap()
    }

    pub(crate) fn follow<P: Payload>(&self, scope: Scope) -> InformerHandle<P> {
        let informer = Informer::<P>::builder(self.client(), scope);
        let informer = informer.build().unwrap();
        let handle = informer.handle();
        tokio::spawn(informer.run());
        handle
    }

    /// Writes a ConfigMap's value.
    pub(crate) async fn put(&self, name: &str, value: &str) {
        write(&self.client(), &configmaps(), configmap(name, value))
            .await
            .unwrap();
    }

    /// The keys, uids and versions that the server has, by a list of our own.
    pub(crate) async fn truth(&self, scope: &Scope) -> Vec<String> {
        let mut path = scope
            .resource
            .collection_path(scope.namespace.as_deref())
            .unwrap();
        if !scope.field_selector.is_empty() {
            let selector = scope.field_selector.replace('=', "%3D");
            path = format!("{path}?fieldSelector={selector}");
        }
        let answer = self.client().send(&Request::get(path)).await.unwrap();
        let list: List = serde_json::from_slice(&answer.body).unwrap();
        let mut all: Vec<String> = list.items.iter().map(Item::shown).collect();
        all.sort();
        all
    }

    /// Waits until the store is what the server has.
    pub(crate) async fn level<P: Payload>(&self, handle: &InformerHandle<P>, scope: &Scope) {
        let started = std::time::Instant::now();
        let mut progress = handle.watch_progress();
        loop {
            let (truth, shown) = (self.truth(scope).await, shown(handle));
            if truth == shown {
                return;
            }
            let summary = handle.state().summary();
            assert!(
                started.elapsed() < DEADLINE,
                "{shown:?} is not {truth:?}: {summary}"
            );
            // The truth may move as well: look again when the store does, or after a while.
            let _ = tokio::time::timeout(Duration::from_millis(300), progress.changed()).await;
        }
    }
}

/// A list of which nothing but the metadata is read, however deep the rest is nested.
#[derive(Deserialize)]
struct List {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Meta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    #[serde(default)]
    namespace: String,
    name: String,
    uid: String,
    resource_version: String,
}

impl Item {
    fn shown(&self) -> String {
        let meta = &self.metadata;
        let slash = if meta.namespace.is_empty() { "" } else { "/" };
        let key = format!("{}{slash}{}", meta.namespace, meta.name);
        format!("{key} {}@{}", meta.uid, meta.resource_version)
    }
}

/// What a store has, as [`Cluster::truth`] says it.
pub(crate) fn shown<P: Payload>(handle: &InformerHandle<P>) -> Vec<String> {
    let list = handle.store().list();
    let mut all: Vec<String> = list.iter().map(|entry| object(&entry.object)).collect();
    all.sort();
    all
}

/// An object's key, uid and version.
pub(crate) fn object(object: &tidings::Object) -> String {
    let (key, uid) = (object.key(), object.uid());
    format!("{key} {uid}@{}", object.resource_version_text())
}

pub(crate) fn configmaps() -> Scope {
    Scope::namespaced(Resource::parse("v1/configmaps").unwrap(), "default")
}

pub(crate) fn configmap(name: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": "default" }, "data": { "value": value }
    })
}

/// Writes an object over the one of its name, or makes it anew. Without an answer, or with a
/// refusal, nobody knows whether it was written.
pub(crate) async fn write(client: &Client, scope: &Scope, mut body: Value) -> Result<(), String> {
    let name = body["metadata"]["name"].as_str().unwrap().to_owned();
    let path = scope.resource.object_path(Some("default"), &name).unwrap();
    let known = send(client, Request::get(path.clone())).await?;
    let request = if known.status == 404 {
        let path = scope.resource.collection_path(Some("default")).unwrap();
        Request::write("POST", path, JSON, body.to_string().into_bytes())
    } else {
        // A custom resource is replaced only by who names the version.
        let known: Item = serde_json::from_slice(&known.body).map_err(|error| error.to_string())?;
        body["metadata"]["resourceVersion"] = known.metadata.resource_version.into();
        Request::write("PUT", path, JSON, body.to_string().into_bytes())
    };
    accepted(&send(client, request).await?)
}

/// Deletes an object; that it is not there is well.
pub(crate) async fn delete(client: &Client, scope: &Scope, name: &str) -> Result<(), String> {
    let path = scope.resource.object_path(Some("default"), name).unwrap();
    let request = Request::write("DELETE", path, JSON, Vec::new());
    let answer = send(client, request).await?;
    if answer.status == 404 {
        return Ok(());
    }
    accepted(&answer)
}

async fn send(client: &Client, request: Request) -> Result<Answer, String> {
    let answer = client.send(&request).await;
    answer.map_err(|error| error.to_string())
}

fn accepted(answer: &Answer) -> Result<(), String> {
    if answer.status < 300 {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&answer.body);
    Err(format!("{}: {text}", answer.status))
}

/// Looks again and again until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = std::time::Instant::now();
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    while !is_so().await {
        assert!(started.elapsed() < DEADLINE, "{what}");
        looks.tick().await;
    }
}

const JSON: &str = "application/json";

fn binary() -> String {
    std::env::var("TIDINGS_REAL_SERVER").expect("run tests/real/run")
}

/// Starts a part of the control plane and waits for its word; the text is its address.
fn spawn(args: &[&str]) -> (Child, String) {
    let mut child = Command::new(binary())
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.find_map(|line| line.ok()?.strip_prefix("ready ").map(str::to_owned));
    let address = ready.unwrap_or_else(|| panic!("{args:?} ended before it was ready"));
    // Whoever prints more must not meet a closed pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (child, address)
}

fn kill(process: Option<(Child, String)>) -> String {
    let (mut child, address) = process.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    address.rsplit(':').next().unwrap().to_owned()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for (mut child, _) in self.apiserver.take().into_iter().chain(self.etcd.take()) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
