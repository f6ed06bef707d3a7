//! Batches of one kind of operation.

use crate::support::{get_in_the_way, keys, kind, on_stores, set, timed};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use supervm_engine::mvcc::{Clock, MvccStore};
use supervm_engine::scheduler::{KEYS_PER_THREAD_MIN, ParallelConfig, ParallelScheduler};
use supervm_plugin_sdk::ErrorKind;

/// Enough keys for four threads.
const MANY: usize = 4 * KEYS_PER_THREAD_MIN;

fn value(text: &str) -> Option<Vec<u8>> {
    Some(text.as_bytes().to_vec())
}

fn many_keys() -> Vec<[u8; 8]> {
    (0..MANY as u64).map(u64::to_be_bytes).collect()
}

#[test]
fn a_batch_of_writes_is_one_version_and_of_a_key_twice_the_last_value_stays() {
    on_stores(&ParallelConfig::default(), |scheduler| {
        let before = scheduler.store().last_version();
        let version = scheduler.batch_write(&[("a", "1"), ("b", "2"), ("a", "3")]).unwrap();
        assert_eq!((version, scheduler.store().last_version()), (before.next(), before.next()));
        let read = scheduler.batch_read(&["b", "a", "absent", "a"]).unwrap();
        assert_eq!(read, [value("2"), value("3"), None, value("3")]);
    });
}

#[test]
fn a_batch_of_writes_with_one_that_is_refused_writes_nothing() {
    on_stores(&ParallelConfig::default(), |scheduler| {
        let refused = scheduler.batch_write(&[("a", "1"), ("", "2"), ("c", "3")]);
        assert_eq!(kind(refused), ErrorKind::InvalidKey);
        assert_eq!(keys(scheduler.store()), [""; 0]);
        assert_eq!((scheduler.get_stats().successful, scheduler.get_stats().failed), (0, 1));
    });
}

#[test]
fn a_batch_of_deletions_removes_what_exists_and_passes_over_what_does_not() {
    on_stores(&ParallelConfig::default(), |scheduler| {
        scheduler.batch_write(&[("a", "1"), ("b", "2"), ("c", "3")]).unwrap();
        let version = scheduler.batch_delete(&["a", "absent", "c"]).unwrap();
        assert_eq!(scheduler.store().last_version(), version);
        assert_eq!(keys(scheduler.store()), ["b"]);
        assert_eq!(kind(scheduler.batch_delete(&["b", ""])), ErrorKind::InvalidKey);
        assert_eq!(keys(scheduler.store()), ["b"]);
    });
}

#[test]
fn an_empty_batch_succeeds_and_changes_nothing() {
    on_stores(&ParallelConfig::default(), |scheduler| {
        get_in_the_way(scheduler.store(), "a");
        let version = scheduler.store().last_version();
        assert_eq!(scheduler.batch_write(&[("", ""); 0]).unwrap(), version);
        assert_eq!(scheduler.batch_delete(&[""; 0]).unwrap(), version);
        assert_eq!(scheduler.batch_read(&[""; 0]).unwrap().len(), 0);
        assert_eq!(scheduler.get_stats().successful, 3);
    });
}

#[test]
fn batches_of_writes_to_the_same_keys_from_several_threads_all_succeed_as_wholes() {
    on_stores(&ParallelConfig::default(), |scheduler| {
        thread::scope(|scope| {
            for thread in 0..4_u8 {
                scope.spawn(move || {
                    for _ in 0..50 {
                        scheduler.batch_write(&[("a", [thread]), ("b", [thread])]).unwrap();
                        let pair = scheduler.batch_read(&["a", "b"]).unwrap();
                        assert_eq!(pair[0], pair[1]);
                    }
                });
            }
        });
        assert_eq!(scheduler.get_stats().failed, 0);
    });
}

#[test]
fn a_batch_that_is_read_on_several_threads_comes_back_in_its_order() {
    for threads in [0, 1, 2, 3, 4, 64] {
        on_stores(&ParallelConfig { threads, ..ParallelConfig::default() }, |scheduler| {
            let keys = many_keys();
            let present: Vec<_> = keys.iter().step_by(2).map(|key| (key, key)).collect();
            scheduler.batch_write(&present).unwrap();
            let read = scheduler.batch_read(&keys).unwrap();
            let expected: Vec<_> =
                keys.iter().map(|key| (key[7] % 2 == 0).then(|| key.to_vec())).collect();
            assert_eq!(read, expected, "{threads} threads");
        });
    }
}

#[test]
fn a_batch_that_is_read_on_several_threads_is_of_one_version() {
    let config = ParallelConfig { threads: 4, ..ParallelConfig::default() };
    on_stores(&config, |scheduler| {
        let (keys, is_over) = (many_keys(), AtomicBool::new(false));
        let write = |round: u8| {
            let entries: Vec<_> = keys.iter().map(|key| (key, [round])).collect();
            scheduler.batch_write(&entries).unwrap();
        };
        write(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=20 {
                    write(round);
                }
                is_over.store(true, Ordering::Relaxed);
            });
            while !is_over.load(Ordering::Relaxed) {
                let read = scheduler.batch_read(&keys).unwrap();
                assert!(read.iter().all(|value| *value == read[0] && value.is_some()));
            }
        });
    });
}

#[test]
fn a_batch_that_is_read_fails_as_a_whole_whichever_thread_finds_the_key_that_is_refused() {
    let config = ParallelConfig { threads: 4, ..ParallelConfig::default() };
    on_stores(&config, |scheduler| {
        for at in [0, MANY / 2, MANY - 1] {
            let mut keys: Vec<_> = many_keys().iter().map(|key| key.to_vec()).collect();
            keys[at].clear();
            assert_eq!(kind(scheduler.batch_read(&keys)), ErrorKind::InvalidKey, "{at}");
        }
        assert_eq!(scheduler.get_stats().failed, 3);
        assert_eq!(scheduler.store().metrics().transactions, 0);
    });
}

#[test]
fn a_batch_of_writes_that_conflicts_is_tried_again() {
    let store = MvccStore::new();
    let scheduler = ParallelScheduler::new_with_config(store, timed(&Clock::manual(), 8));
    /// Gets in the way of the batch that it is a key of, once.
    struct Troublemaker<'a>(&'a MvccStore, AtomicBool);
    impl AsRef<[u8]> for Troublemaker<'_> {
        fn as_ref(&self) -> &[u8] {
            if !self.1.swap(true, Ordering::Relaxed) {
                let mut other = self.0.begin();
                set(&mut other, "a", 1).unwrap();
                other.commit().unwrap();
            }
            b"a"
        }
    }
    let key = Troublemaker(scheduler.store(), AtomicBool::new(false));
    scheduler.batch_write(&[(key, "mine")]).unwrap();
    assert_eq!(scheduler.batch_read(&["a"]).unwrap(), [value("mine")]);
    assert_eq!((scheduler.get_stats().conflicts, scheduler.get_stats().retries), (1, 1));
}
