//! Refusals: the server's `Status`, and the two tables that say what they mean.
//!
//! Does not act: the reflector does, on the [`Recovery`] that [`recovery`] returns for a list or a
//! watch; whoever reads or writes one object does, on the [`Refusal`] that [`refusal`] returns. Codes
//! such as 410 or 429 appear nowhere else.
//!
//! Source: pr 1.5 and 1.7 (rows marked below); rules pr-S1..pr-S6, pr-W10, pr-W11, pr-L6, pr-L7.

use std::time::Duration;

use serde::Deserialize;

/// A Kubernetes `Status`, as far as a client acts on it. Absent fields are empty (pr-F44).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Status {
    /// The HTTP code that the server repeats in the body, 0 if absent.
    #[serde(deserialize_with = "lenient_code")]
    pub code: u16,
    /// The machine-readable reason, such as `Expired`.
    #[serde(deserialize_with = "null_is_default")]
    pub reason: String,
    /// The server's sentence. It may quote names, never bodies.
    #[serde(deserialize_with = "null_is_default")]
    pub message: String,
    /// More, where the reason has more.
    #[serde(deserialize_with = "null_is_default")]
    pub details: Details,
    /// The list metadata, which carries a continue token when a page has expired (pr-L10).
    #[serde(deserialize_with = "null_is_default")]
    pub metadata: StatusMeta,
}

/// The details of a [`Status`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct Details {
    /// Seconds to wait before the next try, 0 if absent.
    pub retry_after_seconds: u32,
    /// The causes.
    #[serde(deserialize_with = "null_is_default")]
    pub causes: Vec<Cause>,
}

/// One cause of a [`Status`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Cause {
    /// The machine-readable reason.
    #[serde(deserialize_with = "null_is_default")]
    pub reason: String,
    /// The sentence.
    #[serde(deserialize_with = "null_is_default")]
    pub message: String,
    /// The field that is at fault.
    #[serde(deserialize_with = "null_is_default")]
    pub field: String,
}

/// The metadata of a [`Status`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct StatusMeta {
    /// A token to go on with at the latest version, inconsistently.
    #[serde(rename = "continue", deserialize_with = "null_is_default")]
    pub continue_token: String,
}

impl Status {
    /// Reads a Status from a body or an ERROR event's object. What is not one yields the code
    /// alone: error bodies may be plain text or a proxy's page (pr-W10, pr-S5).
    #[must_use]
    pub fn parse(code: u16, body: &[u8]) -> Self {
        let mut status: Self = serde_json::from_slice(body).unwrap_or_default();
        if status.code == 0 {
            status.code = code;
        }
        status
    }

    /// Whether one of the causes has this reason.
    #[must_use]
    pub fn has_cause(&self, reason: &str) -> bool {
        let mut causes = self.details.causes.iter();
        causes.any(|cause| cause.reason == reason)
    }

    fn is_too_large_version(&self) -> bool {
        // pr-L7: the reason since 1.19, the message of the fix release, the message before it.
        const TEXT: &str = "Too large resource version";
        self.details
            .causes
            .iter()
            .any(|cause| cause.reason == "ResourceVersionTooLarge" || cause.message.contains(TEXT))
            || (self.reason == "Timeout" && self.message.contains(TEXT))
    }
}

/// Where a refusal came: it decides how an answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the reflector matches every kind of request"
)]
pub enum Asked {
    /// A LIST, or one page of it.
    List,
    /// A plain WATCH.
    Watch,
    /// A WATCH with `sendInitialEvents`.
    WatchList,
}

/// What to do about a refusal: one variant per kind of row of the decision table (pr 1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the reflector matches every row of the table"
)]
pub enum Recovery {
    /// 410: the version is gone. Relist with a consistent read, keep serving meanwhile.
    Expired,
    /// 403: not allowed. Keep serving, say so, try again slowly: RBAC may come back.
    Forbidden,
    /// 404 on a collection: the kind is not served (any more). Keep, say so, try again slowly.
    KindGone,
    /// 406 or 415: the encoding is refused. Fall back to plain JSON for good.
    NotAcceptable,
    /// Another 4xx: this very request is wrong for this server. Back off, then begin anew.
    Rejected,
    /// 5xx: the server is in trouble. Back off, then the same request at the same version.
    ServerTrouble {
        /// What the server asked to wait, already capped.
        retry_after: Option<Duration>,
    },
    /// 429: too many requests. Wait as told, then the same request at the same version.
    Throttled {
        /// What the server asked to wait, already capped.
        retry_after: Option<Duration>,
    },
    /// The version lies in this server's future (504 with a cause). Wait, another connection,
    /// and after a while a consistent list to compare with.
    TooLargeVersion {
        /// What the server asked to wait, already capped.
        retry_after: Option<Duration>,
    },
    /// 401: the credential is not (any longer) good. Load it anew, once at once, then back off.
    Unauthorized,
    /// 400 or 422 on `sendInitialEvents`: this server cannot stream lists. List and watch
    /// instead, and remember it.
    WatchListUnsupported,
}

/// The longest wait that a server may ask for (INV-L5).
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// The decision table's rows for answers: classifies a refusal that came as an HTTP status or as an
/// ERROR event.
///
/// `code` is the HTTP code, or 200 for an ERROR event; `retry_after` is the header's value. The
/// reason is trusted before the code (pr-S1).
#[must_use]
pub fn recovery(
    asked: Asked,
    code: u16,
    status: &Status,
    retry_after: Option<Duration>,
) -> Recovery {
    let retry_after = retry_after_of(status, retry_after);
    if status.is_too_large_version() {
        return Recovery::TooLargeVersion { retry_after };
    }
    let by_reason = code_of(code, status);
    match (by_reason, asked) {
        (410, _) => Recovery::Expired,
        (401, _) => Recovery::Unauthorized,
        (403, _) => Recovery::Forbidden,
        (404, _) => Recovery::KindGone,
        (406 | 415, _) => Recovery::NotAcceptable,
        (400 | 422, Asked::WatchList) => Recovery::WatchListUnsupported,
        (429, _) => Recovery::Throttled { retry_after },
        (300..=499, _) => Recovery::Rejected,
        _ => Recovery::ServerTrouble { retry_after },
    }
}

/// Why a server did not do what was asked of one object: a row for each thing that a writer does
/// about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// 409 of a create: there is an object of that name. Read it, and update it if it is ours.
    AlreadyExists,
    /// 409: the object has changed, another uid or version was meant, or another manager owns a
    /// field. Read it again, and write what then is right.
    Conflict,
    /// 403: not allowed. The operator's to allow; slowly again.
    Forbidden,
    /// 410: what was named is gone for good. Begin anew.
    Gone,
    /// 500: the server is in trouble. Again after a while; it may have acted.
    Internal,
    /// 422: the object breaks a rule of its kind, see the causes. The caller's fault.
    Invalid,
    /// 403 of a create in a namespace that is being deleted. Nothing to be done.
    NamespaceTerminating,
    /// 404: there is no such object, namespace or resource.
    NotFound,
    /// Another answer that is none: the request is wrong for this server. The caller's fault, or a
    /// proxy's.
    Rejected,
    /// 429: too many requests, or a disruption budget. Again after the wait; it has not acted.
    Throttled,
    /// 504, 408, or 500 for want of time. Again after a while; it may have acted.
    Timeout,
    /// 401: the credential is not (any longer) good.
    Unauthorized,
    /// 502 or 503: nobody answers behind the address. Again after a while; it may have acted.
    Unavailable,
}

impl Refusal {
    /// Whether the same request may succeed later, without a change.
    #[must_use]
    pub const fn is_retriable(self) -> bool {
        self.may_have_acted() || matches!(self, Self::Throttled)
    }

    /// Whether the server may have done what was asked all the same: it, or a proxy in front of it,
    /// gave up waiting for the outcome.
    #[must_use]
    pub const fn may_have_acted(self) -> bool {
        matches!(self, Self::Internal | Self::Timeout | Self::Unavailable)
    }
}

/// Classifies the refusal of a request about one object. The reason is trusted before the code
/// (pr-S1), and tells apart what share one.
#[must_use]
pub fn refusal(code: u16, status: &Status) -> Refusal {
    match (status.reason.as_str(), code_of(code, status)) {
        ("AlreadyExists", _) => Refusal::AlreadyExists,
        ("Conflict", _) => Refusal::Conflict,
        ("ServerTimeout", _) => Refusal::Timeout,
        (_, 401) => Refusal::Unauthorized,
        (_, 403) if status.has_cause("NamespaceTerminating") => Refusal::NamespaceTerminating,
        (_, 403) => Refusal::Forbidden,
        (_, 404) => Refusal::NotFound,
        (_, 408 | 504) => Refusal::Timeout,
        (_, 409) => Refusal::Conflict,
        (_, 410) => Refusal::Gone,
        (_, 422) => Refusal::Invalid,
        (_, 429) => Refusal::Throttled,
        (_, 502 | 503) => Refusal::Unavailable,
        (_, 500..) => Refusal::Internal,
        _ => Refusal::Rejected,
    }
}

/// Whether an answer's code says that the server has done what was asked.
#[must_use]
pub const fn is_success(code: u16) -> bool {
    matches!(code, 200..=299)
}

/// Whether an answer's code says that the object is a new one.
#[must_use]
pub const fn is_created(code: u16) -> bool {
    code == 201
}

/// Whether an answer's code says that the server goes on with it after the answer.
#[must_use]
pub const fn is_accepted(code: u16) -> bool {
    code == 202
}

/// The wait that a refusal asks for, from its header or its body, at most [`RETRY_AFTER_MAX`] (pr-S6).
/// No time at all is no wait: whoever took it for one would ask again at once, and for ever.
#[must_use]
pub fn retry_after_of(status: &Status, header: Option<Duration>) -> Option<Duration> {
    let in_body = match status.details.retry_after_seconds {
        0 => None,
        seconds => Some(Duration::from_secs(u64::from(seconds))),
    };
    let header = header.filter(|wait| !wait.is_zero());
    header.or(in_body).map(|wait| wait.min(RETRY_AFTER_MAX))
}

/// The code that a refusal's reason stands for, or else its own.
fn code_of(code: u16, status: &Status) -> u16 {
    match status.reason.as_str() {
        "Expired" | "Gone" => 410,
        "Unauthorized" => 401,
        "Forbidden" => 403,
        "NotFound" => 404,
        "NotAcceptable" => 406,
        "UnsupportedMediaType" => 415,
        "Invalid" => 422,
        "TooManyRequests" => 429,
        "InternalError" | "ServerTimeout" | "StorageReadError" => 500,
        "ServiceUnavailable" => 503,
        "Timeout" => 504,
        _ if status.code != 0 && code == 200 => status.code,
        _ => code,
    }
}

/// Reads a `Retry-After` header: whole seconds as the API server sends them (pr-S6). A date, as
/// some proxies send, or anything else, is no wait at all.
#[must_use]
pub fn parse_retry_after(header: &str) -> Option<Duration> {
    header.trim().parse().ok().map(Duration::from_secs)
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn lenient_code<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let code: Option<i64> = Option::deserialize(deserializer)?;
    Ok(code
        .and_then(|code| u16::try_from(code).ok())
        .unwrap_or_default())
}

#[cfg(test)]
mod tests;
