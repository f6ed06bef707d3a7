//! Each option has its effect, and a wrong value is refused before anything is made.

use crate::*;

/// Writes the same text a thousand times, as tables, and says how many bytes they take.
fn bytes_of_text(options: &str) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let storage = open_with(dir.path(), options, OpenMode::Create).unwrap();
    let text = b"the same words again and again ".repeat(10);
    let batch = batch_of((0..1000u32).map(|n| (n.to_be_bytes().to_vec(), text.clone())));
    storage.write(&batch, Durability::Buffered).unwrap();
    storage.compact(KeyRange::ALL).unwrap();
    storage.size_on_disk(KeyRange::ALL).unwrap()
}

#[test]
fn compression_makes_tables_smaller_unless_it_is_none() {
    let (snappy, none) = (bytes_of_text(""), bytes_of_text("compression = \"none\""));
    assert!(none > 300_000 && snappy < none / 4, "{snappy} and {none}");
}

#[test]
fn what_an_option_switches_off_is_not_declared() {
    let dir = tempfile::tempdir().unwrap();
    for (options, capability) in [
        ("verify_checksums = false", Capability::Checksums),
        ("compression = \"none\"", Capability::Compression),
    ] {
        assert!(open(dir.path()).capabilities().has(capability));
        let storage = open_with(dir.path(), options, OpenMode::Create).unwrap();
        assert!(!storage.capabilities().has(capability), "{options}");
    }
}

#[test]
fn both_kinds_of_blocks_are_read_whatever_compression_is_chosen() {
    let dir = tempfile::tempdir().unwrap();
    for (options, key) in [("", b"a"), ("compression = \"none\"", b"b"), ("", b"c")] {
        let storage = open_with(dir.path(), options, OpenMode::Create).unwrap();
        put(&*storage, key, &[b'x'; 10_000]).unwrap();
        storage.compact(KeyRange::ALL).unwrap();
        storage.close().unwrap();
    }
    assert_eq!(entries(&*open(dir.path())).len(), 3);
}

#[test]
fn a_small_write_buffer_begins_logs_and_tables_early() {
    for (options, is_early) in [("write_buffer_bytes = \"64KiB\"", true), ("", false)] {
        let dir = tempfile::tempdir().unwrap();
        let storage = open_with(dir.path(), options, OpenMode::Create).unwrap();
        fill(&*storage, 10_000, 100);
        assert_eq!(figure(&*storage, "log_bytes") < 400_000, is_early, "{options}");
        assert_eq!(figure(&*storage, "tables") > 0, is_early, "{options}");
        assert_eq!(entries(&*storage).len(), 10_000);
    }
}

#[test]
fn a_greater_table_size_makes_fewer_tables() {
    let tables = |options| {
        let dir = tempfile::tempdir().unwrap();
        let storage = open_with(dir.path(), options, OpenMode::Create).unwrap();
        // Tables that nothing was merged into keep the size of the write buffer.
        fill(&*storage, 10_000, 1000);
        fill(&*storage, 10_000, 1000);
        storage.compact(KeyRange::ALL).unwrap();
        figure(&*storage, "tables")
    };
    let (small, large) =
        (tables("table_bytes_max = \"1MiB\""), tables("table_bytes_max = \"64MiB\""));
    assert!(small >= 8 && large <= small / 4, "{small} and {large}");
}

#[test]
fn a_filter_and_small_blocks_and_whole_keys_take_room() {
    let bytes = |options| {
        let dir = tempfile::tempdir().unwrap();
        let storage = open_with(dir.path(), options, OpenMode::Create).unwrap();
        fill(&*storage, 10_000, 20);
        storage.compact(KeyRange::ALL).unwrap();
        files(dir.path(), ".ldb").iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>()
    };
    let plain = bytes("bloom_bits_per_key = 0");
    let filter = bytes("bloom_bits_per_key = 20");
    assert!((20_000..40_000).contains(&(filter - plain)), "{plain} and {filter}");
    let blocks = bytes("bloom_bits_per_key = 0\nblock_bytes = \"1KiB\"");
    assert!(blocks > plain + 2_000, "{plain} and {blocks}");
    let keys = bytes("bloom_bits_per_key = 0\nblock_restart_interval = 1\ncompression = \"none\"");
    assert!(keys > plain + 10_000, "{plain} and {keys}");
}

#[test]
fn the_block_cache_grows_to_its_size() {
    let memory = |options| {
        let dir = tempfile::tempdir().unwrap();
        let storage = open_with(dir.path(), options, OpenMode::Create).unwrap();
        let text = b"the same words again and again ".repeat(32);
        let batch = batch_of((0..4000u32).map(|n| (n.to_be_bytes().to_vec(), text.clone())));
        storage.write(&batch, Durability::Buffered).unwrap();
        storage.compact(KeyRange::ALL).unwrap();
        assert_eq!(entries(&*storage).len(), 4000);
        storage.stats().unwrap().memory_bytes.unwrap()
    };
    let (small, large) = (memory("block_cache_bytes = \"64KiB\""), memory(""));
    assert!(small < 500_000 && large > 3_000_000, "{small} and {large}");
}

#[test]
fn a_value_out_of_bounds_is_refused_and_named() {
    let dir = tempfile::tempdir().unwrap();
    for (name, value) in [
        ("block_cache_bytes", "1"),
        ("write_buffer_bytes", "\"2GiB\""),
        ("max_open_files", "10"),
        ("block_bytes", "\"8MiB\""),
        ("block_restart_interval", "0"),
        ("table_bytes_max", "4096"),
        ("bloom_bits_per_key", "45"),
    ] {
        let store = dir.path().join("store");
        let error = refused(&store, &format!("{name} = {value}"), OpenMode::Create);
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.context().any(|pair| pair == ("option", name)), "{error}");
        assert!(!store.exists(), "{name}");
    }
}
