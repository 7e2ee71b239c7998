//! Requests as values: method, path and query, without any I/O.
//!
//! Source: pr section 1.1-1.2; rules pr-L3, pr-L5, pr-W1, pr-W9, cg-R16, cg-R29.

use std::fmt::{self, Write as _};

use crate::{
    options::{ListOptions, ListVersion, Scope, WatchOptions},
    resource::{PathError, push_encoded},
};

/// A request that a shell can send: everything but the endpoint and the credentials. `Debug` shows how
/// long the body is, and nothing of it (SEC-27).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// The path with its query, percent-encoded, beginning with a slash.
    pub path_and_query: String,
    /// The `Accept` header.
    pub accept: &'static str,
    /// The `Content-Type` header, empty without a body.
    pub content_type: &'static str,
    /// The body, empty for reads.
    pub body: Vec<u8>,
}

/// JSON as the API server writes it.
pub const JSON: &str = "application/json";

impl Request {
    /// A GET of a path that is already percent-encoded.
    #[must_use]
    pub fn get(path_and_query: String) -> Self {
        Self {
            method: "GET",
            path_and_query,
            accept: JSON,
            content_type: "",
            body: Vec::new(),
        }
    }

    /// A request with a JSON body, of a path that is already percent-encoded.
    #[must_use]
    pub fn write(
        method: &'static str,
        path_and_query: String,
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Self {
        Self {
            method,
            path_and_query,
            accept: JSON,
            content_type,
            body,
        }
    }

    /// A LIST.
    ///
    /// # Errors
    ///
    /// [`PathError`] when the namespace cannot stand in a URL path.
    pub fn list(scope: &Scope, options: &ListOptions) -> Result<Self, PathError> {
        let mut query = Query::new(scope)?;
        if let Some(limit) = options.limit {
            query.push("limit", &limit.to_string());
        }
        match (&options.continue_token, &options.version) {
            // pr-L5: a continue token already says which version it continues.
            (Some(token), _) => query.push("continue", token),
            (None, ListVersion::Consistent) => {}
            (None, ListVersion::Any) => {
                query.push("resourceVersion", "0");
                query.push("resourceVersionMatch", "NotOlderThan");
            }
            (None, ListVersion::NotOlderThan(version)) => {
                query.push("resourceVersion", &version.to_string());
                query.push("resourceVersionMatch", "NotOlderThan");
            }
            (None, ListVersion::Exact(version)) => {
                query.push("resourceVersion", &version.to_string());
                query.push("resourceVersionMatch", "Exact");
            }
        }
        Ok(Self::get(query.text))
    }

    /// A WATCH, always with bookmarks.
    ///
    /// # Errors
    ///
    /// [`PathError`] when the namespace cannot stand in a URL path.
    pub fn watch(scope: &Scope, options: &WatchOptions) -> Result<Self, PathError> {
        let mut query = Query::new(scope)?;
        query.push("watch", "true");
        query.push("allowWatchBookmarks", "true");
        query.push("timeoutSeconds", &options.timeout.as_secs().to_string());
        if let Some(version) = &options.resource_version {
            query.push("resourceVersion", &version.to_string());
        }
        if options.send_initial_events {
            query.push("sendInitialEvents", "true");
            query.push("resourceVersionMatch", "NotOlderThan");
        }
        Ok(Self::get(query.text))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path_and_query", &self.path_and_query)
            .field("accept", &self.accept)
            .field("content_type", &self.content_type)
            .field("body_len", &self.body.len())
            .finish()
    }
}

/// A path, and the parameters that follow it.
pub(crate) struct Query {
    pub(crate) text: String,
    separator: char,
}

impl Query {
    /// A path that is already percent-encoded, without parameters.
    pub(crate) fn of_path(text: String) -> Self {
        let separator = if text.contains('?') { '&' } else { '?' };
        Self { text, separator }
    }

    fn new(scope: &Scope) -> Result<Self, PathError> {
        let text = scope.resource.collection_path(scope.namespace.as_deref())?;
        let mut query = Self::of_path(text);
        if !scope.label_selector.is_empty() {
            query.push("labelSelector", &scope.label_selector);
        }
        if !scope.field_selector.is_empty() {
            query.push("fieldSelector", &scope.field_selector);
        }
        Ok(query)
    }

    pub(crate) fn push(&mut self, name: &str, value: &str) {
        let _ = write!(self.text, "{}{name}=", self.separator);
        push_encoded(&mut self.text, value);
        self.separator = '&';
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{resource::Resource, resource_version::ResourceVersion};

    fn scope() -> Scope {
        Scope::all(Resource::parse("v1/pods").unwrap())
    }

    fn list(version: ListVersion, token: Option<&str>) -> String {
        let continue_token = token.map(str::to_owned);
        let options = ListOptions {
            version,
            limit: Some(500),
            continue_token,
        };
        Request::list(&scope(), &options).unwrap().path_and_query
    }

    #[test]
    fn pr_l1_a_consistent_list_names_no_version() {
        assert_eq!(
            list(ListVersion::Consistent, None),
            "/api/v1/pods?limit=500"
        );
    }

    #[test]
    fn pr_l3_a_version_is_always_sent_with_its_match() {
        let version = ResourceVersion::from_revision(7);
        assert_eq!(
            list(ListVersion::NotOlderThan(version.clone()), None),
            "/api/v1/pods?limit=500&resourceVersion=7&resourceVersionMatch=NotOlderThan"
        );
        assert_eq!(
            list(ListVersion::Exact(version), None),
            "/api/v1/pods?limit=500&resourceVersion=7&resourceVersionMatch=Exact"
        );
        assert!(list(ListVersion::Any, None).ends_with("=0&resourceVersionMatch=NotOlderThan"));
    }

    #[test]
    fn pr_l5_a_continue_token_goes_without_version_and_match() {
        let version = ResourceVersion::from_revision(7);
        let path = list(ListVersion::Exact(version), Some("a+b/c="));
        assert_eq!(path, "/api/v1/pods?limit=500&continue=a%2Bb%2Fc%3D");
    }

    #[test]
    fn cg_r16_cg_r29_watches_ask_for_bookmarks_and_a_watch_list_for_its_match() {
        let mut options = WatchOptions {
            resource_version: Some(ResourceVersion::from_revision(9)),
            send_initial_events: false,
            timeout: Duration::from_secs(300),
        };
        assert_eq!(
            Request::watch(&scope(), &options).unwrap().path_and_query,
            "/api/v1/pods?watch=true&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion=9"
        );
        options.resource_version = None;
        options.send_initial_events = true;
        assert_eq!(
            Request::watch(&scope(), &options).unwrap().path_and_query,
            "/api/v1/pods?watch=true&allowWatchBookmarks=true&timeoutSeconds=300\
             &sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
        );
    }

    #[test]
    fn selectors_are_encoded() {
        let mut scope = scope();
        scope.label_selector = "app in (a,b),x!=y".to_owned();
        let options = ListOptions {
            version: ListVersion::Consistent,
            limit: None,
            continue_token: None,
        };
        assert_eq!(
            Request::list(&scope, &options).unwrap().path_and_query,
            "/api/v1/pods?labelSelector=app%20in%20%28a%2Cb%29%2Cx%21%3Dy"
        );
    }
}
