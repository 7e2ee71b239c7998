//! A good day: every way to list, every kind of change, every kind of reader.

use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::json;
use tidings::{Event, Factory, Raw, Scope, SubscriptionEvent, WaitOutcome};
use tidings_apiserver::KindRow;

use crate::support::*;

#[tokio::test]
async fn every_list_mode_gives_the_same_live_copy() {
    for mode in modes() {
        let server = server().await;
        for number in 0..1200 {
            put(&server, &format!("c{number:04}"), "1");
        }
        let handle = start(builder::<Raw>(&server, scope()).list_mode(mode));
        handle.wait_synced(DEADLINE).await.unwrap();
        level(&server, &handle).await;
        put(&server, "c0007", "2");
        delete(&server, "c0008");
        let version = put(&server, "new", "1");
        let version = tidings::ResourceVersion::from_revision(version);
        assert_eq!(
            handle.wait_for(&version, DEADLINE).await,
            WaitOutcome::Reached,
            "{mode:?}"
        );
        level(&server, &handle).await;
        assert_eq!(handle.store().len(), 1200);
        handle.stop();
        server.shutdown().await;
    }
}

#[derive(Debug, Deserialize)]
struct Data {
    data: std::collections::BTreeMap<String, String>,
}

#[tokio::test]
async fn a_handler_sees_old_and_new_and_deletes_with_their_last_state() {
    let server = server().await;
    put(&server, "a", "1");
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let value =
        |entry: &tidings::Entry<Arc<Data>>| entry.effective().unwrap().data["value"].clone();
    let informer = builder::<Arc<Data>>(&server, scope()).handler(move |event: Event<'_, _>| {
        seen.lock().unwrap().push(match event {
            Event::Added {
                new,
                is_in_initial_list,
            } => {
                format!("added {} {is_in_initial_list}", value(new))
            }
            Event::Updated { old, new } => format!("updated {} {}", value(old), value(new)),
            Event::Deleted {
                last,
                is_final_state_known,
            } => {
                format!("deleted {} {is_final_state_known}", value(last))
            }
            Event::Poisoned { .. } => "poisoned".to_owned(),
        });
    });
    let handle = start(informer);
    handle.wait_synced(DEADLINE).await.unwrap();
    put(&server, "a", "2");
    level(&server, &handle).await;
    delete(&server, "a");
    put(&server, "b", "3");
    level(&server, &handle).await;
    until(&handle, |state| state.backlog == 0 && state.objects == 1).await;
    let told = told.lock().unwrap().clone();
    assert_eq!(
        told,
        [
            "added 1 true",
            "updated 1 2",
            "deleted 2 true",
            "added 3 false"
        ]
    );
}

#[tokio::test]
async fn cg_v6_pr_e3_server_side_selectors_follow_objects_in_and_out() {
    let server = server().await;
    put_labelled(&server, "in", "1", json!({ "app": "web" }));
    put_labelled(&server, "out", "1", json!({ "app": "db" }));
    let mut labelled = scope();
    labelled.label_selector = "app in (web)".to_owned();
    let mut named = scope();
    named.field_selector = "metadata.name=out".to_owned();
    let labelled = start(builder::<Raw>(&server, labelled));
    let named = start(builder::<Raw>(&server, named));
    labelled.wait_synced(DEADLINE).await.unwrap();
    named.wait_synced(DEADLINE).await.unwrap();
    assert!(labelled.store().get("default/in").is_some() && labelled.store().len() == 1);
    assert!(named.store().get("default/out").is_some() && named.store().len() == 1);
    put_labelled(&server, "in", "1", json!({ "app": "db" }));
    put_labelled(&server, "out", "1", json!({ "app": "web" }));
    let mut progress = labelled.watch_progress();
    let moved = progress.wait_for(|_| labelled.store().get("default/out").is_some());
    tokio::time::timeout(DEADLINE, moved)
        .await
        .unwrap()
        .unwrap();
    assert!(labelled.store().get("default/in").is_none());
}

#[tokio::test]
async fn pr_l17_custom_resources_have_their_version_after_the_items() {
    let server = server().await;
    let resource = server.apply(|state| {
        state.register(KindRow::custom("example.com", "v1", "widgets", "Widget"));
        state.resource("example.com", "v1", "widgets").unwrap()
    });
    let create = |name: &str| {
        let document = json!({ "metadata": { "name": name }, "spec": { "size": 3 } });
        server.apply(|state| {
            state
                .create(resource, Some("default"), document, 1)
                .unwrap()
        });
    };
    (0..700).for_each(|number| create(&format!("w{number}")));
    for mode in modes() {
        let scope = Scope::all(tidings::Resource::parse("example.com/v1/widgets").unwrap());
        let handle = start(builder::<Raw>(&server, scope).list_mode(mode));
        handle.wait_synced(DEADLINE).await.unwrap();
        assert_eq!(handle.store().len(), 700, "{mode:?}");
        handle.stop();
    }
}

#[tokio::test]
async fn subscriptions_and_shares_follow_over_real_sockets() {
    let server = server().await;
    put(&server, "a", "1");
    let factory = Factory::new(client(&server));
    let first = factory.informer::<Raw>(scope(), |builder| builder).unwrap();
    let second = factory.informer::<Raw>(scope(), |builder| builder).unwrap();
    second.wait_synced(DEADLINE).await.unwrap();
    let mut subscription = first.subscribe();
    let mut next = async || {
        let event = tokio::time::timeout(DEADLINE, subscription.next())
            .await
            .unwrap();
        event.unwrap()
    };
    assert!(matches!(next().await, SubscriptionEvent::Added(_)));
    assert!(matches!(next().await, SubscriptionEvent::Synced));
    put(&server, "a", "2");
    assert!(matches!(next().await, SubscriptionEvent::Updated { .. }));
    delete(&server, "a");
    assert!(matches!(next().await, SubscriptionEvent::Deleted(_)));
    assert_eq!(server.watches(), 1, "one stream serves both");
    server.shutdown().await;
}

#[tokio::test]
async fn an_object_of_a_megabyte_is_followed() {
    let server = server().await;
    let handle = raw(&server).await;
    put(&server, "big", &"x".repeat(1 << 20));
    level(&server, &handle).await;
    assert!(
        handle
            .store()
            .get("default/big")
            .unwrap()
            .object
            .json()
            .len()
            > 1 << 20
    );
}
