//! A digest of the state that follows each change, without a look at the rest of the state.
//!
//! A block changes a thousand entries of a state of a hundred million. So the digest after each block is that of a *sum*: every entry
//! is hashed to a long vector of numbers, and the vectors of all entries are added. Adding is commutative and has an inverse, so an
//! entry is taken out by subtracting its vector, and the order in which changes come does not matter.
//!
//! ```text
//! seed(entry)   = SHA-256(key length u32 LE | key | value)
//! vector(entry) = ChaCha20 keystream of the seed (nonce and counter 0), 3072 bytes, read as 1536 numbers u16 LE
//! sum           = the vectors of all entries, added number by number modulo 2^16
//! digest        = SHA-256(the sum's numbers as u16 LE)
//! ```
//!
//! Two different sets with one sum would be a short vector in a random lattice of dimension 1536 modulo 2^16; `docs/state.md` has the
//! argument and its figures.
//!
//! Source: LtHash, in Lewi, Kim, Maykov, Weis, "Securing Update Propagation with Homomorphic Hashing" (2019), after Bellare and
//! Micciancio's AdHash family; with more numbers than the paper's 1024, and with ChaCha20 where the paper has BLAKE2Xb.

mod accumulator;
mod expand;
mod sum;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use accumulator::{ACCUMULATOR_BYTES, StateAccumulator};
