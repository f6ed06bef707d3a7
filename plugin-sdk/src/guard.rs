//! What is the same for every backend, done once, on the plugin's side of the boundary.
//!
//! `export_plugin!` puts [`Guarded`] around the author's backend. Invariants:
//!
//! 1. `health` only rises: open, writes poisoned, poisoned, closed.
//! 2. A cursor or snapshot is counted before `health` is read, and `close` raises `health` before it reads the counts,
//!    so that none is made on a closed storage.
//! 3. The directory's lock is let go after the backend and every cursor and snapshot of it are gone.

use crate::{
    ByteBuf, Capabilities, Capability, Cursor, Direction, Durability, Effect, Error, ErrorKind,
    KeyRange, OpenMode, Page, PageEnd, Result, StorageBackend, StorageFactory, StorageSnapshot,
    StorageStats, Values, VerifyReport, WriteBatch, check_key, check_range,
};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// The file in a data directory whose lock says that the directory is in use (clause 18).
pub const LOCK_FILE: &str = "supervm.lock";

const OPEN: u8 = 0;
const WRITES_POISONED: u8 = 1;
const POISONED: u8 = 2;
const CLOSED: u8 = 3;

pub(crate) struct Shared {
    health: AtomicU8,
    cursors: AtomicU64,
    snapshots: AtomicU64,
    batches: AtomicU64,
    operations: AtomicU64,
    bytes: AtomicU64,
    /// Locked while it is open; `None` for a reader beside other processes.
    _lock: Option<File>,
}

impl Shared {
    /// Called when a panic was caught: what the backend holds can no longer be relied on (clause 26).
    pub(crate) fn poison(&self) {
        self.health.fetch_max(POISONED, Ordering::SeqCst);
    }

    #[inline]
    fn check_readable(&self, operation: &'static str) -> Result<()> {
        match self.health.load(Ordering::SeqCst) {
            OPEN | WRITES_POISONED => Ok(()),
            health => Err(unhealthy(health, operation)),
        }
    }
}

#[cold]
fn unhealthy(health: u8, operation: &'static str) -> Error {
    match health {
        CLOSED => Error::new(ErrorKind::Closed, operation, "the storage was closed"),
        POISONED => Error::new(
            ErrorKind::Poisoned,
            operation,
            "the plugin panicked earlier; close the storage and open it again",
        ),
        _ => Error::new(
            ErrorKind::Poisoned,
            operation,
            "an earlier write or sync failed with unknown effect; close the storage and open it again",
        ),
    }
}

/// An object of a storage that shares the storage's health, counts and lock.
pub(crate) trait Sharing {
    fn shared(&self) -> &Arc<Shared>;
}

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
        if mode == OpenMode::ReadOnly && !declared.has(Capability::ReadOnlyOpen) {
            return Err(undeclared(Capability::ReadOnlyOpen, "open"));
        }
        B::check(&config)?;
        let at = |error: Error| error.with("dir", dir.display());
        prepare_dir(dir, mode).map_err(at)?;
        let lock = lock_dir(dir, mode, &declared).map_err(at)?;
        let backend = B::open(dir, config, mode).map_err(at)?;
        let capabilities = backend.capabilities();
        let shared = Shared {
            health: AtomicU8::new(OPEN),
            cursors: AtomicU64::new(0),
            snapshots: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            operations: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            _lock: lock,
        };
        Ok(Self { backend, mode, capabilities, shared: Arc::new(shared) })
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
        batch.check(self.capabilities.limits())?;
        if batch.is_empty() && durability == Durability::Buffered {
            return Ok(());
        }
        self.backend.write(batch, durability).map_err(|error| self.poison_if_unknown(error))?;
        self.shared.batches.fetch_add(1, Ordering::Relaxed);
        self.shared.operations.fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.shared.bytes.fetch_add(batch.as_bytes().len() as u64, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn snapshot(&self) -> Result<GuardedSnapshot> {
        self.require(Capability::Snapshot, "snapshot")?;
        let live = self.count(Counted::Snapshot, self.capabilities.limits().snapshots_max)?;
        let snapshot = self.backend.snapshot()?;
        Ok(GuardedSnapshot { snapshot, capabilities: self.capabilities, live })
    }

    pub(crate) fn cursor(
        &self,
        range: KeyRange<'_>,
        direction: Direction,
    ) -> Result<GuardedCursor> {
        check_cursor(&range, direction, &self.capabilities)?;
        let live = self.count(Counted::Cursor, self.capabilities.limits().cursors_max)?;
        let cursor = self.backend.cursor(range, direction)?;
        Ok(GuardedCursor { cursor, failed: None, live })
    }

    pub(crate) fn flush(&self, durability: Durability) -> Result<()> {
        self.check_writable("flush")?;
        self.backend.flush(durability).map_err(|error| self.failed_sync(error))
    }

    pub(crate) fn stats(&self) -> Result<StorageStats> {
        self.shared.check_readable("stats")?;
        let mut stats = self.backend.stats()?;
        stats.batches_written = self.shared.batches.load(Ordering::Relaxed);
        stats.operations_written = self.shared.operations.load(Ordering::Relaxed);
        stats.bytes_written = self.shared.bytes.load(Ordering::Relaxed);
        stats.live_cursors = self.shared.cursors.load(Ordering::SeqCst);
        stats.live_snapshots = self.shared.snapshots.load(Ordering::SeqCst);
        Ok(stats)
    }

    pub(crate) fn close(&self) -> Result<()> {
        // IMPORTANT: health rises before the counts are read (invariant 2).
        let before = self.shared.health.swap(CLOSED, Ordering::SeqCst);
        if before == CLOSED {
            return Err(unhealthy(CLOSED, "close"));
        }
        let (cursors, snapshots) = (
            self.shared.cursors.load(Ordering::SeqCst),
            self.shared.snapshots.load(Ordering::SeqCst),
        );
        if cursors + snapshots > 0 {
            self.shared.health.store(before, Ordering::SeqCst);
            return Err(Error::new(
                ErrorKind::Busy,
                "close",
                "cursors or snapshots are still open; drop them first",
            )
            .with("cursors", cursors)
            .with("snapshots", snapshots));
        }
        if self.mode == OpenMode::ReadOnly || before != OPEN {
            return Ok(());
        }
        self.backend.close()
    }

    pub(crate) fn checkpoint(&self, target: &Path) -> Result<()> {
        self.require(Capability::Checkpoint, "checkpoint")?;
        if fs::symlink_metadata(target).is_ok() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "checkpoint",
                "the target exists; name a path that does not",
            )
            .with("dir", target.display()));
        }
        write_beside(target, |dir| self.backend.checkpoint(dir))
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
        if self.capabilities.has(capability) {
            Ok(())
        } else {
            Err(undeclared(capability, operation))
        }
    }

    fn check_writable(&self, operation: &'static str) -> Result<()> {
        match self.shared.health.load(Ordering::SeqCst) {
            OPEN if self.mode != OpenMode::ReadOnly => Ok(()),
            OPEN => {
                Err(Error::new(ErrorKind::ReadOnly, operation, "the storage was opened read-only"))
            }
            health => Err(unhealthy(health, operation)),
        }
    }

    fn poison_if_unknown(&self, error: Error) -> Error {
        if error.effect() == Effect::Unknown {
            self.shared.health.fetch_max(WRITES_POISONED, Ordering::SeqCst);
        }
        error
    }

    fn failed_sync(&self, error: Error) -> Error {
        let refused_before_the_sync = error.is_deterministic();
        let effect = if refused_before_the_sync { error.effect() } else { Effect::Unknown };
        self.poison_if_unknown(error.with_effect(effect))
    }

    fn count(&self, what: Counted, most: u64) -> Result<Live> {
        let live = Live::new(&self.shared, what);
        // IMPORTANT: counted first, then health is read (invariant 2).
        self.shared.check_readable(what.operation())?;
        if what.counter(&self.shared).load(Ordering::SeqCst) > most {
            let refused = format!("{most} are open already; drop one first");
            return Err(Error::new(ErrorKind::Busy, what.operation(), refused).with("limit", most));
        }
        Ok(live)
    }
}

fn check_cursor(
    range: &KeyRange<'_>,
    direction: Direction,
    capabilities: &Capabilities,
) -> Result<()> {
    if direction == Direction::Reverse && !capabilities.has(Capability::ReverseCursor) {
        return Err(undeclared(Capability::ReverseCursor, "cursor"));
    }
    check_range(range, capabilities.limits())
}

fn undeclared(capability: Capability, operation: &'static str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        operation,
        format!("this storage does not declare {capability}"),
    )
    .with("capability", capability)
}

fn prepare_dir(dir: &Path, mode: OpenMode) -> Result<()> {
    if mode == OpenMode::Create {
        return fs::create_dir_all(dir).map_err(|error| Error::io("open", error));
    }
    if dir.is_dir() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::NotFound, "open", "there is no such directory"))
}

/// Locks `dir` against other handles and processes; the lock ends with the returned file.
fn lock_dir(dir: &Path, mode: OpenMode, capabilities: &Capabilities) -> Result<Option<File>> {
    let path = dir.join(LOCK_FILE);
    if mode == OpenMode::ReadOnly {
        if capabilities.has(Capability::MultiProcessReaders) || !path.exists() {
            return Ok(None);
        }
        let file = File::open(&path).map_err(|error| Error::io("lock", error))?;
        return locked(file.try_lock_shared(), file);
    }
    let mut options = File::options();
    let opened = options.create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(|error| Error::io("lock", error))?;
    locked(file.try_lock(), file)
}

fn locked(outcome: std::result::Result<(), TryLockError>, file: File) -> Result<Option<File>> {
    match outcome {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Error::new(
            ErrorKind::Locked,
            "open",
            "the directory is in use by another handle or process",
        )),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", error)),
    }
}

/// Runs `write` on a temporary name beside `target`, syncs the result and renames it: complete or absent (clause 22).
fn write_beside(target: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let io = |error| Error::io("checkpoint", error);
    let name = target.file_name().ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, "checkpoint", "the target has no file name")
    })?;
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(io)?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".partial-{}", std::process::id()));
    let partial = parent.join(hidden);
    let written = remove_partial(&partial)
        .and_then(|()| write(&partial))
        .and_then(|()| sync_tree(&partial).map_err(io))
        .and_then(|()| fs::rename(&partial, target).map_err(io))
        .and_then(|()| sync_path(parent).map_err(io));
    if written.is_err() {
        // The write's own error is the one to report.
        let _ = remove_partial(&partial);
    }
    written
}

fn remove_partial(partial: &PathBuf) -> Result<()> {
    match fs::remove_dir_all(partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("checkpoint", error))
        }
        _ => Ok(()),
    }
}

fn sync_tree(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            sync_path(&entry.path())?;
        }
    }
    sync_path(dir)
}

fn sync_path(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

#[derive(Clone, Copy)]
enum Counted {
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
struct Live {
    shared: Arc<Shared>,
    what: Counted,
}

impl Live {
    fn new(shared: &Arc<Shared>, what: Counted) -> Self {
        what.counter(shared).fetch_add(1, Ordering::SeqCst);
        Self { shared: shared.clone(), what }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.what.counter(&self.shared).fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) struct GuardedSnapshot {
    // Dropped before `live`: invariant 3.
    snapshot: Box<dyn StorageSnapshot>,
    capabilities: Capabilities,
    live: Live,
}

impl Sharing for GuardedSnapshot {
    fn shared(&self) -> &Arc<Shared> {
        &self.live.shared
    }
}

impl GuardedSnapshot {
    pub(crate) fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.shared().check_readable("snapshot get")?;
        check_key(key, self.capabilities.limits())?;
        self.snapshot.get(key, value)
    }

    pub(crate) fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        self.shared().check_readable("snapshot multi_get")?;
        keys.iter().try_for_each(|key| check_key(key, self.capabilities.limits()))?;
        self.snapshot.multi_get(keys, values)
    }

    pub(crate) fn cursor(
        &self,
        range: KeyRange<'_>,
        direction: Direction,
    ) -> Result<GuardedCursor> {
        self.shared().check_readable("snapshot cursor")?;
        check_cursor(&range, direction, &self.capabilities)?;
        let live = Live::new(self.shared(), Counted::Cursor);
        let most = self.capabilities.limits().cursors_max;
        if self.shared().cursors.load(Ordering::SeqCst) > most {
            let refused = format!("{most} are open already; drop one first");
            return Err(Error::new(ErrorKind::Busy, "cursor", refused).with("limit", most));
        }
        let cursor = self.snapshot.cursor(range, direction)?;
        Ok(GuardedCursor { cursor, failed: None, live })
    }
}

pub(crate) struct GuardedCursor {
    // Dropped before `live`: invariant 3.
    cursor: Box<dyn Cursor>,
    /// The first error; every later call repeats it (clause 13).
    failed: Option<Error>,
    live: Live,
}

impl Sharing for GuardedCursor {
    fn shared(&self) -> &Arc<Shared> {
        &self.live.shared
    }
}

impl GuardedCursor {
    pub(crate) fn next_page(&mut self, page: &mut Page) -> Result<PageEnd> {
        self.check("next_page")?;
        let end = match self.cursor.next_page(page) {
            Ok(PageEnd::More) if page.is_empty() => Err(Error::new(
                ErrorKind::Internal,
                "next_page",
                "the backend returned an empty page",
            )),
            outcome => outcome,
        };
        self.keep_failure(end)
    }

    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.check("seek")?;
        let sought = self.cursor.seek(key);
        self.keep_failure(sought)
    }

    fn check(&self, operation: &'static str) -> Result<()> {
        self.shared().check_readable(operation)?;
        match &self.failed {
            Some(error) => Err(error.repeated()),
            None => Ok(()),
        }
    }

    fn keep_failure<T>(&mut self, outcome: Result<T>) -> Result<T> {
        outcome.inspect_err(|error| self.failed = Some(error.repeated()))
    }
}
