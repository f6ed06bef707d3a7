//! What a journal lies over.

use crate::storage::{Snapshot, Storage};
use supervm_plugin_sdk::{ByteBuf, Cursor, Direction, KeyRange, Result};

/// A read view of a storage, by storage keys.
///
/// A view need not be of one moment; a journal over a [`Snapshot`] is.
pub trait StateView: Send {
    /// Copies the value of `key` into `value` and returns `true`; `false` when the key is absent.
    ///
    /// # Errors
    /// What the storage's `get` fails with.
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool>;

    /// A cursor before the first entry of `range` in `direction`.
    ///
    /// # Errors
    /// What the storage's `cursor` fails with.
    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>>;
}

impl StateView for Storage {
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.get_into(key, value)
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        Storage::cursor(self, range, direction)
    }
}

impl StateView for Snapshot {
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.get_into(key, value)
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        Snapshot::cursor(self, range, direction)
    }
}

impl<V: StateView + ?Sized> StateView for Box<V> {
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        (**self).get(key, value)
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        (**self).cursor(range, direction)
    }
}
