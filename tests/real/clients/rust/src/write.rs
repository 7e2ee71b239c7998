//! Writes through typed and dynamic objects, and how they are refused.

use anyhow::Result;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        coordination::v1::Lease,
        core::v1::{ConfigMap, Pod, Secret, Service},
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, ResourceExt as _,
    api::{
        ApiResource, DeleteParams, DynamicObject, EvictParams, GetParams, ListParams, Patch,
        PatchParams, PostParams, Preconditions,
    },
    core::GroupVersionKind,
};
use serde_json::{Value, json};

use crate::{
    Case, Env, case,
    report::{outcome, relation, say},
    watch::{map, put},
};

pub(crate) const CASES: &[Case] = &[
    case!("typed-writes", typed),
    case!("dynamic-writes", dynamic),
    case!("deletions", deletions),
    case!("applies", applies),
    case!("json-patches", json_patches),
    case!("scales-and-statuses", scales_and_statuses),
    case!("leases", leases),
    case!("kinds", kinds),
];

async fn typed(env: Env) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(env.direct.clone(), &env.namespace);
    let post = PostParams::default();
    let created = maps.create(&post, &map("a", "1")).await?;
    outcome("the same name", &maps.create(&post, &map("a", "1")).await);
    outcome("a bad name", &maps.create(&post, &map("A", "1")).await);
    outcome("an absent one", &maps.get("absent").await);
    say(
        "an absent one, optional",
        maps.get_opt("absent").await?.is_none(),
    );
    let mut changed = created.clone();
    changed
        .data
        .get_or_insert_default()
        .insert("w".to_owned(), "1".to_owned());
    let updated = maps.replace("a", &post, &changed).await?;
    let versions = (created.resource_version(), updated.resource_version());
    let (before, after) = (
        versions.0.unwrap_or_default(),
        versions.1.unwrap_or_default(),
    );
    say(
        "replaced",
        format!("{:?} version {}", updated.data, relation(&before, &after)),
    );
    outcome("an old version", &maps.replace("a", &post, &changed).await);
    let mut stranger = updated.clone();
    stranger.metadata.uid = Some("11111111-2222-3333-4444-555555555555".to_owned());
    say(
        "another uid is refused",
        maps.replace("a", &post, &stranger).await.is_err(),
    );
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    outcome("dry run", &maps.create(&dry, &map("dry", "1")).await);
    outcome("dry run, then", &maps.get("dry").await);
    outcome(
        "get of any version",
        &maps.get_with("a", &GetParams::any()).await,
    );
    let entry = maps.entry("a").await?.and_modify(|it| {
        it.data
            .get_or_insert_default()
            .insert("x".to_owned(), "1".to_owned());
    });
    let mut entry = entry.or_insert(|| map("a", "1"));
    entry.commit(&post).await?;
    say("committed", format!("{:?}", entry.get().data));
    let elsewhere: Api<ConfigMap> = Api::namespaced(env.direct, "absent");
    outcome(
        "an absent namespace",
        &elsewhere.create(&post, &map("a", "1")).await,
    );
    Ok(())
}

async fn dynamic(env: Env) -> Result<()> {
    let kind = GroupVersionKind::gvk("", "v1", "Service");
    let resource = ApiResource::from_gvk(&kind);
    let services: Api<DynamicObject> =
        Api::namespaced_with(env.direct.clone(), &env.namespace, &resource);
    let mut service = DynamicObject::new("front", &resource);
    service.data = json!({"spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}});
    let created = services.create(&PostParams::default(), &service).await?;
    let spec = &created.data["spec"];
    say(
        "created",
        format!(
            "{:?} {} address={}",
            created.types,
            spec["type"],
            spec["clusterIP"].is_string()
        ),
    );
    let patch = json!({"spec": {"ports": [{"port": 80, "name": "web"}]}});
    let patched = services
        .patch("front", &PatchParams::default(), &Patch::Strategic(&patch))
        .await?;
    let ports = patched.data["spec"]["ports"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    say("ports", format!("{} {}", ports.len(), ports[0]["name"]));
    let list = services.list(&ListParams::default()).await?;
    say(
        "listed",
        format!(
            "{:?} {:?}",
            list.types,
            list.items
                .iter()
                .map(|it| it.types.clone())
                .collect::<Vec<_>>()
        ),
    );
    let odd = ApiResource::from_gvk(&GroupVersionKind::gvk("odd.io", "v1", "Odd"));
    let odd: Api<DynamicObject> = Api::namespaced_with(env.direct, &env.namespace, &odd);
    outcome("an unknown kind", &odd.list(&ListParams::default()).await);
    Ok(())
}

async fn deletions(env: Env) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(env.direct, &env.namespace);
    for name in ["a", "b", "c"] {
        put(&maps, name, "1").await?;
    }
    let wrong = Preconditions {
        uid: Some("11111111-2222-3333-4444-555555555555".to_owned()),
        ..Preconditions::default()
    };
    let params = DeleteParams::default().preconditions(wrong);
    outcome("another uid", &maps.delete("a", &params).await);
    let deleted = maps.delete("a", &DeleteParams::background()).await?;
    let shown = deleted.map_left(|it| it.name_any()).map_right(|status| {
        let details = status
            .details
            .map(|it| format!("{} {} uid={}", it.kind, it.name, !it.uid.is_empty()));
        format!("{:?} {details:?}", status.status)
    });
    say("deleted", format!("{shown:?}"));
    outcome(
        "once more",
        &maps.delete("a", &DeleteParams::default()).await,
    );
    let dry = DeleteParams::default().dry_run();
    outcome("dry run", &maps.delete("b", &dry).await);
    let all = maps
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await?;
    let all = all
        .map_left(|list| list.items.len())
        .map_right(|status| format!("{:?}", status.status));
    say("collection", format!("{all:?}"));
    say("left", maps.list(&ListParams::default()).await?.items.len());
    Ok(())
}

async fn applies(env: Env) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(env.direct, &env.namespace);
    let body = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
    let rows = [
        ("created", "one", false, json!({"x": "1", "y": "1"})),
        ("conflict", "two", false, json!({"x": "2"})),
        ("forced", "two", true, json!({"x": "2"})),
        ("less", "one", false, json!({})),
    ];
    for (label, manager, force, data) in rows {
        let mut params = PatchParams::apply(manager);
        params.force = force;
        let applied = maps.patch("a", &params, &Patch::Apply(&body(data))).await;
        outcome(label, &applied);
        if let Ok(applied) = applied {
            let mut owners: Vec<String> = applied
                .managed_fields()
                .iter()
                .map(|it| {
                    format!(
                        "{:?} {:?} {:?}",
                        it.manager,
                        it.operation,
                        it.fields_v1.as_ref().map(|it| it.0.to_string())
                    )
                })
                .collect();
            owners.sort();
            say(
                &format!("{label}, then"),
                format!("{:?} {owners:?}", applied.data),
            );
        }
    }
    Ok(())
}

async fn json_patches(env: Env) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(env.direct, &env.namespace);
    put(&maps, "a", "1").await?;
    let rows = [
        (
            "added",
            json!([{"op": "add", "path": "/data/x", "value": "1"}]),
        ),
        (
            "tested",
            json!([{"op": "test", "path": "/data/x", "value": "1"}, {"op": "remove", "path": "/data/v"}]),
        ),
        (
            "test failed",
            json!([{"op": "test", "path": "/data/x", "value": "9"}]),
        ),
        ("absent", json!([{"op": "remove", "path": "/data/absent"}])),
    ];
    for (label, operations) in rows {
        let operations = serde_json::from_value(operations)?;
        let response = maps
            .patch("a", &PatchParams::default(), &Patch::<()>::Json(operations))
            .await;
        outcome(label, &response);
        if let Ok(it) = response {
            say(&format!("{label}, then"), format!("{:?}", it.data));
        }
    }
    Ok(())
}

async fn scales_and_statuses(env: Env) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(env.direct.clone(), &env.namespace);
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "example.invalid/none"}]}}}
    }))?;
    deployments
        .create(&PostParams::default(), &deployment)
        .await?;
    let scale = deployments.get_scale("web").await?;
    say(
        "scale",
        format!(
            "{:?} {:?}",
            scale.spec.and_then(|it| it.replicas),
            scale.status.map(|it| (it.replicas, it.selector))
        ),
    );
    let patch = json!({"spec": {"replicas": 5}});
    let scaled = deployments
        .patch_scale("web", &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    say(
        "scaled",
        format!("{:?}", scaled.spec.and_then(|it| it.replicas)),
    );
    let patch = json!({"spec": {"replicas": 9}, "status": {"replicas": 5, "readyReplicas": 4}});
    let patched = deployments
        .patch_status("web", &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    let spec = patched.spec.and_then(|it| it.replicas);
    let status = patched.status.and_then(|it| it.ready_replicas);
    say(
        "status",
        format!(
            "{spec:?} {status:?} generation={:?}",
            patched.metadata.generation
        ),
    );
    let pods: Api<Pod> = Api::namespaced(env.direct, &env.namespace);
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "example.invalid/none"}]}
    }))?;
    pods.create(&PostParams::default(), &pod).await?;
    let patch = json!({"status": {"phase": "Running"}});
    let running = pods
        .patch_status("p", &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    say(
        "phase",
        running.status.and_then(|it| it.phase).unwrap_or_default(),
    );
    outcome("evicted", &pods.evict("p", &EvictParams::default()).await);
    Ok(())
}

/// A Lease is taken by whoever writes the version that it read.
async fn leases(env: Env) -> Result<()> {
    let leases: Api<Lease> = Api::namespaced(env.direct, &env.namespace);
    let now = MicroTime(serde_json::from_value(json!(
        "2026-01-02T03:04:05.678901Z"
    ))?);
    let mut lease: Lease = serde_json::from_value(json!({
        "metadata": {"name": "lead"}, "spec": {"holderIdentity": "one", "leaseDurationSeconds": 15}
    }))?;
    lease.spec.get_or_insert_default().renew_time = Some(now);
    let created = leases.create(&PostParams::default(), &lease).await?;
    say(
        "created",
        format!(
            "{:?}",
            created
                .spec
                .as_ref()
                .and_then(|it| it.holder_identity.clone())
        ),
    );
    say(
        "time is kept",
        created.spec.as_ref().map(|it| &it.renew_time)
            == lease.spec.as_ref().map(|it| &it.renew_time),
    );
    let taken = |by: &str| {
        let mut lease = created.clone();
        lease.spec.get_or_insert_default().holder_identity = Some(by.to_owned());
        lease
    };
    outcome(
        "taken",
        &leases
            .replace("lead", &PostParams::default(), &taken("two"))
            .await,
    );
    outcome(
        "taken too late",
        &leases
            .replace("lead", &PostParams::default(), &taken("three"))
            .await,
    );
    let patch = json!({"spec": {"leaseDurationSeconds": 0}});
    outcome(
        "a duration of nothing",
        &leases
            .patch("lead", &PatchParams::default(), &Patch::Merge(&patch))
            .await,
    );
    Ok(())
}

/// Other built-in kinds come back as they were sent.
async fn kinds(env: Env) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(env.direct.clone(), &env.namespace);
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": "s"}, "stringData": {"a": "b"}}))?;
    let made = secrets.create(&PostParams::default(), &secret).await?;
    let data = made.data.unwrap_or_default();
    let data: Vec<_> = data
        .iter()
        .map(|(key, value)| (key, String::from_utf8_lossy(&value.0)))
        .collect();
    say(
        "secret",
        format!("{:?} {data:?} {:?}", made.type_, made.string_data),
    );
    let services: Api<Service> = Api::namespaced(env.direct, &env.namespace);
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": "backed"}, "spec": {"ports": [{"port": 80, "protocol": "TCP", "targetPort": "web"}]}
    }))?;
    let made = services.create(&PostParams::default(), &service).await?;
    let spec = made.spec.unwrap_or_default();
    let ports = spec.ports.unwrap_or_default();
    say(
        "service",
        format!(
            "{:?} {:?}",
            spec.cluster_ip.is_some(),
            ports.first().and_then(|it| it.target_port.clone())
        ),
    );
    let patch = json!({"spec": {"clusterIP": "10.0.0.77"}});
    outcome(
        "another address",
        &services
            .patch("backed", &PatchParams::default(), &Patch::Merge(&patch))
            .await,
    );
    Ok(())
}
