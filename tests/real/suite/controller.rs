//! The example controller against a real API server: two replicas as processes of their own, through
//! restarts, kills, pauses, other writers and a storm.
//!
//! What must hold at the end: every MyService has what its last spec asks for; and, by the journal that the
//! controllers keep outside of the cluster, never did two replicas work at a time: whoever worked under a
//! later leadership did so after all work under an earlier one.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tidings::{
    Api, ApiError, DeleteOptions, ObjectKey, Patch, Resource, RetryPolicy, Written, retry_if,
};
use tidings_api::request::Request;
use tokio::task::JoinSet;

use crate::cluster::*;

/// Changes in the storm, or as many as `TIDINGS_STORM` says: 50 000 take some minutes.
fn storm() -> u32 {
    let said = std::env::var("TIDINGS_STORM").ok();
    said.and_then(|text| text.parse().ok()).unwrap_or(10_000)
}

/// A process of the example.
struct Replica {
    child: Child,
    identity: &'static str,
}

impl Replica {
    fn start(cluster: &Cluster, outside: &Path, identity: &'static str) -> Self {
        let child = Command::new(program())
            .arg("--kubeconfig")
            .arg(cluster.kubeconfig())
            .args(["--identity", identity, "--outside"])
            .arg(outside)
            .spawn()
            .unwrap();
        Self { child, identity }
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(status.success());
    }

    /// As the kernel does when memory is short: nothing of it goes on.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> String {
    std::env::var("TIDINGS_REAL_CONTROLLER").expect("run tests/real/run")
}

fn resource(text: &str) -> Resource {
    Resource::parse(text).unwrap()
}

/// The user's side: what was asked for, and whether it is there.
struct World {
    cluster: Cluster,
    api: Api,
    outside: PathBuf,
    /// Name to what its spec said last.
    wanted: BTreeMap<String, (u32, String)>,
}

impl World {
    fn new() -> Self {
        let cluster = Cluster::start(&[]);
        let output = Command::new(program())
            .arg("--definition")
            .output()
            .unwrap();
        let kubectl = std::env::var("TIDINGS_REAL_KUBECTL").unwrap();
        let mut apply = Command::new(kubectl)
            .arg("--kubeconfig")
            .arg(cluster.kubeconfig())
            .args(["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        apply
            .stdin
            .take()
            .unwrap()
            .write_all(&output.stdout)
            .unwrap();
        assert!(apply.wait().unwrap().success());
        cluster.kubectl(&[
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "crd/myservices.example.com",
        ]);
        let api = Api::new(cluster.client());
        let outside = cluster.path("outside");
        fs::create_dir_all(&outside).unwrap();
        Self {
            cluster,
            api,
            outside,
            wanted: BTreeMap::new(),
        }
    }

    async fn create(&mut self, count: u32) {
        let services = self.api.resource(&resource("example.com/v1/myservices"));
        for at in 0..count {
            let name = format!("svc-{at:04}");
            let object = json!({
                "apiVersion": "example.com/v1", "kind": "MyService",
                "metadata": { "name": name, "namespace": "default" },
                "spec": { "image": "image:0", "replicas": 1, "port": 80 }
            });
            let written = services.create(Some("default"), &object).await;
            let _: Written<Value> = written.unwrap();
            self.wanted.insert(name, (1, "image:0".to_owned()));
        }
    }

    /// Changes specs, many at a time, until each change was answered; of a change that was not it is not
    /// known whether it was made, so it is made again.
    async fn change(&mut self, changes: impl Iterator<Item = (String, u32, String)>) {
        let mut writers = JoinSet::new();
        for (name, replicas, image) in changes {
            self.wanted.insert(name.clone(), (replicas, image.clone()));
            let api = self.api.clone();
            let patch = json!({ "spec": { "replicas": replicas, "image": image } });
            writers.spawn(async move { patch_until_it_is_done(&api, &name, patch).await });
            if writers.len() >= 8 {
                writers.join_next().await.unwrap().unwrap();
            }
        }
        writers.join_all().await;
    }

    /// Changes each MyService, but not its spec.
    async fn touch(&self, round: u32) {
        let mut writers = JoinSet::new();
        for name in self.wanted.keys() {
            let (api, name) = (self.api.clone(), name.clone());
            let annotations = json!({ "example.com/round": round.to_string() });
            let patch = json!({ "metadata": { "annotations": annotations } });
            writers.spawn(async move { patch_until_it_is_done(&api, &name, patch).await });
            if writers.len() >= 8 {
                writers.join_next().await.unwrap().unwrap();
            }
        }
        writers.join_all().await;
    }

    /// Whether everything is as the last specs ask for; else what is not.
    async fn is_level(&self) -> Result<(), String> {
        let services = self.list("example.com/v1/myservices").await?;
        let deployments = self.list("apps/v1/deployments").await?;
        let own = self.list("v1/services").await?;
        for (name, (replicas, image)) in &self.wanted {
            let service = services
                .get(name)
                .ok_or_else(|| format!("{name} is not there"))?;
            let generation = &service["metadata"]["generation"];
            if service["status"]["observedGeneration"] != *generation {
                return Err(format!(
                    "{name}: status {} of {generation}",
                    service["status"]
                ));
            }
            let deployment = deployments
                .get(name)
                .ok_or_else(|| format!("{name} has no Deployment"))?;
            let container = &deployment["spec"]["template"]["spec"]["containers"][0];
            if deployment["spec"]["replicas"] != *replicas || container["image"] != **image {
                return Err(format!("{name}: its Deployment is {}", deployment["spec"]));
            }
            if !own.contains_key(name) {
                return Err(format!("{name} has no Service"));
            }
            let record = self.outside.join("records").join(format!("default_{name}"));
            let record = fs::read_to_string(record).unwrap_or_default();
            if record != format!("{image} 80") {
                return Err(format!("{name}: its record is {record:?}"));
            }
        }
        Ok(())
    }

    async fn list(&self, of: &str) -> Result<BTreeMap<String, Value>, String> {
        let path = resource(of).collection_path(Some("default")).unwrap();
        let answer = self.api.client().send(&Request::get(path)).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let list: Value =
            serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let named = |item: Value| {
            let name = item["metadata"]["name"].as_str().unwrap().to_owned();
            (name, item)
        };
        Ok(items.into_iter().map(named).collect())
    }

    async fn level(&self, when: &str) {
        let started = std::time::Instant::now();
        let mut looks = tokio::time::interval(Duration::from_millis(500));
        loop {
            let Err(problem) = self.is_level().await else {
                eprintln!(
                    "{when}: level after {:.1} s",
                    started.elapsed().as_secs_f64()
                );
                return;
            };
            assert!(started.elapsed() < DEADLINE, "{when}: {problem}");
            looks.tick().await;
        }
    }

    async fn leader(&self) -> String {
        let leases = self
            .api
            .resource(&resource("coordination.k8s.io/v1/leases"));
        let key = ObjectKey::parse("default/my-service").unwrap();
        let lease: Result<Value, _> = leases.get(&key).await;
        let holder = lease.map(|lease| lease["spec"]["holderIdentity"].clone());
        holder
            .ok()
            .and_then(|holder| holder.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// The leaderships in the order in which work was done under them, each with who led.
    fn terms(&self) -> Vec<(u32, String)> {
        let journal = fs::read_to_string(self.outside.join("journal")).unwrap();
        let mut terms: Vec<(u32, String)> = Vec::new();
        for line in journal.lines() {
            let mut words = line.split(' ');
            let term = words.next().unwrap().parse().unwrap();
            let term = (term, words.next().unwrap().to_owned());
            if terms.last() != Some(&term) {
                terms.push(term);
            }
        }
        terms
    }

    /// No leadership's work came after a later one's.
    fn nobody_worked_beside_another(&self) {
        let terms = self.terms();
        eprintln!("leaderships that worked: {terms:?}");
        assert!(
            terms.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "two leaders worked at a time: {terms:?}"
        );
    }
}

async fn patch_until_it_is_done(api: &Api, name: &str, patch: Value) {
    let services = api.resource(&resource("example.com/v1/myservices"));
    let key = ObjectKey::new("default", name).unwrap();
    let patch = Patch::Merge(patch);
    let policy = RetryPolicy {
        attempts_max: 600,
        initial: Duration::from_millis(100),
        ..RetryPolicy::OCCASIONAL
    };
    let written = retry_if(policy, ApiError::is_retriable, || {
        services.patch::<Value>(&key, &patch)
    });
    let _: Written<Value> = written.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_survives_what_a_cluster_does_to_it() {
    let mut world = World::new();
    let first = Replica::start(&world.cluster, &world.outside, "first");
    until("the first leads", async || world.leader().await == "first").await;
    let second = Replica::start(&world.cluster, &world.outside, "second");
    world.create(200).await;
    world.level("created").await;

    // Its API server dies while everything changes.
    let port = world.cluster.kill_apiserver();
    world.cluster.start_apiserver(&port);
    world.change(all("image:1", 2)).await;
    world.level("the API server was killed").await;

    // Others write what it owns, while specs change.
    let meddlers = meddle(&world);
    world
        .change(all("image:2", 3).chain(all("image:3", 4)))
        .await;
    meddlers.join_all().await;
    world.level("others wrote").await;

    let (leader, standby) = by_leading(&world, first, second).await;
    let standby = the_leader_is_killed(&mut world, leader, standby).await;
    let other = the_leader_is_paused(&mut world, &standby).await;
    a_storm(&mut world).await;
    world.nobody_worked_beside_another();
    everything_ends(&world, [standby, other]).await;
}

/// A change of every MyService.
fn all(image: &'static str, replicas: u32) -> impl Iterator<Item = (String, u32, String)> {
    (0..200).map(move |at| (format!("svc-{at:04}"), replicas, image.to_owned()))
}

/// In the middle of its work; the standby takes over.
async fn the_leader_is_killed(world: &mut World, leader: Replica, standby: Replica) -> Replica {
    let outside = world.outside.clone();
    let changing = world.change(all("image:4", 5).chain(all("image:5", 6)));
    let ((), ()) = tokio::join!(changing, async {
        let journal = outside.join("journal");
        until("the leader is in the middle of it", async || {
            fs::read_to_string(&journal)
                .unwrap()
                .contains("svc-0050 image:4")
        })
        .await;
        leader.kill();
    });
    world.level("the leader was killed").await;
    assert_eq!(world.leader().await, standby.identity);
    standby
}

/// For longer than its lease; it comes back to find another one leading.
async fn the_leader_is_paused(world: &mut World, leader: &Replica) -> Replica {
    let identity = if leader.identity == "first" {
        "second"
    } else {
        "first"
    };
    let other = Replica::start(&world.cluster, &world.outside, identity);
    leader.signal("-STOP");
    world.change(all("image:6", 7)).await;
    until("another one leads", async || {
        world.leader().await == other.identity
    })
    .await;
    leader.signal("-CONT");
    world.change(all("image:7", 8)).await;
    world.level("the leader was paused").await;
    other
}

/// Most of its changes ask for nothing new, as most of a cluster's do.
async fn a_storm(world: &mut World) {
    let started = std::time::Instant::now();
    for round in 0..storm() / 200 {
        if round % 10 == 9 {
            world.change(all("image:8", round % 7)).await;
        } else {
            world.touch(round).await;
        }
    }
    let took = started.elapsed().as_secs();
    eprintln!("a storm of {} changes in {took} s", storm());
    world.level("a storm").await;
}

/// Each MyService is cleaned up, and both replicas end in order: the lease is free.
async fn everything_ends(world: &World, replicas: [Replica; 2]) {
    let services = world.api.resource(&resource("example.com/v1/myservices"));
    for name in world.wanted.keys() {
        let key = ObjectKey::new("default", name).unwrap();
        let deleted = services.delete(&key, &DeleteOptions::default()).await;
        deleted.unwrap();
    }
    until("all are gone", async || {
        let left = world.list("example.com/v1/myservices").await;
        left.is_ok_and(|left| left.is_empty())
    })
    .await;
    let records = fs::read_dir(world.outside.join("records")).unwrap();
    assert_eq!(records.count(), 0, "everything outside was cleaned up");
    world.nobody_worked_beside_another();
    for mut replica in replicas {
        replica.signal("-TERM");
        let ended = replica.child.wait().unwrap();
        assert!(ended.success(), "{}", replica.identity);
    }
    assert_eq!(world.leader().await, "");
}

/// Writers that do not know of the controller.
fn meddle(world: &World) -> JoinSet<()> {
    let mut meddlers = JoinSet::new();
    for part in 0..2_u32 {
        let api = world.api.clone();
        meddlers.spawn(async move {
            let deployments = api.resource(&resource("apps/v1/deployments"));
            for at in 0..400_u32 {
                let name = format!("svc-{:04}", (at * 2 + part) % 200);
                let key = ObjectKey::new("default", &name).unwrap();
                let patch = Patch::Merge(json!({ "spec": { "replicas": 77 },
                    "metadata": { "labels": { "meddled": at.to_string() } } }));
                // A refusal is as good as any other answer.
                let _ = deployments.patch::<Value>(&key, &patch).await;
            }
        });
    }
    meddlers
}

/// The two, the leading one first.
async fn by_leading(world: &World, first: Replica, second: Replica) -> (Replica, Replica) {
    if world.leader().await == first.identity {
        (first, second)
    } else {
        (second, first)
    }
}
