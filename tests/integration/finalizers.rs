//! A finalizer through the life of an object, against the embedded server.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use serde_json::{Value, json};
use tidings::{
    Api, DeleteOptions, Deletion, Finalized, Finalizer, FinalizerError, Patch, Resource,
    ResourceApi, Written,
};
use tidings_apiserver::serve::Handle;

use crate::{
    support::{client, server},
    writes::{Notes, key},
};

const OURS: &str = "example.com/cleanup";

struct Stage {
    server: Handle,
    maps: ResourceApi,
    notes: Arc<Notes>,
    cleanups: AtomicU32,
}

async fn stage() -> Stage {
    let server = server().await;
    let notes = Arc::new(Notes::default());
    let api = Api::new(client(&server)).observed_by(Arc::<Notes>::clone(&notes));
    Stage {
        maps: api.resource(&Resource::parse("v1/configmaps").unwrap()),
        server,
        notes,
        cleanups: AtomicU32::new(0),
    }
}

impl Stage {
    async fn create(&self, finalizers: Value) -> Value {
        let object = json!({ "metadata": { "name": "a", "finalizers": finalizers }, "data": {} });
        let created = self.maps.create(Some("default"), &object).await.unwrap();
        self.notes.take();
        created.object
    }

    async fn live(&self) -> Value {
        self.maps.get(&key("default/a")).await.unwrap()
    }

    async fn delete(&self) -> Deletion {
        let options = DeleteOptions::default();
        self.maps.delete(&key("default/a"), &options).await.unwrap()
    }

    async fn patch(&self, patch: Value) -> Written<Value> {
        let patch = Patch::Merge(patch);
        self.maps.patch(&key("default/a"), &patch).await.unwrap()
    }

    /// A reconcile that sees this object, and cleans up without trouble.
    async fn run(&self, seen: &Value) -> Finalized {
        let cleanup = || async {
            self.cleanups.fetch_add(1, Relaxed);
            Ok::<_, Infallible>(())
        };
        let finalizer = Finalizer::new(OURS);
        let key = key("default/a");
        finalizer
            .run(&self.maps, &key, seen, cleanup)
            .await
            .unwrap()
    }

    fn cleanups(&self) -> u32 {
        self.cleanups.load(Relaxed)
    }
}

#[tokio::test]
async fn pr_n12_an_object_bears_its_finalizer_from_first_sight_to_the_end_of_its_cleanup() {
    let stage = stage().await;
    let created = stage.create(json!(["example.com/other"])).await;
    let Finalized::Added { version } = stage.run(&created).await else {
        panic!("not added");
    };
    let live = stage.live().await;
    assert_eq!(
        live["metadata"]["finalizers"],
        json!(["example.com/other", OURS])
    );
    assert_eq!(live["metadata"]["resourceVersion"], version.to_string());
    stage.notes.take();
    assert_eq!(stage.run(&live).await, Finalized::Live);
    // A store that has not seen the write yet costs a read, and no second write.
    assert_eq!(stage.run(&created).await, Finalized::Live);
    assert_eq!(stage.notes.take(), Vec::<String>::new());

    assert!(matches!(stage.delete().await, Deletion::Pending { .. }));
    let deleted = stage.live().await;
    assert_eq!(stage.cleanups(), 0);
    assert_eq!(stage.run(&deleted).await, Finalized::CleanedUp);
    assert_eq!(stage.cleanups(), 1);
    let live = stage.live().await;
    assert_eq!(live["metadata"]["finalizers"], json!(["example.com/other"]));
    // Neither an old sight nor a new one repeats what is done.
    assert_eq!(stage.run(&deleted).await, Finalized::Gone);
    assert_eq!(stage.run(&live).await, Finalized::Gone);
    stage
        .patch(json!({ "metadata": { "finalizers": null } }))
        .await;
    assert_eq!(
        stage.run(&deleted).await,
        Finalized::Gone,
        "there is none any more"
    );
    assert_eq!(stage.cleanups(), 1);
}

#[tokio::test]
async fn a_cleanup_that_fails_keeps_the_finalizer() {
    let stage = stage().await;
    stage.create(json!([OURS])).await;
    stage.delete().await;
    let deleted = stage.live().await;
    let finalizer = Finalizer::new(OURS);
    let failed = finalizer
        .run(&stage.maps, &key("default/a"), &deleted, || async {
            Err("busy")
        })
        .await;
    assert!(matches!(failed, Err(FinalizerError::Cleanup("busy"))));
    assert_eq!(stage.live().await["metadata"]["finalizers"], json!([OURS]));
    assert_eq!(stage.run(&deleted).await, Finalized::CleanedUp);
    assert!(
        stage
            .maps
            .get::<Value>(&key("default/a"))
            .await
            .unwrap_err()
            .is_not_found()
    );
}

#[tokio::test]
async fn writers_beside_it_lose_nothing() {
    let stage = stage().await;
    stage.create(json!([OURS])).await;
    stage.delete().await;
    let deleted = stage.live().await;
    // While it is cleaned up, another controller writes the object, its finalizers included.
    let cleanup = || async {
        let change = json!({ "metadata": { "annotations": { "a": "1" } }, "data": { "b": "2" } });
        stage.patch(change).await;
        Ok::<_, Infallible>(())
    };
    let finalizer = Finalizer::new(OURS);
    let done = finalizer
        .run(&stage.maps, &key("default/a"), &deleted, cleanup)
        .await;
    assert_eq!(done.unwrap(), Finalized::CleanedUp);
    let notes = stage.notes.take();
    assert!(
        notes.contains(&"patch refused".to_owned()),
        "it met a conflict: {notes:?}"
    );
    assert_eq!(notes.last().unwrap(), "patch deleted");
}

#[tokio::test]
async fn an_object_that_goes_meanwhile_is_done_with() {
    let stage = stage().await;
    stage.create(json!([OURS])).await;
    stage.delete().await;
    let deleted = stage.live().await;
    let cleanup = || async {
        // Somebody loses patience.
        stage
            .patch(json!({ "metadata": { "finalizers": null } }))
            .await;
        Ok::<_, Infallible>(())
    };
    let finalizer = Finalizer::new(OURS);
    let done = finalizer
        .run(&stage.maps, &key("default/a"), &deleted, cleanup)
        .await;
    assert_eq!(done.unwrap(), Finalized::CleanedUp);
}

/// What was seen may be another life of the same name: that one is not to be cleaned up.
#[tokio::test]
async fn another_object_of_the_same_name_is_left_alone() {
    let stage = stage().await;
    stage.create(json!([OURS])).await;
    stage.delete().await;
    let deleted = stage.live().await;
    stage
        .patch(json!({ "metadata": { "finalizers": null } }))
        .await;
    stage.create(json!([OURS])).await;
    stage.delete().await;
    assert_eq!(stage.run(&deleted).await, Finalized::Gone);
    assert_eq!(stage.cleanups(), 0);
    assert_eq!(stage.live().await["metadata"]["finalizers"], json!([OURS]));
    stage.server.shutdown().await;
}

#[tokio::test]
async fn pr_f3_a_cleanup_that_is_cut_off_begins_anew() {
    let stage = stage().await;
    stage.create(json!([OURS])).await;
    stage.delete().await;
    let deleted = stage.live().await;
    let begun = tokio::sync::Notify::new();
    let cleanup = || async {
        begun.notify_one();
        std::future::pending::<Result<(), Infallible>>().await
    };
    let (finalizer, key) = (Finalizer::new(OURS), key("default/a"));
    tokio::select! {
        ended = finalizer.run(&stage.maps, &key, &deleted, cleanup) => panic!("{ended:?}"),
        () = begun.notified() => {}
    }
    assert_eq!(stage.live().await["metadata"]["finalizers"], json!([OURS]));
    assert_eq!(stage.run(&deleted).await, Finalized::CleanedUp);
    assert_eq!(stage.cleanups(), 1);
}
