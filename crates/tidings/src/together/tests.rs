//! Waits for several stores whose progress the test moves itself, with a paused clock.

use tidings_api::Resource;

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

fn store(resource: &str, at: Option<u64>) -> (watch::Sender<Progress>, Member) {
    let (sender, progress) = watch::channel(progress(at, 0));
    let scope = Arc::new(Scope::all(Resource::parse(resource).unwrap()));
    (sender, Member { scope, progress })
}

fn progress(at: Option<u64>, epoch: u64) -> Progress {
    Progress {
        resource_version: at.map(ResourceVersion::from_revision),
        epoch,
        ..Progress::default()
    }
}

fn version(revision: u64) -> ResourceVersion {
    ResourceVersion::from_revision(revision)
}

/// Lets the wait begin, and half of its time pass.
async fn half_of_it() {
    tokio::task::yield_now().await;
    tokio::time::advance(LIMIT / 2).await;
}

#[tokio::test(start_paused = true)]
async fn it_is_reached_when_the_last_store_has_it() {
    let (_pods_in, pods) = store("v1/pods", Some(70));
    let (nodes_in, nodes) = store("v1/nodes", None);
    let together = Together {
        members: vec![pods, nodes],
    };
    let waiting = tokio::spawn(async move { together.at_version(&version(70), LIMIT).await });
    nodes_in.send_replace(progress(Some(69), 0));
    half_of_it().await;
    assert!(!waiting.is_finished());
    nodes_in.send_replace(progress(Some(71), 0));
    let versions = vec![version(70), version(70)];
    let reached = TogetherOutcome::Reached { versions };
    assert_eq!(waiting.await.unwrap(), reached);
}

#[tokio::test(start_paused = true)]
async fn what_is_behind_is_named_with_what_it_has() {
    let (_pods_in, pods) = store("v1/pods", Some(70));
    let (_nodes_in, nodes) = store("v1/nodes", Some(3));
    let scope = Arc::clone(&nodes.scope);
    let together = Together {
        members: vec![nodes, pods],
    };
    let began = Instant::now();
    let behind = vec![Behind {
        scope,
        at: Some(version(3)),
        wanted: Some(version(70)),
    }];
    let outcome = together.at_version(&version(70), LIMIT).await;
    assert_eq!(outcome, TogetherOutcome::TimedOut { behind });
    assert_eq!(began.elapsed(), LIMIT);
}

#[tokio::test(start_paused = true)]
async fn another_history_is_not_reached_even_by_a_store_that_was_there() {
    let (pods_in, pods) = store("v1/pods", Some(70));
    let (nodes_in, nodes) = store("v1/nodes", Some(3));
    let scope = Arc::clone(&pods.scope);
    let together = Together {
        members: vec![pods, nodes],
    };
    let waiting = tokio::spawn(async move { together.at_version(&version(70), LIMIT).await });
    half_of_it().await;
    // The first store had it; its server is restored before the second one is there.
    pods_in.send_replace(progress(Some(5), 1));
    nodes_in.send_replace(progress(Some(80), 0));
    let outcome = waiting.await.unwrap();
    assert_eq!(outcome, TogetherOutcome::EpochChanged { scope });
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_behind_a_store_has_another_history() {
    let (_in, pods) = store("v1/pods", Some(70));
    let scope = Arc::clone(&pods.scope);
    let together = Together {
        members: vec![pods],
    };
    let marks = together.marks();
    let outcome = together.reach(&marks, vec![Some(version(9))], Instant::now() + LIMIT);
    assert_eq!(outcome.await, TogetherOutcome::EpochChanged { scope });
}

#[tokio::test(start_paused = true)]
async fn an_informer_that_stops_ends_the_wait() {
    for drops in [false, true] {
        let (pods_in, pods) = store("v1/pods", Some(3));
        let scope = Arc::clone(&pods.scope);
        let together = Together {
            members: vec![pods],
        };
        let waiting = tokio::spawn(async move { together.at_version(&version(70), LIMIT).await });
        half_of_it().await;
        if drops {
            drop(pods_in);
        } else {
            pods_in.send_modify(|progress| progress.stopped = true);
        }
        let outcome = waiting.await.unwrap();
        assert_eq!(outcome, TogetherOutcome::Stopped { scope });
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_waited_for_when_there_is_nobody() {
    let outcome = Together::new().at_version(&version(70), LIMIT).await;
    let versions = Vec::new();
    assert_eq!(outcome, TogetherOutcome::Reached { versions });
}
