//! Commits that are larger than a batch.
//!
//! Such a commit is written as several batches, of which the last one makes it count:
//!
//! ```text
//!   parts    l/ version ...            the list of the keys that it changes
//!            c/ key, h/ key version    new values, each in one batch with the old one that it replaces
//!            c/ key, h/ key version    ...
//!   batch    m/ last_version, b/ ...   the marker
//! ```
//!
//! Parts are buffered, and the marker is as durable as the commit asked: a crash that loses a batch loses those after it too. Until the
//! marker is written the newest version is the one before, and reads as of it find the old values, which are kept for that in every mode of
//! history. What a crash or a failed write leaves without a marker is rolled back when the store is opened: see [`recovery`].
//!
//! Parts are made one after the other by who writes them, so that a commit needs, besides the values that are in memory anyway, one part.
//!
//! [`recovery`]: super::recovery

use super::cell::Cell;
use super::size::change_bytes;
use super::value::Value;
use crate::layout::{ChangeLogWriter, Version, history_key, latest_key, put_record};
use crate::storage::Storage;
use supervm_plugin_sdk::{Durability, Result, WriteBatch};

/// Maximum bytes of a part, unless a single key needs more: 32 MiB at most.
pub(crate) const PART_BYTES: usize = 16 << 20;
/// Maximum operations of a part.
const PART_OPERATIONS: usize = 256 << 10;

/// What a commit changes, to be written in parts.
pub(super) struct LargeCommit {
    version: Version,
    part_bytes: usize,
    changes: Vec<Change>,
}

struct Change {
    cell: Cell,
    old: Option<(Version, Value)>,
    new: Value,
}

impl LargeCommit {
    /// The commit of `version`, which changes `keys` keys.
    pub(super) fn new(version: Version, keys: usize, part_bytes: usize) -> Self {
        Self { version, part_bytes, changes: Vec::with_capacity(keys) }
    }

    /// Adds the change of the key of `cell` from `old` to `new`.
    pub(super) fn push(&mut self, cell: &Cell, old: (Version, &Value), new: &Value) {
        let old = old.1.bytes().map(|_| (old.0, old.1.clone()));
        self.changes.push(Change { cell: cell.clone(), old, new: new.clone() });
    }

    /// Writes everything but the marker.
    ///
    /// # Errors
    /// Those of the storage. Some parts may be written.
    pub(super) fn write(&self, storage: &Storage) -> Result<()> {
        let mut part = Part::new(storage, self.part_bytes);
        // IMPORTANT: the whole list before the first value, so that everything that was written can be found.
        let mut list = ChangeLogWriter::new(self.version);
        for change in &self.changes {
            list.push(change.cell.key(), &mut part.batch);
            part.make_room(0)?;
        }
        list.finish(&mut part.batch);
        part.write()?;
        let mut writer = ChangeWriter::new(self.version, true);
        for Change { cell, old, new } in &self.changes {
            let old_bytes = old.as_ref().map_or(0, |(_, value)| value.len());
            part.make_room(change_bytes(cell.key(), old_bytes, new.len()))?;
            let old = old.as_ref().and_then(|(version, value)| Some((*version, value.bytes()?)));
            writer.write(&mut part.batch, cell.key(), old, new.bytes());
        }
        part.write()
    }
}

/// A batch of several that is being made.
pub(super) struct Part<'a> {
    storage: &'a Storage,
    bytes_max: usize,
    pub(super) batch: WriteBatch,
}

impl<'a> Part<'a> {
    /// The first part of those to `storage`, each of about `bytes_max` bytes.
    pub(super) fn new(storage: &'a Storage, bytes_max: usize) -> Self {
        Self { storage, bytes_max, batch: WriteBatch::new() }
    }

    /// Writes what is there when `bytes` more would be too much.
    pub(super) fn make_room(&mut self, bytes: usize) -> Result<()> {
        let is_full = self.batch.as_bytes().len() + bytes > self.bytes_max
            || self.batch.len() >= PART_OPERATIONS;
        if is_full { self.write() } else { Ok(()) }
    }

    /// Writes what is there.
    pub(super) fn write(&mut self) -> Result<()> {
        if !self.batch.is_empty() {
            self.storage.write(&self.batch, Durability::Buffered)?;
            self.batch.clear();
        }
        Ok(())
    }
}

/// Writes what a version changes to a batch; its buffers are used for one key after the other.
pub(super) struct ChangeWriter {
    version: Version,
    keeps_old: bool,
    stored: Vec<u8>,
    record: Vec<u8>,
}

impl ChangeWriter {
    pub(super) fn new(version: Version, keeps_old: bool) -> Self {
        Self { version, keeps_old, stored: Vec::new(), record: Vec::new() }
    }

    pub(super) fn write(
        &mut self,
        batch: &mut WriteBatch,
        key: &[u8],
        old: Option<(Version, &[u8])>,
        new: Option<&[u8]>,
    ) {
        let Self { version, keeps_old, stored, record } = self;
        latest_key(key, stored);
        match new {
            Some(value) => {
                put_record(*version, value, record);
                batch.put(stored, record);
            }
            None => batch.delete(stored),
        }
        if let Some((written_at, value)) = old
            && *keeps_old
        {
            history_key(key, *version, stored);
            put_record(written_at, value, record);
            batch.put(stored, record);
        }
    }
}
