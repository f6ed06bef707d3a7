//! Scans as of a version.
//!
//! What the state had is partly among the latest values and partly among the old ones. Each row of either says itself whether it was
//! valid at the version: a latest value from its version on, an old value from its version until it was superseded. These spans never
//! overlap for one key, so the scan is the merge of two sorted streams, each filtered row by row, in either direction.

use super::view::View;
use crate::layout::{
    Area, Version, history_key, history_range, latest_range, split_history_key, split_record,
};
use crate::storage::Rows;
use std::cmp::Ordering;
use std::fmt;
use supervm_plugin_sdk::{Direction, Error, ErrorKind, KeyRange, Result};

/// Old values that were not valid, in a row, after which the next that may be is searched for. About a page of them: a search drops
/// the page.
const PASSED_MAX: u32 = 512;

/// Reads the entries that a range had at a version, each lent until the next call.
///
/// # Behavior
/// As [`Rows`]: a failure is never taken for the end, and is repeated by every later call.
///
/// # Examples
/// ```
/// # fn count(rows: &mut supervm_engine::history::AsOfRows) -> supervm_plugin_sdk::Result<u64> {
/// let mut entries = 0;
/// while let Some((_key, _version, _value)) = rows.next()? {
///     entries += 1;
/// }
/// # Ok(entries)
/// # }
/// ```
pub struct AsOfRows {
    version: Version,
    direction: Direction,
    latest: Source,
    /// `None` when no old value can be valid.
    old: Option<Source>,
    /// The key of the old value that `old` stands on.
    old_key: Vec<u8>,
    sought: Vec<u8>,
}

/// A key, the version that wrote it, and its value.
pub type AsOfRow<'a> = (&'a [u8], Version, &'a [u8]);

/// One stream.
struct Source {
    rows: Rows,
    stands: Stands,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// On a row that was not looked at.
    Unknown,
    /// On a row that was valid.
    OnValid,
    /// On a row that was lent by the last call.
    OnLent,
    /// After the last.
    AtEnd,
}

impl Source {
    fn new(rows: Rows) -> Self {
        Self { rows, stands: Stands::Unknown }
    }

    fn pass_lent(&mut self) {
        if self.stands == Stands::OnLent {
            self.rows.advance();
            self.stands = Stands::Unknown;
        }
    }
}

impl fmt::Debug for AsOfRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsOfRows").field("version", &self.version).finish_non_exhaustive()
    }
}

impl AsOfRows {
    pub(super) fn new(
        view: &View,
        range: KeyRange<'_>,
        direction: Direction,
        version: Version,
        is_latest: bool,
    ) -> Result<Self> {
        let (mut start, mut end) = (Vec::new(), Vec::new());
        latest_range(range, &mut start, &mut end);
        // IMPORTANT: the latest values before the old ones; see `View::Live`.
        let latest = Source::new(view.rows(KeyRange::new(&start, Some(&end)), direction)?);
        let old = if is_latest {
            None
        } else {
            history_range(range, &mut start, &mut end);
            Some(Source::new(view.rows(KeyRange::new(&start, Some(&end)), direction)?))
        };
        view.confirm(version)?;
        Ok(Self { version, direction, latest, old, old_key: Vec::new(), sought: Vec::new() })
    }

    /// The next entry: its key, the version that wrote it, and its value; `None` at the end.
    ///
    /// # Errors
    /// `Corruption`; as [`Rows::next`].
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend its items")]
    pub fn next(&mut self) -> Result<Option<AsOfRow<'_>>> {
        self.latest.pass_lent();
        self.old.iter_mut().for_each(Source::pass_lent);
        self.settle_latest()?;
        self.settle_old()?;
        let has_latest = self.latest.stands == Stands::OnValid;
        let has_old = self.old.as_ref().is_some_and(|old| old.stands == Stands::OnValid);
        let order = match (has_latest, has_old) {
            (false, false) => return Ok(None),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (true, true) => self.order()?,
        };
        if order.is_le() {
            self.latest.stands = Stands::OnLent;
        }
        if let Some(old) = self.old.as_mut().filter(|_| order.is_ge()) {
            old.stands = Stands::OnLent;
        }
        // Both have the key when, on a live view, the value was superseded between the opening of the two: it is the same value.
        if order.is_le() {
            let (stored, record) = here(&mut self.latest.rows)?;
            let (version, value) = split_record(record)?;
            return Ok(Some((state_key(stored)?, version, value)));
        }
        let old = self.old.as_mut().ok_or_else(vanished)?;
        let (version, value) = split_record(here(&mut old.rows)?.1)?;
        Ok(Some((&self.old_key, version, value)))
    }

    /// Which of the two keys comes first: `Less` for the latest value's.
    fn order(&mut self) -> Result<Ordering> {
        let (stored, _) = here(&mut self.latest.rows)?;
        let order = state_key(stored)?.cmp(&self.old_key);
        Ok(match self.direction {
            Direction::Forward => order,
            Direction::Reverse => order.reverse(),
        })
    }

    /// Goes on to the next latest value that was valid.
    fn settle_latest(&mut self) -> Result<()> {
        let source = &mut self.latest;
        while source.stands == Stands::Unknown {
            let Some((_, record)) = source.rows.peek()? else {
                source.stands = Stands::AtEnd;
                break;
            };
            if split_record(record)?.0 <= self.version {
                source.stands = Stands::OnValid;
            } else {
                source.rows.advance();
            }
        }
        Ok(())
    }

    /// Goes on to the next old value that was valid.
    fn settle_old(&mut self) -> Result<()> {
        let Some(source) = &mut self.old else { return Ok(()) };
        let mut passed = 0;
        while source.stands == Stands::Unknown {
            let Some((stored, record)) = source.rows.peek()? else {
                source.stands = Stands::AtEnd;
                break;
            };
            let superseded_at = split_history_key(stored, &mut self.old_key)?;
            let (version, _) = split_record(record)?;
            let is_over = superseded_at <= self.version;
            if version <= self.version && !is_over {
                source.stands = Stands::OnValid;
                break;
            }
            source.rows.advance();
            passed += 1;
            if passed < PASSED_MAX {
                continue;
            }
            passed = 0;
            // A key with many old values: its valid one, or the next key.
            match (self.direction, is_over) {
                (Direction::Forward, true) => {
                    history_key(&self.old_key, self.version.next(), &mut self.sought);
                }
                (Direction::Forward, false) => {
                    history_key(&self.old_key, Version::MAX, &mut self.sought);
                }
                (Direction::Reverse, true) => {
                    history_key(&self.old_key, Version::ZERO, &mut self.sought);
                }
                // In this direction a search cannot find the first that is later than the version.
                (Direction::Reverse, false) => continue,
            }
            source.rows.seek(&self.sought)?;
        }
        Ok(())
    }
}

/// The row on which `rows` stand.
fn here(rows: &mut Rows) -> Result<(&[u8], &[u8])> {
    rows.peek()?.ok_or_else(vanished)
}

fn state_key(stored: &[u8]) -> Result<&[u8]> {
    stored.strip_prefix(Area::Latest.prefix()).ok_or_else(vanished)
}

#[cold]
fn vanished() -> Error {
    Error::new(ErrorKind::Internal, "read history", "a row is not the one that it was")
}
