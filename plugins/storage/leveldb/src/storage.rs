//! The backend: what the contract asks for, from LevelDB, the writer and the table files.

use crate::config::{Compression, LevelDbConfig};
use crate::database::{Batch, Database};
use crate::files;
use crate::log_tail::LogTail;
use crate::records::{LoggedBatch, Records};
use crate::recovery;
use crate::snapshot::{LevelDbCursor, LevelDbSnapshot};
use crate::stats;
use crate::table;
use crate::writer::Writer;
use parking_lot::Mutex;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use supervm_plugin_sdk::KEY_BYTES_MAX;
use supervm_plugin_sdk::prelude::*;

/// Greater than every key.
const PAST_EVERY_KEY: [u8; KEY_BYTES_MAX + 1] = [0xff; KEY_BYTES_MAX + 1];
/// Bytes of entries in one batch of a checkpoint.
const COPY_BYTES: usize = 1 << 20;

/// A storage in a LevelDB database.
pub struct LevelDbStorage {
    database: Arc<Database>,
    /// One batch at a time: a range to delete is read before the batch is written.
    writer: Mutex<Writer>,
    /// One compaction at a time: each begins a log, and between two of them the log has to get a mark.
    compaction: Mutex<()>,
    /// Without links and relative parts: LevelDB opens files by their paths as long as it runs.
    dir: PathBuf,
    config: LevelDbConfig,
}

impl std::fmt::Debug for LevelDbStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LevelDbStorage").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl StorageFactory for LevelDbStorage {
    type Config = LevelDbConfig;

    fn declared_capabilities() -> Capabilities {
        Capabilities::new()
            .native(&[
                Capability::Checkpoint,
                Capability::Compact,
                Capability::Verify,
                Capability::Snapshot,
                Capability::ReverseCursor,
                Capability::SyncedWrites,
                Capability::Checksums,
                Capability::Compression,
                Capability::SizeOnDisk,
            ])
            .simulated(&[Capability::DeleteRange])
    }

    fn check(config: &LevelDbConfig) -> Result<()> {
        config.check()
    }

    fn open(dir: &Path, config: LevelDbConfig, mode: OpenMode) -> Result<Self> {
        let failed = |error| Error::io("open", error);
        let dir = fs::canonicalize(dir).map_err(failed)?;
        recovery::prepare(&dir, mode, config.paranoid_checks)?;
        let database = Database::open(&dir, &config).map_err(|failure| failure.during("open"))?;
        let database = Arc::new(database);
        let log = LogTail::open(dir.clone()).map_err(failed)?;
        let writer = Mutex::new(Writer::new(database.clone(), log));
        Ok(Self { database, writer, compaction: Mutex::new(()), dir, config })
    }
}

impl StorageBackend for LevelDbStorage {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Self::declared_capabilities();
        if !self.config.verify_checksums {
            capabilities = capabilities.without(Capability::Checksums);
        }
        if self.config.compression == Compression::None {
            capabilities = capabilities.without(Capability::Compression);
        }
        capabilities
    }

    #[inline]
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        let found = self.database.get(key, |found| value.set(found));
        found.map(|found| found.is_some()).map_err(|failure| failure.during("get"))
    }

    fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        for key in keys {
            let found = self.database.get(key, |found| values.push(Some(found)));
            if found.map_err(|failure| failure.during("multi_get"))?.is_none() {
                values.push(None);
            }
        }
        Ok(())
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<()> {
        self.writer.lock().write(batch, durability)
    }

    fn snapshot(&self) -> Result<Box<dyn StorageSnapshot>> {
        Ok(Box::new(LevelDbSnapshot(self.database.snapshot())))
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(LevelDbCursor::new(self.database.iterator(), range, direction)))
    }

    fn flush(&self, durability: Durability) -> Result<()> {
        self.writer.lock().sync("flush", durability)
    }

    fn stats(&self) -> Result<StorageStats> {
        stats::read(&self.database, &self.dir)
    }

    /// Copies the entries of this moment into a new database.
    fn checkpoint(&self, dir: &Path) -> Result<()> {
        let io = |error| Error::io("checkpoint", error);
        let mut entries = self.database.scan();
        fs::create_dir(dir).map_err(io)?;
        let dir = fs::canonicalize(dir).map_err(io)?;
        let copy = Database::open(&dir, &self.config.for_copy());
        copy.and_then(|copy| {
            let (mut batch, mut bytes) = (Batch::new(), 0);
            entries.seek_to_first();
            while let Some((key, value)) = entries.entry() {
                batch.put(key, value);
                bytes += key.len() + value.len();
                if bytes >= COPY_BYTES {
                    copy.write(&mut batch)?;
                    batch.clear();
                    bytes = 0;
                }
                entries.next();
            }
            copy.write(&mut batch)?;
            // A table that was cut is noticed, a log that was cut is not. Nothing is merged: no key is in the range.
            copy.compact(KeyRange::new(&PAST_EVERY_KEY, None));
            batch.clear();
            copy.write(&mut batch)?;
            entries.status()
        })
        .map_err(|failure| failure.during("checkpoint"))
    }

    fn compact(&self, range: KeyRange<'_>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let _alone = self.compaction.lock();
        // `recovery` takes a log without a record that is followed by others for a lost one.
        self.writer.lock().check("compact")?;
        self.database.compact(range);
        self.writer.lock().check("compact")
    }

    fn verify(&self) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        let mut entries = self.database.scan();
        table::check_all(&self.database, &self.dir, &mut report.problems)?;
        let mut previous = Vec::new();
        entries.seek_to_first();
        while let Some((key, _)) = entries.entry() {
            if key <= previous.as_slice() {
                report.problems.push(format!("entry {} is out of order", report.checked));
            }
            previous.clear();
            previous.extend_from_slice(key);
            report.checked += 1;
            entries.next();
        }
        if let Err(failure) = entries.status() {
            let error = failure.during("verify");
            report.problems.push(format!("entries are missing among {}: {error}", report.checked));
        }
        Ok(report)
    }

    fn size_on_disk(&self, range: KeyRange<'_>) -> Result<u64> {
        if range.is_empty() {
            return Ok(0);
        }
        let tables = self.database.table_bytes(range.start, range.end.unwrap_or(&PAST_EVERY_KEY));
        Ok(tables + self.log_bytes(range)?)
    }
}

impl LevelDbStorage {
    /// Bytes in the logs of operations on keys in `range`: they are in no table yet.
    fn log_bytes(&self, range: KeyRange<'_>) -> Result<u64> {
        let failed = |error| Error::io("size_on_disk", error);
        let mut bytes = 0;
        for (_, path) in files::logs(&self.dir).map_err(failed)? {
            let log = match fs::read(path) {
                // Its content is in a table meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                log => log.map_err(failed)?,
            };
            for record in Records::new(&log) {
                let operations = LoggedBatch::parse(&record).map(LoggedBatch::operations);
                let in_range = operations.into_iter().flatten();
                bytes += in_range
                    .filter(|(key, _)| range.contains(key))
                    .map(|(_, bytes)| bytes)
                    .sum::<u64>();
            }
        }
        Ok(bytes)
    }
}
