//! Ordered reads.
//!
//! A transaction sees keys of a range from three places: its own writes, the keys in memory that
//! scans have to look at, and the backend. Of a store in memory the second are all keys. Over a
//! backend they are those that were written since some running transaction began: a key that is in
//! memory and not among them has the backend's value. The backend's cursor is of a moment after the
//! transaction began, and the keys in memory are asked for after that, so whatever the cursor shows
//! too new, or misses because it was deleted, is found in memory.

use super::Txn;
use crate::layout::{Area, latest_range, split_record};
use crate::mvcc::cell::Cell;
use crate::mvcc::commit::expired;
use crate::mvcc::inner::Inner;
use crate::storage::{Entry, Rows};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;
use supervm_plugin_sdk::{Direction, KeyRange, Result, prefix_successor};

/// Cells that are taken at once; what they are taken from is locked meanwhile.
const PAGE_CELLS: usize = 256;
/// Recent writes from which on a scan looks first for those that are settled, and how many it takes
/// out at most.
const SETTLE_FROM: usize = 64;
const SETTLED_MAX: usize = 4096;

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
    /// The part of the range whose cells were not taken yet.
    start: Vec<u8>,
    end: Option<Vec<u8>>,
    /// The next cells, the next one last.
    cells: Vec<Cell>,
    has_more_cells: bool,
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
            has_more_cells: true,
            stored,
        })
    }

    pub(super) fn next(&mut self, txn: &Txn) -> Result<Option<Next>> {
        self.fill(txn)?;
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
            let next = only_stored(key, record, txn)?;
            rows.advance();
            return Ok(Some(next));
        }
        if order.is_eq() {
            rows.advance();
        }
        self.cells.pop().map(|cell| txn.inner.load(cell).map(Next::Cell)).transpose()
    }

    /// Takes the next cells when none are left.
    fn fill(&mut self, txn: &Txn) -> Result<()> {
        if !self.cells.is_empty() || !self.has_more_cells {
            return Ok(());
        }
        let range = KeyRange::new(&self.start, self.end.as_deref());
        self.has_more_cells = txn.inner.page(range, self.direction, PAGE_CELLS, &mut self.cells);
        // IMPORTANT: after the cells were taken: what left them may be gone for this transaction.
        txn.check_valid("scan")?;
        let last =
            self.cells.last().filter(|_| self.has_more_cells).map(|last| last.key().to_vec());
        let (mut start, mut end) = (self.start.clone(), self.end.clone());
        match (last, self.direction) {
            (None, _) => {}
            (Some(mut last), Direction::Forward) => {
                // The smallest key after it.
                last.push(0);
                end = Some(last.clone());
                self.start = last;
            }
            (Some(last), Direction::Reverse) => {
                start.clone_from(&last);
                self.end = Some(last);
            }
        }
        if let Some(own) = &txn.ordered_writes {
            add_own(own, KeyRange::new(&start, end.as_deref()), &mut self.cells);
            if self.direction == Direction::Reverse {
                return Ok(());
            }
        }
        self.cells.reverse();
        Ok(())
    }
}

impl Inner {
    /// Appends to `page` the next cells of `range` in `direction` that a scan has to look at, at
    /// most `most`; `false` when the range has no more.
    fn page(
        &self,
        range: KeyRange<'_>,
        direction: Direction,
        most: usize,
        page: &mut Vec<Cell>,
    ) -> bool {
        let mut recent = self.recent.lock();
        if recent.len() > SETTLE_FROM {
            self.settle(&mut recent, SETTLED_MAX);
        }
        if self.has_backend() {
            return recent.page(range, direction, most, page);
        }
        drop(recent);
        self.index.page(range, direction, most, page)
    }
}

/// Adds the transaction's own cells in `range` to `cells`, and puts all in key order.
fn add_own(own: &BTreeSet<Cell>, range: KeyRange<'_>, cells: &mut Vec<Cell>) {
    if !range.is_empty() {
        let end = range.end.map_or(Bound::Unbounded, Bound::Excluded);
        cells.extend(own.range::<[u8], _>((Bound::Included(range.start), end)).cloned());
    }
    cells.sort_unstable();
    cells.dedup();
}

/// A key that only the backend has.
fn only_stored(key: &[u8], record: &[u8], txn: &Txn) -> Result<Next> {
    let (version, value) = split_record(record)?;
    if version > txn.pin.version {
        // A newer version keeps its key among the recent writes, unless its readers expired.
        debug_assert!(txn.check_valid("scan").is_err(), "version {version} has left memory");
        return Err(expired("scan"));
    }
    Ok(Next::Stored { key: key.to_vec(), value: value.to_vec() })
}
