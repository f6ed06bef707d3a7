use crate::testing::{Pack, Pointer, Pointers, Use, check_documentation};
use supervm_host_crypto::status;

const POINTERS: &[Pointer] = &[
    ("sha256", "ptr", Use::Input(None)),
    ("sha256", "out_ptr", Use::Output(Some(32))),
    ("keccak256", "ptr", Use::Input(None)),
    ("keccak256", "out_ptr", Use::Output(Some(32))),
    ("secp256k1_verify", "digest_ptr", Use::Input(Some(32))),
    ("secp256k1_verify", "sig_ptr", Use::Input(Some(64))),
    ("secp256k1_verify", "key_ptr", Use::Input(None)),
    ("secp256k1_recover", "digest_ptr", Use::Input(Some(32))),
    ("secp256k1_recover", "sig_ptr", Use::Input(Some(65))),
    ("secp256k1_recover", "out_ptr", Use::Output(Some(65))),
    ("ed25519_verify", "msg_ptr", Use::Input(None)),
    ("ed25519_verify", "sig_ptr", Use::Input(Some(64))),
    ("ed25519_verify", "key_ptr", Use::Input(Some(32))),
    ("eth_address", "key_ptr", Use::Input(None)),
    ("eth_address", "out_ptr", Use::Output(Some(20))),
];

/// Regions of ordinary calls: a digest, its signature and the key, so that the functions get to their end.
fn content(function: &str, param: &str) -> Option<Vec<u8>> {
    let signing = k256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    let digest = [9; 32];
    let (signature, recovery) = signing.sign_prehash_recoverable(&digest);
    match (function, param) {
        ("secp256k1_verify" | "secp256k1_recover", "digest_ptr") => Some(digest.to_vec()),
        ("secp256k1_verify", "sig_ptr") => Some(signature.to_bytes().to_vec()),
        ("secp256k1_recover", "sig_ptr") => {
            Some([&signature.to_bytes()[..], &[recovery.to_byte()]].concat())
        }
        ("secp256k1_verify" | "eth_address", "key_ptr") => {
            Some(signing.verifying_key().to_sec1_point(true).as_bytes().to_vec())
        }
        _ => None,
    }
}

#[test]
fn every_pointer_is_checked_and_only_outputs_are_written() {
    let pack = Pack::linked("crypto");
    Pointers { pack, pointers: POINTERS, prepare: |_, _| (), content }.check();
}

#[test]
fn the_page_documents_exactly_what_the_pack_has() {
    check_documentation(&Pack::linked("crypto"), "crypto_api", &status::NAMES, &[]);
}
