//! The writes that some running transaction cannot see yet, in the order of their versions.
//!
//! Every installed write is appended here. It is *settled*, and leaves, when every running
//! transaction reads its version or a newer one. Until then
//!
//! - a scan of a store over a backend has to look at the key in memory, because the backend may
//!   already have a value that is too new for the transaction;
//! - a commit that scanned a range has to learn of it, if it falls into the range.
//!
//! Both look for keys in a range, and most transactions do neither. So the writes are put in key
//! order only when somebody asks for a range, each at most once.
//!
//! Invariants:
//! 1. Versions rise from the front to the back, and none is missing.
//! 2. `ordered` has the cell of each write that is not settled, but for those from `ordered_to` on.
//!
//! IMPORTANT: this lock is taken before that of a cell.

use super::cell::Cell;
use crate::keyed::take_page;
use crate::layout::Version;
use std::collections::{BTreeSet, VecDeque};
use supervm_plugin_sdk::{Direction, KeyRange};

/// Unordered writes from which on a commit puts some in order, so that no later scan has to do it
/// for a great many at once.
const UNORDERED_MAX: usize = 16 << 10;
/// Writes from which on a commit looks for those that are settled.
const SETTLE_FROM: usize = 1024;

/// One write of a committed transaction.
pub(super) struct Write {
    pub(super) version: Version,
    pub(super) cell: Cell,
    /// It left an older version, or a deletion, that garbage collection has to remove.
    pub(super) has_garbage: bool,
}

impl Write {
    /// Returns `true` when the key was not written again.
    pub(super) fn is_newest(&self) -> bool {
        self.cell.lock().newest_version() == self.version
    }
}

pub(super) struct Recent {
    writes: VecDeque<Write>,
    /// The position of the front, counted since the store was opened.
    front: u64,
    /// The position of the first write that is not in `ordered`.
    ordered_to: u64,
    ordered: BTreeSet<Cell>,
    /// The newest version of which the writes are here, or were.
    last: Version,
    /// The newest version up to which writes are known to be settled.
    horizon: Version,
    /// Number of writes at which a commit next looks for those that are settled.
    settle_at: usize,
}

impl Recent {
    pub(super) fn new(last: Version) -> Self {
        Self {
            writes: VecDeque::new(),
            front: 0,
            ordered_to: 0,
            ordered: BTreeSet::new(),
            last,
            horizon: last,
            settle_at: SETTLE_FROM,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.writes.len()
    }

    /// The newest version that was [appended](Self::push).
    pub(super) fn last(&self) -> Version {
        self.last
    }

    /// Appends a write of the newest version.
    pub(super) fn push(&mut self, write: Write) {
        debug_assert!(self.last <= write.version);
        self.last = write.version;
        self.writes.push_back(write);
    }

    /// Returns `true` when there are so many writes that a commit should look for settled ones.
    pub(super) fn is_long(&self) -> bool {
        self.writes.len() >= self.settle_at
    }

    /// Takes out what is settled when all transactions read `horizon` or newer versions, at most
    /// `most` writes, and hands it to `settled`.
    pub(super) fn settle(
        &mut self,
        horizon: Version,
        most: usize,
        mut settled: impl FnMut(Write),
    ) -> usize {
        self.horizon = self.horizon.max(horizon);
        let mut count = 0;
        while count < most {
            let Some(write) = self.writes.pop_front_if(|write| write.version <= horizon) else {
                break;
            };
            if !self.ordered.is_empty() && write.is_newest() {
                self.ordered.remove(&write.cell);
            }
            count += 1;
            settled(write);
        }
        self.front += count as u64;
        self.settle_at = SETTLE_FROM.max(2 * self.writes.len());
        count
    }

    /// Puts writes in order when very many are not, about `most` of them.
    pub(super) fn order_some(&mut self, most: usize) {
        self.skip_settled();
        let unordered = self.writes.len() - self.ordered_len();
        if unordered > UNORDERED_MAX {
            self.order_next(most);
        }
    }

    /// Appends to `page` the next cells of `range` in `direction` with a write that is not
    /// settled, at most `most`; `false` when the range has no more.
    pub(super) fn page(
        &mut self,
        range: KeyRange<'_>,
        direction: Direction,
        most: usize,
        page: &mut Vec<Cell>,
    ) -> bool {
        self.skip_settled();
        self.order_next(usize::MAX);
        take_page(&self.ordered, range, direction, most, page)
    }

    /// Number of writes of versions after `version`.
    pub(super) fn len_after(&self, version: Version) -> usize {
        self.writes.len() - self.writes.partition_point(|write| write.version <= version)
    }

    /// The cells with a write of a version after `version`, in the order of the versions.
    pub(super) fn after(&self, version: Version) -> impl Iterator<Item = &Cell> {
        let from = self.writes.partition_point(|write| write.version <= version);
        self.writes.range(from..).map(|write| &write.cell)
    }

    /// Number of writes from the front on that are in order, or need not be.
    fn ordered_len(&self) -> usize {
        self.ordered_to.saturating_sub(self.front) as usize
    }

    /// What is settled by now needs no order.
    fn skip_settled(&mut self) {
        let horizon = self.horizon;
        let settled = self.writes.partition_point(|write| write.version <= horizon);
        self.ordered_to = self.ordered_to.max(self.front + settled as u64);
    }

    fn order_next(&mut self, most: usize) {
        let from = self.ordered_len();
        let to = self.writes.len().min(from.saturating_add(most));
        self.ordered.extend(self.writes.range(from..to).map(|write| write.cell.clone()));
        self.ordered_to = self.front + to as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::Value;
    use super::*;

    fn write(version: u64, cell: &Cell) -> Write {
        cell.lock().install(Version(version), Value::new(b"value"));
        Write { version: Version(version), cell: cell.clone(), has_garbage: false }
    }

    fn keys(recent: &mut Recent) -> Vec<Vec<u8>> {
        let mut page = Vec::new();
        assert!(!recent.page(KeyRange::ALL, Direction::Forward, 100, &mut page));
        page.iter().map(|cell| cell.key().to_vec()).collect()
    }

    #[test]
    fn a_key_is_in_order_until_its_newest_write_is_settled() {
        let [a, b] = [b"a", b"b"].map(|key| Cell::new(key, Value::ABSENT));
        let mut recent = Recent::new(Version::ZERO);
        recent.push(write(1, &b));
        recent.push(write(1, &a));
        assert_eq!(keys(&mut recent), [b"a", b"b"]);
        recent.push(write(2, &a));
        assert_eq!(recent.settle(Version(1), usize::MAX, drop), 2);
        assert_eq!(keys(&mut recent), [b"a"], "b is settled, and a was written again");
        recent.settle(Version(2), usize::MAX, drop);
        assert!(keys(&mut recent).is_empty());
        assert_eq!((a.references(), b.references()), (1, 1), "nothing is held");
    }

    #[test]
    fn what_is_settled_before_it_is_in_order_never_gets_there() {
        let cells: Vec<_> = (0..10u8).map(|key| Cell::new(&[key], Value::ABSENT)).collect();
        let mut recent = Recent::new(Version::ZERO);
        (1..).zip(&cells).for_each(|(version, cell)| recent.push(write(version, cell)));
        // Most of them are known to be settled, though only some were taken out.
        assert_eq!(recent.settle(Version(8), 3, drop), 3);
        assert_eq!(keys(&mut recent), [[8], [9]]);
        assert_eq!(recent.len_after(Version(8)), 2);
        assert_eq!(recent.after(Version(9)).count(), 1);
        recent.settle(Version(10), usize::MAX, drop);
        assert_eq!((recent.len(), recent.ordered.len()), (0, 0));
    }

    #[test]
    fn a_long_backlog_is_put_in_order_in_steps() {
        let mut recent = Recent::new(Version::ZERO);
        let cells: Vec<_> =
            (0..20_000u32).map(|key| Cell::new(&key.to_be_bytes(), Value::ABSENT)).collect();
        for (version, cell) in (1..).zip(&cells) {
            recent.push(write(version, cell));
            recent.order_some(4);
            assert!(recent.len() - recent.ordered.len() <= UNORDERED_MAX + 1);
        }
        assert_eq!(recent.ordered.len(), 20_000 - UNORDERED_MAX);
    }
}
