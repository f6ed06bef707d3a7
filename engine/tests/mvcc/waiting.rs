//! Nothing waits for another transaction's disk.

use crate::probe::{Panel, panel};
use crate::support::{delete, eventually, is_conflict, on_stores, put, read, storage, write};
use std::sync::Arc;
use std::thread;
use supervm_engine::layout::latest_key;
use supervm_engine::mvcc::{MvccConfig, MvccStore};
use supervm_plugin_sdk::{Direction, KeyRange};

fn over_probe(name: &str) -> (MvccStore, Arc<Panel>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let options = format!("panel = \"{name}\"");
    let storage = storage("probe", dir.path(), &options);
    (MvccStore::open(storage, MvccConfig::default()).unwrap(), panel(name), dir)
}

/// Runs `work` while a read of the key "slow" waits for the backend.
fn beside_a_slow_read(name: &str, work: impl FnOnce(&MvccStore) + Send) {
    let (store, panel, _dir) = over_probe(name);
    put(&store, &[("early", "1"), ("slow", "1"), ("tail", "1")]);
    store.evict();
    let mut slow = Vec::new();
    latest_key(b"slow", &mut slow);
    thread::scope(|scope| {
        // Let go when the scope ends, by a panic too.
        let gate = panel.hold_reads_of(&slow);
        let store = &store;
        let reader = scope.spawn(|| read(&mut store.begin(), "slow"));
        eventually("the read waits", || panel.held_reads() == 1);
        let worker = scope.spawn(|| work(store));
        eventually("the work is done beside it", || worker.is_finished());
        assert!(!reader.is_finished());
        drop(gate);
        assert_eq!(reader.join().unwrap().as_deref(), Some("1"));
        worker.join().unwrap();
    });
}

#[test]
fn a_commit_that_scanned_does_not_wait_for_a_read_in_its_range() {
    beside_a_slow_read("slow-scan", |store| {
        let mut txn = store.begin();
        txn.scan(KeyRange::new(b"t", None), Direction::Forward, 10).unwrap();
        txn.scan(KeyRange::new(b"a", Some(b"f")), Direction::Forward, 10).unwrap();
        write(&mut txn, "other", "1");
        txn.commit().unwrap();
    });
}

#[test]
fn a_commit_whose_range_has_the_key_that_is_read_does_not_wait_either() {
    beside_a_slow_read("slow-in-range", |store| {
        let mut txn = store.begin();
        assert_eq!(txn.scan_prefix(b"", 10).unwrap().len(), 3);
        write(&mut txn, "other", "1");
        txn.commit().unwrap();
    });
}

#[test]
fn garbage_collection_eviction_and_reads_of_other_keys_go_on_beside_a_slow_read() {
    beside_a_slow_read("slow-others", |store| {
        for round in 0..10 {
            put(store, &[("early", &round.to_string())]);
            store.gc();
            store.evict();
            assert_eq!(read(&mut store.begin(), "tail").as_deref(), Some("1"));
        }
        let mut txn = store.begin();
        delete(&mut txn, "tail");
        txn.commit().unwrap();
        store.gc();
    });
}

#[test]
fn two_readers_of_one_key_see_one_value_whoever_is_faster() {
    let (store, panel, _dir) = over_probe("slow-twice");
    put(&store, &[("slow", "1")]);
    store.evict();
    let mut slow = Vec::new();
    latest_key(b"slow", &mut slow);
    thread::scope(|scope| {
        let gate = panel.hold_reads_of(&slow);
        let readers = [0, 1].map(|_| scope.spawn(|| read(&mut store.begin(), "slow")));
        eventually("both read it", || panel.held_reads() == 2);
        drop(gate);
        for reader in readers {
            assert_eq!(reader.join().unwrap().as_deref(), Some("1"));
        }
    });
    put(&store, &[("slow", "2")]);
    assert_eq!(read(&mut store.begin(), "slow").as_deref(), Some("2"));
}

/// Of many writes since a scan, those outside of its range are no conflict, and one inside is.
#[test]
fn a_scan_is_held_against_many_writes_since() {
    for others in [1, 40, 600, 6_000] {
        on_stores(|store| {
            put(store, &[("m1", "1"), ("m3", "1"), ("z", "1")]);
            let scanned = || {
                let mut txn = store.begin();
                assert_eq!(txn.scan_prefix(b"m", 10).unwrap().len(), 2);
                write(&mut txn, "decision", "1");
                txn
            };
            let (sound, stale) = (scanned(), scanned());
            for other in 0..others {
                put(store, &[(&format!("n{other:0>5}"), "1")]);
            }
            sound.commit().unwrap();
            drop(stale);
            let stale = scanned();
            for other in 0..others {
                put(store, &[(&format!("l{other:0>5}"), "1")]);
            }
            put(store, &[("m2", "1")]);
            for other in 0..others {
                put(store, &[(&format!("k{other:0>5}"), "1")]);
            }
            assert!(is_conflict(stale.commit()), "beside {others} others");
            crate::support::remove(store, "m2");
        });
    }
}
