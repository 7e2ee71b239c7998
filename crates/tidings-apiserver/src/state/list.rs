//! LIST: how fresh, how much, and where to go on.
//!
//! Source: rules pr-L1..pr-L6, pr-L9, pr-L10, pr-L13, pr-L17, pr-L19; cg-V9, cg-V10.

use std::{ops::Bound, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use tidings_api::selector::{FieldSelector, LabelSelector};

use super::{State, Stored, object::Selection};
use crate::{
    kind::{KindRow, Style},
    refusal::{Refusal, forbidden},
};

/// The query of a LIST, as it stands in the URL.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the query parameters of the protocol"
)]
pub struct ListQuery {
    /// The namespace of the path, if it has one.
    pub namespace: Option<String>,
    /// `labelSelector`.
    pub label_selector: String,
    /// `fieldSelector`.
    pub field_selector: String,
    /// `resourceVersion`.
    pub resource_version: String,
    /// `resourceVersionMatch`.
    pub version_match: Option<Match>,
    /// `limit`, 0 for none.
    pub limit: usize,
    /// `continue`.
    pub continue_token: String,
    /// `sendInitialEvents`, which a list may not have (pr-L4).
    pub send_initial_events: bool,
}

/// `resourceVersionMatch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the protocol's own list")]
pub enum Match {
    /// Exactly this version.
    Exact,
    /// This version or a later one.
    NotOlderThan,
}

/// One page of a list.
pub struct Page {
    /// The objects.
    pub items: Vec<Arc<Stored>>,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Page {
    /// The body in pieces of about `bytes`, so that it need not be built whole.
    pub fn chunks(self, bytes: usize) -> impl Iterator<Item = Vec<u8>> {
        let mut items = self.items.into_iter();
        let (mut head, mut tail) = (Some(self.head), Some(self.tail));
        let mut is_first = true;
        std::iter::from_fn(move || {
            let mut chunk = head.take().unwrap_or_default();
            while chunk.len() < bytes {
                let Some(item) = items.next() else {
                    chunk.extend(tail.take().unwrap_or_default());
                    break;
                };
                if !std::mem::take(&mut is_first) {
                    chunk.push(b',');
                }
                item.write_item(&mut chunk);
            }
            (!chunk.is_empty()).then_some(chunk)
        })
    }
}

impl State {
    /// Answers a LIST.
    ///
    /// # Errors
    ///
    /// The [`Refusal`] that a server gives: bad parameters, a version of the future, an expired
    /// continue token.
    pub fn list(&self, resource: usize, query: &ListQuery) -> Result<Page, Refusal> {
        let row = self.kind(resource);
        let selection = self.selection(resource, query)?;
        check(row, query)?;
        let (version, start) = if query.continue_token.is_empty() {
            (self.list_version(query)?, None)
        } else {
            let (version, start) = decode_token(&query.continue_token)?;
            (version, Some(start))
        };
        let exact = start.is_some() || query.version_match == Some(Match::Exact);
        if exact && version < self.compacted {
            let message = "The provided continue parameter is too old to display a consistent \
                           list result.";
            let mut refusal = Refusal::new(410, "Expired", message);
            refusal.continue_token = start.map(|start| encode_token(self.rv, &start));
            return Err(refusal);
        }
        let version = if exact { version } else { self.rv };
        let objects = self.objects_at(resource, version);
        let from = start.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut items = Vec::new();
        let (mut last, mut left) = (String::new(), 0_u64);
        for (key, object) in objects.range::<str, _>((from, Bound::Unbounded)) {
            if !selection.matches(row, object) {
                continue;
            }
            if query.limit > 0 && items.len() == query.limit {
                left += 1;
                continue;
            }
            last.clone_from(key);
            items.push(Arc::clone(object));
        }
        let token = (left > 0).then(|| encode_token(version, &last));
        let remaining = (left > 0 && selection.is_everything()).then_some(left);
        let (head, tail) = envelope(row, version, token, remaining);
        Ok(Page { items, head, tail })
    }

    pub(super) fn selection(
        &self,
        resource: usize,
        query: &ListQuery,
    ) -> Result<Selection, Refusal> {
        let bad = |what: &str, error: &dyn std::fmt::Display| {
            Refusal::bad_request(format!("unable to parse {what}: {error}"))
        };
        let labels = LabelSelector::parse(&query.label_selector);
        let fields = FieldSelector::parse(&query.field_selector);
        let labels = labels.map_err(|error| bad("labelSelector", &error))?;
        let fields = fields.map_err(|error| bad("fieldSelector", &error))?;
        for term in fields.terms() {
            let path = term.path();
            let known = matches!(path, "metadata.name" | "metadata.namespace");
            if !known && self.kind(resource).field(path).is_none() {
                let message = format!("field label not supported: {path}");
                return Err(Refusal::bad_request(message));
            }
        }
        Ok(Selection {
            namespace: query.namespace.clone(),
            labels,
            fields,
        })
    }

    fn list_version(&self, query: &ListQuery) -> Result<u64, Refusal> {
        let wanted = parse_version(&query.resource_version)?.unwrap_or(0);
        if wanted > self.rv {
            return Err(Refusal::too_large_version(wanted, self.rv));
        }
        Ok(if query.version_match == Some(Match::Exact) {
            wanted
        } else {
            self.rv
        })
    }

    /// The objects as they were at a version that the history still reaches.
    fn objects_at(&self, resource: usize, version: u64) -> super::Collection {
        let mut objects = self.collections[resource].clone();
        for change in self
            .history
            .iter()
            .rev()
            .take_while(|change| change.rv > version)
        {
            if change.resource != resource {
                continue;
            }
            match &change.previous {
                Some(previous) => objects.insert(previous.key.clone(), Arc::clone(previous)),
                None => objects.remove(&change.object.key),
            };
        }
        objects
    }
}

/// The options that the server refuses together (pr-L4, pr-L5, cg-V9).
fn check(row: &KindRow, query: &ListQuery) -> Result<(), Refusal> {
    let is_set = !query.resource_version.is_empty() && query.resource_version != "0";
    if !query.continue_token.is_empty() && is_set {
        let message = "specifying resource version is not allowed when using continue";
        return Err(Refusal::bad_request(message));
    }
    let mut causes = Vec::new();
    if query.send_initial_events {
        causes.push(forbidden(
            "sendInitialEvents",
            "sendInitialEvents is forbidden for list",
        ));
    }
    if query.version_match.is_some() {
        let field = "resourceVersionMatch";
        if !query.continue_token.is_empty() {
            let why = "resourceVersionMatch is forbidden when continue is provided";
            causes.push(forbidden(field, why));
        } else if query.resource_version.is_empty() {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            causes.push(forbidden(field, why));
        } else if query.version_match == Some(Match::Exact) && query.resource_version == "0" {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            causes.push(forbidden(field, why));
        }
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid(
        "ListOptions",
        "meta.k8s.io",
        &row.plural,
        causes,
    ))
}

pub(super) fn parse_version(text: &str) -> Result<Option<u64>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.parse().map(Some);
    parsed.map_err(|_| Refusal::bad_request(format!("invalid resource version: {text:?}")))
}

/// Head and tail of the body, in the order of the kind's encoder (pr-L17).
fn envelope(
    row: &KindRow,
    version: u64,
    token: Option<String>,
    remaining: Option<u64>,
) -> (Vec<u8>, Vec<u8>) {
    let mut meta = json!({ "resourceVersion": version.to_string() });
    if let Some(token) = token {
        meta["continue"] = token.into();
    }
    if let Some(remaining) = remaining {
        meta["remainingItemCount"] = remaining.into();
    }
    let (kind, api) = (format!("{}List", row.kind), row.api_version());
    match row.style {
        Style::Typed => {
            let head =
                format!(r#"{{"kind":"{kind}","apiVersion":"{api}","metadata":{meta},"items":["#);
            (head.into_bytes(), b"]}\n".to_vec())
        }
        Style::Custom => (
            format!(r#"{{"apiVersion":"{api}","items":["#).into_bytes(),
            format!("],\"kind\":\"{kind}\",\"metadata\":{meta}}}\n").into_bytes(),
        ),
    }
}

fn encode_token(version: u64, start: &str) -> String {
    let token = json!({ "v": "meta.k8s.io/v1", "rv": version, "start": start });
    URL_SAFE_NO_PAD.encode(token.to_string())
}

fn decode_token(token: &str) -> Result<(u64, String), Refusal> {
    let bad = || Refusal::bad_request("continue key is not valid");
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| bad())?;
    let token: serde_json::Value = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    let start = token["start"].as_str().ok_or_else(bad)?;
    Ok((token["rv"].as_u64().ok_or_else(bad)?, start.to_owned()))
}
