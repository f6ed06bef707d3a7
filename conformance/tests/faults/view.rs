//! Snapshots and cursors: a shared map of one moment.

use crate::backend::{Map, Shared};
use crate::fault::Fault;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Bound;
use std::sync::{Arc, Weak};
use supervm_plugin_sdk::prelude::*;

/// The map of one moment; under a fault, of this moment.
#[derive(Clone)]
pub(crate) struct View {
    map: Arc<Map>,
    live: Option<Arc<Shared>>,
    /// Under a fault a cursor looks whether its storage is still there.
    storage: Weak<Shared>,
    fault: Fault,
}

impl View {
    /// The view of `map`, the map of an earlier moment.
    pub(crate) fn of(map: Arc<Map>, shared: &Arc<Shared>, fault: Fault) -> Self {
        Self { map, live: None, storage: Arc::downgrade(shared), fault }
    }

    pub(crate) fn new(shared: &Arc<Shared>, fault: Fault, live: bool) -> Self {
        let live = live.then(|| shared.clone());
        Self { map: shared.current(), live, storage: Arc::downgrade(shared), fault }
    }

    fn map(&self) -> Arc<Map> {
        self.live.as_ref().map_or_else(|| self.map.clone(), |shared| shared.current())
    }

    fn is_readable(&self) -> bool {
        self.live.as_ref().is_none_or(|shared| shared.is_readable())
    }

    pub(crate) fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        let map = self.map();
        let Some(found) = map.get(key) else {
            if self.fault == Fault::MissingKeyIsAnError {
                return Err(Error::new(ErrorKind::NotFound, "get", "there is no such key"));
            }
            return Ok(false);
        };
        assert!(self.fault != Fault::PanicsOnAKey || key[0] != 0x42, "this key panics");
        if self.fault == Fault::EmptyValueIsAbsent && found.is_empty() {
            return Ok(false);
        }
        if self.fault == Fault::BufferKeepsItsLength && found.len() < value.len() {
            value[..found.len()].copy_from_slice(found);
            return Ok(true);
        }
        value.set(found);
        Ok(true)
    }

    pub(crate) fn cursor(self, range: KeyRange<'_>, direction: Direction) -> RangeCursor {
        let found_nothing = self.fault == Fault::FfPrefixFindsNothing
            && !range.start.is_empty()
            && range.start.iter().all(|byte| *byte == 0xff);
        let end = range.end.map(<[u8]>::to_vec);
        let end = if self.fault == Fault::ScanOverrunsItsEnd { None } else { end };
        RangeCursor {
            guard: (self.fault == Fault::WriteUnderCursorDeadlocks).then(|| self.map.clone()),
            ended: range.is_empty() || found_nothing,
            view: self,
            start: range.start.to_vec(),
            end,
            direction,
            position: None,
            passed: 0,
            skip: direction == Direction::Reverse,
        }
    }
}

impl StorageSnapshot for View {
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        View::get(self, key, value)
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(self.clone().cursor(range, direction)))
    }
}

type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);
type Entries<'a> = Box<dyn Iterator<Item = (&'a Vec<u8>, &'a Vec<u8>)> + 'a>;

/// Where the next entry is.
enum Position {
    /// After this key, in the cursor's direction.
    After(Vec<u8>),
    /// At or after this key.
    At(Vec<u8>),
}

pub(crate) struct RangeCursor {
    view: View,
    start: Vec<u8>,
    end: Option<Vec<u8>>,
    direction: Direction,
    position: Option<Position>,
    ended: bool,
    /// Entries handed out.
    passed: usize,
    /// The first entry has still to be dropped, under a fault.
    skip: bool,
    /// A writer under a fault waits for it to go.
    #[expect(dead_code, reason = "only its life counts")]
    guard: Option<Arc<Map>>,
}

impl RangeCursor {
    /// The bounds of what is left; `None` when nothing can be.
    fn bounds(&self) -> Option<Bounds<'_>> {
        let mut low = Bound::Included(self.start.as_slice());
        let mut high = self.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let above = |bound: &Bound<&[u8]>, key: &[u8]| match bound {
            Bound::Included(limit) | Bound::Excluded(limit) => key > *limit,
            Bound::Unbounded => true,
        };
        match (&self.position, self.direction) {
            (None, _) => {}
            (Some(Position::After(key)), Direction::Forward) => low = Bound::Excluded(key),
            (Some(Position::At(key)), Direction::Forward) if above(&low, key) => {
                low = Bound::Included(key);
            }
            (Some(Position::After(key)), Direction::Reverse) => high = Bound::Excluded(key),
            (Some(Position::At(key)), Direction::Reverse)
                if matches!(high, Bound::Unbounded)
                    || !above(&high, key) && high != Bound::Excluded(key) =>
            {
                high = Bound::Included(key);
            }
            _ => {}
        }
        let (Bound::Included(first) | Bound::Excluded(first)) = low else {
            return Some((low, high));
        };
        match high {
            Bound::Excluded(last) if first >= last => None,
            Bound::Included(last) if first > last => None,
            _ => Some((low, high)),
        }
    }
}

impl Cursor for RangeCursor {
    fn next_page(&mut self, page: &mut Page) -> Result<PageEnd> {
        let fault = self.view.fault;
        let orphaned = self.view.storage.strong_count() == 0;
        if self.ended || fault == Fault::CursorDiesWithItsStorage && orphaned {
            return Ok(PageEnd::End);
        }
        if self.view.fault == Fault::ReadErrorTakenForEnd && !self.view.is_readable() {
            return Ok(PageEnd::End);
        }
        let map = self.view.map();
        let bounds = self.bounds();
        let mut entries: Entries<'_> = match bounds {
            None => Box::new(std::iter::empty()),
            Some(bounds) if self.direction == Direction::Forward => {
                Box::new(map.range::<[u8], _>(bounds))
            }
            Some(bounds) => Box::new(map.range::<[u8], _>(bounds).rev()),
        };
        if fault == Fault::SignedOrder {
            let mut sorted: Vec<_> = entries.collect();
            sorted.sort_by_key(|(key, _)| key.iter().map(|byte| *byte as i8).collect::<Vec<_>>());
            entries = Box::new(sorted.into_iter());
        }
        if fault == Fault::HashOrder {
            let mut sorted: Vec<_> = entries.collect();
            sorted.sort_by_key(|(key, _)| {
                let mut hasher = DefaultHasher::new();
                key.hash(&mut hasher);
                hasher.finish()
            });
            entries = Box::new(sorted.into_iter());
        }
        if fault == Fault::CursorCountsPositions {
            entries = Box::new(entries.skip(self.passed));
        }
        if fault == Fault::ReverseDropsTheFirst && std::mem::take(&mut self.skip) {
            entries.next();
        }
        let (mut last, mut passed, mut full) = (None, self.passed, false);
        for (key, value) in entries.by_ref() {
            if fault == Fault::ErrorTakenForEnd && passed == 7000 {
                break;
            }
            passed += 1;
            last = Some(key);
            if !page.push(key, value) {
                full = true;
                break;
            }
        }
        if full && fault == Fault::EntrySkippedAtPageBreak {
            last = entries.next().map(|(key, _)| key).or(last);
        }
        let last = last.cloned();
        drop(entries);
        self.passed = passed;
        if let Some(key) = last
            && fault != Fault::CursorCountsPositions
        {
            self.position = Some(Position::After(key));
        }
        if full {
            return Ok(PageEnd::More);
        }
        self.ended = true;
        if fault == Fault::EndIsNotRepeated {
            (self.ended, self.position) = (false, None);
        }
        Ok(PageEnd::End)
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        let empty = self.end.as_ref().is_some_and(|end| self.start >= *end);
        self.ended = empty;
        self.position = Some(match self.view.fault {
            Fault::SeekGoesPastTheKey => Position::After(key.to_vec()),
            _ => Position::At(key.to_vec()),
        });
        Ok(())
    }
}
