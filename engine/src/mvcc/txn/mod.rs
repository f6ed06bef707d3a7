//! A transaction.

mod read;
mod scan;
mod rows;
mod set;

pub(crate) use rows::TxnRows;
pub(super) use set::CellSet;

use super::cell::Cell;
use super::commit::{self, Request};
use super::config::{CommitOptions, Isolation};
use super::evict::cell_bytes;
use super::inner::Inner;
use super::mutant::{Mutant, mutant};
use super::readers::Pin;
use super::size::Size;
use super::value::Value;
use crate::digest::StateAccumulator;
use crate::layout::{STATE_LIMITS, Version};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use supervm_plugin_sdk::{Error, ErrorKind, KeyRange, Result, check_key, check_value};

/// Versions that came since a transaction began from which on its end may free much memory.
const LONG_VERSIONS: u64 = 1024;

/// A transaction: reads of one moment, its own writes over them, and a commit that takes effect whole or not at all.
///
/// It belongs to one thread at a time. Dropping it is [`abort`](Self::abort).
///
/// # Examples
/// ```
/// use supervm_engine::mvcc::MvccStore;
/// let store = MvccStore::new();
/// let mut txn = store.begin();
/// txn.write(b"k", b"1")?;
/// assert_eq!(txn.read(b"k")?.as_deref(), Some(&b"1"[..]));
/// let version = txn.commit()?;
/// assert_eq!(store.begin_read_only().read_version(), version);
/// # Ok::<(), supervm_plugin_sdk::Error>(())
/// ```
pub struct Txn {
    inner: Arc<Inner>,
    pin: Pin,
    access: Access,
    reads: CellSet<()>,
    ranges: Vec<ScannedRange>,
    writes: CellSet<Value>,
    /// The cells of `writes` in key order, from the first scan on that finds some.
    ordered_writes: Option<BTreeSet<Cell>>,
    /// Bytes that the cells of `reads` and `writes` keep in memory, about.
    held_bytes: usize,
    /// How `writes` change the digest, where that was found out beforehand.
    delta: Option<StateAccumulator>,
    /// What `writes` held before each write since the first open savepoint; empty without one.
    undo: Vec<Undo>,
    savepoints: Vec<(Savepoint, usize)>,
}

/// What a transaction may do, and what is remembered of it for that.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Nothing is remembered.
    ReadOnly,
    Write(Isolation),
}

/// A range that was scanned, as far as it was.
pub(super) struct ScannedRange {
    pub(super) start: Vec<u8>,
    pub(super) end: Option<Vec<u8>>,
}

impl ScannedRange {
    pub(super) fn contains(&self, key: &[u8]) -> bool {
        KeyRange::new(&self.start, self.end.as_deref()).contains(key)
    }
}

/// A write's place, and what was there before; `None` = nothing of this transaction.
struct Undo {
    position: usize,
    before: Option<Value>,
}

/// A mark in a transaction to roll back to; of that transaction alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Savepoint(u64);

impl Txn {
    pub(super) fn begin(inner: Arc<Inner>, isolation: Isolation) -> Self {
        Self::new(inner, Access::Write(isolation))
    }

    pub(super) fn begin_read_only(inner: Arc<Inner>) -> Self {
        Self::new(inner, Access::ReadOnly)
    }

    fn new(inner: Arc<Inner>, access: Access) -> Self {
        let pin = inner.readers.pin();
        Self {
            inner,
            pin,
            access,
            reads: CellSet::new(),
            ranges: Vec::new(),
            writes: CellSet::new(),
            ordered_writes: None,
            held_bytes: 0,
            delta: None,
            undo: Vec::new(),
            savepoints: Vec::new(),
        }
    }

    /// The version whose state the transaction reads.
    pub fn read_version(&self) -> Version {
        self.pin.version
    }

    /// Does it refuse writes?
    pub fn is_read_only(&self) -> bool {
        self.access == Access::ReadOnly
    }

    /// The value of `key`; `None` when it does not exist. The transaction's own writes are seen.
    ///
    /// # Errors
    /// `InvalidKey` for the empty key, `KeyTooLarge` above [`STATE_KEY_BYTES_MAX`](crate::layout::STATE_KEY_BYTES_MAX); what the backend fails with.
    pub fn read(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read_with(key, |value| value.map(<[u8]>::to_vec))
    }

    /// As [`read`](Self::read), into a buffer that may be reused; `false` when the key does not exist.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_into(&mut self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        self.read_with(key, |found| found.map(|found| value.extend_from_slice(found)).is_some())
    }

    /// Calls `use_value` with the value of `key`, in place; it must not use the store.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    pub fn read_with<R>(
        &mut self,
        key: &[u8],
        use_value: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Result<R> {
        check_key(key, &STATE_LIMITS)?;
        if self.is_read_only() && self.inner.has_backend() {
            return self.glance(key, use_value);
        }
        let Some(cell) = self.cell(key)? else { return Ok(use_value(None)) };
        if let Some(own) = self.writes.get(&cell) {
            return Ok(use_value(own.bytes()));
        }
        let result = self.use_cell(&cell, use_value)?;
        if self.tracks_reads() && self.reads.position(&cell).is_none() {
            self.hold(&cell)?;
            self.reads.push(cell, ());
        }
        Ok(result)
    }

    /// The value of `key` in a read-only transaction, which remembers nothing, so that several threads may read it at once.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn read_shared(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.peek(key).map(|(value, _)| value.bytes().map(<[u8]>::to_vec))
    }

    /// The value of `key` in a read-only transaction, with its cell when it has one.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn peek(&self, key: &[u8]) -> Result<(Value, Option<Cell>)> {
        debug_assert!(self.is_read_only(), "what others read has to be remembered");
        check_key(key, &STATE_LIMITS)?;
        let Some(cell) = self.cell(key)? else { return Ok((Value::ABSENT, None)) };
        let chain = cell.lock();
        self.check_valid("read")?;
        let value = chain.at(self.pin.version).cloned().unwrap_or(Value::ABSENT);
        drop(chain);
        Ok((value, Some(cell)))
    }

    /// As [`write`](Self::write), or [`delete`](Self::delete), of a key that the transaction has not written; with its cell where that is
    /// known, which saves the look-up.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(crate) fn write_new(&mut self, key: &[u8], cell: Option<Cell>, value: Value) -> Result<()> {
        check_key(key, &STATE_LIMITS)?;
        check_value(value.bytes().unwrap_or_default(), &STATE_LIMITS)?;
        let cell = cell.map_or_else(|| self.inner.loaded(key), Ok)?;
        debug_assert!(self.savepoints.is_empty() && self.ordered_writes.is_none());
        self.delta = None;
        self.writes.push(cell, value);
        Ok(())
    }

    /// Sets `key` to `value` when the transaction commits.
    ///
    /// # Errors
    /// `ReadOnly` on a read-only transaction; `InvalidKey`, `KeyTooLarge`; `ValueTooLarge` above [`STATE_VALUE_BYTES_MAX`](crate::layout::STATE_VALUE_BYTES_MAX); what the backend
    /// fails with.
    pub fn write(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        check_value(value, &STATE_LIMITS)?;
        self.set(key, Value::new(value))
    }

    /// Removes `key` when the transaction commits; no error when it does not exist.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.set(key, Value::ABSENT)
    }

    /// Keys that the transaction would change.
    pub fn writes_len(&self) -> usize {
        self.writes.len()
    }

    /// Marks this moment. Savepoints nest.
    pub fn savepoint(&mut self) -> Savepoint {
        // Of all transactions, so that one's savepoint is never taken for another's.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let savepoint = Savepoint(NEXT.fetch_add(1, Ordering::Relaxed));
        self.savepoints.push((savepoint, self.undo.len()));
        savepoint
    }

    /// Undoes the writes since `savepoint`, which stays; those made after it end. Reads stay in the transaction's conflict check: what
    /// was decided may rest on them.
    ///
    /// # Errors
    /// `InvalidArgument` when the savepoint has ended, or is of another transaction.
    pub fn rollback_to(&mut self, savepoint: Savepoint) -> Result<()> {
        let position = self.find(savepoint, "roll back")?;
        self.delta = None;
        let mark = self.savepoints[position].1;
        self.savepoints.truncate(position + 1);
        for Undo { position, before } in self.undo.drain(mark..).rev() {
            match before {
                Some(_) if mutant(Mutant::RollbackKeepsOverwrite) => {}
                Some(value) => *self.writes.at_mut(position) = value,
                // Writes are only ever added at the end, so the one to undo is the last.
                None => {
                    let undone = self.writes.pop();
                    if let (Some(ordered), Some(cell)) = (&mut self.ordered_writes, undone) {
                        ordered.remove(&cell);
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends `savepoint` and those made after it, and keeps what was done since.
    ///
    /// # Errors
    /// As [`rollback_to`](Self::rollback_to).
    pub fn release(&mut self, savepoint: Savepoint) -> Result<()> {
        let position = self.find(savepoint, "release")?;
        self.savepoints.truncate(position);
        if self.savepoints.is_empty() {
            self.undo.clear();
        }
        Ok(())
    }

    /// Commits with the default options; the version that the writes have.
    ///
    /// # Errors
    /// As [`commit_with`](Self::commit_with).
    pub fn commit(self) -> Result<Version> {
        self.commit_with(CommitOptions::default())
    }

    /// Makes the writes take effect, all or none, and returns their version.
    ///
    /// # Behavior
    /// - Without writes and block nothing happens, and the version is the one that was read.
    /// - Commits of several threads are written to the backend as one batch; one that is larger than a batch as several, of which the
    ///   last makes it take effect.
    ///
    /// # Errors
    /// - `Conflict`: since the transaction began, another one changed a key that this one writes, or, when it is serializable, a key or
    ///   range that it read. Nothing took effect; begin anew.
    /// - `BatchTooLarge`: the writes count more than [`COMMIT_BYTES_MAX`](super::COMMIT_BYTES_MAX). Nothing took effect.
    /// - `InvalidArgument` for a block that does not follow the last one; `ReadOnly` for a block on a read-only transaction.
    /// - `Unsupported` for `Durable` on a backend without synced writes.
    /// - What the backend fails with, once, and `Poisoned` from then on; the store can be read, and written again after it is opened anew.
    ///   The [effect](supervm_plugin_sdk::Error::effect) of a commit that waited for what failed is `Unknown`, unless the backend knows that
    ///   nothing was written, and the context has the `version` that it would have had. The commit took effect if the store that
    ///   is opened anew has a [last version](crate::mvcc::MvccStore::last_version) of at least that, before anything else is committed.
    ///   A commit that is refused before it has a version took no effect.
    pub fn commit_with(self, options: CommitOptions) -> Result<Version> {
        if self.writes.is_empty() && options.block.is_none() {
            return Ok(self.pin.version);
        }
        if self.is_read_only() {
            return Err(read_only("commit"));
        }
        self.inner.commit(&Request {
            read_version: self.pin.version,
            isolation: self.isolation(),
            reads: &self.reads,
            ranges: &self.ranges,
            writes: &self.writes,
            delta: self.delta.as_ref(),
            options,
        })
    }

    /// May a transaction of a contract write as much? The same without a backend, and in every mode of history.
    ///
    /// # Errors
    /// `BatchTooLarge`.
    pub(crate) fn check_size(&self) -> Result<()> {
        Size::of(&self.writes, self.pin.version).check_transaction()
    }

    /// Finds out how the writes change the digest, where the store keeps one and there is much to find out; the commit finds it done. `share` calls what
    /// it is given on several threads.
    pub(crate) fn share_digest(&mut self, share: impl FnOnce(&(dyn Fn() + Sync))) {
        if self.inner.config.digest {
            self.delta = commit::shared_delta(&self.writes, self.pin.version, share);
        }
    }

    /// Ends the transaction without effect.
    pub fn abort(self) {}

    fn isolation(&self) -> Isolation {
        match self.access {
            Access::ReadOnly => Isolation::Snapshot,
            Access::Write(isolation) => isolation,
        }
    }

    fn tracks_reads(&self) -> bool {
        self.access == Access::Write(Isolation::Serializable)
    }

    /// The loaded cell of `key`; `None` when there is no need for one, because the key does not exist for this transaction.
    #[inline]
    fn cell(&self, key: &[u8]) -> Result<Option<Cell>> {
        // A placeholder for an absent key serves the conflict check alone.
        if self.is_read_only() && !self.inner.has_backend() {
            return Ok(self.inner.index.get(key));
        }
        self.inner.loaded(key).map(Some)
    }

    fn set(&mut self, key: &[u8], value: Value) -> Result<()> {
        if self.is_read_only() {
            return Err(read_only("write"));
        }
        check_key(key, &STATE_LIMITS)?;
        self.delta = None;
        let cell = self.inner.loaded(key)?;
        if mutant(Mutant::EqualValueSkipped)
            && cell.lock().at(self.pin.version).and_then(Value::bytes) == value.bytes()
        {
            return Ok(());
        }
        let (position, before) = match self.writes.position(&cell) {
            Some(position) => {
                (position, Some(std::mem::replace(self.writes.at_mut(position), value)))
            }
            None => {
                self.hold(&cell)?;
                if let Some(ordered) = &mut self.ordered_writes {
                    ordered.insert(cell.clone());
                }
                (self.writes.push(cell, value), None)
            }
        };
        if !self.savepoints.is_empty() {
            self.undo.push(Undo { position, before });
        }
        Ok(())
    }

    /// Counts a cell that the transaction keeps in memory until it ends.
    #[inline]
    fn hold(&mut self, cell: &Cell) -> Result<()> {
        self.held_bytes += cell_bytes(cell);
        if self.held_bytes <= self.inner.config.transaction_bytes_max {
            return Ok(());
        }
        let most = self.inner.config.transaction_bytes_max;
        let refused = format!(
            "the transaction keeps more than {most} bytes of keys in memory; commit sooner, or read in a read-only transaction"
        );
        Err(Error::new(ErrorKind::QuotaFull, "access", refused).with("keys", self.reads.len()))
    }

    fn find(&self, savepoint: Savepoint, operation: &'static str) -> Result<usize> {
        self.savepoints.iter().position(|(open, _)| *open == savepoint).ok_or_else(|| {
            let refused = "the savepoint has ended; it was released, or rolled back past";
            Error::new(ErrorKind::InvalidArgument, operation, refused)
        })
    }
}

impl Drop for Txn {
    fn drop(&mut self) {
        let inner = &self.inner;
        inner.readers.unpin(&self.pin);
        let age = inner.readers.visible().0.saturating_sub(self.pin.version.0);
        if self.held_bytes > inner.config.memory_bytes_max / 16 || age > LONG_VERSIONS {
            inner.memory.look_again();
        }
    }
}

impl fmt::Debug for Txn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Txn")
            .field("read_version", &self.pin.version)
            .field("read_only", &self.is_read_only())
            .field("reads", &self.reads.len())
            .field("writes", &self.writes.len())
            .finish_non_exhaustive()
    }
}

#[cold]
fn read_only(operation: &'static str) -> Error {
    let refused = "the transaction is read-only; begin one that may write";
    Error::new(ErrorKind::ReadOnly, operation, refused)
}
