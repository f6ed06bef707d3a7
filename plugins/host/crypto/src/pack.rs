//! The table of functions that contracts import.

use crate::digest::{DIGEST_BYTES, Digest, keccak256, sha256};
use crate::ed25519::ed25519_verify;
use crate::secp256k1::{
    RECOVERABLE_SIGNATURE_BYTES, UNCOMPRESSED_KEY_BYTES, secp256k1_recover, secp256k1_verify,
};
use crate::{eth_address, status};
use supervm_plugin_sdk::host::{ADDRESS_BYTES, Parameter};
use supervm_plugin_sdk::prelude::*;

/// The host pack `crypto_api`.
#[derive(Debug)]
pub struct CryptoPack;

const I32: ValueType = ValueType::I32;
const MESSAGE: &[Parameter] = &[("ptr", I32), ("len", I32), ("out_ptr", I32)];

static FUNCTIONS: [HostFunction; 6] = [
    HostFunction::new("sha256", MESSAGE, Some(I32))
        .gas(300)
        .gas_per_byte(4, &["len"])
        .doc("Writes the 32 bytes of SHA-256 to `out_ptr`.")
        .body(|context, arguments| hash(context, arguments, sha256)),
    HostFunction::new("keccak256", MESSAGE, Some(I32))
        .gas(900)
        .gas_per_byte(4, &["len"])
        .doc("Writes the 32 bytes of Keccak-256 (Ethereum's, not SHA3-256) to `out_ptr`.")
        .body(|context, arguments| hash(context, arguments, keccak256)),
    HostFunction::new(
        "secp256k1_verify",
        &[("digest_ptr", I32), ("sig_ptr", I32), ("key_ptr", I32), ("key_len", I32)],
        Some(I32),
    )
    .gas(90_000)
    .doc(
        "1 when the 64 bytes `r`, `s` sign the 32-byte digest with the key of 33 or 65 \
             bytes, else 0; a high `s` is 0.",
    )
    .body(|context, arguments| {
        let digest = fixed(context, arguments.u32(0))?;
        let signature = fixed(context, arguments.u32(1))?;
        let key = context.read(arguments.u32(2), arguments.u32(3))?;
        Ok(HostValue::I32(secp256k1_verify(digest, signature, key).into()))
    }),
    HostFunction::new(
        "secp256k1_recover",
        &[("digest_ptr", I32), ("sig_ptr", I32), ("out_ptr", I32)],
        Some(I32),
    )
    .gas(100_000)
    .doc(
        "Writes the signer's uncompressed key (65 bytes) to `out_ptr`; the signature is \
             `r`, `s`, `v`, 65 bytes.",
    )
    .body(|context, arguments| {
        let out = output(context, arguments.u32(2), UNCOMPRESSED_KEY_BYTES)?;
        let digest = fixed(context, arguments.u32(0))?;
        let signature = fixed::<RECOVERABLE_SIGNATURE_BYTES>(context, arguments.u32(1))?;
        let key = secp256k1_recover(digest, signature);
        answer(context, out, key, status::INVALID_SIGNATURE)
    }),
    HostFunction::new(
        "ed25519_verify",
        &[("msg_ptr", I32), ("msg_len", I32), ("sig_ptr", I32), ("key_ptr", I32)],
        Some(I32),
    )
    .gas(60_000)
    .gas_per_byte(3, &["msg_len"])
    .doc(
        "1 when the 64 bytes at `sig_ptr` sign the message with the 32-byte key, else 0; \
             strict.",
    )
    .body(|context, arguments| {
        let message = context.read(arguments.u32(0), arguments.u32(1))?;
        let signature = fixed(context, arguments.u32(2))?;
        let key = fixed(context, arguments.u32(3))?;
        Ok(HostValue::I32(ed25519_verify(message, signature, key).into()))
    }),
    HostFunction::new(
        "eth_address",
        &[("key_ptr", I32), ("key_len", I32), ("out_ptr", I32)],
        Some(I32),
    )
    .gas(10_000)
    .doc("Writes the 20-byte Ethereum address of the key of 33 or 65 bytes to `out_ptr`.")
    .body(|context, arguments| {
        let out = output(context, arguments.u32(2), ADDRESS_BYTES)?;
        let address = eth_address(context.read(arguments.u32(0), arguments.u32(1))?);
        answer(context, out, address, status::INVALID_KEY)
    }),
];

impl HostPack for CryptoPack {
    const MODULE: &'static str = "crypto_api";
    const DETERMINISTIC: bool = true;

    fn functions() -> &'static [HostFunction] {
        &FUNCTIONS
    }
}

fn hash(
    context: &mut HostContext<'_>,
    arguments: Arguments<'_>,
    digest: fn(&[u8]) -> Digest,
) -> Result<HostValue, HostError> {
    let out = output(context, arguments.u32(2), DIGEST_BYTES)?;
    let digest = digest(context.read(arguments.u32(0), arguments.u32(1))?);
    context.write(out, &digest)?;
    Ok(HostValue::I32(status::OK))
}

/// `ptr` again when the `len` bytes there can be written: asked before the work, so that a trap costs none.
fn output(context: &HostContext<'_>, ptr: u32, len: usize) -> Result<u32, HostError> {
    context.read(ptr, len as u32).map(|_| ptr)
}

/// The `N` bytes at `ptr`.
fn fixed<'a, const N: usize>(
    context: &'a HostContext<'_>,
    ptr: u32,
) -> Result<&'a [u8; N], HostError> {
    let bytes = context.read(ptr, N as u32)?;
    bytes.try_into().map_err(|_| HostError::OutOfBounds { ptr, len: N as u32 })
}

/// Writes what was found, or zeros with the status `missing`: a contract that does not look at the status must not find an
/// earlier call's answer in the buffer.
fn answer<const N: usize>(
    context: &mut HostContext<'_>,
    out: u32,
    found: Option<[u8; N]>,
    missing: i32,
) -> Result<HostValue, HostError> {
    let status = if found.is_some() { status::OK } else { missing };
    context.write(out, &found.unwrap_or([0; N]))?;
    Ok(HostValue::I32(status))
}
