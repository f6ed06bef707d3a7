//! Calls as transactions: beside each other, within one, and too large for one.

use crate::support::{Bench, GET, SET, contract, packs, storage};
use std::sync::Barrier;
use supervm_engine::config::ExecutionConfig;
use supervm_engine::layout::Version;
use supervm_engine::mvcc::{MvccConfig, MvccStore, Txn};
use supervm_engine::runtime::{CallArguments, CallContext, Module, Receipt, Runtime, Trap};
use supervm_plugin_sdk::{Durability, ErrorKind};

const THREADS: i64 = 4;
const CALLS: i64 = 200;

/// `add` adds its parameter to a number; `count` puts down, under its parameter, how many keys there are below "n".
fn numbers() -> String {
    contract(
        &[
            SET,
            GET,
            "storage_api.storage_read_value(ii)i",
            "storage_api.storage_scan(iiii)i",
            "storage_api.storage_scan_next(i)i",
        ],
        r#"(data (i32.const 0) "sum") (data (i32.const 16) "n")
        (func (export "sum") (result i64)
            (i64.store (i32.const 64) (i64.const 0))
            (drop (call $storage_get (i32.const 0) (i32.const 3)))
            (drop (call $storage_read_value (i32.const 64) (i32.const 8)))
            (i64.load (i32.const 64)))
        (func (export "add") (param i64)
            (i64.store (i32.const 64) (i64.const 0))
            (drop (call $storage_get (i32.const 0) (i32.const 3)))
            (drop (call $storage_read_value (i32.const 64) (i32.const 8)))
            (i64.store (i32.const 64) (i64.add (i64.load (i32.const 64)) (local.get 0)))
            (drop (call $storage_set (i32.const 0) (i32.const 3) (i32.const 64) (i32.const 8))))
        (func (export "count") (param i32) (result i32) (local $scan i32) (local $found i32)
            (local.set $scan (call $storage_scan (i32.const 16) (i32.const 1) (i32.const 0) (i32.const 0)))
            (block $end (loop $on
                (br_if $end (i32.ne (call $storage_scan_next (local.get $scan)) (i32.const 1)))
                (local.set $found (i32.add (local.get $found) (i32.const 1)))
                (br $on)))
            (i32.store8 (i32.const 17) (local.get 0))
            (i32.store (i32.const 128) (local.get $found))
            (drop (call $storage_set (i32.const 16) (i32.const 2) (i32.const 128) (i32.const 4)))
            (local.get $found))
        (func (export "trap") (param i64)
            (drop (call $storage_set (i32.const 0) (i32.const 3) (i32.const 64) (i32.const 8)))
            (unreachable))"#,
    )
}

fn in_memory() -> Runtime {
    Runtime::over(MvccStore::new(), &packs(), &ExecutionConfig::default()).unwrap()
}

fn transact(runtime: &Runtime, module: &Module, function: &str, argument: i64) -> Receipt {
    let arguments = CallArguments::Values(vec![argument]);
    runtime.transact(module, function, &arguments, &CallContext::default(), Txn::commit).unwrap()
}

fn sum(runtime: &Runtime, module: &Module) -> Option<i64> {
    let none = CallArguments::default();
    runtime.call(module, "sum", &none, &CallContext::default()).unwrap().result
}

/// Every call adds to the same number, so all of them are in each other's way.
fn adds_up(runtime: &Runtime) {
    let module = runtime.module(numbers().as_bytes()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let module = &module;
            scope.spawn(move || {
                for call in 0..CALLS {
                    let receipt = transact(runtime, module, "add", thread * CALLS + call);
                    assert_eq!(receipt.trap, None);
                }
            });
        }
    });
    let all = THREADS * CALLS;
    assert_eq!(sum(runtime, &module), Some(all * (all - 1) / 2));
    assert_eq!(runtime.store().last_version(), Version(all as u64));
}

#[test]
fn calls_that_are_in_each_others_way_have_the_result_of_one_after_the_other() {
    adds_up(&Bench::new().runtime);
    adds_up(&in_memory());
}

/// Each counts the keys of a range and adds one to it: two of the same count would both have missed the other's key.
#[test]
fn a_key_that_appears_in_a_range_that_a_call_walked_makes_it_run_again() {
    let bench = Bench::new();
    let module = bench.module(&numbers());
    let barrier = Barrier::new(THREADS as usize);
    let mut found: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (bench, module, barrier) = (&bench, &module, &barrier);
                scope.spawn(move || {
                    let mut found = Vec::new();
                    for round in 0..16 {
                        barrier.wait();
                        let key = thread * 16 + round;
                        found.push(transact(&bench.runtime, module, "count", key).result.unwrap());
                    }
                    found
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    found.sort_unstable();
    assert_eq!(found, (0..16 * THREADS).collect::<Vec<_>>());
}

#[test]
fn a_trap_changes_nothing_and_makes_no_version() {
    let bench = Bench::new();
    let module = bench.module(&numbers());
    transact(&bench.runtime, &module, "add", 5);
    let (before, content) = (bench.runtime.store().last_version(), bench.content());
    let receipt = transact(&bench.runtime, &module, "trap", 0);
    assert_eq!(receipt.trap, Some(Trap::Unreachable));
    assert_eq!((bench.runtime.store().last_version(), bench.content()), (before, content));
}

#[test]
fn a_call_that_changes_nothing_makes_no_version() {
    let bench = Bench::new();
    let module = bench.module(&numbers());
    let none = CallArguments::default();
    let context = CallContext::default();
    bench.runtime.transact(&module, "sum", &none, &context, Txn::commit).unwrap();
    assert_eq!(bench.runtime.store().last_version(), Version::ZERO);
}

#[test]
fn calls_within_one_transaction_see_each_other_and_are_one_version() {
    let runtime = in_memory();
    let module = runtime.module(numbers().as_bytes()).unwrap();
    let call = |txn, function, arguments: &[i64]| {
        let arguments = CallArguments::Values(arguments.to_vec());
        runtime.call_in(txn, &module, function, &arguments, &CallContext::default()).unwrap()
    };
    let (_, txn) = call(runtime.store().begin(), "add", &[3]);
    let (trapped, txn) = call(txn, "trap", &[0]);
    assert_eq!(trapped.trap, Some(Trap::Unreachable));
    let (first, txn) = call(txn, "count", &[1]);
    let (second, txn) = call(txn, "count", &[2]);
    assert_eq!((first.result, second.result), (Some(0), Some(1)));
    let (seen, txn) = call(txn, "sum", &[]);
    assert_eq!(seen.result, Some(3));
    assert_eq!(sum(&runtime, &module), Some(0), "not yet");
    assert_eq!(txn.commit().unwrap(), Version(1));
    assert_eq!(sum(&runtime, &module), Some(3));
}

/// Old values are part of a commit too, so overwriting much is changing much.
#[test]
fn a_call_that_replaces_more_than_a_transaction_holds_is_a_trap_whatever_is_beneath() {
    let large = contract(
        &[SET],
        r#"(func $set (param i32) (param i32)
            (i32.store8 (i32.const 0) (local.get 0))
            (drop (call $storage_set (i32.const 0) (i32.const 1) (i32.const 0) (local.get 1))))
        (func (export "fill") (param i32)
            (drop (memory.grow (i32.const 255)))
            (call $set (local.get 0) (i32.const 15000000)))
        (func (export "empty") (local $key i32)
            (loop $on
                (call $set (local.get $key) (i32.const 0))
                (local.set $key (i32.add (local.get $key) (i32.const 1)))
                (br_if $on (i32.lt_u (local.get $key) (i32.const 5)))))"#,
    );
    let config = ExecutionConfig { gas_limit: 1 << 40, ..ExecutionConfig::default() };
    let context = CallContext { gas_limit: 1 << 40, ..CallContext::default() };
    let bench = Bench::with(config.clone());
    let in_memory = Runtime::over(MvccStore::new(), &packs(), &config).unwrap();
    for runtime in [&bench.runtime, &in_memory] {
        let module = runtime.module(large.as_bytes()).unwrap();
        let run = |function, arguments| {
            let arguments = CallArguments::Values(arguments);
            runtime.transact(&module, function, &arguments, &context, Txn::commit).unwrap()
        };
        for key in 0..5 {
            assert_eq!(run("fill", vec![key]).trap, None);
        }
        let before = runtime.store().last_version();
        let receipt = run("empty", Vec::new());
        assert!(matches!(receipt.trap, Some(Trap::LimitExceeded { .. })), "{:?}", receipt.trap);
        assert_eq!((receipt.gas_used, receipt.writes.len()), (context.gas_limit, 0));
        assert_eq!(runtime.store().last_version(), before);
    }
}

#[test]
fn commits_of_receipts_from_many_threads_all_arrive() {
    let bench = Bench::new();
    let module = bench.module(&numbers());
    let arguments = CallArguments::Values(vec![1]);
    let context = CallContext::default();
    let receipt = bench.runtime.call(&module, "add", &arguments, &context).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..CALLS {
                    bench.runtime.commit(&receipt, Durability::Buffered).unwrap();
                }
            });
        }
    });
    assert_eq!(bench.runtime.store().last_version(), Version((THREADS * CALLS) as u64));
    assert_eq!(sum(&bench.runtime, &module), Some(1));
}

#[test]
fn contracts_are_deployed_into_memory_where_there_is_no_storage() {
    let runtime = in_memory();
    let module = runtime.module(numbers().as_bytes()).unwrap();
    assert!(runtime.deployed(&module.address()).unwrap().is_none());
    assert!(runtime.deploy(&module).unwrap());
    assert!(!runtime.deploy(&module).unwrap());
    let deployed = runtime.deployed(&module.address()).unwrap().unwrap();
    assert_eq!(deployed.wasm(), module.wasm());
}

#[test]
fn a_call_that_changes_something_in_a_read_only_transaction_is_refused() {
    let runtime = in_memory();
    let module = runtime.module(numbers().as_bytes()).unwrap();
    let txn = runtime.store().begin_read_only();
    let arguments = CallArguments::Values(vec![1]);
    let refused = runtime.call_in(txn, &module, "add", &arguments, &CallContext::default());
    assert_eq!(refused.map(drop).unwrap_err().kind(), ErrorKind::ReadOnly);
}

#[test]
fn waiting_for_a_newer_version_ends_when_none_is_on_its_way() {
    let bench = Bench::new();
    let module = bench.module(&numbers());
    for runtime in [&bench.runtime, &in_memory()] {
        runtime.store().wait_for_newer(Version::ZERO);
        let module = runtime.module(module.wasm()).unwrap();
        transact(runtime, &module, "add", 1);
        runtime.store().wait_for_newer(Version::ZERO);
        runtime.store().wait_for_newer(Version(1));
    }
}

/// A transaction that became too old for memory while its call was on its way is begun anew.
#[test]
fn a_call_whose_transaction_expired_runs_again() {
    let dir = tempfile::tempdir().unwrap();
    let config = MvccConfig { memory_bytes_max: 1 << 20, ..MvccConfig::default() };
    let store = MvccStore::open(storage(&dir), config).unwrap();
    let runtime = Runtime::over(store.clone(), &packs(), &ExecutionConfig::default()).unwrap();
    let module = runtime.module(numbers().as_bytes()).unwrap();
    let mut tries = 0;
    let arguments = CallArguments::Values(vec![5]);
    let commit = |txn: Txn| {
        tries += 1;
        if tries == 1 {
            // What this transaction needs of other keys comes to far more than memory may take.
            for round in 0..400_u32 {
                let mut other = store.begin();
                other.write(&(round % 4).to_be_bytes(), &vec![1; 100_000]).unwrap();
                other.commit().unwrap();
            }
        }
        txn.commit()
    };
    let context = CallContext::default();
    let receipt = runtime.transact(&module, "add", &arguments, &context, commit).unwrap();
    assert_eq!((receipt.trap, tries), (None, 2));
    assert_eq!(sum(&runtime, &module), Some(5));
}
