//! The query of a list or watch: read, defaulted and validated as the server does.
//!
//! Source: apimachinery internalversion/{defaults,validation}.go, storage/interfaces.go @v0.36.3;
//! rules pr-L2..pr-L5, pr-W1, pr-W13, pr-S3, cg-V8..cg-V10.

use std::time::Duration;

use tidings_api::selector::{FieldSelector, LabelSelector};

use super::{WatchListMode, token::Token};
use crate::refusal::{Refusal, RefusalCause, forbidden};

/// The options as they stand in the query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params {
    pub(crate) watch: bool,
    pub(crate) allow_bookmarks: bool,
    pub(crate) labels: LabelSelector,
    pub(crate) fields: FieldSelector,
    pub(crate) resource_version: String,
    pub(crate) version_match: String,
    pub(crate) send_initial_events: Option<bool>,
    pub(crate) limit: usize,
    pub(crate) continue_token: String,
    pub(crate) timeout: Option<Duration>,
}

/// At which version a list is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListAt {
    /// Whatever the cache has (pr-L2).
    Any,
    /// The most recent (pr-L1).
    Consistent,
    /// Exactly this one.
    Exact(u64),
    /// This one or a later one.
    NotOlderThan(u64),
}

impl Params {
    /// Reads the options and refuses those that the server refuses.
    pub(crate) fn read(query: &str, mode: WatchListMode) -> Result<Self, Refusal> {
        let mut params = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            params.set(&name, &value)?;
        }
        if mode == WatchListMode::Ignored && params.watch {
            params.send_initial_events = None;
            params.version_match.clear();
        }
        params.apply_defaults(mode);
        let causes = if params.watch {
            params.watch_causes(mode)
        } else {
            params.list_causes()
        };
        if causes.is_empty() {
            Ok(params)
        } else {
            Err(Refusal::invalid("ListOptions", "meta.k8s.io", "", causes))
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let selector_error = |error| Refusal::bad_request(format!("{error}"));
        match name {
            "watch" => self.watch = flag(value),
            "allowWatchBookmarks" => self.allow_bookmarks = flag(value),
            "labelSelector" => {
                self.labels = LabelSelector::parse(value).map_err(selector_error)?;
            }
            "fieldSelector" => {
                self.fields = FieldSelector::parse(value).map_err(selector_error)?;
            }
            "resourceVersion" => value.clone_into(&mut self.resource_version),
            "resourceVersionMatch" => value.clone_into(&mut self.version_match),
            "sendInitialEvents" => self.send_initial_events = Some(flag(value)),
            "limit" => self.limit = number(name, value)?,
            "continue" => value.clone_into(&mut self.continue_token),
            "timeoutSeconds" => {
                let seconds = u64::try_from(number(name, value)?).unwrap_or(u64::MAX);
                self.timeout = (seconds > 0).then_some(Duration::from_secs(seconds));
            }
            _ => {}
        }
        Ok(())
    }

    /// pr-W13, cg-V8: an old-style watch becomes a WatchList.
    fn apply_defaults(&mut self, mode: WatchListMode) {
        let legacy = matches!(self.resource_version.as_str(), "" | "0");
        let unset = self.send_initial_events.is_none() && self.version_match.is_empty();
        if mode == WatchListMode::On && self.watch && legacy && unset {
            self.send_initial_events = Some(true);
            NOT_OLDER_THAN.clone_into(&mut self.version_match);
        }
    }

    fn list_causes(&self) -> Vec<RefusalCause> {
        const FIELD: &str = "resourceVersionMatch";
        let mut causes = Vec::new();
        let version_match = self.version_match.as_str();
        if !version_match.is_empty() {
            if self.resource_version.is_empty() {
                let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                causes.push(forbidden(FIELD, why));
            }
            if !self.continue_token.is_empty() {
                let why = "resourceVersionMatch is forbidden when continue is provided";
                causes.push(forbidden(FIELD, why));
            }
            if !matches!(version_match, EXACT | NOT_OLDER_THAN) {
                causes.push(unsupported(version_match, "\"Exact\", \"NotOlderThan\", \"\""));
            }
            if version_match == EXACT && self.resource_version == "0" {
                let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                causes.push(forbidden(FIELD, why));
            }
        }
        if self.send_initial_events.is_some() {
            let why = "sendInitialEvents is forbidden for list";
            causes.push(forbidden("sendInitialEvents", why));
        }
        causes
    }

    fn watch_causes(&self, mode: WatchListMode) -> Vec<RefusalCause> {
        const FIELD: &str = "resourceVersionMatch";
        let mut causes = Vec::new();
        let version_match = self.version_match.as_str();
        if self.send_initial_events.is_some() {
            if version_match != NOT_OLDER_THAN {
                let why =
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                causes.push(forbidden(FIELD, why));
            }
            if mode == WatchListMode::Refused {
                let why = "sendInitialEvents is forbidden for watch unless the WatchList feature \
                           gate is enabled";
                causes.push(forbidden("sendInitialEvents", why));
            }
        }
        if !version_match.is_empty() {
            if self.send_initial_events.is_none() {
                let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents \
                           is provided";
                causes.push(forbidden(FIELD, why));
            }
            if version_match != NOT_OLDER_THAN {
                causes.push(unsupported(version_match, "\"NotOlderThan\""));
            }
            if !self.continue_token.is_empty() {
                let why = "resourceVersionMatch is forbidden when continue is provided";
                causes.push(forbidden(FIELD, why));
            }
        }
        causes
    }

    /// The token, if the list goes on; refuses a version beside it (pr-L5).
    pub(crate) fn token(&self) -> Result<Option<Token>, Refusal> {
        if self.continue_token.is_empty() {
            return Ok(None);
        }
        let token = Token::decode(&self.continue_token).map_err(Refusal::bad_request)?;
        if !matches!(self.resource_version.as_str(), "" | "0") {
            let why = "specifying resource version is not allowed when using continue";
            return Err(Refusal::bad_request(why));
        }
        Ok(Some(token))
    }

    /// The version of a list that does not go on (pr-L1..pr-L3).
    pub(crate) fn list_at(&self) -> Result<ListAt, Refusal> {
        let rv = self.parsed_version()?;
        Ok(match (rv, self.version_match.as_str()) {
            (None, _) => ListAt::Consistent,
            (Some(rv), EXACT) => ListAt::Exact(rv),
            (Some(0), _) => ListAt::Any,
            // cg-V10: with a limit and no match, the legacy meaning is exactly this version.
            (Some(rv), "") if self.limit > 0 => ListAt::Exact(rv),
            (Some(rv), _) => ListAt::NotOlderThan(rv),
        })
    }

    pub(crate) fn parsed_version(&self) -> Result<Option<u64>, Refusal> {
        let text = self.resource_version.as_str();
        if text.is_empty() {
            return Ok(None);
        }
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(rv) if digits => Ok(Some(rv)),
            _ => Err(Refusal::bad_request(format!(
                "invalid resource version: resourceVersion: Invalid value: \"{text}\": \
                 strconv.ParseUint: parsing \"{text}\": invalid syntax"
            ))),
        }
    }
}

/// pr-W1: every value but these two is true.
fn flag(value: &str) -> bool {
    !matches!(value, "false" | "0")
}

fn number(name: &str, value: &str) -> Result<usize, Refusal> {
    let negative = value.starts_with('-') && value[1..].bytes().all(|byte| byte.is_ascii_digit());
    match value.parse() {
        Ok(number) => Ok(number),
        Err(_) if value.is_empty() || negative => Ok(0),
        Err(_) => Err(Refusal::bad_request(format!(
            "strconv.ParseInt: parsing \"{value}\": invalid syntax ({name})"
        ))),
    }
}

fn unsupported(value: &str, supported: &str) -> RefusalCause {
    RefusalCause {
        reason: "FieldValueNotSupported",
        message: format!("Unsupported value: \"{value}\": supported values: {supported}"),
        field: "resourceVersionMatch",
    }
}

const EXACT: &str = "Exact";
const NOT_OLDER_THAN: &str = "NotOlderThan";
