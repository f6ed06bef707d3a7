//! Many threads on one storage, each reading back what it wrote.
//!
//! A deadlock shows as a case that does not end: the runner kills it at its deadline and names the stage it was in.

use crate::case::{Case, CaseResult, Finding};
use crate::check::{equal, failed, holds, same_rows};
use crate::fixture::{
    Fixture, batch, drain, get, mirrored_rows, snapshot_get, snapshot_rows, storage_rows,
};
use crate::job::stage;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use supervm_plugin_sdk::{Capability, Direction, Durability, KeyRange, StorageBackend};

const SNAPSHOT: &[Capability] = &[Capability::Snapshot];

pub(super) const CASES: &[Case] = &[
    Case::new(
        'L',
        "concurrency.write_under_own_cursor",
        &[11],
        "A thread that holds a cursor can write.",
        under_cursor,
    )
    .deadline(20),
    Case::new(
        'L',
        "concurrency.write_under_own_snapshot",
        &[11],
        "A thread that holds a snapshot can write.",
        under_snapshot,
    )
    .needs(SNAPSHOT)
    .deadline(20),
    Case::new(
        'L',
        "concurrency.cursor_under_own_cursor",
        &[11],
        "A thread that holds a cursor can open another one and read.",
        cursor_under_cursor,
    )
    .deadline(20),
    Case::new(
        'L',
        "concurrency.synced_write_under_cursor",
        &[11, 15],
        "A synced write and a flush do not wait for the thread's own cursor.",
        synced_under_cursor,
    )
    .needs(&[Capability::SyncedWrites])
    .deadline(20),
    Case::new(
        'L',
        "concurrency.writers_on_own_keys",
        &[11, 14],
        "Eight threads write keys of their own, and each reads back every one.",
        own_keys,
    ),
    Case::new(
        'L',
        "concurrency.writers_on_the_same_key",
        &[7, 14],
        "Eight threads write one key; what is left is what one of them wrote last.",
        same_key,
    ),
    Case::new(
        'L',
        "concurrency.write_is_visible_to_every_thread",
        &[14],
        "A write that returned is seen by a read that begins on another thread.",
        visible,
    ),
    Case::new(
        'L',
        "concurrency.batch_is_atomic_for_cursors",
        &[7, 10],
        "A cursor never shows half of a batch.",
        atomic_cursor,
    ),
    Case::new(
        'L',
        "concurrency.batch_is_atomic_for_snapshots",
        &[7, 10],
        "A snapshot never shows half of a batch.",
        atomic_snapshot,
    )
    .needs(SNAPSHOT),
    Case::new(
        'L',
        "concurrency.readers_and_writers",
        &[10, 11],
        "Four writers and four cursors work at once, and every scan is in order and whole.",
        readers_and_writers,
    ),
    Case::new(
        'L',
        "concurrency.deletes_and_puts",
        &[11],
        "Threads that put and delete ranges of their own end with exactly their last state.",
        deletes_and_puts,
    )
    .needs(&[Capability::DeleteRange]),
    Case::new(
        'L',
        "concurrency.cursors_come_and_go",
        &[11, 17],
        "Sixteen threads open and drop cursors, and the count of live ones returns to zero.",
        come_and_go,
    ),
];

fn under_cursor(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"b"])?;
    let mut cursor = f.cursor(KeyRange::ALL, Direction::Forward)?;
    stage("writing while the same thread holds a cursor");
    f.put(b"c", b"c")?;
    f.delete(b"a")?;
    same_rows("the cursor", &drain(&mut *cursor)?, &mirrored_rows([&b"a"[..], b"b"]))?;
    stage("writing while the same thread holds a cursor at its end");
    f.put(b"d", b"d")?;
    same_rows("the storage", &f.all_rows()?, &mirrored_rows([&b"b"[..], b"c", b"d"]))
}

fn under_snapshot(f: &mut Fixture) -> CaseResult {
    f.put(b"a", b"a")?;
    let snapshot = f.snapshot()?;
    let mut cursor = snapshot.cursor(KeyRange::ALL, Direction::Forward)?;
    stage("writing while the same thread holds a snapshot and a cursor of it");
    f.put(b"b", b"b")?;
    same_rows("the cursor", &drain(&mut *cursor)?, &mirrored_rows([&b"a"[..]]))?;
    equal("the new key", &f.get(b"b")?, &Some(b"b".to_vec()))
}

fn cursor_under_cursor(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"b"])?;
    let mut outer = f.cursor(KeyRange::ALL, Direction::Forward)?;
    stage("reading while the same thread holds a cursor");
    for _ in 0..20 {
        equal("entries of an inner scan", &f.all_rows()?.len(), &2)?;
        equal("a key", &f.get(b"a")?, &Some(b"a".to_vec()))?;
    }
    equal("entries of the outer scan", &drain(&mut *outer)?.len(), &2)
}

fn synced_under_cursor(f: &mut Fixture) -> CaseResult {
    f.put(b"a", b"a")?;
    let cursor = f.cursor(KeyRange::ALL, Direction::Forward)?;
    stage("a synced write while the same thread holds a cursor");
    f.storage().write(&batch(|batch| batch.put(b"b", b"b")), Durability::Synced)?;
    stage("a flush while the same thread holds a cursor");
    f.storage().flush(Durability::Synced)?;
    drop(cursor);
    equal("the new key", &f.get(b"b")?, &Some(b"b".to_vec()))
}

/// Runs `work` on `count` threads at once; the first finding is the result.
fn on_threads(count: u8, work: impl Fn(u8) -> CaseResult + Sync) -> CaseResult {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                scope.spawn({
                    let work = &work;
                    move || work(number)
                })
            })
            .collect();
        let ended = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| failed("a thread panicked")));
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}

fn put(storage: &dyn StorageBackend, key: &[u8], value: &[u8]) -> CaseResult {
    Ok(storage.write(&batch(|batch| batch.put(key, value)), Durability::Buffered)?)
}

fn own_keys(f: &mut Fixture) -> CaseResult {
    let storage = f.storage();
    on_threads(8, |thread| {
        for number in 0..200u8 {
            let key = [thread, number];
            put(storage, &key, &[number; 50])?;
            equal(format!("key {key:?}"), &get(storage, &key)?, &Some(vec![number; 50]))?;
        }
        Ok(())
    })?;
    equal("entries", &f.all_rows()?.len(), &1600)
}

fn same_key(f: &mut Fixture) -> CaseResult {
    let storage = f.storage();
    on_threads(8, |thread| {
        (0..100u8).try_for_each(|number| put(storage, b"k", &[thread, number]))
    })?;
    let value = f.get(b"k")?.unwrap_or_default();
    holds(format!("{value:?} is some thread's last value"), value.len() == 2 && value[1] == 99)
}

fn visible(f: &mut Fixture) -> CaseResult {
    let storage = f.storage();
    for round in 0..200u8 {
        put(storage, b"k", &[round])?;
        thread::scope(|scope| {
            let reader = scope.spawn(|| get(storage, b"k"));
            let found = reader.join().unwrap_or_else(|_| failed("the reader panicked"))?;
            equal("what another thread reads", &found, &Some(vec![round]))
        })?;
    }
    Ok(())
}

/// Keys that every batch of the atomicity cases writes with one value.
const TOGETHER: u8 = 100;

/// Runs `observe` again and again while another thread writes batches whose values are all equal.
fn while_writing(f: &Fixture, observe: impl Fn(&dyn StorageBackend) -> CaseResult) -> CaseResult {
    let (storage, ended) = (f.storage(), AtomicBool::new(false));
    let together =
        |round: u8| batch(|batch| (0..TOGETHER).for_each(|key| batch.put(&[key], &[round; 40])));
    storage.write(&together(0), Durability::Buffered)?;
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut rounds = (1..=200u8).cycle();
            while !ended.load(Ordering::Relaxed) {
                let round = rounds.next().expect("the rounds go in a circle");
                storage.write(&together(round), Durability::Buffered)?;
            }
            Ok::<(), Finding>(())
        });
        let observed = (0..300).try_for_each(|_| observe(storage));
        ended.store(true, Ordering::Relaxed);
        writer.join().unwrap_or_else(|_| failed("the writer panicked"))?;
        observed
    })
}

fn all_equal(what: &str, rows: &[crate::check::Row]) -> CaseResult {
    equal(format!("entries of {what}"), &rows.len(), &usize::from(TOGETHER))?;
    for (key, value) in rows {
        equal(format!("{what}: key {key:?}, where key [0] has another batch"), value, &rows[0].1)?;
    }
    Ok(())
}

fn atomic_cursor(f: &mut Fixture) -> CaseResult {
    while_writing(f, |storage| all_equal("a scan", &storage_rows(storage)?))
}

fn atomic_snapshot(f: &mut Fixture) -> CaseResult {
    while_writing(f, |storage| {
        let snapshot = storage.snapshot()?;
        let first = snapshot_get(&*snapshot, &[0])?;
        equal(
            "the last key against the first",
            &snapshot_get(&*snapshot, &[TOGETHER - 1])?,
            &first,
        )?;
        all_equal("a snapshot", &snapshot_rows(&*snapshot)?)
    })
}

fn readers_and_writers(f: &mut Fixture) -> CaseResult {
    let storage = f.storage();
    let fixed: Vec<Vec<u8>> = (0..200u8).map(|number| vec![b'f', number]).collect();
    f.put_all(fixed.iter().map(Vec::as_slice))?;
    on_threads(8, |thread| {
        if thread < 4 {
            return (0..200u8).try_for_each(|number| put(storage, &[thread, number], &[number]));
        }
        for _ in 0..20 {
            let rows = storage_rows(storage)?;
            holds(
                "a scan is in ascending order",
                rows.windows(2).all(|pair| pair[0].0 < pair[1].0),
            )?;
            let found = rows.iter().filter(|(key, _)| key[0] == b'f').count();
            equal("untouched keys in a scan", &found, &fixed.len())?;
        }
        Ok(())
    })?;
    equal("entries", &f.all_rows()?.len(), &1000)
}

fn deletes_and_puts(f: &mut Fixture) -> CaseResult {
    let storage = f.storage();
    on_threads(6, |thread| {
        for round in 0..40u8 {
            let changes = batch(|batch| {
                batch.delete_range(KeyRange::new(&[thread], Some(&[thread + 1])));
                (0..round).for_each(|number| batch.put(&[thread, number], &[round]));
            });
            storage.write(&changes, Durability::Buffered)?;
        }
        Ok(())
    })?;
    let rows = f.all_rows()?;
    equal("entries", &rows.len(), &(6 * 39))?;
    holds("every value is of the last round", rows.iter().all(|(_, value)| value == &[39]))
}

fn come_and_go(f: &mut Fixture) -> CaseResult {
    let keys = crate::fixture::numbered(500);
    f.put_all(keys.iter().map(Vec::as_slice))?;
    let storage = f.storage();
    on_threads(16, |thread| {
        for number in 0..50 {
            let start = &keys[(usize::from(thread) * 7 + number) % keys.len()];
            let mut cursor = storage.cursor(KeyRange::new(start, None), Direction::Forward)?;
            let found = crate::fixture::first(&mut *cursor)?;
            equal("the first key", &found.map(|row| row.0), &Some(start.clone()))?;
        }
        Ok(())
    })?;
    equal("live cursors", &storage.stats()?.live_cursors, &0)
}
