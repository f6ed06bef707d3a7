//! Ed25519 signatures, strictly.

use ed25519_dalek::{PUBLIC_KEY_LENGTH, SIGNATURE_LENGTH, Signature, VerifyingKey};

/// Is `signature` a signature of `message` by `key`?
///
/// # Behavior
/// Every node must give the same answer and one statement must have one spelling, so RFC 8032 is read at its strictest:
/// - `s` is below the group's order; the first half of the signature and the key are canonical encodings;
/// - neither of these two points has small order;
/// - the equation is checked without the cofactor.
pub fn ed25519_verify(
    message: &[u8],
    signature: &[u8; SIGNATURE_LENGTH],
    key: &[u8; PUBLIC_KEY_LENGTH],
) -> bool {
    if !is_canonical(key) {
        return false;
    }
    let signature = Signature::from_bytes(signature);
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

/// Is the encoded coordinate below the field's prime, 2^255 - 19?
///
/// The other non-canonical spelling, a sign on a zero coordinate, exists for points of small order only, which strict
/// verification refuses.
fn is_canonical(key: &[u8; PUBLIC_KEY_LENGTH]) -> bool {
    let (lowest, rest) = (key[0], &key[1..]);
    let (middle, highest) = (&rest[..30], rest[30] & 0x7f);
    highest != 0x7f || middle.iter().any(|byte| *byte != 0xff) || lowest < 0xed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_at_or_above_the_prime_is_not_canonical() {
        let mut key = [0xff; PUBLIC_KEY_LENGTH];
        for (sign, lowest, expected) in [
            (0, 0xec, true),
            (0, 0xed, false),
            (0, 0xff, false),
            (0x80, 0xec, true),
            (0x80, 0xed, false),
        ] {
            (key[0], key[31]) = (lowest, 0x7f | sign);
            assert_eq!(is_canonical(&key), expected, "{lowest:#x} with sign {sign:#x}");
        }
        for index in 1..31 {
            let mut key = key;
            key[index] = 0xfe;
            assert!(is_canonical(&key), "byte {index} is below the prime's");
        }
    }
}
