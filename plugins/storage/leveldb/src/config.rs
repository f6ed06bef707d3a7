//! The options of this backend.

use std::fmt::Display;
use std::ops::RangeInclusive;
use supervm_plugin_sdk::prelude::*;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

// LevelDB silently corrects what is outside of these; here it is refused instead.
const WRITE_BUFFER_BYTES: RangeInclusive<u64> = 64 * KIB..=GIB;
const BLOCK_BYTES: RangeInclusive<u64> = KIB..=4 * MIB;
const TABLE_BYTES: RangeInclusive<u64> = MIB..=GIB;
const OPEN_FILES: RangeInclusive<u32> = 74..=50_000;
/// A smaller cache would not hold one block of the default size for each of its 16 parts.
const BLOCK_CACHE_BYTES: RangeInclusive<u64> = 64 * KIB..=64 * GIB;
const RESTART_INTERVAL: RangeInclusive<u32> = 1..=1024;
/// LevelDB uses at most 30 probes a key, which 44 bits ask for.
const BLOOM_BITS: RangeInclusive<u32> = 0..=44;

/// The options of the LevelDB backend: the `[storage.options]` table of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LevelDbConfig {
    /// Cache of uncompressed blocks. Bytes; default 256MiB; from 64KiB to 64GiB.
    pub block_cache_bytes: ByteSize,
    /// Size at which the table in memory is written to disk and a new log begun. There may be two of them at a time. Open writes
    /// what is left in the logs as tables: it reads that much, and needs that much space. Bytes; default 4MiB; from 64KiB to 1GiB.
    pub write_buffer_bytes: ByteSize,
    /// Table files that are kept open. Default 1000; from 74 to 50000.
    pub max_open_files: u32,
    /// Uncompressed entries in a block, the unit of reading, of compression and of checksums. Bytes; default 4KiB; from 1KiB to 4MiB.
    pub block_bytes: ByteSize,
    /// Keys between two that are stored whole; the others share their beginning with the one before. Default 16; from 1 to 1024.
    pub block_restart_interval: u32,
    /// Size at which a table file is ended and the next begun. Bytes; default 2MiB; from 1MiB to 1GiB.
    pub table_bytes_max: ByteSize,
    /// Bits of filter for each key, which spare most reads of tables that do not have it. Default 10; 0 = no filter; at most 44.
    pub bloom_bits_per_key: u32,
    /// Compression of blocks that are written from this opening on; both kinds can be read. Default `snappy`.
    pub compression: Compression,
    /// Compares the checksum of each block that a read takes from disk. Without it `checksums` is not declared. Default true.
    pub verify_checksums: bool,
    /// What a damaged log does to open: refuses it with `Corruption` (true), or gives up everything from the damage on (false).
    /// Compares checksums in compaction, too. Default true.
    pub paranoid_checks: bool,
}

/// How blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Snappy; a block that it does not make smaller by an eighth stays as it is.
    #[default]
    Snappy,
    /// Not at all.
    None,
}

impl Default for LevelDbConfig {
    fn default() -> Self {
        Self {
            block_cache_bytes: ByteSize(256 * MIB),
            write_buffer_bytes: ByteSize(4 * MIB),
            max_open_files: 1000,
            block_bytes: ByteSize(4 * KIB),
            block_restart_interval: 16,
            table_bytes_max: ByteSize(2 * MIB),
            bloom_bits_per_key: 10,
            compression: Compression::Snappy,
            verify_checksums: true,
            paranoid_checks: true,
        }
    }
}

impl LevelDbConfig {
    /// Are the options within their bounds?
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the option, its value and what would be accepted.
    pub(crate) fn check(&self) -> Result<()> {
        let bytes = |name, value, bounds: RangeInclusive<u64>| {
            in_bounds(name, value, ByteSize(*bounds.start())..=ByteSize(*bounds.end()))
        };
        bytes("block_cache_bytes", self.block_cache_bytes, BLOCK_CACHE_BYTES)?;
        bytes("write_buffer_bytes", self.write_buffer_bytes, WRITE_BUFFER_BYTES)?;
        bytes("block_bytes", self.block_bytes, BLOCK_BYTES)?;
        bytes("table_bytes_max", self.table_bytes_max, TABLE_BYTES)?;
        in_bounds("max_open_files", self.max_open_files, OPEN_FILES)?;
        in_bounds("block_restart_interval", self.block_restart_interval, RESTART_INTERVAL)?;
        in_bounds("bloom_bits_per_key", self.bloom_bits_per_key, BLOOM_BITS)
    }

    /// The options for writing a copy, which is read by nobody while it is written.
    pub(crate) fn for_copy(&self) -> Self {
        Self { block_cache_bytes: ByteSize(*BLOCK_CACHE_BYTES.start()), ..self.clone() }
    }
}

fn in_bounds<T: PartialOrd + Display>(
    option: &'static str,
    value: T,
    bounds: RangeInclusive<T>,
) -> Result<()> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let (least, most) = (bounds.start(), bounds.end());
    let message = format!("{option} is {value}, expected a value from {least} to {most}");
    Err(Error::new(ErrorKind::ConfigInvalid, "open", message).with("option", option))
}
