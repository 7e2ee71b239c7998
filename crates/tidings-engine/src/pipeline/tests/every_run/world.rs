//! A pipeline, its server and the stream between them, and what may happen next.
//!
//! Time is not chosen but follows: a deadline comes when the choice is to let it come.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use tidings_api::{
    Instant, Object, ResourceVersion,
    frame::EventKind,
    options::{ListOptions, WatchOptions},
    status::Status,
};

use super::server::{Server, State};
use crate::{
    delta_fifo::Order,
    entry::{Entry, Poison, Value},
    fanout::{Event, HandlerOptions},
    indexer::{Indexer, IndexerConfig},
    pipeline::{Pipeline, PipelineConfig},
    reflector::{
        Call, Config, Failure, FailureKind, Input, ListMode, Output, Received, Reflector, Unfit,
    },
};

const KEYS: [&str; 2] = ["a", "b"];

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) writes: u8,
    pub(super) faults: u8,
    pub(super) list_mode: ListMode,
    pub(super) order: Order,
    /// Whether deltas may wait in the queue while more comes, or the connection breaks.
    pub(super) lazy: bool,
}

/// One choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Write(&'static str, EventKind),
    /// The request is answered, or the next thing on the stream arrives.
    Deliver,
    /// One waiting delta is applied.
    Apply,
    /// A bookmark arrives.
    Bookmark,
    /// The next deadline comes.
    Tick,
    Fault(Fault),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The request is refused with this code.
    Refuse(u16),
    /// The stream says this code as an event.
    Error(u16),
    /// The stream ends as it should, at once or after ten seconds.
    End {
        late: bool,
    },
    /// The connection breaks, at once or after ten seconds.
    Break {
        late: bool,
    },
    Garbage,
    UnknownType,
    /// What was delivered last comes once more.
    Again,
    /// What comes next cannot be decoded.
    Poison,
    /// Nothing arrives, though there is something, until a deadline comes.
    Stall,
    Compact,
    Restore,
}

#[derive(Clone, Debug)]
enum Stream {
    None,
    Asked(Call),
    /// A page: what is still to come of it, and the token of the next one.
    List {
        items: Vec<(&'static str, u64, u64)>,
        version: u64,
        token: String,
    },
    Watch {
        after: u64,
        bookmarked: u64,
        /// Initial events that are still to come, with the end bookmark after them.
        initial: Option<Vec<(&'static str, u64, u64)>>,
        last: Option<(EventKind, &'static str, u64, u64)>,
    },
}

/// What the handler knows, and the first thing that it should not have been told.
#[derive(Debug, Default)]
struct Told {
    known: BTreeMap<String, (u64, u64)>,
    wrong: Option<String>,
    last: Option<(String, u64, u64)>,
}

pub(super) struct World {
    bounds: Bounds,
    server: Server,
    pipeline: Pipeline<u64>,
    now: Instant,
    wake_at: Instant,
    stream: Stream,
    told: Arc<Mutex<Told>>,
    shown: (u64, u64),
    /// The store was overtaken by a restored history: no client can see that (DESIGN 4.5).
    pub(super) is_blind: bool,
}

impl World {
    pub(super) fn new(bounds: Bounds) -> Self {
        let reflector = Reflector::new(Config {
            list_mode: bounds.list_mode,
            page_items: 1,
            ..Config::default()
        });
        let config = PipelineConfig {
            order: bounds.order,
            batch_max: 1,
            ..PipelineConfig::default()
        };
        let indexer = Indexer::new(IndexerConfig::default());
        let mut pipeline = Pipeline::new(config, reflector, indexer);
        let told = Arc::new(Mutex::new(Told::default()));
        let ears = Arc::clone(&told);
        let handler = move |event: Event<'_, u64>| ears.lock().unwrap().hear(&event);
        pipeline.add_handler(Instant::ZERO, Box::new(handler), HandlerOptions::default());
        let mut world = Self {
            bounds,
            server: Server::new(),
            pipeline,
            now: Instant::ZERO,
            wake_at: Instant::FAR_FUTURE,
            stream: Stream::None,
            told,
            shown: (0, 0),
            is_blind: false,
        };
        world.feed(Input::Start);
        world
    }

    /// What may happen next.
    pub(super) fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.pipeline.depth() > 0 {
            actions.push(Action::Apply);
        }
        if self.has_next() {
            actions.push(Action::Deliver);
        } else if self.may_wait() {
            actions.push(Action::Tick);
        }
        if self.has_bookmark() {
            actions.push(Action::Bookmark);
        }
        if self.bounds.writes > 0 {
            let state = self.server.state();
            for key in KEYS {
                if state.contains_key(key) {
                    actions.push(Action::Write(key, EventKind::Modified));
                    actions.push(Action::Write(key, EventKind::Deleted));
                } else {
                    actions.push(Action::Write(key, EventKind::Added));
                }
            }
        }
        if self.bounds.faults > 0 {
            actions.extend(self.faults().into_iter().map(Action::Fault));
        }
        actions
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        match &self.stream {
            Stream::None => {}
            Stream::Asked(_) => {
                faults.extend([401, 404, 410, 422, 429, 500, 504].map(Fault::Refuse));
                faults.push(Fault::Break { late: false });
            }
            Stream::List { .. } | Stream::Watch { .. } => {
                for late in [false, true] {
                    faults.extend([Fault::End { late }, Fault::Break { late }]);
                }
                faults.push(Fault::Garbage);
                if let Stream::Watch { last, initial, .. } = &self.stream {
                    faults.extend([410, 500].map(Fault::Error));
                    faults.extend(last.map(|_| Fault::Again));
                    // Among initial events it makes a list that deletes nothing: stale by intent.
                    faults.extend(initial.is_none().then_some(Fault::UnknownType));
                }
                if self.next_is_object() {
                    faults.push(Fault::Poison);
                }
                if self.has_next() && self.may_wait() {
                    faults.push(Fault::Stall);
                }
            }
        }
        if self.server.compacted < self.server.revision {
            faults.push(Fault::Compact);
        }
        if self.server.before_last().is_some() {
            faults.push(Fault::Restore);
        }
        faults
    }

    /// Does one of [`Self::actions`].
    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Write(key, kind) => {
                self.bounds.writes -= 1;
                self.server.write(key, kind);
                // It may have waited for a lost version, which another change has now.
                if let Stream::Watch {
                    after,
                    initial: None,
                    ..
                } = &self.stream
                    && *after == self.server.revision
                {
                    self.is_blind |= self.is_overtaken(*after);
                }
            }
            Action::Apply => {
                self.pipeline.run(self.now, 1);
                // What was applied is told, and nothing more is applied.
                self.pipeline.hold(true);
                while self.pipeline.run(self.now, 8) {}
                self.pipeline.hold(false);
                self.obey();
            }
            Action::Deliver => self.deliver(false),
            Action::Bookmark => self.bookmark(),
            Action::Tick => self.tick(),
            Action::Fault(fault) => {
                self.bounds.faults -= 1;
                self.fault(fault);
            }
        }
    }

    fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Refuse(code) => self.refuse(code),
            Fault::Error(code) => {
                self.feed(Input::ErrorEvent(Box::new(Status::parse(code, b""))));
            }
            Fault::End { late } => {
                self.leave(late);
                self.feed(Input::Ended);
            }
            Fault::Break { late } => {
                self.leave(late);
                self.feed(broken(FailureKind::Transport));
            }
            Fault::Garbage => {
                self.leave(false);
                self.feed(broken(FailureKind::Undecodable));
            }
            Fault::UnknownType => self.feed(Input::Unfit(Unfit::UnknownType)),
            Fault::Again => {
                if let Stream::Watch {
                    last: Some((kind, key, uid, version)),
                    ..
                } = self.stream
                {
                    let received = self.received(key, uid, version, false);
                    self.feed(Input::Event(kind, received));
                }
            }
            Fault::Poison => self.deliver(true),
            Fault::Stall => self.tick(),
            Fault::Compact => self.server.compacted = self.server.revision,
            Fault::Restore => self.restore(),
        }
    }

    fn leave(&mut self, late: bool) {
        self.stream = Stream::None;
        if late {
            self.now = self.now + Duration::from_secs(10);
        }
    }

    /// The servers go with their history: every stream breaks.
    fn restore(&mut self) {
        let Some(revision) = self.server.before_last() else {
            return;
        };
        self.server.restore(revision);
        if !matches!(self.stream, Stream::None) {
            self.leave(true);
            self.feed(broken(FailureKind::Transport));
        }
    }

    fn tick(&mut self) {
        self.now = self.now.max(self.wake_at);
        self.feed(Input::Tick);
    }

    fn feed(&mut self, input: Input<u64>) {
        self.pipeline.handle(self.now, input);
        if !self.bounds.lazy {
            while self.pipeline.run(self.now, 8) {}
        }
        self.obey();
    }

    fn obey(&mut self) {
        loop {
            match self.pipeline.poll_output() {
                Output::Idle { wake_at } => {
                    self.wake_at = wake_at;
                    return;
                }
                Output::Open(call) => {
                    self.stream = Stream::Asked(call);
                }
                Output::Close => self.stream = Stream::None,
                Output::Probe => {
                    let version = ResourceVersion::from_revision(self.server.revision);
                    self.pipeline
                        .handle(self.now, Input::ProbeAnswered(version));
                }
                Output::ReloadCredentials | Output::Enqueue(_) => {}
            }
        }
    }

    fn refuse(&mut self, code: u16) {
        self.stream = Stream::None;
        self.feed(Input::Refused {
            code,
            status: Box::new(Status::parse(code, b"")),
            retry_after: None,
        });
    }

    /// Whether a deadline can come: what waits is applied in less time than any takes.
    fn may_wait(&self) -> bool {
        self.wake_at != Instant::FAR_FUTURE && self.pipeline.depth() == 0
    }

    fn has_next(&self) -> bool {
        match &self.stream {
            Stream::None => false,
            Stream::Asked(_) | Stream::List { .. } => true,
            Stream::Watch { initial, after, .. } => {
                initial.is_some() || self.server.after(*after).is_some()
            }
        }
    }

    fn next_is_object(&self) -> bool {
        match &self.stream {
            Stream::None | Stream::Asked(_) => false,
            Stream::List { items, .. } => !items.is_empty(),
            Stream::Watch { initial, after, .. } => match initial {
                Some(initial) => !initial.is_empty(),
                None => self.server.after(*after).is_some(),
            },
        }
    }

    fn has_bookmark(&self) -> bool {
        matches!(&self.stream, Stream::Watch { initial: None, after, bookmarked, .. }
            if !self.has_next() && *bookmarked < self.server.revision && *after <= self.server.revision)
    }

    fn bookmark(&mut self) {
        let revision = self.server.revision;
        if let Stream::Watch {
            after, bookmarked, ..
        } = &mut self.stream
        {
            (*after, *bookmarked) = (revision, revision);
        }
        self.feed(Input::Bookmark {
            resource_version: Ok(ResourceVersion::from_revision(revision)),
            initial_events_end: false,
        });
    }

    fn deliver(&mut self, poisoned: bool) {
        match self.stream.clone() {
            Stream::None => {}
            Stream::Asked(Call::List(options)) => self.open_list(&options),
            Stream::Asked(Call::Watch(options)) => self.open_watch(&options),
            Stream::List {
                items,
                version,
                token,
            } => {
                if let Some((key, uid, version)) = items.first().copied() {
                    if let Stream::List { items, .. } = &mut self.stream {
                        items.remove(0);
                    }
                    let received = self.received(key, uid, version, poisoned);
                    return self.feed(Input::Item(received));
                }
                self.feed(Input::PageEnd {
                    resource_version: Ok(ResourceVersion::from_revision(version)),
                    continue_token: token,
                    remaining: None,
                });
            }
            Stream::Watch { after, initial, .. } => self.deliver_event(after, initial, poisoned),
        }
    }

    fn deliver_event(
        &mut self,
        after: u64,
        initial: Option<Vec<(&'static str, u64, u64)>>,
        poisoned: bool,
    ) {
        let (kind, key, uid, version) = match initial.as_deref() {
            None => match self.server.after(after) {
                Some(change) => (change.kind, change.key, change.uid, change.revision),
                None => return,
            },
            Some([(key, uid, version), ..]) => (EventKind::Added, *key, *uid, *version),
            Some([]) => {
                if let Stream::Watch { initial, .. } = &mut self.stream {
                    *initial = None;
                }
                return self.feed(Input::Bookmark {
                    resource_version: Ok(ResourceVersion::from_revision(after)),
                    initial_events_end: true,
                });
            }
        };
        if let Stream::Watch {
            after,
            initial,
            last,
            ..
        } = &mut self.stream
        {
            match initial {
                Some(initial) => drop(initial.remove(0)),
                None => {
                    *after = version;
                    *last = Some((kind, key, uid, version));
                }
            }
        }
        let received = self.received(key, uid, version, poisoned);
        self.feed(Input::Event(kind, received));
    }

    fn items(&self, version: u64) -> Vec<(&'static str, u64, u64)> {
        let state = self.server.state_at(version);
        let item = |(key, (uid, version)): (_, (u64, u64))| (key, uid, version);
        state.into_iter().map(item).collect()
    }

    /// A list, or a page of one: its token says the version, the server's history and where to go on.
    fn open_list(&mut self, options: &ListOptions) {
        let history = self.server.histories();
        let (mut version, mut from) = (self.server.revision, 0);
        if let Some(token) = &options.continue_token {
            let parts: Vec<u64> = token.split('.').map(|part| part.parse().unwrap()).collect();
            if parts[0] < self.server.compacted || parts[1] != history as u64 {
                return self.refuse(410);
            }
            (version, from) = (parts[0], usize::try_from(parts[2]).unwrap());
        }
        let mut items = self.items(version).split_off(from);
        let mut token = String::new();
        if options.limit.is_some() && items.len() > 1 {
            items.truncate(1);
            token = format!("{version}.{history}.{}", from + 1);
        }
        self.stream = Stream::List {
            items,
            version,
            token,
        };
        self.feed(Input::Accepted);
    }

    fn open_watch(&mut self, options: &WatchOptions) {
        let revision = self.server.revision;
        let (after, initial) = if options.send_initial_events {
            (revision, Some(self.items(revision)))
        } else {
            let version = options.resource_version.as_ref().map(ToString::to_string);
            let after = version.map_or(0, |version| version.parse().unwrap());
            if after < self.server.compacted {
                return self.refuse(410);
            }
            (after, None)
        };
        self.is_blind |= initial.is_none() && self.is_overtaken(after);
        self.stream = Stream::Watch {
            after,
            bookmarked: after,
            initial,
            last: None,
        };
        self.feed(Input::Accepted);
    }

    /// Whether a restored history has this version too, as another state than the store's: no
    /// client can see that (DESIGN 4.5).
    fn is_overtaken(&self, version: u64) -> bool {
        self.server.histories() > 0
            && version <= self.server.revision
            && self.stored() != self.server.state_at(version)
    }

    fn received(&self, key: &str, uid: u64, version: u64, poisoned: bool) -> Received<u64> {
        let object = Object::bare("", key, &uid.to_string(), &version.to_string());
        let hash = self.pipeline.indexer().hash_key(object.key_bytes());
        let value = if poisoned {
            Value::Poisoned(Arc::new(Poison::new("bad".to_owned(), None)))
        } else {
            Value::Decoded(version)
        };
        Received::Entry(Entry::new(hash, object, value))
    }

    /// What readers see.
    fn stored(&self) -> State {
        let snapshot = self.pipeline.indexer().snapshot();
        let mut state = State::new();
        for entry in snapshot.iter() {
            let key = KEYS.iter().find(|key| **key == entry.object.key()).unwrap();
            state.insert(key, (number(entry.object.uid()), version_of(entry)));
        }
        state
    }

    /// The safety of what readers and the handler see now: the rule that is broken, if one is.
    pub(super) fn check(&mut self) -> Result<(), String> {
        self.pipeline.check_invariants();
        let told = self.told.lock().unwrap();
        if let Some(wrong) = &told.wrong {
            return Err(format!("INV-S6: {wrong}"));
        }
        if let Some((key, uid, version)) = &told.last
            && !self.server.had(key, *uid, *version)
        {
            return Err(format!("INV-S8: a phantom {key}@{version}"));
        }
        drop(told);
        let snapshot = self.pipeline.indexer().snapshot();
        let Some(version) = snapshot.resource_version() else {
            return Ok(());
        };
        let shown = (snapshot.epoch(), number(&version.to_string()));
        if shown < self.shown {
            return Err(format!("INV-S2: {shown:?} after {:?}", self.shown));
        }
        self.shown = shown;
        let stored = self.stored();
        if !self.server.was_ever(&stored, shown.1) {
            return Err(format!("INV-S1: {stored:?} at {}", shown.1));
        }
        let known = self.known_keys();
        let good = snapshot.iter().filter(|entry| entry.effective().is_some());
        let good: Vec<_> = good.map(|entry| entry.object.key().to_owned()).collect();
        // A lazy world may have applied what it has not told yet.
        let is_quiet = self.pipeline.depth() == 0;
        if is_quiet && known.len() != good.len() {
            return Err(format!("INV-S7: told of {known:?}, stored are {good:?}"));
        }
        Ok(())
    }

    fn known_keys(&self) -> Vec<String> {
        self.told.lock().unwrap().known.keys().cloned().collect()
    }

    /// Faults and writes stop: within so many steps the store is what the server has (INV-L1).
    pub(super) fn settle(&mut self, steps_max: u32) -> Result<u32, String> {
        self.bounds.faults = 0;
        for step in 0..steps_max {
            if self.is_level() {
                return Ok(step);
            }
            let action = if self.pipeline.depth() > 0 {
                Action::Apply
            } else if self.has_next() {
                Action::Deliver
            } else if self.has_bookmark() {
                Action::Bookmark
            } else {
                Action::Tick
            };
            self.act(action);
            if self.is_blind {
                return Ok(step);
            }
            self.check()?;
        }
        let (stored, state) = (self.stored(), self.server.state());
        Err(format!(
            "INV-L1: {stored:?} stored, the server has {state:?}"
        ))
    }

    fn is_level(&self) -> bool {
        self.pipeline.depth() == 0
            && matches!(self.stream, Stream::Watch { initial: None, .. })
            && !self.has_next()
            && self.stored() == self.server.state()
    }

    /// What decides the future of this world.
    pub(super) fn fingerprint(&self) -> String {
        let mut text = format!(
            "{}|{} {}|{:?}|{}",
            self.server.fingerprint(),
            self.bounds.writes,
            self.bounds.faults,
            self.stream,
            self.pipeline.reflector().fingerprint(self.now)
        );
        // Writing to memory cannot fail.
        for delta in self.pipeline.fifo.waiting() {
            let uid = delta.change().map_or("", |entry| entry.object.uid());
            let _ = write!(text, "|{delta}/{uid}");
        }
        for entry in self.pipeline.indexer().snapshot().iter() {
            let is_poisoned = entry.is_poisoned();
            let (object, uid) = (&entry.object, entry.object.uid());
            let _ = write!(text, "|{object:?}/{uid} {is_poisoned}");
        }
        let _ = write!(
            text,
            "|{:?}|{:?}|{}",
            self.told.lock().unwrap().known,
            self.shown,
            self.wake_at == Instant::FAR_FUTURE
        );
        text
    }
}

// === impl Told ===

impl Told {
    fn hear(&mut self, event: &Event<'_, u64>) {
        let (object, is_legal) = match event {
            Event::Added { new, .. } => {
                let old = self.learn(new);
                (&new.object, old.is_none())
            }
            Event::Updated { old, new } => {
                let known = self.learn(new);
                let uid = number(old.object.uid());
                let is_same = uid == number(new.object.uid());
                (
                    &new.object,
                    is_same && known.is_some_and(|(known, _)| known == uid),
                )
            }
            Event::Deleted { last, .. } => {
                let known = self.known.remove(last.object.key());
                let uid = number(last.object.uid());
                (&last.object, known.is_some_and(|(known, _)| known == uid))
            }
            Event::Poisoned { entry } => (&entry.object, true),
        };
        if !is_legal {
            self.wrong
                .get_or_insert_with(|| format!("illegal for {object:?}"));
        }
        let version = number(object.resource_version_text());
        self.last = Some((object.key().to_owned(), number(object.uid()), version));
    }

    fn learn(&mut self, entry: &Entry<u64>) -> Option<(u64, u64)> {
        let now = (number(entry.object.uid()), version_of(entry));
        self.known.insert(entry.object.key().to_owned(), now)
    }
}

fn version_of(entry: &Entry<u64>) -> u64 {
    number(entry.object.resource_version_text())
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}

fn broken(kind: FailureKind) -> Input<u64> {
    Input::Broken(Failure {
        kind,
        message: "cut".to_owned(),
    })
}
