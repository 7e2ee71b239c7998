//! What is not an object: health, discovery, version and schemas.
//!
//! Does not make the documents: the state does. Here they get their media types.
//!
//! Source: apiserver pkg/server/{healthz,routes} and discovery/aggregated/wrapper.go @v0.36.3; rule pr-N4.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::{Shared, accept, route::json_response, stream::Body};
use crate::refusal::Refusal;

/// Answers a GET, if its path is one of these.
pub(super) fn answer(
    shared: &Shared,
    path: &str,
    headers: &HeaderMap,
) -> Option<Result<Response<Body>, Refusal>> {
    let probe = path.split('/').nth(1).unwrap_or_default();
    if matches!(probe, "healthz" | "livez" | "readyz") {
        return is_probe(path).then(|| {
            Ok(typed(
                Bytes::from_static(b"ok"),
                "text/plain; charset=utf-8",
            ))
        });
    }
    if path == "/openapi/v2" {
        // Without a protobuf document there is none; clients go on with v3.
        return Some(Err(Refusal::no_such_page()));
    }
    let state = shared.state.lock();
    if let Some(rest) = path.strip_prefix("/openapi/v3") {
        let document = state.openapi(rest.trim_start_matches('/'))?;
        return Some(Ok(json_response(
            StatusCode::OK,
            document.to_string().into(),
        )));
    }
    if let Some(version) = accept::aggregated(headers)
        && let Some(document) = state.aggregated_discovery(path, version)
    {
        let media_type =
            format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
        let mut response = typed(document.to_string().into(), &media_type);
        response
            .headers_mut()
            .insert(header::VARY, HeaderValue::from_static("Accept"));
        return Some(Ok(response));
    }
    let document = state.discovery(path)?;
    let fits = accept::plain(headers);
    Some(fits.map(|()| json_response(StatusCode::OK, document.to_string().into())))
}

/// The whole, or one of its checks.
fn is_probe(path: &str) -> bool {
    let mut parts = path.split('/').skip(2);
    matches!(
        (parts.next(), parts.next()),
        (None | Some("" | "etcd" | "log" | "ping"), None)
    )
}

fn typed(body: Bytes, media_type: &str) -> Response<Body> {
    let mut response = Response::new(Body::Whole(Some(body)));
    // Every media type given here is plain ASCII.
    if let Ok(value) = HeaderValue::from_str(media_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}
