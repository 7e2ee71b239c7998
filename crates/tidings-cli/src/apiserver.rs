//! `tidings apiserver`, and the server behind `--embedded`.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use tidings_apiserver::serve::{self, Handle};

use crate::{args::Apiserver, output};

/// Runs the command: until Ctrl-C.
pub(crate) async fn run(args: Apiserver) -> Result<ExitCode> {
    let address = SocketAddr::from(([127, 0, 0, 1], args.port));
    let config = serve::Config {
        address,
        // Go's reader holds back a gzip member until the next one begins, so kubectl would wait.
        watch_list_gzip: false,
        ..serve::Config::default()
    };
    let server = serve::start(config).await;
    let server = server.with_context(|| format!("cannot listen on {address}"))?;
    let ended = tokio::select! {
        // Polled first: whoever reads that it is ready may interrupt it at once.
        biased;
        interrupted = tokio::signal::ctrl_c() => interrupted.context("Ctrl-C cannot be waited for"),
        Err(error) = announce(&server, &args) => Err(error),
    };
    server.shutdown().await;
    ended.map(|()| ExitCode::SUCCESS)
}

/// Says that the server is there, on stdout and in a kubeconfig.
async fn announce(server: &Handle, args: &Apiserver) -> Result<()> {
    if let Some(path) = &args.kubeconfig_out {
        let written = std::fs::write(path, server.kubeconfig());
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.churn {
        server.churn(PODS, CHURN_PERIOD);
    }
    output::line(&format!("ready {}", server.url()))?;
    Ok(())
}

/// A server on loopback with some churn, to have something to watch.
pub(crate) async fn embedded() -> Result<Handle> {
    let server = serve::start(serve::Config::default()).await;
    let server = server.context("the embedded API server cannot start")?;
    server.churn(PODS, CHURN_PERIOD);
    output::note(&format!(
        "# an embedded API server serves some pods at {}",
        server.url()
    ));
    Ok(server)
}

const PODS: u64 = 20;
const CHURN_PERIOD: Duration = Duration::from_millis(700);
