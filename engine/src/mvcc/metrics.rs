//! What a store counts.

use crate::layout::Version;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// A look at a store; cheap, and not of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct MvccMetrics {
    /// The newest visible version.
    pub last_version: Version,
    /// The oldest version that a running transaction reads, or the newest visible one.
    pub oldest_reader: Version,
    /// Transactions that run.
    pub transactions: u64,
    /// Keys in memory, those among them that do not exist but were asked for.
    pub cells: u64,
    /// Versions in memory that are not the newest of their key.
    pub old_versions: u64,
    /// Memory that keys and versions take, in bytes; an estimate.
    pub memory_bytes: u64,
    /// Commits since the store was opened.
    pub commits: u64,
    /// Commits that were refused because of a conflict.
    pub conflicts: u64,
    /// Batches written to the backend; commits divided by them is the size of a group.
    pub groups: u64,
    /// Commits of the largest batch.
    pub largest_group: u64,
    /// Keys read from the backend into memory.
    pub loads: u64,
    /// Keys that left memory for others.
    pub evictions: u64,
}

/// A number that only rises.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn raise(&self, to: u64) {
        self.0.fetch_max(to, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commits: Counter,
    pub(super) conflicts: Counter,
    pub(super) groups: Counter,
    pub(super) largest_group: Counter,
    pub(super) loads: Counter,
    pub(super) evictions: Counter,
}
