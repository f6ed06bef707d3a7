//! An ordered walk over a prefix: the journal's writes merged over the view.

use super::view::StateRows;
use std::cmp::Ordering;
use std::fmt;
use supervm_plugin_sdk::host::ADDRESS_BYTES;
use supervm_plugin_sdk::{ByteBuf, Direction, Result};

/// A write of the journal, as it was when the scan was opened; `None` = deleted.
pub(super) type Pending = (Vec<u8>, Option<Vec<u8>>);

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

    /// The journal's writes that the scan has copied and not passed yet.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// Copies the next entry, its key without the contract's address; `false` at the end.
    ///
    /// `seen` gets every state key that was taken from the view.
    pub(super) fn next(
        &mut self,
        key: &mut ByteBuf,
        value: &mut ByteBuf,
        mut seen: impl FnMut(&[u8]),
    ) -> Result<bool> {
        while self.left > 0 {
            let below = self.view.peek()?;
            let order = match (self.pending.last(), below) {
                (None, None) => return Ok(false),
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
                    return Ok(true);
                }
                self.view.advance();
            }
            let Some((own, Some(content))) = self.pending.pop() else { continue };
            key.set(&own[ADDRESS_BYTES..]);
            value.set(&content);
            self.left -= 1;
            return Ok(true);
        }
        Ok(false)
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { direction, left, pending, .. } = self;
        write!(f, "Scan({direction:?}, {left} left, {} pending)", pending.len())
    }
}
