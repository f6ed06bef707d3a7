use crate::{Crypto, bytes};
use k256::ecdsa::{Signature, SigningKey};
use supervm_host_crypto::status::{INVALID_SIGNATURE, OK};

const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
const HALF_ORDER: &str = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0";

/// Digest, signature with `v`, and key of a signature that is valid.
fn signed() -> ([u8; 32], [u8; 65], Vec<u8>) {
    let signing = SigningKey::from_slice(&[7; 32]).unwrap();
    let digest = [9; 32];
    let (signature, recovery) = signing.sign_prehash_recoverable(&digest);
    let mut with_v = [0; 65];
    with_v[..64].copy_from_slice(&signature.to_bytes());
    with_v[64] = recovery.to_byte();
    (digest, with_v, signing.verifying_key().to_sec1_point(false).as_bytes().to_vec())
}

fn r_and_s(signature: &[u8; 65]) -> &[u8; 64] {
    signature.first_chunk().unwrap()
}

/// The second spelling of a signature: the other `s`, the other `v`.
fn malleated(signature: &[u8; 65]) -> [u8; 65] {
    let (r, s) = Signature::from_slice(&signature[..64]).unwrap().split_scalars();
    let other = Signature::from_scalars(r, -s).unwrap();
    let mut with_v = *signature;
    with_v[..64].copy_from_slice(&other.to_bytes());
    with_v[64] = signature[64] ^ 1;
    with_v
}

#[test]
fn a_signature_verifies_with_its_digest_and_key_only() {
    let mut crypto = Crypto::new();
    let (digest, signature, key) = signed();
    let compressed = [&[2 | (key[64] & 1)], &key[1..33]].concat();
    assert!(crypto.secp256k1_verify(&digest, r_and_s(&signature), &key));
    assert!(crypto.secp256k1_verify(&digest, r_and_s(&signature), &compressed));
    assert!(!crypto.secp256k1_verify(&[8; 32], r_and_s(&signature), &key));
    let other_key = SigningKey::from_slice(&[8; 32]).unwrap();
    let other_key = other_key.verifying_key().to_sec1_point(true);
    assert!(!crypto.secp256k1_verify(&digest, r_and_s(&signature), other_key.as_bytes()));
    for tag in [4, 5, 6, 7] {
        let spelling = [&[tag], &key[1..33]].concat();
        assert!(!crypto.secp256k1_verify(&digest, r_and_s(&signature), &spelling));
    }
    assert!(!crypto.secp256k1_verify(&digest, r_and_s(&signature), &[]));
}

#[test]
fn a_high_s_is_refused_by_verification_and_recovery() {
    let mut crypto = Crypto::new();
    let (digest, signature, key) = signed();
    let high = malleated(&signature);
    assert!(!crypto.secp256k1_verify(&digest, r_and_s(&high), &key));
    assert_eq!(crypto.secp256k1_recover(&digest, &high), (INVALID_SIGNATURE, vec![0; 65]));
    assert_eq!(crypto.secp256k1_recover(&digest, &malleated(&high)), (OK, key));
}

#[test]
fn half_of_the_order_is_the_highest_s() {
    let mut crypto = Crypto::new();
    let (digest, mut signature, _) = signed();
    signature[32..64].copy_from_slice(&bytes::<32>(HALF_ORDER));
    assert_eq!(crypto.secp256k1_recover(&digest, &signature).0, OK);
    signature[63] += 1;
    assert_eq!(crypto.secp256k1_recover(&digest, &signature).0, INVALID_SIGNATURE);
}

#[test]
fn recovery_takes_v_in_both_countings_and_nothing_else() {
    let mut crypto = Crypto::new();
    let (digest, mut signature, key) = signed();
    let parity = signature[64];
    for v in 0..=255 {
        signature[64] = v;
        let (status, found) = crypto.secp256k1_recover(&digest, &signature);
        match v {
            0 | 1 | 27 | 28 => {
                assert_eq!(status, OK, "v = {v}");
                assert_eq!(found == key, v % 27 == parity, "v = {v}");
            }
            _ => assert_eq!((status, found), (INVALID_SIGNATURE, vec![0; 65]), "v = {v}"),
        }
    }
}

#[test]
fn r_and_s_outside_of_the_order_are_refused_and_leave_zeros() {
    let mut crypto = Crypto::new();
    let (digest, signature, key) = signed();
    for outside in [[0; 32], bytes(ORDER), [0xff; 32]] {
        for start in [0, 32] {
            let mut signature = signature;
            signature[start..start + 32].copy_from_slice(&outside);
            let recovered = crypto.secp256k1_recover(&digest, &signature);
            assert_eq!(recovered, (INVALID_SIGNATURE, vec![0; 65]));
            assert!(!crypto.secp256k1_verify(&digest, r_and_s(&signature), &key));
        }
    }
}

/// Sources: the recovery vectors of the crate `k256`, which come from another implementation.
#[test]
fn recovery_finds_the_keys_of_published_signatures() {
    let mut crypto = Crypto::new();
    let sha256 = crypto.hash("sha256", b"example message");
    let keccak256 = crypto.hash("keccak256", b"example message");
    let cases = [
        (
            sha256,
            "ce53abb3721bafc561408ce8ff99c909f7f0b18a2f788649d6470162ab1aa0323971edc523a6d6453f3fb6128d318d9db1a5ff3386feb1047d9816e780039d5200",
            "021a7a569e91dbf60581509c7fc946d1003b60c7dee85299538db6353538d59574",
        ),
        (
            keccak256,
            "46c05b6368a44b8810d79859441d819b8e7cdc8bfd371e35c53196f4bcacdb5135c7facce2a97b95eacba8a586d87b7958aaf8368ab29cee481f76e871dbd9cb01",
            "0200866db99873b09fc2fb1e3ba549b156e96d1a567e3284f5f0e859a83320cb8b",
        ),
    ];
    for (digest, signature, expected) in cases {
        let (status, key) = crypto.secp256k1_recover(&digest, &bytes(signature));
        let compressed = [&[2 | (key[64] & 1)], &key[1..33]].concat();
        assert_eq!((status, hex::encode(compressed).as_str()), (OK, expected));
    }
}

/// Source: the standard example of Ethereum's `ecrecover`, whose `s` is high.
#[test]
fn ethereums_ecrecover_example_recovers_after_its_s_is_lowered() {
    let mut crypto = Crypto::new();
    let digest = bytes("18c547e4f7b0f325ad1e56f57e26c745b09a3e503d86e00e5255ff7f715d3d1c");
    let mut signature: [u8; 65] = bytes(
        "73b1693892219d736caba55bdb67216e485557ea6b6af75f37096c9aa6a5a75feeb940b1d03b21e36b0e47e79769f095fe2ab855bd91e3a38756b7d75a9c45491c",
    );
    assert_eq!(crypto.secp256k1_recover(&digest, &signature).0, INVALID_SIGNATURE);
    signature[64] -= 27;
    let (status, key) = crypto.secp256k1_recover(&digest, &malleated(&signature));
    assert_eq!(status, OK);
    let (_, address) = crypto.eth_address(&key);
    assert_eq!(hex::encode(address), "a94f5374fce5edbc8e2a8697c15331677e6ebf0b");
}
