//! Range deletions are single operations, sizes follow ranges, and views own what they read from.

use crate::*;
use std::time::{Duration, Instant};

fn delete(storage: &dyn StorageBackend, range: KeyRange<'_>) {
    let mut batch = WriteBatch::new();
    batch.delete_range(range);
    storage.write(&batch, Durability::Buffered).unwrap();
}

#[test]
fn a_range_deletion_is_one_operation_however_many_entries_it_covers() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 20_000, 10);
    let before = figure(&*storage, "latest_sequence_number");
    delete(&*storage, KeyRange::new(&100u32.to_be_bytes(), None));
    assert_eq!(figure(&*storage, "latest_sequence_number"), before + 1);
    assert_eq!(entries(&*storage).len(), 100);
}

#[test]
fn an_unbounded_deletion_takes_the_greatest_key_that_there_can_be() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    for length in [1, 2, 254, 255, 256, 510, 511] {
        put(&*storage, &vec![0xff; length], b"");
    }
    put(&*storage, b"a", b"");
    delete(&*storage, KeyRange::new(b"b", None));
    assert_eq!(entries(&*storage), [(b"a".to_vec(), vec![])]);
    put(&*storage, &[0xff; 511], b"again");
    assert_eq!(entries(&*storage).len(), 2);
}

#[test]
fn a_range_deletion_in_a_batch_sees_the_puts_before_it_and_not_those_after() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    put(&*storage, b"b0", b"old");
    let mut batch = WriteBatch::new();
    batch.put(b"b1", b"before");
    batch.delete_range(KeyRange::new(b"b", Some(b"c")));
    batch.put(b"b2", b"after");
    batch.delete_range(KeyRange::new(b"c", Some(b"b")));
    storage.write(&batch, Durability::Synced).unwrap();
    let expected = [(b"b2".to_vec(), b"after".to_vec())];
    assert_eq!(entries(&*storage), expected);
    storage.compact(KeyRange::ALL).unwrap();
    assert_eq!(entries(&*storage), expected);
    drop(storage);
    assert_eq!(entries(&*open(dir.path())), expected);
}

#[test]
fn the_size_of_a_range_follows_its_share_in_memory_and_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 10_000, 200);
    let size = |from: u32, to: u32| {
        let (start, end) = (from.to_be_bytes(), to.to_be_bytes());
        storage.size_on_disk(KeyRange::new(&start, Some(&end))).unwrap()
    };
    for moment in ["in memory", "on disk"] {
        let (quarter, all) = (size(0, 2500), storage.size_on_disk(KeyRange::ALL).unwrap());
        assert!((1_800_000..2_800_000).contains(&all), "{moment}: {all}");
        assert!((all / 5..all / 3).contains(&quarter), "{moment}: {quarter} of {all}");
        assert_eq!(size(20_000, 30_000), 0, "{moment}");
        storage.compact(KeyRange::ALL).unwrap();
    }
}

#[test]
fn compaction_gives_back_what_was_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 10_000, 200);
    let snapshot = storage.snapshot().unwrap();
    delete(&*storage, KeyRange::new(&10u32.to_be_bytes(), None));
    storage.compact(KeyRange::ALL).unwrap();
    assert!(figure(&*storage, "live_sst_files_size") > 2_000_000, "the snapshot needs it");
    drop(snapshot);
    storage.compact(KeyRange::ALL).unwrap();
    assert!(figure(&*storage, "live_sst_files_size") < 10_000);
    assert_eq!(entries(&*storage).len(), 10);
}

#[test]
fn views_that_outlive_the_storage_read_on_and_close_waits_for_none() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 5000, 100);
    let snapshot = storage.snapshot().unwrap();
    let mut of_snapshot = snapshot.cursor(KeyRange::ALL, Direction::Reverse).unwrap();
    let mut cursor = storage.cursor(KeyRange::ALL, Direction::Forward).unwrap();
    assert_eq!(storage.close().unwrap_err().kind(), ErrorKind::Busy);
    delete(&*storage, KeyRange::ALL);
    storage.compact(KeyRange::ALL).unwrap();
    drop(snapshot);
    drop(storage);
    assert_eq!(drain(&mut *of_snapshot).unwrap().len(), 5000);
    drop(of_snapshot);
    assert_eq!(drain(&mut *cursor).unwrap().len(), 5000);
    drop(cursor);
    assert_eq!(entries(&*open(dir.path())).len(), 0);
}

#[test]
fn figures_tell_files_levels_memory_and_keys() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 5000, 200);
    let stats = storage.stats().unwrap();
    assert_eq!(stats.keys, Some(5000));
    assert!(stats.memory_bytes.unwrap() > 1_000_000);
    assert!(stats.disk_bytes.unwrap() > 1_000_000, "the log");
    assert_eq!(stats.backend["background_errors"], 0);
    storage.compact(KeyRange::ALL).unwrap();
    let stats = storage.stats().unwrap();
    let files: u64 = (0..7).map(|level| stats.backend[&format!("num_files_at_level{level}")]).sum();
    assert_eq!(files, 1);
    assert!(stats.backend["total_sst_files_size"] > 1_000_000);
    let snapshot = storage.snapshot().unwrap();
    assert_eq!(figure(&*storage, "num_snapshots"), 1);
    drop(snapshot);
    assert_eq!(figure(&*storage, "num_snapshots"), 0);
}

#[test]
fn many_deleted_entries_are_gone_from_memory_and_from_the_tables_soon_and_unasked() {
    const KEYS: u32 = 20_000;
    /// Of work that is done in the background; long enough for any machine.
    const PATIENCE: Duration = Duration::from_secs(60);
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    let change = |is_put: bool| {
        let mut batch = WriteBatch::new();
        for key in (0..KEYS).map(u32::to_be_bytes) {
            if is_put {
                batch.put(&key, b"value");
            } else {
                batch.delete(&key);
            }
        }
        storage.write(&batch, Durability::Buffered).unwrap();
    };
    change(true);
    storage.compact(KeyRange::ALL).unwrap();
    change(false);
    let figure = |name: &str| storage.stats().unwrap().backend[name];
    let begun = Instant::now();
    let is_gone = || figure("num_immutable_mem_table") == 0 && figure("total_sst_files_size") == 0;
    let memory = || figure("cur_size_all_mem_tables");
    while !(is_gone() && memory() < 1 << 20) {
        assert!(begun.elapsed() < PATIENCE, "{:?}", storage.stats().unwrap());
        std::thread::sleep(Duration::from_millis(5));
    }
}
