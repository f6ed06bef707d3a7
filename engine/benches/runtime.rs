//! What a call costs beside the contract's own work.
//!
//! `cargo bench -p supervm-engine --bench runtime`

#![expect(clippy::unwrap_used, reason = "a benchmark ends where it fails")]

// Each is named, or the linker drops it and its plugin with it.
use supervm_host_chain as _;
use supervm_host_crypto as _;
use supervm_host_storage as _;
use supervm_storage_memory as _;

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use supervm_engine::config::ExecutionConfig;
use supervm_engine::runtime::{CallArguments, CallContext, Runtime};
use supervm_engine::storage::{OpenOptions, Storage};
use supervm_plugin_sdk::{Durability, OpenMode, load};
use tempfile::TempDir;

const GAS: u64 = 1 << 40;
/// Host calls in a loop, so that the rest of the call disappears beside them.
const HOST_CALLS: i64 = 10_000;

const EMPTY: &str = r#"(module (memory (export "memory") 1) (func (export "run")))"#;

/// `loop` runs a loop, `host` the same loop with a host call in it.
const LOOPS: &str = r#"(module
    (import "chain_api" "block_number" (func $host (result i64)))
    (memory (export "memory") 1)
    (func (export "loop") (param $n i64) (result i64) (local $sum i64)
        (loop $on
            (local.set $sum (i64.add (local.get $sum) (local.get $n)))
            (br_if $on (i64.ne (local.tee $n (i64.sub (local.get $n) (i64.const 1))) (i64.const 0))))
        (local.get $sum))
    (func (export "host") (param $n i64) (result i64) (local $sum i64)
        (loop $on
            (local.set $sum (i64.add (local.get $sum) (call $host)))
            (br_if $on (i64.ne (local.tee $n (i64.sub (local.get $n) (i64.const 1))) (i64.const 0))))
        (local.get $sum)))"#;

/// Balances under 20-byte addresses; `transfer` moves 5 from the caller to the address in its input and tells it.
const TOKEN: &str = r#"(module
    (import "storage_api" "storage_get" (func $get (param i32 i32) (result i64)))
    (import "storage_api" "storage_read_value" (func $read (param i32 i32) (result i32)))
    (import "storage_api" "storage_set" (func $set (param i32 i32 i32 i32) (result i32)))
    (import "chain_api" "caller" (func $caller (param i32) (result i32)))
    (import "chain_api" "input" (func $input (param i32 i32) (result i32)))
    (import "chain_api" "emit_event" (func $emit (param i32 i32) (result i32)))
    (memory (export "memory") 17)
    (func $balance (param $address i32) (result i64)
        (i64.store (i32.const 64) (i64.const 0))
        (drop (call $get (local.get $address) (i32.const 20)))
        (drop (call $read (i32.const 64) (i32.const 8)))
        (i64.load (i32.const 64)))
    (func $put (param $address i32) (param $value i64)
        (i64.store (i32.const 64) (local.get $value))
        (drop (call $set (local.get $address) (i32.const 20) (i32.const 64) (i32.const 8))))
    (func (export "mint") (drop (call $caller (i32.const 0)))
        (call $put (i32.const 0) (i64.const 1000000)))
    (func (export "transfer") (result i32) (local $from i64)
        (drop (call $caller (i32.const 0)))
        (drop (call $input (i32.const 20) (i32.const 20)))
        (local.set $from (call $balance (i32.const 0)))
        (if (i64.lt_u (local.get $from) (i64.const 5)) (then (return (i32.const 1))))
        (call $put (i32.const 0) (i64.sub (local.get $from) (i64.const 5)))
        (call $put (i32.const 20) (i64.add (call $balance (i32.const 20)) (i64.const 5)))
        (drop (call $emit (i32.const 0) (i32.const 40)))
        (i32.const 0)))"#;

fn runtime(dir: &TempDir) -> Runtime {
    let plugins = load::linked().unwrap();
    let memory = plugins.iter().find(|plugin| plugin.descriptor().name == "memory").unwrap();
    let options = OpenOptions {
        dir: dir.path(),
        chain_id: 0,
        options: &toml::Table::new(),
        mode: OpenMode::Create,
        require: &[],
        durability: None,
    };
    let storage = Storage::open(memory, options).unwrap();
    let config = ExecutionConfig { gas_limit: GAS, ..ExecutionConfig::default() };
    Runtime::with_config(storage, &plugins, &config).unwrap()
}

fn calls(criterion: &mut Criterion) {
    let dir = TempDir::new().unwrap();
    let runtime = runtime(&dir);
    let context = CallContext { gas_limit: GAS, caller: [1; 20], ..CallContext::default() };
    let none = CallArguments::default();

    let empty = runtime.module(EMPTY.as_bytes()).unwrap();
    criterion.bench_function("empty call on a fresh instance", |bencher| {
        bencher.iter(|| runtime.call(black_box(&empty), "run", &none, &context).unwrap());
    });

    let loops = runtime.module(LOOPS.as_bytes()).unwrap();
    let many = CallArguments::Values(vec![HOST_CALLS]);
    criterion.bench_function("10000 rounds of a loop", |bencher| {
        bencher.iter(|| runtime.call(black_box(&loops), "loop", &many, &context).unwrap());
    });
    criterion.bench_function("10000 rounds of a loop with a host call each", |bencher| {
        bencher.iter(|| runtime.call(black_box(&loops), "host", &many, &context).unwrap());
    });

    let token = runtime.module(TOKEN.as_bytes()).unwrap();
    let minted = runtime.call(&token, "mint", &none, &context).unwrap();
    runtime.commit(&minted, Durability::Buffered).unwrap();
    let to = CallArguments::Input(vec![2; 20]);
    let moved = runtime.call(&token, "transfer", &to, &context).unwrap();
    assert_eq!((moved.trap, moved.result, moved.writes.len()), (None, Some(0), 2));
    criterion.bench_function("transfer of a token, not committed", |bencher| {
        bencher.iter(|| runtime.call(black_box(&token), "transfer", &to, &context).unwrap());
    });
    criterion.bench_function("a compiled contract, from its text", |bencher| {
        bencher.iter(|| runtime.module(black_box(TOKEN.as_bytes())).unwrap());
    });
}

criterion_group!(benches, calls);
criterion_main!(benches);
