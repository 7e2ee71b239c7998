//! Writes over HTTP: which verb a request is, its options, its body, and what is answered.
//!
//! Does not decide whether a write is right: the state does.
//!
//! Source: endpoints/handlers/{create,update,patch,delete}.go @v0.36.3; rules pr-N9, pr-N10, pr-N12; the
//! sentences of refusals are those of a real server.

use std::{error::Error, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};

use super::{
    Shared, accept,
    accept::Subject,
    protobuf,
    route::{Subresource, Target, collection_query, json_response, key, whole_number},
    stream::{self, Body},
    unix_seconds,
};
use crate::{
    json,
    kind::KindRow,
    refusal::{Refusal, RefusalCause},
    state::{
        Admission, DeleteOptions, Effect, FieldValidation, Form, Outcome, Part, Patch,
        Preconditions, Propagation, State, Terms, not_registered, settle_options, type_of,
    },
    yaml,
};

/// The request body's bound (pr-N9).
const BODY_BYTES_MAX: usize = 3 << 20;

/// Bytes of a field manager's name.
const MANAGER_BYTES_MAX: usize = 128;

pub(super) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// A request's body: hyper's, or whole bytes where there is no connection.
pub(super) trait Incoming:
    http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send
{
}

impl<B> Incoming for B where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send
{
}

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
    parsed: json::Parsed,
}

/// Answers one write.
pub(super) async fn answer<B: Incoming>(
    shared: &Arc<Shared>,
    target: &Target,
    query: &[(String, String)],
    request: Request<B>,
) -> Result<Response<Body>, Refusal> {
    let row = shared.state.lock().row(target.resource);
    let is_bare = target.namespace.is_none() && row.namespaced;
    let is_lasting = row.is("", "Namespace");
    check_method(request.method().as_str(), target, is_bare, is_lasting)?;
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
fn check_method(
    method: &str,
    target: &Target,
    is_bare: bool,
    is_lasting: bool,
) -> Result<(), Refusal> {
    let is_main = target.subresource == Subresource::Main;
    let fits = match (method, &target.name) {
        // Namespaces go one by one.
        ("DELETE", None) => !is_bare && !is_lasting,
        ("POST", None) => !is_bare,
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
pub(super) async fn body<B: Incoming>(
    shared: &Shared,
    request: Request<B>,
) -> Result<Bytes, Refusal> {
    let collected = Limited::new(request.into_body(), BODY_BYTES_MAX).collect();
    let collected = tokio::time::timeout(shared.config.request_timeout, collected).await;
    let collected = collected.map_err(|_| Refusal::of_code(504, 0))?;
    let body = collected.map_err(|_| {
        let message = format!("Request entity too large: limit is {BODY_BYTES_MAX}");
        Refusal::new(413, "RequestEntityTooLarge", message)
    })?;
    Ok(body.to_bytes())
}

async fn receive<B: Incoming>(
    shared: &Shared,
    query: &[(String, String)],
    request: Request<B>,
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
    let agent = match agent.split('/').next().unwrap_or_default() {
        "" => "unknown".to_owned(),
        agent => agent.to_owned(),
    };
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
        let parsed = is_object.then(|| self.document(row)).transpose()?;
        Ok(Prepared {
            patch,
            terms,
            parsed: parsed.unwrap_or_default(),
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
        let is_patch = patch.is_some_and(|patch| patch != Patch::Apply);
        if is_patch && self.option("force").is_some_and(|it| !it.is_empty()) {
            let message = "Forbidden: may not be specified for non-apply patch".to_owned();
            return Err(self.bad_option("FieldValueForbidden", "force", message));
        }
        self.check_manager()?;
        let fields = match self.option("fieldValidation") {
            None | Some("" | "Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                let message = format!(
                    "Unsupported value: \"{other}\": supported values: \"\", \"Ignore\", \"Strict\", \
                     \"Warn\""
                );
                let field = "fieldValidation";
                return Err(self.bad_option("FieldValueNotSupported", field, message));
            }
        };
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
            fields,
            duplicates: &[],
            now: unix_seconds(),
        })
    }

    /// A manager's name can be printed, and has an end.
    fn check_manager(&self) -> Result<(), Refusal> {
        let given = self.option("fieldManager").unwrap_or_default();
        let odd = given.chars().position(char::is_control);
        let (reason, message) = match odd {
            Some(at) => {
                let letter = given.chars().nth(at).map_or(0, u32::from);
                let shown = given.replace(char::is_control, &format!("\\x{letter:02x}"));
                let message = format!(
                    "Invalid value: \"{shown}\": invalid character U+{letter:04X} (at position {at})"
                );
                ("FieldValueInvalid", message)
            }
            None if given.len() > MANAGER_BYTES_MAX => {
                let message = format!("Too long: may not be more than {MANAGER_BYTES_MAX} bytes");
                ("FieldValueTooLong", message)
            }
            None => return Ok(()),
        };
        Err(self.bad_option(reason, "fieldManager", message))
    }

    /// The body as an object of a kind, with the fields that it has twice.
    fn document(&self, row: &KindRow) -> Result<json::Parsed, Refusal> {
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
        let whole = |document: Value| json::Parsed {
            document,
            duplicates: Vec::new(),
        };
        let mut parsed = match self.content_type.as_str() {
            "" | "application/json" => {
                json::parse(&self.body).map_err(|error| parse_error(&error))?
            }
            "application/yaml" => yaml::parse(&self.body)
                .map(whole)
                .map_err(|error| unrecognized(format!("yaml: {error}")))?,
            // Custom kinds have no messages, as there.
            PROTOBUF if !row.is_custom() => protobuf::parse(&self.body)
                .map(whole)
                .map_err(|error| unrecognized(error.to_string()))?,
            _ => {
                let message = "the body of the request was in an unknown format - accepted media \
                               types include: application/json, application/yaml, \
                               application/vnd.kubernetes.protobuf";
                return Err(Refusal::new(415, "UnsupportedMediaType", message));
            }
        };
        let document = &mut parsed.document;
        if document.is_null() {
            *document = json!({});
        }
        if !document.is_object() {
            let is = type_of(document);
            return Err(parse_error(&format!(
                "json: cannot unmarshal {is} into Go value of type struct {{ APIVersion string \
                 \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
            )));
        }
        for field in ["apiVersion", "kind"] {
            let value = &document[field];
            if !value.is_null() && !value.is_string() {
                let is = type_of(value);
                return Err(parse_error(&format!(
                    "json: cannot unmarshal {is} into Go struct field .{field} of type string"
                )));
            }
        }
        let version = document["apiVersion"].as_str().unwrap_or_default();
        if version.matches('/').count() > 1 {
            let why = format!("unexpected GroupVersion string: {version}");
            return Err(unrecognized(why));
        }
        // Kinds that the server has no types for must be named.
        if row.is_custom() && document["kind"].as_str().is_none_or(str::is_empty) {
            return Err(unrecognized(format!(
                "Object 'Kind' is missing in '{document}'"
            )));
        }
        Ok(parsed)
    }

    /// The body of a write to a scale, as JSON: patches are, and a scale may come in protobuf.
    fn scale(&self, patch: Option<Patch>) -> Result<Bytes, Refusal> {
        if patch.is_some() || self.content_type != PROTOBUF {
            return Ok(self.body.clone());
        }
        let scale = protobuf::parse(&self.body);
        let scale = scale.map_err(|error| Refusal::bad_request(error.to_string()))?;
        Ok(scale.to_string().into())
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
        let mut options = self.options()?;
        let kind = options["kind"].as_str().unwrap_or_default();
        if !matches!(kind, "" | "DeleteOptions") {
            let version = options["apiVersion"].as_str().unwrap_or("v1");
            return Err(Refusal::bad_request(not_registered(kind, version)));
        }
        if let Some(fault) = settle_options("meta.DeleteOptions", &mut options) {
            return Err(Refusal::bad_request(fault));
        }
        let mut grace_seconds = options["gracePeriodSeconds"].as_i64();
        if let Some(text) = self
            .option("gracePeriodSeconds")
            .filter(|it| !it.is_empty())
        {
            grace_seconds = Some(whole_number(text)?);
        }
        // As there: less than nothing is the least that is something.
        let grace_seconds = grace_seconds.map(|it| u64::try_from(it).unwrap_or(1));
        self.check_dry_run(&options)?;
        let text = |name: &str| options["preconditions"][name].as_str().map(str::to_owned);
        let given = options["propagationPolicy"].as_str();
        if let Some(given) = given
            && options["orphanDependents"].is_boolean()
        {
            let message = format!(
                "Invalid value: \"{given}\": orphanDependents and deletionPropagation cannot be both set"
            );
            return Err(self.bad_option("FieldValueInvalid", "propagationPolicy", message));
        }
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
            grace_seconds,
        })
    }

    /// What the body of a deletion asks to be done, and what it does not.
    fn check_dry_run(&self, options: &Value) -> Result<(), Refusal> {
        let dry_run = &options["dryRun"];
        if !(dry_run.is_null() || *dry_run == json!(["All"])) {
            let message = format!("Unsupported value: {dry_run}: supported values: \"All\"");
            return Err(self.bad_option("FieldValueNotSupported", "dryRun", message));
        }
        let policy = &options["propagationPolicy"];
        if !policy.is_null() && !options["orphanDependents"].is_null() {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            let message = format!("Invalid value: {policy}: {why}");
            return Err(self.bad_option("FieldValueInvalid", "propagationPolicy", message));
        }
        Ok(())
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
        terms,
        parsed,
    } = prepared;
    let document = parsed.document;
    let mut terms = Terms {
        duplicates: &parsed.duplicates,
        ..terms
    };
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
            let body = received.scale(patch)?;
            state.rescale(resource, &key, patch, &body, &terms)?
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
    let own = has_rules.then_some(UNEVALUATED);
    let warnings = outcome.warnings.iter().map(String::as_str).chain(own);
    for warning in warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        let value = header::HeaderValue::try_from(format!("299 - \"{quoted}\""));
        // What no header can hold is not warned of.
        if let Ok(value) = value {
            response.headers_mut().append(header::WARNING, value);
        }
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

const UNEVALUATED: &str = "this server stores x-kubernetes-validations, but does not evaluate them";
