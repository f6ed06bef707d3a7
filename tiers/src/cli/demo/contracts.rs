//! Demos 1 to 4: one contract each, on the default backend.

use super::{Outcome, Workplace, check_trap, expect};
use crate::cli::bytes::{hex, parse_digits, shown};
use crate::cli::failure::Failure;
use serde_json::json;
use supervm_engine::runtime::{CallArguments, CallContext};
use supervm_engine::state::StateKey;
use supervm_host_crypto::checksum_address;
use supervm_tiers::Node;

const ADD: &[u8] = include_bytes!("../../../../examples/contracts/add.wat");
const CONTEXT: &[u8] = include_bytes!("../../../../examples/contracts/demo.wat");
const HASHES: &[u8] = include_bytes!("../../../../examples/contracts/hashes.wat");
const ETH_ADDRESS: &[u8] = include_bytes!("../../../../examples/contracts/eth_address.wat");

const BACKEND: &str = "sqlite";
const BLOCK: u64 = 12_345;
const TIMESTAMP: u64 = 1_704_067_200;
const CONTEXT_RESULT: i64 = 1_704_079_545;

/// "abc", the message of FIPS 180-4's first example, and its digests.
const MESSAGE: &str = "abc";
const SHA256: &str = "0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const KECCAK256: &str = "0x4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45";

/// The public key of the private key 1, which is the curve's generator, and its address.
const PUBLIC_KEY: &str = "0x0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const ADDRESS: &str = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf";

pub(super) fn add(workplace: &Workplace<'_>) -> Outcome {
    let node = workplace.node(BACKEND)?;
    let sum = node.runtime().execute_add(ADD, 7, 8)?;
    expect("add(7, 8)", &sum, &15)?;
    Ok((vec![format!("add(7, 8) = {sum}")], json!({ "result": sum })))
}

pub(super) fn context(workplace: &Workplace<'_>) -> Outcome {
    let node = workplace.node(BACKEND)?;
    let context =
        CallContext { block_number: BLOCK, timestamp: TIMESTAMP, ..CallContext::default() };
    let receipt = node.run(CONTEXT, "process", &CallArguments::default(), &context)?;
    check_trap("process", &receipt)?;
    let events: Vec<_> = receipt.events.iter().map(|event| shown(&event.data)).collect();
    expect("the result", &receipt.result, &Some(CONTEXT_RESULT))?;
    expect("the events", &events, &vec!["UserAction".to_owned(), "BlockProcessed".to_owned()])?;
    let stored_block = stored_number(&node, "last_block")?;
    expect("the stored block", &stored_block, &Some(BLOCK))?;
    let lines = vec![
        format!("process() at block {BLOCK}, timestamp {TIMESTAMP}"),
        format!("returned {CONTEXT_RESULT}"),
        format!("emitted {} events: {}", events.len(), events.join(", ")),
        format!("stored last_block = {BLOCK} in {BACKEND}, gas used {}", receipt.gas_used),
    ];
    let values = json!({
        "block_number": BLOCK, "timestamp": TIMESTAMP, "result": CONTEXT_RESULT, "events": events,
        "gas_used": receipt.gas_used, "backend": BACKEND,
    });
    Ok((lines, values))
}

pub(super) fn hashes(workplace: &Workplace<'_>) -> Outcome {
    let node = workplace.node(BACKEND)?;
    let sha256 = hex(&output_of(&node, HASHES, "sha256", MESSAGE.as_bytes())?);
    let keccak256 = hex(&output_of(&node, HASHES, "keccak256", MESSAGE.as_bytes())?);
    expect("sha256", &sha256.as_str(), &SHA256)?;
    expect("keccak256", &keccak256.as_str(), &KECCAK256)?;
    let lines = vec![
        format!("sha256(\"{MESSAGE}\")    = {sha256}"),
        format!("keccak256(\"{MESSAGE}\") = {keccak256}"),
    ];
    Ok((lines, json!({ "message": MESSAGE, "sha256": sha256, "keccak256": keccak256 })))
}

pub(super) fn eth_address(workplace: &Workplace<'_>) -> Outcome {
    let node = workplace.node(BACKEND)?;
    let key = parse_digits(&PUBLIC_KEY[2..]).expect("the constant is hex");
    let address = output_of(&node, ETH_ADDRESS, "address", &key)?;
    let address = <[u8; 20]>::try_from(address).map(|address| checksum_address(&address));
    expect("the address", &address.as_deref(), &Ok(ADDRESS))?;
    let lines = vec![format!("public key {PUBLIC_KEY}"), format!("address    {ADDRESS}")];
    Ok((lines, json!({ "public_key": PUBLIC_KEY, "address": ADDRESS })))
}

fn output_of(node: &Node, code: &[u8], function: &str, input: &[u8]) -> Result<Vec<u8>, Failure> {
    let input = CallArguments::Input(input.to_vec());
    let receipt = node.run(code, function, &input, &CallContext::default())?;
    check_trap(function, &receipt)?;
    Ok(receipt.output)
}

/// The number that the context contract keeps under `key`.
fn stored_number(node: &Node, key: &str) -> Result<Option<u64>, Failure> {
    let contract = node.runtime().module(CONTEXT)?.address();
    let key = StateKey { contract, key: key.as_bytes().to_vec() };
    let value = node.store().begin_read_only().read(&key.to_bytes())?;
    Ok(value.and_then(|value| value.try_into().ok()).map(u64::from_le_bytes))
}
