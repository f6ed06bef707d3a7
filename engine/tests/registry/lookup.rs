//! From a name or a path to a plugin.

use crate::files::{self, MEMORY, STORAGE_PACK};
use crate::{registry, registry_with};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use supervm_engine::config::{PluginsConfig, StorageConfig};
use supervm_engine::registry::PluginManifest;
use supervm_engine::storage::{OpenOptions, Storage};
use supervm_plugin_sdk::ErrorKind;

const MEMORY_FILE: &str = "libsupervm_storage_memory.so";
const PACK_FILE: &str = "libsupervm_host_storage.so";

#[test]
fn a_loaded_backend_stores_and_only_its_library_is_loaded() {
    if !files::alone("lookup::a_loaded_backend_stores_and_only_its_library_is_loaded") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    files::copy(MEMORY, dir.path(), MEMORY_FILE);
    files::copy(STORAGE_PACK, dir.path(), PACK_FILE);
    let plugin = registry(&[dir.path()]).storage("memory", None).unwrap();
    assert_eq!((files::times_loaded(MEMORY_FILE), files::times_loaded(PACK_FILE)), (1, 0));
    let config = StorageConfig { dir: dir.path().join("data"), ..StorageConfig::default() };
    let storage = Storage::open(&plugin, OpenOptions::from(&config)).unwrap();
    storage.set(b"a", b"1").unwrap();
    assert_eq!(storage.get(b"a").unwrap(), Some(b"1".to_vec()));
}

#[test]
fn the_same_library_is_loaded_once() {
    if !files::alone("lookup::the_same_library_is_loaded_once") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let library = files::copy(MEMORY, dir.path(), MEMORY_FILE);
    for _ in 0..3 {
        registry(&[dir.path()]).storage("memory", None).unwrap();
        registry(&[]).storage(library.to_str().unwrap(), None).unwrap();
    }
    assert_eq!(files::times_loaded(MEMORY_FILE), 1);
}

#[test]
fn an_unknown_name_says_what_there_is_where_it_looked_and_the_nearest_name() {
    let dir = tempfile::tempdir().unwrap();
    files::copy(MEMORY, dir.path(), MEMORY_FILE);
    files::copy(STORAGE_PACK, dir.path(), PACK_FILE);
    let missing = dir.path().join("missing");
    let error = registry(&[dir.path(), &missing]).storage("memroy", None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    let expected =
        "unknown storage backend \"memroy\"; available: memory; did you mean \"memory\"?";
    assert_eq!(error.message(), expected);
    let looked_in = error.context().find(|(name, _)| *name == "looked in").unwrap().1;
    let expected = format!(
        "this program, {} (plugins.dirs), {} (plugins.dirs, missing)",
        dir.path().display(),
        missing.display()
    );
    assert_eq!(looked_in, expected);
    let error = registry(&[]).storage("memory", None).unwrap_err();
    assert!(error.message().ends_with("available: none"), "{error}");
}

#[test]
fn a_host_pack_is_no_storage_backend() {
    let dir = tempfile::tempdir().unwrap();
    let pack = files::copy(STORAGE_PACK, dir.path(), PACK_FILE);
    for name in ["chain", "storage", pack.to_str().unwrap()] {
        let error = registry(&[dir.path()]).storage(name, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("host-pack"), "{error}");
    }
}

#[test]
fn two_libraries_of_one_name_are_refused_with_both_paths() {
    if !files::alone("lookup::two_libraries_of_one_name_are_refused_with_both_paths") {
        return;
    }
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let paths = [&first, &second].map(|dir| files::copy(MEMORY, dir.path(), MEMORY_FILE));
    let error = registry(&[first.path(), second.path()]).storage("memory", None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    for path in &paths {
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    assert_eq!(files::times_loaded(MEMORY_FILE), 0);
}

#[test]
fn one_library_in_two_places_is_one() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let library = files::copy(MEMORY, first.path(), MEMORY_FILE);
    fs::hard_link(&library, second.path().join(MEMORY_FILE)).unwrap();
    symlink(&library, first.path().join("libsupervm_storage_other.so")).unwrap();
    let registry = registry(&[first.path(), second.path()]);
    assert_eq!(registry.storage("memory", None).unwrap().descriptor().name, "memory");
}

#[test]
fn a_library_with_another_file_name_is_asked_for_its_name() {
    let dir = tempfile::tempdir().unwrap();
    files::copy(MEMORY, dir.path(), "libsupervm_custom.so");
    fs::write(dir.path().join("libsupervm_storage_broken.so"), b"no library").unwrap();
    let registry = registry(&[dir.path()]);
    assert_eq!(registry.storage("memory", None).unwrap().descriptor().name, "memory");
    let error = registry.storage("postgres", None).unwrap_err();
    assert!(error.message().contains("memory"), "{error}");
    assert!(error.to_string().contains("no shared library"), "{error}");
}

#[test]
fn a_foreign_library_counts_only_with_a_manifest_beside_it() {
    if !files::alone("lookup::a_foreign_library_counts_only_with_a_manifest_beside_it") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let library = files::copy(MEMORY, dir.path(), "libbackend.so");
    let unknown = registry(&[dir.path()]).storage("memory", None).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::ConfigInvalid);
    assert_eq!(files::times_loaded("libbackend.so"), 0);
    let plugin = registry(&[]).storage(library.to_str().unwrap(), None).unwrap();
    let manifest = PluginManifest::new(plugin.descriptor(), files::sha256(&library));
    manifest.write_beside(&library).unwrap();
    registry(&[dir.path()]).storage("memory", None).unwrap();
    let stale = PluginManifest { name: "mislabelled".to_owned(), ..manifest };
    stale.write_beside(&library).unwrap();
    let error = registry(&[dir.path()]).storage("mislabelled", None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert!(error.message().contains("\"memory\""), "{error}");
}

#[test]
fn a_library_without_the_required_pin_is_refused_with_the_hash_to_pin() {
    if !files::alone("lookup::a_library_without_the_required_pin_is_refused_with_the_hash_to_pin") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let library = files::copy(MEMORY, dir.path(), MEMORY_FILE);
    let sha256 = files::sha256(&library);
    let dirs = vec![dir.path().to_owned()];
    let registry =
        registry_with(PluginsConfig { dirs, require_pinned: true, ..PluginsConfig::default() });
    for name in ["memory", library.to_str().unwrap()] {
        let error = registry.storage(name, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.message().contains(&format!("sha256 = \"{sha256}\"")), "{error}");
        let error = registry.storage(name, Some(&"0".repeat(64))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert_eq!(files::times_loaded(MEMORY_FILE), 0);
    }
    for name in ["memory", library.to_str().unwrap()] {
        registry.storage(name, Some(&sha256.to_uppercase())).unwrap();
        let error = registry.storage(name, Some(&"0".repeat(64))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "a loaded library is checked too");
    }
}

#[test]
fn a_pin_for_a_linked_in_plugin_is_refused() {
    let error = registry(&[]).storage("chain", Some(&"0".repeat(64))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.message().contains("linked into"), "{error}");
}

#[test]
fn what_the_path_policy_refuses_is_not_loaded() {
    if !files::alone("lookup::what_the_path_policy_refuses_is_not_loaded") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let library = files::copy(MEMORY, outside.path(), "anything.so");
    let link = dir.path().join(MEMORY_FILE);
    symlink(&library, &link).unwrap();
    for name in ["memory", link.to_str().unwrap()] {
        let error = registry(&[dir.path()]).storage(name, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.message().contains("leads out"), "{error}");
    }
    assert_eq!(files::times_loaded("anything.so"), 0);
    registry(&[]).storage(library.to_str().unwrap(), None).unwrap();
    let error = registry(&[dir.path()]).storage("memory", None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "loaded from elsewhere is no excuse");
    let writable = tempfile::tempdir().unwrap();
    let library = files::copy(MEMORY, writable.path(), MEMORY_FILE);
    fs::set_permissions(&library, fs::Permissions::from_mode(0o666)).unwrap();
    let error = registry(&[writable.path()]).storage("memory", None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[test]
fn a_path_to_nothing_is_not_found_and_one_to_a_directory_is_no_library() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none.so");
    let error = registry(&[]).storage(path.to_str().unwrap(), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    let error = registry(&[]).storage(dir.path().to_str().unwrap(), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}
