//! Elections against a server in memory, with a paused clock: no socket, no waiting.
//!
//! The watch is refused throughout, so that what is shown here is shown with polls alone; with the watch the
//! elections run over sockets, in `tests/integration/leader.rs`.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tidings_engine::lease::StopReason;
use tokio::time::Instant;

use super::*;
use crate::transport::{Body, Opening, Purpose, Response, TransportFailure};

/// One Lease, optimistic concurrency, and levers.
#[derive(Default)]
struct Server {
    lease: Option<Value>,
    version: u64,
    /// Requests that hang from now on, or all of them.
    hang: usize,
    /// Refusals for the next requests.
    refuse: Vec<u16>,
    requests: Vec<&'static str>,
    reloads: usize,
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Server>>);

struct Once(Option<Bytes>);

impl Body for Once {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, TransportFailure>>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

impl Transport for Fake {
    fn open(&self, request: Request, purpose: Purpose) -> Opening {
        let mut server = self.0.lock();
        let (code, body) = match purpose {
            Purpose::Short => {
                if server.hang > 0 {
                    server.hang -= 1;
                    return Box::pin(std::future::pending());
                }
                server.requests.push(request.method);
                server.serve(&request)
            }
            Purpose::List | Purpose::Probe | Purpose::Watch => (403, json!({})),
        };
        let body = Box::new(Once(Some(body.to_string().into())));
        let response = Response::new(code, "application/json".to_owned(), body);
        Box::pin(async move {
            let answered = Instant::now() + Duration::from_millis(20);
            tokio::time::sleep_until(answered).await;
            Ok(response)
        })
    }

    fn reload_credentials(&self) {
        self.0.lock().reloads += 1;
    }

    fn identity(&self) -> String {
        "fake".to_owned()
    }
}

impl Server {
    fn serve(&mut self, request: &Request) -> (u16, Value) {
        if let Some(code) = self.refuse.pop() {
            return (code, json!({ "message": "no\nsecret" }));
        }
        let collection = "/apis/coordination.k8s.io/v1/namespaces/ns/leases";
        let is_object = request.path_and_query == format!("{collection}/x");
        let body = || -> Value { serde_json::from_slice(&request.body).unwrap() };
        match (request.method, &self.lease) {
            ("GET", None) => (404, json!({})),
            ("GET", Some(lease)) => (200, lease.clone()),
            ("POST", Some(_)) => (409, json!({ "reason": "AlreadyExists" })),
            ("POST", None) if request.path_and_query == collection => (201, self.store(body())),
            ("PUT", Some(lease)) if is_object => {
                let written = body();
                let version = &written["metadata"]["resourceVersion"];
                assert!(
                    version.is_string(),
                    "an update without a version: {written}"
                );
                if *version != lease["metadata"]["resourceVersion"] {
                    return (409, json!({ "reason": "Conflict" }));
                }
                (200, self.store(written))
            }
            _ => panic!("{} {}", request.method, request.path_and_query),
        }
    }

    fn store(&mut self, mut lease: Value) -> Value {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.lease = Some(lease.clone());
        lease
    }
}

impl Fake {
    fn candidate(&self, identity: &str) -> LeaderElection {
        let transport = Arc::new(self.clone());
        let builder = LeaderElection::builder_over(transport, "ns", "x", identity);
        builder.build().unwrap()
    }

    /// A running candidate, and its task.
    fn start(&self, identity: &str) -> (LeaderHandle, tokio::task::JoinHandle<()>) {
        let election = self.candidate(identity);
        (election.handle(), tokio::spawn(election.run()))
    }

    fn spec(&self) -> Value {
        self.0.lock().lease.as_ref().unwrap()["spec"].clone()
    }
}

async fn pass(seconds: u64) {
    let until = Instant::now() + Duration::from_secs(seconds);
    tokio::time::sleep_until(until).await;
}

#[tokio::test(start_paused = true)]
async fn ctl_l6_ctl_l8_a_lone_candidate_creates_the_lease_and_renews_it() {
    let fake = Fake::default();
    let (leader, _task) = fake.start("a");
    assert_eq!(leader.wait_leader().await, Some(0));
    let first = fake.spec();
    assert_eq!(
        (&first["holderIdentity"], &first["leaseDurationSeconds"]),
        (&json!("a"), &json!(15))
    );
    assert_eq!(first["acquireTime"], first["renewTime"]);
    for _ in 0..60 {
        pass(1).await;
        assert!(leader.is_leader() && leader.fencing() == Some(0));
    }
    let last = fake.spec();
    assert_ne!(first["renewTime"], last["renewTime"]);
    assert_eq!(first["acquireTime"], last["acquireTime"]);
    let server = fake.0.lock();
    let puts = server.requests.iter().filter(|it| **it == "PUT").count();
    assert!((29..=30).contains(&puts), "one each two seconds: {puts}");
    assert_eq!(server.requests.len(), puts + 2, "{:?}", server.requests);
}

#[tokio::test(start_paused = true)]
async fn ctl_l9_a_leader_whose_server_hangs_leads_until_its_deadline_and_no_longer() {
    let fake = Fake::default();
    let (leader, _task) = fake.start("a");
    leader.wait_leader().await;
    pass(7).await;
    fake.0.lock().hang = usize::MAX;
    let valid_until = leader.leadership().valid_until.unwrap();
    leader.wait_not_leader().await;
    let late = Instant::now() - valid_until;
    assert!(late <= Duration::from_millis(5), "{late:?}");
    assert!(!leader.is_leader() && leader.fencing().is_none());
    pass(1).await;
    let leadership = leader.leadership();
    assert_eq!(leadership.stopped_leading, Some(StopReason::Expired));
    assert_eq!(
        leadership.trouble.as_deref(),
        Some("the last request was not answered in time")
    );
    fake.0.lock().hang = 0;
    // Nobody else took it: the same token.
    assert_eq!(leader.wait_leader().await, Some(0));
}

#[tokio::test(start_paused = true)]
async fn one_hung_renewal_does_not_cost_the_lease() {
    let fake = Fake::default();
    let (leader, _task) = fake.start("a");
    leader.wait_leader().await;
    for _ in 0..5 {
        fake.0.lock().hang = 1;
        for _ in 0..20 {
            pass(1).await;
            assert!(leader.is_leader(), "{:?}", leader.leadership());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ctl_l12_a_crash_is_followed_by_another_leader() {
    let fake = Fake::default();
    let (first, task) = fake.start("a");
    first.wait_leader().await;
    let (second, _task) = fake.start("b");
    pass(30).await;
    assert_eq!(second.leadership().holder, "a");
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(!first.is_leader(), "nobody goes on in its name");
    assert_eq!(first.leadership().released, Some(false));
    let began = Instant::now();
    assert_eq!(second.wait_leader().await, Some(1));
    let took = began.elapsed();
    assert!(
        (Duration::from_secs(12)..Duration::from_secs(20)).contains(&took),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn ctl_l11_cg_e8_a_release_hands_over_and_is_written_as_client_go_does() {
    let fake = Fake::default();
    let (first, task) = fake.start("a");
    first.wait_leader().await;
    let (second, _task) = fake.start("b");
    pass(5).await;
    assert!(first.release().await);
    task.await.unwrap();
    let spec = fake.spec();
    assert_eq!(
        (&spec["holderIdentity"], &spec["leaseDurationSeconds"]),
        (&json!(""), &json!(1))
    );
    assert_eq!(spec["leaseTransitions"], 0);
    assert!(!first.is_leader());
    assert_eq!(first.leadership().released, Some(true));
    assert_eq!(first.wait_leader().await, None, "it has stopped");
    let began = Instant::now();
    assert_eq!(second.wait_leader().await, Some(1));
    // By its polls alone; with the watch it is at once.
    assert!(began.elapsed() < Duration::from_millis(4500));
}

#[tokio::test(start_paused = true)]
async fn ctl_l11_a_release_that_nobody_answers_is_given_up() {
    let fake = Fake::default();
    let (leader, _task) = fake.start("a");
    leader.wait_leader().await;
    fake.0.lock().hang = usize::MAX;
    let began = Instant::now();
    assert!(!leader.release().await);
    assert!(began.elapsed() <= Duration::from_millis(10_005));
    assert_eq!(leader.leadership().released, Some(false));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_else_overwrote_is_lost() {
    let fake = Fake::default();
    let (leader, _task) = fake.start("a");
    leader.wait_leader().await;
    {
        let mut server = fake.0.lock();
        let mut lease = server.lease.clone().unwrap();
        lease["spec"]["holderIdentity"] = "thief".into();
        lease["spec"]["leaseTransitions"] = 7.into();
        server.store(lease);
    }
    leader.wait_not_leader().await;
    let lost = StopReason::Lost {
        to: "thief".to_owned(),
    };
    let leadership = leader.leadership();
    assert_eq!(leadership.stopped_leading, Some(lost));
    assert_eq!(leadership.holder, "thief");
    // The thief does not renew, and its lease expires.
    assert_eq!(leader.wait_leader().await, Some(8));
}

#[tokio::test(start_paused = true)]
async fn ctl_l16_labels_and_unknown_fields_survive_every_write() {
    let fake = Fake::default();
    fake.0.lock().store(json!({
        "metadata": { "name": "x", "namespace": "ns", "labels": { "team": "a" }, "annotations": { "b": "c" } },
        "spec": { "strategy": "OldestEmulationVersion", "preferredHolder": "p" },
    }));
    let (leader, _task) = fake.start("a");
    assert_eq!(leader.wait_leader().await, Some(1));
    pass(5).await;
    leader.release().await;
    let lease = fake.0.lock().lease.clone().unwrap();
    assert_eq!(lease["metadata"]["labels"]["team"], "a");
    assert_eq!(lease["metadata"]["annotations"]["b"], "c");
    assert_eq!(lease["spec"]["strategy"], "OldestEmulationVersion");
    assert_eq!(lease["spec"]["preferredHolder"], "p");
}

/// Refusals are shown in one line and waited out; a credential is loaded anew (SEC-29).
#[tokio::test(start_paused = true)]
async fn refusals_are_shown_and_waited_out() {
    for (code, reloads) in [(401, 1), (403, 0), (429, 0), (500, 0), (503, 0)] {
        let fake = Fake::default();
        fake.0.lock().refuse.push(code);
        let (leader, _task) = fake.start("a");
        let mut states = leader.watch();
        let troubled = states.wait_for(|state| state.trouble.is_some());
        let trouble = troubled.await.unwrap().trouble.clone().unwrap();
        assert_eq!(trouble, format!("refused with {code}: nosecret"));
        leader.wait_leader().await;
        assert_eq!(leader.leadership().trouble, None);
        assert_eq!(fake.0.lock().reloads, reloads, "{code}");
    }
}

/// A refused renewal costs nothing as long as a later one goes through.
#[tokio::test(start_paused = true)]
async fn ctl_l8_refused_renewals_are_tried_again_before_the_deadline() {
    let fake = Fake::default();
    let (leader, _task) = fake.start("a");
    leader.wait_leader().await;
    for code in [500, 429, 403, 409, 401, 503] {
        fake.0.lock().refuse = vec![code; 3];
        for _ in 0..20 {
            pass(1).await;
            assert!(leader.is_leader(), "{code}: {:?}", leader.leadership());
        }
    }
}

/// A task that hangs publishes nothing: what was published runs out by itself, and the health check tells.
#[tokio::test(start_paused = true)]
async fn ctl_l14_cg_e9_a_hanging_election_is_no_leader_and_unhealthy() {
    let fake = Fake::default();
    let election = fake.candidate("a");
    let leader = election.handle();
    assert_eq!(
        leader.check(Duration::ZERO),
        Ok(()),
        "who does not lead is well"
    );
    let mut run = Box::pin(election.run());
    tokio::select! {
        () = &mut run => panic!("it ended"),
        _ = leader.wait_leader() => {}
    }
    // From here on the election is not polled.
    pass(9).await;
    assert!(leader.is_leader());
    let valid_until = leader.leadership().valid_until.unwrap();
    leader.wait_not_leader().await;
    assert!(Instant::now() - valid_until < Duration::from_millis(5));
    assert!(!leader.is_leader() && leader.leadership().is_leader);
    pass(4).await;
    assert_eq!(leader.check(Duration::ZERO), Ok(()));
    pass(2).await;
    let age = leader.check(Duration::ZERO).unwrap_err().age;
    assert!(age > Duration::from_secs(15), "{age:?}");
    assert_eq!(leader.check(Duration::from_secs(60)), Ok(()));
    tokio::select! {
        () = &mut run => panic!("it ended"),
        _ = leader.wait_leader() => {}
    }
    assert_eq!(leader.check(Duration::ZERO), Ok(()));
}

#[tokio::test]
async fn ctl_l1_an_election_that_cannot_be_held_is_not_built() {
    let fake = Fake::default();
    let build = |namespace, name, identity, config| {
        let transport = Arc::new(fake.clone());
        let builder = LeaderElection::builder_over(transport, namespace, name, identity);
        builder.config(config).build().map(|_| ()).unwrap_err()
    };
    let good = Config::default;
    let short = Config {
        lease_duration: Duration::from_secs(10),
        ..Config::default()
    };
    assert_eq!(
        build("ns", "x", "a", short),
        ElectionError::Config(ConfigError::LeaseDurationTooShort)
    );
    assert_eq!(
        build("ns", "x", "", good()),
        ElectionError::Config(ConfigError::EmptyIdentity)
    );
    for (namespace, name) in [("a/b", "x"), ("ns", ".."), ("", "x"), ("ns", "")] {
        let error = build(namespace, name, "a", good());
        assert!(
            matches!(error, ElectionError::Path(_)),
            "{namespace} {name}"
        );
    }
}

/// What a refusal says about the write: it lost, it is certainly not stored, or nobody knows.
#[tokio::test(start_paused = true)]
async fn cg_e5_a_refused_write_is_lost_not_stored_or_in_doubt() {
    use tidings_engine::lease::{Input, Record, RequestId, WriteOutcome};

    let retry_after = None;
    for (code, expected) in [
        (404, WriteOutcome::Conflict),
        (409, WriteOutcome::Conflict),
        (410, WriteOutcome::Conflict),
        (401, WriteOutcome::Refused { retry_after }),
        (403, WriteOutcome::Refused { retry_after }),
        (422, WriteOutcome::Refused { retry_after }),
        (429, WriteOutcome::Refused { retry_after }),
        (500, WriteOutcome::Unknown),
        (503, WriteOutcome::Unknown),
        (504, WriteOutcome::Unknown),
    ] {
        let fake = Fake::default();
        fake.0.lock().refuse.push(code);
        let wire = fake.candidate("a").parts.wire;
        let blank = LeaseObject::new("ns", "x");
        let answered = wire.create(RequestId(7), blank, Record::default()).await;
        let outcome = expected;
        let input = Input::WriteAnswered {
            id: RequestId(7),
            outcome,
        };
        assert_eq!(answered.input, input, "{code}");
        assert_eq!(answered.is_unauthorized, code == 401);
    }
}
