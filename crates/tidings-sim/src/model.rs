//! What the server had at each version of each of its histories, kept beside it to compare with.
//!
//! Does not know lists, watches or selectors of the server: it is told each change once, and selects by
//! the numbers that the writers wrote.
//!
//! ```text
//!  epoch 0   | 1 .. 40 |                  a restore begins another epoch, at an older version
//!  epoch 1        | 22 .. 57 |
//! ```
//!
//! M1  The versions of an epoch's changes grow.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;
use tidings_apiserver::state::Stored;

use crate::{knobs::InformerKnobs, ops::Kind};

/// What can be asked of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) uid: Arc<str>,
    pub(crate) rv: u64,
    mark: Option<Mark>,
    app: Option<u8>,
    node: Option<u8>,
}

/// What stands in an object, in a number: each write of its content has its own, in all epochs.
pub(crate) type Mark = u64;

/// One object, as a store and the model have it: its incarnation, its version, and its content if that
/// can be decoded. Over epochs an object may have one version twice, with different contents (pr D5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) uid: Arc<str>,
    pub(crate) rv: u64,
    pub(crate) mark: Option<Mark>,
}

/// The objects of a selection, by key.
pub(crate) type Selected = BTreeMap<Arc<str>, Held>;

#[derive(Debug, Default)]
pub(crate) struct Model {
    epochs: Vec<Epoch>,
    /// Every version of every object that there ever was, deletions among them.
    ever: BTreeSet<(Arc<str>, u64)>,
    /// Objects that could not be decoded at some time.
    poisoned: BTreeSet<Arc<str>>,
}

#[derive(Debug, Default)]
struct Epoch {
    base_rv: u64,
    base: BTreeMap<(Kind, Arc<str>), Fact>,
    changes: Vec<Change>,
    present: BTreeMap<(Kind, Arc<str>), Fact>,
}

#[derive(Debug)]
struct Change {
    rv: u64,
    kind: Kind,
    key: Arc<str>,
    fact: Option<Fact>,
}

/// A place in a history, with what is selected there.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    pub(crate) epoch: usize,
    pub(crate) rv: u64,
    next: usize,
    pub(crate) selected: Selected,
}

// === impl Model ===

impl Model {
    /// A model that begins with nothing, at a version.
    pub(crate) fn new(rv: u64) -> Self {
        let epoch = Epoch {
            base_rv: rv,
            ..Epoch::default()
        };
        Self {
            epochs: vec![epoch],
            ever: BTreeSet::new(),
            poisoned: BTreeSet::new(),
        }
    }

    /// The number of the present epoch.
    pub(crate) fn epoch(&self) -> usize {
        self.epochs.len() - 1
    }

    /// Takes note of a change (M1).
    pub(crate) fn note(&mut self, rv: u64, kind: Kind, object: &Stored, is_deleted: bool) {
        let document = object.document();
        let number = |value: &Value, prefix: &str| {
            let digits = value.as_str()?.strip_prefix(prefix)?;
            digits.parse().ok()
        };
        let spec_n = document["spec"]["n"].as_u64();
        let fact = Fact {
            uid: object.uid().into(),
            rv,
            mark: spec_n.map(|n| mark_of(n, document["spec"]["seen"].as_u64())),
            app: number(&document["metadata"]["labels"]["app"], "a"),
            node: number(&document["spec"]["nodeName"], "n"),
        };
        self.ever.insert((Arc::clone(&fact.uid), rv));
        if spec_n.is_none() {
            self.poisoned.insert(Arc::clone(&fact.uid));
        }
        let key: Arc<str> = object.key().into();
        let fact = (!is_deleted).then_some(fact);
        let Some(epoch) = self.epochs.last_mut() else {
            return;
        };
        let place = (kind, Arc::clone(&key));
        match &fact {
            Some(fact) => epoch.present.insert(place, fact.clone()),
            None => epoch.present.remove(&place),
        };
        epoch.changes.push(Change {
            rv,
            kind,
            key,
            fact,
        });
    }

    /// A restore: the state of the present epoch at a version begins another one.
    pub(crate) fn restore(&mut self, rv: u64) {
        let Some(epoch) = self.epochs.last() else {
            return;
        };
        let mut base = epoch.base.clone();
        for change in epoch.changes.iter().take_while(|change| change.rv <= rv) {
            let place = (change.kind, Arc::clone(&change.key));
            match &change.fact {
                Some(fact) => base.insert(place, fact.clone()),
                None => base.remove(&place),
            };
        }
        self.epochs.push(Epoch {
            base_rv: rv,
            present: base.clone(),
            base,
            changes: Vec::new(),
        });
    }

    /// Whether an object ever had this version.
    pub(crate) fn ever(&self, uid: &str, rv: u64) -> bool {
        self.ever.contains(&(Arc::from(uid), rv))
    }

    /// Whether an object could ever not be decoded.
    pub(crate) fn was_poisoned(&self, uid: &str) -> bool {
        self.poisoned.contains(uid)
    }

    /// Whether an object is there now.
    pub(crate) fn is_present(&self, kind: Kind, key: &str, uid: &str) -> bool {
        let present = self.epochs.last().map(|epoch| &epoch.present);
        present
            .and_then(|present| present.get(&(kind, Arc::from(key))))
            .is_some_and(|fact| *fact.uid == *uid)
    }

    /// What an informer should have at a version of an epoch; `last` is where it was before.
    pub(crate) fn at(
        &self,
        last: Option<Cursor>,
        epoch: usize,
        rv: u64,
        scope: &InformerKnobs,
    ) -> Option<Cursor> {
        let history = self.epochs.get(epoch)?;
        if rv < history.base_rv {
            return None;
        }
        let mut cursor = match last {
            Some(last) if last.epoch == epoch && last.rv <= rv => last,
            _ => Cursor {
                epoch,
                rv: history.base_rv,
                next: 0,
                selected: select(&history.base, scope),
            },
        };
        for change in &history.changes[cursor.next..] {
            if change.rv > rv {
                break;
            }
            cursor.next += 1;
            if change.kind != scope.kind {
                continue;
            }
            match &change.fact {
                Some(fact) if selects(scope, &change.key, fact) => {
                    cursor.selected.insert(Arc::clone(&change.key), fact.held());
                }
                _ => {
                    cursor.selected.remove(&change.key);
                }
            }
        }
        cursor.rv = rv;
        Some(cursor)
    }

    /// What an informer should have now.
    pub(crate) fn present(&self, scope: &InformerKnobs) -> Selected {
        let present = self.epochs.last().map(|epoch| &epoch.present);
        present.map_or_else(Selected::new, |present| select(present, scope))
    }
}

impl Fact {
    fn held(&self) -> Held {
        Held {
            uid: Arc::clone(&self.uid),
            rv: self.rv,
            mark: self.mark,
        }
    }
}

/// The mark of an object that was written as a whole, and perhaps touched by a worker since.
pub(crate) fn mark_of(n: u64, seen: Option<u64>) -> Mark {
    n.wrapping_mul(MARK_PRIME).wrapping_add(seen.unwrap_or(0))
}

/// More than there are writes in a run.
const MARK_PRIME: u64 = 0x1_0000_000f;

fn select(all: &BTreeMap<(Kind, Arc<str>), Fact>, scope: &InformerKnobs) -> Selected {
    let selected = all
        .iter()
        .filter(|((kind, key), fact)| *kind == scope.kind && selects(scope, key, fact));
    selected
        .map(|((_, key), fact)| (Arc::clone(key), fact.held()))
        .collect()
}

fn selects(scope: &InformerKnobs, key: &str, fact: &Fact) -> bool {
    let is_here = |namespace: u8| key.as_bytes().first() == Some(&(b'a' + namespace % 26));
    scope.namespace.is_none_or(is_here)
        && scope.app.is_none_or(|app| fact.app == Some(app))
        && scope.node.is_none_or(|node| fact.node == Some(node))
}
