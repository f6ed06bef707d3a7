//! Every option is refused out of its bounds, and reaches RocksDB within them.

use crate::*;
use std::collections::BTreeMap;
use std::time::Instant;

#[test]
fn a_value_out_of_bounds_is_refused_by_name_before_anything_is_created() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("store");
    for options in [
        "max_open_files = 0",
        "max_open_files = -2",
        "write_buffer_bytes = \"1KiB\"",
        "block_cache_bytes = 0",
        "max_background_jobs = 1",
        "bloom_bits_per_key = 33",
        "block_bytes = \"2MiB\"",
        "max_total_wal_bytes = 1",
        "rate_limit_bytes_per_second = 1000",
    ] {
        let error = refused(&target, options, OpenMode::Create);
        let option = options.split(' ').next().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{options}");
        assert!(error.context().any(|pair| pair == ("option", option)), "{error}");
        assert!(error.to_string().contains("accepted"), "{error}");
        assert!(!target.exists());
    }
}

#[test]
fn a_word_that_is_no_value_is_refused_with_those_that_are() {
    let dir = tempfile::tempdir().unwrap();
    for (options, accepted) in [
        ("compression = \"zip\"", "`lz4`, `snappy`, `zstd`, `none`"),
        ("sync = \"sometimes\"", "`none` or `full`"),
        ("sync_call = \"sync\"", "`fdatasync` or `fsync`"),
        ("wal_recovery = \"skip_any_corrupted_records\"", "`point_in_time`"),
    ] {
        let error = refused(dir.path(), options, OpenMode::Create);
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{options}");
        assert!(error.to_string().contains(accepted), "{error}");
    }
}

/// What RocksDB wrote down of its options at the last opening, of the section that has the name.
fn written_options(dir: &Path) -> BTreeMap<String, String> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let is_options = |path: &PathBuf| path.to_str().is_some_and(|path| path.contains("/OPTIONS-"));
    let newest = paths.filter(is_options).max().unwrap();
    let text = fs::read_to_string(newest).unwrap();
    let lines = text.lines().filter_map(|line| line.trim().split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn check_written(options: &str, expected: &[(&str, &str)]) {
    let dir = tempfile::tempdir().unwrap();
    let storage = open_with(dir.path(), options, OpenMode::Create).unwrap();
    put(&*storage, b"key", b"value");
    let written = written_options(dir.path());
    for (name, value) in expected {
        assert_eq!(written.get(*name).map(String::as_str), Some(*value), "{name}");
    }
}

#[test]
fn the_defaults_reach_rocksdb() {
    check_written(
        "",
        &[
            ("write_buffer_size", "134217728"),
            ("compression", "kLZ4Compression"),
            ("max_background_jobs", "4"),
            ("use_fsync", "false"),
            ("block_size", "4096"),
            ("use_direct_reads", "false"),
            ("wal_recovery_mode", "kPointInTimeRecovery"),
            ("max_total_wal_size", "0"),
            ("cache_index_and_filter_blocks", "false"),
            ("level_compaction_dynamic_level_bytes", "true"),
            ("keep_log_file_num", "5"),
            ("max_log_file_size", "4194304"),
        ],
    );
}

#[test]
fn every_other_value_reaches_rocksdb() {
    check_written(
        "max_open_files = 100\nwrite_buffer_bytes = \"3MiB\"\ncompression = \"zstd\"\nmax_background_jobs = 3\n\
         sync_call = \"fsync\"\nbloom_bits_per_key = 7\nblock_bytes = \"16KiB\"\n\
         cache_index_and_filter_blocks = true\nwal_recovery = \"absolute_consistency\"\nmax_total_wal_bytes = \"5MiB\"",
        &[
            ("max_open_files", "100"),
            ("write_buffer_size", "3145728"),
            ("compression", "kZSTD"),
            ("max_background_jobs", "3"),
            ("use_fsync", "true"),
            ("block_size", "16384"),
            ("cache_index_and_filter_blocks", "true"),
            ("wal_recovery_mode", "kAbsoluteConsistency"),
            ("max_total_wal_size", "5242880"),
        ],
    );
    check_written("bloom_bits_per_key = 0", &[("filter_policy", "nullptr")]);
    check_written("compression = \"snappy\"", &[("compression", "kSnappyCompression")]);
    check_written("compression = \"none\"", &[("compression", "kNoCompression")]);
    check_written(
        "max_open_files = -1\nwal_recovery = \"tolerate_corrupted_tail_records\"",
        &[("max_open_files", "-1"), ("wal_recovery_mode", "kTolerateCorruptedTailRecords")],
    );
}

#[test]
fn the_filter_has_the_bits_that_were_asked_for() {
    const KEYS: u64 = 20_000;
    let table_bytes = |bits: u64| {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("bloom_bits_per_key = {bits}");
        let storage = open_with(dir.path(), &options, OpenMode::Create).unwrap();
        fill(&*storage, KEYS as u32, 20);
        storage.compact(KeyRange::ALL).unwrap();
        figure(&*storage, "live_sst_files_size")
    };
    let without = table_bytes(0);
    for bits in [8, 16, 32] {
        let (filter, expected) = (table_bytes(bits) - without, KEYS * bits / 8);
        assert!((expected * 9 / 10..expected * 11 / 10).contains(&filter), "{bits}: {filter}");
    }
}

#[test]
fn direct_io_reaches_rocksdb_or_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    match open_with(dir.path(), "direct_io = true", OpenMode::Create) {
        Ok(storage) => {
            fill(&*storage, 1000, 100);
            assert_eq!(value(&*storage, &7u32.to_be_bytes()).unwrap(), Some(noise(7, 100)));
            let written = written_options(dir.path());
            assert_eq!(written["use_direct_reads"], "true");
            assert_eq!(written["use_direct_io_for_flush_and_compaction"], "true");
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
            assert!(error.context().any(|pair| pair == ("option", "direct_io")), "{error}");
        }
    }
}

#[test]
fn the_block_cache_has_the_size_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open_with(dir.path(), "block_cache_bytes = \"9MiB\"", OpenMode::Create).unwrap();
    assert_eq!(figure(&*storage, "block_cache_capacity"), 9 << 20);
}

#[test]
fn a_rate_limit_slows_what_is_written_in_the_background() {
    let seconds = |options: &str| {
        let dir = tempfile::tempdir().unwrap();
        let storage = open_with(dir.path(), options, OpenMode::Create).unwrap();
        fill(&*storage, 3000, 1000);
        let begin = Instant::now();
        storage.compact(KeyRange::ALL).unwrap();
        begin.elapsed().as_secs_f64()
    };
    let slow = seconds("rate_limit_bytes_per_second = \"1MiB\"");
    assert!(slow > 1.5, "3 MB at 1 MiB per second took {slow} s");
}

#[test]
fn compression_makes_the_tables_smaller_and_is_declared_only_then() {
    let bytes = |options: &str| {
        let dir = tempfile::tempdir().unwrap();
        let storage = open_with(dir.path(), options, OpenMode::Create).unwrap();
        for key in 0..2000u32 {
            put(&*storage, &key.to_be_bytes(), &[7; 500]);
        }
        storage.compact(KeyRange::ALL).unwrap();
        let is_declared = storage.capabilities().has(Capability::Compression);
        (figure(&*storage, "live_sst_files_size"), is_declared)
    };
    let (plain, is_declared) = bytes("compression = \"none\"");
    assert!(plain > 1_000_000 && !is_declared, "{plain}");
    for name in ["lz4", "snappy", "zstd"] {
        let (small, is_declared) = bytes(&format!("compression = \"{name}\""));
        assert!(small < plain / 4 && is_declared, "{name}: {small} of {plain}");
    }
}
