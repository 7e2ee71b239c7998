//! Who am I, and may I: the reviews that `kubectl auth` asks for.
//!
//! Does not authorize: whoever is known may do everything, so every access is allowed. Nothing is stored, and
//! the reviews stand in no discovery document.
//!
//! Source: registry/authentication/selfsubjectreview and registry/authorization @v1.36, and the answers of a
//! real server.

use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{access::User, protobuf, route::json_response, stream::Body, unix_seconds, write};
use crate::{
    refusal::{Refusal, RefusalCause},
    seed::timestamp,
};

/// One of the reviews.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Review {
    Access,
    Rules,
    Subject,
}

impl Review {
    /// The review of a path.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/apis/authentication.k8s.io/v1/selfsubjectreviews" => Some(Self::Subject),
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => Some(Self::Access),
            "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews" => Some(Self::Rules),
            _ => None,
        }
    }

    /// Answers it, given what was sent.
    pub(super) fn answer(
        self,
        method: &Method,
        user: &User,
        content_type: &str,
        body: &[u8],
    ) -> Result<Response<Body>, Refusal> {
        if method != Method::POST {
            return Err(Refusal::method_not_allowed());
        }
        let unread = |error: &dyn std::fmt::Display| {
            Refusal::bad_request(format!("couldn't get version/kind; parse error: {error}"))
        };
        let sent: Value = if body.is_empty() {
            json!({})
        } else if content_type == write::PROTOBUF {
            protobuf::parse(body).map_err(|error| unread(&error))?
        } else {
            serde_json::from_slice(body).map_err(|error| unread(&error))?
        };
        let answer = match self {
            Self::Access => allowed(&sent["spec"])?,
            Self::Rules => rules(&sent["spec"])?,
            Self::Subject => subject(user),
        };
        Ok(json_response(
            StatusCode::CREATED,
            answer.to_string().into(),
        ))
    }
}

fn subject(user: &User) -> Value {
    let mut info = json!({ "username": user.name });
    if !user.uid.is_empty() {
        info["uid"] = user.uid.clone().into();
    }
    info["groups"] = user.all_groups().into();
    json!({
        "kind": "SelfSubjectReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": { "creationTimestamp": timestamp(unix_seconds()) },
        "status": { "userInfo": info }
    })
}

fn allowed(spec: &Value) -> Result<Value, Refusal> {
    if spec["resourceAttributes"].is_null() == spec["nonResourceAttributes"].is_null() {
        let message = "Invalid value: null: exactly one of nonResourceAttributes or \
                       resourceAttributes must be specified";
        let field = "spec.resourceAttributes";
        let cause = RefusalCause::new("FieldValueInvalid", message.to_owned(), field);
        let group = "authorization.k8s.io";
        return Err(Refusal::invalid("", group, "", vec![cause]));
    }
    Ok(json!({
        "kind": "SelfSubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {},
        "spec": spec,
        "status": { "allowed": true }
    }))
}

fn rules(spec: &Value) -> Result<Value, Refusal> {
    if spec["namespace"].as_str().is_none_or(str::is_empty) {
        return Err(Refusal::bad_request("no namespace on request"));
    }
    Ok(json!({
        "kind": "SelfSubjectRulesReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {},
        "spec": {},
        "status": {
            "resourceRules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }],
            "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
            "incomplete": false
        }
    }))
}
