//! The table of functions that contracts import.

use crate::status;
use supervm_plugin_sdk::prelude::*;

/// The host pack `storage_api`.
#[derive(Debug)]
pub struct StoragePack;

const I32: ValueType = ValueType::I32;

/// Gas for each byte that the host reads from the state.
const STATE_BYTE_GAS: u64 = 2;
/// Gas for each byte that the host copies to guest memory.
const COPY_BYTE_GAS: u64 = 1;

/// The value of the last `storage_get`; empty when its key was absent.
const LAST_VALUE: u32 = 0;
/// The key of the current entry. Invariant: empty when and only when there is no current entry, for no contract's key is
/// empty.
const ENTRY_KEY: u32 = 1;
/// The value of the current entry.
const ENTRY_VALUE: u32 = 2;
/// What a call reads and does not keep.
const SPARE: u32 = 3;

static FUNCTIONS: [HostFunction; 10] = [
    HostFunction::new("storage_get", &[("key_ptr", I32), ("key_len", I32)], Some(ValueType::I64))
        .gas(2_000)
        .gas_per_byte(2, &["key_len"])
        .state(StateAccess::Read)
        .doc(
            "The length of the key's value, which is kept for `storage_read_value`; 0 when \
             the key is absent.",
        )
        .body(|context, arguments| {
            let value = get(context, arguments, LAST_VALUE)?;
            Ok(HostValue::I64(value.unwrap_or(0) as i64))
        }),
    HostFunction::new("storage_has", &[("key_ptr", I32), ("key_len", I32)], Some(I32))
        .gas(2_000)
        .gas_per_byte(2, &["key_len"])
        .state(StateAccess::Read)
        .doc(
            "1 when the key is present, be its value empty, else 0; the value of the last \
             `storage_get` stays.",
        )
        .body(|context, arguments| {
            let value = get(context, arguments, SPARE)?;
            Ok(HostValue::I32(value.is_some().into()))
        }),
    HostFunction::new("storage_read_value", &[("ptr", I32), ("len", I32)], Some(I32))
        .gas(20)
        .doc(
            "Copies the value of the last `storage_get`, at most `len` bytes of it; the \
             number of bytes copied.",
        )
        .body(|context, arguments| {
            let (copied, _) = copy(context, arguments, LAST_VALUE)?;
            Ok(HostValue::I32(copied as i32))
        }),
    HostFunction::new(
        "storage_set",
        &[("key_ptr", I32), ("key_len", I32), ("value_ptr", I32), ("value_len", I32)],
        Some(I32),
    )
    .gas(4_000)
    .gas_per_byte(4, &["key_len", "value_len"])
    .state(StateAccess::Write)
    .doc("Sets the key to the value, which may be empty.")
    .body(|context, arguments| {
        let key = context.read(arguments.u32(0), arguments.u32(1))?;
        let value = context.read(arguments.u32(2), arguments.u32(3))?;
        context.state_set(key, value)?;
        Ok(HostValue::I32(status::OK))
    }),
    HostFunction::new("storage_delete", &[("key_ptr", I32), ("key_len", I32)], Some(I32))
        .gas(4_000)
        .gas_per_byte(4, &["key_len"])
        .state(StateAccess::Write)
        .doc("Removes the key; OK too when it is absent.")
        .body(|context, arguments| {
            context.state_delete(context.read(arguments.u32(0), arguments.u32(1))?)?;
            Ok(HostValue::I32(status::OK))
        }),
    HostFunction::new(
        "storage_scan",
        &[("prefix_ptr", I32), ("prefix_len", I32), ("limit", I32), ("direction", I32)],
        Some(I32),
    )
    .gas(5_000)
    .gas_per_byte(2, &["prefix_len"])
    .state(StateAccess::Read)
    .doc(
        "Opens a scan of the keys with the prefix, at most `limit` (0 = all), ascending \
             (`direction` 0) or descending (1); its handle, or INVALID_ARGUMENT.",
    )
    .body(scan),
    HostFunction::new("storage_scan_next", &[("handle", I32)], Some(I32))
        .gas(1_000)
        .state(StateAccess::Read)
        .doc(
            "1 and makes the scan's next entry the current one, or 0 at the end, where there \
             is none.",
        )
        .body(|context, arguments| next(context, arguments.u32(0))),
    HostFunction::new("storage_scan_key", &[("ptr", I32), ("len", I32)], Some(I32))
        .gas(20)
        .doc(
            "Copies the current entry's key, at most `len` bytes of it; the key's whole \
             length, or NOT_FOUND.",
        )
        .body(|context, arguments| entry_part(context, arguments, ENTRY_KEY)),
    HostFunction::new("storage_scan_value", &[("ptr", I32), ("len", I32)], Some(I32))
        .gas(20)
        .doc(
            "Copies the current entry's value, at most `len` bytes of it; the value's whole \
             length, or NOT_FOUND.",
        )
        .body(|context, arguments| entry_part(context, arguments, ENTRY_VALUE)),
    HostFunction::new("storage_scan_close", &[("handle", I32)], Some(I32))
        .gas(50)
        .state(StateAccess::Read)
        .doc("Ends the scan; one that is not closed ends with the call.")
        .body(|context, arguments| {
            context.scan_close(arguments.u32(0))?;
            Ok(HostValue::I32(status::OK))
        }),
];

impl HostPack for StoragePack {
    const MODULE: &'static str = "storage_api";
    const DETERMINISTIC: bool = true;

    fn functions() -> &'static [HostFunction] {
        &FUNCTIONS
    }
}

/// Reads the value of the key in the arguments to `slot` and pays for it; its length, or `None` when the key is absent.
fn get(
    context: &mut HostContext<'_>,
    arguments: Arguments<'_>,
    slot: u32,
) -> Result<Option<usize>, HostError> {
    let mut value = std::mem::take(context.scratch(slot));
    value.clear();
    let key = context.read(arguments.u32(0), arguments.u32(1))?;
    let is_present = context.state_get(key, &mut value)?;
    let length = value.len();
    context.charge(length as u64 * STATE_BYTE_GAS)?;
    *context.scratch(slot) = value;
    Ok(is_present.then_some(length))
}

/// Copies what fits of `slot` to the region in the arguments; the bytes copied and the whole length.
fn copy(
    context: &mut HostContext<'_>,
    arguments: Arguments<'_>,
    slot: u32,
) -> Result<(usize, usize), HostError> {
    let (ptr, len) = (arguments.u32(0), arguments.u32(1));
    // The whole region must be inside, also what a shorter value leaves as it is: whether a call traps depends on its
    // arguments alone.
    context.read(ptr, len)?;
    let kept = std::mem::take(context.scratch(slot));
    let copied = kept.len().min(len as usize);
    context.charge(copied as u64 * COPY_BYTE_GAS)?;
    context.write(ptr, &kept[..copied])?;
    let whole = kept.len();
    *context.scratch(slot) = kept;
    Ok((copied, whole))
}

fn scan(context: &mut HostContext<'_>, arguments: Arguments<'_>) -> Result<HostValue, HostError> {
    let prefix = context.read(arguments.u32(0), arguments.u32(1))?;
    let direction = match arguments.u32(3) {
        0 => Direction::Forward,
        1 => Direction::Reverse,
        _ => return Ok(HostValue::I32(status::INVALID_ARGUMENT)),
    };
    let scan = context.scan_open(prefix, direction, arguments.u32(2))?;
    let handle = i32::try_from(scan);
    let handle =
        handle.map_err(|_| HostError::Internal(format!("scan handle {scan} is no i32")))?;
    Ok(HostValue::I32(handle))
}

fn next(context: &mut HostContext<'_>, scan: u32) -> Result<HostValue, HostError> {
    let mut key = std::mem::take(context.scratch(ENTRY_KEY));
    let mut value = std::mem::take(context.scratch(ENTRY_VALUE));
    let is_entry = context.scan_next(scan, &mut key, &mut value)?;
    if is_entry {
        context.charge((key.len() + value.len()) as u64 * STATE_BYTE_GAS)?;
    } else {
        key.clear();
        value.clear();
    }
    *context.scratch(ENTRY_KEY) = key;
    *context.scratch(ENTRY_VALUE) = value;
    Ok(HostValue::I32(is_entry.into()))
}

fn entry_part(
    context: &mut HostContext<'_>,
    arguments: Arguments<'_>,
    slot: u32,
) -> Result<HostValue, HostError> {
    context.read(arguments.u32(0), arguments.u32(1))?;
    if context.scratch(ENTRY_KEY).is_empty() {
        return Ok(HostValue::I32(status::NOT_FOUND));
    }
    let (_, whole) = copy(context, arguments, slot)?;
    Ok(HostValue::I32(whole as i32))
}
