//! The storage contract over one environment.

use crate::config::LmdbConfig;
use crate::environment::{DATA_FILE, Environment, LOCK_FILE};
use crate::error::lmdb_error;
use crate::readers::Readers;
use crate::snapshot::{LmdbCursor, LmdbSnapshot, View};
use heed::{CompactionOption, DatabaseStat, MdbError, RwTxn};
use parking_lot::Mutex;
use std::fs::{self, File};
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use supervm_plugin_sdk::prelude::*;

/// What is written to find out whether there is room, bytes.
const PROBE_BYTES: usize = 64 << 10;
const PROBE_FILE: &str = "probe.tmp";

/// A storage in one LMDB data file.
pub struct LmdbStorage {
    // Dropped before `environment`, which its transactions are of.
    readers: Readers,
    environment: Arc<Environment>,
    /// Held by the one writer: from the choice of what its commit syncs until `readers` know of the commit.
    writer: Mutex<()>,
    config: LmdbConfig,
}

impl std::fmt::Debug for LmdbStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LmdbStorage").field("dir", &self.environment.dir()).finish_non_exhaustive()
    }
}

impl StorageFactory for LmdbStorage {
    type Config = LmdbConfig;

    fn declared_capabilities() -> Capabilities {
        Capabilities::new()
            .native(&[
                Capability::Checkpoint,
                Capability::Verify,
                Capability::ReadOnlyOpen,
                Capability::Snapshot,
                Capability::ReverseCursor,
                Capability::SyncedWrites,
            ])
            .simulated(&[Capability::DeleteRange])
    }

    fn check(config: &LmdbConfig) -> Result<()> {
        config.check()
    }

    fn open(dir: &Path, config: LmdbConfig, mode: OpenMode) -> Result<Self> {
        let environment = Environment::open(dir, &config, mode)?;
        let short = if mode == OpenMode::ReadOnly {
            environment.bytes_if_short()?
        } else {
            environment.clear_stale_readers()?;
            environment.cover_last_page()?
        };
        let environment = Arc::new(environment);
        if let Some(bytes) = short {
            check_short_file(&environment, bytes, mode)?;
        }
        let readers = Readers::new(environment.last_commit());
        Ok(Self { readers, environment, writer: Mutex::new(()), config })
    }
}

impl StorageBackend for LmdbStorage {
    fn capabilities(&self) -> Capabilities {
        Self::declared_capabilities().with_limits(self.config.limits())
    }

    #[inline]
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        let begin = || self.environment.begin_read();
        self.readers.read(begin, |txn| {
            let found = self.environment.db.get(txn, key);
            let found = found.map_err(|error| lmdb_error("get", error))?;
            Ok(found.inspect(|found| value.set(found)).is_some())
        })
    }

    fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        let begin = || self.environment.begin_read();
        self.readers.read(begin, |txn| {
            for key in keys {
                let found = self.environment.db.get(txn, key);
                values.push(found.map_err(|error| lmdb_error("multi_get", error))?);
            }
            Ok(())
        })
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<()> {
        let _writer = self.writer.lock();
        if batch.is_empty() {
            return self.sync(durability).map_err(|error| error.with_effect(Effect::Unknown));
        }
        let before = self.environment.last_commit();
        self.environment.set_durability(self.config.commit_durability(durability))?;
        self.apply(batch).map_err(|error| self.failed_pages(error))?;
        let committed = self.environment.last_commit();
        self.readers.advance(committed);
        // The batch is visible: what fails from here on has to say so.
        let covered = self.environment.cover_last_page();
        covered.map_err(|error| error.with_effect(Effect::Applied))?;
        if committed == before {
            // LMDB writes and syncs nothing for a batch that changes nothing, but earlier writes may wait for a sync.
            return self.sync(durability).map_err(|error| error.with_effect(Effect::Unknown));
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Box<dyn StorageSnapshot>> {
        Ok(Box::new(LmdbSnapshot::new(View::new(&self.environment)?)))
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        let view = Arc::new(View::new(&self.environment)?);
        Ok(Box::new(LmdbCursor::new(view, range, direction)))
    }

    fn flush(&self, durability: Durability) -> Result<()> {
        let _writer = self.writer.lock();
        self.sync(durability)
    }

    fn stats(&self) -> Result<StorageStats> {
        let (info, tree) =
            (self.environment.env().info(), self.environment.env().unnamed_database_stat());
        let figures = [
            ("branch_pages", tree.branch_pages as u64),
            ("depth", u64::from(tree.depth)),
            ("last_page", info.last_page_number as u64),
            ("last_txn", info.last_txn_id as u64),
            ("leaf_pages", tree.leaf_pages as u64),
            ("map_bytes", info.map_size as u64),
            ("overflow_pages", tree.overflow_pages as u64),
            ("page_bytes", u64::from(tree.page_size)),
            ("quota_bytes", self.config.quota_bytes()),
            ("quota_used_bytes", tree_bytes(&tree)),
            ("readers_max", u64::from(info.maximum_number_of_readers)),
            ("readers_most", u64::from(info.number_of_readers)),
        ];
        Ok(StorageStats {
            keys: Some(tree.entries as u64),
            disk_bytes: Some(self.disk_bytes()?),
            backend: figures.into_iter().map(|(name, figure)| (name.to_owned(), figure)).collect(),
            ..StorageStats::default()
        })
    }

    fn checkpoint(&self, dir: &Path) -> Result<()> {
        fs::create_dir(dir).map_err(|error| Error::io("checkpoint", error))?;
        let copy =
            self.environment.env().copy_to_path(dir.join(DATA_FILE), CompactionOption::Enabled);
        copy.map(drop).map_err(|error| lmdb_error("checkpoint", error))
    }

    fn verify(&self) -> Result<VerifyReport> {
        Ok(View::new(&self.environment)?.verify())
    }
}

impl LmdbStorage {
    /// Applies `batch` and commits it. On an error nothing of it is visible, now or later.
    fn apply(&self, batch: &WriteBatch) -> heed::Result<()> {
        let mut txn = self.environment.env().write_txn()?;
        let bytes_before = self.tree_bytes(&txn)?;
        for operation in batch.iter() {
            self.apply_one(&mut txn, operation)?;
        }
        let bytes = self.tree_bytes(&txn)?;
        // A storage that is over its quota already, because that was lowered, may still shrink.
        if bytes > self.config.quota_bytes().max(bytes_before) {
            return Err(MdbError::MapFull.into());
        }
        txn.commit()
    }

    fn apply_one(&self, txn: &mut RwTxn<'_>, operation: Operation<'_>) -> heed::Result<()> {
        let db = &self.environment.db;
        match operation {
            Operation::Put { key, value } => db.put(txn, key, value),
            Operation::Delete { key } => db.delete(txn, key).map(drop),
            Operation::DeleteRange { range } if range.is_empty() => Ok(()),
            Operation::DeleteRange { range } => {
                // LMDB does not search for an empty key.
                let is_bounded = !range.start.is_empty();
                let start =
                    if is_bounded { Bound::Included(range.start) } else { Bound::Unbounded };
                let end = range.end.map_or(Bound::Unbounded, Bound::Excluded);
                db.delete_range(txn, &(start, end)).map(drop)
            }
        }
    }

    fn tree_bytes(&self, txn: &RwTxn<'_>) -> heed::Result<u64> {
        self.environment.db.stat(txn).map(|tree| tree_bytes(&tree))
    }

    /// The error of a batch that was not committed, with what is known of its effect.
    ///
    /// LMDB writes and syncs the pages of a batch first and its root last. A failure before the root leaves the batch
    /// invisible for good. One at the root itself leaves it unknown, and LMDB refuses every transaction after it.
    fn failed_pages(&self, error: heed::Error) -> Error {
        let is_root_written_in_part = matches!(self.environment.begin_read(), Err(error) if error.kind() == ErrorKind::Poisoned);
        let is_short_write_or_sync =
            matches!(&error, heed::Error::Io(error) if error.raw_os_error() == Some(EIO));
        let error = lmdb_error("write", error);
        if is_root_written_in_part {
            return error.with_effect(Effect::Unknown);
        }
        if !is_short_write_or_sync {
            return error;
        }
        match self.probe_disk() {
            Err(full) if full.kind() == ErrorKind::NoSpace => full.with("lmdb_code", EIO),
            _ => error.with_effect(Effect::Unknown),
        }
    }

    /// Writes a little and removes it, as far from the file's beginning as the data file ends, for a limit on the size of files counts
    /// from there: LMDB reports a write that was cut by a full disk or by such a limit as `EIO`, like a failed sync.
    fn probe_disk(&self) -> Result<()> {
        let dir = self.environment.dir();
        let path = dir.join(PROBE_FILE);
        let written = fs::metadata(dir.join(DATA_FILE)).and_then(|data| {
            let file = File::create(&path)?;
            file.write_all_at(&[0; PROBE_BYTES], data.len())?;
            file.sync_data()
        });
        // What the write said is what counts; a file left behind is overwritten by the next probe.
        let _ = fs::remove_file(&path);
        written.map_err(|error| Error::io("write", error))
    }

    fn sync(&self, durability: Durability) -> Result<()> {
        match durability {
            // What was committed is the operating system's, and survives the process.
            Durability::Buffered => Ok(()),
            Durability::Synced => {
                self.environment.env().force_sync().map_err(|error| lmdb_error("sync", error))
            }
        }
    }

    fn disk_bytes(&self) -> Result<u64> {
        let dir = self.environment.dir();
        let data = fs::metadata(dir.join(DATA_FILE)).map_err(|error| Error::io("stats", error))?;
        // A storage that was copied and is read only has no file of readers.
        let readers = fs::metadata(dir.join(LOCK_FILE)).map_or(0, |metadata| metadata.len());
        Ok(data.len() + readers)
    }
}

/// `EIO`, the same number on every system that has it.
const EIO: i32 = 5;

/// Bytes of the pages that hold entries.
fn tree_bytes(tree: &DatabaseStat) -> u64 {
    (tree.branch_pages + tree.leaf_pages + tree.overflow_pages) as u64 * u64::from(tree.page_size)
}

/// Decides whether a file that had `bytes`, and so ended before its last page, is damaged.
///
/// A process that was killed between a commit and [`Environment::cover_last_page`] leaves one that is not: only
/// free pages are missing. Who may write has filled them by now, and reads everything to see.
fn check_short_file(environment: &Arc<Environment>, bytes: u64, mode: OpenMode) -> Result<()> {
    let damaged = |message: &str| Error::new(ErrorKind::Corruption, "open", message);
    if mode == OpenMode::ReadOnly {
        return Err(damaged(
            "the data file ends before its last page; open it for writing to see what is missing",
        ));
    }
    let (report, span) = View::new(environment)?.walk();
    let message = "the data file was cut and entries are missing";
    match report.problems.first() {
        Some(problem) => Err(damaged(message).with("problem", problem)),
        // The pages of a large value have no header that would show that they are missing.
        None if span > bytes => {
            Err(damaged(message).with("bytes", bytes).with("entries_span", span))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SyncMode;

    #[test]
    fn a_failed_sync_has_an_unknown_effect_and_other_failures_before_the_root_have_none() {
        let dir = tempfile::tempdir().unwrap();
        let config = LmdbConfig::default();
        let storage = LmdbStorage::open(dir.path(), config, OpenMode::Create).unwrap();
        let failed = |code| {
            let error = std::io::Error::from_raw_os_error(code);
            let error = storage.failed_pages(heed::Error::Io(error));
            (error.kind(), error.effect())
        };
        const ENOMEM: i32 = 12;
        const ENOSPC: i32 = 28;
        assert_eq!(failed(EIO), (ErrorKind::Io, Effect::Unknown));
        assert_eq!(failed(ENOSPC), (ErrorKind::NoSpace, Effect::NotApplied));
        assert_eq!(failed(ENOMEM), (ErrorKind::Io, Effect::NotApplied));
        assert!(!dir.path().join(PROBE_FILE).exists());
        let full = storage.failed_pages(MdbError::MapFull.into());
        assert_eq!((full.kind(), full.effect()), (ErrorKind::QuotaFull, Effect::NotApplied));
    }

    #[test]
    fn a_buffered_batch_leaves_its_root_unsynced_unless_the_option_says_full() {
        for (sync, is_left_out) in [(SyncMode::Pages, true), (SyncMode::Full, false)] {
            let dir = tempfile::tempdir().unwrap();
            let config = LmdbConfig { sync, ..LmdbConfig::default() };
            let storage = LmdbStorage::open(dir.path(), config, OpenMode::Create).unwrap();
            let mut batch = WriteBatch::new();
            batch.put(b"key", b"value");
            storage.write(&batch, Durability::Buffered).unwrap();
            let flags = storage.environment.env().get_flags().unwrap();
            assert_eq!(flags & heed::EnvFlags::NO_META_SYNC.bits() != 0, is_left_out, "{sync:?}");
        }
    }
}
