//! Contracts that mean harm: each ends with a trap that names what it did, in bounded time and memory, and changes nothing.

use crate::support::{Bench, CALL, EMIT, GET, SET, contract};
use std::time::{Duration, Instant};
use supervm_engine::config::ExecutionConfig;
use supervm_engine::runtime::{CallContext, Trap};
use supervm_plugin_sdk::ByteSize;

/// A wide bound: a hostile contract would not end at all.
const TIME_MAX: Duration = Duration::from_secs(20);

/// Runs `wat` with a large gas limit and checks that nothing of it is left.
fn ends_with(wat: &str, expected: impl Fn(&Trap) -> bool) {
    let gas_limit = 100_000_000;
    let bench = Bench::with(ExecutionConfig { gas_limit, ..ExecutionConfig::default() });
    let module = bench.module(wat);
    let begin = Instant::now();
    let receipt =
        bench.call_with(&module, "run", CallContext { gas_limit, ..CallContext::default() });
    assert!(begin.elapsed() < TIME_MAX, "{:?}", begin.elapsed());
    let trap = receipt.trap.expect("the contract traps");
    assert!(expected(&trap), "{trap:?}");
    assert_eq!((receipt.writes.len(), receipt.events.len()), (0, 0));
    assert_eq!((receipt.result, receipt.output.len()), (None, 0));
    assert!(bench.content().is_empty());
}

#[test]
fn an_endless_loop_runs_out_of_gas() {
    ends_with(r#"(module (func (export "run") (loop $on (br $on))))"#, |trap| {
        *trap == Trap::OutOfGas
    });
}

#[test]
fn an_endless_loop_of_host_calls_runs_out_of_gas() {
    let wat = contract(
        &[EMIT, GET, SET],
        r#"(func (export "run") (loop $on
            (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
            (drop (call $storage_set (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 4)))
            (br $on)))"#,
    );
    ends_with(&wat, |trap| *trap == Trap::OutOfGas);
}

#[test]
fn endless_recursion_overflows_the_stack() {
    ends_with(r#"(module (func $f (export "run") (call $f)))"#, |trap| {
        *trap == Trap::StackOverflow
    });
}

#[test]
fn endless_recursion_with_a_large_frame_overflows_the_stack() {
    let locals = "i64 ".repeat(1000);
    let uses: String =
        (0..1000).map(|n| format!("(local.set {n} (call $f (i64.const {n})))")).collect();
    let sum: String = (0..1000).map(|n| format!("(local.get {n}) (i64.add)")).collect();
    let wat = format!(
        r#"(module (func $f (param i64) (result i64) (local {locals}) {uses} (i64.const 0) {sum})
            (func (export "run") (drop (call $f (i64.const 1)))))"#
    );
    ends_with(&wat, |trap| *trap == Trap::StackOverflow);
}

#[test]
fn growing_memory_forever_runs_out_of_gas_and_the_memory_stays_in_its_bounds() {
    ends_with(
        r#"(module (memory 1) (func (export "run")
            (loop $on (drop (memory.grow (i32.const 1))) (br $on))))"#,
        |trap| *trap == Trap::OutOfGas,
    );
    let bench = Bench::with(ExecutionConfig {
        memory_bytes_max: ByteSize(1 << 20),
        ..ExecutionConfig::default()
    });
    let receipt = bench.run(
        r#"(module (memory 1) (func (export "run") (result i32)
            (if (i32.ne (memory.grow (i32.const 15)) (i32.const 1)) (then (unreachable)))
            (i32.store (i32.const 1048572) (i32.const 1))
            (memory.grow (i32.const 1))))"#,
    );
    assert_eq!((receipt.trap, receipt.result), (None, Some(-1)));
}

#[test]
fn growing_a_table_stops_at_its_bound() {
    let bench = Bench::new();
    let receipt = bench.run(
        r#"(module (table 1 funcref) (func (export "run") (result i32)
            (if (i32.ne (table.grow (ref.null func) (i32.const 4095)) (i32.const 1)) (then (unreachable)))
            (table.grow (ref.null func) (i32.const 1))))"#,
    );
    assert_eq!((receipt.trap, receipt.result), (None, Some(-1)));
}

#[test]
fn touching_all_memory_in_every_call_ends_and_leaves_nothing_to_the_next_instance() {
    let bench = Bench::new();
    let module = bench.module(
        r#"(module (memory 1024) (func (export "run") (result i32) (local $at i32)
            (if (i32.load (i32.const 4096)) (then (unreachable)))
            (loop $on
                (i32.store (local.get $at) (i32.const -1))
                (local.set $at (i32.add (local.get $at) (i32.const 4096)))
                (br_if $on (i32.lt_u (local.get $at) (i32.const 67108864))))
            (i32.load (i32.const 4096))))"#,
    );
    for _ in 0..10 {
        let receipt = bench.call(&module, "run");
        assert_eq!((receipt.trap, receipt.result), (None, Some(-1)));
    }
}

#[test]
fn a_trap_after_three_writes_and_an_event_leaves_none_of_them() {
    let wat = contract(
        &[SET, EMIT],
        r#"(func (export "run")
            (drop (call $storage_set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)))
            (drop (call $storage_set (i32.const 0) (i32.const 2) (i32.const 0) (i32.const 1)))
            (drop (call $storage_set (i32.const 0) (i32.const 3) (i32.const 0) (i32.const 1)))
            (drop (call $emit_event (i32.const 0) (i32.const 1)))
            unreachable)"#,
    );
    ends_with(&wat, |trap| *trap == Trap::Unreachable);
}

#[test]
fn instructions_trap_by_name() {
    let cases = [
        ("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))", Trap::IntegerOverflow),
        ("(drop (i64.rem_u (i64.const 1) (i64.const 0)))", Trap::DivisionByZero),
        ("(drop (i32.trunc_f64_s (f64.const nan)))", Trap::BadConversion),
        ("(drop (i64.trunc_f32_u (f32.const 1e30)))", Trap::IntegerOverflow),
        ("(i32.store offset=4294967295 (i32.const -1) (i32.const 0))", Trap::MemoryOutOfBounds),
        ("(memory.copy (i32.const 65530) (i32.const 0) (i32.const 7))", Trap::MemoryOutOfBounds),
        ("(call_indirect (type $none) (i32.const 2))", Trap::IndirectCallToNull),
        ("(call_indirect (type $none) (i32.const 3))", Trap::TableOutOfBounds),
        ("(call_indirect (type $none) (i32.const 0))", Trap::IndirectCallTypeMismatch),
    ];
    let bench = Bench::new();
    for (body, trap) in cases {
        let wat = format!(
            r#"(module (type $none (func)) (memory 1) (table 3 funcref) (elem (i32.const 0) $other)
                (func $other (result i32) (i32.const 0)) (func (export "run") {body}))"#
        );
        assert_eq!(bench.trap(&wat), trap, "{body}");
    }
}

#[test]
fn a_data_segment_outside_of_the_memory_is_a_trap() {
    let bench = Bench::new();
    let wat = r#"(module (memory 1) (data (i32.const 65536) "x") (func (export "run")))"#;
    assert_eq!(bench.trap(wat), Trap::MemoryOutOfBounds);
}

#[test]
fn events_are_bounded_by_number_and_by_bytes() {
    let looping = |bytes: u32| {
        contract(
            &[EMIT],
            &format!(
                r#"(func (export "run") (loop $on
                    (drop (call $emit_event (i32.const 0) (i32.const {bytes}))) (br $on)))"#
            ),
        )
    };
    let is_limit =
        |trap: &Trap| matches!(trap, Trap::LimitExceeded { what } if what.contains("events"));
    ends_with(&looping(0), is_limit);
    ends_with(&looping(60_000), is_limit);
}

#[test]
fn open_scans_are_bounded_and_a_closed_one_makes_room() {
    let scan = "storage_api.storage_scan(iiii)i";
    let close = "storage_api.storage_scan_close(i)i";
    let opened = "(call $storage_scan (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))";
    let forever = format!(r#"(func (export "run") (loop $on (drop {opened}) (br $on)))"#);
    ends_with(
        &contract(&[scan], &forever),
        |trap| matches!(trap, Trap::LimitExceeded { what } if what.contains("16 scans")),
    );
    let closing = format!(
        r#"(func (export "run") (local $n i32) (loop $on
            (drop (call $storage_scan_close {opened}))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $on (i32.lt_u (local.get $n) (i32.const 100)))))"#
    );
    assert_eq!(Bench::new().run(&contract(&[scan, close], &closing)).trap, None);
}

#[test]
fn the_bytes_of_reads_and_writes_are_bounded() {
    let bench = Bench::with(ExecutionConfig {
        journal_bytes_max: ByteSize(64 << 10),
        ..ExecutionConfig::default()
    });
    for function in [
        "(call $storage_set (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 1000))",
        "(i32.wrap_i64 (call $storage_get (i32.const 0) (i32.const 4)))",
    ] {
        let wat = contract(
            &[SET, GET],
            &format!(
                r#"(func (export "run") (loop $on
                    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
                    (drop {function}) (br $on)))"#
            ),
        );
        let trap = bench.trap(&wat);
        assert!(
            matches!(&trap, Trap::LimitExceeded { what } if what.contains("64KiB")),
            "{trap:?}"
        );
    }
}

#[test]
fn a_contract_that_calls_itself_is_refused_and_goes_on() {
    let bench = Bench::new();
    let wat = contract(
        &[CALL, "chain_api.self_address(i)i"],
        r#"(data (i32.const 32) "run")
        (func (export "run") (result i32)
            (drop (call $self_address (i32.const 0)))
            (call $call (i32.const 0) (i32.const 32) (i32.const 3) (i32.const 0) (i32.const 0) (i64.const -1)))"#,
    );
    let module = bench.module(&wat);
    bench.runtime.deploy(&module).unwrap();
    let receipt = bench.call(&module, "run");
    assert_eq!((receipt.trap, receipt.result), (None, Some(-3)), "CALL_FAILED");
}
