//! What is the same for every backend, done once, on the plugin's side of the boundary.
//!
//! `export_plugin!` puts [`Guarded`] around the author's backend. Invariants:
//!
//! 1. No condition of a storage is forgotten: poison is only added, and `close` takes nothing back but its own claim.
//! 2. A cursor or snapshot is counted before the condition is read, and `close` claims the storage before it reads the counts,
//!    so that none is made on a closed storage.
//! 3. The directory's lock is let go after the backend and every cursor and snapshot of it are gone.

mod checkpoint;
mod lock;
mod shared;
mod view;

pub use lock::LOCK_FILE;
pub(crate) use shared::{Shared, Sharing};
pub(crate) use view::{GuardedCursor, GuardedSnapshot};

use crate::{
    ByteBuf, Capabilities, Capability, Direction, Durability, Effect, Error, ErrorKind, KeyRange,
    OpenMode, Result, StorageBackend, StorageFactory, StorageStats, Values, VerifyReport,
    WriteBatch, check_key, check_range,
};
use lock::DirLock;
use shared::{Counted, Live};
use std::path::Path;
use std::sync::Arc;

pub(crate) struct Guarded<B> {
    // Dropped before `shared` and with it the lock: invariant 3.
    backend: B,
    mode: OpenMode,
    capabilities: Capabilities,
    shared: Arc<Shared>,
}

impl<B> Sharing for Guarded<B> {
    fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl<B: StorageFactory> Guarded<B> {
    pub(crate) fn open(dir: &Path, config: B::Config, mode: OpenMode) -> Result<Self> {
        let declared = B::declared_capabilities();
        if mode == OpenMode::ReadOnly {
            declared.require(Capability::ReadOnlyOpen, "open")?;
        }
        B::check(&config)?;
        let at = |error: Error| error.with("dir", dir.display());
        lock::prepare_dir(dir, mode).map_err(at)?;
        let lock = lock::lock_dir(dir, mode, &declared).map_err(at)?;
        let backend = match B::open(dir, config, mode) {
            Ok(backend) => backend,
            Err(error) => {
                lock.into_iter().for_each(DirLock::undo);
                return Err(at(error));
            }
        };
        let capabilities = backend.capabilities();
        Ok(Self { backend, mode, capabilities, shared: Shared::new(lock) })
    }
}

impl<B: StorageBackend> Guarded<B> {
    pub(crate) fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    #[inline]
    pub(crate) fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.shared.check_readable("get")?;
        check_key(key, self.capabilities.limits())?;
        self.backend.get(key, value)
    }

    pub(crate) fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        self.shared.check_readable("multi_get")?;
        keys.iter().try_for_each(|key| check_key(key, self.capabilities.limits()))?;
        self.backend.multi_get(keys, values)
    }

    pub(crate) fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<()> {
        self.check_writable("write")?;
        self.check_durability(durability, "write")?;
        batch.check(self.capabilities.limits())?;
        if batch.is_empty() && durability == Durability::Buffered {
            return Ok(());
        }
        self.backend.write(batch, durability).map_err(|error| self.poison_if_unknown(error))?;
        self.shared.count_write(batch);
        Ok(())
    }

    pub(crate) fn snapshot(&self) -> Result<GuardedSnapshot> {
        self.require(Capability::Snapshot, "snapshot")?;
        let most = self.capabilities.limits().snapshots_max;
        let live = Live::count(&self.shared, Counted::Snapshot, most)?;
        let snapshot = self.backend.snapshot()?;
        Ok(GuardedSnapshot::new(snapshot, self.capabilities, live))
    }

    pub(crate) fn cursor(
        &self,
        range: KeyRange<'_>,
        direction: Direction,
    ) -> Result<GuardedCursor> {
        let live = view::count_cursor(&self.shared, &range, direction, &self.capabilities)?;
        Ok(GuardedCursor::new(
            self.backend.cursor(range, direction)?,
            *self.capabilities.limits(),
            live,
        ))
    }

    pub(crate) fn flush(&self, durability: Durability) -> Result<()> {
        self.check_writable("flush")?;
        self.check_durability(durability, "flush")?;
        self.backend.flush(durability).map_err(|error| self.failed_sync(error))
    }

    pub(crate) fn stats(&self) -> Result<StorageStats> {
        self.shared.check_readable("stats")?;
        let mut stats = self.backend.stats()?;
        self.shared.fill(&mut stats);
        Ok(stats)
    }

    pub(crate) fn close(&self) -> Result<()> {
        let sound = self.shared.close()?;
        if self.mode == OpenMode::ReadOnly || !sound {
            return Ok(());
        }
        self.backend.close()
    }

    pub(crate) fn checkpoint(&self, target: &Path) -> Result<()> {
        self.require(Capability::Checkpoint, "checkpoint")?;
        checkpoint::write_beside(target, |dir| self.backend.checkpoint(dir))
            .map_err(|error| error.with("dir", target.display()))
    }

    pub(crate) fn compact(&self, range: KeyRange<'_>) -> Result<()> {
        self.require(Capability::Compact, "compact")?;
        self.check_writable("compact")?;
        check_range(&range, self.capabilities.limits())?;
        self.backend.compact(range)
    }

    pub(crate) fn verify(&self) -> Result<VerifyReport> {
        self.require(Capability::Verify, "verify")?;
        self.backend.verify()
    }

    pub(crate) fn size_on_disk(&self, range: KeyRange<'_>) -> Result<u64> {
        self.require(Capability::SizeOnDisk, "size_on_disk")?;
        check_range(&range, self.capabilities.limits())?;
        self.backend.size_on_disk(range)
    }

    fn require(&self, capability: Capability, operation: &'static str) -> Result<()> {
        self.shared.check_readable(operation)?;
        self.capabilities.require(capability, operation)
    }

    fn check_writable(&self, operation: &'static str) -> Result<()> {
        self.shared.check_writable(operation)?;
        match self.mode {
            OpenMode::ReadOnly => {
                Err(Error::new(ErrorKind::ReadOnly, operation, "the storage was opened read-only"))
            }
            OpenMode::Create | OpenMode::MustExist => Ok(()),
        }
    }

    fn check_durability(&self, durability: Durability, operation: &'static str) -> Result<()> {
        match durability {
            Durability::Synced => self.require(Capability::SyncedWrites, operation),
            Durability::Buffered => Ok(()),
        }
    }

    fn poison_if_unknown(&self, error: Error) -> Error {
        if error.effect() == Effect::Unknown {
            self.shared.poison_writes();
        }
        error
    }

    /// A sync that failed is not tried again, a full disk included: what the system has dropped of the data by then cannot be
    /// told (clause 16). Reading goes on; writing works again after the storage is opened anew (clause 21).
    fn failed_sync(&self, error: Error) -> Error {
        let refused_before_the_sync = error.is_deterministic();
        let effect = if refused_before_the_sync { error.effect() } else { Effect::Unknown };
        self.poison_if_unknown(error.with_effect(effect))
    }
}
