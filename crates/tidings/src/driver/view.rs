//! A running view: woken by its base, it follows and tells its own handlers.
//!
//! Does not touch a socket. It has the base's clock only in the state that it passes on.
//!
//! D1  The base is never kept waiting: a view that is slow sees fewer, larger differences.
//! D2  A view ends when it is stopped, or its base is, after it has told what the base had.

use std::{sync::Arc, time::Duration};

use tidings_api::{
    Instant,
    limits::Limits,
    scan::{Progress as Scanning, Scan},
    selector::LabelSelector,
};
use tidings_engine::{
    entry::{Entry, Poison, Value},
    view::{Projected, View},
};
use tokio::sync::{mpsc, watch};

use super::{Command, EVENTS_BUDGET};
use crate::{
    error::BuildError,
    informer::InformerHandle,
    payload::{Payload, Raw},
    state::{Progress, State},
    subscription::Subscribers,
};

/// What the driver of a view is built from.
pub(crate) struct ViewParts<P> {
    pub(crate) base: InformerHandle<Raw>,
    pub(crate) labels: Option<LabelSelector>,
    pub(crate) view: View<Raw, P>,
    pub(crate) commands: mpsc::Receiver<Command<P>>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) subscribers: Arc<Subscribers<P>>,
}

/// A running view.
pub(crate) struct ViewDriver<P: Payload> {
    parts: ViewParts<P>,
    base_state: watch::Receiver<State>,
    base_progress: watch::Receiver<Progress>,
    started: tokio::time::Instant,
    commands_open: bool,
}

impl<P: Payload> ViewDriver<P> {
    pub(crate) fn new(parts: ViewParts<P>) -> Self {
        Self {
            base_state: parts.base.watch_state(),
            base_progress: parts.base.watch_progress(),
            started: tokio::time::Instant::now(),
            commands_open: true,
            parts,
        }
    }

    /// Runs until it is stopped, or its base is.
    pub(crate) async fn run(mut self) {
        self.started = tokio::time::Instant::now();
        let mut base_is_there = true;
        while !*self.parts.stop.borrow() {
            base_is_there &= !self.base_progress.borrow_and_update().stopped;
            self.base_state.borrow_and_update();
            let more = self.turn();
            if !more && !base_is_there {
                break;
            }
            let due = self.due();
            tokio::select! {
                biased;
                stopped = self.parts.stop.changed() => if stopped.is_err() { break },
                command = self.parts.commands.recv(), if self.commands_open => match command {
                    Some(command) => self.handle_command(command),
                    None => self.commands_open = false,
                },
                () = tokio::task::yield_now(), if more => {}
                // The base's driver is gone without a word: it was dropped while it ran.
                changed = self.base_progress.changed() => base_is_there &= changed.is_ok(),
                changed = self.base_state.changed() => base_is_there &= changed.is_ok(),
                () = tokio::time::sleep_until(due) => {}
            }
        }
        self.shut_down();
    }

    fn turn(&mut self) -> bool {
        let now = self.now();
        let base = self.parts.base.store().snapshot();
        let labels = self.parts.labels.as_ref();
        let mut project = |entry: &Entry<Raw>| project(entry, labels);
        let more = self.parts.view.run(now, EVENTS_BUDGET, &base, &mut project);
        self.publish(false);
        more
    }

    fn handle_command(&mut self, command: Command<P>) {
        let now = self.now();
        let view = &mut self.parts.view;
        // Whoever asked may have gone: then nobody wants the answer.
        match command {
            Command::AddHandler(handler, options, answer) => {
                let _ = answer.send(view.add_handler(now, handler, options));
            }
            Command::AddIndex(name, function, answer) => {
                let added = view.add_index(&name, function);
                let _ = answer.send(added.map_err(|_| BuildError::DuplicateIndex { name }));
            }
            Command::RemoveHandler(id, removal, answer) => {
                let _ = answer.send(view.remove_handler(id, removal));
            }
            Command::Resync => view.resync(now),
        }
    }

    fn publish(&self, stopped: bool) {
        let view = &self.parts.view;
        let snapshot = view.indexer().snapshot();
        let changes = view.fanout().changes();
        self.parts.progress.send_if_modified(|progress| {
            if progress.generation == snapshot.generation() && progress.stopped == stopped {
                return false;
            }
            progress.resource_version = snapshot.resource_version().cloned();
            progress.epoch = snapshot.epoch();
            progress.generation = snapshot.generation();
            progress.changes = changes;
            progress.stopped = stopped;
            true
        });
        self.parts.subscribers.cut_laggards(changes);
        let base = self.base_state.borrow().clone();
        self.parts.state.send_replace(state_of(view, base));
    }

    fn shut_down(self) {
        self.publish(true);
        self.parts.state.send_modify(|state| {
            state.condition.activity = tidings_engine::reflector::Activity::Stopped;
        });
    }

    fn due(&self) -> tokio::time::Instant {
        let wake_at = self.parts.view.fanout().wake_at();
        self.started + Duration::from_nanos(wake_at.as_nanos()).min(super::FAR)
    }

    fn now(&self) -> Instant {
        let nanos = self.started.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The base's state, with what the view has of its own.
pub(crate) fn state_of<P: Payload>(view: &View<Raw, P>, base: State) -> State {
    let mut state = base;
    state.condition.synced = view.is_synced();
    state.objects = view.indexer().len();
    state.object_bytes = view.indexer().entry_bytes();
    state.poisoned_items = view.poisoned();
    state.depth = 0;
    state.backlog = view.fanout().backlog();
    state.handlers = view.fanout().handlers().collect();
    state
}

/// What an object is to a view: selected by its labels, and decoded once.
fn project<P: Payload>(entry: &Entry<Raw>, labels: Option<&LabelSelector>) -> Projected<P> {
    if let Value::Poisoned(poison) = &entry.value {
        return match labels {
            Some(_) => Projected::Unreadable(poison.problem.clone()),
            None => Projected::Selected(poisoned(poison.problem.clone())),
        };
    }
    let json = entry.object.json();
    match labels.map(|labels| is_selected(json, labels)) {
        Some(None) => return Projected::Unreadable("the labels cannot be read".to_owned()),
        Some(Some(false)) => return Projected::Unselected,
        Some(Some(true)) | None => {}
    }
    Projected::Selected(match P::decode(json) {
        Ok(payload) => Value::Decoded(payload),
        Err(error) => poisoned(error.to_string()),
    })
}

fn poisoned<P>(problem: String) -> Value<P> {
    Value::Poisoned(Arc::new(Poison::new(problem, None)))
}

/// Whether the labels of an object are selected, if they can be found.
fn is_selected(json: &str, labels: &LabelSelector) -> Option<bool> {
    // The base has bounded the object already.
    let limits = Limits {
        object_bytes_max: usize::MAX,
        depth_max: u32::MAX,
        ..Limits::default()
    };
    let mut scan = Scan::new(&limits);
    let Scanning::Done(len) = scan.advance(json.as_bytes()) else {
        return None;
    };
    let item = scan.item(&json.as_bytes()[..len], None);
    Some(labels.matches_labels_json(item.usable()?.labels()))
}
