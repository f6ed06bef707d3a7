//! Ordered reads that are pulled row by row, between other reads of the transaction.

use super::scan::{Merge, Next};
use super::{ScannedRange, Txn};
use crate::layout::STATE_KEY_BYTES_MAX;
use crate::mvcc::cell::Cell;
use crate::mvcc::value::Value;
use supervm_plugin_sdk::{Direction, KeyRange, Result};

/// An ordered walk over a range as one transaction sees it; every call is given that transaction.
///
/// A serializable transaction conflicts with whoever changes, adds or removes a key in the part of the range that was walked so far.
pub(crate) struct TxnRows {
    merge: Merge,
    start: Vec<u8>,
    end: Option<Vec<u8>>,
    direction: Direction,
    /// Where the transaction remembers how far the walk came; `None` when it does not.
    tracked: Option<usize>,
    row: Option<Row>,
}

enum Row {
    Cell(Cell, Value),
    Stored { key: Vec<u8>, value: Vec<u8> },
}

impl Txn {
    /// A walk over `range` in `direction`. What the transaction writes after this may be seen or not.
    ///
    /// # Errors
    /// As [`scan`](Self::scan).
    pub(crate) fn rows(&mut self, range: KeyRange<'_>, direction: Direction) -> Result<TxnRows> {
        self.order_writes();
        let merge = Merge::new(self, range, direction)?;
        let tracked = self.tracks_reads().then(|| {
            self.ranges.push(nothing_of(range, direction));
            self.ranges.len() - 1
        });
        let (start, end) = (range.start.to_vec(), range.end.map(<[u8]>::to_vec));
        Ok(TxnRows { merge, start, end, direction, tracked, row: None })
    }
}

impl Txn {
    /// What the transaction sees of a loaded cell; `None` when the key did not exist.
    fn value_of(&self, cell: &Cell) -> Result<Option<Value>> {
        if let Some(own) = self.writes.get(cell) {
            return Ok(Some(own.clone()));
        }
        let chain = cell.lock();
        self.check_valid("scan")?;
        Ok(chain.at(self.pin.version).cloned())
    }

    /// Puts the transaction's writes in key order, for scans; they stay so.
    fn order_writes(&mut self) {
        if self.ordered_writes.is_none() && !self.writes.is_empty() {
            self.ordered_writes = Some(self.writes.iter().map(|(cell, _)| cell.clone()).collect());
        }
    }
}

impl TxnRows {
    /// The next entry, which stays the next until [`advance`](Self::advance); `None` at the end.
    ///
    /// # Errors
    /// What the backend fails with.
    pub(crate) fn peek(&mut self, txn: &mut Txn) -> Result<Option<(&[u8], &[u8])>> {
        if self.row.is_none() {
            self.row = self.pull(txn)?;
        }
        Ok(self.row.as_ref().map(|row| match row {
            Row::Cell(cell, value) => (cell.key(), value.bytes().unwrap_or_default()),
            Row::Stored { key, value } => (key.as_slice(), value.as_slice()),
        }))
    }

    /// Passes the entry that [`peek`](Self::peek) lent; no effect without one.
    pub(crate) fn advance(&mut self) {
        self.row = None;
    }

    fn pull(&mut self, txn: &mut Txn) -> Result<Option<Row>> {
        while let Some(next) = self.merge.next(txn)? {
            self.cover(txn, Some(next.key()));
            match next {
                Next::Stored { key, value } => return Ok(Some(Row::Stored { key, value })),
                Next::Cell(cell) => {
                    let value = txn.value_of(&cell)?;
                    if let Some(value) = value.filter(|value| value.bytes().is_some()) {
                        return Ok(Some(Row::Cell(cell, value)));
                    }
                }
            }
        }
        self.cover(txn, None);
        Ok(None)
    }

    /// Notes that the range was walked up to `key` and no further, or to its end.
    fn cover(&self, txn: &mut Txn, key: Option<&[u8]>) {
        let Some(covered) = self.tracked.and_then(|at| txn.ranges.get_mut(at)) else { return };
        match (self.direction, key) {
            (Direction::Forward, Some(key)) => {
                let end = covered.end.get_or_insert_default();
                end.clear();
                end.extend_from_slice(key);
                // The smallest key after it.
                end.push(0);
            }
            (Direction::Forward, None) => covered.end.clone_from(&self.end),
            (Direction::Reverse, Some(key)) => {
                covered.start.clear();
                covered.start.extend_from_slice(key);
            }
            (Direction::Reverse, None) => covered.start.clone_from(&self.start),
        }
    }
}

/// The part of `range` that a walk has seen that has not begun.
fn nothing_of(range: KeyRange<'_>, direction: Direction) -> ScannedRange {
    let (start, end) = match direction {
        Direction::Forward => (range.start.to_vec(), Some(range.start.to_vec())),
        Direction::Reverse => {
            // No key is that great.
            let start =
                range.end.map_or_else(|| vec![0xff; STATE_KEY_BYTES_MAX + 1], <[u8]>::to_vec);
            (start, range.end.map(<[u8]>::to_vec))
        }
    };
    ScannedRange { start, end }
}
