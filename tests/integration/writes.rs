//! Writes of single objects against the embedded server, and what observers hear of them.

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings::{
    Api, DeleteOptions, Deletion, ObjectKey, Patch, Refusal, Resource, ResourceApi,
    ResourceVersion, RetryPolicy, Verb, WriteObserver, WriteOutcome, WriteTarget, Written,
    retry_on_conflict,
};

use crate::support::{client, server};

/// Writes down what it is told.
#[derive(Default)]
pub(crate) struct Notes(Mutex<Vec<String>>);

impl Notes {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl WriteObserver for Notes {
    fn begun(&self, write: &WriteTarget) {
        self.0.lock().unwrap().push(format!("begun {write}"));
    }

    fn ended(&self, write: &WriteTarget, outcome: &WriteOutcome) {
        let outcome = match outcome {
            WriteOutcome::Stored { key, version, .. } => format!("stored {key}@{version}"),
            WriteOutcome::Deleted { .. } => "deleted".to_owned(),
            WriteOutcome::Refused => "refused".to_owned(),
            WriteOutcome::Unknown => "unknown".to_owned(),
            other => format!("{other:?}"),
        };
        let verb = write.verb;
        self.0.lock().unwrap().push(format!("{verb} {outcome}"));
    }
}

pub(crate) fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn configmap(name: &str, value: &str) -> Value {
    json!({ "metadata": { "name": name, "namespace": "default" }, "data": { "value": value } })
}

fn maps(api: &Api) -> ResourceApi {
    api.resource(&Resource::parse("v1/configmaps").unwrap())
}

/// The fields that a user's program names.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Map {
    metadata: Meta,
    data: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_version: Option<String>,
}

#[tokio::test]
async fn an_object_is_created_read_replaced_and_deleted() {
    let server = server().await;
    let notes = Arc::new(Notes::default());
    let api = Api::new(client(&server)).observed_by(Arc::<Notes>::clone(&notes));
    let maps = maps(&api);
    let created = maps.create(Some("default"), &configmap("a", "1")).await;
    let created: Written<Value> = created.unwrap();
    assert!(created.created && !created.gone);
    assert_eq!(created.key, key("default/a"));
    assert_eq!(created.object["metadata"]["uid"], created.uid);

    let mut read: Map = maps.get(&key("default/a")).await.unwrap();
    assert_eq!(
        read.metadata.resource_version,
        Some(created.version.to_string())
    );
    read.data.insert("value".to_owned(), "2".to_owned());
    let written = maps.update(&key("default/a"), &read).await.unwrap();
    assert!(created.version.is_before(&written.version) && !written.created);
    assert_eq!(written.object.data["value"], "2");
    assert_eq!(written.uid, created.uid);

    let gone = maps
        .delete(&key("default/a"), &DeleteOptions::default())
        .await;
    let uid = created.uid.clone();
    assert_eq!(gone.unwrap(), Deletion::Gone { uid });
    let missing = maps.get::<Value>(&key("default/a")).await.unwrap_err();
    assert!(missing.is_not_found() && !missing.is_retriable());
    assert_eq!(
        missing.to_string(),
        "get default/a of configmaps.v1: the server said 404: NotFound: configmaps \"a\" not found"
    );
    let (first, second) = (created.version, written.version);
    assert_eq!(
        notes.take(),
        [
            "begun create default/a of configmaps.v1".to_owned(),
            format!("create stored default/a@{first}"),
            "begun update default/a of configmaps.v1".to_owned(),
            format!("update stored default/a@{second}"),
            "begun delete default/a of configmaps.v1".to_owned(),
            "delete deleted".to_owned(),
        ],
        "reads are not observed"
    );
}

#[tokio::test]
async fn a_name_that_the_server_makes_is_in_the_answer() {
    let server = server().await;
    let notes = Arc::new(Notes::default());
    let api = Api::new(client(&server)).observed_by(Arc::<Notes>::clone(&notes));
    let map = json!({ "metadata": { "generateName": "job-" }, "data": {} });
    let written = maps(&api).create(Some("default"), &map).await.unwrap();
    assert!(written.key.name().starts_with("job-") && written.key.name().len() > 4);
    let (made, version) = (written.key, written.version);
    assert_eq!(
        notes.take(),
        [
            "begun create default/(a new name) of configmaps.v1".to_owned(),
            format!("create stored {made}@{version}"),
        ]
    );
}

#[tokio::test]
async fn what_is_there_or_has_changed_or_is_not_there_is_refused_by_its_name() {
    let server = server().await;
    let notes = Arc::new(Notes::default());
    let api = Api::new(client(&server)).observed_by(Arc::<Notes>::clone(&notes));
    let maps = maps(&api);
    let old = maps
        .create(Some("default"), &configmap("a", "1"))
        .await
        .unwrap();
    let again = maps.create(Some("default"), &configmap("a", "1")).await;
    assert!(again.unwrap_err().is_already_exists());

    maps.update(&key("default/a"), &configmap("a", "2"))
        .await
        .unwrap();
    notes.take();
    let conflict = maps
        .update(&key("default/a"), &old.object)
        .await
        .unwrap_err();
    assert!(conflict.is_conflict() && !conflict.is_retriable());
    assert_eq!(conflict.target().verb, Verb::Update);
    assert!(!conflict.is_outcome_unknown());
    assert_eq!(notes.take()[1], "update refused");

    let absent = maps.update(&key("default/b"), &configmap("b", "1")).await;
    assert!(absent.unwrap_err().is_not_found());
    let absent = maps
        .delete(&key("default/b"), &DeleteOptions::default())
        .await;
    assert!(absent.unwrap_err().is_not_found());
    // Whoever names a path that cannot be is told so before anything is sent.
    notes.take();
    let outside = maps.get::<Value>(&key("default/..")).await.unwrap_err();
    assert!(
        matches!(outside, tidings::ApiError::Path { .. }),
        "{outside:?}"
    );
    assert_eq!(notes.take(), Vec::<String>::new());
}

#[tokio::test]
async fn a_conflict_is_met_again_with_what_was_read_anew() {
    let server = server().await;
    let api = Api::new(client(&server));
    let maps = maps(&api);
    let first = maps
        .create(Some("default"), &configmap("a", "1"))
        .await
        .unwrap();
    let attempts = std::sync::atomic::AtomicU32::new(0);
    let written = retry_on_conflict(RetryPolicy::OCCASIONAL, || async {
        let attempt = attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut map: Value = maps.get(&key("default/a")).await?;
        if attempt < 2 {
            // Somebody else is faster.
            let patch = json!({ "data": { "other": attempt.to_string() } });
            maps.patch::<Value>(&key("default/a"), &Patch::Merge(patch))
                .await?;
        }
        map["data"]["value"] = "mine".into();
        maps.update(&key("default/a"), &map).await
    });
    let written = written.await.unwrap();
    assert_eq!(attempts.into_inner(), 3);
    assert_eq!(
        written.object["data"],
        json!({ "value": "mine", "other": "1" })
    );
    assert!(first.version.is_before(&written.version));
}

#[tokio::test]
async fn pr_n9_patches_change_what_they_name() {
    let server = server().await;
    let api = Api::new(client(&server));
    let maps = maps(&api);
    let first = maps
        .create(Some("default"), &configmap("a", "1"))
        .await
        .unwrap();
    let merge = json!({ "data": { "other": "2", "value": null } });
    let merged: Written<Value> = maps
        .patch(&key("default/a"), &Patch::Merge(merge.clone()))
        .await
        .unwrap();
    assert_eq!(merged.object["data"], json!({ "other": "2" }));
    let same = maps
        .patch::<Value>(&key("default/a"), &Patch::Merge(merge))
        .await;
    assert_eq!(same.unwrap().version, merged.version, "nothing has changed");

    let stale = json!({ "metadata": { "resourceVersion": first.version.to_string() } });
    let stale = maps
        .patch::<Value>(&key("default/a"), &Patch::Merge(stale))
        .await;
    assert!(stale.unwrap_err().is_conflict());

    let operations = json!([
        { "op": "test", "path": "/data/other", "value": "2" },
        { "op": "replace", "path": "/data/other", "value": "3" },
    ]);
    let patched: Written<Map> = maps
        .patch(&key("default/a"), &Patch::Json(operations.clone()))
        .await
        .unwrap();
    assert_eq!(patched.object.data["other"], "3");
    let failed = maps
        .patch::<Value>(&key("default/a"), &Patch::Json(operations))
        .await;
    assert_eq!(failed.unwrap_err().refusal(), Some(Refusal::Invalid));
}

#[tokio::test]
async fn pr_n10_the_status_is_written_through_its_own_path() {
    let server = server().await;
    let notes = Arc::new(Notes::default());
    let api = Api::new(client(&server)).observed_by(Arc::<Notes>::clone(&notes));
    let deployments = api.resource(&Resource::parse("apps/v1/deployments").unwrap());
    let labels = json!({ "app": "web" });
    let object = json!({
        "metadata": { "name": "web" },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "c", "image": "i" }] }
            }
        },
        "status": { "replicas": 9 }
    });
    let created = deployments.create(Some("default"), &object).await.unwrap();
    let mut object = created.object;
    object["spec"]["replicas"] = 5.into();
    object["status"] = json!({ "replicas": 3 });
    let written = deployments
        .status()
        .update(&key("default/web"), &object)
        .await;
    let written = written.unwrap();
    assert_eq!(
        written.object["spec"]["replicas"], 1,
        "the spec is not the status's"
    );
    assert_eq!(written.object["status"]["replicas"], 3);
    let patch = Patch::Merge(json!({ "status": { "replicas": 4 } }));
    let patched: Written<Value> = deployments
        .patch(&key("default/web"), &patch)
        .await
        .unwrap();
    assert_eq!(
        patched.object["status"]["replicas"], 3,
        "the status is not the object's"
    );
    assert!(
        notes
            .take()
            .contains(&"begun update default/web/status of deployments.v1.apps".to_owned())
    );
}

#[tokio::test]
async fn pr_n12_a_finalizer_keeps_a_deleted_object_until_it_is_taken_away() {
    let server = server().await;
    let notes = Arc::new(Notes::default());
    let api = Api::new(client(&server)).observed_by(Arc::<Notes>::clone(&notes));
    let maps = maps(&api);
    let mut object = configmap("a", "1");
    object["metadata"]["finalizers"] = json!(["example.com/cleanup"]);
    let created = maps.create(Some("default"), &object).await.unwrap();
    notes.take();

    let options = DeleteOptions {
        uid: Some("another".to_owned()),
        ..DeleteOptions::default()
    };
    let wrong = maps.delete(&key("default/a"), &options).await.unwrap_err();
    assert!(wrong.is_conflict(), "the uid is another object's");
    assert_eq!(notes.take()[1], "delete refused");

    let options = DeleteOptions {
        uid: Some(created.uid.clone()),
        resource_version: Some(created.version.clone()),
        ..DeleteOptions::default()
    };
    let pending = maps.delete(&key("default/a"), &options).await.unwrap();
    let Deletion::Pending {
        uid,
        version: Some(version),
        finalizers,
    } = pending
    else {
        panic!("{pending:?}");
    };
    assert_eq!(
        (uid, finalizers),
        (created.uid, vec!["example.com/cleanup".to_owned()])
    );
    assert!(created.version.is_before(&version));
    assert_eq!(
        notes.take()[1],
        format!("delete stored default/a@{version}")
    );

    let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    let last: Written<Value> = maps.patch(&key("default/a"), &patch).await.unwrap();
    assert!(last.gone, "the answer still shows it");
    assert_eq!(notes.take()[1], "patch deleted");
    assert!(
        maps.get::<Value>(&key("default/a"))
            .await
            .unwrap_err()
            .is_not_found()
    );
}

#[tokio::test]
async fn a_written_version_is_one_that_an_informer_reaches() {
    let server = server().await;
    let handle = crate::support::raw(&server).await;
    let api = Api::new(client(&server));
    let written = maps(&api)
        .create(Some("default"), &configmap("a", "1"))
        .await
        .unwrap();
    let outcome = handle
        .wait_for(&written.version, crate::support::DEADLINE)
        .await;
    assert_eq!(outcome, tidings::WaitOutcome::Reached);
    let version: ResourceVersion = written.version;
    assert_eq!(
        crate::support::shown(&handle),
        [format!("default/a@{version}")]
    );
}
