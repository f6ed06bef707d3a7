//! Commits that wait for the disk, many at a time.

use super::ledger::key;
use crate::machine::fdatasync_seconds;
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};
use supervm_engine::mvcc::{MvccConfig, MvccStore};
use supervm_engine::storage::Storage;

/// Durable commits a second, and what the disk could do at best.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Durable {
    /// Threads that commit, each one key at a time.
    pub committers: usize,
    /// Commits a second.
    pub per_second: f64,
    /// Batches written, and synced, a second.
    pub groups_per_second: f64,
    /// Appends of 4 KiB with `fdatasync` that the disk did a second, before and after.
    pub syncs_per_second: f64,
    /// Commits of a batch, on average.
    pub group_size: f64,
}

/// Lets `committers` threads commit to `storage` for `time`.
pub fn durable_commits(storage: Storage, dir: &Path, committers: usize, time: Duration) -> Durable {
    let store = MvccStore::open(storage, MvccConfig::default()).expect("an empty storage opens");
    let before = 1.0 / fdatasync_seconds(dir);
    let start = Instant::now();
    let commits: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..committers)
            .map(|worker| {
                let store = &store;
                scope.spawn(move || {
                    let mut commits = 0_u64;
                    while start.elapsed() < time {
                        let mut txn = store.begin();
                        let number = worker * 1_000 + commits as usize % 1_000;
                        txn.write(&key(number), &commits.to_le_bytes()).expect("a valid key");
                        txn.commit().expect("nobody else writes the key");
                        commits += 1;
                    }
                    commits
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker does not panic")).sum()
    });
    let seconds = start.elapsed().as_secs_f64();
    let groups = store.metrics().groups as f64;
    let after = 1.0 / fdatasync_seconds(dir);
    Durable {
        committers,
        per_second: commits as f64 / seconds,
        groups_per_second: groups / seconds,
        syncs_per_second: before.midpoint(after),
        group_size: commits as f64 / groups,
    }
}
