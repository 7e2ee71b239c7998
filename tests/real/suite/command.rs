//! The `tidings` command, while kubectl makes the changes.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

use serde_json::Value;

use crate::cluster::*;

/// A command under way; it is killed when it is dropped.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(cluster: &Cluster, args: &[&str]) -> Self {
        let program = std::env::var("TIDINGS_REAL_COMMAND").expect("run tests/real/run");
        let mut child = Command::new(program)
            .args(args)
            .arg("--kubeconfig")
            .arg(cluster.kubeconfig())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line that begins so.
    fn line(&self, begin: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE);
            let line = line.unwrap_or_else(|error| panic!("{begin}: {error}"));
            if line.starts_with(begin) {
                return line;
            }
        }
    }

    /// Waits until the command has ended well; returns what it said on stderr.
    fn end(mut self) -> String {
        let mut notes = String::new();
        let mut err = self.child.stderr.take().unwrap();
        err.read_to_string(&mut notes).unwrap();
        assert!(self.child.wait().unwrap().success(), "{notes}");
        notes
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run_pod(cluster: &Cluster, name: &str, labels: &str) {
    let labels = format!("--labels={labels}");
    let image = "--image=example.invalid/none";
    cluster.kubectl(&["run", name, image, "--restart=Never", &labels]);
}

#[test]
fn watch_prints_what_kubectl_does() {
    let cluster = Cluster::start(&[]);
    run_pod(&cluster, "before", "app=web");
    let pods = Running::start(&cluster, &["watch", "pods", "-A"]);
    let line = pods.line("ADDED     default/before rv=");
    assert!(line.contains(" Pending age="), "{line}");
    let web = ["watch", "po", "-l", "app=web", "-o", "json"];
    let web = Running::start(&cluster, &web);
    web.line(r#"{"type":"ADDED","#);
    run_pod(&cluster, "after", "app=db");
    pods.line("ADDED     default/after rv=");
    cluster.kubectl(&["label", "pod", "after", "app=web", "--overwrite"]);
    pods.line("MODIFIED  default/after rv=");
    let document: Value = serde_json::from_str(&web.line(r#"{"type":"ADDED","#)).unwrap();
    assert_eq!(document["object"]["metadata"]["name"], "after");
    cluster.kubectl(&["delete", "--now", "pod", "after"]);
    pods.line("DELETED   default/after rv=");
    web.line(r#"{"type":"DELETED","#);

    let nodes = Running::start(&cluster, &["watch", "nodes", "--events-max", "2"]);
    let node = concat!(env!("CARGO_MANIFEST_DIR"), "/suite/node.yaml");
    cluster.kubectl(&["apply", "-f", node]);
    nodes.line("ADDED     real-0 rv=");
    cluster.kubectl(&["delete", "node", "real-0"]);
    nodes.line("DELETED   real-0 rv=");
    assert!(nodes.end().contains("# live"));
}

#[test]
fn watch_finds_custom_resources_by_each_of_their_names() {
    let cluster = Cluster::start(&[]);
    cluster.define("smoke/definition.yaml", "smokes.tidings.dev");
    let object = concat!(env!("CARGO_MANIFEST_DIR"), "/smoke/object.yaml");
    cluster.kubectl(&["apply", "-f", object]);
    for name in [
        "smokes",
        "Smoke",
        "smokes.tidings.dev",
        "tidings.dev/v1/smokes",
    ] {
        let smokes = Running::start(&cluster, &["watch", name, "--events-max", "1"]);
        smokes.line("ADDED     default/smoke rv=");
        smokes.end();
    }
}

#[test]
fn measure_prints_plausible_figures() {
    let cluster = Cluster::start(&[]);
    for number in 0..5 {
        run_pod(&cluster, &format!("p{number}"), "app=web");
    }
    let list = cluster.kubectl(&["get", "--raw", "/api/v1/pods"]);
    let list_len = list.len() as u64;
    let base = ["measure", "--resource", "v1/pods"];
    for cache in ["raw", "projection", "typed"] {
        for mode in ["auto", "paged"] {
            let args = [&base[..], &["--cache", cache, "--list", mode]].concat();
            let measure = Running::start(&cluster, &args);
            let report: Value = serde_json::from_str(&measure.line("{")).unwrap();
            assert_eq!(report["objects"], 5, "{report}");
            let bytes = report["list_bytes"].as_u64().unwrap();
            // Frames of a WatchList have a few bytes more than items of a list.
            assert!(
                (list_len / 2..list_len * 2).contains(&bytes),
                "{list_len}: {report}"
            );
            let memory = report["rss_bytes"].as_u64().unwrap();
            assert!((1 << 20..1 << 30).contains(&memory), "{report}");
            assert!(
                report["peak_rss_bytes"].as_u64().unwrap() >= memory,
                "{report}"
            );
            let [cpu, wall] = ["sync_cpu_ms", "sync_wall_ms"].map(|it| report[it].as_f64());
            assert!(cpu.unwrap() > 0.0 && wall.unwrap() > 0.0, "{report}");
            let notes = measure.end();
            assert!(!notes.contains("could not be decoded"), "{notes}");
        }
    }
}
