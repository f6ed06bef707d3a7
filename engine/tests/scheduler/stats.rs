//! What is counted.

use crate::support::{get_in_the_way, refused, set, timed};
use supervm_engine::mvcc::{Clock, MvccStore};
use supervm_engine::scheduler::{ExecutionStats, ParallelScheduler};

#[test]
fn the_success_rate_of_nothing_is_1() {
    let stats = ParallelScheduler::new(MvccStore::new()).get_stats();
    assert_eq!(stats, ExecutionStats::default());
    assert_eq!((stats.executions(), stats.success_rate()), (0, 1.0));
}

#[test]
fn the_success_rate_is_the_part_that_succeeded() {
    let stats = |successful, failed| ExecutionStats { successful, failed, ..Default::default() };
    assert_eq!(stats(3, 1).success_rate(), 0.75);
    assert_eq!(stats(0, 5).success_rate(), 0.0);
    assert_eq!(stats(5, 0).success_rate(), 1.0);
    assert_eq!(stats(3, 1).executions(), 4);
}

#[test]
fn every_execution_is_counted_once_as_it_ended_and_every_conflict() {
    let config = timed(&Clock::manual(), 3);
    let scheduler = ParallelScheduler::new_with_config(MvccStore::new(), config);
    let clone = scheduler.clone();
    scheduler.execute_with_retry(|txn| set(txn, "a", 1)).unwrap();
    clone.execute_with_snapshot(|txn| txn.read(b"a")).unwrap();
    clone.batch_write(&[("b", "1")]).unwrap();
    scheduler.batch_read(&["b"]).unwrap();
    scheduler.batch_delete(&["b"]).unwrap();
    scheduler.batch_emit_events([]).unwrap();
    scheduler.execute_with_retry::<()>(|_| Err(refused())).unwrap_err();
    scheduler.execute_with_retry::<()>(|_| panic!("counted")).unwrap_err();
    let always = scheduler.execute_with_retry(|txn| {
        get_in_the_way(scheduler.store(), "c");
        set(txn, "c", 1)
    });
    always.unwrap_err();
    let expected = ExecutionStats {
        successful: 6,
        failed: 3,
        panicked: 1,
        conflicts: 3,
        retries: 2,
        stolen: 0,
    };
    assert_eq!((scheduler.get_stats(), clone.get_stats()), (expected, expected));
}
