//! Runs the built command: against its own embedded server, and with input that is of no use.
//!
//! Each wait is for a condition, with a deadline.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(30);

/// A command under way; it is killed when it is dropped.
struct Running {
    child: Child,
    lines: Receiver<String>,
    notes: Option<thread::JoinHandle<String>>,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let mut child = command(args).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut err = child.stderr.take().unwrap();
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let notes = thread::spawn(move || {
            let mut text = String::new();
            let _ = err.read_to_string(&mut text);
            text
        });
        Self {
            child,
            lines,
            notes: Some(notes),
        }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).unwrap()
    }

    fn interrupt(&self) {
        let id = i32::try_from(self.child.id()).unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    }

    /// The exit code, the lines that were not read yet, and stderr.
    fn end(mut self) -> (Option<i32>, Vec<String>, String) {
        // The sender goes when stdout is closed: that is when the command ends.
        let mut rest = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            rest.push(line);
        }
        let code = self.child.wait().unwrap().code();
        let notes = self.notes.take().unwrap().join().unwrap();
        (code, rest, notes)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    command
        .args(args)
        .env_remove("KUBECONFIG")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(args: &[&str]) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command(args).output().unwrap();
    assert_eq!(String::from_utf8(stdout).unwrap(), "");
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// A server with churn, and its URL.
fn server() -> (Running, String) {
    let server = Running::start(&["apiserver", "--churn"]);
    let ready = server.line();
    let url = ready.strip_prefix("ready ").unwrap().to_owned();
    (server, url)
}

fn measured(args: &[&str]) -> Value {
    let running = Running::start(args);
    let line = running.line();
    let (code, rest, notes) = running.end();
    assert_eq!((code, rest.len()), (Some(0), 0), "{notes}");
    serde_json::from_str(&line).unwrap()
}

#[test]
fn measure_prints_one_object_for_each_kind_of_cache_and_list() {
    let (_server, url) = server();
    let base = ["measure", "--server", &url, "--resource", "v1/pods"];
    let mut raw_bytes = 0;
    for cache in ["raw", "projection", "typed"] {
        for list in ["auto", "paged", "watchlist", "whole"] {
            let args = [&base[..], &["--cache", cache, "--list", list]].concat();
            let report = measured(&args);
            // The churn adds and removes some of the first twenty.
            assert!(report["objects"].as_u64().unwrap() > 5, "{report}");
            for field in ["list_bytes", "rss_bytes", "peak_rss_bytes"] {
                assert!(report[field].as_u64().unwrap() > 0, "{field}: {report}");
            }
            for field in ["sync_wall_ms", "sync_cpu_ms"] {
                assert!(report[field].as_f64().unwrap() > 0.0, "{field}: {report}");
            }
            raw_bytes = raw_bytes.max(report["list_bytes"].as_u64().unwrap());
        }
    }
    assert!(raw_bytes > 10_000);
}

#[test]
fn measure_counts_events_and_refuses_to_invent_a_latency() {
    let (_server, url) = server();
    let base = ["measure", "--server", &url, "--resource", "v1/pods"];
    let report = measured(&[&base[..], &["--events", "2", "--runtime", "multi"]].concat());
    assert_eq!(report["events"], 2);
    assert!(report["events_wall_ms"].as_f64().unwrap() > 0.0, "{report}");
    assert_eq!(report["latency_us"], Value::Null);
    let help = command(&["measure", "--help"]).output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    for figure in report.as_object().unwrap().keys() {
        assert!(help.contains(&format!("  {figure} ")), "{figure}: {help}");
    }
    assert!(help.contains("  latency_us "), "{help}");
    let absent = ["--events", "1", "--latency-annotation", "not/there"];
    let (code, notes) = run(&[&base[..], &absent].concat());
    assert_eq!(code, Some(1));
    assert!(notes.contains("not/there"), "{notes}");
}

#[test]
fn watch_prints_a_line_for_each_change_and_ends_after_enough() {
    let (_server, url) = server();
    for name in ["po", "pods.v1", "v1/pods", "Pod"] {
        let args = ["watch", name, "-A", "--server", &url, "--events-max", "3"];
        let (code, lines, notes) = Running::start(&args).end();
        assert_eq!((code, lines.len()), (Some(0), 3), "{notes}");
        for line in lines {
            assert!(line.starts_with("ADDED     "), "{line}");
            assert!(line.contains(" rv=") && line.contains(" age="), "{line}");
        }
        assert!(notes.contains("# live"), "{notes}");
    }
}

#[test]
fn watch_has_three_more_formats() {
    let args = ["watch", "pods", "-A", "--embedded", "--events-max"];
    let json = [&args[..], &["22", "-o", "json"]].concat();
    let (code, lines, notes) = Running::start(&json).end();
    assert_eq!((code, lines.len()), (Some(0), 22), "{notes}");
    for line in lines {
        let document: Value = serde_json::from_str(&line).unwrap();
        assert!(document["type"].is_string(), "{line}");
        assert!(document["object"]["metadata"]["name"].is_string(), "{line}");
    }
    let wide = [&args[..], &["1", "-o", "wide"]].concat();
    let (_, lines, _) = Running::start(&wide).end();
    assert!(lines[0].contains(" ready=1/1 restarts=0 "), "{lines:?}");
    let running = Running::start(&[&args[..], &["1000", "-o", "diff"]].concat());
    while !running.line().starts_with("MODIFIED") {}
    let change = running.line();
    assert!(
        change.starts_with("  .") && change.contains(" -> "),
        "{change}"
    );
}

#[test]
fn ctrl_c_ends_a_watch_cleanly() {
    let running = Running::start(&["watch", "pods", "-A", "--embedded"]);
    running.line();
    running.interrupt();
    let (code, _, notes) = running.end();
    assert_eq!(code, Some(0), "{notes}");
    assert!(!notes.contains("error"), "{notes}");
}

#[test]
fn ctrl_c_ends_the_server_cleanly() {
    let (server, _url) = server();
    server.interrupt();
    let (code, rest, notes) = server.end();
    assert_eq!((code, rest.len(), notes.as_str()), (Some(0), 0, ""));
}

#[test]
fn a_reader_that_goes_away_ends_a_watch_quietly() {
    let mut child = command(&["watch", "pods", "-A", "--embedded"])
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    drop(out);
    let output = child.wait_with_output().unwrap();
    let notes = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{notes}");
    assert!(!notes.contains("error"), "{notes}");
}

#[test]
fn a_kubeconfig_that_was_written_can_be_used() {
    let file = std::env::temp_dir().join(format!("tidings-cli-{}", std::process::id()));
    let path = file.to_str().unwrap();
    let server = Running::start(&["apiserver", "--churn", "--kubeconfig-out", path]);
    server.line();
    let args = ["watch", "pods", "--kubeconfig", path, "--events-max", "1"];
    let (code, lines, notes) = Running::start(&args).end();
    assert_eq!((code, lines.len()), (Some(0), 1), "{notes}");
    // Without -A it is the context's namespace.
    assert!(lines[0].contains(" default/"), "{lines:?}");
    let missing = [
        "watch",
        "pods",
        "--kubeconfig",
        path,
        "--context",
        "nowhere",
    ];
    let (code, notes) = run(&missing);
    assert_eq!(code, Some(1));
    assert!(notes.contains("no context \"nowhere\""), "{notes}");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn without_a_cluster_the_embedded_one_is_offered() {
    let (code, notes) = run(&["watch", "pods"]);
    assert_eq!(code, Some(2));
    assert!(notes.contains("no cluster is"), "{notes}");
    assert!(notes.contains("--embedded"), "{notes}");
}

#[test]
fn a_kubeconfig_that_cannot_be_read_is_named() {
    let (code, notes) = run(&["watch", "pods", "--kubeconfig", "/nonexistent/config"]);
    assert_eq!(code, Some(1));
    assert!(notes.contains("/nonexistent/config"), "{notes}");
}

#[test]
fn unknown_resources_are_errors_in_any_notation() {
    let (_server, url) = server();
    for name in ["gizmos", "pods.v7", "v1/gizmos", "apps/v1/pods"] {
        let (code, notes) = run(&["watch", name, "--server", &url]);
        assert_eq!(code, Some(1), "{name}");
        assert!(
            notes.contains(&format!("no resource \"{name}\"")),
            "{notes}"
        );
    }
}

#[test]
fn a_server_that_closes_at_once_is_an_error_and_not_a_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().for_each(drop));
    let (code, notes) = run(&["watch", "pods", "--server", &url]);
    assert_eq!(code, Some(1));
    assert!(notes.starts_with("error: discovery: "), "{notes}");
    let args = [
        "measure",
        "--resource",
        "v1/pods",
        "--timeout",
        "1",
        "--server",
    ];
    let (code, notes) = run(&[&args[..], &[&url]].concat());
    assert_eq!(code, Some(1));
    assert!(notes.contains("not synced after 1.0 s: "), "{notes}");
}

#[test]
fn flags_that_make_no_sense_together_are_refused() {
    for args in [
        &["measure", "--resource", "v1/pods", "--token", "t"][..],
        &[
            "measure",
            "--resource",
            "v1/pods",
            "--latency-annotation",
            "a",
        ],
        &["measure", "--resource", "v1/pods", "--events", "0"],
        &[
            "watch",
            "pods",
            "--server",
            "http://127.0.0.1:1",
            "--context",
            "c",
        ],
        &[
            "watch",
            "pods",
            "--embedded",
            "--server",
            "http://127.0.0.1:1",
        ],
    ] {
        assert_eq!(run(args).0, Some(2), "{args:?}");
    }
    for (cache, resource) in [("compressed", "v1/pods"), ("typed", "v1/nodes")] {
        let server = ["--server", "http://127.0.0.1:1"];
        let args = ["measure", "--resource", resource, "--cache", cache];
        let (code, notes) = run(&[&args[..], &server].concat());
        assert_eq!(code, Some(1));
        assert!(notes.starts_with("error: --cache "), "{notes}");
    }
}
