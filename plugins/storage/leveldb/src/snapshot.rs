//! Snapshots, and cursors over one moment.
//!
//! A cursor keeps LevelDB's iterator where its last page ended. LevelDB skips a block that it cannot read and goes on behind it, so no
//! page is handed out before the iterator was asked whether that happened.
//!
//! A key that is written again and again has its old values in the table in memory and in young tables, and a step forward walks over
//! all of them: thousands, at 50 ns each. Nothing tells how many there are but the time, so a cursor looks at the clock now and
//! then; where steps are slow, it searches for the next key instead, which costs some microseconds however many there are.

use crate::database::{Iterator, Snapshot};
use std::time::{Duration, Instant};
use supervm_plugin_sdk::prelude::*;

/// Entries between two looks at the clock.
const STEPS_TIMED: u32 = 16;
/// More time than a search takes, for that many steps: then it is worth to search.
const STEPS_ARE_SLOW: Duration = Duration::from_micros(20 * STEPS_TIMED as u64);
/// Entries that are searched for before steps are tried again.
const SEARCHES: u32 = 256;

pub(crate) struct LevelDbSnapshot(pub(crate) Snapshot);

impl StorageSnapshot for LevelDbSnapshot {
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        let found = self.0.get(key, |found| value.set(found));
        found.map(|found| found.is_some()).map_err(|failure| failure.during("snapshot get"))
    }

    fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        for key in keys {
            let found = self.0.get(key, |found| values.push(Some(found)));
            if found.map_err(|failure| failure.during("snapshot multi_get"))?.is_none() {
                values.push(None);
            }
        }
        Ok(())
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(LevelDbCursor::new(self.0.iterator(), range, direction)))
    }
}

pub(crate) struct LevelDbCursor {
    iterator: Iterator,
    start: Vec<u8>,
    end: Option<Vec<u8>>,
    direction: Direction,
    position: Position,
    gait: Gait,
}

/// How a cursor comes from one entry to the next one forward.
struct Gait {
    is_searching: bool,
    /// Entries until that is decided again.
    left: u32,
    since: Instant,
    /// The key that is searched for.
    after: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Before the first entry of the range, without having looked for it.
    Start,
    /// Where the iterator is.
    There,
    /// Behind the last entry of the range.
    End,
}

impl LevelDbCursor {
    pub(crate) fn new(iterator: Iterator, range: KeyRange<'_>, direction: Direction) -> Self {
        let (start, end) = (range.start.to_vec(), range.end.map(<[u8]>::to_vec));
        let position = if range.is_empty() { Position::End } else { Position::Start };
        Self { iterator, start, end, direction, position, gait: Gait::new() }
    }

    fn seek_to_start(&mut self) {
        match (self.direction, &self.end) {
            (Direction::Forward, _) if self.start.is_empty() => self.iterator.seek_to_first(),
            (Direction::Forward, _) => self.iterator.seek(&self.start),
            (Direction::Reverse, None) => self.iterator.seek_to_last(),
            (Direction::Reverse, Some(end)) => seek_before(&mut self.iterator, end),
        }
    }

    /// Appends entries; `true` when the page is full before the range ends.
    fn fill(&mut self, page: &mut Page) -> bool {
        let Self { iterator, start, end, direction, gait, .. } = self;
        // The time between two pages is the caller's.
        gait.begin();
        match direction {
            Direction::Forward => {
                while let Some((key, value)) = iterator.entry()
                    && end.as_deref().is_none_or(|end| key < end)
                {
                    let has_room = page.push(key, value);
                    gait.advance(iterator);
                    if !has_room {
                        return true;
                    }
                }
            }
            Direction::Reverse => {
                while let Some((key, value)) = iterator.entry()
                    && key >= start.as_slice()
                {
                    let has_room = page.push(key, value);
                    iterator.previous();
                    if !has_room {
                        return true;
                    }
                }
            }
        }
        false
    }
}

impl Gait {
    fn new() -> Self {
        Self { is_searching: false, left: STEPS_TIMED, since: Instant::now(), after: Vec::new() }
    }

    fn begin(&mut self) {
        if !self.is_searching {
            self.step(Instant::now());
        }
    }

    #[inline]
    fn advance(&mut self, iterator: &mut Iterator) {
        if self.is_searching {
            self.after.clear();
            self.after.extend_from_slice(iterator.entry().map_or(&[], |(key, _)| key));
            self.after.push(0);
            iterator.seek(&self.after);
        } else {
            iterator.next();
        }
        self.left -= 1;
        if self.left == 0 {
            self.decide();
        }
    }

    fn decide(&mut self) {
        let now = Instant::now();
        if !self.is_searching && now - self.since > STEPS_ARE_SLOW {
            (self.is_searching, self.left) = (true, SEARCHES);
        } else {
            self.step(now);
        }
    }

    fn step(&mut self, now: Instant) {
        (self.is_searching, self.left, self.since) = (false, STEPS_TIMED, now);
    }
}

impl Cursor for LevelDbCursor {
    fn next_page(&mut self, page: &mut Page) -> Result<PageEnd> {
        match self.position {
            Position::End => return Ok(PageEnd::End),
            Position::Start => self.seek_to_start(),
            Position::There => {}
        }
        let is_full = self.fill(page);
        if let Err(failure) = self.iterator.status() {
            // The entries behind a gap are in it.
            page.clear();
            return Err(failure.during("next_page"));
        }
        self.position = if is_full { Position::There } else { Position::End };
        Ok(if is_full { PageEnd::More } else { PageEnd::End })
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        let range = KeyRange::new(&self.start, self.end.as_deref());
        let is_behind_start = key > range.start;
        let is_before_end = range.end.is_none_or(|end| key < end);
        let (is_outside, is_clamped) = match self.direction {
            Direction::Forward => (!is_before_end, !is_behind_start),
            // No key is as small as the empty one.
            Direction::Reverse => (key.is_empty() || key < range.start, !is_before_end),
        };
        self.position = if is_outside || range.is_empty() {
            Position::End
        } else if is_clamped {
            Position::Start
        } else {
            match self.direction {
                Direction::Forward => self.iterator.seek(key),
                Direction::Reverse => seek_to_or_before(&mut self.iterator, key),
            }
            Position::There
        };
        Ok(())
    }
}

/// Moves to the last entry before `key`.
fn seek_before(iterator: &mut Iterator, key: &[u8]) {
    iterator.seek(key);
    match iterator.entry() {
        Some(_) => iterator.previous(),
        None => iterator.seek_to_last(),
    }
}

/// Moves to the last entry at or before `key`.
fn seek_to_or_before(iterator: &mut Iterator, key: &[u8]) {
    iterator.seek(key);
    match iterator.entry() {
        Some((found, _)) if found == key => {}
        Some(_) => iterator.previous(),
        None => iterator.seek_to_last(),
    }
}
