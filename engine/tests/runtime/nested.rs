//! Contracts that call contracts.

use crate::support::{Bench, CALL, EMIT, GET, SET, contract, escaped};
use supervm_engine::config::ExecutionConfig;
use supervm_engine::runtime::{CallArguments, CallContext, Module, Receipt, Trap};
use supervm_engine::state::StateKey;
use supervm_plugin_sdk::ByteSize;

const OUTPUT: &str = "chain_api.call_output(ii)i";

/// A contract whose `run` calls `function` of `callee` with `input` and returns what `after` leaves; the status of the call is
/// the local `$status`.
fn caller(callee: &Module, function: &str, input: &[u8], gas: i64, after: &str) -> String {
    contract(
        &[CALL, OUTPUT, SET, EMIT],
        &format!(
            r#"(data (i32.const 0) "{address}") (data (i32.const 32) "{function}") (data (i32.const 64) "{input}")
            (func (export "run") (result i64) (local $status i32)
                (drop (call $storage_set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)))
                (drop (call $emit_event (i32.const 32) (i32.const 1)))
                (local.set $status (call $call (i32.const 0) (i32.const 32) (i32.const {name_len})
                    (i32.const 64) (i32.const {input_len}) (i64.const {gas})))
                {after})"#,
            address = escaped(&callee.address()),
            input = escaped(input),
            name_len = function.len(),
            input_len = input.len(),
        ),
    )
}

const STATUS: &str = "(i64.extend_i32_s (local.get $status))";
const FIRST_8_OF_OUTPUT: &str =
    "(drop (call $call_output (i32.const 128) (i32.const 8))) (i64.load (i32.const 128))";

fn deploy(bench: &Bench, wat: &str) -> Module {
    let module = bench.module(wat);
    bench.runtime.deploy(&module).unwrap();
    module
}

fn run(bench: &Bench, wat: &str) -> Receipt {
    let receipt = bench.run(wat);
    assert_eq!(receipt.trap, None);
    receipt
}

/// Sets `k` and emits `e`; `fail` then traps, `abort` aborts, `spin` never ends.
fn callee(bench: &Bench) -> Module {
    let write = r#"(drop (call $storage_set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)))
        (drop (call $emit_event (i32.const 1) (i32.const 1)))"#;
    deploy(
        bench,
        &contract(
            &[SET, EMIT, "chain_api.abort(iii)", "chain_api.output(ii)i", "chain_api.input(ii)i"],
            &format!(
                r#"(data (i32.const 0) "ke")
                (func (export "write") {write})
                (func (export "fail") {write} unreachable)
                (func (export "abort") {write} (call $abort (i32.const 9) (i32.const 0) (i32.const 0)))
                (func (export "spin") (loop $on (br $on)))
                (func (export "sum") (param i32 i64) (result i64)
                    (i64.add (i64.extend_i32_s (local.get 0)) (local.get 1)))
                (func (export "echo") (result i32)
                    (drop (call $input (i32.const 200) (i32.const 8)))
                    (drop (call $output (i32.const 200) (i32.const 8)))
                    (i32.const 3))"#
            ),
        ),
    )
}

#[test]
fn a_called_contracts_changes_and_events_are_part_of_the_callers() {
    let bench = Bench::new();
    let callee = callee(&bench);
    let receipt = run(&bench, &caller(&callee, "write", b"", -1, STATUS));
    assert_eq!(receipt.result, Some(0));
    let key = StateKey { contract: callee.address(), key: b"k".to_vec() };
    assert_eq!(receipt.writes[&key], Some(b"k".to_vec()));
    assert_eq!(receipt.writes.len(), 2);
    let emitters: Vec<_> = receipt.events.iter().map(|event| event.contract).collect();
    assert_eq!(emitters[1], callee.address());
    assert_ne!(emitters[0], callee.address());
}

#[test]
fn a_failed_call_leaves_nothing_and_the_caller_goes_on() {
    let bench = Bench::new();
    let callee = callee(&bench);
    for function in ["fail", "abort"] {
        let receipt = run(&bench, &caller(&callee, function, b"", 100_000, STATUS));
        assert_eq!(receipt.result, Some(-3), "{function}");
        assert_eq!((receipt.writes.len(), receipt.events.len()), (1, 1), "{function}");
    }
}

#[test]
fn a_callee_uses_at_most_the_gas_it_is_given_and_an_abort_gives_back_the_rest() {
    let bench = Bench::new();
    let callee = callee(&bench);
    let used = |function, gas| run(&bench, &caller(&callee, function, b"", gas, STATUS)).gas_used;
    assert_eq!(used("spin", 300_000) - used("spin", 200_000), 100_000);
    assert_eq!(used("fail", 300_000) - used("fail", 200_000), 100_000);
    assert_eq!(used("abort", 300_000), used("abort", 200_000));
    assert_eq!(used("write", 300_000), used("write", -1));
}

#[test]
fn a_callee_that_takes_all_gas_leaves_the_caller_without() {
    let bench = Bench::new();
    let callee = callee(&bench);
    let receipt = bench.run(&caller(&callee, "spin", b"", -1, STATUS));
    assert_eq!(receipt.trap, Some(Trap::OutOfGas));
    assert_eq!(receipt.gas_used, CallContext::default().gas_limit);
}

#[test]
fn typed_exports_take_packed_arguments_and_return_a_packed_result() {
    let bench = Bench::new();
    let callee = callee(&bench);
    let input = [&(-5_i32).to_le_bytes()[..], &100_i64.to_le_bytes()].concat();
    let receipt = run(&bench, &caller(&callee, "sum", &input, -1, FIRST_8_OF_OUTPUT));
    assert_eq!(receipt.result, Some(95));
    let short = run(&bench, &caller(&callee, "sum", &input[..11], -1, STATUS));
    assert_eq!(short.result, Some(-3));
}

#[test]
fn an_output_that_the_callee_set_goes_before_its_result() {
    let bench = Bench::new();
    let callee = callee(&bench);
    let receipt = run(&bench, &caller(&callee, "echo", b"12345678", -1, FIRST_8_OF_OUTPUT));
    assert_eq!(receipt.result, Some(i64::from_le_bytes(*b"12345678")));
}

#[test]
fn an_unknown_address_and_an_unknown_function_are_not_found() {
    let bench = Bench::new();
    let deployed = callee(&bench);
    assert_eq!(run(&bench, &caller(&deployed, "nothing", b"", -1, STATUS)).result, Some(-2));
    let elsewhere = bench.module(r#"(module (func (export "run")))"#);
    assert_eq!(run(&bench, &caller(&elsewhere, "run", b"", -1, STATUS)).result, Some(-2));
    bench.runtime.deploy(&elsewhere).unwrap();
    assert_eq!(run(&bench, &caller(&elsewhere, "run", b"", -1, STATUS)).result, Some(0));
}

/// A chain of contracts, each calling the next and returning how many calls deep it got; every one recurses `frames` deep in its own
/// code first.
fn chain(bench: &Bench, length: usize, frames: u32) -> Module {
    let mut next = deploy(
        bench,
        r#"(module (memory (export "memory") 1) (func (export "run") (result i64) (i64.const 1)))"#,
    );
    for level in 1..length {
        let wat = contract(
            &[CALL, OUTPUT, GET],
            &format!(
                r#"(data (i32.const 0) "{address}") (data (i32.const 32) "run")
                (func $deep (param i32) (result i64)
                    (if (result i64) (i32.eqz (local.get 0))
                        (then (call $onward))
                        (else (i64.add (i64.const 0) (call $deep (i32.sub (local.get 0) (i32.const 1)))))))
                (func $onward (result i64)
                    (if (i32.lt_s (call $call (i32.const 0) (i32.const 32) (i32.const 3)
                            (i32.const 0) (i32.const 0) (i64.const -1)) (i32.const 0))
                        (then (return (i64.const 1))))
                    (drop (call $call_output (i32.const 128) (i32.const 8)))
                    (i64.add (i64.const 1) (i64.load (i32.const 128))))
                (func (export "run") (result i64) (call $deep (i32.const {frames})))
                (func (export "level{level}"))"#,
                address = escaped(&next.address()),
            ),
        );
        next = deploy(bench, &wat);
    }
    next
}

#[test]
fn calls_nest_to_the_configured_depth_and_no_deeper() {
    let bench = Bench::new();
    let depth = ExecutionConfig::default().call_depth_max as usize;
    for (length, reached) in [(1, 1), (depth - 1, depth - 1), (depth, depth), (depth + 2, depth)] {
        let receipt = bench.call(&chain(&bench, length, 0), "run");
        assert_eq!((receipt.trap, receipt.result), (None, Some(reached as i64)), "{length}");
    }
}

/// Each level uses nearly all the native stack it may, all of which together is more than a thread of two MiB has.
#[test]
fn the_deepest_calls_with_the_deepest_recursion_fit_whatever_the_threads_stack() {
    let depth = 32;
    let bench = Bench::with(ExecutionConfig {
        call_depth_max: depth,
        instances: 4,
        gas_limit: 1 << 40,
        ..ExecutionConfig::default()
    });
    let frames = 8_000;
    let module = chain(&bench, depth as usize, frames);
    let probe = bench.module(&format!(
        r#"(module (func $deep (param i32) (result i64)
                (if (result i64) (i32.eqz (local.get 0)) (then (i64.const 1))
                    (else (i64.add (i64.const 0) (call $deep (i32.sub (local.get 0) (i32.const 1)))))))
            (func (export "run") (result i64) (call $deep (i32.const {})))) "#,
        frames * 4
    ));
    assert_eq!(
        bench.call(&probe, "run").trap,
        Some(Trap::StackOverflow),
        "the frames are not tiny"
    );
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    let receipt = thread.spawn(move || {
        let context = CallContext { gas_limit: 1 << 40, ..CallContext::default() };
        let receipt = bench.runtime.call(&module, "run", &CallArguments::default(), &context);
        receipt.unwrap()
    });
    let receipt = receipt.unwrap().join().unwrap();
    assert_eq!((receipt.trap, receipt.result), (None, Some(i64::from(depth))));
}

#[test]
fn the_caller_of_a_called_contract_is_the_calling_contract() {
    let bench = Bench::new();
    let callee = deploy(
        &bench,
        &contract(
            &["chain_api.caller(i)i", "chain_api.output(ii)i"],
            r#"(func (export "who") (drop (call $caller (i32.const 0)))
                (drop (call $output (i32.const 0) (i32.const 20))))"#,
        ),
    );
    let wat = caller(&callee, "who", b"", -1, FIRST_8_OF_OUTPUT);
    let address = bench.module(&wat).address();
    let first = i64::from_le_bytes(address[..8].try_into().unwrap());
    assert_eq!(run(&bench, &wat).result, Some(first));
}

#[test]
fn a_contract_is_not_entered_again_while_it_runs() {
    let bench = Bench::new();
    // `front` calls `back`, which calls the address that it finds in its input: `front` again.
    let back = deploy(
        &bench,
        &contract(
            &[CALL, "chain_api.input(ii)i"],
            r#"(data (i32.const 32) "free")
            (func (export "again") (result i32)
                (drop (call $input (i32.const 0) (i32.const 20)))
                (call $call (i32.const 0) (i32.const 32) (i32.const 4) (i32.const 0) (i32.const 0) (i64.const -1)))"#,
        ),
    );
    let front = deploy(
        &bench,
        &contract(
            &[CALL, OUTPUT, "chain_api.self_address(i)i"],
            &format!(
                r#"(data (i32.const 0) "{}") (data (i32.const 32) "again")
                (func (export "free"))
                (func (export "run") (result i32)
                    (drop (call $self_address (i32.const 64)))
                    (drop (call $call (i32.const 0) (i32.const 32) (i32.const 5) (i32.const 64) (i32.const 20) (i64.const -1)))
                    (drop (call $call_output (i32.const 128) (i32.const 4)))
                    (i32.load (i32.const 128)))"#,
                escaped(&back.address())
            ),
        ),
    );
    assert_eq!(bench.call(&front, "run").result, Some(-3), "CALL_FAILED");
    let direct = CallArguments::Input(front.address().to_vec());
    let context = CallContext::default();
    let receipt = bench.runtime.call(&back, "again", &direct, &context).unwrap();
    assert_eq!(receipt.result, Some(0), "the same call is fine while it does not run");
}

#[test]
fn a_trap_of_the_caller_undoes_what_the_callee_did() {
    let bench = Bench::new();
    let callee = callee(&bench);
    let receipt = bench.run(&caller(&callee, "write", b"", -1, "unreachable"));
    assert_eq!(receipt.trap, Some(Trap::Unreachable));
    assert_eq!((receipt.writes.len(), receipt.events.len()), (0, 0));
}

#[test]
fn input_beyond_its_bound_ends_the_calling_contract() {
    let bench =
        Bench::with(ExecutionConfig { input_bytes_max: ByteSize(4), ..ExecutionConfig::default() });
    let callee = callee(&bench);
    let trap = bench.trap(&caller(&callee, "echo", b"12345", -1, STATUS));
    assert!(matches!(trap, Trap::LimitExceeded { .. }));
}
