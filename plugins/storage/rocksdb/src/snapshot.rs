//! Snapshots and iterators that own what they read from, and the contract's snapshot and cursor over them.
//!
//! The crate's snapshots and iterators borrow the database, and RocksDB's forbid closing it. Here each holds a share of the database
//! instead, so that it can be kept for as long as a caller likes; this is the only module with `unsafe`.

#![expect(
    unsafe_code,
    reason = "a borrow of a shared database becomes as long as the share; each block says why it is sound"
)]

use crate::database::Database;
use crate::error::failed;
use rocksdb::{ColumnFamily, DB, DBRawIterator, ReadOptions, ReadTier, Snapshot};
use std::sync::Arc;
use supervm_plugin_sdk::prelude::*;

/// Most values of a `multi_get` that are held at a time. RocksDB sorts the keys of one call, so that many of them share a table.
const LOOKUPS: usize = 256;

/// One moment of the database.
struct Moment {
    // Dropped in this order: the options name the snapshot, and the snapshot is of the database.
    read: ReadOptions,
    snapshot: Snapshot<'static>,
    database: Arc<Database>,
}

impl Moment {
    fn new(database: Arc<Database>) -> Self {
        let snapshot = lend(&database).snapshot();
        let mut read = ReadOptions::default();
        read.set_snapshot(&snapshot);
        Self { read, snapshot, database }
    }
}

/// An iterator and what it reads from.
struct OwnedIterator {
    // Dropped in this order: the iterator is of the moment, or of the database.
    iterator: DBRawIterator<'static>,
    _moment: Option<Arc<Moment>>,
    _database: Arc<Database>,
}

impl OwnedIterator {
    fn new(database: Arc<Database>, moment: Option<Arc<Moment>>, range: KeyRange<'_>) -> Self {
        let mut read = read_of(range);
        if let Some(moment) = &moment {
            read.set_snapshot(&moment.snapshot);
        }
        let iterator = lend(&database).raw_iterator_opt(read);
        Self { iterator, _moment: moment, _database: database }
    }
}

/// The database, for a value that holds `database` too and drops it last.
fn lend(database: &Arc<Database>) -> &'static DB {
    let db: *const DB = &raw const database.db;
    // SAFETY: the database lies in the `Arc`'s allocation, which does not move and is freed with the last share. The callers are
    // the constructors of `Moment` and `OwnedIterator`: both hold a share in a field that is declared, and so dropped, after the one
    // that borrows, and neither hands the borrow on.
    unsafe { &*db }
}

/// As the contract's `get`.
#[inline]
pub(crate) fn get(db: &DB, read: &ReadOptions, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
    let found = db.get_pinned_opt(key, read).map_err(|error| failed("get", error))?;
    Ok(found.inspect(|found| value.set(found)).is_some())
}

/// As the contract's `multi_get`.
pub(crate) fn multi_get(
    db: &DB,
    family: &ColumnFamily,
    read: &ReadOptions,
    keys: &[&[u8]],
    values: &mut Values,
) -> Result<()> {
    for keys in keys.chunks(LOOKUPS) {
        for found in db.batched_multi_get_cf_opt(family, keys.iter().copied(), false, read) {
            let found = found.map_err(|error| failed("multi_get", error))?;
            values.push(found.as_deref());
        }
    }
    Ok(())
}

/// Bytes of the entries in `range` that are in no table on disk yet, only in the log and in memory.
pub(crate) fn unwritten_bytes(db: &DB, range: KeyRange<'_>) -> Result<u64> {
    let mut read = read_of(range);
    read.set_read_tier(ReadTier::Memtable);
    let mut entries = db.raw_iterator_opt(read);
    entries.seek_to_first();
    let mut bytes = 0;
    while let Some((key, value)) = entries.item() {
        bytes += (key.len() + value.len()) as u64;
        entries.next();
    }
    entries.status().map_err(|error| failed("size_on_disk", error))?;
    Ok(bytes)
}

/// Reading within `range`.
fn read_of(range: KeyRange<'_>) -> ReadOptions {
    let mut read = ReadOptions::default();
    if !range.start.is_empty() {
        read.set_iterate_lower_bound(range.start);
    }
    if let Some(end) = range.end {
        read.set_iterate_upper_bound(end);
    }
    read
}

pub(crate) struct RocksDbSnapshot(Arc<Moment>);

impl RocksDbSnapshot {
    pub(crate) fn new(database: Arc<Database>) -> Self {
        Self(Arc::new(Moment::new(database)))
    }
}

impl StorageSnapshot for RocksDbSnapshot {
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        get(&self.0.database.db, &self.0.read, key, value)
    }

    fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        let database = &self.0.database;
        multi_get(&database.db, database.family()?, &self.0.read, keys, values)
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        let (database, moment) = (self.0.database.clone(), self.0.clone());
        Ok(Box::new(RocksDbCursor::new(database, Some(moment), range, direction)))
    }
}

pub(crate) struct RocksDbCursor {
    /// `None` over a range that can have no entry.
    iterator: Option<OwnedIterator>,
    direction: Direction,
    /// Does the iterator stand on the entry that filled a page, and not on the next one? It goes on when another page is wanted.
    is_on_last_read: bool,
}

impl RocksDbCursor {
    /// Over the content of this moment.
    pub(crate) fn latest(
        database: Arc<Database>,
        range: KeyRange<'_>,
        direction: Direction,
    ) -> Self {
        Self::new(database, None, range, direction)
    }

    fn new(
        database: Arc<Database>,
        moment: Option<Arc<Moment>>,
        range: KeyRange<'_>,
        direction: Direction,
    ) -> Self {
        let owned = (!range.is_empty()).then(|| {
            let mut owned = OwnedIterator::new(database, moment, range);
            match direction {
                Direction::Forward => owned.iterator.seek_to_first(),
                Direction::Reverse => owned.iterator.seek_to_last(),
            }
            owned
        });
        Self { iterator: owned, direction, is_on_last_read: false }
    }
}

impl Cursor for RocksDbCursor {
    fn next_page(&mut self, page: &mut Page) -> Result<PageEnd> {
        let Some(OwnedIterator { iterator, .. }) = &mut self.iterator else {
            return Ok(PageEnd::End);
        };
        let go_on = |iterator: &mut DBRawIterator<'_>| match self.direction {
            Direction::Forward => iterator.next(),
            Direction::Reverse => iterator.prev(),
        };
        if std::mem::take(&mut self.is_on_last_read) {
            go_on(iterator);
        }
        while let Some((key, value)) = iterator.item() {
            if !page.push(key, value) {
                self.is_on_last_read = true;
                return Ok(PageEnd::More);
            }
            go_on(iterator);
        }
        // RocksDB's iterator ends at an error as it does at the end of the range.
        iterator.status().map_err(|error| failed("next_page", error))?;
        Ok(PageEnd::End)
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        if let Some(OwnedIterator { iterator, .. }) = &mut self.iterator {
            self.is_on_last_read = false;
            // RocksDB clamps the key to the iterator's bounds.
            match self.direction {
                Direction::Forward => iterator.seek(key),
                Direction::Reverse => iterator.seek_for_prev(key),
            }
        }
        Ok(())
    }
}
