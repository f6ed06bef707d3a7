//! Transactions that only read.

use crate::support::{entries, kind, on_stores, put, read};
use supervm_engine::layout::Version;
use supervm_engine::mvcc::{Block, CommitOptions};
use supervm_plugin_sdk::{Direction, ErrorKind, KeyRange};

#[test]
fn a_read_only_transaction_refuses_writes_and_deletes_and_goes_on_reading() {
    on_stores(|store| {
        put(store, &[("k", "1")]);
        let mut txn = store.begin_read_only();
        assert!(txn.is_read_only() && !store.begin().is_read_only());
        assert_eq!(kind(txn.write(b"k", b"2")), ErrorKind::ReadOnly);
        assert_eq!(kind(txn.delete(b"k")), ErrorKind::ReadOnly);
        assert_eq!(txn.writes_len(), 0);
        assert_eq!(read(&mut txn, "k").as_deref(), Some("1"));
        assert_eq!(txn.commit().unwrap(), Version(1));
        assert_eq!(store.last_version(), Version(1));
    });
}

#[test]
fn a_read_only_transaction_cannot_end_a_block() {
    on_stores(|store| {
        let block = Some(Block { number: 1, timestamp: 1 });
        let options = CommitOptions { block, ..CommitOptions::default() };
        assert_eq!(kind(store.begin_read_only().commit_with(options)), ErrorKind::ReadOnly);
        assert_eq!(store.last_block(), None);
    });
}

#[test]
fn a_read_only_transaction_never_conflicts() {
    on_stores(|store| {
        put(store, &[("a", "1"), ("b", "1")]);
        let mut txn = store.begin_read_only();
        assert_eq!(read(&mut txn, "a").as_deref(), Some("1"));
        assert_eq!(entries(&mut txn, KeyRange::ALL, Direction::Forward, 9).len(), 2);
        put(store, &[("a", "2"), ("c", "2")]);
        txn.commit().unwrap();
        assert_eq!(store.metrics().conflicts, 0);
    });
}

#[test]
fn a_read_only_transaction_leaves_no_placeholder_for_an_absent_key_in_memory() {
    let store = supervm_engine::mvcc::MvccStore::new();
    assert_eq!(read(&mut store.begin_read_only(), "absent"), None);
    assert_eq!(store.metrics().cells, 0);
}
