//! `supervm block run` killed at random moments: afterwards the state is at a whole block, and going on leads to the state that an
//! undisturbed run leaves.
//!
//! `SUPERVM_KILL_ROUNDS` sets the rounds for each backend (default 8), `SUPERVM_KILL_SEED` replays the moments of a run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::Place;
use common::chance::{Moments, number};
use std::collections::HashMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn survives_kills(backend: &str) {
    let mut moments = Moments::new();
    let place = Place::new();
    let plan = ["--workload", "mixed", "--accounts", "50", "--blocks", "60", "--txs", "200"];
    let blocks = place.run(&[&["block", "gen"], &plan[..]].concat());
    place.file("blocks.jsonl", &blocks.stdout);
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

    let rounds = number("SUPERVM_KILL_ROUNDS", 8);
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
    if rounds >= 8 {
        assert!(midway > 0, "no kill came between two blocks");
    }
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
