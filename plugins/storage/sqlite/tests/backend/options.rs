//! Every option does what it says, or is refused.

use crate::*;

#[test]
fn a_value_out_of_bounds_is_refused_by_name_before_anything_is_created() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("store");
    for options in [
        "cache_bytes = 1",
        "reader_cache_bytes = \"1TiB\"",
        "mmap_bytes = \"2GiB\"",
        "page_size = 5000",
        "page_size = \"128KiB\"",
        "wal_bytes = 0",
        "quota_bytes = 1000",
        "readers_max = 1",
        "readers_max = 5000",
    ] {
        let error = refused(&target, options, OpenMode::Create);
        let option = options.split(' ').next().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{options}");
        assert!(error.context().any(|pair| pair == ("option", option)), "{error}");
        assert!(error.to_string().contains("accepted"), "{error}");
        assert!(!target.exists());
    }
}

/// An entry of 1 KiB must not take a page for what does not fit into a quarter of it.
#[test]
fn entries_of_a_kibibyte_take_little_more_than_that() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 2000, 1000);
    storage.close().unwrap();
    let size = fs::metadata(dir.path().join("storage.sqlite3")).unwrap().len();
    assert!(size < 3_000_000, "2 MB of entries took {size} bytes");
}

#[test]
fn page_size_decides_at_creation_and_must_agree_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open_with(dir.path(), "page_size = \"16KiB\"", OpenMode::Create).unwrap();
    assert_eq!(stat(&*storage, "page_bytes"), 16 << 10);
    drop(storage);
    assert_eq!(stat(&*open(dir.path()), "page_bytes"), 16 << 10, "as it was created");
    let error = refused(dir.path(), "page_size = 4096", OpenMode::Create);
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.to_string().contains("4KiB") && error.to_string().contains("16KiB"), "{error}");
}

#[test]
fn a_batch_above_the_quota_changes_nothing_and_deletes_make_room() {
    let dir = tempfile::tempdir().unwrap();
    let options = "quota_bytes = \"1MiB\"\npage_size = \"4KiB\"";
    let storage = open_with(dir.path(), options, OpenMode::Create).unwrap();
    fill(&*storage, 100, 4000);
    let content = entries(&*storage);
    let large = batch_of((0..100u8).map(|key| (vec![0xff, key], vec![1; 10_000])));
    for durability in [Durability::Buffered, Durability::Synced] {
        let error = storage.write(&large, durability).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QuotaFull, "{error}");
        assert_eq!(error.effect(), Effect::NotApplied);
        assert!(error.context().any(|pair| pair == ("sqlite_code", "SQLITE_FULL")), "{error}");
        assert!(error.context().any(|pair| pair == ("quota_pages", "256")), "{error}");
        assert_eq!(entries(&*storage), content);
    }
    let mut batch = WriteBatch::new();
    batch.delete_range(KeyRange::ALL);
    storage.write(&batch, Durability::Buffered).unwrap();
    let small = batch_of((0..60u8).map(|key| (vec![0xff, key], vec![1; 10_000])));
    storage.write(&small, Durability::Buffered).unwrap();
    assert_eq!(entries(&*storage).len(), 60);
    storage.close().unwrap();
    let size = fs::metadata(dir.path().join("storage.sqlite3")).unwrap().len();
    assert!(size <= 1 << 20, "{size}");
}

#[test]
fn readers_are_refused_beyond_the_limit_and_free_again() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open_with(dir.path(), "readers_max = 8", OpenMode::Create).unwrap();
    let limits = *storage.capabilities().limits();
    assert_eq!((limits.cursors_max, limits.snapshots_max), (4, 4));
    let mut held = Vec::new();
    for moment in 0..4u8 {
        put(&*storage, &[moment], b"").unwrap();
        let cursor = storage.cursor(KeyRange::ALL, Direction::Forward).unwrap();
        held.push((cursor, storage.snapshot().unwrap(), usize::from(moment) + 1));
    }
    assert_eq!(stat(&*storage, "readers_taken"), 8);
    let busy = storage.cursor(KeyRange::ALL, Direction::Forward).map(drop).unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::Busy);
    assert_eq!(storage.snapshot().map(drop).unwrap_err().kind(), ErrorKind::Busy);
    for (cursor, snapshot, keys) in &mut held {
        assert_eq!(drain(&mut **cursor).len(), *keys, "each its own moment");
        assert!(snapshot.get(&[0], &mut ByteBuf::new()).unwrap());
    }
    held.pop();
    assert!(storage.snapshot().is_ok());
    held.clear();
    assert_eq!(stat(&*storage, "readers_taken"), 0);
}

#[test]
fn the_contracts_number_of_cursors_and_snapshots_is_open_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 10, 10);
    let limits = *storage.capabilities().limits();
    assert_eq!((limits.cursors_max, limits.snapshots_max), (1024, 1024));
    let cursor = || storage.cursor(KeyRange::ALL, Direction::Forward).unwrap();
    let mut cursors: Vec<_> = (0..1024).map(|_| cursor()).collect();
    let snapshots: Vec<_> = (0..1024).map(|_| storage.snapshot().unwrap()).collect();
    assert!(stat(&*storage, "readers_taken") <= 16, "they share the connections of one moment");
    put(&*storage, b"later", b"").unwrap();
    for cursor in &mut cursors {
        assert_eq!(drain(&mut **cursor).len(), 10);
    }
    for snapshot in &snapshots {
        assert!(!snapshot.get(b"later", &mut ByteBuf::new()).unwrap());
    }
}

#[test]
fn the_log_stays_near_wal_bytes_while_keys_are_read_and_grows_under_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open_with(dir.path(), "wal_bytes = \"256KiB\"", OpenMode::Create).unwrap();
    let write_and_read = |rounds: u32, content: u8| {
        for round in 0..rounds {
            put(&*storage, &round.to_be_bytes(), &[content; 3000]).unwrap();
            assert!(value(&*storage, &round.to_be_bytes()).is_some());
        }
    };
    write_and_read(1000, 1);
    let short = stat(&*storage, "wal_bytes");
    assert!(short < 512 << 10, "{short}");
    let snapshot = storage.snapshot().unwrap();
    write_and_read(1000, 2);
    let long = stat(&*storage, "wal_bytes");
    assert!(long > 4 << 20, "{long}");
    drop(snapshot);
    write_and_read(10, 3);
    let short = stat(&*storage, "wal_bytes");
    assert!(short < 512 << 10, "the log is short again: {short}");
}

#[test]
fn a_database_that_is_not_mapped_reads_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 2000, 300);
    let content = entries(&*storage);
    drop(storage);
    let options = "mmap_bytes = 0\ncache_bytes = \"64KiB\"\nreader_cache_bytes = \"64KiB\"";
    assert_eq!(entries(&*open_with(dir.path(), options, OpenMode::Create).unwrap()), content);
}
