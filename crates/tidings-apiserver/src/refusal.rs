//! Refusals as values, and how they are written: the server's `Status`.
//!
//! Does not read a Status: that is the client's side, in `tidings-api`.
//!
//! Source: apimachinery pkg/api/errors @v0.36.3; rules pr-L4..pr-L6, pr-L10, pr-S1, pr-S2, pr-S5.

use serde::Serialize;

use crate::kind::KindRow;

/// A refusal: code, reason, and what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The HTTP code.
    pub code: u16,
    /// The machine-readable reason, such as `Expired`.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
    /// The name of the object in question, or empty.
    pub name: String,
    /// The group of the resource in question, or empty.
    pub group: String,
    /// The resource, or for invalid input the kind, in question.
    pub kind: String,
    /// The causes: reason, message and field.
    pub causes: Vec<RefusalCause>,
    /// Seconds after which to try again, 0 for none.
    pub retry_after_seconds: u32,
    /// A token to go on with inconsistently (pr-L10).
    pub continue_token: Option<String>,
    /// Whether it is written as plain text, as the request filters do (pr-S5).
    pub plain_text: bool,
    /// Whether there are details even where they say nothing, as in refusals of a path or a method.
    pub bare_details: bool,
}

/// One cause of a [`Refusal`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RefusalCause {
    /// The machine-readable reason.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: &'static str,
    /// The sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The field that is at fault.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

impl RefusalCause {
    /// A cause in full.
    #[must_use]
    pub fn new(reason: &'static str, message: String, field: &str) -> Self {
        Self {
            reason,
            message,
            field: field.to_owned(),
        }
    }
}

impl Refusal {
    /// A refusal of nothing in particular.
    #[must_use]
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            ..Self::default()
        }
    }

    /// What a given code looks like when the server answers it for reasons of its own.
    #[must_use]
    pub fn of_code(code: u16, retry_after_seconds: u32) -> Self {
        let (reason, message) = match code {
            401 => ("Unauthorized", "Unauthorized"),
            403 => ("Forbidden", "forbidden: User \"tidings\" cannot do this"),
            404 => (
                "NotFound",
                "the server could not find the requested resource",
            ),
            410 => (
                "Expired",
                "The resourceVersion for the provided list is too old.",
            ),
            429 => (
                "TooManyRequests",
                "Too many requests, please try again later.",
            ),
            500 => ("InternalError", "Internal error occurred: injected"),
            503 => (
                "ServiceUnavailable",
                "the server is currently unable to handle the request",
            ),
            504 => (
                "Timeout",
                "Timeout: request did not complete within the allotted timeout",
            ),
            _ => ("", "the server refused the request"),
        };
        Self {
            retry_after_seconds,
            plain_text: code == 429,
            ..Self::new(code, reason, message)
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 400: the body and the path name two namespaces.
    pub(crate) fn other_namespace() -> Self {
        let message = "the namespace of the provided object does not match the namespace sent on \
                       the request";
        Self::bad_request(message)
    }

    /// 404: no resource is served at this path.
    #[must_use]
    pub fn no_such_path() -> Self {
        let message = "the server could not find the requested resource";
        Self::new(404, "NotFound", message).barely()
    }

    /// 404: nothing is served below this path, not even a group; no Status says so.
    #[must_use]
    pub fn no_such_page() -> Self {
        Self {
            plain_text: true,
            ..Self::new(404, "NotFound", "404 page not found")
        }
    }

    fn barely(mut self) -> Self {
        self.bare_details = true;
        self
    }

    /// 415: a media type that no patch has (pr-N9).
    #[must_use]
    pub fn no_patch() -> Self {
        Self::new(415, "UnsupportedMediaType", "415: Unsupported Media Type").barely()
    }

    /// 422: a patch that is understood, but does not apply.
    pub(crate) fn inapplicable() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::new(422, "Invalid", message).barely()
    }

    pub(crate) fn not_found(row: &KindRow, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", row.group_resource());
        Self::new(404, "NotFound", message).about(row, name)
    }

    pub(crate) fn already_exists(row: &KindRow, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", row.group_resource());
        Self::new(409, "AlreadyExists", message).about(row, name)
    }

    /// 409: there is one of that name, though not for long.
    pub(crate) fn still_exists(row: &KindRow, name: &str) -> Self {
        let resource = row.group_resource();
        let message = format!("object is being deleted: {resource} \"{name}\" already exists");
        Self::new(409, "AlreadyExists", message).about(row, name)
    }

    pub(crate) fn conflict(row: &KindRow, name: &str, why: &str) -> Self {
        let resource = row.group_resource();
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        Self::new(409, "Conflict", message).about(row, name)
    }

    /// 409 that names the object by its kind, as deletions do.
    pub(crate) fn kind_conflict(row: &KindRow, name: &str, why: &str) -> Self {
        let kind = group_kind(&row.kind, &row.group);
        let message = format!("Operation cannot be fulfilled on {kind} \"{name}\": {why}");
        Self {
            name: name.to_owned(),
            group: row.group.to_string(),
            kind: row.kind.to_string(),
            ..Self::new(409, "Conflict", message)
        }
    }

    /// 415: a patch that the kind does not take (pr-N9).
    pub(crate) fn unknown_patch(row: &KindRow) -> Self {
        let strategic = if row.is_custom() {
            ""
        } else {
            "application/strategic-merge-patch+json, "
        };
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, {strategic}\
             application/apply-patch+yaml"
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn modified(row: &KindRow, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        Self::conflict(row, name, why)
    }

    /// 405: the resource is not for this method.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message).barely()
    }

    /// 422 with one cause for each fault (pr-L4, pr-S3).
    pub(crate) fn invalid(kind: &str, group: &str, name: &str, causes: Vec<RefusalCause>) -> Self {
        let listed: Vec<String> = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        let causes_text = match listed.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let full = group_kind(kind, group);
        let message = format!("{full} \"{name}\" is invalid: {causes_text}");
        Self {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes,
            ..Self::new(422, "Invalid", message)
        }
    }

    /// 422 of an object of a kind.
    pub(crate) fn invalid_object(row: &KindRow, name: &str, causes: Vec<RefusalCause>) -> Self {
        Self::invalid(&row.kind, &row.group, name, causes)
    }

    /// 422 of an object, for one fault.
    pub(crate) fn invalid_field(
        row: &KindRow,
        name: &str,
        reason: &'static str,
        field: &str,
        message: impl Into<String>,
    ) -> Self {
        let cause = RefusalCause::new(reason, message.into(), field);
        Self::invalid_object(row, name, vec![cause])
    }

    /// 403 about one object.
    pub(crate) fn forbidden(row: &KindRow, name: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {why}", row.group_resource());
        Self::new(403, "Forbidden", message).about(row, name)
    }

    /// 504 with the cause that clients look for (pr-L6, pr-L7).
    pub(crate) fn too_large_version(wanted: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
        let cause = RefusalCause {
            reason: "ResourceVersionTooLarge",
            message: "Too large resource version".to_owned(),
            field: String::new(),
        };
        Self {
            causes: vec![cause],
            retry_after_seconds: 1,
            ..Self::new(504, "Timeout", message)
        }
    }

    fn about(mut self, row: &KindRow, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self.group = row.group.to_string();
        self.kind = row.plural.to_string();
        self
    }

    /// The Status as JSON, without a newline: what an ERROR event carries.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let details = Details {
            name: &self.name,
            group: &self.group,
            kind: &self.kind,
            causes: &self.causes,
            retry_after_seconds: self.retry_after_seconds,
        };
        let status = Written {
            kind: "Status",
            api_version: "v1",
            metadata: ListMeta {
                continue_token: self.continue_token.as_deref(),
            },
            status: "Failure",
            message: &self.message,
            reason: self.reason,
            details: (self.bare_details || !details.is_empty()).then_some(details),
            code: self.code,
        };
        // Strings and numbers only: writing them to memory cannot fail.
        serde_json::to_vec(&status).unwrap_or_default()
    }
}

/// `Kind`, or `Kind.group`.
fn group_kind(kind: &str, group: &str) -> String {
    if group.is_empty() {
        kind.to_owned()
    } else {
        format!("{kind}.{group}")
    }
}

/// A cause that says a field may not be given, or not so.
pub(crate) fn forbidden(field: &'static str, message: &str) -> RefusalCause {
    RefusalCause {
        reason: "FieldValueForbidden",
        message: format!("Forbidden: {message}"),
        field: field.to_owned(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: ListMeta<'a>,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details<'a>>,
    code: u16,
}

#[derive(Serialize)]
struct ListMeta<'a> {
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    continue_token: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    causes: &'a [RefusalCause],
    #[serde(skip_serializing_if = "is_zero")]
    retry_after_seconds: u32,
}

impl Details<'_> {
    fn is_empty(&self) -> bool {
        self.name.is_empty()
            && self.group.is_empty()
            && self.kind.is_empty()
            && self.causes.is_empty()
            && self.retry_after_seconds == 0
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
