//! What is looked at before LevelDB opens a directory, because LevelDB changes it.
//!
//! LevelDB reads a damaged log as far as it can, goes on behind the damage, and deletes the log: writes from among others are gone
//! then. In a directory without `CURRENT` it begins a new database and deletes what bears the name of a log or table. So:
//!
//! 1. A directory without `CURRENT` is a new one only if no other file of a database is in it.
//! 2. Tables are there and as long as the manifest says.
//! 3. The log is there that the manifest begins with: a manifest that lost its last edit names one that was deleted.
//! 4. Logs follow each other without a gap and have no damage. What the death of the machine took of the writes after the last sync is none:
//!    the logs then end where the first of them is missing, and later ones that reached the disk before it go, too.
//!
//! Whether a write that cannot be read was synced tells a mark behind it: a batch without operations, which the writer appends
//! before the first write after a sync. Without `paranoid_checks`, the logs end where the first damage is.

use crate::files::{self, CURRENT, DatabaseFile};
use crate::manifest::Manifest;
use crate::records::{End, LoggedBatch, Records, has_mark};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::{Error, ErrorKind, OpenMode, Result};

/// Checks the database in `dir` and readies its logs for LevelDB.
///
/// # Errors
/// `NotFound` when there is none and `mode` does not create one; `Corruption`, `FormatMismatch`, after which nothing is
/// changed; `Io`.
pub(crate) fn prepare(dir: &Path, mode: OpenMode, paranoid_checks: bool) -> Result<()> {
    if !dir.join(CURRENT).exists() {
        return check_absent(dir, mode);
    }
    let manifest = Manifest::read(dir)?;
    check_tables(dir, &manifest)?;
    for (log, bytes) in check_logs(dir, &manifest, paranoid_checks)? {
        let file = File::options().write(true).open(log).map_err(failed)?;
        file.set_len(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    }
    Ok(())
}

fn failed(error: std::io::Error) -> Error {
    Error::io("open", error)
}

fn check_absent(dir: &Path, mode: OpenMode) -> Result<()> {
    // What a process that was killed while it made a database leaves.
    let is_beginning =
        |file| matches!(file, DatabaseFile::Manifest(1) | DatabaseFile::Temporary(1));
    let files = files::list(dir).map_err(failed)?;
    if let Some((_, path)) = files.into_iter().find(|(file, _)| !is_beginning(*file)) {
        let message = "CURRENT is missing, and there are files of a database; nothing was changed";
        let error = Error::new(ErrorKind::Corruption, "open", message);
        return Err(error.with("file", path.display()));
    }
    if mode != OpenMode::Create {
        let message = "there is no LevelDB database in the directory";
        return Err(Error::new(ErrorKind::NotFound, "open", message));
    }
    Ok(())
}

fn check_tables(dir: &Path, manifest: &Manifest) -> Result<()> {
    for (&number, &bytes) in &manifest.tables {
        let damaged = |message: &str| {
            let error = Error::new(ErrorKind::Corruption, "open", message);
            error.with("file", format!("{number:06}.ldb")).with("bytes_expected", bytes)
        };
        let path = files::table(dir, number).ok_or_else(|| damaged("a table is missing"))?;
        let found = fs::metadata(path).map_err(failed)?.len();
        if found != bytes {
            return Err(damaged("a table has another length").with("bytes", found));
        }
    }
    Ok(())
}

/// The logs that have to be shortened, and to how many bytes.
fn check_logs(
    dir: &Path,
    manifest: &Manifest,
    paranoid_checks: bool,
) -> Result<Vec<(PathBuf, u64)>> {
    let mut logs = files::logs(dir).map_err(failed)?;
    logs.retain(|(number, _)| *number >= manifest.log_number);
    if manifest.log_number != 0
        && logs.first().is_none_or(|(first, _)| *first != manifest.log_number)
    {
        let message = "the log that the manifest begins with is missing: it was removed, or the manifest was cut";
        let error = Error::new(ErrorKind::Corruption, "open", message);
        return Err(error.with("file", format!("{:06}.log", manifest.log_number)));
    }
    let mut shortened = Vec::new();
    let mut last_sequence = manifest.last_sequence;
    let mut logs = logs.into_iter();
    while let Some((_, path)) = logs.next() {
        let log = fs::read(&path).map_err(failed)?;
        let (whole_bytes, end) = check_log(&log, &mut last_sequence);
        let is_gap = end == End::Whole && whole_bytes < log.len();
        if end == End::Whole && !is_gap {
            continue;
        }
        let rest: Vec<_> = logs.map(|(_, path)| path).collect();
        if paranoid_checks {
            let damage = match end {
                End::Damaged(what) => Some(what),
                _ => lost_synced(&log[whole_bytes..], &rest, last_sequence)?,
            };
            damage.map_or(Ok(()), |damage| Err(damaged_log(&path, &damage)))?;
        }
        shortened.push((path, whole_bytes as u64));
        // Later writes would be some from among others.
        shortened.extend(rest.into_iter().map(|path| (path, 0)));
        break;
    }
    Ok(shortened)
}

fn damaged_log(path: &Path, damage: &str) -> Error {
    let message = "a log is damaged; restore a checkpoint, or open once with paranoid_checks = false to give up everything from the damage on";
    let error = Error::new(ErrorKind::Corruption, "open", message);
    error.with("file", path.display()).with("damage", damage)
}

/// What is lost although it was synced, when the writes after `last_sequence` cannot be read: a mark follows them in the rest of
/// their log or in a later one.
fn lost_synced(rest: &[u8], later: &[PathBuf], last_sequence: u64) -> Result<Option<String>> {
    let mut is_marked = has_mark(rest, last_sequence);
    for path in later {
        is_marked = is_marked || has_mark(&fs::read(path).map_err(failed)?, last_sequence);
    }
    let damage = || format!("operations after {last_sequence} are lost, and were synced");
    Ok(is_marked.then(damage))
}

/// How many bytes of the log are whole and follow the operations before, and how it ends.
fn check_log(log: &[u8], last_sequence: &mut u64) -> (usize, End) {
    let mut records = Records::new(log);
    let mut whole_bytes = 0;
    while let Some(record) = records.next() {
        let Some(batch) = LoggedBatch::parse(&record) else {
            return (whole_bytes, End::Damaged(format!("a short record at byte {whole_bytes}")));
        };
        // Within a log, nothing can be missing between two records that are whole.
        if whole_bytes == 0 && batch.sequence > *last_sequence + 1 {
            return (0, End::Whole);
        }
        let next = batch.sequence.saturating_add(batch.count.into());
        *last_sequence = next.saturating_sub(1).max(*last_sequence);
        whole_bytes = records.whole_bytes();
    }
    (whole_bytes, records.end())
}
