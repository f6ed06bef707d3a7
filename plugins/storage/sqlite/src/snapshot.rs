//! Views of one moment, and what reads from them: snapshots and cursors.
//!
//! A cursor keeps no statement open, so that a snapshot and all its cursors can share one connection. It remembers the range that is
//! still to come and asks for that anew, which costs a search in the tree: 3 us, as much as reading six entries of 1 KiB. So
//! who goes on reading gets more pages for one search, up to [`PAGES_MAX`], and never more than twice what was handed out.

use crate::error::failed;
use crate::readers::Readers;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, Rows};
use std::collections::VecDeque;
use std::sync::Arc;
use supervm_plugin_sdk::PAGE_BYTES;
use supervm_plugin_sdk::prelude::*;

/// Pages that are read with one search, at most; 64 KiB each.
const PAGES_MAX: usize = 8;

/// A connection whose read transaction stays open, at one moment; goes back to its [`Readers`] with its last owner.
#[derive(Debug)]
pub(crate) struct View {
    /// `None` in `drop` only.
    connection: Mutex<Option<Connection>>,
    began: u64,
    readers: Arc<Readers>,
}

impl View {
    pub(crate) fn new(connection: Connection, began: u64, readers: Arc<Readers>) -> Self {
        Self { connection: Mutex::new(Some(connection)), began, readers }
    }

    /// The number of commits at which its transaction began.
    pub(crate) fn began(&self) -> u64 {
        self.began
    }

    pub(crate) fn read<T>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let connection = MutexGuard::map(self.connection.lock(), |connection| {
            connection.as_mut().expect("taken by drop, which has the only reference")
        });
        read(&connection).map_err(|error| failed(operation, error))
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.get_mut().take() {
            self.readers.give_back(connection);
        }
    }
}

/// Copies the value of `key`, and says whether there is one.
pub(crate) fn get(
    connection: &Connection,
    key: &[u8],
    value: &mut ByteBuf,
) -> rusqlite::Result<bool> {
    let mut statement = select(connection)?;
    let mut rows = statement.query([key])?;
    let found = rows.next()?;
    if let Some(row) = found {
        value.set(blob(row.get_ref(0)?)?);
    }
    Ok(found.is_some())
}

pub(crate) fn multi_get(
    connection: &Connection,
    keys: &[&[u8]],
    values: &mut Values,
) -> rusqlite::Result<()> {
    let mut statement = select(connection)?;
    for key in keys {
        let mut rows = statement.query([key])?;
        match rows.next()? {
            Some(row) => values.push(Some(blob(row.get_ref(0)?)?)),
            None => values.push(None),
        }
    }
    Ok(())
}

fn select(connection: &Connection) -> rusqlite::Result<CachedStatement<'_>> {
    connection.prepare_cached("SELECT value FROM entries WHERE key = ?1")
}

fn blob(value: ValueRef<'_>) -> rusqlite::Result<&[u8]> {
    Ok(value.as_blob()?)
}

/// A view that keys are read from and cursors are made on.
#[derive(Debug)]
pub(crate) struct SqliteSnapshot(pub(crate) Arc<View>);

impl StorageSnapshot for SqliteSnapshot {
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.0.read("snapshot get", |connection| get(connection, key, value))
    }

    fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        self.0.read("snapshot multi_get", |connection| multi_get(connection, keys, values))
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        Ok(cursor(self.0.clone(), range, direction))
    }
}

/// A cursor over `view`.
pub(crate) fn cursor(
    view: Arc<View>,
    range: KeyRange<'_>,
    direction: Direction,
) -> Box<dyn Cursor> {
    let ahead = RangeAhead::new(range, direction);
    Box::new(SqliteCursor { view, ahead, ready: VecDeque::new(), spare: Vec::new(), pages: 1 })
}

struct SqliteCursor {
    view: Arc<View>,
    /// What is not read yet.
    ahead: RangeAhead,
    /// Pages that are read and not handed out yet; none is empty.
    ready: VecDeque<Page>,
    /// Empty pages whose memory is used again.
    spare: Vec<Page>,
    /// How many the next search reads.
    pages: usize,
}

impl SqliteCursor {
    /// Reads entries from where the cursor is into `page`, and into `ready` as many more pages as are due.
    fn read(&mut self, page: &mut Page) -> Result<()> {
        let Self { view, ahead, ready, spare, pages } = self;
        let range = ahead.range();
        // Who asks for less than a whole page may not want more after it.
        let is_whole = page.full_at() >= PAGE_BYTES;
        let further_pages = if is_whole { *pages - 1 } else { 0 };
        let last = view.read("next_page", |connection| {
            let mut statement = connection.prepare_cached(scan(range, ahead.direction()))?;
            let mut rows = match range.end {
                Some(end) => statement.query((range.start, end)),
                None => statement.query((range.start,)),
            }?;
            let mut last = fill(page, &mut rows)?;
            for _ in 0..further_pages {
                if last.is_none() {
                    break;
                }
                let mut further = spare.pop().unwrap_or_default();
                last = fill(&mut further, &mut rows)?;
                ready.push_back(further);
            }
            Ok(last)
        })?;
        match last {
            Some(last) => ahead.pass(&last),
            None => ahead.finish(),
        }
        if is_whole {
            *pages = (*pages * 2).min(PAGES_MAX);
        }
        Ok(())
    }
}

impl Cursor for SqliteCursor {
    fn next_page(&mut self, page: &mut Page) -> Result<PageEnd> {
        if page.full_at() < PAGE_BYTES
            && let Some((next, _)) = self.ready.front().and_then(|ready| ready.iter().next())
        {
            // What is ready is more than is wanted.
            let next = next.to_vec();
            self.seek(&next)?;
        }
        match self.ready.pop_front() {
            // The page that comes in is empty, and its memory serves for a later one.
            Some(ready) => self.spare.push(std::mem::replace(page, ready)),
            None if self.ahead.range().is_empty() => return Ok(PageEnd::End),
            None => self.read(page)?,
        }
        let is_end = self.ready.is_empty() && self.ahead.range().is_empty();
        Ok(if is_end { PageEnd::End } else { PageEnd::More })
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.ahead.seek(key);
        self.spare.extend(self.ready.drain(..).map(|mut page| {
            page.clear();
            page
        }));
        self.pages = 1;
        Ok(())
    }
}

fn scan(range: KeyRange<'_>, direction: Direction) -> &'static str {
    match (direction, range.end.is_some()) {
        (Direction::Forward, true) => {
            "SELECT key, value FROM entries WHERE key >= ?1 AND key < ?2 ORDER BY key"
        }
        (Direction::Forward, false) => {
            "SELECT key, value FROM entries WHERE key >= ?1 ORDER BY key"
        }
        (Direction::Reverse, true) => {
            "SELECT key, value FROM entries WHERE key >= ?1 AND key < ?2 ORDER BY key DESC"
        }
        (Direction::Reverse, false) => {
            "SELECT key, value FROM entries WHERE key >= ?1 ORDER BY key DESC"
        }
    }
}

/// Appends entries until the page is full, and returns the key that filled it; `None` when the rows ended first.
fn fill(page: &mut Page, rows: &mut Rows<'_>) -> rusqlite::Result<Option<Vec<u8>>> {
    while let Some(row) = rows.next()? {
        let (key, value) = (blob(row.get_ref(0)?)?, blob(row.get_ref(1)?)?);
        if !page.push(key, value) {
            return Ok(Some(key.to_vec()));
        }
    }
    Ok(None)
}
