//! Garbage collection in a thread of its own.

use crate::support::{eventually, latest, on_both, on_stores, over_memory, overwrite, put, read};
use std::thread;
use std::time::{Duration, Instant};
use supervm_engine::mvcc::{AutoGcConfig, MvccConfig, MvccStore};

/// Never within a test.
const NEVER: Duration = Duration::from_secs(3_600);
const OFTEN: Duration = Duration::from_millis(5);
/// What dropping a store may take.
const STOP_MAX: Duration = Duration::from_secs(2);

fn every(interval: Duration) -> AutoGcConfig {
    AutoGcConfig { interval, version_threshold: None, run_on_start: false }
}

fn runs(store: &MvccStore) -> u64 {
    store.get_gc_stats().runs
}

#[test]
fn it_collects_periodically() {
    on_stores(|store| {
        store.start_auto_gc(every(OFTEN));
        for _ in 0..3 {
            overwrite(store, "k", 10);
            eventually("old versions go", || store.total_versions() == 1);
        }
        assert!(runs(store) >= 3);
    });
}

#[test]
fn it_collects_when_there_are_more_old_versions_than_the_threshold() {
    on_stores(|store| {
        store.start_auto_gc(AutoGcConfig { version_threshold: Some(20), ..every(NEVER) });
        overwrite(store, "k", 20);
        thread::sleep(Duration::from_millis(30));
        assert_eq!(runs(store), 0, "19 old versions are not more than 20");
        overwrite(store, "k", 5);
        eventually("a pass long before the time", || runs(store) >= 1);
        eventually("it removed them", || store.get_gc_stats().versions_removed >= 20);
    });
}

#[test]
fn a_threshold_that_a_reader_holds_up_does_not_make_it_collect_without_end() {
    on_stores(|store| {
        store.start_auto_gc(AutoGcConfig { version_threshold: Some(100), ..every(NEVER) });
        put(store, &[("k", "seen")]);
        let mut reader = store.begin_read_only();
        overwrite(store, "k", 2_000);
        let passes = runs(store);
        assert!(passes <= 25, "{passes} passes for 20 times the threshold");
        assert_eq!(read(&mut reader, "k").as_deref(), Some("seen"));
        drop(reader);
        overwrite(store, "k", 200);
        eventually("what the reader held up goes", || store.metrics().old_versions <= 200);
    });
}

#[test]
fn it_begins_with_a_pass_when_told_to() {
    on_stores(|store| {
        overwrite(store, "k", 10);
        store.start_auto_gc(AutoGcConfig { run_on_start: true, ..every(NEVER) });
        eventually("a pass on start", || store.total_versions() == 1);
        assert_eq!(runs(store), 1);
    });
}

#[test]
fn it_does_not_begin_with_a_pass_unless_told_to() {
    on_stores(|store| {
        store.start_auto_gc(every(NEVER));
        thread::sleep(Duration::from_millis(30));
        assert_eq!(runs(store), 0);
    });
}

#[test]
fn it_starts_with_the_store_when_the_configuration_says_so() {
    let config = MvccConfig { auto_gc: Some(every(OFTEN)), ..MvccConfig::default() };
    on_both(&config, |store| {
        assert!(store.is_auto_gc_running());
        eventually("a pass", || runs(store) >= 1);
    });
}

#[test]
fn it_can_be_stopped_and_started_again() {
    on_stores(|store| {
        assert!(!store.is_auto_gc_running());
        store.stop_auto_gc();
        for _ in 0..3 {
            store.start_auto_gc(every(OFTEN));
            assert!(store.is_auto_gc_running());
            let before = runs(store);
            eventually("passes", || runs(store) > before);
            store.stop_auto_gc();
            assert!(!store.is_auto_gc_running());
            let stopped = runs(store);
            overwrite(store, "k", 10);
            thread::sleep(4 * OFTEN);
            assert_eq!(runs(store), stopped, "no pass after stop has returned");
        }
    });
}

#[test]
fn starting_it_twice_is_reconfiguring_it() {
    on_stores(|store| {
        store.start_auto_gc(every(NEVER));
        store.start_auto_gc(every(OFTEN));
        eventually("passes of the second configuration", || runs(store) >= 2);
        store.stop_auto_gc();
        assert!(!store.is_auto_gc_running(), "there was one thread");
    });
}

#[test]
fn a_new_interval_takes_effect_at_once() {
    on_stores(|store| {
        store.start_auto_gc(every(NEVER));
        overwrite(store, "k", 10);
        thread::sleep(Duration::from_millis(20));
        assert_eq!(runs(store), 0);
        store.update_auto_gc_config(every(OFTEN));
        eventually("passes", || runs(store) >= 2);
        store.update_auto_gc_config(every(NEVER));
        thread::sleep(2 * OFTEN);
        let after = runs(store);
        thread::sleep(10 * OFTEN);
        assert_eq!(runs(store), after, "the pass that ran is the last");
    });
}

#[test]
fn a_new_threshold_takes_effect_at_once() {
    on_stores(|store| {
        store.start_auto_gc(every(NEVER));
        overwrite(store, "k", 100);
        store.update_auto_gc_config(AutoGcConfig { version_threshold: Some(10), ..every(NEVER) });
        overwrite(store, "k", 1);
        eventually("a pass", || runs(store) >= 1);
    });
}

#[test]
fn configuring_it_without_a_thread_has_no_effect() {
    on_stores(|store| {
        store.update_auto_gc_config(AutoGcConfig { run_on_start: true, ..every(OFTEN) });
        thread::sleep(2 * OFTEN);
        assert!(!store.is_auto_gc_running());
        assert_eq!(runs(store), 0);
    });
}

#[test]
fn an_interval_without_end_leaves_the_threshold() {
    on_stores(|store| {
        let config = AutoGcConfig { version_threshold: Some(10), ..every(Duration::MAX) };
        store.start_auto_gc(config);
        thread::sleep(Duration::from_millis(20));
        overwrite(store, "k", 20);
        eventually("a pass", || runs(store) >= 1);
    });
}

#[test]
fn it_keeps_what_an_active_transaction_sees() {
    on_stores(|store| {
        put(store, &[("k", "seen")]);
        let mut reader = store.begin_read_only();
        store.start_auto_gc(every(Duration::from_millis(1)));
        overwrite(store, "k", 500);
        let before = runs(store);
        eventually("passes", || runs(store) > before + 2);
        assert_eq!(read(&mut reader, "k").as_deref(), Some("seen"));
    });
}

#[test]
fn it_is_safe_beside_writers_readers_and_reconfiguration() {
    on_stores(|store| {
        store.start_auto_gc(every(Duration::from_millis(1)));
        put(store, &[("k", "0")]);
        thread::scope(|scope| {
            scope.spawn(|| overwrite(store, "k", 1_500));
            scope.spawn(|| {
                for _ in 0..500 {
                    let mut txn = store.begin_read_only();
                    let first = read(&mut txn, "k");
                    assert!(first.is_some());
                    thread::yield_now();
                    assert_eq!(read(&mut txn, "k"), first);
                }
            });
            scope.spawn(|| {
                for round in 0..60 {
                    match round % 4 {
                        0 => store.stop_auto_gc(),
                        1 => store.start_auto_gc(every(Duration::from_millis(1))),
                        2 => store.update_auto_gc_config(every(Duration::ZERO)),
                        _ => drop(store.gc()),
                    }
                    thread::sleep(Duration::from_millis(1));
                }
            });
        });
        assert_eq!(latest(store, "k").as_deref(), Some("1499"));
    });
}

#[test]
fn dropping_the_last_handle_stops_the_thread_within_two_seconds() {
    for config in [every(NEVER), every(Duration::ZERO)] {
        let (store, _dir) = over_memory(MvccConfig::default());
        for number in 0..20_000 {
            let mut txn = store.begin();
            txn.write(format!("{number}").as_bytes(), b"1").unwrap();
            txn.commit().unwrap();
        }
        store.start_auto_gc(config);
        let other = store.clone();
        drop(store);
        assert!(other.is_auto_gc_running(), "another handle keeps it");
        let started = Instant::now();
        drop(other);
        assert!(started.elapsed() < STOP_MAX, "{:?}", started.elapsed());
    }
}

#[test]
fn a_transaction_does_not_keep_the_thread() {
    let store = MvccStore::new();
    store.start_auto_gc(every(OFTEN));
    put(&store, &[("k", "1")]);
    let mut txn = store.begin();
    let started = Instant::now();
    drop(store);
    assert!(started.elapsed() < STOP_MAX);
    assert_eq!(read(&mut txn, "k").as_deref(), Some("1"));
}
