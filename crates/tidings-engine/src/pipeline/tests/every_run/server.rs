//! A server small enough that all of its runs can be gone through: objects, revisions, compaction, and
//! a restore of an older state.

use std::collections::BTreeMap;

use tidings_api::frame::EventKind;

/// Object -> (uid, revision).
pub(super) type State = BTreeMap<&'static str, (u64, u64)>;

/// One change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) revision: u64,
    pub(super) kind: EventKind,
    pub(super) key: &'static str,
    pub(super) uid: u64,
}

/// The server, and everything that it ever was.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) revision: u64,
    /// Watches from an older revision are refused, and so are pages of an older list.
    pub(super) compacted: u64,
    history: Vec<Change>,
    /// The histories that restores have left behind.
    lost: Vec<Vec<Change>>,
    uids: u64,
}

impl Server {
    pub(super) fn new() -> Self {
        Self {
            revision: 1,
            ..Self::default()
        }
    }

    pub(super) fn state(&self) -> State {
        at(&self.history, u64::MAX)
    }

    /// What the present history was at a revision.
    pub(super) fn state_at(&self, revision: u64) -> State {
        at(&self.history, revision)
    }

    /// Creates, updates or deletes; what makes no sense is not among the choices.
    pub(super) fn write(&mut self, key: &'static str, kind: EventKind) {
        self.revision += 1;
        let uid = match self.state().get(key) {
            Some((uid, _)) => *uid,
            None => {
                self.uids += 1;
                self.uids
            }
        };
        self.history.push(Change {
            revision: self.revision,
            kind,
            key,
            uid,
        });
    }

    /// The next change after a revision.
    pub(super) fn after(&self, revision: u64) -> Option<Change> {
        let mut changes = self.history.iter();
        changes.find(|change| change.revision > revision).copied()
    }

    /// The revision before the last change, to which a restore may lead.
    pub(super) fn before_last(&self) -> Option<u64> {
        let last = self.history.len().checked_sub(1)?;
        let before = last.checked_sub(1).and_then(|at| self.history.get(at));
        Some(before.map_or(1, |change| change.revision))
    }

    /// Another future begins at this revision.
    pub(super) fn restore(&mut self, revision: u64) {
        self.lost.push(self.history.clone());
        self.history.retain(|change| change.revision <= revision);
        self.revision = revision;
        self.compacted = self.compacted.min(revision);
    }

    pub(super) fn histories(&self) -> usize {
        self.lost.len()
    }

    /// Whether some history had exactly this state at this revision (INV-S1).
    pub(super) fn was_ever(&self, state: &State, revision: u64) -> bool {
        let mut histories = self.lost.iter().chain([&self.history]);
        histories.any(|history| at(history, revision) == *state)
    }

    /// Whether some history had this object in this state (INV-S8).
    pub(super) fn had(&self, key: &str, uid: u64, revision: u64) -> bool {
        let mut changes = self.lost.iter().flatten().chain(&self.history);
        changes.any(|change| change.key == key && change.uid == uid && change.revision == revision)
    }

    /// What decides the future.
    pub(super) fn fingerprint(&self) -> String {
        let Self {
            revision,
            compacted,
            history,
            lost,
            uids,
        } = self;
        format!("{revision} {compacted} {history:?} {lost:?} {uids}")
    }
}

fn at(history: &[Change], revision: u64) -> State {
    let mut state = State::new();
    for change in history {
        if change.revision > revision {
            break;
        }
        if change.kind == EventKind::Deleted {
            state.remove(change.key);
        } else {
            state.insert(change.key, (change.uid, change.revision));
        }
    }
    state
}
