//! `supervm block run` killed at random moments: afterwards the state is at a whole block, and going on leads to the state that an
//! undisturbed run leaves.
//!
//! `SUPERVM_KILL_ROUNDS` sets the rounds for each backend (default 8, of large blocks 2), `SUPERVM_KILL_SEED` replays the moments of a run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::Place;
use common::chance::{Moments, number};
use serde_json::json;
use std::collections::HashMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn survives_kills(backend: &str) {
    let place = Place::new();
    let plan = ["--workload", "mixed", "--accounts", "50", "--blocks", "60", "--txs", "200"];
    let blocks = place.run(&[&["block", "gen"], &plan[..]].concat());
    let midway = kill(backend, &place, &blocks.stdout, number("SUPERVM_KILL_ROUNDS", 8));
    if number("SUPERVM_KILL_ROUNDS", 8) >= 8 {
        assert!(midway > 0, "no kill came between two blocks");
    }
}

/// Blocks of which each changes more than a batch holds: it is committed in parts.
fn survives_kills_of_large_blocks(backend: &str) {
    const CODE: &str = r#"(module
        (import "storage_api" "storage_set" (func $set (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 32)
        (func (export "put") (param i32 i32)
            (i32.store (i32.const 0) (local.get 0))
            (i32.store (i32.const 16) (local.get 1))
            (drop (call $set (i32.const 0) (i32.const 4) (i32.const 16) (i32.const 2000000)))))"#;
    let mut blocks = json!({ "deploy": { "name": "values", "code": CODE } }).to_string();
    for number in 1..=3 {
        let put = |key| json!({ "contract": "values", "function": "put", "args": [key, number] });
        let transactions: Vec<_> = (0..36).map(put).collect();
        let block = json!({ "number": number, "timestamp": number, "transactions": transactions });
        blocks = format!("{blocks}\n{}", json!({ "block": block }));
    }
    kill(backend, &Place::new(), &blocks, number("SUPERVM_KILL_ROUNDS", 2));
}

/// Kills runs of `blocks` in so many rounds; returns how many of them were between two blocks.
fn kill(backend: &str, place: &Place, blocks: &str, rounds: u64) -> u32 {
    let mut moments = Moments::new();
    place.file("blocks.jsonl", blocks);
    let run = ["block", "run", "blocks.jsonl", "--backend", backend];
    let started = Instant::now();
    let whole = place.json(&[&run[..], &["--dir", "whole"]].concat());
    let time = started.elapsed();
    let digests: HashMap<u64, String> = whole["blocks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| {
            let digest = block["digest"].as_str().unwrap().to_owned();
            (block["number"].as_u64().unwrap(), digest)
        })
        .collect();

    let mut midway = 0;
    for round in 0..rounds {
        let dir = format!("killed-{round}");
        let moment = time.mul_f64(moments.fraction());
        let mut command = place.command(&[&run[..], &["--dir", &dir]].concat());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(moment.max(Duration::from_millis(1)));
        child.kill().unwrap();
        child.wait().unwrap();
        let list =
            ["db", "blocks", "--limit", "1000", "--backend", backend, "--dir", &dir, "--json"];
        let found = place.run(&list);
        // A database that was not made yet is made by going on.
        let is_there = found.code == 0 || found.error()["kind"] != "not-found";
        if is_there && place.path().join(&dir).join("supervm.toml").exists() {
            assert_eq!(found.code, 0, "{}", found.stderr);
            if let Some(last) = found.object()["blocks"].as_array().unwrap().last() {
                let number = last["number"].as_u64().unwrap();
                assert_eq!(last["digest"], digests[&number].as_str(), "block {number} is whole");
                midway += u32::from(number < digests.len() as u64);
                // The digest is of what is there, not only said of it.
                let verified = place.run(&["db", "verify", "--backend", backend, "--dir", &dir]);
                assert_eq!(verified.code, 0, "{}", verified.stderr);
            }
        }
        let resumed = place.json(&[&run[..], &["--dir", &dir, "--resume"]].concat());
        assert_eq!(resumed["digest"], whole["digest"]);
    }
    midway
}

#[test]
fn a_killed_run_leaves_a_whole_block_on_lmdb() {
    survives_kills("lmdb");
}

#[test]
fn a_killed_run_leaves_a_whole_block_on_sqlite() {
    survives_kills("sqlite");
}

#[test]
fn a_killed_run_leaves_a_whole_block_on_leveldb() {
    survives_kills("leveldb");
}

#[test]
fn a_killed_run_leaves_a_whole_block_on_rocksdb() {
    survives_kills("rocksdb");
}

#[test]
fn a_run_of_large_blocks_that_is_killed_leaves_a_whole_block_on_lmdb() {
    survives_kills_of_large_blocks("lmdb");
}

#[test]
fn a_run_of_large_blocks_that_is_killed_leaves_a_whole_block_on_sqlite() {
    survives_kills_of_large_blocks("sqlite");
}

#[test]
fn a_run_of_large_blocks_that_is_killed_leaves_a_whole_block_on_leveldb() {
    survives_kills_of_large_blocks("leveldb");
}

#[test]
fn a_run_of_large_blocks_that_is_killed_leaves_a_whole_block_on_rocksdb() {
    survives_kills_of_large_blocks("rocksdb");
}
