//! Writes of single objects, finalizers and events, as a real server takes and answers them.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tidings::{
    Api, ApiError, DeleteOptions, Deletion, EventLimits, EventRecorder, EventReport, EventSource,
    Finalized, Finalizer, ObjectKey, ObjectReference, OwnerReference, Patch, Propagation, Refusal,
    Resource, WriteObserver, WriteOptions, WriteOutcome, WriteTarget, Written,
};
use tidings_api::{
    request::Request,
    write::{DeleteOptions as DeleteRequest, Place},
};

use crate::cluster::*;

fn resource(text: &str) -> Resource {
    Resource::parse(text).unwrap()
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

/// Writes down how writes ended.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl WriteObserver for Notes {
    fn begun(&self, _: &WriteTarget) {}

    fn ended(&self, write: &WriteTarget, outcome: &WriteOutcome) {
        let outcome = match outcome {
            WriteOutcome::Stored { version, .. } => format!("stored@{version}"),
            other => format!("{other:?}").split(' ').next().unwrap().to_owned(),
        };
        let line = format!("{} {outcome}", write.verb);
        self.0.lock().unwrap().push(line);
    }
}

impl Notes {
    fn last(&self) -> String {
        self.0.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pr_n9_pr_n12_an_object_is_written_as_a_real_server_wants_it() {
    let cluster = Cluster::start(&[]);
    let notes = Arc::new(Notes::default());
    let api = Api::new(cluster.client()).observed_by(Arc::<Notes>::clone(&notes));
    let maps = api.resource(&resource("v1/configmaps"));
    let one = key("default/one");
    let informer = cluster.follow::<tidings::Raw>(configmaps());
    let created = maps.create(Some("default"), &configmap("one", "1")).await;
    let created = created.unwrap();
    assert!(created.created && !created.gone);
    let again = maps.create(Some("default"), &configmap("one", "1")).await;
    assert!(again.unwrap_err().is_already_exists());

    let patch = Patch::Merge(json!({ "data": { "more": "2" } }));
    let patched: Written<Value> = maps.patch(&one, &patch).await.unwrap();
    assert!(created.version.is_before(&patched.version) && !patched.created);
    let stale = maps.update(&one, &created.object).await.unwrap_err();
    assert!(stale.is_conflict(), "{stale:?}");
    assert_eq!(notes.last(), "update Refused");
    let updated = maps.update(&one, &patched.object).await.unwrap();
    assert_eq!(updated.version, patched.version, "nothing has changed");
    let operations = json!([{ "op": "test", "path": "/data/more", "value": "3" }]);
    let failed = maps.patch::<Value>(&one, &Patch::Json(operations)).await;
    assert_eq!(failed.unwrap_err().refusal(), Some(Refusal::Invalid));
    let reached = informer.wait_for(&patched.version, DEADLINE).await;
    assert_eq!(reached, tidings::WaitOutcome::Reached);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pr_n12_a_delete_has_its_conditions_and_leaves_what_must_stay() {
    let cluster = Cluster::start(&[]);
    let notes = Arc::new(Notes::default());
    let api = Api::new(cluster.client()).observed_by(Arc::<Notes>::clone(&notes));
    let maps = api.resource(&resource("v1/configmaps"));
    let one = key("default/one");
    let created = maps.create(Some("default"), &configmap("one", "1")).await;
    let created = created.unwrap();
    let options = DeleteOptions {
        uid: Some("another".to_owned()),
        ..DeleteOptions::default()
    };
    assert!(maps.delete(&one, &options).await.unwrap_err().is_conflict());
    // A dry run, which leaves no trace: with conditions it says so in its body.
    let place = Place {
        resource: &resource("v1/configmaps"),
        key: &one,
        subresource: None,
    };
    for uid in [None, Some(created.uid.clone())] {
        let options = DeleteRequest {
            uid,
            ..DeleteRequest::default()
        };
        let dry = Request::delete(&place, &options).unwrap().dry_run();
        assert_eq!(api.client().send(&dry).await.unwrap().status, 200);
        assert!(maps.get::<Value>(&one).await.is_ok());
    }
    let options = DeleteOptions {
        uid: Some(created.uid.clone()),
        resource_version: Some(created.version.clone()),
        ..DeleteOptions::default()
    };
    let uid = created.uid.clone();
    assert_eq!(
        maps.delete(&one, &options).await.unwrap(),
        Deletion::Gone { uid }
    );
    assert_eq!(notes.last(), "delete Deleted");
    assert!(maps.get::<Value>(&one).await.unwrap_err().is_not_found());

    // A foreground deletion stays for a collector that is not there.
    let second = maps
        .create(Some("default"), &configmap("two", "1"))
        .await
        .unwrap();
    let options = DeleteOptions {
        propagation: Some(Propagation::Foreground),
        ..DeleteOptions::default()
    };
    let pending = maps.delete(&second.key, &options).await.unwrap();
    let Deletion::Pending {
        finalizers,
        version: Some(version),
        ..
    } = pending
    else {
        panic!("{pending:?}");
    };
    assert_eq!(finalizers, ["foregroundDeletion"]);
    assert_eq!(notes.last(), format!("delete stored@{version}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_are_applied_under_their_managers_and_the_status_on_its_own() {
    let cluster = Cluster::start(&[]);
    let manager = |name: &str| WriteOptions {
        field_manager: name.to_owned(),
        ..WriteOptions::default()
    };
    let api = Api::new(cluster.client());
    let maps = |name: &str| {
        let api = api.clone().write_options(manager(name));
        api.resource(&resource("v1/configmaps"))
    };
    let one = key("default/one");
    let fields = |value: &str| {
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "one" },
            "data": { "value": value } })
    };
    let first: Written<Value> = maps("one").apply(&one, &fields("1"), false).await.unwrap();
    assert!(first.created);
    let same: Written<Value> = maps("one").apply(&one, &fields("1"), false).await.unwrap();
    assert_eq!((same.created, &same.version), (false, &first.version));
    let taken = maps("two")
        .apply::<_, Value>(&one, &fields("2"), false)
        .await;
    let taken = taken.unwrap_err();
    assert!(taken.is_conflict());
    let ApiError::Refused { status, .. } = &taken else {
        panic!("{taken:?}");
    };
    assert_eq!(status.details.causes[0].field, ".data.value");
    let forced: Written<Value> = maps("two").apply(&one, &fields("2"), true).await.unwrap();
    assert_eq!(forced.object["data"]["value"], "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pr_n10_a_deployment_has_a_status_a_scale_and_rules() {
    let cluster = Cluster::start(&[]);
    let api = Api::new(cluster.client());
    let deployments = api.resource(&resource("apps/v1/deployments"));
    let web = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web" },
        "spec": { "selector": { "matchLabels": { "app": "web" } }, "template": {
            "metadata": { "labels": { "app": "web" } },
            "spec": { "containers": [{ "name": "web", "image": "example.invalid/none" }] } } } });
    let created = deployments.create(Some("default"), &web).await.unwrap();
    let mut object = created.object;
    object["status"]["replicas"] = 1.into();
    let written = deployments
        .status()
        .update(&created.key, &object)
        .await
        .unwrap();
    assert_eq!(written.object["status"]["replicas"], 1);
    let merged = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "side", "image": "example.invalid/side" }] } } } });
    let patched: Written<Value> = deployments
        .patch(&created.key, &Patch::Strategic(merged))
        .await
        .unwrap();
    let containers = &patched.object["spec"]["template"]["spec"]["containers"];
    assert_eq!(
        containers.as_array().unwrap().len(),
        2,
        "merged by their names"
    );
    let scale = deployments.subresource("scale");
    let more = Patch::Merge(json!({ "spec": { "replicas": 3 } }));
    let scaled: Written<Value> = scale.patch(&created.key, &more).await.unwrap();
    assert_eq!(scaled.object["spec"]["replicas"], 3);
    assert_eq!(scaled.uid, created.uid);

    let mut wrong = web;
    wrong["metadata"]["name"] = "wrong".into();
    wrong["spec"]["template"]["metadata"]["labels"]["app"] = "db".into();
    let invalid = deployments
        .create(Some("default"), &wrong)
        .await
        .unwrap_err();
    assert_eq!(invalid.refusal(), Some(Refusal::Invalid));
    let ApiError::Refused { status, .. } = &invalid else {
        panic!("{invalid:?}");
    };
    assert_eq!(
        status.details.causes[0].field,
        "spec.template.metadata.labels"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pr_n12_a_finalizer_and_an_owner() {
    let cluster = Cluster::start(&[]);
    let notes = Arc::new(Notes::default());
    let api = Api::new(cluster.client()).observed_by(Arc::<Notes>::clone(&notes));
    let maps = api.resource(&resource("v1/configmaps"));
    let owner = maps
        .create(Some("default"), &configmap("owner", "1"))
        .await
        .unwrap();
    let reference = ObjectReference::of(&owner.object);
    let mut owned = configmap("owned", "1");
    let controller = OwnerReference::controller(&reference, Some("default")).unwrap();
    controller.set_on(&mut owned).unwrap();
    let owned = maps.create(Some("default"), &owned).await.unwrap();
    let shown = &owned.object["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&shown["uid"], &shown["controller"]),
        (&json!(owner.uid), &json!(true))
    );

    let finalizer = Finalizer::new("tidings.dev/cleanup");
    let cleanup = || async { Ok::<_, Infallible>(()) };
    let run = async |seen: &Value| {
        finalizer
            .run(&maps, &owner.key, seen, cleanup)
            .await
            .unwrap()
    };
    assert!(matches!(run(&owner.object).await, Finalized::Added { .. }));
    let options = DeleteOptions::default();
    assert!(matches!(
        maps.delete(&owner.key, &options).await,
        Ok(Deletion::Pending { .. })
    ));
    let deleted: Value = maps.get(&owner.key).await.unwrap();
    assert_eq!(run(&deleted).await, Finalized::CleanedUp);
    assert_eq!(notes.last(), "patch Deleted");
    assert_eq!(run(&deleted).await, Finalized::Gone);
    assert!(
        maps.get::<Value>(&owner.key)
            .await
            .unwrap_err()
            .is_not_found()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_taken_counted_and_refused() {
    let cluster = Cluster::start(&[]);
    let api = Api::new(cluster.client());
    let maps = api.resource(&resource("v1/configmaps"));
    let owned = maps
        .create(Some("default"), &configmap("owned", "1"))
        .await
        .unwrap();
    let reference = ObjectReference::new("v1", "ConfigMap", &key("default/owner"), "u1");
    let source = EventSource::new("tidings.dev/test", "real-0");
    let limits = EventLimits {
        retry: Duration::from_millis(100),
        ..EventLimits::default()
    };
    let (events, sender) = EventRecorder::new(&api, source, limits);
    let sending = tokio::spawn(sender.run());
    let report = || {
        let regarding = ObjectReference::of(&owned.object);
        EventReport::warning(regarding, "Failed", "Writing", "n".repeat(5000))
            .related_to(reference.clone())
    };
    events.report(report());
    until("the event is written", async || events.stats().written == 1).await;
    for _ in 0..3 {
        events.report(report());
    }
    // A namespace that is being deleted takes no event, and it is not tried again.
    cluster.kubectl(&["create", "namespace", "going"]);
    cluster.kubectl(&["delete", "namespace", "going", "--wait=false"]);
    let lost = ObjectReference::new("v1", "ConfigMap", &key("going/a"), "u1");
    events.report(EventReport::normal(
        lost,
        "Lost",
        "Writing",
        "nobody reads it",
    ));
    until("the refusal", async || events.stats().failed == 1).await;
    let late = json!({ "metadata": { "name": "a" } });
    let refused = maps.create(Some("going"), &late).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(Refusal::NamespaceTerminating));
    drop(events);
    tokio::time::timeout(DEADLINE, sending)
        .await
        .unwrap()
        .unwrap();
    let path = "jsonpath={range .items[?(@.reason==\"Failed\")]}{.type} {.series.count} \
                {.regarding.name} {.related.name} {.reportingController}{\"\\n\"}{end}";
    let stored = cluster.kubectl(&["get", "events.v1.events.k8s.io", "-A", "-o", path]);
    assert_eq!(stored.trim(), "Warning 4 owned owner tidings.dev/test");
}
