//! From changes to keys.

use serde_json::json;

use super::*;
use crate::{Entry, Event, LabelSelector, OwnerReference};

#[tokio::test(start_paused = true)]
async fn every_change_of_an_object_makes_its_key_due() {
    let feed = Feed::new("v1/configmaps");
    feed.put(config_map("a", &json!({})));
    let mut running = Running::start(of(&feed.informer()), |_| async { Ok(Action::Done) });
    assert_eq!(running.next().await.0, "default/a");
    feed.put(config_map("a", &json!({ "level": "1" })));
    assert_eq!(running.next().await.0, "default/a");
    feed.put(config_map("b", &json!({})));
    assert_eq!(running.next().await.0, "default/b");
    feed.delete("a");
    assert_eq!(running.next().await.0, "default/a");
    running.is_quiet(Duration::from_secs(60)).await;
    assert_eq!(running.handle.stats().done, 4);
}

#[tokio::test(start_paused = true)]
async fn what_changes_comes_before_what_was_there() {
    let feed = Feed::new("v1/configmaps");
    for at in 0..10 {
        feed.put(config_map(&format!("old-{at}"), &json!({})));
    }
    let informer = feed.informer();
    let mut running = Running::start(of(&informer), |_| async {
        pass(Duration::from_secs(1)).await;
        Ok(Action::Done)
    });
    assert!(running.next().await.0.starts_with("default/old-"));
    feed.put(config_map("new", &json!({})));
    feed.put(config_map("old-9", &json!({ "level": "1" })));
    assert_eq!(running.next_keys(2).await, ["default/new", "default/old-9"]);
    assert!(running.next().await.0.starts_with("default/old-"));
}

fn owned(name: &str, owner: &str) -> serde_json::Value {
    let mut object = config_map(name, &json!({}));
    object["metadata"]["ownerReferences"] = json!([
        { "apiVersion": "v1", "kind": "Pod", "name": "not-this-one", "uid": "3" },
        { "apiVersion": "example.com/v2", "kind": "MyService", "name": owner, "uid": "1",
          "controller": true },
        { "apiVersion": "example.com/v2", "kind": "MyService", "name": "no-manager", "uid": "2" },
    ]);
    object
}

#[tokio::test(start_paused = true)]
async fn an_object_makes_its_owner_due_and_the_one_that_it_had_before() {
    let feed = Feed::new("v1/configmaps");
    let source = Source::new(&feed.informer())
        .to_owner(OwnerKind::new("example.com", "MyService"), owner::of_json);
    let builder = Controller::builder("test").source(source);
    let mut running = Running::start(builder, |_| async { Ok(Action::Done) });
    running.phase(Phase::Running).await;
    feed.put(owned("a", "web"));
    assert_eq!(running.next().await.0, "default/web");
    feed.put(owned("a", "api"));
    let mut keys = running.next_keys(2).await;
    keys.sort();
    assert_eq!(keys, ["default/api", "default/web"]);
    feed.delete("a");
    assert_eq!(running.next().await.0, "default/api");
    feed.put(config_map("b", &json!({})));
    running.is_quiet(Duration::from_secs(60)).await;
}

#[test]
fn owners_are_told_apart_by_group_kind_and_management() {
    let mut reference = OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: "web".to_owned(),
        uid: "1".to_owned(),
        controller: false,
        block_owner_deletion: false,
    };
    let keys = |kind: &OwnerKind, reference: &OwnerReference| {
        let mut keys = Vec::new();
        kind.key_of(reference, Some("ns"), &mut |key| keys.push(key.to_owned()));
        keys.concat()
    };
    let deployments = OwnerKind::new("apps", "Deployment");
    assert_eq!(keys(&deployments, &reference), "", "it does not manage it");
    assert_eq!(keys(&deployments.clone().any_owner(), &reference), "ns/web");
    reference.controller = true;
    assert_eq!(keys(&deployments, &reference), "ns/web");
    assert_eq!(keys(&deployments.cluster_scoped(), &reference), "web");
    assert_eq!(keys(&OwnerKind::new("", "Deployment"), &reference), "");
    assert_eq!(keys(&OwnerKind::new("apps", "ReplicaSet"), &reference), "");
    reference.api_version = "v1".to_owned();
    assert_eq!(
        keys(&OwnerKind::new("", "Deployment"), &reference),
        "ns/web"
    );
}

#[tokio::test(start_paused = true)]
async fn a_secondary_object_makes_those_due_that_refer_to_it() {
    let (maps, secrets) = (Feed::new("v1/configmaps"), Feed::new("v1/secrets"));
    maps.put(config_map("a", &json!({ "secret": "s1" })));
    maps.put(config_map("b", &json!({ "secret": "s2" })));
    maps.put(config_map("c", &json!({ "secret": "s1" })));
    let primary = maps.informer();
    let referred = |entry: &Entry<Raw>, emit: &mut dyn FnMut(&str)| {
        let object: serde_json::Value = serde_json::from_str(entry.object.json()).unwrap();
        emit(object["data"]["secret"].as_str().unwrap_or_default());
    };
    primary
        .add_index("secret", referred)
        .await
        .unwrap()
        .unwrap();
    let by_name = |entry: &Entry<Raw>, emit: &mut dyn FnMut(&str)| emit(entry.object.name());
    let secondary = Source::new(&secrets.informer()).through(primary.store(), "secret", by_name);
    let builder = of(&primary).source(secondary);
    let mut running = Running::start(builder, |_| async { Ok(Action::Done) });
    running.next_keys(3).await;
    secrets.put(config_map("s1", &json!({})));
    let mut keys = running.next_keys(2).await;
    keys.sort();
    assert_eq!(keys, ["default/a", "default/c"]);
    secrets.put(config_map("s3", &json!({})));
    running.is_quiet(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_map_that_panics_or_emits_what_is_no_key_hurts_nobody() {
    let feed = Feed::new("v1/configmaps");
    let panics = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&panics);
    let source = Source::new(&feed.informer()).to(move |entry: &Entry<Raw>, emit| {
        if entry.object.name() == "bad" && seen.fetch_add(1, SeqCst) == 0 {
            panic!("the map's own fault");
        }
        emit("a/b/c");
        emit("");
        emit(entry.object.key());
    });
    let builder = Controller::builder("test").source(source);
    let mut running = Running::start(builder, |_| async { Ok(Action::Done) });
    running.phase(Phase::Running).await;
    feed.put(config_map("bad", &json!({})));
    feed.put(config_map("good", &json!({})));
    // The event that panicked is told again.
    let mut keys = running.next_keys(2).await;
    keys.sort();
    assert_eq!(keys, ["default/bad", "default/good"]);
    assert!(panics.load(SeqCst) >= 2);
}

fn with_meta(generation: u64, label: &str, annotation: &str) -> serde_json::Value {
    let mut object = config_map("a", &json!({}));
    object["metadata"]["generation"] = generation.into();
    object["metadata"]["labels"] = json!({ "app": label });
    object["metadata"]["annotations"] = json!({ "note": annotation });
    object
}

#[tokio::test(start_paused = true)]
async fn predicates_admit_updates_of_what_they_look_at() {
    for (predicate, admitted) in [
        (
            Box::new(predicate::generation()) as Box<dyn predicate::Predicate<Raw>>,
            [true, false, false],
        ),
        (Box::new(predicate::labels()), [false, true, false]),
        (Box::new(predicate::annotations()), [false, false, true]),
        (
            Box::new(predicate::any(predicate::generation(), predicate::labels())),
            [true, true, false],
        ),
        (
            Box::new(predicate::all(predicate::generation(), predicate::labels())),
            [false, false, false],
        ),
        (Box::new(|_: &Event<'_, Raw>| true), [true, true, true]),
    ] {
        let feed = Feed::new("v1/configmaps");
        feed.put(with_meta(1, "x", "1"));
        let mut predicate = predicate;
        let source = Source::new(&feed.informer())
            .only(move |event: &Event<'_, Raw>| predicate.admits(event));
        let builder = Controller::builder("test").source(source);
        let mut running = Running::start(builder, |_| async { Ok(Action::Done) });
        assert_eq!(
            running.next().await.0,
            "default/a",
            "what is new is admitted"
        );
        let updates = [
            with_meta(2, "x", "1"),
            with_meta(2, "y", "1"),
            with_meta(2, "y", "2"),
        ];
        for (update, admitted) in updates.into_iter().zip(admitted) {
            feed.put(update);
            if admitted {
                running.next().await;
            } else {
                running.is_quiet(Duration::from_secs(1)).await;
            }
        }
        feed.delete("a");
        assert_eq!(
            running.next().await.0,
            "default/a",
            "what is gone is admitted"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_resync_is_admitted_whatever_a_predicate_compares() {
    let feed = Feed::new("v1/configmaps");
    feed.put(config_map("a", &json!({})));
    let source = Source::new(&feed.informer())
        .only(predicate::generation())
        .resync(Duration::from_secs(600));
    let builder = Controller::builder("test").source(source);
    let mut running = Running::start(builder, |_| async { Ok(Action::Done) });
    running.next_keys(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_views_scope_names_its_selector() {
    let feed = Feed::new("v1/configmaps");
    let view = feed
        .informer()
        .view::<Arc<serde_json::Value>>()
        .labels(LabelSelector::parse("app=web").unwrap())
        .build()
        .unwrap();
    assert_eq!(view.handle().scope().label_selector, "app=web");
    assert_eq!(view.handle().scope().resource.plural(), "configmaps");
}
