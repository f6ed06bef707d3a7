//! The runtime's entry points.

use crate::support::{Bench, CALL, EMIT, GET, SET, contract};
use supervm_engine::config::ExecutionConfig;
use supervm_engine::runtime::{CallArguments, CallContext, Trap};
use supervm_engine::state::StateKey;
use supervm_plugin_sdk::{Durability, ErrorKind};

const ADD: &str = r#"(module (func (export "add") (param i32 i32) (result i32)
    (i32.add (local.get 0) (local.get 1))))"#;

/// Sets `key` to `value` and emits it; `run` returns -7.
fn writer() -> String {
    contract(
        &[SET, EMIT, GET],
        r#"(data (i32.const 0) "keyvalue")
        (func (export "run") (result i32)
            (drop (call $storage_set (i32.const 0) (i32.const 3) (i32.const 3) (i32.const 5)))
            (drop (call $emit_event (i32.const 3) (i32.const 5)))
            (i32.const -7))
        (func (export "length") (result i64)
            (call $storage_get (i32.const 0) (i32.const 3)))"#,
    )
}

#[test]
fn execute_add_adds_text_and_binary_alike() {
    let bench = Bench::new();
    assert_eq!(bench.runtime.execute_add(ADD.as_bytes(), 7, 8).unwrap(), 15);
    let binary = wat::parse_str(ADD).unwrap();
    assert_eq!(bench.runtime.execute_add(&binary, i32::MAX, 1).unwrap(), i32::MIN);
    let text = bench.module(ADD);
    assert_eq!(text.address(), bench.runtime.module(&binary).unwrap().address());
    assert_eq!(text.wasm(), binary);
    let exports: Vec<_> = text.exports().map(|(name, kind)| format!("{name}{kind}")).collect();
    assert_eq!(exports, ["add(i32, i32) -> i32"]);
}

#[test]
fn execute_commits_and_a_second_call_sees_the_first_ones_state() {
    let bench = Bench::new();
    let wat = writer();
    assert_eq!(bench.runtime.execute(wat.as_bytes(), "length", 1, 2).unwrap(), 0);
    assert_eq!(bench.runtime.execute(wat.as_bytes(), "run", 1, 2).unwrap(), -7);
    assert_eq!(bench.runtime.execute(wat.as_bytes(), "length", 1, 2).unwrap(), 5);
}

#[test]
fn execute_with_context_returns_result_events_block_number_and_timestamp() {
    let bench = Bench::new();
    let wat = contract(
        &["chain_api.block_number()I", "chain_api.timestamp()I", EMIT],
        r#"(data (i32.const 0) "event")
        (func (export "run") (result i64)
            (drop (call $emit_event (i32.const 0) (i32.const 5)))
            (drop (call $emit_event (i32.const 0) (i32.const 2)))
            (i64.mul (call $block_number) (call $timestamp)))"#,
    );
    let outcome = bench.runtime.execute_with_context(wat.as_bytes(), "run", 12, 1_700_000_000);
    let (result, events, block_number, timestamp) = outcome.unwrap();
    assert_eq!(result, 12 * 1_700_000_000);
    assert_eq!(events, [b"event".to_vec(), b"ev".to_vec()]);
    assert_eq!((block_number, timestamp), (12, 1_700_000_000));
}

#[test]
fn a_trap_in_execute_is_an_error_that_names_it() {
    let bench = Bench::new();
    let wat = r#"(module (func (export "run") unreachable))"#;
    let error = bench.runtime.execute(wat.as_bytes(), "run", 0, 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.context().any(|pair| pair == ("trap", "unreachable")), "{error}");
}

#[test]
fn a_call_changes_nothing_until_its_receipt_is_committed() {
    let bench = Bench::new();
    let module = bench.module(&writer());
    let receipt = bench.call(&module, "run");
    let key = StateKey { contract: module.address(), key: b"key".to_vec() };
    assert_eq!(receipt.result, Some(-7));
    assert_eq!(receipt.writes.get(&key), Some(&Some(b"value".to_vec())));
    assert_eq!(receipt.events[0].contract, module.address());
    assert!(bench.content().is_empty());
    bench.runtime.commit(&receipt, Durability::Buffered).unwrap();
    assert_eq!(bench.content(), [(key.to_bytes(), b"value".to_vec())]);
    let length = bench.call(&module, "length");
    assert_eq!(length.result, Some(5));
    assert_eq!(length.reads.into_iter().collect::<Vec<_>>(), [key]);
}

#[test]
fn an_absent_key_that_was_read_is_in_the_read_set() {
    let bench = Bench::new();
    let module = bench.module(&writer());
    let key = StateKey { contract: module.address(), key: b"key".to_vec() };
    let receipt = bench.call(&module, "length");
    assert_eq!(receipt.result, Some(0));
    assert_eq!(receipt.reads.into_iter().collect::<Vec<_>>(), [key]);
}

#[test]
fn a_receipt_with_a_trap_is_not_committed() {
    let bench = Bench::new();
    let receipt = bench.run(r#"(module (func (export "run") unreachable))"#);
    assert_eq!(receipt.trap, Some(Trap::Unreachable));
    let error = bench.runtime.commit(&receipt, Durability::Buffered).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_receipt_serialises_with_bytes_in_hexadecimal() {
    let bench = Bench::new();
    let module = bench.module(&writer());
    let json = serde_json::to_value(bench.call(&module, "run")).unwrap();
    let address = hex::encode(module.address());
    assert_eq!(json["result"], -7);
    assert_eq!(json["writes"][format!("{address}:6b6579")], "76616c7565");
    assert_eq!(json["events"][0]["data"], "76616c7565");
    assert_eq!(json["events"][0]["contract"], address);
    assert_eq!(json["trap"], serde_json::Value::Null);
}

#[test]
fn deploying_stores_the_code_once_at_its_address() {
    let bench = Bench::new();
    let module = bench.module(ADD);
    assert!(bench.runtime.deployed(&module.address()).unwrap().is_none());
    assert!(bench.runtime.deploy(&module).unwrap());
    assert!(!bench.runtime.deploy(&module).unwrap());
    let deployed = bench.runtime.deployed(&module.address()).unwrap().unwrap();
    assert_eq!(deployed.wasm(), module.wasm());
}

#[test]
fn code_that_is_not_its_addresss_is_corruption() {
    let bench = Bench::new();
    let key = supervm_engine::state::code_key(&[9; 20]);
    bench.storage.set(&key, &wat::parse_str(ADD).unwrap()).unwrap();
    let error = bench.runtime.deployed(&[9; 20]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption);
}

#[test]
fn a_module_of_another_runtime_is_refused() {
    let (one, other) = (Bench::new(), Bench::new());
    let module = one.module(ADD);
    let context = CallContext::default();
    let called = other.runtime.call(&module, "add", &CallArguments::default(), &context);
    assert_eq!(called.unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(other.runtime.deploy(&module).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_missing_function_and_wrong_arguments_are_traps_that_keep_the_gas() {
    let bench = Bench::new();
    let module = bench.module(ADD);
    let missing = bench.call(&module, "sub");
    assert_eq!(missing.trap, Some(Trap::MissingExport { function: "sub".into() }));
    let none = bench.call(&module, "add");
    assert!(matches!(&none.trap, Some(Trap::BadArguments { what }) if what.contains("(i32, i32)")));
    assert_eq!(none.gas_used, missing.gas_used);
    assert!(none.gas_used < CallContext::default().gas_limit / 100);
}

#[test]
fn input_and_output_pass_through_the_host_functions() {
    let bench = Bench::new();
    let module = bench.module(&contract(
        &["chain_api.input(ii)i", "chain_api.output(ii)i"],
        r#"(func (export "echo") (result i32) (local $length i32)
            (local.set $length (call $input (i32.const 0) (i32.const 100)))
            (drop (call $output (i32.const 0) (local.get $length)))
            (local.get $length))"#,
    ));
    let input = CallArguments::Input(b"hello".to_vec());
    let receipt = bench.runtime.call(&module, "echo", &input, &CallContext::default()).unwrap();
    assert_eq!((receipt.result, &receipt.output[..]), (Some(5), &b"hello"[..]));
}

#[test]
fn bounds_of_the_configuration_hold_for_input_output_and_gas_limit() {
    let small = ExecutionConfig {
        input_bytes_max: supervm_plugin_sdk::ByteSize(4),
        output_bytes_max: supervm_plugin_sdk::ByteSize(4),
        gas_limit: 1_000_000,
        ..ExecutionConfig::default()
    };
    let bench = Bench::with(small);
    let module = bench.module(&contract(
        &["chain_api.output(ii)i"],
        r#"(func (export "run") (drop (call $output (i32.const 0) (i32.const 5))))"#,
    ));
    let context = CallContext { gas_limit: 1_000_000, ..CallContext::default() };
    let receipt = bench.call_with(&module, "run", context.clone());
    assert!(matches!(receipt.trap, Some(Trap::LimitExceeded { .. })));
    let long = CallArguments::Input(vec![0; 5]);
    let refused = bench.runtime.call(&module, "run", &long, &context).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    let much = CallContext { gas_limit: 1_000_001, ..context };
    let refused = bench.runtime.call(&module, "run", &CallArguments::default(), &much);
    assert!(refused.unwrap_err().message().contains("above the configured 1000000"));
}

#[test]
fn a_read_only_call_reads_and_calls_and_refuses_to_write_and_emit() {
    let bench = Bench::new();
    let wat = contract(
        &[SET, EMIT, GET, CALL],
        r#"(func (export "set")
            (drop (call $storage_set (i32.const 0) (i32.const 3) (i32.const 3) (i32.const 5))))
        (func (export "emit") (drop (call $emit_event (i32.const 3) (i32.const 5))))
        (func (export "call") (drop (call $call (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i64.const 1000))))
        (func (export "get") (drop (call $storage_get (i32.const 0) (i32.const 3))))"#,
    );
    let module = bench.module(&wat);
    let context = CallContext { read_only: true, ..CallContext::default() };
    for function in ["set", "emit"] {
        let receipt = bench.call_with(&module, function, context.clone());
        assert_eq!(receipt.trap, Some(Trap::ReadOnlyCall), "{function}");
    }
    for function in ["get", "call"] {
        assert_eq!(bench.call_with(&module, function, context.clone()).trap, None, "{function}");
    }
}
