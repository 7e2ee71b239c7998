//! What a handler was told, checked as it is told: added, updated any number of times, deleted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use tidings::{Event, Handler, Payload};

use crate::cluster::{object, until};

/// The fold of all that a handler was told. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct History(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    /// What is there, by key.
    present: BTreeMap<String, tidings::Object>,
    /// Keys among them that were only ever undecodable: to a handler they are not there yet.
    unknown: BTreeSet<String>,
    /// One line for each event that must not follow what was told before.
    broken: Vec<String>,
    counts: Counts,
}

/// How many events of each kind were told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) added: usize,
    pub(crate) updated: usize,
    pub(crate) deleted: usize,
    pub(crate) poisoned: usize,
}

impl History {
    /// A handler that records here.
    pub(crate) fn handler<P: Payload>(&self) -> impl Handler<P> + use<P> {
        let history = self.clone();
        move |event: Event<'_, P>| history.0.lock().unwrap().record(&event)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.0.lock().unwrap().counts
    }

    /// Waits until the history folds to these objects, as the store does a moment earlier, and
    /// fails unless it is legal.
    pub(crate) async fn check(&self, truth: &[String]) {
        until("the handler is told all", async || {
            let told = self.0.lock().unwrap();
            let mut fold: Vec<String> = told.present.values().map(object).collect();
            fold.sort();
            fold == truth
        })
        .await;
        assert_eq!(self.0.lock().unwrap().broken, [""; 0]);
    }
}

impl Told {
    fn record<P>(&mut self, event: &Event<'_, P>) {
        let now = &event.entry().object;
        let known = self.present.get(now.key());
        let is_same = |known: &tidings::Object| known.uid() == now.uid();
        let is_legal = match event {
            Event::Added { .. } => self.unknown.remove(now.key()) || known.is_none(),
            Event::Updated { old, .. } => known.is_some_and(|known| {
                let is_told = object(known) == object(&old.object);
                is_told && is_same(known) && version(known) < version(now)
            }),
            Event::Deleted { .. } => {
                known.is_some_and(|known| is_same(known) && version(known) <= version(now))
            }
            // The last good value, if any, still counts.
            Event::Poisoned { .. } => {
                if known.is_none() {
                    self.unknown.insert(now.key().to_owned());
                }
                true
            }
        };
        if !is_legal {
            let known = known.map(object);
            self.broken
                .push(format!("{} after {known:?}: {}", name(event), object(now)));
        }
        match event {
            Event::Added { .. } => self.counts.added += 1,
            Event::Updated { .. } => self.counts.updated += 1,
            Event::Deleted { .. } => self.counts.deleted += 1,
            Event::Poisoned { .. } => self.counts.poisoned += 1,
        }
        if matches!(event, Event::Deleted { .. }) {
            self.present.remove(now.key());
        } else {
            self.present.insert(now.key().to_owned(), now.clone());
        }
    }
}

const fn name<P>(event: &Event<'_, P>) -> &'static str {
    match event {
        Event::Added { .. } => "added",
        Event::Updated { .. } => "updated",
        Event::Deleted { .. } => "deleted",
        Event::Poisoned { .. } => "poisoned",
    }
}

fn version(object: &tidings::Object) -> u64 {
    object.resource_version_text().parse().unwrap()
}
