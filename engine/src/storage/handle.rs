//! The handle itself.

use super::{Digest, Entry, Iter, Manifest, Rows, Snapshot, checkpoint, limits, range_delete};
use parking_lot::{Mutex, MutexGuard, RwLock};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use supervm_plugin_sdk::{
    ByteBuf, Capabilities, Capability, Cursor, Direction, Durability, KeyRange, Limits, Result,
    StorageBackend, StorageStats, VerifyReport, WriteBatch, check_key, check_range,
    prefix_successor,
};

/// An open storage: an ordered map from byte keys to byte values, on disk.
///
/// Cheap to clone; every clone is the same storage. Every method may be called from any thread. The directory is free
/// again when the last clone, snapshot and cursor is gone.
#[derive(Clone)]
pub struct Storage(Arc<Inner>);

struct Inner {
    backend: Box<dyn StorageBackend>,
    capabilities: Capabilities,
    limits: Limits,
    durability: Durability,
    dir: PathBuf,
    manifest: Manifest,
    /// Only on a backend without `delete_range`: a batch with a range excludes other writers while it is expanded and
    /// written; batches without one do not exclude each other.
    expansion: RwLock<()>,
    /// Held by who reads a fact about the whole, decides, and writes it back.
    facts: Mutex<()>,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage")
            .field("backend", &self.0.manifest.backend)
            .field("dir", &self.0.dir)
            .finish_non_exhaustive()
    }
}

impl Storage {
    pub(super) fn new(
        backend: Box<dyn StorageBackend>,
        dir: PathBuf,
        manifest: Manifest,
        durability: Option<Durability>,
    ) -> Result<Self> {
        let capabilities = backend.capabilities();
        let durability = limits::durability(&manifest.backend, &capabilities, durability)?;
        let limits = limits::common(&manifest.backend, &capabilities)?;
        let expansion = RwLock::new(());
        Ok(Self(Arc::new(Inner {
            backend,
            capabilities,
            limits,
            durability,
            dir,
            manifest,
            expansion,
            facts: Mutex::new(()),
        })))
    }

    /// The value of `key`; `None` when it is absent.
    ///
    /// # Errors
    /// `InvalidKey`, `KeyTooLarge`, `Closed`, `Io`, `Corruption`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut value = ByteBuf::new();
        Ok(self.get_into(key, &mut value)?.then(|| value.into_vec()))
    }

    /// Copies the value of `key` into `value`, which may be reused; `false` when it is absent.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline]
    pub fn get_into(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        check_key(key, &self.0.limits)?;
        self.0.backend.get(key, value)
    }

    /// Sets `key` to `value`, as durable as the storage was opened to be.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.put(key, value);
        self.write(&batch, self.0.durability)
    }

    /// Removes `key`; no error when it is absent. As durable as the storage was opened to be.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn delete(&self, key: &[u8]) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.delete(key);
        self.write(&batch, self.0.durability)
    }

    /// The first `limit` entries whose keys begin with `prefix`, in key order.
    ///
    /// # Behavior
    /// The empty prefix is the beginning of every key. All entries are in memory at once; [`rows`](Self::rows) has one
    /// page.
    ///
    /// # Errors
    /// As [`cursor`](Self::cursor) and [`Rows::next`].
    pub fn scan(&self, prefix: &[u8], limit: usize) -> Result<Vec<Entry>> {
        let end = prefix_successor(prefix);
        self.iter(KeyRange::new(prefix, end.as_deref()))?.take(limit).collect()
    }

    /// Sets (`Some`) and removes (`None`) keys in order, all or none, as durable as the storage was opened to be.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_batch(&self, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<()> {
        let mut batch = WriteBatch::new();
        for (key, value) in &changes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        self.write(&batch, self.0.durability)
    }

    /// Applies `batch` in order, all or none (clauses 6 and 7).
    ///
    /// # Behavior
    /// A backend that does not declare `delete_range` gets a delete for each key in the range, in the same batch, with
    /// other writers kept out meanwhile; what results has to obey the limits too.
    ///
    /// # Errors
    /// `InvalidKey`, `KeyTooLarge`, `ValueTooLarge`, `BatchTooLarge`, and `Unsupported` for `Synced` on a storage that
    /// does not declare `synced_writes`: nothing was applied. `ReadOnly`, `Closed`, `Poisoned`. `NoSpace`,
    /// `QuotaFull`, `Io`, `Corruption`, each with its effect (clause 16).
    pub fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<()> {
        self.check_durability(durability, "write")?;
        batch.check(&self.0.limits)?;
        if self.0.capabilities.has(Capability::DeleteRange) {
            return self.0.backend.write(batch, durability);
        }
        if !range_delete::occurs_in(batch) {
            let _others_may_write = self.0.expansion.read();
            return self.0.backend.write(batch, durability);
        }
        let _alone = self.0.expansion.write();
        let expanded = range_delete::expand(batch, &*self.0.backend, &self.0.limits)?;
        self.0.backend.write(&expanded, durability)
    }

    /// The entries in `range`, from the smallest key, of this moment.
    ///
    /// # Errors
    /// As [`cursor`](Self::cursor).
    pub fn iter(&self, range: KeyRange<'_>) -> Result<Iter> {
        Ok(Iter::new(self.rows(range, Direction::Forward)?))
    }

    /// The entries in `range`, from the greatest key, of this moment.
    ///
    /// # Errors
    /// As [`cursor`](Self::cursor).
    pub fn iter_rev(&self, range: KeyRange<'_>) -> Result<Iter> {
        Ok(Iter::new(self.rows(range, Direction::Reverse)?))
    }

    /// The entries in `range` of this moment, lent one by one, without an allocation per row.
    ///
    /// # Errors
    /// As [`cursor`](Self::cursor).
    pub fn rows(&self, range: KeyRange<'_>, direction: Direction) -> Result<Rows> {
        Ok(Rows::new(self.cursor(range, direction)?))
    }

    /// A cursor before the first entry of `range`, over a view of this moment (clause 10).
    ///
    /// # Errors
    /// `Unsupported` when the direction is `Reverse` and the storage does not declare `reverse_cursor`; `KeyTooLarge`;
    /// `Closed`; `Busy` when too many cursors are open; `Io`.
    pub fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        limits::check_cursor(&range, direction, &self.0.capabilities, &self.0.limits)?;
        self.0.backend.cursor(range, direction)
    }

    /// A read view of this moment.
    ///
    /// # Errors
    /// `Unsupported` unless the storage declares `snapshot`; `Closed`; `Busy` when too many are open; `Io`.
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.require(Capability::Snapshot, "snapshot")?;
        Ok(Snapshot::new(self.0.backend.snapshot()?, self.0.capabilities, self.0.limits))
    }

    /// The digest of this moment's state (clause 23). A full scan, over a cursor's fixed view.
    ///
    /// # Errors
    /// As [`cursor`](Self::cursor) and [`Rows::next`].
    pub fn digest(&self) -> Result<Digest> {
        Digest::of(self.rows(KeyRange::ALL, Direction::Forward)?)
    }

    /// What the backend can do as it is configured.
    ///
    /// Its own limits are in there; what the handle accepts are the contract's
    /// ([`supervm_plugin_sdk::Limits::CONTRACT`]), on every backend.
    pub fn capabilities(&self) -> &Capabilities {
        &self.0.capabilities
    }

    /// The backend's name.
    pub fn backend_name(&self) -> &str {
        &self.0.manifest.backend
    }

    /// How durable [`set`](Self::set), [`delete`](Self::delete) and [`write_batch`](Self::write_batch) are: as the
    /// storage was opened, or else the strongest that the backend declares.
    pub fn durability(&self) -> Durability {
        self.0.durability
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// The data directory's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// Counters and gauges; without a scan of the data (clause 24).
    ///
    /// # Errors
    /// `Closed`, `Io`.
    pub fn stats(&self) -> Result<StorageStats> {
        self.0.backend.stats()
    }

    /// Writes a copy of this moment's state to `dir`, a data directory that the same backend opens (clause 22).
    ///
    /// # Behavior
    /// Complete or absent: written beside `dir` and renamed. A process that is killed meanwhile leaves a directory
    /// `.<name>.partial-*` beside it, which may be deleted.
    ///
    /// # Errors
    /// `Unsupported` unless the storage declares `checkpoint`; `InvalidArgument` when `dir` exists; `NoSpace`, `Io`,
    /// `PermissionDenied`.
    pub fn checkpoint(&self, dir: &Path) -> Result<()> {
        self.require(Capability::Checkpoint, "checkpoint")?;
        checkpoint::write(&*self.0.backend, &self.0.manifest, dir)
            .map_err(|error| error.with("dir", dir.display()))
    }

    /// Gives back the space of deleted and overwritten entries in `range`.
    ///
    /// # Errors
    /// `Unsupported` unless the storage declares `compact`; `KeyTooLarge`, `ReadOnly`, `Closed`, `Io`, `NoSpace`.
    pub fn compact(&self, range: KeyRange<'_>) -> Result<()> {
        self.require(Capability::Compact, "compact")?;
        check_range(&range, &self.0.limits)?;
        self.0.backend.compact(range)
    }

    /// Reads everything and reports what is not as it was written.
    ///
    /// # Errors
    /// `Unsupported` unless the storage declares `verify`; `Closed`, `Io`.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.require(Capability::Verify, "verify")?;
        self.0.backend.verify()
    }

    /// Bytes on disk of the entries in `range`; an estimate.
    ///
    /// # Errors
    /// `Unsupported` unless the storage declares `size_on_disk`; `KeyTooLarge`, `Closed`, `Io`.
    pub fn size_on_disk(&self, range: KeyRange<'_>) -> Result<u64> {
        self.require(Capability::SizeOnDisk, "size_on_disk")?;
        check_range(&range, &self.0.limits)?;
        self.0.backend.size_on_disk(range)
    }

    /// Makes everything written before the call durable (clause 15).
    ///
    /// # Errors
    /// `Unsupported` for `Synced` on a storage that does not declare `synced_writes`; `ReadOnly`, `Closed`, `Poisoned`,
    /// `Io`, `NoSpace`. A failed sync poisons the storage (clause 16).
    pub fn flush(&self, durability: Durability) -> Result<()> {
        self.check_durability(durability, "flush")?;
        self.0.backend.flush(durability)
    }

    /// Makes everything durable and ends the use of the storage, for every clone of the handle (clause 17).
    ///
    /// # Errors
    /// `Busy` while cursors or snapshots live; `Closed` the second time; `Io`, `NoSpace`.
    pub fn close(&self) -> Result<()> {
        self.0.backend.close()
    }

    /// Excludes every other caller of this until the guard is dropped: for a fact about the whole that is read, decided on and
    /// written back, such as the oldest version that can be read.
    pub(crate) fn lock_facts(&self) -> MutexGuard<'_, ()> {
        self.0.facts.lock()
    }

    fn check_durability(&self, durability: Durability, operation: &'static str) -> Result<()> {
        match durability {
            Durability::Buffered => Ok(()),
            Durability::Synced => self.require(Capability::SyncedWrites, operation),
        }
    }

    fn require(&self, capability: Capability, operation: &'static str) -> Result<()> {
        self.0.capabilities.require(capability, operation)
    }
}
