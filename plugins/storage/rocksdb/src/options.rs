//! What the options of the backend are in RocksDB.

use crate::config::{Compression, RocksDbConfig, SyncCall, WalRecovery};
use rocksdb::{
    BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, LogLevel, Options, WriteOptions,
};

/// RocksDB's log of what it does, for people: so many files of so many bytes at most.
const INFO_LOG_FILES: usize = 5;
const INFO_LOG_BYTES: usize = 4 << 20;
/// What is written before the operating system is asked to begin with writing it to disk, so that a sync finds little left to do.
const BYTES_PER_SYNC: u64 = 1 << 20;
/// Space that is reserved for RocksDB's list of files at a time.
const MANIFEST_PREALLOCATION_BYTES: usize = 64 << 10;
/// Tables that are filled or written at one time; the third lets writers go on while a full one is written.
const WRITE_BUFFERS: i32 = 3;
/// Bytes of the first sorted level in write buffers: as many as tables collect before they are merged into it.
const LEVEL_BASE_BUFFERS: u64 = 4;
/// A table in which so many of this many entries that lie together are deletes is merged with what is below it, however small it is.
const DELETES_WINDOW: usize = 1024;
const DELETES_IN_WINDOW: usize = 512;
/// Logs that are kept to be written over: one for the next log, one more while a table is written to disk.
const RECYCLED_LOGS: usize = 2;
/// How often the rate limiter gives out its share.
const RATE_PERIOD_MICROSECONDS: i64 = 100_000;
/// One in so many times merging goes before writing tables to disk.
const RATE_FAIRNESS: i32 = 10;

/// RocksDB's options for `config`, with a block cache of their own: what this backend opens a database with, for who compares the two.
pub fn database_options(config: &RocksDbConfig) -> Options {
    let mut options = Options::default();
    let buffer_bytes = config.write_buffer_bytes.0;
    options.set_max_open_files(config.max_open_files);
    options.set_write_buffer_size(buffer_bytes as usize);
    options.set_max_write_buffer_number(WRITE_BUFFERS);
    options.set_max_bytes_for_level_base(buffer_bytes * LEVEL_BASE_BUFFERS);
    options.set_compression_type(compression(config.compression));
    options.set_max_background_jobs(config.max_background_jobs as i32);
    options.set_use_fsync(config.sync_call == SyncCall::Fsync);
    options.set_use_direct_reads(config.direct_io);
    options.set_use_direct_io_for_flush_and_compaction(config.direct_io);
    options.set_wal_recovery_mode(recovery_mode(config.wal_recovery));
    // A file that grows has its length and its blocks written to the file system's journal with every sync, by a thread of the system
    // that has to get a processor. Where a log is written over, a sync writes the data and nothing else. The other ways of
    // recovery cannot tell an old record from a damaged one.
    if config.wal_recovery == WalRecovery::PointInTime {
        options.set_recycle_log_file_num(RECYCLED_LOGS);
    }
    options.set_max_total_wal_size(config.max_total_wal_bytes.map_or(0, |bytes| bytes.0));
    if let Some(bytes) = config.rate_limit_bytes_per_second {
        options.set_ratelimiter(bytes.0 as i64, RATE_PERIOD_MICROSECONDS, RATE_FAIRNESS);
    }
    options.set_block_based_table_factory(&table_options(config));
    // A scan passes what was deleted one by one: tables that are full of it are merged away first.
    options.add_compact_on_deletion_collector_factory(DELETES_WINDOW, DELETES_IN_WINDOW, 0.0);
    set_housekeeping(&mut options);
    options
}

fn table_options(config: &RocksDbConfig) -> BlockBasedOptions {
    let mut table = BlockBasedOptions::default();
    table.set_block_size(config.block_bytes.0 as usize);
    // Unlike the least-recently-used cache, one that threads do not wait for each other in.
    let cache = Cache::new_hyper_clock_cache(config.block_cache_bytes.0 as usize, 0);
    table.set_block_cache(&cache);
    table.set_cache_index_and_filter_blocks(config.cache_index_and_filter_blocks);
    table.set_pin_l0_filter_and_index_blocks_in_cache(config.cache_index_and_filter_blocks);
    if config.bloom_bits_per_key > 0 {
        table.set_bloom_filter(f64::from(config.bloom_bits_per_key), false);
    }
    table
}

/// What is the same for every configuration.
fn set_housekeeping(options: &mut Options) {
    options.set_bytes_per_sync(BYTES_PER_SYNC);
    options.set_wal_bytes_per_sync(BYTES_PER_SYNC);
    options.set_manifest_preallocation_size(MANIFEST_PREALLOCATION_BYTES);
    options.set_keep_log_file_num(INFO_LOG_FILES);
    options.set_max_log_file_size(INFO_LOG_BYTES);
    options.set_log_level(LogLevel::Info);
    options.set_stats_persist_period_sec(0);
    options.set_skip_stats_update_on_db_open(true);
    // Dropping a cursor or a snapshot does not wait until files are deleted.
    options.set_avoid_unnecessary_blocking_io(true);
    options.set_track_and_verify_wals_in_manifest(true);
}

/// What a batch is written with.
pub(crate) fn write_options(is_synced: bool) -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(is_synced);
    options
}

fn compression(compression: Compression) -> DBCompressionType {
    match compression {
        Compression::Lz4 => DBCompressionType::Lz4,
        Compression::Snappy => DBCompressionType::Snappy,
        Compression::Zstd => DBCompressionType::Zstd,
        Compression::None => DBCompressionType::None,
    }
}

fn recovery_mode(recovery: WalRecovery) -> DBRecoveryMode {
    match recovery {
        WalRecovery::PointInTime => DBRecoveryMode::PointInTime,
        WalRecovery::TolerateCorruptedTailRecords => DBRecoveryMode::TolerateCorruptedTailRecords,
        WalRecovery::AbsoluteConsistency => DBRecoveryMode::AbsoluteConsistency,
    }
}
