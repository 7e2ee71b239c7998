//! LIST: how fresh, how much, and where to go on.
//!
//! Does not copy the collection: a page at an older version is the present one with the changes since
//! taken back, key by key, while it is walked. The walk is done on a [`Snapshot`], so whoever serves the
//! state holds it no longer than the taking of one.
//!
//! Cost: a snapshot O(changes since the version), its page O(page + items skipped by selectors, or counted
//! for `remainingItemCount`).
//! Source: apimachinery internalversion/validation.go, storage/{interfaces,continue}.go and
//! storage/etcd3/errors.go @v0.36.3; rules pr-L1..pr-L6, pr-L9, pr-L10, pr-L13, pr-L17, pr-L19, cg-V9,
//! cg-V10.

use std::{
    collections::{BTreeMap, btree_map},
    iter::Peekable,
    ops::{Bound, RangeBounds},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tidings_api::selector::{FieldSelector, LabelSelector};

use super::{
    Collection, State, Stored,
    object::Selection,
    table::{Form, Printer},
    view::View,
};
use crate::{
    kind::{KindRow, Style},
    refusal::{Refusal, RefusalCause, forbidden},
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

/// What a list needs of a state, taken out of it: the page is made without it.
pub struct Snapshot {
    row: Arc<KindRow>,
    view: View,
    selection: Selection,
    objects: Collection,
    /// What was there, under the keys that changed after the version.
    undo: Undo,
    /// The objects come after this key.
    start: Option<String>,
    limit: usize,
    version: u64,
}

/// One page of a list.
pub struct Page {
    /// The objects.
    pub items: Vec<Arc<Stored>>,
    head: Vec<u8>,
    tail: Vec<u8>,
    version: u64,
    meta: Value,
    view: View,
    /// Who writes the items, if they are not shown as they are.
    printer: Option<Printer>,
}

impl Page {
    /// Shows the items in another form, as of a time in seconds since 1970.
    #[must_use]
    pub fn printed(mut self, row: &KindRow, form: Form, now: u64) -> Self {
        let printer = Printer::new(form, row, now);
        if let Some((head, tail)) = printer.envelope(&self.meta) {
            (self.head, self.tail) = (head, tail);
            self.printer = Some(printer);
        }
        self
    }

    /// Says another version than the one that was read: a fault (pr-F14).
    pub fn claim_version(&mut self, version: &str) {
        let truth = format!("\"resourceVersion\":\"{}\"", self.version);
        let lie = format!("\"resourceVersion\":\"{version}\"");
        for part in [&mut self.head, &mut self.tail] {
            // Both were written as text.
            let text = String::from_utf8_lossy(part).replace(&truth, &lie);
            *part = text.into_bytes();
        }
    }

    /// Whether the body has more bytes than these, as long as its items are shown as they are. Looks at no
    /// more items than it takes to know.
    #[must_use]
    pub fn is_longer_than(&self, bytes: usize) -> bool {
        let mut len = self.head.len() + self.tail.len() + self.items.len().saturating_sub(1);
        let mut items = self.items.iter();
        while len <= bytes {
            let Some(item) = items.next() else {
                return false;
            };
            len += self.view.item_bytes_len(item);
        }
        true
    }

    /// The body in pieces of about `bytes`, at least one, so that it need not be built whole.
    pub fn chunks(self, bytes: usize) -> impl Iterator<Item = Vec<u8>> {
        let bytes = bytes.max(1);
        let mut items = self.items.into_iter();
        let (mut head, mut tail) = (Some(self.head), Some(self.tail));
        let mut is_first = true;
        std::iter::from_fn(move || {
            let mut chunk = Vec::with_capacity(bytes + CHUNK_SPARE_BYTES);
            chunk.extend(head.take().unwrap_or_default());
            while chunk.len() < bytes {
                let Some(item) = items.next() else {
                    chunk.extend(tail.take().unwrap_or_default());
                    break;
                };
                if !std::mem::take(&mut is_first) {
                    chunk.push(b',');
                }
                match &self.printer {
                    None => self.view.write_item(&item, &mut chunk),
                    Some(printer) => printer.write_item(&self.view, &item, &mut chunk),
                }
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
        self.snapshot(resource, query).map(Snapshot::page)
    }

    /// What a LIST needs of the state: all that can be refused is refused here.
    ///
    /// # Errors
    ///
    /// As [`State::list`].
    pub fn snapshot(&self, resource: usize, query: &ListQuery) -> Result<Snapshot, Refusal> {
        let selection = self.selection(resource, query)?;
        check(query)?;
        let at = self.read_at(query)?;
        Ok(Snapshot {
            row: self.row(resource),
            view: self.places[resource].view.clone(),
            objects: self.objects(resource).clone(),
            undo: self.undo(resource, &selection, &at),
            selection,
            // pr-L2: a list of whatever the cache has knows no limit.
            limit: if at.any { 0 } else { query.limit },
            start: at.start,
            version: at.version,
        })
    }

    /// What was at a version under the keys that a list covers and that have changed since.
    fn undo(&self, resource: usize, selection: &Selection, at: &ReadAt) -> Undo {
        let range = Range::of(selection, at.start.as_deref());
        let collection = self.places[resource].collection;
        let mut undo = Undo::new();
        for change in self.history.after(at.version) {
            let key = &change.object.key;
            if change.collection == collection && range.contains(key) {
                // The first change after the version knows what was there at it.
                undo.entry(Arc::clone(key))
                    .or_insert_with(|| change.previous.clone());
            }
        }
        undo
    }

    /// The version that a list must see before it can be answered, if that is not there yet: a
    /// server waits for it, up to three seconds, before it gives up with a 504 (pr-L6).
    #[must_use]
    pub fn awaited_version(&self, query: &ListQuery) -> Option<u64> {
        let wanted = parse_version(&query.resource_version).ok()??;
        (query.continue_token.is_empty() && wanted > self.rv).then_some(wanted)
    }

    /// Which version is read, and from where on.
    fn read_at(&self, query: &ListQuery) -> Result<ReadAt, Refusal> {
        let at = |version, any| ReadAt {
            version,
            start: None,
            any,
        };
        if !query.continue_token.is_empty() {
            return self.continued(&query.continue_token);
        }
        let Some(wanted) = parse_version(&query.resource_version)? else {
            return Ok(at(self.rv, false));
        };
        if wanted > self.rv {
            return Err(Refusal::too_large_version(wanted, self.rv));
        }
        // cg-V10: with a limit and no match, the legacy meaning is exactly this version.
        let legacy = query.version_match.is_none() && query.limit > 0 && wanted > 0;
        if query.version_match != Some(Match::Exact) && !legacy {
            return Ok(at(self.rv, wanted == 0));
        }
        if wanted < self.history.compacted() {
            let message = "The resourceVersion for the provided list is too old.";
            return Err(Refusal::new(410, "Expired", message));
        }
        Ok(at(wanted, false))
    }

    fn continued(&self, token: &str) -> Result<ReadAt, Refusal> {
        let (version, start) = decode_token(token)?;
        let Ok(version) = u64::try_from(version) else {
            // pr-L9: below zero it goes on at the latest version.
            return Ok(ReadAt {
                version: self.rv,
                start: Some(start),
                any: false,
            });
        };
        if version > self.rv {
            return Err(Refusal::too_large_version(version, self.rv));
        }
        if version < self.history.compacted() || version < self.tokens_from {
            let mut refusal = Refusal::new(410, "Expired", INCONSISTENT);
            refusal.continue_token = Some(encode_token(-1, &start));
            return Err(refusal);
        }
        Ok(ReadAt {
            version,
            start: Some(start),
            any: false,
        })
    }

    pub(super) fn selection(
        &self,
        resource: usize,
        query: &ListQuery,
    ) -> Result<Selection, Refusal> {
        let bad = |error: &dyn std::fmt::Display| {
            Refusal::bad_request(format!("unable to parse requirement: {error}"))
        };
        let unclear = |text: &str| {
            Refusal::bad_request(format!(
                "invalid selector: '{text}'; can't understand '{text}'"
            ))
        };
        let labels = LabelSelector::parse(&query.label_selector);
        let fields = FieldSelector::parse(&query.field_selector);
        let labels = labels.map_err(|error| bad(&error))?;
        let fields = fields.map_err(|_| unclear(&query.field_selector))?;
        let row = self.kind(resource);
        for term in fields.terms() {
            // An object has a name, and one that lives in a namespace mostly has that.
            let is_known = match term.path() {
                "metadata.name" => true,
                "metadata.namespace" => row.namespaced || row.fields.is_empty(),
                path => row.field(path).is_some(),
            };
            if !is_known {
                return Err(Refusal::bad_request(unknown_field(row, term.path())));
            }
        }
        Ok(Selection::new(query.namespace.clone(), labels, fields))
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// The page in another form, as of a time in seconds since 1970.
    #[must_use]
    pub fn printed(self, form: Form, now: u64) -> Page {
        let row = Arc::clone(&self.row);
        self.page().printed(&row, form, now)
    }

    /// Walks the objects.
    #[must_use]
    pub fn page(self) -> Page {
        let mut items = Vec::new();
        let mut left = 0_u64;
        let mut walk = self.walk();
        while let Some(object) = walk.next() {
            if self.limit > 0 && items.len() == self.limit {
                if self.selection.is_of_one(&self.row) {
                    break;
                }
                // pr-L13: with a selector the rest is not counted, nor is it looked at: that there is any is
                // enough.
                left = 1;
                if self.selection.is_everything() {
                    left += walk.by_ref().count() as u64;
                }
                break;
            }
            if self.selection.matches(&self.row, object) {
                items.push(Arc::clone(object));
            }
        }
        drop(walk);
        let last = items.last().filter(|_| left > 0);
        let token = last.map(|last| encode_token(self.version.cast_signed(), &last.key));
        let remaining = (left > 0 && self.selection.is_everything()).then_some(left);
        let meta = list_meta(self.version, token, remaining);
        let (head, tail) = envelope(&self.row, &meta);
        Page {
            items,
            head,
            tail,
            version: self.version,
            meta,
            printer: None,
            view: self.view,
        }
    }

    /// The objects of a namespace, or all, as they were at the version, in key order, those after the start
    /// only.
    fn walk(&self) -> impl Iterator<Item = &Arc<Stored>> {
        let range = Range::of(&self.selection, self.start.as_deref());
        Walk {
            present: range
                .is_some()
                .then(|| self.objects.range::<_, str>(range.bounds()).peekable()),
            past: self.undo.iter().peekable(),
        }
    }
}

/// The keys of a namespace, or all, those after a start only.
struct Range {
    from: Bound<String>,
    to: Bound<String>,
}

impl Range {
    fn of(selection: &Selection, start: Option<&str>) -> Self {
        let namespace = selection.namespace.as_ref();
        Self {
            from: match (start, namespace) {
                (Some(start), _) => Bound::Excluded(start.to_owned()),
                (None, Some(name)) => Bound::Included(format!("{name}/")),
                (None, None) => Bound::Unbounded,
            },
            // '0' follows the slash: the first key after those of the namespace.
            to: namespace.map_or(Bound::Unbounded, |name| Bound::Excluded(format!("{name}0"))),
        }
    }

    /// Whether any key could be in it: a start may be behind the namespace.
    fn is_some(&self) -> bool {
        match self.bounds() {
            (Bound::Excluded(from) | Bound::Included(from), Bound::Excluded(to)) => from < to,
            _ => true,
        }
    }

    fn contains(&self, key: &str) -> bool {
        RangeBounds::<str>::contains(&self.bounds(), key)
    }

    fn bounds(&self) -> (Bound<&str>, Bound<&str>) {
        let (from, to) = (self.from.as_ref(), self.to.as_ref());
        (from.map(String::as_str), to.map(String::as_str))
    }
}

/// What was at a version under the keys that have changed since.
type Undo = BTreeMap<Arc<str>, Option<Arc<Stored>>>;

/// Two sorted walks merged: the present objects, and those that differed at the version asked for.
struct Walk<'a, I: Iterator> {
    present: Option<Peekable<I>>,
    past: Peekable<btree_map::Iter<'a, Arc<str>, Option<Arc<Stored>>>>,
}

impl<'a, I> Iterator for Walk<'a, I>
where
    I: Iterator<Item = (&'a Arc<str>, &'a Arc<Stored>)>,
{
    type Item = &'a Arc<Stored>;

    fn next(&mut self) -> Option<&'a Arc<Stored>> {
        let present = self.present.as_mut()?;
        loop {
            let Some((then, _)) = self.past.peek() else {
                return present.next().map(|(_, object)| object);
            };
            let now = present.peek().map(|(key, _)| *key);
            if now.is_some_and(|now| now < *then) {
                return present.next().map(|(_, object)| object);
            }
            if now == Some(*then) {
                present.next();
            }
            if let Some((_, Some(object))) = self.past.next() {
                return Some(object);
            }
        }
    }
}

/// Where a list reads.
struct ReadAt {
    version: u64,
    /// The last key of the page before.
    start: Option<String>,
    /// Whether any version would have done.
    any: bool,
}

/// The options that the server refuses together (pr-L4, pr-L5, cg-V9).
fn check(query: &ListQuery) -> Result<(), Refusal> {
    let mut causes = Vec::new();
    if query.send_initial_events {
        let why = "sendInitialEvents is forbidden for list";
        causes.push(forbidden("sendInitialEvents", why));
    }
    if query.version_match.is_some() {
        causes.extend(match_faults(query));
        if query.version_match == Some(Match::Exact) && query.resource_version == "0" {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            causes.push(forbidden("resourceVersionMatch", why));
        }
    }
    if !causes.is_empty() {
        return Err(Refusal::invalid("ListOptions", "meta.k8s.io", "", causes));
    }
    let is_set = !query.resource_version.is_empty() && query.resource_version != "0";
    if !query.continue_token.is_empty() && is_set {
        let message = "specifying resource version is not allowed when using continue";
        return Err(Refusal::bad_request(message));
    }
    Ok(())
}

/// What a match, whichever, does not go with.
pub(crate) fn match_faults(query: &ListQuery) -> Vec<RefusalCause> {
    let mut causes = Vec::new();
    let field = "resourceVersionMatch";
    if query.resource_version.is_empty() {
        let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        causes.push(forbidden(field, why));
    }
    if !query.continue_token.is_empty() {
        let why = "resourceVersionMatch is forbidden when continue is provided";
        causes.push(forbidden(field, why));
    }
    causes
}

pub(super) fn parse_version(text: &str) -> Result<Option<u64>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.parse().map(Some);
    parsed.map_err(|_| {
        Refusal::bad_request(format!("invalid resource version: {}", not_a_version(text)))
    })
}

/// Kinds that convert their fields have words of their own.
fn unknown_field(row: &KindRow, path: &str) -> String {
    match (&*row.group, row.fields.is_empty()) {
        _ if row.is_custom() => format!("field label not supported: {path}"),
        ("" | "events.k8s.io", false) => format!("field label not supported: {path}"),
        ("batch", false) => format!("field label \"{path}\" not supported for {}", row.kind),
        _ => {
            let known: String = row
                .fields
                .iter()
                .map(|field| format!(", \"{}\"", field.path))
                .collect();
            format!(
                "\"{path}\" is not a known field selector: only \"metadata.name\", \
                 \"metadata.namespace\"{known}"
            )
        }
    }
}

/// What is said of a text that is no version.
pub(crate) fn not_a_version(text: &str) -> String {
    format!(
        "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
    )
}

fn list_meta(version: u64, token: Option<String>, remaining: Option<u64>) -> Value {
    let mut meta = json!({ "resourceVersion": version.to_string() });
    if let Some(token) = token {
        meta["continue"] = token.into();
    }
    if let Some(remaining) = remaining {
        meta["remainingItemCount"] = remaining.into();
    }
    meta
}

/// Head and tail of the body, in the order of the kind's encoder (pr-L17).
fn envelope(row: &KindRow, meta: &Value) -> (Vec<u8>, Vec<u8>) {
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

/// pr-L9: the start is the first key that is not before the next page, so it ends with a NUL.
fn encode_token(version: i64, last: &str) -> String {
    let start = format!("{last}\0");
    let token = json!({ "v": TOKEN_VERSION, "rv": version, "start": start });
    URL_SAFE_NO_PAD.encode(token.to_string())
}

fn decode_token(token: &str) -> Result<(i64, String), Refusal> {
    let bad = || {
        let message = "invalid continue token: continue key is not valid";
        Refusal::bad_request(message)
    };
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| bad())?;
    let token: Value = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    let start = token["start"].as_str().ok_or_else(bad)?;
    let version = token["rv"].as_i64().ok_or_else(bad)?;
    // A start that names another level of the hierarchy is no start in this list.
    let is_clean = start
        .split('/')
        .all(|part| !matches!(part, "" | "." | ".."));
    if token["v"] != TOKEN_VERSION || version == 0 || !is_clean {
        return Err(bad());
    }
    let start = start.strip_suffix('\0').unwrap_or(start);
    Ok((version, start.to_owned()))
}

/// Room in a chunk for the end of its last object, so that it seldom grows.
const CHUNK_SPARE_BYTES: usize = 8 << 10;

const TOKEN_VERSION: &str = "meta.k8s.io/v1";

const INCONSISTENT: &str = "The provided continue parameter is too old to display a consistent list \
    result. You can start a new list without the continue parameter, or use the continue token in \
    this response to retrieve the remainder of the results. Continuing with the provided token \
    results in an inconsistent list - objects that were created, modified, or deleted between the \
    time the first chunk was returned and now may show up in the list.";
