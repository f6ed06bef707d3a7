//! LevelDB's figures, from its properties, and the size of its files.

use crate::database::Database;
use crate::files::DatabaseFile;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsString};
use std::fs;
use std::path::Path;
use supervm_plugin_sdk::{Error, Result, StorageStats};

const LEVELS: u32 = 7;
const MEMORY: &CStr = c"leveldb.approximate-memory-usage";
const COMPACTIONS: &CStr = c"leveldb.stats";

pub(crate) fn read(database: &Database, dir: &Path) -> Result<StorageStats> {
    let mut backend = BTreeMap::new();
    let mut tables = 0;
    for level in 0..LEVELS {
        let name = CString::new(format!("leveldb.num-files-at-level{level}"));
        let name = name.expect("a number has no zero byte");
        let files = database.property(&name).and_then(|files| files.parse().ok()).unwrap_or(0);
        backend.insert(format!("level{level}_tables"), files);
        tables += files;
    }
    backend.insert("tables".to_owned(), tables);
    let compactions = database.property(COMPACTIONS).unwrap_or_default();
    let names = ["compaction_seconds", "compaction_read_mib", "compaction_written_mib"];
    for (name, figure) in names.into_iter().zip(sum_of_levels(&compactions)) {
        backend.insert(name.to_owned(), figure);
    }
    let (mut disk_bytes, mut log_bytes) = (0, 0);
    for (name, bytes) in file_sizes(dir)? {
        disk_bytes += bytes;
        if let Some(DatabaseFile::Log(_)) = name.to_str().and_then(DatabaseFile::parse) {
            log_bytes += bytes;
        }
    }
    backend.insert("log_bytes".to_owned(), log_bytes);
    Ok(StorageStats {
        disk_bytes: Some(disk_bytes),
        memory_bytes: database.property(MEMORY).and_then(|bytes| bytes.parse().ok()),
        backend,
        ..StorageStats::default()
    })
}

/// Seconds, MiB read and MiB written of all levels' lines: `level files MiB seconds MiB-read MiB-written`.
fn sum_of_levels(table: &str) -> [u64; 3] {
    let mut sums = [0; 3];
    for line in table.lines() {
        let figures: Vec<u64> =
            line.split_whitespace().map_while(|figure| figure.parse().ok()).collect();
        if let [_level, _files, _bytes, rest @ ..] = figures.as_slice() {
            sums.iter_mut().zip(rest).for_each(|(sum, figure)| *sum += figure);
        }
    }
    sums
}

fn file_sizes(dir: &Path) -> Result<Vec<(OsString, u64)>> {
    let failed = |error| Error::io("stats", error);
    let mut sizes = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // A compaction may remove it meanwhile.
        if let Ok(metadata) = entry.metadata()
            && metadata.is_file()
        {
            sizes.push((entry.file_name(), metadata.len()));
        }
    }
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_all_levels_add_up() {
        let table = "                               Compactions\n\
            Level  Files Size(MB) Time(sec) Read(MB) Write(MB)\n\
            --------------------------------------------------\n  \
            0        2        7         1        0        18\n  \
            1        5       10         4       40        30\n";
        assert_eq!(sum_of_levels(table), [5, 40, 48]);
        assert_eq!(sum_of_levels(""), [0; 3]);
    }
}
