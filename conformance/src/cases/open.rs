//! Opening and closing: modes, the lock, what a closed storage answers.

use crate::case::{Case, CaseResult};
use crate::check::{equal, failed, holds, refused, same_rows};
use crate::fixture::{Fixture, batch, drain, mirrored_rows, numbered, storage_rows};
use crate::kill::{OpenJob, Opening, open_elsewhere};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use supervm_plugin_sdk::{
    ByteBuf, Capability, Direction, Durability, ErrorKind, KeyRange, LOCK_FILE, OpenMode, Values,
    WriteBatch,
};

const DURABLE: &[Capability] = &[Capability::SyncedWrites];
const READ_ONLY: &[Capability] = &[Capability::ReadOnlyOpen, Capability::SyncedWrites];

pub(super) const CASES: &[Case] = &[
    Case::new(
        'A',
        "open.create.makes_the_directory",
        &[20],
        "Create makes a missing directory, its parents included.",
        makes_directory,
    ),
    Case::new('A', "open.create.new_is_empty", &[20], "A new storage is empty.", new_is_empty),
    Case::new(
        'A',
        "open.create.keeps_what_is_there",
        &[15, 20],
        "Create opens an existing storage with its content.",
        keeps,
    )
    .needs(DURABLE),
    Case::new(
        'A',
        "open.must_exist.missing_directory",
        &[20],
        "MustExist on a missing directory is NotFound and creates nothing.",
        must_exist_missing,
    ),
    Case::new(
        'A',
        "open.must_exist.empty_directory",
        &[20],
        "MustExist on a directory without a storage is NotFound.",
        must_exist_empty,
    )
    .needs(DURABLE),
    Case::new(
        'A',
        "open.must_exist.names_the_path",
        &[20],
        "The refusal of a missing directory names the path.",
        must_exist_names,
    ),
    Case::new(
        'A',
        "open.lock.same_process",
        &[18],
        "Opening a directory twice in one process is Locked.",
        lock_same_process,
    ),
    Case::new(
        'A',
        "open.lock.other_process",
        &[18],
        "Opening a directory that another process has is Locked.",
        lock_other_process,
    ),
    Case::new(
        'A',
        "open.lock.refusal_changes_nothing",
        &[18],
        "A refused second opening leaves the first usable.",
        lock_changes_nothing,
    ),
    Case::new(
        'A',
        "open.lock.ends_with_close",
        &[17, 18],
        "After close and drop the directory can be opened again.",
        lock_ends,
    ),
    Case::new(
        'A',
        "open.lock.ends_with_drop",
        &[18],
        "A storage that is dropped without close lets its directory go.",
        lock_ends_with_drop,
    ),
    Case::new(
        'A',
        "open.lock.held_by_a_live_cursor",
        &[17, 18],
        "A cursor that outlives its storage keeps the directory locked and stays readable.",
        lock_held_by_cursor,
    ),
    Case::new(
        'A',
        "open.two_directories",
        &[30],
        "Two storages in two directories do not see each other.",
        two_directories,
    ),
    Case::new(
        'A',
        "open.directory_with_odd_name",
        &[20],
        "A directory's name may have spaces, umlauts and bytes that are no UTF-8.",
        odd_name,
    ),
    Case::new(
        'A',
        "open.read_only.reads",
        &[19],
        "A storage that was opened read-only has the whole content.",
        read_only_reads,
    )
    .needs(READ_ONLY),
    Case::new(
        'A',
        "open.read_only.refuses_writes",
        &[19],
        "A read-only storage refuses every change with ReadOnly.",
        read_only_refuses,
    )
    .needs(READ_ONLY),
    Case::new(
        'A',
        "open.read_only.changes_no_file",
        &[19],
        "Opening read-only and reading changes no file of the storage and leaves none behind.",
        read_only_no_file,
    )
    .needs(READ_ONLY),
    Case::new(
        'A',
        "open.read_only.missing_directory",
        &[19, 20],
        "Read-only on a missing directory is NotFound and creates nothing.",
        read_only_missing,
    )
    .needs(READ_ONLY),
    Case::new(
        'A',
        "open.read_only.while_a_writer_has_it",
        &[18, 19],
        "Another process may read a directory that a writer has exactly when that is declared.",
        read_only_elsewhere,
    )
    .needs(READ_ONLY),
    Case::new(
        'A',
        "open.close.busy_with_a_cursor",
        &[17],
        "Close with a live cursor is Busy, and the storage works on.",
        close_busy_cursor,
    ),
    Case::new(
        'A',
        "open.close.busy_with_a_snapshot",
        &[17],
        "Close with a live snapshot is Busy, and the storage works on.",
        close_busy_snapshot,
    )
    .needs(&[Capability::Snapshot]),
    Case::new(
        'A',
        "open.close.everything_after_it_is_closed",
        &[17],
        "Every call after close is Closed.",
        closed,
    ),
    Case::new(
        'A',
        "open.close.keeps_everything",
        &[15, 17],
        "Everything that was written buffered is there after close and reopening.",
        close_keeps,
    )
    .needs(DURABLE),
    Case::new(
        'A',
        "open.reopen.many_times",
        &[15],
        "Forty rounds of writing and reopening lose nothing.",
        reopen_many,
    )
    .needs(DURABLE)
    .deadline(60),
    Case::new(
        'A',
        "open.reopen.ordered_like_before",
        &[1, 15],
        "After reopening, scans come in the same order with the same values.",
        reopen_ordered,
    )
    .needs(DURABLE),
];

fn makes_directory(f: &mut Fixture) -> CaseResult {
    let dir = f.other_dir().join("a").join("b");
    let storage = f.open_at(&dir, OpenMode::Create)?;
    storage.write(&batch(|batch| batch.put(b"k", b"")), Durability::Buffered)?;
    holds("the directory exists", dir.is_dir())
}

fn new_is_empty(f: &mut Fixture) -> CaseResult {
    equal("entries", &f.all_rows()?.len(), &0)?;
    equal("a key", &f.get(b"k")?, &None)
}

fn keeps(f: &mut Fixture) -> CaseResult {
    f.put(b"k", b"k")?;
    f.reopen(OpenMode::Create)?;
    same_rows("after opening with Create", &f.all_rows()?, &mirrored_rows([&b"k"[..]]))
}

fn must_exist_missing(f: &mut Fixture) -> CaseResult {
    let dir = f.other_dir();
    refused("the opening", f.open_at(&dir, OpenMode::MustExist), ErrorKind::NotFound)?;
    holds("nothing was created", !dir.exists())
}

fn must_exist_empty(f: &mut Fixture) -> CaseResult {
    let dir = f.other_dir();
    fs::create_dir(&dir)?;
    let opened = f.open_at(&dir, OpenMode::MustExist);
    refused("MustExist on an empty directory", opened, ErrorKind::NotFound)?;
    let names = files(&dir)?.into_keys().filter(|path| !path.ends_with(LOCK_FILE));
    let names: Vec<_> = names.map(|path| path.display().to_string()).collect();
    equal("files that were created", &names, &Vec::new())
}

fn must_exist_names(f: &mut Fixture) -> CaseResult {
    let dir = f.other_dir();
    let error = refused("the opening", f.open_at(&dir, OpenMode::MustExist), ErrorKind::NotFound)?;
    holds(
        format!("\"{error}\" has the path"),
        error.to_string().contains(&dir.display().to_string()),
    )
}

fn lock_same_process(f: &mut Fixture) -> CaseResult {
    refused("a second opening", f.open_at(&f.dir(), OpenMode::Create), ErrorKind::Locked)?;
    refused("with MustExist", f.open_at(&f.dir(), OpenMode::MustExist), ErrorKind::Locked).map(drop)
}

fn elsewhere(f: &Fixture, read_only: bool) -> CaseResult<Opening> {
    open_elsewhere(OpenJob { target: f.loaded().target.clone(), dir: f.dir(), read_only })
}

fn lock_other_process(f: &mut Fixture) -> CaseResult {
    match elsewhere(f, false)? {
        Opening::Refused(kind) => equal("the other process' error", kind.as_str(), "Locked"),
        Opening::Digest(_) => failed("another process opened a directory that is in use"),
    }
}

fn lock_changes_nothing(f: &mut Fixture) -> CaseResult {
    f.put(b"a", b"a")?;
    for _ in 0..3 {
        refused("a second opening", f.open_at(&f.dir(), OpenMode::Create), ErrorKind::Locked)?;
        elsewhere(f, false)?;
    }
    f.put(b"b", b"b")?;
    same_rows("the first handle", &f.all_rows()?, &mirrored_rows([&b"a"[..], b"b"]))
}

fn lock_ends(f: &mut Fixture) -> CaseResult {
    for _ in 0..5 {
        f.put(b"k", b"k")?;
        f.reopen(OpenMode::Create)?;
    }
    Ok(())
}

fn lock_ends_with_drop(f: &mut Fixture) -> CaseResult {
    for _ in 0..5 {
        f.put(b"k", b"k")?;
        f.drop_storage();
        f.open(OpenMode::Create)?;
    }
    f.drop_storage();
    match elsewhere(f, false)? {
        Opening::Digest(_) => Ok(()),
        Opening::Refused(kind) => {
            failed(format!("another process was refused with {kind} after the drop"))
        }
    }
}

fn lock_held_by_cursor(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"b"])?;
    let mut cursor = f.cursor(KeyRange::ALL, Direction::Forward)?;
    f.drop_storage();
    refused("an opening", f.open_at(&f.dir(), OpenMode::Create), ErrorKind::Locked)?;
    same_rows("the cursor", &drain(&mut *cursor)?, &mirrored_rows([&b"a"[..], b"b"]))?;
    drop(cursor);
    f.open(OpenMode::Create)
}

fn two_directories(f: &mut Fixture) -> CaseResult {
    let dir = f.other_dir();
    let other = f.open_at(&dir, OpenMode::Create)?;
    f.put(b"mine", b"mine")?;
    other.write(&batch(|batch| batch.put(b"other", b"other")), Durability::Buffered)?;
    same_rows("the first", &f.all_rows()?, &mirrored_rows([&b"mine"[..]]))?;
    same_rows("the second", &storage_rows(&*other)?, &mirrored_rows([&b"other"[..]]))
}

fn odd_name(f: &mut Fixture) -> CaseResult {
    use std::os::unix::ffi::OsStrExt;
    for name in [&b"with space and ;'?#%41"[..], "\u{fc}ml\u{e4}ut".as_bytes(), b"no \xff utf-8"] {
        let dir = f.other_dir().join(std::ffi::OsStr::from_bytes(name));
        let storage = f.open_at(&dir, OpenMode::Create)?;
        storage.write(&batch(|batch| batch.put(b"k", b"k")), Durability::Buffered)?;
        let rows = storage_rows(&*storage)?;
        same_rows(name.escape_ascii(), &rows, &mirrored_rows([&b"k"[..]]))?;
        holds(format!("{} was made", dir.display()), dir.is_dir())?;
    }
    Ok(())
}

fn filled_read_only(f: &mut Fixture) -> CaseResult<Vec<Vec<u8>>> {
    let keys = numbered(2000);
    f.put_all(keys.iter().map(Vec::as_slice))?;
    f.reopen(OpenMode::ReadOnly)?;
    Ok(keys)
}

fn read_only_reads(f: &mut Fixture) -> CaseResult {
    let keys = filled_read_only(f)?;
    equal("a key", &f.get(&keys[7])?, &Some(keys[7].clone()))?;
    same_rows("a scan", &f.all_rows()?, &mirrored_rows(keys.iter().map(Vec::as_slice)))
}

fn read_only_refuses(f: &mut Fixture) -> CaseResult {
    filled_read_only(f)?;
    let before = f.digest()?;
    let changes: [WriteBatch; 3] = [
        batch(|batch| batch.put(b"k", b"v")),
        batch(|batch| batch.delete(b"00000001")),
        batch(|batch| batch.delete_range(KeyRange::ALL)),
    ];
    for (number, change) in changes.iter().enumerate() {
        for durability in [Durability::Buffered, Durability::Synced] {
            let outcome = f.storage().write(change, durability);
            refused(format!("change {number}, {durability:?}"), outcome, ErrorKind::ReadOnly)?;
        }
    }
    if f.has(Capability::Compact) {
        refused("compact", f.storage().compact(KeyRange::ALL), ErrorKind::ReadOnly)?;
    }
    equal("the digest", &f.digest()?, &before)
}

/// Every file below `dir` with its length and time of change.
fn files(dir: &Path) -> CaseResult<BTreeMap<PathBuf, (u64, SystemTime)>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.insert(entry.path(), (metadata.len(), metadata.modified()?));
        }
    }
    Ok(found)
}

fn read_only_no_file(f: &mut Fixture) -> CaseResult {
    f.put_all(numbered(500).iter().map(Vec::as_slice))?;
    f.storage().close()?;
    f.drop_storage();
    let before = files(&f.dir())?;
    f.open(OpenMode::ReadOnly)?;
    f.all_rows()?;
    f.storage().close()?;
    f.drop_storage();
    let after = files(&f.dir())?;
    for (path, state) in &after {
        match before.get(path) {
            Some(earlier) if earlier == state => {}
            Some(_) => return failed(format!("a read-only opening changed {}", path.display())),
            None => return failed(format!("a read-only opening made {}", path.display())),
        }
    }
    equal("number of files", &after.len(), &before.len())
}

fn read_only_missing(f: &mut Fixture) -> CaseResult {
    let dir = f.other_dir();
    refused("the opening", f.open_at(&dir, OpenMode::ReadOnly), ErrorKind::NotFound)?;
    holds("nothing was created", !dir.exists())
}

fn read_only_elsewhere(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"b"])?;
    f.storage().flush(Durability::Synced)?;
    let shared = f.has(Capability::MultiProcessReaders);
    match elsewhere(f, true)? {
        Opening::Digest(digest) if shared => equal("the digest there", &digest, &f.digest()?),
        Opening::Refused(kind) if !shared => equal("the error there", kind.as_str(), "Locked"),
        other => failed(format!(
            "multi_process_readers declared: {shared}; the other process met {other:?}"
        )),
    }
}

fn close_busy_cursor(f: &mut Fixture) -> CaseResult {
    f.put(b"a", b"a")?;
    let mut cursor = f.cursor(KeyRange::ALL, Direction::Forward)?;
    refused("close", f.storage().close(), ErrorKind::Busy)?;
    same_rows("the cursor", &drain(&mut *cursor)?, &mirrored_rows([&b"a"[..]]))?;
    f.put(b"b", b"b")?;
    drop(cursor);
    Ok(f.storage().close()?)
}

fn close_busy_snapshot(f: &mut Fixture) -> CaseResult {
    f.put(b"a", b"a")?;
    let snapshot = f.snapshot()?;
    refused("close", f.storage().close(), ErrorKind::Busy)?;
    f.put(b"b", b"b")?;
    let rows = crate::fixture::snapshot_rows(&*snapshot)?;
    same_rows("the snapshot", &rows, &mirrored_rows([&b"a"[..]]))?;
    drop(snapshot);
    Ok(f.storage().close()?)
}

fn closed(f: &mut Fixture) -> CaseResult {
    f.put(b"a", b"a")?;
    let storage = f.storage();
    storage.close()?;
    let kind = ErrorKind::Closed;
    refused("get", storage.get(b"a", &mut ByteBuf::new()), kind)?;
    refused("multi_get", storage.multi_get(&[b"a"], &mut Values::new()), kind)?;
    let change = batch(|batch| batch.put(b"b", b""));
    refused("write", storage.write(&change, Durability::Buffered), kind)?;
    refused("cursor", storage.cursor(KeyRange::ALL, Direction::Forward), kind)?;
    refused("flush", storage.flush(Durability::Buffered), kind)?;
    refused("stats", storage.stats(), kind)?;
    refused("close", storage.close(), kind)?;
    if f.has(Capability::Snapshot) {
        refused("snapshot", storage.snapshot(), kind)?;
    }
    Ok(())
}

fn close_keeps(f: &mut Fixture) -> CaseResult {
    let keys = numbered(3000);
    for chunk in keys.chunks(100) {
        f.put_all(chunk.iter().map(Vec::as_slice))?;
    }
    f.reopen(OpenMode::MustExist)?;
    same_rows("after reopening", &f.all_rows()?, &mirrored_rows(keys.iter().map(Vec::as_slice)))
}

fn reopen_many(f: &mut Fixture) -> CaseResult {
    for round in 0..40u8 {
        f.put(&[round], &[round])?;
        if round % 2 == 0 {
            f.reopen(OpenMode::MustExist)?;
        } else {
            f.drop_storage();
            f.open(OpenMode::MustExist)?;
        }
        equal(
            format!("entries in round {round}"),
            &f.all_rows()?.len(),
            &(usize::from(round) + 1),
        )?;
    }
    Ok(())
}

fn reopen_ordered(f: &mut Fixture) -> CaseResult {
    let mut random = f.random();
    for _ in 0..500 {
        let (key_length, value_length) = (1 + random.below(20), random.below(300));
        f.put(&random.bytes(key_length), &random.bytes(value_length))?;
    }
    let before = f.all_rows()?;
    f.reopen(OpenMode::MustExist)?;
    same_rows("after reopening", &f.all_rows()?, &before)
}
