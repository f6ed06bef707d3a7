//! What a transaction sees.

use crate::support::{delete, keys, latest, on_stores, put, read, remove, write};
use std::sync::Barrier;
use std::thread;
use supervm_engine::layout::Version;

#[test]
fn a_transaction_sees_the_state_of_the_moment_it_began() {
    on_stores(|store| {
        put(store, &[("k", "1")]);
        let mut before = store.begin();
        let mut reader = store.begin_read_only();
        put(store, &[("k", "2"), ("new", "2")]);
        remove(store, "k");
        for txn in [&mut before, &mut reader] {
            assert_eq!(read(txn, "k").as_deref(), Some("1"));
            assert_eq!(read(txn, "new"), None);
        }
        assert_eq!(latest(store, "k"), None);
        assert_eq!(latest(store, "new").as_deref(), Some("2"));
    });
}

#[test]
fn a_key_first_read_after_it_changed_is_read_as_it_was() {
    on_stores(|store| {
        put(store, &[("a", "1"), ("b", "1")]);
        store.evict();
        let mut txn = store.begin_read_only();
        put(store, &[("a", "2")]);
        remove(store, "b");
        assert_eq!(read(&mut txn, "a").as_deref(), Some("1"));
        assert_eq!(read(&mut txn, "b").as_deref(), Some("1"));
    });
}

#[test]
fn several_versions_of_a_key_are_read_side_by_side() {
    on_stores(|store| {
        let mut readers: Vec<_> = (1..=5)
            .map(|n: u64| {
                assert_eq!(put(store, &[("k", &n.to_string())]), Version(n));
                store.begin_read_only()
            })
            .collect();
        for (reader, expected) in readers.iter_mut().zip(1..) {
            assert_eq!(reader.read_version(), Version(expected));
            assert_eq!(read(reader, "k"), Some(expected.to_string()));
        }
        assert_eq!(store.total_versions(), 5);
        assert_eq!(store.total_keys(), 1);
    });
}

#[test]
fn own_writes_are_seen_and_others_do_not_see_them_before_the_commit() {
    on_stores(|store| {
        put(store, &[("k", "1"), ("gone", "1")]);
        let mut txn = store.begin();
        write(&mut txn, "k", "2");
        write(&mut txn, "k", "3");
        delete(&mut txn, "gone");
        assert_eq!(txn.writes_len(), 2);
        assert_eq!(read(&mut txn, "k").as_deref(), Some("3"));
        assert_eq!(read(&mut txn, "gone"), None);
        assert_eq!(latest(store, "k").as_deref(), Some("1"));
        assert_eq!(latest(store, "gone").as_deref(), Some("1"));
        txn.commit().unwrap();
        assert_eq!(latest(store, "k").as_deref(), Some("3"));
        assert_eq!(latest(store, "gone"), None);
    });
}

#[test]
fn an_aborted_or_dropped_transaction_leaves_nothing() {
    on_stores(|store| {
        put(store, &[("k", "1")]);
        let mut aborted = store.begin();
        write(&mut aborted, "k", "2");
        write(&mut aborted, "new", "2");
        aborted.abort();
        let mut dropped = store.begin();
        delete(&mut dropped, "k");
        drop(dropped);
        assert_eq!(store.last_version(), Version(1));
        assert_eq!(keys(&mut store.begin()), ["k"]);
        assert_eq!(latest(store, "k").as_deref(), Some("1"));
        assert_eq!(put(store, &[("k", "3")]), Version(2), "no version is lost");
    });
}

#[test]
fn versions_are_consecutive_and_a_commit_without_writes_takes_none() {
    on_stores(|store| {
        assert_eq!(store.begin().read_version(), Version::ZERO);
        assert_eq!(put(store, &[("k", "1")]), Version(1));
        let mut reads_only = store.begin();
        read(&mut reads_only, "k");
        assert_eq!(reads_only.commit().unwrap(), Version(1), "the version that it read");
        assert_eq!(remove(store, "absent"), Version(2), "a deletion of nothing is a write");
        assert_eq!(store.last_version(), Version(2));
    });
}

#[test]
fn an_empty_value_is_present() {
    on_stores(|store| {
        put(store, &[("k", "")]);
        assert_eq!(latest(store, "k").as_deref(), Some(""));
        assert_eq!(keys(&mut store.begin()), ["k"]);
    });
}

#[test]
fn a_value_is_read_into_a_reused_buffer_and_in_place() {
    on_stores(|store| {
        let long = "long ".repeat(100);
        put(store, &[("long", &long), ("short", "s")]);
        let mut txn = store.begin_read_only();
        let mut value = b"what was there".to_vec();
        assert!(txn.read_into(b"long", &mut value).unwrap());
        assert_eq!(value, long.as_bytes());
        assert!(txn.read_into(b"short", &mut value).unwrap());
        assert_eq!(value, b"s");
        assert!(!txn.read_into(b"absent", &mut value).unwrap());
        assert!(value.is_empty());
        assert_eq!(txn.read_with(b"long", |value| value.unwrap().len()).unwrap(), long.len());
        assert!(txn.read_with(b"absent", |value| value.is_none()).unwrap());
    });
}

#[test]
fn concurrent_readers_of_one_version_all_see_it_while_it_is_overwritten() {
    const READERS: usize = 4;
    on_stores(|store| {
        put(store, &[("k", "0")]);
        let begun = Barrier::new(READERS + 1);
        thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    let mut txn = store.begin_read_only();
                    begun.wait();
                    for _ in 0..500 {
                        assert_eq!(read(&mut txn, "k").as_deref(), Some("0"));
                    }
                });
            }
            begun.wait();
            for n in 1..=200 {
                put(store, &[("k", &n.to_string())]);
                store.gc();
            }
        });
        assert_eq!(latest(store, "k").as_deref(), Some("200"));
    });
}

#[test]
fn a_transaction_outlives_the_handle_of_its_store() {
    on_stores(|store| {
        put(store, &[("k", "1")]);
    });
    let store = supervm_engine::mvcc::MvccStore::new();
    put(&store, &[("k", "1")]);
    let (mut txn, other) = (store.begin(), store.clone());
    drop(store);
    write(&mut txn, "k", "2");
    txn.commit().unwrap();
    assert_eq!(latest(&other, "k").as_deref(), Some("2"));
    let mut last = other.begin_read_only();
    drop(other);
    assert_eq!(read(&mut last, "k").as_deref(), Some("2"));
}

#[test]
fn the_metrics_show_readers_versions_commits_and_conflicts() {
    on_stores(|store| {
        put(store, &[("k", "1")]);
        let reader = store.begin_read_only();
        let mut loser = store.begin();
        put(store, &[("k", "2")]);
        write(&mut loser, "k", "3");
        assert!(crate::support::is_conflict(loser.commit()));
        let metrics = store.metrics();
        assert_eq!((metrics.last_version, metrics.oldest_reader), (Version(2), Version(1)));
        assert_eq!((metrics.transactions, metrics.old_versions), (1, 1));
        assert_eq!((metrics.commits, metrics.conflicts, metrics.cells), (2, 1, 1));
        assert!(metrics.memory_bytes > 0);
        drop(reader);
        assert_eq!(store.metrics().oldest_reader, Version(2));
        assert_eq!(store.metrics().transactions, 0);
    });
}
