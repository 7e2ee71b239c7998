//! Objects nested deeper than a decoder follows, which the server stores all the same.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use tidings::{Informer, InformerHandle, Lookup, Raw, Resource, Scope};

use crate::{cluster::*, history::History};

/// A type that names all of the object.
#[derive(Debug, Deserialize)]
struct Nest {
    spec: Value,
}

/// A projection that does not name what is deep.
#[derive(Debug, Deserialize)]
struct Named {
    kind: String,
}

/// serde follows 128 levels.
const DEEP: usize = 200;

fn nest(name: &str, depth: usize) -> Value {
    let inner = (0..depth).fold(json!(name), |inner, _| json!({ "in": inner }));
    json!({
        "apiVersion": "tidings.dev/v1", "kind": "Nest",
        "metadata": { "name": name, "namespace": "default" }, "spec": { "nest": inner }
    })
}

async fn check_poisoned(handle: &InformerHandle<Arc<Nest>>) {
    let lookup = |name: &str| handle.store().lookup(&format!("default/{name}"));
    assert!(matches!(lookup("shallow"), Lookup::Present(_)));
    let Lookup::Undecodable {
        last_good: None,
        problem,
        ..
    } = lookup("listed")
    else {
        panic!("{:?}", handle.store().get("default/listed"));
    };
    assert!(problem.contains("nested too deep"), "{problem}");
    let Lookup::Undecodable {
        last_good: Some(good),
        ..
    } = lookup("turns")
    else {
        panic!("{:?}", handle.store().get("default/turns"));
    };
    assert_eq!(good.spec["nest"]["in"], "turns");
    // Counters are published a few times a second only.
    until("two are counted", async || {
        handle.state().poisoned_items == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_s11_a_deep_object_hurts_its_own_key_in_a_typed_store_and_none_in_a_raw_one() {
    let cluster = Cluster::start(&[]);
    cluster.define("suite/nested.yaml", "nests.tidings.dev");
    let scope = Scope::all(Resource::parse("tidings.dev/v1/nests").unwrap());
    let client = cluster.client();
    for (name, depth) in [("listed", DEEP), ("turns", 1), ("shallow", 1)] {
        let written = write(&client, &scope, nest(name, depth)).await;
        written.unwrap();
    }
    let history = History::default();
    let typed = Informer::<Arc<Nest>>::builder(cluster.client(), scope.clone());
    let typed = typed.handler(history.handler()).build().unwrap();
    let handle = typed.handle();
    tokio::spawn(typed.run());
    let named = cluster.follow::<Arc<Named>>(scope.clone());
    let raw = cluster.follow::<Raw>(scope.clone());

    // One deep from the list, one that becomes deep.
    handle.wait_synced(DEADLINE).await.unwrap();
    let written = write(&client, &scope, nest("turns", DEEP)).await;
    written.unwrap();
    cluster.level(&handle, &scope).await;
    cluster.level(&named, &scope).await;
    cluster.level(&raw, &scope).await;
    check_poisoned(&handle).await;
    assert_eq!(
        handle.state().stats.reasons.len(),
        0,
        "no relist, no new stream"
    );
    for name in ["listed", "turns"] {
        let key = format!("default/{name}");
        let entry = raw.store().get(&key).unwrap();
        assert_eq!(entry.object.json().matches(r#"{"in":"#).count(), DEEP);
        assert_eq!(
            named.store().get(&key).unwrap().effective().unwrap().kind,
            "Nest"
        );
    }

    // A view of the raw stream says of them what the typed informer says.
    let view = raw.view::<Arc<Nest>>().build().unwrap();
    let viewed = view.handle();
    tokio::spawn(view.run());
    cluster.level(&viewed, &scope).await;
    until("two are counted", async || {
        viewed.state().poisoned_items == 2
    })
    .await;

    // Mended, they are like the others.
    for name in ["listed", "turns"] {
        let written = write(&client, &scope, nest(name, 2)).await;
        written.unwrap();
    }
    for typed in [&handle, &viewed] {
        cluster.level(typed, &scope).await;
        for entry in typed.store().list() {
            let lookup = typed.store().lookup(entry.object.key());
            assert!(matches!(lookup, Lookup::Present(_)));
        }
    }
    history.check(&cluster.truth(&scope).await).await;
    let told = history.counts();
    assert_eq!(
        (told.added, told.updated, told.poisoned),
        (3, 1, 2),
        "{told:?}"
    );
}
