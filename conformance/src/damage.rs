//! Files that are damaged on purpose, and what a backend makes of them.

use crate::case::{CaseResult, Finding};
use crate::check::{Row, holds};
use crate::fixture::Fixture;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::{
    ByteBuf, Capability, Direction, KeyRange, LOCK_FILE, OpenMode, Page, PageEnd, StorageBackend,
};

/// Files below `dir`, relative to it, in order; without the host's lock file, which has no content.
pub(crate) fn files_of(dir: &Path) -> CaseResult<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut left = vec![PathBuf::new()];
    while let Some(below) = left.pop() {
        for entry in fs::read_dir(dir.join(&below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                left.push(path);
            } else if entry.file_name() != LOCK_FILE {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Copies every file below `from` to a new directory.
pub(crate) fn copy_dir(from: &Path, to: &Path) -> CaseResult {
    fs::create_dir_all(to)?;
    for file in files_of(from)? {
        let target = to.join(&file);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(from.join(&file), target)?;
    }
    Ok(())
}

/// Changes these bits of the byte at `offset`.
pub(crate) fn flip(path: &Path, offset: usize, bits: u8) -> CaseResult {
    let mut bytes = fs::read(path)?;
    bytes[offset] ^= bits;
    Ok(fs::write(path, bytes)?)
}

/// Leaves the first `length` bytes.
pub(crate) fn cut(path: &Path, length: u64) -> CaseResult {
    Ok(File::options().write(true).open(path)?.set_len(length)?)
}

/// What a backend said of a damaged directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It refused to open, to read or to be verified.
    Noticed,
    /// It has the content of before.
    Unharmed,
}

/// Fails when the storage at `dir` hands out anything but `truth` without any error.
pub(crate) fn check_damaged(
    f: &Fixture,
    dir: &Path,
    what: &str,
    truth: &[Row],
) -> CaseResult<Verdict> {
    let Ok(storage) = f.open_at(dir, OpenMode::MustExist) else { return Ok(Verdict::Noticed) };
    if verify(&*storage) == Verdict::Noticed {
        return Ok(Verdict::Noticed);
    }
    let (passed, scanned) = scan(&*storage, what, truth)?;
    let count = truth.len();
    if scanned == Verdict::Unharmed && passed < count {
        return Err(Finding::Failed(format!(
            "{what}: a scan ends without an error after {passed} of {count} entries, and opening and verify noticed nothing",
        )));
    }
    let read = get_each(&*storage, what, truth)?;
    Ok(if scanned == Verdict::Noticed { scanned } else { read })
}

/// Fails when the storage at `dir` hands out anything but the first of `truth`, or, without any error, less than `closed` of them or a part
/// of one of the later batches, which have `batch_rows` each.
pub(crate) fn check_first_batches(
    f: &Fixture,
    dir: &Path,
    what: &str,
    truth: &[Row],
    closed: usize,
    batch_rows: usize,
) -> CaseResult {
    let Ok(storage) = f.open_at(dir, OpenMode::MustExist) else { return Ok(()) };
    let (passed, scanned) = scan(&*storage, what, truth)?;
    if scanned == Verdict::Noticed || verify(&*storage) == Verdict::Noticed {
        return Ok(());
    }
    let claim = format!("{what}: {passed} rows without an error are all {closed} that were closed");
    holds(claim, passed >= closed)?;
    let claim = format!("{what}: {passed} rows without an error are whole batches");
    holds(claim, (passed - closed).is_multiple_of(batch_rows))
}

/// What the storage says of itself, where it can.
fn verify(storage: &dyn StorageBackend) -> Verdict {
    let is_noticed = storage.capabilities().has(Capability::Verify)
        && storage.verify().map_or(true, |report| !report.problems.is_empty());
    if is_noticed { Verdict::Noticed } else { Verdict::Unharmed }
}

/// Reads to the end or to the first error: how many entries came before it, all of which have to be true, and whether it was an error.
fn scan(storage: &dyn StorageBackend, what: &str, truth: &[Row]) -> CaseResult<(usize, Verdict)> {
    let Ok(mut cursor) = storage.cursor(KeyRange::ALL, Direction::Forward) else {
        return Ok((0, Verdict::Noticed));
    };
    let (mut page, mut passed) = (Page::new(), 0);
    loop {
        page.clear();
        let end = cursor.next_page(&mut page);
        for (key, value) in page.iter() {
            let expected = truth.get(passed);
            let same =
                expected.is_some_and(|row| (row.0.as_slice(), row.1.as_slice()) == (key, value));
            let claim =
                format!("{what}: entry {passed} of a scan is what was written, or an error");
            holds(claim, same)?;
            passed += 1;
        }
        match end {
            Err(_) => return Ok((passed, Verdict::Noticed)),
            Ok(PageEnd::More) => {}
            Ok(PageEnd::End) => return Ok((passed, Verdict::Unharmed)),
        }
    }
}

fn get_each(storage: &dyn StorageBackend, what: &str, truth: &[Row]) -> CaseResult<Verdict> {
    let (mut value, mut verdict) = (ByteBuf::new(), Verdict::Unharmed);
    for (key, expected) in truth {
        match storage.get(key, &mut value) {
            Err(_) => verdict = Verdict::Noticed,
            Ok(found) => {
                let claim =
                    format!("{what}: key \"{}\" has its value, or an error", key.escape_ascii());
                holds(claim, found && *value == **expected)?;
            }
        }
    }
    Ok(verdict)
}
