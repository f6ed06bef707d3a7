//! What is looked at before LevelDB opens a directory, because LevelDB changes it.
//!
//! LevelDB reads a damaged log as far as it can, goes on behind the damage, and deletes the log: writes from among others are gone
//! then. In a directory without `CURRENT` it begins a new database and deletes what bears the name of a log or table. So:
//!
//! 1. A directory without `CURRENT` is a new one only if no other file of a database is in it.
//! 2. Tables are there and as long as the manifest says.
//! 3. The log is there that the manifest begins with: a manifest that lost its last edit names one that was deleted. After a power cut
//!    its name may not have reached the disk, and older logs are there then.
//! 4. Logs follow each other without a gap and have no damage. What the death of the machine took of the writes after the last sync is none:
//!    the logs then end where the first of them is missing, and later ones that reached the disk before it go, too.
//!
//! Whether a write that cannot be read was synced tells a mark behind it: a batch without operations, which the writer appends
//! before the first write after a sync. Without `paranoid_checks`, the logs end where the first damage is.

use crate::files::{self, CURRENT, DatabaseFile};
use crate::manifest::Manifest;
use crate::records::{End, LoggedBatch, Records, has_mark};
use std::fs::{self, File};
use std::ops::RangeInclusive;
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
    let logs = files::logs(dir).map_err(failed)?;
    let (older, logs): (Vec<_>, Vec<_>) =
        logs.into_iter().partition(|(number, _)| *number < manifest.log_number);
    // LevelDB writes the manifest's edit, syncs the name of the log that it begins with, then the edit, and then removes the older logs.
    let may_be_unnamed = logs.is_empty() && !older.is_empty();
    if manifest.log_number != 0
        && !may_be_unnamed
        && logs.first().is_none_or(|(first, _)| *first != manifest.log_number)
    {
        let message = "the log that the manifest begins with is missing: it was removed, or the manifest was cut";
        let error = Error::new(ErrorKind::Corruption, "open", message);
        return Err(error.with("file", format!("{:06}.log", manifest.log_number)));
    }
    let mut read = Sequences { in_manifest: manifest.last_sequence, in_logs: None };
    let mut logs = logs.into_iter().enumerate();
    while let Some((index, (_, path))) = logs.next() {
        let log = fs::read(&path).map_err(failed)?;
        let is_first = index == 0;
        let (whole_bytes, end) = check_log(&log, is_first, &mut read);
        let is_gap = end == End::Whole && whole_bytes < log.len();
        if end == End::Whole && !is_gap {
            continue;
        }
        let rest: Vec<_> = logs.map(|(_, (_, path))| path).collect();
        if paranoid_checks {
            let damage = match end {
                End::Damaged(what) => Some(what),
                _ => lost_synced(&log[whole_bytes..], &rest, &read)?,
            };
            damage.map_or(Ok(()), |damage| Err(damaged_log(&path, &damage)))?;
        }
        // Later writes would be some from among others.
        let later = rest.into_iter().map(|path| (path, 0));
        return Ok([(path, whole_bytes as u64)].into_iter().chain(later).collect());
    }
    Ok(Vec::new())
}

fn damaged_log(path: &Path, damage: &str) -> Error {
    let message = "a log is damaged; restore a checkpoint, or open once with paranoid_checks = false to give up everything from the damage on";
    let error = Error::new(ErrorKind::Corruption, "open", message);
    error.with("file", path.display()).with("damage", damage)
}

/// What is lost although it was synced, when the writes after those in `read` cannot be read: a mark follows them in the rest of
/// their log or in a later one.
fn lost_synced(rest: &[u8], later: &[PathBuf], read: &Sequences) -> Result<Option<String>> {
    let mut is_marked = has_mark(rest, read.possible_in(rest));
    for path in later {
        let log = fs::read(path).map_err(failed)?;
        let mut records = Records::new(&log);
        let is_mark = |record: &[u8]| LoggedBatch::parse(record).is_some_and(|it| it.is_mark());
        is_marked = is_marked
            || records.by_ref().any(|record| is_mark(&record))
            || has_mark(&log[records.whole_bytes()..], read.possible_in(&log));
    }
    let damage = || format!("operations after {} are lost, and were synced", read.last());
    Ok(is_marked.then(damage))
}

/// The numbers of the last operations that were read. Those in the manifest may stand in logs or in tables; they are the last
/// ones of the moment when it was written.
struct Sequences {
    in_manifest: u64,
    /// `None` before the first record.
    in_logs: Option<u64>,
}

impl Sequences {
    fn last(&self) -> u64 {
        self.in_logs.unwrap_or(self.in_manifest)
    }

    /// Is nothing missing before the operation `sequence`, with which a log begins? A log that another one follows has a record.
    fn reach(&self, sequence: u64, is_first_log: bool) -> bool {
        let last = match self.in_logs {
            None if !is_first_log => return false,
            _ => self.last(),
        };
        sequence <= last.saturating_add(1)
    }

    fn extend_with(&mut self, batch: &LoggedBatch<'_>) {
        let next = batch.sequence.saturating_add(batch.count.into());
        self.in_logs = self.in_logs.max(Some(next.saturating_sub(1)));
    }

    /// Which numbers later operations in `bytes` may have. Each operation has at least one byte.
    fn possible_in(&self, bytes: &[u8]) -> RangeInclusive<u64> {
        let most = self.in_manifest.max(self.last());
        self.in_logs.unwrap_or(0)..=most.saturating_add(1 + bytes.len() as u64)
    }
}

/// How many bytes of the log are whole and follow the operations before, and how it ends.
fn check_log(log: &[u8], is_first: bool, read: &mut Sequences) -> (usize, End) {
    let mut records = Records::new(log);
    let mut whole_bytes = 0;
    while let Some(record) = records.next() {
        let Some(batch) = LoggedBatch::parse(&record) else {
            return (whole_bytes, End::Damaged(format!("a short record at byte {whole_bytes}")));
        };
        // Within a log, nothing can be missing between two records that are whole.
        if whole_bytes == 0 && !read.reach(batch.sequence, is_first) {
            return (0, End::Whole);
        }
        read.extend_with(&batch);
        whole_bytes = records.whole_bytes();
    }
    (whole_bytes, records.end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::tests::append;

    const MARK: u32 = 0;

    /// A directory with these logs: their numbers and, for each record, its first operation and how many it has.
    fn with_logs(logs: &[(u64, &[(u64, u32)])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (number, records) in logs {
            let mut log = Vec::new();
            for (sequence, count) in *records {
                let head = [&sequence.to_le_bytes()[..], &count.to_le_bytes()[..]].concat();
                append(&mut log, &[head, vec![7; *count as usize * 100]].concat());
            }
            fs::write(dir.path().join(format!("{number:06}.log")), log).unwrap();
        }
        dir
    }

    /// What becomes of the logs when the manifest begins with log 10: their numbers, and bytes.
    fn shortened(logs: &[(u64, &[(u64, u32)])], in_manifest: u64) -> Result<Vec<(u64, u64)>> {
        let dir = with_logs(logs);
        let mut manifest = Manifest::default();
        (manifest.log_number, manifest.last_sequence) = (10, in_manifest);
        let shortened = check_logs(dir.path(), &manifest, true)?;
        let number = |path: PathBuf| match DatabaseFile::parse(path.file_name()?.to_str()?) {
            Some(DatabaseFile::Log(number)) => Some(number),
            _ => None,
        };
        Ok(shortened.into_iter().map(|(path, bytes)| (number(path).unwrap(), bytes)).collect())
    }

    #[test]
    fn logs_that_follow_each_other_stay() {
        let logs: [(u64, &[_]); 4] =
            [(8, &[(1, 3)]), (10, &[(4, 2), (6, 1)]), (12, &[]), (14, &[(7, 5)])];
        assert_eq!(shortened(&logs, 3).unwrap(), []);
        assert_eq!(shortened(&logs, 9).unwrap(), [], "the manifest was written later");
        assert_eq!(shortened(&[(10, &[]), (12, &[])], 3).unwrap(), []);
    }

    #[test]
    fn a_log_whose_last_records_are_missing_takes_the_later_ones_along() {
        let logs: [(u64, &[_]); 3] = [(10, &[(4, 2)]), (12, &[(7, 5)]), (14, &[(12, 1)])];
        for in_manifest in [3, 6, 11] {
            assert_eq!(shortened(&logs, in_manifest).unwrap(), [(12, 0), (14, 0)]);
        }
        let marked: [(u64, &[_]); 2] = [(10, &[(4, 2)]), (12, &[(7, 5), (12, MARK)])];
        let error = shortened(&marked, 11).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
        assert!(error.to_string().contains("after 5 are lost, and were synced"), "{error}");
    }

    #[test]
    fn an_empty_log_with_a_later_one_was_lost_whatever_the_manifest_counts() {
        let logs: [(u64, &[_]); 2] = [(10, &[]), (12, &[(7, 5)])];
        for in_manifest in [3, 6, 11] {
            assert_eq!(shortened(&logs, in_manifest).unwrap(), [(12, 0)]);
        }
        let marked: [(u64, &[_]); 2] = [(10, &[]), (12, &[(7, 5), (12, MARK)])];
        assert_eq!(shortened(&marked, 11).unwrap_err().kind(), ErrorKind::Corruption);
    }

    #[test]
    fn the_log_that_the_manifest_begins_with_may_lack_its_name_only_while_an_older_one_is_there() {
        assert_eq!(shortened(&[(8, &[(1, 3)])], 3).unwrap(), []);
        for missing in [&[(12, &[(7, 5)][..])][..], &[], &[(8, &[(1, 3)]), (12, &[(7, 5)])]] {
            let error = shortened(missing, 3).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
        }
    }
}
