use crate::{Crypto, bytes};
use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};

#[test]
fn a_signature_verifies_with_its_message_and_key_only() {
    let mut crypto = Crypto::new();
    let signing = SigningKey::from_bytes(&[7; 32]);
    let key = signing.verifying_key().to_bytes();
    for message in [&b""[..], b"message", &[0x5a; 5000]] {
        let signature = signing.sign(message).to_bytes();
        assert!(crypto.ed25519_verify(message, &signature, &key));
        assert!(!crypto.ed25519_verify(&[message, b"!"].concat(), &signature, &key));
        for index in [0, 31, 32, 63] {
            let mut changed = signature;
            changed[index] ^= 1;
            assert!(!crypto.ed25519_verify(message, &changed, &key));
        }
        let other = SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes();
        assert!(!crypto.ed25519_verify(message, &signature, &other));
    }
}

/// With the identity as key, the base point and `s` = 1 are a signature of every message: the plain check takes it.
#[test]
fn a_key_of_small_order_signs_nothing() {
    let mut crypto = Crypto::new();
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&bytes::<32>(
        "5866666666666666666666666666666666666666666666666666666666666666",
    ));
    signature[32] = 1;
    let plain = VerifyingKey::from_bytes(&identity).unwrap();
    plain.verify(b"anything", &Signature::from_bytes(&signature)).unwrap();
    assert!(!crypto.ed25519_verify(b"anything", &signature, &identity));
}

/// The identity's second spelling, its coordinate plus the prime.
#[test]
fn a_key_in_another_spelling_signs_nothing() {
    let mut crypto = Crypto::new();
    let mut identity = [0xff; 32];
    (identity[0], identity[31]) = (0xee, 0x7f);
    assert!(VerifyingKey::from_bytes(&identity).is_ok(), "the library itself would take it");
    assert!(!crypto.ed25519_verify(b"anything", &[0; 64], &identity));
}
