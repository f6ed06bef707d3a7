//! What a journal lies over.

use supervm_plugin_sdk::{ByteBuf, Direction, KeyRange, Result};

/// A read view of chain state, by state keys: a contract's address and its key.
pub trait StateView: Send {
    /// Copies the value of `key` into `value` and returns `true`; `false` when the key is absent.
    ///
    /// # Errors
    /// What reading state fails with.
    fn get(&mut self, key: &[u8], value: &mut ByteBuf) -> Result<bool>;

    /// A walk over the entries of `range` in `direction`, of the view's moment. The view may be used while it is walked.
    ///
    /// # Errors
    /// What reading state fails with.
    fn rows(&mut self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn StateRows>>;
}

/// An ordered walk over entries of a [`StateView`].
pub trait StateRows: Send {
    /// Goes on towards the next entry, past keys that are to be paid for though they have no entry: those that earlier transactions of
    /// the same block removed. Returns how many keys it passed, a page of them at most; 0 when the next entry, or the end, is at hand.
    ///
    /// Their sum up to an entry follows from the view's state alone. [`peek`](Self::peek) passes what is left of them.
    ///
    /// # Errors
    /// What reading state fails with.
    fn pass_removed(&mut self) -> Result<u64> {
        Ok(0)
    }

    /// The next entry, which stays the next until [`advance`](Self::advance); `None` at the end.
    ///
    /// # Errors
    /// What reading state fails with.
    fn peek(&mut self) -> Result<Option<(&[u8], &[u8])>>;

    /// Passes the entry that [`peek`](Self::peek) lent; no effect without one.
    fn advance(&mut self);
}

impl<V: StateView + ?Sized> StateView for Box<V> {
    fn get(&mut self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        (**self).get(key, value)
    }

    fn rows(&mut self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn StateRows>> {
        (**self).rows(range, direction)
    }
}
