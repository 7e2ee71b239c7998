//! From the DeltaFIFO into the store: what each delta does, and what of it is a change.
//!
//! Source: rules cg-P1..P8, cg-I3, cg-I4; INV-S2, INV-S3, INV-S11 (P1 to P5 of the pipeline).

use std::{collections::VecDeque, sync::Arc};

use tidings_api::{Instant, Object, ResourceVersion};

use super::Pipeline;
use crate::{
    delta::{Delta, Replaced},
    entry::{Entry, Poison, Value},
    fanout::Change,
    indexer::{Seen, Sweep},
    reflector::Input,
};

impl<P: Clone> Pipeline<P> {
    /// Applies one batch and publishes it. Returns whether there was anything.
    pub(super) fn apply_batch(&mut self, now: Instant) -> bool {
        let mut batch = std::mem::take(&mut self.batch);
        let popped = self.fifo.pop_batch(self.config.batch_max, &mut batch);
        // A resync is the pipeline's own: the reflector does not wait for it.
        let mut own = 0;
        for delta in batch.drain(..) {
            own += u64::from(matches!(delta, Delta::Sync));
            self.apply(now, delta);
        }
        self.batch = batch;
        while !self.fifo.is_full()
            && let Some(delta) = self.spill.pop_front()
        {
            self.push(delta);
        }
        let published = self.publish();
        self.unreported += popped as u64 - own + std::mem::take(&mut self.merged);
        // What readers do not see yet is not applied: the next watch would begin before it (F2).
        let is_whole = !self.dirty || self.staged.is_some();
        let deltas = if is_whole {
            std::mem::take(&mut self.unreported)
        } else {
            0
        };
        if deltas > 0 || published.is_some() {
            let applied = Input::Applied {
                deltas,
                resource_version: published,
            };
            self.reflector.handle(now, applied);
            self.take_outputs();
        }
        popped > 0
    }

    /// Makes what was applied visible, then queues it for the handlers (H1 of the fan-out).
    pub(super) fn publish(&mut self) -> Option<ResourceVersion> {
        // No server version looked like a half-drained per-key queue (DESIGN 4.4), nor like the
        // middle of a relist.
        let whole = self.fifo.order() == crate::delta_fifo::Order::Arrival || self.fifo.is_empty();
        if !self.dirty || !whole || self.staged.is_some() {
            return None;
        }
        self.dirty = false;
        let version = self.version.take();
        self.indexer.publish(version.clone(), self.epoch);
        self.fanout.push(&mut self.unpublished);
        if std::mem::take(&mut self.synced_after_publish) {
            self.fanout.push_synced();
        }
        version
    }

    fn apply(&mut self, now: Instant, delta: Delta<P>) {
        match delta {
            Delta::Added(entry) | Delta::Updated(entry) => self.apply_upsert(entry),
            Delta::Deleted(entry) => self.apply_delete(entry),
            Delta::Replaced(step) => self.apply_replaced(step),
            Delta::Sync => self.fanout.resync_now(now),
            Delta::Bookmark(version) => self.note_version(Some(version)),
        }
    }

    fn apply_upsert(&mut self, entry: Entry<P>) {
        let version = entry.object.resource_version().ok();
        let stored = self.indexer.get(entry.object.key());
        if let Some(stored) = stored
            && stored.object.uid() == entry.object.uid()
        {
            if stored.object.is_same_version(&entry.object) && !heals(&entry, stored) {
                self.dropped.same_version += 1;
                return self.note_version(version);
            }
            if is_older(&entry, stored) {
                self.dropped.older_version += 1;
                return self.note_version(version);
            }
        }
        self.has_poisoned |= entry.is_poisoned();
        let entry = entry.with_last_good(stored);
        let entry = self.within_budget(entry);
        let old = self.indexer.upsert(entry.clone());
        self.unpublished.push_back(Change::stored(old, entry));
        self.note_version(version);
    }

    fn apply_delete(&mut self, entry: Entry<P>) {
        let version = entry.object.resource_version().ok();
        match self.indexer.get(entry.object.key()) {
            None => self.dropped.unknown_delete += 1,
            Some(stored) if !stored.is_same_uid(&entry) => self.dropped.other_uid += 1,
            Some(stored) if is_older(&entry, stored) => self.dropped.older_version += 1,
            Some(_) => {
                if let Some(old) = self.indexer.remove(entry.object.key()) {
                    let last = Some(entry);
                    self.unpublished.push_back(Change::Removed { old, last });
                }
            }
        }
        self.note_version(version);
    }

    fn apply_replaced(&mut self, step: Replaced<P>) {
        match step {
            Replaced::Begin { force_diff } => {
                self.indexer.replace_begin(force_diff);
                self.staged = Some(VecDeque::new());
            }
            Replaced::Item(entry) => self.apply_item(entry),
            Replaced::Removed(entry) => {
                if let Some(old) = self.indexer.remove(entry.object.key()) {
                    let last = Some(entry);
                    let change = Change::Removed { old, last };
                    self.staged.get_or_insert_default().push_back(change);
                }
            }
            Replaced::End {
                resource_version,
                epoch,
                sweep,
            } => {
                let sweep = if sweep { Sweep::All } else { Sweep::Nothing };
                let mut staged = self.staged.take().unwrap_or_default();
                for old in self.indexer.replace_end(sweep) {
                    staged.push_front(Change::Removed { old, last: None });
                }
                if self.unpublished.is_empty() {
                    self.unpublished = staged;
                } else {
                    self.unpublished.append(&mut staged);
                }
                self.synced_after_publish = true;
                self.epoch = epoch;
                self.version = Some(resource_version);
                self.dirty = true;
            }
            Replaced::Abort => {
                self.indexer.replace_abort();
                self.staged = None;
            }
        }
    }

    fn apply_item(&mut self, entry: Entry<P>) {
        // A store without poisoned entries is spared the second lookup of each item.
        self.has_poisoned |= entry.is_poisoned();
        let stored = self
            .has_poisoned
            .then(|| self.indexer.get(entry.object.key()))
            .flatten();
        let heals = stored.is_some_and(|stored| heals(&entry, stored));
        let entry = entry.with_last_good(stored);
        let entry = self.within_budget(entry);
        let new = entry.clone();
        if heals {
            let change = Change::stored(self.indexer.upsert(entry), new);
            self.staged.get_or_insert_default().push_back(change);
            return;
        }
        if let Seen::Changed { old } = self.indexer.replace_item(entry) {
            let change = Change::stored(old, new);
            self.staged.get_or_insert_default().push_back(change);
        }
    }

    /// The entry, or one without its content if the store has no room for that.
    fn within_budget(&mut self, entry: Entry<P>) -> Entry<P> {
        let max = self.config.store_bytes_max;
        if max == usize::MAX {
            return entry;
        }
        let object = &entry.object;
        let stored = self.indexer.get_hashed(entry.hash, object.key());
        let others = self.indexer.entry_bytes() - stored.map_or(0, Entry::bytes_len);
        let is_kept = |old: &Entry<P>| old.object.is_same_version(object) && !old.is_poisoned();
        if stored.is_some_and(is_kept) || others.saturating_add(entry.bytes_len()) <= max {
            return entry;
        }
        self.over_budget += 1;
        let problem = format!(
            "the store's {max} bytes are used up: the content of resourceVersion {} is not kept",
            object.resource_version_text()
        );
        // Without a version it is never taken for the same as what a later list has.
        let namespace = object.namespace().unwrap_or_default();
        let bare = Object::bare(namespace, object.name(), object.uid(), "");
        // The last good value says what handlers know; its object would be what has no room.
        let known = stored.filter(|stored| stored.is_same_uid(&entry));
        let poison = Poison::new(problem, known.and_then(Entry::effective).cloned());
        Entry::new(entry.hash, bare, Value::Poisoned(Arc::new(poison)))
    }

    /// The highest version counts: a per-key queue does not apply them in their order, and what is
    /// published is published whole (INV-S1).
    fn note_version(&mut self, version: Option<ResourceVersion>) {
        self.dirty = true;
        let known = self.version.as_ref();
        if let Some(version) = version
            && !known.is_some_and(|known| version.is_before(known))
        {
            self.version = Some(version);
        }
    }
}

/// What was hurt on its way comes again whole, in the version that is stored (INV-S11).
fn heals<P>(entry: &Entry<P>, stored: &Entry<P>) -> bool {
    stored.is_poisoned() && !entry.is_poisoned()
}

fn is_older<P>(entry: &Entry<P>, stored: &Entry<P>) -> bool {
    match (
        entry.object.resource_version(),
        stored.object.resource_version(),
    ) {
        (Ok(new), Ok(old)) => new.is_before(&old),
        (Err(_), _) | (_, Err(_)) => false,
    }
}
