//! Files that have to be there, and what may stand in them.

use crate::sources;
use std::fs;
use std::path::PathBuf;

const STORAGE_PLUGIN_FILES: &[&str] = &[
    "Cargo.toml",
    "README.md",
    "src/lib.rs",
    "src/config.rs",
    "src/storage.rs",
    "src/snapshot.rs",
    "src/error.rs",
    "tests/conformance.rs",
];

/// Where `unsafe` may stand, and why.
const UNSAFE_PLACES: &[(&str, &str)] = &[
    ("plugin-sdk/src/abi/", "the boundary's data pointers"),
    ("plugin-sdk/src/load/", "loading a library runs its code"),
    ("plugins/storage/lmdb/src/", "heed's environment and renewed transactions"),
    ("plugins/storage/rocksdb/src/", "snapshots and iterators that own their database"),
    ("plugins/storage/leveldb/src/", "LevelDB's C interface"),
    ("bench/src/legs/leveldb.rs", "LevelDB's C interface, as the plugin uses it"),
    ("bench/src/legs/lmdb.rs", "heed opens a memory map, as the plugin does"),
    ("conformance/src/fault/", "calls into the library that makes the database's calls fail"),
    ("engine/src/digest/x86_64.rs", "vector instructions that are found at run time"),
    ("engine/src/runtime/", "wasmtime's unchecked host functions and compiled artifacts"),
];

fn storage_plugins() -> Vec<PathBuf> {
    let dir = sources::repository().join("plugins/storage");
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_storage_plugin_has_the_standard_files() {
    let plugins = storage_plugins();
    assert!(plugins.len() >= 5, "only {plugins:?}");
    for plugin in plugins {
        for file in STORAGE_PLUGIN_FILES {
            assert!(plugin.join(file).is_file(), "{} has no {file}", plugin.display());
        }
    }
}

#[test]
fn a_plugin_has_one_name_in_all_places() {
    for plugin in storage_plugins() {
        let name = plugin.file_name().unwrap().to_str().unwrap();
        let manifest = fs::read_to_string(plugin.join("Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("name = \"supervm-storage-{name}\"")), "{name}");
        let exported = fs::read_to_string(plugin.join("src/lib.rs")).unwrap();
        assert!(
            exported.contains(&format!("name: \"{name}\"")),
            "{name}: export_plugin! has another name"
        );
    }
}

#[test]
fn the_architecture_guide_is_short_enough_to_be_read() {
    let text = fs::read_to_string(sources::repository().join("ARCHITECTURE.md")).unwrap();
    assert!(text.lines().count() <= 200);
}

#[test]
fn unsafe_code_stands_where_it_is_listed() {
    // The workspace denies it, so a file that has it names the lint.
    let allows_unsafe = |source: &&sources::Source| source.text.contains("unsafe_code");
    for source in sources::all().iter().filter(|source| !source.is_test()).filter(allows_unsafe) {
        let is_listed = UNSAFE_PLACES.iter().any(|(place, _)| source.path.starts_with(place));
        assert!(is_listed, "{} allows unsafe code", source.path);
    }
}

#[test]
fn every_crate_keeps_the_workspace_lints() {
    for package in sources::packages() {
        let text = fs::read_to_string(&package.manifest).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{} opts out", package.name);
    }
}
