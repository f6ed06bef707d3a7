//! Garbage collection: old versions that no transaction can read any more.
//!
//! The watermark is the oldest version that a running transaction reads. Of each key the newest
//! version at or below it has to stay, and all above it. Of the rest, the policies say what may
//! stay longer. A key whose newest version is a deletion leaves memory when no reader is older than
//! the deletion: until then it hides what the backend, or an older version, says.
//!
//! A pass looks at what was written since the last one, not at all keys: each write that left
//! something to collect is queued when it is [settled](super::recent), in the order of versions,
//! and is taken from the queue when the policies let go of what it superseded.

use super::cell::{Cell, Chain};
use super::evict::cell_bytes;
use super::inner::Inner;
use super::mutant::{Mutant, mutant};
use super::recent::{Recent, Write};
use crate::layout::Version;
use crate::sync::Condvar;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Writes that a pass looks at between two looks at the flag that stops it.
const WRITES_PER_STEP: usize = 1024;

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
    work: Mutex<Work>,
    /// Settled writes that no pass has seen, in the order of their versions.
    settled: Mutex<VecDeque<Write>>,
    /// Cells that were made for absent keys and that no pass has seen.
    absent: Mutex<Vec<Cell>>,
    /// So many old versions more than the last pass left wake the thread; 0 = none do.
    pub(super) threshold: AtomicU64,
    /// Old versions that the last pass had to leave; waking the thread for them again would be in vain.
    left: AtomicU64,
    pub(super) is_wanted: Mutex<bool>,
    pub(super) wanted: Condvar,
}

/// What passes have seen and left.
#[derive(Default)]
struct Work {
    /// Writes that superseded something that a policy keeps, in the order of their versions.
    kept: VecDeque<Write>,
    /// Deletions of keys that a transaction holds; those that were looked at longest ago first.
    held: VecDeque<Write>,
    /// Cells of absent keys that a transaction holds, in the same order.
    absent: VecDeque<Cell>,
}

/// Up to where a pass collects.
#[derive(Clone, Copy)]
struct Bounds {
    watermark: Version,
    /// What was superseded at or below it goes.
    floor: Version,
    /// Most versions of a key, as far as no transaction reads the others.
    versions_max: usize,
}

impl Garbage {
    /// Queues a cell that was made for an absent key.
    pub(super) fn note_absent(&self, cell: &Cell) {
        self.absent.lock().push(cell.clone());
    }

    /// The next settled writes at or below `watermark`: a pass ends although others commit.
    fn take_settled(&self, watermark: Version) -> Vec<Write> {
        let mut settled = self.settled.lock();
        let at_most = settled.range(..settled.len().min(WRITES_PER_STEP));
        let count = at_most.take_while(|write| write.version <= watermark).count();
        settled.drain(..count).collect()
    }

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
    /// Takes at most `most` writes out of `recent` that every running transaction sees.
    pub(super) fn settle(&self, recent: &mut Recent, most: usize) -> usize {
        self.settle_to(recent, self.readers.watermark(), most)
    }

    fn settle_to(&self, recent: &mut Recent, horizon: Version, most: usize) -> usize {
        let mut garbage = Vec::new();
        let count = recent.settle(horizon, most, |write| {
            if write.has_garbage {
                if !self.has_backend() {
                    self.unlist_deleted(&write);
                }
                garbage.push(write);
            }
        });
        self.garbage.settled.lock().extend(garbage);
        count
    }

    /// Takes a deleted key out of the key order, so that scans need not step over it.
    fn unlist_deleted(&self, write: &Write) {
        let mut chain = write.cell.lock();
        if chain.newest_version() == write.version && chain.is_absent() {
            self.index.unlist(&write.cell, &mut chain);
        }
    }

    /// Makes one pass; it ends early when `stop` becomes true.
    pub(super) fn collect(&self, stop: Option<&AtomicBool>) -> GcReport {
        let mut work = self.garbage.work.lock();
        let started = Instant::now();
        let watermark = self.readers.watermark();
        let policy = self.sequencer.lock().policy_floor(&self.config.gc, self.config.clock.now());
        let floor = if mutant(Mutant::PolicyBeforeReader) { policy } else { policy.min(watermark) };
        let versions_max = self.config.gc.versions_max.unwrap_or(usize::MAX);
        let bounds = Bounds { watermark, floor, versions_max };
        let mut report = GcReport { watermark, ..GcReport::default() };
        let is_stopped = || stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
        while !is_stopped() && self.collect_step(&mut work, bounds, &mut report) > 0 {}
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

    /// Collects what can go of about `most` writes, whatever the policies say. Returns how many it
    /// looked at; `None` when a pass runs.
    pub(super) fn reclaim(&self, most: usize) -> Option<usize> {
        let mut work = self.garbage.work.try_lock()?;
        let watermark = self.readers.watermark();
        let bounds = Bounds { watermark, floor: watermark, versions_max: usize::MAX };
        let mut report = GcReport::default();
        let mut count = 0;
        while count < most {
            let step = self.collect_step(&mut work, bounds, &mut report);
            count += step;
            if step == 0 {
                break;
            }
        }
        Some(count)
    }

    /// Looks at the next writes; returns their number, 0 when nothing is left for these bounds.
    fn collect_step(&self, work: &mut Work, bounds: Bounds, report: &mut GcReport) -> usize {
        let is_early = mutant(Mutant::PolicyBeforeReader) || mutant(Mutant::TombstoneTooEarly);
        let horizon = if is_early { Version::MAX } else { bounds.watermark };
        self.settle_to(&mut self.recent.lock(), horizon, WRITES_PER_STEP);
        let mut count = self.collect_absent(work, bounds.watermark);
        // Those that are still held go to the back, so that others have their turn in the next step.
        for _ in 0..work.held.len().min(WRITES_PER_STEP) {
            if let Some(write) = work.held.pop_front() {
                self.remove_deleted(work, write, bounds.watermark, report);
            }
        }
        for _ in 0..WRITES_PER_STEP {
            let Some(write) = work.kept.pop_front_if(|write| write.version <= bounds.floor) else {
                break;
            };
            count += 1;
            self.collect_write(work, write, bounds, report);
        }
        for write in self.garbage.take_settled(bounds.watermark) {
            count += 1;
            // Versions of one key go in their order, so nothing overtakes what a policy keeps.
            let is_kept = write.version > bounds.floor || !work.kept.is_empty();
            match is_kept {
                true => self.keep(work, write, bounds, report),
                false => self.collect_write(work, write, bounds, report),
            }
        }
        count
    }

    /// Queues what a policy keeps for the time when it does not any more.
    fn keep(&self, work: &mut Work, write: Write, bounds: Bounds, report: &mut GcReport) {
        let gc = &self.config.gc;
        if gc.versions_max.is_some() {
            self.prune(&write.cell, bounds, report);
        }
        let is_timed = gc.time_to_live.is_some() || gc.blocks.is_some();
        if is_timed || gc.versions_max.is_none() {
            work.kept.push_back(write);
        } else {
            // Only later writes of the key bring more over the bound, and deletions.
            self.remove_deleted(work, write, bounds.watermark, report);
        }
    }

    /// Removes what `write` superseded, and the key if it was deleted.
    fn collect_write(&self, work: &mut Work, write: Write, bounds: Bounds, report: &mut GcReport) {
        self.prune(&write.cell, bounds, report);
        self.remove_deleted(work, write, bounds.watermark, report);
    }

    fn prune(&self, cell: &Cell, bounds: Bounds, report: &mut GcReport) {
        let Bounds { watermark, floor, versions_max } = bounds;
        let limit = if mutant(Mutant::PolicyBeforeReader) { Version::MAX } else { watermark };
        let (count, bytes) = cell.lock().prune(floor, limit, versions_max);
        self.garbage.shrink(count);
        self.memory.shrink(bytes);
        report.versions_removed += count as u64;
    }

    /// Removes the key of a deletion that nothing was written after; a held one is left for the
    /// next step.
    fn remove_deleted(
        &self,
        work: &mut Work,
        write: Write,
        watermark: Version,
        report: &mut GcReport,
    ) {
        let is_dead = |chain: &Chain| is_dead(chain, watermark);
        {
            let chain = write.cell.lock();
            if chain.newest_version() != write.version || !is_dead(&chain) {
                return;
            }
        }
        if self.unlink(&write.cell, is_dead) {
            report.versions_removed += 1;
            report.keys_removed += 1;
        } else {
            work.held.push_back(write);
        }
    }

    /// Removes cells of absent keys that nobody holds; returns how many came since the last step.
    fn collect_absent(&self, work: &mut Work, watermark: Version) -> usize {
        let fresh: Vec<_> = {
            let mut absent = self.garbage.absent.lock();
            let rest = absent.len().saturating_sub(WRITES_PER_STEP);
            absent.split_off(rest)
        };
        let count = fresh.len();
        let is_placeholder = |chain: &Chain| chain.versions() == 0 && is_dead(chain, watermark);
        let seen = work.absent.len().min(WRITES_PER_STEP);
        let seen: Vec<_> = work.absent.drain(..seen).collect();
        for cell in seen.into_iter().chain(fresh) {
            // One that was written is in the queue of writes.
            if cell.lock().versions() == 0 && !self.unlink(&cell, is_placeholder) {
                work.absent.push_back(cell);
            }
        }
        count
    }

    fn unlink(&self, cell: &Cell, may_go: impl FnOnce(&Chain) -> bool) -> bool {
        let is_gone = self.index.unlink(cell, may_go);
        if is_gone {
            self.memory.shrink(cell_bytes(cell));
        }
        is_gone
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
        self.index.visit(|cell| sum += of(cell));
        sum
    }
}

/// Returns `true` when the chain's key does not exist for any transaction.
fn is_dead(chain: &Chain, watermark: Version) -> bool {
    let nobody_older = chain.newest_version() <= watermark && chain.is_single();
    chain.is_absent() && (nobody_older || mutant(Mutant::TombstoneTooEarly))
}
