//! Calls of the operating system that fail beneath the backend: writes, syncs, reads, openings.

use crate::case::{Case, CaseResult, Finding};
use crate::check::{Row, equal, failed, holds, same_rows, skipped};
use crate::fault::{Armed, Call, Calls, EIO, EMFILE, ENOSPC, Failures, Fault, Ledger};
use crate::fixture::{Fixture, batch, storage_rows};
use crate::job::stage;
use crate::kill::VALUE_BYTES;
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::{
    ByteBuf, Capability, Cursor, Direction, Durability, Effect, Error, ErrorKind, KeyRange,
    OpenMode, Page, PageEnd, StorageBackend,
};

const DURABLE: &[Capability] = &[Capability::SyncedWrites];

pub(super) const CASES: &[Case] = &[
    Case::new('P', "faults.write_error.loses_nothing", &[7, 16], "When any write call fails with EIO, the error says its effect, nothing acknowledged is lost and no batch is torn.", write_error).needs(DURABLE).faults().deadline(120),
    Case::new('P', "faults.no_space.loses_nothing", &[7, 16, 21], "When any write call fails with ENOSPC, the error is NoSpace, nothing acknowledged is lost, and the storage works again.", no_space).needs(DURABLE).faults().deadline(120),
    Case::new('P', "faults.sync_error.write_poisons", &[15, 16], "A synced write whose sync fails is an error of unknown effect, later writes are Poisoned without another sync, and reopening has every acknowledged batch.", sync_error_in_write).needs(DURABLE).faults().deadline(120),
    Case::new('P', "faults.sync_error.flush_poisons", &[15, 16], "A flush whose sync fails is an error, later writes and flushes are Poisoned without another sync, and reopening has every acknowledged batch.", sync_error_in_flush).needs(DURABLE).faults().deadline(120),
    Case::new('P', "faults.read_error.get", &[5, 16], "A get whose read call fails is an Io error, never absence.", read_error_in_get).needs(DURABLE).faults().deadline(120),
    Case::new('P', "faults.read_error.cursor", &[13], "A cursor whose read call fails gives an Io error, never the end, and repeats the error.", read_error_in_cursor).needs(DURABLE).faults().deadline(120),
    Case::new('P', "faults.read_error.reverse_cursor", &[13], "A reverse cursor whose read call fails gives an Io error, never the end, and repeats the error.", read_error_in_reverse_cursor).needs(&[Capability::SyncedWrites, Capability::ReverseCursor]).faults().deadline(120),
    Case::new('P', "faults.read_error.while_opening", &[20, 21], "An opening whose read call fails is an error that does not take the storage for missing or damaged, and everything is there afterwards.", read_error_while_opening).needs(DURABLE).faults().deadline(120),
    Case::new('P', "faults.open_error.while_working", &[16], "When files cannot be opened (EMFILE), operations fail with an error or work, and nothing acknowledged is lost.", open_error).needs(DURABLE).faults().deadline(120),
];

/// Calls that pass before one fails, for as long as that makes a difference.
const PASSES: std::ops::Range<u32> = 0..24;
/// After every other key.
const NEW_KEY: &[u8] = b"\xff";
/// Batches that are written before a fault, and during it.
const BATCHES: u64 = 4;

/// A directory with a storage in it, whose calls are watched.
struct Watched {
    dir: PathBuf,
    calls: Calls,
    storage: Box<dyn StorageBackend>,
    ledger: Ledger,
}

impl Watched {
    fn new(f: &mut Fixture) -> CaseResult<Self> {
        let dir = f.other_dir();
        let calls = Calls::watch(&dir)?;
        let storage = f.open_at(&dir, OpenMode::Create)?;
        let mut ledger = Ledger::new(VALUE_BYTES);
        ledger.write_some(&*storage, BATCHES)?;
        Ok(Self { dir, calls, storage, ledger })
    }

    /// Drops the storage without closing it, opens what it left and compares.
    fn check_reopened(self, f: &Fixture, fault: &Fault) -> CaseResult {
        let Self { dir, storage, mut ledger, .. } = self;
        drop(storage);
        let storage = reopened(f, &dir, fault)?;
        ledger.settle(&*storage, format!("after reopening ({fault})"))?;
        ledger.write_some(&*storage, 2)?;
        ledger.check(&*storage, format!("after reopening and two more batches ({fault})"))
    }
}

/// Lets each write call in turn fail, alone and with all that follow it.
fn write_sweep(f: &mut Fixture, code: i32, kinds: &[ErrorKind]) -> CaseResult {
    for failures in [Failures::One, Failures::Every] {
        for passes in PASSES {
            let fault = Fault { calls: &[Call::Write, Call::Grow], code, passes, failures };
            stage(fault.to_string());
            let mut watched = Watched::new(f)?;
            if !write_under(&mut watched, fault, kinds)? {
                if passes == 0 {
                    return watched.calls.never_made(Call::Write);
                }
                break;
            }
            watched.check_reopened(f, &fault)?;
        }
    }
    Ok(())
}

/// Writes under the fault until a write fails. Did a call fail?
fn write_under(watched: &mut Watched, fault: Fault, kinds: &[ErrorKind]) -> CaseResult<bool> {
    let Watched { calls, storage, ledger, .. } = watched;
    let armed = calls.fail(fault);
    let mut error = None;
    for number in 0..BATCHES {
        let durability = if number % 2 == 0 { Durability::Synced } else { Durability::Buffered };
        error = ledger.write(&**storage, durability).err();
        if error.is_some() {
            break;
        }
    }
    if armed.fired() == 0 {
        return match error {
            Some(error) => Err(error.into()),
            None => Ok(false),
        };
    }
    if error.is_some() {
        ledger.check(&**storage, format!("while calls fail ({fault})"))?;
    }
    drop(armed);
    // Without an error, the backend did without the call, which the reopening shows.
    if let Some(error) = error {
        check_kind(&error, kinds, &fault)?;
        ledger.check_poisoning(&**storage, &error)?;
        ledger.check(&**storage, format!("after a failed write ({fault})"))?;
    }
    Ok(true)
}

fn check_kind(error: &Error, kinds: &[ErrorKind], fault: &Fault) -> CaseResult {
    let kind = error.kind();
    holds(
        format!("the error is of the kind {kinds:?}, not {kind:?}: {error} ({fault})"),
        kinds.contains(&kind),
    )
}

fn write_error(f: &mut Fixture) -> CaseResult {
    write_sweep(f, EIO, &[ErrorKind::Io])
}

fn no_space(f: &mut Fixture) -> CaseResult {
    write_sweep(f, ENOSPC, &[ErrorKind::NoSpace, ErrorKind::QuotaFull])
}

/// Lets each sync call of `act` in turn fail; what `act` does is an error then, and poisons.
fn sync_sweep(f: &mut Fixture, act: impl Fn(&mut Watched) -> Result<(), Error>) -> CaseResult {
    for passes in PASSES {
        let fault = Fault { calls: &[Call::Sync], code: EIO, passes, failures: Failures::One };
        stage(fault.to_string());
        let mut watched = Watched::new(f)?;
        if !fails_and_poisons(&mut watched, fault, &act)? {
            if passes == 0 {
                return watched.calls.never_made(Call::Sync);
            }
            return Ok(());
        }
        watched.check_reopened(f, &fault)?;
    }
    Ok(())
}

/// Checks one failed sync. Did a call fail?
fn fails_and_poisons(
    watched: &mut Watched,
    fault: Fault,
    act: &impl Fn(&mut Watched) -> Result<(), Error>,
) -> CaseResult<bool> {
    let shim = watched.calls;
    let armed = shim.fail(fault);
    let outcome = act(watched);
    let fired = armed.fired();
    drop(armed);
    let error = match outcome {
        Err(error) if fired > 0 => error,
        Err(error) => return Err(error.into()),
        Ok(()) if fired == 0 => return Ok(false),
        Ok(()) => {
            return failed(format!(
                "a sync call failed ({fault}) and the operation was acknowledged: the error was swallowed, or the sync retried, which cannot succeed"
            ));
        }
    };
    check_kind(&error, &[ErrorKind::Io], &fault)?;
    equal(
        format!("the effect of {error} ({fault}) is unknown"),
        &(error.effect() == Effect::Unknown),
        &true,
    )?;
    let syncs = shim.count(Call::Sync);
    let Watched { storage, ledger, .. } = watched;
    for round in 0..2 {
        let claim = |what: &str, outcome: &dyn std::fmt::Debug| {
            format!(
                "{what} after a failed sync is refused as Poisoned in round {round}; it ended with {outcome:?}"
            )
        };
        let is_poisoned = |outcome: &Result<(), Error>| matches!(outcome, Err(error) if error.kind() == ErrorKind::Poisoned);
        let write = ledger.write(&**storage, Durability::Synced);
        holds(claim("a write", &write), is_poisoned(&write))?;
        let flush = storage.flush(Durability::Synced);
        holds(claim("a flush", &flush), is_poisoned(&flush))?;
    }
    equal(
        "sync calls of the refused operations: a failed sync is not retried",
        &(shim.count(Call::Sync) - syncs),
        &0,
    )?;
    ledger.check(&**storage, format!("after a failed sync ({fault})"))?;
    Ok(true)
}

fn sync_error_in_write(f: &mut Fixture) -> CaseResult {
    sync_sweep(f, |watched| watched.ledger.write(&*watched.storage, Durability::Synced))
}

fn sync_error_in_flush(f: &mut Fixture) -> CaseResult {
    sync_sweep(f, |watched| {
        watched.ledger.write(&*watched.storage, Durability::Buffered)?;
        watched.storage.flush(Durability::Synced)
    })
}

/// Fills `dir` with more than a backend keeps in memory, and returns it.
fn filled(f: &Fixture, dir: &Path, is_closed: bool) -> CaseResult<Vec<Row>> {
    let storage = f.open_at(dir, OpenMode::Create)?;
    let mut random = f.random();
    for part in 0..16u8 {
        let batch = batch(|batch| {
            for number in 0..64u8 {
                batch.put(&[part, number], &random.bytes(4_000));
            }
        });
        storage.write(&batch, Durability::Buffered)?;
    }
    let rows = storage_rows(&*storage)?;
    if is_closed {
        storage.close()?;
    }
    Ok(rows)
}

/// Tries `read` on a storage whose read calls fail, at several moments: what is in the files, and what is still in a log.
fn read_sweep(
    f: &mut Fixture,
    read: impl Fn(&dyn StorageBackend, &[Row], Fault, Armed) -> CaseResult<u64>,
) -> CaseResult {
    let mut fired = 0;
    for is_closed in [true, false] {
        let dir = f.other_dir();
        let calls = Calls::watch(&dir)?;
        let rows = filled(f, &dir, is_closed)?;
        for failures in [Failures::One, Failures::Every] {
            for passes in [0, 1, 3, 20, 150] {
                let fault = Fault { calls: &[Call::Read], code: EIO, passes, failures };
                stage(fault.to_string());
                // A new handle has read little yet.
                let storage = f.open_at(&dir, OpenMode::MustExist)?;
                fired += read(&*storage, &rows, fault, calls.fail(fault))?;
                is_whole_or_io_error(&*storage, &rows, fault)?;
            }
        }
        let storage = f.open_at(&dir, OpenMode::MustExist)?;
        same_rows("opened after failed reads", &storage_rows(&*storage)?, &rows)?;
        if !is_closed && fired == 0 {
            return calls.never_made(Call::Read);
        }
    }
    Ok(())
}

/// A backend may keep to an error until it is opened anew.
fn is_whole_or_io_error(storage: &dyn StorageBackend, rows: &[Row], fault: Fault) -> CaseResult {
    match scan(storage) {
        Err(error) => check_kind(&error, &[ErrorKind::Io], &fault),
        Ok(found) => same_rows(format!("after failed reads ({fault})"), &found, rows),
    }
}

fn read_error_in_get(f: &mut Fixture) -> CaseResult {
    read_sweep(f, |storage, rows, fault, armed| {
        let mut value = ByteBuf::new();
        for (key, expected) in rows {
            match storage.get(key, &mut value) {
                Ok(true) => equal("the value of a key", &value.to_vec(), expected)?,
                Ok(false) => {
                    return failed(format!(
                        "a key is absent, although it is there: a read error was taken for absence ({fault})"
                    ));
                }
                Err(error) => check_kind(&error, &[ErrorKind::Io], &fault)?,
            }
        }
        Ok(armed.fired())
    })
}

fn read_error_in_cursor(f: &mut Fixture) -> CaseResult {
    read_sweep(f, |storage, rows, fault, armed| {
        read_until_error(storage.cursor(KeyRange::ALL, Direction::Forward), rows, fault, armed)
    })
}

fn read_error_in_reverse_cursor(f: &mut Fixture) -> CaseResult {
    read_sweep(f, |storage, rows, fault, armed| {
        let backwards: Vec<_> = rows.iter().rev().cloned().collect();
        let cursor = storage.cursor(KeyRange::ALL, Direction::Reverse);
        read_until_error(cursor, &backwards, fault, armed)
    })
}

/// Reads `cursor`, which may not have been made, to its end or its error, and checks either. How many calls failed?
fn read_until_error(
    cursor: Result<Box<dyn Cursor>, Error>,
    expected: &[Row],
    fault: Fault,
    armed: Armed,
) -> CaseResult<u64> {
    let mut page = Page::new();
    let (mut cursor, mut read) = match cursor {
        Ok(cursor) => (cursor, 0),
        Err(error) => {
            check_kind(&error, &[ErrorKind::Io], &fault)?;
            return Ok(armed.fired());
        }
    };
    let error = loop {
        page.clear();
        let end = cursor.next_page(&mut page);
        for (key, value) in page.iter() {
            let found = (key.to_vec(), value.to_vec());
            equal(format!("entry {read} ({fault})"), &Some(found), &expected.get(read).cloned())?;
            read += 1;
        }
        match end {
            Ok(PageEnd::More) => {}
            Ok(PageEnd::End) => break None,
            Err(error) => break Some(error),
        }
    };
    let fired = armed.fired();
    drop(armed);
    let Some(error) = error else {
        let what = format!(
            "entries before the end of the data ({fault}): too few mean that a read error was taken for the end"
        );
        equal(what, &read, &expected.len())?;
        return Ok(fired);
    };
    check_kind(&error, &[ErrorKind::Io], &fault)?;
    for _ in 0..2 {
        page.clear();
        let again = cursor.next_page(&mut page);
        let claim =
            format!("a cursor repeats its error with the cause gone ({fault}); it gave {again:?}");
        let is_same = again.is_err_and(|again| again.kind() == error.kind());
        holds(claim, is_same && page.is_empty())?;
    }
    Ok(fired)
}

fn read_error_while_opening(f: &mut Fixture) -> CaseResult {
    let mut any = false;
    for is_closed in [true, false] {
        let dir = f.other_dir();
        let calls = Calls::watch(&dir)?;
        let rows = filled(f, &dir, is_closed)?;
        for failures in [Failures::One, Failures::Every] {
            for passes in PASSES {
                let fault = Fault { calls: &[Call::Read], code: EIO, passes, failures };
                stage(fault.to_string());
                let armed = calls.fail(fault);
                let opened = f.open_at(&dir, OpenMode::Create);
                let fired = armed.fired();
                drop(armed);
                match opened {
                    Ok(storage) => same_rows(
                        format!("after an opening ({fault})"),
                        &storage_rows(&*storage)?,
                        &rows,
                    )?,
                    Err(error) => check_kind(&error, &[ErrorKind::Io], &fault)?,
                }
                let storage = f.open_at(&dir, OpenMode::MustExist)?;
                same_rows(
                    format!("opened after a failed opening ({fault})"),
                    &storage_rows(&*storage)?,
                    &rows,
                )?;
                any |= fired > 0;
                if fired == 0 {
                    break;
                }
            }
        }
        if !any {
            return calls.never_made(Call::Read);
        }
    }
    Ok(())
}

/// Everything in `storage`, or the error that ended the reading.
fn scan(storage: &dyn StorageBackend) -> Result<Vec<Row>, Error> {
    let mut cursor = storage.cursor(KeyRange::ALL, Direction::Forward)?;
    let (mut page, mut rows) = (Page::new(), Vec::new());
    loop {
        page.clear();
        let end = cursor.next_page(&mut page)?;
        rows.extend(page.iter().map(|(key, value)| (key.to_vec(), value.to_vec())));
        if end == PageEnd::End {
            return Ok(rows);
        }
    }
}

fn open_error(f: &mut Fixture) -> CaseResult {
    let mut fired = 0;
    for passes in 0..4 {
        for failures in [Failures::One, Failures::Every] {
            let fault = Fault { calls: &[Call::Open], code: EMFILE, passes, failures };
            stage(fault.to_string());
            fired += work_without_files(f, fault)?;
        }
    }
    // Who keeps its files open has nothing to open.
    if fired > 0 { Ok(()) } else { skipped("the backend opened no file while it worked") }
}

/// Reads and writes while files cannot be opened. How many calls failed?
fn work_without_files(f: &mut Fixture, fault: Fault) -> CaseResult<u64> {
    let dir = f.other_dir();
    let calls = Calls::watch(&dir)?;
    let rows = filled(f, &dir, true)?;
    let storage = f.open_at(&dir, OpenMode::MustExist)?;
    let change = batch(|batch| batch.put(NEW_KEY, b"new"));
    let armed = calls.fail(fault);
    let scanned = scan(&*storage);
    let written = storage.write(&change, Durability::Buffered);
    let flushed = storage.flush(Durability::Buffered);
    let fired = armed.fired();
    drop(armed);
    match scanned {
        Ok(found) => same_rows(format!("a scan ({fault})"), &found, &rows)?,
        Err(error) => check_kind(&error, &[ErrorKind::Io], &fault)?,
    }
    for error in [&written, &flushed].into_iter().filter_map(|outcome| outcome.as_ref().err()) {
        check_kind(error, &[ErrorKind::Io, ErrorKind::Poisoned], &fault)?;
    }
    drop(storage);
    let storage = reopened(f, &dir, &fault)?;
    let mut found = storage_rows(&*storage)?;
    let has_new = found.pop_if(|(key, _)| key == NEW_KEY).is_some();
    let claim = match written {
        Ok(()) if !has_new => Some("an acknowledged write is lost"),
        Err(error) if has_new && error.effect() == Effect::NotApplied => {
            Some("a write that was not applied is there")
        }
        _ => None,
    };
    if let Some(claim) = claim {
        return failed(format!("after reopening ({fault}), {claim}"));
    }
    same_rows(format!("after reopening ({fault})"), &found, &rows)?;
    Ok(fired)
}

/// Opens what a fault left.
fn reopened(f: &Fixture, dir: &Path, fault: &Fault) -> CaseResult<Box<dyn StorageBackend>> {
    f.open_at(dir, OpenMode::MustExist).map_err(|error| {
        let kind = error.kind();
        Finding::Failed(format!("after {fault}, it cannot be opened anew: {kind:?}: {error}"))
    })
}
