//! Many threads on one runtime.

use crate::support::{Bench, CALL, GET, SET, contract, escaped};
use supervm_engine::config::ExecutionConfig;
use supervm_engine::runtime::CallContext;
use supervm_plugin_sdk::Durability;

#[test]
fn sixty_four_threads_on_a_pool_of_four_all_get_their_turn_and_the_same_answer() {
    let bench = Bench::with(ExecutionConfig { instances: 4, ..ExecutionConfig::default() });
    let leaf = bench.module(&contract(
        &[SET],
        r#"(func (export "run") (result i32)
            (call $storage_set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)))"#,
    ));
    bench.runtime.deploy(&leaf).unwrap();
    // Each call holds a place while it needs a second one.
    let module = bench.module(&contract(
        &[CALL, GET],
        &format!(
            r#"(data (i32.const 0) "{}") (data (i32.const 32) "run")
            (func (export "run") (result i32) (local $n i32)
                (drop (call $storage_get (i32.const 0) (i32.const 4)))
                (local.set $n (i32.const 5))
                (loop $on
                    (if (call $call (i32.const 0) (i32.const 32) (i32.const 3) (i32.const 0) (i32.const 0) (i64.const -1))
                        (then (unreachable)))
                    (br_if $on (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
                (i32.const 9))"#,
            escaped(&leaf.address())
        ),
    ));
    let expected = bench.call(&module, "run");
    assert_eq!((expected.trap.clone(), expected.result), (None, Some(9)));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64)
            .map(|_| scope.spawn(|| (0..10).all(|_| bench.call(&module, "run") == expected)))
            .collect();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
    });
}

#[test]
fn the_largest_pool_that_a_configuration_may_ask_for_can_be_made() {
    let largest = ExecutionConfig {
        instances: 2048,
        call_depth_max: 8,
        table_elements_max: 1 << 20,
        ..ExecutionConfig::default()
    };
    let bench = Bench::with(largest);
    let wat =
        r#"(module (memory 1) (table 1 funcref) (func (export "run") (result i32) (i32.const 3)))"#;
    assert_eq!(bench.run(wat).result, Some(3));
}

#[test]
fn threads_that_want_one_new_contract_at_once_all_get_it() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    bench.run(r#"(module (func (export "run") (result i32) (i32.const 5)))"#)
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap().result, Some(5));
        }
    });
}

/// Two keys that are always written together; a call that reads both while others commit must never see them apart.
#[test]
fn a_call_reads_one_moment_of_the_storage() {
    let bench = Bench::new();
    let module = bench.module(&contract(
        &[SET, GET, "storage_api.storage_read_value(ii)i"],
        r#"(data (i32.const 0) "ab")
        (func $read (param i32) (result i64)
            (i64.store (i32.const 64) (i64.const 0))
            (drop (call $storage_get (local.get 0) (i32.const 1)))
            (drop (call $storage_read_value (i32.const 64) (i32.const 8)))
            (i64.load (i32.const 64)))
        (func (export "write")
            (i64.store (i32.const 128) (i64.add (call $read (i32.const 0)) (i64.const 1)))
            (drop (call $storage_set (i32.const 0) (i32.const 1) (i32.const 128) (i32.const 8)))
            (drop (call $storage_set (i32.const 1) (i32.const 1) (i32.const 128) (i32.const 8))))
        (func (export "difference") (result i64)
            (i64.sub (call $read (i32.const 0)) (call $read (i32.const 1))))"#,
    ));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for _ in 0..500 {
                let receipt = bench.call_with(&module, "write", CallContext::default());
                bench.runtime.commit(&receipt, Durability::Buffered).unwrap();
            }
        });
        let mut looked = 0;
        while !writer.is_finished() || looked == 0 {
            assert_eq!(bench.call(&module, "difference").result, Some(0));
            looked += 1;
        }
    });
}
