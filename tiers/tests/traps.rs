//! Contracts that misbehave: a named trap, bounded time, no change, exit code 1.

mod common;

use common::Place;
use std::time::{Duration, Instant};

const MISBEHAVING: &str = r#"(module
    (import "storage_api" "storage_set" (func $set (param i32 i32 i32 i32) (result i32)))
    (import "storage_api" "storage_get" (func $get (param i32 i32) (result i64)))
    (import "chain_api" "emit_event" (func $emit (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func $write (param $key i32)
      (i32.store (i32.const 0) (local.get $key))
      (drop (call $set (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 4))))
    (func (export "write") (param $key i32) (call $write (local.get $key)))
    (func (export "spin") (loop $again (br $again)))
    (func $recurse (export "recurse") (call $recurse))
    (func (export "grow") (loop $again (drop (memory.grow (i32.const 1))) (br $again)))
    (func (export "hoard") (loop $again
      (if (i32.lt_s (memory.grow (i32.const 16)) (i32.const 0)) (then unreachable))
      (br $again)))
    (func (export "give_up")
      (call $write (i32.const 1)) (call $write (i32.const 2)) (call $write (i32.const 3))
      (drop (call $emit (i32.const 0) (i32.const 4)))
      unreachable)
    (func (export "divide") (result i32) (i32.div_s (i32.const 1) (i32.const 0)))
    (func (export "read_outside") (drop (call $get (i32.const 65535) (i32.const 2))))
    (func (export "shout") (loop $again
      (drop (call $emit (i32.const 0) (i32.const 65536))) (br $again))))"#;

#[test]
fn every_misbehaving_call_ends_in_its_trap_and_changes_nothing() {
    let place = Place::new();
    let contract = place.file("misbehaving.wat", MISBEHAVING);
    let contract = contract.to_str().unwrap();
    place.json(&["run", contract, "write", "7"]);
    let before = place.digest(&[]);
    let expected = [
        ("spin", "out-of-gas"),
        ("recurse", "stack-overflow"),
        ("grow", "out-of-gas"),
        ("hoard", "unreachable"),
        ("give_up", "unreachable"),
        ("divide", "division-by-zero"),
        ("read_outside", "out-of-bounds"),
        ("shout", "limit-exceeded"),
    ];
    for (function, trap) in expected {
        let started = Instant::now();
        let ran = place.run(&["run", contract, function, "--json"]);
        assert!(started.elapsed() < Duration::from_secs(30), "{function} is bounded in time");
        assert_eq!(ran.code, 1, "{function}: {}", ran.stderr);
        let report = ran.object();
        assert_eq!(report["trap"]["name"], trap, "{function}: {report}");
        assert_eq!(report["writes"].as_array().unwrap().len(), 0, "{function}");
        assert_eq!(report["events"].as_array().unwrap().len(), 0, "{function}");
        assert_eq!(place.digest(&[]), before, "{function}");
    }
}

#[test]
fn a_trap_is_named_for_people_on_stderr() {
    let place = Place::new();
    let contract = place.file("misbehaving.wat", MISBEHAVING);
    let ran = place.run(&["run", contract.to_str().unwrap(), "divide"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.starts_with("error: \"divide\" ended in the trap division-by-zero"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_first_call_that_traps_does_not_deploy() {
    let place = Place::new();
    let contract = place.file("misbehaving.wat", MISBEHAVING);
    place.run(&["db", "put", "k", "v"]);
    let before = place.digest(&[]);
    assert_eq!(place.run(&["run", contract.to_str().unwrap(), "give_up"]).code, 1);
    assert_eq!(place.digest(&[]), before);
}

#[test]
fn a_transfer_above_the_balance_aborts_with_the_reason() {
    let place = Place::new();
    let ledger = common::contract("ledger.wat");
    place.json(&["run", &ledger, "mint", "1", "10"]);
    let before = place.digest(&[]);
    let ran = place.run(&["run", &ledger, "transfer", "1", "2", "11", "--json"]);
    assert_eq!(ran.code, 1);
    let report = ran.object();
    assert_eq!(report["trap"]["name"], "abort");
    assert!(report["trap"]["message"].as_str().unwrap().contains("above the balance"), "{report}");
    assert_eq!(place.digest(&[]), before);
    for refused in [
        ["transfer", "1", "2", "-1"].as_slice(),
        &["mint", "1", "-1"],
        &["mint", "1", "9223372036854775807"],
    ] {
        assert_eq!(place.run(&[&["run", &ledger], refused].concat()).code, 1, "{refused:?}");
    }
    place.json(&["run", &ledger, "transfer", "1", "1", "10"]);
    assert_eq!(place.json(&["run", &ledger, "balance", "1"])["result"], 10, "to oneself");
}

#[test]
fn a_contract_cannot_write_to_the_terminal_through_its_message() {
    let place = Place::new();
    let contract = place.file(
        "rude.wat",
        r#"(module (import "chain_api" "abort" (func $abort (param i32 i32 i32)))
            (memory (export "memory") 1) (data (i32.const 0) "\1b[31mred\0aresult 5")
            (func (export "f") (call $abort (i32.const 1) (i32.const 0) (i32.const 17))))"#,
    );
    let ran = place.run(&["run", contract.to_str().unwrap(), "f"]);
    assert_eq!(ran.code, 1);
    assert!(!ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
    assert!(!ran.stderr.lines().any(|line| line.starts_with("result")), "{}", ran.stderr);
}
