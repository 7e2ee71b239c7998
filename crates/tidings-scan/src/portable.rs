//! The portable twin: eight bytes in one word, no intrinsics, no `unsafe`.
//!
//! It is what other targets use, and the oracle that the fast path is tested and fuzzed against.
//!
//! Cost: about 37 ns a block.

use crate::{
    BLOCK_BYTES,
    mask::{Carry, Masks, Outline, Raw},
    walk::{self, Visitor, Walker},
};

/// As [`crate::masks`], on any target.
pub fn masks(blocks: &[[u8; BLOCK_BYTES]], carry: &mut Carry, mut each: impl FnMut(Masks)) {
    for block in blocks {
        let outline = Outline::of(classify(block), carry, prefix_xor);
        each(outline.with_punctuation(punctuation(block)));
    }
}

/// As [`Walker::run`], on any target.
pub fn run<V: Visitor>(walker: &mut Walker, bytes: &[u8], visitor: &mut V) -> Option<usize> {
    walk::run(walker, bytes, visitor, (classify, prefix_xor))
}

fn classify(block: &[u8; BLOCK_BYTES]) -> Raw {
    let mut raw = Raw {
        backslashes: 0,
        quotes: 0,
        opens: 0,
        closes: 0,
    };
    let (words, _) = block.as_chunks::<8>();
    for (index, bytes) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*bytes);
        // Setting 0x20 folds [ onto { and ] onto }, and nothing else onto either.
        let folded = word | splat(0x20);
        raw.backslashes |= equal(word, b'\\') << (8 * index);
        raw.quotes |= equal(word, b'"') << (8 * index);
        raw.opens |= equal(folded, b'{') << (8 * index);
        raw.closes |= equal(folded, b'}') << (8 * index);
    }
    raw
}

fn punctuation(block: &[u8; BLOCK_BYTES]) -> u64 {
    let (words, _) = block.as_chunks::<8>();
    words.iter().enumerate().fold(0, |mask, (index, bytes)| {
        let word = u64::from_le_bytes(*bytes);
        mask | (equal(word, b':') | equal(word, b',')) << (8 * index)
    })
}

/// Bit `i` of the result says whether byte `i` of `word` is `byte`.
#[inline]
fn equal(word: u64, byte: u8) -> u64 {
    const LOW: u64 = splat(0x7f);
    let differs = word ^ splat(byte);
    // The top bit of each byte: set where the byte is zero, without borrows between bytes.
    let zeros = !(((differs & LOW) + LOW) | differs | LOW);
    // The multiplication gathers the eight top bits in the top byte.
    (zeros >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

const fn splat(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Bit `i` of the result is the exclusive-or of bits `0..=i`.
#[inline]
fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}
