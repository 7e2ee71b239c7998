//! Leader election over real sockets: hand-overs, crashes, a server that is away, a lease that is lost.
//!
//! Does not measure: durations here are short so that a run is, and only bounds that are several times as long
//! fail it. The rules are shown with a paused clock in `crates/tidings/src/leader/tests.rs`.

use std::time::Duration;

use serde_json::{Value, json};
use tidings::{ElectionConfig, LeaderElection, LeaderHandle, Leadership, StopReason};
use tidings_apiserver::serve::Handle;
use tokio::{task::JoinHandle, time::Instant};

use crate::support::*;

/// Polls are 8 to 17.6 s apart, so that what happens within a few seconds is the watch's doing.
fn slow_polls() -> ElectionConfig {
    ElectionConfig {
        retry_period: Duration::from_secs(8),
        ..ElectionConfig::default()
    }
}

fn short() -> ElectionConfig {
    ElectionConfig {
        lease_duration: Duration::from_secs(2),
        renew_deadline: Duration::from_millis(1500),
        retry_period: Duration::from_millis(300),
        ..ElectionConfig::default()
    }
}

/// Renews often, and survives a machine that is busy for seconds.
fn eager() -> ElectionConfig {
    ElectionConfig {
        retry_period: Duration::from_millis(300),
        ..ElectionConfig::default()
    }
}

fn candidate(
    server: &Handle,
    identity: &str,
    config: ElectionConfig,
) -> (LeaderHandle, JoinHandle<()>) {
    let builder = LeaderElection::builder(client(server), "default", "x", identity);
    let election = builder.config(config).build().unwrap();
    (election.handle(), tokio::spawn(election.run()))
}

async fn leads(handle: &LeaderHandle) -> u32 {
    let led = tokio::time::timeout(DEADLINE, handle.wait_leader()).await;
    led.unwrap_or_else(|_| panic!("{:?}", handle.leadership()))
        .unwrap()
}

async fn until_it(handle: &LeaderHandle, what: impl Fn(&Leadership) -> bool) -> Leadership {
    let mut states = handle.watch();
    let reached = tokio::time::timeout(DEADLINE, states.wait_for(|state| what(state))).await;
    reached.expect("the state in time").unwrap().clone()
}

fn lease(server: &Handle) -> Value {
    server.apply(|state| {
        let leases = state
            .resource("coordination.k8s.io", "v1", "leases")
            .unwrap();
        state.get(leases, "default/x").unwrap().document()
    })
}

fn overwrite(server: &Handle, change: impl FnOnce(&mut Value)) {
    let mut document = lease(server);
    change(&mut document);
    server.apply(|state| {
        let leases = state
            .resource("coordination.k8s.io", "v1", "leases")
            .unwrap();
        state.update(leases, "default/x", document).unwrap();
    });
}

#[tokio::test]
async fn ctl_l3_ctl_l11_a_release_is_met_by_the_watch_and_not_by_the_next_poll() {
    let server = server().await;
    let (mut leader, mut task) = candidate(&server, "n0", slow_polls());
    assert_eq!(leads(&leader).await, 0);
    for turn in 1..4 {
        let (standby, next) = candidate(&server, &format!("n{turn}"), slow_polls());
        let holder = leader.leadership().holder;
        until_it(&standby, |state| state.holder == holder).await;
        let is_watching = tokio::time::timeout(DEADLINE, async {
            while server.watches() < 2 {
                tokio::task::yield_now().await;
            }
        });
        is_watching.await.unwrap();
        assert!(leader.release().await);
        task.await.unwrap();
        let began = Instant::now();
        assert_eq!(leads(&standby).await, turn);
        let took = began.elapsed();
        println!("taken over {took:?} after the release");
        assert!(took < Duration::from_secs(5), "{took:?}");
        (leader, task) = (standby, next);
    }
}

#[tokio::test]
async fn ctl_l12_a_crash_is_met_when_the_lease_expires() {
    let server = server().await;
    let (leader, task) = candidate(&server, "a", short());
    leads(&leader).await;
    let (standby, _task) = candidate(&server, "b", short());
    until_it(&standby, |state| state.holder == "a").await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(!leader.is_leader());
    assert_eq!(leads(&standby).await, 1);
    assert_eq!(lease(&server)["spec"]["holderIdentity"], "b");
}

#[tokio::test]
async fn ctl_l9_without_a_server_a_leader_steps_down_and_with_it_returns() {
    let server = server().await;
    let (leader, _task) = candidate(&server, "a", short());
    leads(&leader).await;
    server.faults(|faults| faults.delay = Duration::from_secs(3600));
    let gone = tokio::time::timeout(DEADLINE, leader.wait_not_leader()).await;
    gone.unwrap();
    assert!(!leader.is_leader() && leader.fencing().is_none());
    let state = until_it(&leader, |state| !state.is_leader).await;
    assert_eq!(state.stopped_leading, Some(StopReason::Expired));
    server.faults(|faults| faults.delay = Duration::ZERO);
    assert_eq!(leads(&leader).await, 0, "nobody else had it");
    server.shutdown().await;
    tokio::time::timeout(DEADLINE, leader.wait_not_leader())
        .await
        .unwrap();
}

/// The watch shows a theft before the next renewal would.
#[tokio::test]
async fn a_stolen_or_deleted_lease_is_noticed_at_once() {
    let server = server().await;
    let (leader, _task) = candidate(&server, "a", slow_polls());
    leads(&leader).await;
    until_it(&leader, |_| server.watches() == 1).await;
    overwrite(&server, |lease| {
        lease["spec"]["holderIdentity"] = "thief".into()
    });
    let state = until_it(&leader, |state| !state.is_leader).await;
    let to = "thief".to_owned();
    assert_eq!(state.stopped_leading, Some(StopReason::Lost { to }));
    overwrite(&server, |lease| lease["spec"]["holderIdentity"] = "".into());
    assert_eq!(leads(&leader).await, 1);
    server.apply(|state| {
        let leases = state
            .resource("coordination.k8s.io", "v1", "leases")
            .unwrap();
        state.delete(leases, "default/x", 1_700_000_000).unwrap();
    });
    until_it(&leader, |state| state.fencing != Some(1)).await;
    assert_eq!(leads(&leader).await, 2, "a new Lease, a higher token");
}

#[tokio::test]
async fn ctl_l16_what_others_wrote_into_the_lease_stays() {
    let server = server().await;
    let (leader, _task) = candidate(&server, "a", eager());
    leads(&leader).await;
    overwrite(&server, |lease| {
        lease["metadata"]["labels"] = json!({ "team": "a" });
        lease["spec"]["strategy"] = "OldestEmulationVersion".into();
    });
    let labelled = lease(&server)["spec"]["renewTime"].clone();
    let renewed = leader.leadership().renewed_at;
    until_it(&leader, |state| state.renewed_at > renewed).await;
    let now = lease(&server);
    assert_ne!(now["spec"]["renewTime"], labelled);
    assert_eq!(now["metadata"]["labels"]["team"], "a");
    assert_eq!(now["spec"]["strategy"], "OldestEmulationVersion");
    assert!(leader.is_leader());
}

/// A watch that breaks, or is refused, costs nobody the lease.
#[tokio::test]
async fn a_broken_watch_never_harms() {
    let server = server().await;
    let (leader, _task) = candidate(&server, "a", eager());
    leads(&leader).await;
    let (standby, _other) = candidate(&server, "b", eager());
    until_it(&standby, |state| state.holder == "a").await;
    let mut states = leader.watch();
    for turn in 0..8 {
        server.cut_watches(turn % 2 == 0);
        server.faults(|faults| faults.stall_watches = turn % 3 == 0);
        states.changed().await.unwrap();
        assert!(states.borrow_and_update().is_leader);
    }
    server.faults(|faults| faults.stall_watches = true);
    assert!(leader.release().await);
    assert_eq!(leads(&standby).await, 1, "by its polls");
}

#[tokio::test]
async fn ctl_l6_of_ten_candidates_one_leads_at_a_time() {
    let server = server().await;
    let mut candidates: Vec<_> = (0..10)
        .map(|number| candidate(&server, &format!("n{number}"), ElectionConfig::default()))
        .collect();
    for expected in 0..5 {
        let leader = tokio::time::timeout(DEADLINE, async {
            loop {
                let found = candidates.iter().position(|(handle, _)| handle.is_leader());
                if let Some(found) = found {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        });
        let leader = leader.await.unwrap();
        let all = candidates.iter().filter(|(handle, _)| handle.is_leader());
        assert_eq!(all.count(), 1);
        let (handle, task) = candidates.remove(leader);
        assert_eq!(handle.fencing(), Some(expected));
        assert!(handle.release().await);
        task.await.unwrap();
    }
}
