//! Who may import whom.

use crate::sources;
use std::collections::BTreeSet;

/// Kinds of dependencies, as cargo names them; the normal ones have no name.
const NORMAL: Option<&str> = None;
const DEVELOPMENT: Option<&str> = Some("dev");
const BUILD: Option<&str> = Some("build");

const SDK: &str = "supervm-plugin-sdk";
const CONFORMANCE: &str = "supervm-conformance";
const ENGINE: &str = "supervm-engine";
const TIERS: &str = "supervm-tiers";

/// A database's crates, and the one plugin that may name them.
const DATABASES: &[(&str, &str)] = &[
    ("heed", "supervm-storage-lmdb"),
    ("lmdb-master-sys", "supervm-storage-lmdb"),
    ("rusqlite", "supervm-storage-sqlite"),
    ("libsqlite3-sys", "supervm-storage-sqlite"),
    ("rocksdb", "supervm-storage-rocksdb"),
    ("librocksdb-sys", "supervm-storage-rocksdb"),
    ("leveldb", "supervm-storage-leveldb"),
    ("leveldb-sys", "supervm-storage-leveldb"),
];

/// A crate that may be named in one place only.
const CONFINED: &[(&str, &str)] = &[
    ("wasmtime::", "engine/src/runtime/"),
    ("abi_stable::", "plugin-sdk/src/abi/"),
    ("libloading::", "plugin-sdk/src/load/"),
];

fn is_plugin(name: &str) -> bool {
    name.starts_with("supervm-storage-") || name.starts_with("supervm-host-")
}

fn ours(names: BTreeSet<&str>) -> BTreeSet<&str> {
    names.into_iter().filter(|name| name.starts_with("supervm-")).collect()
}

#[test]
fn a_crate_imports_what_the_map_allows_and_nothing_else() {
    let mut wrong = Vec::new();
    for package in sources::packages() {
        let name = &*package.name;
        let may_import = |import: &str| match name {
            SDK => false,
            ENGINE | CONFORMANCE => import == SDK,
            TIERS => import != TIERS,
            "xtask" => false,
            plugin if is_plugin(plugin) => import == SDK,
            other => {
                panic!("{other} is not on the map; add it to ARCHITECTURE.md and to this test")
            }
        };
        let imports = ours(package.imports(NORMAL));
        wrong.extend(
            imports
                .into_iter()
                .filter(|import| !may_import(import))
                .map(|import| format!("{name} -> {import}")),
        );
    }
    assert!(wrong.is_empty(), "forbidden: {wrong:?}");
}

#[test]
fn a_plugin_is_tested_with_the_sdk_and_the_conformance_suite_alone() {
    for package in sources::packages().iter().filter(|package| is_plugin(&package.name)) {
        let imports = ours(package.imports(DEVELOPMENT));
        let allowed = BTreeSet::from([SDK, CONFORMANCE, &*package.name]);
        assert!(imports.is_subset(&allowed), "{} imports {imports:?} in its tests", package.name);
    }
}

#[test]
fn a_database_is_named_by_its_own_plugin_alone() {
    for package in sources::packages() {
        for kind in [NORMAL, DEVELOPMENT, BUILD] {
            for import in package.imports(kind) {
                let owner = DATABASES.iter().find(|(database, _)| *database == import);
                let is_allowed = owner.is_none_or(|(_, owner)| *owner == &*package.name);
                assert!(is_allowed, "{} names the database crate {import}", package.name);
            }
        }
    }
}

#[test]
fn the_sdk_knows_no_database_no_runtime_and_no_concurrent_map() {
    let packages = sources::packages();
    let sdk = packages.iter().find(|package| &*package.name == SDK).unwrap();
    let imports = sdk.imports(NORMAL);
    for forbidden in ["wasmtime", "dashmap", "rusqlite", "heed", "rocksdb", "leveldb"] {
        assert!(!imports.contains(forbidden), "the SDK names {forbidden}");
    }
}

#[test]
fn wasmtime_abi_stable_and_libloading_are_named_in_their_one_place() {
    let sources = sources::all();
    for (name, home) in CONFINED {
        let uses = |source: &&sources::Source| source.text.contains(name) && !source.is_test();
        let named_in: Vec<_> = sources.iter().filter(uses).map(|source| &source.path).collect();
        assert!(!named_in.is_empty(), "nothing names {name}; mend this test");
        let strays: Vec<_> = named_in.iter().filter(|path| !path.starts_with(home)).collect();
        assert!(strays.is_empty(), "{name} outside {home}: {strays:?}");
    }
}
