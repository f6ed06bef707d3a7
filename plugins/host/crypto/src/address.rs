//! Ethereum addresses.

use crate::digest::keccak256;
use crate::secp256k1::{public_key, uncompressed};
use supervm_plugin_sdk::host::{ADDRESS_BYTES, Address};

/// The address of a secp256k1 public key, or `None` when `key` is no key: the last 20 bytes of the Keccak-256 of both
/// coordinates.
///
/// `key` has the forms that [`secp256k1_verify`](crate::secp256k1_verify) accepts.
pub fn eth_address(key: &[u8]) -> Option<Address> {
    let key = uncompressed(&public_key(key)?);
    let digest = keccak256(&key[1..]);
    digest[digest.len() - ADDRESS_BYTES..].try_into().ok()
}

/// `address` as `0x` and 40 hexadecimal digits, whose case is a checksum.
///
/// Source: EIP-55.
pub fn checksum_address(address: &Address) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let nibbles = |bytes: &[u8]| -> Vec<u8> {
        bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect()
    };
    let digits: Vec<u8> =
        nibbles(address).iter().map(|nibble| DIGITS[usize::from(*nibble)]).collect();
    let checksum = nibbles(&keccak256(&digits));
    let cased = digits.iter().zip(checksum).map(|(digit, nibble)| {
        char::from(if nibble >= 8 { digit.to_ascii_uppercase() } else { *digit })
    });
    "0x".chars().chain(cased).collect()
}
