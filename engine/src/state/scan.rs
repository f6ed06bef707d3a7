//! An ordered walk over a prefix: the journal's writes merged over the view.

use super::journal::Written;
use super::view::StateRows;
use std::cmp::Ordering;
use std::fmt;
use supervm_plugin_sdk::host::ADDRESS_BYTES;
use supervm_plugin_sdk::{ByteBuf, Direction, Result};

/// A write of the journal, as it was when the scan was opened.
pub(super) type Pending = (Vec<u8>, Written);

/// How far one step of a scan came; see [`Journal::scan_step`](super::Journal::scan_step).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanStep {
    /// To an entry.
    Entry,
    /// Past so many keys that earlier transactions of the same block removed; the next entry, or the end, comes later.
    Removed(u64),
    /// To the end.
    End,
}

/// An open scan; see [`Journal::scan`](super::Journal::scan).
///
/// It sees the view and the journal's writes of the moment it was opened.
pub struct Scan {
    direction: Direction,
    /// Entries that may still be given out.
    left: u64,
    view: Box<dyn StateRows>,
    /// In the scan's order; the next one last.
    pending: Vec<Pending>,
}

impl Scan {
    pub(super) fn new(
        view: Box<dyn StateRows>,
        pending: Vec<Pending>,
        direction: Direction,
        limit: u32,
    ) -> Self {
        let left = if limit == 0 { u64::MAX } else { u64::from(limit) };
        Self { direction, left, view, pending }
    }

    /// Goes on to the next entry and copies it, its key without the contract's address, or past a page of removed keys.
    ///
    /// `seen` gets every state key that was taken from the view.
    pub(super) fn step(
        &mut self,
        key: &mut ByteBuf,
        value: &mut ByteBuf,
        mut seen: impl FnMut(&[u8]),
    ) -> Result<ScanStep> {
        while self.left > 0 {
            let removed = self.view.pass_removed()?;
            if removed > 0 {
                return Ok(ScanStep::Removed(removed));
            }
            let below = self.view.peek()?;
            let order = match (self.pending.last(), below) {
                (None, None) => return Ok(ScanStep::End),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((own, _)), Some((stored, _))) if self.direction == Direction::Forward => {
                    own.as_slice().cmp(stored)
                }
                (Some((own, _)), Some((stored, _))) => stored.cmp(own.as_slice()),
            };
            if order.is_ge()
                && let Some((stored, content)) = below
            {
                seen(stored);
                if order.is_gt() {
                    key.set(&stored[ADDRESS_BYTES..]);
                    value.set(content);
                    self.view.advance();
                    self.left -= 1;
                    return Ok(ScanStep::Entry);
                }
                self.view.advance();
            }
            let Some((own, Some(content))) = self.pending.pop() else { continue };
            key.set(&own[ADDRESS_BYTES..]);
            value.set(&content);
            self.left -= 1;
            return Ok(ScanStep::Entry);
        }
        Ok(ScanStep::End)
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { direction, left, pending, .. } = self;
        write!(f, "Scan({direction:?}, {left} left, {} pending)", pending.len())
    }
}
