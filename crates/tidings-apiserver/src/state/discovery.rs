//! Discovery and version documents, made from the table of kinds.
//!
//! Does not make the aggregated form: only the legacy documents, which every client understands.
//!
//! Source: endpoints/discovery @v0.36.3; rule pr-N4.

use serde_json::{Value, json};

use super::State;
use crate::kind::KindRow;

impl State {
    /// The document of a discovery path, or `/version`; nothing for any other path.
    #[must_use]
    pub fn discovery(&self, path: &str) -> Option<Value> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match parts.as_slice() {
            ["version"] => Some(json!({
                "major": "1", "minor": "36", "gitVersion": "v1.36.0+tidings", "platform": "any"
            })),
            ["api"] => Some(json!({ "kind": "APIVersions", "versions": ["v1"] })),
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

    fn group_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for row in self.kinds() {
            if !row.group.is_empty() && !names.contains(&&*row.group) {
                names.push(&row.group);
            }
        }
        names
    }

    fn group(&self, name: &str) -> Value {
        let mut versions: Vec<Value> = Vec::new();
        for row in self.kinds().filter(|row| row.group == name) {
            let version = json!({ "groupVersion": row.api_version(), "version": row.version });
            if !versions.contains(&version) {
                versions.push(version);
            }
        }
        let preferred = versions.first().cloned();
        json!({ "name": name, "versions": versions, "preferredVersion": preferred })
    }

    fn resources(&self, group: &str, version: &str) -> Option<Value> {
        let here = |row: &&KindRow| row.group == group && row.version == version;
        let mut resources = Vec::new();
        for row in self.kinds().filter(here) {
            resources.push(json!({
                "name": row.plural, "singularName": row.kind.to_lowercase(), "kind": row.kind,
                "namespaced": row.namespaced, "shortNames": row.short_names,
                "verbs": VERBS
            }));
            if row.scale.is_some() {
                resources.push(json!({
                    "name": format!("{}/scale", row.plural), "singularName": "",
                    "group": "autoscaling", "version": "v1", "kind": "Scale",
                    "namespaced": row.namespaced, "verbs": ["get", "patch", "update"]
                }));
            }
            if row.status {
                resources.push(json!({
                    "name": format!("{}/status", row.plural), "singularName": "",
                    "kind": row.kind, "namespaced": row.namespaced,
                    "verbs": ["get", "patch", "update"]
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
