//! Puts one object together from chunks, copying it only if a chunk's end cuts it.
//!
//! Does not know what stands around the object.
//!
//! ```text
//!  chunk 1                         chunk 2
//!  ..},{"metadata":{..},"spec":{.. | ..},"status":{..}},{"metadata":..
//!      '-- copied to the carry ---' '-- in steps -----'
//!                                                      ^ from here on in place again
//! ```
//!
//! In: the bytes that follow, as slices. Out: where the object lies once it is whole.
//! A1  The carry holds at most `object_bytes_max` bytes and one step.
//! A2  After a large object the carry gives its memory back.

use crate::limits::Limits;

use super::{Item, ListKind, Progress, Scan};

/// The object being put together.
#[derive(Debug)]
pub(crate) struct Assembler {
    scan: Scan,
    carry: Vec<u8>,
}

/// Where a whole object lies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// In the slice given last, from its start.
    Slice,
    /// In the carry, or nowhere if it was skimmed.
    Carry,
}

impl Assembler {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            scan: Scan::new(limits),
            carry: Vec::new(),
        }
    }

    /// Forgets the object and waits for another.
    #[inline]
    pub(crate) fn reset(&mut self) {
        self.scan.reset();
        self.carry.clear();
        if self.carry.capacity() > CARRY_KEPT_BYTES_MAX {
            self.carry = Vec::new();
        }
    }

    /// Takes bytes of the object from the start of `rest`. Returns how many, and the object's place
    /// if it is whole.
    #[inline]
    pub(crate) fn advance(&mut self, rest: &[u8]) -> (usize, Option<Place>) {
        if self.scan.bytes_len() > 0 {
            return self.resume(rest);
        }
        match self.scan.advance(rest) {
            Progress::Done(len) => (len, Some(Place::Slice)),
            Progress::More => {
                if !self.scan.is_skimming() {
                    self.carry.extend_from_slice(rest);
                }
                (rest.len(), None)
            }
        }
    }

    /// Copies an object that lies in a slice, because the slice goes away before the object is
    /// handed out.
    pub(crate) fn hold(&mut self, object: &[u8]) {
        if !self.scan.is_skimming() {
            self.carry.extend_from_slice(object);
        }
    }

    /// The scan of the object, and its bytes where `slice` is that which it lies in.
    #[inline]
    pub(crate) fn whole<'a>(&'a self, place: Place, slice: &'a [u8]) -> (&'a Scan, &'a [u8]) {
        let bytes = match place {
            Place::Slice => slice,
            Place::Carry => &self.carry,
        };
        (&self.scan, bytes)
    }

    /// The object as an item.
    #[inline]
    pub(crate) fn item<'a>(
        &'a self,
        place: Place,
        slice: &'a [u8],
        list: Option<&'a ListKind>,
    ) -> Item<'a> {
        let (scan, bytes) = self.whole(place, slice);
        scan.item(bytes, list)
    }

    fn resume(&mut self, rest: &[u8]) -> (usize, Option<Place>) {
        let mut taken = 0;
        let mut step = STEP_BYTES_MIN;
        while taken < rest.len() && !self.scan.is_skimming() {
            let before = self.carry.len();
            let upto = rest.len().min(taken + step);
            self.carry.extend_from_slice(&rest[taken..upto]);
            if let Progress::Done(len) = self.scan.advance(&self.carry) {
                self.carry.truncate(len);
                return (taken + len - before, Some(Place::Carry));
            }
            taken = upto;
            step = (2 * step).min(STEP_BYTES_MAX);
        }
        if !self.scan.is_skimming() {
            return (taken, None);
        }
        self.carry = Vec::new();
        match self.scan.skim(&rest[taken..]) {
            Progress::Done(len) => (taken + len, Some(Place::Carry)),
            Progress::More => (rest.len(), None),
        }
    }
}

const STEP_BYTES_MIN: usize = 1 << 10;
const STEP_BYTES_MAX: usize = 64 << 10;
const CARRY_KEPT_BYTES_MAX: usize = 256 << 10;
