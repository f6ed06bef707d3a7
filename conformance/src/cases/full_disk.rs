//! Disks that are full or read-only, and processes that may open no more files.

use crate::case::{Case, CaseResult, Finding};
use crate::check::{equal, failed, holds, refused, skipped};
use crate::fault::{Disk, FilesMax, Ledger, file_sizes};
use crate::fixture::{Fixture, storage_digest};
use crate::job::stage;
use crate::kill::VALUE_BYTES;
use std::fs;
use std::path::Path;
use supervm_plugin_sdk::{Capability, Durability, Error, ErrorKind, OpenMode, StorageBackend};

const DURABLE: &[Capability] = &[Capability::SyncedWrites];

pub(super) const CASES: &[Case] = &[
    Case::new('P', "faults.disk_full.synced_writes", &[7, 16, 21], "On a full disk a synced write is NoSpace and loses nothing, reads go on, and with space it works again, reopened if it says so.", synced_writes).needs(DURABLE).faults().deadline(120),
    Case::new('P', "faults.disk_full.buffered_writes", &[7, 16, 21], "On a full disk buffered writes and the flush after them are NoSpace and lose nothing acknowledged, and with space it works again.", buffered_writes).needs(DURABLE).faults().deadline(120),
    Case::new('P', "faults.disk_full.flush", &[16, 21], "On a full disk a flush is NoSpace and poisons or it succeeds, reads go on, and with space everything acknowledged is there.", flush).needs(DURABLE).faults(),
    Case::new('P', "faults.disk_full.while_opening", &[20, 21], "On a full disk a new storage opens or is refused with NoSpace, and opens once there is space.", opening_new).needs(DURABLE).faults().deadline(120),
    Case::new('P', "faults.disk_full.while_reopening", &[21], "On a full disk a storage with content opens or is refused with NoSpace, and has all of it once there is space.", reopening).needs(DURABLE).faults().deadline(120),
    Case::new('P', "faults.disk_full.checkpoint", &[16, 21, 22], "A checkpoint for which the disk has no room is NoSpace and absent, and complete once there is room.", checkpoint).needs(&[Capability::Checkpoint]).faults(),
    Case::new('P', "faults.read_only_disk.refuses_writing", &[16, 19], "Opening for writing on a read-only file system is refused or only reads, and nothing is lost.", read_only_disk).needs(DURABLE).faults(),
    Case::new('P', "faults.read_only_disk.opens_read_only", &[19], "A ReadOnly opening works on a read-only file system.", read_only_open).needs(&[Capability::ReadOnlyOpen, Capability::SyncedWrites]).faults(),
    Case::new('P', "faults.too_many_files.while_opening", &[16], "When the process may open no more files, an opening is an Io error or works, and later opens everything.", too_many_files).needs(DURABLE).faults().deadline(120),
];

const MIB: u64 = 1 << 20;
const DISK_BYTES: u64 = 24 * MIB;
/// What a disk has free that has room again; more than any backend sets aside.
const ROOM_BYTES: u64 = 512 * MIB;
/// Bytes of the values that fill the disk.
const LARGE_VALUE_BYTES: usize = 16_000;
/// Batches of such values that no disk of that size has room for.
const BATCHES_MAX: u64 = DISK_BYTES / (8 * LARGE_VALUE_BYTES as u64) + 1;
/// How much the longest file may grow before a limit on files stands for a full disk; less than any backend writes to one file
/// before it begins the next.
const GROWTH_BYTES: u64 = MIB;
const FULL: &[ErrorKind] = &[ErrorKind::NoSpace, ErrorKind::QuotaFull];

fn is_one_of(error: &Error, kinds: &[ErrorKind], when: &str) -> CaseResult {
    let kind = error.kind();
    holds(
        format!("{when} the error is one of {kinds:?}, not {kind:?}: {error}"),
        kinds.contains(&kind),
    )
}

/// Writes until the disk is full. The error that says so.
fn fill(
    disk: &Disk,
    ledger: &mut Ledger,
    storage: &dyn StorageBackend,
    durability: Durability,
) -> CaseResult<Error> {
    while ledger.batches() < BATCHES_MAX {
        if let Err(error) = ledger.write(storage, durability) {
            return Ok(error);
        }
    }
    // What was acknowledged has to be somewhere.
    if let Err(error) = storage.flush(Durability::Synced) {
        return Ok(error);
    }
    let bytes = ledger.batches() * 8 * LARGE_VALUE_BYTES as u64;
    // Nobody can make random values shorter: where the files together are as long, none of them met the limit.
    if disk.is_limit() && file_sizes(&disk.path(""))?.into_iter().sum::<u64>() >= bytes {
        return skipped(format!(
            "no small file system is mounted, and a limit on the size of files does not stand for one: none of the backend's grew by more than {} MiB",
            GROWTH_BYTES / MIB
        ));
    }
    let place = if disk.is_limit() {
        format!("although files may not grow by more than {} MiB", GROWTH_BYTES / MIB)
    } else {
        format!("on a disk of {} MiB", DISK_BYTES / MIB)
    };
    failed(format!(
        "{} batches with {} MiB of random values were acknowledged and flushed, {place}",
        ledger.batches(),
        bytes / MIB
    ))
}

fn fill_and_free(f: &mut Fixture, durability: Durability) -> CaseResult {
    let disk = Disk::small(&f.other_dir(), DISK_BYTES)?;
    let dir = disk.path("store");
    let storage = f.open_at(&dir, OpenMode::Create)?;
    let mut ledger = Ledger::new(LARGE_VALUE_BYTES);
    stage("filling the disk");
    let longest = file_sizes(&dir)?.into_iter().max().unwrap_or_default();
    disk.limit_files(longest + GROWTH_BYTES)?;
    let error = fill(&disk, &mut ledger, &*storage, durability)?;
    is_one_of(&error, FULL, "on a full disk")?;
    ledger.check(&*storage, format!("read on a full disk after {error},"))?;
    disk.resize(DISK_BYTES + ROOM_BYTES)?;
    stage("writing with room again");
    ledger.check_poisoning(&*storage, &error)?;
    ledger.check(&*storage, format!("with room again after {error},"))?;
    drop(storage);
    let storage = f.open_at(&dir, OpenMode::MustExist).map_err(|refused| {
        let kind = refused.kind();
        Finding::Failed(format!("after {error}, it cannot be opened anew: {kind:?}: {refused}"))
    })?;
    ledger.settle(&*storage, format!("after reopening after {error},"))?;
    ledger.write_some(&*storage, 2)?;
    ledger.check(&*storage, "after reopening and two more batches")
}

fn synced_writes(f: &mut Fixture) -> CaseResult {
    fill_and_free(f, Durability::Synced)
}

fn buffered_writes(f: &mut Fixture) -> CaseResult {
    fill_and_free(f, Durability::Buffered)
}

fn flush(f: &mut Fixture) -> CaseResult {
    let disk = Disk::small(&f.other_dir(), DISK_BYTES)?;
    let (dir, mut ledger) = (disk.path("store"), Ledger::new(LARGE_VALUE_BYTES));
    let storage = f.open_at(&dir, OpenMode::Create)?;
    for _ in 0..10 {
        ledger.write(&*storage, Durability::Buffered)?;
    }
    storage.flush(Durability::Synced)?;
    disk.fill(0)?;
    let written = ledger.write(&*storage, Durability::Buffered);
    let flushed = storage.flush(Durability::Synced);
    if let Err(error) = &written {
        is_one_of(error, FULL, "a write on a full disk")?;
    } else if let Err(error) = &flushed {
        is_one_of(error, FULL, "a flush on a full disk")?;
    }
    if let Err(error) = flushed {
        let later = ledger.write(&*storage, Durability::Buffered);
        let claim = format!("after a failed flush ({error}) a write is Poisoned, not {later:?}");
        holds(claim, later.is_err_and(|later| later.kind() == ErrorKind::Poisoned))?;
    }
    ledger.check(&*storage, "read on a full disk")?;
    disk.remove_ballast()?;
    drop(storage);
    let storage = f.open_at(&dir, OpenMode::MustExist)?;
    ledger.settle(&*storage, "after reopening with space")
}

/// Pages that are left on a disk that is full in the middle of an opening.
const SPARE_PAGES: [usize; 14] = [0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 40, 64];

/// Writes and closes `count` batches.
fn content(f: &Fixture, dir: &Path, count: u64) -> CaseResult<Ledger> {
    let storage = f.open_at(dir, OpenMode::Create)?;
    let mut ledger = Ledger::new(VALUE_BYTES);
    for _ in 0..count {
        ledger.write(&*storage, Durability::Buffered)?;
    }
    storage.close()?;
    Ok(ledger)
}

fn opening_new(f: &mut Fixture) -> CaseResult {
    let disk = Disk::small(&f.other_dir(), 2 * MIB)?;
    for spare in SPARE_PAGES {
        stage(format!("opening a new storage on a disk with {spare} free pages"));
        let dir = disk.path("store");
        disk.fill(spare)?;
        let opened = f.open_at(&dir, OpenMode::Create);
        let when = format!("on a disk with {spare} free pages");
        match opened {
            Ok(storage) => drop(storage),
            Err(error) => is_one_of(&error, FULL, &when)?,
        }
        disk.remove_ballast()?;
        disk.resize(DISK_BYTES)?;
        let mut ledger = content(f, &dir, 3)?;
        let storage = f.open_at(&dir, OpenMode::MustExist)?;
        ledger.settle(&*storage, format!("with space after an opening {when}"))?;
        drop(storage);
        fs::remove_dir_all(&dir)?;
        disk.resize(2 * MIB)?;
    }
    Ok(())
}

fn reopening(f: &mut Fixture) -> CaseResult {
    let disk = Disk::small(&f.other_dir(), DISK_BYTES)?;
    let dir = disk.path("store");
    let mut ledger = content(f, &dir, 60)?;
    for spare in SPARE_PAGES {
        stage(format!("opening a storage with content on a disk with {spare} free pages"));
        disk.fill(spare)?;
        let when = format!("on a disk with {spare} free pages");
        match f.open_at(&dir, OpenMode::MustExist) {
            Ok(storage) => ledger.check(&*storage, &when)?,
            Err(error) => is_one_of(&error, FULL, &when)?,
        }
        disk.remove_ballast()?;
        let storage = f.open_at(&dir, OpenMode::MustExist)?;
        ledger.settle(&*storage, format!("with space after an opening {when}"))?;
        ledger.write(&*storage, Durability::Buffered)?;
        storage.close()?;
    }
    Ok(())
}

fn checkpoint(f: &mut Fixture) -> CaseResult {
    let mut ledger = Ledger::new(LARGE_VALUE_BYTES);
    for _ in 0..30 {
        ledger.write(f.storage(), Durability::Buffered)?;
    }
    let disk = Disk::small(&f.other_dir(), MIB)?;
    let target = disk.path("copy");
    if disk.is_limit() {
        // The limit holds for the storage's own files too. Its first checkpoint brings them to where a checkpoint finds nothing
        // to do but the copy.
        let first = f.other_dir();
        f.storage().checkpoint(&first)?;
        disk.limit_files(0)?;
    }
    let error = refused("a checkpoint", f.storage().checkpoint(&target), ErrorKind::NoSpace)?;
    equal(format!("the target is there, after {error}"), &target.exists(), &false)?;
    let left: Vec<_> = fs::read_dir(disk.path(""))?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_, _>>()?;
    equal("names beside the target", &left, &Vec::new())?;
    ledger.check(f.storage(), "after a failed checkpoint")?;
    disk.resize(2 * DISK_BYTES)?;
    f.storage().checkpoint(&target)?;
    let copy = f.open_at(&target, OpenMode::MustExist)?;
    equal("the digest of the checkpoint", &storage_digest(&*copy)?, &f.digest()?)
}

fn read_only_disk(f: &mut Fixture) -> CaseResult {
    let disk = Disk::mount(&f.other_dir(), DISK_BYTES)?;
    let dir = disk.path("store");
    let mut ledger = content(f, &dir, 20)?;
    disk.set_read_only(true)?;
    let kinds = [ErrorKind::ReadOnly, ErrorKind::PermissionDenied, ErrorKind::Io];
    for mode in [OpenMode::Create, OpenMode::MustExist] {
        let Err(error) = f.open_at(&dir, mode) else {
            return failed(format!(
                "a read-only file system was opened with {mode:?}, which writes"
            ));
        };
        is_one_of(&error, &kinds, "on a read-only file system")?;
    }
    let Err(error) = f.open_at(&disk.path("new"), OpenMode::Create) else {
        return failed("a storage was made on a read-only file system");
    };
    is_one_of(&error, &kinds, "on a read-only file system")?;
    disk.set_read_only(false)?;
    let storage = f.open_at(&dir, OpenMode::MustExist)?;
    ledger.settle(&*storage, "writable again")?;
    ledger.write(&*storage, Durability::Buffered)?;
    ledger.check(&*storage, "writable again, after one more batch")
}

fn read_only_open(f: &mut Fixture) -> CaseResult {
    let disk = Disk::mount(&f.other_dir(), DISK_BYTES)?;
    let dir = disk.path("store");
    let ledger = content(f, &dir, 20)?;
    disk.set_read_only(true)?;
    let storage = f.open_at(&dir, OpenMode::ReadOnly)?;
    ledger.check(&*storage, "opened read-only on a read-only file system")
}

fn too_many_files(f: &mut Fixture) -> CaseResult {
    let (dir, mut refusals) = (f.other_dir(), 0);
    let mut ledger = content(f, &dir, 20)?;
    for more in 0..20 {
        stage(format!("opening with {more} more files allowed"));
        let new = f.other_dir();
        let few = FilesMax::lower(more)?;
        let opened = [f.open_at(&dir, OpenMode::MustExist), f.open_at(&new, OpenMode::Create)];
        drop(few);
        for error in opened.iter().filter_map(|opened| opened.as_ref().err()) {
            refusals += 1;
            is_one_of(error, &[ErrorKind::Io], &format!("with {more} more files allowed"))?;
        }
        drop(opened);
        let storage = f.open_at(&dir, OpenMode::MustExist)?;
        ledger.settle(&*storage, format!("after an opening with {more} more files allowed"))?;
        drop(storage);
        content(f, &new, 1)?;
    }
    holds("an opening with no more files allowed is refused", refusals > 0)
}
