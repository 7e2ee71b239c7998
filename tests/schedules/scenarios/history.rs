//! What somebody was told, folded: each step must follow from the one before.

use std::collections::BTreeMap;

use crate::{
    entry::Entry, fanout::Event, indexer::Snapshot, payload::Raw, subscription::SubscriptionEvent,
};

/// Keys with their versions.
pub(super) type Content = BTreeMap<String, u64>;

/// INV-S6: what is told of an object is its beginning, its changes in order, its end. No deletion is
/// lost (INV-S7), nothing is told twice.
#[derive(Default)]
pub(super) struct History {
    pub(super) known: Content,
    pub(super) events: usize,
    pub(super) synced: usize,
}

// === impl History ===

impl History {
    pub(super) fn hear(&mut self, event: &Event<'_, Raw>) {
        match event {
            Event::Added { new, .. } => self.added(new),
            Event::Updated { old, new } => self.updated(old, new),
            Event::Deleted { last, .. } => self.deleted(last),
            Event::Poisoned { .. } => panic!("nothing is poisoned"),
        }
    }

    pub(super) fn read(&mut self, event: &SubscriptionEvent<Raw>) {
        match event {
            SubscriptionEvent::Added(new) => self.added(new),
            SubscriptionEvent::Updated { old, new } => self.updated(old, new),
            SubscriptionEvent::Deleted(last) => self.deleted(last),
            SubscriptionEvent::Poisoned(_) => panic!("nothing is poisoned"),
            SubscriptionEvent::Resync(snapshot) => {
                let content = content(snapshot);
                for (key, version) in &content {
                    assert!(
                        self.known.get(key).is_none_or(|known| known <= version),
                        "S2: it goes back"
                    );
                }
                self.known = content;
            }
            SubscriptionEvent::Synced => self.synced += 1,
        }
    }

    fn added(&mut self, new: &Entry<Raw>) {
        self.events += 1;
        let (key, version) = id(new);
        let old = self.known.insert(key, version);
        assert_eq!(old, None, "INV-S6: it was there");
    }

    fn updated(&mut self, old: &Entry<Raw>, new: &Entry<Raw>) {
        self.events += 1;
        let (key, version) = id(new);
        let known = self.known.insert(key, version);
        assert_eq!(known, Some(id(old).1), "INV-S6: not what was told last");
        assert!(id(old).1 < version, "INV-S3: it goes back, or comes again");
    }

    fn deleted(&mut self, last: &Entry<Raw>) {
        self.events += 1;
        let (key, _) = id(last);
        assert!(self.known.remove(&key).is_some(), "INV-S6: not there");
    }
}

/// What a store has.
pub(super) fn content(snapshot: &Snapshot<Raw>) -> Content {
    snapshot.iter().map(id).collect()
}

/// The key of an object, and its version.
pub(super) fn id(entry: &Entry<Raw>) -> (String, u64) {
    let version = entry.object.resource_version_text().parse();
    (entry.object.key().to_owned(), version.expect("a number"))
}
