//! The objects of one resource: a method for each verb.
//!
//! Does not build URLs and does not read refusals: `tidings_api::write` and `tidings_api::status` do.

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tidings_api::{
    ObjectKey, Resource,
    request::Request,
    resource::PathError,
    write::{DeleteOptions, PatchKind, Place},
};

use super::{
    Api,
    answer::{self, Deletion, Facts, Written},
    error::{ApiError, Unreadable},
    observer::{Observation, Verb, WriteTarget},
};

/// The objects of one resource, or one subresource of each of them.
///
/// Objects are whatever serde can write and read: `serde_json::Value`, a generated type, or a struct
/// with the fields in use. A struct that leaves fields out must not be used with
/// [`update`](Self::update): a replacement drops what it does not say. Patch or apply with it.
#[derive(Clone)]
pub struct ResourceApi {
    api: Api,
    resource: Resource,
    subresource: Option<String>,
}

/// A patch, by its kind. Its content is not shown by `Debug`.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Patch {
    /// A list of operations, which may test what they find (RFC 6902).
    Json(Value),
    /// The fields that change; `null` removes one (RFC 7386). With `metadata.resourceVersion` in it,
    /// it is a conflict if the object has changed since.
    Merge(Value),
    /// As a merge, with lists merged by their keys. Built-in types only.
    Strategic(Value),
}

impl ResourceApi {
    pub(super) fn new(api: Api, resource: Resource) -> Self {
        Self {
            api,
            resource,
            subresource: None,
        }
    }

    /// The resource.
    #[must_use]
    pub const fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The status of the objects: the only way to write it where the kind has a status of its own
    /// (pr-N10).
    #[must_use]
    pub fn status(&self) -> Self {
        self.subresource("status")
    }

    /// Another subresource of the objects that is read and written as they are, such as `scale`.
    #[must_use]
    pub fn subresource(&self, name: &str) -> Self {
        Self {
            subresource: Some(name.to_owned()),
            ..self.clone()
        }
    }

    /// Reads an object as it is now, past every cache.
    ///
    /// # Errors
    ///
    /// [`ApiError`]; [`is_not_found`](ApiError::is_not_found) if there is none.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future costs a connection, nothing else.
    pub async fn get<T: DeserializeOwned>(&self, key: &ObjectKey) -> Result<T, ApiError> {
        let target = self.target(Verb::Get, key);
        let request = made(&target, Request::read(&self.place(key)))?;
        let answer = self.api.exchange(&target, &request).await?;
        let read = answer::plain_body(&answer).and_then(|body| answer::decode(&body));
        read.map_err(|source| ApiError::answer(&target, source))
    }

    /// Creates an object, in a namespace if the kind has one. The object names itself, or has a
    /// `generateName`.
    ///
    /// # Errors
    ///
    /// [`ApiError`]; [`is_already_exists`](ApiError::is_already_exists) if the name is taken.
    ///
    /// # Cancel safety
    ///
    /// Whether the server has acted is unknown once the future is dropped.
    pub async fn create<T: Serialize + DeserializeOwned>(
        &self,
        namespace: Option<&str>,
        object: &T,
    ) -> Result<Written<T>, ApiError> {
        let mut target = WriteTarget {
            verb: Verb::Create,
            resource: self.resource.clone(),
            namespace: namespace.map(str::to_owned),
            key: None,
            subresource: None,
        };
        let body = body(&target, object)?;
        let name = name_in(&body);
        if !name.is_empty() {
            let key = ObjectKey::new(namespace.unwrap_or_default(), &name);
            target.key = Some(key.map_err(|source| ApiError::Key {
                target: Box::new(target.clone()),
                source,
            })?);
        }
        let options = &self.api.options;
        let request = Request::create(&self.resource, namespace, options, body);
        self.write(&target, request).await
    }

    /// Replaces an object. With the resourceVersion that it was read at in its metadata, it is a
    /// conflict if it has changed since: read again, then write (see
    /// [`retry_on_conflict`](super::retry_on_conflict)). Without one, somebody else's change is lost.
    ///
    /// # Errors
    ///
    /// [`ApiError`]; [`is_conflict`](ApiError::is_conflict) if it has changed.
    ///
    /// # Cancel safety
    ///
    /// As [`create`](Self::create).
    pub async fn update<T: Serialize + DeserializeOwned>(
        &self,
        key: &ObjectKey,
        object: &T,
    ) -> Result<Written<T>, ApiError> {
        let target = self.target(Verb::Update, key);
        let body = body(&target, object)?;
        let request = Request::replace(&self.place(key), &self.api.options, body);
        self.write(&target, request).await
    }

    /// Changes the fields that a patch names.
    ///
    /// # Errors
    ///
    /// [`ApiError`]; [`is_conflict`](ApiError::is_conflict) if the patch named a version that is not
    /// the present one. A JSON patch whose test fails is refused as invalid.
    ///
    /// # Cancel safety
    ///
    /// As [`create`](Self::create).
    pub async fn patch<T: DeserializeOwned>(
        &self,
        key: &ObjectKey,
        patch: &Patch,
    ) -> Result<Written<T>, ApiError> {
        let target = self.target(Verb::Patch, key);
        let (kind, document) = patch.parts();
        let body = document.to_string().into_bytes();
        let request = Request::patch(&self.place(key), kind, &self.api.options, body);
        self.write(&target, request).await
    }

    /// Applies the fields that a manager wants to own: creates the object, or changes just them. With
    /// `force` it takes fields that others own; without, that is a conflict. `fields` has its
    /// `apiVersion`, `kind` and name; the options of [`Api`] name the manager.
    ///
    /// # Errors
    ///
    /// [`ApiError`]; [`is_conflict`](ApiError::is_conflict) if others own a field. Reading again does
    /// not help then.
    ///
    /// # Cancel safety
    ///
    /// As [`create`](Self::create).
    pub async fn apply<B: Serialize, T: DeserializeOwned>(
        &self,
        key: &ObjectKey,
        fields: &B,
        force: bool,
    ) -> Result<Written<T>, ApiError> {
        let target = self.target(Verb::Apply, key);
        let body = body(&target, fields)?;
        let request = Request::apply(&self.place(key), force, &self.api.options, body);
        self.write(&target, request).await
    }

    /// Deletes an object, and says whether it is gone or only marked (pr-N12).
    ///
    /// # Errors
    ///
    /// [`ApiError`]; [`is_not_found`](ApiError::is_not_found) if there is none,
    /// [`is_conflict`](ApiError::is_conflict) if it is not the one that the options mean.
    ///
    /// # Cancel safety
    ///
    /// As [`create`](Self::create).
    pub async fn delete(
        &self,
        key: &ObjectKey,
        options: &DeleteOptions,
    ) -> Result<Deletion, ApiError> {
        let target = self.target(Verb::Delete, key);
        let request = made(&target, Request::delete(&self.place(key), options))?;
        let observation = Observation::begin(self.api.observer.as_ref(), &target)?;
        let answer = match self.api.exchange(&target, &request).await {
            Ok(answer) => answer,
            Err(error) => {
                observation.end(&error.outcome());
                return Err(error);
            }
        };
        let facts = answer::plain_body(&answer).and_then(|body| Facts::read(&body));
        let facts = facts.map_err(|source| ApiError::answer(&target, source))?;
        let deletion = facts.deletion(answer.status);
        observation.end(&facts.deletion_outcome(&deletion));
        Ok(deletion)
    }

    async fn write<T: DeserializeOwned>(
        &self,
        target: &WriteTarget,
        request: Result<Request, PathError>,
    ) -> Result<Written<T>, ApiError> {
        let request = made(target, request)?;
        let observation = Observation::begin(self.api.observer.as_ref(), target)?;
        let answer = match self.api.exchange(target, &request).await {
            Ok(answer) => answer,
            Err(error) => {
                observation.end(&error.outcome());
                return Err(error);
            }
        };
        let unreadable = |source| ApiError::answer(target, source);
        let body = answer::plain_body(&answer).map_err(unreadable)?;
        let facts = Facts::read(&body).map_err(unreadable)?;
        let identity = facts.identity();
        let identity = identity.ok_or_else(|| unreadable(Unreadable::Metadata))?;
        // The write is known to have happened, whether or not the type can hold its result.
        observation.end(&identity.outcome(target.verb));
        let object = answer::decode(&body).map_err(unreadable)?;
        Ok(identity.with(object, answer.status))
    }

    fn place<'a>(&'a self, key: &'a ObjectKey) -> Place<'a> {
        Place {
            resource: &self.resource,
            key,
            subresource: self.subresource.as_deref(),
        }
    }

    fn target(&self, verb: Verb, key: &ObjectKey) -> WriteTarget {
        WriteTarget {
            verb,
            resource: self.resource.clone(),
            namespace: key.namespace().map(str::to_owned),
            key: Some(key.clone()),
            subresource: self.subresource.clone(),
        }
    }
}

impl fmt::Debug for ResourceApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceApi")
            .field("api", &self.api)
            .field("resource", &self.resource)
            .field("subresource", &self.subresource)
            .finish()
    }
}

// === impl Patch ===

impl Patch {
    const fn parts(&self) -> (PatchKind, &Value) {
        match self {
            Self::Json(document) => (PatchKind::Json, document),
            Self::Merge(document) => (PatchKind::Merge, document),
            Self::Strategic(document) => (PatchKind::Strategic, document),
        }
    }
}

impl fmt::Debug for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Patch::{:?}(..)", self.parts().0)
    }
}

fn made(target: &WriteTarget, request: Result<Request, PathError>) -> Result<Request, ApiError> {
    request.map_err(|source| ApiError::Path {
        target: Box::new(target.clone()),
        source,
    })
}

fn body<B: Serialize>(target: &WriteTarget, object: &B) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(object).map_err(|_| ApiError::Body {
        target: Box::new(target.clone()),
    })
}

/// The name in an object, empty if it has none yet.
fn name_in(object: &[u8]) -> String {
    let named: Named = serde_json::from_slice(object).unwrap_or_default();
    named.metadata.name
}

#[derive(Default, Deserialize)]
struct Named {
    metadata: NamedMeta,
}

#[derive(Default, Deserialize)]
struct NamedMeta {
    #[serde(default)]
    name: String,
}
