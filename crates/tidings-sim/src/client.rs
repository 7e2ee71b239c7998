//! The informers: the shipped ingest and pipeline, driven as the driver drives them.
//!
//! Does not decide: it opens what the pipeline asks for, feeds it what arrives, and calls it when it
//! asked to be called. Each step stands for one turn of the driver's loop.
//!
//! D1  Nothing is read while the pipeline does not want input.
//! D2  Once the pipeline asks for another stream, nothing of the old one is fed any more.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tidings_api::{
    Instant,
    limits::Limits,
    options::{ListOptions, ListVersion, Scope},
    request::Request,
    resource::Resource,
    status::{Status, is_success},
};
use tidings_engine::{
    fanout::HandlerOptions,
    indexer::{Indexer, IndexerConfig},
    ingest::{Body, Form, Ingest, ProbeBody},
    pipeline::{Pipeline, PipelineConfig},
    reflector::{Call, Config, Failure, FailureKind, Input, Output, Reflector},
};

use crate::{
    asking::Asking,
    cluster::path_of,
    fault::Fault,
    handlers::{Payload, Recorder, Seat, SharedLog},
    knobs::{InformerKnobs, Knobs},
    link::{Asked, Connection, Head, Item, Reading},
    model::Cursor,
    ops::Op,
    world::{Step, World},
};

/// One informer, and what the world knows of it.
pub(crate) struct Informer {
    pub(crate) knobs: InformerKnobs,
    pub(crate) scope: Scope,
    pub(crate) pipeline: Pipeline<Payload>,
    pub(crate) ingest: Ingest<Payload>,
    pub(crate) stream: Option<u32>,
    pub(crate) probe: Option<u32>,
    /// When the next wake is planned, on the world's clock.
    alarm: Instant,
    /// How far its clock is ahead of the world's.
    pub(crate) ahead: Duration,
    /// Its handlers are at work until then.
    busy_until: Instant,
    held_until: Instant,
    /// What is to go wrong next.
    pub(crate) armed: VecDeque<Fault>,
    pub(crate) close_until: Instant,
    pub(crate) seats: Vec<Seat>,
    told: u64,
    /// The epochs of the server that its store may be of: of its last list, and of the one under way.
    pub(crate) base_epoch: Option<usize>,
    pub(crate) list_epoch: Option<usize>,
    /// Whether the list under way is whole and of one epoch.
    pub(crate) is_list_clean: bool,
    /// Whether something is missing that it cannot know of.
    pub(crate) is_doubtful: bool,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) generation: u64,
    /// Epoch and version of the last publication.
    pub(crate) published: Option<(u64, u64)>,
    /// When it asked for what, on its own clock.
    pub(crate) opened: VecDeque<Instant>,
    pub(crate) asking: Asking,
}

// === impl Informer ===

impl Informer {
    pub(crate) fn new(index: usize, knobs: &Knobs) -> Self {
        let own = knobs.informers[index];
        let (group, plural) = path_of(own.kind);
        // The names are those of the table above.
        let resource = Resource::new(group, "v1", plural);
        let mut scope = match resource {
            Ok(resource) => Scope::all(resource),
            Err(error) => unreachable!("{error}"),
        };
        let letter = |namespace: u8| char::from(b'a' + namespace % 26).to_string();
        scope.namespace = own.namespace.map(letter);
        scope.label_selector = own.app.map(|app| format!("app=a{app}")).unwrap_or_default();
        let node = own.node.map(|node| format!("spec.nodeName=n{node}"));
        scope.field_selector = node.unwrap_or_default();
        let pipeline = new_pipeline(index, knobs);
        Self {
            ingest: Ingest::new(pipeline.indexer().reader()),
            pipeline,
            knobs: own,
            scope,
            stream: None,
            probe: None,
            alarm: Instant::FAR_FUTURE,
            ahead: Duration::ZERO,
            busy_until: Instant::ZERO,
            held_until: Instant::ZERO,
            armed: VecDeque::new(),
            close_until: Instant::ZERO,
            seats: Vec::new(),
            told: 0,
            base_epoch: None,
            list_epoch: None,
            is_list_clean: false,
            is_doubtful: false,
            cursor: None,
            generation: 0,
            published: None,
            opened: VecDeque::new(),
            asking: Asking::default(),
        }
    }

    pub(crate) const fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    /// Bytes were maimed in a way that leaves a gap.
    pub(crate) const fn is_blemished(&mut self) {
        self.is_doubtful = true;
        self.is_list_clean = false;
    }

    pub(crate) fn is_served_list(&mut self, epoch: usize, is_further_page: bool) {
        if !is_further_page {
            self.is_list_clean = true;
            self.list_epoch = Some(epoch);
        } else if self.list_epoch != Some(epoch) {
            // Pages of two histories.
            self.is_blemished();
        }
    }

    pub(crate) fn is_served_watch(&mut self, epoch: usize, has_initial_events: bool) {
        if has_initial_events {
            self.is_served_list(epoch, false);
        } else if self.base_epoch != Some(epoch) {
            // The server does not see that the version is of another history (DESIGN 4.5).
            self.is_doubtful = true;
            self.list_epoch = None;
        }
    }

    pub(crate) fn note_restore(&self) {
        for seat in &self.seats {
            seat.log
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .restored = true;
        }
    }

    pub(crate) fn calm(&mut self, now: Instant) {
        self.armed.clear();
        self.knobs.slow = 0;
        self.close_until = now;
    }

    /// The time on its own clock.
    pub(crate) fn local(&self, now: Instant) -> Instant {
        now + self.ahead
    }
}

fn new_pipeline(index: usize, knobs: &Knobs) -> Pipeline<Payload> {
    let own = knobs.informers[index];
    let seed = knobs.seed.wrapping_mul(31).wrapping_add(index as u64);
    let reflector = Reflector::new(Config {
        list_mode: own.list,
        page_items: own.page.max(1),
        first_list_from_any_version: own.any,
        seed,
        ..Config::default()
    });
    let indexer = Indexer::new(IndexerConfig {
        seed,
        hash_bits: knobs.hash_bits,
    });
    let to_usize = |number: u32| usize::try_from(number.max(1)).unwrap_or(usize::MAX);
    let config = PipelineConfig {
        order: own.order,
        depth_max: to_usize(own.depth),
        batch_max: to_usize(own.batch),
        ..PipelineConfig::default()
    };
    let mut pipeline = Pipeline::new(config, reflector, indexer);
    let by_app = |entry: &tidings_engine::entry::Entry<Payload>, emit: &mut dyn FnMut(&str)| {
        if let Some(document) = entry.effective() {
            emit(document.app());
        }
    };
    // There is no other of this name.
    let _ = pipeline.add_index("app", Box::new(by_app));
    pipeline
}

impl World {
    pub(crate) fn start_informer(&mut self, index: usize) {
        self.add_handler(index, 0, 0);
        self.feed(index, Input::Start);
    }

    /// The process of an informer ends, and another one begins with nothing.
    pub(crate) fn crash(&mut self, index: usize) {
        if index >= self.informers.len() {
            return;
        }
        self.close_streams(index);
        let ahead = self.informers[index].ahead;
        self.informers[index] = Informer::new(index, &self.case.knobs);
        self.informers[index].ahead = ahead;
        if index == 0 {
            self.workers.crash(&self.case.knobs);
        }
        self.start_informer(index);
    }

    pub(crate) fn jump(&mut self, index: usize, seconds: u32) {
        if let Some(informer) = self.informers.get_mut(index) {
            informer.ahead += Duration::from_secs(u64::from(seconds));
            self.wake_now(index);
        }
    }

    pub(crate) fn hold(&mut self, index: usize, millis: u32) {
        let until = self.now + Duration::from_millis(u64::from(millis));
        if let Some(informer) = self.informers.get_mut(index) {
            informer.held_until = until;
            informer.pipeline.hold(true);
            self.plan_wake(index, until);
        }
    }

    pub(crate) fn change_handlers(&mut self, op: &Op) {
        match *op {
            Op::AddHandler {
                informer,
                panics,
                resync,
            } => self.add_handler(usize::from(informer), panics, resync),
            Op::RemoveHandler { informer, drain } => {
                self.remove_handler(usize::from(informer), drain);
            }
            Op::Resync { informer } => {
                let index = usize::from(informer);
                if index < self.informers.len() {
                    self.informers[index].pipeline.resync();
                    self.turn(index);
                }
            }
            _ => {}
        }
    }

    fn add_handler(&mut self, index: usize, panics: u8, resync: u8) {
        let restored = self.restores > 0;
        let Some(informer) = self.informers.get_mut(index) else {
            return;
        };
        if informer.seats.len() >= HANDLERS_MAX {
            return;
        }
        let log = SharedLog::default();
        log.lock().unwrap_or_else(PoisonError::into_inner).restored = restored;
        let reader = informer.pipeline.indexer().reader();
        let recorder = Recorder::new(Arc::clone(&log), reader, panics);
        let options = HandlerOptions {
            resync: (resync > 0).then(|| Duration::from_secs(u64::from(resync))),
        };
        let now = informer.local(self.now);
        let id = informer
            .pipeline
            .add_handler(now, Box::new(recorder), options);
        informer.seats.push(Seat {
            id,
            log,
            panics: panics > 0,
        });
        self.turn(index);
    }

    fn remove_handler(&mut self, index: usize, drain: bool) {
        use tidings_engine::fanout::Removal;
        let Some(informer) = self.informers.get_mut(index) else {
            return;
        };
        // The first one stays: the workers hear from it.
        if informer.seats.len() < 2 {
            return;
        }
        if let Some(seat) = informer.seats.pop() {
            let how = if drain { Removal::Drain } else { Removal::Drop };
            let status = informer.pipeline.fanout().handler(seat.id);
            let told = seat.told();
            informer.pipeline.remove_handler(seat.id, how);
            self.check_removed(index, &seat, status, drain, told);
            self.check_log(index, &seat);
        }
        self.turn(index);
    }

    /// The alarm that was planned for now; one that was planned anew since says nothing.
    pub(crate) fn wake(&mut self, index: usize) {
        if self.informers[index].alarm <= self.now {
            self.wake_now(index);
        }
    }

    fn wake_now(&mut self, index: usize) {
        let now = self.now;
        let informer = &mut self.informers[index];
        informer.alarm = Instant::FAR_FUTURE;
        if informer.busy_until > now {
            let until = informer.busy_until;
            self.plan_wake(index, until);
            return;
        }
        if informer.held_until <= now {
            informer.pipeline.hold(false);
        }
        // The driver looks at its link first: handlers that always have work do not keep it from
        // reading.
        self.deliver_all(index);
        if self.informers[index].busy_until <= now {
            self.feed(index, Input::Tick);
            self.deliver_all(index);
        }
    }

    fn deliver_all(&mut self, index: usize) {
        let ids = [self.informers[index].stream, self.informers[index].probe];
        for id in ids.into_iter().flatten() {
            self.deliver(id);
        }
    }

    fn plan_wake(&mut self, index: usize, at: Instant) {
        let informer = &mut self.informers[index];
        let at = at.max(informer.busy_until);
        if at < informer.alarm {
            informer.alarm = at;
            self.plan(at, Step::Wake(index));
        }
    }

    /// Whatever has arrived on a connection.
    pub(crate) fn deliver(&mut self, id: u32) {
        while self.violation.is_none() {
            let now = self.now;
            let Some(connection) = self.connections.get(&id) else {
                return;
            };
            let index = connection.informer;
            let informer = &self.informers[index];
            let is_wanted = informer.busy_until <= now && informer.pipeline.wants_input();
            let next = connection.items.front();
            let is_here = next.is_some_and(|(arrival, _)| *arrival <= now);
            if !is_here || !is_wanted {
                return;
            }
            let connection = self.connections.get_mut(&id);
            let Some((_, item)) = connection.and_then(|it| it.items.pop_front()) else {
                return;
            };
            if self.informers[index].probe == Some(id) {
                self.read_probe(index, id, item);
            } else {
                self.read(index, id, item);
                self.turn(index);
            }
        }
    }

    fn read(&mut self, index: usize, id: u32, item: Item) {
        let is_end = item == Item::End;
        match item {
            Item::Head(head) if !is_success(head.code) => {
                self.set_reading(id, Reading::Refusal(head, Vec::new()));
            }
            Item::Head(head) => self.read_head(index, id, head),
            Item::Bytes(bytes) => self.read_bytes(index, id, bytes),
            Item::End | Item::Reset => {
                if is_end {
                    self.excuse_short(index);
                }
                let reading = self.connections.remove(&id).map(|it| it.reading);
                self.informers[index].stream = None;
                match reading {
                    Some(Reading::Refusal(head, text)) => self.refused(index, head, &text),
                    Some(Reading::Body(body)) if is_end => {
                        let finished = self.informers[index].ingest.finish(*body);
                        self.feed(index, finished.unwrap_or_else(Input::Broken));
                    }
                    Some(Reading::Nothing | Reading::Body(_) | Reading::Probe(_)) | None => {
                        self.fail(index, FailureKind::Transport, "the connection broke");
                    }
                }
            }
        }
    }

    fn read_head(&mut self, index: usize, id: u32, head: Head) {
        let asked = self.connections.get(&id).map(|it| it.asked);
        let form = match asked {
            Some(Asked::Watch | Asked::WatchList) => Form::Frames,
            Some(Asked::List | Asked::Page | Asked::Probe) | None => Form::Page,
        };
        let encoding = if head.gzip { "gzip" } else { "" };
        match Body::open(form, head.content_type, encoding, &Limits::default()) {
            Err(message) => self.fail(index, FailureKind::Undecodable, &message),
            Ok(body) => {
                self.set_reading(id, Reading::Body(Box::new(body)));
                self.feed(index, Input::Accepted);
            }
        }
    }

    fn refused(&mut self, index: usize, head: Head, text: &[u8]) {
        self.excuse_code(index, head.code);
        let input = Input::Refused {
            code: head.code,
            status: Box::new(Status::parse(head.code, text)),
            retry_after: head.retry_after,
        };
        self.feed(index, input);
    }

    /// Feeds bytes in pieces of any size, and lets the pipeline work when it wants to (D1, D2).
    fn read_bytes(&mut self, index: usize, id: u32, bytes: Vec<u8>) {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let now = self.now;
            let Some(connection) = self.connections.get_mut(&id) else {
                return;
            };
            let drip = connection.drip;
            let size = match (drip, self.case.knobs.chunk) {
                (Some(_), _) => 1,
                (None, 0) => 1 << connection.rng.u32(..12),
                (None, chunk) => usize::try_from(chunk).unwrap_or(usize::MAX),
            };
            let informer = &mut self.informers[index];
            let step = match &mut connection.reading {
                Reading::Refusal(_, text) => {
                    text.extend_from_slice(rest);
                    return;
                }
                Reading::Body(body) => {
                    let step = size.min(body.slice_bytes_max()).min(rest.len());
                    self.tally.chunks += 1;
                    let local = informer.local(now);
                    let (pipeline, ingest) = (&mut informer.pipeline, &mut informer.ingest);
                    if let Err(message) = ingest.feed(local, &rest[..step], body, pipeline) {
                        return self.fail(index, FailureKind::Undecodable, &message);
                    }
                    // They are not logged here.
                    while ingest.poll_report().is_some() {}
                    step
                }
                Reading::Nothing | Reading::Probe(_) => return,
            };
            rest = &rest[step..];
            let is_enough = informer.pipeline.leaves_stream() || !informer.pipeline.wants_input();
            if is_enough {
                self.turn(index);
            }
            if self.informers[index].stream != Some(id) {
                return;
            }
            let informer = &self.informers[index];
            let must_wait = informer.busy_until > now || !informer.pipeline.wants_input();
            if (drip.is_some() || must_wait) && !rest.is_empty() {
                return self.keep_for_later(id, rest.to_vec(), drip);
            }
        }
    }

    /// What was not read yet.
    fn keep_for_later(&mut self, id: u32, rest: Vec<u8>, drip: Option<u32>) {
        let delay = Duration::from_millis(u64::from(drip.unwrap_or(0)));
        let at = self.now + delay;
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.items.push_front((at, Item::Bytes(rest)));
        }
        if drip.is_some() {
            self.plan(at, Step::Deliver(id));
        }
    }

    fn read_probe(&mut self, index: usize, id: u32, item: Item) {
        let version = match item {
            Item::Head(head) if head.code == 200 => {
                let body = Box::new(ProbeBody::new(&Limits::default()));
                return self.set_reading(id, Reading::Probe(body));
            }
            Item::Bytes(bytes) => {
                let connection = self.connections.get_mut(&id);
                if let Some(Reading::Probe(body)) = connection.map(|it| &mut it.reading)
                    && body.feed(&bytes)
                {
                    return;
                }
                None
            }
            Item::End => match self.connections.remove(&id).map(|it| it.reading) {
                Some(Reading::Probe(body)) => body.finish(),
                _ => None,
            },
            Item::Head(_) | Item::Reset => None,
        };
        self.connections.remove(&id);
        self.informers[index].probe = None;
        let answer = version.map_or(Input::ProbeFailed, Input::ProbeAnswered);
        self.feed(index, answer);
    }

    fn set_reading(&mut self, id: u32, reading: Reading) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.reading = reading;
        }
    }

    fn fail(&mut self, index: usize, kind: FailureKind, message: &str) {
        if let Some(id) = self.informers[index].stream.take() {
            self.connections.remove(&id);
        }
        let message = message.to_owned();
        self.feed(index, Input::Broken(Failure { kind, message }));
    }

    pub(crate) fn feed(&mut self, index: usize, input: Input<Payload>) {
        let informer = &mut self.informers[index];
        let now = informer.local(self.now);
        informer.pipeline.handle(now, input);
        self.turn(index);
    }

    /// Lets the pipeline work and does what it asks for, as one turn of the driver's loop.
    pub(crate) fn turn(&mut self, index: usize) {
        let informer = &mut self.informers[index];
        let now = informer.local(self.now);
        let budget = usize::try_from(informer.knobs.budget).unwrap_or(1);
        let mut rounds = 0_u32;
        while self.informers[index].pipeline.run(now, budget) && rounds < ROUNDS_MAX {
            rounds += 1;
            // What readers see between two slices of work counts like anything else.
            self.check_publication(index);
            if self.is_fresh(index) {
                // Handlers take time: others come and go while something is still queued.
                break;
            }
        }
        if rounds == ROUNDS_MAX {
            self.violate("INV-L3", &format!("i{index}"), "it never rests".to_owned());
            return;
        }
        loop {
            let informer = &mut self.informers[index];
            match informer.pipeline.poll_output() {
                Output::Idle { wake_at } => {
                    self.set_alarm(index, wake_at);
                    break;
                }
                Output::Open(call) => self.open(index, &call),
                Output::Close => self.close_streams(index),
                Output::Probe => self.open_probe(index),
                Output::ReloadCredentials | Output::Enqueue(_) => {}
            }
        }
        self.grow_busy(index);
        self.check_informer(index);
    }

    fn set_alarm(&mut self, index: usize, wake_at: Instant) {
        let informer = &self.informers[index];
        let due = self.now + wake_at.saturating_since(informer.local(self.now));
        let held_until = informer.held_until;
        self.plan_wake(index, due);
        if held_until > self.now {
            self.plan_wake(index, held_until);
        }
    }

    /// Whether slow handlers were told something in this turn.
    fn is_fresh(&self, index: usize) -> bool {
        let informer = &self.informers[index];
        let statuses = informer.pipeline.fanout().handlers();
        let told: u64 = statuses.map(|status| status.events).sum();
        informer.knobs.slow > 0 && told > informer.told
    }

    /// Slow handlers take the task's time.
    fn grow_busy(&mut self, index: usize) {
        let informer = &mut self.informers[index];
        let slow = u64::from(informer.knobs.slow);
        let told: u64 = informer
            .pipeline
            .fanout()
            .handlers()
            .map(|status| status.events)
            .sum();
        let fresh = told.saturating_sub(informer.told);
        informer.told = told;
        if slow > 0 && fresh > 0 {
            let work = Duration::from_micros(slow * fresh);
            informer.busy_until = informer.busy_until.max(self.now) + work;
            let until = informer.busy_until;
            self.plan_wake(index, until);
        }
    }

    fn open(&mut self, index: usize, call: &Call) {
        self.close_streams(index);
        let informer = &mut self.informers[index];
        let (request, asked) = match call {
            Call::List(options) => {
                let is_page = options.continue_token.is_some();
                let asked = if is_page { Asked::Page } else { Asked::List };
                (Request::list(&informer.scope, options), asked)
            }
            Call::Watch(options) => {
                let asked = if options.send_initial_events {
                    Asked::WatchList
                } else {
                    Asked::Watch
                };
                (Request::watch(&informer.scope, options), asked)
            }
        };
        let Ok(request) = request else {
            return;
        };
        informer.ingest.begin(asked == Asked::Page);
        if asked != Asked::Page {
            let local = informer.local(self.now);
            informer.opened.push_back(local);
            self.check_rate(index);
            self.check_asked(index, asked);
        }
        let id = self.connect(index, asked, request.path_and_query);
        self.informers[index].stream = Some(id);
        if self.trace.is_on() {
            let now = self.now;
            self.trace.line(now, format_args!("i{index} -> {call}"));
        }
    }

    fn open_probe(&mut self, index: usize) {
        let options = ListOptions {
            version: ListVersion::Consistent,
            limit: Some(1),
            continue_token: None,
        };
        let request = Request::list(&self.informers[index].scope, &options);
        if let Ok(request) = request {
            let id = self.connect(index, Asked::Probe, request.path_and_query);
            if let Some(old) = self.informers[index].probe.replace(id) {
                self.connections.remove(&old);
            }
            let now = self.now;
            self.trace.line(now, format_args!("i{index} -> PROBE"));
        }
    }

    fn connect(&mut self, index: usize, asked: Asked, path: String) -> u32 {
        self.connected += 1;
        self.tally.requests += 1;
        let id = self.connected;
        let seed = self.case.knobs.seed ^ u64::from(id).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let connection = Connection::new(index, asked, path, seed);
        self.connections.insert(id, connection);
        if self.take_if(index, |fault| fault == Fault::NoConnect) {
            self.note_fault(index, Some(asked), Fault::NoConnect);
            self.send(id, Item::Reset);
            return id;
        }
        let latency = self.case.knobs.latency;
        let delay = self
            .connections
            .get_mut(&id)
            .map_or(Duration::ZERO, |connection| connection.latency(latency));
        self.plan_in(delay, Step::Arrive(id));
        id
    }

    fn close_streams(&mut self, index: usize) {
        let informer = &mut self.informers[index];
        let ids = [informer.stream.take(), informer.probe.take()];
        for id in ids.into_iter().flatten() {
            self.connections.remove(&id);
        }
    }
}

const HANDLERS_MAX: usize = 6;
/// Turns of one informer without a rest.
const ROUNDS_MAX: u32 = 100_000;
