//! A real control plane of two processes, and clients of it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde::Deserialize;
use tempfile::TempDir;
use tidings::{Informer, InformerHandle, Raw, Resource, Scope};
use tidings_api::request::Request;
use tidings_http::{Client, kubeconfig};

/// A list as far as it is compared; what is not named here may be nested as deep as it likes.
#[derive(Deserialize)]
struct List {
    items: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    namespace: Option<String>,
    resource_version: String,
}

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

    /// Kills the API server as a crash does, and starts it again on its port.
    pub(crate) fn restart_apiserver(&mut self) {
        let port = self.kill_apiserver();
        self.start_apiserver(&port);
    }

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

    pub(crate) fn kubectl(&self, args: &[&str]) {
        let kubectl = std::env::var("TIDINGS_REAL_KUBECTL").expect("run tests/real/run");
        let config = self.path("apiserver").join("kubeconfig");
        let status = Command::new(kubectl)
            .arg("--kubeconfig")
            .arg(config)
            .args(args)
            .status();
        assert!(status.unwrap().success(), "kubectl {args:?}");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn client(&self) -> Client {
        let path = Some(self.path("apiserver").join("kubeconfig"));
        let overrides = kubeconfig::Overrides {
            path,
            ..kubeconfig::Overrides::default()
        };
        Client::new(kubeconfig::load(&overrides).unwrap()).unwrap()
    }

    /// A client whose token stands in a file of its own.
    pub(crate) fn client_with_token_file(&self, token: &Path) -> Client {
        let text = fs::read_to_string(self.path("apiserver").join("kubeconfig")).unwrap();
        let indented = |line: &str| {
            let indent = line.split("token:").next().unwrap_or_default().to_owned();
            format!("{indent}tokenFile: {}", token.display())
        };
        let lines = text.lines().map(|line| {
            let is_token = line.trim_start().starts_with("token:");
            if is_token {
                indented(line)
            } else {
                line.to_owned()
            }
        });
        let text: Vec<String> = lines.collect();
        let path = self.path("kubeconfig-with-token-file");
        fs::write(&path, text.join("\n")).unwrap();
        let overrides = kubeconfig::Overrides {
            path: Some(path),
            ..kubeconfig::Overrides::default()
        };
        Client::new(kubeconfig::load(&overrides).unwrap()).unwrap()
    }

    pub(crate) fn follow(&self, scope: Scope) -> InformerHandle<Raw> {
        let informer = Informer::<Raw>::builder(self.client(), scope)
            .build()
            .unwrap();
        let handle = informer.handle();
        tokio::spawn(informer.run());
        handle
    }

    /// Writes a ConfigMap's value.
    pub(crate) async fn put(&self, name: &str, value: &str) {
        let status = put_configmap(&self.client(), name, value).await;
        let status = status.expect("the server answers");
        assert!(status < 300, "{status}");
    }

    /// The keys and versions that the server has, by a list of our own.
    pub(crate) async fn truth(&self, scope: &Scope) -> Vec<String> {
        let path = scope
            .resource
            .collection_path(scope.namespace.as_deref())
            .unwrap();
        let answer = self.client().send(&Request::get(path)).await.unwrap();
        let list: List = serde_json::from_slice(&answer.body).unwrap();
        let text = |item: &Listed| {
            let meta = &item.metadata;
            let namespace = meta.namespace.as_ref().map(|ns| format!("{ns}/"));
            let (name, version) = (&meta.name, &meta.resource_version);
            format!("{}{name}@{version}", namespace.unwrap_or_default())
        };
        let mut all: Vec<String> = list.items.iter().map(text).collect();
        all.sort();
        all
    }

    /// Waits until the store is what the server has.
    pub(crate) async fn level(&self, handle: &InformerHandle<Raw>, scope: &Scope) {
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

/// Updates or creates a ConfigMap; the status of the answer, if one came.
pub(crate) async fn put_configmap(client: &Client, name: &str, value: &str) -> Option<u16> {
    let scope = configmaps();
    let path = scope.resource.object_path(Some("default"), name).unwrap();
    let body = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": "default" }, "data": { "value": value }
    });
    let body = || body.to_string().into_bytes();
    let update = Request::write("PUT", path, "application/json", body());
    let status = client.send(&update).await.ok()?.status;
    if status != 404 {
        return Some(status);
    }
    let path = scope.resource.collection_path(Some("default")).unwrap();
    let create = Request::write("POST", path, "application/json", body());
    Some(client.send(&create).await.ok()?.status)
}

/// Deletes a ConfigMap; the status of the answer, if one came.
pub(crate) async fn remove_configmap(client: &Client, name: &str) -> Option<u16> {
    let scope = configmaps();
    let path = scope.resource.object_path(Some("default"), name).unwrap();
    let delete = Request::write("DELETE", path, "application/json", Vec::new());
    Some(client.send(&delete).await.ok()?.status)
}

pub(crate) fn shown(handle: &InformerHandle<Raw>) -> Vec<String> {
    let mut all: Vec<String> = handle
        .store()
        .list()
        .iter()
        .map(|entry| format!("{:?}", entry.object))
        .collect();
    all.sort();
    all
}

pub(crate) fn configmaps() -> Scope {
    Scope::namespaced(Resource::parse("v1/configmaps").unwrap(), "default")
}

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
