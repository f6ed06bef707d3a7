//! Commits that wait for the disk, many at a time.

use super::ledger::key;
use crate::machine::fdatasync_seconds;
use crate::statistics::median;
use serde::Serialize;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    /// The two, round by round.
    pub groups_to_syncs: f64,
    /// Commits of a batch, on average.
    pub group_size: f64,
}

/// What is written before anything counts: more than RocksDB's default write buffer twice. Each log ends when the buffer is full, and the
/// second begins before the first is no longer needed; the logs after them are written over, and a sync of those is faster.
const WARM_UP_BYTES: usize = 384 << 20;
const WARM_UP_VALUE_BYTES: usize = 64 << 10;
/// Rounds, each with the disk's own rate before and after it.
const ROUNDS: u32 = 20;

/// Lets `committers` threads commit to `storage` for `time` in all.
///
/// Every round has the disk's own rate before and after it; the figures are medians over the rounds.
pub fn durable_commits(storage: Storage, dir: &Path, committers: usize, time: Duration) -> Durable {
    let store = MvccStore::open(storage, MvccConfig::default()).expect("an empty storage opens");
    warm_up(&store);
    let (begin, end) = (Barrier::new(committers + 1), Barrier::new(committers + 1));
    let (is_over, commits) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut rates, mut groups, mut syncs, mut ratios) = (vec![], vec![], vec![], vec![]);
    std::thread::scope(|scope| {
        for worker in 0..committers {
            let (store, begin, end, is_over, commits) = (&store, &begin, &end, &is_over, &commits);
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    begin.wait();
                    commits.fetch_add(commit_until(store, worker, is_over), Ordering::Relaxed);
                    end.wait();
                }
            });
        }
        for _ in 0..ROUNDS {
            let before = 1.0 / fdatasync_seconds(dir);
            let groups_before = store.metrics().groups;
            is_over.store(false, Ordering::Relaxed);
            commits.store(0, Ordering::Relaxed);
            let start = Instant::now();
            begin.wait();
            std::thread::sleep(time / ROUNDS);
            is_over.store(true, Ordering::Relaxed);
            end.wait();
            let seconds = start.elapsed().as_secs_f64();
            let rate = (store.metrics().groups - groups_before) as f64 / seconds;
            let disk = before.midpoint(1.0 / fdatasync_seconds(dir));
            rates.push(commits.load(Ordering::Relaxed) as f64 / seconds);
            groups.push(rate);
            syncs.push(disk);
            ratios.push(rate / disk);
        }
    });
    let (per_second, groups_per_second) = (median(&mut rates), median(&mut groups));
    Durable {
        committers,
        per_second,
        groups_per_second,
        syncs_per_second: median(&mut syncs),
        groups_to_syncs: median(&mut ratios),
        group_size: per_second / groups_per_second,
    }
}

/// Writes what fills RocksDB's first two logs.
fn warm_up(store: &MvccStore) {
    let value = vec![7; WARM_UP_VALUE_BYTES];
    for number in 0..WARM_UP_BYTES / WARM_UP_VALUE_BYTES {
        let mut txn = store.begin();
        txn.write(&key(number), &value).expect("a valid key");
        txn.commit().expect("nobody else commits");
    }
}

/// Commits to keys of its own, one at a time, and says how often.
fn commit_until(store: &MvccStore, worker: usize, is_over: &AtomicBool) -> u64 {
    let mut commits = 0_u64;
    while !is_over.load(Ordering::Relaxed) {
        let mut txn = store.begin();
        let number = worker * 1_000 + commits as usize % 1_000;
        txn.write(&key(number), &commits.to_le_bytes()).expect("a valid key");
        txn.commit().expect("nobody else writes the key");
        commits += 1;
    }
    commits
}
