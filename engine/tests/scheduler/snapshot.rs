//! The fast path that only reads.

use crate::support::{get_in_the_way, kind, latest, number, on_stores, refused};
use supervm_engine::scheduler::{ExecutionStats, ParallelConfig};
use supervm_plugin_sdk::ErrorKind;

#[test]
fn a_snapshot_is_of_one_version_whatever_is_committed_meanwhile() {
    on_stores(&ParallelConfig::default(), |scheduler| {
        get_in_the_way(scheduler.store(), "a");
        let seen = scheduler.execute_with_snapshot(|txn| {
            let before = number(txn, "a")?;
            get_in_the_way(scheduler.store(), "a");
            get_in_the_way(scheduler.store(), "b");
            Ok((before, number(txn, "a")?, number(txn, "b")?))
        });
        assert_eq!(seen.unwrap(), (100, 100, 0));
        assert_eq!(latest(scheduler.store(), "a"), 200);
        let expected = ExecutionStats { successful: 1, ..ExecutionStats::default() };
        assert_eq!(scheduler.get_stats(), expected, "and there was no conflict");
    });
}

#[test]
fn a_snapshot_refuses_writes_and_deletions() {
    on_stores(&ParallelConfig::default(), |scheduler| {
        get_in_the_way(scheduler.store(), "a");
        let write = scheduler.execute_with_snapshot(|txn| txn.write(b"a", b"1"));
        let delete = scheduler.execute_with_snapshot(|txn| txn.delete(b"a"));
        assert_eq!((kind(write), kind(delete)), (ErrorKind::ReadOnly, ErrorKind::ReadOnly));
        let version = scheduler.store().last_version();
        let passed_over = scheduler.execute_with_snapshot(|txn| {
            let refused = txn.write(b"b", b"1").is_err() && txn.delete(b"a").is_err();
            Ok(refused)
        });
        assert!(passed_over.unwrap());
        assert_eq!(scheduler.store().last_version(), version);
        assert_eq!(latest(scheduler.store(), "a"), 100);
        assert_eq!((scheduler.get_stats().successful, scheduler.get_stats().failed), (1, 2));
    });
}

#[test]
fn a_snapshot_that_fails_or_panics_lets_its_version_go() {
    on_stores(&ParallelConfig::default(), |scheduler| {
        let failed = scheduler.execute_with_snapshot::<()>(|_| Err(refused()));
        assert_eq!(kind(failed), ErrorKind::NotFound);
        let panicked = scheduler.execute_with_snapshot::<()>(|_| panic!("so be it"));
        assert_eq!(kind(panicked), ErrorKind::Internal);
        assert_eq!(scheduler.store().metrics().transactions, 0);
        assert_eq!((scheduler.get_stats().failed, scheduler.get_stats().panicked), (2, 1));
    });
}
