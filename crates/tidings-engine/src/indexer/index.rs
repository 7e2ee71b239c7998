//! One index: from each value that its function emits to the entries that it emits it for.
//!
//! Does not keep which values an entry has: the function says so again when the entry goes. Does not
//! keep the entries either, but where they are found in the store of the same root: so an update
//! that leaves an entry's values as they are does not touch the index.
//!
//! ```text
//!  index "node"   trie of postings, by the value's hash
//!                   "node-1" -> {hash of default/web-0, hash of default/web-7}
//!                   "node-2" -> one hash, no page
//!  store          trie of entries, by the hash of their key and, should two be equal, an ordinal
//! ```
//!
//! X1  No posting is empty (cg-S2); an entry stands once under a value, however often emitted.
//! X2  An entry whose function panics is in no posting of that index; all others are not affected
//!     (against cg-S2, where it takes the process down).
//! Cost: an update calls the function twice, for the old entry and the new one, and changes a path in
//! the trie of postings and one in a posting for each value that came or went. Memory of 100 000
//! entries after a load: 37 bytes an entry and value where a value has 100 entries or more, 109 where
//! it has ten, 191 where it has one. A read looks each entry up: 8 to 14 ns out of the processor's
//! caches and 65 to 100 ns out of memory, with the entries cloned 20 to 31 ns and 150 to 200 ns
//! (`cargo bench -p tidings-benches --bench indexer_report`).
//! Source: client-go tools/cache/thread_safe_store.go @32ce75a7d; rules cg-S2, cg-S3.

use std::{
    error, fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{KeyHasher, graveyard::Pools};
use crate::{
    entry::{Entry, Ordinal},
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
#[derive(Clone)]
pub(super) struct Posting {
    hash: u64,
    value: Arc<str>,
    pub(super) filed: PageTrie<Filed>,
}

/// Where an entry is found in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Filed {
    pub(super) hash: u64,
    pub(super) ordinal: Ordinal,
}

/// An index without its function.
#[derive(Clone)]
pub(super) struct Index {
    name: Arc<str>,
    postings: PageTrie<Posting>,
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

impl Index {
    pub(super) const fn new(name: Arc<str>) -> Self {
        Self {
            name,
            postings: PageTrie::new(),
        }
    }

    /// Files an entry under a value. Returns the value as the index keeps it.
    pub(super) fn file<P>(
        &mut self,
        hasher: KeyHasher,
        value: &str,
        filed: Filed,
        pools: &mut Pools<P>,
    ) -> Arc<str> {
        let hash = hasher.hash(value.as_bytes());
        let present = self
            .postings
            .get_mut(hash, value.as_bytes(), &mut pools.postings);
        if let Some(posting) = present {
            posting.filed.insert(filed, &mut pools.filed);
            return Arc::clone(&posting.value);
        }
        let value: Arc<str> = value.into();
        let mut posting = Posting {
            hash,
            value: Arc::clone(&value),
            filed: PageTrie::new(),
        };
        posting.filed.insert(filed, &mut pools.filed);
        self.postings.insert(posting, &mut pools.postings);
        value
    }

    /// Takes an entry out from under a value. Returns the value as the index kept it, if it had it.
    pub(super) fn unfile<P>(
        &mut self,
        hasher: KeyHasher,
        value: &str,
        filed: Filed,
        pools: &mut Pools<P>,
    ) -> Option<Arc<str>> {
        let hash = hasher.hash(value.as_bytes());
        let posting = self
            .postings
            .get_mut(hash, value.as_bytes(), &mut pools.postings)?;
        let kept = Arc::clone(&posting.value);
        posting
            .filed
            .remove(filed.hash, &filed.ordinal, &mut pools.filed);
        if posting.filed.is_empty() {
            self.postings
                .remove(hash, value.as_bytes(), &mut pools.postings);
        }
        Some(kept)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn get(&self, hasher: KeyHasher, value: &str) -> Option<&Posting> {
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

    pub(super) fn into_postings(self) -> PageTrie<Posting> {
        self.postings
    }

    /// X1, and that the postings have `expected` entries in all.
    pub(super) fn check_invariants(&self, expected: usize) {
        self.postings.check_invariants();
        let mut count = 0;
        for posting in &self.postings {
            posting.filed.check_invariants();
            assert!(
                !posting.filed.is_empty(),
                "X1: an empty posting in {}",
                self.name
            );
            count += posting.filed.len();
        }
        assert_eq!(
            count, expected,
            "I2: {} has entries that its function denies",
            self.name
        );
    }
}

// === impl Posting ===

impl Keyed for Posting {
    type Key = [u8];

    fn hash(&self) -> u64 {
        self.hash
    }

    fn key(&self) -> &[u8] {
        self.value.as_bytes()
    }

    fn is_same(&self, other: &Self) -> bool {
        self.filed.is_same(&other.filed)
    }
}

// === impl Filed ===

impl Filed {
    pub(super) const fn of<P>(entry: &Entry<P>) -> Self {
        Self {
            hash: entry.hash,
            ordinal: entry.ordinal,
        }
    }
}

impl Keyed for Filed {
    type Key = Ordinal;

    fn hash(&self) -> u64 {
        self.hash
    }

    fn key(&self) -> &Ordinal {
        &self.ordinal
    }

    fn is_same(&self, other: &Self) -> bool {
        self == other
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

    pub(super) fn contains(&self, value: &str) -> bool {
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
