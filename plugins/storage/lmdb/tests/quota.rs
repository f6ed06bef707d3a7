//! The file grows by itself up to the quota; past it nothing is lost and what is full can be emptied.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use supervm_plugin_sdk::prelude::*;
use support::{entries, figure, get, open, open_with, put};

const OPTIONS: &str = "map_bytes_max = \"64MiB\"";
const QUOTA_BYTES: u64 = 32 << 20;

fn key(index: u32) -> [u8; 4] {
    index.to_be_bytes()
}

fn file_bytes(dir: &Path) -> u64 {
    std::fs::metadata(dir.join("data.mdb")).unwrap().len()
}

/// Puts values of 10,000 bytes, a hundred at a time and at last one by one, until one is refused: how many fitted, and the
/// refusal.
fn fill(storage: &dyn StorageBackend) -> (u32, Error) {
    let mut count = 0;
    for step in [100, 1] {
        loop {
            let mut batch = WriteBatch::new();
            (count..count + step).for_each(|index| batch.put(&key(index), &[index as u8; 10_000]));
            match storage.write(&batch, Durability::Buffered) {
                Ok(()) => count += step,
                Err(error) if step == 1 => return (count, error),
                Err(_) => break,
            }
        }
    }
    unreachable!("the last step ends with a refusal")
}

fn delete(storage: &dyn StorageBackend, range: KeyRange<'_>) -> Result<()> {
    let mut batch = WriteBatch::new();
    batch.delete_range(range);
    storage.write(&batch, Durability::Buffered)
}

#[test]
fn the_file_begins_small_and_grows_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    assert!(file_bytes(dir.path()) <= 16 << 10, "{} bytes", file_bytes(dir.path()));
    for index in 0..12 {
        put(&*storage, &key(index), &vec![7; 16 << 20]).unwrap();
    }
    assert!(file_bytes(dir.path()) > 12 * (16 << 20));
    assert_eq!(get(&*storage, &key(11)).unwrap().len(), 16 << 20);
}

#[test]
fn a_write_past_the_quota_changes_nothing_and_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open_with(dir.path(), OPTIONS);
    let (count, error) = fill(&*storage);
    assert_eq!(error.kind(), ErrorKind::QuotaFull, "{error}");
    assert_eq!(error.effect(), Effect::NotApplied);
    let context: Vec<_> = error.context().collect();
    assert!(context.contains(&("lmdb_code", "-30792")), "{context:?}");
    assert!(
        context.iter().any(|(name, text)| *name == "lmdb_text" && text.contains("MDB_MAP_FULL"))
    );
    // Each value takes three pages of 4 KiB.
    assert!(u64::from(count) * 12_288 > QUOTA_BYTES * 9 / 10, "{count} values fitted");
    let found = entries(&*storage);
    assert_eq!(found.len(), count as usize);
    for (index, (found_key, value)) in found.iter().enumerate() {
        assert_eq!(found_key[..], key(index as u32));
        assert_eq!(value[..], [index as u8; 10_000]);
    }
    assert_eq!(storage.verify().unwrap().problems, [""; 0]);
}

#[test]
fn a_full_storage_can_delete_everything_and_be_filled_again() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open_with(dir.path(), OPTIONS);
    let (first, _) = fill(&*storage);
    for round in 0..3 {
        delete(&*storage, KeyRange::ALL).unwrap();
        assert_eq!(entries(&*storage), []);
        let (count, error) = fill(&*storage);
        assert_eq!(error.kind(), ErrorKind::QuotaFull);
        assert_eq!(count, first, "round {round}");
    }
    assert!(file_bytes(dir.path()) < 2 * QUOTA_BYTES);
}

#[test]
fn a_full_storage_of_small_entries_can_delete_them_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open_with(dir.path(), OPTIONS);
    let mut count = 0;
    let error = loop {
        let mut batch = WriteBatch::new();
        // An odd factor scatters the keys over the tree.
        (count..count + 1000u32)
            .for_each(|index| batch.put(&key(index.wrapping_mul(2_654_435_761)), &[1; 100]));
        match storage.write(&batch, Durability::Buffered) {
            Ok(()) => count += 1000,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::QuotaFull, "{error}");
    for index in (0..count).step_by(997) {
        let mut batch = WriteBatch::new();
        batch.delete(&key(index.wrapping_mul(2_654_435_761)));
        storage.write(&batch, Durability::Buffered).unwrap();
    }
    delete(&*storage, KeyRange::new(&key(1 << 31), None)).unwrap();
    put(&*storage, &key(0), &[2; 100]).unwrap();
    assert_eq!(storage.verify().unwrap().problems, [""; 0]);
}

#[test]
fn a_quota_below_what_is_stored_lets_it_be_read_and_shrunk_only() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    for index in 0..4 {
        put(&*storage, &key(index), &vec![index as u8; 16 << 20]).unwrap();
    }
    storage.close().unwrap();
    drop(storage);
    let storage = open_with(dir.path(), OPTIONS);
    assert_eq!(get(&*storage, &key(3)).unwrap(), vec![3; 16 << 20]);
    let refused = put(&*storage, &key(9), &vec![9; 1 << 20]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::QuotaFull);
    delete(&*storage, KeyRange::new(&key(1), None)).unwrap();
    put(&*storage, &key(9), &vec![9; 1 << 20]).unwrap();
    assert!(figure(&*storage, "quota_used_bytes") < QUOTA_BYTES);
}
