//! Garbage collection: old versions that nobody can read any more.
//!
//! The watermark is the oldest version that a running transaction reads. Of each key the newest version at or below it has to stay, and all
//! above it. Of the rest, the policies say what may stay longer. A key whose newest version is that it was deleted leaves memory when no
//! reader is older than that: until then it hides what the backend, or an older version, says.

use super::cell::{Cell, Chain};
use super::inner::Inner;
use super::mutant::{Mutant, mutant};
use crate::layout::Version;
use crate::sync::Condvar;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What one pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GcReport {
    /// The oldest version that a running transaction read when the pass began.
    pub watermark: Version,
    /// Versions that were removed, deletions among them.
    pub versions_removed: u64,
    /// Keys that were removed, because their newest version was that they were deleted.
    pub keys_removed: u64,
    /// How long it took.
    pub duration: Duration,
}

/// What all passes did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GcStats {
    /// Passes.
    pub runs: u64,
    /// Versions that were removed.
    pub versions_removed: u64,
    /// Keys that were removed.
    pub keys_removed: u64,
    /// Time that all passes took.
    pub duration: Duration,
    /// The last pass.
    pub last: Option<GcReport>,
}

/// How much there is to collect, and what was.
#[derive(Default)]
pub(super) struct Garbage {
    /// Versions that are not the newest of their key.
    old_versions: AtomicU64,
    stats: Mutex<GcStats>,
    /// Held by the pass that runs.
    pass: Mutex<()>,
    /// So many old versions more than the last pass left wake the thread; 0 = none do.
    pub(super) threshold: AtomicU64,
    /// Old versions that the last pass had to leave; waking the thread for them again would be in vain.
    left: AtomicU64,
    pub(super) is_wanted: Mutex<bool>,
    pub(super) wanted: Condvar,
}

impl Garbage {
    #[inline]
    pub(super) fn grow(&self, versions: usize) {
        self.old_versions.fetch_add(versions as u64, Ordering::Relaxed);
    }

    pub(super) fn shrink(&self, versions: usize) {
        let _ = self.old_versions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| {
            Some(old.saturating_sub(versions as u64))
        });
    }

    pub(super) fn old_versions(&self) -> u64 {
        self.old_versions.load(Ordering::Relaxed)
    }

    /// Are there so many old versions more than the last pass left that another one is worth it?
    #[inline]
    pub(super) fn is_much(&self) -> bool {
        let threshold = self.threshold.load(Ordering::Relaxed);
        let left = self.left.load(Ordering::Relaxed);
        threshold > 0 && self.old_versions() > left.saturating_add(threshold)
    }

    pub(super) fn stats(&self) -> GcStats {
        *self.stats.lock()
    }
}

impl Inner {
    /// One pass; it ends early when `stop` becomes true.
    pub(super) fn collect(&self, stop: Option<&AtomicBool>) -> GcReport {
        let _alone = self.garbage.pass.lock();
        let started = Instant::now();
        let watermark = self.readers.watermark();
        let policy = self.sequencer.lock().policy_floor(&self.config.gc, self.config.clock.now());
        let floor = if mutant(Mutant::PolicyBeforeReader) { policy } else { policy.min(watermark) };
        let mut report = GcReport { watermark, ..GcReport::default() };
        for shard in 0..self.index.shards() {
            if stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                break;
            }
            self.collect_shard(shard, floor, watermark, &mut report);
        }
        self.garbage.left.store(self.garbage.old_versions(), Ordering::Relaxed);
        report.duration = started.elapsed();
        let mut stats = self.garbage.stats.lock();
        stats.runs += 1;
        stats.versions_removed += report.versions_removed;
        stats.keys_removed += report.keys_removed;
        stats.duration += report.duration;
        stats.last = Some(report);
        report
    }

    fn collect_shard(
        &self,
        shard: usize,
        floor: Version,
        watermark: Version,
        report: &mut GcReport,
    ) {
        let most = self.config.gc.versions_max.unwrap_or(usize::MAX);
        let limit = if mutant(Mutant::PolicyBeforeReader) { Version::MAX } else { watermark };
        let (mut removed, mut freed, mut has_dead) = (0, 0, false);
        self.index.visit(shard, |cell| {
            let mut chain = cell.lock();
            let (count, bytes) = chain.prune(floor, limit, most);
            removed += count;
            freed += bytes;
            has_dead |= is_dead(&chain, watermark);
        });
        self.garbage.shrink(removed);
        self.memory.shrink(freed);
        report.versions_removed += removed as u64;
        if !has_dead {
            return;
        }
        let mut tombstones = 0;
        self.index.unlink(shard, |cell| {
            let chain = cell.lock();
            let is_dead = is_dead(&chain, watermark);
            tombstones += usize::from(is_dead && chain.versions() > 0);
            is_dead
        });
        report.versions_removed += tombstones as u64;
        report.keys_removed += tombstones as u64;
    }

    /// Wakes the thread that collects when there is much to do.
    #[inline]
    pub(super) fn collect_when_many(&self) {
        if self.garbage.is_much() {
            let mut is_wanted = self.garbage.is_wanted.lock();
            if !*is_wanted {
                *is_wanted = true;
                self.garbage.wanted.notify_all();
            }
        }
    }

    /// Versions of all keys in memory.
    pub(super) fn versions(&self) -> u64 {
        self.sum(|cell| cell.lock().versions() as u64)
    }

    /// Keys in memory that have a version.
    pub(super) fn keys(&self) -> u64 {
        self.sum(|cell| u64::from(cell.lock().versions() > 0))
    }

    fn sum(&self, of: impl Fn(&Cell) -> u64) -> u64 {
        let mut sum = 0;
        for shard in 0..self.index.shards() {
            self.index.visit(shard, |cell| sum += of(cell));
        }
        sum
    }
}

/// Is there nothing left of the chain's key for anybody?
fn is_dead(chain: &Chain, watermark: Version) -> bool {
    let nobody_older = chain.newest().version <= watermark && chain.is_single();
    chain.is_absent() && (nobody_older || mutant(Mutant::TombstoneTooEarly))
}
