//! Writes over HTTP: which verb a request is, its options, its body, and what is answered.
//!
//! Does not decide whether a write is right: the state does.
//!
//! Source: endpoints/handlers/{create,update,patch,delete}.go @v0.36.3; rules pr-N9, pr-N10, pr-N12; the
//! sentences of refusals are those of a real server.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{
    Shared, accept,
    accept::Subject,
    protobuf,
    route::{Subresource, Target, collection_query, json_response, key},
    stream::{self, Body},
    unix_seconds,
};
use crate::{
    kind::KindRow,
    refusal::{Refusal, RefusalCause},
    state::{
        Admission, DeleteOptions, Effect, Form, Outcome, Part, Patch, Preconditions, Propagation,
        State, Terms,
    },
    yaml,
};

/// The request body's bound (pr-N9).
const BODY_BYTES_MAX: usize = 3 << 20;

/// Bytes of a field manager's name.
const MANAGER_BYTES_MAX: usize = 128;

pub(super) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// A write as it came.
struct Received {
    method: String,
    content_type: String,
    manager: String,
    query: Vec<(String, String)>,
    body: Bytes,
    /// How the answer is to look.
    form: Form,
}

/// The same, read.
struct Prepared<'a> {
    patch: Option<Patch>,
    terms: Terms<'a>,
    /// The object that is to be, where the body is one.
    document: Option<Value>,
}

/// Answers one write.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    target: &Target,
    query: &[(String, String)],
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let row = shared.state.lock().row(target.resource);
    let is_bare = target.namespace.is_none() && row.namespaced;
    check_method(request.method().as_str(), target, is_bare)?;
    let subject = match (request.method().as_str(), &target.name) {
        ("DELETE", None) => Subject::List,
        _ => Subject::Object,
    };
    let form = accept::form(request.headers(), query, &row, subject)?;
    let received = receive(shared, query, request, form).await?;
    let prepared = received.prepare(target, &row)?;
    let answered = {
        let state = &mut *shared.state.lock();
        act(state, target, &received, prepared)
    }?;
    shared.changed.send_modify(|writes| *writes += 1);
    Ok(answered)
}

/// A collection of all namespaces is only read.
fn check_method(method: &str, target: &Target, is_bare: bool) -> Result<(), Refusal> {
    let is_main = target.subresource == Subresource::Main;
    let fits = match (method, &target.name) {
        ("POST" | "DELETE", None) => !is_bare,
        ("DELETE", Some(_)) => is_main,
        ("PUT" | "PATCH", Some(_)) => true,
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(Refusal::method_not_allowed())
}

/// A request's body, within its bound and its time (pr-N9, pr-L21).
pub(super) async fn body(shared: &Shared, request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let collected = Limited::new(request.into_body(), BODY_BYTES_MAX).collect();
    let collected = tokio::time::timeout(shared.config.request_timeout, collected).await;
    let collected = collected.map_err(|_| Refusal::of_code(504, 0))?;
    let body = collected.map_err(|_| {
        let message = format!("Request entity too large: limit is {BODY_BYTES_MAX}");
        Refusal::new(413, "RequestEntityTooLarge", message)
    })?;
    Ok(body.to_bytes())
}

async fn receive(
    shared: &Shared,
    query: &[(String, String)],
    request: Request<Incoming>,
    form: Form,
) -> Result<Received, Refusal> {
    let text = |name: header::HeaderName| {
        let value = request.headers().get(name);
        let value = value.and_then(|it| it.to_str().ok()).unwrap_or_default();
        value.to_owned()
    };
    let content_type = text(header::CONTENT_TYPE);
    let agent = text(header::USER_AGENT);
    // A client that does not say who manages is known by the beginning of its agent.
    let agent = agent.split('/').next().unwrap_or_default().to_owned();
    let method = request.method().as_str().to_owned();
    let body = body(shared, request).await?;
    let given = query.iter().find(|(name, _)| name == "fieldManager");
    let manager = given.map_or(agent, |(_, manager)| manager.clone());
    Ok(Received {
        method,
        content_type: content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned(),
        manager,
        query: query.to_vec(),
        body,
        form,
    })
}

// === impl Received ===

impl Received {
    fn option(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// What can be made of it without the state, which others wait for.
    fn prepare(&self, target: &Target, row: &KindRow) -> Result<Prepared<'_>, Refusal> {
        let patch = match self.method.as_str() {
            "PATCH" => Some(self.patch(row)?),
            _ => None,
        };
        let terms = self.terms(target, patch)?;
        let is_object = match (self.method.as_str(), target.subresource) {
            ("POST", _) => true,
            ("PUT", subresource) => subresource != Subresource::Scale,
            _ => false,
        };
        let document = is_object.then(|| self.document(row)).transpose()?;
        Ok(Prepared {
            patch,
            terms,
            document,
        })
    }

    /// The kind of the options, for refusals of one.
    fn options_kind(&self) -> &'static str {
        match self.method.as_str() {
            "DELETE" => "DeleteOptions",
            "PATCH" => "PatchOptions",
            "POST" => "CreateOptions",
            _ => "UpdateOptions",
        }
    }

    fn bad_option(&self, reason: &'static str, field: &str, message: String) -> Refusal {
        let cause = RefusalCause::new(reason, message, field);
        Refusal::invalid(self.options_kind(), "meta.k8s.io", "", vec![cause])
    }

    fn terms(&self, target: &Target, patch: Option<Patch>) -> Result<Terms<'_>, Refusal> {
        let dry_run = match self.option("dryRun") {
            None | Some("") => false,
            Some("All") => true,
            Some(other) => {
                let message =
                    format!("Unsupported value: [\"{other}\"]: supported values: \"All\"");
                return Err(self.bad_option("FieldValueNotSupported", "dryRun", message));
            }
        };
        let is_named = self.option("fieldManager").is_some_and(|it| !it.is_empty());
        if patch == Some(Patch::Apply) && !is_named {
            let message = "Required value: is required for apply patch".to_owned();
            return Err(self.bad_option("FieldValueRequired", "fieldManager", message));
        }
        let force = self.option("force") == Some("true");
        if force && patch != Some(Patch::Apply) {
            let message = "Forbidden: may not be specified for non-apply patch".to_owned();
            return Err(self.bad_option("FieldValueForbidden", "force", message));
        }
        let mut end = self.manager.len().min(MANAGER_BYTES_MAX);
        while !self.manager.is_char_boundary(end) {
            end -= 1;
        }
        Ok(Terms {
            admission: Admission::Strict,
            manager: &self.manager[..end],
            subresource: match target.subresource {
                Subresource::Main => "",
                Subresource::Scale => "scale",
                Subresource::Status => "status",
            },
            force,
            dry_run,
            strict_fields: self.option("fieldValidation") == Some("Strict"),
            now: unix_seconds(),
        })
    }

    /// The body as an object of a kind.
    fn document(&self, row: &KindRow) -> Result<Value, Refusal> {
        let unrecognized = |why: String| {
            let kind = &row.kind;
            Refusal::bad_request(format!(
                "the object provided is unrecognized (must be of type {kind}): {why}"
            ))
        };
        let parse_error = |error: &dyn std::fmt::Display| {
            unrecognized(format!(
                "couldn't get version/kind; json parse error: {error}"
            ))
        };
        let document: Value = match self.content_type.as_str() {
            "" | "application/json" => {
                serde_json::from_slice(&self.body).map_err(|error| parse_error(&error))?
            }
            "application/yaml" => yaml::parse(&self.body).map_err(|error| parse_error(&error))?,
            // Custom kinds have no messages, as there.
            PROTOBUF if !row.is_custom() => {
                protobuf::parse(&self.body).map_err(|error| unrecognized(error.to_string()))?
            }
            _ => {
                let message = "the body of the request was in an unknown format - accepted media \
                               types include: application/json, application/yaml, \
                               application/vnd.kubernetes.protobuf";
                return Err(Refusal::new(415, "UnsupportedMediaType", message));
            }
        };
        if !document.is_object() {
            return Err(parse_error(
                &"json: cannot unmarshal into Go value of type struct",
            ));
        }
        // Kinds that the server has no types for must be named.
        if row.is_custom() && document["kind"].as_str().is_none_or(str::is_empty) {
            return Err(unrecognized(format!(
                "Object 'Kind' is missing in '{document}'"
            )));
        }
        Ok(document)
    }

    fn patch(&self, row: &KindRow) -> Result<Patch, Refusal> {
        match self.content_type.as_str() {
            "application/apply-patch+yaml" => Ok(Patch::Apply),
            "application/json-patch+json" => Ok(Patch::Json),
            "application/merge-patch+json" => Ok(Patch::Merge),
            "application/strategic-merge-patch+json" if !row.is_custom() => Ok(Patch::Strategic),
            _ if row.is_custom() => Err(Refusal::unknown_patch(row)),
            _ => Err(Refusal::no_patch()),
        }
    }

    fn delete_options(&self) -> Result<DeleteOptions, Refusal> {
        let options = self.options()?;
        let text = |name: &str| options["preconditions"][name].as_str().map(str::to_owned);
        let given = options["propagationPolicy"].as_str();
        let propagation = match given.or_else(|| self.option("propagationPolicy")) {
            None | Some("") if options["orphanDependents"] == true => Some(Propagation::Orphan),
            None | Some("") => None,
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Orphan") => Some(Propagation::Orphan),
            Some(other) => {
                let message = format!(
                    "Unsupported value: \"{other}\": supported values: \"Foreground\", \
                     \"Background\", \"Orphan\", \"nil\""
                );
                let field = "propagationPolicy";
                return Err(self.bad_option("FieldValueNotSupported", field, message));
            }
        };
        Ok(DeleteOptions {
            preconditions: Preconditions {
                uid: text("uid"),
                resource_version: text("resourceVersion"),
            },
            propagation,
        })
    }

    /// The options in the body of a deletion.
    fn options(&self) -> Result<Value, Refusal> {
        if self.body.is_empty() {
            return Ok(json!({}));
        }
        let parsed = match &*self.content_type {
            PROTOBUF => protobuf::parse(&self.body).map_err(|error| error.to_string()),
            _ => serde_json::from_slice(&self.body).map_err(|error| error.to_string()),
        };
        parsed.map_err(|error| {
            let why = format!("couldn't get version/kind; json parse error: {error}");
            Refusal::bad_request(why)
        })
    }

    /// Whether the body of a deletion asks for a dry run.
    fn dry_run_in_body(&self) -> bool {
        let options = self.options().unwrap_or_default();
        options["dryRun"] == json!(["All"])
    }
}

fn act(
    state: &mut State,
    target: &Target,
    received: &Received,
    prepared: Prepared<'_>,
) -> Result<Response<Body>, Refusal> {
    let resource = target.resource;
    let row = state.row(resource);
    let part = match target.subresource {
        Subresource::Status => Part::Status,
        Subresource::Main | Subresource::Scale => Part::Main,
    };
    let Prepared {
        patch,
        mut terms,
        document,
    } = prepared;
    let document = document.unwrap_or_default();
    let Some(name) = &target.name else {
        if received.method == "POST" {
            let namespace = target.namespace.as_deref();
            let outcome = state.create_with(resource, namespace, document, &terms)?;
            return Ok(written(state, target, &outcome, received.form));
        }
        let options = received.delete_options()?;
        terms.dry_run |= received.dry_run_in_body();
        let (list, _) = collection_query(target, &received.query)?;
        let page = state.delete_collection(resource, &list, &options, &terms)?;
        let page = page.printed(&row, received.form, unix_seconds());
        let mut response = Response::new(stream::list(None, page, stream::Way::default()));
        let json = header::HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        return Ok(response);
    };
    let key = key(target, name);
    if received.method == "DELETE" {
        let options = received.delete_options()?;
        terms.dry_run |= received.dry_run_in_body();
        let outcome = state.delete_with(resource, &key, &options, &terms)?;
        return Ok(deleted(state, target, &row, &outcome, received.form));
    }
    let outcome = match (target.subresource, patch) {
        (Subresource::Scale, patch) => {
            state.rescale(resource, &key, patch, &received.body, &terms)?
        }
        (_, Some(patch)) => {
            state.patch_with(resource, &key, patch, &received.body, part, &terms)?
        }
        (_, None) => state.update_with(resource, &key, document, part, &terms)?,
    };
    if target.subresource == Subresource::Scale {
        let scale = state.scale_of(resource, &outcome.object)?;
        return Ok(json_response(StatusCode::OK, scale.to_string().into()));
    }
    Ok(written(state, target, &outcome, received.form))
}

fn written(state: &State, target: &Target, outcome: &Outcome, form: Form) -> Response<Body> {
    let code = match outcome.effect {
        Effect::Created => StatusCode::CREATED,
        Effect::Deleted | Effect::Updated => StatusCode::OK,
    };
    let body = state.printed(target.resource, &outcome.object, form, unix_seconds());
    let is_definition = state.kind(target.resource).plural == "customresourcedefinitions";
    let has_rules = is_definition
        && body
            .windows(RULES.len())
            .any(|window| window == RULES.as_bytes());
    let mut response = json_response(code, body.into());
    if has_rules {
        let warning = header::HeaderValue::from_static(
            "299 - \"this server stores x-kubernetes-validations, but does not evaluate them\"",
        );
        response.headers_mut().insert(header::WARNING, warning);
    }
    response
}

/// pr-N12: what is gone is answered by its uid, except by kinds that show it; what waits is shown.
fn deleted(
    state: &State,
    target: &Target,
    row: &KindRow,
    outcome: &Outcome,
    form: Form,
) -> Response<Body> {
    if outcome.effect != Effect::Deleted || row.returns_deleted {
        return written(state, target, outcome, form);
    }
    let mut details =
        json!({ "name": target.name, "kind": row.plural, "uid": outcome.object.uid() });
    if !row.group.is_empty() {
        details["group"] = row.group.to_string().into();
    }
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details
    });
    json_response(StatusCode::OK, status.to_string().into())
}

const RULES: &str = "x-kubernetes-validations";
