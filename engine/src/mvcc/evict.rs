//! The bound on memory of a store over a backend.
//!
//! A cell may leave memory when the backend has all of it that a transaction can read: one version,
//! at or below the watermark. Whoever needs the key again loads it.
//!
//! Whoever adds to a memory that is full makes room, and for little more than it adds: it collects
//! some garbage and moves the *hand* on by some places of the table. The hand takes the mark of a
//! cell that was used since its last lap, and lets a cell without a mark leave; so what is in use
//! stays (Corbató's clock, 1968). No call waits for much more than its own part.
//!
//! What old readers need cannot leave. When memory comes to twice the bound and some megabytes more
//! for it, the oldest readers *expire*: their next read fails with `SnapshotExpired`.

use super::cell::Cell;
use super::index::Hand;
use super::inner::Inner;
use super::mutant::{Mutant, mutant};
use crate::layout::Version;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that a cell takes besides its key and its value's bytes: itself with its newest version,
/// and its place in the table.
const CELL_BYTES: usize = 96;
/// Places of the table that the hand moves on in one step: some 20 us.
const STEP_PLACES: usize = 256;
/// Writes of which garbage is collected in one step.
const STEP_WRITES: usize = 256;
/// Steps of one call at most.
const STEPS_MAX: usize = 4;
/// Bytes above twice the bound from which on the oldest readers expire, so that a small bound does
/// not end transactions that are not long.
const EXPIRY_SLACK_BYTES: usize = 16 << 20;
/// Laps of the hand without success after which looking further is of no use. The first takes the
/// marks, so the second finds whatever can leave.
const LAPS_IN_VAIN: u64 = 2;

/// An estimate of what keys and versions take, and the eviction's progress.
#[derive(Default)]
pub(super) struct Memory {
    bytes: AtomicUsize,
    /// Bytes up to which it is no use to look again, after a look that found too little.
    in_vain_below: AtomicUsize,
    clock: Mutex<EvictionClock>,
}

#[derive(Default)]
struct EvictionClock {
    hand: Hand,
    /// The lap in which memory was last below its bound, or something else changed.
    fresh_lap: u64,
}

/// Bytes that a cell takes besides its value's.
pub(super) fn cell_bytes(cell: &Cell) -> usize {
    CELL_BYTES + cell.key().len()
}

impl Memory {
    #[inline]
    pub(super) fn grow(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Notes that much of what was needed may leave now.
    pub(super) fn look_again(&self) {
        self.in_vain_below.store(0, Ordering::Relaxed);
    }

    pub(super) fn shrink(&self, bytes: usize) {
        let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
            Some(before.saturating_sub(bytes))
        });
    }
}

impl Inner {
    /// Bytes that keys and versions take, about.
    #[inline]
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory.bytes.load(Ordering::Relaxed)
    }

    /// Makes room when the bound is passed.
    #[inline]
    pub(super) fn evict_when_full(&self) {
        let most = self.config.memory_bytes_max;
        let in_vain_below = self.memory.in_vain_below.load(Ordering::Relaxed);
        if self.memory_bytes() > in_vain_below.max(most) {
            self.evict_some(most);
        }
    }

    #[cold]
    fn evict_some(&self, most: usize) {
        // Where many threads add, each that finds memory far above the bound waits to make room.
        let is_pressing = self.memory_bytes() > most.saturating_add(most / 16);
        let clock =
            if is_pressing { Some(self.memory.clock.lock()) } else { self.memory.clock.try_lock() };
        let Some(mut clock) = clock else { return };
        for _ in 0..STEPS_MAX {
            if self.memory_bytes() <= most {
                self.memory.in_vain_below.store(0, Ordering::Relaxed);
                clock.fresh_lap = clock.hand.laps;
                return;
            }
            let is_collected = self.reclaim(STEP_WRITES) == Some(0);
            let watermark = self.readers.watermark();
            self.sweep(&mut clock.hand, STEP_PLACES, |cell| {
                let is_used = cell.lock().take_used();
                !is_used && self.can_leave(cell, watermark)
            });
            if !is_collected {
                clock.fresh_lap = clock.hand.laps;
            } else if clock.hand.laps > clock.fresh_lap + LAPS_IN_VAIN {
                clock.fresh_lap = clock.hand.laps;
                self.give_up(most);
                return;
            }
        }
    }

    /// What is in memory is needed: the oldest readers have to go, or it stays for a while.
    fn give_up(&self, most: usize) {
        let left = self.memory_bytes();
        let is_far_above = left > most.saturating_mul(2).saturating_add(EXPIRY_SLACK_BYTES);
        let in_vain_below = match is_far_above && self.readers.expire_oldest() {
            true => 0,
            false => left + most / 16,
        };
        self.memory.in_vain_below.store(in_vain_below, Ordering::Relaxed);
    }

    /// Lets every cell leave that can; returns their number.
    pub(super) fn evict_all(&self) -> usize {
        if !self.has_backend() {
            return 0;
        }
        while self.reclaim(usize::MAX).is_none_or(|count| count > 0) {
            std::thread::yield_now();
        }
        let watermark = self.readers.watermark();
        let mut hand = Hand::default();
        let mut evicted = 0;
        while hand.laps == 0 {
            evicted += self.sweep(&mut hand, STEP_PLACES, |cell| self.can_leave(cell, watermark));
        }
        evicted
    }

    fn sweep(&self, hand: &mut Hand, places: usize, may_go: impl Fn(&Cell) -> bool) -> usize {
        let mut freed = 0;
        let evicted = self.index.sweep(hand, places, |cell| {
            let goes = may_go(cell);
            if goes {
                freed += cell_bytes(cell) + cell.lock().newest().heap_bytes();
            }
            goes
        });
        self.memory.shrink(freed);
        self.counters.evictions.add(evicted as u64);
        evicted
    }

    /// Returns `true` when the backend has all of `cell`, which nobody holds, that a transaction
    /// can read.
    fn can_leave(&self, cell: &Cell, watermark: Version) -> bool {
        let chain = cell.lock();
        let is_needed = chain.newest_version() > watermark || !chain.is_single();
        !is_needed || mutant(Mutant::EvictNeeded)
    }
}
