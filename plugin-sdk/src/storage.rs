//! The storage contract: what a backend implements, clause by clause.
//!
//! A backend is an ordered map from byte keys to byte values. It changes by [`StorageBackend::write`] alone and is read by
//! key, by [`Cursor`] or through a [`StorageSnapshot`]. An author implements [`StorageFactory`] and these three traits in safe
//! Rust and ends with [`export_plugin!`](crate::export_plugin).
//!
//! What is the same for every backend is done once, by the wrapper that `export_plugin!` puts around it, so that an author
//! need not: limits (clause 4), the directory lock (18), refusing writes on a read-only storage (19), creating or not creating
//! the directory (20), atomic checkpoints (22), undeclared capabilities (29), `Busy` and `Closed` (17), poisoning after an effect
//! that is unknown, a failed sync or a panic (16, 26).

use crate::{Capabilities, Error, ErrorKind, KeyRange, Page, Result, Values, WriteBatch};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;

use crate::ByteBuf;

/// How long a write has to last when the call returns (clause 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Durability {
    /// Survives the death of the process, not a power cut. What is lost is the newest part: a suffix, never a hole.
    Buffered = 0,
    /// Survives a power cut.
    #[default]
    Synced = 1,
}

/// How a directory is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum OpenMode {
    /// For reading and writing; made when it is missing.
    #[default]
    Create = 0,
    /// For reading and writing; `NotFound` when there is no storage in it, and nothing is created (clause 20).
    MustExist = 1,
    /// For reading; never creates and never writes a file (clause 19).
    ReadOnly = 2,
}

/// The order in which a cursor walks its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Direction {
    /// From the smallest key to the greatest.
    #[default]
    Forward = 0,
    /// From the greatest key to the smallest.
    Reverse = 1,
}

/// What a page ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PageEnd {
    /// The page is full; there may be more entries.
    More = 0,
    /// The range has no further entry.
    End = 1,
}

/// Counters and gauges of an open storage (clause 24).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageStats {
    /// Keys stored; an estimate where the database has no exact count, `None` where it has neither.
    pub keys: Option<u64>,
    /// Bytes on disk, all files of the database.
    pub disk_bytes: Option<u64>,
    /// Bytes of memory held by the database's own caches and tables.
    pub memory_bytes: Option<u64>,
    /// Batches written since open. Counted by the wrapper; a backend leaves it 0.
    pub batches_written: u64,
    /// Operations written since open. Counted by the wrapper.
    pub operations_written: u64,
    /// Bytes of operation logs written since open. Counted by the wrapper.
    pub bytes_written: u64,
    /// Cursors open at this moment. Counted by the wrapper.
    pub live_cursors: u64,
    /// Snapshots open at this moment. Counted by the wrapper.
    pub live_snapshots: u64,
    /// The database's own figures, under its own names.
    pub backend: BTreeMap<String, u64>,
}

/// The result of [`StorageBackend::verify`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VerifyReport {
    /// Entries, pages or blocks looked at; the backend's unit.
    pub checked: u64,
    /// What is wrong, one line each; empty when the storage is sound.
    pub problems: Vec<String>,
}

/// Opens a backend.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no storage backend that a host can open",
    label = "does not implement `StorageFactory`",
    note = "implement `StorageFactory` (its options and how it is opened) and `StorageBackend` (what is done with it) for the type"
)]
pub trait StorageFactory: StorageBackend + Sized + 'static {
    /// The options, as the `[storage.options]` table of a configuration gives them.
    ///
    /// Derive `Deserialize` and `JsonSchema`, with `#[serde(deny_unknown_fields, default)]`: a wrong key is then an error that
    /// names the key and what would be accepted, before anything is opened.
    type Config: DeserializeOwned + Serialize + JsonSchema + Default;

    /// What this backend can do with some configuration; [`StorageBackend::capabilities`] tells what one storage can.
    fn declared_capabilities() -> Capabilities;

    /// Checks what the types of `config` cannot say: bounds, and options that exclude each other.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the option, its value and what would be accepted.
    fn check(config: &Self::Config) -> Result<()> {
        let _ = config;
        Ok(())
    }

    /// Opens the storage in `dir`, which the wrapper has created (clause 20) and locked (clause 18).
    ///
    /// # Behavior
    /// - `config` has passed [`check`](Self::check).
    /// - `MustExist` and `ReadOnly` on a directory that holds no storage of this backend: `NotFound`, nothing created.
    /// - A killed process leaves nothing that hinders the next open.
    /// - `supervm.lock` and `supervm.toml` in `dir` belong to the host; leave them alone.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `FormatMismatch`, `Corruption`, `Io`, `NoSpace`, `ConfigInvalid`.
    fn open(dir: &Path, config: Self::Config, mode: OpenMode) -> Result<Self>;
}

/// An open storage: an ordered map from byte keys to byte values.
///
/// Keys order by unsigned bytes (clause 1). Every method may be called from any thread, at the same time as any other.
/// Arguments have passed the limits (clauses 2, 3, 4) and the checks of the wrapper.
pub trait StorageBackend: Send + Sync {
    /// What this storage can do as it is configured, and its limits (clause 29).
    fn capabilities(&self) -> Capabilities;

    /// Copies the value of `key` into `value` and returns `true`; `false` when the key is absent.
    ///
    /// # Behavior
    /// - A missing key is absent, never an error (clause 5). An empty value is present (clause 3).
    /// - Sees every write that has returned, on whatever thread (clause 14).
    /// - `value` is overwritten; its content means nothing when the result is `false` or an error (clause 12).
    ///
    /// # Errors
    /// `Io`, `Corruption`.
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool>;

    /// Appends one answer for each of `keys`, in their order.
    ///
    /// # Behavior
    /// - Repeated keys get repeated answers; no keys, no answers.
    /// - The answers need not come from one moment; use a snapshot for that.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        let mut value = ByteBuf::new();
        for key in keys {
            let found = self.get(key, &mut value)?;
            values.push(found.then_some(&*value));
        }
        Ok(())
    }

    /// Applies the operations of `batch` in order, all or none. The only way to change a storage.
    ///
    /// # Behavior
    /// - A later operation wins; a `DeleteRange` removes what the same batch put before it (clause 6).
    /// - A range is `[start, end)`, unbounded without an end, a no-op when `start >= end` (clause 8).
    /// - Atomic for readers, snapshots and crashes (clause 7). Deleting a missing key succeeds (clause 5).
    /// - Durable as `durability` says when it returns (clause 15); visible to every thread (clause 14). `Synced` requires
    ///   [`SyncedWrites`](crate::Capability::SyncedWrites).
    /// - Never waits for a cursor or a snapshot, not even one of the calling thread (clause 11).
    ///
    /// # Errors
    /// `NoSpace`, `QuotaFull`, `Io`, `Corruption`, each with its [`Effect`](crate::Effect): `NotApplied` when nothing took
    /// effect, `Unknown` when that cannot be told; the wrapper then poisons the storage (clause 16).
    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<()>;

    /// A read view of this moment.
    ///
    /// # Behavior
    /// Requires [`Snapshot`](crate::Capability::Snapshot). Later writes, deletes and compaction are invisible in it (clause 10).
    ///
    /// # Errors
    /// `Unsupported` unless implemented; `Busy` when every reader is taken; `Io`.
    fn snapshot(&self) -> Result<Box<dyn StorageSnapshot>> {
        Err(unsupported("snapshot"))
    }

    /// A cursor before the first entry of `range` in `direction`, over a view of this moment (clause 10).
    ///
    /// # Behavior
    /// `Reverse` requires [`ReverseCursor`](crate::Capability::ReverseCursor).
    ///
    /// # Errors
    /// `Busy` when every reader is taken; `Io`.
    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>>;

    /// Makes everything that was written before the call durable as `durability` says (clause 15).
    ///
    /// # Behavior
    /// `Synced` requires [`SyncedWrites`](crate::Capability::SyncedWrites).
    ///
    /// # Errors
    /// `Io`, `NoSpace`. A failed sync, on a full disk too, ends writing and is not tried again (clause 16). Reading goes on;
    /// writing works again after the storage is opened anew (clause 21).
    fn flush(&self, durability: Durability) -> Result<()>;

    /// Counters and gauges; without a scan of the data (clause 24).
    ///
    /// # Errors
    /// `Io`.
    fn stats(&self) -> Result<StorageStats>;

    /// Ends the use of the directory and makes everything written durable.
    ///
    /// # Behavior
    /// The wrapper refuses it with `Busy` while cursors or snapshots live, and every call after it with `Closed` (clause 17).
    /// A storage that is dropped without it loses nothing that was promised.
    ///
    /// # Errors
    /// `Io`, `NoSpace`.
    fn close(&self) -> Result<()> {
        self.flush(Durability::Synced)
    }

    /// Writes a copy of this moment's content into `dir`, from which this backend opens it.
    ///
    /// # Behavior
    /// - Requires [`Checkpoint`](crate::Capability::Checkpoint).
    /// - `dir` does not exist; the backend makes it. The wrapper hands in a temporary name, syncs and renames it, so that the
    ///   copy is complete or absent (clause 22).
    /// - Writers go on meanwhile.
    ///
    /// # Errors
    /// `Unsupported` unless implemented; `NoSpace`, `Io`, `PermissionDenied`.
    fn checkpoint(&self, dir: &Path) -> Result<()> {
        let _ = dir;
        Err(unsupported("checkpoint"))
    }

    /// Gives back the space of deleted and overwritten entries in `range`.
    ///
    /// # Behavior
    /// Requires [`Compact`](crate::Capability::Compact). Changes no content. An empty storage is no error.
    ///
    /// # Errors
    /// `Unsupported` unless implemented; `Io`, `NoSpace`.
    fn compact(&self, range: KeyRange<'_>) -> Result<()> {
        let _ = range;
        Err(unsupported("compact"))
    }

    /// Reads everything and reports what is not as it was written.
    ///
    /// # Behavior
    /// Requires [`Verify`](crate::Capability::Verify). A full scan.
    ///
    /// # Errors
    /// `Unsupported` unless implemented; `Io`. Damage is not an error but a line of the report.
    fn verify(&self) -> Result<VerifyReport> {
        Err(unsupported("verify"))
    }

    /// Bytes on disk of the entries in `range`; an estimate.
    ///
    /// # Behavior
    /// Requires [`SizeOnDisk`](crate::Capability::SizeOnDisk).
    ///
    /// # Errors
    /// `Unsupported` unless implemented; `Io`.
    fn size_on_disk(&self, range: KeyRange<'_>) -> Result<u64> {
        let _ = range;
        Err(unsupported("size_on_disk"))
    }
}

/// A read view of one moment; ends when it is dropped (clause 10).
pub trait StorageSnapshot: Send + Sync {
    /// As [`StorageBackend::get`], of the snapshot's moment.
    ///
    /// # Errors
    /// `SnapshotExpired`, `Io`, `Corruption`.
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool>;

    /// As [`StorageBackend::multi_get`], all of the snapshot's moment.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        let mut value = ByteBuf::new();
        for key in keys {
            let found = self.get(key, &mut value)?;
            values.push(found.then_some(&*value));
        }
        Ok(())
    }

    /// As [`StorageBackend::cursor`], of the snapshot's moment. The cursor may outlive the snapshot.
    ///
    /// # Errors
    /// As [`StorageBackend::cursor`].
    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>>;
}

/// A position in a range of a fixed view.
///
/// A cursor belongs to one thread at a time.
pub trait Cursor: Send {
    /// Appends entries to `page` until it is full or the range ends.
    ///
    /// # Behavior
    /// - `page` comes in empty, and may be [full](Page::full_at) at any size. Each entry once, in the cursor's direction, without holes.
    /// - [`PageEnd::More`] comes with at least one entry. After [`PageEnd::End`] further calls append nothing and return `End`.
    /// - An error is distinct from the end and is sticky: every later call fails too (clause 13). The wrapper keeps it.
    ///
    /// # Errors
    /// `SnapshotExpired`, `Io`, `Corruption`.
    fn next_page(&mut self, page: &mut Page) -> Result<PageEnd>;

    /// Moves so that the next entry is the first at or after `key` in the cursor's direction: forward the smallest key `>= key`,
    /// in reverse the greatest key `<= key`.
    ///
    /// # Behavior
    /// Clamped to the cursor's range. May go back, and makes an ended cursor usable again.
    ///
    /// # Errors
    /// As [`next_page`](Self::next_page).
    fn seek(&mut self, key: &[u8]) -> Result<()>;
}

fn unsupported(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, operation, "this backend does not have it")
}

macro_rules! debug_as_name {
    ($($object:ty = $name:literal),*) => {
        $(impl Debug for $object {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($name)
            }
        })*
    };
}

debug_as_name! {
    dyn StorageBackend = "StorageBackend",
    dyn StorageSnapshot = "StorageSnapshot",
    dyn Cursor = "Cursor"
}
