//! Durability over a power cut: what was synced is there, and what is lost is a suffix.

use crate::case::{Case, CaseResult, Finding, Profile};
use crate::check::{equal, failed, holds, same_rows};
use crate::fault::{Call, Calls, Recorder};
use crate::fixture::{Fixture, batch, mirrored_rows, numbered, storage_digest, storage_rows};
use crate::kill::{VALUE_BYTES, Writes, check_survivors, counted};
use crate::random::Random;
use std::fs;
use std::path::Path;
use supervm_plugin_sdk::{
    Capability, Durability, Error, KeyRange, OpenMode, Result, StorageBackend,
};

const DURABLE: &[Capability] = &[Capability::SyncedWrites];
/// Bytes of a large value; 64 batches of them fill the greatest buffer that a database has by default.
const LARGE_VALUE_BYTES: usize = 64 << 10;
/// How often is compacted, each time with as many new batches.
const COMPACTIONS: u64 = 8;
const BATCHES_COMPACTED: u64 = 5;

pub(super) const CASES: &[Case] = &[
    Case::new('O', "durability.sync.synced_write_syncs", &[15], "A synced write makes at least one sync call.", write_syncs).needs(DURABLE).faults(),
    Case::new('O', "durability.sync.flush_syncs", &[15], "A buffered write and the synced flush after it make at least one sync call.", flush_syncs).needs(DURABLE).faults(),
    Case::new('O', "durability.power_cut.synced", &[7, 15], "After a power cut every synced batch is there, whole, without holes.", synced).needs(DURABLE).faults().deadline(600),
    Case::new('O', "durability.power_cut.interleaved", &[7, 15], "After a power cut between synced and buffered batches, what is lost is a suffix that was not synced.", interleaved).needs(DURABLE).faults().deadline(600),
    Case::new('O', "durability.power_cut.buffered", &[7, 15], "A power cut takes buffered batches from the end, whole, without holes.", buffered).needs(DURABLE).faults().deadline(600),
    Case::new('O', "durability.power_cut.flushed", &[7, 15], "After a power cut every batch before the last synced flush is there.", flushed).needs(DURABLE).faults().deadline(600),
    Case::new('O', "durability.power_cut.large_batches", &[7, 15], "A power cut takes batches from the end also where a database goes on in new files.", large_batches).needs(DURABLE).faults().deadline(600),
    Case::new('O', "durability.power_cut.deletes", &[15], "After a power cut, keys whose deletion was flushed stay deleted.", deletes).needs(DURABLE).faults(),
    Case::new('O', "durability.power_cut.compaction", &[15], "A power cut after a compaction takes nothing that was synced before.", compaction).needs(&[Capability::Compact, Capability::SyncedWrites]).faults().deadline(120),
    Case::new('O', "durability.power_cut.checkpoint", &[15, 22], "A checkpoint that was taken survives a power cut with all its content.", checkpoint).needs(&[Capability::Checkpoint]).faults(),
];

/// The sync calls that `call` made.
fn syncs_of(calls: &Calls, call: impl FnOnce() -> Result<()>) -> CaseResult<u64> {
    let before = calls.count(Call::Sync);
    call()?;
    Ok(calls.count(Call::Sync) - before)
}

fn at_least_one(calls: &Calls, what: &str, syncs: u64) -> CaseResult {
    if syncs > 0 {
        return Ok(());
    }
    if calls.count(Call::Write) == 0 {
        return calls.never_made(Call::Write);
    }
    failed(format!(
        "{what} was acknowledged and made no sync call (fsync, fdatasync, msync): a power cut takes it; \
         is a sync switched off, or Synced treated as Buffered"
    ))
}

fn write_syncs(f: &mut Fixture) -> CaseResult {
    let dir = f.other_dir();
    let calls = Calls::watch(&dir)?;
    let storage = f.open_at(&dir, OpenMode::Create)?;
    for counter in 0..5 {
        let batch = counted(counter, VALUE_BYTES);
        let syncs = syncs_of(&calls, || storage.write(&batch, Durability::Synced))?;
        at_least_one(&calls, &format!("synced write {counter}"), syncs)?;
    }
    Ok(())
}

fn flush_syncs(f: &mut Fixture) -> CaseResult {
    let dir = f.other_dir();
    let calls = Calls::watch(&dir)?;
    let storage = f.open_at(&dir, OpenMode::Create)?;
    for counter in 0..5 {
        let batch = counted(counter, VALUE_BYTES);
        let syncs = syncs_of(&calls, || {
            storage.write(&batch, Durability::Buffered)?;
            storage.flush(Durability::Synced)
        })?;
        at_least_one(&calls, &format!("buffered write {counter} with the flush after it"), syncs)?;
    }
    Ok(())
}

/// How many batches are written, and how, while the power is cut again and again.
struct Cuts {
    writes: Writes,
    value_bytes: usize,
    rounds_in_core: u32,
    rounds_in_crash: u32,
}

fn cuts(f: &mut Fixture, cuts: Cuts) -> CaseResult {
    let Cuts { writes, value_bytes, rounds_in_core, rounds_in_crash } = cuts;
    let mut random = f.random();
    let rounds = match f.profile() {
        Profile::Core => rounds_in_core,
        Profile::Crash => rounds_in_crash,
    };
    let dir = f.other_dir();
    let recorder = Recorder::start(&dir)?;
    let storage = f.open_at(&dir, OpenMode::Create)?;
    let (mut next, mut synced) = (0, 0);
    for round in 0..rounds {
        for _ in 0..=random.below(4) {
            let durability = writes.durability(next);
            storage.write(&counted(next, value_bytes), durability)?;
            if durability == Durability::Synced {
                synced = next + 1;
            }
            if writes.flushes_after(next) {
                storage.flush(Durability::Synced)?;
                synced = next + 1;
            }
            next += 1;
        }
        let random = (round % 3 != 0).then_some(&mut random);
        let when = "while writing";
        let written = Written { batches: next, value_bytes, synced, when };
        cut(f, &recorder, &dir, random, written)?;
    }
    Ok(())
}

/// What was written before a power cut.
struct Written {
    /// Batches that were acknowledged.
    batches: u64,
    value_bytes: usize,
    /// As many of them, from the first on, were synced.
    synced: u64,
    when: &'static str,
}

/// Cuts the power and checks what is left in a copy. Nothing that was not synced is kept, or what `random` chooses of it.
fn cut(
    f: &mut Fixture,
    recorder: &Recorder,
    dir: &Path,
    random: Option<&mut Random>,
    written: Written,
) -> CaseResult {
    if recorder.calls().count(Call::Write) == 0 {
        return recorder.calls().never_made(Call::Write);
    }
    let Written { batches, value_bytes, synced, when } = written;
    let copy = f.other_dir();
    let lost = recorder.cut(dir, &copy, random)?;
    let when = format!(
        "after a power cut {when} ({batches} batches were acknowledged, the first {synced} as synced; of what was not synced is lost: {lost})"
    );
    let opened = f.open_at(&copy, OpenMode::Create);
    let storage = opened.map_err(|error: Error| {
        let kind = error.kind();
        Finding::Failed(format!("{when}, the storage cannot be opened: {kind:?}: {error}"))
    })?;
    let found = check_survivors(&*storage, synced, value_bytes, &when)?;
    holds(format!("{when}, {found} batches are there, of {batches}"), found <= batches)?;
    works_on(&*storage, found, value_bytes)?;
    drop(storage);
    Ok(fs::remove_dir_all(&copy)?)
}

/// Writes the next batch to what a power cut left.
fn works_on(storage: &dyn StorageBackend, next: u64, value_bytes: usize) -> CaseResult {
    storage.write(&counted(next, value_bytes), Durability::Synced)?;
    check_survivors(storage, next + 1, value_bytes, "after the first write since a power cut")
        .map(drop)
}

fn small(writes: Writes) -> Cuts {
    Cuts { writes, value_bytes: VALUE_BYTES, rounds_in_core: 30, rounds_in_crash: 240 }
}

fn synced(f: &mut Fixture) -> CaseResult {
    cuts(f, small(Writes::Synced))
}

fn interleaved(f: &mut Fixture) -> CaseResult {
    cuts(f, small(Writes::Interleaved))
}

fn buffered(f: &mut Fixture) -> CaseResult {
    cuts(f, small(Writes::Buffered))
}

fn flushed(f: &mut Fixture) -> CaseResult {
    cuts(f, small(Writes::Flushed))
}

fn large_batches(f: &mut Fixture) -> CaseResult {
    let value_bytes = LARGE_VALUE_BYTES;
    let (rounds_in_core, rounds_in_crash) = (30, 90);
    cuts(f, Cuts { writes: Writes::Flushed, value_bytes, rounds_in_core, rounds_in_crash })
}

fn deletes(f: &mut Fixture) -> CaseResult {
    let dir = f.other_dir();
    let recorder = Recorder::start(&dir)?;
    let (storage, keys) = (f.open_at(&dir, OpenMode::Create)?, numbered(30));
    storage.write(
        &batch(|batch| keys.iter().for_each(|key| batch.put(key, key))),
        Durability::Synced,
    )?;
    if recorder.calls().count(Call::Write) == 0 {
        return recorder.calls().never_made(Call::Write);
    }
    let one_by_one = batch(|batch| keys[..10].iter().for_each(|key| batch.delete(key)));
    let as_a_range = batch(|batch| batch.delete_range(KeyRange::new(&keys[10], Some(&keys[20]))));
    for (how, deletes, left) in
        [("one by one", one_by_one, &keys[10..]), ("as a range", as_a_range, &keys[20..])]
    {
        storage.write(&deletes, Durability::Buffered)?;
        storage.flush(Durability::Synced)?;
        let copy = f.other_dir();
        let lost = recorder.cut(&dir, &copy, None)?;
        let copy = f.open_at(&copy, OpenMode::MustExist)?;
        let when = format!(
            "after a power cut since keys were deleted {how} and the storage was flushed (of what was not synced is lost: {lost})"
        );
        same_rows(when, &storage_rows(&*copy)?, &mirrored_rows(left.iter().map(Vec::as_slice)))?;
    }
    Ok(())
}

fn compaction(f: &mut Fixture) -> CaseResult {
    let (mut random, dir) = (f.random(), f.other_dir());
    let recorder = Recorder::start(&dir)?;
    let storage = f.open_at(&dir, OpenMode::Create)?;
    for round in 1..=COMPACTIONS {
        let batches = round * BATCHES_COMPACTED;
        for number in batches - BATCHES_COMPACTED..batches {
            storage.write(&counted(number, VALUE_BYTES), Durability::Synced)?;
        }
        storage.compact(KeyRange::ALL)?;
        let random = (round % 2 == 0).then_some(&mut random);
        cut(
            f,
            &recorder,
            &dir,
            random,
            Written {
                batches,
                value_bytes: VALUE_BYTES,
                synced: batches,
                when: "after a compaction",
            },
        )?;
    }
    Ok(())
}

fn checkpoint(f: &mut Fixture) -> CaseResult {
    let root = f.other_dir();
    fs::create_dir(&root)?;
    let recorder = Recorder::start(&root)?;
    let storage = f.open_at(&root.join("store"), OpenMode::Create)?;
    for counter in 0..50 {
        storage.write(&counted(counter, VALUE_BYTES), Durability::Buffered)?;
    }
    let target = root.join("copy");
    storage.checkpoint(&target)?;
    let after = f.other_dir();
    let lost = recorder.cut(&root, &after, None)?;
    let when = format!("after a power cut (of what was not synced is lost: {lost})");
    let copy = after.join("copy");
    holds(format!("{when}, the checkpoint is there"), copy.is_dir())?;
    let copy = f.open_at(&copy, OpenMode::MustExist)?;
    equal(
        format!("{when}, the checkpoint's digest"),
        &storage_digest(&*copy)?,
        &storage_digest(&*storage)?,
    )
}
