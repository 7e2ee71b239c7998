//! From kubectl's names to resources: `pods`, `po`, `Pod`, `pods.v1`, `deployments.v1.apps`,
//! `ingresses.networking.k8s.io`, `group/version/resource`.
//!
//! Does not guess: a name means what the server's discovery says, the core group first, then the
//! groups in the server's order, each with its preferred version before the others.
//!
//! Cost: a request for the core group, and one a group version until the name is found.

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, de::DeserializeOwned};
use tidings::Resource;
use tidings_api::request::Request;
use tidings_http::Client;

/// A resource that the server serves.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Served {
    group: String,
    version: String,
    plural: String,
    singular: String,
    kind: String,
    short_names: Vec<String>,
    namespaced: bool,
}

#[derive(Deserialize)]
struct Groups {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    versions: Vec<Version>,
    preferred_version: Option<Version>,
}

#[derive(PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    group_version: String,
}

#[derive(Deserialize)]
struct Resources {
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

/// Finds the resource that a name means on this server, and whether it lives in namespaces.
pub(crate) async fn resolve(client: &Client, name: &str) -> Result<(Resource, bool)> {
    if name.contains('/') {
        let wanted = Resource::parse(name).context("RESOURCE")?;
        let served = resources(client, &wanted.api_version()).await?;
        let found = served.iter().find(|one| one.plural == wanted.plural());
        let found = found.with_context(|| format!("the server has no resource {name:?}"))?;
        return Ok((wanted, found.namespaced));
    }
    let served = resources(client, "v1").await?;
    if let Some(found) = find(&served, name) {
        return to_resource(found);
    }
    let groups: Groups = get(client, "/apis").await?;
    let mut failed = Vec::new();
    for version in order(groups.groups) {
        // One group that fails must not hide the others (pr-N6).
        match resources(client, &version).await {
            Ok(served) => {
                if let Some(found) = find(&served, name) {
                    return to_resource(found);
                }
            }
            Err(error) => failed.push(format!("{version} ({error:#})")),
        }
    }
    if failed.is_empty() {
        bail!("the server has no resource {name:?}");
    }
    bail!(
        "no resource {name:?} was found; not all were seen: {}",
        failed.join(", ")
    )
}

/// The group versions in the order in which a name is looked for.
fn order(groups: Vec<Group>) -> Vec<String> {
    let mut all = Vec::new();
    for group in groups {
        let preferred = group.preferred_version.into_iter();
        for version in preferred.chain(group.versions) {
            if !all.contains(&version.group_version) {
                all.push(version.group_version);
            }
        }
    }
    all
}

fn to_resource(found: &Served) -> Result<(Resource, bool)> {
    let resource = Resource::new(&found.group, &found.version, &found.plural)?;
    Ok((resource, found.namespaced))
}

/// What the server serves in a group version, without subresources.
async fn resources(client: &Client, group_version: &str) -> Result<Vec<Served>> {
    let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
    // A path is made of checked segments only, whoever named them (SEC-13).
    Resource::new(group, version, "x").context("discovery")?;
    let path = if group.is_empty() {
        format!("/api/{version}")
    } else {
        format!("/apis/{group}/{version}")
    };
    let list: Resources = get(client, &path).await?;
    let served = |listed: Listed| Served {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: listed.name,
        singular: listed.singular_name,
        kind: listed.kind,
        short_names: listed.short_names,
        namespaced: listed.namespaced,
    };
    let listed = list.resources.into_iter();
    // Subresources have a slash.
    let listed = listed.filter(|listed| !listed.name.contains('/'));
    Ok(listed.map(served).collect())
}

async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T> {
    let answer = client.send(&Request::get(path.to_owned())).await;
    let answer = answer.context("discovery")?;
    ensure!(
        answer.status == 200,
        "discovery: the server answered {} to {path}",
        answer.status
    );
    serde_json::from_slice(&answer.body).with_context(|| format!("discovery: {path}"))
}

/// The first resource that a name means.
fn find<'a>(served: &'a [Served], name: &str) -> Option<&'a Served> {
    let name = name.to_lowercase();
    let (first, rest) = name.split_once('.').unwrap_or((&name, ""));
    let (version, group) = rest.split_once('.').unwrap_or((rest, ""));
    served.iter().find(|one| {
        let is_named = one.plural == first
            || one.singular == first
            || one.kind.to_lowercase() == first
            || one.short_names.iter().any(|short| short == first);
        let is_placed =
            rest.is_empty() || rest == one.group || (version == one.version && group == one.group);
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
        for name in ["nodes", "pods.v2", "pods.apps", "deployments.v1.batch", ""] {
            assert_eq!(find(&all, name), None, "{name}");
        }
    }

    #[test]
    fn the_preferred_version_of_a_group_goes_before_the_others() {
        let text = r#"{"groups":[
            {"versions":[{"groupVersion":"a/v1"},{"groupVersion":"a/v2"}],
             "preferredVersion":{"groupVersion":"a/v2"}},
            {"versions":[{"groupVersion":"b/v1"}]}]}"#;
        let groups: Groups = serde_json::from_str(text).unwrap();
        assert_eq!(order(groups.groups), ["a/v2", "a/v1", "b/v1"]);
    }
}
