//! Checkpoints of whole data directories.

use crate::{config, kind, open, open_with};
use std::fs;
use std::path::Path;
use supervm_engine::config::StorageConfig;
use supervm_engine::storage::{MANIFEST_FILE, Manifest, STORE_DIR};
use supervm_plugin_sdk::{ErrorKind, OpenMode};

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_checkpoint_is_a_data_directory_of_the_same_backend_chain_and_state() {
    let dir = tempfile::tempdir().unwrap();
    let source = StorageConfig { chain_id: 7, ..config(&dir.path().join("data")) };
    let storage = open_with("memory", &source, OpenMode::Create).unwrap();
    storage.set(b"a", b"1").unwrap();
    let digest = storage.digest().unwrap();
    let target = dir.path().join("copies/first");
    storage.checkpoint(&target).unwrap();
    storage.set(b"a", b"2").unwrap();
    assert_eq!(names(&target), [STORE_DIR, MANIFEST_FILE]);
    assert_eq!(names(&dir.path().join("copies")), ["first"]);
    assert_eq!(Manifest::read(&target).unwrap().as_ref(), Some(storage.manifest()));
    let copy = StorageConfig { chain_id: 7, ..config(&target) };
    let copy = open_with("memory", &copy, OpenMode::MustExist).unwrap();
    assert_eq!(copy.digest().unwrap(), digest);
    assert_eq!(kind(open("memory", &target)), ErrorKind::FormatMismatch, "another chain");
}

#[test]
fn a_target_that_exists_is_refused_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open("memory", &dir.path().join("data")).unwrap();
    let target = dir.path().join("taken");
    fs::write(&target, b"mine").unwrap();
    assert_eq!(kind(storage.checkpoint(&target)), ErrorKind::InvalidArgument);
    assert_eq!(fs::read(&target).unwrap(), b"mine");
    assert_eq!(kind(storage.checkpoint(Path::new("/"))), ErrorKind::InvalidArgument);
    assert_eq!(names(dir.path()), ["data", "taken"]);
}

#[test]
fn a_checkpoint_that_fails_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open("memory", &dir.path().join("data")).unwrap();
    storage.set(b"a", b"1").unwrap();
    storage.close().unwrap();
    assert_eq!(kind(storage.checkpoint(&dir.path().join("copy"))), ErrorKind::Closed);
    assert_eq!(names(dir.path()), ["data"]);
    let error = storage.checkpoint(Path::new("/sys/supervm-copy")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("/sys/supervm-copy"), "{error}");
}
