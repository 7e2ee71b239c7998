//! What a list or watch asks for, as values; [`crate::request`] turns them into a URL.

use std::time::Duration;

use crate::{resource::Resource, resource_version::ResourceVersion};

/// What an informer follows: one resource, in one namespace or all, through server-side selectors.
///
/// Two informers with equal scopes, endpoint and credentials can share one stream (DESIGN 4.8).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data with no invariant of its own"
)]
pub struct Scope {
    /// The resource.
    pub resource: Resource,
    /// The namespace, or all of them.
    pub namespace: Option<String>,
    /// A label selector that the server applies, in its own syntax; empty selects everything.
    pub label_selector: String,
    /// A field selector that the server applies; empty selects everything.
    pub field_selector: String,
}

impl Scope {
    /// All objects of a resource.
    #[must_use]
    pub fn all(resource: Resource) -> Self {
        Self {
            resource,
            namespace: None,
            label_selector: String::new(),
            field_selector: String::new(),
        }
    }

    /// The objects of a resource in one namespace.
    #[must_use]
    pub fn namespaced(resource: Resource, namespace: &str) -> Self {
        Self {
            namespace: Some(namespace.to_owned()),
            ..Self::all(resource)
        }
    }
}

/// How fresh a list must be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the protocol's own list")]
pub enum ListVersion {
    /// The most recent state, by a consistent read (pr-L1).
    Consistent,
    /// Whatever the replica has: may be older than anything seen before (pr-L2). Opt-in only.
    Any,
    /// At least this version; the match is always said (pr-L3).
    NotOlderThan(ResourceVersion),
    /// Exactly this version, while the server still has it.
    Exact(ResourceVersion),
}

/// The options of one LIST request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data with no invariant of its own"
)]
pub struct ListOptions {
    /// How fresh the list must be. Not sent with a continue token (pr-L5).
    pub version: ListVersion,
    /// Most items of one page, no limit if absent.
    pub limit: Option<u32>,
    /// The token of the page before, as the server gave it.
    pub continue_token: Option<String>,
}

/// The options of one WATCH request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data with no invariant of its own"
)]
pub struct WatchOptions {
    /// Events after this version; absent only with `send_initial_events`.
    pub resource_version: Option<ResourceVersion>,
    /// Whether the stream begins with the present state (WatchList, KEP-3157).
    pub send_initial_events: bool,
    /// How long the server may keep the stream open.
    pub timeout: Duration,
}
