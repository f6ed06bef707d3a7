//! What is in the directory: what is looked at before RocksDB is, what is left as it is, what is shared with a checkpoint.

use crate::*;
use std::os::unix::fs::MetadataExt;

#[test]
fn a_read_only_open_changes_no_file_and_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 2000, 100);
    storage.compact(KeyRange::ALL).unwrap();
    fill(&*storage, 3000, 100);
    let content = entries(&*storage);
    // Not closed: what a killed process leaves, with entries in the log.
    drop(storage);
    let before = listing(dir.path());
    let storage = open_with(dir.path(), "", OpenMode::ReadOnly).unwrap();
    assert_eq!(entries(&*storage), content);
    assert_eq!(storage.verify().unwrap().problems, [""; 0]);
    storage.stats().unwrap();
    assert!(storage.size_on_disk(KeyRange::ALL).unwrap() > 200_000);
    storage.close().unwrap();
    drop(storage);
    assert!(listing(dir.path()) == before, "a file changed");
}

#[test]
fn a_read_only_storage_has_checkpoints_too() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    let storage = open(&source);
    fill(&*storage, 2000, 100);
    storage.compact(KeyRange::ALL).unwrap();
    fill(&*storage, 3000, 100);
    let content = entries(&*storage);
    drop(storage);
    let before = listing(&source);
    open_with(&source, "", OpenMode::ReadOnly).unwrap().checkpoint(&target).unwrap();
    assert!(listing(&source) == before, "a file changed");
    let copy = open_with(&target, "", OpenMode::MustExist).unwrap();
    assert_eq!(entries(&*copy), content);
    put(&*copy, b"later", b"");
    copy.compact(KeyRange::ALL).unwrap();
    copy.close().unwrap();
    assert!(listing(&source) == before, "a write to the copy reached the source");
}

#[test]
fn a_checkpoint_shares_its_tables_with_the_storage() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    let storage = open(&source);
    fill(&*storage, 2000, 100);
    storage.checkpoint(&target).unwrap();
    let inode = |path: &PathBuf| fs::metadata(path).unwrap().ino();
    let (tables, copies) = (files(&source, ".sst"), files(&target, ".sst"));
    assert_eq!(copies.len(), 1);
    let names = |paths: &[PathBuf]| paths.iter().map(inode).collect::<Vec<_>>();
    assert_eq!(names(&tables), names(&copies));
    drop(storage);
    fs::remove_dir_all(&source).unwrap();
    assert_eq!(entries(&*open_with(&target, "", OpenMode::MustExist).unwrap()).len(), 2000);
}

#[test]
fn a_checkpoint_may_have_a_name_that_is_no_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let odd = dir.path().join(std::ffi::OsStr::from_bytes(b"no \xff utf-8"));
    let storage = open(&odd.join("store"));
    put(&*storage, b"key", b"value");
    assert!(odd.join("store").join("CURRENT").exists());
    storage.checkpoint(&odd.join("copy")).unwrap();
    drop(storage);
    let copy = open_with(&odd.join("copy"), "", OpenMode::MustExist).unwrap();
    assert_eq!(value(&*copy, b"key").unwrap(), Some(b"value".to_vec()));
    assert_eq!(copy.verify().unwrap().problems, [""; 0]);
}

#[test]
fn files_of_others_stay_and_hinder_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["notes.txt", "server.log", "x.sst"];
    names.iter().for_each(|name| fs::write(dir.path().join(name), "mine").unwrap());
    assert_eq!(refused(dir.path(), "", OpenMode::MustExist).kind(), ErrorKind::NotFound);
    assert_eq!(listing(dir.path()).len(), names.len(), "nothing was created");
    let storage = open(dir.path());
    fill(&*storage, 1000, 100);
    storage.compact(KeyRange::ALL).unwrap();
    storage.close().unwrap();
    for name in names {
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), b"mine");
    }
}

#[test]
fn a_directory_of_leveldb_is_a_format_mismatch() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("CURRENT"), "MANIFEST-000002\n").unwrap();
    fs::write(dir.path().join("000005.ldb"), "a table").unwrap();
    let before = listing(dir.path());
    let error = refused(dir.path(), "", OpenMode::Create);
    assert_eq!(error.kind(), ErrorKind::FormatMismatch);
    assert!(error.to_string().contains("leveldb"), "{error}");
    assert!(listing(dir.path()) == before);
}

#[test]
fn an_opening_that_was_killed_at_its_beginning_hinders_no_other() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("MANIFEST-000001"), "half a li").unwrap();
    fs::write(dir.path().join("000001.dbtmp"), "MANIF").unwrap();
    fs::write(dir.path().join("LOG"), "").unwrap();
    assert_eq!(refused(dir.path(), "", OpenMode::MustExist).kind(), ErrorKind::NotFound);
    put(&*open(dir.path()), b"key", b"value");
    assert_eq!(entries(&*open(dir.path())).len(), 1);
}

#[test]
fn a_directory_that_another_program_has_open_is_locked() {
    let dir = tempfile::tempdir().unwrap();
    let other = rocksdb::DB::open_default(dir.path()).unwrap();
    assert_eq!(refused(dir.path(), "", OpenMode::Create).kind(), ErrorKind::Locked);
    drop(other);
    open(dir.path());
}

#[test]
fn a_closed_storage_has_everything_in_its_tables() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 1000, 100);
    storage.close().unwrap();
    drop(storage);
    // A log that is kept to be written over may still have the old bytes. Nothing of them counts.
    for log in files(dir.path(), ".log") {
        let length = fs::metadata(&log).unwrap().len();
        fs::write(log, vec![0; length as usize]).unwrap();
    }
    assert_eq!(entries(&*open(dir.path())).len(), 1000);
}

#[test]
fn the_info_log_does_not_grow_with_the_number_of_openings() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..12 {
        open(dir.path()).close().unwrap();
    }
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let logs = names.filter(|name| name.to_string_lossy().starts_with("LOG")).count() - 1;
    assert!(logs <= 5, "{logs} files beside LOCK");
}
