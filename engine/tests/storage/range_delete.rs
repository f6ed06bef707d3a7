//! `delete_range` on a backend that does not have it.

use crate::{config, kind, open, open_with};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use supervm_engine::config::StorageConfig;
use supervm_engine::storage::Storage;
use supervm_plugin_sdk::{
    BATCH_OPERATIONS_MAX, Durability, Effect, ErrorKind, KeyRange, OpenMode, WriteBatch,
};

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<u8>, u8),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Option<Vec<u8>>),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xff)], 1..4)
}

fn batch() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (key(), any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        1 => key().prop_map(Step::Delete),
        2 => (key(), proptest::option::of(key())).prop_map(|(lo, hi)| Step::DeleteRange(lo, hi)),
    ];
    proptest::collection::vec(step, 1..8)
}

fn write(storage: &Storage, steps: &[Step]) {
    let mut batch = WriteBatch::new();
    for step in steps {
        match step {
            Step::Put(key, value) => batch.put(key, &[*value]),
            Step::Delete(key) => batch.delete(key),
            Step::DeleteRange(lo, hi) => batch.delete_range(KeyRange::new(lo, hi.as_deref())),
        }
    }
    storage.write(&batch, Durability::Buffered).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_simulated_range_leaves_what_a_real_one_leaves(
        batches in proptest::collection::vec(batch(), 1..20),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let memory = open("memory", &dir.path().join("memory")).unwrap();
        let plain = open("plain", &dir.path().join("plain")).unwrap();
        for steps in &batches {
            write(&memory, steps);
            write(&plain, steps);
            prop_assert_eq!(memory.scan(b"", 999).unwrap(), plain.scan(b"", 999).unwrap());
        }
        prop_assert_eq!(memory.digest().unwrap(), plain.digest().unwrap());
    }
}

#[test]
fn a_simulated_range_does_not_tear_another_threads_batch() {
    let dir = tempfile::tempdir().unwrap();
    let options = [("slow".to_owned(), true.into())].into_iter().collect();
    let config = StorageConfig { options, ..config(dir.path()) };
    let storage = open_with("plain", &config, OpenMode::Create).unwrap();
    let done = AtomicBool::new(false);
    let put = |keys: &[&str]| {
        let mut batch = WriteBatch::new();
        keys.iter().for_each(|key| batch.put(key.as_bytes(), b""));
        storage.write(&batch, Durability::Buffered).unwrap();
    };
    let pairs = || {
        for number in 0.. {
            let (first, second) = (format!("{number}/a"), format!("{number}/b"));
            put(&[&first]);
            put(&[&first, &second]);
            if done.load(Ordering::Relaxed) {
                return;
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(pairs);
        let torn = (0..100).find_map(|_| {
            let mut batch = WriteBatch::new();
            batch.delete_range(KeyRange::ALL);
            storage.write(&batch, Durability::Buffered).unwrap();
            second_without_first(&storage)
        });
        done.store(true, Ordering::Relaxed);
        assert_eq!(torn, None, "the second of a pair is only ever there with the first");
    });
}

fn second_without_first(storage: &Storage) -> Option<Vec<u8>> {
    let rows = storage.scan(b"", usize::MAX).unwrap();
    let keys: BTreeSet<_> = rows.into_iter().map(|(key, _)| key).collect();
    let alone = |key: &&Vec<u8>| {
        key.ends_with(b"/b") && !keys.contains(&[&key[..key.len() - 1], b"a"].concat())
    };
    keys.iter().find(alone).cloned()
}

#[test]
fn a_simulated_range_over_more_keys_than_a_batch_holds_is_refused_and_applies_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open("plain", dir.path()).unwrap();
    let half = BATCH_OPERATIONS_MAX as u32 / 2 + 1;
    for keys in [0..half, half..2 * half] {
        let mut batch = WriteBatch::new();
        keys.for_each(|key| batch.put(&key.to_be_bytes(), b""));
        storage.write(&batch, Durability::Buffered).unwrap();
    }
    let mut batch = WriteBatch::new();
    batch.put(b"first", b"");
    batch.delete_range(KeyRange::ALL);
    let error = storage.write(&batch, Durability::Buffered).unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::BatchTooLarge, Effect::NotApplied));
    assert_eq!(storage.get(b"first").unwrap(), None);
    assert!(storage.get(&0u32.to_be_bytes()).unwrap().is_some());
    batch.clear();
    batch.delete_range(KeyRange::new(b"", Some(&half.to_be_bytes())));
    storage.write(&batch, Durability::Buffered).unwrap();
    assert_eq!(storage.get(&0u32.to_be_bytes()).unwrap(), None);
    assert_eq!(kind(storage.get(b"")), ErrorKind::InvalidKey);
}
