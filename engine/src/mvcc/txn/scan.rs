//! Ordered reads.
//!
//! What a transaction sees of a range comes from two places. A key in memory is read from its cell, whatever the backend has. Of a key
//! that is only on the backend the newest version is at most the watermark, or it would not have left memory; so the backend's value is the
//! one to see, whichever moment since the transaction began the backend's cursor shows.

use super::Txn;
use crate::layout::{Area, Version, latest_range, split_record};
use crate::mvcc::cell::Cell;
use crate::storage::{Entry, Rows};
use std::cmp::Ordering;
use supervm_plugin_sdk::{Direction, KeyRange, Result, prefix_successor};

/// Cells that are taken from the index at once; the index is locked meanwhile.
const PAGE_CELLS: usize = 256;

impl Txn {
    /// The first `limit` entries whose keys begin with `prefix`, in key order.
    ///
    /// # Errors
    /// As [`scan`](Self::scan).
    pub fn scan_prefix(&mut self, prefix: &[u8], limit: usize) -> Result<Vec<Entry>> {
        let end = prefix_successor(prefix);
        self.scan(KeyRange::new(prefix, end.as_deref()), Direction::Forward, limit)
    }

    /// The first `limit` entries of `range` in `direction`. The transaction's own writes are seen.
    ///
    /// # Behavior
    /// A serializable transaction conflicts with whoever changes, adds or removes a key in the part of the range that was scanned.
    ///
    /// # Errors
    /// What the backend fails with; `Unsupported` for `Reverse` on one without reverse cursors.
    pub fn scan(
        &mut self,
        range: KeyRange<'_>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        if limit > 0 && !range.is_empty() {
            self.visit(range, direction, |key, value| {
                found.push((key.to_vec(), value.to_vec()));
                found.len() < limit
            })?;
        }
        Ok(found)
    }

    /// Calls `visit` with the entries of `range` in `direction`, as long as it returns `true`; it must not use the store.
    ///
    /// # Errors
    /// As [`scan`](Self::scan).
    pub fn visit(
        &mut self,
        range: KeyRange<'_>,
        direction: Direction,
        mut visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        let mut rows = self.rows(range, direction)?;
        while let Some((key, value)) = rows.peek(self)? {
            if !visit(key, value) {
                break;
            }
            rows.advance();
        }
        Ok(())
    }
}

pub(super) enum Next {
    /// A key in memory, loaded.
    Cell(Cell),
    /// A key that only the backend has.
    Stored { key: Vec<u8>, value: Vec<u8> },
}

impl Next {
    pub(super) fn key(&self) -> &[u8] {
        match self {
            Self::Cell(cell) => cell.key(),
            Self::Stored { key, .. } => key,
        }
    }
}

/// The keys of a range, those in memory and those on the backend, in order and each once.
pub(super) struct Merge {
    direction: Direction,
    /// What is ahead of the index.
    start: Vec<u8>,
    end: Option<Vec<u8>>,
    /// The next cells of the index, the next one last.
    cells: Vec<Cell>,
    index_has_more: bool,
    stored: Option<Rows>,
}

impl Merge {
    pub(super) fn new(txn: &Txn, range: KeyRange<'_>, direction: Direction) -> Result<Self> {
        let stored = match &txn.inner.backend {
            None => None,
            Some(storage) => {
                let (mut start, mut end) = (Vec::new(), Vec::new());
                latest_range(range, &mut start, &mut end);
                Some(storage.rows(KeyRange::new(&start, Some(&end)), direction)?)
            }
        };
        Ok(Self {
            direction,
            start: range.start.to_vec(),
            end: range.end.map(<[u8]>::to_vec),
            cells: Vec::new(),
            index_has_more: true,
            stored,
        })
    }

    pub(super) fn next(&mut self, txn: &Txn) -> Result<Option<Next>> {
        self.fill(txn);
        let Some(rows) = &mut self.stored else { return Ok(self.cells.pop().map(Next::Cell)) };
        let stored =
            rows.peek()?.map(|(key, record)| (&key[Area::Latest.prefix().len()..], record));
        let order = match (self.cells.last(), stored) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(cell), Some((key, _))) => match self.direction {
                Direction::Forward => cell.key().cmp(key),
                Direction::Reverse => key.cmp(cell.key()),
            },
        };
        if order.is_gt()
            && let Some((key, record)) = stored
        {
            // It may have come into memory since the index was looked at.
            let next = match txn.inner.index.get(key) {
                Some(cell) => Next::Cell(txn.inner.load(cell)?),
                None => only_stored(key, record, txn.pin.version)?,
            };
            rows.advance();
            return Ok(Some(next));
        }
        if order.is_eq() {
            rows.advance();
        }
        self.cells.pop().map(|cell| txn.inner.load(cell).map(Next::Cell)).transpose()
    }

    fn fill(&mut self, txn: &Txn) {
        if !self.cells.is_empty() || !self.index_has_more {
            return;
        }
        let range = KeyRange::new(&self.start, self.end.as_deref());
        let index = &txn.inner.index;
        self.index_has_more = index.page(range, self.direction, PAGE_CELLS, &mut self.cells);
        if let Some(last) = self.cells.last() {
            match self.direction {
                Direction::Forward => {
                    self.start = last.key().to_vec();
                    self.start.push(0);
                }
                Direction::Reverse => self.end = Some(last.key().to_vec()),
            }
        }
        self.cells.reverse();
    }
}

fn only_stored(key: &[u8], record: &[u8], read_version: Version) -> Result<Next> {
    let (version, value) = split_record(record)?;
    debug_assert!(version <= read_version, "a newer version keeps its key in memory");
    Ok(Next::Stored { key: key.to_vec(), value: value.to_vec() })
}
