//! From an entry to its vector.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

/// Numbers of a vector.
pub(super) const LANES: usize = 1536;
/// Bytes of a number.
pub(super) const LANE_BYTES: usize = 2;
/// Bytes of a vector.
pub(super) const VECTOR_BYTES: usize = LANES * LANE_BYTES;

/// A vector's bytes, each number little-endian.
pub(super) type VectorBytes = [u8; VECTOR_BYTES];

/// The vector of the entry `key` with `value`.
pub(super) fn of_entry(key: &[u8], value: &[u8]) -> VectorBytes {
    // The key's length makes the parts readable from the whole: no other entry has the same bytes.
    let seed = Sha256::new()
        .chain_update((key.len() as u32).to_le_bytes())
        .chain_update(key)
        .chain_update(value)
        .finalize();
    let mut bytes = [0; VECTOR_BYTES];
    ChaCha20Rng::from_seed(seed.into()).fill_bytes(&mut bytes);
    bytes
}

/// A vector's numbers.
pub(super) fn numbers(bytes: &VectorBytes) -> impl Iterator<Item = u16> {
    bytes.as_chunks::<LANE_BYTES>().0.iter().map(|number| u16::from_le_bytes(*number))
}
