//! Commits that end blocks.

use crate::probe::panel;
use crate::support::{
    eventually, kind, on_both, on_stores, over_memory, put, read, reopened, storage, write,
};
use std::thread;
use supervm_engine::block::BlockExecutor;
use supervm_engine::config::ExecutionConfig;
use supervm_engine::layout::{BlockRecord, Version};
use supervm_engine::mvcc::{Block, CommitOptions, MvccConfig, MvccStore};
use supervm_engine::runtime::Runtime;
use supervm_plugin_sdk::{ErrorKind, Result};

fn end_block(
    store: &MvccStore,
    writes: &[(&str, &str)],
    number: u64,
    timestamp: u64,
) -> Result<Version> {
    let mut txn = store.begin();
    writes.iter().for_each(|(key, value)| write(&mut txn, key, value));
    let block = Some(Block { number, timestamp });
    txn.commit_with(CommitOptions { block, ..CommitOptions::default() })
}

#[test]
fn a_block_has_the_version_of_the_commit_that_ended_it() {
    on_stores(|store| {
        assert_eq!(store.last_block(), None);
        put(store, &[("k", "1")]);
        assert_eq!(end_block(store, &[("k", "2")], 7, 100).unwrap(), Version(2));
        put(store, &[("k", "3")]);
        let expected =
            BlockRecord { number: 7, version: Version(2), timestamp: 100, digest: [0; 32] };
        assert_eq!(store.last_block(), Some(expected));
    });
}

#[test]
fn an_empty_block_takes_a_version() {
    on_stores(|store| {
        assert_eq!(end_block(store, &[], 1, 1).unwrap(), Version(1));
        assert_eq!(end_block(store, &[], 2, 1).unwrap(), Version(2));
        assert_eq!(store.last_block().unwrap().number, 2);
        assert_eq!(store.begin().read_version(), Version(2));
    });
}

#[test]
fn a_block_that_does_not_follow_the_last_one_is_refused_and_leaves_nothing() {
    on_stores(|store| {
        end_block(store, &[("k", "1")], 5, 100).unwrap();
        for (number, timestamp) in [(5, 100), (4, 200), (6, 99)] {
            let refused = end_block(store, &[("k", "2")], number, timestamp);
            assert_eq!(kind(refused), ErrorKind::InvalidArgument, "{number} {timestamp}");
        }
        assert_eq!(store.last_version(), Version(1));
        assert_eq!(end_block(store, &[("k", "2")], 9, 100).unwrap(), Version(2));
    });
}

#[test]
fn a_block_whose_transaction_conflicts_is_not_there() {
    on_stores(|store| {
        let mut txn = store.begin();
        read(&mut txn, "k");
        put(store, &[("k", "1")]);
        let block = Some(Block { number: 1, timestamp: 1 });
        let outcome = txn.commit_with(CommitOptions { block, ..CommitOptions::default() });
        assert_eq!(kind(outcome), ErrorKind::Conflict);
        assert_eq!(store.last_block(), None);
        end_block(store, &[], 1, 1).unwrap();
    });
}

#[test]
fn a_block_has_the_digest_of_its_state() {
    let config = MvccConfig { digest: true, ..MvccConfig::default() };
    on_both(&config, |store| {
        let digest = |writes: &[_], number| {
            end_block(store, writes, number, 0).unwrap();
            store.last_block().unwrap().digest
        };
        let one = digest(&[("k", "1")], 1);
        assert_eq!(digest(&[], 2), one);
        let two = digest(&[("k", "2")], 3);
        assert_ne!(one, two);
        assert_eq!(digest(&[("k", "1")], 4), one, "whatever came between");
    });
}

#[test]
fn the_last_block_is_there_after_reopening_and_the_next_follows_it() {
    let (store, dir) = over_memory(MvccConfig::default());
    end_block(&store, &[("k", "1")], 3, 50).unwrap();
    put(&store, &[("k", "2")]);
    let last = store.last_block();
    let store = reopened(store, &dir, MvccConfig::default());
    assert_eq!(store.last_block(), last);
    assert_eq!(kind(end_block(&store, &[], 3, 60)), ErrorKind::InvalidArgument);
    end_block(&store, &[], 4, 60).unwrap();
}

#[test]
fn a_block_that_meets_a_slow_commit_waits_for_it_and_runs_again_once() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage("probe", dir.path(), "panel = \"slow commit\"");
    let store = MvccStore::open(storage, MvccConfig::default()).unwrap();
    let runtime = Runtime::over(store.clone(), &[], &ExecutionConfig::default()).unwrap();
    let executor = BlockExecutor::new(1).unwrap();
    let panel = panel("slow commit");
    thread::scope(|scope| {
        let gate = panel.hold_writes();
        let (store, runtime, executor) = (&store, &runtime, &executor);
        scope.spawn(move || put(store, &[("k", "1")]));
        eventually("the slow commit has its version", || store.metrics().commits == 1);
        let block = Block { number: 1, timestamp: 1 };
        let block = scope.spawn(move || runtime.run_block(executor, block, &[], None));
        eventually("the block has met it", || store.metrics().conflicts > 0);
        drop(gate);
        assert_eq!(block.join().unwrap().unwrap().version, Version(2));
    });
    assert_eq!(store.metrics().conflicts, 1);
}
