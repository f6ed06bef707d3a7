//! The host packs that contracts get.

use crate::files::{self, STORAGE_PACK};
use crate::registry_with;
use std::path::Path;
use supervm_engine::config::PluginsConfig;
use supervm_plugin_sdk::ErrorKind;
use supervm_plugin_sdk::prelude::*;

const FILE: &str = "libsupervm_host_storage.so";

/// A pack with a function that `storage` has too, in the same module.
pub(crate) struct Rogue;

static FUNCTIONS: [HostFunction; 2] =
    [HostFunction::new("storage_get", &[], None), HostFunction::new("weather", &[], None)];

impl HostPack for Rogue {
    const MODULE: &'static str = "storage_api";
    const DETERMINISTIC: bool = false;

    fn functions() -> &'static [HostFunction] {
        &FUNCTIONS
    }
}

fn config(dir: &Path, packs: &[&str]) -> PluginsConfig {
    PluginsConfig {
        dirs: vec![dir.to_owned()],
        packs: packs.iter().map(|pack| (*pack).to_owned()).collect(),
        allow_nondeterministic: true,
        ..PluginsConfig::default()
    }
}

#[test]
fn linked_in_packs_are_sorted_by_module_and_a_file_is_no_pack_until_it_is_named() {
    if !files::alone(
        "packs::linked_in_packs_are_sorted_by_module_and_a_file_is_no_pack_until_it_is_named",
    ) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    files::copy(STORAGE_PACK, dir.path(), FILE);
    let packs = registry_with(config(dir.path(), &["chain"])).host_packs().unwrap();
    let names: Vec<_> = packs.iter().map(|pack| pack.descriptor().name.as_str()).collect();
    assert_eq!(names, ["chain", "rogue"]);
    assert_eq!(files::times_loaded(FILE), 0);
}

#[test]
fn a_pack_that_is_not_deterministic_is_refused_unless_allowed() {
    let error = registry_with(PluginsConfig::default()).host_packs().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.message().contains("\"rogue\""), "{error}");
    assert!(error.message().contains("allow_nondeterministic"), "{error}");
}

#[test]
fn two_packs_with_one_function_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let library = files::copy(STORAGE_PACK, dir.path(), FILE);
    for pack in ["storage", library.to_str().unwrap()] {
        let error = registry_with(config(dir.path(), &[pack])).host_packs().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        for named in ["\"rogue\"", "\"storage\"", "\"storage_get\"", "\"storage_api\""] {
            assert!(error.message().contains(named), "{error}");
        }
    }
}

#[test]
fn a_packs_pin_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let library = files::copy(STORAGE_PACK, dir.path(), FILE);
    let mut config = config(dir.path(), &["storage"]);
    config.sha256.insert("storage".to_owned(), "0".repeat(64));
    let error = registry_with(config).host_packs().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains(&files::sha256(&library)), "{error}");
}

#[test]
fn an_unknown_pack_says_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let error = registry_with(config(dir.path(), &["chian"])).host_packs().unwrap_err();
    let expected = "unknown host pack \"chian\"; available: chain, rogue; did you mean \"chain\"?";
    assert_eq!(error.message(), expected);
}
