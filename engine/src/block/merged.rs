//! The state as the merged transactions of a block leave it, over the state before the block.
//!
//! Any number of workers read it while one merges. A cell changes as a whole; the cells of a transaction do not change at once, and whoever
//! reads between them is found out by [`is_current`](Merged::is_current).

use super::cell::{Cell, Slot, Writer};
use super::limits::{BlockLimits, Refusal};
use super::trace::{Trace, Walk};
use crate::keyed::{Sharded, take_page};
use crate::layout::STATE_VALUE_BYTES_MAX;
use crate::mvcc::{Size, Txn, Value, block_excess};
use crossbeam_utils::CachePadded;
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use supervm_plugin_sdk::{Direction, KeyRange, Result};

/// A power of two, and many times the number of workers.
const SHARDS: usize = 128;

/// Keys that a transaction reads or writes, about, which no other one does.
const CELLS_PER_TRANSACTION: usize = 2;

/// A key that a transaction writes, loaded, and its value.
type Write = (Cell, Value);
/// The writes of a transaction; as many as most have lie in place.
pub(super) type Writes = SmallVec<[Write; 3]>;

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
        let slot = self.load(base, &cell)?;
        let (result, writer) = (use_value(slot.value.bytes()), slot.writer);
        drop(slot);
        Ok((result, cell, writer))
    }

    /// The cells of `writes`, loaded, so that merging them waits for nothing; what `trace` has needs not be looked for. `base` sees the
    /// state before the block.
    pub(super) fn prepare(
        &self,
        base: &Txn,
        trace: &Trace,
        writes: &[(Vec<u8>, Option<Vec<u8>>)],
    ) -> Result<Writes> {
        let prepare = |(key, value): &(Vec<u8>, Option<Vec<u8>>)| {
            let value = value.as_deref().map_or(Value::ABSENT, Value::new);
            if let Some(cell) = trace.find(key) {
                return Ok((cell.clone(), value));
            }
            let cell = self.cell(key);
            drop(self.load(base, &cell)?);
            Ok((cell, value))
        };
        writes.iter().map(prepare).collect()
    }

    /// Merges the writes of the transaction at `index`, which is the next one, and counts them in `block_bytes`; or refuses them when
    /// they are more than the `limits`, and merges the transaction without them.
    pub(super) fn merge(
        &self,
        index: usize,
        writes: Writes,
        block_bytes: &mut usize,
        limits: &BlockLimits,
    ) -> Option<Refusal> {
        debug_assert_eq!(self.front(), index);
        let refusal = match fits_anyway(&writes, *block_bytes, limits) {
            true => None,
            false => refusal(&writes, *block_bytes, limits),
        };
        if refusal.is_none() {
            self.apply(index, writes, block_bytes);
        }
        // IMPORTANT: last, so that whoever reads it and then scans finds every cell of those that it counts.
        self.front.store(index + 1, Ordering::Release);
        refusal
    }

    fn apply(&self, index: usize, writes: Writes, block_bytes: &mut usize) {
        let mut fresh = SmallVec::<[Cell; 3]>::new();
        for (cell, value) in writes {
            let mut slot = cell.lock();
            *block_bytes = slot.block_bytes_with(cell.key(), &value, *block_bytes);
            let is_fresh = slot.writer == Writer::BEFORE_BLOCK;
            slot.value = value;
            slot.writer = Writer::transaction(index);
            drop(slot);
            if is_fresh {
                fresh.push(cell);
            }
        }
        if !fresh.is_empty() {
            self.written.lock().fresh.extend(fresh);
        }
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

    /// The slot of `cell`, with its value.
    fn load<'a>(&self, base: &Txn, cell: &'a Cell) -> Result<MutexGuard<'a, Slot>> {
        let mut slot = cell.lock();
        if !slot.value.is_loaded() {
            (slot.value, slot.stored) = base.peek(cell.key())?;
        }
        Ok(slot)
    }

    fn cell(&self, key: &[u8]) -> Cell {
        self.cells.get_or_insert(key, || Cell::new(key))
    }
}

/// Are `writes` within the `limits` whatever they replace? So it is with most transactions, as long as the block is not nearly full, and
/// nothing needs to be looked at.
fn fits_anyway(writes: &[Write], block_bytes: usize, limits: &BlockLimits) -> bool {
    let mut most = Size::default();
    for (cell, value) in writes {
        most.add(cell.key(), STATE_VALUE_BYTES_MAX, value.len());
    }
    most.fits_transaction(limits.transaction_bytes_max)
        && block_bytes + most.bytes <= limits.block_bytes_max
}

/// Why `writes` are more than the `limits`, in a block that changes `block_bytes` without them; `None` when they are not.
fn refusal(writes: &[Write], block_bytes: usize, limits: &BlockLimits) -> Option<Refusal> {
    let (mut transaction, mut block) = (Size::default(), block_bytes);
    for (cell, value) in writes {
        let slot = cell.lock();
        transaction.add(cell.key(), slot.value.len(), value.len());
        block = slot.block_bytes_with(cell.key(), value, block);
    }
    transaction
        .transaction_excess(limits.transaction_bytes_max)
        .or_else(|| block_excess(block, limits.block_bytes_max))
        .map(Refusal)
}
