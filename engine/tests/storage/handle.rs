//! The convenience calls, the limits, snapshots and digests.

use crate::{config, kind, open, open_with};
use sha2::{Digest as _, Sha256};
use supervm_engine::config::StorageConfig;
use supervm_engine::storage::Storage;
use supervm_plugin_sdk::{
    BATCH_BYTES_MAX, Capability, Direction, Durability, ErrorKind, KEY_BYTES_MAX, KeyRange,
    OpenMode, VALUE_BYTES_MAX, WriteBatch,
};

fn keys(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<&[u8]> {
    entries.iter().map(|(key, _)| &key[..]).collect()
}

fn filled(storage: &Storage, keys: &[&[u8]]) {
    keys.iter().for_each(|key| storage.set(key, key).unwrap());
}

#[test]
fn what_is_set_is_read_until_it_is_deleted() {
    for backend in ["memory", "plain"] {
        let dir = tempfile::tempdir().unwrap();
        let storage = open(backend, dir.path()).unwrap();
        assert_eq!(storage.get(b"a").unwrap(), None);
        storage.set(b"a", b"").unwrap();
        assert_eq!(storage.get(b"a").unwrap(), Some(Vec::new()), "empty is present");
        storage.set(b"a", b"1").unwrap();
        assert_eq!(storage.get(b"a").unwrap(), Some(b"1".to_vec()));
        storage.delete(b"a").unwrap();
        storage.delete(b"a").unwrap();
        assert_eq!(storage.get(b"a").unwrap(), None);
        assert_eq!(storage.backend_name(), backend);
    }
}

#[test]
fn scan_has_the_prefix_in_order_and_excludes_keys_after_it() {
    for backend in ["memory", "plain"] {
        let dir = tempfile::tempdir().unwrap();
        let storage = open(backend, dir.path()).unwrap();
        filled(&storage, &[b"b", b"ab\xff", b"a", b"ab", b"ac", b"\xff\xff", b"\xff", b"aa"]);
        let scan = |prefix: &[u8], limit| storage.scan(prefix, limit).unwrap();
        assert_eq!(keys(&scan(b"ab", 9)), [&b"ab"[..], b"ab\xff"]);
        assert_eq!(keys(&scan(b"a", 2)), [&b"a"[..], b"aa"]);
        assert_eq!(keys(&scan(b"\xff", 9)), [&b"\xff"[..], b"\xff\xff"]);
        assert_eq!(scan(b"", 99).len(), 8);
        assert!(scan(b"a", 0).is_empty() && scan(b"c", 9).is_empty());
    }
}

#[test]
fn a_batch_applies_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open("memory", dir.path()).unwrap();
    let changes = [(b"a", Some(b"1")), (b"b", Some(b"2")), (b"a", None), (b"b", Some(b"3"))];
    let owned = changes.map(|(key, value)| (key.to_vec(), value.map(|value| value.to_vec())));
    storage.write_batch(owned.to_vec()).unwrap();
    assert_eq!(storage.scan(b"", 9).unwrap(), [(b"b".to_vec(), b"3".to_vec())]);
}

#[test]
fn iterators_go_over_pages_in_both_directions() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open("memory", dir.path()).unwrap();
    let mut batch = WriteBatch::new();
    let expected: Vec<_> = (0..500u32).map(|n| n.to_be_bytes().to_vec()).collect();
    expected.iter().for_each(|key| batch.put(key, &[7; 1000]));
    storage.write(&batch, Durability::Buffered).unwrap();
    let forward: Vec<_> = storage.iter(KeyRange::ALL).unwrap().map(|row| row.unwrap().0).collect();
    assert_eq!(forward, expected);
    let mut backward: Vec<_> =
        storage.iter_rev(KeyRange::ALL).unwrap().map(|row| row.unwrap().0).collect();
    backward.reverse();
    assert_eq!(backward, expected);
    let mut rows = storage.rows(KeyRange::new(&expected[490], None), Direction::Forward).unwrap();
    let mut bytes = 0;
    while let Some((key, value)) = rows.next().unwrap() {
        bytes += key.len() + value.len();
    }
    assert_eq!(bytes, 10 * 1004);
}

#[test]
fn limits_are_refused_before_the_plugin_is_called() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open("memory", dir.path()).unwrap();
    storage.set(&[1; KEY_BYTES_MAX], b"").unwrap();
    let value = vec![0; VALUE_BYTES_MAX + 1];
    let mut batch = WriteBatch::new();
    for index in 0..=BATCH_BYTES_MAX / VALUE_BYTES_MAX {
        batch.put(&[index as u8 + 1], &value[1..]);
    }
    // A closed plugin answers `Closed` to whatever reaches it.
    storage.close().unwrap();
    assert_eq!(kind(storage.get(b"")), ErrorKind::InvalidKey);
    assert_eq!(kind(storage.set(b"", b"")), ErrorKind::InvalidKey);
    assert_eq!(kind(storage.delete(&[1; KEY_BYTES_MAX + 1])), ErrorKind::KeyTooLarge);
    assert_eq!(kind(storage.scan(&[1; KEY_BYTES_MAX + 1], 1)), ErrorKind::KeyTooLarge);
    assert_eq!(kind(storage.set(b"a", &value)), ErrorKind::ValueTooLarge);
    assert_eq!(kind(storage.write(&batch, Durability::Buffered)), ErrorKind::BatchTooLarge);
    assert_eq!(kind(storage.compact(KeyRange::ALL)), ErrorKind::Unsupported);
    assert_eq!(kind(storage.write(&batch, Durability::Synced)), ErrorKind::Unsupported);
    assert_eq!(kind(storage.get(b"a")), ErrorKind::Closed);
}

#[test]
fn what_a_backend_does_not_declare_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open("plain", dir.path()).unwrap();
    assert_eq!(kind(storage.snapshot()), ErrorKind::Unsupported);
    assert_eq!(kind(storage.iter_rev(KeyRange::ALL)), ErrorKind::Unsupported);
    assert_eq!(kind(storage.verify()), ErrorKind::Unsupported);
    assert_eq!(kind(storage.compact(KeyRange::ALL)), ErrorKind::Unsupported);
    assert_eq!(kind(storage.size_on_disk(KeyRange::ALL)), ErrorKind::Unsupported);
    assert_eq!(kind(storage.checkpoint(&dir.path().join("copy"))), ErrorKind::Unsupported);
    assert_eq!(kind(storage.flush(Durability::Synced)), ErrorKind::Unsupported);
    assert!(!dir.path().join("copy").exists());
}

#[test]
fn the_default_durability_is_the_strongest_that_is_declared() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open("plain", dir.path()).unwrap();
    assert_eq!(storage.durability(), Durability::Buffered);
    let dir = tempfile::tempdir().unwrap();
    let synced = StorageConfig { durability: Some(Durability::Synced), ..config(dir.path()) };
    let error = open_with("plain", &synced, OpenMode::Create).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("durability"), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn everything_required_and_missing_is_listed_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("data");
    let require = vec![Capability::Checkpoint, Capability::Compact];
    let config = StorageConfig { require, ..config(&target) };
    let error = open_with("plain", &config, OpenMode::Create).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("checkpoint, compact"), "{error}");
    let error = open_with("memory", &config, OpenMode::Create).unwrap_err();
    assert!(error.message().ends_with(": compact"), "{error}");
    assert!(!target.exists());
}

#[test]
fn a_snapshot_is_a_repeatable_read_and_keeps_the_storage_open() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open("memory", dir.path()).unwrap();
    filled(&storage, &[b"a", b"b"]);
    let snapshot = storage.snapshot().unwrap();
    let digest = storage.digest().unwrap();
    storage.delete(b"a").unwrap();
    storage.set(b"c", b"").unwrap();
    assert_eq!(snapshot.get(b"a").unwrap(), Some(b"a".to_vec()));
    assert_eq!(snapshot.get(b"c").unwrap(), None);
    let rows: Result<Vec<_>, _> = snapshot.iter_rev(KeyRange::ALL).unwrap().collect();
    assert_eq!(keys(&rows.unwrap()), [b"b", b"a"]);
    assert_eq!(snapshot.digest().unwrap(), digest);
    assert_ne!(storage.digest().unwrap(), digest);
    assert_eq!(kind(snapshot.get(b"")), ErrorKind::InvalidKey);
    let second = snapshot.clone();
    drop(snapshot);
    assert_eq!(kind(storage.close()), ErrorKind::Busy);
    drop(second);
    storage.clone().close().unwrap();
    assert_eq!(kind(storage.get(b"a")), ErrorKind::Closed);
}

#[test]
fn a_cursor_is_a_fixed_view_under_which_the_same_thread_writes() {
    for backend in ["memory", "plain"] {
        let dir = tempfile::tempdir().unwrap();
        let storage = open(backend, dir.path()).unwrap();
        filled(&storage, &[b"a", b"b", b"c"]);
        let mut seen = Vec::new();
        for row in storage.iter(KeyRange::ALL).unwrap() {
            let (key, _) = row.unwrap();
            let mut batch = WriteBatch::new();
            batch.delete_range(KeyRange::ALL);
            batch.put(b"z", b"");
            storage.write(&batch, Durability::Buffered).unwrap();
            seen.push(key);
        }
        assert_eq!(seen, [b"a", b"b", b"c"]);
        assert_eq!(keys(&storage.scan(b"", 9).unwrap()), [b"z"]);
    }
}

#[test]
fn the_digest_is_that_of_lengths_and_bytes_in_key_order_on_every_backend() {
    let mut expected = Sha256::new();
    for (key, value) in [(&b"a"[..], &b"12"[..]), (b"ab", b"")] {
        expected.update((key.len() as u32).to_le_bytes());
        expected.update(key);
        expected.update((value.len() as u32).to_le_bytes());
        expected.update(value);
    }
    let expected: [u8; 32] = expected.finalize().into();
    for backend in ["memory", "plain"] {
        let dir = tempfile::tempdir().unwrap();
        let storage = open(backend, dir.path()).unwrap();
        let empty = storage.digest().unwrap().to_string();
        assert_eq!(empty, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        storage.set(b"ab", b"").unwrap();
        storage.set(b"a", b"12").unwrap();
        assert_eq!(storage.digest().unwrap().0, expected);
    }
}
