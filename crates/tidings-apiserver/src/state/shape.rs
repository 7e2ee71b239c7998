//! How an object's lists and maps merge: by which keys, as a set, or only as a whole.
//!
//! Does not hold any values. For the built-in kinds it is a table of the fields that do not merge as
//! plain lists and maps do, found by the field's name; for custom kinds it is their schema.
//!
//! Source: the `x-kubernetes-list-type`, `-list-map-keys`, `-map-type` and `-patch-merge-key` extensions
//! of kubernetes api/openapi-spec @v1.36.3; structured-merge-diff/v6 schema.

use serde_json::Value;

use super::schema::Schema;
use crate::kind::KindRow;

/// A place in an object, as far as merging is concerned.
#[derive(Clone, Copy)]
pub(super) enum Shape<'a> {
    /// Somewhere in an object of a built-in kind, or in anybody's metadata.
    BuiltIn {
        kind: &'a str,
        /// The field's name.
        name: &'a str,
        /// Whether all fields up to here are there in every object, even an empty one.
        standing: bool,
    },
    /// Somewhere in a custom object.
    Custom(Option<&'a Schema>),
    /// The top of a custom object.
    CustomRoot(Option<&'a Schema>),
}

/// How the items of a list are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing<'a> {
    /// They are not: the list is one value.
    Atomic,
    /// By some of their fields.
    Keyed(Keys<'a>),
    /// By their value.
    Set,
}

/// The fields that name an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys<'a> {
    /// Of a built-in list: name, and what it is where it is missing.
    Fixed(&'static [(&'static str, &'static str)]),
    /// Of a custom list.
    Named(&'a [String]),
}

// === impl Shape ===

impl<'a> Shape<'a> {
    /// The top of an object.
    pub(super) fn of(row: &'a KindRow) -> Self {
        if row.is_custom() {
            return Self::CustomRoot(row.schema.as_deref());
        }
        Self::BuiltIn {
            kind: &row.kind,
            name: "",
            standing: true,
        }
    }

    pub(super) fn field(self, field: &'a str) -> Self {
        match self {
            Self::BuiltIn { kind, standing, .. } => Self::BuiltIn {
                kind,
                name: field,
                standing: standing && STANDING.contains(&field) && !is_pointer(kind, field),
            },
            Self::CustomRoot(_) if field == "metadata" => Self::BuiltIn {
                kind: "",
                name: field,
                standing: true,
            },
            Self::CustomRoot(schema) | Self::Custom(schema) => {
                Self::Custom(schema.and_then(|schema| schema.member(field)))
            }
        }
    }

    pub(super) fn item(self) -> Self {
        match self {
            Self::BuiltIn { kind, name, .. } => Self::BuiltIn {
                kind,
                name: if REFERENCES.contains(&name) {
                    REFERENCE
                } else {
                    ""
                },
                standing: false,
            },
            Self::Custom(schema) | Self::CustomRoot(schema) => {
                Self::Custom(schema.and_then(Schema::items))
            }
        }
    }

    pub(super) fn listing(self) -> Listing<'a> {
        match self {
            Self::BuiltIn { kind, name, .. } => {
                let mut rows = LISTS.iter();
                let row = rows.find(|row| row.name == name && row.is_of(kind));
                row.map_or(Listing::Atomic, |row| row.listing)
            }
            Self::Custom(schema) | Self::CustomRoot(schema) => {
                schema.map_or(Listing::Atomic, Schema::listing)
            }
        }
    }

    /// How strategic merge patches tell the items apart: mostly by the first of the keys.
    pub(super) fn patch_key(self) -> Option<&'static str> {
        let Self::BuiltIn { kind, name, .. } = self else {
            return None;
        };
        let mut rows = PATCH_KEYS.iter();
        if let Some((.., key)) = rows.find(|row| row.0 == kind && row.1 == name) {
            return Some(key);
        }
        match self.listing() {
            Listing::Keyed(Keys::Fixed(keys)) => keys.first().map(|(name, _)| *name),
            _ => None,
        }
    }

    /// Whether a map is one value.
    pub(super) fn is_atomic_map(self) -> bool {
        match self {
            Self::BuiltIn { kind, name, .. } => {
                ATOMIC_MAPS.contains(&name) || (kind == "ControllerRevision" && name == "data")
            }
            Self::Custom(schema) | Self::CustomRoot(schema) => {
                schema.is_some_and(Schema::is_atomic_map)
            }
        }
    }

    /// Whether it is there even in an empty object, so that nobody can own its being there.
    pub(super) fn is_standing(self) -> bool {
        match self {
            Self::BuiltIn { standing, .. } => standing,
            Self::Custom(_) => false,
            Self::CustomRoot(_) => true,
        }
    }

    /// Whether a member is an entry of a map that the schema does not name.
    pub(super) fn is_entry(self, field: &str) -> bool {
        match self {
            Self::BuiltIn { .. } => false,
            Self::Custom(schema) | Self::CustomRoot(schema) => {
                !schema.is_some_and(|schema| schema.names(field))
            }
        }
    }
}

// === impl Keys ===

impl<'a> Keys<'a> {
    /// What names an item: its key fields, or nothing if it lacks one that has no default.
    pub(super) fn of(self, item: &Value) -> Option<serde_json::Map<String, Value>> {
        let mut named = serde_json::Map::new();
        let mut take = |name: &str, default: Option<Value>| {
            let value = item.get(name).filter(|value| !value.is_null());
            let value = value.cloned().or(default)?;
            named.insert(name.to_owned(), value);
            Some(())
        };
        match self {
            Self::Fixed(keys) => {
                for (name, default) in keys {
                    let default = (!default.is_empty()).then(|| Value::from(*default));
                    take(name, default)?;
                }
            }
            Self::Named(names) => {
                for name in names {
                    take(name, None)?;
                }
            }
        }
        Some(named)
    }

    /// The first key, for what is said of an item without it.
    pub(super) fn first(self) -> &'a str {
        match self {
            Self::Fixed(keys) => keys.first().map_or("", |(name, _)| name),
            Self::Named(names) => names.first().map_or("", String::as_str),
        }
    }
}

/// A list that merges: of which kind (empty for the parts that all pods and templates have).
struct ListRow {
    kind: &'static str,
    name: &'static str,
    listing: Listing<'static>,
}

impl ListRow {
    fn is_of(&self, kind: &str) -> bool {
        let is_elsewhere = || {
            let mut rows = LISTS.iter();
            rows.any(|row| row.name == self.name && row.kind == kind)
        };
        self.kind == kind || (self.kind.is_empty() && !is_elsewhere())
    }
}

const fn keyed(
    kind: &'static str,
    name: &'static str,
    keys: &'static [(&'static str, &'static str)],
) -> ListRow {
    let listing = Listing::Keyed(Keys::Fixed(keys));
    ListRow {
        kind,
        name,
        listing,
    }
}

const fn other(kind: &'static str, name: &'static str, listing: Listing<'static>) -> ListRow {
    ListRow {
        kind,
        name,
        listing,
    }
}

const NAME: &[(&str, &str)] = &[("name", "")];
const TYPE: &[(&str, &str)] = &[("type", "")];

const LISTS: &[ListRow] = &[
    keyed("", "claims", NAME),
    keyed("", "conditions", TYPE),
    keyed("", "containers", NAME),
    keyed("", "env", NAME),
    keyed("", "ephemeralContainers", NAME),
    other("", "finalizers", Listing::Set),
    keyed("", "hostAliases", &[("ip", "")]),
    keyed("", "hostIPs", &[("ip", "")]),
    keyed("", "imagePullSecrets", NAME),
    keyed("", "initContainers", NAME),
    keyed("", "ownerReferences", &[("uid", "")]),
    keyed("", "podIPs", &[("ip", "")]),
    keyed("", "ports", &[("containerPort", ""), ("protocol", "TCP")]),
    keyed("", "resourceClaims", NAME),
    keyed("", "schedulingGates", NAME),
    keyed(
        "",
        "topologySpreadConstraints",
        &[("topologyKey", ""), ("whenUnsatisfiable", "")],
    ),
    keyed("", "volumeDevices", &[("devicePath", "")]),
    keyed("", "volumeMounts", &[("mountPath", "")]),
    keyed("", "volumes", NAME),
    other("EndpointSlice", "ports", Listing::Atomic),
    other("NetworkPolicy", "ports", Listing::Atomic),
    keyed("Node", "addresses", TYPE),
    other("Node", "podCIDRs", Listing::Set),
    keyed("Service", "ports", &[("port", ""), ("protocol", "TCP")]),
    keyed("ServiceAccount", "secrets", NAME),
];

/// Where strategic merge patches know a list by a key that server-side apply does not use.
const PATCH_KEYS: &[(&str, &str, &str)] = &[("Node", "taints", "key")];

/// Lists whose items are references: each is one value.
const REFERENCES: &[&str] = &["imagePullSecrets", "ownerReferences", "secrets"];

/// The name of such an item, which no field has.
const REFERENCE: &str = "[]";

/// Maps that are one value.
const ATOMIC_MAPS: &[&str] = &[
    REFERENCE,
    "claimRef",
    "configMapKeyRef",
    "dataSource",
    "fieldRef",
    "involvedObject",
    "labelSelector",
    "matchLabelKeys",
    "namespaceSelector",
    "nodeSelector",
    "objectSelector",
    "podSelector",
    "regarding",
    "related",
    "resourceFieldRef",
    "secretKeyRef",
    "secretRef",
    "selector",
    "targetRef",
];

/// Where a field of that name may be absent after all.
fn is_pointer(kind: &str, field: &str) -> bool {
    kind == "ReplicationController" && field == "template"
}

/// Parts that are no pointers in the server's own types: an empty object has them.
const STANDING: &[&str] = &[
    "containers",
    "jobTemplate",
    "metadata",
    "names",
    "resources",
    "spec",
    "status",
    "strategy",
    "template",
    "updateStrategy",
];
