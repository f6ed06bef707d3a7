//! Honesty of capabilities: what is declared works, and what is not declared is refused.

use crate::case::{Case, CaseResult};
use crate::check::{equal, failed, holds, refused, same_rows, skipped};
use crate::fault::{Call, Calls, HeldSyncs};
use crate::fixture::{Fixture, batch, drain, mirrored_rows, numbered, snapshot_get, storage_rows};
use std::fs;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;
use supervm_plugin_sdk::{
    Capability, Direction, Durability, Error, ErrorKind, KeyRange, OpenMode, Result,
};

/// What a sync and what the writes beside it may take.
const CONCURRENT_PATIENCE: Duration = Duration::from_secs(5);

pub(super) const CASES: &[Case] = &[
    Case::new(
        'U',
        "honesty.descriptor_covers_the_storage",
        &[29],
        "A storage has no capability that its plugin's descriptor does not declare.",
        descriptor_covers,
    ),
    Case::new(
        'U',
        "honesty.capabilities_do_not_change",
        &[29],
        "A storage declares the same capabilities whatever it was used for.",
        do_not_change,
    ),
    Case::new(
        'U',
        "honesty.claimed.checkpoint",
        &[22, 29],
        "Who declares checkpoint makes one that opens.",
        claimed_checkpoint,
    )
    .needs(&[Capability::Checkpoint]),
    Case::new(
        'U',
        "honesty.claimed.compact",
        &[29],
        "Who declares compact compacts.",
        claimed_compact,
    )
    .needs(&[Capability::Compact]),
    Case::new(
        'U',
        "honesty.claimed.verify",
        &[29],
        "Who declares verify verifies.",
        claimed_verify,
    )
    .needs(&[Capability::Verify]),
    Case::new(
        'U',
        "honesty.claimed.read_only_open",
        &[19, 29],
        "Who declares read_only_open opens read-only.",
        claimed_read_only,
    )
    .needs(&[Capability::ReadOnlyOpen, Capability::SyncedWrites]),
    Case::new(
        'U',
        "honesty.claimed.snapshot",
        &[10, 29],
        "Who declares snapshot gives one that stays as it is.",
        claimed_snapshot,
    )
    .needs(&[Capability::Snapshot]),
    Case::new(
        'U',
        "honesty.claimed.reverse_cursor",
        &[1, 29],
        "Who declares reverse_cursor walks backwards.",
        claimed_reverse,
    )
    .needs(&[Capability::ReverseCursor]),
    Case::new(
        'U',
        "honesty.claimed.delete_range",
        &[8, 29],
        "Who declares delete_range deletes ranges.",
        claimed_delete_range,
    )
    .needs(&[Capability::DeleteRange]),
    Case::new(
        'U',
        "honesty.claimed.multi_get",
        &[29, 30],
        "Who declares multi_get answers like single reads.",
        claimed_multi_get,
    )
    .needs(&[Capability::MultiGet]),
    Case::new(
        'U',
        "honesty.claimed.synced_writes",
        &[15, 29],
        "Who declares synced_writes keeps a synced write over a reopening.",
        claimed_synced,
    )
    .needs(&[Capability::SyncedWrites]),
    Case::new(
        'U',
        "honesty.claimed.checksums",
        &[29],
        "Who declares checksums does not hand out changed bytes as the truth.",
        claimed_checksums,
    )
    .needs(&[Capability::Checksums, Capability::SyncedWrites]),
    Case::new(
        'U',
        "honesty.claimed.size_on_disk",
        &[29],
        "Who declares size_on_disk tells more for a full range than for an empty one.",
        claimed_size,
    )
    .needs(&[Capability::SizeOnDisk]),
    Case::new(
        'U',
        "honesty.claimed.concurrent_flush",
        &[15, 29],
        "Who declares concurrent_flush writes batches while a synced flush waits for the disk.",
        claimed_concurrent_flush,
    )
    .needs(&[Capability::ConcurrentFlush])
    .faults(),
    Case::new(
        'U',
        "honesty.undeclared.checkpoint",
        &[29],
        "Who does not declare checkpoint refuses it with Unsupported and writes nothing.",
        undeclared_checkpoint,
    ),
    Case::new(
        'U',
        "honesty.undeclared.compact",
        &[29],
        "Who does not declare compact refuses it with Unsupported.",
        undeclared_compact,
    ),
    Case::new(
        'U',
        "honesty.undeclared.verify",
        &[29],
        "Who does not declare verify refuses it with Unsupported.",
        undeclared_verify,
    ),
    Case::new(
        'U',
        "honesty.undeclared.read_only_open",
        &[19, 29],
        "Who does not declare read_only_open refuses it with Unsupported and creates nothing.",
        undeclared_read_only,
    ),
    Case::new(
        'U',
        "honesty.undeclared.snapshot",
        &[29],
        "Who does not declare snapshot refuses it with Unsupported.",
        undeclared_snapshot,
    ),
    Case::new(
        'U',
        "honesty.undeclared.reverse_cursor",
        &[29],
        "Who does not declare reverse_cursor refuses it with Unsupported.",
        undeclared_reverse,
    ),
    Case::new(
        'U',
        "honesty.undeclared.size_on_disk",
        &[29],
        "Who does not declare size_on_disk refuses it with Unsupported.",
        undeclared_size,
    ),
    Case::new(
        'U',
        "honesty.undeclared.synced_writes",
        &[15, 29],
        "Who does not declare synced_writes refuses a synced write with Unsupported and applies none of it.",
        undeclared_synced,
    ),
    Case::new(
        'U',
        "honesty.options.unknown_is_refused",
        &[29],
        "An unknown option is ConfigInvalid and names the option; nothing is opened.",
        unknown_option,
    ),
    Case::new(
        'U',
        "honesty.options.no_toml_is_refused",
        &[29],
        "Options that are no TOML are ConfigInvalid.",
        no_toml,
    ),
    Case::new(
        'U',
        "honesty.options.defaults_are_accepted",
        &[29],
        "The defaults that the descriptor shows are accepted as options.",
        defaults,
    ),
];

fn names(capabilities: &supervm_plugin_sdk::Capabilities) -> Vec<String> {
    capabilities.iter().map(|(one, support)| format!("{one} ({support:?})")).collect()
}

fn descriptor_covers(f: &mut Fixture) -> CaseResult {
    let declared = f.loaded().plugin.descriptor().capabilities;
    let Some(declared) = declared else { return failed("the descriptor declares no capabilities") };
    for (capability, _) in f.storage().capabilities().iter() {
        holds(format!("the descriptor declares {capability}"), declared.has(capability))?;
    }
    Ok(())
}

fn do_not_change(f: &mut Fixture) -> CaseResult {
    let before = names(&f.storage().capabilities());
    f.put_all(numbered(100).iter().map(Vec::as_slice))?;
    f.all_rows()?;
    equal("the capabilities", &names(&f.storage().capabilities()), &before)
}

fn claimed_checkpoint(f: &mut Fixture) -> CaseResult {
    let dir = f.other_dir();
    f.put(b"k", b"k")?;
    f.storage().checkpoint(&dir)?;
    let copy = f.open_at(&dir, OpenMode::MustExist)?;
    equal("the key in the copy", &crate::fixture::get(&*copy, b"k")?, &Some(b"k".to_vec()))
}

fn claimed_compact(f: &mut Fixture) -> CaseResult {
    f.put(b"k", b"k")?;
    f.storage().compact(KeyRange::ALL)?;
    equal("the key", &f.get(b"k")?, &Some(b"k".to_vec()))
}

fn claimed_verify(f: &mut Fixture) -> CaseResult {
    f.put_all(numbered(200).iter().map(Vec::as_slice))?;
    let report = f.storage().verify()?;
    holds("something was looked at", report.checked > 0)
}

fn claimed_read_only(f: &mut Fixture) -> CaseResult {
    f.put(b"k", b"k")?;
    f.reopen(OpenMode::ReadOnly)?;
    equal("the key", &f.get(b"k")?, &Some(b"k".to_vec()))
}

fn claimed_snapshot(f: &mut Fixture) -> CaseResult {
    f.put(b"k", b"before")?;
    let snapshot = f.snapshot()?;
    f.put(b"k", b"after")?;
    equal("the key", &snapshot_get(&*snapshot, b"k")?, &Some(b"before".to_vec()))
}

fn claimed_reverse(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"b", b"c"])?;
    let mut cursor = f.cursor(KeyRange::ALL, Direction::Reverse)?;
    same_rows("in reverse", &drain(&mut *cursor)?, &mirrored_rows([&b"c"[..], b"b", b"a"]))
}

fn claimed_delete_range(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"b", b"c"])?;
    f.write(|batch| batch.delete_range(KeyRange::new(b"b", Some(b"c"))))?;
    same_rows("what is left", &f.all_rows()?, &mirrored_rows([&b"a"[..], b"c"]))
}

fn claimed_multi_get(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"c"])?;
    let expected = vec![Some(b"c".to_vec()), None, Some(b"a".to_vec())];
    equal("the answers", &f.multi_get(&[b"c", b"b", b"a"])?, &expected)
}

fn claimed_synced(f: &mut Fixture) -> CaseResult {
    f.storage().write(&batch(|batch| batch.put(b"k", b"k")), Durability::Synced)?;
    f.drop_storage();
    f.open(OpenMode::MustExist)?;
    equal("the key", &f.get(b"k")?, &Some(b"k".to_vec()))
}

/// A text that is found again in the files of a backend that does not compress.
const PATTERN: &[u8] = b"a value that is looked for in the files";

fn claimed_checksums(f: &mut Fixture) -> CaseResult {
    let expected = PATTERN.repeat(20);
    f.put(b"k", &expected)?;
    f.storage().close()?;
    f.drop_storage();
    if flip_in_files(&f.dir())? == 0 {
        return skipped(
            "the value's bytes do not stand in the files as they are (compressed, say)",
        );
    }
    let Ok(storage) = f.open_at(&f.dir(), OpenMode::MustExist) else { return Ok(()) };
    let mut value = supervm_plugin_sdk::ByteBuf::new();
    let read = storage.get(b"k", &mut value).map(|found| found.then(|| value.to_vec()));
    match read {
        // The damage was noticed, or another copy of the value was found.
        Err(_) => Ok(()),
        Ok(read) => equal("get of a value that was changed in the files", &read, &Some(expected)),
    }
}

/// Changes a byte of each occurrence of the pattern in the files below `dir`; returns how many there were.
fn flip_in_files(dir: &Path) -> CaseResult<usize> {
    let mut flipped = 0;
    for entry in fs::read_dir(dir)? {
        let path: PathBuf = entry?.path();
        if path.is_dir() {
            flipped += flip_in_files(&path)?;
            continue;
        }
        let mut bytes = fs::read(&path)?;
        let found: Vec<_> = bytes
            .windows(PATTERN.len())
            .enumerate()
            .filter(|(_, window)| *window == PATTERN)
            .map(|(at, _)| at)
            .collect();
        found.iter().for_each(|at| bytes[at + 5] ^= 1);
        if !found.is_empty() {
            fs::write(&path, bytes)?;
        }
        flipped += found.len();
    }
    Ok(flipped)
}

fn claimed_size(f: &mut Fixture) -> CaseResult {
    let mut random = f.random();
    f.write(|batch| {
        numbered(200).iter().for_each(|key| batch.put(key, &random.bytes(10_000)));
    })?;
    let synced = f.has(Capability::SyncedWrites);
    f.storage().flush(if synced { Durability::Synced } else { Durability::Buffered })?;
    let full = f.storage().size_on_disk(KeyRange::ALL)?;
    let empty = f.storage().size_on_disk(KeyRange::new(b"x", Some(b"y")))?;
    holds(format!("the full range has {full} bytes, the empty one {empty}"), full > empty)
}

fn claimed_concurrent_flush(f: &mut Fixture) -> CaseResult {
    let dir = f.other_dir();
    let calls = Calls::watch(&dir)?;
    let storage = f.open_at(&dir, OpenMode::Create)?;
    let keys = numbered(40);
    let put = |key: &[u8]| storage.write(&batch(|batch| batch.put(key, key)), Durability::Buffered);
    put(&keys[0])?;
    if calls.count(Call::Write) == 0 {
        return calls.never_made(Call::Write);
    }
    thread::scope(|scope| {
        let held = HeldSyncs::begin(calls);
        let flush = scope.spawn(|| storage.flush(Durability::Synced));
        if !held.await_one(CONCURRENT_PATIENCE) {
            return failed("a flush with Synced made no sync call (fsync, fdatasync, msync)");
        }
        let (over, is_over) = mpsc::channel();
        let others = &keys[1..];
        let writes = scope.spawn(move || {
            let written = others.iter().try_for_each(|key| put(key));
            // Nobody listens any more when it took too long.
            let _ = over.send(());
            written
        });
        let in_time = is_over.recv_timeout(CONCURRENT_PATIENCE);
        drop(held);
        let (flushed, written) = (join(flush), join(writes));
        holds(
            format!(
                "buffered writes end while a flush waits for the disk, within {CONCURRENT_PATIENCE:?}: do they wait for a lock that the flush holds, or sync by themselves?"
            ),
            in_time.is_ok(),
        )?;
        flushed?;
        written.map_err(Into::into)
    })?;
    same_rows(
        "after the flush and the writes beside it",
        &storage_rows(&*storage)?,
        &mirrored_rows(keys.iter().map(Vec::as_slice)),
    )
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Checks that `call` is refused, when the backend does not declare `capability`.
fn undeclared<T>(
    f: &Fixture,
    capability: Capability,
    call: impl FnOnce(&Fixture) -> Result<T>,
) -> CaseResult<Error> {
    if f.has(capability) {
        return skipped(format!("the backend declares {capability}"));
    }
    let error = refused(capability, call(f), ErrorKind::Unsupported)?;
    holds(
        format!("\"{error}\" names {capability}"),
        error.to_string().contains(capability.name()),
    )?;
    Ok(error)
}

fn undeclared_checkpoint(f: &mut Fixture) -> CaseResult {
    let dir = f.other_dir();
    undeclared(f, Capability::Checkpoint, |f| f.storage().checkpoint(&dir))?;
    holds("nothing was written", !dir.exists())
}

fn undeclared_compact(f: &mut Fixture) -> CaseResult {
    undeclared(f, Capability::Compact, |f| f.storage().compact(KeyRange::ALL)).map(drop)
}

fn undeclared_verify(f: &mut Fixture) -> CaseResult {
    undeclared(f, Capability::Verify, |f| f.storage().verify()).map(drop)
}

fn undeclared_read_only(f: &mut Fixture) -> CaseResult {
    let dir = f.other_dir();
    undeclared(f, Capability::ReadOnlyOpen, |f| f.open_at(&dir, OpenMode::ReadOnly))?;
    holds("nothing was created", !dir.exists())
}

fn undeclared_snapshot(f: &mut Fixture) -> CaseResult {
    undeclared(f, Capability::Snapshot, |f| f.storage().snapshot()).map(drop)
}

fn undeclared_reverse(f: &mut Fixture) -> CaseResult {
    let reverse = |f: &Fixture| f.storage().cursor(KeyRange::ALL, Direction::Reverse);
    undeclared(f, Capability::ReverseCursor, reverse).map(drop)
}

fn undeclared_size(f: &mut Fixture) -> CaseResult {
    undeclared(f, Capability::SizeOnDisk, |f| f.storage().size_on_disk(KeyRange::ALL)).map(drop)
}

fn undeclared_synced(f: &mut Fixture) -> CaseResult {
    let change = batch(|batch| batch.put(b"k", b"k"));
    undeclared(f, Capability::SyncedWrites, |f| f.storage().write(&change, Durability::Synced))?;
    equal("the key", &f.get(b"k")?, &None)?;
    f.put(b"k", b"buffered")?;
    equal("a buffered write", &f.get(b"k")?, &Some(b"buffered".to_vec()))
}

fn unknown_option(f: &mut Fixture) -> CaseResult {
    let (dir, options) = (f.other_dir(), "no_backend_has_this_option = 1");
    let plugin = &f.loaded().plugin;
    let error =
        refused("the check", plugin.check_storage_config(options), ErrorKind::ConfigInvalid)?;
    let text = error.to_string();
    holds(format!("\"{text}\" names the option"), text.contains("no_backend_has_this_option"))?;
    let opened = plugin.open_storage(&dir, options, OpenMode::Create);
    refused("the opening", opened, ErrorKind::ConfigInvalid)?;
    holds("nothing was created", !dir.exists())
}

fn no_toml(f: &mut Fixture) -> CaseResult {
    let plugin = &f.loaded().plugin;
    for options in ["= 1", "[", "a b c", "\u{0}"] {
        let outcome = plugin.check_storage_config(options);
        refused(options.escape_debug(), outcome, ErrorKind::ConfigInvalid)?;
    }
    Ok(())
}

fn defaults(f: &mut Fixture) -> CaseResult {
    let plugin = &f.loaded().plugin;
    Ok(plugin.check_storage_config(&plugin.descriptor().config_defaults)?)
}
