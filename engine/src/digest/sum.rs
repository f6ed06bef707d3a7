//! The numbers of a sum, in the order in which they are computed.

use super::expand;
use sha2::{Digest as _, Sha256};

/// Bytes of a vector, and so of a sum: its numbers in order, little-endian.
pub(super) const VECTOR_BYTES: usize = GROUPS * LANES * WORDS * WORD_BYTES;
/// Words of a block of the keystream.
pub(super) const WORDS: usize = 16;
/// Blocks that are computed side by side.
pub(super) const LANES: usize = 16;
/// Times that this many blocks make a vector.
pub(super) const GROUPS: usize = 3;
const WORD_BYTES: usize = 4;

/// Whether a vector is added or subtracted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Add,
    Remove,
}

/// The sum of vectors.
///
/// A word has two numbers of 16 bits, the first in the lower half. Instructions for many words at once compute the same word of many
/// blocks, so these stand together here: what was computed is added where it stands, and nothing is moved before the sum is asked
/// for its bytes.
#[derive(Clone, PartialEq, Eq)]
#[repr(align(64))]
pub(super) struct Sum(pub(super) [[[u32; LANES]; WORDS]; GROUPS]);

impl Default for Sum {
    fn default() -> Self {
        Self([[[0; LANES]; WORDS]; GROUPS])
    }
}

impl Sum {
    /// Adds the vector of the entry `key` with `value`, or takes it away.
    pub(super) fn change(&mut self, change: Change, key: &[u8], value: &[u8]) {
        // The key's length makes the parts readable from the whole: no other entry has the same bytes.
        let seed = Sha256::new()
            .chain_update((key.len() as u32).to_le_bytes())
            .chain_update(key)
            .chain_update(value)
            .finalize();
        expand::change(self, change, &seed.into());
    }

    /// Adds all numbers of `other`, or takes them away.
    pub(super) fn merge(&mut self, change: Change, other: &Self) {
        let words = self.0.as_flattened_mut().as_flattened_mut();
        for (word, other) in words.iter_mut().zip(other.0.as_flattened().as_flattened()) {
            *word = match change {
                Change::Add => add_halves(*word, *other),
                Change::Remove => subtract_halves(*word, *other),
            };
        }
    }

    pub(super) fn to_bytes(&self) -> [u8; VECTOR_BYTES] {
        let mut bytes = [0; VECTOR_BYTES];
        for (at, chunk) in bytes.as_chunks_mut::<WORD_BYTES>().0.iter_mut().enumerate() {
            let (group, word, lane) = place(at);
            *chunk = self.0[group][word][lane].to_le_bytes();
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; VECTOR_BYTES]) -> Self {
        let mut sum = Self::default();
        for (at, chunk) in bytes.as_chunks::<WORD_BYTES>().0.iter().enumerate() {
            let (group, word, lane) = place(at);
            sum.0[group][word][lane] = u32::from_le_bytes(*chunk);
        }
        sum
    }
}

/// Where the word stands that is the vector's `at`-th: its group, its place in the block, its block in the group.
fn place(at: usize) -> (usize, usize, usize) {
    let (block, word) = (at / WORDS, at % WORDS);
    (block / LANES, word, block % LANES)
}

/// The highest bit of each half.
const HIGHEST: u32 = 0x8000_8000;

/// Adds the halves of two words, each for itself: with its highest bit out of the sum, no half carries into the next.
fn add_halves(a: u32, b: u32) -> u32 {
    ((a & !HIGHEST) + (b & !HIGHEST)) ^ ((a ^ b) & HIGHEST)
}

/// Subtracts the halves of `b` from those of `a`, each for itself: with its highest bit set, no half borrows from the next.
fn subtract_halves(a: u32, b: u32) -> u32 {
    ((a | HIGHEST) - (b & !HIGHEST)) ^ ((a ^ !b) & HIGHEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn halves_are_added_and_subtracted_each_for_itself(a: [u16; 2], b: [u16; 2]) {
            let word = |[low, high]: [u16; 2]| u32::from(low) | u32::from(high) << 16;
            let each = |of: fn(u16, u16) -> u16| word([of(a[0], b[0]), of(a[1], b[1])]);
            prop_assert_eq!(add_halves(word(a), word(b)), each(u16::wrapping_add));
            prop_assert_eq!(subtract_halves(word(a), word(b)), each(u16::wrapping_sub));
        }
    }
}
