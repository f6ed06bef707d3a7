//! Readers and the writer do not wait for each other, and readers are bounded.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use supervm_plugin_sdk::StorageFactory;
use supervm_plugin_sdk::prelude::*;
use supervm_storage_lmdb::{LmdbConfig, LmdbStorage};
use support::{entries, get, open, open_with, put, rest_of};

fn number(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.try_into().unwrap())
}

#[test]
fn thirty_two_threads_see_each_write_that_returned_and_no_batch_in_part() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    let (returned, is_done) = (AtomicU64::new(0), AtomicBool::new(false));
    let write = |round: u64| {
        let mut batch = WriteBatch::new();
        batch.put(b"first", &round.to_be_bytes());
        batch.put(b"last", &round.to_be_bytes());
        storage.write(&batch, Durability::Buffered).unwrap();
    };
    write(0);
    let reads: u64 = thread::scope(|scope| {
        let readers: Vec<_> = (0..32)
            .map(|_| {
                scope.spawn(|| {
                    let mut reads = 0;
                    while !is_done.load(Ordering::Relaxed) {
                        let before = returned.load(Ordering::SeqCst);
                        let first = number(&get(&*storage, b"first").unwrap());
                        let last = number(&get(&*storage, b"last").unwrap());
                        assert!(before <= first && first <= last, "{before} {first} {last}");
                        let snapshot = storage.snapshot().unwrap();
                        let mut values = supervm_plugin_sdk::Values::new();
                        snapshot.multi_get(&[b"first", b"last"], &mut values).unwrap();
                        let both: Vec<_> = values.iter().map(Option::unwrap).collect();
                        assert_eq!(both[0], both[1], "a batch was seen in part");
                        reads += 1;
                    }
                    reads
                })
            })
            .collect();
        for round in 1..=500 {
            write(round);
            returned.store(round, Ordering::SeqCst);
        }
        is_done.store(true, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    assert!(reads > 0);
}

#[test]
fn more_threads_than_kept_readers_all_read() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open_with(dir.path(), "readers_max = 256");
    put(&*storage, b"key", b"value").unwrap();
    thread::scope(|scope| {
        for _ in 0..300 {
            scope.spawn(|| {
                (0..200).for_each(|_| assert_eq!(get(&*storage, b"key").unwrap(), b"value"))
            });
        }
    });
}

#[test]
fn cursors_and_snapshots_are_bounded_and_get_and_write_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open_with(dir.path(), "readers_max = 256");
    put(&*storage, b"key", b"old").unwrap();
    let most = storage.capabilities().limits().cursors_max;
    assert_eq!(most, 64);
    let cursor = || storage.cursor(KeyRange::ALL, Direction::Forward);
    let mut cursors: Vec<_> = (0..most).map(|_| cursor().unwrap()).collect();
    let mut snapshots: Vec<_> = (0..most).map(|_| storage.snapshot().unwrap()).collect();
    assert_eq!(cursor().map(drop).unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(storage.snapshot().map(drop).unwrap_err().kind(), ErrorKind::Busy);
    put(&*storage, b"key", b"new").unwrap();
    assert_eq!(get(&*storage, b"key").unwrap(), b"new");
    for cursor in &mut cursors {
        assert_eq!(rest_of(&mut **cursor), [(b"key".to_vec(), b"old".to_vec())]);
    }
    drop((cursors.pop(), snapshots.pop()));
    drop((cursor().unwrap(), storage.snapshot().unwrap()));
}

#[test]
fn a_full_table_of_readers_is_busy_with_the_code_of_lmdb() {
    let dir = tempfile::tempdir().unwrap();
    let config = LmdbConfig { readers_max: 256, ..LmdbConfig::default() };
    // Without the wrapper, whose own bound comes first.
    let storage = LmdbStorage::open(dir.path(), config, OpenMode::Create).unwrap();
    let mut snapshots: Vec<_> = (0..256).map(|_| storage.snapshot().unwrap()).collect();
    let error = storage.snapshot().map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert!(error.context().any(|pair| pair == ("lmdb_code", "-30790")), "{error}");
    snapshots.pop();
    storage.snapshot().unwrap();
}

#[test]
fn a_thread_that_holds_a_cursor_writes_and_the_cursor_does_not_see_it() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    for index in 0..3000u32 {
        put(&*storage, &index.to_be_bytes(), &[0; 100]).unwrap();
    }
    let mut cursor = storage.cursor(KeyRange::ALL, Direction::Forward).unwrap();
    let mut page = Page::new();
    assert_eq!(cursor.next_page(&mut page).unwrap(), PageEnd::More);
    let mut batch = WriteBatch::new();
    batch.delete_range(KeyRange::ALL);
    storage.write(&batch, Durability::Synced).unwrap();
    assert_eq!(entries(&*storage), []);
    assert_eq!(page.iter().count() + rest_of(&mut *cursor).len(), 3000);
}

#[test]
fn a_cursor_outlives_its_snapshot_and_moves_between_threads() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    put(&*storage, b"key", b"old").unwrap();
    let snapshot = storage.snapshot().unwrap();
    let mut cursor = snapshot.cursor(KeyRange::ALL, Direction::Reverse).unwrap();
    drop(snapshot);
    put(&*storage, b"key", b"new").unwrap();
    let found = thread::spawn(move || rest_of(&mut *cursor)).join().unwrap();
    assert_eq!(found, [(b"key".to_vec(), b"old".to_vec())]);
}

#[test]
fn kept_readers_do_not_make_the_file_grow() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    for round in 0..3000u32 {
        put(&*storage, b"key", &round.to_be_bytes()).unwrap();
        assert_eq!(get(&*storage, b"key").unwrap(), round.to_be_bytes());
    }
    let bytes = storage.stats().unwrap().disk_bytes.unwrap();
    assert!(bytes < 1 << 20, "3000 overwrites of one entry left {bytes} bytes");
}
