//! From a request to the state and back: paths, parameters, bodies.
//!
//! Does not decide what a list or watch contains, and leaves writes to their own module; it waits where a server waits (pr-L6) and
//! negotiates what a server negotiates.
//!
//! Source: endpoints/handlers/{get,patch,delete}.go @v0.36.3; rules pr-L6, pr-L20, pr-L24, pr-W1,
//! pr-W2, pr-W7, pr-W10, pr-S1, pr-N1.

use std::{num::IntErrorKind, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};

use super::{
    Shared, accept,
    accept::Subject,
    access::{self, User},
    documents,
    open::{Connection, Open},
    reviews::Review,
    rules::{self, Asked, Met},
    stream::{self, Body, Never, Way},
    unix_seconds,
    write::{self, Incoming},
};
use crate::{
    refusal::{Refusal, RefusalCause},
    state::{Form, ListQuery, Match, State, WatchQuery, match_faults, not_a_version},
};

/// Answers one request.
pub(super) async fn answer<B: Incoming>(
    connection: Arc<Connection>,
    request: Request<B>,
) -> Result<Response<Body>, Never> {
    Ok(match handle(&connection, request).await {
        Ok(response) => response,
        Err(refusal) => refused(&refusal),
    })
}

/// What a path means.
pub(super) struct Target {
    pub(super) resource: usize,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) subresource: Subresource,
}

/// What of an object is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subresource {
    Main,
    Scale,
    Status,
}

async fn handle<B: Incoming>(
    connection: &Arc<Connection>,
    request: Request<B>,
) -> Result<Response<Body>, Refusal> {
    let shared = &connection.shared;
    connection.saw_request();
    let path = request.uri().path().to_owned();
    let query = parse_query(request.uri().query().unwrap_or_default());
    let user = access::authenticate(&shared.tokens(), request.headers(), &path)?;
    let agent = text(request.headers(), header::USER_AGENT);
    connection.saw_user(&user.name, agent);
    let mut asked = Asked {
        connection: connection.id,
        user: user.name.clone(),
        user_agent: agent.to_owned(),
        ..Asked::default()
    };
    let target = {
        let state = shared.state.lock();
        let target = target(&state, &path);
        if let Ok(target) = &target {
            asked.resource = state.kind(target.resource).group_resource();
            asked.verb = verb(request.method(), target, &query);
        }
        target
    };
    let met = met(shared, &asked);
    if met.hang {
        // Until the client or the connection gives up.
        std::future::pending::<()>().await;
    }
    if !met.delay.is_zero() {
        tokio::time::sleep(met.delay).await;
    }
    let answered = match met.refusal {
        Some(refusal) => Err(refusal),
        None => {
            let context = Context {
                connection,
                asked,
                drip: met.drip,
                user,
            };
            dispatch(context, &path, &query, target, request).await
        }
    };
    if !met.go_away {
        return answered;
    }
    let mut response = answered.unwrap_or_else(|refusal| refused(&refusal));
    if connection.is_h2() {
        connection.retire.notify_one();
    } else {
        let close = header::HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    Ok(response)
}

/// What one request is met with: the next refusal, what is wrong for all, and the rules.
fn met(shared: &Shared, asked: &Asked) -> Met {
    let mut seed = shared.seed.lock();
    let mut faults = shared.faults.lock();
    let mut met = rules::meet(&faults.rules, asked, &mut seed);
    met.delay = met.delay.saturating_add(faults.delay);
    met.refusal = faults.refuse(seed.below(100)).or(met.refusal);
    met
}

/// A request with all that is known of it.
struct Context<'a> {
    connection: &'a Arc<Connection>,
    asked: Asked,
    /// How its body is dripped, if it is.
    drip: Option<(usize, Duration)>,
    user: Arc<User>,
}

async fn dispatch<B: Incoming>(
    context: Context<'_>,
    path: &str,
    query: &[(String, String)],
    target: Result<Target, Refusal>,
    request: Request<B>,
) -> Result<Response<Body>, Refusal> {
    let shared = &context.connection.shared;
    if let Some(review) = Review::of(path) {
        let method = request.method().clone();
        let content_type = text(request.headers(), header::CONTENT_TYPE).to_owned();
        let body = write::body(shared, request).await?;
        return review.answer(&method, &context.user, &content_type, &body);
    }
    let is_get = request.method() == Method::GET;
    if is_get && let Some(answered) = documents::answer(shared, path, request.headers()) {
        return answered;
    }
    let target = target?;
    let is_deprecated = shared
        .state
        .lock()
        .kind(target.resource)
        .is("", "Endpoints");
    let answered = act(context, &target, query, request).await;
    if !is_deprecated {
        return answered;
    }
    let mut response = answered.unwrap_or_else(|refusal| refused(&refusal));
    let warning = header::HeaderValue::from_static(ENDPOINTS);
    response.headers_mut().append(header::WARNING, warning);
    Ok(response)
}

/// Does what is asked of a resource.
async fn act<B: Incoming>(
    context: Context<'_>,
    target: &Target,
    query: &[(String, String)],
    request: Request<B>,
) -> Result<Response<Body>, Refusal> {
    let shared = &context.connection.shared;
    match (request.method().as_str(), &target.name) {
        ("GET", None) => collection(context, target, query, request.headers()).await,
        ("GET", Some(name)) => {
            let at = version_of(query)?;
            wait_until_fresh(shared, &at).await;
            let state = shared.state.lock();
            if let Some(wanted) = state.awaited_version(&at) {
                return Err(Refusal::too_large_version(wanted, state.resource_version()));
            }
            let key = key(target, name);
            if target.subresource == Subresource::Scale {
                accept::plain(request.headers())?;
                let scale = state.scale(target.resource, &key)?;
                return Ok(json_response(StatusCode::OK, scale.to_string().into()));
            }
            let found = state.get(target.resource, &key);
            let missing = || Refusal::not_found(state.kind(target.resource), name);
            let found = found.ok_or_else(missing)?;
            let row = state.kind(target.resource);
            let form = accept::form(request.headers(), query, row, Subject::Object)?;
            let body = state.printed(target.resource, found, form, unix_seconds());
            Ok(json_response(StatusCode::OK, body.into()))
        }
        ("POST" | "PUT" | "PATCH" | "DELETE", _) => {
            write::answer(shared, target, query, request).await
        }
        _ => Err(Refusal::method_not_allowed()),
    }
}

/// The verb as authorization names it.
fn verb(method: &Method, target: &Target, query: &[(String, String)]) -> &'static str {
    let is_watch = || matches!(collection_query(target, query), Ok((_, Some(_))));
    match (method.as_str(), &target.name) {
        ("GET", None) if is_watch() => "watch",
        ("GET", None) => "list",
        ("GET", Some(_)) => "get",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", None) => "deletecollection",
        ("DELETE", Some(_)) => "delete",
        _ => "",
    }
}

/// A header's text; what cannot be read says nothing.
fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    let value = headers.get(name);
    value.and_then(|it| it.to_str().ok()).unwrap_or_default()
}

async fn collection(
    context: Context<'_>,
    target: &Target,
    query: &[(String, String)],
    headers: &HeaderMap,
) -> Result<Response<Body>, Refusal> {
    let connection = context.connection;
    let shared = &connection.shared;
    let gzip = accepts_gzip(headers);
    let way = Way {
        drip: context.drip,
        ..Way::default()
    };
    let (list, watch) = collection_query(target, query)?;
    let subject = if watch.is_some() {
        Subject::Watch
    } else {
        Subject::List
    };
    let form = {
        let state = shared.state.lock();
        accept::form(headers, query, state.kind(target.resource), subject)?
    };
    let (body, encoded) = if let Some(query) = watch {
        let support = shared.faults.lock().watch_list;
        let watch = {
            let state = shared.state.lock();
            let opened = state.watch(target.resource, &query.watch, support)?;
            opened.printed(&state, form)
        };
        let gzip = gzip && shared.config.watch_list_gzip && watch.is_watch_list();
        let timeout = query.timeout.unwrap_or_else(|| {
            // pr-W1: the server picks, so that not all watches end at once.
            Duration::from_secs(1800 + shared.seed.lock().below(1800))
        });
        let guard = Open::watch(shared, context.asked);
        let body = stream::watching(connection, guard, watch, timeout, Way { gzip, ..way });
        (body, gzip)
    } else {
        wait_until_fresh(shared, &list).await;
        let snapshot = shared.state.lock().snapshot(target.resource, &list)?;
        // The walk is long: writers and watches go on meanwhile.
        let mut page = snapshot.printed(form, unix_seconds());
        let mut faults = shared.faults.lock();
        if let Some(version) = faults.list_version.take() {
            page.claim_version(&version);
        }
        let is_large = form == Form::Plain && page.is_longer_than(GZIP_BYTES_MIN);
        let gzip = gzip && shared.config.list_gzip && is_large;
        let way = Way {
            chunk_bytes: faults.chunk_bytes,
            truncate: faults.truncate_list.take(),
            gzip,
            ..way
        };
        (stream::list(Some(connection), page, way), gzip)
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let json = header::HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    if encoded {
        let gzip = header::HeaderValue::from_static("gzip");
        headers.insert(header::CONTENT_ENCODING, gzip);
        let vary = header::HeaderValue::from_static("Accept-Encoding");
        headers.insert(header::VARY, vary);
    }
    Ok(response)
}

/// A watch's query, with what only the front acts on.
pub(super) struct WatchRequest {
    watch: WatchQuery,
    timeout: Option<Duration>,
}

pub(super) fn collection_query(
    target: &Target,
    query: &[(String, String)],
) -> Result<(ListQuery, Option<WatchRequest>), Refusal> {
    let value = |name: &str| {
        let mut pairs = query.iter().rev();
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let owned = |name: &str| value(name).unwrap_or_default().to_owned();
    // pr-W1: every value but these two is true.
    let flag = |name: &str| value(name).map(|value| value != "false" && value != "0");
    let version_match = match value("resourceVersionMatch") {
        None | Some("") => None,
        Some("Exact") => Some(Match::Exact),
        Some("NotOlderThan") => Some(Match::NotOlderThan),
        Some(other) => {
            let message = format!(
                "Unsupported value: \"{other}\": supported values: \"Exact\", \"NotOlderThan\", \"\""
            );
            let cause =
                RefusalCause::new("FieldValueNotSupported", message, "resourceVersionMatch");
            let mut causes = vec![cause];
            causes.extend(match_faults(&ListQuery {
                resource_version: owned("resourceVersion"),
                continue_token: owned("continue"),
                ..ListQuery::default()
            }));
            return Err(Refusal::invalid("ListOptions", "meta.k8s.io", "", causes));
        }
    };
    let number = |name: &str| match value(name) {
        None | Some("") => Ok(0),
        Some(digits) => whole_number(digits),
    };
    let is_watch = flag("watch") == Some(true);
    let initial = flag("sendInitialEvents");
    let list = ListQuery {
        namespace: target.namespace.clone(),
        label_selector: owned("labelSelector"),
        field_selector: owned("fieldSelector"),
        resource_version: owned("resourceVersion"),
        version_match,
        limit: usize::try_from(number("limit")?).unwrap_or(0),
        continue_token: owned("continue"),
        send_initial_events: initial.is_some() && !is_watch,
    };
    let seconds = u64::try_from(number("timeoutSeconds")?).unwrap_or(0);
    let watch = is_watch.then(|| WatchRequest {
        watch: WatchQuery {
            list: list.clone(),
            bookmarks: flag("allowWatchBookmarks") == Some(true),
            send_initial_events: initial,
        },
        timeout: (seconds > 0).then(|| Duration::from_secs(seconds.min(86_400))),
    });
    Ok((list, watch))
}

/// The version that a read of one object is not to be older than.
fn version_of(query: &[(String, String)]) -> Result<ListQuery, Refusal> {
    let given = query.iter().find(|(name, _)| name == "resourceVersion");
    let text = given.map_or("", |(_, text)| text.as_str());
    if !text.is_empty() && text.parse::<u64>().is_err() {
        return Err(Refusal::new(500, "", not_a_version(text)));
    }
    Ok(ListQuery {
        resource_version: text.to_owned(),
        ..ListQuery::default()
    })
}

/// A number as Go reads one, and what it says of others.
pub(super) fn whole_number(digits: &str) -> Result<i64, Refusal> {
    digits.parse::<i64>().map_err(|error| {
        let why = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        Refusal::bad_request(format!("strconv.ParseInt: parsing \"{digits}\": {why}"))
    })
}

/// pr-L6: a server waits for a version that it has not seen yet before it gives up.
async fn wait_until_fresh(shared: &Shared, list: &ListQuery) {
    let mut changed = shared.changed.subscribe();
    let fresh = async {
        while shared.state.lock().awaited_version(list).is_some() {
            if changed.changed().await.is_err() {
                return;
            }
        }
    };
    // Whether it came or not: the state answers, with a list or with a 504.
    let _ = tokio::time::timeout(FRESHNESS_WAIT, fresh).await;
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    // As there: a coding with a quality is not looked at.
    text(headers, header::ACCEPT_ENCODING)
        .split(',')
        .any(|coding| coding.trim() == "gzip")
}

const ENDPOINTS: &str =
    "299 - \"v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\"";

/// pr-L20: smaller lists are not worth compressing.
const GZIP_BYTES_MIN: usize = 128 << 10;

const FRESHNESS_WAIT: Duration = Duration::from_secs(3);

pub(super) fn key(target: &Target, name: &str) -> String {
    match &target.namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

/// `/api/v1/..` or `/apis/group/version/..`, then `[namespaces/NS/]resource[/name]`.
fn target(state: &State, path: &str) -> Result<Target, Refusal> {
    // The server takes paths apart when they are decoded; a slash at the end says nothing.
    let path = decode(path).ok_or_else(Refusal::no_such_path)?;
    let path = path.strip_suffix('/').unwrap_or(&path);
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    if let Some(odd) = parts.last().filter(|part| matches!(**part, "." | "..")) {
        let message = format!("Name parameter invalid: \"{odd}\": may not be '{odd}'");
        return Err(Refusal::bad_request(message));
    }
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Err(Refusal::no_such_page()),
    };
    if state.kinds().all(|row| row.group != group) {
        return Err(Refusal::no_such_page());
    }
    let is_object = |rest: &[&str]| rest.len() == 2 || rest.len() == 4;
    let (rest, subresource) = match rest {
        [rest @ .., "scale"] if is_object(rest) => (rest, Subresource::Scale),
        [rest @ .., "status"] if is_object(rest) => (rest, Subresource::Status),
        rest => (rest, Subresource::Main),
    };
    let (namespace, plural, name) = match rest {
        // The namespaces themselves are cluster-scoped objects.
        ["namespaces", name] => (None, "namespaces", Some(*name)),
        ["namespaces", "", plural] => (None, *plural, None),
        ["namespaces", namespace, plural] => (Some(*namespace), *plural, None),
        ["namespaces", namespace, plural, name] => (Some(*namespace), *plural, Some(*name)),
        [plural] => (None, *plural, None),
        [plural, name] => (None, *plural, Some(*name)),
        _ => return Err(Refusal::no_such_path()),
    };
    let resource = state
        .resource(group, version, plural)
        .ok_or_else(Refusal::no_such_path)?;
    let row = state.kind(resource);
    // An object is named within its namespace, and only a namespaced kind has one.
    let is_odd = namespace.is_some() && !row.namespaced;
    let is_bare = name.is_some() && namespace.is_none() && row.namespaced;
    let is_there = match subresource {
        Subresource::Main => true,
        Subresource::Scale => row.scale.is_some(),
        Subresource::Status => row.status,
    };
    if is_odd || is_bare || !is_there {
        return Err(Refusal::no_such_path());
    }
    let own = |text: &str| text.to_owned();
    Ok(Target {
        resource,
        namespace: namespace.map(own),
        name: name.map(own),
        subresource,
    })
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let code = StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = if refusal.plain_text {
        let text = format!("{}\n", refusal.message);
        let mut response = Response::new(Body::Whole(Some(text.into())));
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

pub(super) fn json_response(code: StatusCode, body: Bytes) -> Response<Body> {
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
        let (hex, tail) = rest.split_first_chunk::<2>()?;
        let [high, low] = hex.map(|digit| char::from(digit).to_digit(16));
        bytes.push(u8::try_from(high? * 16 + low?).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}
