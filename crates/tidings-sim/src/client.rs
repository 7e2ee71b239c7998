//! The driver of the informers: it opens what the pipeline asks for and calls it when it asked to be.
//!
//! Does not decide: each step stands for one turn of the driver's loop. What an informer is stands in
//! `informer`, what arrives at it in `reading`.
//!
//! D1  Nothing is read while the pipeline does not want input.
//! D2  Once the pipeline asks for another stream, nothing of the old one is fed any more.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use tidings_api::{
    Instant,
    options::{ListOptions, ListVersion},
    request::Request,
};
use tidings_engine::{
    fanout::HandlerOptions,
    reflector::{Call, Input, Output},
};

use crate::{
    fault::Fault,
    handlers::{Payload, Recorder, Seat, SharedLog},
    informer::Informer,
    link::{Asked, Connection, Item},
    ops::Op,
    world::{Step, World},
};

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
        informer.seats.push(Seat::new(id, log, panics > 0));
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
