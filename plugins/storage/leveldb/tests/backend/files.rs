//! The directory: what is in it, what is not touched, checkpoints, and the sizes that are told.

use crate::*;

#[test]
fn without_a_database_must_exist_is_not_found_and_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.txt"), b"mine").unwrap();
    let error = refused(dir.path(), "", OpenMode::MustExist);
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert_eq!(files(dir.path(), ""), [dir.path().join("notes.txt")]);
}

#[test]
fn a_read_only_opening_is_not_declared_and_refused() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    assert!(!storage.capabilities().has(Capability::ReadOnlyOpen));
    drop(storage);
    let before = listing(dir.path());
    assert_eq!(refused(dir.path(), "", OpenMode::ReadOnly).kind(), ErrorKind::Unsupported);
    assert!(listing(dir.path()) == before);
}

#[test]
fn files_of_others_stay_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["notes.txt", "access.log", "5.log.gz", "MANIFEST-old"] {
        fs::write(dir.path().join(name), b"mine").unwrap();
    }
    let storage = open(dir.path());
    fill(&*storage, 1000, 100);
    storage.compact(KeyRange::ALL).unwrap();
    storage.close().unwrap();
    drop(storage);
    drop(open(dir.path()));
    for name in ["notes.txt", "access.log", "5.log.gz", "MANIFEST-old"] {
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), b"mine", "{name}");
    }
}

#[test]
fn a_file_that_leveldb_would_take_for_its_own_keeps_a_database_from_being_made() {
    for name in ["000004.log", "7.ldb", "000009.sst", "MANIFEST-000007"] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), b"mine").unwrap();
        let error = refused(dir.path(), "", OpenMode::Create);
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), b"mine");
    }
}

#[test]
fn a_creation_that_was_killed_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["MANIFEST-000001", "000001.dbtmp", "LOG", "LOCK"] {
        fs::write(dir.path().join(name), b"").unwrap();
    }
    assert_eq!(refused(dir.path(), "", OpenMode::MustExist).kind(), ErrorKind::NotFound);
    put(&*open(dir.path()), b"a", b"1").unwrap();
    assert_eq!(get(&*open(dir.path()), b"a").unwrap(), Some(b"1".to_vec()));
}

#[test]
fn a_checkpoint_holds_its_moment_in_tables_and_takes_no_writes_along() {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy");
    let storage = open(&dir.path().join("store"));
    fill(&*storage, 5000, 1000);
    let content = entries(&*storage);
    storage.checkpoint(&copy).unwrap();
    fill(&*storage, 6000, 10);
    let log_bytes: u64 =
        files(&copy, ".log").iter().map(|log| fs::metadata(log).unwrap().len()).sum();
    assert!(log_bytes < 100, "{log_bytes} bytes that a cut would take unnoticed");
    let opened = open_with(&copy, "", OpenMode::MustExist).unwrap();
    assert_eq!(entries(&*opened), content);
    assert!(opened.verify().unwrap().problems.is_empty());
    put(&*opened, b"new", b"").unwrap();
    assert_eq!(entries(&*opened).len(), content.len() + 1);
}

#[test]
fn the_size_of_a_range_counts_logs_and_tables_alike() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 1000, 1000);
    let half = KeyRange::new(&[], Some(&[0, 0, 1, 0xf4]));
    for is_in_tables in [false, true] {
        if is_in_tables {
            storage.compact(KeyRange::ALL).unwrap();
        }
        let (all, half) = (storage.size_on_disk(KeyRange::ALL), storage.size_on_disk(half));
        let (all, half) = (all.unwrap(), half.unwrap());
        assert!((900_000..1_200_000).contains(&all), "{all}, in tables: {is_in_tables}");
        assert!((400_000..600_000).contains(&half), "{half}, in tables: {is_in_tables}");
    }
    assert_eq!(storage.size_on_disk(KeyRange::new(b"b", Some(b"a"))).unwrap(), 0);
}

#[test]
fn compaction_gives_back_the_space_of_deleted_entries() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 5000, 1000);
    storage.compact(KeyRange::ALL).unwrap();
    let mut batch = WriteBatch::new();
    batch.delete_range(KeyRange::ALL);
    storage.write(&batch, Durability::Buffered).unwrap();
    assert!(storage.stats().unwrap().disk_bytes.unwrap() > 5_000_000);
    storage.compact(KeyRange::ALL).unwrap();
    assert!(storage.stats().unwrap().disk_bytes.unwrap() < 100_000);
    assert_eq!(figure(&*storage, "tables"), 0);
}
