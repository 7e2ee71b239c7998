//! What follows from how a reconcile ends.

use serde_json::json;

use super::*;
use crate::{Reason, rate_limit::Exponential};

/// A controller of one object, with a limiter that doubles from 1 s.
fn one_object() -> (Feed, ControllerBuilder) {
    let feed = Feed::new("v1/configmaps");
    feed.put(config_map("a", &json!({})));
    let builder = of(&feed.informer()).queue(WorkQueueConfig {
        limiter: Box::new(Exponential {
            base: Duration::from_secs(1),
            max: Duration::from_secs(1000),
        }),
        ..WorkQueueConfig::default()
    });
    (feed, builder)
}

#[tokio::test(start_paused = true)]
async fn again_is_after_its_time_and_not_before() {
    let (_feed, builder) = one_object();
    let mut running = Running::start(builder, |request| async move {
        assert_eq!(request.attempt(), 0, "it is no failure");
        Ok(Action::Again(Duration::from_secs(10)))
    });
    let (_, first) = running.next().await;
    let (_, second) = running.next().await;
    assert_eq!((second - first) / 1000, 10);
    running.until(|stats| stats.again == 2).await;
    assert_eq!(running.handle.queue_stats().tracked, 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_outcome_decides_when_it_is_again() {
    let (feed, builder) = one_object();
    let mut running = Running::start(builder, |request| async move {
        match request.reason() {
            Reason::Added => Ok(Action::Again(Duration::from_secs(60))),
            Reason::Delayed | Reason::Retry(_) => Ok(Action::Done),
        }
    });
    let (_, first) = running.next().await;
    pass(Duration::from_secs(30)).await;
    feed.put(config_map("a", &json!({ "level": "1" })));
    running.next().await;
    // Not at 60 s, as the first said, but at 90 s.
    let (_, third) = running.next().await;
    assert_eq!((third - first) / 1000, 90);
    running.is_quiet(Duration::from_secs(600)).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_later_each_time_until_it_succeeds() {
    let (_feed, builder) = one_object();
    let mut running = Running::start(builder, |request| async move {
        match request.attempt() {
            3 => Ok(Action::Done),
            _ => Err(std::io::Error::other("the disk is on fire"))?,
        }
    });
    let mut times = Vec::new();
    for _ in 0..4 {
        times.push(running.next().await.1);
    }
    let waits: Vec<_> = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]) / 1000)
        .collect();
    assert_eq!(waits, [1, 2, 4]);
    let stats = running.until(|stats| stats.done == 1).await;
    assert_eq!((stats.retried, stats.gave_up), (3, 0));
    assert_eq!(
        running.handle.queue_stats().tracked,
        0,
        "its failures are forgotten"
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_that_fails_too_often_is_parked_until_it_changes() {
    let (feed, builder) = one_object();
    let builder = builder.config(ControllerConfig {
        retries_max: Some(2),
        ..ControllerConfig::default()
    });
    let mut running = Running::start(builder, |_| async { Err(Failure::retry("no quota")) });
    running.next_keys(3).await;
    running.is_quiet(Duration::from_secs(3000)).await;
    let parked = running.handle.parked();
    assert_eq!(parked.len(), 1);
    assert_eq!(
        (parked[0].key.as_str(), parked[0].attempts),
        ("default/a", 3)
    );
    assert_eq!(parked[0].reason, "no quota");
    assert_eq!(parked[0].since.as_secs() / 100, 30);
    // Somebody asks for it.
    assert!(!running.handle.retry(&key("default/b")));
    assert!(running.handle.retry(&key("default/a")));
    running.next_keys(3).await;
    running.until(|stats| stats.parked == 1).await;
    // It changes.
    feed.put(config_map("a", &json!({ "level": "1" })));
    running.next_keys(3).await;
    let stats = running.until(|stats| stats.parked == 1).await;
    assert_eq!((stats.gave_up, stats.retried), (3, 6));
}

#[tokio::test(start_paused = true)]
async fn giving_up_is_final_and_success_takes_a_key_out() {
    let (feed, builder) = one_object();
    let mut running = Running::start(builder, |request| async move {
        match request.reason() {
            Reason::Added if request.key().name() == "a" => Err(Failure::give_up("bad spec")),
            _ => Ok(Action::Done),
        }
    });
    running.next().await;
    running.until(|stats| stats.parked == 1).await;
    running.is_quiet(Duration::from_secs(3000)).await;
    feed.put(config_map("b", &json!({})));
    running.next().await;
    assert_eq!(
        running.handle.parked().len(),
        1,
        "another key does not matter"
    );
    running
        .handle
        .core
        .queue
        .add_after(&key("default/a"), Duration::from_secs(1));
    running.next().await;
    running
        .until(|stats| stats.parked == 0 && stats.done == 2)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_the_failure_of_its_key_alone() {
    let (feed, builder) = one_object();
    feed.put(config_map("b", &json!({})));
    let mut running = Running::start(builder, |request| async move {
        assert!(
            request.key().name() != "a" || request.attempt() > 1,
            "a is not ready"
        );
        Ok(Action::Done)
    });
    let mut keys = running.next_keys(4).await;
    keys.sort();
    assert_eq!(keys, ["default/a", "default/a", "default/a", "default/b"]);
    let stats = running.until(|stats| stats.done == 2).await;
    assert_eq!((stats.panicked, stats.retried, stats.active), (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_that_takes_too_long_is_dropped_and_tried_again() {
    let (_feed, builder) = one_object();
    let builder = builder.config(ControllerConfig {
        deadline: Some(Duration::from_secs(20)),
        ..ControllerConfig::default()
    });
    let mut running = Running::start(builder, |request| async move {
        if request.attempt() == 0 {
            std::future::pending::<()>().await;
        }
        Ok(Action::Done)
    });
    let (_, first) = running.next().await;
    let (_, second) = running.next().await;
    assert_eq!((second - first) / 1000, 21);
    let stats = running.until(|stats| stats.done == 1).await;
    assert_eq!((stats.timed_out, stats.retried), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_reconcile_is_dropped_and_comes_back_with_a_change_only() {
    let (feed, builder) = one_object();
    let mut running = Running::start(builder, |request| async move {
        if request.reason() == Reason::Added {
            std::future::pending::<()>().await;
        }
        Ok(Action::Done)
    });
    running.next().await;
    assert!(!running.handle.cancel(&key("default/b")));
    assert!(running.handle.cancel(&key("default/a")));
    running
        .until(|stats| stats.cancelled == 1 && stats.active == 0)
        .await;
    running.is_quiet(Duration::from_secs(600)).await;
    assert!(!running.handle.cancel(&key("default/a")));
    feed.put(config_map("a", &json!({ "level": "1" })));
    running.next().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_is_never_reconciled_twice_at_a_time_and_never_forgotten() {
    let feed = Feed::new("v1/configmaps");
    let informer = feed.informer();
    let store = informer.store().clone();
    let busy = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    let seen = Arc::new(Mutex::new(std::collections::BTreeMap::new()));
    let builder = of(&informer).workers(4);
    let told = Arc::clone(&seen);
    let running = Running::start(builder, move |request| {
        let (busy, told, store) = (Arc::clone(&busy), Arc::clone(&told), store.clone());
        async move {
            let name = request.key().to_string();
            assert!(
                busy.lock().insert(name.clone()),
                "{name} is with two workers"
            );
            let version = store
                .get(&name)
                .unwrap()
                .object
                .resource_version_text()
                .to_owned();
            pass(Duration::from_millis(fastrand(&version))).await;
            busy.lock().remove(&name);
            if version.ends_with('7') && request.attempt() == 0 {
                return Err(Failure::retry("unlucky"));
            }
            told.lock().insert(name, version);
            Ok(Action::Done)
        }
    });
    let mut last = std::collections::BTreeMap::new();
    for at in 0..2_000_u64 {
        let name = format!("key-{}", at * 7 % 13);
        let version = feed.put(config_map(&name, &json!({ "at": at.to_string() })));
        last.insert(format!("default/{name}"), version.to_string());
        if at % 5 == 0 {
            pass(Duration::from_millis(1)).await;
        }
    }
    let wanted = last.clone();
    running.until(|_| *seen.lock() == wanted).await;
    assert_eq!(running.shut_down().await, Ok(()));
}

/// Some milliseconds that follow from a text.
fn fastrand(text: &str) -> u64 {
    text.bytes()
        .fold(7_u64, |sum, byte| sum * 31 + u64::from(byte))
        % 4
}

/// Does something when it is dropped.
struct Last<F: FnMut()>(F);

impl<F: FnMut()> Drop for Last<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[tokio::test(start_paused = true)]
async fn g3_a_panic_in_the_drop_of_a_reconcile_is_the_failure_of_its_key_alone() {
    let (_feed, builder) = one_object();
    let builder = builder.config(ControllerConfig {
        deadline: Some(Duration::from_secs(1)),
        ..ControllerConfig::default()
    });
    let mut running = Running::start(builder, |_| async {
        let _last = Last(|| panic!("in a drop"));
        std::future::pending::<Outcome>().await
    });
    running.next().await;
    running.next().await;
    let stats = running.until(|stats| stats.timed_out == 2).await;
    assert_eq!((stats.panicked, stats.retried), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn c2_a_reconcile_is_gone_before_its_key_is_anybody_elses() {
    let (_feed, builder) = one_object();
    let builder = builder.config(ControllerConfig {
        deadline: Some(Duration::from_secs(1)),
        ..ControllerConfig::default()
    });
    let handle = Arc::new(Mutex::new(None::<ControllerHandle>));
    let held = Arc::new(AtomicUsize::new(0));
    let (asked, seen) = (Arc::clone(&handle), Arc::clone(&held));
    let mut running = Running::start(builder, move |_| {
        let (handle, held) = (Arc::clone(&asked), Arc::clone(&seen));
        async move {
            let _last = Last(|| {
                let processing = handle.lock().as_ref().unwrap().queue_stats().processing;
                held.fetch_add(processing, SeqCst);
            });
            std::future::pending::<Outcome>().await
        }
    });
    *handle.lock() = Some(running.handle.clone());
    running.next().await;
    running.until(|stats| stats.timed_out == 1).await;
    assert_eq!(held.load(SeqCst), 1, "the worker still has the key");
    running.handle.cancel(&key("default/a"));
}

#[tokio::test(start_paused = true)]
async fn a_failed_key_keeps_its_priority() {
    let (_feed, builder) = one_object();
    let mut running = Running::start(builder, |_| async { Err(Failure::retry("not yet")) });
    running.next().await;
    running.until(|stats| stats.retried == 1).await;
    // What was there before has a low one.
    let due = running.handle.dump(1)[0].delayed.unwrap();
    assert_eq!(
        (due.priority, due.reason),
        (Priority::Low, Reason::Retry(1))
    );
}
