//! Which object owns another: what the garbage collector follows.
//!
//! Does not send anything: a reference is written with the object that bears it.
//!
//! B1  An owner in a namespace owns only in that namespace; the collector takes any other reference for
//!     one to an object that is gone, and deletes who bears it.
//! B2  An object has at most one controller.
//!
//! Source: kubernetes pkg/controller/garbagecollector, apimachinery meta/v1/controller_ref.go @v0.36.3.

use std::{error, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidings_api::ObjectKey;

/// An object, named so that nobody takes it for another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(
    clippy::exhaustive_structs,
    reason = "the protocol's own fields, which users fill"
)]
pub struct ObjectReference {
    /// `version`, or `group/version`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The namespace, empty for a cluster-scoped object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The uid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The version that is meant, if one is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
}

/// An owner, as the object that it owns bears it in `metadata.ownerReferences`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct OwnerReference {
    /// The owner's `apiVersion`.
    pub api_version: String,
    /// The owner's kind.
    pub kind: String,
    /// The owner's name.
    pub name: String,
    /// The owner's uid.
    pub uid: String,
    /// Whether the owner controls the object, and not only keeps it alive.
    #[serde(default)]
    pub controller: bool,
    /// Whether a foreground deletion of the owner waits until the object is gone.
    #[serde(default)]
    pub block_owner_deletion: bool,
}

/// Why an object cannot own another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnerError {
    /// Another object controls it already. Leave it alone.
    Controlled {
        /// Which kind.
        kind: String,
        /// Which name.
        name: String,
    },
    /// The owner does not say who it is. The caller's fault: objects out of lists have no kind.
    Incomplete {
        /// What is absent.
        field: &'static str,
    },
    /// The document to bear the reference is no object. The caller's fault.
    NoObject,
    /// The owner is in another namespace, or in one at all and the other object is in none. The
    /// caller's fault: the server would take it, and the garbage collector delete the object.
    OtherNamespace {
        /// The owner's.
        owner: String,
        /// The other object's, empty for none.
        dependent: String,
    },
}

// === impl ObjectReference ===

impl ObjectReference {
    /// An object by its parts.
    #[must_use]
    pub fn new(api_version: &str, kind: &str, key: &ObjectKey, uid: &str) -> Self {
        Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: key.namespace().unwrap_or_default().to_owned(),
            name: key.name().to_owned(),
            uid: uid.to_owned(),
            resource_version: String::new(),
        }
    }

    /// An object by itself. What it leaves out is left out: objects out of lists often have no kind.
    #[must_use]
    pub fn of<T: Serialize>(object: &T) -> Self {
        let bytes = serde_json::to_vec(object).unwrap_or_default();
        let head: Head = serde_json::from_slice(&bytes).unwrap_or_default();
        Self {
            api_version: head.api_version,
            kind: head.kind,
            ..head.metadata
        }
    }
}

/// The part of an object that names it.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Head {
    api_version: String,
    kind: String,
    /// The metadata have the rest of a reference under the same names.
    metadata: ObjectReference,
}

// === impl OwnerReference ===

impl OwnerReference {
    /// The controller of an object in a namespace (absent for a cluster-scoped one): the one owner that
    /// reconciles it. Its foreground deletion waits for the object.
    ///
    /// # Errors
    ///
    /// [`OwnerError::Incomplete`] or [`OwnerError::OtherNamespace`].
    pub fn controller(
        owner: &ObjectReference,
        dependent_namespace: Option<&str>,
    ) -> Result<Self, OwnerError> {
        Ok(Self {
            controller: true,
            block_owner_deletion: true,
            ..Self::keeper(owner, dependent_namespace)?
        })
    }

    /// One of the owners that keep an object alive: it goes when the last of them is gone.
    ///
    /// # Errors
    ///
    /// As [`controller`](Self::controller).
    pub fn keeper(
        owner: &ObjectReference,
        dependent_namespace: Option<&str>,
    ) -> Result<Self, OwnerError> {
        for (field, value) in [
            ("apiVersion", &owner.api_version),
            ("kind", &owner.kind),
            ("name", &owner.name),
            ("uid", &owner.uid),
        ] {
            if value.is_empty() {
                return Err(OwnerError::Incomplete { field });
            }
        }
        let dependent = dependent_namespace.unwrap_or_default();
        if !owner.namespace.is_empty() && owner.namespace != dependent {
            return Err(OwnerError::OtherNamespace {
                owner: owner.namespace.clone(),
                dependent: dependent.to_owned(),
            });
        }
        Ok(Self {
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
            controller: false,
            block_owner_deletion: false,
        })
    }

    /// Writes the reference into an object's metadata, in the place of an older one to the same owner.
    /// Returns whether the object has changed.
    ///
    /// # Errors
    ///
    /// [`OwnerError::Controlled`] if this is to be the controller and there is another one;
    /// [`OwnerError::NoObject`] if the document, its metadata or its owners have another shape.
    pub fn set_on(&self, object: &mut Value) -> Result<bool, OwnerError> {
        let top = object.as_object_mut().ok_or(OwnerError::NoObject)?;
        let meta = top
            .entry("metadata")
            .or_insert_with(|| Value::Object(Default::default()));
        let meta = meta.as_object_mut().ok_or(OwnerError::NoObject)?;
        let old = meta.get("ownerReferences").unwrap_or(&Value::Null);
        let old: Option<Vec<Self>> =
            Deserialize::deserialize(old).map_err(|_| OwnerError::NoObject)?;
        let mut owners = old.unwrap_or_default();
        let other = owners
            .iter()
            .find(|owner| owner.controller && owner.uid != self.uid);
        if let Some(other) = other.filter(|_| self.controller) {
            return Err(OwnerError::Controlled {
                kind: other.kind.clone(),
                name: other.name.clone(),
            });
        }
        match owners.iter_mut().find(|owner| owner.uid == self.uid) {
            Some(owner) if owner == self => return Ok(false),
            Some(owner) => owner.clone_from(self),
            None => owners.push(self.clone()),
        }
        let owners = serde_json::to_value(owners).map_err(|_| OwnerError::NoObject)?;
        meta.insert("ownerReferences".to_owned(), owners);
        Ok(true)
    }
}

impl fmt::Display for OwnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controlled { kind, name } => {
                write!(f, "the object is already controlled by {kind} {name}")
            }
            Self::Incomplete { field } => write!(f, "the owner has no {field}"),
            Self::NoObject => f.write_str("the document cannot bear owners"),
            Self::OtherNamespace { owner, dependent } => write!(
                f,
                "an owner in namespace {owner:?} cannot own an object in {dependent:?}"
            ),
        }
    }
}

impl error::Error for OwnerError {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owner() -> ObjectReference {
        ObjectReference::of(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "spec": {},
            "metadata": { "name": "web", "namespace": "default", "uid": "u1", "labels": {},
                "resourceVersion": "7" }
        }))
    }

    #[test]
    fn an_object_says_who_it_is() {
        let key = ObjectKey::parse("default/web").unwrap();
        let by_parts = ObjectReference::new("apps/v1", "Deployment", &key, "u1");
        let resource_version = "7".to_owned();
        assert_eq!(
            owner(),
            ObjectReference {
                resource_version,
                ..by_parts
            }
        );
        assert_eq!(ObjectReference::of(&7), ObjectReference::default());
    }

    #[test]
    fn an_owner_owns_only_where_the_collector_looks_for_it() {
        let owner = owner();
        assert!(OwnerReference::controller(&owner, Some("default")).is_ok());
        for dependent in [Some("other"), None] {
            let refused = OwnerReference::controller(&owner, dependent).unwrap_err();
            assert!(
                matches!(refused, OwnerError::OtherNamespace { .. }),
                "{dependent:?}"
            );
        }
        let node = ObjectReference {
            namespace: String::new(),
            ..owner.clone()
        };
        for dependent in [Some("other"), None] {
            assert!(OwnerReference::keeper(&node, dependent).is_ok());
        }
        let out_of_a_list = ObjectReference {
            kind: String::new(),
            ..owner
        };
        assert_eq!(
            OwnerReference::keeper(&out_of_a_list, Some("default")),
            Err(OwnerError::Incomplete { field: "kind" })
        );
    }

    #[test]
    fn a_reference_is_set_once_and_there_is_one_controller() {
        let keeper = OwnerReference::keeper(&owner(), Some("default")).unwrap();
        let controller = OwnerReference::controller(&owner(), Some("default")).unwrap();
        let mut pod = json!({ "metadata": { "name": "a", "ownerReferences": null } });
        assert_eq!(keeper.set_on(&mut pod), Ok(true));
        assert_eq!(
            controller.set_on(&mut pod),
            Ok(true),
            "in the older one's place"
        );
        assert_eq!(controller.set_on(&mut pod), Ok(false));
        assert_eq!(
            pod["metadata"]["ownerReferences"],
            json!([{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u1",
                "controller": true, "blockOwnerDeletion": true }])
        );
        let mut second = controller;
        second.uid = "u2".to_owned();
        assert_eq!(
            second.set_on(&mut pod),
            Err(OwnerError::Controlled {
                kind: "Deployment".to_owned(),
                name: "web".to_owned()
            })
        );
        second.controller = false;
        assert_eq!(second.set_on(&mut pod), Ok(true));
        assert_eq!(
            pod["metadata"]["ownerReferences"].as_array().unwrap().len(),
            2
        );
        let mut odd = json!({ "metadata": { "ownerReferences": "none" } });
        assert_eq!(second.set_on(&mut odd), Err(OwnerError::NoObject));
        let mut bare = json!({});
        assert_eq!(second.set_on(&mut bare), Ok(true));
    }
}
