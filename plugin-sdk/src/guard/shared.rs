//! What a storage, its snapshots and its cursors share: condition, counts, the directory's lock.

use super::lock::DirLock;
use crate::{Error, ErrorKind, Result, StorageStats, WriteBatch};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Bits of a storage's condition; none is set on a sound and open one.
const WRITES_POISONED: u8 = 1;
const POISONED: u8 = 1 << 1;
/// `close` is looking for cursors and snapshots; new ones are refused, everything else goes on.
const CLOSING: u8 = 1 << 2;
const CLOSED: u8 = 1 << 3;

pub(crate) struct Shared {
    condition: AtomicU8,
    cursors: AtomicU64,
    snapshots: AtomicU64,
    batches: AtomicU64,
    operations: AtomicU64,
    bytes: AtomicU64,
    /// `None` for a reader beside other processes.
    _lock: Option<DirLock>,
}

impl Shared {
    pub(super) fn new(lock: Option<DirLock>) -> Arc<Self> {
        Arc::new(Self {
            condition: AtomicU8::new(0),
            cursors: AtomicU64::new(0),
            snapshots: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            operations: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            _lock: lock,
        })
    }

    /// Called when a panic was caught: what the backend holds can no longer be relied on (clause 26).
    pub(crate) fn poison(&self) {
        self.condition.fetch_or(POISONED, Ordering::SeqCst);
    }

    /// Called when a write or a sync failed with unknown effect: reading goes on (clause 16).
    pub(super) fn poison_writes(&self) {
        self.condition.fetch_or(WRITES_POISONED, Ordering::SeqCst);
    }

    #[inline]
    pub(super) fn check_readable(&self, operation: &'static str) -> Result<()> {
        self.check(POISONED | CLOSED, operation)
    }

    #[inline]
    pub(super) fn check_writable(&self, operation: &'static str) -> Result<()> {
        self.check(WRITES_POISONED | POISONED | CLOSED, operation)
    }

    #[inline]
    fn check(&self, unwanted: u8, operation: &'static str) -> Result<()> {
        match self.condition.load(Ordering::SeqCst) & unwanted {
            0 => Ok(()),
            condition => Err(unusable(condition, operation)),
        }
    }

    /// Marks the storage as closed, unless cursors or snapshots live. Tells whether it was sound until now.
    pub(super) fn close(&self) -> Result<bool> {
        // IMPORTANT: claimed before the counts are read (invariant 2).
        let before = self.condition.fetch_or(CLOSING, Ordering::SeqCst);
        if before & (CLOSING | CLOSED) != 0 {
            return Err(unusable(CLOSED, "close"));
        }
        let [cursors, snapshots] = [Counted::Cursor, Counted::Snapshot]
            .map(|what| what.counter(self).load(Ordering::SeqCst));
        if cursors + snapshots > 0 {
            self.condition.fetch_and(!CLOSING, Ordering::SeqCst);
            return Err(Error::new(
                ErrorKind::Busy,
                "close",
                "cursors or snapshots are still open; drop them first",
            )
            .with("cursors", cursors)
            .with("snapshots", snapshots));
        }
        let before = self.condition.fetch_or(CLOSED, Ordering::SeqCst);
        Ok(before & (WRITES_POISONED | POISONED) == 0)
    }

    pub(super) fn count_write(&self, batch: &WriteBatch) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.operations.fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(batch.as_bytes().len() as u64, Ordering::Relaxed);
    }

    pub(super) fn fill(&self, stats: &mut StorageStats) {
        stats.batches_written = self.batches.load(Ordering::Relaxed);
        stats.operations_written = self.operations.load(Ordering::Relaxed);
        stats.bytes_written = self.bytes.load(Ordering::Relaxed);
        stats.live_cursors = self.cursors.load(Ordering::SeqCst);
        stats.live_snapshots = self.snapshots.load(Ordering::SeqCst);
    }
}

#[cold]
fn unusable(condition: u8, operation: &'static str) -> Error {
    let (kind, message) = if condition & CLOSED != 0 {
        (ErrorKind::Closed, "the storage was closed")
    } else if condition & CLOSING != 0 {
        (ErrorKind::Busy, "the storage is being closed")
    } else if condition & POISONED != 0 {
        (ErrorKind::Poisoned, "the plugin panicked earlier; close the storage and open it again")
    } else {
        (
            ErrorKind::Poisoned,
            "an earlier write or sync failed with unknown effect; close the storage and open it again",
        )
    };
    Error::new(kind, operation, message)
}

/// An object of a storage that shares the storage's condition, counts and lock.
pub(crate) trait Sharing {
    fn shared(&self) -> &Arc<Shared>;
}

#[derive(Clone, Copy)]
pub(super) enum Counted {
    Cursor,
    Snapshot,
}

impl Counted {
    fn counter(self, shared: &Shared) -> &AtomicU64 {
        match self {
            Self::Cursor => &shared.cursors,
            Self::Snapshot => &shared.snapshots,
        }
    }

    fn operation(self) -> &'static str {
        match self {
            Self::Cursor => "cursor",
            Self::Snapshot => "snapshot",
        }
    }
}

/// One counted cursor or snapshot, and a share of the directory's lock.
pub(super) struct Live {
    pub(super) shared: Arc<Shared>,
    what: Counted,
}

impl Live {
    /// Counts one more, of `most` that there may be.
    ///
    /// # Errors
    /// `Busy` when there are as many, `Closed`, `Poisoned`.
    pub(super) fn count(shared: &Arc<Shared>, what: Counted, most: u64) -> Result<Self> {
        // IMPORTANT: counted first, then the condition is read (invariant 2).
        let already = what.counter(shared).fetch_add(1, Ordering::SeqCst);
        let live = Self { shared: shared.clone(), what };
        shared.check(POISONED | CLOSING | CLOSED, what.operation())?;
        if already >= most {
            let refused = format!("{most} are open already; drop one first");
            return Err(Error::new(ErrorKind::Busy, what.operation(), refused).with("limit", most));
        }
        Ok(live)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.what.counter(&self.shared).fetch_sub(1, Ordering::SeqCst);
    }
}
