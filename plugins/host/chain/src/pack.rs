//! The table of functions that contracts import.

use crate::status;
use supervm_plugin_sdk::host::{ADDRESS_BYTES, Address, ContractCall, Parameter};
use supervm_plugin_sdk::prelude::*;

/// The host pack `chain_api`.
#[derive(Debug)]
pub struct ChainPack;

/// Bytes of an abort's message; what is longer is cut.
pub const ABORT_MESSAGE_BYTES_MAX: u32 = 1024;

const I32: ValueType = ValueType::I32;
const I64: ValueType = ValueType::I64;
const REGION: &[Parameter] = &[("ptr", I32), ("len", I32)];
const OUT: &[Parameter] = &[("out_ptr", I32)];

/// Gas for each byte that the host copies.
const COPY_BYTE_GAS: u64 = 1;

/// The call's input, once a function asked for it.
const INPUT: u32 = 0;
/// The output of the last call to another contract; empty when it did not return.
const CALL_OUTPUT: u32 = 1;
/// What a call reads and does not keep.
const SPARE: u32 = 2;

static FUNCTIONS: [HostFunction; 14] = [
    HostFunction::new("block_number", &[], Some(I64))
        .gas(20)
        .doc("The number of the block that the call is part of.")
        .body(|context, _| Ok(HostValue::I64(context.block_number() as i64))),
    HostFunction::new("timestamp", &[], Some(I64))
        .gas(20)
        .doc("The block's time in seconds since 1970-01-01 UTC.")
        .body(|context, _| Ok(HostValue::I64(context.timestamp() as i64))),
    HostFunction::new("emit_event", REGION, Some(I32))
        .gas(500)
        .gas_per_byte(4, &["len"])
        .state(StateAccess::Write)
        .doc("Appends the bytes as an event of this contract; gone when the call fails.")
        .body(|context, arguments| {
            context.emit_event(context.read(arguments.u32(0), arguments.u32(1))?)?;
            Ok(HostValue::I32(status::OK))
        }),
    HostFunction::new("events_len", &[], Some(I32))
        .gas(20)
        .doc("The number of events that the transaction has emitted so far.")
        .body(|context, _| Ok(HostValue::I32(context.event_count() as i32))),
    HostFunction::new("read_event", &[("index", I32), ("ptr", I32), ("len", I32)], Some(I32))
        .gas(50)
        .doc(
            "Copies event `index` of the transaction, at most `len` bytes of it; the event's \
             whole length, or NOT_FOUND.",
        )
        .body(read_event),
    HostFunction::new("caller", OUT, Some(I32))
        .gas(30)
        .doc(
            "Writes the 20 bytes of the caller's address: an account, or the calling \
             contract.",
        )
        .body(|context, arguments| {
            let caller = context.caller();
            write_address(context, arguments, &caller)
        }),
    HostFunction::new("self_address", OUT, Some(I32))
        .gas(30)
        .doc("Writes the 20 bytes of this contract's own address.")
        .body(|context, arguments| {
            let address = context.self_address();
            write_address(context, arguments, &address)
        }),
    HostFunction::new("input_len", &[], Some(I32))
        .gas(30)
        .doc("The length of the call's input.")
        .body(|context, _| {
            let input = take_input(context)?;
            let length = input.len();
            *context.scratch(INPUT) = input;
            Ok(HostValue::I32(length as i32))
        }),
    HostFunction::new("input", REGION, Some(I32))
        .gas(30)
        .doc("Copies the call's input, at most `len` bytes of it; the number of bytes copied.")
        .body(|context, arguments| {
            let (ptr, len) = region(context, arguments, 0)?;
            let input = take_input(context)?;
            let copied = copy(context, ptr, len, &input)?;
            *context.scratch(INPUT) = input;
            Ok(HostValue::I32(copied as i32))
        }),
    HostFunction::new("output", REGION, Some(I32))
        .gas(50)
        .gas_per_byte(1, &["len"])
        .doc("Sets the call's output; a later one replaces it.")
        .body(|context, arguments| {
            context.set_output(context.read(arguments.u32(0), arguments.u32(1))?)?;
            Ok(HostValue::I32(status::OK))
        }),
    HostFunction::new(
        "call",
        &[
            ("addr_ptr", I32),
            ("name_ptr", I32),
            ("name_len", I32),
            ("input_ptr", I32),
            ("input_len", I32),
            ("gas", I64),
        ],
        Some(I32),
    )
    .gas(30_000)
    .gas_per_byte(1, &["name_len", "input_len"])
    // Within a read-only call the called contract is read-only too.
    .state(StateAccess::Read)
    .doc(
        "Calls the function of the contract at the 20-byte address with at most `gas` (-1 \
             = all that is left); OK, INVALID_ARGUMENT, NOT_FOUND, CALL_FAILED or \
             CALL_TOO_DEEP.",
    )
    .body(call),
    HostFunction::new("call_output_len", &[], Some(I32))
        .gas(20)
        .doc("The length of the last `call`'s output; 0 when it did not return OK.")
        .body(|context, _| Ok(HostValue::I32(context.scratch(CALL_OUTPUT).len() as i32))),
    HostFunction::new("call_output", REGION, Some(I32))
        .gas(30)
        .doc(
            "Copies the last `call`'s output, at most `len` bytes of it; the number of bytes \
             copied.",
        )
        .body(|context, arguments| {
            let (ptr, len) = region(context, arguments, 0)?;
            let output = std::mem::take(context.scratch(CALL_OUTPUT));
            let copied = copy(context, ptr, len, &output)?;
            *context.scratch(CALL_OUTPUT) = output;
            Ok(HostValue::I32(copied as i32))
        }),
    HostFunction::new("abort", &[("code", I32), ("ptr", I32), ("len", I32)], None)
        .gas(100)
        .gas_per_byte(1, &["len"])
        .doc(
            "Ends the call with the contract's own code and a message (UTF-8, the first 1024 \
             bytes); never returns.",
        )
        .body(|context, arguments| {
            let message = context.read(arguments.u32(1), arguments.u32(2))?;
            let message = &message[..message.len().min(ABORT_MESSAGE_BYTES_MAX as usize)];
            let message = String::from_utf8_lossy(message).into_owned();
            Err(HostError::Abort { code: arguments.i32(0), message })
        }),
];

impl HostPack for ChainPack {
    const MODULE: &'static str = "chain_api";
    const DETERMINISTIC: bool = true;

    fn functions() -> &'static [HostFunction] {
        &FUNCTIONS
    }
}

fn read_event(
    context: &mut HostContext<'_>,
    arguments: Arguments<'_>,
) -> Result<HostValue, HostError> {
    let (ptr, len) = region(context, arguments, 1)?;
    let mut event = std::mem::take(context.scratch(SPARE));
    if !context.event(arguments.u32(0), &mut event) {
        return Ok(HostValue::I32(status::NOT_FOUND));
    }
    // The host reads the whole event, however little of it fits.
    context.charge(event.len() as u64 * COPY_BYTE_GAS)?;
    let copied = event.len().min(len as usize);
    context.write(ptr, &event[..copied])?;
    let whole = event.len();
    *context.scratch(SPARE) = event;
    Ok(HostValue::I32(whole as i32))
}

fn call(context: &mut HostContext<'_>, arguments: Arguments<'_>) -> Result<HostValue, HostError> {
    // Guest memory may have moved when the call is over, so nothing may be borrowed from it meanwhile.
    let address = context.read(arguments.u32(0), ADDRESS_BYTES as u32)?;
    let address = Address::try_from(address).expect("the region has an address's length");
    let name = context.read(arguments.u32(1), arguments.u32(2))?;
    let input = context.read(arguments.u32(3), arguments.u32(4))?.to_vec();
    let Ok(function) = std::str::from_utf8(name).map(str::to_owned) else {
        context.scratch(CALL_OUTPUT).clear();
        return Ok(HostValue::I32(status::INVALID_ARGUMENT));
    };
    let gas = arguments.i64(5) as u64;
    let call = ContractCall { address: &address, function: &function, input: &input, gas };
    let mut output = std::mem::take(context.scratch(CALL_OUTPUT));
    output.clear();
    let status = status::of_call(context.call_contract(call, &mut output)?);
    if status != status::OK {
        output.clear();
    }
    context.charge(output.len() as u64 * COPY_BYTE_GAS)?;
    *context.scratch(CALL_OUTPUT) = output;
    Ok(HostValue::I32(status))
}

/// The call's input, to be put back; the first to ask pays for the host's copy of it.
fn take_input(context: &mut HostContext<'_>) -> Result<ByteBuf, HostError> {
    let mut input = std::mem::take(context.scratch(INPUT));
    if input.is_empty() {
        context.input(&mut input);
        context.charge(input.len() as u64 * COPY_BYTE_GAS)?;
    }
    Ok(input)
}

/// Pointer and length at `index` of the arguments, when the whole region is inside of guest memory: whether a call traps
/// depends on its arguments alone, not on how much there is to copy.
fn region(
    context: &HostContext<'_>,
    arguments: Arguments<'_>,
    index: usize,
) -> Result<(u32, u32), HostError> {
    let (ptr, len) = (arguments.u32(index), arguments.u32(index + 1));
    context.read(ptr, len).map(|_| (ptr, len))
}

/// Copies what fits of `bytes`; how many bytes that are.
fn copy(
    context: &mut HostContext<'_>,
    ptr: u32,
    len: u32,
    bytes: &[u8],
) -> Result<usize, HostError> {
    let copied = bytes.len().min(len as usize);
    context.charge(copied as u64 * COPY_BYTE_GAS)?;
    context.write(ptr, &bytes[..copied])?;
    Ok(copied)
}

fn write_address(
    context: &mut HostContext<'_>,
    arguments: Arguments<'_>,
    address: &Address,
) -> Result<HostValue, HostError> {
    context.write(arguments.u32(0), address)?;
    Ok(HostValue::I32(status::OK))
}
