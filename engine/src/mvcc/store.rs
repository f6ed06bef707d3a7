//! The store's handle.

use super::auto_gc::AutoGc;
use super::commit::{check_block, poisoned};
use super::config::{AutoGcConfig, Block, GcConfig, Isolation, MvccConfig};
use super::gc::{GcReport, GcStats};
use super::group::Ticket;
use super::inner::Inner;
use super::metrics::MvccMetrics;
use super::txn::Txn;
use crate::layout::{BlockRecord, HistoryMode, Meta, Version};
use crate::storage::Storage;
use std::fmt;
use std::sync::Arc;
use supervm_plugin_sdk::{Durability, Result, WriteBatch};

/// A key-value store with transactions, in memory or over a backend.
///
/// Cheap to clone; every clone is the same store. Every method may be called from any thread. Transactions may outlive the handles.
///
/// # Examples
/// ```
/// use supervm_engine::mvcc::MvccStore;
/// let store = MvccStore::new();
/// let (mut one, mut two) = (store.begin(), store.begin());
/// one.write(b"k", b"1")?;
/// two.write(b"k", b"2")?;
/// one.commit()?;
/// let refused = two.commit().expect_err("both write the key");
/// assert_eq!(refused.kind(), supervm_plugin_sdk::ErrorKind::Conflict);
/// assert!(refused.is_retryable());
/// # Ok::<(), supervm_plugin_sdk::Error>(())
/// ```
#[derive(Clone)]
pub struct MvccStore(Arc<Handle>);

/// Apart from [`Inner`], so that the thread that collects garbage does not keep the store alive.
struct Handle {
    /// Stops its thread when it is dropped.
    auto_gc: AutoGc,
    inner: Arc<Inner>,
}

impl MvccStore {
    /// A store in memory, with the default configuration. Nothing of it outlives its handles and transactions.
    pub fn new() -> Self {
        Self::in_memory(MvccConfig::default())
    }

    /// A store in memory with this garbage collection.
    pub fn new_with_config(gc: GcConfig) -> Self {
        Self::in_memory(MvccConfig { gc, ..MvccConfig::default() })
    }

    /// A store in memory. What a configuration says of the backend's history and of memory has no effect.
    pub fn in_memory(config: MvccConfig) -> Self {
        Self::with(Inner::volatile(config))
    }

    /// A store over `storage`: what is committed is there, and values come into memory when they are asked for.
    ///
    /// # Behavior
    /// - Reads the facts about the whole, not the state. Only a digest that is to be kept and that the
    ///   storage does not have is computed from all of the state, and written back at once, as durable
    ///   as the storage was opened to be. On a storage that is open for reading it is not written, and
    ///   each opening computes it.
    /// - Without [`MvccConfig::digest`] a digest that the storage has stays, up to the first commit that
    ///   changes the state, whose batch ends it. The next opening with a digest computes it anew.
    /// - While it is open it is the only one that writes chain state to the storage.
    ///
    /// # Errors
    /// `Corruption`; what the storage fails with, for a digest that could not be written back too.
    pub fn open(storage: Storage, config: MvccConfig) -> Result<Self> {
        Inner::open(storage, config).map(Self::with)
    }

    fn with(inner: Inner) -> Self {
        let store = Self(Arc::new(Handle { auto_gc: AutoGc::default(), inner: Arc::new(inner) }));
        if let Some(config) = store.0.inner.config.auto_gc {
            store.start_auto_gc(config);
        }
        store
    }

    /// Begins a transaction with the isolation of the configuration.
    #[inline]
    pub fn begin(&self) -> Txn {
        self.begin_with(self.0.inner.config.isolation)
    }

    /// Begins a transaction.
    #[inline]
    pub fn begin_with(&self, isolation: Isolation) -> Txn {
        Txn::begin(Arc::clone(&self.0.inner), isolation)
    }

    /// Begins a transaction that refuses writes. It remembers nothing of what it reads and never conflicts.
    #[inline]
    pub fn begin_read_only(&self) -> Txn {
        Txn::begin_read_only(Arc::clone(&self.0.inner))
    }

    /// The newest version that a transaction can read.
    pub fn last_version(&self) -> Version {
        self.0.inner.readers.visible()
    }

    /// Waits until something newer than `than` can be read; returns at once when nothing newer is on its way.
    ///
    /// For who begins anew after a conflict: what a transaction conflicts with may still be on its way to the disk, and whoever begins before it
    /// has arrived conflicts with it again.
    pub fn wait_for_newer(&self, than: Version) {
        self.0.inner.wait_for_newer(than);
    }

    /// The last block that was committed.
    pub fn last_block(&self) -> Option<BlockRecord> {
        self.0.inner.group.last_block()
    }

    /// May `block` be the next one?
    ///
    /// # Errors
    /// `InvalidArgument` when its number is not above the last block's, when its time is before that
    /// one's, or when one of them is past [`BLOCK_NUMBER_MAX`](crate::layout::BLOCK_NUMBER_MAX) or
    /// [`TIMESTAMP_MAX`](crate::layout::TIMESTAMP_MAX).
    pub fn check_block(&self, block: Block) -> Result<()> {
        check_block(&self.0.inner.sequencer.lock(), Some(block))
    }

    /// The storage beneath; `None` when the store is in memory.
    pub fn storage(&self) -> Option<&Storage> {
        self.0.inner.backend.as_ref()
    }

    /// Collects garbage once, as [`GcConfig`] says.
    pub fn gc(&self) -> GcReport {
        self.0.inner.collect(None)
    }

    /// What garbage collection has done since the store was opened.
    pub fn get_gc_stats(&self) -> GcStats {
        self.0.inner.garbage.stats()
    }

    /// Versions of all keys in memory, deletions among them. Counts them one by one.
    pub fn total_versions(&self) -> u64 {
        self.0.inner.versions()
    }

    /// Number of keys in memory with at least one version, deletions included. Counts them one by
    /// one.
    pub fn total_keys(&self) -> u64 {
        self.0.inner.keys()
    }

    /// Collects garbage in a thread of its own; when it runs already, with this configuration from now on.
    pub fn start_auto_gc(&self, config: AutoGcConfig) {
        self.0.auto_gc.start(&self.0.inner, config);
    }

    /// Ends that thread and waits for it, a few milliseconds. Dropping the last handle does it too.
    pub fn stop_auto_gc(&self) {
        self.0.auto_gc.stop();
    }

    /// Does that thread run?
    pub fn is_auto_gc_running(&self) -> bool {
        self.0.auto_gc.is_running()
    }

    /// Changes when the thread collects, at once; no effect when it does not run.
    pub fn update_auto_gc_config(&self, config: AutoGcConfig) {
        self.0.auto_gc.update(config);
    }

    /// Lets all cells leave memory that the backend has and nobody needs; returns how many. None without a backend.
    pub fn evict(&self) -> usize {
        self.0.inner.evict_all()
    }

    /// How much of the past the backend keeps from the next commit on.
    ///
    /// # Behavior
    /// What is there stays readable, but with [`HistoryMode::None`]. Old values that can no longer be read are left on the backend until it
    /// is pruned. No effect without a backend.
    ///
    /// # Errors
    /// `Poisoned`; what the storage fails with.
    pub fn set_history_mode(&self, mode: HistoryMode) -> Result<()> {
        let inner = &self.0.inner;
        let Some(storage) = &inner.backend else { return Ok(()) };
        // IMPORTANT: until it is written, or a pruning that read the floor before lowers it again.
        let _alone = storage.lock_facts();
        let ticket = {
            let mut sequencer = inner.sequencer.lock();
            if let Some(poison) = &sequencer.poison {
                return Err(poisoned(poison));
            }
            // A version of its own, so that the change is written after everything that rests on the mode before it.
            let version = sequencer.last.of_next_commit()?;
            let mut change = WriteBatch::new();
            Meta::put_history_change(&mut change, sequencer.history, mode, version);
            let bytes_max = inner.config.bounds.batch_bytes_max;
            let group = sequencer.batch_for(change.as_bytes().len(), change.len(), bytes_max);
            group.batch.append(&change);
            group.last = version;
            group.is_synced |= storage.durability() == Durability::Synced;
            let ticket = Ticket::of_last(group);
            sequencer.last = version;
            sequencer.history = mode;
            ticket
        };
        inner.write_group(ticket)
    }

    /// Counters and gauges.
    pub fn metrics(&self) -> MvccMetrics {
        let inner = &self.0.inner;
        let counters = &inner.counters;
        MvccMetrics {
            last_version: inner.readers.visible(),
            oldest_reader: inner.readers.watermark(),
            transactions: inner.readers.len() as u64,
            cells: inner.index.len() as u64,
            old_versions: inner.garbage.old_versions(),
            memory_bytes: inner.memory_bytes() as u64,
            commits: counters.commits.get(),
            conflicts: counters.conflicts.get(),
            groups: counters.groups.get(),
            largest_group: counters.largest_group.get(),
            loads: counters.loads.get(),
            evictions: counters.evictions.get(),
        }
    }
}

impl Default for MvccStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MvccStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MvccStore")
            .field("storage", &self.storage())
            .field("last_version", &self.last_version())
            .field("auto_gc", &self.0.auto_gc)
            .finish_non_exhaustive()
    }
}
