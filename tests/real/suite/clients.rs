//! What has to hold for clients: credentials that change, writers that go on, the command, objects
//! nested too deep for a typed decoder, views.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use serde_json::Value;
use tidings::{Event, Factory, Informer, LabelSelector, Lookup, Raw, Resource, Scope, WakeReason};

use crate::cluster::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_is_read_again_and_nothing_is_missed() {
    let mut cluster = Cluster::start(&[]);
    cluster.put("a", "1").await;
    let token_file = cluster.path("token");
    let tokens = cluster.path("apiserver").join("tokens.csv");
    let line = fs::read_to_string(&tokens).unwrap();
    let (first, rest) = line.split_once(',').unwrap();
    fs::write(&token_file, first).unwrap();
    let client = cluster.client_with_token_file(&token_file);
    let scope = configmaps();
    let informer = Informer::<Raw>::builder(client, scope.clone());
    let informer = informer.build().unwrap();
    let handle = informer.handle();
    tokio::spawn(informer.run());
    handle.wait_synced(DEADLINE).await.unwrap();

    // The server comes back with another token; the file still has the old one.
    let port = cluster.kill_apiserver();
    fs::write(&tokens, format!("rotated-0123456789,{rest}")).unwrap();
    cluster.start_apiserver(&port);
    cluster.put("a", "2").await;
    let refused = tokio::time::timeout(DEADLINE, async {
        let mut state = handle.watch_state();
        let is_refused = |state: &tidings::State| {
            let reasons = &state.stats.reasons;
            reasons.contains_key(&WakeReason::Unauthorized)
        };
        let _ = state.wait_for(is_refused).await;
    });
    refused.await.expect("the old token is refused");
    let trouble = format!("{:?}", handle.state().condition.trouble);
    assert!(!trouble.contains(first), "no token in {trouble}");

    fs::write(&token_file, "rotated-0123456789").unwrap();
    cluster.put("b", "3").await;
    cluster.level(&handle, &scope).await;
    handle.stop();
}

/// Each key's history as a handler is told it: never an update of what is not there.
#[derive(Default)]
struct Histories {
    there: BTreeMap<String, bool>,
    illegal: Vec<String>,
}

impl Histories {
    fn note(&mut self, event: &Event<'_, Raw>) {
        let key = event.entry().object.key().to_owned();
        let was = self.there.get(&key).copied().unwrap_or(false);
        let (expected, is) = match event {
            Event::Added { .. } => (false, true),
            Event::Updated { .. } => (true, true),
            Event::Deleted { .. } => (true, false),
            Event::Poisoned { .. } => (was, was),
        };
        if was != expected {
            self.illegal.push(format!("{key}: {event:?}"));
        }
        self.there.insert(key, is);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pr_f1_restarts_while_writers_go_on_lose_nothing() {
    let mut cluster = Cluster::start(&[]);
    cluster.put("w0", "0").await;
    let scope = configmaps();
    let histories = Arc::new(Mutex::new(Histories::default()));
    let noted = Arc::clone(&histories);
    let informer = Informer::<Raw>::builder(cluster.client(), scope.clone())
        .handler(move |event: Event<'_, Raw>| noted.lock().unwrap().note(&event))
        .build()
        .unwrap();
    let handle = informer.handle();
    tokio::spawn(informer.run());
    handle.wait_synced(DEADLINE).await.unwrap();

    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write_on(cluster.client(), Arc::clone(&stop)));
    for _ in 0..3 {
        let before = handle.watch_progress().borrow().changes;
        cluster.restart_apiserver();
        let mut progress = handle.watch_progress();
        let moved = progress.wait_for(|progress| progress.changes > before + 5);
        let moved = tokio::time::timeout(DEADLINE, moved).await;
        moved.expect("changes go on after the restart").unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let written = writer.await.unwrap();
    assert!(written > 20, "{written} writes");
    cluster.level(&handle, &scope).await;
    let histories = histories.lock().unwrap();
    assert_eq!(histories.illegal, [""; 0]);
    let there = histories.there.values().filter(|there| **there).count();
    assert_eq!(
        there,
        handle.store().len(),
        "the handler knows what the store has"
    );
    handle.stop();
}

/// Writes and deletes some ConfigMaps, whether the server is there or not; returns how many answers
/// came.
async fn write_on(client: tidings_http::Client, stop: Arc<AtomicBool>) -> usize {
    let (mut turn, mut answers) = (0_usize, 0);
    let mut pace = tokio::time::interval(Duration::from_millis(2));
    while !stop.load(Ordering::Relaxed) {
        let name = format!("w{}", turn % 5);
        let sent = if turn % 7 == 6 {
            remove_configmap(&client, &name).await
        } else {
            put_configmap(&client, &name, &turn.to_string()).await
        };
        answers += usize::from(sent.is_some());
        turn += 1;
        // While nobody is there it is not a loop without delay.
        pace.tick().await;
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_watches_and_measures_a_real_cluster() {
    let cluster = Cluster::start(&[]);
    let config = cluster.path("apiserver").join("kubeconfig");
    let command = || {
        let mut command = Command::new(std::env::var("TIDINGS_REAL_COMMAND").unwrap());
        command.stderr(Stdio::null()).stdout(Stdio::piped());
        command
    };
    let mut child = command()
        .args(["watch", "pods", "-A", "--kubeconfig"])
        .arg(&config)
        .spawn()
        .unwrap();
    let (sender, lines) = mpsc::channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        out.lines()
            .map_while(Result::ok)
            .try_for_each(|line| sender.send(line))
    });
    let expect = |verb: &str| loop {
        let line: String = lines
            .recv_timeout(DEADLINE)
            .unwrap_or_else(|_| panic!("no {verb}"));
        if line.starts_with(verb) && line.contains("default/by-kubectl") {
            break;
        }
    };
    cluster.kubectl(&[
        "run",
        "by-kubectl",
        "--image=example.invalid/none",
        "--restart=Never",
    ]);
    expect("ADDED");
    cluster.kubectl(&["label", "pod", "by-kubectl", "app=web"]);
    expect("MODIFIED");
    cluster.kubectl(&["delete", "pod", "by-kubectl", "--now"]);
    expect("DELETED");
    child.kill().unwrap();
    child.wait().unwrap();

    cluster.kubectl(&[
        "run",
        "measured",
        "--image=example.invalid/none",
        "--restart=Never",
    ]);
    let output = command()
        .args(["measure", "--resource", "v1/pods", "--kubeconfig"])
        .arg(&config)
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["objects"], 1);
    assert!(report["list_bytes"].as_u64().unwrap() > 500, "{report}");
    assert!(report["rss_bytes"].as_u64() <= report["peak_rss_bytes"].as_u64());
}

/// What no typed decoder of Rust reads: serde_json stops at 128 levels.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_s11_an_object_nested_too_deep_is_served_raw_and_poisons_itself_alone() {
    let cluster = Cluster::start(&[]);
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/smoke/deep.yaml");
    cluster.kubectl(&["apply", "-f", here]);
    let condition = "--for=condition=Established";
    cluster.kubectl(&["wait", condition, "--timeout=60s", "crd/trees.tidings.dev"]);
    let tree = |name: &str, depth: usize| {
        let value = format!("{}1{}", r#"{"n":"#.repeat(depth), "}".repeat(depth));
        let kind = r#""apiVersion":"tidings.dev/v1","kind":"Tree""#;
        format!(r#"{{{kind},"metadata":{{"name":"{name}"}},"spec":{value}}}"#)
    };
    for (name, depth) in [("deep", 200), ("flat", 3)] {
        let file = cluster.path(&format!("{name}.json"));
        fs::write(&file, tree(name, depth)).unwrap();
        // kubectl's own decoder reads that deep.
        cluster.kubectl(&["create", "-f", file.to_str().unwrap()]);
    }
    let scope = Scope::all(Resource::parse("tidings.dev/v1/trees").unwrap());
    let raw = cluster.follow(scope.clone());
    let informer = Informer::<Arc<Value>>::builder(cluster.client(), scope.clone());
    let informer = informer.build().unwrap();
    let typed = informer.handle();
    tokio::spawn(informer.run());
    raw.wait_synced(DEADLINE).await.unwrap();
    typed.wait_synced(DEADLINE).await.unwrap();
    let Lookup::Present(entry) = raw.store().lookup("default/deep") else {
        panic!("a raw store has it as it is");
    };
    assert!(entry.object.json().contains(&r#"{"n":"#.repeat(200)));
    assert!(matches!(
        typed.store().lookup("default/deep"),
        Lookup::Undecodable { .. }
    ));
    assert!(matches!(
        typed.store().lookup("default/flat"),
        Lookup::Present(_)
    ));
    // The kind goes on.
    cluster.kubectl(&["label", "tree", "flat", "app=web"]);
    cluster.level(&raw, &scope).await;
    let version = raw.store().resource_version().unwrap();
    typed.wait_for(&version, DEADLINE).await;
    assert_eq!(typed.store().len(), 2);
    raw.stop();
    typed.stop();
}

#[derive(serde::Deserialize)]
struct ConfigMap {
    data: BTreeMap<String, String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn design_4_8_views_follow_over_one_stream() {
    let cluster = Cluster::start(&[]);
    cluster.put("a", "1").await;
    let factory = Factory::new(cluster.client());
    let selector = LabelSelector::parse("app=web").unwrap();
    let typed = factory
        .view::<Arc<ConfigMap>>(configmaps(), None, |view| view)
        .unwrap();
    let selected = factory
        .view::<Raw>(configmaps(), Some(selector), |view| view)
        .unwrap();
    assert_eq!(factory.streams(), 1);
    typed.wait_synced(DEADLINE).await.unwrap();
    selected.wait_synced(DEADLINE).await.unwrap();
    assert_eq!(selected.store().len(), 0);
    cluster.kubectl(&["label", "configmap", "a", "app=web"]);
    wait_until(&selected, |store| store.len() == 1).await;
    cluster.put("a", "2").await;
    // `put` writes no labels, so the object is selected no more.
    wait_until(&selected, |store| store.is_empty()).await;
    wait_until(&typed, |store| {
        let entry = store.get("default/a");
        let value = entry.as_ref().and_then(|entry| entry.effective());
        value.is_some_and(|map| map.data["value"] == "2")
    })
    .await;
}

async fn wait_until<P: tidings::Payload>(
    handle: &tidings::InformerHandle<P>,
    what: impl Fn(&tidings::Store<P>) -> bool,
) {
    let mut progress = handle.watch_progress();
    let reached = progress.wait_for(|_| what(handle.store()));
    let reached = tokio::time::timeout(DEADLINE, reached).await;
    reached.expect("the view shows it in time").unwrap();
}
