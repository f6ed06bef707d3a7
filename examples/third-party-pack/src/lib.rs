//! A SuperVM host pack with one function: contracts import `blake3` from the module `blake3_api`.

use supervm_plugin_sdk::prelude::*;

const I32: ValueType = ValueType::I32;
const DIGEST_BYTES: u32 = blake3::OUT_LEN as u32;

/// The pack.
#[derive(Debug)]
pub struct Blake3Pack;

static FUNCTIONS: [HostFunction; 1] =
    [HostFunction::new("blake3", &[("ptr", I32), ("len", I32), ("out_ptr", I32)], Some(I32))
        .gas(400)
        .gas_per_byte(4, &["len"])
        .doc("Writes the 32 bytes of BLAKE3 to `out_ptr`; 0.")
        .body(|context, arguments| {
            let out = arguments.u32(2);
            // Asked before the work, so that a call that ends here has cost the host nothing.
            context.read(out, DIGEST_BYTES)?;
            let digest = blake3::hash(context.read(arguments.u32(0), arguments.u32(1))?);
            context.write(out, digest.as_bytes())?;
            Ok(HostValue::I32(0))
        })];

impl HostPack for Blake3Pack {
    const MODULE: &'static str = "blake3_api";
    const DETERMINISTIC: bool = true;

    fn functions() -> &'static [HostFunction] {
        &FUNCTIONS
    }
}

export_plugin!(host_pack: Blake3Pack, name: "blake3");
