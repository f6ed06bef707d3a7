//! Project Wycheproof's vectors: each verdict is the published one, or the stated policy's.
//!
//! The pack takes signatures as two numbers of 32 bytes. A vector whose signature cannot be written so (a broken or
//! non-minimal DER encoding, a negative number, one of more than 32 bytes, another length) never reaches the pack; it must
//! be one that is published as invalid, and is counted apart.

use crate::Crypto;
use k256::ecdsa::Signature;
use sha3::Digest as _;
use wycheproof::{TestResult, ecdsa, eddsa};

/// What became of a set's vectors.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    accepted: usize,
    refused: usize,
    /// Published as valid, refused for the high `s`.
    refused_for_high_s: usize,
    not_representable: usize,
    /// Accepted vectors whose key recovery finds. The others have a point whose first coordinate is above the order.
    recovered: usize,
}

impl Count {
    fn total(&self) -> usize {
        self.accepted + self.refused + self.refused_for_high_s + self.not_representable
    }
}

/// Half of the group's order.
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

type Decode = fn(&[u8]) -> Option<[u8; 64]>;

fn ecdsa_set(name: ecdsa::TestName, digest: fn(&[u8]) -> [u8; 32], decode: Decode) -> Count {
    let set = ecdsa::TestSet::load(name).unwrap();
    let mut crypto = Crypto::new();
    let mut count = Count::default();
    for group in &set.test_groups {
        let key = group.key.key.as_slice();
        for test in &group.tests {
            assert_ne!(test.result, TestResult::Acceptable, "vector {} is undecided", test.tc_id);
            let is_published_valid = test.result == TestResult::Valid;
            let Some(signature) = decode(&test.sig) else {
                assert!(!is_published_valid, "vector {} has a signature", test.tc_id);
                count.not_representable += 1;
                continue;
            };
            let digest = digest(&test.msg);
            let is_high = signature[32..] > HALF_ORDER[..];
            let answer = crypto.secp256k1_verify(&digest, &signature, key);
            assert_eq!(answer, is_published_valid && !is_high, "vector {}", test.tc_id);
            match (answer, is_published_valid) {
                (true, _) => count.accepted += 1,
                (false, true) => {
                    let low = Signature::from_slice(&signature).unwrap().normalize_s();
                    let low = low.to_bytes().into();
                    assert!(crypto.secp256k1_verify(&digest, &low, key), "vector {}", test.tc_id);
                    count.refused_for_high_s += 1;
                }
                (false, false) => count.refused += 1,
            }
            if answer && recovers(&mut crypto, &digest, &signature, key) {
                count.recovered += 1;
            }
        }
    }
    assert_eq!(count.total(), set.number_of_tests, "every vector is decided");
    count
}

fn recovers(crypto: &mut Crypto, digest: &[u8; 32], signature: &[u8; 64], key: &[u8]) -> bool {
    [0, 1].into_iter().any(|v| {
        let mut with_v = [v; 65];
        with_v[..64].copy_from_slice(signature);
        crypto.secp256k1_recover(digest, &with_v) == (0, key.to_vec())
    })
}

/// The signature of a strict DER sequence of two unsigned integers.
fn der(bytes: &[u8]) -> Option<[u8; 64]> {
    let (content, rest) = der_value(bytes, 0x30)?;
    let (r, after_r) = der_value(content, 2)?;
    let (s, after_s) = der_value(after_r, 2)?;
    if !rest.is_empty() || !after_s.is_empty() {
        return None;
    }
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&der_unsigned(r)?);
    signature[32..].copy_from_slice(&der_unsigned(s)?);
    Some(signature)
}

/// The value of the element that `bytes` begin with, and what follows it.
fn der_value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [found, len, rest @ ..] = bytes else { return None };
    // A signature's lengths fit into one byte; a longer form is not minimal.
    (*found == tag && *len < 0x80).then_some(())?;
    rest.split_at_checked(usize::from(*len))
}

fn der_unsigned(bytes: &[u8]) -> Option<[u8; 32]> {
    let digits = match bytes {
        [0] => &bytes[1..],
        [0, second, ..] if *second >= 0x80 => &bytes[1..],
        [first, ..] if (1..0x80).contains(first) => bytes,
        _ => return None,
    };
    let mut number = [0; 32];
    let start = 32_usize.checked_sub(digits.len())?;
    number[start..].copy_from_slice(digits);
    Some(number)
}

fn p1363(bytes: &[u8]) -> Option<[u8; 64]> {
    bytes.try_into().ok()
}

fn sha256(message: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(message).into()
}

fn sha3_256(message: &[u8]) -> [u8; 32] {
    sha3::Sha3_256::digest(message).into()
}

#[test]
fn the_bitcoin_set_with_its_low_s_rule_is_decided_as_published() {
    let count = ecdsa_set(ecdsa::TestName::EcdsaSecp256k1Sha256Bitcoin, sha256, der);
    let expected = Count {
        accepted: 162,
        refused: 69,
        refused_for_high_s: 0,
        not_representable: 232,
        recovered: 161,
    };
    assert_eq!(count, expected);
}

#[test]
fn the_der_sets_are_decided_as_published_but_for_a_high_s() {
    let count = ecdsa_set(ecdsa::TestName::EcdsaSecp256k1Sha256, sha256, der);
    let expected = Count {
        accepted: 96,
        refused: 74,
        refused_for_high_s: 72,
        not_representable: 234,
        recovered: 96,
    };
    assert_eq!(count, expected);
}

#[test]
fn the_der_set_over_sha3_is_decided_as_published_but_for_a_high_s() {
    let count = ecdsa_set(ecdsa::TestName::EcdsaSecp256k1Sha3_256, sha3_256, der);
    let expected = Count {
        accepted: 93,
        refused: 69,
        refused_for_high_s: 79,
        not_representable: 233,
        recovered: 93,
    };
    assert_eq!(count, expected);
}

#[test]
fn the_set_of_plain_signatures_is_decided_as_published_but_for_a_high_s() {
    let count = ecdsa_set(ecdsa::TestName::EcdsaSecp256k1Sha256P1363, sha256, p1363);
    let expected = Count {
        accepted: 95,
        refused: 67,
        refused_for_high_s: 72,
        not_representable: 18,
        recovered: 95,
    };
    assert_eq!(count, expected);
}

#[test]
fn the_ed25519_set_is_decided_as_published() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut crypto = Crypto::new();
    let mut count = Count::default();
    for group in &set.test_groups {
        let key = group.key.pk.as_slice().try_into().unwrap();
        for test in &group.tests {
            assert_ne!(test.result, TestResult::Acceptable, "vector {} is undecided", test.tc_id);
            let is_published_valid = test.result == TestResult::Valid;
            let Ok(signature) = test.sig.as_slice().try_into() else {
                assert!(!is_published_valid, "vector {} has a signature", test.tc_id);
                count.not_representable += 1;
                continue;
            };
            let answer = crypto.ed25519_verify(&test.msg, signature, key);
            assert_eq!(answer, is_published_valid, "vector {}", test.tc_id);
            *(if answer { &mut count.accepted } else { &mut count.refused }) += 1;
        }
    }
    assert_eq!(count.total(), set.number_of_tests, "every vector is decided");
    let expected = Count { accepted: 88, refused: 51, not_representable: 12, ..Count::default() };
    assert_eq!(count, expected);
}
