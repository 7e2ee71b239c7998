//! Custom kinds from a derived definition, discovery, and waiting for conditions.

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::{
    api::core::v1::ConfigMap,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, CustomResource, CustomResourceExt as _, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    discovery::{self, Discovery, Scope},
    runtime::{
        WatchStreamExt as _,
        wait::{await_condition, conditions},
        watcher::{self, watcher},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Case, Env, case,
    report::{outcome, say, until},
    watch::put,
};

pub(crate) const CASES: &[Case] = &[
    case!("derived-definition", derived),
    case!("conditions", conditions_are_met),
    case!("discoveries", discoveries),
];

/// A kind with required, optional and defaulted fields, an enumeration and a status.
#[derive(CustomResource, Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[kube(
    group = "derived.example.com",
    version = "v1",
    kind = "Wheel",
    namespaced,
    shortname = "wh",
    status = "WheelStatus",
    scale(
        spec_replicas_path = ".spec.spokes",
        status_replicas_path = ".status.spokes"
    ),
    printcolumn(name = "Spokes", type_ = "integer", json_path = ".spec.spokes")
)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WheelSpec {
    #[schemars(range(min = 3, max = 60))]
    pub(crate) spokes: i32,
    tyre: Option<Tyre>,
    #[serde(default = "grey")]
    color: String,
}

fn grey() -> String {
    "grey".to_owned()
}

#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
enum Tyre {
    Solid,
    Tubeless,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
pub(crate) struct WheelStatus {
    pub(crate) spokes: Option<i32>,
}

/// Applies the derived definition and waits until its kind is served.
pub(crate) async fn define(env: &Env) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(env.direct.clone());
    let name = Wheel::crd_name();
    let params = PatchParams::apply("cases").force();
    definitions
        .patch(name, &params, &Patch::Apply(Wheel::crd()))
        .await?;
    let established = await_condition(definitions, name, conditions::is_crd_established());
    established.await?.context("the definition is gone")?;
    // The real server serves the kind a moment after it said so.
    let wheels: Api<Wheel> = Api::namespaced(env.direct.clone(), &env.namespace);
    until(async || Ok(wheels.list(&ListParams::default()).await.is_ok())).await
}

pub(crate) fn wheel(name: &str, spokes: i32) -> Wheel {
    let spec = WheelSpec {
        spokes,
        tyre: Some(Tyre::Solid),
        color: "red".to_owned(),
    };
    Wheel::new(name, spec)
}

async fn derived(env: Env) -> Result<()> {
    define(&env).await?;
    let wheels: Api<Wheel> = Api::namespaced(env.direct.clone(), &env.namespace);
    let post = PostParams::default();
    let created = wheels.create(&post, &wheel("w", 12)).await?;
    say("created", serde_json::to_string(&created.spec)?);
    outcome(
        "too many spokes",
        &wheels.create(&post, &wheel("bad", 99)).await,
    );
    let patch = json!({"spec": {"tyre": "Wooden"}});
    outcome(
        "an unknown tyre",
        &wheels
            .patch("w", &PatchParams::default(), &Patch::Merge(&patch))
            .await,
    );
    let patch = json!({"spec": {"color": null, "tyre": null}});
    let patched = wheels
        .patch("w", &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    say("defaulted", serde_json::to_string(&patched.spec)?);
    let patch = json!({"status": {"spokes": 11}});
    let patched = wheels
        .patch_status("w", &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    say(
        "status",
        format!(
            "{:?} generation={:?}",
            patched.status.and_then(|it| it.spokes),
            patched.metadata.generation
        ),
    );
    let scale = wheels.get_scale("w").await?;
    say(
        "scale",
        format!(
            "{:?} {:?}",
            scale.spec.and_then(|it| it.replicas),
            scale.status.map(|it| it.replicas)
        ),
    );
    let strategic = wheels
        .patch("w", &PatchParams::default(), &Patch::Strategic(&json!({})))
        .await;
    outcome("a strategic patch", &strategic);
    let applied = json!({"apiVersion": "derived.example.com/v1", "kind": "Wheel", "metadata": {"name": "w"}, "spec": {"spokes": 20}});
    let conflict = wheels
        .patch("w", &PatchParams::apply("other"), &Patch::Apply(&applied))
        .await;
    outcome("an apply against another", &conflict);
    let mut stream = watcher(wheels.clone(), watcher::Config::default().streaming_lists())
        .default_backoff()
        .applied_objects()
        .boxed();
    let first = stream.next().await.context("the stream ended")??;
    say(
        "watched",
        format!("{} {}", first.name_any(), first.spec.spokes),
    );
    wheels.delete("w", &DeleteParams::default()).await?;
    outcome("gone", &wheels.get("w").await);
    Ok(())
}

/// A condition is met by a change, or by a deletion.
async fn conditions_are_met(env: Env) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(env.direct.clone(), &env.namespace);
    put(&maps, "a", "1").await?;
    let uid = maps.get("a").await?.uid().context("no uid")?;
    let has_two = |it: Option<&ConfigMap>| {
        it.and_then(|it| it.data.as_ref()?.get("v"))
            .is_some_and(|value| value == "2")
    };
    let proxied: Api<ConfigMap> = Api::namespaced(env.proxied.clone(), &env.namespace);
    let waiting = tokio::spawn(await_condition(proxied.clone(), "a", has_two));
    put(&maps, "a", "2").await?;
    say("changed", waiting.await??.is_some());
    let gone =
        tokio::spawn(
            async move { await_condition(proxied, "a", conditions::is_deleted(&uid)).await },
        );
    maps.delete("a", &DeleteParams::default()).await?;
    say("deleted", gone.await??.is_none());
    Ok(())
}

async fn discoveries(env: Env) -> Result<()> {
    define(&env).await?;
    let groups = [
        "",
        "apps",
        "coordination.k8s.io",
        "derived.example.com",
        "discovery.k8s.io",
    ];
    let found = [
        (
            "legacy",
            Discovery::new(env.direct.clone())
                .filter(&groups)
                .run()
                .await?,
        ),
        (
            "aggregated",
            Discovery::new(env.direct.clone())
                .filter(&groups)
                .run_aggregated()
                .await?,
        ),
    ];
    let wanted = [
        "Pod",
        "ConfigMap",
        "Namespace",
        "Deployment",
        "Lease",
        "Wheel",
        "EndpointSlice",
    ];
    for (form, found) in found {
        for group in found.groups_alphabetical() {
            say(
                &format!("{form} group {}", group.name()),
                format!("{:?}", group.preferred_version()),
            );
            for (resource, can) in group.recommended_resources() {
                if !wanted.contains(&resource.kind.as_str()) {
                    continue;
                }
                let mut verbs = can.operations.clone();
                verbs.sort();
                let mut parts: Vec<_> = can
                    .subresources
                    .iter()
                    .map(|it| it.0.plural.clone())
                    .collect();
                parts.retain(|part| part.ends_with("status") || part.ends_with("scale"));
                parts.sort();
                let scope = if can.scope == Scope::Namespaced {
                    "namespaced"
                } else {
                    "cluster"
                };
                say(
                    &format!("{form} {}", resource.kind),
                    format!(
                        "{} {} {scope} {verbs:?} {parts:?}",
                        resource.api_version, resource.plural
                    ),
                );
            }
        }
    }
    let wheel = kube::core::GroupVersionKind::gvk("derived.example.com", "v1", "Wheel");
    let (resource, _) = discovery::pinned_kind(&env.direct, &wheel).await?;
    say("pinned kind", resource.plural);
    let version = env.direct.apiserver_version().await?;
    say("version", format!("{}.{}", version.major, version.minor));
    Ok(())
}
