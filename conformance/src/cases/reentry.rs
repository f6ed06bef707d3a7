//! Control is with the host between two calls: a lock that a backend keeps until then shows as a thread that waits for itself.

use crate::case::{Case, CaseResult};
use crate::check::{equal, holds, same_rows};
use crate::fixture::{
    Fixture, batch, drain, first, get, mirrored_rows, numbered, snapshot_rows, storage_rows,
};
use crate::job::stage;
use std::thread;
use supervm_plugin_sdk::{
    Capability, Direction, Durability, KeyRange, OpenMode, Page, PageEnd, StorageBackend, Values,
};

pub(super) const CASES: &[Case] = &[
    Case::new(
        'W',
        "abi.reentry.every_call_under_a_live_cursor",
        &[11, 25],
        "A thread that holds a cursor half-way can make every other call on the same storage.",
        under_cursor,
    ),
    Case::new(
        'W',
        "abi.reentry.every_call_under_a_live_snapshot",
        &[11, 25],
        "A thread that holds a snapshot can make every other call on the same storage.",
        under_snapshot,
    )
    .needs(&[Capability::Snapshot]),
    Case::new(
        'W',
        "abi.reentry.another_storage_between_pages",
        &[25, 30],
        "Between two pages of a cursor the thread can open, use, close and drop another storage of the plugin.",
        another_storage,
    ),
    Case::new(
        'W',
        "abi.reentry.every_call_from_another_thread",
        &[11, 25],
        "While one thread holds cursors half-way, another makes every call on the same storage.",
        another_thread,
    ),
    Case::new(
        'W',
        "abi.library.opened_again_after_all_was_dropped",
        &[27],
        "A plugin of which everything was dropped is loaded and opened again, four times, in the same process.",
        loaded_again,
    ),
];

/// Makes every call that the backend has, on a storage that holds `keys`.
fn every_call(storage: &dyn StorageBackend, f: &Fixture, copy: &std::path::Path) -> CaseResult {
    let has = |capability| storage.capabilities().has(capability);
    stage("writing");
    let change = batch(|batch| {
        batch.put(b"new", b"new");
        batch.delete(b"00000000");
    });
    storage.write(&change, Durability::Buffered)?;
    stage("reading");
    equal("the new key", &get(storage, b"new")?, &Some(b"new".to_vec()))?;
    storage.multi_get(&[b"new", b"old"], &mut Values::new())?;
    stage("scanning");
    holds("a scan has the new key", storage_rows(storage)?.iter().any(|row| row.0 == b"new"))?;
    stage("asking for statistics");
    storage.stats()?;
    storage.flush(Durability::Buffered)?;
    if has(Capability::SyncedWrites) {
        stage("syncing");
        storage.write(&change, Durability::Synced)?;
        storage.flush(Durability::Synced)?;
    }
    if has(Capability::DeleteRange) {
        stage("deleting a range");
        let range = KeyRange::new(b"0000001", Some(b"0000002"));
        storage.write(&batch(|batch| batch.delete_range(range)), Durability::Buffered)?;
    }
    if has(Capability::Snapshot) {
        stage("taking a snapshot");
        snapshot_rows(&*storage.snapshot()?)?;
    }
    if has(Capability::ReverseCursor) {
        stage("scanning in reverse");
        drain(&mut *storage.cursor(KeyRange::ALL, Direction::Reverse)?)?;
    }
    if has(Capability::Compact) {
        stage("compacting");
        storage.compact(KeyRange::ALL)?;
    }
    if has(Capability::Verify) {
        stage("verifying");
        equal("problems", &storage.verify()?.problems, &Vec::new())?;
    }
    if has(Capability::SizeOnDisk) {
        stage("asking for the size");
        storage.size_on_disk(KeyRange::ALL)?;
    }
    if has(Capability::Checkpoint) {
        stage("taking a checkpoint");
        storage.checkpoint(copy)?;
        drop(f.open_at(copy, OpenMode::MustExist)?);
    }
    stage("closing, which is refused");
    holds("close is refused while something lives", storage.close().is_err())
}

fn under_cursor(f: &mut Fixture) -> CaseResult {
    let (keys, copy) = (numbered(5000), f.other_dir());
    f.put_all(keys.iter().map(Vec::as_slice))?;
    let mut cursor = f.cursor(KeyRange::ALL, Direction::Forward)?;
    let mut found = Vec::new();
    found.extend(first(&mut *cursor)?);
    every_call(f.storage(), f, &copy)?;
    cursor.seek(&keys[1])?;
    found.extend(drain(&mut *cursor)?);
    same_rows("the cursor", &found, &mirrored_rows(keys.iter().map(Vec::as_slice)))
}

fn under_snapshot(f: &mut Fixture) -> CaseResult {
    let (keys, copy) = (numbered(500), f.other_dir());
    f.put_all(keys.iter().map(Vec::as_slice))?;
    let snapshot = f.snapshot()?;
    every_call(f.storage(), f, &copy)?;
    let expected = mirrored_rows(keys.iter().map(Vec::as_slice));
    same_rows("the snapshot", &snapshot_rows(&*snapshot)?, &expected)
}

fn another_storage(f: &mut Fixture) -> CaseResult {
    let keys = numbered(6000);
    f.put_all(keys.iter().map(Vec::as_slice))?;
    let mut cursor = f.cursor(KeyRange::ALL, Direction::Forward)?;
    let (mut page, mut found, mut round) = (Page::new(), 0, 0u8);
    loop {
        page.clear();
        let end = cursor.next_page(&mut page)?;
        found += page.iter().count();
        stage(format!("using another storage after page {round}"));
        let dir = f.other_dir();
        let other = f.open_at(&dir, OpenMode::Create)?;
        other.write(&batch(|batch| batch.put(b"k", &[round])), Durability::Buffered)?;
        equal("the other storage's key", &get(&*other, b"k")?, &Some(vec![round]))?;
        if round.is_multiple_of(2) {
            other.close()?;
        }
        drop(other);
        round += 1;
        if end == PageEnd::End {
            return equal("entries of the cursor", &found, &keys.len());
        }
    }
}

fn another_thread(f: &mut Fixture) -> CaseResult {
    let (keys, copy) = (numbered(5000), f.other_dir());
    f.put_all(keys.iter().map(Vec::as_slice))?;
    let mut cursors = Vec::new();
    for _ in 0..4 {
        let mut cursor = f.cursor(KeyRange::ALL, Direction::Forward)?;
        first(&mut *cursor)?;
        cursors.push(cursor);
    }
    let f = &*f;
    thread::scope(|scope| {
        let called = scope.spawn(|| every_call(f.storage(), f, &copy)).join();
        called.unwrap_or_else(|_| crate::check::failed("the other thread panicked"))
    })?;
    for cursor in &mut cursors {
        cursor.seek(&keys[4990])?;
        let expected = mirrored_rows(keys[4990..].iter().map(Vec::as_slice));
        same_rows("a cursor", &drain(&mut **cursor)?, &expected)?;
    }
    Ok(())
}

fn loaded_again(f: &mut Fixture) -> CaseResult {
    let target = f.loaded().target.clone();
    f.drop_storage();
    for round in 0..4 {
        stage(format!("loading and opening again, round {round}"));
        let (dir, loaded) = (f.other_dir(), target.load()?);
        let storage = loaded.open(&dir, OpenMode::Create)?;
        storage.write(&batch(|batch| batch.put(b"k", b"k")), Durability::Buffered)?;
        same_rows("the storage", &storage_rows(&*storage)?, &mirrored_rows([&b"k"[..]]))?;
    }
    Ok(())
}
