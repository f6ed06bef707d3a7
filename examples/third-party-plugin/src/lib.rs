//! A SuperVM storage backend on redb, an embedded database in Rust that SuperVM does not ship.

use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTableMetadata, TableDefinition};
use std::fs::{self, File};
use std::io::ErrorKind::InvalidData;
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use supervm_plugin_sdk::prelude::*;

const FILE: &str = "storage.redb";
const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("entries");

/// The `[storage.options]` of `redb`.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedbConfig {
    /// Bytes of redb's page cache. Absent (the default) = redb's own choice, 1 GiB.
    pub cache_bytes: Option<ByteSize>,
}

/// An open storage: the database and the path of its file.
pub struct RedbStorage(Database, PathBuf);

impl StorageFactory for RedbStorage {
    type Config = RedbConfig;

    fn declared_capabilities() -> Capabilities {
        use Capability::{Checkpoint, DeleteRange, ReverseCursor, Snapshot, SyncedWrites};
        let native = &[Checkpoint, Snapshot, ReverseCursor, SyncedWrites];
        Capabilities::new().native(native).simulated(&[DeleteRange])
    }

    fn open(dir: &Path, config: RedbConfig, mode: OpenMode) -> Result<Self> {
        let (path, mut builder) = (dir.join(FILE), Database::builder());
        config.cache_bytes.map(|bytes| builder.set_cache_size(bytes.0 as usize));
        attempt("open", || {
            if mode == OpenMode::Create && !path.exists() {
                create(dir, None)?;
            }
            Ok(Self(builder.open(&path)?, path))
        })
    }
}

impl StorageBackend for RedbStorage {
    fn capabilities(&self) -> Capabilities {
        Self::declared_capabilities()
    }

    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        View::of(self)?.get(key, value)
    }

    fn snapshot(&self) -> Result<Box<dyn StorageSnapshot>> {
        Ok(Box::new(View::of(self)?))
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        View::of(self)?.cursor(range, direction)
    }

    /// Syncs every batch: what redb commits without a sync dies with the process, and `Buffered` has to survive that.
    fn write(&self, batch: &WriteBatch, _: Durability) -> Result<()> {
        let txn = attempt("write", || {
            let mut txn = self.0.begin_write()?;
            // Without it the first open after a kill reads the whole file.
            txn.set_quick_repair(true);
            let mut table = txn.open_table(TABLE)?;
            for operation in batch.iter() {
                match operation {
                    Operation::Put { key, value } => drop(table.insert(key, value)?),
                    Operation::Delete { key } => drop(table.remove(key)?),
                    Operation::DeleteRange { range } => {
                        table.retain_in(bounds(range), |_, _| false)?
                    }
                }
            }
            drop(table);
            Ok(txn)
        })?;
        // A commit that failed may be there after a restart, or not.
        attempt("commit", || Ok(txn.commit()?)).map_err(|error| error.with_effect(Effect::Unknown))
    }

    fn flush(&self, _: Durability) -> Result<()> {
        Ok(())
    }

    fn stats(&self) -> Result<StorageStats> {
        let View(table) = View::of(self)?;
        attempt("stats", || {
            let (keys, disk_bytes) = (Some(table.len()?), Some(fs::metadata(&self.1)?.len()));
            Ok(StorageStats { keys, disk_bytes, ..StorageStats::default() })
        })
    }

    fn checkpoint(&self, dir: &Path) -> Result<()> {
        let view = View::of(self)?;
        fs::create_dir(dir).map_err(|error| Error::io("checkpoint", error))?;
        attempt("checkpoint", || create(dir, Some(view)))
    }
}

/// The rows of one moment. The table keeps its read transaction alive.
struct View(Arc<ReadOnlyTable<&'static [u8], &'static [u8]>>);

impl View {
    /// What is committed at this moment.
    fn of(storage: &RedbStorage) -> Result<Self> {
        attempt("begin read", || Ok(Self(storage.0.begin_read()?.open_table(TABLE)?.into())))
    }
}

impl StorageSnapshot for View {
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        let found = attempt("get", || Ok(self.0.get(key)?))?;
        Ok(found.inspect(|found| value.set(found.value())).is_some())
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        let table = self.0.clone();
        Ok(Box::new(PagedCursor::new(range, direction, move |range, direction, page| {
            attempt("scan", || {
                let mut rows = table.range(bounds(range))?;
                let is_forward = direction == Direction::Forward;
                while let Some(row) = if is_forward { rows.next() } else { rows.next_back() } {
                    let (key, value) = row?;
                    if !page.push(key.value(), value.value()) {
                        return Ok(Some(key.value().to_vec()));
                    }
                }
                Ok(None)
            })
        })))
    }
}

/// Makes a database in `dir`, whole or not at all: redb does not open a file whose making was cut short.
fn create(dir: &Path, content: Option<View>) -> Result<(), redb::Error> {
    let partial = dir.join("partial");
    File::create(&partial)?;
    let database = Database::create(&partial)?;
    let txn = database.begin_write()?;
    let mut table = txn.open_table(TABLE)?;
    if let Some(View(rows)) = content {
        for row in rows.range::<&[u8]>(..)? {
            let (key, value) = row?;
            table.insert(key.value(), value.value())?;
        }
    }
    drop(table);
    txn.commit()?;
    fs::rename(&partial, dir.join(FILE))?;
    Ok(File::open(dir)?.sync_all()?)
}

/// `range` as redb takes it.
fn bounds<'a>(range: KeyRange<'a>) -> impl RangeBounds<&'a [u8]> {
    (Bound::Included(range.start), range.end.map_or(Bound::Unbounded, Bound::Excluded))
}

/// Puts redb's errors into the contract's kinds.
fn attempt<T>(name: &'static str, action: impl FnOnce() -> Result<T, redb::Error>) -> Result<T> {
    action().map_err(|error| match error {
        redb::Error::Io(error) if error.kind() != InvalidData => Error::io(name, error),
        redb::Error::Io(error) => Error::new(ErrorKind::FormatMismatch, name, error.to_string()),
        redb::Error::Corrupted(what) => Error::new(ErrorKind::Corruption, name, what),
        other => Error::new(ErrorKind::Io, name, other.to_string()),
    })
}

export_plugin!(storage: RedbStorage, name: "redb");
