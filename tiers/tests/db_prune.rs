//! `supervm db prune` and `compact`, from outside.

mod common;

use common::Place;
use common::chain::{BLOCK_SECONDS, Chain, GENESIS, open};
use supervm_engine::layout::HistoryMode;

const CHAIN: Chain = Chain { keys: 2_000, blocks: 50 };

fn chain(backend: &str) -> Place {
    let place = Place::new();
    CHAIN.load(backend, &place.path().join("supervm-data"), CHAIN.blocks);
    place
}

fn at(place: &Place, backend: &str, block: u64) -> common::Ran {
    let block = block.to_string();
    place.run(&["db", "digest", "--at-block", &block, "--backend", backend, "--json"])
}

#[test]
fn after_a_pruning_earlier_blocks_are_version_pruned_and_later_ones_as_before() {
    for backend in ["lmdb", "memory", "sqlite"] {
        let place = chain(backend);
        let kept: Vec<_> =
            [40, 45, 50].iter().map(|block| at(&place, backend, *block).object()).collect();
        let report = place.json(&["db", "prune", "--before-block", "40", "--backend", backend]);
        assert_eq!(report["dry_run"], false);
        assert_eq!((&report["oldest_version"], &report["first_block"]), (&40.into(), &40.into()));
        assert!(report["deletes"].as_u64().unwrap() > 0, "{report}");
        for (block, expected) in [40, 45, 50].iter().zip(&kept) {
            assert_eq!(&at(&place, backend, *block).object(), expected, "{backend} {block}");
        }
        let gone = at(&place, backend, 39);
        assert_eq!((gone.code, &gone.error()["kind"]), (1, &"version-pruned".into()));
        let hint = "`supervm db blocks` lists the blocks whose states can be read";
        assert_eq!(gone.error()["hint"], hint);
        assert_eq!(place.json(&["db", "verify", "--backend", backend])["sound"], true);

        let again = place.json(&["db", "prune", "--before-block", "40", "--backend", backend]);
        assert_eq!((&again["deletes"], &again["oldest_version"]), (&0.into(), &40.into()));
        let earlier = place.json(&["db", "prune", "--before-block", "10", "--backend", backend]);
        assert_eq!(earlier["oldest_version"], 40, "the floor does not fall");
    }
}

#[test]
fn a_dry_run_says_what_would_go_and_changes_nothing() {
    let place = chain("sqlite");
    let before = place.run(&["db", "digest", "--raw"]).stdout;
    for (target, value) in [
        ("--before-block", 40),
        ("--before-time", GENESIS + 40 * BLOCK_SECONDS),
        ("--before-time", GENESIS + 41 * BLOCK_SECONDS - 1),
    ] {
        let value = value.to_string();
        let plan = place.json(&["db", "prune", target, &value, "--dry-run"]);
        assert_eq!(plan["dry_run"], true);
        assert_eq!((&plan["oldest_version"], &plan["first_block"]), (&40.into(), &40.into()));
        assert_eq!((&plan["versions"], &plan["blocks"]), (&40.into(), &39.into()));
        let text = place.run(&["db", "prune", target, &value, "--dry-run"]).stdout;
        assert!(text.contains("40 versions, 39 blocks"), "{text}");
        assert!(text.contains("nothing was changed"), "{text}");
    }
    assert_eq!(place.run(&["db", "digest", "--raw"]).stdout, before);
    let report = place.json(&["db", "prune", "--before-time", "1704067600"]);
    assert_eq!((&report["oldest_version"], &report["versions"]), (&40.into(), &40.into()));
}

#[test]
fn bytes_before_and_after_are_shown_and_fall_where_the_backend_compacts() {
    let place = chain("sqlite");
    let report = place.json(&["db", "prune", "--before-block", "50"]);
    assert_eq!(report["compacted"], true);
    let bytes = |name: &str| report[name].as_u64().unwrap();
    let (before, after) = (bytes("disk_bytes_before"), bytes("disk_bytes_after"));
    assert!(after * 4 < before * 3, "{before} to {after}");

    let place = chain("lmdb");
    let text = place.run(&["db", "prune", "--before-block", "50", "--backend", "lmdb"]);
    assert!(text.stdout.contains("no; lmdb keeps the space and uses it again"), "{}", text.stdout);
    assert!(text.stdout.contains("bytes before"), "{}", text.stdout);
    assert!(text.stderr.starts_with("pruning: "), "{}", text.stderr);
    let refused = place.run(&["db", "compact", "--backend", "lmdb"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("backend \"lmdb\" cannot compact"), "{}", refused.stderr);
    assert!(refused.stderr.contains("supervm db convert"), "{}", refused.stderr);
}

#[test]
fn compact_gives_back_what_a_pruning_without_it_left() {
    let place = chain("sqlite");
    let report = place.json(&["db", "prune", "--before-block", "50", "--no-compact"]);
    assert_eq!(report["compacted"], false);
    let digest = place.digest(&[]);
    let plan = place.json(&["db", "compact", "--dry-run"]);
    let done = place.json(&["db", "compact"]);
    assert_eq!((&plan["dry_run"], &done["dry_run"]), (&true.into(), &false.into()));
    let bytes = |name: &str| done[name].as_u64().unwrap();
    assert!(bytes("disk_bytes_after") < bytes("disk_bytes_before"), "{done}");
    assert_eq!(place.digest(&[]), digest);
}

#[test]
fn to_mode_keeps_the_blocks_of_the_window() {
    let place = chain("sqlite");
    let nothing = place.json(&["db", "prune", "--to-mode"]);
    assert_eq!(nothing["oldest_version"], 0, "an archive keeps everything");
    let window = HistoryMode::Window { blocks: 5 };
    CHAIN.load_with("sqlite", &place.path().join("supervm-data"), [], window);
    assert_eq!(place.json(&["db", "prune", "--to-mode", "--dry-run"])["oldest_version"], 46);
    assert_eq!(place.json(&["db", "prune", "--to-mode"])["first_block"], 46);
    assert_eq!(at(&place, "sqlite", 45).code, 1);
    assert_eq!(at(&place, "sqlite", 46).code, 0);
}

#[test]
fn to_mode_counts_the_blocks_that_exist_and_a_dry_run_says_so() {
    for backend in ["lmdb", "sqlite"] {
        let place = Place::new();
        let dir = place.path().join("supervm-data");
        let window = HistoryMode::Window { blocks: 3 };
        CHAIN.load_with(backend, &dir, [10, 20, 30, 40, 50], HistoryMode::Archive);
        CHAIN.load_with(backend, &dir, [], window);
        let prune = ["db", "prune", "--to-mode", "--backend", backend];
        let plan = place.json(&[&prune[..], &["--dry-run"]].concat());
        assert_eq!((&plan["oldest_version"], &plan["first_block"]), (&3.into(), &30.into()));
        assert_eq!((&plan["versions"], &plan["blocks"]), (&3.into(), &2.into()));
        let report = place.json(&prune);
        assert_eq!((&report["oldest_version"], &report["first_block"]), (&3.into(), &30.into()));
        let read = [10, 20, 30, 40, 50].map(|block| at(&place, backend, block).code);
        assert_eq!(read, [1, 1, 0, 0, 0], "{backend}");
        assert_eq!(place.json(&prune)["deletes"], 0);
    }
}

#[test]
fn a_target_that_is_missing_doubled_or_in_the_future_is_refused() {
    let place = chain("sqlite");
    let before = place.run(&["db", "digest", "--raw"]).stdout;
    for arguments in [&[][..], &["--before-block", "1", "--to-mode"], &["--before-block", "x"]] {
        assert_eq!(place.run(&[&["db", "prune"], arguments].concat()).code, 2, "{arguments:?}");
    }
    for dry_run in [&[][..], &["--dry-run"]] {
        let ran = place.run(&[&["db", "prune", "--before-block", "51"], dry_run].concat());
        assert_eq!(ran.code, 1);
        assert!(ran.stderr.contains("there are 1 to 50"), "{}", ran.stderr);
    }
    assert_eq!(place.run(&["db", "digest", "--raw"]).stdout, before);
}

#[test]
fn a_directory_in_use_is_refused_by_every_command_that_opens_it() {
    let commands: [&[&str]; 14] = [
        &["stats"],
        &["digest"],
        &["verify"],
        &["compact"],
        &["prune", "--before-block", "40"],
        &["checkpoint", "copy"],
        &["export", "file"],
        &["convert", "--to", "memory", "other"],
        &["history", "k"],
        &["blocks"],
        &["get", "k", "--at-block", "40"],
        &["put", "k", "v"],
        &["delete", "k"],
        &["diff", "supervm-data", "second"],
    ];
    let place = chain("sqlite");
    Chain { keys: 10, blocks: 1 }.load("sqlite", &place.path().join("second"), 1);
    let held = open("sqlite", &place.path().join("supervm-data"));
    for command in commands {
        let ran = place.run(&[&["db"], command, &["--json"]].concat());
        assert_eq!(ran.code, 1, "{command:?}: {}", ran.stdout);
        assert_eq!(ran.error()["kind"], "locked", "{command:?}");
        let hint = ran.error()["hint"].as_str().unwrap().to_owned();
        assert!(hint.starts_with("another process has the directory open"), "{hint}");
    }
    held.close().unwrap();
    let left: Vec<_> =
        ["copy", "file", "other"].map(|name| place.path().join(name).exists()).into();
    assert_eq!(left, [false; 3]);
}
