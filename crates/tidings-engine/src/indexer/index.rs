//! One index: from each value that its function emits to the entries that it emits it for.
//!
//! Does not keep which values an entry has: the function says so again when the entry goes.
//!
//! ```text
//!  index "node"   trie of postings, by the value's hash
//!                   "node-1" -> trie of entries: default/web-0@1043, default/web-7@981
//!                   "node-2" -> one entry, no page: default/web-1@990
//! ```
//!
//! X1  No posting is empty (cg-S2); an entry stands once under a value, however often emitted.
//! X2  An entry whose function panics is in no posting of that index; all others are not affected
//!     (against cg-S2, where it takes the process down).
//! Cost: an update calls the function twice, for the old entry and the new one, and copies a path
//! in the trie of postings and one in each posting.
//! Source: client-go tools/cache/thread_safe_store.go @32ce75a7d; rules cg-S2, cg-S3.

use std::{
    error, fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{KeyHasher, graveyard::Pools};
use crate::{
    entry::Entry,
    pages::{Keyed, PageTrie},
};

/// An index function: emits the values under which an entry is to be found, none, one or more.
///
/// It must depend on the entry alone: it is called again with the same entry to take it out.
pub type IndexFn<P> = Box<dyn Fn(&Entry<P>, &mut dyn FnMut(&str)) + Send>;

/// Why an index was not added: the caller's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexError {
    /// There is an index of this name (cg-S3); choose another.
    Duplicate {
        /// The name.
        name: Box<str>,
    },
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { name } => write!(f, "there is already an index named {name:?}"),
        }
    }
}

impl error::Error for IndexError {}

/// No index of this name was published: the caller's fault, or it was added a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownIndex {
    /// The name that was asked for.
    pub name: Box<str>,
}

impl fmt::Display for UnknownIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no index named {:?}", self.name)
    }
}

impl error::Error for UnknownIndex {}

/// An index function panicked over an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexFailure {
    /// Which index.
    pub index: Arc<str>,
    /// The key of the entry, which is not in that index.
    pub key: Box<str>,
}

/// The entries under one value.
pub(super) struct Posting<P> {
    hash: u64,
    value: Arc<str>,
    pub(super) entries: PageTrie<Entry<P>>,
}

/// An index without its function.
pub(super) struct Index<P> {
    name: Arc<str>,
    postings: PageTrie<Posting<P>>,
}

/// The values that a function emitted for one entry, sorted and each once.
#[derive(Default)]
pub(super) struct Values {
    text: String,
    spans: Vec<(usize, usize)>,
}

/// The functions of all indexes, in the order of the indexes.
pub(super) struct Functions<P> {
    list: Vec<(Arc<str>, IndexFn<P>)>,
    failures: u64,
    last_failure: Option<IndexFailure>,
    before: Values,
    after: Values,
}

// === impl Index ===

impl<P> Index<P> {
    pub(super) const fn new(name: Arc<str>) -> Self {
        Self {
            name,
            postings: PageTrie::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn get(&self, hasher: KeyHasher, value: &str) -> Option<&Posting<P>> {
        self.postings
            .get(hasher.hash(value.as_bytes()), value.as_bytes())
    }

    /// All values, sorted.
    pub(super) fn values(&self) -> Vec<Arc<str>> {
        let mut values: Vec<_> = self
            .postings
            .iter()
            .map(|posting| Arc::clone(&posting.value))
            .collect();
        values.sort_unstable();
        values
    }

    pub(super) fn into_postings(self) -> PageTrie<Posting<P>> {
        self.postings
    }

    /// X1, and that the postings have `expected` entries in all.
    pub(super) fn check_invariants(&self, expected: usize) {
        self.postings.check_invariants();
        let mut count = 0;
        for posting in &self.postings {
            posting.entries.check_invariants();
            assert!(
                !posting.entries.is_empty(),
                "X1: an empty posting in {}",
                self.name
            );
            count += posting.entries.len();
        }
        assert_eq!(
            count, expected,
            "I2: {} has entries that its function denies",
            self.name
        );
    }
}

impl<P: Clone> Index<P> {
    /// Takes the old entry out from under its values and files the new one under its own; where
    /// the values are the same the new entry takes the old one's place.
    pub(super) fn update(
        &mut self,
        hasher: KeyHasher,
        (old, before): (Option<&Entry<P>>, &Values),
        (new, after): (Option<&Entry<P>>, &Values),
        pools: &mut Pools<P>,
    ) {
        if let Some(new) = new {
            for value in after.iter() {
                self.file(hasher, value, new, pools);
            }
        }
        if let Some(old) = old {
            for value in before.iter().filter(|value| !after.contains(value)) {
                self.unfile(hasher, value, old, pools);
            }
        }
    }

    fn file(&mut self, hasher: KeyHasher, value: &str, entry: &Entry<P>, pools: &mut Pools<P>) {
        let hash = hasher.hash(value.as_bytes());
        let present = self
            .postings
            .get_mut(hash, value.as_bytes(), &mut pools.postings);
        if let Some(posting) = present {
            posting.entries.insert(entry.clone(), &mut pools.entries);
            return;
        }
        let mut posting = Posting {
            hash,
            value: value.into(),
            entries: PageTrie::new(),
        };
        posting.entries.insert(entry.clone(), &mut pools.entries);
        self.postings.insert(posting, &mut pools.postings);
    }

    fn unfile(&mut self, hasher: KeyHasher, value: &str, entry: &Entry<P>, pools: &mut Pools<P>) {
        let hash = hasher.hash(value.as_bytes());
        let present = self
            .postings
            .get_mut(hash, value.as_bytes(), &mut pools.postings);
        let Some(posting) = present else {
            return;
        };
        posting
            .entries
            .remove(entry.hash, entry.object.key_bytes(), &mut pools.entries);
        if posting.entries.is_empty() {
            self.postings
                .remove(hash, value.as_bytes(), &mut pools.postings);
        }
    }
}

impl<P> Clone for Index<P>
where
    P: Clone,
{
    fn clone(&self) -> Self {
        Self {
            name: Arc::clone(&self.name),
            postings: self.postings.clone(),
        }
    }
}

// === impl Posting ===

impl<P: Clone> Clone for Posting<P> {
    fn clone(&self) -> Self {
        Self {
            hash: self.hash,
            value: Arc::clone(&self.value),
            entries: self.entries.clone(),
        }
    }
}

impl<P> Keyed for Posting<P> {
    fn hash(&self) -> u64 {
        self.hash
    }

    fn key(&self) -> &[u8] {
        self.value.as_bytes()
    }

    fn is_same(&self, other: &Self) -> bool {
        self.entries.is_same(&other.entries)
    }
}

// === impl Functions ===

impl<P> Functions<P> {
    pub(super) fn new() -> Self {
        Self {
            list: Vec::new(),
            failures: 0,
            last_failure: None,
            before: Values::default(),
            after: Values::default(),
        }
    }

    pub(super) fn push(&mut self, name: Arc<str>, function: IndexFn<P>) {
        self.list.push((name, function));
    }

    /// What index `at` says of both entries; the caller files them accordingly.
    pub(super) fn change(
        &mut self,
        at: usize,
        old: Option<&Entry<P>>,
        new: Option<&Entry<P>>,
    ) -> (&Values, &Values) {
        let (name, function) = &self.list[at];
        self.before.clear();
        self.after.clear();
        if let Some(old) = old {
            // If it panics now it did when the entry came, which is not in the index then.
            self.before.collect(function, old);
        }
        if let Some(new) = new
            && !self.after.collect(function, new)
        {
            self.failures += 1;
            let (index, key) = (Arc::clone(name), new.object.key().into());
            self.last_failure = Some(IndexFailure { index, key });
        }
        (&self.before, &self.after)
    }

    /// What index `at` says of an entry, for checks.
    pub(super) fn values(&self, at: usize, entry: &Entry<P>) -> Values {
        let mut values = Values::default();
        values.collect(&self.list[at].1, entry);
        values
    }

    pub(super) const fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn name(&self, at: usize) -> &Arc<str> {
        &self.list[at].0
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.list.iter().any(|(present, _)| **present == *name)
    }

    pub(super) const fn failures(&self) -> u64 {
        self.failures
    }

    pub(super) const fn last_failure(&self) -> Option<&IndexFailure> {
        self.last_failure.as_ref()
    }
}

// === impl Values ===

impl Values {
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.spans.iter().map(|&span| self.text(span))
    }

    fn contains(&self, value: &str) -> bool {
        self.spans
            .binary_search_by(|&span| self.text(span).cmp(value))
            .is_ok()
    }

    fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
    }

    /// Collects what the function emits; nothing and `false` if it panics.
    fn collect<P>(&mut self, function: &IndexFn<P>, entry: &Entry<P>) -> bool {
        self.clear();
        let (text, spans) = (&mut self.text, &mut self.spans);
        let mut emit = |value: &str| {
            let start = text.len();
            text.push_str(value);
            spans.push((start, text.len()));
        };
        // Whatever the panic left behind is cleared, and the function has no state of ours.
        if catch_unwind(AssertUnwindSafe(|| function(entry, &mut emit))).is_err() {
            self.clear();
            return false;
        }
        if self.spans.len() > 1 {
            let text = self.text.as_str();
            let value = |&(start, end): &(usize, usize)| &text[start..end];
            self.spans
                .sort_unstable_by(|left, right| value(left).cmp(value(right)));
            self.spans
                .dedup_by(|left, right| value(left) == value(right));
        }
        true
    }

    fn text(&self, (start, end): (usize, usize)) -> &str {
        &self.text[start..end]
    }
}
