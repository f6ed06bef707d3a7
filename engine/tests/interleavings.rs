//! The store's races under a scheduler that chooses who runs next, many times over, at random and by priorities.
//!
//! The crate is built with locks that Shuttle controls: each lock is a point at which another thread may come in. Atomics are not; what
//! they order is read or written under, or next to, a lock in all that is tried here.
//!
//! Source: Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs" (2010), for the priorities.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use shuttle::thread;
use supervm_engine::mvcc::MvccStore;

/// Schedules of each kind.
const SCHEDULES: usize = 2_000;
/// Moments at which the priorities change.
const DEPTH: usize = 3;

fn on_many_schedules(test: fn()) {
    shuttle::check_random(test, SCHEDULES);
    shuttle::check_pct(test, SCHEDULES, DEPTH);
}

fn set(store: &MvccStore, keys: &[&[u8]], value: &[u8]) {
    let mut txn = store.begin();
    keys.iter().for_each(|key| txn.write(key, value).unwrap());
    txn.commit().unwrap();
}

fn spawn(
    store: &MvccStore,
    run: impl FnOnce(MvccStore) + Send + 'static,
) -> thread::JoinHandle<()> {
    let store = store.clone();
    thread::spawn(move || run(store))
}

#[test]
fn a_transaction_that_begins_beside_garbage_collection_sees_its_version() {
    on_many_schedules(|| {
        let store = MvccStore::new();
        set(&store, &[b"k"], b"0");
        let collector = spawn(&store, |store| {
            set(&store, &[b"k"], b"1");
            store.gc();
            set(&store, &[b"k"], b"2");
            store.gc();
        });
        let reader = spawn(&store, |store| {
            let mut txn = store.begin_read_only();
            let first = txn.read(b"k").unwrap();
            assert!(first.is_some(), "the version at {} is gone", txn.read_version());
            assert_eq!(txn.read(b"k").unwrap(), first);
        });
        collector.join().unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn a_version_is_visible_when_all_its_writes_are_installed() {
    on_many_schedules(|| {
        let store = MvccStore::new();
        let writers = [b"1", b"2"].map(|value| {
            spawn(&store, move |store| {
                let mut txn = store.begin();
                txn.write(b"a", value).unwrap();
                txn.write(b"b", value).unwrap();
                // One of the two may be refused.
                let _ = txn.commit();
            })
        });
        let reader = spawn(&store, |store| {
            let mut txn = store.begin_read_only();
            let a = txn.read(b"a").unwrap();
            assert_eq!(txn.read(b"b").unwrap(), a, "at version {}", txn.read_version());
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        reader.join().unwrap();
    });
}

#[test]
fn a_cell_that_is_unlinked_beside_its_insertion_loses_no_write() {
    on_many_schedules(|| {
        let store = MvccStore::new();
        set(&store, &[b"k"], b"0");
        let mut txn = store.begin();
        txn.delete(b"k").unwrap();
        txn.commit().unwrap();
        let collector = spawn(&store, |store| {
            store.gc();
        });
        let writer = spawn(&store, |store| {
            set(&store, &[b"k"], b"1");
            assert_eq!(store.begin_read_only().read(b"k").unwrap().unwrap(), b"1");
        });
        collector.join().unwrap();
        writer.join().unwrap();
        assert_eq!(store.begin_read_only().read(b"k").unwrap().unwrap(), b"1");
    });
}

#[test]
fn an_absent_key_that_was_read_is_found_to_have_appeared_beside_garbage_collection() {
    on_many_schedules(|| {
        let store = MvccStore::new();
        let mut txn = store.begin();
        assert_eq!(txn.read(b"absent").unwrap(), None);
        let collector = spawn(&store, |store| {
            store.gc();
        });
        let writer = spawn(&store, |store| set(&store, &[b"absent"], b"1"));
        collector.join().unwrap();
        writer.join().unwrap();
        txn.write(b"other", b"1").unwrap();
        assert!(txn.commit().is_err());
    });
}

#[test]
fn of_two_increments_one_is_refused_or_both_are_counted() {
    on_many_schedules(|| {
        let store = MvccStore::new();
        set(&store, &[b"n"], &[0]);
        let counted: Vec<_> = (0..2)
            .map(|_| {
                let store = store.clone();
                thread::spawn(move || {
                    let mut txn = store.begin();
                    let n = txn.read(b"n").unwrap().unwrap()[0];
                    txn.write(b"n", &[n + 1]).unwrap();
                    u8::from(txn.commit().is_ok())
                })
            })
            .collect();
        let counted: u8 = counted.into_iter().map(|one| one.join().unwrap()).sum();
        assert_eq!(store.begin_read_only().read(b"n").unwrap().unwrap(), [counted]);
    });
}
