//! The keys that are in memory: by their hash for one key, in their order for a range.
//!
//! A cell is in both indexes or in neither. The ordered one is touched only when a cell is made or unlinked, and by scans.
//!
//! Unlinking a cell that somebody still holds would lose what they write to it. So a cell leaves only while its shard and the ordered
//! index are locked, when the two indexes hold its only references: whoever comes later finds nothing and makes a new one.

use super::cell::Cell;
use super::mutant::{Mutant, mutant};
use crate::keyed::{Sharded, take_page};
use parking_lot::RwLock;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use supervm_plugin_sdk::{Direction, KeyRange};

/// A power of two, and many times the number of threads that run at once.
const SHARDS: usize = 256;
/// References to a cell that only the indexes hold.
const UNHELD: usize = 2;

pub(super) struct Index {
    hashed: Sharded<Cell, SHARDS>,
    ordered: RwLock<BTreeSet<Cell>>,
    cells: AtomicUsize,
    key_bytes: AtomicUsize,
}

impl Index {
    pub(super) fn new() -> Self {
        Self {
            hashed: Sharded::with_capacity(0),
            ordered: RwLock::default(),
            cells: AtomicUsize::new(0),
            key_bytes: AtomicUsize::new(0),
        }
    }

    /// How many cells there are.
    pub(super) fn len(&self) -> usize {
        self.cells.load(Ordering::Relaxed)
    }

    /// Bytes of all cells' keys.
    pub(super) fn key_bytes(&self) -> usize {
        self.key_bytes.load(Ordering::Relaxed)
    }

    /// The cell of `key`.
    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Option<Cell> {
        self.hashed.get(key)
    }

    /// The cell of `key`, made by `make` when there is none.
    #[inline]
    pub(super) fn get_or_insert(&self, key: &[u8], make: impl FnOnce() -> Cell) -> Cell {
        self.hashed.get_or_insert(key, || {
            let cell = make();
            self.ordered.write().insert(cell.clone());
            self.cells.fetch_add(1, Ordering::Relaxed);
            self.key_bytes.fetch_add(key.len(), Ordering::Relaxed);
            cell
        })
    }

    /// Appends to `page` the next cells of `range` in `direction`, at most `most`; `false` when the range has no more.
    pub(super) fn page(
        &self,
        range: KeyRange<'_>,
        direction: Direction,
        most: usize,
        page: &mut Vec<Cell>,
    ) -> bool {
        take_page(&self.ordered.read(), range, direction, most, page)
    }

    /// Does `claim` hold of a cell in `range`?
    pub(super) fn any_in(&self, range: KeyRange<'_>, mut claim: impl FnMut(&Cell) -> bool) -> bool {
        if range.is_empty() {
            return false;
        }
        let end = range.end.map_or(Bound::Unbounded, Bound::Excluded);
        let ordered = self.ordered.read();
        ordered.range::<[u8], _>((Bound::Included(range.start), end)).any(&mut claim)
    }

    pub(super) fn shards(&self) -> usize {
        SHARDS
    }

    /// Calls `visit` with each cell of one shard.
    pub(super) fn visit(&self, shard: usize, mut visit: impl FnMut(&Cell)) {
        self.hashed.shard(shard).read().iter().for_each(&mut visit);
    }

    /// Removes the cells of one shard that nobody holds and `may_go` is true of; returns how many.
    pub(super) fn unlink(&self, shard: usize, mut may_go: impl FnMut(&Cell) -> bool) -> usize {
        let mut shard = self.hashed.shard(shard).write();
        let mut ordered = self.ordered.write();
        let (mut unlinked, mut key_bytes) = (0, 0);
        shard.retain(|cell| {
            let is_held = cell.references() > UNHELD && !mutant(Mutant::UnlinkHeld);
            if is_held || !may_go(cell) {
                return true;
            }
            ordered.remove(cell);
            unlinked += 1;
            key_bytes += cell.key().len();
            false
        });
        self.cells.fetch_sub(unlinked, Ordering::Relaxed);
        self.key_bytes.fetch_sub(key_bytes, Ordering::Relaxed);
        unlinked
    }
}
