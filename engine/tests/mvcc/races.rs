//! Moments that seldom meet, tried until they do.

use crate::support::{Over, Random, eventually, is_conflict, on_stores, read, seed, write};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use supervm_engine::mvcc::MvccStore;

/// How long each race is tried on each store.
const TRIED: Duration = Duration::from_millis(300);

/// Runs `one` in a thread and `other` in two until the time is over.
fn race(one: impl Fn() + Sync, other: impl Fn(&mut Random) + Sync) {
    let (seed, is_over) = (seed(), AtomicBool::new(false));
    thread::scope(|scope| {
        for thread in 0..2 {
            let (other, is_over) = (&other, &is_over);
            scope.spawn(move || {
                let mut random = Random(seed + thread);
                while !is_over.load(Ordering::Relaxed) {
                    other(&mut random);
                }
            });
        }
        let _over = Over(&is_over);
        let deadline = Instant::now() + TRIED;
        while Instant::now() < deadline {
            one();
        }
    });
}

fn set(store: &MvccStore, keys: &[&str], value: u64) {
    let mut txn = store.begin();
    keys.iter().for_each(|key| write(&mut txn, key, &value.to_string()));
    txn.commit().unwrap();
}

#[test]
fn a_transaction_that_begins_while_garbage_is_collected_sees_every_key() {
    on_stores(|store| {
        set(store, &["k"], 0);
        let rewrite_and_collect = || {
            (0..3).for_each(|n| set(store, &["k"], n));
            store.gc();
        };
        race(rewrite_and_collect, |random| {
            let mut txn = store.begin_read_only();
            random.maybe_yield();
            let first = read(&mut txn, "k");
            assert!(first.is_some(), "the version at {} is gone", txn.read_version());
            random.maybe_yield();
            assert_eq!(read(&mut txn, "k"), first);
        });
    });
}

#[test]
fn no_transaction_sees_a_part_of_a_commit() {
    on_stores(|store| {
        let keys = ["a", "b", "c", "d"];
        let count = AtomicU64::new(0);
        set(store, &keys, 0);
        race(
            || set(store, &keys, count.fetch_add(1, Ordering::Relaxed)),
            |random| {
                let mut txn = store.begin_read_only();
                let first = read(&mut txn, keys[random.below(4) as usize]);
                random.maybe_yield();
                for key in keys {
                    assert_eq!(read(&mut txn, key), first, "at version {}", txn.read_version());
                }
            },
        );
    });
}

#[test]
fn a_write_to_a_key_that_is_just_collected_is_not_lost() {
    on_stores(|store| {
        race(
            || {
                store.gc();
                store.evict();
            },
            |random| {
                // Each thread has keys of its own, which come and go.
                let key = format!("{:?}/{}", thread::current().id(), random.below(4));
                let mut txn = store.begin();
                let before = read(&mut txn, &key);
                random.maybe_yield();
                match before {
                    None => write(&mut txn, &key, "1"),
                    Some(_) => crate::support::delete(&mut txn, &key),
                }
                random.maybe_yield();
                assert!(!is_conflict(txn.commit()));
                let after = read(&mut store.begin_read_only(), &key);
                assert_eq!(after.is_some(), before.is_none(), "{key}");
            },
        );
    });
}

#[test]
fn of_two_that_make_one_key_at_once_one_makes_it() {
    on_stores(|store| {
        for round in 0..300 {
            let (key, begun) = (round.to_string(), Barrier::new(2));
            let make = || {
                let mut txn = store.begin();
                begun.wait();
                write(&mut txn, &key, "1");
                u32::from(!is_conflict(txn.commit()))
            };
            let made = thread::scope(|scope| {
                let other = scope.spawn(make);
                make() + other.join().unwrap()
            });
            assert_eq!(made, 1);
            assert!(read(&mut store.begin(), &key).is_some());
            store.gc();
        }
    });
}

#[test]
fn the_number_of_running_transactions_returns_to_none() {
    on_stores(|store| {
        race(
            || drop(store.begin()),
            |_| {
                let (one, two) = (store.begin(), store.begin_read_only());
                drop(one);
                drop(two);
            },
        );
        eventually("all have ended", || store.metrics().transactions == 0);
    });
}
