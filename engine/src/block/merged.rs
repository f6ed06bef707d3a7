//! The state as the merged transactions of a block leave it, over the state before the block.
//!
//! Any number of workers read it while one merges. A cell changes as a whole; the cells of a transaction do not change at once, and whoever
//! reads between them is found out by [`is_current`](Merged::is_current).

use super::cell::{Cell, Writer};
use super::trace::{Trace, Walk};
use crate::keyed::{Sharded, take_page};
use crate::mvcc::{Txn, Value};
use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use supervm_plugin_sdk::{Direction, KeyRange, Result};

/// A power of two, and many times the number of workers.
const SHARDS: usize = 128;

/// Keys that a transaction reads or writes, about, which no other one does.
const CELLS_PER_TRANSACTION: usize = 2;

pub(super) struct Merged {
    cells: Sharded<Cell, SHARDS>,
    /// On a cache line of its own, like what follows: every look at a key needs what stands above, and every merge changes these.
    written: CachePadded<Mutex<Written>>,
    /// Transactions that are merged.
    front: CachePadded<AtomicUsize>,
}

/// The cells that merged transactions wrote, each once.
#[derive(Default)]
struct Written {
    /// In the order of their first write; not in `ordered` yet, since most blocks never scan.
    fresh: Vec<Cell>,
    ordered: BTreeSet<Cell>,
}

impl Written {
    fn ordered(&mut self) -> &BTreeSet<Cell> {
        self.ordered.extend(self.fresh.drain(..));
        &self.ordered
    }
}

impl Merged {
    /// Nothing is merged of a block of so many transactions.
    pub(super) fn new(transactions: usize) -> Self {
        // What most blocks need, so that the tables do not grow under the workers.
        let capacity = transactions * CELLS_PER_TRANSACTION / SHARDS;
        Self {
            cells: Sharded::with_capacity(capacity),
            written: CachePadded::default(),
            front: CachePadded::default(),
        }
    }

    /// How many transactions are merged.
    pub(super) fn front(&self) -> usize {
        self.front.load(Ordering::Acquire)
    }

    /// Calls `use_value` with the value of `key`; returns its cell and who wrote it. `base` sees the state before the block.
    pub(super) fn read<R>(
        &self,
        base: &Txn,
        key: &[u8],
        use_value: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Result<(R, Cell, Writer)> {
        let cell = self.cell(key);
        let mut slot = cell.lock();
        if !slot.value.is_loaded() {
            (slot.value, slot.stored) = base.peek(key)?;
        }
        let (result, writer) = (use_value(slot.value.bytes()), slot.writer);
        drop(slot);
        Ok((result, cell, writer))
    }

    /// Merges the writes of the transaction at `index`, which is the next one. What its `trace` has needs not be looked for.
    pub(super) fn merge(&self, index: usize, trace: &Trace, writes: &[(Vec<u8>, Option<Vec<u8>>)]) {
        debug_assert_eq!(self.front(), index);
        let mut fresh = Vec::new();
        for (key, value) in writes {
            let cell = trace.find(key).map_or_else(|| self.cell(key), Cell::clone);
            let mut slot = cell.lock();
            if slot.writer == Writer::BEFORE_BLOCK {
                fresh.push(cell.clone());
            }
            slot.value = value.as_deref().map_or(Value::ABSENT, Value::new);
            slot.writer = Writer::transaction(index);
        }
        if !fresh.is_empty() {
            self.written.lock().fresh.append(&mut fresh);
        }
        // IMPORTANT: last, so that whoever reads it and then scans finds every cell of those that it counts.
        self.front.store(index + 1, Ordering::Release);
    }

    /// Would a transaction that is run now read what `trace` says?
    pub(super) fn is_current(&self, trace: &Trace) -> bool {
        trace.reads.iter().all(|(cell, writer)| cell.writer() == *writer)
            && trace.walks.iter().all(|walk| self.is_walk_current(walk))
    }

    fn is_walk_current(&self, walk: &Walk) -> bool {
        let Some(covered) = walk.covered() else { return true };
        let mut written = self.written.lock();
        written.ordered().range::<[u8], _>(covered).all(|cell| cell.writer().is_within(walk.front))
    }

    /// Appends to `page` the next written cells of `range` in `direction`, at most `most`; `false` when there are no more.
    pub(super) fn page(
        &self,
        range: KeyRange<'_>,
        direction: Direction,
        most: usize,
        page: &mut Vec<Cell>,
    ) -> bool {
        take_page(self.written.lock().ordered(), range, direction, most, page)
    }

    /// Makes what the block changed the writes of `txn`.
    pub(super) fn write_to(&self, txn: &mut Txn) -> Result<()> {
        let Written { fresh, ordered } = &*self.written.lock();
        for cell in ordered.iter().chain(fresh) {
            let (value, stored) = {
                let mut slot = cell.lock();
                (slot.value.clone(), slot.stored.take())
            };
            txn.write_new(cell.key(), stored, value)?;
        }
        Ok(())
    }

    fn cell(&self, key: &[u8]) -> Cell {
        self.cells.get_or_insert(key, || Cell::new(key))
    }
}
