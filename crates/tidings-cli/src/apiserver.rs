//! `tidings apiserver`, and the server behind `--embedded`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result};
use tidings_apiserver::serve::{self, Handle, Tls, Token};

use crate::{args::Apiserver, output};

/// Runs the command: until Ctrl-C.
pub(crate) async fn run(args: Apiserver) -> Result<ExitCode> {
    let server = serve::start(config(&args)?).await?;
    let ended = tokio::select! {
        // Polled first: whoever reads that it is ready may interrupt it at once.
        biased;
        interrupted = tokio::signal::ctrl_c() => interrupted.context("Ctrl-C cannot be waited for"),
        Err(error) = async { announce(&server, &args) } => Err(error),
    };
    server.shutdown().await;
    ended.map(|()| ExitCode::SUCCESS)
}

fn config(args: &Apiserver) -> Result<serve::Config> {
    let tokens = match &args.token_file {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("cannot read {}", path.display()))?;
            Token::parse_file(&text).with_context(|| path.display().to_string())?
        }
        // Whoever asks for TLS wants to be alone.
        None if args.tls => vec![Token::random_admin()?],
        None => Vec::new(),
    };
    Ok(serve::Config {
        address: SocketAddr::new(args.address, args.port),
        tls: args.tls.then(|| Tls {
            names: args.tls_name.clone(),
            dir: args.tls_dir.clone(),
        }),
        tokens,
        admin: args
            .admin
            .map(|port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)),
        kubeconfig_out: args.kubeconfig_out.clone(),
        ..serve::Config::default()
    })
}

/// Says on stdout that the server is there.
fn announce(server: &Handle, args: &Apiserver) -> Result<()> {
    if args.churn {
        server.churn(PODS, CHURN_PERIOD);
    }
    if let Some(admin) = server.admin() {
        output::line(&format!("admin http://{admin}"))?;
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
