//! Durability over a power cut: what was synced is there, and what is lost is a suffix.

use crate::case::{Case, CaseResult, Finding, Profile};
use crate::check::{equal, failed, holds};
use crate::fault::{Call, Calls, Recorder};
use crate::fixture::{Fixture, storage_digest};
use crate::kill::{VALUE_BYTES, Writes, check_survivors, counted};
use std::fs;
use std::path::Path;
use supervm_plugin_sdk::{Capability, Durability, Error, OpenMode, Result, StorageBackend};

const DURABLE: &[Capability] = &[Capability::SyncedWrites];

pub(super) const CASES: &[Case] = &[
    Case::new('O', "durability.sync.synced_write_syncs", &[15], "A synced write makes at least one sync call.", write_syncs).needs(DURABLE).faults(),
    Case::new('O', "durability.sync.flush_syncs", &[15], "A buffered write and the synced flush after it make at least one sync call.", flush_syncs).needs(DURABLE).faults(),
    Case::new('O', "durability.power_cut.synced", &[7, 15], "After a power cut every synced batch is there, whole, without holes.", synced).needs(DURABLE).faults().deadline(600),
    Case::new('O', "durability.power_cut.interleaved", &[7, 15], "After a power cut between synced and buffered batches, what is lost is a suffix that was not synced.", interleaved).needs(DURABLE).faults().deadline(600),
    Case::new('O', "durability.power_cut.buffered", &[7, 15], "A power cut takes buffered batches from the end, whole, without holes.", buffered).needs(DURABLE).faults().deadline(600),
    Case::new('O', "durability.power_cut.flushed", &[7, 15], "After a power cut every batch before the last synced flush is there.", flushed).needs(DURABLE).faults().deadline(600),
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

/// Writes batches, and cuts the power again and again meanwhile.
fn cuts(f: &mut Fixture, writes: Writes) -> CaseResult {
    let mut random = f.random();
    let rounds = match f.profile() {
        Profile::Core => 30,
        Profile::Crash => 240,
    };
    let dir = f.other_dir();
    let recorder = Recorder::start(&dir)?;
    let storage = f.open_at(&dir, OpenMode::Create)?;
    let (mut next, mut synced) = (0, 0);
    for round in 0..rounds {
        for _ in 0..=random.below(4) {
            let durability = writes.durability(next);
            storage.write(&counted(next, VALUE_BYTES), durability)?;
            if durability == Durability::Synced {
                synced = next + 1;
            }
            if writes.flushes_after(next) {
                storage.flush(Durability::Synced)?;
                synced = next + 1;
            }
            next += 1;
        }
        if recorder.calls().count(Call::Write) == 0 {
            return recorder.calls().never_made(Call::Write);
        }
        let copy = f.other_dir();
        let lost = recorder.cut(&dir, &copy, (round % 3 != 0).then_some(&mut random))?;
        let when = format!(
            "after a power cut in round {round} ({next} batches were acknowledged, the first {synced} as synced; of what was not synced is lost: {lost})"
        );
        check_cut(f, &copy, synced, next, &when)?;
        fs::remove_dir_all(&copy)?;
    }
    Ok(())
}

fn check_cut(f: &Fixture, copy: &Path, synced: u64, written: u64, when: &str) -> CaseResult {
    let opened = f.open_at(copy, OpenMode::Create);
    let storage = opened.map_err(|error: Error| {
        let kind = error.kind();
        Finding::Failed(format!("{when}, the storage cannot be opened: {kind:?}: {error}"))
    })?;
    let found = check_survivors(&*storage, synced, VALUE_BYTES, when)?;
    holds(format!("{when}, {found} batches are there, of {written}"), found <= written)?;
    works_on(&*storage, found)
}

/// Writes the next batch to what a power cut left.
fn works_on(storage: &dyn StorageBackend, next: u64) -> CaseResult {
    storage.write(&counted(next, VALUE_BYTES), Durability::Synced)?;
    check_survivors(storage, next + 1, VALUE_BYTES, "after the first write since a power cut")
        .map(drop)
}

fn synced(f: &mut Fixture) -> CaseResult {
    cuts(f, Writes::Synced)
}

fn interleaved(f: &mut Fixture) -> CaseResult {
    cuts(f, Writes::Interleaved)
}

fn buffered(f: &mut Fixture) -> CaseResult {
    cuts(f, Writes::Buffered)
}

fn flushed(f: &mut Fixture) -> CaseResult {
    cuts(f, Writes::Flushed)
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
