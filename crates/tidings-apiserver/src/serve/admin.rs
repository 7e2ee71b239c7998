//! The admin endpoint: the levers over HTTP, on a port of its own.
//!
//! Does not serve the API, and is off by default. It listens on loopback alone and speaks HTTP/1.1 without TLS.
//!
//! ```text
//!  GET    /              the levers, what is wrong at present, connections and watches
//!  GET    /kubeconfig    the kubeconfig of the moment
//!  POST   /levers/NAME   pulls one: a JSON object
//!  DELETE /levers        puts all back
//! ```
//!
//! D1  With tokens, every request needs one of a user in `system:masters`.
//! D2  A POST is JSON by its Content-Type, which no page in a browser can send across origins unasked.
//! D3  At most `CONNECTIONS_MAX` connections; bodies up to `BODY_BYTES_MAX`, within `header_timeout`.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

use super::{
    Shared, access,
    levers::{self, LeverError},
    listen::ACCEPT_PAUSE,
};

const BODY_BYTES_MAX: usize = 64 << 10;
const CONNECTIONS_MAX: usize = 16;

/// Serves until the server stops.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut stop = shared.stop.clone();
    let mut connections = JoinSet::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // Who finds no room waits in the listener's queue.
        let room = Arc::clone(&room);
        let next = async { (room.acquire_owned().await, listener.accept().await) };
        let accepted = tokio::select! {
            accepted = next => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stop.changed() => break,
        };
        let (place, Ok((socket, _))) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let patience = shared.config.header_timeout;
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            let mut builder = http1::Builder::new();
            builder
                .timer(TokioTimer::new())
                .header_read_timeout(patience);
            // A client that breaks off has done so.
            let _ = builder
                .serve_connection(TokioIo::new(socket), service)
                .await;
            drop(place);
        });
    }
    connections.shutdown().await;
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (code, body) = match handle(&shared, request).await {
        Ok(Answer::Json(body)) => (200, body.to_string()),
        Ok(Answer::Text(text)) => (200, text),
        Err(error) => (error.code, error.to_json().to_string()),
    };
    let media_type = if body.starts_with('{') {
        "application/json"
    } else {
        "application/yaml"
    };
    let mut response = Response::new(Full::new(format!("{body}\n").into()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST);
    let media_type = header::HeaderValue::from_static(media_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    Ok(response)
}

enum Answer {
    Json(Value),
    Text(String),
}

async fn handle(shared: &Shared, request: Request<Incoming>) -> Result<Answer, LeverError> {
    check_user(shared, &request)?;
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::GET, "/" | "/levers") => Ok(Answer::Json(overview(shared))),
        (&Method::GET, "/kubeconfig") => Ok(Answer::Text(shared.kubeconfig())),
        (&Method::DELETE, "/levers") => {
            shared.reset();
            Ok(Answer::Json(json!({ "reset": true })))
        }
        (&Method::POST, path) => {
            let name = path.strip_prefix("/levers/");
            let name = name
                .ok_or_else(|| LeverError::of_code(404, USAGE))?
                .to_owned();
            let given = body(shared, request).await?;
            levers::pull(shared, &name, &given).map(Answer::Json)
        }
        _ => Err(LeverError::of_code(404, USAGE)),
    }
}

fn check_user(shared: &Shared, request: &Request<Incoming>) -> Result<(), LeverError> {
    let tokens = shared.tokens();
    // No path is open to everybody here.
    let user = access::authenticate(&tokens, request.headers(), "/levers");
    let user = user.map_err(|_| LeverError::of_code(401, "send the bearer token of an admin"))?;
    if tokens.is_empty() || user.is_admin() {
        return Ok(());
    }
    let why = format!("user {:?} is not in the group system:masters", user.name);
    Err(LeverError::of_code(403, why))
}

async fn body(shared: &Shared, request: Request<Incoming>) -> Result<Value, LeverError> {
    let media_type = request.headers().get(header::CONTENT_TYPE);
    let media_type = media_type
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if media_type != "application/json" {
        let why = "send a JSON object as Content-Type: application/json";
        return Err(LeverError::of_code(415, why));
    }
    let collected = Limited::new(request.into_body(), BODY_BYTES_MAX).collect();
    let collected = tokio::time::timeout(shared.config.header_timeout, collected).await;
    let late = |_| LeverError::of_code(408, "the body did not come in time");
    let large = |_| LeverError::of_code(413, format!("the body is larger than {BODY_BYTES_MAX}"));
    let bytes = collected.map_err(late)?.map_err(large)?.to_bytes();
    if bytes.is_empty() {
        return Ok(json!({}));
    }
    let parsed = serde_json::from_slice(&bytes);
    parsed.map_err(|error| LeverError::of_code(400, format!("the body is not JSON: {error}")))
}

fn overview(shared: &Shared) -> Value {
    json!({
        "levers": levers::described(),
        "present": levers::present(shared),
        "connections": shared.open.connections(),
        "watches": shared.open.watches()
    })
}

const USAGE: &str = "there are GET /, GET /kubeconfig, POST /levers/NAME and DELETE /levers";
