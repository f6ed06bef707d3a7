//! What calls cost, and when gas comes back.

use crate::support::{Bench, EMIT, GET, SET, contract};
use supervm_engine::runtime::{CallContext, Receipt, Trap};

fn with_gas(gas_limit: u64) -> CallContext {
    CallContext { gas_limit, ..CallContext::default() }
}

/// A loop, host calls, memory growth and bulk operations.
fn busy() -> String {
    contract(
        &[SET, GET, EMIT],
        r#"(func (export "run") (result i32) (local $n i32)
            (local.set $n (i32.const 20))
            (loop $again
                (i32.store (i32.const 0) (local.get $n))
                (drop (call $storage_set (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 8)))
                (drop (call $storage_get (i32.const 0) (i32.const 4)))
                (drop (call $emit_event (i32.const 0) (i32.const 4)))
                (memory.fill (i32.const 100) (i32.const 7) (i32.mul (local.get $n) (i32.const 10)))
                (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                (br_if $again (local.get $n)))
            (memory.grow (i32.const 3)))"#,
    )
}

#[test]
fn the_gas_of_a_call_is_the_same_on_every_run_and_in_every_runtime() {
    let first = Bench::new();
    let module = first.module(&busy());
    let expected = first.call(&module, "run");
    assert_eq!(expected.trap, None);
    for _ in 0..20 {
        assert_eq!(first.call(&module, "run"), expected);
    }
    let second = Bench::new();
    assert_eq!(second.runtime.gas_schedule_hash(), first.runtime.gas_schedule_hash());
    assert_eq!(second.run(&busy()).gas_used, expected.gas_used);
}

#[test]
fn a_call_succeeds_with_exactly_the_gas_it_uses_and_not_with_one_less() {
    let bench = Bench::new();
    let module = bench.module(&busy());
    let used = bench.call(&module, "run").gas_used;
    let exact = bench.call_with(&module, "run", with_gas(used));
    assert_eq!((exact.trap, exact.gas_used), (None, used));
    for less in [used - 1, used - 2, used / 2, 1, 0] {
        let short = bench.call_with(&module, "run", with_gas(less));
        assert_eq!(short.trap, Some(Trap::OutOfGas), "{less} of {used}");
        assert_eq!(short.gas_used, less);
        assert_eq!((short.events.len(), short.writes.len()), (0, 0));
    }
}

#[test]
fn straight_code_pays_exactly_too() {
    let bench = Bench::new();
    let wat = format!(
        r#"(module (func (export "run") (result i32) (i32.const 0) {}))"#,
        "(i32.const 3) (i32.add)".repeat(50)
    );
    let module = bench.module(&wat);
    let used = bench.call(&module, "run").gas_used;
    assert_eq!(bench.call_with(&module, "run", with_gas(used)).trap, None);
    let short = bench.call_with(&module, "run", with_gas(used - 1));
    assert_eq!(short.trap, Some(Trap::OutOfGas));
}

#[test]
fn a_trap_costs_the_whole_limit() {
    let bench = Bench::new();
    let cases = [
        ("unreachable", Trap::Unreachable),
        ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", Trap::DivisionByZero),
        ("(drop (i32.load (i32.const 65536)))", Trap::MemoryOutOfBounds),
        (
            "(drop (call $emit_event (i32.const 65536) (i32.const 1)))",
            Trap::OutOfBounds { ptr: 65_536, len: 1 },
        ),
    ];
    for (body, trap) in cases {
        let wat = contract(&[EMIT], &format!(r#"(func (export "run") {body})"#));
        let receipt = bench.call_with(&bench.module(&wat), "run", with_gas(123_456));
        assert_eq!((receipt.trap, receipt.gas_used), (Some(trap), 123_456), "{body}");
    }
}

#[test]
fn an_abort_and_a_success_give_back_what_is_left() {
    let bench = Bench::new();
    let wat = contract(
        &["chain_api.abort(iii)"],
        r#"(data (i32.const 0) "too poor")
        (func (export "run") (call $abort (i32.const 42) (i32.const 0) (i32.const 8)))
        (func (export "nothing"))"#,
    );
    let module = bench.module(&wat);
    let aborted = bench.call(&module, "run");
    assert_eq!(aborted.trap, Some(Trap::Abort { code: 42, message: "too poor".into() }));
    assert!(aborted.gas_used < 100_000, "{}", aborted.gas_used);
    let nothing = bench.call(&module, "nothing");
    assert_eq!(nothing.trap, None);
    assert!(nothing.gas_used < aborted.gas_used);
}

#[test]
fn a_length_that_no_limit_pays_for_is_out_of_gas_not_an_overflow() {
    let bench = Bench::new();
    for length in ["-1", "0x7fffffff"] {
        let body = format!(
            r#"(func (export "run") (drop (call $storage_set (i32.const 0) (i32.const {length})
                (i32.const 0) (i32.const {length}))))"#
        );
        assert_eq!(bench.trap(&contract(&[SET], &body)), Trap::OutOfGas, "{length}");
    }
}

#[test]
fn growing_memory_and_bulk_operations_are_paid_by_size() {
    let bench = Bench::new();
    let used = |body: &str| -> Receipt {
        let receipt = bench.run(&contract(&[], &format!(r#"(func (export "run") {body})"#)));
        assert_eq!(receipt.trap, None, "{body}");
        receipt
    };
    let difference = |small: &str, large: &str| used(large).gas_used - used(small).gas_used;
    let grown =
        difference("(drop (memory.grow (i32.const 1)))", "(drop (memory.grow (i32.const 11)))");
    assert_eq!(grown, 10 * 255);
    let filled = difference(
        "(memory.fill (i32.const 0) (i32.const 0) (i32.const 1000))",
        "(memory.fill (i32.const 0) (i32.const 0) (i32.const 2000))",
    );
    assert_eq!(filled, 1000);
}

#[test]
fn pages_that_a_contract_starts_with_are_paid_like_those_it_grows_by() {
    let bench = Bench::new();
    let with_pages = |pages: u32| {
        let wat = format!(r#"(module (memory (export "memory") {pages}) (func (export "run")))"#);
        bench.run(&wat).gas_used
    };
    assert_eq!(with_pages(11) - with_pages(1), 10 * 255);
}
