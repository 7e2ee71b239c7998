//! Discovery and version documents, made from the table of kinds.
//!
//! Does not keep anything: each document is made when it is asked for, so a definition shows at once.
//!
//! In: a path. Out: the legacy documents, or those of `apidiscovery.k8s.io`, which name all groups in one.
//! Source: apiserver pkg/endpoints/discovery and discovery/aggregated @v0.36.3; rule pr-N4.

use serde_json::{Value, json};

use super::State;
use crate::kind::KindRow;

impl State {
    /// The document of a discovery path, or `/version`; nothing for any other path.
    #[must_use]
    pub fn discovery(&self, path: &str) -> Option<Value> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match parts.as_slice() {
            [""] => Some(json!({ "paths": self.paths() })),
            ["version"] => Some(json!({
                "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36",
                "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
                "gitVersion": "v1.36.0+tidings", "gitCommit": "", "gitTreeState": "clean",
                "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "any"
            })),
            ["api"] => Some(json!({
                "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []
            })),
            ["apis"] => Some(json!({
                "kind": "APIGroupList", "apiVersion": "v1",
                "groups": self.group_names().into_iter().map(|name| self.group(name)).collect::<Vec<_>>()
            })),
            ["apis", name] if self.group_names().contains(name) => {
                let mut group = self.group(name);
                group["kind"] = "APIGroup".into();
                group["apiVersion"] = "v1".into();
                Some(group)
            }
            ["api", version] => self.resources("", version),
            ["apis", group, version] => self.resources(group, version),
            _ => None,
        }
    }

    /// The aggregated document of `/api` or `/apis`, in a version of `apidiscovery.k8s.io`.
    #[must_use]
    pub fn aggregated_discovery(&self, path: &str, version: &str) -> Option<Value> {
        let groups = match path.trim_end_matches('/') {
            "/api" => vec![""],
            "/apis" => self.group_names(),
            _ => return None,
        };
        let items = groups.into_iter().map(|group| {
            let meta = if group.is_empty() {
                json!({})
            } else {
                json!({ "name": group })
            };
            let versions = self.versions(group).into_iter().map(|version| {
                let here = |row: &&KindRow| row.group == group && row.version == version;
                let mut resources: Vec<Value> = self.kinds().filter(here).map(discovered).collect();
                resources.sort_by(|one, other| {
                    one["resource"].as_str().cmp(&other["resource"].as_str())
                });
                json!({ "version": version, "resources": resources, "freshness": "Current" })
            });
            json!({ "metadata": meta, "versions": versions.collect::<Vec<_>>() })
        });
        Some(json!({
            "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"),
            "metadata": {}, "items": items.collect::<Vec<_>>()
        }))
    }

    fn paths(&self) -> Vec<String> {
        let mut paths: Vec<String> = [
            "/api",
            "/api/v1",
            "/apis",
            "/healthz",
            "/livez",
            "/openapi/v3",
            "/readyz",
            "/version",
        ]
        .map(str::to_owned)
        .into();
        for group in self.group_names() {
            paths.push(format!("/apis/{group}"));
            paths.extend(
                self.versions(group)
                    .iter()
                    .map(|version| format!("/apis/{group}/{version}")),
            );
        }
        paths.sort();
        paths
    }

    pub(super) fn group_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for row in self.kinds() {
            if !row.group.is_empty() && !names.contains(&&*row.group) {
                names.push(&row.group);
            }
        }
        names
    }

    /// The versions of a group, the preferred one first.
    pub(super) fn versions(&self, group: &str) -> Vec<&str> {
        let mut versions: Vec<&str> = Vec::new();
        for row in self.kinds().filter(|row| row.group == group) {
            if !versions.contains(&&*row.version) {
                versions.push(&row.version);
            }
        }
        versions
    }

    fn group(&self, name: &str) -> Value {
        let versions = self.versions(name).into_iter().map(
            |version| json!({ "groupVersion": format!("{name}/{version}"), "version": version }),
        );
        let versions: Vec<Value> = versions.collect();
        let preferred = versions.first().cloned();
        json!({ "name": name, "versions": versions, "preferredVersion": preferred })
    }

    fn resources(&self, group: &str, version: &str) -> Option<Value> {
        let here = |row: &&KindRow| row.group == group && row.version == version;
        let mut resources = Vec::new();
        for row in self.kinds().filter(here) {
            let mut resource = json!({
                "name": row.plural, "singularName": row.singular, "kind": row.kind,
                "namespaced": row.namespaced, "verbs": verbs(row)
            });
            name_shortly(row, &mut resource);
            resources.push(resource);
            if row.scale.is_some() {
                resources.push(json!({
                    "name": format!("{}/scale", row.plural), "singularName": "",
                    "group": "autoscaling", "version": "v1", "kind": "Scale",
                    "namespaced": row.namespaced, "verbs": PART_VERBS
                }));
            }
            if row.status {
                resources.push(json!({
                    "name": format!("{}/status", row.plural), "singularName": "",
                    "kind": row.kind, "namespaced": row.namespaced, "verbs": PART_VERBS
                }));
            }
        }
        let group_version = self.kinds().find(here)?.api_version();
        Some(json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version,
            "resources": resources
        }))
    }
}

/// A resource of the aggregated form.
fn discovered(row: &KindRow) -> Value {
    // Custom kinds say whose they are, built-in ones leave it to the group around them.
    let (group, version) = if row.is_custom() {
        (&*row.group, &*row.version)
    } else {
        ("", "")
    };
    let kind = json!({ "group": group, "version": version, "kind": row.kind });
    let mut parts = Vec::new();
    if row.scale.is_some() {
        let scale = json!({ "group": "autoscaling", "version": "v1", "kind": "Scale" });
        parts.push(json!({ "subresource": "scale", "responseKind": scale, "verbs": PART_VERBS }));
    }
    if row.status {
        parts.push(json!({ "subresource": "status", "responseKind": kind, "verbs": PART_VERBS }));
    }
    let scope = if row.namespaced {
        "Namespaced"
    } else {
        "Cluster"
    };
    let mut resource = json!({
        "resource": row.plural, "responseKind": kind, "scope": scope,
        "singularResource": row.singular, "verbs": verbs(row)
    });
    name_shortly(row, &mut resource);
    if !parts.is_empty() {
        resource["subresources"] = parts.into();
    }
    resource
}

fn name_shortly(row: &KindRow, resource: &mut Value) {
    for (field, names) in [
        ("categories", &row.categories),
        ("shortNames", &row.short_names),
    ] {
        if !names.is_empty() {
            resource[field] = json!(names);
        }
    }
}

fn verbs(row: &KindRow) -> &'static [&'static str] {
    // Namespaces are deleted one by one.
    if row.is("", "Namespace") {
        &NAMESPACE_VERBS
    } else {
        &VERBS
    }
}

const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

const NAMESPACE_VERBS: [&str; 7] = [
    "create", "delete", "get", "list", "patch", "update", "watch",
];

const PART_VERBS: [&str; 3] = ["get", "patch", "update"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pr_n4_both_forms_of_discovery_name_the_same_resources() {
        let mut state = State::new(1);
        state.register(KindRow::custom("x.io", "v2", "things", "Thing"));
        let mut legacy = Vec::new();
        let mut aggregated = Vec::new();
        for path in ["/api", "/apis"] {
            let document = state.aggregated_discovery(path, "v2").unwrap();
            assert_eq!(document["apiVersion"], "apidiscovery.k8s.io/v2");
            for group in document["items"].as_array().unwrap() {
                for version in group["versions"].as_array().unwrap() {
                    let name = group["metadata"]["name"].as_str();
                    let version_name = version["version"].as_str().unwrap();
                    let path = match name {
                        Some(name) => format!("/apis/{name}/{version_name}"),
                        None => format!("/api/{version_name}"),
                    };
                    for resource in version["resources"].as_array().unwrap() {
                        let line = |name: &Value, verbs: &Value| format!("{path} {name} {verbs}");
                        aggregated.push(line(&resource["resource"], &resource["verbs"]));
                        for part in resource["subresources"].as_array().into_iter().flatten() {
                            let plural = resource["resource"].as_str().unwrap();
                            let name =
                                format!("{plural}/{}", part["subresource"].as_str().unwrap());
                            aggregated.push(line(&name.into(), &part["verbs"]));
                        }
                    }
                    let document = state.discovery(&path).unwrap();
                    for resource in document["resources"].as_array().unwrap() {
                        legacy.push(format!("{path} {} {}", resource["name"], resource["verbs"]));
                    }
                }
            }
        }
        legacy.sort();
        aggregated.sort();
        assert_eq!(legacy, aggregated);
        assert!(
            legacy
                .iter()
                .any(|line| line.starts_with("/apis/x.io/v2 \"things\""))
        );
        assert_eq!(state.aggregated_discovery("/api/v1", "v2"), None);
    }
}
