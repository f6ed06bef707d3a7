//! What is done once for every backend: locks, modes, poisoning, undeclared capabilities, bounds, checkpoints.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "guard/backend.rs"]
mod backend;

use backend::Scripted;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;
use supervm_plugin_sdk::prelude::*;
use supervm_plugin_sdk::{CURSORS_MAX, LOCK_FILE, SNAPSHOTS_MAX, load};
use tempfile::TempDir;

export_plugin!(storage: Scripted, name: "scripted");

type Storage = Box<dyn StorageBackend>;

fn open_as(dir: &Path, mode: OpenMode, failure: &str) -> Result<Storage> {
    let plugin = load::linked().unwrap().remove(0);
    plugin.open_storage(dir, &format!("failure = \"{failure}\""), mode)
}

fn open(dir: &Path) -> Result<Storage> {
    open_as(dir, OpenMode::Create, "none")
}

fn failing(failure: &str) -> (TempDir, Storage) {
    let dir = tempfile::tempdir().unwrap();
    let storage = open_as(&dir.path().join("data"), OpenMode::Create, failure).unwrap();
    (dir, storage)
}

fn put(storage: &Storage, key: &str) -> Result<()> {
    let mut batch = WriteBatch::new();
    batch.put(key.as_bytes(), b"value");
    storage.write(&batch, Durability::Synced)
}

fn get(storage: &Storage, key: &str) -> Result<bool> {
    storage.get(key.as_bytes(), &mut ByteBuf::new())
}

fn cursor(storage: &Storage) -> Result<Box<dyn Cursor>> {
    storage.cursor(KeyRange::ALL, Direction::Forward)
}

#[track_caller]
fn kind<T>(outcome: Result<T>) -> ErrorKind {
    outcome.map(drop).expect_err("refused").kind()
}

/// Every file below `dir`, with the time of its last change.
fn files(dir: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut found = BTreeMap::new();
    found.insert(dir.to_owned(), dir.metadata().unwrap().modified().unwrap());
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.append(&mut files(&entry.path()));
        } else {
            found.insert(entry.path(), entry.metadata().unwrap().modified().unwrap());
        }
    }
    found
}

/// Another process that holds the lock of `file` until its standard input ends.
fn locked_by_another_process(file: &Path) -> Child {
    let mut child = Command::new("flock")
        .arg(file)
        .args(["sh", "-c", "echo locked; read -r _"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "locked\n");
    child
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[test]
fn a_directory_is_opened_for_writing_once_across_processes() {
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join(LOCK_FILE);
    let storage = open(dir.path()).unwrap();
    let error = open(dir.path()).map(drop).expect_err("in use");
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
    let other = Command::new("flock").arg("--nonblock").arg(&lock).arg("true").status().unwrap();
    assert!(!other.success(), "another process got the lock");
    drop(storage);
    let other = locked_by_another_process(&lock);
    assert_eq!(kind(open(dir.path())), ErrorKind::Locked);
    assert_eq!(kind(open_as(dir.path(), OpenMode::MustExist, "none")), ErrorKind::Locked);
    assert_eq!(kind(open_as(dir.path(), OpenMode::ReadOnly, "none")), ErrorKind::Locked);
    end(other);
    open(dir.path()).unwrap();
}

#[test]
fn readers_share_a_directory_and_keep_writers_out() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("content"), "{}").unwrap();
    drop(open(dir.path()).unwrap());
    let readers = [(); 2].map(|()| open_as(dir.path(), OpenMode::ReadOnly, "none").unwrap());
    assert_eq!(kind(open(dir.path())), ErrorKind::Locked);
    drop(readers);
    open(dir.path()).unwrap();
}

#[test]
fn a_read_only_storage_changes_no_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("content"), r#"{"key": "value"}"#).unwrap();
    let before = files(dir.path());
    let storage = open_as(dir.path(), OpenMode::ReadOnly, "none").unwrap();
    assert!(get(&storage, "key").unwrap());
    assert_eq!(kind(put(&storage, "key")), ErrorKind::ReadOnly);
    assert_eq!(kind(storage.flush(Durability::Synced)), ErrorKind::ReadOnly);
    storage.close().unwrap();
    assert_eq!(files(dir.path()), before);
    let missing = dir.path().join("missing");
    assert_eq!(kind(open_as(&missing, OpenMode::ReadOnly, "none")), ErrorKind::NotFound);
    assert!(!missing.exists());
}

#[test]
fn must_exist_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let error = open_as(&missing, OpenMode::MustExist, "none").map(drop).expect_err("missing");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(&missing.display().to_string()), "{error}");
    // A directory that is there and holds no storage.
    assert_eq!(kind(open_as(dir.path(), OpenMode::MustExist, "none")), ErrorKind::NotFound);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_storage_in_use_is_not_closed_and_goes_on() {
    let (_dir, storage) = failing("none");
    let (snapshot, open_cursor) = (storage.snapshot().unwrap(), cursor(&storage).unwrap());
    let error = storage.close().expect_err("in use");
    assert_eq!(error.kind(), ErrorKind::Busy);
    let counts: Vec<_> = error.context().collect();
    assert_eq!(counts, [("cursors", "1"), ("snapshots", "1")]);
    put(&storage, "key").unwrap();
    drop((snapshot, cursor(&storage).unwrap(), open_cursor));
    storage.close().unwrap();
}

#[test]
fn a_closed_storage_refuses_everything() {
    let (dir, storage) = failing("none");
    storage.close().unwrap();
    for outcome in [
        get(&storage, "key").map(drop),
        storage.multi_get(&[b"key"], &mut Values::new()),
        put(&storage, "key"),
        storage.snapshot().map(drop),
        cursor(&storage).map(drop),
        storage.flush(Durability::Buffered),
        storage.stats().map(drop),
        storage.checkpoint(&dir.path().join("copy")),
        storage.close(),
    ] {
        assert_eq!(kind(outcome), ErrorKind::Closed);
    }
}

#[test]
fn an_unknown_effect_ends_writing_until_the_storage_is_reopened() {
    for (failure, first) in [
        ("write-unknown", ErrorKind::Io),
        ("flush-fails", ErrorKind::Io),
        ("flush-finds-no-space", ErrorKind::NoSpace),
    ] {
        let (dir, storage) = failing(failure);
        let outcome = put(&storage, "key").and_then(|()| storage.flush(Durability::Synced));
        let error = outcome.expect_err(failure);
        assert_eq!((error.kind(), error.effect()), (first, Effect::Unknown), "{failure}");
        assert_eq!(kind(put(&storage, "key")), ErrorKind::Poisoned, "{failure}");
        // A failed sync is not tried again.
        assert_eq!(kind(storage.flush(Durability::Synced)), ErrorKind::Poisoned, "{failure}");
        get(&storage, "key").unwrap();
        drop(cursor(&storage).unwrap());
        storage.close().unwrap();
        drop(storage);
        put(&open(&dir.path().join("data")).unwrap(), "key").unwrap();
    }
}

#[test]
fn a_write_that_was_not_applied_may_be_repeated() {
    let (_dir, storage) = failing("write-not-applied");
    for _ in 0..2 {
        assert_eq!(kind(put(&storage, "key")), ErrorKind::Io);
    }
}

#[test]
fn a_panic_ends_reading_too_and_in_every_view() {
    let (_dir, storage) = failing("write-panics");
    let snapshot = storage.snapshot().unwrap();
    let mut open_cursor = cursor(&storage).unwrap();
    let error = put(&storage, "key").expect_err("panics");
    assert_eq!((error.kind(), error.effect()), (ErrorKind::PluginPanicked, Effect::Unknown));
    let mut value = ByteBuf::new();
    for outcome in [
        get(&storage, "key").map(drop),
        put(&storage, "key"),
        snapshot.get(b"key", &mut value).map(drop),
        open_cursor.next_page(&mut Page::new()).map(drop),
        open_cursor.seek(b"key"),
    ] {
        assert_eq!(kind(outcome), ErrorKind::Poisoned);
    }
}

#[test]
fn what_is_undeclared_is_refused_before_the_backend_is_asked() {
    let (_dir, storage) = failing("none");
    let snapshot = storage.snapshot().unwrap();
    for (outcome, capability) in [
        (storage.compact(KeyRange::ALL), "compact"),
        (storage.verify().map(drop), "verify"),
        (storage.size_on_disk(KeyRange::ALL).map(drop), "size_on_disk"),
        (storage.cursor(KeyRange::ALL, Direction::Reverse).map(drop), "reverse_cursor"),
        (snapshot.cursor(KeyRange::ALL, Direction::Reverse).map(drop), "reverse_cursor"),
    ] {
        let error = outcome.expect_err("undeclared");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(capability), "{error}");
    }
    // What was refused is not counted.
    drop(snapshot);
    assert_eq!(storage.stats().unwrap().live_cursors, 0);
}

#[test]
fn a_cursor_repeats_its_first_error() {
    let (_dir, storage) = failing("cursor-breaks-once");
    let mut broken = cursor(&storage).unwrap();
    let first = broken.next_page(&mut Page::new()).expect_err("breaks").to_string();
    assert!(first.contains("sector 9 is unreadable"), "{first}");
    for outcome in [broken.seek(b"key"), broken.next_page(&mut Page::new()).map(drop)] {
        assert_eq!(outcome.expect_err("sticky").to_string(), first);
    }
    get(&storage, "key").unwrap();
}

#[test]
fn a_seek_to_a_key_that_is_too_long_is_refused_and_not_kept() {
    let (_dir, storage) = failing("none");
    let mut usable = cursor(&storage).unwrap();
    assert_eq!(kind(usable.seek(&[1; 512])), ErrorKind::KeyTooLarge);
    usable.seek(b"key").unwrap();
    assert_eq!(usable.next_page(&mut Page::new()).unwrap(), PageEnd::End);
}

#[test]
fn cursors_and_snapshots_are_bounded() {
    let (_dir, storage) = failing("none");
    let snapshot = storage.snapshot().unwrap();
    let mut cursors: Vec<_> = (0..CURSORS_MAX).map(|_| cursor(&storage).unwrap()).collect();
    assert_eq!(kind(cursor(&storage)), ErrorKind::Busy);
    assert_eq!(kind(snapshot.cursor(KeyRange::ALL, Direction::Forward)), ErrorKind::Busy);
    cursors.pop();
    cursors.push(snapshot.cursor(KeyRange::ALL, Direction::Forward).unwrap());
    assert_eq!(kind(cursor(&storage)), ErrorKind::Busy);
    assert_eq!(storage.stats().unwrap().live_cursors, CURSORS_MAX as u64);
    let snapshots: Vec<_> = (1..SNAPSHOTS_MAX).map(|_| storage.snapshot().unwrap()).collect();
    assert_eq!(kind(storage.snapshot()), ErrorKind::Busy);
    drop((cursors, snapshots, snapshot));
    storage.close().unwrap();
}

mod checkpoints {
    use super::*;

    fn content(storage: &Storage, dir: &TempDir) -> PathBuf {
        put(storage, "key").unwrap();
        dir.path().join("copy-of-it")
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_checkpoint_opens_with_what_was_written() {
        let (dir, storage) = failing("none");
        let target = content(&storage, &dir);
        storage.checkpoint(&target).unwrap();
        assert_eq!(names(dir.path()), ["copy-of-it", "data"]);
        let copy = open_as(&target, OpenMode::MustExist, "none").unwrap();
        assert!(get(&copy, "key").unwrap());
    }

    #[test]
    fn a_target_that_exists_is_left_alone() {
        let (dir, storage) = failing("none");
        let target = content(&storage, &dir);
        fs::create_dir(&target).unwrap();
        let error = storage.checkpoint(&target).expect_err("exists");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("the target exists"), "{error}");
        assert_eq!(names(dir.path()), ["copy-of-it", "data"]);
        assert_eq!(names(&target), [""; 0]);
    }

    #[test]
    fn a_target_that_appears_meanwhile_is_left_alone() {
        let (dir, storage) = failing("checkpoint-is-overtaken");
        let target = content(&storage, &dir);
        let error = storage.checkpoint(&target).expect_err("exists");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert_eq!(names(dir.path()), ["copy-of-it", "data"]);
        assert_eq!(names(&target), [""; 0]);
    }

    #[test]
    fn a_failed_checkpoint_leaves_nothing() {
        let (dir, storage) = failing("checkpoint-fails");
        let target = content(&storage, &dir);
        assert_eq!(kind(storage.checkpoint(&target)), ErrorKind::Io);
        assert_eq!(names(dir.path()), ["data"]);
    }

    #[test]
    fn what_a_killed_process_left_behind_is_replaced() {
        let (dir, storage) = failing("none");
        let target = content(&storage, &dir);
        let stale = dir.path().join(".copy-of-it.partial/copy");
        fs::create_dir_all(&stale).unwrap();
        fs::write(stale.join("stale"), "half of it").unwrap();
        fs::write(stale.with_file_name(LOCK_FILE), "").unwrap();
        storage.checkpoint(&target).unwrap();
        assert_eq!(names(&target), ["content"]);
        assert_eq!(names(dir.path()), ["copy-of-it", "data"]);
    }

    #[test]
    fn two_checkpoints_to_one_target_do_not_mix() {
        let (dir, storage) = failing("none");
        let target = content(&storage, &dir);
        let partial = dir.path().join(".copy-of-it.partial");
        fs::create_dir(&partial).unwrap();
        let other = locked_by_another_process(&partial.join(LOCK_FILE));
        assert_eq!(kind(storage.checkpoint(&target)), ErrorKind::Busy);
        end(other);
        storage.checkpoint(&target).unwrap();
    }
}
