//! The last blocks of a window, counted.
//!
//! Block numbers may have gaps, so where a window begins is found by counting records. Counting a
//! whole window at each pruning would cost as much as the window is long. A [`History`] therefore
//! remembers the window that it counted last, and moves it by as many blocks as were added:
//!
//! ```text
//! counted last, of 3 blocks        [30   40   50]
//! two were added                    30   40  [50   51   90]
//!                                   ^ from here on 2 are passed over
//! ```
//!
//! Only records at or above the floor count: those below it are no longer readable and may be deleted
//! at any moment.

use super::History;
use crate::layout::{Area, BlockRecord, Version, block_key, split_block_key};
use crate::storage::{Rows, Storage};
use supervm_plugin_sdk::{Capability, Direction, KeyRange, Result};

/// Maximum number of counts of one call, of which each but the last saw a floor that rose meanwhile.
const COUNTS_MAX: u32 = 4;

/// The blocks of a window, as of the block `newest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Length that was asked for, in blocks.
    blocks: u64,
    /// Number of blocks from `oldest` to `newest`, at most `blocks`.
    counted: u64,
    oldest: Place,
    newest: u64,
}

/// A block's number, and the version that it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    number: u64,
    version: Version,
}

impl History {
    /// The version of the oldest of the last `blocks` blocks; the version 0 when there are fewer.
    ///
    /// The first call reads the records of the window, later ones those of the blocks that were added
    /// and of as many that fell out. Gives the version 0 too when prunings keep raising the floor
    /// meanwhile, so that nothing goes and a later pruning does the work.
    pub(super) fn version_of_window(&self, blocks: u64) -> Result<Version> {
        let blocks = blocks.max(1);
        let mut remembered = self.window.lock();
        for _ in 0..COUNTS_MAX {
            let meta = self.meta()?;
            let Some(newest) = meta.last_block else { break };
            let count = Count { storage: &self.storage, blocks, newest, floor: meta.floor };
            let window = match *remembered {
                Some(known) if count.goes_on_from(&known) => count.moved(known)?,
                _ => count.anew()?,
            };
            // Records at or above the floor are not deleted, so all of them were counted.
            if self.meta()?.floor > meta.floor {
                continue;
            }
            *remembered = window;
            let full = window.filter(|window| window.counted == blocks);
            return Ok(full.map_or(Version::ZERO, |window| window.oldest.version));
        }
        Ok(Version::ZERO)
    }
}

/// One count, up to the block `newest`.
struct Count<'a> {
    storage: &'a Storage,
    blocks: u64,
    newest: u64,
    floor: Version,
}

impl Count<'_> {
    fn goes_on_from(&self, known: &Window) -> bool {
        known.blocks == self.blocks
            && known.newest <= self.newest
            && known.oldest.version >= self.floor
    }

    /// `known`, moved to the newest block.
    fn moved(&self, known: Window) -> Result<Option<Window>> {
        if known.newest == self.newest {
            return Ok(Some(known));
        }
        let mut added = self.records(known.newest.saturating_add(1), Direction::Forward)?;
        let mut counted = known.counted;
        while added.next(self)?.is_some() {
            counted += 1;
        }
        self.cut(known.oldest, counted)
    }

    /// The window, counted from the newest block where the backend can, or else from the oldest.
    fn anew(&self) -> Result<Option<Window>> {
        let is_reversible = self.storage.capabilities().has(Capability::ReverseCursor);
        let direction = if is_reversible { Direction::Reverse } else { Direction::Forward };
        let mut records = self.records(0, direction)?;
        let (mut counted, mut first, mut last) = (0, None, None);
        while let Some(place) = records.next(self)? {
            counted += 1;
            first = first.or(Some(place));
            last = Some(place);
            if is_reversible && counted == self.blocks {
                break;
            }
        }
        match if is_reversible { last } else { first } {
            Some(oldest) => self.cut(oldest, counted),
            None => Ok(None),
        }
    }

    /// The window whose blocks are the last of the `counted` ones from `oldest` on.
    fn cut(&self, oldest: Place, counted: u64) -> Result<Option<Window>> {
        let (blocks, newest) = (self.blocks, self.newest);
        let surplus = counted.saturating_sub(blocks);
        if surplus == 0 {
            return Ok(Some(Window { blocks, counted, oldest, newest }));
        }
        let mut records = self.records(oldest.number, Direction::Forward)?;
        for _ in 0..surplus {
            records.next(self)?;
        }
        // `None` when records went meanwhile, which the floor tells the caller.
        let oldest = records.next(self)?;
        Ok(oldest.map(|oldest| Window { blocks, counted: blocks, oldest, newest }))
    }

    /// The records from block `from` on, or in the other direction down to it.
    fn records(&self, from: u64, direction: Direction) -> Result<Records> {
        let start = block_key(from);
        let range = KeyRange::new(&start, Area::Blocks.range().end);
        Ok(Records { rows: self.storage.rows(range, direction)?, direction })
    }
}

struct Records {
    rows: Rows,
    direction: Direction,
}

impl Records {
    /// The next block that counts.
    fn next(&mut self, count: &Count<'_>) -> Result<Option<Place>> {
        let is_forward = self.direction == Direction::Forward;
        while let Some((stored, record)) = self.rows.next()? {
            let BlockRecord { number, version, .. } =
                BlockRecord::from_bytes(split_block_key(stored)?, record)?;
            match (number > count.newest, version < count.floor) {
                (false, false) => return Ok(Some(Place { number, version })),
                (true, _) if is_forward => break,
                (_, true) if !is_forward => break,
                _ => {}
            }
        }
        Ok(None)
    }
}
