//! The fast path of x86-64: AVX2 for the masks, PCLMUL for the strings, POPCNT for the depth.
//!
//! The only `unsafe` of the workspace stands here: the calls into functions that need the features
//! (after the processor was asked), and the loads of 32 bytes.

use std::arch::{
    is_x86_feature_detected,
    x86_64::{
        __m256i, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_set1_epi8,
        _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256,
        _mm256_set1_epi8,
    },
};

use crate::{
    BLOCK_BYTES,
    mask::{Carry, Masks, Outline, Raw},
    walk::{self, Visitor, Walker},
};

/// Whether the processor has what this path needs. The standard library asks it once.
#[inline]
pub(crate) fn is_detected() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("pclmulqdq")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("lzcnt")
}

/// As [`crate::masks`].
///
/// # Panics
///
/// If the processor lacks the features.
#[expect(unsafe_code, reason = "the one dispatch into the AVX2 masks")]
pub(crate) fn masks(blocks: &[[u8; BLOCK_BYTES]], carry: &mut Carry, each: &mut impl FnMut(Masks)) {
    assert!(is_detected());
    // SAFETY: the processor has just said that it has every feature of the callee.
    unsafe { masks_avx2(blocks, carry, each) }
}

/// As [`Walker::run`]; the portable twin serves if the features are absent.
#[expect(unsafe_code, reason = "the one dispatch into the AVX2 walk")]
pub(crate) fn run<V: Visitor>(walker: &mut Walker, bytes: &[u8], visitor: &mut V) -> Option<usize> {
    if !is_detected() {
        return crate::portable::run(walker, bytes, visitor);
    }
    // SAFETY: the processor has just said that it has every feature of the callee.
    unsafe { run_avx2(walker, bytes, visitor) }
}

#[target_feature(enable = "avx2,pclmulqdq,popcnt,bmi1,lzcnt")]
fn masks_avx2(blocks: &[[u8; BLOCK_BYTES]], carry: &mut Carry, each: &mut impl FnMut(Masks)) {
    for block in blocks {
        let outline = Outline::of(classify(block), carry, |bits| prefix_xor(bits));
        each(outline.with_punctuation(punctuation(block)));
    }
}

#[target_feature(enable = "avx2,pclmulqdq,popcnt,bmi1,lzcnt")]
fn run_avx2<V: Visitor>(walker: &mut Walker, bytes: &[u8], visitor: &mut V) -> Option<usize> {
    // Closures have the features of the function in which they stand; paths do not.
    let twin = (
        |block: &[u8; BLOCK_BYTES]| classify(block),
        |bits: u64| prefix_xor(bits),
    );
    walk::run(walker, bytes, visitor, twin)
}

#[inline]
#[target_feature(enable = "avx2")]
fn classify(block: &[u8; BLOCK_BYTES]) -> Raw {
    let halves = halves(block);
    // Setting 0x20 folds [ onto { and ] onto }, and nothing else onto either.
    let folded = halves.map(|half| _mm256_or_si256(half, _mm256_set1_epi8(0x20)));
    Raw {
        backslashes: equal(halves, b'\\'),
        quotes: equal(halves, b'"'),
        opens: equal(folded, b'{'),
        closes: equal(folded, b'}'),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn punctuation(block: &[u8; BLOCK_BYTES]) -> u64 {
    let halves = halves(block);
    equal(halves, b':') | equal(halves, b',')
}

#[inline]
#[target_feature(enable = "avx2")]
fn equal(halves: [__m256i; 2], byte: u8) -> u64 {
    let wanted = _mm256_set1_epi8(byte.cast_signed());
    let [low, high] =
        halves.map(|half| _mm256_movemask_epi8(_mm256_cmpeq_epi8(half, wanted)).cast_unsigned());
    u64::from(low) | u64::from(high) << 32
}

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "vector loads take raw pointers")]
fn halves(block: &[u8; BLOCK_BYTES]) -> [__m256i; 2] {
    let load = |half: &[u8; 32]| {
        // SAFETY: `half` is 32 readable bytes, and this load asks for no alignment.
        unsafe { _mm256_loadu_si256(half.as_ptr().cast()) }
    };
    let (halves, _) = block.as_chunks::<32>();
    [load(&halves[0]), load(&halves[1])]
}

/// Bit `i` of the result is the exclusive-or of bits `0..=i`: a carry-less product with all ones.
#[inline]
#[target_feature(enable = "pclmulqdq")]
fn prefix_xor(bits: u64) -> u64 {
    let product =
        _mm_clmulepi64_si128::<0>(_mm_set_epi64x(0, bits.cast_signed()), _mm_set1_epi8(-1));
    _mm_cvtsi128_si64(product).cast_unsigned()
}
