//! The bound on memory of a store over a backend.
//!
//! A cell may leave memory when the backend has all of it that anybody needs: one version, at or below the watermark. Who needs the key
//! again loads it.

use super::cell::Cell;
use super::inner::Inner;
use super::mutant::{Mutant, mutant};
use crate::layout::Version;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that a cell takes besides its key and values: itself with its newest version, and its places in both indexes.
const CELL_BYTES: usize = 112;

/// An estimate of what the versions take, and whose turn it is to leave.
#[derive(Default)]
pub(super) struct Memory {
    values: AtomicUsize,
    /// Below so many bytes it is no use to look again: a look found too little that could leave.
    in_vain_below: AtomicUsize,
    /// The shard to look at next.
    hand: Mutex<usize>,
}

impl Memory {
    #[inline]
    pub(super) fn grow(&self, bytes: usize) {
        self.values.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn shrink(&self, bytes: usize) {
        let _ = self.values.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |values| {
            Some(values.saturating_sub(bytes))
        });
    }
}

impl Inner {
    /// Bytes that keys and versions take, about.
    pub(super) fn memory_bytes(&self) -> usize {
        let values = self.memory.values.load(Ordering::Relaxed);
        self.index.len() * CELL_BYTES + self.index.key_bytes() + values
    }

    /// Lets cells leave when the bound is passed; one thread at a time does it.
    pub(super) fn evict_when_full(&self) {
        let most = self.config.memory_bytes_max;
        if self.memory_bytes() <= self.memory.in_vain_below.load(Ordering::Relaxed).max(most) {
            return;
        }
        let Some(mut hand) = self.memory.hand.try_lock() else { return };
        let watermark = self.readers.watermark();
        // An eighth below the bound, so that the next key does not begin again.
        for _ in 0..self.index.shards() {
            if self.memory_bytes() <= most - most / 8 {
                break;
            }
            *hand = (*hand + 1) % self.index.shards();
            self.evict_shard(*hand, watermark);
        }
        // What is needed now may be more than the bound; a look at all of it for each commit would cost more than it frees.
        let left = self.memory_bytes();
        let in_vain_below = if left > most { left + most / 16 } else { 0 };
        self.memory.in_vain_below.store(in_vain_below, Ordering::Relaxed);
    }

    /// Lets every cell leave that can; returns how many.
    pub(super) fn evict_all(&self) -> usize {
        let watermark = self.readers.watermark();
        (0..self.index.shards()).map(|shard| self.evict_shard(shard, watermark)).sum()
    }

    fn evict_shard(&self, shard: usize, watermark: Version) -> usize {
        if self.backend.is_none() {
            return 0;
        }
        let mut freed = 0;
        let evicted = self.index.unlink(shard, |cell| {
            let went = self.can_leave(cell, watermark);
            freed += went.unwrap_or_default();
            went.is_some()
        });
        self.memory.shrink(freed);
        self.counters.evictions.add(evicted as u64);
        evicted
    }

    /// The bytes that go with `cell`; `None` when it has to stay.
    fn can_leave(&self, cell: &Cell, watermark: Version) -> Option<usize> {
        let mut chain = cell.lock();
        let (count, bytes) = chain.prune(watermark, watermark, usize::MAX);
        self.garbage.shrink(count);
        let newest = chain.newest();
        let is_needed = newest.version > watermark || !chain.is_single();
        if is_needed && !mutant(Mutant::EvictNeeded) {
            self.memory.shrink(bytes);
            return None;
        }
        Some(bytes + newest.value.heap_bytes())
    }
}
