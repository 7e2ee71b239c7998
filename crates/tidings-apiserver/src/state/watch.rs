//! WATCH: a cursor on the history that turns changes into frames.
//!
//! Does not buffer: a watch that falls behind the history's beginning is ended, without a word, as a
//! server ends a slow one (pr-W18, cg-V5); one that begins behind it meets 410.
//!
//! Source: rules pr-W1, pr-W11, pr-W13..W16, pr-E1..E5, pr-E9..E11b, pr-S3; cg-V1, cg-V4..V8.

use std::sync::Arc;

use serde_json::json;
use tidings_api::frame::EventKind;

use super::{
    State, Stored,
    history::Change,
    list::{ListQuery, Match, not_a_version, parse_version},
    object::Selection,
    table::{Form, Printer},
};
use crate::refusal::{Refusal, RefusalCause, forbidden};

/// How a server treats `sendInitialEvents`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "servers do one of these")]
pub enum WatchListSupport {
    /// As servers since 1.34 do.
    #[default]
    On,
    /// 422, as servers with the feature off (pr-S3).
    Refused,
    /// As servers that do not know the parameter: it is not seen.
    Ignored,
}

/// The query of a WATCH.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the query parameters of the protocol"
)]
pub struct WatchQuery {
    /// What lists and watches have in common.
    pub list: ListQuery,
    /// `allowWatchBookmarks`.
    pub bookmarks: bool,
    /// `sendInitialEvents`, where it is given.
    pub send_initial_events: Option<bool>,
}

/// A watch in progress.
pub struct Watch {
    resource: usize,
    selection: Selection,
    bookmarks: bool,
    /// Everything up to here has been sent.
    sent: u64,
    start: u64,
    initial: Option<Initial>,
    /// What is wrong with the version: said first, and then the stream ends (pr-W11).
    refusal: Option<Refusal>,
    begun: bool,
    ended: bool,
    /// Who writes the objects, if they are not shown as they are.
    printer: Option<Printer>,
    /// Whether a table has named its columns.
    headed: bool,
}

struct Initial {
    objects: Vec<Arc<Stored>>,
    next: usize,
    version: u64,
    end_bookmark: bool,
}

/// What a watch did in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a step ends in one of these ways")]
pub enum WatchStep {
    /// The stream is over.
    Ended,
    /// Nothing more to send before something changes.
    Level,
    /// There is more to send.
    More,
}

impl State {
    /// Opens a WATCH.
    ///
    /// # Errors
    ///
    /// The [`Refusal`] of bad parameters. What is wrong with the version comes in the stream.
    pub fn watch(
        &self,
        resource: usize,
        query: &WatchQuery,
        support: WatchListSupport,
    ) -> Result<Watch, Refusal> {
        let selection = self.selection(resource, &query.list)?;
        let version = parse_version(&query.list.resource_version);
        // A list says 400 of the same.
        let version = version
            .map_err(|_| Refusal::new(500, "", not_a_version(&query.list.resource_version)))?;
        let legacy = version.unwrap_or(0) == 0;
        let mut asked = query.send_initial_events.unwrap_or(false);
        match support {
            WatchListSupport::On => {
                check(query)?;
                // pr-W13: without a version and without a word the server promotes the watch.
                let is_silent =
                    query.send_initial_events.is_none() && query.list.version_match.is_none();
                asked |= legacy && is_silent;
            }
            WatchListSupport::Refused if query.send_initial_events.is_some() => {
                let why = "sendInitialEvents is forbidden for watch unless the WatchList feature \
                           gate is enabled";
                let causes = vec![forbidden("sendInitialEvents", why)];
                return Err(Refusal::invalid("ListOptions", "meta.k8s.io", "", causes));
            }
            WatchListSupport::Refused | WatchListSupport::Ignored => asked = false,
        }
        let wants_initial = asked || (legacy && query.send_initial_events != Some(false));
        let start = if legacy || asked {
            self.rv
        } else {
            version.unwrap_or(0)
        };
        // pr-W16: with initial events a version of the future is an error; without, it is not (W15).
        let wanted = version.unwrap_or(0);
        let since = self.places[resource].since;
        let refusal = if asked && wanted > self.rv {
            Some(Refusal::too_large_version(wanted, self.rv))
        } else if wanted > 0 && !asked && wanted < since {
            // pr-N8: a kind that was defined anew has a history of its own.
            let message = format!("too old resource version: {wanted} ({since})");
            Some(Refusal::new(410, "Expired", message))
        } else {
            None
        };
        let initial = wants_initial.then(|| self.initial(resource, &selection, asked, query));
        Ok(Watch {
            resource,
            selection,
            bookmarks: query.bookmarks,
            sent: start,
            start,
            initial,
            refusal,
            begun: false,
            ended: false,
            printer: None,
            headed: false,
        })
    }

    fn initial(
        &self,
        resource: usize,
        selection: &Selection,
        asked: bool,
        query: &WatchQuery,
    ) -> Initial {
        let row = self.kind(resource);
        let selected = |object: &&Arc<Stored>| selection.matches(row, object);
        Initial {
            // pr-E9: in key order, not in the order of versions.
            objects: self
                .objects(resource)
                .values()
                .filter(selected)
                .cloned()
                .collect(),
            next: 0,
            version: self.rv,
            end_bookmark: asked && query.bookmarks,
        }
    }
}

impl Watch {
    /// Shows the objects in another form.
    #[must_use]
    pub fn printed(mut self, state: &State, form: Form) -> Self {
        let printer = Printer::new(form, state.kind(self.resource), 0);
        self.printer = (!printer.is_plain()).then_some(printer);
        self
    }

    /// Says what time it is, in seconds since 1970, for those who show ages.
    pub fn at(&mut self, now: u64) {
        if let Some(printer) = &mut self.printer {
            printer.now = now;
        }
    }

    /// Appends frames to `out` until it has about `bytes`, and says how it stands.
    pub fn step(&mut self, state: &State, bytes: usize, out: &mut Vec<u8>) -> WatchStep {
        if self.ended {
            return WatchStep::Ended;
        }
        if let Some(refusal) = self.refusal.take() {
            return self.refuse(&refusal, out);
        }
        self.begun |= self.initial.is_some();
        while let Some(initial) = &mut self.initial {
            if out.len() >= bytes {
                return WatchStep::More;
            }
            if let Some(object) = initial.objects.get(initial.next) {
                initial.next += 1;
                let object = Arc::clone(object);
                self.write(state, "ADDED", &object, out);
                continue;
            }
            let (version, end_bookmark) = (initial.version, initial.end_bookmark);
            self.initial = None;
            if end_bookmark {
                self.write_bookmark(state, version, true, out);
            }
        }
        let changes = match state.changes_after(self.sent) {
            Ok(changes) => changes,
            Err(_) if self.begun => {
                self.ended = true;
                return WatchStep::Ended;
            }
            Err(refusal) => return self.refuse(&refusal, out),
        };
        self.begun = true;
        let place = &state.places[self.resource];
        for change in changes {
            if out.len() >= bytes {
                return WatchStep::More;
            }
            self.sent = change.rv;
            if change.collection == place.collection {
                self.tell(state, change, out);
            }
        }
        // Its definition is gone: the deletions were told, and nothing more will come.
        if !place.served {
            self.ended = true;
            return WatchStep::Ended;
        }
        WatchStep::Level
    }

    /// Never sends the bookmark that ends the initial events: a fault (pr-F15).
    pub fn forget_end_bookmark(&mut self) {
        if let Some(initial) = &mut self.initial {
            initial.end_bookmark = false;
        }
    }

    /// Whether initial events were asked for, so that the stream may be compressed (pr-W7).
    #[must_use]
    pub fn is_watch_list(&self) -> bool {
        self.initial
            .as_ref()
            .is_some_and(|initial| initial.end_bookmark)
    }

    /// pr-W11: after the start of a watch errors are events.
    fn refuse(&mut self, refusal: &Refusal, out: &mut Vec<u8>) -> WatchStep {
        self.ended = true;
        frame(out, "ERROR", |out| out.extend(refusal.to_json()));
        WatchStep::Ended
    }

    /// A bookmark of the present version, if this watch may have one (pr-E11b): none unless it was
    /// asked for, none at or below the version that the watch began at, none before it is level.
    pub fn bookmark(&mut self, state: &State, out: &mut Vec<u8>) {
        let is_due = self.bookmarks && self.initial.is_none() && !self.ended;
        if is_due && state.rv > self.start && state.rv >= self.sent {
            self.write_bookmark(state, state.rv, false, out);
        }
    }

    fn write(&mut self, state: &State, kind: &str, object: &Stored, out: &mut Vec<u8>) {
        let view = &state.places[self.resource].view;
        let has_head = !std::mem::replace(&mut self.headed, true);
        frame(out, kind, |out| match &self.printer {
            None => view.write_full(object, out),
            Some(printer) => printer.write_full(view, object, has_head, out),
        });
    }

    fn write_bookmark(&mut self, state: &State, version: u64, is_end: bool, out: &mut Vec<u8>) {
        let Some(printer) = &self.printer else {
            return bookmark(state, self.resource, version, is_end, out);
        };
        let mut meta = json!({ "resourceVersion": version.to_string() });
        if is_end {
            meta["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let has_head = !std::mem::replace(&mut self.headed, true);
        let object = printer.bookmark(&meta, has_head).unwrap_or_default();
        frame(out, "BOOKMARK", |out| out.extend(object));
    }

    /// One change as this watch's selection sees it (pr-E3).
    fn tell(&mut self, state: &State, change: &Change, out: &mut Vec<u8>) {
        let row = state.kind(self.resource);
        let place = &state.places[self.resource];
        let selects = |object: &Stored| self.selection.matches(row, object);
        let before = change.previous.as_deref().is_some_and(selects);
        let after = change.kind != EventKind::Deleted && selects(&change.object);
        match (before, after) {
            (false, false) => {}
            (false, true) => self.write(state, "ADDED", &change.object, out),
            (true, true) => self.write(state, "MODIFIED", &change.object, out),
            // pr-E2: the previous state, at the version of the change; a deletion was recorded so.
            (true, false) if change.kind == EventKind::Deleted => {
                self.write(state, "DELETED", &change.object, out);
            }
            (true, false) => {
                let previous = change.previous.as_ref().unwrap_or(&change.object);
                let gone = previous.at(&state.kinds[place.storage], change.rv);
                self.write(state, "DELETED", &gone, out);
            }
        }
    }
}

/// pr-L4 for watches: initial events need `NotOlderThan`, and a match goes with what it goes with in lists.
fn check(query: &WatchQuery) -> Result<(), Refusal> {
    let field = "resourceVersionMatch";
    let (initial, list) = (query.send_initial_events, &query.list);
    // pr-W13: what the server adds by itself is checked with the rest.
    let is_promoted = initial.is_none()
        && list.version_match.is_none()
        && matches!(list.resource_version.as_str(), "" | "0");
    let mut causes = Vec::new();
    if initial.is_some() && list.version_match != Some(Match::NotOlderThan) {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        causes.push(forbidden(field, why));
    }
    if list.version_match.is_some() && initial.is_none() {
        let why =
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        causes.push(forbidden(field, why));
    }
    if list.version_match == Some(Match::Exact) {
        let message = "Unsupported value: \"Exact\": supported values: \"NotOlderThan\"".to_owned();
        causes.push(RefusalCause::new("FieldValueNotSupported", message, field));
    }
    if (is_promoted || list.version_match.is_some()) && !list.continue_token.is_empty() {
        let why = "resourceVersionMatch is forbidden when continue is provided";
        causes.push(forbidden(field, why));
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid("ListOptions", "meta.k8s.io", "", causes))
}

fn frame(out: &mut Vec<u8>, kind: &str, object: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(br#"{"type":""#);
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(br#"","object":"#);
    object(out);
    out.extend_from_slice(b"}\n");
}

fn bookmark(state: &State, resource: usize, version: u64, is_end: bool, out: &mut Vec<u8>) {
    let row = state.kind(resource);
    let end = if is_end {
        r#","annotations":{"k8s.io/initial-events-end":"true"}"#
    } else {
        ""
    };
    let object = format!(
        r#"{{"kind":"{}","apiVersion":"{}","metadata":{{"resourceVersion":"{version}"{end}}}}}"#,
        row.kind,
        row.api_version()
    );
    frame(out, "BOOKMARK", |out| {
        out.extend_from_slice(object.as_bytes())
    });
}
