//! Long read transactions, and cursors over them.
//!
//! A [`View`] is one read transaction. A snapshot shares its view with the cursors made from it, which may outlive it; a
//! cursor of the storage has a view of its own. LMDB allows one thread at a time inside a transaction, hence the lock.
//!
//! A cursor remembers where its next page begins instead of keeping an LMDB cursor open: that one would borrow from the transaction
//! beside it. A page costs one search from the root more, about 1 µs in 64 KiB of entries.

use crate::environment::Environment;
use crate::error::lmdb_error;
use crate::readers::ReadTxn;
use parking_lot::Mutex;
use std::ops::{Bound, Range};
use std::sync::Arc;
use supervm_plugin_sdk::prelude::*;

/// A key bound that owns its key.
type OwnedBound = Bound<Vec<u8>>;

/// One version of the storage.
pub(crate) struct View {
    txn: Mutex<ReadTxn>,
    // Dropped after `txn`, and with it the data file's lock.
    environment: Arc<Environment>,
}

impl View {
    /// The version of this moment. `Busy` when every reader is taken.
    pub(crate) fn new(environment: &Arc<Environment>) -> Result<Self> {
        let txn = Mutex::new(environment.begin_read()?);
        Ok(Self { txn, environment: environment.clone() })
    }

    /// Reads every entry, and says how many there are and what is wrong with them.
    pub(crate) fn verify(&self) -> VerifyReport {
        self.walk().0
    }

    /// As [`verify`](Self::verify), and the distance in the data file from the first byte of an entry to the last.
    pub(crate) fn walk(&self) -> (VerifyReport, u64) {
        let (mut report, mut span) = (VerifyReport::default(), None);
        if let Err(error) = self.walk_entries(&mut report, &mut span) {
            let error = lmdb_error("verify", error);
            report.problems.push(format!("after {} entries: {error}", report.checked));
        }
        (report, span.map_or(0, |Range { start, end }| (end - start) as u64))
    }

    fn walk_entries(
        &self,
        report: &mut VerifyReport,
        span: &mut Option<Range<usize>>,
    ) -> heed::Result<()> {
        let txn = self.txn.lock();
        let db = &self.environment.db;
        let mut previous: &[u8] = &[];
        for entry in db.iter(&txn)? {
            let (key, value) = entry?;
            if key <= previous {
                report.problems.push(format!("entry {} is out of order", report.checked));
            }
            for bytes in [key, value] {
                // The map is the file, so addresses in it are as far apart as offsets in the file.
                let Range { start, end } = bytes.as_ptr_range();
                let known = span.get_or_insert(start.addr()..end.addr());
                *known = known.start.min(start.addr())..known.end.max(end.addr());
            }
            report.checked += 1;
            previous = key;
        }
        let (counted, found) = (db.stat(&txn)?.entries as u64, report.checked);
        if counted != found {
            let problem = format!("the root counts {counted} entries, the tree has {found}");
            report.problems.push(problem);
        }
        Ok(())
    }

    /// Appends entries between the bounds to `page`. The last key when the page is full before the range ends.
    fn fill(
        &self,
        page: &mut Page,
        bounds: &(OwnedBound, OwnedBound),
        direction: Direction,
    ) -> heed::Result<Option<Vec<u8>>> {
        let txn = self.txn.lock();
        let db = &self.environment.db;
        let bounds = &(slice(&bounds.0), slice(&bounds.1));
        match direction {
            Direction::Forward => fill(page, db.range(&txn, bounds)?),
            Direction::Reverse => fill(page, db.rev_range(&txn, bounds)?),
        }
    }
}

fn slice(bound: &OwnedBound) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

fn fill<'txn>(
    page: &mut Page,
    entries: impl Iterator<Item = heed::Result<(&'txn [u8], &'txn [u8])>>,
) -> heed::Result<Option<Vec<u8>>> {
    for entry in entries {
        let (key, value) = entry?;
        if !page.push(key, value) {
            return Ok(Some(key.to_vec()));
        }
    }
    Ok(None)
}

pub(crate) struct LmdbSnapshot(Arc<View>);

impl LmdbSnapshot {
    pub(crate) fn new(view: View) -> Self {
        Self(Arc::new(view))
    }
}

impl StorageSnapshot for LmdbSnapshot {
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        let txn = self.0.txn.lock();
        let found = self.0.environment.db.get(&txn, key);
        let found = found.map_err(|error| lmdb_error("snapshot get", error))?;
        Ok(found.inspect(|found| value.set(found)).is_some())
    }

    fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        let txn = self.0.txn.lock();
        for key in keys {
            let found = self.0.environment.db.get(&txn, key);
            values.push(found.map_err(|error| lmdb_error("snapshot multi_get", error))?);
        }
        Ok(())
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(LmdbCursor::new(self.0.clone(), range, direction)))
    }
}

pub(crate) struct LmdbCursor {
    view: Arc<View>,
    start: Vec<u8>,
    end: Option<Vec<u8>>,
    direction: Direction,
    /// What is still to be read; `None` after the end.
    rest: Option<(OwnedBound, OwnedBound)>,
}

impl LmdbCursor {
    pub(crate) fn new(view: Arc<View>, range: KeyRange<'_>, direction: Direction) -> Self {
        let (start, end) = (range.start.to_vec(), range.end.map(<[u8]>::to_vec));
        let mut cursor = Self { view, start, end, direction, rest: None };
        if !range.is_empty() {
            cursor.rest = Some((cursor.lower(), cursor.upper()));
        }
        cursor
    }

    /// The range's lower bound. LMDB does not search for an empty key.
    fn lower(&self) -> OwnedBound {
        if self.start.is_empty() { Bound::Unbounded } else { Bound::Included(self.start.clone()) }
    }

    fn upper(&self) -> OwnedBound {
        self.end.clone().map_or(Bound::Unbounded, Bound::Excluded)
    }
}

impl Cursor for LmdbCursor {
    fn next_page(&mut self, page: &mut Page) -> Result<PageEnd> {
        let Some(bounds) = &mut self.rest else { return Ok(PageEnd::End) };
        let filled = self.view.fill(page, bounds, self.direction);
        let Some(last) = filled.map_err(|error| lmdb_error("next_page", error))? else {
            self.rest = None;
            return Ok(PageEnd::End);
        };
        match self.direction {
            Direction::Forward => bounds.0 = Bound::Excluded(last),
            Direction::Reverse => bounds.1 = Bound::Excluded(last),
        }
        Ok(PageEnd::More)
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        let is_past_start = key > self.start.as_slice();
        let is_before_end = self.end.as_deref().is_none_or(|end| key < end);
        let (mut lower, mut upper) = (self.lower(), self.upper());
        let has_entries = match self.direction {
            Direction::Forward => {
                if is_past_start {
                    lower = Bound::Included(key.to_vec());
                }
                is_before_end
            }
            Direction::Reverse => {
                if is_before_end {
                    upper = Bound::Included(key.to_vec());
                }
                // No key is as small as the empty one.
                !key.is_empty() && key >= self.start.as_slice()
            }
        };
        let is_empty = self.end.as_deref().is_some_and(|end| end <= self.start.as_slice());
        self.rest = (has_entries && !is_empty).then_some((lower, upper));
        Ok(())
    }
}
