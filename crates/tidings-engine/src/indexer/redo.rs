//! What was done since the last publication, to be done once more to the root before it.
//!
//! Does not decide and does not call index functions: it repeats what the writer found out.
//!
//! ```text
//!  working --publish--> published        the writer's next working state is not a copy of the
//!                           |            published one, but its predecessor with the same steps
//!  predecessor --redo-------+            done again: two states that take turns, so a change
//!                                        copies no node once both have their own
//! ```
//!
//! O1  A whole log, done to the state that was published last, gives the working state, as far as
//!     lookups and iteration can tell (the tries may be laid out differently).
//! O2  A `File` or `Unfile` follows the `Insert` or `Remove` of its entry.
//! Cost: a step is some 80 bytes; at most `STEPS_MAX` are kept, then the log is not whole any more
//! and the next working state is a copy, whose nodes are shared until they are touched.
//! Source: the left-right pattern (Ramalhete and Correia, 2013), with the copy as the way out when
//! a reader holds the predecessor.

use std::{collections::VecDeque, sync::Arc};

use super::{
    KeyHasher,
    graveyard::{Pools, Retained},
    index::Filed,
    root::{Root, State},
};
use crate::{entry::Entry, sync::Counted};

/// One thing that was done to the store or to an index.
pub(super) enum Step<P> {
    Insert(Entry<P>),
    Remove(Entry<P>),
    /// The entry of the last `Insert` was filed under a value of an index.
    File {
        index: usize,
        value: Arc<str>,
    },
    /// The key of the last `Insert` or `Remove` was taken out from under a value of an index.
    Unfile {
        index: usize,
        value: Arc<str>,
    },
}

/// The steps since the last publication.
pub(super) struct Redo<P> {
    steps: VecDeque<Step<P>>,
    is_whole: bool,
}

/// A log's length, to go back to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    len: usize,
    is_whole: bool,
}

/// The root before the published one, and what it lacks.
pub(super) struct Predecessor<P> {
    pub(super) root: Counted<Root<P>>,
    pub(super) superseded: Retained,
    pub(super) lacks: Redo<P>,
}

// === impl Redo ===

impl<P> Redo<P> {
    pub(super) const fn new() -> Self {
        Self {
            steps: VecDeque::new(),
            is_whole: true,
        }
    }

    pub(super) fn push(&mut self, step: Step<P>) {
        if self.steps.len() >= STEPS_MAX {
            self.give_up();
        }
        if self.is_whole {
            self.steps.push_back(step);
        }
    }

    /// Something was done that no step can say.
    pub(super) fn give_up(&mut self) {
        self.is_whole = false;
        self.steps = VecDeque::new();
    }

    /// Whether no steps are left.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Checks that the log is bounded, and empty when it is of no use.
    pub(super) fn check_invariants(&self) {
        assert!(self.steps.len() <= STEPS_MAX, "a log that grew on");
        assert!(self.is_whole || self.is_empty(), "a log of no use");
    }

    pub(super) const fn is_whole(&self) -> bool {
        self.is_whole
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            len: self.steps.len(),
            is_whole: self.is_whole,
        }
    }

    /// Forgets what was done since `mark`, because it was undone.
    pub(super) fn back_to(&mut self, mark: Mark) {
        if self.is_whole {
            self.steps.truncate(mark.len);
        } else if mark.is_whole && mark.len == 0 {
            self.is_whole = true;
        }
    }
}

impl<P: Clone> Redo<P> {
    /// Does about `budget` steps to `state` and returns how many.
    pub(super) fn run(
        &mut self,
        budget: usize,
        state: &mut State<P>,
        hasher: KeyHasher,
        pools: &mut Pools<P>,
    ) -> usize {
        debug_assert!(self.is_whole, "O1: only a whole log is done again");
        let mut done = 0;
        while done < budget
            && let Some(step) = self.steps.pop_front()
        {
            let (entry, is_insert) = match step {
                Step::Insert(entry) => (entry, true),
                Step::Remove(entry) => (entry, false),
                Step::File { .. } | Step::Unfile { .. } => {
                    debug_assert!(false, "O2: a value without its entry");
                    continue;
                }
            };
            done += 1 + self.run_files(&entry, state, hasher, pools);
            if is_insert {
                state.insert(entry, &mut pools.entries);
            } else {
                state.remove(entry.hash, entry.object.key_bytes(), &mut pools.entries);
            }
        }
        done
    }

    /// The steps that follow the one of `entry`.
    fn run_files(
        &mut self,
        entry: &Entry<P>,
        state: &mut State<P>,
        hasher: KeyHasher,
        pools: &mut Pools<P>,
    ) -> usize {
        let mut done = 0;
        loop {
            let is_next =
                |step: &mut Step<P>| matches!(step, Step::File { .. } | Step::Unfile { .. });
            match self.steps.pop_front_if(is_next) {
                Some(Step::File { index, value }) => {
                    state.indexes[index].file(hasher, &value, Filed::of(entry), pools);
                }
                Some(Step::Unfile { index, value }) => {
                    state.indexes[index].unfile(hasher, &value, Filed::of(entry), pools);
                }
                Some(Step::Insert(_) | Step::Remove(_)) | None => return done,
            }
            done += 1;
        }
    }
}

/// Steps that are kept: those of about a thousand deltas with a few indexes.
const STEPS_MAX: usize = 4096;
