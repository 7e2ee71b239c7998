//! What a handler is told, and how a change of the store becomes it.
//!
//! E1  For each uid a handler sees Added, then Updated any number of times, then at most one
//!     Deleted, and nothing after it (INV-S6). A new uid under a key is Deleted(old), Added(new)
//!     (against cg-P8).
//! E2  An object that cannot be decoded is told as [`Event::Poisoned`]; the last good value stays
//!     what the handler knows, and is told before if it does not know it (INV-S11).
//!
//! Source: rules cg-P2, cg-P3, cg-P8, cg-Q1; INV-S6, INV-S7.

use crate::{
    entry::{Entry, Value},
    pages::Difference,
};

/// What happened to one object.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a handler decides on every kind of event"
)]
pub enum Event<'a, P> {
    /// The object is new to this handler.
    Added {
        /// The object.
        new: &'a Entry<P>,
        /// Whether it belongs to the state that was there before, and not to a change.
        is_in_initial_list: bool,
    },
    /// The object changed. In a resync both are the same.
    Updated {
        /// What the handler was told last.
        old: &'a Entry<P>,
        /// The object now.
        new: &'a Entry<P>,
    },
    /// The object is gone.
    Deleted {
        /// Its last state.
        last: &'a Entry<P>,
        /// Whether that is known to be the final one: not when a relist found it missing (a
        /// tombstone, client-go's DeletedFinalStateUnknown), nor when what the server sent cannot be
        /// decoded.
        is_final_state_known: bool,
    },
    /// The object's present version cannot be decoded; its last good value, if any, still counts.
    Poisoned {
        /// The object, with the problem in its value.
        entry: &'a Entry<P>,
    },
}

impl<'a, P> Event<'a, P> {
    /// The entry that the event is about: the new one, or the last one of a deletion.
    #[must_use]
    pub const fn entry(&self) -> &'a Entry<P> {
        match self {
            Self::Added { new, .. } | Self::Updated { new, .. } => new,
            Self::Deleted { last, .. } => last,
            Self::Poisoned { entry } => entry,
        }
    }
}

/// Something that wants to know every change.
///
/// It is called in the informer's own task, after the store and its indexes have the change, and
/// must not block: whatever is slow or asynchronous is a subscription.
pub trait Handler<P>: Send {
    /// One event. A panic is caught: the event is told again later.
    fn handle(&mut self, event: Event<'_, P>);
}

impl<P, F: FnMut(Event<'_, P>) + Send> Handler<P> for F {
    fn handle(&mut self, event: Event<'_, P>) {
        self(event);
    }
}

/// One difference between what a handler knows and what the store has.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a key was there before, is there now, or both"
)]
pub enum Change<P> {
    /// The key is new.
    Added(Entry<P>),
    /// The key is there no more.
    Removed {
        /// What was stored.
        old: Entry<P>,
        /// The last state that the server gave with the deletion, if it gave one.
        last: Option<Entry<P>>,
    },
    /// The key was there and is there.
    Updated {
        /// What was stored.
        old: Entry<P>,
        /// What is stored now, perhaps another object (another uid).
        new: Entry<P>,
    },
}

// === impl Change ===

impl<P: Clone> Change<P> {
    /// `new` was stored in the place of `old`.
    #[must_use]
    pub fn stored(old: Option<Entry<P>>, new: Entry<P>) -> Self {
        match old {
            Some(old) => Self::Updated { old, new },
            None => Self::Added(new),
        }
    }

    /// Tells the events of this change, at most three, in order (E1).
    pub fn tell(&self, is_in_initial_list: bool, mut handle: impl FnMut(Event<'_, P>)) {
        let is_known = |entry: &&Entry<P>| entry.effective().is_some();
        let (known, new) = match self {
            Self::Added(new) => (None, new),
            Self::Removed { old, last } => {
                if is_known(&old) {
                    let last = last.as_ref().filter(is_known);
                    handle(Event::Deleted {
                        last: last.unwrap_or(old),
                        is_final_state_known: last.is_some(),
                    });
                }
                return;
            }
            Self::Updated { old, new } => (Some(old).filter(is_known), new),
        };
        let is_other = |old: &&Entry<P>| old.object.uid() != new.object.uid();
        let mut known = known;
        if let Some(old) = known.filter(is_other) {
            handle(Event::Deleted {
                last: old,
                is_final_state_known: false,
            });
            known = None;
        }
        match (known, &new.value) {
            (_, Value::Poisoned(_)) => {
                Self::tell_last_good(known, new, is_in_initial_list, &mut handle);
                handle(Event::Poisoned { entry: new });
            }
            (None, Value::Decoded(_)) => handle(Event::Added {
                new,
                is_in_initial_list,
            }),
            (Some(old), Value::Decoded(_)) => handle(Event::Updated { old, new }),
        }
    }

    /// Who comes late, or saw only the difference, does not know the last good value yet (E2): it
    /// would hear of its deletion without ever having heard of it.
    fn tell_last_good(
        known: Option<&Entry<P>>,
        new: &Entry<P>,
        is_in_initial_list: bool,
        handle: &mut impl FnMut(Event<'_, P>),
    ) {
        let Some(good) = new.last_good() else { return };
        match known.and_then(Entry::last_good) {
            None => handle(Event::Added {
                new: &good,
                is_in_initial_list,
            }),
            Some(old) => {
                let known = new.effective_object();
                if known.is_some_and(|object| !old.object.is_same_version(object)) {
                    let (old, new) = (&old, &good);
                    handle(Event::Updated { old, new });
                }
            }
        }
    }
}

impl<P> From<Difference<Entry<P>>> for Change<P> {
    fn from(difference: Difference<Entry<P>>) -> Self {
        match difference {
            Difference::Added(new) => Self::Added(new),
            Difference::Changed { old, new } => Self::Updated { old, new },
            Difference::Removed(old) => Self::Removed { old, last: None },
        }
    }
}
