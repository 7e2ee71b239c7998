//! From kubectl's names to resources: `pods`, `po`, `Pod`, `pods.v1`, `deployments.v1.apps`,
//! `ingresses.networking.k8s.io`, `group/version/resource`.

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use tidings::Resource;
use tidings_api::request::Request;
use tidings_http::Client;

/// A resource that the server serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    singular: String,
    kind: String,
    short_names: Vec<String>,
    pub(crate) namespaced: bool,
}

#[derive(Deserialize)]
struct Groups {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    preferred_version: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    group_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resources {
    group_version: String,
    #[serde(default)]
    resources: Vec<Listed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    name: String,
    #[serde(default)]
    singular_name: String,
    kind: String,
    namespaced: bool,
    #[serde(default)]
    short_names: Vec<String>,
}

/// Finds the resource that a name means on this server.
pub(crate) async fn resolve(client: &Client, name: &str) -> Result<(Resource, bool)> {
    if name.contains('/') {
        let resource = Resource::parse(name).context("RESOURCE")?;
        return Ok((resource, true));
    }
    let mut served = resources(client, "/api/v1").await?;
    if let Some(found) = find(&served, name) {
        return to_resource(found);
    }
    let groups: Groups = get(client, "/apis").await?;
    for group in groups.groups {
        // One group that fails must not hide the others (pr-N6).
        let path = format!("/apis/{}", group.preferred_version.group_version);
        if let Ok(more) = resources(client, &path).await {
            served.extend(more);
        }
        if let Some(found) = find(&served, name) {
            return to_resource(found);
        }
    }
    bail!("the server has no resource {name:?}")
}

fn to_resource(found: &Served) -> Result<(Resource, bool)> {
    let resource = Resource::new(&found.group, &found.version, &found.plural)?;
    Ok((resource, found.namespaced))
}

async fn resources(client: &Client, path: &str) -> Result<Vec<Served>> {
    let list: Resources = get(client, path).await?;
    let (group, version) = match list.group_version.split_once('/') {
        Some((group, version)) => (group, version),
        None => ("", list.group_version.as_str()),
    };
    let served = |listed: Listed| Served {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: listed.name,
        singular: listed.singular_name,
        kind: listed.kind,
        short_names: listed.short_names,
        namespaced: listed.namespaced,
    };
    // Subresources have a slash.
    let resources = list
        .resources
        .into_iter()
        .filter(|listed| !listed.name.contains('/'));
    Ok(resources.map(served).collect())
}

async fn get<T: for<'de> Deserialize<'de>>(client: &Client, path: &str) -> Result<T> {
    let answer = client.send(&Request::get(path.to_owned())).await?;
    if answer.status != 200 {
        bail!("discovery: the server answered {} to {path}", answer.status);
    }
    serde_json::from_slice(&answer.body).with_context(|| format!("discovery: {path}"))
}

/// The first resource that a name means.
fn find<'a>(served: &'a [Served], name: &str) -> Option<&'a Served> {
    let (first, rest) = name.split_once('.').unwrap_or((name, ""));
    let first = first.to_lowercase();
    served.iter().find(|one| {
        let is_named = one.plural == first
            || one.singular == first
            || one.kind.to_lowercase() == first
            || one.short_names.contains(&first);
        let is_placed = match rest {
            "" => true,
            rest if rest == one.group => true,
            rest => {
                let (version, group) = rest.split_once('.').unwrap_or((rest, ""));
                version == one.version && group == one.group
            }
        };
        is_named && is_placed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(group: &str, plural: &str, kind: &str, short: &str) -> Served {
        Served {
            group: group.to_owned(),
            version: "v1".to_owned(),
            plural: plural.to_owned(),
            singular: kind.to_lowercase(),
            kind: kind.to_owned(),
            short_names: vec![short.to_owned()],
            namespaced: true,
        }
    }

    #[test]
    fn names_are_read_as_kubectl_reads_them() {
        let all = [
            served("", "pods", "Pod", "po"),
            served("apps", "deployments", "Deployment", "deploy"),
            served("networking.k8s.io", "ingresses", "Ingress", "ing"),
        ];
        for (name, plural) in [
            ("pods", "pods"),
            ("po", "pods"),
            ("Pod", "pods"),
            ("pods.v1", "pods"),
            ("deploy", "deployments"),
            ("deployments.apps", "deployments"),
            ("deployments.v1.apps", "deployments"),
            ("ingresses.networking.k8s.io", "ingresses"),
            ("ingress.v1.networking.k8s.io", "ingresses"),
        ] {
            assert_eq!(
                find(&all, name).map(|one| one.plural.as_str()),
                Some(plural),
                "{name}"
            );
        }
        for name in ["nodes", "pods.v2", "pods.apps", "deployments.v1.batch"] {
            assert_eq!(find(&all, name), None, "{name}");
        }
    }
}
