//! `supervm db get`, `scan`, `digest`, `history`, `blocks`, `stats` and `verify` over a chain, from outside.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::Place;
use common::chain::{Chain, GENESIS, State, key, open, value};
use supervm_engine::history::History;
use supervm_engine::layout::HistoryMode;

const CHAIN: Chain = Chain { keys: 400, blocks: 20 };
const BACKENDS: [&str; 3] = ["lmdb", "memory", "sqlite"];

fn chain(backend: &str) -> Place {
    let place = Place::new();
    CHAIN.load(backend, &place.path().join("supervm-data"), CHAIN.blocks);
    place
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What `scan --json` says, as a state.
fn scanned(rows: &serde_json::Value) -> State {
    let bytes =
        |row: &serde_json::Value, name: &str| row[name].as_str().unwrap().as_bytes().to_vec();
    let rows = rows["rows"].as_array().unwrap();
    rows.iter().map(|row| (bytes(row, "key_text"), bytes(row, "value_text"))).collect()
}

#[test]
fn every_block_shows_the_state_that_it_left() {
    for backend in BACKENDS {
        let place = chain(backend);
        for number in [1, 7, 19, 20] {
            let at = number.to_string();
            let rows = place.json(&["db", "scan", "--at-block", &at, "--backend", backend]);
            assert_eq!(scanned(&rows), CHAIN.state(number), "{backend} block {number}");
        }
        let latest = place.json(&["db", "scan", "--backend", backend]);
        assert_eq!(scanned(&latest), CHAIN.state(CHAIN.blocks), "{backend}");
    }
}

#[test]
fn get_reads_a_key_at_a_block_and_at_a_version() {
    let place = chain("sqlite");
    let first = text(&key(3));
    let at = |flag, number: &str| place.run(&["db", "get", &first, flag, number]);
    assert_eq!(at("--at-block", "1").stdout.trim_end(), text(&value(3, 1)));
    assert_eq!(at("--at-version", "1").stdout.trim_end(), text(&value(3, 1)));
    let row = place.json(&["db", "get", &first, "--at-block", "1"]);
    assert_eq!((&row["key_text"], &row["version"]), (&first.clone().into(), &1.into()));
    let later = text(&key(399));
    let absent = place.run(&["db", "get", &later, "--at-block", "19"]);
    assert_eq!((absent.code, absent.stdout.as_str()), (1, ""));
    assert!(absent.stderr.contains("is absent at version 19"), "{}", absent.stderr);
}

#[test]
fn a_block_or_version_that_is_not_there_is_named_with_those_that_are() {
    let place = chain("sqlite");
    for (arguments, said) in [
        (["digest", "--at-block", "21"], "there are 1 to 20"),
        (["digest", "--at-version", "21"], "the newest is 20"),
    ] {
        let ran = place.run(&[&["db"], &arguments[..]].concat());
        assert_eq!(ran.code, 1);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
        let error = place.run(&[&["db"], &arguments[..], &["--json"]].concat()).error();
        assert_eq!(error["kind"], "invalid-argument");
    }
    for both in [["--at-block", "1", "--at-version", "1"], ["--at-block", "1", "--at-block", "2"]] {
        assert_eq!(place.run(&[&["db", "digest"], &both[..]].concat()).code, 2);
    }
    assert_eq!(place.run(&["db", "digest", "--raw", "--at-block", "1"]).code, 2);
}

#[test]
fn the_digest_at_a_block_is_that_of_a_chain_that_stopped_there() {
    let place = chain("sqlite");
    let stopped = Place::new();
    CHAIN.load("lmdb", &stopped.path().join("short"), 9);
    let short = stopped.digest(&["--backend", "lmdb", "--dir", "short"]);
    assert_eq!(place.digest(&["--at-block", "9"]), short);
    assert_ne!(place.digest(&[]), short);
    let told = place.json(&["db", "digest", "--at-block", "9"]);
    assert_eq!(told["digest"], short);
    assert_eq!((&told["version"], &told["block"]), (&9.into(), &9.into()));
    assert_eq!(told["entries"], CHAIN.state(9).len());
}

#[test]
fn history_lists_the_versions_of_a_key_from_the_newest() {
    let place = Place::new();
    for value in ["one", "two"] {
        assert_eq!(place.run(&["db", "put", "k", value]).code, 0);
    }
    assert_eq!(
        place.run(&["db", "history", "k"]).stdout,
        "version  until  value\n2        now    two\n"
    );
    let archive = open("sqlite", &place.path().join("supervm-data"));
    History::new(archive).unwrap().set_mode(HistoryMode::Archive).unwrap();
    for change in [&["put", "k", "0xff"][..], &["delete", "k"]] {
        let ran = place.run(&[&["db"], change].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    let shown = place.run(&["db", "history", "k"]).stdout;
    assert_eq!(
        shown,
        "version  until  value\n4        now    (deleted)\n3        4      0xff\n2        3      two\n"
    );
    let told = place.json(&["db", "history", "k", "--limit", "2"]);
    let expected = serde_json::json!({ "key": "0x6b", "oldest_version": 2, "versions": [
        { "version": 4, "value": null, "value_text": null, "superseded_at": null },
        { "version": 3, "value": "0xff", "value_text": null, "superseded_at": 4 },
    ] });
    assert_eq!(told, expected);
    let never = place.run(&["db", "history", "other"]);
    assert_eq!(never.code, 1);
    assert!(never.stderr.contains("was never there from version 2 on"), "{}", never.stderr);
}

#[test]
fn blocks_have_version_time_and_digest() {
    let place = chain("lmdb");
    let told = place.json(&["db", "blocks", "--backend", "lmdb"]);
    let blocks = told["blocks"].as_array().unwrap();
    assert_eq!(blocks.len(), 20);
    assert_eq!((&blocks[4]["number"], &blocks[4]["version"]), (&5.into(), &5.into()));
    assert_eq!(blocks[4]["timestamp"], GENESIS + 50);
    assert_eq!(blocks[4]["digest"].as_str().unwrap().len(), 64);
    let some = place.run(&["db", "blocks", "--backend", "lmdb", "--from", "5", "--limit", "2"]);
    let lines: Vec<_> = some.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", some.stdout);
    assert!(lines[1].contains("2024-01-01 00:00:50 UTC"), "{}", lines[1]);
    let digest = blocks[5]["digest"].as_str().unwrap();
    assert!(lines[2].starts_with('6') && lines[2].ends_with(digest), "{}", lines[2]);
}

#[test]
fn stats_tell_versions_blocks_and_the_history_mode() {
    for backend in BACKENDS {
        let place = chain(backend);
        let told = place.json(&["db", "stats", "--backend", backend]);
        let state = &told["state"];
        assert_eq!(told["backend"], backend);
        assert_eq!((&state["last_version"], &state["oldest_version"]), (&20.into(), &0.into()));
        assert_eq!(
            (&state["first_block"], &state["last_block"]["number"]),
            (&1.into(), &20.into())
        );
        assert_eq!(state["history"]["mode"], "archive");
        let blocks = place.json(&["db", "blocks", "--backend", backend]);
        assert_eq!(state["state_digest"], blocks["blocks"][19]["digest"]);
        let text = place.run(&["db", "stats", "--backend", backend]).stdout;
        for expected in ["archive", "0 to 20", "1 to 20"] {
            assert!(text.contains(expected), "{text}");
        }
    }
}

#[test]
fn verify_finds_a_value_that_was_changed_behind_the_digest() {
    for backend in BACKENDS {
        let place = chain(backend);
        let sound = place.json(&["db", "verify", "--backend", backend]);
        assert_eq!(sound["sound"], true, "{sound}");
        assert_eq!(sound["digest"], place.digest(&["--backend", backend]));
        let outcomes: Vec<_> =
            sound["checks"].as_array().unwrap().iter().map(|check| &check["outcome"]).collect();
        assert_eq!(outcomes, ["ok", "ok", "ok"], "{backend}");

        let storage = open(backend, &place.path().join("supervm-data"));
        let stored = [&b"c/"[..], &key(3)].concat();
        let mut record = storage.get(&stored).unwrap().unwrap();
        *record.last_mut().unwrap() ^= 1;
        storage.set(&stored, &record).unwrap();
        storage.close().unwrap();
        drop(storage);
        let ran = place.run(&["db", "verify", "--backend", backend]);
        assert_eq!(ran.code, 1, "{backend}: {}", ran.stdout);
        assert!(ran.stdout.contains("failed  state digest"), "{}{}", ran.stdout, ran.stderr);
        let told = place.run(&["db", "verify", "--backend", backend, "--json"]);
        assert_eq!((told.code, &told.object()["sound"]), (1, &false.into()));
        assert!(!told.stderr.contains("reading"), "no progress beside JSON: {}", told.stderr);
    }
}

#[test]
fn a_pipe_gets_plain_lines_of_progress_with_a_rate_on_stderr() {
    let place = chain("sqlite");
    let ran = place.run(&["db", "digest"]);
    assert_eq!(ran.stdout.lines().count(), 1);
    assert!(ran.stderr.starts_with("reading: "), "{}", ran.stderr);
    assert!(ran.stderr.trim_end().ends_with("/s"), "{}", ran.stderr);
    assert!(!ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
}
