//! Minutes, or hours, of writes while everything fails that can be made to fail; then all is as it was.
//!
//! `TIDINGS_SOAK` is how many seconds; each kind of fault comes once, then what the seed says
//! (`TIDINGS_SEED`). The network is cut by taking the loopback interface down, which needs a
//! network namespace of the test's own: `tests/real/soak` makes one.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use tidings::{
    Informer, InformerHandle, ListMode, Order, PipelineConfig, Raw, ReflectorConfig, Scope,
};
use tidings_http::{
    Client, HttpVersion,
    tls::{Roots, Source, TlsSettings},
};

use crate::{cluster::*, history::History, writers::Writers};

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// The API server is killed, and started again after a while.
    Crash,
    /// etcd is killed under the API server, and started again over its data.
    Storage,
    /// What etcd knows of the past is compacted.
    Compaction,
    /// The API server comes back with another certificate, signed by another authority.
    Certificate,
    /// Nothing reaches anybody: no packet, no reset.
    Network,
}

const FAULTS: [Fault; 5] = [
    Fault::Crash,
    Fault::Storage,
    Fault::Compaction,
    Fault::Certificate,
    Fault::Network,
];

/// One informer with what its handler was told.
struct Follower {
    name: &'static str,
    handle: InformerHandle<Raw>,
    history: History,
    scope: Scope,
}

fn follow(
    client: &Client,
    name: &'static str,
    scope: Scope,
    list_mode: ListMode,
    order: Order,
) -> Follower {
    let history = History::default();
    let reflector = ReflectorConfig {
        list_mode,
        page_items: 3,
        ..ReflectorConfig::default()
    };
    let pipeline = PipelineConfig {
        order,
        ..PipelineConfig::default()
    };
    let informer = Informer::<Raw>::builder(client.clone(), scope.clone())
        .reflector(reflector)
        .pipeline(pipeline)
        .handler(history.handler());
    let informer = informer.build().unwrap();
    let handle = informer.handle();
    tokio::spawn(informer.run());
    Follower {
        name,
        handle,
        history,
        scope,
    }
}

impl Follower {
    /// Waits until store and handler are what the server has; their way there has to be legal.
    /// What happened is told in one line.
    async fn settle(&self, cluster: &Cluster) -> String {
        cluster.level(&self.handle, &self.scope).await;
        self.history.check(&cluster.truth(&self.scope).await).await;
        let (name, state) = (self.name, self.handle.state());
        assert_eq!(state.condition.epoch, 0, "{name}: one history");
        format!("{name}: {:?} {:?}", self.history.counts(), state.stats)
    }
}

/// Informers of every way to list, in both orders, over both versions of HTTP.
fn followers(http1: &Client, http2: &Client) -> Vec<Follower> {
    let mut selected = configmaps();
    selected.field_selector = "metadata.name=w1-1".to_owned();
    let plan = [
        ("watch list", http1, ListMode::Auto, Order::Arrival),
        (
            "watch list over HTTP/2",
            http2,
            ListMode::Auto,
            Order::Arrival,
        ),
        ("pages", http1, ListMode::Paged, Order::Arrival),
        ("one list", http2, ListMode::Whole, Order::PerKey),
    ];
    let all = plan.into_iter();
    let all =
        all.map(|(name, client, mode, order)| follow(client, name, configmaps(), mode, order));
    let one = follow(http1, "one object", selected, ListMode::Auto, Order::PerKey);
    all.chain([one]).collect()
}

/// Clients whose authority stands in a file, over both versions of HTTP.
fn clients(cluster: &Cluster, authority: &Path) -> [Client; 2] {
    [HttpVersion::Http1, HttpVersion::Http2].map(|http| {
        let mut config = cluster.config();
        config.tls = TlsSettings {
            roots: Roots::Given(Source::File(authority.to_owned())),
            ..TlsSettings::default()
        };
        config.http = http;
        Client::new(config).unwrap()
    })
}

/// Puts the server's authority where the clients look for it, as a whole.
fn publish_authority(cluster: &Cluster, authority: &Path) {
    let next = authority.with_extension("next");
    fs::copy(cluster.path("apiserver").join("apiserver.crt"), &next).unwrap();
    fs::rename(&next, authority).unwrap();
}

fn network(state: &str) {
    let status = Command::new("ip")
        .args(["link", "set", "lo", state])
        .status();
    assert!(status.unwrap().success(), "ip link set lo {state}");
}

async fn inflict(
    cluster: &mut Cluster,
    fault: Fault,
    authority: &Path,
    writers: &Writers,
    rng: &mut fastrand::Rng,
) {
    let while_down = Duration::from_millis(rng.u64(100..8000));
    match fault {
        Fault::Crash => {
            let port = cluster.kill_apiserver();
            writers.failed().await;
            pause(while_down).await;
            cluster.start_apiserver(&port);
        }
        Fault::Storage => {
            let port = cluster.kill_etcd();
            pause(while_down).await;
            cluster.start_etcd("etcd", &port);
        }
        Fault::Compaction => {
            let etcd = cluster.etcd_url();
            cluster.tool(&["compact", "--etcd", &etcd]);
        }
        Fault::Certificate => {
            let port = cluster.kill_apiserver();
            for file in ["apiserver.crt", "apiserver.key"] {
                fs::remove_file(cluster.path("apiserver").join(file)).unwrap();
            }
            cluster.start_apiserver(&port);
            publish_authority(cluster, authority);
        }
        Fault::Network => {
            network("down");
            pause(3 * while_down).await;
            network("up");
        }
    }
}

/// For how long a fault lasts: nothing is waited for but time.
async fn pause(time: Duration) {
    let mut interval = tokio::time::interval(time);
    interval.tick().await;
    interval.tick().await;
}

fn option(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Resident memory of this process in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_l1_inv_s7_inv_s13_after_an_hour_of_faults_all_is_as_the_server_has_it() {
    let seconds = option("TIDINGS_SOAK").unwrap_or(120);
    let seed = option("TIDINGS_SEED").unwrap_or(1);
    println!("TIDINGS_SOAK={seconds} TIDINGS_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut cluster = Cluster::start(&[]);
    let authority = cluster.path("authority.crt");
    publish_authority(&cluster, &authority);
    let [http1, http2] = clients(&cluster, &authority);
    let followers = followers(&http1, &http2);
    for follower in &followers {
        follower.handle.wait_synced(DEADLINE).await.unwrap();
    }
    let writers = Writers::start(&http1);
    writers.accepted(200).await;
    let (tasks_then, memory) = (tasks(), resident());

    let ends = Instant::now() + Duration::from_secs(seconds);
    let mut inflicted: BTreeMap<Fault, u32> = BTreeMap::new();
    let mut plan = FAULTS.into_iter();
    while Instant::now() < ends || plan.len() > 0 {
        let fault = plan
            .next()
            .unwrap_or_else(|| FAULTS[rng.usize(..FAULTS.len())]);
        *inflicted.entry(fault).or_default() += 1;
        inflict(&mut cluster, fault, &authority, &writers, &mut rng).await;
        let began = Instant::now();
        writers.accepted(100).await;
        println!("{fault:?}: writes go on after {:?}", began.elapsed());
    }
    let (accepted, failed) = writers.tally();
    writers.stop().await;
    for follower in &followers {
        println!("{}", follower.settle(&cluster).await);
    }
    println!("{inflicted:?}; {accepted} writes accepted, {failed} failed");
    until("tasks are as many as before", async || {
        tasks() <= tasks_then
    })
    .await;
    let grown = resident().saturating_sub(memory);
    println!("{tasks_then} tasks; {memory} KiB resident, {grown} more at the end");
    assert!(grown < GROWTH_MAX, "{grown} KiB more than at the start");
    for follower in followers {
        follower.handle.stop();
    }
}

/// KiB by which this process may have grown: buffers of more connections, and the allocator's slack.
const GROWTH_MAX: u64 = 48 << 10;

fn tasks() -> usize {
    tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
}
