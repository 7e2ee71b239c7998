//! Cases of kube-rs, for the suite that holds the embedded API server to a real one's answers.
//!
//! A case prints facts on standard output, a line `label: value` each, and says nothing of uids, versions and
//! times but how they relate. It asks for a lever with a line `@pull NAME` and goes on at the next line of
//! standard input. The runner, `tests/real/suite/clients.rs`, compares the facts; nothing is asserted here.

mod control;
mod custom;
mod report;
mod watch;
mod write;

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};
use futures::future::LocalBoxFuture;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

/// What a case works with.
pub(crate) struct Env {
    /// Goes to the server.
    pub(crate) direct: Client,
    /// Goes through what the runner can cut.
    pub(crate) proxied: Client,
    pub(crate) namespace: String,
}

/// A case under the name that the runner's table has too.
pub(crate) struct Case(&'static str, fn(Env) -> LocalBoxFuture<'static, Result<()>>);

/// Makes a row of an async function.
macro_rules! case {
    ($name:literal, $run:path) => {
        $crate::Case($name, |env| Box::pin($run(env)))
    };
}
pub(crate) use case;

const CASES: &[&[Case]] = &[watch::CASES, write::CASES, custom::CASES, control::CASES];

/// Of a whole case: a real server restarts within ten seconds.
const DEADLINE: Duration = Duration::from_secs(90);

#[tokio::main]
async fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let (mut direct, mut proxied) = (String::new(), String::new());
    let (mut name, mut namespace) = (String::new(), String::new());
    while let Some(word) = words.next() {
        let place = match word.as_str() {
            "--cases" => {
                for case in CASES.iter().copied().flatten() {
                    println!("{}", case.0);
                }
                return Ok(());
            }
            "--case" => &mut name,
            "--kubeconfig" => &mut direct,
            "--namespace" => &mut namespace,
            "--proxied" => &mut proxied,
            _ => bail!("unknown word: {word}"),
        };
        *place = words.next().context("a flag without its value")?;
    }
    let mut cases = CASES.iter().copied().flatten();
    let case = cases.find(|case| case.0 == name);
    let case = case.with_context(|| format!("no such case: {name}"))?;
    let env = Env {
        direct: client(Path::new(&direct)).await?,
        proxied: client(Path::new(&proxied)).await?,
        namespace,
    };
    let run = tokio::time::timeout(DEADLINE, (case.1)(env)).await;
    run.with_context(|| format!("{name} took too long"))?
        .with_context(|| name.clone())?;
    // Watches that still stand need not be waited for.
    std::process::exit(0);
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
