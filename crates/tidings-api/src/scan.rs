//! One pass over one JSON object: it finds the end and, on the way, the metadata.
//!
//! Does not validate JSON: it checks the grammar of the top level and of `metadata`, short of the
//! spelling of numbers, and counts brackets everywhere else. Whoever decodes the object validates
//! it.
//!
//! ```text
//!  {"kind":"Pod",..,"metadata":{"name":"web-0",..,"managedFields":[..]},"spec":{..},"status":{..}}
//!   '-- walked ----------------------------------' '- skipped -' walked '-- skipped ----------' ^
//!                                                ^-------------^ cut                        end
//! ```
//!
//! In: the object's bytes from its opening brace, growing ([`Scan::advance`]). Out: where it ends,
//! and an [`Item`] that is usable, or names what is wrong and whose object it is.
//!
//! S1  Keys may stand in any order; of equal keys the last counts (SEC-22). Of several
//!     `managedFields` the first is cut.
//! S2  The answer depends on the bytes alone, never on how they were cut into calls (pr-F24).
//! S3  At most `object_bytes_max` bytes are ever looked at for metadata, and the rest of a longer
//!     object is counted and thrown away (SEC-16, pr-W5).
//! S4  Iterative, with a counter in place of a stack: depth costs no memory, and an object nested
//!     deeper than `serde_json` reads is served as it is (SEC-18, SEC-20, pr-F43).
//! S5  Numbers are never read: they stay the text that they are (SEC-21).
//! Cost: about 0.8 us for a pod of 6.8 KB; no allocation unless a token has escapes.
//! Source: research behind rules pr-N13, pr-F41, pr-F43, SEC-16..SEC-23; Go's json, last key wins.

use std::borrow::Cow;

use tidings_scan::Walker;

use crate::limits::Limits;

mod assemble;
mod envelope;
mod fields;
mod item;
mod walk;

pub use item::{Item, Keep, ListKind, Problem, Scanned, Unusable};

pub(crate) use assemble::{Assembler, Place};
pub(crate) use envelope::{Envelope, Fault, Stop, is_space};
pub(crate) use fields::{each_field, text_of};

use walk::{Visit, Walk};

/// The scan of one object, resumable after any byte.
#[derive(Clone, Debug)]
pub struct Scan {
    limits: Limits,
    walker: Walker,
    walk: Walk,
    /// How many bytes were scanned.
    bytes: u64,
    /// What was known of an object when it outgrew its limit.
    outgrown: Option<Box<Unusable<'static>>>,
}

/// What an advance found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the object has ended or not")]
pub enum Progress {
    /// The object goes on beyond the bytes given.
    More,
    /// The object ends after this many of the bytes given.
    Done(usize),
}

impl Scan {
    /// A scan that has seen nothing yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            limits: *limits,
            walker: Walker::new(limits.depth_max),
            walk: Walk::default(),
            bytes: 0,
            outgrown: None,
        }
    }

    /// Forgets the object and waits for another.
    pub fn reset(&mut self) {
        self.walker = Walker::new(self.limits.depth_max);
        self.walk = Walk::default();
        self.bytes = 0;
        self.outgrown = None;
    }

    /// Goes on with the object's bytes: all of them from its opening brace, those of earlier calls
    /// included. Once [`is_skimming`](Self::is_skimming), use [`skim`](Self::skim).
    #[inline]
    pub fn advance(&mut self, bytes: &[u8]) -> Progress {
        debug_assert!(!self.is_skimming());
        let seen = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        let upto = bytes.len().min(self.limits.object_bytes_max);
        if let Some(new) = bytes.get(seen..upto) {
            let mut visit = Visit {
                walk: &mut self.walk,
                bytes: &bytes[..upto],
            };
            if let Some(last) = self.walker.run(new, &mut visit) {
                self.bytes += last as u64 + 1;
                return Progress::Done(seen + last + 1);
            }
            self.bytes += new.len() as u64;
        }
        if bytes.len() > upto {
            return self.outgrow(bytes, upto);
        }
        Progress::More
    }

    /// Goes on with an object that outgrew its limit: `bytes` are new ones, and none is needed
    /// again.
    pub fn skim(&mut self, bytes: &[u8]) -> Progress {
        let mut visit = Visit {
            walk: &mut self.walk,
            bytes: &[],
        };
        let last = self.walker.run(bytes, &mut visit);
        let taken = last.map_or(bytes.len(), |last| last + 1);
        self.bytes += taken as u64;
        if let Some(outgrown) = &mut self.outgrown {
            outgrown.bytes = self.bytes;
        }
        last.map_or(Progress::More, |_| Progress::Done(taken))
    }

    /// Whether the object outgrew its limit, so that its bytes need not be kept.
    #[must_use]
    pub fn is_skimming(&self) -> bool {
        self.outgrown.is_some()
    }

    /// How many of the object's bytes were scanned.
    #[must_use]
    pub fn bytes_len(&self) -> u64 {
        self.bytes
    }

    /// The object, once it is done. `bytes` are all of its bytes (any, if it was skimmed);
    /// `list` names the kind of the list that it came in, if it came in one.
    #[must_use]
    #[inline]
    pub fn item<'a>(&'a self, bytes: &'a [u8], list: Option<&'a ListKind>) -> Item<'a> {
        if let Some(outgrown) = &self.outgrown {
            return Item::Unusable(outgrown.borrowed());
        }
        let problem = self.problem();
        item::item(
            &self.walk,
            bytes,
            list,
            problem,
            self.limits.token_bytes_max,
        )
    }

    /// What the metadata says of a bookmark, which has no name (pr-E4): its resourceVersion, and
    /// the value of one annotation.
    pub(crate) fn bookmark<'a>(
        &self,
        bytes: &'a [u8],
        annotation: &str,
    ) -> (Cow<'a, str>, Option<Cow<'a, str>>) {
        let readable = !self.is_skimming() && self.problem().is_none();
        let text = std::str::from_utf8(bytes).ok().filter(|_| readable);
        let Some(text) = text else {
            return (Cow::Borrowed(""), None);
        };
        let fields = &self.walk.fields;
        let version = item::token(text.as_bytes(), fields.resource_version, usize::MAX);
        let annotations = fields.annotations.of(text);
        (
            version.unwrap_or_default(),
            fields::find(annotations, annotation),
        )
    }

    /// The kind and apiVersion that the object itself names.
    pub(crate) fn type_meta<'a>(&self, bytes: &'a [u8]) -> (Cow<'a, str>, Cow<'a, str>) {
        if self.is_skimming() {
            return (Cow::Borrowed(""), Cow::Borrowed(""));
        }
        let token = |span| item::token(bytes, span, self.limits.token_bytes_max);
        let fields = &self.walk.fields;
        (
            token(fields.kind).unwrap_or_default(),
            token(fields.api_version).unwrap_or_default(),
        )
    }

    fn problem(&self) -> Option<Problem> {
        if let Some(at) = self.walk.malformed_at {
            return Some(Problem::Malformed { offset: at as u64 });
        }
        self.walker.is_too_deep().then_some(Problem::TooDeep)
    }

    #[cold]
    fn outgrow(&mut self, bytes: &[u8], upto: usize) -> Progress {
        let kept = &bytes[..upto];
        let mut unusable = item::unusable(
            &self.walk,
            kept,
            Problem::TooLarge,
            self.limits.token_bytes_max,
        );
        unusable.bytes = self.bytes;
        self.outgrown = Some(Box::new(unusable.into_owned()));
        self.walk.abandon();
        self.walker.skip_all();
        match self.skim(&bytes[upto..]) {
            Progress::More => Progress::More,
            Progress::Done(taken) => Progress::Done(upto + taken),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
