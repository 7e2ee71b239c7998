//! An informer in a thread of its own, over a script instead of a server, and the handle to it.
//!
//! Its turns are those of the driver: apply and tell, publish the progress, take a command if there
//! is one, read what is at hand. The handle's `ask` is the facade's.

use std::{collections::VecDeque, sync::Arc};

use tidings_api::{Instant, Object, ResourceVersion, frame::EventKind, object::Parts};

use super::{
    history::{Content, content},
    sleeper::{block_on, look_at},
};
use crate::{
    desk::{Command, Desk, Ends},
    entry::{Entry, Value},
    fanout::{Handler, HandlerId, HandlerOptions, Removal},
    indexer::{Indexer, IndexerConfig},
    payload::Raw,
    pipeline::{Pipeline, PipelineConfig},
    reflector::{Config, Input, ListMode, Output, Received, Reflector, Stats},
    state::{Progress, State},
    store::Store,
    subscription::{Subscribers, Subscription},
    sync::{mpsc, oneshot, watch},
};

pub(super) struct Informer {
    pub(super) pipeline: Pipeline<Raw>,
    desk: Desk<Raw>,
    script: VecDeque<Input<Raw>>,
    /// Whether subscriptions that lag are looked for in each turn.
    cuts: bool,
}

/// The facade's has more, and all of it can be cloned; here one thread has what it uses.
pub(super) struct Handle {
    pub(super) store: Store<Raw>,
    pub(super) progress: watch::Receiver<Progress>,
    commands: mpsc::Sender<Command<Raw>>,
    stop: watch::Sender<bool>,
    subscribers: Arc<Subscribers<Raw>>,
}

/// The informer has stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stopped;

/// An informer that will be told `script`, `+key@version` for an object that is added, `*` changed,
/// `-` deleted; the first `listed` of them are in the list. Without `lag_max` nobody is cut.
pub(super) fn informer(script: &[&str], listed: usize, lag_max: Option<u64>) -> (Informer, Handle) {
    let indexer = Indexer::new(IndexerConfig::default());
    let reader = indexer.reader();
    let reflector = Reflector::new(Config {
        list_mode: ListMode::Whole,
        ..Config::default()
    });
    let pipeline = Pipeline::new(PipelineConfig::default(), reflector, indexer);
    let (commands, commands_out) = mpsc::channel(4);
    let (stop, stop_out) = watch::channel(false);
    let (state, _) = watch::channel(state(&pipeline));
    let (progress, progress_out) = watch::channel(Progress::default());
    let subscribers = Arc::new(Subscribers::new(lag_max.unwrap_or(u64::MAX)));
    let ends = Ends {
        commands: commands_out,
        stop: stop_out,
        state,
        progress,
        subscribers: Arc::clone(&subscribers),
    };
    let informer = Informer {
        script: inputs(&pipeline, script, listed),
        pipeline,
        desk: Desk::new(ends),
        cuts: lag_max.is_some(),
    };
    let handle = Handle {
        store: Store::new(reader, progress_out.clone()),
        progress: progress_out,
        commands,
        stop,
        subscribers,
    };
    (informer, handle)
}

// === impl Informer ===

impl Informer {
    /// A handler that is there before the informer begins.
    pub(super) fn add_handler(&mut self, handler: impl Handler<Raw> + 'static) -> HandlerId {
        let (now, options) = (Instant::ZERO, HandlerOptions::default());
        self.pipeline.add_handler(now, Box::new(handler), options)
    }

    /// Runs until it is stopped, and tells what is left to tell.
    pub(super) fn run(mut self) -> Content {
        while !self.desk.is_stopped() {
            let more = self.turn();
            let burst = self.at_hand();
            let command = if more || burst > 0 {
                look_at(self.desk.next())
            } else {
                Some(block_on(self.desk.next()))
            };
            match command {
                Some(Some(command)) => self.desk.handle(&mut self.pipeline, command),
                Some(None) => break,
                None => {}
            }
            for input in self.script.drain(..burst) {
                self.pipeline.handle(Instant::ZERO, input);
            }
        }
        while self.turn() {}
        self.shut_down()
    }

    /// As many turns as the script has inputs, and what is left to do after them.
    pub(super) fn play(&mut self) {
        while let Some(input) = self.script.pop_front() {
            self.pipeline.handle(Instant::ZERO, input);
            self.turn();
        }
        while self.turn() {}
    }

    /// As the driver's: nothing more is told after it.
    pub(super) fn shut_down(mut self) -> Content {
        self.pipeline.handle(Instant::ZERO, Input::Stop);
        self.turn();
        self.desk.close(state(&self.pipeline));
        self.pipeline.check_invariants();
        content(&self.pipeline.indexer().snapshot())
    }

    /// How many inputs are at hand: some events together, everything else one by one.
    fn at_hand(&self) -> usize {
        let is_event = |input: &&Input<Raw>| matches!(input, Input::Event(..));
        let events = self.script.iter().take(BURST_LEN).take_while(is_event);
        events.count().max(self.script.len().min(1))
    }

    fn turn(&mut self) -> bool {
        let more = self.pipeline.run(Instant::ZERO, EVENTS_BUDGET);
        while !matches!(self.pipeline.poll_output(), Output::Idle { .. }) {}
        let (indexer, changes) = (self.pipeline.indexer(), self.pipeline.fanout().changes());
        self.desk.publish_progress(indexer, changes);
        if self.cuts {
            let state = state(&self.pipeline);
            self.desk.publish_state(Instant::ZERO, state);
        }
        more
    }
}

// === impl Handle ===

impl Handle {
    pub(super) fn add_handler(
        &self,
        handler: impl Handler<Raw> + 'static,
    ) -> Result<HandlerId, Stopped> {
        let options = HandlerOptions::default();
        self.ask(|answer| Command::AddHandler(Box::new(handler), options, answer))
    }

    pub(super) fn remove_handler(&self, id: HandlerId, removal: Removal) -> Result<bool, Stopped> {
        self.ask(|answer| Command::RemoveHandler(id, removal, answer))
    }

    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Stops the informer once its store has a version.
    pub(super) fn stop_at(&self, revision: u64) {
        let wanted = ResourceVersion::from_revision(revision);
        let has = |at: &ResourceVersion| at.is_at_least(&wanted);
        let mut progress = self.progress.clone();
        let reached =
            progress.wait_for(|progress| progress.resource_version.as_ref().is_some_and(has));
        assert!(block_on(reached).is_ok(), "the informer is gone");
        self.stop();
    }

    pub(super) fn subscribe(&self) -> Subscription<Raw> {
        Subscription::new(self.store.clone(), self.progress.clone(), &self.subscribers)
    }

    fn ask<A>(
        &self,
        command: impl FnOnce(oneshot::Sender<A>) -> Command<Raw>,
    ) -> Result<A, Stopped> {
        let (sender, receiver) = oneshot::channel();
        let sent = block_on(self.commands.send(command(sender)));
        sent.map_err(|_| Stopped)?;
        block_on(receiver.answer()).map_err(|_| Stopped)
    }
}

fn inputs(pipeline: &Pipeline<Raw>, script: &[&str], listed: usize) -> VecDeque<Input<Raw>> {
    let mut inputs = VecDeque::from([Input::Start, Input::Accepted]);
    let mut last = 0;
    for (at, line) in script.iter().enumerate() {
        let (kind, received, version) = object(pipeline, line);
        if at == listed {
            end_list(&mut inputs, last);
        }
        inputs.push_back(if at < listed {
            Input::Item(received)
        } else {
            Input::Event(kind, received)
        });
        last = version;
    }
    if listed == script.len() {
        end_list(&mut inputs, last);
    }
    inputs
}

fn end_list(inputs: &mut VecDeque<Input<Raw>>, version: u64) {
    inputs.push_back(Input::PageEnd {
        resource_version: Ok(ResourceVersion::from_revision(version)),
        continue_token: String::new(),
        remaining: None,
    });
    inputs.push_back(Input::Accepted);
}

fn object(pipeline: &Pipeline<Raw>, line: &str) -> (EventKind, Received<Raw>, u64) {
    let kind = match &line[..1] {
        "+" => EventKind::Added,
        "*" => EventKind::Modified,
        _ => EventKind::Deleted,
    };
    let (key, version) = line[1..].split_once('@').expect("a key and a version");
    let parts = Parts {
        name: key,
        uid: key,
        resource_version: version,
        json: &["{}"],
        ..Parts::default()
    };
    let object = Object::pack(&mut String::new(), &parts).expect("it is small");
    let hash = pipeline.indexer().hash_key(object.key_bytes());
    let received = Received::Entry(Entry::new(hash, object, Value::Decoded(Raw)));
    (kind, received, version.parse().expect("a number"))
}

fn state(pipeline: &Pipeline<Raw>) -> State {
    State {
        condition: pipeline.condition(),
        at: Instant::ZERO,
        objects: pipeline.indexer().len(),
        object_bytes: 0,
        poisoned_items: 0,
        over_budget: 0,
        bad_input: None,
        depth: 0,
        backlog: 0,
        handlers: Vec::new(),
        index_failures: 0,
        stats: Stats::default(),
        dropped: pipeline.dropped(),
        bytes_received: 0,
        list_bytes: 0,
    }
}

/// So few that what is told is told in slices, with commands between them.
const EVENTS_BUDGET: usize = 2;
/// Events that come together: so many that they are not told in one turn.
const BURST_LEN: usize = 8;
