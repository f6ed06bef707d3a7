//! The pack's function, called as the engine calls it.

use supervm_conformance::pack::{Environment, Pack};
use supervm_host_blake3 as _;
use supervm_plugin_sdk::host::HostError;

fn pack() -> Pack {
    Pack::linked("blake3").expect("the crate exports the pack")
}

#[test]
fn the_digest_of_abc_is_the_published_one() {
    const PUBLISHED: [u8; 32] = [
        0x64, 0x37, 0xb3, 0xac, 0x38, 0x46, 0x51, 0x33, 0xff, 0xb6, 0x3b, 0x75, 0x27, 0x3a, 0x8d,
        0xb5, 0x48, 0xc5, 0x58, 0x46, 0x5d, 0x79, 0xdb, 0x03, 0xfd, 0x35, 0x9c, 0x6c, 0xd5, 0xbd,
        0x9d, 0x85,
    ];
    let mut environment = Environment::with_memory(vec![0; 64]);
    environment.memory[..3].copy_from_slice(b"abc");
    let status = pack().call(&mut environment, "blake3", &[0, 3, 32]).expect("both are inside");
    assert_eq!(status, 0);
    assert_eq!(environment.memory[32..], PUBLISHED);
    assert_eq!(environment.gas_used, 400 + 3 * 4);
}

#[test]
fn a_digest_that_does_not_fit_ends_the_call_and_writes_nothing() {
    let mut environment = Environment::with_memory(vec![7; 64]);
    let ended = pack().call(&mut environment, "blake3", &[0, 3, 33]);
    assert!(matches!(ended, Err(HostError::OutOfBounds { ptr: 33, len: 32 })), "{ended:?}");
    assert_eq!(environment.memory, [7; 64]);
}

#[test]
fn every_rule_of_host_packs_is_kept() {
    pack().assert_rules();
}
