//! Plays steps on a storage and on the ordered map, and compares every answer.

use super::Difference;
use super::operation::{Bytes, Change, SLOTS, Step};
use crate::case::CaseResult;
use crate::check::{Row, equal, holds, same_rows};
use crate::fixture::{Fixture, batch, drain, get, owned, snapshot_get, storage_digest};
use crate::oracle::Oracle;
use std::path::Path;
use supervm_plugin_sdk::{
    Cursor, Direction, Durability, KeyRange, OpenMode, Page, PageEnd, StorageBackend,
    StorageSnapshot, Values, WriteBatch,
};

/// A storage with its views, and what they all have to show.
struct Play<'a> {
    // Fields drop in order: views before the storage.
    cursors: [Option<OpenCursor>; SLOTS],
    snapshots: [Option<(Box<dyn StorageSnapshot>, Oracle)>; SLOTS],
    storage: Option<Box<dyn StorageBackend>>,
    oracle: Oracle,
    fixture: &'a Fixture,
    dir: &'a Path,
}

struct OpenCursor {
    cursor: Box<dyn Cursor>,
    direction: Direction,
    /// All that is in its range, in its direction.
    rows: Vec<Row>,
    /// Index into `rows` of the entry that comes next.
    next: usize,
}

pub(super) fn play(fixture: &Fixture, dir: &Path, steps: &[Step]) -> Result<(), Difference> {
    let at = |step: usize| move |finding| Difference::from((step, finding));
    let opened = fixture.open_at(dir, OpenMode::Create);
    let storage = opened.map_err(|error| at(0)(error.into()))?;
    let mut play = Play {
        cursors: [const { None }; SLOTS],
        snapshots: [const { None }; SLOTS],
        storage: Some(storage),
        oracle: Oracle::default(),
        fixture,
        dir,
    };
    for (number, step) in steps.iter().enumerate() {
        play.step(step).map_err(at(number))?;
    }
    play.compare_all().map_err(at(steps.len().saturating_sub(1)))
}

impl Play<'_> {
    fn storage(&self) -> &dyn StorageBackend {
        self.storage.as_deref().expect("a reopening puts a storage in place again or ends the play")
    }

    fn step(&mut self, step: &Step) -> CaseResult {
        match step {
            Step::Write(changes) => self.write(changes, Durability::Buffered),
            Step::WriteSynced(changes) => self.write(changes, Durability::Synced),
            Step::Get(key) => {
                equal("the read", &get(self.storage(), &key.0)?, &self.oracle.get(&key.0))
            }
            Step::MultiGet(keys) => self.multi_get(keys),
            Step::Scan { start, end, reverse } => {
                let (range, direction) = (range(start, end), direction(*reverse));
                let found = drain(&mut *self.storage().cursor(range, direction)?)?;
                same_rows("the scan", &found, &self.oracle.rows(range, direction))
            }
            Step::Snapshot { slot } => {
                let snapshot = self.storage().snapshot()?;
                self.snapshots[*slot] = Some((snapshot, self.oracle.clone()));
                Ok(())
            }
            Step::ReadSnapshot { slot, key } => match &self.snapshots[*slot] {
                Some((snapshot, oracle)) => {
                    let found = snapshot_get(&**snapshot, &key.0)?;
                    equal("the snapshot's read", &found, &oracle.get(&key.0))
                }
                None => Ok(()),
            },
            Step::DropSnapshot { slot } => {
                self.snapshots[*slot] = None;
                Ok(())
            }
            Step::Cursor { slot, start, end, reverse, of_snapshot } => {
                self.open_cursor(*slot, range(start, end), direction(*reverse), *of_snapshot)
            }
            Step::NextPage { slot, full_at } => match &mut self.cursors[*slot] {
                Some(open) => next_page(open, *full_at),
                None => Ok(()),
            },
            Step::Seek { slot, key } => {
                self.cursors[*slot].as_mut().map_or(Ok(()), |cursor| seek(cursor, &key.0))
            }
            Step::DropCursor { slot } => {
                self.cursors[*slot] = None;
                Ok(())
            }
            Step::Flush => Ok(self.storage().flush(Durability::Buffered)?),
            Step::Compact => Ok(self.storage().compact(KeyRange::ALL)?),
            Step::Checkpoint => self.checkpoint(),
            Step::Reopen { close } => self.reopen(*close),
        }
    }

    fn write(&mut self, changes: &[Change], durability: Durability) -> CaseResult {
        let batch = changes_batch(changes);
        self.storage().write(&batch, durability)?;
        self.oracle.apply(&batch);
        Ok(())
    }

    fn multi_get(&self, keys: &[Bytes]) -> CaseResult {
        let (mut values, asked) =
            (Values::new(), keys.iter().map(|key| key.0.as_slice()).collect::<Vec<_>>());
        self.storage().multi_get(&asked, &mut values)?;
        let expected = asked.iter().map(|key| self.oracle.get(key)).collect();
        equal("the multi-get", &owned(&values), &expected)
    }

    fn open_cursor(
        &mut self,
        slot: usize,
        range: KeyRange<'_>,
        direction: Direction,
        of_snapshot: bool,
    ) -> CaseResult {
        let (cursor, rows) = match &self.snapshots[slot] {
            Some((snapshot, oracle)) if of_snapshot => {
                (snapshot.cursor(range, direction)?, oracle.rows(range, direction))
            }
            _ => (self.storage().cursor(range, direction)?, self.oracle.rows(range, direction)),
        };
        self.cursors[slot] = Some(OpenCursor { cursor, direction, rows, next: 0 });
        Ok(())
    }

    fn checkpoint(&self) -> CaseResult {
        let copy = self.dir.with_extension("checkpoint");
        self.storage().checkpoint(&copy)?;
        let opened = self.fixture.open_at(&copy, OpenMode::MustExist)?;
        let found = storage_digest(&*opened)?;
        drop(opened);
        std::fs::remove_dir_all(&copy)?;
        equal("the checkpoint's digest", &found, &self.oracle.digest())
    }

    fn reopen(&mut self, close: bool) -> CaseResult {
        self.cursors = [const { None }; SLOTS];
        self.snapshots = [const { None }; SLOTS];
        if close {
            self.storage().close()?;
        }
        self.storage = None;
        self.storage = Some(self.fixture.open_at(self.dir, OpenMode::MustExist)?);
        self.compare_all()
    }

    fn compare_all(&self) -> CaseResult {
        let found = drain(&mut *self.storage().cursor(KeyRange::ALL, Direction::Forward)?)?;
        let expected = self.oracle.rows(KeyRange::ALL, Direction::Forward);
        same_rows("the whole storage", &found, &expected)
    }
}

fn next_page(open: &mut OpenCursor, full_at: usize) -> CaseResult {
    let mut page = Page::new();
    page.set_full_at(full_at);
    let end = open.cursor.next_page(&mut page)?;
    let found: Vec<Row> = page.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    let left = &open.rows[open.next..];
    let expected = &left[..found.len().min(left.len())];
    same_rows("the cursor's page", &found, expected)?;
    open.next += found.len();
    let at_end = open.next == open.rows.len();
    holds(
        format!(
            "a cursor says end when nothing is left ({} entries are)",
            left.len() - found.len()
        ),
        end == PageEnd::More || at_end,
    )?;
    holds("a page before the end has an entry", end == PageEnd::End || !found.is_empty())
}

fn seek(open: &mut OpenCursor, key: &[u8]) -> CaseResult {
    open.cursor.seek(key)?;
    let before = |row: &Row| match open.direction {
        Direction::Forward => row.0.as_slice() < key,
        Direction::Reverse => row.0.as_slice() > key,
    };
    open.next = open.rows.partition_point(before);
    Ok(())
}

pub(crate) fn range<'a>(start: &'a Bytes, end: &'a Option<Bytes>) -> KeyRange<'a> {
    KeyRange::new(&start.0, end.as_ref().map(|end| end.0.as_slice()))
}

fn direction(reverse: bool) -> Direction {
    if reverse { Direction::Reverse } else { Direction::Forward }
}

/// Values are made of their key, a tag and their length, so that another key's value and an older one show.
pub(crate) fn changes_batch(changes: &[Change]) -> WriteBatch {
    batch(|batch| {
        for change in changes {
            match change {
                Change::Put(key, length, tag) => {
                    let bytes = key.0.iter().map(|byte| byte ^ tag).cycle();
                    let value: Vec<u8> = bytes.take(usize::from(*length)).collect();
                    batch.put(&key.0, &value);
                }
                Change::Delete(key) => batch.delete(&key.0),
                Change::DeleteRange(start, end) => batch.delete_range(range(start, end)),
            }
        }
    })
}
