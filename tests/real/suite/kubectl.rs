//! A real kubectl, the same commands at a real server and at the embedded one: what it prints has to be equal.
//!
//! Does not compare what has to differ: uids, times, ages, versions, ports and addresses are replaced by words
//! before. Where the embedded server is known to be different, a row says so; it fails when it is so no longer.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::cluster::*;

/// A command line, and what is known of the two answers.
struct Row(&'static str, Known);

/// What is known of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Both print the same.
    Same,
    /// They print different things, for this reason (docs/src/reference/apiserver.md has it).
    Differs(&'static str),
    /// Only whether it succeeds is compared.
    Status,
}

use Known::{Differs, Same, Status};

/// The embedded server as a process of its own, over TLS and with a token.
pub(crate) struct Embedded {
    child: Child,
    pub(crate) kubeconfig: PathBuf,
}

impl Embedded {
    pub(crate) fn start(dir: &Path) -> Self {
        let program = std::env::var("TIDINGS_REAL_COMMAND").expect("run tests/real/run");
        let kubeconfig = dir.join("embedded.kubeconfig");
        let tokens = dir.join("embedded.tokens");
        // The user that the real server knows.
        std::fs::write(&tokens, "embedded,admin,admin,system:masters\n").unwrap();
        let mut child = Command::new(program)
            .args(["apiserver", "--tls", "--kubeconfig-out"])
            .arg(&kubeconfig)
            .arg("--token-file")
            .arg(&tokens)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        assert!(line.starts_with("ready "), "{line}");
        Self { child, kubeconfig }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// kubectl at one server, in a folder with the files that the rows name.
struct Kubectl {
    kubeconfig: PathBuf,
    cache: PathBuf,
    files: PathBuf,
}

impl Kubectl {
    fn command(&self, line: &str) -> Command {
        let program = std::env::var("TIDINGS_REAL_KUBECTL").expect("run tests/real/run");
        let mut command = Command::new(program);
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--cache-dir")
            .arg(&self.cache)
            .args(words(line))
            .current_dir(&self.files)
            .env("KUBECTL_EXTERNAL_DIFF", "diff -u")
            .stdin(Stdio::null());
        command
    }

    /// Whether it succeeded, and what it printed, errors last.
    fn run(&self, line: &str) -> (bool, String) {
        let output = self.command(line).output().unwrap();
        let mut text = String::from_utf8(output.stdout).unwrap();
        text.push_str(std::str::from_utf8(&output.stderr).unwrap());
        (output.status.success(), normal(&text))
    }
}

/// Words of a command line; what stands in single quotes is one.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().unwrap().push(letter),
        }
    }
    words
}

/// The text without what differs from run to run; columns shrink to single spaces.
fn normal(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines().filter(|line| !line.starts_with("Warning: ")) {
        let indent = line.len() - line.trim_start().len();
        out.push_str(&" ".repeat(indent));
        let words: Vec<String> = match line.split_once("resourceVersion") {
            Some((_, rest)) if rest.trim_start_matches('"').starts_with(':') => {
                vec!["resourceVersion".to_owned()]
            }
            _ => line.split_whitespace().map(word).collect(),
        };
        out.push_str(&words.join(" "));
        out.push('\n');
    }
    out
}

fn word(word: &str) -> String {
    let bare = word.trim_matches(|it| matches!(it, '"' | ',' | '\'' | ';'));
    let is_uid = bare.len() == 36 && bare.matches('-').count() == 4;
    let is_time = bare.len() >= 20 && bare.as_bytes()[10] == b'T' && bare.ends_with('Z');
    let is_clock = bare.len() == 8
        && bare.matches(':').count() == 2
        && bare
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b':');
    let is_number = bare.len() >= 2 && bare.bytes().all(|byte| byte.is_ascii_digit());
    let is_address = bare.matches('.').count() == 3 && bare.starts_with("10.");
    let is_age = bare.len() >= 2
        && bare.ends_with(['s', 'm', 'h'])
        && bare
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"smh".contains(&byte));
    let shown = match () {
        () if is_uid => "UID",
        () if is_time || is_clock => "TIME",
        () if is_address => "ADDRESS",
        () if is_age => "AGE",
        // Those numbers that count have one digit in the rows.
        () if is_number => "NUMBER",
        () => return word.to_owned(),
    };
    word.replace(bare, shown)
}

/// The files that the rows apply.
const FILES: &[(&str, &str)] = &[
    (
        "map.yaml",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: map}, data: {a: '1', b: '2'}}",
    ),
    (
        "map-less.yaml",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: map}, data: {a: '3'}}",
    ),
    (
        "map-new.yaml",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: map}, data: {c: '9'}}",
    ),
    (
        "owned.yaml",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: owned}, data: {a: '1'}}",
    ),
    (
        "taken.yaml",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: owned}, data: {a: '2'}}",
    ),
    (
        "kept.yaml",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: kept, finalizers: [x.io/keep]}}",
    ),
    (
        "web.yaml",
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, labels: {app: web}}, spec: {replicas: 2, \
         selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: \
         [{name: c, image: 'i:1'}]}}}}",
    ),
    (
        "crd.yaml",
        "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.x.io}, \
         spec: {group: x.io, scope: Namespaced, names: {plural: widgets, kind: Widget, shortNames: [wd], \
         categories: [toys]}, versions: [{name: v1, served: true, storage: true, subresources: {status: {}, \
         scale: {specReplicasPath: .spec.size, statusReplicasPath: .status.size}}, additionalPrinterColumns: \
         [{name: Size, type: integer, jsonPath: .spec.size}, {name: Color, type: string, jsonPath: .spec.color, \
         priority: 1}], schema: {openAPIV3Schema: {type: object, description: A thing that turns., properties: \
         {spec: {type: object, required: [size], properties: {size: {type: integer, minimum: 0, description: \
         How many.}, color: {type: string, enum: [red, green]}}}, status: {type: object, properties: {size: \
         {type: integer}}}}}}}]}}",
    ),
    (
        "widget.yaml",
        "{apiVersion: x.io/v1, kind: Widget, metadata: {name: w}, spec: {size: 3, color: red}}",
    ),
    (
        "widget-bad.yaml",
        "{apiVersion: x.io/v1, kind: Widget, metadata: {name: bad}, spec: {size: -1}}",
    ),
    (
        "widget-odd.yaml",
        "{apiVersion: x.io/v1, kind: Widget, metadata: {name: odd}, spec: {size: 1, sise: 2}}",
    ),
    (
        "typo.yaml",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: typo}, dat: {a: b}}",
    ),
];

/// In order: later rows see what earlier ones wrote.
const ROWS: &[Row] = &[
    Row("version -o json", Differs("another release")),
    Row("api-versions", Differs("fewer groups")),
    Row("api-resources --api-group=apps -o wide", Same),
    Row(
        "api-resources --api-group=coordination.k8s.io -o wide",
        Same,
    ),
    Row("api-resources --api-group=discovery.k8s.io -o wide", Same),
    Row("create namespace work", Same),
    Row("get namespace work", Same),
    Row("get namespace work -o yaml", Same),
    Row("create configmap one --from-literal=k=v", Same),
    Row("create configmap one --from-literal=k=v", Same),
    Row("get configmap one", Same),
    Row("get cm one -o wide", Same),
    Row("get cm one -o yaml", Same),
    Row("get cm one -o json --show-managed-fields", Same),
    Row("get cm one -o 'jsonpath={.data.k} {.metadata.name}'", Same),
    Row("get cm one -o name", Same),
    Row(
        "get cm one -o custom-columns=N:.metadata.name,K:.data.k",
        Same,
    ),
    Row("get cm absent", Same),
    Row("get cm one absent --ignore-not-found", Same),
    Row("get nonsense", Same),
    Row("describe configmap one", Same),
    Row("label cm one tier=front", Same),
    Row("label cm one tier=back", Same),
    Row("label cm one tier=back --overwrite", Same),
    Row("get cm -l tier=back --show-labels", Same),
    Row("get cm -l 'tier in (a,b)'", Same),
    Row("get cm --field-selector metadata.name=one", Same),
    Row("get cm --field-selector spec.odd=one", Same),
    Row("annotate cm one note='some words'", Same),
    Row("annotate cm one note-", Same),
    Row("label cm one tier-", Same),
    Row("patch cm one -p '{\"data\":{\"l\":\"w\"}}'", Same),
    Row(
        "patch cm one --type=merge -p '{\"data\":{\"l\":null,\"m\":\"x\"}}'",
        Same,
    ),
    Row(
        "patch cm one --type=json -p '[{\"op\":\"replace\",\"path\":\"/data/m\",\"value\":\"y\"}]'",
        Same,
    ),
    Row(
        "patch cm one --type=json -p '[{\"op\":\"test\",\"path\":\"/data/m\",\"value\":\"z\"}]'",
        Status,
    ),
    Row("get cm one -o 'jsonpath={.data}'", Same),
    Row("wait --for=jsonpath={.data.m}=y cm/one --timeout=5s", Same),
    Row("wait --for=delete cm/absent --timeout=5s", Same),
    Row("apply -f map.yaml", Same),
    Row("apply -f map.yaml", Same),
    Row("apply -f map-less.yaml", Same),
    Row("get cm map -o yaml", Same),
    Row("diff -f map.yaml", Status),
    Row("replace -f map-new.yaml", Same),
    Row("get cm map -o 'jsonpath={.data}'", Same),
    Row(
        "apply --server-side --field-manager=one -f owned.yaml",
        Same,
    ),
    Row(
        "apply --server-side --field-manager=two -f taken.yaml",
        Same,
    ),
    Row(
        "apply --server-side --field-manager=two --force-conflicts -f taken.yaml",
        Same,
    ),
    Row("get cm owned -o yaml --show-managed-fields", Same),
    Row("create -f map.yaml --dry-run=server -o yaml", Same),
    Row("create -f typo.yaml", Same),
    Row(
        "get cm --chunk-size=1 -o name --field-selector metadata.name!=kube-root-ca.crt",
        Same,
    ),
    Row("create secret generic hidden --from-literal=a=b", Same),
    Row("get secret hidden", Same),
    Row("describe secret hidden", Same),
    Row("create service clusterip front --tcp=80:8080", Same),
    Row("get service front -o wide", Same),
    Row("describe service front", Same),
    Row("apply -f web.yaml", Same),
    Row("apply -f web.yaml", Same),
    Row("get deployments", Same),
    Row("get deploy web -o wide", Same),
    Row("describe deployment web", Same),
    Row("scale deploy web --replicas=5", Same),
    Row("scale deploy web --current-replicas=4 --replicas=6", Same),
    Row("get deploy web -o 'jsonpath={.spec.replicas}'", Same),
    Row("set image deploy/web c=i:2", Same),
    Row(
        "get deploy web -o 'jsonpath={.spec.template.spec.containers[0].image}'",
        Same,
    ),
    Row("create deployment typed --image=x --replicas=2", Same),
    Row("run single --image=busybox", Same),
    Row("get pod single", Same),
    Row("get pods -o wide", Same),
    Row("describe pod single", Same),
    Row("get all", Differs("no service of the server itself")),
    Row("expose deployment web --port=80", Same),
    Row("apply -f crd.yaml", Same),
    Row(
        "wait --for=condition=Established crd/widgets.x.io --timeout=30s",
        Same,
    ),
    Row(
        "api-resources --api-group=x.io -o wide",
        Differs("the verbs of custom kinds stand in another order"),
    ),
    Row("explain pods.spec.containers", Differs("no descriptions")),
    Row("explain deployments.spec", Differs("no descriptions")),
    Row("explain widgets", Same),
    Row("explain widgets.spec", Same),
    Row("explain widgets.spec.size", Same),
    Row(
        "explain widgets --recursive",
        Differs("metadata is not explained to its depths"),
    ),
    Row("apply -f widget.yaml", Same),
    Row(
        "apply -f widget-bad.yaml",
        Differs("the scale is not checked beside the schema"),
    ),
    Row("apply -f widget-odd.yaml", Same),
    Row("get widgets", Same),
    Row("get wd -o wide", Same),
    Row("get toys", Same),
    Row("scale widget w --replicas=4", Same),
    Row("get wd w -o yaml", Same),
    Row("patch wd w -p '{}'", Same),
    Row("create -f kept.yaml", Same),
    Row("delete cm kept --wait=false", Same),
    Row("get cm kept -o 'jsonpath={.metadata.finalizers}'", Same),
    Row(
        "patch cm kept --type=merge -p '{\"metadata\":{\"finalizers\":null}}'",
        Same,
    ),
    Row("get cm kept", Same),
    Row("delete deploy web --cascade=orphan --wait=false", Same),
    Row(
        "delete deploy typed --cascade=foreground --wait=false",
        Same,
    ),
    Row("delete cm one map owned", Same),
    Row("delete secret --all", Same),
    Row("delete cm absent", Same),
    Row("delete pod single --now", Same),
    Row("delete widget --all", Same),
    Row("delete crd widgets.x.io", Same),
    Row("auth can-i get pods", Same),
    Row("auth can-i --list", Same),
    Row("auth whoami", Same),
    Row("auth whoami -o yaml", Same),
    Row("--token wrong get cm", Same),
    Row("--token wrong auth whoami", Same),
    Row("--token wrong version", Same),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_prints_the_same_at_both_servers() {
    let cluster = Cluster::start(&[]);
    let (real, embedded, _server) = both(&cluster);
    let mut wrong = Vec::new();
    for Row(line, known) in ROWS {
        let here = embedded.run(line);
        let mut there = real.run(line);
        // The real server publishes the schemas of a definition some time after it.
        let mut looks = tokio::time::interval(Duration::from_millis(300));
        for _ in 0..100 {
            if there.0 || !line.starts_with("explain") {
                break;
            }
            looks.tick().await;
            there = real.run(line);
        }
        let as_expected = match known {
            Same => there == here,
            Differs(_) => there != here,
            Status => there.0 == here.0,
        };
        if !as_expected {
            let known = if let Differs(why) = known { why } else { "" };
            wrong.push(format!(
                "$ kubectl {line}   {known}\n--- real\n{}--- embedded\n{}",
                there.1, here.1
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}\n{}",
        wrong.len(),
        ROWS.len(),
        wrong.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_follows_changes_alike_at_both_servers() {
    let cluster = Cluster::start(&[]);
    let (real, embedded, _server) = both(&cluster);
    let mut told = BTreeMap::new();
    for (name, kubectl) in [("real", &real), ("embedded", &embedded)] {
        assert!(kubectl.run("create configmap seen --from-literal=a=1").0);
        let mut follow =
            kubectl.command("get cm --field-selector metadata.name=seen -w --output-watch-events");
        let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
        let mut next = || normal(&lines.next().unwrap().unwrap());
        let mut all = vec![next(), next()];
        for change in [
            "patch cm seen --type=merge -p '{\"data\":{\"b\":\"2\"}}'",
            "delete cm seen",
        ] {
            assert!(kubectl.run(change).0, "{change}");
            all.push(next());
        }
        follow.kill().unwrap();
        follow.wait().unwrap();
        told.insert(name, all);
    }
    assert_eq!(told["embedded"], told["real"]);
    assert_eq!(told["real"].len(), 4);
}

/// kubectl at both servers; the embedded one ends with the last value.
fn both(cluster: &Cluster) -> (Kubectl, Kubectl, Embedded) {
    let files = cluster.path("files");
    std::fs::create_dir(&files).unwrap();
    for (name, text) in FILES {
        std::fs::write(files.join(name), text).unwrap();
    }
    let server = Embedded::start(cluster.dir.path());
    let kubectl = |name: &str, kubeconfig: PathBuf| Kubectl {
        kubeconfig,
        cache: cluster.path(&format!("{name}.cache")),
        files: files.clone(),
    };
    let real = kubectl("real", cluster.kubeconfig());
    (real, kubectl("embedded", server.kubeconfig.clone()), server)
}
