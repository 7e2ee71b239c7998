//! Events as the embedded server stores them, and what the recorder does about its refusals.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tidings::{
    Api, EventLimits, EventRecorder, EventReport, EventSource, EventStats, ObjectKey,
    ObjectReference,
};
use tidings_api::request::Request;
use tidings_apiserver::{Refusal, serve::Handle, state::ListQuery};
use tokio::{task::JoinHandle, time::timeout};

use crate::{
    support::{DEADLINE, client, server},
    writes::Notes,
};

async fn stage() -> (Handle, EventRecorder, JoinHandle<()>) {
    let server = server().await;
    server.apply(|state| {
        let namespaces = state.resource("", "v1", "namespaces").unwrap();
        let shop = json!({ "metadata": { "name": "shop" } });
        state.create(namespaces, None, shop, 1_700_000_000).unwrap();
    });
    let notes = Arc::new(Notes::default());
    let api = Api::new(client(&server)).observed_by(Arc::<Notes>::clone(&notes));
    let limits = EventLimits {
        retry: Duration::from_millis(5),
        ..EventLimits::default()
    };
    let source = EventSource::new("example.com/web", "web-0");
    let (recorder, sender) = EventRecorder::new(&api, source, limits);
    let sending = tokio::spawn(async move {
        sender.run().await;
        assert_eq!(
            notes.take(),
            Vec::<String>::new(),
            "events are nobody's own writes"
        );
    });
    (server, recorder, sending)
}

fn web() -> ObjectReference {
    let key = ObjectKey::parse("shop/web").unwrap();
    ObjectReference::new("apps/v1", "Deployment", &key, "u1")
}

fn scaled() -> EventReport {
    EventReport::normal(web(), "Scaled", "Scaling", "scaled to 3")
}

async fn until(recorder: &EventRecorder, holds: impl Fn(EventStats) -> bool) {
    let reached = async {
        while !holds(recorder.stats()) {
            tokio::task::yield_now().await;
        }
    };
    let in_time = timeout(DEADLINE, reached).await;
    assert!(in_time.is_ok(), "{:?}", recorder.stats());
}

async fn end(recorder: EventRecorder, sending: JoinHandle<()>) {
    drop(recorder);
    timeout(DEADLINE, sending).await.unwrap().unwrap();
}

async fn stored(server: &Handle) -> Vec<Value> {
    let list = Request::get("/apis/events.k8s.io/v1/events".to_owned());
    let answer = client(server).send(&list).await.unwrap();
    let mut list: Value = serde_json::from_slice(&answer.body).unwrap();
    serde_json::from_value(list["items"].take()).unwrap()
}

#[tokio::test]
async fn reports_become_events_and_repetitions_their_count() {
    let (server, recorder, sending) = stage().await;
    recorder.report(scaled());
    until(&recorder, |stats| stats.written == 1).await;
    let created = stored(&server).await;
    assert_eq!(created.len(), 1);
    assert_eq!(created[0]["metadata"]["namespace"], "shop");
    assert_eq!(created[0]["reportingController"], "example.com/web");
    assert_eq!(created[0]["regarding"]["uid"], "u1");
    assert_eq!(created[0]["series"], Value::Null);
    for _ in 0..3 {
        recorder.report(scaled());
        until(&recorder, |stats| stats.written >= 2).await;
    }
    end(recorder, sending).await;
    let events = stored(&server).await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        events[0]["series"]["count"], 4,
        "the end writes what was counted"
    );
    assert_eq!(events[0]["eventTime"], created[0]["eventTime"]);
}

#[tokio::test]
async fn an_event_that_the_server_forgot_is_created_with_its_count() {
    let (server, recorder, sending) = stage().await;
    recorder.report(scaled());
    until(&recorder, |stats| stats.written == 1).await;
    server.apply(|state| {
        let resource = state.resource("events.k8s.io", "v1", "events").unwrap();
        let page = state.list(resource, &ListQuery::default()).unwrap();
        let key = page.items[0].key().to_owned();
        state.delete(resource, &key, 1_700_000_000).unwrap();
    });
    recorder.report(scaled());
    end(recorder, sending).await;
    let events = stored(&server).await;
    assert_eq!(
        (events.len(), &events[0]["series"]["count"]),
        (1, &json!(2))
    );
}

#[tokio::test]
async fn trouble_is_waited_out_and_a_refusal_is_not() {
    let (server, recorder, sending) = stage().await;
    server.faults(|faults| {
        faults.refusals.push_back(Refusal::of_code(503, 0));
        faults.refusals.push_back(Refusal::of_code(500, 0));
    });
    recorder.report(scaled());
    until(&recorder, |stats| stats.written == 1).await;
    server.faults(|faults| faults.refusals.push_back(Refusal::of_code(403, 0)));
    let other = EventReport::warning(web(), "Broken", "Scaling", "not allowed");
    recorder.report(other);
    until(&recorder, |stats| stats.failed == 1).await;
    assert_eq!(stored(&server).await.len(), 1);
    end(recorder, sending).await;
    assert_eq!(stored(&server).await.len(), 1, "it is not tried again");
}
