//! What each function costs natively, beside the gas that the table asks for it: one gas is about one nanosecond.
//!
//! `cargo bench -p supervm-host-crypto`

use ed25519_dalek::{Signer, SigningKey};
use std::hint::black_box;
use std::time::Instant;
use supervm_host_crypto::{
    CryptoPack, ed25519_verify, eth_address, keccak256, secp256k1_recover, secp256k1_verify, sha256,
};
use supervm_plugin_sdk::host::HostPack;

/// The larger of the two messages from whose difference the price of a byte follows.
const MESSAGE_BYTES: usize = 64 << 10;

fn main() {
    let message = vec![0x5a; MESSAGE_BYTES];
    let digest = sha256(b"message");

    let (signature, recovery) = k256::ecdsa::SigningKey::from_slice(&[7; 32])
        .expect("a key")
        .sign_prehash_recoverable(&digest);
    let mut recoverable = [0; 65];
    recoverable[..64].copy_from_slice(&signature.to_bytes());
    recoverable[64] = recovery.to_byte();
    let signature = recoverable.first_chunk().expect("64 of 65");
    let key = secp256k1_recover(&digest, &recoverable).expect("recovers");
    let mut compressed = [0; 33];
    compressed[0] = 2 | (key[64] & 1);
    compressed[1..].copy_from_slice(&key[1..33]);

    let signing = SigningKey::from_bytes(&[7; 32]);
    let ed25519_key = signing.verifying_key().to_bytes();
    let signed = |message: &[u8]| signing.sign(message).to_bytes();
    let (short, long) = (signed(b""), signed(&message));

    println!("{:20}{:>12}{:>8}{:>14}{:>8}", "function", "ns a call", "gas", "ns a KiB", "gas");
    let report = |name: &str, call_ns: f64, long_ns: Option<f64>| {
        let row = CryptoPack::functions().iter().find(|function| function.name == name);
        let row = row.expect("a function of the table");
        let kib_ns = long_ns.map_or(0.0, |ns| (ns - call_ns) / (MESSAGE_BYTES >> 10) as f64);
        let (base, per_kib) = (row.gas_base, row.gas_per_byte << 10);
        println!("{name:20}{call_ns:>12.0}{base:>8}{kib_ns:>14.0}{per_kib:>8}");
    };
    report("sha256", time(|| sha256(&[])), Some(time(|| sha256(&message))));
    report("keccak256", time(|| keccak256(&[])), Some(time(|| keccak256(&message))));
    report("secp256k1_verify", time(|| secp256k1_verify(&digest, signature, &compressed)), None);
    report("secp256k1_recover", time(|| secp256k1_recover(&digest, &recoverable)), None);
    let short = time(|| ed25519_verify(b"", &short, &ed25519_key));
    let long = time(|| ed25519_verify(&message, &long, &ed25519_key));
    report("ed25519_verify", short, Some(long));
    report("eth_address", time(|| eth_address(&compressed)), None);
}

/// Nanoseconds of one call: the median of several rounds of about 20 ms.
fn time<T>(call: impl Fn() -> T) -> f64 {
    let once = Instant::now();
    black_box(call());
    let calls = (20_000_000 / once.elapsed().as_nanos().max(100)).clamp(1, 200_000) as u32;
    let round = || {
        let start = Instant::now();
        (0..calls).for_each(|_| drop(black_box(call())));
        start.elapsed().as_nanos() as f64 / f64::from(calls)
    };
    let mut rounds: Vec<f64> = (0..9).map(|_| round()).collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}
