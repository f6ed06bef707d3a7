//! Durability: what was acknowledged is there after a reopening and after SIGKILL, whole and without holes.

use crate::case::{Case, CaseResult, Profile};
use crate::check::{equal, holds, same_rows};
use crate::fixture::{Fixture, batch, get, mirrored_rows, numbered};
use crate::job::stage;
use crate::kill::{
    Moment, VALUE_BYTES, WriterJob, Writes, batches_in_checkpoint, check_survivors, kill_writer,
};
use std::path::Path;
use std::time::Duration;
use supervm_plugin_sdk::{Capability, Durability, OpenMode, StorageBackend, WriteBatch};

const DURABLE: &[Capability] = &[Capability::SyncedWrites];
/// Batches in a directory after which the next cycle begins a new one, so that reading it all stays quick.
const BATCHES_MAX: u64 = 2_000;

pub(super) const CASES: &[Case] = &[
    Case::new('O', "durability.synced_survives_a_drop", &[15], "A synced batch is there after the handle was dropped without close.", synced_drop).needs(DURABLE),
    Case::new('O', "durability.buffered_survives_a_drop", &[15], "A buffered batch is there after the handle was dropped without close.", buffered_drop).needs(DURABLE),
    Case::new('O', "durability.flushed_survives_a_drop", &[15], "What was flushed is there after the handle was dropped without close.", flushed_drop).needs(DURABLE),
    Case::new('O', "durability.deletes_survive", &[15], "Deleted keys stay deleted after reopening.", deletes_survive).needs(DURABLE),
    Case::new('O', "durability.empty_values_survive", &[3, 15], "An empty value is present after reopening.", empty_values).needs(DURABLE),
    Case::new('O', "durability.large_values_survive", &[3, 15], "Large values are whole after reopening.", large_values).needs(DURABLE),
    Case::new('O', "durability.long_keys_survive", &[2, 15], "Keys of many lengths up to the longest are there after reopening.", long_keys).needs(DURABLE),
    Case::new('O', "durability.empty_batch_hides_nothing", &[7, 15], "What is written after an empty batch is there after reopening.", empty_batch).needs(DURABLE),
    Case::new('O', "durability.overwrites_survive", &[6, 15], "After reopening, the last of a hundred values is read.", overwrites).needs(DURABLE),
    Case::new('O', "durability.digest_survives", &[15, 23], "The state digest is the same after reopening.", digest_survives).needs(DURABLE),
    Case::new('O', "durability.refused_batch_leaves_nothing", &[7, 15], "A batch that was refused leaves nothing behind after reopening.", refused_leaves_nothing).needs(DURABLE),
    Case::new('O', "durability.kill.synced", &[7, 15], "After SIGKILL every acknowledged synced batch is there, whole, without holes.", kill_synced).needs(DURABLE).deadline(600),
    Case::new('O', "durability.kill.buffered", &[7, 15], "After SIGKILL every acknowledged buffered batch is there, whole, without holes.", kill_buffered).needs(DURABLE).deadline(600),
    Case::new('O', "durability.kill.flushed", &[7, 15], "After SIGKILL between flushes every acknowledged batch is there, whole, without holes.", kill_flushed).needs(DURABLE).deadline(600),
    Case::new('O', "durability.kill.interleaved", &[7, 15], "After SIGKILL between synced and buffered batches every acknowledged one is there, whole, without holes.", kill_interleaved).needs(DURABLE).deadline(600),
    Case::new('O', "durability.kill.during_checkpoint", &[7, 15, 22], "After SIGKILL during a checkpoint the storage has every acknowledged batch, and the checkpoint is complete or absent and can be taken again.", kill_during_checkpoint).needs(&[Capability::SyncedWrites, Capability::Checkpoint]).deadline(600),
    Case::new('O', "durability.kill.while_opening", &[15], "A process that is killed while it opens a storage hinders no later opening and loses nothing.", kill_opening).needs(DURABLE).deadline(120),
    Case::new('O', "durability.kill.leaves_no_lock", &[15, 18], "A killed process leaves no lock behind.", kill_leaves_no_lock).needs(DURABLE),
];

fn drop_and_open(f: &mut Fixture) -> CaseResult {
    f.drop_storage();
    f.open(OpenMode::MustExist)
}

fn survives(f: &mut Fixture, durability: Durability, flush: bool) -> CaseResult {
    let keys = numbered(50);
    for key in &keys {
        f.storage().write(&batch(|batch| batch.put(key, key)), durability)?;
    }
    if flush {
        f.storage().flush(Durability::Synced)?;
    }
    drop_and_open(f)?;
    same_rows("after reopening", &f.all_rows()?, &mirrored_rows(keys.iter().map(Vec::as_slice)))
}

fn synced_drop(f: &mut Fixture) -> CaseResult {
    survives(f, Durability::Synced, false)
}

fn buffered_drop(f: &mut Fixture) -> CaseResult {
    survives(f, Durability::Buffered, false)
}

fn flushed_drop(f: &mut Fixture) -> CaseResult {
    survives(f, Durability::Buffered, true)
}

fn deletes_survive(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"b", b"c"])?;
    f.reopen(OpenMode::MustExist)?;
    f.delete(b"b")?;
    drop_and_open(f)?;
    same_rows("after reopening", &f.all_rows()?, &mirrored_rows([&b"a"[..], b"c"]))
}

fn empty_values(f: &mut Fixture) -> CaseResult {
    f.put(b"k", b"")?;
    drop_and_open(f)?;
    equal("the value", &f.get(b"k")?, &Some(Vec::new()))
}

fn large_values(f: &mut Fixture) -> CaseResult {
    let mut random = f.random();
    let rows: Vec<_> = numbered(6).into_iter().map(|key| (key, random.bytes(700_000))).collect();
    f.write(|batch| rows.iter().for_each(|(key, value)| batch.put(key, value)))?;
    drop_and_open(f)?;
    same_rows("after reopening", &f.all_rows()?, &rows)
}

fn long_keys(f: &mut Fixture) -> CaseResult {
    let longest = f.limits().key_bytes_max as usize;
    let lengths = [1, 63, 64, 127, 128, 129, 240, 254, 255, 256, 257, 300, longest - 1, longest];
    let mut keys: Vec<_> = lengths.into_iter().map(|length| vec![b'k'; length]).collect();
    keys.sort();
    keys.dedup();
    f.put_all(keys.iter().map(Vec::as_slice))?;
    drop_and_open(f)?;
    same_rows("after reopening", &f.all_rows()?, &mirrored_rows(keys.iter().map(Vec::as_slice)))
}

fn empty_batch(f: &mut Fixture) -> CaseResult {
    let keys = [&b"a"[..], b"b", b"c"];
    for (key, durability) in
        keys.into_iter().zip([Durability::Buffered, Durability::Synced].into_iter().cycle())
    {
        f.put(key, key)?;
        f.storage().write(&WriteBatch::new(), durability)?;
    }
    drop_and_open(f)?;
    same_rows("after reopening", &f.all_rows()?, &mirrored_rows(keys))
}

fn overwrites(f: &mut Fixture) -> CaseResult {
    (0..100u8).try_for_each(|round| f.put(b"k", &[round]))?;
    drop_and_open(f)?;
    same_rows("after reopening", &f.all_rows()?, &[(b"k".to_vec(), vec![99])])
}

fn digest_survives(f: &mut Fixture) -> CaseResult {
    let mut random = f.random();
    for _ in 0..300 {
        let key = random.bytes(3);
        f.put(&key, &random.bytes(60))?;
    }
    let before = f.digest()?;
    drop_and_open(f)?;
    equal("the digest", &f.digest()?, &before)
}

fn refused_leaves_nothing(f: &mut Fixture) -> CaseResult {
    f.put(b"a", b"a")?;
    let bad = batch(|batch| {
        batch.put(b"b", b"b");
        batch.delete(b"a");
        batch.put(b"", b"");
    });
    holds("the batch is refused", f.storage().write(&bad, Durability::Synced).is_err())?;
    drop_and_open(f)?;
    same_rows("after reopening", &f.all_rows()?, &mirrored_rows([&b"a"[..]]))
}

/// Kills a writer at each of the moments and checks the survivors after each.
fn kill_cycles(f: &mut Fixture, writes: Writes, moments: &[Moment]) -> CaseResult {
    let (mut dir, mut log, mut first) = (f.other_dir(), f.other_dir(), 0);
    for (cycle, moment) in moments.iter().enumerate() {
        let when = format!("after SIGKILL in cycle {cycle} ({writes:?} writes, {moment:?})");
        stage(format!("waiting for what is there {when}"));
        if first > BATCHES_MAX {
            std::fs::remove_dir_all(&dir)?;
            (dir, log, first) = (f.other_dir(), f.other_dir(), 0);
        }
        let checkpoint = matches!(moment, Moment::Checkpointing(_)).then(|| f.other_dir());
        let job = WriterJob {
            target: f.loaded().target.clone(),
            dir: dir.clone(),
            log: log.clone(),
            first,
            writes,
            checkpoint: checkpoint.clone(),
        };
        let acknowledged = kill_writer(job, *moment)?;
        let storage = f.open_at(&dir, OpenMode::Create)?;
        let in_checkpoint = batches_in_checkpoint(first);
        // What an earlier cycle found was durable then, acknowledged or not.
        first = check_survivors(&*storage, acknowledged.max(first), VALUE_BYTES, &when)?;
        if let Some(target) = checkpoint {
            check_checkpoint(f, &*storage, &target, in_checkpoint, &when)?;
        }
    }
    Ok(())
}

/// Checks that what is at `target` is a checkpoint with `least` batches, or nothing, and that one can be taken then.
fn check_checkpoint(
    f: &Fixture,
    storage: &dyn StorageBackend,
    target: &Path,
    least: u64,
    when: &str,
) -> CaseResult {
    let check = |least| {
        let copy = f.open_at(target, OpenMode::MustExist)?;
        let when = format!("in the checkpoint that was there {when}");
        check_survivors(&*copy, least, VALUE_BYTES, when)
    };
    if target.exists() {
        check(least)?;
        std::fs::remove_dir_all(target)?;
    }
    storage.checkpoint(target)?;
    check(least)?;
    holds(format!("{when}, no partial copy is left beside the next checkpoint"), {
        let mut partial = std::ffi::OsString::from(".");
        partial.push(target.file_name().unwrap_or_default());
        partial.push(".partial");
        !target.with_file_name(partial).exists()
    })?;
    Ok(std::fs::remove_dir_all(target)?)
}

fn cycles(f: &Fixture) -> u32 {
    match f.profile() {
        Profile::Core => 25,
        Profile::Crash => 200,
    }
}

fn kill_at_random(f: &mut Fixture, writes: Writes) -> CaseResult {
    let (mut random, has_checkpoints) = (f.random(), f.has(Capability::Checkpoint));
    let moments: Vec<_> =
        (0..cycles(f)).map(|_| Moment::random(&mut random, has_checkpoints)).collect();
    kill_cycles(f, writes, &moments)
}

fn kill_synced(f: &mut Fixture) -> CaseResult {
    kill_at_random(f, Writes::Synced)
}

fn kill_buffered(f: &mut Fixture) -> CaseResult {
    kill_at_random(f, Writes::Buffered)
}

fn kill_flushed(f: &mut Fixture) -> CaseResult {
    kill_at_random(f, Writes::Flushed)
}

fn kill_interleaved(f: &mut Fixture) -> CaseResult {
    kill_at_random(f, Writes::Interleaved)
}

fn kill_during_checkpoint(f: &mut Fixture) -> CaseResult {
    let mut random = f.random();
    // Something to copy first.
    let mut moments = vec![Moment::Writing(Duration::from_millis(100))];
    let during = (0..cycles(f)).map(|_| Moment::checkpointing(&mut random));
    moments.extend(during);
    kill_cycles(f, Writes::Interleaved, &moments)
}

fn kill_opening(f: &mut Fixture) -> CaseResult {
    let mut moments = vec![Moment::Writing(Duration::from_millis(20))];
    let delays = (0..15).map(|step| Duration::from_micros(step * 150));
    moments.extend(delays.map(Moment::Opening));
    kill_cycles(f, Writes::Synced, &moments)
}

fn kill_leaves_no_lock(f: &mut Fixture) -> CaseResult {
    let (dir, log) = (f.other_dir(), f.other_dir());
    let target = f.loaded().target.clone();
    let (dir_of_writer, writes) = (dir.clone(), Writes::Buffered);
    let job = WriterJob { target, dir: dir_of_writer, log, first: 0, writes, checkpoint: None };
    kill_writer(job, Moment::Writing(Duration::from_millis(5)))?;
    let storage = f.open_at(&dir, OpenMode::MustExist)?;
    storage.write(&batch(|batch| batch.put(b"after", b"the kill")), Durability::Synced)?;
    equal(
        "a key that was put after the kill",
        &get(&*storage, b"after")?,
        &Some(b"the kill".to_vec()),
    )
}
