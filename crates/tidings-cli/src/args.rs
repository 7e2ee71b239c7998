//! The command line, as values.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// Live copies of Kubernetes resources.
#[derive(Debug, Parser)]
#[command(name = "tidings", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the embedded API server until Ctrl-C, on loopback unless told otherwise.
    #[command(after_long_help = ACCESS)]
    Apiserver(Apiserver),
    /// Measure what an informer of a resource costs, as one JSON object.
    #[command(after_long_help = FIGURES)]
    Measure(Measure),
    /// Run the engine against a simulated server with seeded faults, and check it at each step.
    Sim(Sim),
    /// Follow a resource: a line for each change.
    Watch(Watch),
}

/// How to reach the server.
#[derive(Debug, ClapArgs)]
pub(crate) struct Connection {
    /// A kubeconfig file.
    #[arg(long)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context to use.
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// The server's URL, http or https, in place of a kubeconfig.
    #[arg(long, conflicts_with_all = ["kubeconfig", "context"])]
    pub(crate) server: Option<String>,
    /// A bearer token, with --server.
    #[arg(long, requires = "server")]
    pub(crate) token: Option<String>,
    /// Do not verify the server's certificate, with --server.
    #[arg(long, requires = "server")]
    pub(crate) insecure_skip_tls_verify: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Apiserver {
    /// The port; 0 lets the system choose.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// The address; beyond loopback it needs --tls.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) address: IpAddr,
    /// Speak HTTPS, with an authority and a certificate made for this run.
    #[arg(long)]
    pub(crate) tls: bool,
    /// One more name or address by which clients know the server.
    #[arg(long, value_name = "NAME", requires = "tls")]
    pub(crate) tls_name: Vec<String>,
    /// Where to leave ca.crt, tls.crt and tls.key; they stay in memory otherwise.
    #[arg(long, value_name = "DIR", requires = "tls")]
    pub(crate) tls_dir: Option<PathBuf>,
    /// The bearer tokens: token,user,uid,"group1,group2" in each line.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Where to write a kubeconfig, with whatever is needed to come in.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig_out: Option<PathBuf>,
    /// Serve the admin endpoint, by which faults are made, on this port of loopback; 0 lets the system choose.
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "0")]
    pub(crate) admin: Option<u16>,
    /// Run a small scripted churn of pods.
    #[arg(long)]
    pub(crate) churn: bool,
}

/// Which worlds to run.
#[derive(Debug, ClapArgs)]
pub(crate) struct Sim {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    pub(crate) seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    pub(crate) first_seed: u64,
    /// One seed alone.
    #[arg(long, conflicts_with_all = ["seeds", "first_seed"])]
    pub(crate) seed: Option<u64>,
    /// One world with faults for so many hours of its own time, of --seed or of seed 0.
    #[arg(long, conflicts_with_all = ["seeds", "first_seed"])]
    pub(crate) hours: Option<u32>,
    /// A case from a file, as a failing run prints it.
    #[arg(long, conflicts_with_all = ["seeds", "first_seed", "seed", "hours"])]
    pub(crate) replay: Option<PathBuf>,
    /// Print the case and a line a step, with --seed or --replay.
    #[arg(long)]
    pub(crate) trace: bool,
    /// How many worlds at a time, each in its own thread.
    #[arg(long, default_value_t = 2)]
    pub(crate) threads: u8,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Watch {
    /// The resource: pods, po, pods.v1, ingresses.networking.k8s.io, or group/version/resource.
    pub(crate) resource: String,
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// The namespace.
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
    /// A label selector, applied by the server.
    #[arg(short = 'l', long, default_value = "")]
    pub(crate) selector: String,
    /// A field selector, applied by the server.
    #[arg(long, default_value = "")]
    pub(crate) field_selector: String,
    /// How to print a change.
    #[arg(short, long, value_enum, default_value_t = Format::Line)]
    pub(crate) output: Format,
    /// Start an embedded API server with a small scripted churn, and watch that.
    #[arg(long, conflicts_with_all = ["kubeconfig", "context", "server"])]
    pub(crate) embedded: bool,
    /// End after this many changes.
    #[arg(long)]
    pub(crate) events_max: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One line a change: what happened, the key, the version, phase, node, address and age.
    Line,
    /// The same with readiness, restarts and labels.
    Wide,
    /// One JSON object a change.
    Json,
    /// One line a change, and below it the fields that changed, old and new.
    Diff,
}

/// What `measure` runs, and with what.
#[derive(Debug, ClapArgs)]
pub(crate) struct Measure {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// [group/]version/resource, such as v1/pods.
    #[arg(long)]
    pub(crate) resource: String,
    /// The namespace, all if absent.
    #[arg(long)]
    pub(crate) namespace: Option<String>,
    /// What is kept of an object.
    #[arg(long, value_enum, default_value_t = Cache::Raw)]
    pub(crate) cache: Cache,
    /// How the state is fetched.
    #[arg(long, value_enum, default_value_t = List::Auto)]
    pub(crate) list: List,
    /// The HTTP version.
    #[arg(long, value_enum, default_value_t = Http::One)]
    pub(crate) http: Http,
    /// Wait for this many events after the sync.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) events: Option<u64>,
    /// The annotation that carries the time at which an event was sent, with --events.
    #[arg(long, requires = "events")]
    pub(crate) latency_annotation: Option<String>,
    /// The runtime; figures are quoted for the current thread.
    #[arg(long, value_enum, default_value_t = Runtime::Current)]
    pub(crate) runtime: Runtime,
    /// Seconds after which a sync, or events that stay away, are given up.
    #[arg(long, default_value_t = 120)]
    pub(crate) timeout: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cache {
    /// The object's JSON, without managedFields.
    Raw,
    /// Pods only: name, labels, node, address, phase and conditions.
    Projection,
    /// Pods only: the whole type of k8s-openapi.
    Typed,
    /// Not yet.
    Compressed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum List {
    /// A WatchList, or pages where the server cannot.
    Auto,
    /// Pages of 500.
    Paged,
    /// A WatchList only.
    Watchlist,
    /// One list without a limit.
    Whole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Http {
    /// HTTP/1.1, a connection each.
    #[value(name = "1")]
    One,
    /// HTTP/2.
    #[value(name = "2")]
    Two,
    /// What the server prefers.
    Auto,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    /// One thread.
    Current,
    /// A thread a core.
    Multi,
}

/// How one comes in to the embedded API server.
const ACCESS: &str = "\
Without --tls and --token-file the server speaks HTTP on loopback, and whoever is on this machine
may do everything. With --token-file a bearer token is asked for; the file is that of
kube-apiserver's --token-auth-file. With --tls alone a token for the user admin is made up, and
stands in the kubeconfig only.

It prints `ready URL` on stdout when it serves, and with --admin `admin URL` in the line before:
`curl URL` shows the levers there are.";

/// What each figure of `measure` is; it stands below the help, where no doc comment replaces it.
const FIGURES: &str = "\
Runs one informer over the public facade: every object passes DeltaFIFO, store, one index and
one handler. Prints one JSON object:

  objects                how many the store has
  list_bytes             bytes of the list, as JSON
  sync_wall_ms           from the start of the informer until the store is complete and the
                         handler was told all of it
  sync_cpu_ms            user and system time of this process until then
  rss_bytes              its memory then
  peak_rss_bytes         the most memory that it had until then

With --events also:

  events                 how many were handled
  events_wall_ms         from the first to the last
  events_cpu_ms          user and system time of this process meanwhile
  events_per_s           events after the first, by events_wall_ms
  events_peak_rss_bytes  the most memory that it ever had
  latency_us             from the nanoseconds since 1970 in --latency-annotation to the call of
                         the handler, the store already updated: p50, p99, p999, max";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Args::command().debug_assert();
    }
}
