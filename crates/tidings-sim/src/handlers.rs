//! Handlers that remember what they were told, and complain when it cannot be.
//!
//! Does not compare with the server: the checks do, with what the log has.

use std::{
    collections::BTreeMap,
    panic::resume_unwind,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use tidings_api::Instant;
use tidings_engine::{
    entry::Entry,
    fanout::{Event, Handler, HandlerId, HandlerState, HandlerStatus},
    indexer::StoreReader,
};

use crate::model::{Mark, mark_of};

/// What the informers keep of an object.
#[derive(Debug, Deserialize)]
pub(crate) struct Document {
    /// Items of a typed list have none.
    #[serde(default)]
    kind: String,
    metadata: Metadata,
    /// What a poisoned object does not have.
    spec: Spec,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Spec {
    n: u64,
    /// What a worker wrote.
    seen: Option<u64>,
}

pub(crate) type Payload = Arc<Document>;

// === impl Document ===

impl Document {
    pub(crate) fn app(&self) -> &str {
        self.metadata.labels.get("app").map_or("", String::as_str)
    }

    /// Whether its kind is one that no server has.
    pub(crate) fn is_of_no_kind(&self) -> bool {
        self.kind.starts_with('X')
    }

    /// What stands in it, in a number.
    pub(crate) fn mark(&self) -> Mark {
        mark_of(self.spec.n, self.spec.seen)
    }
}

/// An object as somebody knows it: uid, version, and what stands in it.
pub(crate) type Known = (String, String, Option<Mark>);

/// An object as it was last decodable.
pub(crate) fn known(entry: &Entry<Payload>) -> Known {
    let object = &entry.object;
    let mark = entry.effective().map(|document| document.mark());
    let version = object.resource_version_text().to_owned();
    (object.uid().to_owned(), version, mark)
}

/// What one handler was told.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// What it knows, by key.
    pub(crate) known: BTreeMap<String, Known>,
    /// What happened since it was looked at last.
    pub(crate) fresh: Vec<Told>,
    pub(crate) told: u64,
    pub(crate) tombstones: u64,
    /// A rule that was broken, and how.
    pub(crate) broken: Option<(&'static str, String)>,
    /// Whether versions have gone back: then they say nothing of each other.
    pub(crate) restored: bool,
    /// Whether the faults are over, so that it does not panic any more.
    pub(crate) is_calm: bool,
}

/// One event.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) word: &'static str,
    pub(crate) key: String,
    pub(crate) uid: String,
    pub(crate) version: String,
    /// A deletion that was concluded.
    pub(crate) is_tombstone: bool,
    /// A deletion that has no version of its own, and is said to be the final state.
    pub(crate) claims_final: bool,
}

pub(crate) type SharedLog = Arc<Mutex<Log>>;

/// A registration, as the world keeps it.
pub(crate) struct Seat {
    pub(crate) id: HandlerId,
    pub(crate) log: SharedLog,
    pub(crate) panics: bool,
    /// Since when it lacks an event on which it panicked, and how often it had by then.
    lacks_since: Option<(Instant, u64)>,
}

// === impl Seat ===

impl Seat {
    pub(crate) const fn new(id: HandlerId, log: SharedLog, panics: bool) -> Self {
        Self {
            id,
            log,
            panics,
            lacks_since: None,
        }
    }

    /// H4 of the fan-out: what a handler lacks is told again after a while, or it panics anew. When to
    /// look again, if it has begun to lack something.
    pub(crate) fn note_lack(&mut self, now: Instant, status: &HandlerStatus) -> Option<Instant> {
        if status.failed_keys == 0 || status.state != HandlerState::Live {
            self.lacks_since = None;
            return None;
        }
        if self
            .lacks_since
            .is_some_and(|(_, panics)| panics == status.panics)
        {
            return None;
        }
        self.lacks_since = Some((now, status.panics));
        Some(now + LACK_MAX)
    }

    /// Whether it has lacked something for too long.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.lacks_since
            .is_some_and(|(since, _)| now >= since + LACK_MAX)
    }

    /// Events that it was told.
    pub(crate) fn told(&self) -> u64 {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).told
    }
}

/// The handler itself.
pub(crate) struct Recorder {
    log: SharedLog,
    reader: StoreReader<Payload>,
    panics: u8,
    calls: u32,
}

// === impl Recorder ===

impl Recorder {
    /// A handler that panics at one of so many calls, or never.
    pub(crate) fn new(log: SharedLog, reader: StoreReader<Payload>, panics: u8) -> Self {
        Self {
            log,
            reader,
            panics,
            calls: 0,
        }
    }
}

impl Handler<Payload> for Recorder {
    fn handle(&mut self, event: Event<'_, Payload>) {
        self.calls += 1;
        let is_calm = self
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_calm;
        if self.panics > 0 && !is_calm && self.calls.is_multiple_of(u32::from(self.panics)) {
            // No hook prints it: it is caught by whoever called.
            resume_unwind(Box::new("a handler that panics"));
        }
        let entry = event.entry();
        let stored = self.reader.get(entry.object.key());
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.take(&event);
        log.compare(&event, stored.as_ref());
    }
}

// === impl Log ===

impl Log {
    fn take(&mut self, event: &Event<'_, Payload>) {
        let object = &event.entry().object;
        let (key, uid) = (object.key().to_owned(), object.uid().to_owned());
        let version = object.resource_version_text().to_owned();
        let value = known(event.entry());
        let mut claims_final = false;
        let mut is_tombstone = false;
        let (word, fault) = match event {
            Event::Added { .. } => {
                let was = self.known.insert(key.clone(), value);
                ("add", was.map(|_| "it was added before"))
            }
            Event::Updated { old, .. } => {
                let was = self.known.insert(key.clone(), value);
                let fault = match was {
                    None => Some("it was never added"),
                    Some((known, ..)) if known != uid => Some("it is another object"),
                    Some(_) if old.object.uid() != uid => Some("the old one is another object"),
                    Some((_, known, _)) if !self.restored && is_before(&version, &known) => {
                        Some("its version went back")
                    }
                    Some(_) => None,
                };
                ("update", fault)
            }
            Event::Deleted {
                is_final_state_known,
                ..
            } => {
                is_tombstone = !is_final_state_known;
                self.tombstones += u64::from(is_tombstone);
                let fault = match self.known.remove(&key) {
                    None => Some("it was never added"),
                    Some((known, ..)) if known != uid => Some("it is another object"),
                    Some((_, known, _)) => {
                        claims_final = *is_final_state_known && known == version;
                        None
                    }
                };
                ("delete", fault)
            }
            Event::Poisoned { .. } => ("poison", None),
        };
        if let Some(fault) = fault {
            let what = format!("{word} {key}@{version}/{uid}: {fault}");
            self.broken.get_or_insert(("INV-S6", what));
        }
        self.told += 1;
        self.fresh.push(Told {
            word,
            key,
            uid,
            version,
            is_tombstone,
            claims_final,
        });
    }

    /// INV-S9: whoever is told of a state reads that one, or a later one.
    fn compare(&mut self, event: &Event<'_, Payload>, stored: Option<&Entry<Payload>>) {
        let (Event::Added { new, .. } | Event::Updated { new, .. }) = event else {
            return;
        };
        let Some(stored) = stored.filter(|stored| stored.object.uid() == new.object.uid()) else {
            return;
        };
        let (is, told) = (
            stored.object.resource_version_text(),
            new.object.resource_version_text(),
        );
        if !self.restored && is_before(is, told) {
            let key = new.object.key();
            let what = format!("{key}@{told} is told, and the store has {is}");
            self.broken.get_or_insert(("INV-S9", what));
        }
    }
}

fn is_before(one: &str, other: &str) -> bool {
    match (one.parse::<u64>(), other.parse::<u64>()) {
        (Ok(one), Ok(other)) => one < other,
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// The fan-out's own default, and a moment.
const LACK_MAX: Duration = Duration::from_secs(31);
