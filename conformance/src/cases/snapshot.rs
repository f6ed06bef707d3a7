//! Snapshots: many at once, under many threads, under much writing.

use crate::case::{Case, CaseResult};
use crate::check::{equal, holds, refused, same_rows, skipped};
use crate::fixture::{Fixture, drain, mirrored_rows, numbered, snapshot_get, snapshot_rows};
use std::thread;
use supervm_plugin_sdk::{Capability, Direction, ErrorKind, KeyRange, SNAPSHOTS_MAX};

const NEEDS: &[Capability] = &[Capability::Snapshot];

pub(super) const CASES: &[Case] = &[
    Case::new(
        'K',
        "snapshot.two_hundred_moments",
        &[10, 11],
        "Two hundred snapshots each show their own moment.",
        many_moments,
    )
    .needs(NEEDS),
    Case::new(
        'K',
        "snapshot.reads_agree",
        &[10],
        "Point reads and cursors of a snapshot agree under two thousand later writes.",
        reads_agree,
    )
    .needs(NEEDS),
    Case::new(
        'K',
        "snapshot.cursor_outlives_it",
        &[10, 12],
        "A cursor of a snapshot goes on when the snapshot is dropped.",
        cursor_outlives,
    )
    .needs(NEEDS),
    Case::new(
        'K',
        "snapshot.used_by_many_threads",
        &[10, 11],
        "Eight threads read one snapshot while it is written over.",
        many_threads,
    )
    .needs(NEEDS),
    Case::new(
        'K',
        "snapshot.as_many_as_declared",
        &[11],
        "As many snapshots as the contract asks for can be open at once.",
        as_many,
    )
    .needs(NEEDS)
    .deadline(60),
    Case::new(
        'K',
        "snapshot.one_more_is_busy",
        &[11, 29],
        "One snapshot more than declared is Busy, and possible again when one is dropped.",
        one_more,
    )
    .needs(NEEDS)
    .deadline(60),
    Case::new(
        'K',
        "snapshot.untouched_by_compaction",
        &[10],
        "Compaction does not change what a snapshot shows.",
        untouched_by_compaction,
    )
    .needs(&[Capability::Snapshot, Capability::Compact]),
];

const SOME: [&[u8]; 3] = [b"a", b"b", b"c"];

fn many_moments(f: &mut Fixture) -> CaseResult {
    let mut snapshots = Vec::new();
    for round in 0..200u8 {
        f.put(b"k", &[round])?;
        snapshots.push(f.snapshot()?);
    }
    for (round, snapshot) in snapshots.iter().enumerate() {
        let found = snapshot_get(&**snapshot, b"k")?;
        equal(format!("snapshot {round}"), &found, &Some(vec![round as u8]))?;
    }
    Ok(())
}

fn reads_agree(f: &mut Fixture) -> CaseResult {
    let keys = numbered(500);
    f.put_all(keys.iter().map(Vec::as_slice))?;
    let snapshot = f.snapshot()?;
    let mut random = f.random();
    for _ in 0..2000 {
        let key = random.choose(&keys);
        if random.below(2) == 0 { f.delete(key)? } else { f.put(key, b"later")? }
    }
    for key in &keys {
        equal(key.escape_ascii(), &snapshot_get(&*snapshot, key)?, &Some(key.clone()))?;
    }
    let expected = mirrored_rows(keys.iter().map(Vec::as_slice));
    same_rows("the snapshot", &snapshot_rows(&*snapshot)?, &expected)
}

fn cursor_outlives(f: &mut Fixture) -> CaseResult {
    let keys = numbered(5000);
    f.put_all(keys.iter().map(Vec::as_slice))?;
    let snapshot = f.snapshot()?;
    let mut cursor = snapshot.cursor(KeyRange::ALL, Direction::Forward)?;
    drop(snapshot);
    f.write(|batch| keys.iter().for_each(|key| batch.delete(key)))?;
    let expected = mirrored_rows(keys.iter().map(Vec::as_slice));
    same_rows("the cursor", &drain(&mut *cursor)?, &expected)
}

fn many_threads(f: &mut Fixture) -> CaseResult {
    let keys = numbered(400);
    f.put_all(keys.iter().map(Vec::as_slice))?;
    let snapshot = f.snapshot()?;
    let expected = mirrored_rows(keys.iter().map(Vec::as_slice));
    thread::scope(|scope| {
        let readers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| -> CaseResult {
                    (0..10).try_for_each(|_| {
                        same_rows("the snapshot", &snapshot_rows(&*snapshot)?, &expected)
                    })
                })
            })
            .collect();
        for round in 0..50u8 {
            f.write(|batch| keys.iter().for_each(|key| batch.put(key, &[round])))?;
        }
        readers.into_iter().try_for_each(|reader| reader.join().expect("a reader does not panic"))
    })
}

fn as_many(f: &mut Fixture) -> CaseResult {
    f.put_all(SOME)?;
    let most = f.limits().snapshots_max.min(SNAPSHOTS_MAX as u64);
    let snapshots = (0..most).map(|_| f.snapshot()).collect::<CaseResult<Vec<_>>>()?;
    f.put(b"later", b"")?;
    for snapshot in &snapshots {
        same_rows("one of the snapshots", &snapshot_rows(&**snapshot)?, &mirrored_rows(SOME))?;
    }
    Ok(())
}

fn one_more(f: &mut Fixture) -> CaseResult {
    let most = f.limits().snapshots_max;
    if most > 1 << 16 {
        return skipped(format!("the backend declares {most} snapshots, too many to open"));
    }
    let mut snapshots = (0..most).map(|_| f.snapshot()).collect::<CaseResult<Vec<_>>>()?;
    refused("one snapshot more", f.storage().snapshot(), ErrorKind::Busy)?;
    snapshots.pop();
    f.snapshot().map(drop)
}

fn untouched_by_compaction(f: &mut Fixture) -> CaseResult {
    let keys = numbered(2000);
    f.put_all(keys.iter().map(Vec::as_slice))?;
    let snapshot = f.snapshot()?;
    f.write(|batch| keys.iter().for_each(|key| batch.delete(key)))?;
    f.storage().compact(KeyRange::ALL)?;
    holds("the storage is empty", f.all_rows()?.is_empty())?;
    let expected = mirrored_rows(keys.iter().map(Vec::as_slice));
    same_rows("the snapshot", &snapshot_rows(&*snapshot)?, &expected)
}
