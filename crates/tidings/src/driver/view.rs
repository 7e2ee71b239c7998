//! A running view: woken by its base, it follows and tells its own handlers.
//!
//! Does not touch a socket. It has the base's clock only in the state that it passes on.
//!
//! D1  The base is never kept waiting: a view that is slow sees fewer, larger differences.
//! D2  A view ends when it is stopped, or its base is, after it has told what the base had.

use std::sync::Arc;

use tidings_api::{
    Instant,
    limits::Limits,
    scan::{Progress as Scanning, Scan},
    selector::LabelSelector,
};
use tidings_engine::{
    entry::{Entry, Poison, Value},
    reflector::{Activity, Condition},
    view::{Projected, View},
};

use super::{EVENTS_BUDGET, Ends, desk::Desk};
use crate::{
    informer::InformerHandle,
    payload::{Payload, Raw},
    state::{Progress, State},
    sync::watch,
};

/// What the driver of a view is built from.
pub(crate) struct ViewParts<P> {
    pub(crate) base: InformerHandle<Raw>,
    pub(crate) labels: Option<LabelSelector>,
    pub(crate) view: View<Raw, P>,
}

/// A running view.
pub(crate) struct ViewDriver<P: Payload> {
    parts: ViewParts<P>,
    desk: Desk<P>,
    base_state: watch::Receiver<State>,
    base_progress: watch::Receiver<Progress>,
}

impl<P: Payload> ViewDriver<P> {
    pub(crate) fn new(parts: ViewParts<P>, ends: Ends<P>) -> Self {
        Self {
            desk: Desk::new(ends),
            base_state: parts.base.watch_state(),
            base_progress: parts.base.watch_progress(),
            parts,
        }
    }

    /// Runs until it is stopped, or its base is.
    pub(crate) async fn run(mut self) {
        self.desk.start();
        let mut base_is_there = true;
        while !self.desk.is_stopped() {
            base_is_there &= !self.base_progress.borrow_and_update().stopped;
            self.base_state.borrow_and_update();
            let more = self.turn();
            if !more && !base_is_there {
                break;
            }
            let due = self.desk.due(self.parts.view.fanout().wake_at());
            tokio::select! {
                biased;
                command = self.desk.next() => match command {
                    Some(command) => self.desk.handle(&mut self.parts.view, command),
                    None => break,
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
        let now = self.desk.now();
        let base = self.parts.base.store().snapshot();
        let labels = self.parts.labels.as_ref();
        let mut project = |entry: &Entry<Raw>| project(entry, labels);
        let more = self.parts.view.run(now, EVENTS_BUDGET, &base, &mut project);
        self.publish(now);
        more
    }

    fn publish(&mut self, now: Instant) {
        let view = &self.parts.view;
        self.desk
            .publish_progress(view.indexer(), view.fanout().changes());
        let owes_state = {
            let base = self.base_state.borrow();
            let condition = condition_of(view, base.condition.clone());
            let bad_input = base.bad_input.as_ref();
            self.desk.owes_state(now, &condition, bad_input)
        };
        if owes_state {
            let base = self.base_state.borrow().clone();
            self.desk.publish_state(now, state_of(view, base));
        }
    }

    fn shut_down(mut self) {
        self.publish(self.desk.now());
        let base = self.base_state.borrow().clone();
        let mut state = state_of(&self.parts.view, base);
        state.condition.activity = Activity::Stopped;
        self.desk.close(state);
    }
}

/// The base's state, with what the view has of its own.
pub(crate) fn state_of<P: Payload>(view: &View<Raw, P>, base: State) -> State {
    let mut state = base;
    state.condition = condition_of(view, state.condition);
    state.objects = view.indexer().len();
    state.object_bytes = view.indexer().entry_bytes();
    state.poisoned_items = view.poisoned();
    state.depth = 0;
    state.backlog = view.fanout().backlog();
    state.handlers = view.fanout().handlers().collect();
    state
}

fn condition_of<P: Payload>(view: &View<Raw, P>, base: Condition) -> Condition {
    let mut condition = base;
    condition.synced = view.is_synced();
    condition
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
