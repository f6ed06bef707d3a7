//! What a run read, to be compared with what it would read now.

use super::cell::{Cell, Writer};
use smallvec::SmallVec;
use std::ops::Bound;
use supervm_plugin_sdk::{Direction, KeyRange};

/// The reads of one run.
#[derive(Default)]
pub(super) struct Trace {
    /// The cells that were read, absent keys included, with who had written them; as many as most transactions read lie in place.
    pub(super) reads: SmallVec<[(Cell, Writer); 4]>,
    /// The ranges that were walked.
    pub(super) walks: Vec<Walk>,
}

impl Trace {
    /// The cell of `key` when it was read; looked for among the first reads only, since that is faster than asking the map for few alone.
    pub(super) fn find(&self, key: &[u8]) -> Option<&Cell> {
        const SEARCHED_MAX: usize = 8;
        let searched = self.reads.iter().take(SEARCHED_MAX);
        searched.map(|(cell, _)| cell).find(|cell| cell.key() == key)
    }

    pub(super) fn clear(&mut self) {
        self.reads.clear();
        self.walks.clear();
    }
}

/// From where to where a walk went.
pub(super) type Covered<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// A range that was walked, as far as it was.
pub(super) struct Walk {
    start: Vec<u8>,
    end: Option<Vec<u8>>,
    direction: Direction,
    /// Transactions that were merged when the walk began: it may have missed what later ones wrote.
    pub(super) front: usize,
    /// The last key that the walk came to; empty before the first.
    last: Vec<u8>,
    is_at_end: bool,
}

impl Walk {
    pub(super) fn new(range: KeyRange<'_>, direction: Direction, front: usize) -> Self {
        Self {
            start: range.start.to_vec(),
            end: range.end.map(<[u8]>::to_vec),
            direction,
            front,
            last: Vec::new(),
            is_at_end: false,
        }
    }

    /// Notes that the walk came to `key`, or to its end.
    pub(super) fn came_to(&mut self, key: Option<&[u8]>) {
        match key {
            Some(key) => {
                self.last.clear();
                self.last.extend_from_slice(key);
            }
            None => self.is_at_end = true,
        }
    }

    /// The part of the range that was walked; `None` for nothing.
    pub(super) fn covered(&self) -> Option<Covered<'_>> {
        let start = Bound::Included(self.start.as_slice());
        let end = self.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        if KeyRange::new(&self.start, self.end.as_deref()).is_empty() {
            return None;
        }
        if self.is_at_end {
            return Some((start, end));
        }
        let last = (!self.last.is_empty()).then_some(Bound::Included(self.last.as_slice()))?;
        Some(match self.direction {
            Direction::Forward => (start, last),
            Direction::Reverse => (last, end),
        })
    }
}
