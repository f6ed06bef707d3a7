//! Opening again, elsewhere, read-only, and what is refused.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::Path;
use std::time::SystemTime;
use supervm_plugin_sdk::load::{self, Plugin};
use supervm_plugin_sdk::prelude::*;
use support::{entries, get, open, plugin, put};

const DATA_FILE: &str = "data.mdb";

fn refused(dir: &Path, mode: OpenMode) -> Error {
    plugin().open_storage(dir, "", mode).map(drop).unwrap_err()
}

/// Name, bytes and time of change of each file.
fn files(dir: &Path) -> BTreeMap<String, (u64, SystemTime)> {
    let describe = |entry: fs::DirEntry| {
        let metadata = entry.metadata().unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, (metadata.len(), metadata.modified().unwrap()))
    };
    fs::read_dir(dir).unwrap().map(|entry| describe(entry.unwrap())).collect()
}

/// The plugin as a shared library, which cargo builds beside this test.
fn shared_library() -> Plugin {
    let test = std::env::current_exe().unwrap();
    let dir = test.parent().unwrap();
    let name = format!("{DLL_PREFIX}supervm_storage_lmdb{DLL_SUFFIX}");
    load::library(&dir.join(name), dir, None).unwrap()
}

#[test]
fn a_directory_opens_again_at_once_fifty_times() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..50u32 {
        let storage = open(dir.path());
        assert_eq!(entries(&*storage).len(), round as usize);
        put(&*storage, &round.to_be_bytes(), b"value").unwrap();
        if round % 2 == 0 {
            storage.close().unwrap();
        }
    }
}

#[test]
fn the_linked_in_plugin_and_the_shared_library_take_turns_in_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let plugins = [plugin(), shared_library()];
    for round in 0..20u32 {
        let plugin = &plugins[round as usize % 2];
        let storage = plugin.open_storage(dir.path(), "", OpenMode::Create).unwrap();
        assert_eq!(entries(&*storage).len(), round as usize);
        put(&*storage, &round.to_be_bytes(), b"value").unwrap();
        let other = &plugins[(round as usize + 1) % 2];
        let error = other.open_storage(dir.path(), "", OpenMode::Create).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
        assert_eq!(get(&*storage, &round.to_be_bytes()).unwrap(), b"value");
    }
}

#[test]
fn a_read_only_open_changes_no_file_and_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    put(&*storage, b"key", b"value").unwrap();
    storage.close().unwrap();
    drop(storage);
    fs::remove_file(dir.path().join("lock.mdb")).unwrap();
    let before = files(dir.path());
    let storage = plugin().open_storage(dir.path(), "", OpenMode::ReadOnly).unwrap();
    assert_eq!(get(&*storage, b"key").unwrap(), b"value");
    drop(storage.snapshot().unwrap().cursor(KeyRange::ALL, Direction::Forward).unwrap());
    assert_eq!(entries(&*storage).len(), 1);
    assert_eq!(storage.verify().unwrap().checked, 1);
    assert!(storage.stats().unwrap().disk_bytes.unwrap() > 0);
    assert_eq!(put(&*storage, b"key", b"other").unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(refused(dir.path(), OpenMode::ReadOnly).kind(), ErrorKind::Locked);
    drop(storage);
    assert_eq!(files(dir.path()), before);
}

#[test]
fn readers_and_a_writer_of_one_directory_exclude_each_other_even_without_the_hosts_lock() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let host_lock = dir.path().join(supervm_plugin_sdk::LOCK_FILE);
    fs::remove_file(&host_lock).unwrap();
    let reader = plugin().open_storage(dir.path(), "", OpenMode::ReadOnly).unwrap();
    assert_eq!(refused(dir.path(), OpenMode::Create).kind(), ErrorKind::Locked);
    drop(reader);
    let writer = open(dir.path());
    fs::remove_file(&host_lock).unwrap();
    assert_eq!(refused(dir.path(), OpenMode::ReadOnly).kind(), ErrorKind::Locked);
    assert_eq!(refused(dir.path(), OpenMode::Create).kind(), ErrorKind::Locked);
    drop(writer);
}

#[test]
fn a_directory_without_a_data_file_is_not_found_unless_it_may_be_made() {
    let dir = tempfile::tempdir().unwrap();
    for mode in [OpenMode::MustExist, OpenMode::ReadOnly] {
        let error = refused(dir.path(), mode);
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains(DATA_FILE), "{error}");
        assert!(!dir.path().join(DATA_FILE).exists() && !dir.path().join("lock.mdb").exists());
    }
}

#[test]
fn a_file_that_is_not_of_lmdb_is_corruption() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(DATA_FILE), vec![7; 64 << 10]).unwrap();
    for mode in [OpenMode::Create, OpenMode::MustExist, OpenMode::ReadOnly] {
        let error = refused(dir.path(), mode);
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
        assert!(error.context().any(|pair| pair == ("lmdb_code", "-30793")), "{error}");
    }
    assert_eq!(fs::read(dir.path().join(DATA_FILE)).unwrap(), vec![7; 64 << 10]);
}

#[test]
fn a_data_file_that_was_cut_is_corruption_and_no_crash() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    for index in 0..2000u32 {
        put(&*storage, &index.to_be_bytes(), &[3; 500]).unwrap();
    }
    drop(storage);
    let file = fs::File::options().write(true).open(dir.path().join(DATA_FILE)).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    for mode in [OpenMode::ReadOnly, OpenMode::MustExist] {
        let error = refused(dir.path(), mode);
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
    }
}

#[test]
fn a_value_that_was_cut_is_corruption_and_not_zeros() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    put(&*storage, b"key", b"first").unwrap();
    put(&*storage, b"large", &vec![3; 1 << 20]).unwrap();
    drop(storage);
    let file = fs::File::options().write(true).open(dir.path().join(DATA_FILE)).unwrap();
    file.set_len(512 << 10).unwrap();
    let error = refused(dir.path(), OpenMode::MustExist);
    assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
}

#[test]
fn a_batch_that_frees_pages_it_allocated_leaves_a_file_that_opens() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    for round in 0..10u32 {
        put(&*storage, b"key", &round.to_be_bytes()).unwrap();
    }
    let mut batch = WriteBatch::new();
    batch.put(b"large", &vec![3; 1 << 20]);
    batch.delete(b"large");
    batch.put(b"key", b"value");
    storage.write(&batch, Durability::Buffered).unwrap();
    drop(storage);
    // LMDB counts the pages of the large value and never wrote them.
    let content = [(b"key".to_vec(), b"value".to_vec())];
    let storage = plugin().open_storage(dir.path(), "", OpenMode::ReadOnly).unwrap();
    assert_eq!(entries(&*storage), content);
    drop(storage);
    // As a process leaves it that is killed right after the commit.
    let file = fs::File::options().write(true).open(dir.path().join(DATA_FILE)).unwrap();
    file.set_len(512 << 10).unwrap();
    assert_eq!(refused(dir.path(), OpenMode::ReadOnly).kind(), ErrorKind::Corruption);
    assert_eq!(entries(&*open(dir.path())), content);
}

#[test]
fn a_checkpoint_opens_read_only_and_for_writing_and_has_no_free_pages() {
    let dir = tempfile::tempdir().unwrap();
    let (home, copy) = (dir.path().join("home"), dir.path().join("copy"));
    let storage = open(&home);
    for index in 0..2000u32 {
        put(&*storage, &(index % 500).to_be_bytes(), &[3; 900]).unwrap();
    }
    storage.checkpoint(&copy).unwrap();
    put(&*storage, b"later", b"value").unwrap();
    let reader = plugin().open_storage(&copy, "", OpenMode::ReadOnly).unwrap();
    let content = entries(&*reader);
    assert_eq!(content.len(), 500);
    drop(reader);
    let writer = open(&copy);
    assert_eq!(entries(&*writer), content);
    put(&*writer, b"own", b"value").unwrap();
    let bytes = |dir: &Path| fs::metadata(dir.join(DATA_FILE)).unwrap().len();
    assert!(bytes(&copy) < bytes(&home), "{} {}", bytes(&copy), bytes(&home));
}
