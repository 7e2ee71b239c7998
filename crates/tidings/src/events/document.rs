//! An event as it is written: the document of `events.k8s.io/v1`, within the server's limits.
//!
//! Does not decide when it is written.
//!
//! L1  No text is longer than the server takes: what is longer is cut at a letter's end.
//! L2  A series counts at least 2: the server refuses one of 1.
//!
//! Source: kubernetes pkg/apis/core/validation/events.go @v1.36.3, client-go tools/record/util.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::ObjectReference;

/// What a controller says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventReport {
    /// Whether somebody should look at it.
    pub severity: Severity,
    /// Why, in one word such as `FailedMount`; at most 128 bytes.
    pub reason: String,
    /// What was done or tried, in one word such as `Mounting`; at most 128 bytes.
    pub action: String,
    /// A sentence for people; at most 1024 bytes. It is public: no secrets.
    pub note: String,
    /// The object.
    pub regarding: ObjectReference,
    /// Another object that has to do with it.
    pub related: Option<ObjectReference>,
}

/// The type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// All is well.
    Normal,
    /// Somebody should look at it.
    Warning,
}

/// Who reports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventSource {
    /// The controller's name, with its domain: `example.com/web`.
    pub controller: String,
    /// The process, such as the pod's name; at most 128 bytes.
    pub instance: String,
}

/// What makes two reports the same event. The note and the object's version are not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    severity: Severity,
    reason: String,
    action: String,
    pub(super) regarding: ObjectReference,
    related: Option<ObjectReference>,
}

/// A point in time, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WallTime(pub(super) u64);

/// An event with its count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) name: String,
    report: EventReport,
    source: Arc<EventSource>,
    time: WallTime,
    /// How often it has happened, and when last.
    count: u32,
    last: WallTime,
}

// === impl EventReport ===

impl EventReport {
    /// All is well with an object.
    #[must_use]
    pub fn normal(
        regarding: ObjectReference,
        reason: impl Into<String>,
        action: impl Into<String>,
        note: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Normal,
            reason: reason.into(),
            action: action.into(),
            note: note.into(),
            regarding,
            related: None,
        }
    }

    /// Somebody should look at an object.
    #[must_use]
    pub fn warning(
        regarding: ObjectReference,
        reason: impl Into<String>,
        action: impl Into<String>,
        note: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::normal(regarding, reason, action, note)
        }
    }

    /// With another object that has to do with it.
    #[must_use]
    pub fn related_to(mut self, related: ObjectReference) -> Self {
        self.related = Some(related);
        self
    }

    fn within_limits(mut self) -> Self {
        // The server wants an action.
        if self.action.is_empty() {
            self.action.clone_from(&self.reason);
        }
        cut(&mut self.reason, WORD_BYTES_MAX);
        cut(&mut self.action, WORD_BYTES_MAX);
        cut(&mut self.note, NOTE_BYTES_MAX);
        self
    }
}

// === impl EventSource ===

impl EventSource {
    /// A controller, and the process that it runs in.
    #[must_use]
    pub fn new(controller: impl Into<String>, instance: impl Into<String>) -> Self {
        let mut instance = instance.into();
        cut(&mut instance, WORD_BYTES_MAX);
        Self {
            controller: controller.into(),
            instance,
        }
    }
}

// === impl Document ===

impl Document {
    /// The event of a report. `time` names it, with the object's name: it must not come twice.
    pub(super) fn new(report: EventReport, source: Arc<EventSource>, time: WallTime) -> Self {
        let report = report.within_limits();
        Self {
            name: event_name(&report.regarding.name, time),
            report,
            source,
            time,
            count: 1,
            last: time,
        }
    }

    pub(super) fn identity(&self) -> Identity {
        let unversioned = |object: &ObjectReference| ObjectReference {
            resource_version: String::new(),
            ..object.clone()
        };
        let report = &self.report;
        Identity {
            severity: report.severity,
            reason: report.reason.clone(),
            action: report.action.clone(),
            regarding: unversioned(&report.regarding),
            related: report.related.as_ref().map(unversioned),
        }
    }

    pub(super) fn repeat(&mut self, time: WallTime) {
        self.count = self.count.saturating_add(1);
        self.last = time;
    }

    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    pub(super) const fn time(&self) -> WallTime {
        self.time
    }

    /// Where it is written: with its object, or in `default`.
    pub(super) fn namespace(&self) -> &str {
        match self.report.regarding.namespace.as_str() {
            "" => "default",
            namespace => namespace,
        }
    }

    /// The whole event.
    pub(super) fn to_json(&self) -> Value {
        let report = &self.report;
        let mut event = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": { "name": self.name, "namespace": self.namespace() },
            "eventTime": self.time.text(),
            "reportingController": self.source.controller,
            "reportingInstance": self.source.instance,
            "type": match report.severity {
                Severity::Normal => "Normal",
                Severity::Warning => "Warning",
            },
            "reason": report.reason,
            "action": report.action,
            "note": report.note,
            "regarding": report.regarding,
        });
        if let Some(related) = &report.related {
            event["related"] = json!(related);
        }
        if self.count > 1 {
            event["series"] = self.series();
        }
        event
    }

    /// What changes with a repetition.
    pub(super) fn series(&self) -> Value {
        json!({
            "count": i32::try_from(self.count.max(2)).unwrap_or(i32::MAX),
            "lastObservedTime": self.last.text(),
        })
    }
}

impl WallTime {
    /// As a `MicroTime`: six decimals, always.
    fn text(self) -> String {
        let time = jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or_default();
        format!("{time:.6}")
    }
}

/// The object's name and the time, as client-go has it; where that is no name, the time alone.
fn event_name(object: &str, time: WallTime) -> String {
    let name = format!("{object}.{:x}", time.0);
    let fits = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        part.bytes().all(|byte| inner(byte) || byte == b'-')
            && part.bytes().next().is_some_and(inner)
            && part.bytes().last().is_some_and(inner)
    };
    if name.len() <= NAME_BYTES_MAX && name.split('.').all(fits) {
        name
    } else {
        format!("event.{:x}", time.0)
    }
}

/// Cuts a text to so many bytes, at the end of a letter.
fn cut(text: &mut String, bytes_max: usize) {
    text.truncate(text.floor_char_boundary(bytes_max));
}

const NAME_BYTES_MAX: usize = 253;
const NOTE_BYTES_MAX: usize = 1024;
const WORD_BYTES_MAX: usize = 128;
