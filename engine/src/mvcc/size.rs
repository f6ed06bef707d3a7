//! How much a transaction and a commit may change.
//!
//! A change of a key counts what its operations can take in batches: the new value, the value that it replaces, which history keeps, the
//! key in the three places where it can stand, one of them longer than the key, and [`OPERATION_BYTES`] for the rest. It counts so on
//! every backend and in every mode of history, and without a backend, so that all nodes refuse the same.
//!
//! | what | counts | at most |
//! |---|---|---|
//! | a transaction of a contract | each key that it writes, over the value just before it | [`TRANSACTION_BYTES_MAX`] and [`TRANSACTION_KEYS_MAX`] |
//! | a block | each key that it writes, once: the last value, over the value before the block | what is configured, at most [`COMMIT_BYTES_MAX`] |
//! | a commit | each key that it writes | [`COMMIT_BYTES_MAX`] |
//!
//! A change counts 81 bytes at least, so a bound in bytes is a bound on the number of keys too.

use super::sequencer::{FACTS_BYTES, FACTS_OPERATIONS};
use super::txn::CellSet;
use super::value::Value;
use crate::layout::Version;
use supervm_plugin_sdk::{BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, Error, ErrorKind, Result};

/// Bytes that the operations on one key take at most, besides the key thrice and the values: headers, prefixes, versions.
pub const OPERATION_BYTES: usize = 80;
/// Operations on a key at most: a latest value, an old one, and a part of the list of changed keys.
const OPERATIONS_PER_KEY: usize = 3;

/// Maximum bytes that a transaction of a contract changes, as [`change_bytes`] counts: what fits in one batch.
pub const TRANSACTION_BYTES_MAX: usize = BATCH_BYTES_MAX - FACTS_BYTES;
/// Maximum keys that a transaction of a contract writes: what fits in one batch.
pub const TRANSACTION_KEYS_MAX: usize =
    (BATCH_OPERATIONS_MAX - FACTS_OPERATIONS) / OPERATIONS_PER_KEY;
/// Maximum bytes that a commit changes, as [`change_bytes`] counts. One larger than a batch is written as several.
pub const COMMIT_BYTES_MAX: usize = 1 << 30;

/// Returns the bytes that a change of `key` counts, from a value of `old` bytes to one of `new`; 0 for an absent one.
#[must_use]
pub const fn change_bytes(key: &[u8], old: usize, new: usize) -> usize {
    OPERATION_BYTES + 4 * key.len() + new + old
}

/// What changes count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    pub(crate) bytes: usize,
    pub(crate) keys: usize,
}

impl Size {
    /// What `writes` count over the values at `version`.
    pub(super) fn of(writes: &CellSet<Value>, version: Version) -> Self {
        let mut size = Self::default();
        for (cell, value) in writes.iter() {
            let old = cell.lock().at(version).map_or(0, Value::len);
            size.add(cell.key(), old, value.len());
        }
        size
    }

    /// Counts one more key.
    #[inline]
    pub(crate) fn add(&mut self, key: &[u8], old: usize, new: usize) {
        self.bytes += change_bytes(key, old, new);
        self.keys += 1;
    }

    /// Operations of the changes in batches, at most.
    pub(super) fn operations(self) -> usize {
        self.keys * OPERATIONS_PER_KEY
    }

    /// Do the changes fit in one batch of `bytes_max`, besides the facts about the whole?
    pub(super) fn fits_batch(self, bytes_max: usize) -> bool {
        self.bytes + FACTS_BYTES <= bytes_max
            && self.operations() + FACTS_OPERATIONS <= BATCH_OPERATIONS_MAX
    }

    /// May a transaction of a contract change as much, when it changes `bytes_max` at most?
    #[inline]
    pub(crate) fn fits_transaction(self, bytes_max: usize) -> bool {
        self.bytes <= bytes_max && self.keys <= TRANSACTION_KEYS_MAX
    }

    /// Why a transaction of a contract may not change as much, when it changes `bytes_max` at most; `None` when it may.
    pub(crate) fn transaction_excess(self, bytes_max: usize) -> Option<String> {
        if self.fits_transaction(bytes_max) {
            return None;
        }
        let Self { bytes, keys } = self;
        Some(format!(
            "the transaction changes {bytes} bytes of {keys} keys, with what it replaces; at most {bytes_max} bytes and {TRANSACTION_KEYS_MAX} keys"
        ))
    }

    /// May a transaction of a contract change as much?
    ///
    /// # Errors
    /// `BatchTooLarge`.
    pub(super) fn check_transaction(self) -> Result<()> {
        match self.transaction_excess(TRANSACTION_BYTES_MAX) {
            None => Ok(()),
            Some(refused) => Err(self.refused(refused)),
        }
    }

    /// May a commit change as much, when it changes `bytes_max` at most?
    ///
    /// # Errors
    /// `BatchTooLarge`.
    pub(super) fn check_commit(self, bytes_max: usize) -> Result<()> {
        if self.bytes <= bytes_max {
            return Ok(());
        }
        let refused =
            format!("the commit is too large, at most {bytes_max} bytes; write less at once");
        Err(self.refused(refused))
    }

    #[cold]
    fn refused(self, message: String) -> Error {
        Error::new(ErrorKind::BatchTooLarge, "commit", message)
            .with("bytes", self.bytes)
            .with("operations", self.operations())
    }
}

/// Why a block may not change `bytes`, when it changes `bytes_max` at most; `None` when it may.
pub(crate) fn block_excess(bytes: usize, bytes_max: usize) -> Option<String> {
    (bytes > bytes_max).then(|| {
        format!(
            "the block is full: with this transaction it changes {bytes} bytes, with what it replaces; at most {bytes_max}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{
        STATE_KEY_BYTES_MAX, history_key, latest_key, put_changed_keys, put_record,
    };
    use supervm_plugin_sdk::WriteBatch;

    #[test]
    fn a_change_takes_no_more_bytes_than_it_counts() {
        for length in [1, 7, 8, 9, 100, STATE_KEY_BYTES_MAX] {
            let key = vec![b'k'; length];
            let (mut stored, mut record) = (Vec::new(), Vec::new());
            let mut batch = WriteBatch::new();
            put_record(Version(9), b"value", &mut record);
            latest_key(&key, &mut stored);
            batch.put(&stored, &record);
            history_key(&key, Version(10), &mut stored);
            batch.put(&stored, &record);
            put_changed_keys(&mut batch, Version(10), [&*key]);
            let counted = change_bytes(&key, 5, 5);
            assert!(batch.as_bytes().len() <= counted, "{length}: {counted}");
        }
    }
}
