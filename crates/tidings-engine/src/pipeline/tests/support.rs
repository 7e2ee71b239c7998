//! A pipeline with a recording handler, driven by short commands.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tidings_api::{Object, frame::EventKind, object::Parts};

use super::*;
use crate::{
    entry::{Entry, Poison, Value},
    fanout::Event,
    indexer::IndexerConfig,
    reflector::{Config, ListMode, Received},
};

/// What a handler was told, one line an event.
#[derive(Clone, Default)]
pub(super) struct Log(pub(super) Arc<Mutex<Vec<String>>>);

impl Log {
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    pub(super) fn handler(&self) -> Box<dyn Handler<u64>> {
        let log = self.clone();
        Box::new(move |event: Event<'_, u64>| log.0.lock().unwrap().push(line(&event)))
    }
}

pub(super) fn line(event: &Event<'_, u64>) -> String {
    match event {
        Event::Added {
            new,
            is_in_initial_list,
        } => {
            format!(
                "add {:?}{}",
                new.object,
                if *is_in_initial_list { " initial" } else { "" }
            )
        }
        Event::Updated { old, new } => {
            format!("update {:?} -> {:?}", old.object, new.object)
        }
        Event::Deleted {
            last,
            is_final_state_known,
        } => {
            format!(
                "delete {:?}{}",
                last.object,
                if *is_final_state_known {
                    ""
                } else {
                    " tombstone"
                }
            )
        }
        Event::Poisoned { entry } => format!("poison {:?}", entry.object),
    }
}

pub(super) struct Rig {
    pub(super) pipeline: Pipeline<u64>,
    pub(super) now: Instant,
    /// The content of every object that is received.
    pub(super) json: String,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(PipelineConfig::default())
    }

    pub(super) fn with(config: PipelineConfig) -> Self {
        Self::in_mode(config, ListMode::Whole)
    }

    pub(super) fn in_mode(config: PipelineConfig, list_mode: ListMode) -> Self {
        let reflector = Reflector::new(Config {
            list_mode,
            ..Config::default()
        });
        let indexer = Indexer::new(IndexerConfig::default());
        Self {
            pipeline: Pipeline::new(config, reflector, indexer),
            now: Instant::ZERO,
            json: String::new(),
        }
    }

    /// A rig that has listed `items` at `version` and watches.
    pub(super) fn synced(items: &[&str], version: u64) -> (Self, Log) {
        Self::synced_with(PipelineConfig::default(), items, version)
    }

    pub(super) fn synced_with(config: PipelineConfig, items: &[&str], version: u64) -> (Self, Log) {
        let mut rig = Self::with(config);
        let log = Log::default();
        rig.pipeline
            .add_handler(rig.now, log.handler(), HandlerOptions::default());
        rig.feed(Input::Start);
        rig.list(items, version);
        (rig, log)
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.feed(Input::Tick);
    }

    /// Feeds an input and lets the pipeline work until it has nothing more to do.
    pub(super) fn feed(&mut self, input: Input<u64>) {
        self.pipeline.handle(self.now, input);
        self.run();
    }

    pub(super) fn run(&mut self) {
        while self.pipeline.run(self.now, 7) {}
        self.pipeline.check_invariants();
        while !matches!(self.pipeline.poll_output(), Output::Idle { .. }) {}
    }

    pub(super) fn list(&mut self, items: &[&str], version: u64) {
        self.begin_list(items);
        self.end_list(version);
    }

    pub(super) fn begin_list(&mut self, items: &[&str]) {
        self.feed(Input::Accepted);
        for item in items {
            let received = self.received(item);
            self.feed(Input::Item(received));
        }
    }

    pub(super) fn end_list(&mut self, version: u64) {
        self.feed(Input::PageEnd {
            resource_version: Ok(ResourceVersion::from_revision(version)),
            continue_token: String::new(),
            remaining: None,
        });
        self.feed(Input::Accepted);
    }

    /// The server says 410; the list that follows is begun by the caller.
    pub(super) fn expire(&mut self) {
        let status = Box::new(tidings_api::status::Status::parse(410, b""));
        self.feed(Input::ErrorEvent(status));
        self.wait(90);
    }

    pub(super) fn event(&mut self, kind: EventKind, object: &str) {
        let received = self.received(object);
        self.feed(Input::Event(kind, received));
    }

    /// Feeds an event without letting the pipeline work on it.
    pub(super) fn put(&mut self, kind: EventKind, object: &str) {
        let received = self.received(object);
        self.pipeline.handle(self.now, Input::Event(kind, received));
    }

    pub(super) fn added(&mut self, object: &str) {
        self.event(EventKind::Added, object);
    }

    pub(super) fn modified(&mut self, object: &str) {
        self.event(EventKind::Modified, object);
    }

    pub(super) fn deleted(&mut self, object: &str) {
        self.event(EventKind::Deleted, object);
    }

    /// `key@version`, `key@version/uid`, with a trailing `!` undecodable.
    pub(super) fn received(&self, text: &str) -> Received<u64> {
        let (text, is_poisoned) = match text.strip_suffix('!') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (key, rest) = text.split_once('@').unwrap();
        let (version, uid) = rest.split_once('/').unwrap_or((rest, key));
        let parts = Parts {
            name: key,
            uid,
            resource_version: version,
            json: &[&self.json],
            ..Parts::default()
        };
        let object = Object::pack(&mut String::new(), &parts).unwrap();
        let hash = self.pipeline.indexer().hash_key(object.key_bytes());
        let value = if is_poisoned {
            Value::Poisoned(Arc::new(Poison::new("bad".to_owned(), None)))
        } else {
            Value::Decoded(version.parse().unwrap())
        };
        Received::Entry(Entry::new(hash, object, value))
    }

    /// What readers see, sorted, with the version.
    pub(super) fn seen(&self) -> String {
        let snapshot = self.pipeline.indexer().snapshot();
        let mut objects: Vec<String> = snapshot
            .iter()
            .map(|entry| format!("{:?}", entry.object))
            .collect();
        objects.sort();
        let version = snapshot.resource_version().map(ToString::to_string);
        format!("{} rv={}", objects.join(" "), version.unwrap_or_default())
    }
}
