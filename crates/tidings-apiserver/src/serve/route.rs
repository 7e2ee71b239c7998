//! From a request to the state and back: paths, parameters, bodies.
//!
//! Source: rules pr-L24, pr-W1, pr-W2, pr-S1, pr-N9; legacy discovery.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{
    Shared,
    stream::{self, Body, Never},
    unix_seconds,
};
use crate::{
    kind::KindRow,
    refusal::Refusal,
    state::{ListQuery, Match, Patch, State, Stored, WatchQuery},
};

/// The request body's bound (pr-N9).
const BODY_BYTES_MAX: usize = 3 << 20;

/// Answers one request.
pub(super) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Never> {
    Ok(match handle(shared, request).await {
        Ok(response) => response,
        Err(refusal) => refused(&refusal),
    })
}

/// What a path means.
struct Target {
    resource: usize,
    namespace: Option<String>,
    name: Option<String>,
}

async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    if let Some(token) = &shared.config.token {
        let given = request
            .headers()
            .get(header::AUTHORIZATION)
            .and_then(|it| it.to_str().ok());
        if given.and_then(|text| text.strip_prefix("Bearer ")) != Some(token) {
            return Err(Refusal::of_code(401, 0));
        }
    }
    if let Some(refusal) = shared.faults.lock().refusals.pop_front() {
        return Err(refusal);
    }
    let path = request.uri().path().to_owned();
    let query = parse_query(request.uri().query().unwrap_or_default());
    if request.method() == Method::GET
        && let Some(body) = discovery(&shared.state.lock(), &path)
    {
        return Ok(json_response(StatusCode::OK, body.to_string().into()));
    }
    let target = target(&shared.state.lock(), &path)?;
    match (request.method().as_str(), &target.name) {
        ("GET", None) => collection(&shared, &target, &query),
        ("GET", Some(name)) => {
            let state = shared.state.lock();
            let found = state.get(target.resource, &key(&target, name));
            let missing = || Refusal::not_found(state.kind(target.resource), name);
            Ok(object(StatusCode::OK, found.ok_or_else(missing)?))
        }
        (method @ ("POST" | "PUT" | "PATCH" | "DELETE"), _) => {
            let method = method.to_owned();
            write(&shared, &target, &method, request).await
        }
        _ => Err(Refusal::method_not_allowed()),
    }
}

fn collection(
    shared: &Arc<Shared>,
    target: &Target,
    query: &[(String, String)],
) -> Result<Response<Body>, Refusal> {
    let value = |name: &str| {
        query
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let text = |name: &str| value(name).unwrap_or_default().to_owned();
    let is_on = |name: &str| value(name).is_some_and(|value| value != "false" && value != "0");
    let version_match = match value("resourceVersionMatch") {
        None | Some("") => None,
        Some("Exact") => Some(Match::Exact),
        Some("NotOlderThan") => Some(Match::NotOlderThan),
        Some(other) => {
            let message = format!("unsupported resourceVersionMatch: {other:?}");
            return Err(Refusal::bad_request(message));
        }
    };
    let initial = value("sendInitialEvents").map(|value| value != "false" && value != "0");
    let is_watch = is_on("watch");
    let list = ListQuery {
        namespace: target.namespace.clone(),
        label_selector: text("labelSelector"),
        field_selector: text("fieldSelector"),
        resource_version: text("resourceVersion"),
        version_match,
        limit: text("limit").parse().unwrap_or(0),
        continue_token: text("continue"),
        send_initial_events: initial.is_some() && !is_watch,
    };
    let response = Response::builder().header(header::CONTENT_TYPE, "application/json");
    let body = if is_watch {
        let bookmarks = is_on("allowWatchBookmarks");
        let query = WatchQuery {
            list,
            bookmarks,
            send_initial_events: initial,
        };
        let support = shared.faults.lock().watch_list;
        let watch = shared
            .state
            .lock()
            .watch(target.resource, &query, support)?;
        let seconds = text("timeoutSeconds").parse().unwrap_or(1800_u64);
        stream::watch(
            Arc::clone(shared),
            watch,
            Duration::from_secs(seconds.min(86_400)),
        )
    } else {
        let page = shared.state.lock().list(target.resource, &list)?;
        let mut faults = shared.faults.lock();
        stream::list(page, faults.chunk_bytes, faults.truncate_list.take())
    };
    Ok(response
        .body(body)
        .unwrap_or_else(|_| Response::new(Body::Whole(None))))
}

async fn write(
    shared: &Arc<Shared>,
    target: &Target,
    method: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let content_type = content_type
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let collected = Limited::new(request.into_body(), BODY_BYTES_MAX)
        .collect()
        .await;
    let body = collected.map_err(|_| {
        let message = format!("limit is {BODY_BYTES_MAX}");
        Refusal::new(413, "RequestEntityTooLarge", message)
    })?;
    let body = body.to_bytes();
    let document = || -> Result<Value, Refusal> {
        serde_json::from_slice(&body).map_err(|error| Refusal::bad_request(error.to_string()))
    };
    let namespace = target.namespace.as_deref();
    let name = target.name.as_deref();
    let (resource, now) = (target.resource, unix_seconds());
    let written = {
        let state = &mut *shared.state.lock();
        match (method, name) {
            ("POST", None) => state.create(resource, namespace, document()?, now),
            ("PUT", Some(name)) => state.update(resource, &key(target, name), document()?),
            ("PATCH", Some(name)) => {
                let patch = patch_kind(&content_type)?;
                state.patch(resource, &key(target, name), patch, &body)
            }
            ("DELETE", Some(name)) => state.delete(resource, &key(target, name), now),
            _ => Err(Refusal::method_not_allowed()),
        }
    }?;
    shared.changed.send_modify(|writes| *writes += 1);
    let code = if method == "POST" {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(object(code, &written))
}

fn patch_kind(content_type: &str) -> Result<Patch, Refusal> {
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/merge-patch+json" => Ok(Patch::Merge),
        "application/json-patch+json" => Ok(Patch::Json),
        _ => {
            let message = "the body of the request was in an unknown format - accepted media types \
                           include: application/json-patch+json, application/merge-patch+json";
            Err(Refusal::new(415, "UnsupportedMediaType", message))
        }
    }
}

fn key(target: &Target, name: &str) -> String {
    match &target.namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

/// `/api/v1/..` or `/apis/group/version/..`, then `[namespaces/NS/]resource[/name]`.
fn target(state: &State, path: &str) -> Result<Target, Refusal> {
    let parts: Option<Vec<String>> = path.split('/').skip(1).map(decode).collect();
    let parts = parts.ok_or_else(Refusal::no_such_path)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    if parts
        .iter()
        .any(|part| matches!(*part, "" | "." | "..") || part.contains('/'))
    {
        return Err(Refusal::no_such_path());
    }
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Err(Refusal::no_such_path()),
    };
    let (namespace, plural, name) = match rest {
        ["namespaces", namespace, plural] => (Some(*namespace), *plural, None),
        ["namespaces", namespace, plural, name] => (Some(*namespace), *plural, Some(*name)),
        [plural] => (None, *plural, None),
        [plural, name] => (None, *plural, Some(*name)),
        _ => return Err(Refusal::no_such_path()),
    };
    let resource = state
        .resource(group, version, plural)
        .ok_or_else(Refusal::no_such_path)?;
    let own = |text: &str| text.to_owned();
    Ok(Target {
        resource,
        namespace: namespace.map(own),
        name: name.map(own),
    })
}

/// Legacy discovery, version and health.
fn discovery(state: &State, path: &str) -> Option<Value> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["healthz" | "readyz" | "livez"] => Some(json!("ok")),
        ["version"] => Some(json!({
            "major": "1", "minor": "36", "gitVersion": "v1.36.0+tidings", "platform": "any"
        })),
        ["api"] => Some(json!({ "kind": "APIVersions", "versions": ["v1"] })),
        ["apis"] => {
            let mut groups: Vec<Value> = Vec::new();
            for row in state.kinds().iter().filter(|row| !row.group.is_empty()) {
                let version = json!({ "groupVersion": row.api_version(), "version": row.version });
                if groups.iter().any(|group| group["name"] == *row.group) {
                    continue;
                }
                groups.push(json!({
                    "name": row.group, "versions": [version], "preferredVersion": version
                }));
            }
            Some(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
        }
        ["api", version] => resources(state, "", version),
        ["apis", group, version] => resources(state, group, version),
        _ => None,
    }
}

fn resources(state: &State, group: &str, version: &str) -> Option<Value> {
    let rows: Vec<&KindRow> = state
        .kinds()
        .iter()
        .filter(|row| row.group == group && row.version == version)
        .collect();
    let list: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "name": row.plural, "singularName": row.kind.to_lowercase(), "kind": row.kind,
                "namespaced": row.namespaced, "shortNames": row.short_names,
                "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"]
            })
        })
        .collect();
    let group_version = rows.first()?.api_version();
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version,
        "resources": list
    }))
}

fn object(code: StatusCode, stored: &Stored) -> Response<Body> {
    json_response(code, stored.to_json().into())
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let code = StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = if refusal.plain_text {
        let mut response = Response::new(Body::Whole(Some(refusal.message.clone().into())));
        *response.status_mut() = code;
        response
    } else {
        json_response(code, refusal.to_json().into())
    };
    if refusal.retry_after_seconds > 0 {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, refusal.retry_after_seconds.into());
    }
    response
}

fn json_response(code: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::Whole(Some(body)));
    *response.status_mut() = code;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn parse_query(query: &str) -> Vec<(String, String)> {
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        Some((decode(name)?, decode(&value.replace('+', " "))?))
    };
    query
        .split('&')
        .filter(|text| !text.is_empty())
        .filter_map(pair)
        .collect()
}

/// Percent-decodes, or nothing if the result is not text.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let hex = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}
