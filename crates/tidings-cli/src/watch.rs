//! `tidings watch` and `tidings apiserver`.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;
use tidings::{
    Activity, Informer, InformerHandle, Raw, Scope, State, Subscription, SubscriptionEvent,
};
use tidings_apiserver::serve::{self, Handle};
use tidings_http::ClientConfig;

use crate::{
    args::{Apiserver, Format, Http, Watch},
    connect,
    diff::diff,
    names,
    output::{self, plain},
};

/// Runs `tidings apiserver`.
pub(crate) async fn apiserver(args: Apiserver) -> Result<ExitCode> {
    let address = SocketAddr::from(([127, 0, 0, 1], args.port));
    let server = serve::start(serve::Config {
        address,
        ..serve::Config::default()
    })
    .await;
    let server = server.with_context(|| format!("cannot listen on {address}"))?;
    if let Some(path) = &args.kubeconfig_out {
        let written = std::fs::write(path, server.kubeconfig());
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.churn {
        server.churn(PODS, CHURN_PERIOD);
    }
    output::line(&format!("ready {}", server.url()))?;
    tokio::signal::ctrl_c()
        .await
        .context("Ctrl-C cannot be waited for")?;
    server.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

/// Runs `tidings watch`.
pub(crate) async fn run(args: Watch) -> Result<ExitCode> {
    let server = if args.embedded {
        Some(embedded().await?)
    } else {
        None
    };
    let config = match &server {
        Some(server) => ClientConfig::from_server(&server.url())?,
        None => match connect::config(&args.connection) {
            Ok(config) => config,
            Err(error) => {
                output::note(&format!("error: {error:#}"));
                output::note("with --embedded there is an API server to watch, with some churn");
                return Ok(ExitCode::from(2));
            }
        },
    };
    let default_namespace = config
        .namespace
        .clone()
        .unwrap_or_else(|| "default".to_owned());
    let client = connect::client(config, Http::One)?;
    let (resource, namespaced) = names::resolve(&client, &args.resource).await?;
    let namespace = match (&args.namespace, args.all_namespaces || !namespaced) {
        (_, true) => None,
        (Some(namespace), false) => Some(namespace.clone()),
        (None, false) => Some(default_namespace),
    };
    let scope = Scope {
        resource,
        namespace,
        label_selector: args.selector.clone(),
        field_selector: args.field_selector.clone(),
    };
    let informer = Informer::<Raw>::builder(client, scope).build()?;
    let handle = informer.handle();
    let running = tokio::spawn(informer.run());
    let followed = tokio::select! {
        followed = follow(&handle, &args) => followed,
        stopped = tokio::signal::ctrl_c() => stopped.context("Ctrl-C cannot be waited for"),
    };
    handle.stop();
    running.await.context("the informer")?;
    if let Some(server) = server {
        server.shutdown().await;
    }
    match followed {
        // Whoever read our lines has had enough.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        other => other.map(|()| ExitCode::SUCCESS),
    }
}

async fn embedded() -> Result<Handle> {
    let server = serve::start(serve::Config::default()).await?;
    server.churn(PODS, CHURN_PERIOD);
    output::note(&format!(
        "an embedded API server serves some pods at {}",
        server.url()
    ));
    Ok(server)
}

/// Prints changes until there are enough, and the state whenever it turns.
async fn follow(handle: &InformerHandle<Raw>, args: &Watch) -> Result<()> {
    let mut state = handle.watch_state();
    let mut progress = Progress::new();
    let mut subscription: Option<Subscription<Raw>> = None;
    let mut printed = 0;
    loop {
        if args.events_max.is_some_and(|most| printed >= most) {
            return Ok(());
        }
        tokio::select! {
            changed = state.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let now = state.borrow_and_update().clone();
                progress.show(&now);
                if now.is_synced() && subscription.is_none() {
                    subscription = Some(handle.subscribe());
                }
            }
            event = next(&mut subscription) => {
                let Some(event) = event else { return Ok(()) };
                for line in lines(&event, args.output) {
                    output::line(&line)?;
                }
                printed += u64::from(!matches!(event, SubscriptionEvent::Synced));
            }
        }
    }
}

async fn next(subscription: &mut Option<Subscription<Raw>>) -> Option<SubscriptionEvent<Raw>> {
    match subscription {
        Some(subscription) => subscription.next().await,
        None => std::future::pending().await,
    }
}

/// The state on stderr: a bar while the list streams in, a line whenever the state turns.
struct Progress {
    bar: ProgressBar,
    said: String,
}

impl Progress {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} objects {per_sec}") {
            bar.set_style(style);
        }
        Self {
            bar,
            said: String::new(),
        }
    }

    fn show(&mut self, state: &State) {
        if let Activity::Listing { items, .. } = state.condition.activity {
            self.bar.set_position(items);
            return;
        }
        self.bar.finish_and_clear();
        let mut summary = plain(&state.summary());
        if state.is_synced() && self.said.is_empty() {
            summary = format!("{summary}, {} objects", state.objects);
        }
        let turn = summary.split(',').next().unwrap_or_default().to_owned();
        if turn != self.said {
            output::note(&format!("# {summary}"));
            self.said = turn;
        }
    }
}

fn lines(event: &SubscriptionEvent<Raw>, format: Format) -> Vec<String> {
    let (word, old, entry) = match event {
        SubscriptionEvent::Added(entry) => ("ADDED", None, entry),
        SubscriptionEvent::Deleted(entry) => ("DELETED", None, entry),
        SubscriptionEvent::Updated { old, new } => ("MODIFIED", Some(old), new),
        SubscriptionEvent::Poisoned(entry) => ("UNDECODABLE", None, entry),
        SubscriptionEvent::Resync(snapshot) => {
            return vec![format!("RESYNC {} objects", snapshot.len())];
        }
        SubscriptionEvent::Synced => return Vec::new(),
    };
    let object = &entry.object;
    let (key, version) = (plain(object.key()), plain(object.resource_version_text()));
    if format == Format::Json {
        let json = if object.json().is_empty() {
            "null"
        } else {
            object.json()
        };
        return vec![format!(r#"{{"type":"{word}","object":{json}}}"#)];
    }
    let mut lines = vec![format!(
        "{word:<9} {key} rv={version}{}",
        facts(object.json())
    )];
    if let (Format::Diff, Some(old)) = (format, old) {
        lines.extend(diff(old.object.json(), object.json()));
    }
    lines
}

#[derive(Deserialize)]
struct Facts {
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: String,
    #[serde(rename = "podIP")]
    pod_ip: String,
}

/// Phase, node and address, of objects that have them.
fn facts(json: &str) -> String {
    let Ok(facts) = serde_json::from_str::<Facts>(json) else {
        return String::new();
    };
    let named = [
        ("", facts.status.phase),
        ("node=", facts.spec.node_name),
        ("ip=", facts.status.pod_ip),
    ];
    let said = named.iter().filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| format!(" {name}{}", plain(value)))
        .collect()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

const PODS: u64 = 20;
const CHURN_PERIOD: Duration = Duration::from_millis(700);
