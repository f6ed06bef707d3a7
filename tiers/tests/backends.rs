//! The backends that are linked in, those that are found as libraries, and the tiers that name them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Place, Ran, contract};
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::PluginKind;
use supervm_tiers::builtin::{HOST_PACKS, STORAGE_BACKENDS};

/// The backends of this repository, sorted.
const OURS: [&str; 5] = ["leveldb", "lmdb", "memory", "rocksdb", "sqlite"];

fn linked(kind: PluginKind) -> Vec<String> {
    let plugins = supervm_plugin_sdk::load::linked().unwrap();
    let descriptors = plugins.iter().map(|plugin| plugin.descriptor());
    descriptors.filter(|one| one.kind == kind).map(|one| one.name.clone()).collect()
}

fn is_linked(backend: &str) -> bool {
    STORAGE_BACKENDS.contains(&backend)
}

/// The library of a backend that is not linked in, as `cargo build --workspace` leaves it beside the command, where it is found.
fn built_library(backend: &str) -> PathBuf {
    let command = Path::new(env!("CARGO_BIN_EXE_supervm"));
    let library = command.with_file_name(format!("libsupervm_storage_{backend}.so"));
    assert!(library.is_file(), "{} is missing; `cargo xtask test` builds it", library.display());
    library
}

#[test]
fn every_named_plugin_is_linked_in_and_no_other() {
    assert_eq!(linked(PluginKind::Storage), STORAGE_BACKENDS);
    assert_eq!(linked(PluginKind::HostPack), HOST_PACKS);
}

#[test]
fn the_features_decide_which_backends_are_linked_in() {
    assert_eq!(is_linked("rocksdb"), cfg!(feature = "rocksdb"));
    assert_eq!(is_linked("leveldb"), cfg!(feature = "leveldb"));
    if cfg!(feature = "all-backends") {
        assert_eq!(STORAGE_BACKENDS, OURS);
    }
}

#[test]
fn a_library_that_was_built_is_found_beside_the_command() {
    let place = Place::new();
    for backend in OURS.into_iter().filter(|backend| !is_linked(backend)) {
        let library = built_library(backend);
        let list = place.json(&["plugin", "list"]);
        let rows = list["plugins"].as_array().unwrap();
        let found = rows.iter().find(|row| row["path"] == library.to_str().unwrap());
        let found = found.unwrap_or_else(|| panic!("{backend}: {list}"));
        assert_eq!(found["name"], backend);
        assert_eq!((&found["problem"], &found["shadowed"]), (&().into(), &false.into()));
    }
}

#[test]
fn the_token_demo_includes_every_backend_that_is_there() {
    let report = Place::new().json(&["demo", "token"]);
    let rows = report["demos"][0]["backends"].as_array().unwrap();
    let mut names: Vec<_> = rows.iter().map(|row| row["backend"].as_str().unwrap()).collect();
    // Where the target directory is shared with plugins of others, theirs are there too.
    names.retain(|name| OURS.contains(name));
    names.sort_unstable();
    assert_eq!(names, OURS);
    assert!(rows.iter().all(|row| row["digest"] == rows[0]["digest"]), "{report}");
}

#[test]
fn l1_and_l2_keep_their_state_in_rocksdb() {
    let place = Place::new();
    for tier in ["l1", "l2"] {
        let ledger = contract("ledger.wat");
        let call = |function, arguments: &[&str], variables: &[(&str, &str)]| {
            let fixed = ["run", "--tier", tier, "--dir", tier, &ledger, function];
            let mut command = place.command(&[&fixed, arguments].concat());
            Ran::new(command.envs(variables.iter().copied()).output().unwrap())
        };
        let pin = if is_linked("rocksdb") { None } else { Some(pin_of_rocksdb(&call)) };
        let pin: Vec<_> = pin.iter().map(|pin| ("SUPERVM_STORAGE__SHA256", pin.as_str())).collect();
        let minted = call("mint", &["7", "1000"], &pin);
        assert_eq!(minted.code, 0, "{tier}: {}", minted.stderr);
        let balance = call("balance", &["7"], &pin);
        assert!(balance.stdout.contains("1000"), "{tier}: {}{}", balance.stdout, balance.stderr);
        let dir = place.path().join(tier);
        assert!(dir.join("store/CURRENT").is_file(), "a RocksDB lies in {}", dir.display());
        let manifest = std::fs::read_to_string(dir.join("supervm.toml")).unwrap();
        assert!(manifest.contains("backend = \"rocksdb\""), "{manifest}");
    }
}

/// The pin that the refusal of an unpinned library tells.
fn pin_of_rocksdb(call: &impl Fn(&'static str, &[&str], &[(&str, &str)]) -> Ran) -> String {
    let refused = call("mint", &["7", "1000"], &[]);
    assert_eq!(refused.code, 1, "an unpinned library is refused: {}", refused.stdout);
    let (_, rest) = refused.stderr.split_once("sha256 = \"").unwrap();
    rest[..64].to_owned()
}
