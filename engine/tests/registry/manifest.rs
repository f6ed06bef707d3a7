//! The manifest beside a library.

use crate::files::{self, MEMORY};
use crate::registry;
use std::fs;
use supervm_engine::registry::PluginManifest;
use supervm_plugin_sdk::{Capability, ErrorKind};

#[test]
fn a_manifest_reads_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let library = files::copy(MEMORY, dir.path(), "libsupervm_storage_memory.so");
    assert_eq!(PluginManifest::read_beside(&library).unwrap(), None);
    let plugin = registry(&[]).storage(library.to_str().unwrap(), None).unwrap();
    let manifest = PluginManifest::new(plugin.descriptor(), files::sha256(&library));
    manifest.write_beside(&library).unwrap();
    manifest.write_beside(&library).unwrap();
    let read = PluginManifest::read_beside(&library).unwrap().unwrap();
    assert_eq!(read, manifest);
    assert_eq!(read.descriptor().unwrap(), *plugin.descriptor());
    assert!(read.capabilities.unwrap().has(Capability::Snapshot));
    assert!(read.config_schema.contains("quota_bytes"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing temporary stays");
}

#[test]
fn a_damaged_manifest_is_corruption_naming_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("libx.so");
    let path = PluginManifest::path_of(&library);
    for damaged in [&b"name = \"x\""[..], b"\xff\xfe", b"surprise = 1"] {
        fs::write(&path, damaged).unwrap();
        let error = PluginManifest::read_beside(&library).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption);
        assert!(error.to_string().contains("libx.toml"), "{error}");
    }
}
