//! The storage contract over one database.

use crate::config::{Compression, RocksDbConfig};
use crate::database::Database;
use crate::deletes::Deletes;
use crate::error::failed_write;
use crate::options::write_options;
use crate::snapshot::{self, RocksDbCursor, RocksDbSnapshot};
use crate::space::Space;
use crate::{checkpoint, verify};
use rocksdb::{
    BottommostLevelCompaction, CompactOptions, Range, ReadOptions, WriteOptions, properties,
};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use supervm_plugin_sdk::KEY_BYTES_MAX;
use supervm_plugin_sdk::prelude::*;

/// Greater than every key that the limits allow: what an unbounded range ends with.
const PAST_EVERY_KEY: [u8; KEY_BYTES_MAX + 1] = [0xff; KEY_BYTES_MAX + 1];
/// Levels of the tree.
const LEVELS: usize = 7;

const CAPABILITIES: Capabilities = Capabilities::new().native(&[
    Capability::Checkpoint,
    Capability::Compact,
    Capability::Verify,
    Capability::ReadOnlyOpen,
    Capability::Snapshot,
    Capability::ReverseCursor,
    Capability::DeleteRange,
    Capability::MultiGet,
    Capability::SyncedWrites,
    Capability::Checksums,
    Capability::Compression,
    Capability::SizeOnDisk,
    Capability::ConcurrentFlush,
]);

/// What `stats` tells beyond the number of files at each level.
const FIGURES: [(&str, &properties::PropName); 19] = [
    ("actual_delayed_write_rate", properties::ACTUAL_DELAYED_WRITE_RATE),
    ("background_errors", properties::BACKGROUND_ERRORS),
    ("base_level", properties::BASE_LEVEL),
    ("block_cache_capacity", properties::BLOCK_CACHE_CAPACITY),
    ("block_cache_pinned_usage", properties::BLOCK_CACHE_PINNED_USAGE),
    ("block_cache_usage", properties::BLOCK_CACHE_USAGE),
    ("compaction_pending", properties::COMPACTION_PENDING),
    ("cur_size_all_mem_tables", properties::CUR_SIZE_ALL_MEM_TABLES),
    ("estimate_live_data_size", properties::ESTIMATE_LIVE_DATA_SIZE),
    ("estimate_pending_compaction_bytes", properties::ESTIMATE_PENDING_COMPACTION_BYTES),
    ("estimate_table_readers_mem", properties::ESTIMATE_TABLE_READERS_MEM),
    ("is_write_stopped", properties::IS_WRITE_STOPPED),
    ("live_sst_files_size", properties::LIVE_SST_FILES_SIZE),
    ("mem_table_flush_pending", properties::MEM_TABLE_FLUSH_PENDING),
    ("num_immutable_mem_table", properties::NUM_IMMUTABLE_MEM_TABLE),
    ("num_running_compactions", properties::NUM_RUNNING_COMPACTIONS),
    ("num_running_flushes", properties::NUM_RUNNING_FLUSHES),
    ("num_snapshots", properties::NUM_SNAPSHOTS),
    ("total_sst_files_size", properties::TOTAL_SST_FILES_SIZE),
];

/// A storage in a RocksDB database.
pub struct RocksDbStorage {
    database: Arc<Database>,
    config: RocksDbConfig,
    read: ReadOptions,
    buffered: WriteOptions,
    synced: WriteOptions,
    space: Space,
    deletes: Deletes,
}

impl std::fmt::Debug for RocksDbStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksDbStorage").field("dir", &self.database.dir()).finish_non_exhaustive()
    }
}

impl StorageFactory for RocksDbStorage {
    type Config = RocksDbConfig;

    fn declared_capabilities() -> Capabilities {
        CAPABILITIES
    }

    fn check(config: &RocksDbConfig) -> Result<()> {
        config.check()
    }

    fn open(dir: &Path, config: RocksDbConfig, mode: OpenMode) -> Result<Self> {
        Ok(Self {
            database: Arc::new(Database::open(dir, &config, mode)?),
            config,
            read: ReadOptions::default(),
            buffered: write_options(false),
            synced: write_options(true),
            space: Space::default(),
            deletes: Deletes::default(),
        })
    }
}

impl StorageBackend for RocksDbStorage {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = CAPABILITIES;
        if self.config.compression == Compression::None {
            capabilities = capabilities.without(Capability::Compression);
        }
        if self.config.durability(Durability::Buffered) == Durability::Synced {
            capabilities = capabilities.without(Capability::ConcurrentFlush);
        }
        capabilities
    }

    #[inline]
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        snapshot::get(&self.database.db, &self.read, key, value)
    }

    fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        let database = &self.database;
        snapshot::multi_get(&database.db, database.family()?, &self.read, keys, values)
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<()> {
        if batch.is_empty() {
            return self.flush(durability);
        }
        let options = match self.config.durability(durability) {
            Durability::Buffered => &self.buffered,
            Durability::Synced => &self.synced,
        };
        let deleted = Cell::new(0);
        self.space.guard(&self.database, &self.config, batch.as_bytes().len(), || {
            let (translated, deletes) = translated(batch);
            deleted.set(deletes);
            let written = self.database.db.write_opt(translated, options);
            written.map_err(|error| failed_write("write", error))
        })?;
        self.deletes.note(&self.database, deleted.get());
        Ok(())
    }

    fn snapshot(&self) -> Result<Box<dyn StorageSnapshot>> {
        Ok(Box::new(RocksDbSnapshot::new(self.database.clone())))
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(RocksDbCursor::latest(self.database.clone(), range, direction)))
    }

    fn flush(&self, durability: Durability) -> Result<()> {
        match durability {
            // Every batch is handed to the operating system before its write returns.
            Durability::Buffered => Ok(()),
            Durability::Synced => {
                let synced = self.database.db.flush_wal(true);
                synced.map_err(|error| failed_write("sync", error))
            }
        }
    }

    fn stats(&self) -> Result<StorageStats> {
        let figure = |name| self.database.figure(name);
        let memory_bytes = figure(properties::CUR_SIZE_ALL_MEM_TABLES)?
            + figure(properties::BLOCK_CACHE_USAGE)?
            + figure(properties::ESTIMATE_TABLE_READERS_MEM)?;
        Ok(StorageStats {
            keys: Some(figure(properties::ESTIMATE_NUM_KEYS)?),
            disk_bytes: Some(self.database.disk_bytes()?),
            memory_bytes: Some(memory_bytes),
            backend: self.figures()?,
            ..StorageStats::default()
        })
    }

    fn close(&self) -> Result<()> {
        self.flush(Durability::Synced)?;
        // The log has everything by now. A closed storage without entries in the log opens faster, and damage to it is found: at the
        // end of a log it could not be told from what a power cut leaves.
        let _ = self.database.db.flush();
        // What runs in the background ends here, and not when the last share of the database is dropped.
        self.database.db.cancel_all_background_work(true);
        Ok(())
    }

    fn checkpoint(&self, dir: &Path) -> Result<()> {
        checkpoint::create(&self.database, dir)
    }

    fn compact(&self, range: KeyRange<'_>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        // Also tables that no deletion above them would have merged: a snapshot may have kept what is in them until now.
        options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        let start = (!range.start.is_empty()).then_some(range.start);
        self.database.db.compact_range_opt(start, range.end, &options);
        // The crate's call has no result.
        self.database.check_background("compact")
    }

    fn verify(&self) -> Result<VerifyReport> {
        verify::verify(self.database.dir(), &self.config)
    }

    fn size_on_disk(&self, range: KeyRange<'_>) -> Result<u64> {
        if range.is_empty() {
            return Ok(0);
        }
        let tables = Range::new(range.start, range.end.unwrap_or(&PAST_EVERY_KEY));
        let tables_bytes: u64 = self.database.db.get_approximate_sizes(&[tables]).iter().sum();
        Ok(tables_bytes + snapshot::unwritten_bytes(&self.database.db, range)?)
    }
}

impl RocksDbStorage {
    /// RocksDB's own figures, under its names.
    fn figures(&self) -> Result<BTreeMap<String, u64>> {
        let named = |(name, property)| Ok((String::from(name), self.database.figure(property)?));
        let mut figures: BTreeMap<_, _> = FIGURES.into_iter().map(named).collect::<Result<_>>()?;
        for level in 0..LEVELS {
            let files = self.database.figure(&properties::num_files_at_level(level))?;
            figures.insert(format!("num_files_at_level{level}"), files);
        }
        figures
            .insert("latest_sequence_number".to_owned(), self.database.db.latest_sequence_number());
        Ok(figures)
    }
}

/// The batch in RocksDB's form, and how many deletes of single keys are in it.
fn translated(batch: &WriteBatch) -> (rocksdb::WriteBatch, usize) {
    let mut deletes = 0;
    // RocksDB's form has shorter lengths than the operation log, and a head of 12 bytes.
    let mut translated = rocksdb::WriteBatch::with_capacity_bytes(batch.as_bytes().len() + 12);
    for operation in batch.iter() {
        match operation {
            Operation::Put { key, value } => translated.put(key, value),
            Operation::Delete { key } => {
                deletes += 1;
                translated.delete(key);
            }
            Operation::DeleteRange { range } if range.is_empty() => {}
            Operation::DeleteRange { range } => {
                translated.delete_range(range.start, range.end.unwrap_or(&PAST_EVERY_KEY));
            }
        }
    }
    (translated, deletes)
}
