//! Limits of keys, values and transactions.

use crate::support::{kind, on_stores, over_memory, reopened};
use supervm_engine::layout::{STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX, Version};
use supervm_engine::mvcc::MvccConfig;
use supervm_plugin_sdk::{BATCH_OPERATIONS_MAX, ErrorKind};

#[test]
fn an_empty_key_is_refused_by_every_operation() {
    on_stores(|store| {
        for mut txn in [store.begin(), store.begin_read_only()] {
            assert_eq!(kind(txn.read(b"")), ErrorKind::InvalidKey);
        }
        let mut txn = store.begin();
        assert_eq!(kind(txn.write(b"", b"1")), ErrorKind::InvalidKey);
        assert_eq!(kind(txn.delete(b"")), ErrorKind::InvalidKey);
        assert_eq!(txn.writes_len(), 0);
    });
}

#[test]
fn the_longest_key_is_accepted_and_a_longer_one_refused() {
    let (longest, longer) = ([b'k'; STATE_KEY_BYTES_MAX], [b'k'; STATE_KEY_BYTES_MAX + 1]);
    on_stores(|store| {
        let mut txn = store.begin();
        txn.write(&longest, b"1").unwrap();
        assert_eq!(kind(txn.write(&longer, b"1")), ErrorKind::KeyTooLarge);
        assert_eq!(kind(txn.delete(&longer)), ErrorKind::KeyTooLarge);
        assert_eq!(kind(txn.read(&longer)), ErrorKind::KeyTooLarge);
        txn.commit().unwrap();
        assert_eq!(store.begin_read_only().read(&longest).unwrap().unwrap(), b"1");
    });
}

#[test]
fn the_largest_value_is_accepted_and_a_larger_one_refused() {
    let largest = vec![7; STATE_VALUE_BYTES_MAX];
    let larger = vec![7; STATE_VALUE_BYTES_MAX + 1];
    on_stores(|store| {
        let mut txn = store.begin();
        assert_eq!(kind(txn.write(b"k", &larger)), ErrorKind::ValueTooLarge);
        txn.write(b"k", &largest).unwrap();
        txn.commit().unwrap();
        assert_eq!(store.begin_read_only().read(b"k").unwrap().unwrap(), largest);
    });
}

#[test]
fn a_transaction_larger_than_a_batch_is_committed_whole() {
    let (store, dir) = over_memory(MvccConfig::default());
    let mut txn = store.begin();
    let value = vec![7; STATE_VALUE_BYTES_MAX];
    (0..5).for_each(|number| txn.write(format!("k{number}").as_bytes(), &value).unwrap());
    assert_eq!(txn.commit().unwrap(), Version(1));
    let store = reopened(store, &dir, MvccConfig::default());
    let mut txn = store.begin_read_only();
    for number in 0..5 {
        assert!(txn.read(format!("k{number}").as_bytes()).unwrap().unwrap() == value);
    }
}

#[test]
fn a_transaction_of_more_operations_than_a_batch_holds_is_committed_whole() {
    let (store, dir) = over_memory(MvccConfig::default());
    let mut txn = store.begin();
    let keys = BATCH_OPERATIONS_MAX / 3 + 1;
    for number in 0..keys {
        txn.write(format!("k{number}").as_bytes(), b"").unwrap();
    }
    assert_eq!(txn.commit().unwrap(), Version(1));
    let store = reopened(store, &dir, MvccConfig::default());
    assert_eq!(store.begin_read_only().scan_prefix(b"k", usize::MAX).unwrap().len(), keys);
}

#[test]
fn commits_that_together_exceed_a_batch_are_written_as_several() {
    let (store, _dir) = over_memory(MvccConfig::default());
    let value = vec![7; STATE_VALUE_BYTES_MAX];
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (store, value) = (&store, &value);
            scope.spawn(move || {
                let mut txn = store.begin();
                txn.write(format!("k{thread}").as_bytes(), value).unwrap();
                txn.commit().unwrap();
            });
        }
    });
    assert_eq!(store.last_version(), Version(8));
    store.evict();
    for thread in 0..8 {
        let key = format!("k{thread}");
        assert_eq!(store.begin_read_only().read(key.as_bytes()).unwrap().unwrap(), value);
    }
}
