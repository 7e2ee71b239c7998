//! Read-your-writes against feeds that are late; writes are told as an API tells them.

use serde_json::json;
use tidings_api::{Object, Resource, ResourceVersion, options::Scope};
use tokio::sync::watch;

use super::*;
use crate::{
    api::{Api, Verb, WriteObserver, WriteOutcome, WriteTarget},
    controller::{
        own_writes::{Expects, Observer, Sight},
        source::Seen,
    },
    state::Progress,
};

/// An API that nobody answers.
fn api() -> Api {
    let config = tidings_http::ClientConfig::from_server("http://127.0.0.1:9").unwrap();
    Api::new(tidings_http::Client::new(config).unwrap())
}

struct Bench {
    own_writes: Arc<OwnWrites>,
    feed: Feed,
    informer: InformerHandle<Raw>,
}

impl Bench {
    async fn new() -> Self {
        let feed = Feed::new("v1/configmaps");
        feed.put(config_map("a", &json!({})));
        let informer = feed.informer();
        informer.wait_synced(Duration::from_secs(60)).await.unwrap();
        let store: Arc<dyn Seen> = Arc::new(informer.clone());
        Self {
            own_writes: Arc::new(OwnWrites::new(vec![store])),
            feed,
            informer,
        }
    }

    /// Tells of a write in the name of `default/owner`.
    fn wrote(&self, resource: &str, written: &str, outcome: &WriteOutcome) {
        tell(
            &self.own_writes,
            "default/owner",
            resource,
            written,
            outcome,
        );
    }

    fn stored(&self, written: &str, version: u64) {
        let outcome = WriteOutcome::Stored {
            key: key(written),
            uid: "1".to_owned(),
            version: ResourceVersion::from_revision(version),
        };
        self.wrote("v1/configmaps", written, &outcome);
    }

    async fn seen(&self) -> Sight {
        self.seen_by("default/owner").await
    }

    async fn seen_by(&self, owner: &str) -> Sight {
        let limit = Duration::from_secs(5);
        self.own_writes.seen(&key(owner), limit).await
    }
}

/// Tells of a write in the name of a key.
fn tell(
    own_writes: &Arc<OwnWrites>,
    owner: &str,
    resource: &str,
    written: &str,
    outcome: &WriteOutcome,
) {
    let observer = Observer {
        own_writes: Arc::clone(own_writes),
        key: key(owner),
        term: None,
        api: api(),
    };
    let target = WriteTarget {
        verb: Verb::Update,
        resource: Resource::parse(resource).unwrap(),
        namespace: Some("default".to_owned()),
        key: Some(key(written)),
        subresource: None,
    };
    observer.begun(&target);
    observer.ended(&target, outcome);
}

fn stored_at(written: &str, version: u64) -> WriteOutcome {
    WriteOutcome::Stored {
        key: key(written),
        uid: "1".to_owned(),
        version: ResourceVersion::from_revision(version),
    }
}

/// A store without objects that is as far as the test says.
struct Shelf {
    scope: Scope,
    progress: watch::Sender<Progress>,
}

impl Shelf {
    fn new(label_selector: &str) -> Arc<Self> {
        let mut scope = Scope::all(Resource::parse("v1/configmaps").unwrap());
        label_selector.clone_into(&mut scope.label_selector);
        let progress = watch::Sender::default();
        let shelf = Self { scope, progress };
        shelf.is_at(0, 1);
        Arc::new(shelf)
    }

    fn is_at(&self, epoch: u64, version: u64) {
        self.progress.send_modify(|progress| {
            progress.epoch = epoch;
            progress.resource_version = Some(ResourceVersion::from_revision(version));
        });
    }
}

impl Seen for Shelf {
    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn object(&self, _key: &str) -> Option<Object> {
        None
    }

    fn version(&self) -> Option<ResourceVersion> {
        self.progress.borrow().resource_version.clone()
    }

    fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }
}

#[tokio::test(start_paused = true)]
async fn a_history_that_changed_before_the_wait_ends_it_too() {
    let shelf = Shelf::new("");
    let own_writes = Arc::new(OwnWrites::new(vec![Arc::clone(&shelf) as Arc<dyn Seen>]));
    let outcome = stored_at("default/a", 70);
    tell(
        &own_writes,
        "default/owner",
        "v1/configmaps",
        "default/a",
        &outcome,
    );
    // The server was restored from a backup: it will not be at 70 for a long time.
    shelf.is_at(1, 3);
    let limit = Duration::from_secs(5);
    let sight = own_writes.seen(&key("default/owner"), limit).await;
    assert_eq!(sight, Sight::Clear);
}

#[tokio::test(start_paused = true)]
async fn several_stores_that_may_not_show_the_object_do_not_block_its_key() {
    let shelves = ["app=a", "app=b", "app=c"].map(Shelf::new);
    let stores = shelves
        .iter()
        .map(|shelf| Arc::clone(shelf) as Arc<dyn Seen>);
    let own_writes = Arc::new(OwnWrites::new(stores.collect()));
    let outcome = stored_at("default/a", 70);
    tell(
        &own_writes,
        "default/owner",
        "v1/configmaps",
        "default/a",
        &outcome,
    );
    let started = Instant::now();
    let limit = Duration::from_secs(5);
    let sight = own_writes.seen(&key("default/owner"), limit).await;
    assert_eq!(sight, Sight::Clear);
    assert_eq!(started.elapsed().as_millis() / 100, 25, "half of the time");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_without_a_uid_is_asked_about() {
    let bench = Bench::new().await;
    let outcome = WriteOutcome::Deleted {
        uid: String::new(),
        version: None,
    };
    bench.wrote("v1/configmaps", "default/a", &outcome);
    assert_eq!(bench.seen().await, Sight::Stale, "nobody answers");
}

#[tokio::test(start_paused = true)]
async fn writes_of_keys_that_never_come_again_are_forgotten_once_seen() {
    let shelf = Shelf::new("");
    let own_writes = Arc::new(OwnWrites::new(vec![Arc::clone(&shelf) as Arc<dyn Seen>]));
    for at in 1..=10_000_u64 {
        let outcome = stored_at("default/a", at);
        let owner = format!("default/owner{at}");
        tell(&own_writes, &owner, "v1/configmaps", "default/a", &outcome);
        if at <= 3000 || at % 500 == 0 {
            shelf.is_at(0, at.min(9500));
        }
    }
    let pending = own_writes.pending();
    assert!((500..3000).contains(&pending), "{pending} are kept");
    // What has not been seen is still awaited.
    let limit = Duration::from_secs(5);
    let sight = own_writes.seen(&key("default/owner9501"), limit).await;
    assert_eq!(sight, Sight::Stale);
}

#[tokio::test(start_paused = true)]
async fn inv_s17_a_key_waits_until_the_store_has_its_write_and_no_longer() {
    let bench = Bench::new().await;
    assert_eq!(bench.seen().await, Sight::Clear);
    bench.stored("default/b", 5);
    // Another key does not wait.
    assert_eq!(bench.seen_by("default/x").await, Sight::Clear);
    assert_eq!(bench.seen().await, Sight::Stale);
    for at in 2..5 {
        bench
            .feed
            .put(config_map("c", &json!({ "at": at.to_string() })));
    }
    assert_eq!(bench.seen().await, Sight::Stale, "version 4 is not 5");
    let feed = bench.feed.clone();
    tokio::spawn(async move {
        pass(Duration::from_secs(1)).await;
        feed.put(config_map("b", &json!({})));
    });
    let started = Instant::now();
    assert_eq!(bench.seen().await, Sight::Clear);
    assert_eq!(started.elapsed().as_secs(), 1);
    assert_eq!(bench.own_writes.pending(), 0, "it is forgotten");
    assert_eq!(
        (bench.own_writes.waits(), bench.own_writes.timeouts()),
        (3, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_awaited_by_its_uid() {
    let bench = Bench::new().await;
    let outcome = WriteOutcome::Deleted {
        uid: "uid-a".to_owned(),
        version: None,
    };
    bench.wrote("v1/configmaps", "default/a", &outcome);
    assert_eq!(bench.seen().await, Sight::Stale);
    bench
        .feed
        .put(config_map("a", &json!({ "still": "there" })));
    assert_eq!(bench.seen().await, Sight::Stale);
    // Somebody has made a new one of the same name.
    let mut other = config_map("a", &json!({}));
    other["metadata"]["uid"] = "uid-other".into();
    bench.feed.put(other);
    assert_eq!(bench.seen().await, Sight::Clear);
    assert_eq!(bench.informer.store().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_no_source_follows_is_not_awaited() {
    let bench = Bench::new().await;
    let outcome = WriteOutcome::Stored {
        key: key("default/s"),
        uid: "1".to_owned(),
        version: ResourceVersion::from_revision(99),
    };
    bench.wrote("v1/secrets", "default/s", &outcome);
    bench.wrote("v1/configmaps", "default/s", &WriteOutcome::Refused);
    assert_eq!(bench.own_writes.pending(), 0);
    assert_eq!(bench.seen().await, Sight::Clear);
}

#[tokio::test(start_paused = true)]
async fn of_several_writes_of_one_object_the_last_counts() {
    let bench = Bench::new().await;
    bench.stored("default/a", 90);
    bench.stored("default/a", 2);
    bench.feed.put(config_map("a", &json!({ "level": "1" })));
    assert_eq!(bench.seen().await, Sight::Clear);
}

#[tokio::test(start_paused = true)]
async fn writes_of_too_many_objects_forget_the_oldest() {
    let bench = Bench::new().await;
    for at in 0..300_u64 {
        bench.stored(&format!("default/b{at}"), 2);
    }
    assert_eq!(bench.own_writes.forgotten(), 300 - 256);
    bench.feed.put(config_map("c", &json!({})));
    assert_eq!(bench.seen().await, Sight::Clear);
}

#[tokio::test(start_paused = true)]
async fn another_history_or_a_stopped_store_ends_the_wait() {
    let bench = Bench::new().await;
    bench.stored("default/b", 50);
    bench.informer.stop();
    assert_eq!(bench.seen().await, Sight::Clear);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_not_taken_for_none() {
    let bench = Bench::new().await;
    bench.wrote("v1/configmaps", "default/a", &WriteOutcome::Unknown);
    // The server does not answer, so nobody can know.
    assert_eq!(bench.seen().await, Sight::Stale);
    assert_eq!(bench.own_writes.pending(), 1);
    let expects = bench
        .own_writes
        .first_of(&key("default/owner"))
        .unwrap()
        .expects;
    assert!(matches!(expects, Expects::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_waits_for_the_writes_of_the_last_one() {
    let (maps, late) = (Feed::new("v1/configmaps"), Feed::new("v1/secrets"));
    maps.put(config_map("a", &json!({})));
    late.put(config_map("other", &json!({})));
    let secrets = late.informer();
    let builder = of(&maps.informer()).source(Source::new(&secrets).to(|_, _| {}));
    let store = secrets.store().clone();
    let created = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&created);
    let server = late.clone();
    let mut running = Running::start(builder, move |request| {
        let (store, count, server) = (store.clone(), Arc::clone(&count), server.clone());
        async move {
            if store.get("default/child").is_some() {
                return Ok(Action::Done);
            }
            // A create whose event is half a minute late: without the wait there would be many.
            count.fetch_add(1, SeqCst);
            let observer = Observer {
                own_writes: Arc::clone(&request.own_writes),
                key: request.key().clone(),
                term: None,
                api: api(),
            };
            let target = WriteTarget {
                verb: Verb::Create,
                resource: Resource::parse("v1/secrets").unwrap(),
                namespace: Some("default".to_owned()),
                key: Some(key("default/child")),
                subresource: None,
            };
            let outcome = WriteOutcome::Stored {
                key: key("default/child"),
                uid: "1".to_owned(),
                version: ResourceVersion::from_revision(2),
            };
            observer.ended(&target, &outcome);
            tokio::spawn(async move {
                pass(Duration::from_secs(30)).await;
                server.put(config_map("child", &json!({})));
            });
            Ok(Action::Again(Duration::from_millis(100)))
        }
    });
    let (_, first) = running.next().await;
    let (_, second) = running.next().await;
    assert_eq!((second - first) / 1000, 30);
    let stats = running.until(|stats| stats.done == 1).await;
    assert_eq!(created.load(SeqCst), 1, "it is created once");
    assert!(stats.own_write_waits > 0 && stats.own_write_timeouts > 0);
}

/// A controller whose reconciles write what no store will see, and come again.
fn blind(own_writes_max: Duration) -> (Feed, Running) {
    let feed = Feed::new("v1/configmaps");
    feed.put(config_map("a", &json!({})));
    let builder = of(&feed.informer()).config(ControllerConfig {
        own_writes_max,
        ..ControllerConfig::default()
    });
    let running = Running::start(builder, |request| async move {
        let outcome = stored_at("default/b", 99);
        let (own_writes, owner) = (&request.own_writes, request.key().as_str());
        tell(own_writes, owner, "v1/configmaps", "default/b", &outcome);
        Ok(Action::Again(Duration::from_millis(100)))
    });
    (feed, running)
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_own_writes_can_be_cancelled() {
    let (_feed, mut running) = blind(Duration::from_secs(3600));
    running.next().await;
    pass(Duration::from_secs(1)).await;
    assert!(running.handle.cancel(&key("default/a")));
    pass(Duration::from_secs(1)).await;
    let stats = running.handle.stats();
    assert_eq!((stats.cancelled, stats.active), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn no_time_for_own_writes_does_not_spin() {
    let (_feed, mut running) = blind(Duration::ZERO);
    running.next().await;
    pass(Duration::from_secs(10)).await;
    let timeouts = running.handle.stats().own_write_timeouts;
    assert!((1..=1000).contains(&timeouts), "waited {timeouts} times");
}
