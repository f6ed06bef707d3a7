//! Limits of keys, values and transactions.

use crate::support::{kind, latest, on_stores, over_memory};
use supervm_engine::layout::{STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX, Version};
use supervm_engine::mvcc::{MvccConfig, MvccStore, Txn};
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

fn is_too_large(store: &MvccStore, txn: Txn) {
    let version = store.last_version();
    assert_eq!(kind(txn.commit()), ErrorKind::BatchTooLarge);
    assert_eq!(store.last_version(), version, "nothing took effect");
    assert_eq!(crate::support::put(store, &[("after", "1")]), Version(version.0 + 1));
    assert_eq!(latest(store, "k1"), None);
}

#[test]
fn a_transaction_larger_than_a_batch_is_refused_and_leaves_nothing() {
    let (store, _dir) = over_memory(MvccConfig::default());
    let mut txn = store.begin();
    let value = vec![7; STATE_VALUE_BYTES_MAX];
    (0..5).for_each(|number| txn.write(format!("k{number}").as_bytes(), &value).unwrap());
    is_too_large(&store, txn);
}

#[test]
fn a_transaction_of_more_operations_than_a_batch_holds_is_refused_and_leaves_nothing() {
    let (store, _dir) = over_memory(MvccConfig::default());
    let mut txn = store.begin();
    for number in 0..=BATCH_OPERATIONS_MAX / 3 {
        txn.write(format!("k{number}").as_bytes(), b"").unwrap();
    }
    is_too_large(&store, txn);
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
