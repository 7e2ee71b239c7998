//! `tidings watch`: a line for each change.
//!
//! Changes come from a subscription, so a slow terminal never holds the informer's queues: changes
//! of one key between two looks are one line.

use std::{pin::pin, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use tidings::{
    Activity, Informer, InformerHandle, Raw, Scope, State, Subscription, SubscriptionEvent,
};
use tidings_apiserver::serve::Handle;
use tidings_http::{Client, ClientConfig, ConfigError};

use crate::{
    apiserver,
    args::{Http, Watch},
    connect,
    lines::lines,
    names,
    output::{self, plain},
};

/// Runs the command: until Ctrl-C, or until enough changes were printed.
pub(crate) async fn run(args: Watch) -> Result<ExitCode> {
    let server = if args.embedded {
        Some(apiserver::embedded().await?)
    } else {
        None
    };
    // Ctrl-C drops the session: that closes its connections, and it has no task beside it.
    let ended = tokio::select! {
        biased;
        interrupted = tokio::signal::ctrl_c() => interrupted
            .map(|()| ExitCode::SUCCESS)
            .context("Ctrl-C cannot be waited for"),
        ended = session(&args, server.as_ref()) => ended,
    };
    if let Some(server) = server {
        server.shutdown().await;
    }
    ended
}

async fn session(args: &Watch, server: Option<&Handle>) -> Result<ExitCode> {
    let config = match server {
        Some(server) => ClientConfig::from_server(&server.url())?,
        None => match connect::config(&args.connection) {
            Ok(config) => config,
            Err(error) if is_nothing(&error) => {
                output::error(&error);
                output::note("with --embedded there is an API server to watch, with some churn");
                return Ok(ExitCode::from(2));
            }
            Err(error) => return Err(error),
        },
    };
    let namespace = config.namespace.clone();
    let client = connect::client(config, Http::One)?;
    let scope = scope(args, &client, namespace).await?;
    let informer = Informer::<Raw>::builder(client, scope).build()?;
    let handle = informer.handle();
    let mut running = pin!(informer.run());
    let followed = tokio::select! {
        followed = follow(&handle, args) => followed,
        () = &mut running => bail!("the informer stopped by itself"),
    };
    handle.stop();
    running.await;
    followed.map(|()| ExitCode::SUCCESS)
}

fn is_nothing(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref::<ConfigError>(),
        Some(ConfigError::Nothing { .. })
    )
}

/// What to watch; `namespace` is the configuration's own.
async fn scope(args: &Watch, client: &Client, namespace: Option<String>) -> Result<Scope> {
    let (resource, namespaced) = names::resolve(client, &args.resource).await?;
    let namespace = if args.all_namespaces || !namespaced {
        None
    } else {
        let chosen = args.namespace.clone().or(namespace);
        Some(chosen.unwrap_or_else(|| "default".to_owned()))
    };
    Ok(Scope {
        resource,
        namespace,
        label_selector: args.selector.clone(),
        field_selector: args.field_selector.clone(),
    })
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
                for line in lines(&event, args.output, Timestamp::now()) {
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

/// The state on stderr: a bar while the list streams in, on a terminal, and a line whenever the
/// state turns.
struct Progress {
    bar: ProgressBar,
    said: String,
}

impl Progress {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} objects {per_sec}") {
            bar.set_style(style);
        }
        Self {
            bar,
            said: String::new(),
        }
    }

    fn show(&mut self, state: &State) {
        if let Activity::Listing {
            items, remaining, ..
        } = state.condition.activity
        {
            if let Some(remaining) = remaining {
                self.measure(items.saturating_add(remaining));
            }
            self.bar.set_position(items);
            return;
        }
        self.bar.finish_and_clear();
        let mut summary = plain(&state.summary());
        if summary == self.said {
            return;
        }
        self.said.clone_from(&summary);
        if state.is_synced() && matches!(state.condition.activity, Activity::Watching) {
            summary = format!("{summary}, {} objects", state.objects);
        }
        output::note(&format!("# {summary}"));
    }

    /// The server says how many there are: the bar gets an end.
    fn measure(&self, objects: u64) {
        if self.bar.length().is_none() {
            let template = "{bar:30} {human_pos} of {human_len} objects {per_sec}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style);
            }
        }
        self.bar.set_length(objects);
    }
}
