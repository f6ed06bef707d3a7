//! SHA-256 and Keccak-256.

use sha2::Digest as _;

/// Bytes of a digest.
pub const DIGEST_BYTES: usize = 32;
/// The result of a hash.
pub type Digest = [u8; DIGEST_BYTES];

/// SHA-256 of `message` (FIPS 180-4).
pub fn sha256(message: &[u8]) -> Digest {
    sha2::Sha256::digest(message).into()
}

/// Keccak-256 of `message`, with the padding from before the standard: what Ethereum uses, not SHA3-256.
pub fn keccak256(message: &[u8]) -> Digest {
    sha3::Keccak256::digest(message).into()
}
