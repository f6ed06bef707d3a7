//! `supervm db`, from outside.

mod common;

use common::Place;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

fn filled(backend: &str) -> Place {
    let place = Place::new();
    for (key, value) in [("a", "1"), ("b/1", "one"), ("b/2", "0xff00"), ("c", "0x")] {
        let put = place.run(&["db", "put", key, value, "--backend", backend]);
        assert_eq!((put.code, put.stdout.as_str()), (0, ""), "{}", put.stderr);
    }
    place
}

#[test]
fn what_was_put_is_read_back_and_what_was_deleted_is_absent() {
    for backend in ["lmdb", "memory", "sqlite"] {
        let place = filled(backend);
        let get = |key| place.run(&["db", "get", key, "--backend", backend]);
        assert_eq!(get("b/1").stdout, "one\n");
        assert_eq!(get("0x622f32").stdout, "0xff00\n");
        assert_eq!(get("c").stdout, "0x\n", "an empty value is present");
        assert_eq!(place.run(&["db", "delete", "a", "--backend", backend]).code, 0);
        let absent = get("a");
        assert_eq!((absent.code, absent.stdout.as_str()), (1, ""));
        assert!(
            absent.stderr.starts_with("error: the key a is absent at version 5"),
            "{}",
            absent.stderr
        );
        assert_eq!(place.run(&["db", "delete", "a", "--backend", backend]).code, 0, "again");
    }
}

#[test]
fn a_directory_that_does_not_exist_is_made_by_put_alone() {
    let place = Place::new();
    let commands: [&[&str]; 14] = [
        &["get", "k"],
        &["get", "k", "--raw"],
        &["delete", "k"],
        &["scan"],
        &["stats"],
        &["digest"],
        &["verify"],
        &["history", "k"],
        &["blocks"],
        &["compact"],
        &["prune", "--before-block", "1"],
        &["checkpoint", "copy"],
        &["export", "file"],
        &["convert", "--to", "memory", "other"],
    ];
    for backend in ["lmdb", "memory", "sqlite"] {
        for command in commands {
            let ran = place
                .run(&[&["db"], command, &["--backend", backend, "--dir", "d", "--json"]].concat());
            assert_eq!(ran.code, 1, "{command:?}");
            assert_eq!(ran.error()["kind"], "not-found", "{command:?}");
            for name in ["d", "copy", "file", "other"] {
                assert!(!place.path().join(name).exists(), "{backend} {command:?} {name}");
            }
        }
    }
    assert_eq!(place.run(&["db", "put", "k", "v", "--dir", "d"]).code, 0);
    assert!(place.path().join("d").exists());
}

#[test]
fn scan_prints_a_row_a_line_within_prefix_start_and_limit_in_both_directions() {
    let place = filled("sqlite");
    let scan = |arguments: &[&str]| place.run(&[&["db", "scan"], arguments].concat()).stdout;
    assert_eq!(scan(&[]), "a\t1\nb/1\tone\nb/2\t0xff00\nc\t0x\n");
    assert_eq!(scan(&["--prefix", "b/"]), "b/1\tone\nb/2\t0xff00\n");
    assert_eq!(scan(&["--limit", "1"]), "a\t1\n");
    assert_eq!(scan(&["--limit", "0"]), "");
    assert_eq!(scan(&["--reverse", "--limit", "2"]), "c\t0x\nb/2\t0xff00\n");
    assert_eq!(scan(&["--from", "b/1", "--limit", "2"]), "b/1\tone\nb/2\t0xff00\n");
    assert_eq!(scan(&["--from", "b/1", "--reverse"]), "b/1\tone\na\t1\n");
    assert_eq!(scan(&["--prefix", "b/", "--from", "b/2"]), "b/2\t0xff00\n");
    assert_eq!(scan(&["--prefix", "nothing"]), "");

    let rows = place.json(&["db", "scan", "--prefix", "b/2"]);
    let expected = serde_json::json!({ "rows": [
        { "key": "0x622f32", "key_text": "b/2", "value": "0xff00", "value_text": null, "version": 3 },
    ] });
    assert_eq!(rows, expected);
}

#[test]
fn raw_looks_at_the_storages_own_keys() {
    let place = filled("sqlite");
    let rows = place.json(&["db", "scan", "--raw", "--prefix", "c/"]);
    let expected = serde_json::json!({
        "key": "0x632f61", "key_text": "c/a", "value": "0x000000000000000131", "value_text": null,
    });
    assert_eq!(rows["rows"][0], expected);
    assert_eq!(rows["rows"].as_array().unwrap().len(), 4);
    let get = place.run(&["db", "get", "c/a", "--raw"]);
    assert_eq!(get.stdout, "0x000000000000000131\n");
    let absent = place.run(&["db", "get", "a", "--raw"]);
    assert_eq!(absent.code, 1);
    assert!(absent.stderr.contains("supervm db scan --raw"), "{}", absent.stderr);
    let digest = place.run(&["db", "digest", "--raw"]).stdout;
    assert_ne!(digest, place.run(&["db", "digest"]).stdout);
}

#[test]
fn the_digest_is_64_hex_digits_and_the_same_on_every_backend() {
    let digests = ["lmdb", "memory", "sqlite"].map(|backend| {
        let place = filled(backend);
        let ran = place.run(&["db", "digest", "--backend", backend]);
        assert_eq!(ran.stdout.len(), 65, "{:?}", ran.stdout);
        assert!(ran.stdout.trim_end().bytes().all(|digit| digit.is_ascii_hexdigit()));
        assert_eq!(
            place.json(&["db", "digest", "--backend", backend])["digest"],
            ran.stdout.trim_end()
        );
        ran.stdout
    });
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[1], digests[2]);
}

#[test]
fn the_digest_is_sha256_over_length_prefixed_entries() {
    let place = Place::new();
    place.run(&["db", "put", "k", "v"]);
    // SHA-256 of 01000000 'k' 01000000 'v'.
    let expected = "ec496e506e28f9cfcaa219543c2cf0a4f53b06cb12e069c5ae8908a4ad3be6f8";
    assert_eq!(place.digest(&[]), expected);
}

#[test]
fn stats_counts_the_keys() {
    for backend in ["lmdb", "memory", "sqlite"] {
        let place = filled(backend);
        let stats = place.json(&["db", "stats", "--backend", backend]);
        assert_eq!(stats["backend"], backend);
        let text = place.run(&["db", "stats", "--backend", backend]).stdout;
        assert!(text.contains("disk_bytes"), "{text}");
        if let Some(keys) = stats["stats"]["keys"].as_u64() {
            assert!(keys > 4, "{backend}: the state's keys and what is known of it");
        }
    }
}

#[test]
fn a_reader_that_stops_reading_ends_the_scan_quietly() {
    let place = Place::new();
    common::chain::Chain { keys: 20_000, blocks: 1 }.load(
        "sqlite",
        &place.path().join("supervm-data"),
        1,
    );
    let mut command = place.command(&["db", "scan"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.starts_with("account/000000000\t"), "{line}");
    drop(stdout);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
}

/// Root is stopped by no permissions, so for root another user runs the command.
const NOBODY: u32 = 65_534;

#[test]
fn a_directory_that_cannot_be_written_is_read_where_the_backend_can() {
    let place = filled("sqlite");
    let expected = place.digest(&[]);
    let set_mode = |path: &Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    let executable = place.path().join("supervm");
    std::fs::copy(env!("CARGO_BIN_EXE_supervm"), &executable).unwrap();
    let store = place.path().join("supervm-data/store");
    for dir in [place.path(), &place.path().join("supervm-data")] {
        set_mode(dir, 0o755);
    }
    for file in std::fs::read_dir(&store).unwrap() {
        set_mode(&file.unwrap().path(), 0o444);
    }
    set_mode(&store, 0o555);
    let mut command = Command::new(&executable);
    command.current_dir(place.path()).env_clear().args(["db", "digest"]);
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let ran = common::Ran::new(command.output().unwrap());
    set_mode(&store, 0o755);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stdout.trim_end(), expected);
}
