//! A transaction's cells.

use crate::mvcc::cell::Cell;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Up to so many cells are searched one by one; more get an index.
const SEARCHED_MAX: usize = 16;
/// As many cells as most transactions have lie in place.
const INLINE: usize = 4;

/// Cells, each once, in the order in which they came, each with a `T`.
pub(in crate::mvcc) struct CellSet<T> {
    entries: SmallVec<[(Cell, T); INLINE]>,
    /// Made when a cell is first looked for among more than [`SEARCHED_MAX`], and dropped when they are not more any longer.
    positions: OnceLock<Positions>,
}

/// Positions by the cell's id. Those of cells that were taken out stay for a while, so that taking out is cheap; a position counts when the
/// cell is at it.
type Positions = HashMap<usize, usize, foldhash::fast::RandomState>;

impl<T> CellSet<T> {
    pub(in crate::mvcc) fn new() -> Self {
        Self { entries: SmallVec::new(), positions: OnceLock::new() }
    }

    pub(in crate::mvcc) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(in crate::mvcc) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(in crate::mvcc) fn as_slice(&self) -> &[(Cell, T)] {
        &self.entries
    }

    #[inline]
    pub(in crate::mvcc) fn iter(&self) -> impl Iterator<Item = &(Cell, T)> {
        self.entries.iter()
    }

    #[inline]
    pub(in crate::mvcc) fn position(&self, cell: &Cell) -> Option<usize> {
        let id = cell.id();
        if self.entries.len() <= SEARCHED_MAX {
            return self.entries.iter().position(|(there, _)| there.id() == id);
        }
        let positions = self.positions.get_or_init(|| positions(&self.entries));
        let position = positions.get(&id).copied()?;
        self.entries.get(position).is_some_and(|(there, _)| there.id() == id).then_some(position)
    }

    #[inline]
    pub(in crate::mvcc) fn get(&self, cell: &Cell) -> Option<&T> {
        self.position(cell).map(|position| &self.entries[position].1)
    }

    pub(in crate::mvcc) fn at_mut(&mut self, position: usize) -> &mut T {
        &mut self.entries[position].1
    }

    /// Adds a cell that is not there; returns its position.
    #[inline]
    pub(in crate::mvcc) fn push(&mut self, cell: Cell, with: T) -> usize {
        let position = self.entries.len();
        let id = cell.id();
        self.entries.push((cell, with));
        if let Some(known) = self.positions.get_mut() {
            known.insert(id, position);
            // Never more positions of cells that were taken out than of those that are there.
            if known.len() > 2 * self.entries.len() {
                *known = positions(&self.entries);
            }
        }
        position
    }

    /// Takes the last cell out.
    pub(in crate::mvcc) fn pop(&mut self) -> Option<Cell> {
        let (cell, _) = self.entries.pop()?;
        if self.entries.len() <= SEARCHED_MAX {
            self.positions.take();
        }
        Some(cell)
    }
}

fn positions<T>(entries: &[(Cell, T)]) -> Positions {
    entries.iter().enumerate().map(|(position, (cell, _))| (cell.id(), position)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mvcc::value::Value;

    #[test]
    fn cells_are_found_whatever_their_number_and_after_some_left() {
        let cells: Vec<_> = (0..40u8).map(|key| Cell::new(&[key], Value::ABSENT)).collect();
        let mut set = CellSet::new();
        for (position, cell) in cells.iter().enumerate() {
            assert_eq!(set.get(cell), None);
            assert_eq!(set.push(cell.clone(), position), position);
        }
        assert!(cells.iter().enumerate().all(|(at, cell)| set.get(cell) == Some(&at)));
        for left in (0..40).rev() {
            set.pop();
            assert_eq!((set.len(), set.get(&cells[left])), (left, None));
            assert!(cells[..left].iter().enumerate().all(|(at, cell)| set.get(cell) == Some(&at)));
        }
        assert!(set.is_empty());
        set.push(cells[3].clone(), 9);
        assert_eq!(set.get(&cells[3]), Some(&9));
    }

    #[test]
    fn cells_that_come_and_go_leave_no_more_behind_than_there_are() {
        let cell = |key: u16| Cell::new(&key.to_be_bytes(), Value::ABSENT);
        let kept: Vec<_> = (0..20).map(cell).collect();
        let mut set = CellSet::new();
        for (at, cell) in kept.iter().enumerate() {
            set.push(cell.clone(), at);
        }
        let passing: Vec<_> = (20..1_000).map(cell).collect();
        for (at, passing) in passing.iter().enumerate() {
            set.push(passing.clone(), at);
            assert!(set.positions.get().is_none_or(|known| known.len() <= 2 * set.len()), "{at}");
            assert_eq!(set.get(passing), Some(&at), "looking for it makes the positions");
            set.pop();
            assert_eq!(set.get(passing), None);
        }
        // The place of one that went is another's.
        assert_eq!(set.push(passing[0].clone(), 7), 20);
        assert_eq!((set.get(&passing[0]), set.get(&passing[1])), (Some(&7), None));
        assert!(kept.iter().enumerate().all(|(at, cell)| set.get(cell) == Some(&at)));
    }
}
