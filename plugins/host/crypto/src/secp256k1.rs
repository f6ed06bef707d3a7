//! ECDSA over secp256k1, on digests.
//!
//! One rule holds for verification and recovery: `s` must be in the lower half of the group's order. A signature with a high
//! `s` is the same statement in a second spelling, which would let anybody change a signed transaction's bytes.

use crate::digest::Digest;
use k256::ecdsa::signature::hazmat::PrehashVerifier;
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};

/// Bytes of a signature, `r` then `s`, each big-endian.
pub const SIGNATURE_BYTES: usize = 64;
/// Bytes of a signature that its key can be recovered from: `r`, `s`, then `v`.
pub const RECOVERABLE_SIGNATURE_BYTES: usize = 65;
/// Bytes of an uncompressed public key: the tag 4, then both coordinates, each big-endian.
pub const UNCOMPRESSED_KEY_BYTES: usize = 65;
/// An uncompressed public key.
pub type UncompressedKey = [u8; UNCOMPRESSED_KEY_BYTES];

/// Is `signature` a signature of `digest` by `key`?
///
/// # Behavior
/// - `key` is compressed (33 bytes, tag 2 or 3) or uncompressed (65 bytes, tag 4); anything else verifies nothing.
/// - `r` and `s` are in `1..n`, and `s` is at most `n / 2`: a high `s` verifies nothing.
pub fn secp256k1_verify(digest: &Digest, signature: &[u8; SIGNATURE_BYTES], key: &[u8]) -> bool {
    let (Some(signature), Some(key)) = (low_s(signature), public_key(key)) else {
        return false;
    };
    key.verify_prehash(digest, &signature).is_ok()
}

/// The key that signed `digest`, or `None` when `signature` is malformed or recovers no key.
///
/// # Behavior
/// - `v` is 0 or 1, or 27 or 28: the parity of the point whose first coordinate is `r`.
/// - The same bounds on `r` and `s` as in [`secp256k1_verify`], the low `s` included.
/// - A first coordinate of `n` or more is not representable: about one signature in 2^128.
///
/// Any digest and signature recover some key; what counts is whether it is the expected one.
pub fn secp256k1_recover(
    digest: &Digest,
    signature: &[u8; RECOVERABLE_SIGNATURE_BYTES],
) -> Option<UncompressedKey> {
    let (r_and_s, v) = signature.split_first_chunk::<SIGNATURE_BYTES>()?;
    let is_y_odd = match v {
        [0 | 27] => false,
        [1 | 28] => true,
        _ => return None,
    };
    let recovery = RecoveryId::new(is_y_odd, false);
    let key = VerifyingKey::recover_from_prehash(digest, &low_s(r_and_s)?, recovery).ok()?;
    Some(uncompressed(&key))
}

/// The key that `bytes` spell, when they spell one in one of the two accepted forms.
pub(crate) fn public_key(bytes: &[u8]) -> Option<VerifyingKey> {
    // The curve library knows further forms (compact, identity); one key must not have more spellings than these.
    match (bytes.len(), bytes.first()?) {
        (33, 2 | 3) | (UNCOMPRESSED_KEY_BYTES, 4) => VerifyingKey::from_sec1_bytes(bytes).ok(),
        _ => None,
    }
}

/// The key with both coordinates.
pub(crate) fn uncompressed(key: &VerifyingKey) -> UncompressedKey {
    let point = key.to_sec1_point(false);
    point
        .as_bytes()
        .try_into()
        .expect("a public key is not the identity, so it has both coordinates")
}

fn low_s(signature: &[u8; SIGNATURE_BYTES]) -> Option<Signature> {
    let signature = Signature::from_slice(signature).ok()?;
    (signature.normalize_s() == signature).then_some(signature)
}
