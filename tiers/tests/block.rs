//! `supervm block`: files of blocks, generated and run.

mod common;

use common::{Place, Ran};
use serde_json::Value;
use std::io::Write;
use std::process::Stdio;

const BACKENDS: [&str; 5] = ["memory", "lmdb", "sqlite", "leveldb", "rocksdb"];

/// Generates `workload` into `file`.
fn generate(place: &Place, file: &str, arguments: &[&str]) {
    let ran = place.run(&[&["block", "gen"], arguments].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    place.file(file, &ran.stdout);
}

fn small(place: &Place, file: &str, workload: &str) {
    let arguments = ["--accounts", "20", "--blocks", "6", "--txs", "40", "--workload", workload];
    generate(place, file, &arguments);
}

fn run(place: &Place, dir: &str, arguments: &[&str]) -> Value {
    place.json(&[&["block", "run", "--dir", dir], arguments].concat())
}

fn failed(place: &Place, file: &str, arguments: &[&str]) -> Ran {
    let ran = place.run(&[&["block", "run", file, "--backend", "sqlite"], arguments].concat());
    assert_eq!((ran.code, &*ran.stdout), (1, ""), "{}", ran.stderr);
    ran
}

#[test]
fn any_number_of_threads_gives_the_same_receipts_and_digest() {
    let place = Place::new();
    for workload in ["transfer", "zipf", "chain", "amm", "mixed"] {
        small(&place, workload, workload);
        let mut expected = None;
        for threads in ["1", "2", "4", "8"] {
            let (dir, receipts) =
                (format!("{workload}-{threads}"), format!("{workload}.{threads}"));
            let arguments = [workload, "--backend", "sqlite", "--threads", threads];
            let report = run(&place, &dir, &[&arguments[..], &["--receipts", &receipts]].concat());
            assert_eq!(report["threads"].to_string(), threads);
            let receipts = std::fs::read_to_string(place.path().join(receipts)).unwrap();
            assert_eq!(receipts.lines().count() as u64, report["transactions"].as_u64().unwrap());
            let found = (report["digest"].clone(), report["gas_used"].clone(), receipts);
            assert_eq!(*expected.get_or_insert(found.clone()), found, "{workload} {threads}");
            // What the chain says of itself afterwards.
            let last = report["blocks"].as_array().unwrap().last().unwrap();
            assert_eq!(last["digest"], report["digest"]);
            let stats = place.json(&["db", "blocks", "--backend", "sqlite", "--dir", &dir]);
            let newest = stats["blocks"].as_array().unwrap().last().unwrap();
            assert_eq!((&newest["number"], &newest["digest"]), (&last["number"], &last["digest"]));
        }
    }
}

#[test]
fn a_hundred_blocks_have_the_same_receipts_and_digest_on_every_backend() {
    let place = Place::new();
    let plan = ["--workload", "mixed", "--accounts", "100", "--blocks", "97", "--txs", "120"];
    generate(&place, "blocks.jsonl", &plan);
    let mut expected = None;
    for backend in BACKENDS {
        let receipts = format!("receipts.{backend}");
        let arguments = ["blocks.jsonl", "--backend", backend, "--receipts", &receipts];
        let report = run(&place, backend, &arguments);
        let blocks = report["blocks"].as_array().unwrap();
        assert_eq!((blocks.len(), &report["backend"]), (100, &backend.into()));
        let digests: Vec<_> = blocks.iter().map(|block| block["digest"].clone()).collect();
        let receipts = std::fs::read_to_string(place.path().join(receipts)).unwrap();
        let found = (digests, receipts);
        assert!(*expected.get_or_insert_with(|| found.clone()) == found, "{backend} differs");
    }
}

#[test]
fn the_report_says_what_was_done() {
    let place = Place::new();
    small(&place, "blocks.jsonl", "mixed");
    let ran = place.run(&["block", "run", "blocks.jsonl", "--backend", "memory"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for name in ["backend", "blocks", "transactions", "throughput", "re-runs", "gas", "digest"] {
        assert!(ran.stdout.lines().any(|line| line.starts_with(name)), "{name}: {}", ran.stdout);
    }
    assert!(ran.stderr.starts_with("running: "), "a plain line in a pipe: {}", ran.stderr);
    let report = run(&place, "json", &["blocks.jsonl", "--backend", "memory"]);
    let sum = |field: &str| -> u64 {
        let blocks = report["blocks"].as_array().unwrap();
        blocks.iter().map(|block| block[field].as_u64().unwrap()).sum()
    };
    for field in ["transactions", "failed", "gas_used"] {
        assert_eq!(report[field].as_u64().unwrap(), sum(field), "{field}");
    }
    assert!(report["failed"].as_u64().unwrap() > 0);
    let stats = &report["stats"];
    let of = |name: &str| stats[name].as_u64().unwrap();
    assert_eq!(of("ran_ahead") + of("reruns") + of("in_turn"), of("transactions"));
    // Whoever looks for the last `digest` in the text finds that of the state.
    let text = report.to_string();
    let last = text.rsplit_once("\"digest\":\"").unwrap().1;
    assert!(last.starts_with(report["digest"].as_str().unwrap()));
}

#[test]
fn a_file_is_read_from_standard_input() {
    let place = Place::new();
    small(&place, "blocks.jsonl", "transfer");
    let expected = run(&place, "file", &["blocks.jsonl", "--backend", "memory"]);
    let mut command = place.command(&["block", "run", "-", "--backend", "memory", "--json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let blocks = std::fs::read(place.path().join("blocks.jsonl")).unwrap();
    child.stdin.take().unwrap().write_all(&blocks).unwrap();
    let ran = Ran::new(child.wait_with_output().unwrap());
    assert_eq!(ran.object()["digest"], expected["digest"]);
}

#[test]
fn the_same_arguments_generate_the_same_file() {
    let place = Place::new();
    small(&place, "one", "mixed");
    small(&place, "two", "mixed");
    let read = |file: &str| std::fs::read(place.path().join(file)).unwrap();
    assert!(read("one") == read("two"));
    generate(&place, "three", &["--workload", "mixed", "--seed", "2", "--blocks", "1"]);
    assert!(read("one") != read("three"));
}

#[test]
fn a_line_that_is_wrong_is_named_and_what_came_before_it_stays() {
    let place = Place::new();
    small(&place, "good.jsonl", "transfer");
    let good = std::fs::read_to_string(place.path().join("good.jsonl")).unwrap();
    let lines: Vec<_> = good.lines().collect();
    let cases = [
        ("{\"blok\":{}}", "unknown variant `blok`"),
        ("{\"block\":", "EOF while parsing"),
        ("{\"deploy\":{\"name\":\"x\",\"code\":\"(modul)\"}}", "not WASM"),
        (
            "{\"block\":{\"number\":99,\"timestamp\":9999999999,\"transactions\":[{\"contract\":\"tokn\",\"function\":\"f\"}]}}",
            "there is no contract \"tokn\"",
        ),
        (
            "{\"block\":{\"number\":99,\"timestamp\":9999999999,\"transactions\":[{\"contract\":\"token\",\"function\":\"f\",\"gas\":9999999999}]}}",
            "above the configured",
        ),
        (
            "{\"block\":{\"number\":99,\"timestamp\":1,\"transactions\":[]}}",
            "timestamps do not fall",
        ),
    ];
    for (nth, (bad, says)) in cases.iter().enumerate() {
        let (file, dir) = (format!("bad{nth}.jsonl"), format!("bad{nth}"));
        place.file(&file, &[&lines[..4], &[*bad]].concat().join("\n"));
        let ran = failed(&place, &file, &["--dir", &dir]);
        assert!(ran.stderr.contains("line 5: "), "{}", ran.stderr);
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
        let blocks = place.json(&["db", "blocks", "--backend", "sqlite", "--dir", &dir]);
        let blocks = blocks["blocks"].as_array().unwrap();
        assert_eq!(blocks.last().unwrap()["number"], 3, "three blocks are committed");
    }
}

#[test]
fn a_block_that_is_there_is_refused_and_passed_over_when_asked() {
    let place = Place::new();
    small(&place, "all.jsonl", "mixed");
    let expected = run(&place, "whole", &["all.jsonl", "--backend", "sqlite"]);
    let all = std::fs::read_to_string(place.path().join("all.jsonl")).unwrap();
    let lines: Vec<_> = all.lines().collect();
    place.file("some.jsonl", &lines[..7].join("\n"));
    run(&place, "part", &["some.jsonl", "--backend", "sqlite"]);
    let ran = failed(&place, "all.jsonl", &["--dir", "part"]);
    assert!(ran.stderr.contains("block 1 is not above the last one, 3"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--resume"), "{}", ran.stderr);
    let resumed = run(&place, "part", &["all.jsonl", "--backend", "sqlite", "--resume"]);
    assert_eq!((&resumed["digest"], &resumed["skipped_blocks"]), (&expected["digest"], &3.into()));
}

#[test]
fn what_cannot_be_read_or_written_is_named() {
    let place = Place::new();
    let ran = failed(&place, "missing.jsonl", &[]);
    assert!(ran.stderr.contains("cannot read missing.jsonl"), "{}", ran.stderr);
    small(&place, "blocks.jsonl", "transfer");
    place.file("receipts", "mine");
    let ran = failed(&place, "blocks.jsonl", &["--receipts", "receipts"]);
    assert!(ran.stderr.contains("name a file that does not exist"), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(place.path().join("receipts")).unwrap(), "mine");
}

#[test]
fn wrong_arguments_are_usage_errors() {
    let place = Place::new();
    for (arguments, says) in [
        (&["block", "gen", "--workload", "transfers"][..], "expected one of transfer, zipf"),
        (&["block", "gen", "--accounts", "1"], "expected 2 to"),
        (&["block", "gen", "--txs", "0"], "expected 1 to"),
        (&["block", "run"], "FILE"),
    ] {
        let ran = place.run(arguments);
        assert_eq!((ran.code, &*ran.stdout), (2, ""), "{arguments:?}");
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
}
