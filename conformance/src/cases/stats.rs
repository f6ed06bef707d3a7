//! Statistics: counters only rise, gauges return, and asking is cheap.

use crate::case::{Case, CaseResult};
use crate::check::{equal, holds};
use crate::fixture::{Fixture, batch, numbered};
use std::time::{Duration, Instant};
use supervm_plugin_sdk::{Capability, Direction, Durability, KeyRange, StorageStats};

pub(super) const CASES: &[Case] = &[
    Case::new(
        'T',
        "stats.counts_writes",
        &[24],
        "Batches, operations and bytes that were written are counted exactly.",
        counts_writes,
    ),
    Case::new(
        'T',
        "stats.refused_writes_do_not_count",
        &[16, 24],
        "A refused batch is not counted.",
        refused_do_not_count,
    ),
    Case::new(
        'T',
        "stats.counters_only_rise",
        &[24],
        "No counter falls while the storage is used.",
        only_rise,
    ),
    Case::new(
        'T',
        "stats.live_cursors",
        &[17, 24],
        "Live cursors are counted while they live.",
        live_cursors,
    ),
    Case::new(
        'T',
        "stats.live_snapshots",
        &[17, 24],
        "Live snapshots are counted while they live.",
        live_snapshots,
    )
    .needs(&[Capability::Snapshot]),
    Case::new(
        'T',
        "stats.keys",
        &[24],
        "The number of keys is near the truth where it is told at all.",
        keys,
    ),
    Case::new(
        'T',
        "stats.cheap",
        &[24],
        "A thousand calls on a storage of 50000 entries take less than five seconds.",
        cheap,
    ),
    Case::new(
        'T',
        "stats.sees_disk_use",
        &[24],
        "Bytes on disk do not fall when a megabyte is added, where they are told at all.",
        disk_use,
    )
    .needs(&[Capability::SyncedWrites]),
];

fn stats(f: &Fixture) -> CaseResult<StorageStats> {
    Ok(f.storage().stats()?)
}

fn counts_writes(f: &mut Fixture) -> CaseResult {
    let first = batch(|batch| batch.put(b"a", b"1"));
    let second = batch(|batch| {
        batch.put(b"b", b"2");
        batch.delete(b"a");
        batch.delete(b"missing");
    });
    let before = stats(f)?;
    for batch in [&first, &second] {
        f.storage().write(batch, Durability::Buffered)?;
    }
    let after = stats(f)?;
    let bytes = (first.as_bytes().len() + second.as_bytes().len()) as u64;
    equal("batches", &(after.batches_written - before.batches_written), &2)?;
    equal("operations", &(after.operations_written - before.operations_written), &4)?;
    equal("bytes", &(after.bytes_written - before.bytes_written), &bytes)
}

fn refused_do_not_count(f: &mut Fixture) -> CaseResult {
    f.put(b"a", b"")?;
    let before = stats(f)?.batches_written;
    holds("the batch is refused", f.put(b"", b"").is_err())?;
    equal("batches", &stats(f)?.batches_written, &before)
}

fn only_rise(f: &mut Fixture) -> CaseResult {
    let mut last = stats(f)?;
    for round in 0..100u8 {
        match round % 4 {
            0 => f.put(&[round], &[0; 500])?,
            1 => f.delete(&[round - 1])?,
            2 => drop(f.all_rows()?),
            _ => f.storage().flush(Durability::Buffered)?,
        }
        let next = stats(f)?;
        for (name, before, after) in [
            ("batches_written", last.batches_written, next.batches_written),
            ("operations_written", last.operations_written, next.operations_written),
            ("bytes_written", last.bytes_written, next.bytes_written),
        ] {
            holds(format!("{name} went from {before} to {after}"), after >= before)?;
        }
        last = next;
    }
    Ok(())
}

fn live_cursors(f: &mut Fixture) -> CaseResult {
    f.put(b"a", b"")?;
    let open = || f.cursor(KeyRange::ALL, Direction::Forward);
    let cursors = (open()?, open()?, open()?);
    equal("while three live", &stats(f)?.live_cursors, &3)?;
    drop(cursors.1);
    equal("while two live", &stats(f)?.live_cursors, &2)?;
    drop((cursors.0, cursors.2));
    equal("when all are gone", &stats(f)?.live_cursors, &0)
}

fn live_snapshots(f: &mut Fixture) -> CaseResult {
    let (first, second) = (f.snapshot()?, f.snapshot()?);
    equal("while two live", &stats(f)?.live_snapshots, &2)?;
    drop(first);
    equal("while one lives", &stats(f)?.live_snapshots, &1)?;
    drop(second);
    equal("when all are gone", &stats(f)?.live_snapshots, &0)
}

fn keys(f: &mut Fixture) -> CaseResult {
    let keys = numbered(1000);
    f.put_all(keys.iter().map(Vec::as_slice))?;
    let near = |count: u64, truth: u64| count >= truth / 2 && count <= truth * 2;
    if let Some(count) = stats(f)?.keys {
        holds(
            format!("{count} keys are told of a storage of 1000, within a factor of two"),
            near(count, 1000),
        )?;
    }
    f.put_all(keys.iter().map(Vec::as_slice))?;
    equal("entries after overwriting", &f.all_rows()?.len(), &1000)
}

fn cheap(f: &mut Fixture) -> CaseResult {
    let keys = numbered(50_000);
    for chunk in keys.chunks(10_000) {
        f.put_all(chunk.iter().map(Vec::as_slice))?;
    }
    let started = Instant::now();
    for _ in 0..1000 {
        stats(f)?;
    }
    let taken = started.elapsed();
    holds(format!("1000 calls took {taken:?}, at most 5 s"), taken < Duration::from_secs(5))
}

fn disk_use(f: &mut Fixture) -> CaseResult {
    let before = stats(f)?.disk_bytes;
    let value = f.random().bytes(1 << 20);
    f.storage().write(&batch(|batch| batch.put(b"large", &value)), Durability::Synced)?;
    let after = stats(f)?.disk_bytes;
    holds(format!("bytes on disk went from {before:?} to {after:?}"), after >= before)
}
