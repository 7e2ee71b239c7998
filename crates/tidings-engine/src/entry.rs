//! One object of the store with its decoded value, or with the reason why it has none.
//!
//! Does not decode: the shell does, once, before an entry is made (cg-R32). The payload `P` is
//! opaque and without bounds but `Clone`: `()` for a raw cache, an `Arc<T>` for a decoded one.
//!
//! Source: DESIGN 4.7; rule INV-S11.

use std::{fmt, num::NonZeroU32, sync::Arc};

use tidings_api::Object;

/// An object as the store keeps it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry<P> {
    /// The key's hash under the store's seed; see [`crate::indexer`].
    pub hash: u64,
    /// Key, uid, version and, in a raw cache, JSON.
    pub object: Object,
    /// The decoded value, or why there is none.
    pub value: Value<P>,
    /// Set by the store.
    pub(crate) ordinal: Ordinal,
}

/// Tells stored keys with equal hashes apart: the first of them is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ordinal(NonZeroU32);

impl<P> Entry<P> {
    /// An entry from its parts; `hash` is of `object.key_bytes()` under the store's seed.
    pub const fn new(hash: u64, object: Object, value: Value<P>) -> Self {
        Self {
            hash,
            object,
            value,
            ordinal: Ordinal::FIRST,
        }
    }

    /// The decoded value, or the last good one while the present one is undecodable.
    pub fn effective(&self) -> Option<&P> {
        match &self.value {
            Value::Decoded(payload) => Some(payload),
            Value::Poisoned(poison) => poison.last_good.as_ref(),
        }
    }

    /// The object that [`effective`](Self::effective) is of: in a raw cache it has the JSON.
    pub fn effective_object(&self) -> Option<&Object> {
        match &self.value {
            Value::Decoded(_) => Some(&self.object),
            Value::Poisoned(poison) => poison.last_object.as_ref(),
        }
    }

    /// Bytes of the objects that it holds: its own, and the last good one beside a poisoned one.
    pub fn bytes_len(&self) -> usize {
        let last = match &self.value {
            Value::Decoded(_) => None,
            Value::Poisoned(poison) => poison.last_object.as_ref(),
        };
        self.object.bytes_len() + last.map_or(0, Object::bytes_len)
    }

    /// Whether the present version has no value.
    pub const fn is_poisoned(&self) -> bool {
        matches!(self.value, Value::Poisoned(_))
    }

    /// Whether both are the same incarnation; an object without a uid is whatever stands there.
    pub(crate) fn is_same_uid(&self, other: &Self) -> bool {
        let (own, other) = (self.object.uid(), other.object.uid());
        own == other || own.is_empty() || other.is_empty()
    }
}

impl<P: Clone> Entry<P> {
    /// The entry as it was last decodable: itself, or the last good value with its object.
    pub(crate) fn last_good(&self) -> Option<Self> {
        let Value::Poisoned(poison) = &self.value else {
            return Some(self.clone());
        };
        let payload = poison.last_good.clone()?;
        let object = poison.last_object.as_ref().unwrap_or(&self.object);
        Some(Self::new(
            self.hash,
            object.clone(),
            Value::Decoded(payload),
        ))
    }

    /// The last good value of the same object goes with one that cannot be decoded (INV-S11).
    pub(crate) fn with_last_good(self, stored: Option<&Self>) -> Self {
        let Value::Poisoned(poison) = &self.value else {
            return self;
        };
        let stored = stored.filter(|stored| stored.is_same_uid(&self));
        let good = stored.and_then(Self::effective).cloned();
        let mut poison = Poison::new(poison.problem.clone(), good);
        poison.last_object = stored.and_then(Self::effective_object).cloned();
        Self::new(self.hash, self.object, Value::Poisoned(Arc::new(poison)))
    }
}

// === impl Ordinal ===

impl Ordinal {
    pub(crate) const FIRST: Self = Self(NonZeroU32::MIN);

    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What decoding an object gave.
#[derive(Clone)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a lookup has exactly these answers"
)]
pub enum Value<P> {
    /// The payload.
    Decoded(P),
    /// The present version cannot be decoded, or passed a bound: this key alone is hurt.
    Poisoned(Arc<Poison<P>>),
}

impl<P> fmt::Debug for Value<P> {
    /// Which of the two; never the payload, which may be a Secret's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decoded(_) => f.write_str("decoded"),
            Self::Poisoned(poison) => write!(f, "poisoned({})", poison.problem),
        }
    }
}

/// Why an object has no value.
#[non_exhaustive]
pub struct Poison<P> {
    /// One sentence with the place, never the content.
    pub problem: String,
    /// The value of the last version that could be decoded, if there was one.
    pub last_good: Option<P>,
    /// The object of that version, if there was one: a raw cache has its JSON here.
    pub last_object: Option<Object>,
}

impl<P> Poison<P> {
    /// A poison record.
    pub const fn new(problem: String, last_good: Option<P>) -> Self {
        Self {
            problem,
            last_good,
            last_object: None,
        }
    }
}
