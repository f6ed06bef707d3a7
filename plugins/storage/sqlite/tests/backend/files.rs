//! The files: creation, formats, read-only opening, a killed writer, checkpoints.

use crate::*;
use std::os::unix::ffi::OsStringExt;

const DATABASE: &str = "storage.sqlite3";

#[test]
fn a_closed_storage_is_one_file_and_opens_again() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 1000, 100);
    let content = entries(&*storage);
    storage.close().unwrap();
    let names: Vec<_> = listing(dir.path()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [DATABASE, "supervm.lock"]);
    drop(storage);
    assert_eq!(entries(&*open_with(dir.path(), "", OpenMode::MustExist).unwrap()), content);
}

#[test]
fn a_dropped_storage_keeps_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    put(&*open(dir.path()), b"a", b"1").unwrap();
    assert_eq!(value(&*open(dir.path()), b"a"), Some(b"1".to_vec()));
}

#[test]
fn what_a_killed_process_wrote_is_there_at_the_next_open() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let storage = open(dir.path());
    fill(&*storage, 500, 50);
    kill_into(dir.path(), killed.path());
    assert_eq!(entries(&*open(killed.path())), entries(&*storage));
}

#[test]
fn a_log_that_is_cut_loses_its_end_and_nothing_before() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let storage = open(dir.path());
    for key in 0..50u8 {
        put(&*storage, &[key], &[key; 3000]).unwrap();
    }
    let wal = dir.path().join("storage.sqlite3-wal");
    let whole = fs::read(&wal).unwrap();
    let mut found = Vec::new();
    for length in (0..whole.len()).step_by(7001) {
        kill_into(dir.path(), killed.path());
        fs::write(killed.path().join("storage.sqlite3-wal"), &whole[..length]).unwrap();
        let reopened = open(killed.path());
        let keys: Vec<_> = entries(&*reopened).into_iter().map(|(key, _)| key[0]).collect();
        assert_eq!(keys, (0..keys.len() as u8).collect::<Vec<_>>(), "a hole after {length} bytes");
        found.push(keys.len());
        drop(reopened);
        listing(killed.path())
            .iter()
            .for_each(|(name, _)| fs::remove_file(killed.path().join(name)).unwrap());
    }
    assert!(found.is_sorted() && found[0] == 0 && found[found.len() - 1] > 40, "{found:?}");
}

#[test]
fn a_creation_that_was_killed_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("storage.sqlite3.partial"), b"half").unwrap();
    assert_eq!(refused(dir.path(), "", OpenMode::MustExist).kind(), ErrorKind::NotFound);
    put(&*open(dir.path()), b"a", b"").unwrap();
    assert!(!dir.path().join("storage.sqlite3.partial").exists());
}

#[test]
fn a_log_without_its_database_is_corruption_and_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let wal = dir.path().join("storage.sqlite3-wal");
    fs::write(&wal, b"frames").unwrap();
    let error = refused(dir.path(), "", OpenMode::Create);
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert!(error.to_string().contains("storage.sqlite3-wal"), "{error}");
    assert_eq!(fs::read(&wal).unwrap(), b"frames");
}

#[test]
fn a_file_of_another_kind_or_program_or_version_is_a_format_mismatch() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(DATABASE);
    fs::write(&file, [7; 8192]).unwrap();
    let error = refused(dir.path(), "", OpenMode::Create);
    assert_eq!(error.kind(), ErrorKind::FormatMismatch, "{error}");
    assert!(error.context().any(|pair| pair == ("sqlite_code", "SQLITE_NOTADB")), "{error}");
    for (pragma, named) in [("application_id", "another program"), ("user_version", "version 7")] {
        fs::remove_file(&file).unwrap();
        drop(open(dir.path()));
        let other = rusqlite::Connection::open(&file).unwrap();
        other.execute_batch(&format!("PRAGMA {pragma} = 7")).unwrap();
        drop(other);
        let error = refused(dir.path(), "", OpenMode::ReadOnly);
        assert_eq!(error.kind(), ErrorKind::FormatMismatch);
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn a_cut_database_is_corruption() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 2000, 100);
    storage.close().unwrap();
    drop(storage);
    let file = dir.path().join(DATABASE);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, b"").unwrap();
    assert_eq!(refused(dir.path(), "", OpenMode::Create).kind(), ErrorKind::Corruption);
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let kind = match open_with(dir.path(), "", OpenMode::Create) {
        Err(error) => error.kind(),
        Ok(storage) => {
            let mut cursor = storage.cursor(KeyRange::ALL, Direction::Forward).unwrap();
            let mut page = Page::new();
            loop {
                page.clear();
                match cursor.next_page(&mut page) {
                    Ok(end) => assert_eq!(end, PageEnd::More, "taken for the end of the data"),
                    Err(error) => break error.kind(),
                }
            }
        }
    };
    assert_eq!(kind, ErrorKind::Corruption);
}

#[test]
fn verify_reports_a_page_that_was_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 2000, 100);
    let report = storage.verify().unwrap();
    assert!(report.checked > 25 && report.problems.is_empty(), "{report:?}");
    storage.close().unwrap();
    drop(storage);
    let file = dir.path().join(DATABASE);
    let mut damaged = fs::read(&file).unwrap();
    damaged[10 * 8192..11 * 8192].fill(0xa5);
    fs::write(&file, damaged).unwrap();
    let report = open(dir.path()).verify().unwrap();
    assert!(!report.problems.is_empty());
}

#[test]
fn a_read_only_open_leaves_a_closed_storage_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 300, 20);
    let content = entries(&*storage);
    storage.close().unwrap();
    drop(storage);
    let before = listing(dir.path());
    let storage = open_with(dir.path(), "", OpenMode::ReadOnly).unwrap();
    let other = open_with(dir.path(), "", OpenMode::ReadOnly).unwrap();
    assert_eq!(entries(&*storage), content);
    assert_eq!(value(&*other, &[0; 4]), Some(vec![0; 20]));
    assert!(storage.verify().unwrap().problems.is_empty());
    assert_eq!(put(&*storage, b"a", b"").unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(listing(dir.path()), before, "while it is open");
    storage.close().unwrap();
    drop((storage, other));
    assert_eq!(listing(dir.path()), before, "after it was closed");
}

#[test]
fn a_directory_without_a_database_is_not_found_unless_it_may_be_created() {
    let dir = tempfile::tempdir().unwrap();
    for mode in [OpenMode::MustExist, OpenMode::ReadOnly] {
        let error = refused(dir.path(), "", mode);
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(!dir.path().join(DATABASE).exists());
    }
}

#[test]
fn a_directory_may_have_any_name() {
    let dir = tempfile::tempdir().unwrap();
    let names = [b"a?mode=memory".to_vec(), b"b#c%20d".to_vec(), vec![b'e', 0xff, b'&']];
    for name in names {
        let inner = dir.path().join(std::ffi::OsString::from_vec(name));
        let storage = open(&inner);
        put(&*storage, b"a", b"1").unwrap();
        drop(storage);
        assert!(inner.join(DATABASE).is_file());
        assert_eq!(value(&*open(&inner), b"a"), Some(b"1".to_vec()));
    }
}

#[test]
fn a_checkpoint_holds_its_moment_as_one_file_and_takes_no_writes_along() {
    let dir = tempfile::tempdir().unwrap();
    let (store, copy) = (dir.path().join("store"), dir.path().join("copy"));
    let storage = open(&store);
    fill(&*storage, 1000, 100);
    let content = entries(&*storage);
    storage.checkpoint(&copy).unwrap();
    fill(&*storage, 2000, 10);
    let names: Vec<_> = listing(&copy).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [DATABASE]);
    assert_eq!(entries(&*open_with(&copy, "", OpenMode::ReadOnly).unwrap()), content);
    let opened = open_with(&copy, "", OpenMode::MustExist).unwrap();
    put(&*opened, b"new", b"").unwrap();
    assert_eq!(entries(&*opened).len(), content.len() + 1);
}
