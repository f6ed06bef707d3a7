//! Tasks on several threads: all of them run, once each, whatever some of them do.

use crate::support::{add, kind, latest, refused};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use supervm_engine::mvcc::MvccStore;
use supervm_engine::scheduler::{
    ExecutionStats, ParallelScheduler, TASKS_MAX, Task, WORKER_THREADS_MAX, WorkStealingScheduler,
};
use supervm_plugin_sdk::{ErrorKind, Result};

const THREADS: [usize; 5] = [1, 2, 3, 4, 8];

#[test]
fn every_task_runs_once_on_any_number_of_threads() {
    for threads in THREADS {
        let runs: Vec<_> = (0..5_000).map(|_| AtomicU64::new(0)).collect();
        let mut scheduler = WorkStealingScheduler::new(threads);
        for (number, run) in runs.iter().enumerate() {
            let count = |_: &_| {
                run.fetch_add(1, Ordering::Relaxed);
                Ok(())
            };
            scheduler.submit(Task::new((number % 256) as u8, count)).unwrap();
        }
        assert_eq!(scheduler.unfinished(), runs.len());
        let stats = scheduler.execute_all();
        assert_eq!((stats.successful, stats.failed), (5_000, 0));
        assert_eq!(scheduler.unfinished(), 0);
        assert!(runs.iter().all(|run| run.load(Ordering::Relaxed) == 1), "{threads} threads");
    }
}

/// Counts itself and submits two of itself, `depth` times; each with another priority.
fn tree<'env>(
    scheduler: &WorkStealingScheduler<'env>,
    depth: u8,
    runs: &'env AtomicU64,
) -> Result<()> {
    runs.fetch_add(1, Ordering::Relaxed);
    if depth == 0 {
        return Ok(());
    }
    for priority in [depth, 255 - depth] {
        scheduler.submit(Task::new(priority, move |scheduler| tree(scheduler, depth - 1, runs)))?;
    }
    Ok(())
}

#[test]
fn tasks_that_tasks_submit_run_too() {
    for threads in THREADS {
        for _ in 0..20 {
            let runs = AtomicU64::new(0);
            let mut scheduler = WorkStealingScheduler::new(threads);
            scheduler.submit(Task::new(0, |scheduler| tree(scheduler, 9, &runs))).unwrap();
            let stats = scheduler.execute_all();
            assert_eq!(stats.successful, (1 << 10) - 1);
            drop(scheduler);
            assert_eq!(runs.into_inner(), (1 << 10) - 1, "{threads} threads");
        }
    }
}

#[test]
fn tasks_run_at_the_same_time_on_as_many_threads_as_there_are() {
    for threads in [2, 4, 8] {
        // Each waits for all others.
        let all = Barrier::new(threads);
        let mut scheduler = WorkStealingScheduler::new(threads);
        for _ in 0..2 * threads {
            let meet = |_: &_| {
                all.wait();
                Ok(())
            };
            scheduler.submit(Task::new(1, meet)).unwrap();
        }
        assert_eq!(scheduler.execute_all().successful, 2 * threads as u64);
    }
}

#[test]
fn a_thread_that_sleeps_is_woken_for_a_task_that_a_task_submits() {
    for _ in 0..200 {
        let meet = Barrier::new(2);
        let meet = &meet;
        let mut scheduler = WorkStealingScheduler::new(2);
        let parent = Task::new(0, move |scheduler| {
            let child = move |_: &_| {
                meet.wait();
                Ok(())
            };
            scheduler.submit(Task::new(0, child))?;
            // The other thread has to run the child meanwhile.
            meet.wait();
            Ok(())
        });
        scheduler.submit(parent).unwrap();
        assert_eq!(scheduler.execute_all().successful, 2);
    }
}

#[test]
fn errors_conflicts_and_panics_are_counted_and_stop_no_other_task() {
    for threads in THREADS {
        let mut scheduler = WorkStealingScheduler::new(threads);
        for number in 0..1_000 {
            let run = move |_: &_| match number % 4 {
                0 => Ok(()),
                1 => Err(refused()),
                2 => Err(supervm_plugin_sdk::Error::new(ErrorKind::Conflict, "test", "")),
                _ => panic!("task {number}"),
            };
            scheduler.submit(Task::new(9, run)).unwrap();
        }
        let stats = scheduler.execute_all();
        let expected = ExecutionStats {
            successful: 250,
            failed: 750,
            panicked: 250,
            conflicts: 250,
            retries: 0,
            stolen: stats.stolen,
        };
        assert_eq!(stats, expected, "{threads} threads");
        assert_eq!(stats.success_rate(), 0.25);
    }
}

#[test]
fn a_scheduler_goes_on_after_an_execution_and_adds_up_what_it_counts() {
    let mut scheduler = WorkStealingScheduler::new(2);
    assert_eq!(scheduler.execute_all(), ExecutionStats::default());
    scheduler.submit(Task::new(1, |_| Ok(()))).unwrap();
    scheduler.submit(Task::new(1, |_| panic!("the first time"))).unwrap();
    let first = scheduler.execute_all();
    assert_eq!((first.successful, first.failed, first.panicked), (1, 1, 1));
    scheduler.submit(Task::new(1, |_| Ok(()))).unwrap();
    let second = scheduler.execute_all();
    assert_eq!((second.successful, second.failed), (1, 0));
    let both = scheduler.get_stats();
    assert_eq!((both.successful, both.failed, both.panicked), (2, 1, 1));
}

#[test]
fn tasks_may_be_submitted_from_several_threads() {
    let runs = AtomicU64::new(0);
    let mut scheduler = WorkStealingScheduler::new(2);
    thread::scope(|scope| {
        for _ in 0..4 {
            let (scheduler, runs) = (&scheduler, &runs);
            scope.spawn(move || {
                for priority in 0..=255 {
                    let count = |_: &_| {
                        runs.fetch_add(1, Ordering::Relaxed);
                        Ok(())
                    };
                    scheduler.submit(Task::new(priority, count)).unwrap();
                }
            });
        }
    });
    assert_eq!(scheduler.execute_all().successful, 4 * 256);
    drop(scheduler);
    assert_eq!(runs.into_inner(), 4 * 256);
}

#[test]
fn a_task_more_than_may_wait_is_refused_and_there_is_room_again_when_they_have_run() {
    let mut scheduler = WorkStealingScheduler::new(2);
    for _ in 0..TASKS_MAX {
        scheduler.submit(Task::new(0, |_| Ok(()))).unwrap();
    }
    assert_eq!(kind(scheduler.submit(Task::new(0, |_| Ok(())))), ErrorKind::Busy);
    assert_eq!(scheduler.execute_all().successful, TASKS_MAX as u64);
    scheduler.submit(Task::new(0, |_| Ok(()))).unwrap();
}

#[test]
fn tasks_that_never_ran_are_dropped_with_the_scheduler() {
    let held = Arc::new(());
    let scheduler = WorkStealingScheduler::new(2);
    for priority in 0..100 {
        let held = Arc::clone(&held);
        let task = Task::new(priority, move |_| {
            drop(held);
            Ok(())
        });
        scheduler.submit(task).unwrap();
    }
    assert_eq!(Arc::strong_count(&held), 101);
    drop(scheduler);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn the_number_of_threads_has_bounds() {
    let threads = |asked| WorkStealingScheduler::new(asked).threads();
    assert_eq!((threads(0), threads(3)), (1, 3));
    assert_eq!(threads(usize::MAX), WORKER_THREADS_MAX);
}

#[test]
fn transactions_in_tasks_have_the_outcome_of_some_order() {
    for threads in [2, 4, 8] {
        let transactions = ParallelScheduler::new(MvccStore::new());
        let mut scheduler = WorkStealingScheduler::new(threads);
        for number in 0..500_u64 {
            let transactions = &transactions;
            let increment = move |_: &_| {
                let run = transactions.execute_with_retry(|txn| {
                    add(txn, "a", 1)?;
                    thread::yield_now();
                    add(txn, "b", number)
                });
                assert!(number % 10 > 0, "every tenth panics when it has committed");
                run
            };
            scheduler.submit(Task::new((number % 256) as u8, increment)).unwrap();
        }
        let stats = scheduler.execute_all();
        assert_eq!((stats.successful, stats.panicked), (450, 50));
        assert_eq!(latest(transactions.store(), "a"), 500);
        assert_eq!(latest(transactions.store(), "b"), (0..500).sum::<u64>());
    }
}
