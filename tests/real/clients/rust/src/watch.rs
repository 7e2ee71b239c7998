//! Watchers and stores: what they see of a sync, of changes, of a cut and of a compaction.

use std::{collections::BTreeMap, fmt::Debug};

use anyhow::Result;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{
        DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, WatchEvent,
        WatchParams,
    },
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _, reflector,
        watcher::{self, Event, watcher},
    },
};
use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    Case, Env, case,
    report::{Lines, outcome, pull, relation, say, say_all, shown, status_line, until},
};

pub(crate) const CASES: &[Case] = &[
    case!("watcher-lists", lists),
    case!("watcher-streams", streams),
    case!("watcher-lists-through-faults", lists_through_faults),
    case!("watcher-streams-through-faults", streams_through_faults),
    case!("watcher-selects", selects),
    case!("watcher-of-metadata", of_metadata),
    case!("reflector-store", store),
    case!("pages", pages),
    case!("pages-expired", pages_expired),
    case!("watch", watch),
];

/// A ConfigMap whose value `v` is told.
pub(crate) fn map(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            annotations: Some(BTreeMap::from([("v".to_owned(), value.to_owned())])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([("v".to_owned(), value.to_owned())])),
        ..ConfigMap::default()
    }
}

/// Creates or changes one.
pub(crate) async fn put(maps: &Api<ConfigMap>, name: &str, value: &str) -> Result<()> {
    if maps
        .create(&PostParams::default(), &map(name, value))
        .await
        .is_err()
    {
        let patch = json!({"data": {"v": value}, "metadata": {"annotations": {"v": value}}});
        let params = PatchParams::default();
        maps.patch(name, &params, &Patch::Merge(&patch)).await?;
    }
    Ok(())
}

fn maps(client: &Client, env: &Env) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), &env.namespace)
}

fn named<K: Resource>(object: &K) -> String {
    let value = object.annotations().get("v").cloned().unwrap_or_default();
    format!("{} v={value}", object.name_any())
}

fn line<K: Resource>(event: &Event<K>) -> String {
    match event {
        Event::Apply(object) => format!("apply {}", named(object)),
        Event::Delete(object) => format!("delete {}", named(object)),
        Event::Init => "init".to_owned(),
        Event::InitApply(object) => format!("init apply {}", named(object)),
        Event::InitDone => "init done".to_owned(),
    }
}

/// Follows a stream in a task. What the transport suffers is not told: how often depends on chance.
fn follow<K>(
    stream: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
    sender: mpsc::UnboundedSender<String>,
) where
    K: Resource + Clone + Debug + Send + 'static,
{
    let mut stream = stream.default_backoff().boxed();
    tokio::spawn(async move {
        while let Some(item) = stream.next().await {
            let told = match &item {
                Ok(event) => line(event),
                Err(watcher::Error::WatchError(status)) => {
                    format!("refused: {}", status_line(status))
                }
                Err(_) => continue,
            };
            if sender.send(told).is_err() {
                return;
            }
        }
    });
}

async fn lists(env: Env) -> Result<()> {
    sync(&env, watcher::Config::default()).await
}

async fn streams(env: Env) -> Result<()> {
    sync(&env, watcher::Config::default().streaming_lists()).await
}

/// A watcher tells what is there, then changes in their order.
async fn sync(env: &Env, config: watcher::Config) -> Result<()> {
    let maps = maps(&env.direct, env);
    for name in ["a", "b", "c"] {
        put(&maps, name, "1").await?;
    }
    let (sender, mut told) = Lines::new();
    follow(watcher(maps.clone(), config.page_size(2)), sender);
    told.tell("synced", 5).await?;
    put(&maps, "d", "1").await?;
    put(&maps, "a", "2").await?;
    maps.delete("b", &DeleteParams::default()).await?;
    put(&maps, "b", "9").await?;
    told.tell("live", 4).await
}

async fn lists_through_faults(env: Env) -> Result<()> {
    faults(&env, watcher::Config::default()).await
}

async fn streams_through_faults(env: Env) -> Result<()> {
    faults(&env, watcher::Config::default().streaming_lists()).await
}

/// A cut costs nothing; a version that was forgotten costs a list, told as an error before.
async fn faults(env: &Env, config: watcher::Config) -> Result<()> {
    let direct = maps(&env.direct, env);
    put(&direct, "a", "1").await?;
    put(&direct, "gone", "1").await?;
    let (sender, mut told) = Lines::new();
    follow(watcher(maps(&env.proxied, env), config), sender);
    told.tell("synced", 4).await?;
    pull("cut").await?;
    put(&direct, "a", "2").await?;
    told.tell("after the cut", 1).await?;
    pull("down").await?;
    direct.delete("gone", &DeleteParams::default()).await?;
    put(&direct, "a", "3").await?;
    put(&direct, "new", "1").await?;
    pull("compact").await?;
    pull("up").await?;
    told.tell("after the compaction", 5).await?;
    put(&maps(&env.direct, env), "a", "4").await?;
    told.tell("live again", 1).await
}

/// What leaves a selection is deleted, what enters it is applied.
async fn selects(env: Env) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(env.direct.clone(), &env.namespace);
    let create = |name: &str, tier: &str| {
        serde_json::from_value::<Pod>(json!({
            "metadata": {"name": name, "labels": {"tier": tier}, "annotations": {"v": tier}},
            "spec": {"containers": [{"name": "c", "image": "example.invalid/none"}]}
        }))
    };
    let post = PostParams::default();
    pods.create(&post, &create("in", "front")?).await?;
    pods.create(&post, &create("out", "back")?).await?;
    let (sender, mut told) = Lines::new();
    let config = watcher::Config::default()
        .labels("tier=front")
        .fields("spec.nodeName=");
    follow(watcher(pods.clone(), config), sender);
    told.tell("synced", 3).await?;
    for (name, tier) in [("out", "front"), ("in", "back")] {
        let patch = json!({"metadata": {"labels": {"tier": tier}, "annotations": {"v": tier}}});
        pods.patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
    }
    told.tell("live", 2).await
}

/// Objects come without what is not metadata.
async fn of_metadata(env: Env) -> Result<()> {
    let maps = maps(&env.direct, &env);
    put(&maps, "a", "1").await?;
    let (sender, mut told) = Lines::new();
    let bare: Api<PartialObjectMeta<ConfigMap>> =
        Api::namespaced(env.direct.clone(), &env.namespace);
    follow(
        watcher(bare, watcher::Config::default().streaming_lists()),
        sender,
    );
    told.tell("synced", 3).await?;
    put(&maps, "a", "2").await?;
    told.tell("live", 1).await?;
    let one: PartialObjectMeta<ConfigMap> = maps.get_metadata("a").await?;
    let types = one.types.as_ref();
    let types = types.map(|it| format!("{} {}", it.api_version, it.kind));
    say(
        "one",
        format!("{} {}", types.unwrap_or_default(), named(&one)),
    );
    let all = maps.list_metadata(&ListParams::default()).await?;
    say("all", format!("{:?} {}", all.types, all.items.len()));
    Ok(())
}

/// A reflector's store has what the server has.
async fn store(env: Env) -> Result<()> {
    let direct = maps(&env.direct, &env);
    for name in ["a", "b"] {
        put(&direct, name, "1").await?;
    }
    let (reader, writer) = reflector::store();
    let stream = watcher(maps(&env.proxied, &env), watcher::Config::default()).default_backoff();
    let mut stream = reflector(writer, stream).boxed();
    tokio::spawn(async move { while stream.next().await.is_some() {} });
    reader.wait_until_ready().await?;
    let held = || {
        let mut all: Vec<String> = reader.state().iter().map(|it| named(&**it)).collect();
        all.sort();
        format!("{all:?}")
    };
    say("ready", held());
    pull("cut").await?;
    put(&direct, "a", "2").await?;
    direct.delete("b", &DeleteParams::default()).await?;
    put(&direct, "c", "1").await?;
    let wanted = r#"["a v=2", "c v=1"]"#;
    until(async || Ok(held() == wanted)).await?;
    say("after the cut", held());
    Ok(())
}

/// Pages of one state.
async fn pages(env: Env) -> Result<()> {
    let maps = maps(&env.direct, &env);
    for number in 0..5 {
        put(&maps, &format!("m{number}"), "1").await?;
    }
    let mut params = ListParams::default().limit(2);
    let mut first = None;
    for number in 1.. {
        let page = maps.list(&params).await?;
        let meta = &page.metadata;
        let names: Vec<String> = page.items.iter().map(named).collect();
        let version = meta.resource_version.clone().unwrap_or_default();
        let first = first.get_or_insert_with(|| version.clone());
        let (left, version) = (meta.remaining_item_count, relation(first, &version));
        say(
            &format!("page {number}"),
            format!("{names:?} left={left:?} version {version}"),
        );
        put(&maps, "late", &number.to_string()).await?;
        let Some(token) = meta.continue_.clone().filter(|token| !token.is_empty()) else {
            break;
        };
        params = params.continue_token(&token);
    }
    let any = maps.list(&ListParams::default().match_any()).await?;
    say("of any version", any.items.len());
    let exact = ListParams::default().at(first.as_deref().unwrap_or_default());
    let exact = maps
        .list(&exact.matching(kube::api::VersionMatch::Exact))
        .await?;
    say("of exactly the first", exact.items.len());
    Ok(())
}

/// A token of a forgotten version is refused, with another in the Status.
async fn pages_expired(env: Env) -> Result<()> {
    let maps = maps(&env.direct, &env);
    for number in 0..3 {
        put(&maps, &format!("m{number}"), "1").await?;
    }
    let params = ListParams::default().limit(2);
    let page = maps.list(&params).await?;
    let token = page.metadata.continue_.unwrap_or_default();
    put(&maps, "m0", "2").await?;
    pull("compact").await?;
    let next = maps.list(&params.continue_token(&token)).await;
    outcome("token", &next);
    if let Err(kube::Error::Api(status)) = &next {
        let fresh = status.metadata.as_ref().and_then(|it| it.continue_.clone());
        let fresh = fresh.unwrap_or_default();
        say("fresh token", !fresh.is_empty());
        let rest = maps
            .list(&ListParams::default().continue_token(&fresh))
            .await;
        outcome("rest", &rest);
        say_all("rest", &rest?.items.iter().map(named).collect::<Vec<_>>());
    }
    Ok(())
}

/// A bare watch: events, the bookmark that ends the initial ones, and the end of its time.
async fn watch(env: Env) -> Result<()> {
    let maps = maps(&env.direct, &env);
    put(&maps, "a", "1").await?;
    let params = WatchParams::default().initial_events().timeout(3);
    let mut stream = maps.watch(&params, "").await?.boxed();
    let mut told = Vec::new();
    while let Some(event) = stream.try_next().await? {
        told.push(match event {
            WatchEvent::Added(it) => format!("added {}", named(&it)),
            WatchEvent::Modified(it) => format!("modified {}", named(&it)),
            WatchEvent::Deleted(it) => format!("deleted {}", named(&it)),
            WatchEvent::Bookmark(it) => {
                // Later ones come when the server likes.
                if !it
                    .metadata
                    .annotations
                    .contains_key("k8s.io/initial-events-end")
                {
                    continue;
                }
                put(&maps, "a", "2").await?;
                "end of the initial events".to_owned()
            }
            WatchEvent::Error(status) => format!("error {}", status_line(&status)),
        });
    }
    told.push("end".to_owned());
    say_all("watched", &told);
    let refused = maps
        .watch(&WatchParams::default().labels("a in"), "0")
        .await;
    say("a bad selector", shown(&refused.map(|_| ())));
    Ok(())
}
