//! A program of cases: started, given its levers, its facts collected.
//!
//! It prints `label: value` for a fact and `@pull LEVER` for a lever, and goes on at the next line of its input.

use std::{fmt, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
    time::timeout,
};

use super::server::Server;
use crate::cluster::DEADLINE;

/// What a case may ask to be done to its server, or to the way there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lever {
    /// The server forgets its history.
    Compact,
    /// All connections through the proxy break.
    Cut,
    /// The proxy's connections break, and it takes no others.
    Down,
    /// The proxy takes connections again.
    Up,
}

/// One of the two programs.
pub(super) struct Program {
    pub(super) name: &'static str,
    /// Whether it meets the embedded server over TLS; the real one has nothing else.
    pub(super) is_secure: bool,
    path: String,
}

/// What a case said, and which levers it asked for.
#[derive(Default)]
pub(super) struct Transcript {
    pub(super) facts: Vec<(String, String)>,
    pub(super) levers: Vec<Lever>,
}

impl Program {
    pub(super) fn client_go() -> Self {
        Self::at("client-go", "TIDINGS_REAL_CLIENT_GO", true)
    }

    pub(super) fn kube_rs() -> Self {
        Self::at("kube-rs", "TIDINGS_REAL_CLIENT_RUST", false)
    }

    fn at(name: &'static str, variable: &str, is_secure: bool) -> Self {
        let path = std::env::var(variable).expect("run tests/real/run");
        Self {
            name,
            is_secure,
            path,
        }
    }

    /// The names of the cases that it has.
    pub(super) async fn cases(&self) -> Vec<String> {
        let output = Command::new(&self.path).arg("--cases").output();
        let output = output.await.unwrap();
        assert!(output.status.success(), "{}", self.name);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Runs a case at a server, in a namespace of its own.
    pub(super) async fn run(&self, case: &str, server: &mut Server) -> Transcript {
        server.make_namespace(case).await;
        let mut child = Command::new(&self.path)
            .args(["--case", case, "--namespace", case])
            .arg("--kubeconfig")
            .arg(server.kubeconfig())
            .arg("--proxied")
            .arg(server.proxied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut transcript = Transcript::default();
        while let Some(line) = next(&mut lines).await {
            if let Some(name) = line.strip_prefix("@pull ") {
                let lever = Lever::parse(name);
                server.pull(lever).await;
                transcript.levers.push(lever);
                // A program that has ended is heard of below.
                let _ = input.write_all(b"done\n").await;
                continue;
            }
            let (label, value) = line.split_once(": ").unwrap_or((&line, ""));
            assert!(
                transcript.fact(label).is_none(),
                "{case}: {label} is said twice"
            );
            transcript.facts.push((label.to_owned(), value.to_owned()));
        }
        let _ = child.start_kill();
        let output = child.wait_with_output().await.unwrap();
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            let last = errors.lines().last().unwrap_or_default().to_owned();
            transcript.facts.push(("FAILED".to_owned(), last));
        }
        // A case may have ended in the midst of an outage.
        server.pull(Lever::Up).await;
        transcript
    }
}

/// The next line, unless the program is silent for too long.
async fn next(
    lines: &mut tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
) -> Option<String> {
    timeout(DEADLINE + DEADLINE, lines.next_line())
        .await
        .ok()?
        .ok()?
}

impl Lever {
    fn parse(name: &str) -> Self {
        match name {
            "compact" => Self::Compact,
            "cut" => Self::Cut,
            "down" => Self::Down,
            "up" => Self::Up,
            _ => panic!("no such lever: {name}"),
        }
    }
}

impl Transcript {
    pub(super) fn fact(&self, label: &str) -> Option<&str> {
        let fact = self.facts.iter().find(|(name, _)| name == label);
        fact.map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (label, value) in &self.facts {
            writeln!(formatter, "{label}: {value}")?;
        }
        Ok(())
    }
}
