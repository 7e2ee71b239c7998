//! Walks the tokens of one JSON value, and skips what the visitor does not want to see.
//!
//! Does not remember where anything was: the visitor does.
//!
//! In: the value's bytes in order, in slices cut anywhere. Out: one call of the visitor for each
//! string and bracket that is not skipped. What stands between two of them (colons, commas,
//! numbers, white space) is short, and the visitor reads it itself.
//!
//! ```text
//!   {"metadata":{..},"spec":{ "containers":[ {..}, {..} ] } }
//!   ^'--------' ^  ^ '----' ^                             ^ ^
//!   visited                 '-- Step::Skip: counted only -' visited again
//! ```
//!
//! W1  While skipping, `goal < depth`; the visitor sees the bracket that brings `depth` to `goal`.
//! W2  `is_too_deep` is set exactly when some bracket brought the depth above `depth_max`.
//! W3  Each byte is classified once, whatever the slices (a slice's last block may be short).
//! Cost: skipping about 3 ns a block; walking about 4 ns more a token.

use crate::{
    BLOCK_BYTES,
    mask::{Carry, Outline, Raw},
};

/// What a [`Visitor`] wants after a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the walker acts on every variant")]
pub enum Step {
    /// To see the next token.
    Next,
    /// To see nothing until the bracket that closes the innermost open one, and then that one.
    Skip,
    /// To see nothing until the bracket that closes the outermost one, and then that one.
    SkipAll,
    /// To see nothing more.
    Stop,
}

/// Sees the tokens that a [`Walker`] does not skip. Places count from the walk's first byte.
pub trait Visitor {
    /// A string, from its opening quote at `start` to its closing quote at `end`.
    fn string(&mut self, start: usize, end: usize) -> Step;

    /// One of `{}[]`, outside strings.
    fn bracket(&mut self, at: usize, byte: u8) -> Step;
}

/// Where a walk stands: plain data, so that it resumes across reads.
#[derive(Clone, Copy, Debug)]
pub struct Walker {
    carry: Carry,
    /// How many bytes were walked in earlier slices; wraps where nothing remembers places.
    base: usize,
    /// Where the string at hand was opened.
    string_start: usize,
    depth: u64,
    depth_max: u64,
    goal: Option<u64>,
    is_too_deep: bool,
}

impl Walker {
    /// A walk that has seen nothing yet and counts as too deep what is nested deeper than
    /// `depth_max`.
    #[must_use]
    pub fn new(depth_max: u32) -> Self {
        Self {
            carry: Carry::default(),
            base: 0,
            string_start: 0,
            depth: 0,
            depth_max: u64::from(depth_max),
            goal: None,
            is_too_deep: false,
        }
    }

    /// Walks over `bytes`, which follow those of the call before. Returns the index in `bytes` of
    /// the byte at which the visitor stopped, or `None` when it wants more. After a stop the walk
    /// is over.
    #[inline]
    pub fn run<V: Visitor>(&mut self, bytes: &[u8], visitor: &mut V) -> Option<usize> {
        #[cfg(target_arch = "x86_64")]
        return crate::x86::run(self, bytes, visitor);
        #[cfg(not(target_arch = "x86_64"))]
        return crate::portable::run(self, bytes, visitor);
    }

    /// Skips from here to the bracket that closes the outermost one.
    pub fn skip_all(&mut self) {
        self.goal = Some(0);
    }

    /// How many brackets are open.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.depth
    }

    /// Whether some bracket was nested deeper than `depth_max` (W2).
    #[must_use]
    pub fn is_too_deep(&self) -> bool {
        self.is_too_deep
    }

    #[inline(always)]
    fn open(&mut self) {
        self.depth += 1;
        self.is_too_deep |= self.depth > self.depth_max;
    }
}

/// The walk over whole blocks and the short one at the end; `twin` classifies a block and turns
/// quotes into strings.
#[inline(always)]
pub(crate) fn run<V: Visitor>(
    walker: &mut Walker,
    bytes: &[u8],
    visitor: &mut V,
    twin: (impl Fn(&[u8; BLOCK_BYTES]) -> Raw, impl Fn(u64) -> u64),
) -> Option<usize> {
    let (classify, prefix_xor) = twin;
    // A local copy, so that the state can live in registers.
    let mut state = *walker;
    let (blocks, tail) = bytes.as_chunks::<BLOCK_BYTES>();
    for (index, block) in blocks.iter().enumerate() {
        let outline = Outline::of(classify(block), &mut state.carry, &prefix_xor);
        if state.passes(&outline, u64::MAX) {
            continue;
        }
        let start = index * BLOCK_BYTES;
        if let Some(at) = state.block(&outline, block, start, visitor) {
            *walker = state;
            return Some(start + at);
        }
    }
    if !tail.is_empty() {
        let mut block = [b' '; BLOCK_BYTES];
        block[..tail.len()].copy_from_slice(tail);
        let outline = Outline::of(classify(&block), &mut state.carry, &prefix_xor);
        state.carry = outline.carry_at(tail.len());
        let start = bytes.len() - tail.len();
        if !state.passes(&outline, u64::MAX)
            && let Some(at) = state.block(&outline, &block, start, visitor)
        {
            *walker = state;
            return Some(start + at);
        }
    }
    state.base = state.base.wrapping_add(bytes.len());
    *walker = state;
    None
}

impl Walker {
    /// Counts the brackets among `rest` at once if the skip certainly lasts beyond them.
    #[inline(always)]
    fn passes(&mut self, outline: &Outline, rest: u64) -> bool {
        let Some(goal) = self.goal else {
            return false;
        };
        let opens = u64::from((outline.opens & rest).count_ones());
        let closes = u64::from((outline.closes & rest).count_ones());
        if self.depth - goal <= closes || self.depth + opens > self.depth_max {
            return false;
        }
        self.depth = self.depth + opens - closes;
        true
    }

    /// Walks the bits of a block in which something may have to be seen.
    #[inline(always)]
    fn block<V: Visitor>(
        &mut self,
        outline: &Outline,
        block: &[u8; BLOCK_BYTES],
        start: usize,
        visitor: &mut V,
    ) -> Option<usize> {
        let base = self.base.wrapping_add(start);
        // M1: of the two quotes of a string, only the opening one is inside it.
        let string_starts = outline.quotes & outline.strings;
        let string_ends = outline.quotes & !outline.strings;
        let brackets = outline.opens | outline.closes;
        let tokens = brackets | string_ends;
        let mut rest = if self.goal.is_some() {
            brackets
        } else {
            tokens
        };
        while rest != 0 {
            let index = rest.trailing_zeros() as usize;
            let bit = rest & rest.wrapping_neg();
            rest ^= bit;
            let step = if string_ends & bit != 0 {
                let before = string_starts & (bit - 1);
                let opened = match before {
                    0 => self.string_start,
                    _ => base.wrapping_add(before.ilog2() as usize),
                };
                visitor.string(opened, base.wrapping_add(index))
            } else {
                if outline.opens & bit != 0 {
                    self.open();
                } else {
                    self.depth = self.depth.saturating_sub(1);
                }
                if let Some(goal) = self.goal {
                    if self.depth > goal {
                        continue;
                    }
                    self.goal = None;
                    rest = tokens & !(bit | (bit - 1));
                }
                visitor.bracket(base.wrapping_add(index), block[index])
            };
            match step {
                Step::Next => {}
                Step::Stop => return Some(index),
                Step::Skip | Step::SkipAll => {
                    let outer = self.depth.saturating_sub(1);
                    self.goal = Some(if step == Step::Skip { outer } else { 0 });
                    rest &= brackets;
                    if self.passes(outline, rest) {
                        break;
                    }
                }
            }
        }
        if string_starts != 0 {
            self.string_start = base.wrapping_add(string_starts.ilog2() as usize);
        }
        None
    }
}
