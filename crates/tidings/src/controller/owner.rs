//! Who owns an object, as its metadata says.
//!
//! Source: apimachinery/pkg/apis/meta/v1 OwnerReference; controller-runtime
//! pkg/handler/enqueue_owner.go @86a0d40e.

use serde::Deserialize;
use tidings_engine::entry::Entry;

use crate::{api::OwnerReference, payload::Raw};

/// Owners of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerKind {
    group: String,
    kind: String,
    is_namespaced: bool,
    controllers_only: bool,
}

impl OwnerKind {
    /// Owners of a kind that has namespaces, which manage the object. The group is that of the API
    /// version, empty for the core group; the version does not count.
    #[must_use]
    pub fn new(group: &str, kind: &str) -> Self {
        Self {
            group: group.to_owned(),
            kind: kind.to_owned(),
            is_namespaced: true,
            controllers_only: true,
        }
    }

    /// The kind has no namespaces.
    #[must_use]
    pub const fn cluster_scoped(mut self) -> Self {
        self.is_namespaced = false;
        self
    }

    /// Owners that do not manage the object, too.
    #[must_use]
    pub const fn any_owner(mut self) -> Self {
        self.controllers_only = false;
        self
    }

    /// Emits the key of the owner if it is one of these.
    pub(super) fn key_of(
        &self,
        reference: &OwnerReference,
        namespace: Option<&str>,
        emit: &mut dyn FnMut(&str),
    ) {
        let group = reference.api_version.split_once('/');
        let group = group.map_or("", |(group, _)| group);
        let manages = reference.controller || !self.controllers_only;
        if group != self.group || reference.kind != self.kind || !manages {
            return;
        }
        match namespace.filter(|_| self.is_namespaced) {
            Some(namespace) => emit(&format!("{namespace}/{}", reference.name)),
            None => emit(&reference.name),
        }
    }
}

/// The owner references of a raw object; none of one that cannot be read.
pub fn of_json(entry: &Entry<Raw>, emit: &mut dyn FnMut(&OwnerReference)) {
    let owned: Result<Owned, _> = serde_json::from_str(entry.object.json());
    let references = owned.map(|owned| owned.metadata.owner_references);
    references.unwrap_or_default().iter().for_each(emit);
}

#[derive(Deserialize)]
struct Owned {
    metadata: Meta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    #[serde(default)]
    owner_references: Vec<OwnerReference>,
}
