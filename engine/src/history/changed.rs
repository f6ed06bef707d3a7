//! The keys that a span of versions changed, in key order, in a bounded amount of memory.
//!
//! The change log has the keys by version, and one key may be there many times. A
//! [`ChangedKeyStream`] reads the log in passes. Each pass takes the smallest keys above the last one
//! of the pass before it, as many as the memory holds:
//!
//! ```text
//! log                    d b | a d | c a | e        memory for two keys
//! pass 1, everything     a b                        c, d and e are above what it holds
//! pass 2, above b        c d
//! pass 3, above d        e                          nothing is above it: the last pass
//! ```
//!
//! A change that fits in the memory costs one reading of the log, a larger one as many as it is times
//! larger. Nothing is written to disk.

use super::view::View;
use super::{History, check_readable};
use crate::layout::{ChangedKeys, Version, change_log_key};
use std::collections::BTreeSet;
use std::ops::Bound;
use supervm_plugin_sdk::{Direction, Error, ErrorKind, KeyRange, Result};

/// Maximum memory of [`History::changed_keys`], in bytes: about 2,800,000 keys of 32 bytes.
pub const CHANGED_KEYS_BYTES_MAX: usize = 256 << 20;
/// Memory that a key takes beside its own bytes: its place in the set and the allocator's share.
const KEY_OVERHEAD_BYTES: usize = 64;

impl History {
    /// The keys that the versions in `(from, to]` wrote or deleted.
    ///
    /// # Behavior
    /// - A key is there although it is again what it was.
    /// - All keys are in memory at once, at most [`CHANGED_KEYS_BYTES_MAX`] of them, in which each key
    ///   counts 64 bytes more than its length. [`changed_key_stream`](Self::changed_key_stream) has
    ///   no such bound.
    ///
    /// # Errors
    /// `InvalidArgument` when the keys take more memory; as [`changed_key_stream`](Self::changed_key_stream).
    pub fn changed_keys(&self, from: Version, to: Version) -> Result<BTreeSet<Vec<u8>>> {
        self.changed_key_stream(from, to, CHANGED_KEYS_BYTES_MAX)?.into_set()
    }

    /// The keys that the versions in `(from, to]` wrote or deleted, one after the other in key order,
    /// with at most about `memory_bytes` of them in memory. Each key counts 64 bytes more than its
    /// length; one key is always held.
    ///
    /// # Behavior
    /// - A key is there once, although it is again what it was.
    /// - Reads the change log of these versions once for each `memory_bytes` of keys.
    /// - Goes on beside commits and pruning. On a backend with snapshots it reads as of now; on others
    ///   it fails with `VersionPruned` when `from` falls below the floor meanwhile.
    ///
    /// # Errors
    /// `VersionPruned` when `from` is below the [`floor`](Self::floor); `InvalidArgument` when `to` is
    /// above the newest version or below `from`; `Unsupported` where no old values are kept;
    /// `Corruption`; what the storage fails with.
    ///
    /// # Examples
    /// ```no_run
    /// # use supervm_engine::{history::History, layout::Version};
    /// # fn count(history: &History) -> supervm_plugin_sdk::Result<u64> {
    /// let mut keys = history.changed_key_stream(Version(100), Version(200), 1 << 20)?;
    /// let mut count = 0;
    /// while let Some(_key) = keys.next()? {
    ///     count += 1;
    /// }
    /// # Ok(count)
    /// # }
    /// ```
    pub fn changed_key_stream(
        &self,
        from: Version,
        to: Version,
        memory_bytes: usize,
    ) -> Result<ChangedKeyStream> {
        ChangedKeyStream::new(View::new(&self.storage)?, from, to, memory_bytes)
    }
}

/// The keys that a span of versions changed, in key order; see [`History::changed_key_stream`].
///
/// Holds a snapshot where the backend has them, so it keeps the storage from being closed.
pub struct ChangedKeyStream {
    view: View,
    from: Version,
    to: Version,
    memory_bytes: usize,
    /// Those of the last pass: every key above the pass before it up to the largest here.
    keys: BTreeSet<Vec<u8>>,
    /// Number of `keys` that were not lent yet; the largest ones.
    unlent: usize,
    /// There may be keys above `keys`.
    has_more: bool,
    /// `keys` is everything.
    is_whole: bool,
    /// The key that was lent last; `None` at the beginning.
    last: Option<Vec<u8>>,
}

impl ChangedKeyStream {
    pub(crate) fn new(view: View, from: Version, to: Version, memory_bytes: usize) -> Result<Self> {
        let refused = |kind, message| Err(Error::new(kind, "list changed keys", message));
        let meta = view.meta()?;
        if !meta.history.keeps_old_values() {
            let message = "the history mode is \"none\", which keeps no list of changes; use \"window\" or \"archive\"";
            return refused(ErrorKind::Unsupported, message.to_owned());
        }
        check_readable(from, &meta)?;
        check_readable(to, &meta)?;
        if to < from {
            let message = format!("versions go up, but {to} comes before {from}");
            return refused(ErrorKind::InvalidArgument, message);
        }
        let (keys, unlent, has_more, is_whole) = (BTreeSet::new(), 0, true, false);
        Ok(Self { view, from, to, memory_bytes, keys, unlent, has_more, is_whole, last: None })
    }

    /// The next key; `None` at the end.
    ///
    /// # Errors
    /// As [`History::changed_key_stream`]. The same call may be made again.
    #[expect(clippy::should_implement_trait, reason = "a key is lent until the next call")]
    pub fn next(&mut self) -> Result<Option<&[u8]>> {
        if self.unlent == 0 && self.has_more {
            self.read_pass()?;
        }
        if self.unlent == 0 {
            return Ok(None);
        }
        self.unlent -= 1;
        let above = self.last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let key = self.keys.range::<[u8], _>((above, Bound::Unbounded)).next();
        let key = key.expect("a key that was not lent is above the last one that was");
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(key);
        Ok(Some(last))
    }

    /// Begins again with the smallest key. The log is read anew only when the keys took several passes.
    pub fn rewind(&mut self) {
        self.last = None;
        if self.is_whole {
            self.unlent = self.keys.len();
        } else {
            self.unlent = 0;
            self.has_more = true;
        }
    }

    /// All keys, whichever were lent.
    ///
    /// # Errors
    /// `InvalidArgument` when they take more than the memory that was asked for; as
    /// [`History::changed_key_stream`].
    pub fn into_set(mut self) -> Result<BTreeSet<Vec<u8>>> {
        self.rewind();
        if !self.is_whole {
            self.read_pass()?;
        }
        if self.is_whole {
            return Ok(self.keys);
        }
        let refused = format!(
            "the keys that changed take more than {} bytes of memory; take fewer versions at once, or read the keys as a stream",
            self.memory_bytes
        );
        let error = Error::new(ErrorKind::InvalidArgument, "list changed keys", refused);
        Err(error.with("from", self.from).with("to", self.to))
    }

    /// Number of keys. Reads the stream to its end and rewinds it.
    ///
    /// # Errors
    /// As [`History::changed_key_stream`].
    pub fn count_keys(&mut self) -> Result<u64> {
        self.rewind();
        let mut count = 0;
        while self.unlent > 0 || self.has_more {
            if self.unlent == 0 {
                self.read_pass()?;
            }
            count += self.unlent as u64;
            self.unlent = 0;
            if self.has_more {
                self.last = self.keys.pop_last();
            }
        }
        self.rewind();
        Ok(count)
    }

    /// Takes the smallest keys above the last one that was lent.
    fn read_pass(&mut self) -> Result<()> {
        self.keys.clear();
        let mut bytes = 0;
        // From this key on the pass takes none.
        let mut end: Option<Vec<u8>> = None;
        let start = change_log_key(self.from.next(), 0);
        let stop = change_log_key(self.to.next(), 0);
        let mut rows = self.view.rows(KeyRange::new(&start, Some(&stop)), Direction::Forward)?;
        while let Some((_, part)) = rows.next()? {
            for key in ChangedKeys::new(part) {
                let key = key?;
                let is_lent = self.last.as_deref().is_some_and(|last| key <= last);
                let is_later = end.as_deref().is_some_and(|end| key >= end);
                if is_lent || is_later || self.keys.contains(key) {
                    continue;
                }
                self.keys.insert(key.to_vec());
                bytes += key.len() + KEY_OVERHEAD_BYTES;
                while bytes > self.memory_bytes && self.keys.len() > 1 {
                    end = self.keys.pop_last();
                    bytes -= end.as_ref().map_or(0, |end| end.len() + KEY_OVERHEAD_BYTES);
                }
            }
        }
        self.view.confirm(self.from)?;
        self.unlent = self.keys.len();
        self.has_more = end.is_some();
        self.is_whole = self.last.is_none() && end.is_none();
        Ok(())
    }
}

impl std::fmt::Debug for ChangedKeyStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, to, memory_bytes, .. } = self;
        f.debug_struct("ChangedKeyStream")
            .field("from", from)
            .field("to", to)
            .field("memory_bytes", memory_bytes)
            .finish_non_exhaustive()
    }
}
