//! Garbage collection.

use crate::support::{
    delete, eventually, is_conflict, keys, latest, on_stores, overwrite, put, read, remove, write,
};
use std::thread;
use supervm_engine::layout::Version;

#[test]
fn old_versions_go_and_the_newest_stays() {
    on_stores(|store| {
        overwrite(store, "k", 10);
        assert_eq!((store.total_versions(), store.metrics().old_versions), (10, 9));
        let report = store.gc();
        assert_eq!((report.versions_removed, report.keys_removed), (9, 0));
        assert_eq!(report.watermark, Version(10));
        assert_eq!((store.total_versions(), store.metrics().old_versions), (1, 0));
        assert_eq!(latest(store, "k").as_deref(), Some("9"));
        assert_eq!(store.gc().versions_removed, 0, "nothing is left to remove");
    });
}

#[test]
fn what_an_active_transaction_sees_stays_until_it_ends() {
    on_stores(|store| {
        overwrite(store, "k", 3);
        let mut reader = store.begin_read_only();
        overwrite(store, "k", 3);
        let report = store.gc();
        assert_eq!((report.watermark, report.versions_removed), (Version(3), 2));
        assert_eq!(store.total_versions(), 4);
        assert_eq!(read(&mut reader, "k").as_deref(), Some("2"));
        drop(reader);
        assert_eq!(store.gc().versions_removed, 3);
        assert_eq!(store.total_versions(), 1);
    });
}

#[test]
fn a_writing_transaction_keeps_what_it_sees_as_a_reading_one_does() {
    on_stores(|store| {
        put(store, &[("k", "1")]);
        let mut txn = store.begin();
        put(store, &[("k", "2")]);
        store.gc();
        assert_eq!(read(&mut txn, "k").as_deref(), Some("1"));
        write(&mut txn, "other", "1");
        assert!(is_conflict(txn.commit()), "and is refused by the commit that it did not see");
    });
}

#[test]
fn of_two_readers_of_one_version_the_second_keeps_it_when_the_first_ends() {
    on_stores(|store| {
        put(store, &[("k", "1")]);
        let (first, mut second) = (store.begin_read_only(), store.begin_read_only());
        drop(first);
        put(store, &[("k", "2")]);
        store.gc();
        assert_eq!(store.metrics().oldest_reader, Version(1));
        assert_eq!(read(&mut second, "k").as_deref(), Some("1"));
    });
}

#[test]
fn a_failed_commit_and_an_abort_unpin_their_version() {
    on_stores(|store| {
        put(store, &[("k", "1")]);
        let (aborted, mut refused) = (store.begin(), store.begin());
        write(&mut refused, "k", "3");
        put(store, &[("k", "2")]);
        aborted.abort();
        assert!(is_conflict(refused.commit()));
        assert_eq!(store.gc().versions_removed, 1);
        assert_eq!(store.metrics().transactions, 0);
    });
}

#[test]
fn the_oldest_of_several_readers_counts() {
    on_stores(|store| {
        let mut readers: Vec<_> = (0..4)
            .map(|_| {
                overwrite(store, "k", 2);
                store.begin_read_only()
            })
            .collect();
        assert_eq!(store.gc().watermark, Version(2));
        assert_eq!(store.total_versions(), 7);
        let expected = |version: u64| Some(((version - 1) % 2).to_string());
        assert!(readers.iter_mut().all(|txn| read(txn, "k") == expected(txn.read_version().0)));
        drop(readers.remove(0));
        assert_eq!(store.gc().watermark, Version(4));
        assert_eq!(store.total_versions(), 5);
    });
}

#[test]
fn a_deleted_key_leaves_when_nobody_sees_its_value() {
    on_stores(|store| {
        put(store, &[("k", "1"), ("other", "1")]);
        let mut reader = store.begin_read_only();
        remove(store, "k");
        let report = store.gc();
        assert_eq!((report.versions_removed, report.keys_removed), (0, 0));
        assert_eq!(read(&mut reader, "k").as_deref(), Some("1"));
        assert_eq!(keys(&mut reader), ["k", "other"]);
        assert_eq!(latest(store, "k"), None, "the deletion hides the value");
        drop(reader);
        let report = store.gc();
        assert_eq!((report.versions_removed, report.keys_removed), (2, 1));
        assert_eq!((store.total_keys(), store.metrics().cells), (1, 1));
        assert_eq!(latest(store, "k"), None);
    });
}

#[test]
fn a_deleted_key_that_a_transaction_holds_stays_until_it_ends() {
    on_stores(|store| {
        put(store, &[("k", "1")]);
        remove(store, "k");
        let mut holder = store.begin();
        assert_eq!(read(&mut holder, "k"), None);
        write(&mut holder, "k", "2");
        assert_eq!(store.gc().keys_removed, 0);
        holder.commit().unwrap();
        assert_eq!(latest(store, "k").as_deref(), Some("2"));
    });
}

#[test]
fn a_key_that_was_deleted_and_collected_can_be_written_again() {
    on_stores(|store| {
        for round in 0..3 {
            put(store, &[("k", &round.to_string())]);
            assert_eq!(latest(store, "k"), Some(round.to_string()));
            remove(store, "k");
            store.gc();
            assert_eq!(latest(store, "k"), None);
        }
    });
}

#[test]
fn placeholders_of_absent_keys_leave() {
    on_stores(|store| {
        for number in 0..100 {
            assert_eq!(read(&mut store.begin(), &number.to_string()), None);
        }
        assert_eq!((store.metrics().cells, store.total_keys()), (100, 0));
        let report = store.gc();
        assert_eq!((report.versions_removed, report.keys_removed), (0, 0), "they are no versions");
        assert_eq!(store.metrics().cells, 0);
    });
}

#[test]
fn collecting_an_empty_store_does_nothing() {
    on_stores(|store| {
        let report = store.gc();
        assert_eq!((report.watermark, report.versions_removed), (Version::ZERO, 0));
        assert_eq!((store.total_versions(), store.total_keys()), (0, 0));
    });
}

#[test]
fn many_keys_are_collected_in_one_pass() {
    const KEYS: u64 = 5_000;
    on_stores(|store| {
        for round in 0..3 {
            let mut txn = store.begin();
            (0..KEYS).for_each(|key| write(&mut txn, &key.to_string(), &round.to_string()));
            txn.commit().unwrap();
        }
        let mut txn = store.begin();
        (0..KEYS / 2).for_each(|key| delete(&mut txn, &key.to_string()));
        txn.commit().unwrap();
        assert_eq!(store.total_keys(), KEYS);
        let report = store.gc();
        assert_eq!(report.keys_removed, KEYS / 2);
        assert_eq!(report.versions_removed, 2 * KEYS + 2 * (KEYS / 2));
        assert_eq!((store.total_versions(), store.total_keys()), (KEYS / 2, KEYS / 2));
        assert_eq!(keys(&mut store.begin()).len() as u64, KEYS / 2);
    });
}

#[test]
fn statistics_add_up_over_passes() {
    on_stores(|store| {
        let before = store.get_gc_stats();
        assert_eq!((before.runs, before.versions_removed, before.last), (0, 0, None));
        overwrite(store, "k", 4);
        let first = store.gc();
        overwrite(store, "k", 2);
        remove(store, "k");
        let second = store.gc();
        let stats = store.get_gc_stats();
        assert_eq!(stats.runs, 2);
        assert_eq!(stats.versions_removed, 3 + 4);
        assert_eq!(stats.keys_removed, 1);
        assert_eq!(stats.duration, first.duration + second.duration);
        assert_eq!(stats.last, Some(second));
    });
}

#[test]
fn collecting_while_others_commit_and_read_loses_nothing() {
    on_stores(|store| {
        const KEYS: usize = 8;
        thread::scope(|scope| {
            let writers: Vec<_> = (0..2)
                .map(|writer| {
                    scope.spawn(move || {
                        for n in 0..1_000 {
                            let key = format!("{writer}/{}", n % KEYS);
                            match n % 5 {
                                0 => drop(remove(store, &key)),
                                _ => drop(put(store, &[(&key, &n.to_string())])),
                            }
                        }
                    })
                })
                .collect();
            while writers.iter().any(|writer| !writer.is_finished()) {
                store.gc();
                let mut txn = store.begin_read_only();
                assert_eq!(keys(&mut txn), keys(&mut txn));
            }
        });
        store.gc();
        // The last eight of each writer: 992 to 999, of which 995 was a deletion.
        assert_eq!(store.total_versions(), 2 * 7);
        assert_eq!(latest(store, "0/7").as_deref(), Some("999"));
        assert_eq!(latest(store, "1/3"), None);
        eventually("no old version is counted", || store.metrics().old_versions == 0);
    });
}
