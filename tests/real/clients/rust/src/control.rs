//! Controllers: objects with owned ones, finalizers, and events.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::{
    api::core::v1::{ConfigMap, ObjectReference, Secret},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
    runtime::{
        Controller,
        controller::Action,
        events::{Event, EventType, Recorder, Reporter},
        finalizer::{self, finalizer},
        watcher,
    },
};
use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    Case, Env, case,
    custom::{Wheel, define, wheel},
    report::{Lines, outcome, pull, say, until},
    watch::map,
};

pub(crate) const CASES: &[Case] = &[
    case!("controller-owns", owns),
    case!("finalizer", finalizers),
    case!("event-recorder", recorder),
];

/// What a reconcile works with.
struct Context {
    client: Client,
    sender: mpsc::UnboundedSender<String>,
}

/// Keeps a ConfigMap for each wheel, which says how many spokes it has.
async fn reconcile(wheel: Arc<Wheel>, context: Arc<Context>) -> Result<Action, kube::Error> {
    let namespace = wheel.namespace().unwrap_or_default();
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
    let name = wheel.name_any();
    let child = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "ownerReferences": [wheel.controller_owner_ref(&())]},
        "data": {"spokes": wheel.spec.spokes.to_string()}
    });
    let params = PatchParams::apply("controller").force();
    let applied = maps.patch(&name, &params, &Patch::Apply(&child)).await?;
    let status = json!({"status": {"spokes": wheel.spec.spokes}});
    let wheels: Api<Wheel> = Api::namespaced(context.client.clone(), &namespace);
    wheels
        .patch_status(&name, &PatchParams::default(), &Patch::Merge(&status))
        .await?;
    let data = applied.data.unwrap_or_default();
    // Nobody listens once the case has ended.
    let _ = context.sender.send(format!("{name} {data:?}"));
    Ok(Action::await_change())
}

/// A controller brings back what is deleted or changed of what it owns, through cuts as well.
async fn owns(env: Env) -> Result<()> {
    define(&env).await?;
    let wheels: Api<Wheel> = Api::namespaced(env.direct.clone(), &env.namespace);
    let maps: Api<ConfigMap> = Api::namespaced(env.direct.clone(), &env.namespace);
    let (sender, _told) = Lines::new();
    let context = Arc::new(Context {
        client: env.proxied.clone(),
        sender,
    });
    let proxied = |client: &Client| Api::namespaced(client.clone(), &env.namespace);
    let controller = Controller::new(proxied(&env.proxied), watcher::Config::default())
        .owns::<ConfigMap>(
            Api::namespaced(env.proxied.clone(), &env.namespace),
            watcher::Config::default(),
        );
    let run = controller.run(
        reconcile,
        |_, _, _| Action::requeue(Duration::from_millis(200)),
        context,
    );
    tokio::spawn(run.for_each(|_| async {}));
    let child = async |label: &str, spokes: &str| -> Result<()> {
        until(async || {
            let found = maps.get_opt("w").await?;
            let Some(data) = found.as_ref().and_then(|it| it.data.as_ref()) else {
                return Ok(false);
            };
            let is_so = data.get("spokes").is_some_and(|it| it == spokes);
            if is_so {
                let owners = found.iter().flat_map(|it| it.owner_references());
                let owner =
                    |it: &OwnerReference| format!("{} {} {:?}", it.kind, it.name, it.controller);
                let owners: Vec<String> = owners.map(owner).collect();
                say(label, format!("{data:?} owners={owners:?}"));
            }
            Ok(is_so)
        })
        .await
    };
    wheels
        .create(&PostParams::default(), &wheel("w", 5))
        .await?;
    child("created", "5").await?;
    maps.delete("w", &DeleteParams::default()).await?;
    child("deleted and made again", "5").await?;
    let patch = json!({"data": {"spokes": "0"}});
    maps.patch("w", &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    child("changed and mended", "5").await?;
    pull("cut").await?;
    let patch = json!({"spec": {"spokes": 7}});
    wheels
        .patch("w", &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    child("after the cut", "7").await?;
    until(async || {
        let status = wheels.get("w").await?.status;
        Ok(status.is_some_and(|it| it.spokes == Some(7)))
    })
    .await?;
    say("status", "7");
    Ok(())
}

/// kube-rs adds and removes its finalizer with JSON patches that test what they change.
async fn finalizers(env: Env) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(env.direct.clone(), &env.namespace);
    let created = maps
        .create(&PostParams::default(), &map("held", "1"))
        .await?;
    let step = async |label: &str, object: ConfigMap| -> Result<()> {
        let told = Arc::new(std::sync::Mutex::new("nothing"));
        let telling = Arc::clone(&told);
        let done = finalizer(
            &maps,
            "example.com/hold",
            Arc::new(object),
            |event| async move {
                let event = match event {
                    finalizer::Event::Apply(_) => "apply",
                    finalizer::Event::Cleanup(_) => "cleanup",
                };
                if let Ok(mut told) = telling.lock() {
                    *told = event;
                }
                Ok::<_, kube::Error>(Action::await_change())
            },
        );
        let done = done.await.is_ok();
        let event = told.lock().map(|it| *it).unwrap_or("poisoned");
        say(label, format!("{event} ok={done}"));
        Ok(())
    };
    step("first", created.clone()).await?;
    // The patch tests that nobody came before: the object is old by now.
    step("an old object", created).await?;
    let held = maps.get("held").await?;
    say("finalizers", format!("{:?}", held.finalizers()));
    step("second", held).await?;
    let deleted = maps.delete("held", &DeleteParams::default()).await?;
    let left = deleted.left().context("it should be held")?;
    say("deleted", left.meta().deletion_timestamp.is_some());
    step("third", maps.get("held").await?).await?;
    outcome("gone", &maps.get("held").await);
    Ok(())
}

/// Equal events are one, with a series.
async fn recorder(env: Env) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(env.direct.clone(), &env.namespace);
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some("about".to_owned()),
            ..ObjectMeta::default()
        },
        ..Secret::default()
    };
    let about: ObjectReference = secrets
        .create(&PostParams::default(), &secret)
        .await?
        .object_ref(&());
    let reporter = Reporter {
        controller: "example.com/cases".to_owned(),
        instance: Some("one".to_owned()),
    };
    let recorder = Recorder::new(env.direct.clone(), reporter);
    for _ in 0..2 {
        let event = Event {
            type_: EventType::Normal,
            reason: "Seen".to_owned(),
            note: Some("it was seen".to_owned()),
            action: "Looking".to_owned(),
            secondary: None,
        };
        recorder.publish(&event, &about).await?;
    }
    let events: Api<k8s_openapi::api::events::v1::Event> =
        Api::namespaced(env.direct, &env.namespace);
    let list = events.list(&ListParams::default()).await?;
    for it in list.items {
        let series = it.series.map(|it| it.count);
        say(
            "event",
            format!(
                "{:?} {:?} {:?} {:?} series={series:?}",
                it.type_, it.reason, it.note, it.action
            ),
        );
    }
    Ok(())
}
