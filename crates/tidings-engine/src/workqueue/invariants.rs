//! Whether a workqueue is sane: for tests, the simulator and fuzzers.

use std::{collections::BTreeSet, hash::Hash};

use super::{
    PRIORITIES, WorkQueue,
    lanes::{COMMON, Lane},
    slots::{NONE, Slots},
};

impl<K: Clone + Eq + Hash> WorkQueue<K> {
    /// Checks the module's invariants.
    ///
    /// # Panics
    ///
    /// When one does not hold: that is a defect of the queue.
    ///
    /// # Complexity
    ///
    /// O(keys).
    pub fn check_invariants(&self) {
        let mut in_lanes = BTreeSet::new();
        for level in PRIORITIES {
            let mut len = 0;
            for (tenant, lane) in self.lanes.waiting(level) {
                let ids = walk(&self.slots, lane);
                assert!(!ids.is_empty(), "a tenant without keys has a turn");
                len += ids.len();
                for id in ids {
                    let slot = self.slots.at(id);
                    assert!(slot.is_queued(), "what stands in a lane is queued (K1)");
                    assert_eq!((slot.tenant, slot.priority), (tenant, level));
                    assert!(in_lanes.insert(id), "a key waits once (K1)");
                }
            }
            assert_eq!(len, self.lanes.len(level));
        }
        let processing = walk(&self.slots, self.processing);
        assert_eq!(processing.len(), self.processing_len);
        assert!(processing.iter().all(|id| self.slots.at(*id).is_processing));
        let (mut delayed, mut own_tenant) = (0, 0);
        for id in self.slots.ids() {
            let slot = self.slots.at(id);
            assert!(!slot.is_idle(), "a slot has a reason to be there");
            assert_eq!(slot.is_queued(), in_lanes.contains(&id), "K1");
            assert_eq!(slot.is_delayed, self.wheel.due_at(id).is_some());
            delayed += usize::from(slot.is_delayed);
            own_tenant += usize::from(slot.tenant != COMMON);
        }
        assert_eq!(delayed, self.wheel.len());
        assert_eq!(own_tenant, self.lanes.keys(), "tenants count their keys");
        if self.is_shutting_down() {
            assert_eq!(delayed, 0, "a shutdown drops what is delayed");
        }
    }
}

/// The slots of a lane, from the first to the last, with links that agree both ways.
fn walk<K: Eq + Hash>(slots: &Slots<K>, lane: Lane) -> Vec<u32> {
    let mut ids = Vec::new();
    let (mut id, mut before) = (lane.first, NONE);
    while id != NONE {
        assert_eq!(slots.at(id).previous, before, "links agree both ways");
        ids.push(id);
        (before, id) = (id, slots.at(id).next);
    }
    assert_eq!(lane.last, before, "the last is the last");
    ids
}
