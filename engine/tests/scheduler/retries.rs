//! Transactions that are tried again.

use crate::support::{
    MILLISECOND, add, get_in_the_way, keys, kind, latest, number, on_stores, refused, set, timed,
};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;
use supervm_engine::mvcc::{Clock, Isolation, MvccConfig, MvccStore};
use supervm_engine::scheduler::{ExecutionStats, ParallelConfig, ParallelScheduler, RetryPolicy};
use supervm_plugin_sdk::ErrorKind;

#[test]
fn an_execution_commits_what_it_wrote_and_returns_what_it_found() {
    on_stores(&ParallelConfig::default(), |scheduler| {
        let found = scheduler.execute_with_retry(|txn| {
            add(txn, "a", 1)?;
            number(txn, "a")
        });
        assert_eq!(found.unwrap(), 1);
        assert_eq!(latest(scheduler.store(), "a"), 1);
        let expected = ExecutionStats { successful: 1, ..ExecutionStats::default() };
        assert_eq!(scheduler.get_stats(), expected);
    });
}

#[test]
fn an_error_aborts_at_once_and_is_not_tried_again() {
    let clock = Clock::manual();
    on_stores(&timed(&clock, 8), |scheduler| {
        let mut tries = 0;
        let failed = scheduler.execute_with_retry::<()>(|txn| {
            tries += 1;
            set(txn, "a", 1)?;
            Err(refused())
        });
        assert_eq!((kind(failed), tries), (ErrorKind::NotFound, 1));
        assert_eq!(keys(scheduler.store()), [""; 0]);
        let expected = ExecutionStats { failed: 1, ..ExecutionStats::default() };
        assert_eq!(scheduler.get_stats(), expected);
        assert_eq!(scheduler.store().metrics().transactions, 0);
    });
    assert_eq!(clock.now(), Duration::ZERO, "nobody rested");
}

#[test]
fn a_panic_aborts_is_not_tried_again_and_leaves_the_scheduler_usable() {
    on_stores(&ParallelConfig::default(), |scheduler| {
        let mut tries = 0;
        let panicked = scheduler.execute_with_retry::<()>(|txn| {
            tries += 1;
            set(txn, "a", 1)?;
            panic!("of {}", "its own");
        });
        let error = panicked.unwrap_err();
        assert_eq!(error.to_string(), "execute with retry: panicked: of its own");
        assert_eq!((error.kind(), tries), (ErrorKind::Internal, 1));
        assert_eq!(keys(scheduler.store()), [""; 0]);
        assert_eq!(scheduler.store().metrics().transactions, 0);
        scheduler.execute_with_retry(|txn| set(txn, "a", 2)).unwrap();
        let expected =
            ExecutionStats { successful: 1, failed: 1, panicked: 1, ..ExecutionStats::default() };
        assert_eq!(scheduler.get_stats(), expected);
    });
}

#[test]
fn a_panic_whose_payload_panics_when_it_is_dropped_is_contained_too() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("once more");
        }
    }
    let scheduler = ParallelScheduler::new(MvccStore::new());
    let panicked = scheduler.execute_with_retry::<()>(|_| std::panic::panic_any(Bomb));
    assert_eq!(panicked.unwrap_err().message(), "panicked: (no message)");
}

#[test]
fn a_conflict_is_tried_again_on_what_the_other_left() {
    on_stores(&timed(&Clock::manual(), 8), |scheduler| {
        let mut tries = 0;
        let seen = scheduler.execute_with_retry(|txn| {
            tries += 1;
            let seen = number(txn, "a")?;
            if tries <= 2 {
                get_in_the_way(scheduler.store(), "a");
            }
            set(txn, "a", seen + 1)?;
            set(txn, &format!("try {tries}"), 1)?;
            Ok(seen)
        });
        assert_eq!((seen.unwrap(), tries), (200, 3));
        assert_eq!(latest(scheduler.store(), "a"), 201);
        assert_eq!(keys(scheduler.store()), ["a", "try 3"], "nothing of the other tries");
        let expected =
            ExecutionStats { successful: 1, conflicts: 2, retries: 2, ..ExecutionStats::default() };
        assert_eq!(scheduler.get_stats(), expected);
    });
}

#[test]
fn an_execution_is_serializable_whatever_the_store_does_by_default() {
    let config = MvccConfig { isolation: Isolation::Snapshot, ..MvccConfig::default() };
    let store = MvccStore::in_memory(config);
    let scheduler = ParallelScheduler::new_with_config(store, timed(&Clock::manual(), 8));
    let mut tries = 0;
    let seen = scheduler.execute_with_retry(|txn| {
        tries += 1;
        let seen = number(txn, "read")?;
        if tries == 1 {
            get_in_the_way(scheduler.store(), "read");
        }
        set(txn, "written", seen)?;
        Ok(seen)
    });
    assert_eq!((seen.unwrap(), tries), (100, 2), "write skew is a conflict");
}

#[test]
fn an_execution_that_always_conflicts_ends_after_the_tries_that_are_allowed() {
    for (allowed, expected) in [(0, 1), (1, 1), (5, 5)] {
        on_stores(&timed(&Clock::manual(), allowed), |scheduler| {
            let mut tries = 0;
            let outcome = scheduler.execute_with_retry(|txn| {
                tries += 1;
                get_in_the_way(scheduler.store(), "a");
                set(txn, "a", 0)
            });
            assert_eq!((kind(outcome), tries), (ErrorKind::Conflict, expected));
            let stats = scheduler.get_stats();
            assert_eq!((stats.successful, stats.failed), (0, 1));
            assert_eq!((stats.conflicts, stats.retries), (expected, expected - 1));
        });
    }
}

#[test]
fn the_bound_of_a_rest_doubles_up_to_a_maximum() {
    let policy =
        RetryPolicy { tries_max: 8, delay_first: MILLISECOND, delay_max: 10 * MILLISECOND };
    let bounds = [1, 2, 3, 4, 5, 6].map(|retry| policy.delay_bound(retry).as_millis());
    assert_eq!(bounds, [1, 2, 4, 8, 10, 10]);
    for retry in [31, 32, 33, 64, u32::MAX] {
        assert_eq!(policy.delay_bound(retry), policy.delay_max, "{retry}");
    }
    let no_rest = RetryPolicy { delay_first: Duration::ZERO, ..policy };
    assert_eq!(no_rest.delay_bound(1), Duration::ZERO);
    let all_is_above = RetryPolicy { delay_first: Duration::MAX, ..policy };
    assert_eq!(all_is_above.delay_bound(2), policy.delay_max);
}

/// The rests before the retries of an execution that always conflicts.
fn rests(seed: u64) -> Vec<Duration> {
    let clock = Clock::manual();
    let config = ParallelConfig { seed: Some(seed), ..timed(&clock, 7) };
    let scheduler = ParallelScheduler::new_with_config(MvccStore::new(), config);
    let mut moments = Vec::new();
    let outcome = scheduler.execute_with_retry(|txn| {
        moments.push(clock.now());
        get_in_the_way(scheduler.store(), "a");
        set(txn, "a", 0)
    });
    assert_eq!(kind(outcome), ErrorKind::Conflict);
    assert_eq!(clock.now(), *moments.last().unwrap(), "no rest after the last try");
    moments.windows(2).map(|two| two[1] - two[0]).collect()
}

#[test]
fn a_rest_is_anywhere_below_its_bound() {
    let bounds = [1, 2, 4, 8, 8, 8].map(|milliseconds| milliseconds * MILLISECOND);
    let (mut shortest, mut longest) = ([1.0_f64; 6], [0.0_f64; 6]);
    for seed in 0..100 {
        let rests = rests(seed);
        assert_eq!(rests.len(), bounds.len());
        for (at, (rest, bound)) in rests.iter().zip(bounds).enumerate() {
            let part = rest.as_secs_f64() / bound.as_secs_f64();
            assert!((0.0..=1.0).contains(&part), "{rest:?} of {bound:?}");
            shortest[at] = shortest[at].min(part);
            longest[at] = longest[at].max(part);
        }
    }
    // Of a hundred even draws none below a tenth, or none above nine, is a chance of 1 to 37,000; the seeds are fixed.
    assert!(shortest.iter().all(|part| *part < 0.1), "{shortest:?}");
    assert!(longest.iter().all(|part| *part > 0.9), "{longest:?}");
}

#[test]
fn a_seed_gives_the_same_rests_again_and_none_gives_others() {
    assert_eq!(rests(7), rests(7));
    assert_ne!(rests(7), rests(8));
}

#[test]
fn of_many_increments_on_many_threads_each_is_counted_once() {
    const THREADS: u64 = 8;
    const INCREMENTS: u64 = 200;
    on_stores(&ParallelConfig::default(), |scheduler| {
        let start = Barrier::new(THREADS as usize);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..INCREMENTS {
                        let increment = scheduler.execute_with_retry(|txn| {
                            let value = number(txn, "a")?;
                            // So that others come in between, on one core too.
                            thread::yield_now();
                            set(txn, "a", value + 1)
                        });
                        increment.unwrap();
                    }
                });
            }
        });
        assert_eq!(latest(scheduler.store(), "a"), THREADS * INCREMENTS);
        let stats = scheduler.get_stats();
        assert_eq!((stats.successful, stats.failed), (THREADS * INCREMENTS, 0));
        assert_eq!(stats.conflicts, stats.retries);
        assert_eq!(stats.conflicts, scheduler.store().metrics().conflicts);
    });
}

#[test]
fn executions_that_touch_different_keys_do_not_conflict() {
    on_stores(&ParallelConfig::default(), |scheduler| {
        thread::scope(|scope| {
            for key in ["a", "b", "c", "d"] {
                scope.spawn(move || {
                    for _ in 0..100 {
                        scheduler.execute_with_retry(|txn| add(txn, key, 1)).unwrap();
                    }
                });
            }
        });
        assert_eq!(["a", "b", "c", "d"].map(|key| latest(scheduler.store(), key)), [100; 4]);
        assert_eq!(scheduler.get_stats().conflicts, 0);
    });
}

#[test]
fn errors_and_panics_beside_conflicts_leave_nothing_of_their_own() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 90;
    on_stores(&ParallelConfig::default(), |scheduler| {
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for round in 0..ROUNDS {
                        let outcome = scheduler.execute_with_retry(|txn| {
                            add(txn, "a", 1)?;
                            thread::yield_now();
                            match round % 3 {
                                0 => Ok(()),
                                1 => Err(refused()),
                                _ => panic!("round {round}"),
                            }
                        });
                        assert_eq!(outcome.is_ok(), round % 3 == 0);
                    }
                });
            }
        });
        assert_eq!(latest(scheduler.store(), "a"), THREADS * ROUNDS / 3);
        let stats = scheduler.get_stats();
        assert_eq!(stats.successful, THREADS * ROUNDS / 3);
        assert_eq!(
            (stats.failed, stats.panicked),
            (THREADS * ROUNDS / 3 * 2, THREADS * ROUNDS / 3)
        );
        assert_eq!(scheduler.store().metrics().transactions, 0);
    });
}
