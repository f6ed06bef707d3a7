//! What a transaction of a block sees: the newest merged state, whichever that is at each read.

use super::merged::{Merged, Writes};
use super::trace::{Trace, Walk};
use crate::mvcc::{Txn, TxnRows};
use crate::state::{StateRows, StateView};
use parking_lot::Mutex;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use supervm_plugin_sdk::{ByteBuf, Direction, KeyRange, Result};

/// Written cells that a walk takes at once.
const PAGE_CELLS: usize = 64;
/// Removed keys that a walk passes at most before who walks is told to pay for them.
const REMOVED_PAGE: u64 = 64;

/// The state that a transaction of a block reads. Clones are the same view.
///
/// All that it needs lies with the worker: a count of references that all workers share would be fought over.
#[derive(Clone)]
pub struct BlockView(Arc<Mutex<Reader>>);

impl fmt::Debug for BlockView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockView").finish_non_exhaustive()
    }
}

/// A worker's own way to the state before the block, and the trace of the transaction that it runs.
struct Reader {
    merged: Arc<Merged>,
    base: Txn,
    trace: Trace,
    /// Nothing is merged while the transaction runs, so there is nothing to be compared.
    is_exact: bool,
    /// Chance that decides when to give way to other threads; for tests.
    yields: Option<u64>,
}

impl Reader {
    /// Gives way to other threads before one read in four.
    fn give_way(&mut self) {
        let Some(state) = &mut self.yields else { return };
        // Marsaglia's xorshift, which never comes to 0.
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        if *state % 4 == 0 {
            std::thread::yield_now();
        }
    }
}

impl BlockView {
    /// A worker's view; `base` sees the state before the block.
    pub(super) fn new(merged: Arc<Merged>, base: Txn) -> Self {
        let reader = Reader { merged, base, trace: Trace::default(), is_exact: true, yields: None };
        Self(Arc::new(Mutex::new(reader)))
    }

    /// Gives way to other threads now and then, by chance that begins with `seed`.
    pub(super) fn with_yields(self, seed: Option<u64>) -> Self {
        self.0.lock().yields = seed.map(|seed| seed | 1);
        self
    }

    /// Forgets what the last transaction read. An exact one runs when all before it are merged, and nothing is merged meanwhile.
    pub(super) fn begin(&self, is_exact: bool) {
        let mut reader = self.0.lock();
        reader.trace.clear();
        reader.is_exact = is_exact;
    }

    /// The cells of what the transaction writes, loaded.
    pub(super) fn prepare(&self, writes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<Writes> {
        let Reader { merged, base, trace, .. } = &*self.0.lock();
        merged.prepare(base, trace, writes)
    }

    /// What was read since [`begin`](Self::begin).
    pub(super) fn take_trace(&self) -> Trace {
        std::mem::take(&mut self.0.lock().trace)
    }

    /// Calls `use_value` with the value of `key`.
    fn read<R>(&self, key: &[u8], use_value: impl FnOnce(Option<&[u8]>) -> R) -> Result<R> {
        let mut reader = self.0.lock();
        reader.give_way();
        let Reader { merged, base, trace, is_exact, .. } = &mut *reader;
        let (result, cell, writer) = merged.read(base, key, use_value)?;
        if !*is_exact {
            trace.reads.push((cell, writer));
        }
        Ok(result)
    }
}

impl StateView for BlockView {
    fn get(&mut self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.read(key, |found| found.map(|found| value.set(found)).is_some())
    }

    fn rows(&mut self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn StateRows>> {
        let mut reader = self.0.lock();
        // IMPORTANT: before the first cell is looked for.
        let walk = Walk::new(range, direction, reader.merged.front());
        let base = reader.base.rows(range, direction)?;
        reader.trace.walks.push(walk);
        Ok(Box::new(BlockRows {
            view: self.clone(),
            walk: reader.trace.walks.len() - 1,
            base,
            ahead: (range.start.to_vec(), range.end.map(<[u8]>::to_vec)),
            direction,
            cells: VecDeque::new(),
            has_more_cells: true,
            row: Ahead::Unknown,
        }))
    }
}

/// A walk over the state before the block and what merged transactions wrote over it.
struct BlockRows {
    view: BlockView,
    /// The walk's place in the trace.
    walk: usize,
    base: TxnRows,
    /// The part of the range whose written cells were not taken yet.
    ahead: (Vec<u8>, Option<Vec<u8>>),
    direction: Direction,
    /// The next written cells, in the walk's order.
    cells: VecDeque<super::cell::Cell>,
    has_more_cells: bool,
    row: Ahead,
}

/// What lies ahead of a walk.
enum Ahead {
    /// It was not looked for.
    Unknown,
    Row(Vec<u8>, Vec<u8>),
    End,
}

impl StateRows for BlockRows {
    fn pass_removed(&mut self) -> Result<u64> {
        if matches!(self.row, Ahead::Unknown) { self.pull() } else { Ok(0) }
    }

    fn peek(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        while self.pass_removed()? > 0 {}
        Ok(match &self.row {
            Ahead::Row(key, value) => Some((key, value)),
            Ahead::Unknown | Ahead::End => None,
        })
    }

    fn advance(&mut self) {
        if matches!(self.row, Ahead::Row(..)) {
            self.row = Ahead::Unknown;
        }
    }
}

impl BlockRows {
    /// Looks for the next entry, and returns how many removed keys it has passed. What lies ahead is still unknown after a page of them.
    fn pull(&mut self) -> Result<u64> {
        let view = self.view.clone();
        let mut reader = view.0.lock();
        reader.give_way();
        let Reader { merged, base, trace, .. } = &mut *reader;
        // A walk is of one transaction, and so is the trace.
        let mut walk = trace.walks.get_mut(self.walk);
        let mut removed = 0;
        while removed < REMOVED_PAGE {
            self.fill(merged);
            let below = self.base.peek(base)?;
            let order = match (self.cells.front(), below) {
                (None, None) => {
                    self.row = Ahead::End;
                    walk.iter_mut().for_each(|walk| walk.came_to(None));
                    break;
                }
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(cell), Some((key, _))) => match self.direction {
                    Direction::Forward => cell.key().cmp(key),
                    Direction::Reverse => key.cmp(cell.key()),
                },
            };
            if let Some((key, value)) = below.filter(|_| order.is_gt()) {
                walk.iter_mut().for_each(|walk| walk.came_to(Some(key)));
                self.row = Ahead::Row(key.to_vec(), value.to_vec());
                self.base.advance();
                break;
            }
            if order.is_eq() {
                self.base.advance();
            }
            let Some(cell) = self.cells.pop_front() else { continue };
            walk.iter_mut().for_each(|walk| walk.came_to(Some(cell.key())));
            let value = cell.lock().value.bytes().map(<[u8]>::to_vec);
            if let Some(value) = value {
                self.row = Ahead::Row(cell.key().to_vec(), value);
                break;
            }
            removed += 1;
        }
        Ok(removed)
    }

    /// Takes the next written cells when none are left.
    fn fill(&mut self, merged: &Merged) {
        if !self.cells.is_empty() || !self.has_more_cells {
            return;
        }
        let (start, end) = &mut self.ahead;
        let mut page = Vec::new();
        let range = KeyRange::new(start, end.as_deref());
        self.has_more_cells = merged.page(range, self.direction, PAGE_CELLS, &mut page);
        if let Some(last) = page.last() {
            match self.direction {
                Direction::Forward => {
                    *start = last.key().to_vec();
                    // The smallest key after it.
                    start.push(0);
                }
                Direction::Reverse => *end = Some(last.key().to_vec()),
            }
        }
        self.cells = page.into();
    }
}
