//! A read view of one moment.

use super::{Digest, Iter, Rows, limits};
use std::fmt;
use std::sync::Arc;
use supervm_plugin_sdk::{
    ByteBuf, Capabilities, Cursor, Direction, KeyRange, Limits, Result, StorageSnapshot, check_key,
};

/// A read view of the moment it was made (clause 10); cheap to clone, ends with its last clone.
///
/// May be used from any thread. It keeps the storage from being closed.
#[derive(Clone)]
pub struct Snapshot {
    snapshot: Arc<dyn StorageSnapshot>,
    capabilities: Capabilities,
    limits: Limits,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

impl Snapshot {
    pub(super) fn new(
        snapshot: Box<dyn StorageSnapshot>,
        capabilities: Capabilities,
        limits: Limits,
    ) -> Self {
        Self { snapshot: snapshot.into(), capabilities, limits }
    }

    /// The value of `key`; `None` when it was absent.
    ///
    /// # Errors
    /// `InvalidKey`, `KeyTooLarge`, `SnapshotExpired`, `Io`, `Corruption`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut value = ByteBuf::new();
        Ok(self.get_into(key, &mut value)?.then(|| value.into_vec()))
    }

    /// Copies the value of `key` into `value`, which may be reused; `false` when it was absent.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline]
    pub fn get_into(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        check_key(key, &self.limits)?;
        self.snapshot.get(key, value)
    }

    /// The entries in `range`, from the smallest key.
    ///
    /// # Errors
    /// As [`cursor`](Self::cursor).
    pub fn iter(&self, range: KeyRange<'_>) -> Result<Iter> {
        Ok(Iter::new(self.rows(range, Direction::Forward)?))
    }

    /// The entries in `range`, from the greatest key.
    ///
    /// # Errors
    /// As [`cursor`](Self::cursor).
    pub fn iter_rev(&self, range: KeyRange<'_>) -> Result<Iter> {
        Ok(Iter::new(self.rows(range, Direction::Reverse)?))
    }

    /// The entries in `range`, lent one by one.
    ///
    /// # Errors
    /// As [`cursor`](Self::cursor).
    pub fn rows(&self, range: KeyRange<'_>, direction: Direction) -> Result<Rows> {
        Ok(Rows::new(self.cursor(range, direction)?))
    }

    /// A cursor before the first entry of `range`; it may outlive the snapshot.
    ///
    /// # Errors
    /// `Unsupported` when the direction is `Reverse` and the storage does not declare `reverse_cursor`; `KeyTooLarge`;
    /// `Busy` when too many cursors are open; `Io`.
    pub fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        limits::check_cursor(&range, direction, &self.capabilities, &self.limits)?;
        self.snapshot.cursor(range, direction)
    }

    /// The digest of the whole view (clause 23). A full scan.
    ///
    /// # Errors
    /// As [`cursor`](Self::cursor) and [`Rows::next`].
    pub fn digest(&self) -> Result<Digest> {
        Digest::of(self.rows(KeyRange::ALL, Direction::Forward)?)
    }
}
