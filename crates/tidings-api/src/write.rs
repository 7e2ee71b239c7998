//! Requests that change one object, as values: what they ask, where, and under which conditions.
//!
//! Does not send, and does not look into the bodies that it is given: they are the caller's objects.
//!
//! | constructor | method | body | answer |
//! |---|---|---|---|
//! | [`Request::read`] | GET | | the object |
//! | [`Request::create`] | POST | the object | the object |
//! | [`Request::replace`] | PUT | the object, with its resourceVersion for optimism | the object |
//! | [`Request::patch`] | PATCH | a patch, its media type beside it | the object |
//! | [`Request::apply`] | PATCH | the fields that a manager wants to own | the object |
//! | [`Request::delete`] | DELETE | `DeleteOptions`, if any are set | the object, or a Status |
//!
//! I1  A path is built of segments that were checked one by one; no name can leave its place (SEC-13).
//! I2  Whatever stands in a query is percent-encoded.
//! I3  A delete's conditions stand in its body: a server ignores the query of a delete that has one.
//!
//! Source: apiserver endpoints/handlers/{create,update,patch,delete}.go @v0.36.3; rules pr-N9, pr-N10,
//! pr-N12, SEC-13.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    key::ObjectKey,
    request::{JSON, Query, Request},
    resource::{PathError, Resource},
    resource_version::ResourceVersion,
};

/// An object, or a part of it that has a path of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data with no invariant of its own"
)]
pub struct Place<'a> {
    /// The resource.
    pub resource: &'a Resource,
    /// The object's key.
    pub key: &'a ObjectKey,
    /// The subresource, such as `status` or `scale`; absent for the object itself (pr-N10).
    pub subresource: Option<&'a str>,
}

/// What goes with a create, replace or patch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a table that users fill with struct update syntax"
)]
pub struct WriteOptions {
    /// Under which name the server books the fields that change; empty lets it take the first word
    /// of our user agent.
    pub field_manager: String,
    /// What the server does about fields that it does not know.
    pub field_validation: FieldValidation,
}

/// What a server does about unknown and doubled fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldValidation {
    /// It drops them in silence.
    Ignore,
    /// It refuses the object.
    Strict,
    /// It says nothing of it in the request, and decides by itself: it warns, at present.
    #[default]
    Unset,
    /// It drops them, with a warning in a header.
    Warn,
}

/// How a patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PatchKind {
    /// RFC 6902: a list of operations, which may test what they find.
    Json,
    /// RFC 7386: the fields that change; lists are replaced as a whole.
    Merge,
    /// Kubernetes' own: as a merge, with lists that are merged by their keys. Built-in types only.
    Strategic,
}

/// What goes with a delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a table that users fill with struct update syntax"
)]
pub struct DeleteOptions {
    /// Seconds that the object may take to end; absent leaves it to the kind.
    pub grace_period_seconds: Option<u32>,
    /// What becomes of the objects that it owns.
    pub propagation: Option<Propagation>,
    /// The version that it must have, else the delete is a conflict.
    pub resource_version: Option<ResourceVersion>,
    /// The uid that it must have, else the delete is a conflict: another object of that name lives.
    pub uid: Option<String>,
}

/// What becomes of the objects that a deleted one owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Propagation {
    /// They are deleted after it.
    Background,
    /// They are deleted before it; it stays, as being deleted, until they are gone.
    Foreground,
    /// They stay, without an owner.
    Orphan,
}

// === impl Request ===

impl Request {
    /// A GET of one object, or of a subresource of it, as it is now.
    ///
    /// # Errors
    ///
    /// [`PathError`] when a part of the place cannot stand in a URL path.
    pub fn read(place: &Place<'_>) -> Result<Self, PathError> {
        place.path().map(Self::get)
    }

    /// A create in a collection. The object names itself, or has a `generateName`.
    ///
    /// # Errors
    ///
    /// [`PathError`] when the namespace cannot stand in a URL path.
    pub fn create(
        resource: &Resource,
        namespace: Option<&str>,
        options: &WriteOptions,
        body: Vec<u8>,
    ) -> Result<Self, PathError> {
        let path = options.query(resource.collection_path(namespace)?);
        Ok(Self::write("POST", path.text, JSON, body))
    }

    /// A replacement of an object, or of a subresource, by the one in the body.
    ///
    /// With a resourceVersion in its metadata it is a conflict if the object has changed since;
    /// without one it replaces whatever is there, where the kind allows that.
    ///
    /// # Errors
    ///
    /// [`PathError`] when a part of the place cannot stand in a URL path.
    pub fn replace(
        place: &Place<'_>,
        options: &WriteOptions,
        body: Vec<u8>,
    ) -> Result<Self, PathError> {
        let path = options.query(place.path()?);
        Ok(Self::write("PUT", path.text, JSON, body))
    }

    /// A patch of an object or of a subresource.
    ///
    /// # Errors
    ///
    /// [`PathError`] when a part of the place cannot stand in a URL path.
    pub fn patch(
        place: &Place<'_>,
        kind: PatchKind,
        options: &WriteOptions,
        body: Vec<u8>,
    ) -> Result<Self, PathError> {
        let path = options.query(place.path()?);
        Ok(Self::write("PATCH", path.text, kind.media_type(), body))
    }

    /// A server-side apply: the body has the fields that `options.field_manager` wants to own, and
    /// no others. `force` takes them from other managers in place of a conflict.
    ///
    /// # Errors
    ///
    /// [`PathError`] when a part of the place cannot stand in a URL path.
    pub fn apply(
        place: &Place<'_>,
        force: bool,
        options: &WriteOptions,
        body: Vec<u8>,
    ) -> Result<Self, PathError> {
        let mut path = options.query(place.path()?);
        if force {
            path.push("force", "true");
        }
        // JSON is YAML, and every server that applies takes this type.
        let media_type = "application/apply-patch+yaml";
        Ok(Self::write("PATCH", path.text, media_type, body))
    }

    /// A delete of one object.
    ///
    /// # Errors
    ///
    /// [`PathError`] when a part of the place cannot stand in a URL path.
    pub fn delete(place: &Place<'_>, options: &DeleteOptions) -> Result<Self, PathError> {
        let path = place.path()?;
        let body = options.body();
        let content_type = if body.is_empty() { "" } else { JSON };
        Ok(Self::write("DELETE", path, content_type, body))
    }

    /// The same write without a trace: the server checks it, and answers what it would have stored.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        if self.method == "DELETE" && !self.body.is_empty() {
            let mut options: Map<String, Value> =
                serde_json::from_slice(&self.body).unwrap_or_default();
            options.insert("dryRun".to_owned(), Value::from(vec!["All"]));
            self.body = Value::Object(options).to_string().into_bytes();
        } else {
            let mut query = Query::of_path(self.path_and_query);
            query.push("dryRun", "All");
            self.path_and_query = query.text;
        }
        self
    }
}

// === impl Place ===

impl Place<'_> {
    fn path(&self) -> Result<String, PathError> {
        let (namespace, name) = (self.key.namespace(), self.key.name());
        match self.subresource {
            None => self.resource.object_path(namespace, name),
            Some(part) => self.resource.subresource_path(namespace, name, part),
        }
    }
}

// === impl WriteOptions ===

impl WriteOptions {
    fn query(&self, path: String) -> Query {
        let mut query = Query::of_path(path);
        if !self.field_manager.is_empty() {
            query.push("fieldManager", &self.field_manager);
        }
        match self.field_validation {
            FieldValidation::Ignore => query.push("fieldValidation", "Ignore"),
            FieldValidation::Strict => query.push("fieldValidation", "Strict"),
            FieldValidation::Unset => {}
            FieldValidation::Warn => query.push("fieldValidation", "Warn"),
        }
        query
    }
}

// === impl PatchKind ===

impl PatchKind {
    /// The media type under which a server takes it (pr-N9).
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
        }
    }
}

// === impl DeleteOptions ===

impl DeleteOptions {
    /// The `DeleteOptions` document, or nothing if no option is set.
    fn body(&self) -> Vec<u8> {
        if *self == Self::default() {
            return Vec::new();
        }
        let version = self.resource_version.as_ref().map(ToString::to_string);
        let preconditions = (self.uid.is_some() || version.is_some()).then_some(Preconditions {
            uid: self.uid.as_deref(),
            resource_version: version.as_deref(),
        });
        let document = Document {
            kind: "DeleteOptions",
            api_version: "v1",
            grace_period_seconds: self.grace_period_seconds,
            preconditions,
            propagation_policy: self.propagation.map(|policy| match policy {
                Propagation::Background => "Background",
                Propagation::Foreground => "Foreground",
                Propagation::Orphan => "Orphan",
            }),
        };
        // Strings and numbers only: writing them to memory cannot fail.
        serde_json::to_vec(&document).unwrap_or_default()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    kind: &'static str,
    api_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    grace_period_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preconditions: Option<Preconditions<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    propagation_policy: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Preconditions<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_version: Option<&'a str>,
}

#[cfg(test)]
mod tests;
