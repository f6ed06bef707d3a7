//! The options of the backend.

use supervm_plugin_sdk::prelude::*;

const MAX_OPEN_FILES: (i32, i32) = (64, 1 << 20);
const WRITE_BUFFER_BYTES: (u64, u64) = (1 << 20, 16 << 30);
const BLOCK_CACHE_BYTES: (u64, u64) = (1 << 20, 1 << 40);
const BLOCK_BYTES: (u64, u64) = (1 << 10, 1 << 20);
const TOTAL_WAL_BYTES: (u64, u64) = (1 << 20, 1 << 40);
const RATE_BYTES_PER_SECOND: (u64, u64) = (1 << 20, 1 << 40);
const BLOOM_BITS_PER_KEY: (u32, u32) = (0, 32);
const MAX_BACKGROUND_JOBS: (u32, u32) = (2, 64);

/// The `[storage.options]` of `rocksdb`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RocksDbConfig {
    /// Table files that are kept open. Default 10000; 64 to 1048576, or -1 for all of them. RocksDB keeps no more than the process may
    /// have open.
    pub max_open_files: i32,
    /// Size at which the table of new entries in memory is written to disk; two of them are filled while others are written. Default
    /// 128 MiB; 1 MiB to 16 GiB.
    pub write_buffer_bytes: ByteSize,
    /// Cache of uncompressed blocks. Default 512 MiB; 1 MiB to 1 TiB.
    pub block_cache_bytes: ByteSize,
    /// How blocks are compressed; what is written already stays as it is. Default `lz4`.
    pub compression: Compression,
    /// Most threads that write tables to disk and merge them; all storages of a process share them. Default 4; 2 to 64.
    pub max_background_jobs: u32,
    /// What a `Buffered` batch syncs; a `Synced` one always syncs the log. Default `none`.
    pub sync: SyncMode,
    /// The call that makes a log or a table durable. Default `fdatasync`.
    pub sync_call: SyncCall,
    /// Bits of the Bloom filter for each key, which spare a lookup the tables that do not have the key. Default 10, of which 1 in
    /// 100 lookups gains nothing; 0 (no filter) to 32.
    pub bloom_bits_per_key: u32,
    /// Uncompressed size of a block, the unit of reading and compressing. Default 4 KiB; 1 KiB to 1 MiB.
    pub block_bytes: ByteSize,
    /// Keep the indexes and filters of tables in the block cache, where `block_cache_bytes` bounds them, instead of as long as a table is
    /// open. Default false.
    pub cache_index_and_filter_blocks: bool,
    /// Read tables, and write and merge them in the background, past the cache of the operating system. Default false. Refused with
    /// `ConfigInvalid` where the file system cannot do it.
    pub direct_io: bool,
    /// How much of a damaged log is accepted at open. Default `point_in_time`.
    pub wal_recovery: WalRecovery,
    /// Length of all logs together at which entries in memory are written to disk, so that the logs can go. Absent (the default) = four
    /// times what the write buffers hold; 1 MiB to 1 TiB.
    pub max_total_wal_bytes: Option<ByteSize>,
    /// Most bytes that background threads write per second. Absent (the default) = no limit; 1 MiB to 1 TiB.
    pub rate_limit_bytes_per_second: Option<ByteSize>,
}

/// How blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// LZ4: fast both ways.
    #[default]
    Lz4,
    /// Snappy: like LZ4, for tables that others read.
    Snappy,
    /// Zstandard: smaller and slower.
    Zstd,
    /// Blocks stay as they are.
    None,
}

/// What a `Buffered` batch syncs before it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncMode {
    /// Nothing: the log is left to the operating system. A power cut takes the newest batches.
    #[default]
    None,
    /// The log, as a `Synced` batch does. A power cut takes nothing.
    Full,
}

/// The call that makes a file durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncCall {
    /// `fdatasync`: the data, and of the metadata what reading it needs.
    #[default]
    Fdatasync,
    /// `fsync`: all metadata too, for file systems whose `fdatasync` is not to be trusted.
    Fsync,
}

/// How much of a damaged log is accepted at open.
///
/// RocksDB's fourth mode, which skips damaged records and goes on after them, is not offered: it would lose batches from among
/// others (clause 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WalRecovery {
    /// Everything before the first damaged record; what comes after it is lost. Logs that are not needed any more are written over,
    /// which makes syncs faster; two are kept. A log that was written in this mode is read so in every mode: that its end is
    /// damaged cannot be told from what an earlier use of the file left there.
    #[default]
    PointInTime,
    /// A log that ends within a record, as a kill leaves it, without that record. Damage before the end is `Corruption`.
    TolerateCorruptedTailRecords,
    /// Nothing but whole records: a log that ends within one is `Corruption` too.
    AbsoluteConsistency,
}

impl Default for RocksDbConfig {
    fn default() -> Self {
        Self {
            max_open_files: 10_000,
            write_buffer_bytes: ByteSize(128 << 20),
            block_cache_bytes: ByteSize(512 << 20),
            compression: Compression::Lz4,
            max_background_jobs: 4,
            sync: SyncMode::None,
            sync_call: SyncCall::Fdatasync,
            bloom_bits_per_key: 10,
            block_bytes: ByteSize(4 << 10),
            cache_index_and_filter_blocks: false,
            direct_io: false,
            wal_recovery: WalRecovery::PointInTime,
            max_total_wal_bytes: None,
            rate_limit_bytes_per_second: None,
        }
    }
}

impl RocksDbConfig {
    /// Are the options within their bounds?
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the option, its value and what would be accepted.
    pub(crate) fn check(&self) -> Result<()> {
        let (least, most) = MAX_OPEN_FILES;
        if self.max_open_files != -1 && !(least..=most).contains(&self.max_open_files) {
            let accepted = format!("{least} to {most}, or -1 for all");
            return Err(refused("max_open_files", self.max_open_files, &accepted));
        }
        check_bytes("write_buffer_bytes", self.write_buffer_bytes, WRITE_BUFFER_BYTES)?;
        check_bytes("block_cache_bytes", self.block_cache_bytes, BLOCK_CACHE_BYTES)?;
        check_bytes("block_bytes", self.block_bytes, BLOCK_BYTES)?;
        if let Some(bytes) = self.max_total_wal_bytes {
            check_bytes("max_total_wal_bytes", bytes, TOTAL_WAL_BYTES)?;
        }
        if let Some(bytes) = self.rate_limit_bytes_per_second {
            check_bytes("rate_limit_bytes_per_second", bytes, RATE_BYTES_PER_SECOND)?;
        }
        check_number("bloom_bits_per_key", self.bloom_bits_per_key, BLOOM_BITS_PER_KEY)?;
        check_number("max_background_jobs", self.max_background_jobs, MAX_BACKGROUND_JOBS)
    }

    /// What a batch is written with when `asked` is asked for.
    pub(crate) fn durability(&self, asked: Durability) -> Durability {
        match self.sync {
            SyncMode::None => asked,
            SyncMode::Full => Durability::Synced,
        }
    }
}

fn check_bytes(option: &'static str, size: ByteSize, (least, most): (u64, u64)) -> Result<()> {
    if (least..=most).contains(&size.0) {
        return Ok(());
    }
    let accepted = format!("{} to {}", ByteSize(least), ByteSize(most));
    Err(refused(option, size, &accepted))
}

fn check_number(option: &'static str, number: u32, (least, most): (u32, u32)) -> Result<()> {
    if (least..=most).contains(&number) {
        return Ok(());
    }
    Err(refused(option, number, &format!("{least} to {most}")))
}

fn refused(option: &'static str, value: impl std::fmt::Display, accepted: &str) -> Error {
    let message = format!("{option} is {value}, accepted: {accepted}");
    Error::new(ErrorKind::ConfigInvalid, "check options", message).with("option", option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffered_batch_is_written_like_a_synced_one_only_when_sync_is_full() {
        for (sync, buffered) in
            [(SyncMode::None, Durability::Buffered), (SyncMode::Full, Durability::Synced)]
        {
            let config = RocksDbConfig { sync, ..RocksDbConfig::default() };
            assert_eq!(config.durability(Durability::Buffered), buffered);
            assert_eq!(config.durability(Durability::Synced), Durability::Synced);
        }
    }
}
