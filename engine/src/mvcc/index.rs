//! The keys that are in memory, by their hash; in a store without a backend also in their order.
//!
//! A store over a backend needs no order of all keys: its scans take the keys that nobody has
//! written lately from the backend, and the others from [`Recent`](super::recent::Recent). A store
//! in memory has nothing else to scan, so it lists each key that exists.
//!
//! Unlinking a cell that somebody still holds would lose what they write to it. So a cell leaves
//! only while its shard is locked for writing and the index holds its only references: whoever
//! comes later finds nothing and makes a new one.
//!
//! IMPORTANT: locks are taken in this order: a shard, a cell, the key order.

use super::cell::{Cell, Chain};
use super::mutant::{Mutant, mutant};
use super::value::Value;
use crate::keyed::{Sharded, take_page};
use parking_lot::RwLock;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use supervm_plugin_sdk::{Direction, KeyRange};

/// Parts of the table. A part that grows is locked meanwhile, so there are so many that each stays
/// small: 10,000 keys when there are 10 million.
const SHARDS: usize = 1024;

pub(super) struct Index {
    hashed: Sharded<Cell, SHARDS>,
    /// The keys that exist, of a store without a backend.
    listed: RwLock<BTreeSet<Cell>>,
    cells: AtomicUsize,
}

/// Where a sweep over all cells goes on.
#[derive(Debug, Default)]
pub(super) struct Hand {
    shard: usize,
    bucket: usize,
    /// Number of times that the hand came back to the first shard.
    pub(super) laps: u64,
}

impl Index {
    pub(super) fn new() -> Self {
        Self {
            hashed: Sharded::with_capacity(0),
            listed: RwLock::default(),
            cells: AtomicUsize::new(0),
        }
    }

    /// Number of cells.
    pub(super) fn len(&self) -> usize {
        self.cells.load(Ordering::Relaxed)
    }

    /// The cell of `key`.
    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Option<Cell> {
        self.hashed.get(key)
    }

    /// The hash of `key`, which differs from store to store.
    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.hashed.hash(key)
    }

    /// The cell of `key`, made with `value` when there is none; `true` when it was made.
    #[inline]
    pub(super) fn get_or_insert(&self, key: &[u8], value: Value) -> (Cell, bool) {
        let mut is_new = false;
        let cell = self.hashed.get_or_insert(key, || {
            is_new = true;
            self.cells.fetch_add(1, Ordering::Relaxed);
            Cell::new(key, value)
        });
        (cell, is_new)
    }

    /// Adds a cell, whose locked `chain` says that it is not listed, to the key order.
    pub(super) fn list(&self, cell: &Cell, chain: &mut Chain) {
        self.listed.write().insert(cell.clone());
        chain.set_listed(true);
    }

    /// Takes a cell out of the key order, if it is there.
    pub(super) fn unlist(&self, cell: &Cell, chain: &mut Chain) {
        if chain.is_listed() {
            self.listed.write().remove(cell);
            chain.set_listed(false);
        }
    }

    /// Appends to `page` the next listed cells of `range` in `direction`, at most `most`; `false`
    /// when the range has no more.
    pub(super) fn page(
        &self,
        range: KeyRange<'_>,
        direction: Direction,
        most: usize,
        page: &mut Vec<Cell>,
    ) -> bool {
        take_page(&self.listed.read(), range, direction, most, page)
    }

    /// Calls `visit` with each cell.
    pub(super) fn visit(&self, mut visit: impl FnMut(&Cell)) {
        for shard in 0..SHARDS {
            self.hashed.shard(shard).read().iter().for_each(&mut visit);
        }
    }

    /// Removes `cell` when `may_go` is true of it and nobody holds it but the caller, once;
    /// `false` when it stays. A cell that is not in the index counts as removed.
    pub(super) fn unlink(&self, cell: &Cell, may_go: impl FnOnce(&Chain) -> bool) -> bool {
        let removed = self.hashed.remove_if(cell.key(), |there| {
            if there.id() != cell.id() {
                return None;
            }
            let mut chain = cell.lock();
            if !may_go(&chain) {
                return Some(false);
            }
            self.unlist(cell, &mut chain);
            // The caller's, and that of the table.
            Some(cell.references() <= 2 || mutant(Mutant::UnlinkHeld))
        });
        if removed == Some(true) {
            self.cells.fetch_sub(1, Ordering::Relaxed);
        }
        removed != Some(false)
    }

    /// Looks at the cells of the next `most` places behind `hand`, and removes those that nobody
    /// holds and `may_go` is true of; returns their number.
    pub(super) fn sweep(
        &self,
        hand: &mut Hand,
        most: usize,
        mut may_go: impl FnMut(&Cell) -> bool,
    ) -> usize {
        let (mut left, mut removed) = (most, 0);
        for _ in 0..SHARDS {
            let mut shard = self.hashed.shard(hand.shard).write();
            let end = shard.num_buckets().min(hand.bucket + left);
            for bucket in hand.bucket..end {
                let Ok(place) = shard.get_bucket_entry(bucket) else { continue };
                let is_held = place.get().references() > 1 && !mutant(Mutant::EvictNeeded);
                if !is_held && may_go(place.get()) {
                    place.remove();
                    removed += 1;
                }
            }
            left -= end - hand.bucket;
            hand.bucket = end;
            if end < shard.num_buckets() {
                break;
            }
            hand.bucket = 0;
            hand.shard = (hand.shard + 1) % SHARDS;
            hand.laps += u64::from(hand.shard == 0);
        }
        self.cells.fetch_sub(removed, Ordering::Relaxed);
        removed
    }
}
