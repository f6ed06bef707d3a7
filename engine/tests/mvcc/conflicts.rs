//! Which transactions are refused at commit.

use crate::support::{
    delete, is_conflict, keys, latest, on_both, on_stores, put, read, remove, write,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use supervm_engine::layout::Version;
use supervm_engine::mvcc::{Isolation, MvccConfig, MvccStore};

const BOTH: [Isolation; 2] = [Isolation::Serializable, Isolation::Snapshot];

#[test]
fn of_two_that_write_one_key_the_first_to_commit_wins() {
    on_stores(|store| {
        for isolation in BOTH {
            let (mut first, mut second) =
                (store.begin_with(isolation), store.begin_with(isolation));
            write(&mut second, "k", "second");
            write(&mut first, "k", "first");
            first.commit().unwrap();
            assert!(is_conflict(second.commit()));
            assert_eq!(latest(store, "k").as_deref(), Some("first"));
        }
    });
}

#[test]
fn deleting_conflicts_as_writing_does() {
    on_stores(|store| {
        put(store, &[("k", "1")]);
        let (mut deleter, mut writer) = (store.begin(), store.begin());
        delete(&mut deleter, "k");
        write(&mut writer, "k", "2");
        writer.commit().unwrap();
        assert!(is_conflict(deleter.commit()));
        let (mut deleter, mut writer) = (store.begin(), store.begin());
        delete(&mut deleter, "k");
        write(&mut writer, "k", "3");
        deleter.commit().unwrap();
        assert!(is_conflict(writer.commit()));
        assert_eq!(latest(store, "k"), None);
    });
}

#[test]
fn an_update_that_another_one_overtook_is_refused_and_not_lost() {
    on_stores(|store| {
        for isolation in BOTH {
            put(store, &[("counter", "10")]);
            let (mut one, mut two) = (store.begin_with(isolation), store.begin_with(isolation));
            assert_eq!(read(&mut one, "counter"), read(&mut two, "counter"));
            write(&mut one, "counter", "11");
            write(&mut two, "counter", "11");
            one.commit().unwrap();
            assert!(is_conflict(two.commit()), "{isolation:?}");
        }
    });
}

#[test]
fn writes_of_different_keys_do_not_conflict() {
    on_stores(|store| {
        for isolation in BOTH {
            let mut txns: Vec<_> = (0..10).map(|_| store.begin_with(isolation)).collect();
            for (number, txn) in txns.iter_mut().enumerate() {
                write(txn, &format!("k{number}"), "1");
            }
            for txn in txns {
                txn.commit().unwrap();
            }
            assert_eq!(keys(&mut store.begin()).len(), 10);
        }
    });
}

#[test]
fn a_serializable_commit_fails_when_a_key_that_it_read_changed() {
    on_stores(|store| {
        put(store, &[("read", "1"), ("deleted", "1")]);
        let changes: [fn(&MvccStore) -> Version; 2] =
            [|store| put(store, &[("read", "2")]), |store| remove(store, "deleted")];
        for change in changes {
            let mut txn = store.begin();
            read(&mut txn, "read");
            read(&mut txn, "deleted");
            write(&mut txn, "written", "1");
            change(store);
            assert!(is_conflict(txn.commit()));
        }
    });
}

#[test]
fn a_serializable_commit_fails_when_a_key_that_it_found_absent_appeared() {
    on_stores(|store| {
        let mut txn = store.begin();
        assert_eq!(read(&mut txn, "absent"), None);
        write(&mut txn, "other", "1");
        put(store, &[("absent", "1")]);
        assert!(is_conflict(txn.commit()));
        remove(store, "absent");
        let mut txn = store.begin();
        assert_eq!(read(&mut txn, "absent"), None, "deleted");
        write(&mut txn, "other", "1");
        store.gc();
        put(store, &[("absent", "2")]);
        assert!(is_conflict(txn.commit()));
    });
}

#[test]
fn a_write_of_the_value_that_is_there_is_a_write() {
    on_stores(|store| {
        put(store, &[("k", "same")]);
        let mut rewriter = store.begin();
        write(&mut rewriter, "k", "same");
        let mut other = store.begin();
        write(&mut other, "k", "other");
        assert_eq!(rewriter.commit().unwrap(), Version(2));
        assert!(is_conflict(other.commit()), "the key has a newer version, if an equal value");
    });
}

#[test]
fn writing_a_key_without_reading_it_conflicts_too() {
    on_stores(|store| {
        for isolation in BOTH {
            let mut blind = store.begin_with(isolation);
            write(&mut blind, "k", "blind");
            put(store, &[("k", "other")]);
            assert!(is_conflict(blind.commit()));
        }
    });
}

#[test]
fn reads_that_the_own_write_answered_do_not_conflict() {
    on_stores(|store| {
        let mut txn = store.begin();
        write(&mut txn, "k", "1");
        read(&mut txn, "k");
        put(store, &[("other", "1")]);
        txn.commit().unwrap();
    });
}

#[test]
fn a_refused_commit_leaves_nothing_and_takes_no_version() {
    on_stores(|store| {
        put(store, &[("a", "1")]);
        let mut loser = store.begin();
        write(&mut loser, "a", "loser");
        write(&mut loser, "b", "loser");
        assert_eq!(put(store, &[("a", "2")]), Version(2));
        assert!(is_conflict(loser.commit()));
        assert_eq!(store.last_version(), Version(2));
        assert_eq!(latest(store, "b"), None);
        assert_eq!(put(store, &[("b", "3")]), Version(3), "the next version follows");
        assert_eq!(store.begin().read_version(), Version(3), "and is visible");
    });
}

#[test]
fn the_conflict_check_begins_at_the_version_that_was_read() {
    on_stores(|store| {
        put(store, &[("k", "1")]);
        let mut old = store.begin();
        put(store, &[("k", "2")]);
        // What is newest when the commit comes does not count.
        assert_eq!(read(&mut old, "k").as_deref(), Some("1"));
        write(&mut old, "k", "from 1");
        assert!(is_conflict(old.commit()));
        assert_eq!(latest(store, "k").as_deref(), Some("2"));
    });
}

#[test]
fn a_written_cell_stays_findable_while_garbage_is_collected() {
    on_stores(|store| {
        let mut txn = store.begin();
        write(&mut txn, "k", "1");
        store.gc();
        store.evict();
        txn.commit().unwrap();
        assert_eq!(latest(store, "k").as_deref(), Some("1"));
        let mut reader = store.begin();
        assert_eq!(read(&mut reader, "absent"), None);
        store.gc();
        store.evict();
        put(store, &[("absent", "1")]);
        write(&mut reader, "k", "2");
        assert!(
            is_conflict(reader.commit()),
            "the absent key that was read is the one that appeared"
        );
    });
}

#[test]
fn the_configured_isolation_is_what_begin_gives() {
    let config = MvccConfig { isolation: Isolation::Snapshot, ..MvccConfig::default() };
    on_both(&config, |store| {
        put(store, &[("a", "1"), ("b", "1")]);
        let (mut one, mut two) = (store.begin(), store.begin());
        read(&mut one, "a");
        read(&mut two, "b");
        write(&mut one, "b", "2");
        write(&mut two, "a", "2");
        one.commit().unwrap();
        two.commit().unwrap();
    });
}

#[test]
fn concurrent_writers_of_different_keys_all_commit() {
    const THREADS: usize = 4;
    const EACH: usize = 300;
    on_stores(|store| {
        thread::scope(|scope| {
            for thread in 0..THREADS {
                scope.spawn(move || {
                    for n in 0..EACH {
                        put(store, &[(&format!("{thread}/{n}"), &n.to_string())]);
                    }
                });
            }
        });
        assert_eq!(store.last_version(), Version((THREADS * EACH) as u64));
        assert_eq!(keys(&mut store.begin()).len(), THREADS * EACH);
        assert_eq!(store.metrics().conflicts, 0);
    });
}

#[test]
fn concurrent_increments_of_one_key_are_each_counted_once() {
    const THREADS: u64 = 4;
    const EACH: u64 = 200;
    on_stores(|store| {
        put(store, &[("counter", "0")]);
        let refused = AtomicU64::new(0);
        let increment = |isolation| loop {
            let mut txn = store.begin_with(isolation);
            let count: u64 = read(&mut txn, "counter").unwrap().parse().unwrap();
            thread::yield_now();
            write(&mut txn, "counter", &(count + 1).to_string());
            if !is_conflict(txn.commit()) {
                return;
            }
            refused.fetch_add(1, Ordering::Relaxed);
        };
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let isolation = BOTH[thread as usize % 2];
                scope.spawn(move || (0..EACH).for_each(|_| increment(isolation)));
            }
        });
        assert_eq!(latest(store, "counter"), Some((THREADS * EACH).to_string()));
        assert_eq!(store.last_version(), Version(THREADS * EACH + 1));
        assert_eq!(store.metrics().conflicts, refused.into_inner());
    });
}
