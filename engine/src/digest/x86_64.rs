//! The vector of a seed by the vector instructions of x86-64, found at run time.

#![expect(
    unsafe_code,
    reason = "instructions that not every processor has; each block says why it is sound"
)]

use super::sum::{Change, GROUPS, LANES, Sum, WORDS};
use std::arch::x86_64::*;

/// The words that begin every block.
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
const DOUBLE_ROUNDS: usize = 10;
/// Place of a block's number in it; the words after it are zero.
const COUNTER: usize = 12;

/// A way to add a seed's vector to a sum, or to take it away.
pub(super) type Way = fn(&mut Sum, Change, &[u8; 32]);

/// Does it in the fastest way that this processor has; false if it has none.
pub(super) fn change(sum: &mut Sum, change: Change, seed: &[u8; 32]) -> bool {
    match ways().next() {
        Some((_, way)) => way(sum, change, seed),
        None => return false,
    }
    true
}

/// The ways that this processor has, the fastest first.
pub(super) fn ways() -> impl Iterator<Item = (&'static str, Way)> {
    let has_512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
    let has_256 = is_x86_feature_detected!("avx2");
    // SAFETY: either is only given out on a processor that has the instructions.
    let by_512: Way = |sum, change, seed| unsafe { by_512(sum, change, seed) };
    // SAFETY: see above.
    let by_256: Way = |sum, change, seed| unsafe { by_256(sum, change, seed) };
    let ways = [(has_512, ("avx512", by_512)), (has_256, ("avx2", by_256))];
    ways.into_iter().filter_map(|(is_there, way)| is_there.then_some(way))
}

#[target_feature(enable = "avx512f,avx512bw")]
fn by_512(sum: &mut Sum, change: Change, seed: &[u8; 32]) {
    blocks(
        sum,
        seed,
        // SAFETY: the words are as many bytes as are read.
        |words: &[u32; 16]| unsafe { _mm512_loadu_si512(words.as_ptr().cast()) },
        |a, b| _mm512_add_epi32(a, b),
        |a, b, bits| _mm512_rolv_epi32(_mm512_xor_si512(a, b), _mm512_set1_epi32(bits)),
        |words, numbers| {
            let at = words.as_mut_ptr().cast();
            // SAFETY: the words are as many bytes as are read and written.
            unsafe {
                let old = _mm512_loadu_si512(at);
                let new = match change {
                    Change::Add => _mm512_add_epi16(old, numbers),
                    Change::Remove => _mm512_sub_epi16(old, numbers),
                };
                _mm512_storeu_si512(at, new);
            }
        },
    );
}

#[target_feature(enable = "avx2")]
fn by_256(sum: &mut Sum, change: Change, seed: &[u8; 32]) {
    blocks(
        sum,
        seed,
        // SAFETY: the words are as many bytes as are read.
        |words: &[u32; 8]| unsafe { _mm256_loadu_si256(words.as_ptr().cast()) },
        |a, b| _mm256_add_epi32(a, b),
        |a, b, bits| {
            let word = _mm256_xor_si256(a, b);
            let left = _mm256_sllv_epi32(word, _mm256_set1_epi32(bits));
            _mm256_or_si256(left, _mm256_srlv_epi32(word, _mm256_set1_epi32(32 - bits)))
        },
        |words, numbers| {
            let at = words.as_mut_ptr().cast();
            // SAFETY: the words are as many bytes as are read and written.
            unsafe {
                let old = _mm256_loadu_si256(at);
                let new = match change {
                    Change::Add => _mm256_add_epi16(old, numbers),
                    Change::Remove => _mm256_sub_epi16(old, numbers),
                };
                _mm256_storeu_si256(at, new);
            }
        },
    );
}

/// Computes the blocks of `seed`, `W` at a time with a word of each in a `V`, and has each word put where its like stand in `sum`.
///
/// It is inlined into functions that allow the instructions, and the operations into it: so they are one instruction each.
#[inline(always)]
fn blocks<const W: usize, V: Copy>(
    sum: &mut Sum,
    seed: &[u8; 32],
    load: impl Fn(&[u32; W]) -> V,
    add: impl Fn(V, V) -> V,
    xor_and_rotate: impl Fn(V, V, i32) -> V,
    put: impl Fn(&mut [u32; W], V),
) {
    let mut begin = [load(&[0; W]); WORDS];
    let key = seed.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
    for (begin, word) in begin.iter_mut().zip(CONSTANTS.into_iter().chain(key)) {
        *begin = load(&[word; W]);
    }
    for first in (0..GROUPS * LANES).step_by(W) {
        begin[COUNTER] = load(&std::array::from_fn(|lane| (first + lane) as u32));
        let mut block = begin;
        // The places are literals: only so is each word in a register from the first round to the last.
        macro_rules! quarter_rounds {
            ($([$a:literal, $b:literal, $c:literal, $d:literal]),*) => {
                $(block[$a] = add(block[$a], block[$b]); block[$d] = xor_and_rotate(block[$d], block[$a], 16);)*
                $(block[$c] = add(block[$c], block[$d]); block[$b] = xor_and_rotate(block[$b], block[$c], 12);)*
                $(block[$a] = add(block[$a], block[$b]); block[$d] = xor_and_rotate(block[$d], block[$a], 8);)*
                $(block[$c] = add(block[$c], block[$d]); block[$b] = xor_and_rotate(block[$b], block[$c], 7);)*
            };
        }
        for _ in 0..DOUBLE_ROUNDS {
            quarter_rounds!([0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]);
            quarter_rounds!([0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]);
        }
        for (sums, (word, begin)) in
            sum.0[first / LANES].iter_mut().zip(block.into_iter().zip(begin))
        {
            let sums = &mut sums.as_chunks_mut::<W>().0[first % LANES / W];
            put(sums, add(word, begin));
        }
    }
}
