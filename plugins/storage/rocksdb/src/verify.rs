//! Verification: every block of every table, read from disk.
//!
//! An iterator of the open database would not do: it is served from the block cache, and skips what is overwritten or deleted. So the
//! directory is opened a second time, read-only, with a cache of its own that keeps nothing. Tables that a merge makes superfluous meanwhile
//! stay readable, because the second database has all of them open.

use crate::config::{RocksDbConfig, WalRecovery};
use crate::database::Database;
use crate::error::failed;
use crate::options::database_options;
use rocksdb::ReadOptions;
use std::path::Path;
use supervm_plugin_sdk::{ByteSize, Error, ErrorKind, Result, VerifyReport};

/// Enough for blocks that are in use.
const CACHE_BYTES: ByteSize = ByteSize(8 << 20);
const READAHEAD_BYTES: usize = 2 << 20;
/// Openings that may meet a table that was merged away a moment before.
const OPENINGS: usize = 10;

/// Reads everything in `dir` and says what is wrong with it.
pub(crate) fn verify(dir: &Path, config: &RocksDbConfig) -> Result<VerifyReport> {
    let mut report = VerifyReport::default();
    let outcome = open(dir, config).and_then(|database| read_all(&database, &mut report.checked));
    match outcome {
        Ok(()) => Ok(report),
        Err(damage) if damage.kind() == ErrorKind::Corruption => {
            let problem = format!("after {} entries: {}", report.checked, damage.message());
            report.problems.push(problem);
            Ok(report)
        }
        Err(error) => Err(error),
    }
}

/// Opens the directory once more, with all tables.
fn open(dir: &Path, config: &RocksDbConfig) -> Result<Database> {
    let config = RocksDbConfig {
        max_open_files: -1,
        block_cache_bytes: CACHE_BYTES,
        // Indexes and filters are read when a table is opened, and so are looked at too.
        cache_index_and_filter_blocks: false,
        // The last record of the log may be being written.
        wal_recovery: WalRecovery::TolerateCorruptedTailRecords,
        ..config.clone()
    };
    let mut options = database_options(&config);
    // An entry that was overwritten is not skipped, however often.
    options.set_max_sequential_skip_in_iterations(u64::MAX);
    let mut missing: Option<Error> = None;
    for _ in 0..OPENINGS {
        match Database::open_with(dir, &options, true) {
            // A table that is missing again is not one that a merge has just removed: that would be in no list by now.
            Err(error) if is_missing_file(&error) => {
                if missing
                    .replace(error.repeated())
                    .is_some_and(|before| before.message() == error.message())
                {
                    return Err(error);
                }
            }
            outcome => return outcome,
        }
    }
    let message = "tables are merged faster than they can be opened; verify again when there are fewer writes";
    Err(Error::new(ErrorKind::Busy, "verify", message))
}

fn is_missing_file(error: &Error) -> bool {
    error.kind() == ErrorKind::Corruption && error.message().contains("No such file or directory")
}

#[expect(
    deprecated,
    reason = "RocksDB discourages it for speed; here it is the meaning that counts"
)]
fn read_all(database: &Database, checked: &mut u64) -> Result<()> {
    let mut read = ReadOptions::default();
    read.set_verify_checksums(true);
    read.fill_cache(false);
    read.set_readahead_size(READAHEAD_BYTES);
    // What a range deletion covers is still in the tables.
    read.set_ignore_range_deletions(true);
    let mut entries = database.db.raw_iterator_opt(read);
    entries.seek_to_first();
    while entries.valid() {
        *checked += 1;
        entries.next();
    }
    entries.status().map_err(|error| failed("verify", error))
}
