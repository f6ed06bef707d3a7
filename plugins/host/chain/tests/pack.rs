//! The pack `chain_api` through the plugin boundary.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../testing/mod.rs"]
mod testing;

use supervm_host_chain::status::{
    self, CALL_FAILED, CALL_TOO_DEEP, INVALID_ARGUMENT, NOT_FOUND, OK,
};
use supervm_plugin_sdk::host::{CallOutcome, HostError};
use testing::{Environment, Pack, Pointer, Pointers, Use, check_documentation};

const POINTERS: &[Pointer] = &[
    ("emit_event", "ptr", Use::Input(None)),
    ("read_event", "ptr", Use::Output(None)),
    ("caller", "out_ptr", Use::Output(Some(20))),
    ("self_address", "out_ptr", Use::Output(Some(20))),
    ("input", "ptr", Use::Output(None)),
    ("output", "ptr", Use::Input(None)),
    ("call", "addr_ptr", Use::Input(Some(20))),
    ("call", "name_ptr", Use::Input(None)),
    ("call", "input_ptr", Use::Input(None)),
    ("call_output", "ptr", Use::Output(None)),
    ("abort", "ptr", Use::Input(None)),
];

/// A call whose memory begins with `memory`.
fn call_over(memory: &[u8]) -> (Pack, Environment) {
    let mut bytes = memory.to_vec();
    bytes.resize(2048, b'.');
    (Pack::linked("chain"), Environment::with_memory(bytes))
}

#[test]
fn the_block_and_the_addresses_are_the_calls_own() {
    let (pack, mut environment) = call_over(b"");
    assert_eq!(pack.call(&mut environment, "block_number", &[]).unwrap(), 12_345);
    assert_eq!(pack.call(&mut environment, "timestamp", &[]).unwrap(), 1_704_067_200);
    assert_eq!(pack.status(&mut environment, "caller", &[1]), OK);
    assert_eq!(pack.status(&mut environment, "self_address", &[21]), OK);
    assert_eq!(environment.memory[..42], [&b"."[..], &[0xca; 20], &[0x5e; 20], b"."].concat());
}

#[test]
fn events_are_emitted_counted_and_read_back() {
    let (pack, mut environment) = call_over(b"UserAction");
    assert_eq!(pack.status(&mut environment, "events_len", &[]), 0);
    assert_eq!(pack.status(&mut environment, "emit_event", &[0, 10]), OK);
    assert_eq!(pack.status(&mut environment, "emit_event", &[0, 0]), OK, "an empty event is one");
    assert_eq!(environment.events, [b"UserAction".to_vec(), Vec::new()]);
    assert_eq!(pack.status(&mut environment, "events_len", &[]), 2);
    assert_eq!(pack.status(&mut environment, "read_event", &[0, 100, 64]), 10);
    assert_eq!(environment.memory[100..111], *b"UserAction.");
    assert_eq!(pack.status(&mut environment, "read_event", &[0, 200, 4]), 10, "the whole length");
    assert_eq!(environment.memory[200..205], *b"User.");
    assert_eq!(pack.status(&mut environment, "read_event", &[1, 300, 4]), 0);
    for index in [2, 0xffff_ffff] {
        assert_eq!(pack.status(&mut environment, "read_event", &[index, 300, 4]), NOT_FOUND);
    }
}

#[test]
fn a_read_only_call_refuses_events_and_calls() {
    let (pack, mut environment) = call_over(b"");
    environment.read_only = true;
    for (function, arguments) in [("emit_event", &[0, 1][..]), ("call", &[0, 0, 1, 0, 1, 5])] {
        let error = pack.call(&mut environment, function, arguments).unwrap_err();
        assert!(matches!(error, HostError::ReadOnlyCall), "{function}: {error}");
    }
    assert_eq!(pack.status(&mut environment, "output", &[0, 1]), OK, "an output changes no state");
}

#[test]
fn the_input_is_read_as_often_as_wanted_and_fetched_once() {
    let (pack, mut environment) = call_over(b"");
    environment.input = b"arguments".to_vec();
    assert_eq!(pack.status(&mut environment, "input_len", &[]), 9);
    for (len, expected) in [(4, &b"argu."[..]), (64, b"arguments."), (0, b".")] {
        environment.memory.fill(b'.');
        let copied = pack.status(&mut environment, "input", &[10, len]);
        assert_eq!(copied as usize, expected.len() - 1);
        assert_eq!(environment.memory[10..10 + expected.len()], *expected);
    }
    assert_eq!(environment.input_copies, 1);
}

#[test]
fn a_later_output_replaces_an_earlier_one() {
    let (pack, mut environment) = call_over(b"firstsecond");
    assert_eq!(pack.status(&mut environment, "output", &[0, 5]), OK);
    assert_eq!(pack.status(&mut environment, "output", &[5, 6]), OK);
    assert_eq!(environment.output, b"second");
}

/// Address at 0, name at 20, input at 23.
fn memory_of_a_call() -> Vec<u8> {
    [&[0xad; 20][..], b"run", b"input"].concat()
}

const CALL: [u64; 6] = [0, 20, 3, 23, 5, 77];

#[test]
fn a_call_hands_over_its_arguments_and_keeps_the_output() {
    let (pack, mut environment) = call_over(&memory_of_a_call());
    environment.callee = (CallOutcome::Ok, b"answer".to_vec());
    assert_eq!(pack.status(&mut environment, "call", &CALL), OK);
    let expected = ([0xad; 20], "run".to_owned(), b"input".to_vec(), 77);
    assert_eq!(environment.calls, [expected]);
    assert_eq!(pack.status(&mut environment, "call_output_len", &[]), 6);
    assert_eq!(pack.status(&mut environment, "call_output", &[100, 64]), 6);
    assert_eq!(environment.memory[100..107], *b"answer.");
    assert_eq!(pack.status(&mut environment, "call_output", &[200, 2]), 2);
    assert_eq!(environment.memory[200..203], *b"an.");
}

#[test]
fn a_call_passes_on_all_gas_when_asked_for_minus_one() {
    let (pack, mut environment) = call_over(&memory_of_a_call());
    let [address, name, name_len, input, input_len, _] = CALL;
    let arguments = [address, name, name_len, input, input_len, u64::MAX];
    assert_eq!(pack.status(&mut environment, "call", &arguments), OK);
    assert_eq!(environment.calls[0].3, u64::MAX);
}

#[test]
fn a_call_that_does_not_return_has_a_negative_status_and_no_output() {
    for (outcome, expected) in [
        (CallOutcome::Failed, CALL_FAILED),
        (CallOutcome::NotFound, NOT_FOUND),
        (CallOutcome::TooDeep, CALL_TOO_DEEP),
    ] {
        let (pack, mut environment) = call_over(&memory_of_a_call());
        environment.callee = (CallOutcome::Ok, b"earlier".to_vec());
        pack.status(&mut environment, "call", &CALL);
        environment.callee = (outcome, b"leftover".to_vec());
        let status = pack.status(&mut environment, "call", &CALL);
        assert!(status < 0);
        assert_eq!(status, expected);
        assert_eq!(pack.status(&mut environment, "call_output_len", &[]), 0);
        assert_eq!(pack.status(&mut environment, "call_output", &[100, 8]), 0);
    }
}

#[test]
fn a_function_name_that_is_not_utf8_is_an_invalid_argument() {
    let (pack, mut environment) = call_over(&[0xff; 64]);
    assert_eq!(pack.status(&mut environment, "call", &CALL), INVALID_ARGUMENT);
    assert!(environment.calls.is_empty());
}

#[test]
fn abort_ends_the_call_with_the_contracts_code_and_a_bounded_message() {
    let (pack, mut environment) = call_over(b"no \xffunds");
    let error = pack.call(&mut environment, "abort", &[0xffff_fff9, 0, 8]).unwrap_err();
    assert!(
        matches!(&error, HostError::Abort { code: -7, message } if message == "no \u{fffd}unds"),
        "{error}"
    );
    let error = pack.call(&mut environment, "abort", &[1, 100, 1900]).unwrap_err();
    assert!(matches!(&error, HostError::Abort { message, .. } if message.len() == 1024), "{error}");
}

/// The prices that depend on data, measured: function, gas for each byte.
fn measured_data_prices() -> Vec<(&'static str, u64)> {
    let (pack, mut environment) = call_over(&memory_of_a_call());
    environment.events.push(vec![1; 10]);
    environment.input = vec![2; 20];
    environment.callee = (CallOutcome::Ok, vec![3; 30]);
    let mut measure = |name: &'static str, arguments: &[u64], units: u64| {
        let before = environment.gas_used;
        pack.call(&mut environment, name, arguments).unwrap();
        let function = pack.function(name);
        let bytes: u64 = function.gas_lengths.iter().map(|index| arguments[*index]).sum();
        let fixed = function.gas_base + bytes * function.gas_per_byte;
        let extra = environment.gas_used - before - fixed;
        assert_eq!(extra % units, 0, "{name} charges whole units");
        (name, extra / units)
    };
    vec![
        measure("read_event", &[0, 100, 4], 10),
        measure("input_len", &[], 20),
        measure("input", &[100, 5], 5),
        measure("call", &CALL, 30),
        measure("call_output", &[100, 64], 30),
    ]
}

#[test]
fn what_is_copied_is_charged_by_its_length_and_runs_out_of_gas() {
    assert!(measured_data_prices().iter().all(|(_, gas)| *gas > 0));
    let (pack, mut environment) = call_over(b"");
    environment.input = vec![2; 20];
    environment.gas_limit = pack.function("input_len").gas_base + 10;
    let error = pack.call(&mut environment, "input_len", &[]).unwrap_err();
    assert!(matches!(error, HostError::OutOfGas), "{error}");
}

#[test]
fn every_pointer_is_checked_and_only_outputs_are_written() {
    fn prepare(pack: &Pack, environment: &mut Environment) {
        environment.events.push(vec![1; 40]);
        environment.input = vec![2; 40];
        environment.callee = (CallOutcome::Ok, vec![3; 40]);
        let arguments = [0, 0, 0, 0, 0, 0];
        assert_eq!(pack.status(environment, "call", &arguments), OK);
    }
    fn content(_: &str, param: &str) -> Option<Vec<u8>> {
        (param == "name_ptr").then(|| b"run".to_vec())
    }
    let pack = Pack::linked("chain");
    Pointers { pack, pointers: POINTERS, prepare, content }.check();
}

#[test]
fn the_page_documents_exactly_what_the_pack_has() {
    let pack = Pack::linked("chain");
    check_documentation(&pack, "chain_api", &status::NAMES, &measured_data_prices());
}

#[test]
fn the_pages_example_is_a_valid_module() {
    let page = include_str!("../../../../docs/contract-abi.md");
    let example = page.split_once("```wat\n").unwrap().1.split_once("```").unwrap().0;
    let module = wat::parse_str(example).unwrap();
    wasmparser::validate(&module).unwrap();
}
