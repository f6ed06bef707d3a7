//! A SuperVM storage backend on redb, an embedded database in Rust that SuperVM does not ship.

use redb::{Database, ReadOnlyTable, TableDefinition, WriteTransaction};
use redb::{ReadableDatabase, ReadableTableMetadata};
use std::fs::{self, File};
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use supervm_plugin_sdk::prelude::*;

const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("entries");

/// The `[storage.options]` of `redb`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedbConfig {
    /// Bytes of redb's page cache. Default: 64MiB.
    pub cache_bytes: ByteSize,
}

impl Default for RedbConfig {
    fn default() -> Self {
        Self { cache_bytes: ByteSize(64 << 20) }
    }
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
        let path = dir.join("storage.redb");
        if mode == OpenMode::Create && !path.exists() {
            create(&path, None).map_err(failed("create"))?;
        }
        let mut builder = Database::builder();
        builder.set_cache_size(config.cache_bytes.0 as usize);
        Ok(Self(builder.open(&path).map_err(failed("open"))?, path))
    }
}

impl RedbStorage {
    /// What is committed at this moment.
    fn view(&self) -> Result<View> {
        let txn = self.0.begin_read().map_err(failed("begin read"))?;
        Ok(View(txn.open_table(TABLE).map_err(failed("begin read"))?.into()))
    }
}

impl StorageBackend for RedbStorage {
    fn capabilities(&self) -> Capabilities {
        Self::declared_capabilities()
    }

    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.view()?.get(key, value)
    }

    fn snapshot(&self) -> Result<Box<dyn StorageSnapshot>> {
        Ok(Box::new(self.view()?))
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        self.view()?.cursor(range, direction)
    }

    /// Syncs every batch: what redb commits without a sync dies with the process, and `Buffered` has to survive that.
    fn write(&self, batch: &WriteBatch, _: Durability) -> Result<()> {
        let mut txn = self.0.begin_write().map_err(failed("write"))?;
        // Without it the first open after a kill reads the whole file.
        txn.set_quick_repair(true);
        apply(&txn, batch).map_err(failed("write"))?;
        // A commit that failed may be there after a restart, or not.
        txn.commit().map_err(|error| failed("commit")(error).with_effect(Effect::Unknown))
    }

    fn flush(&self, _: Durability) -> Result<()> {
        Ok(())
    }

    fn stats(&self) -> Result<StorageStats> {
        let keys = self.view()?.0.len().map_err(failed("stats"))?;
        let file = fs::metadata(&self.1).map_err(|error| Error::io("stats", error))?;
        Ok(StorageStats { keys: Some(keys), disk_bytes: Some(file.len()), ..Default::default() })
    }

    fn checkpoint(&self, dir: &Path) -> Result<()> {
        fs::create_dir(dir).map_err(|error| Error::io("checkpoint", error))?;
        create(&dir.join("storage.redb"), Some(self.view()?)).map_err(failed("checkpoint"))
    }
}

/// The rows of one moment. The table keeps its read transaction alive.
struct View(Arc<ReadOnlyTable<&'static [u8], &'static [u8]>>);

impl StorageSnapshot for View {
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        let found = self.0.get(key).map_err(failed("get"))?;
        Ok(found.inspect(|found| value.set(found.value())).is_some())
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(RedbCursor(View(self.0.clone()), RangeAhead::new(range, direction))))
    }
}

/// A view, and what of the cursor's range is ahead of it.
struct RedbCursor(View, RangeAhead);

impl Cursor for RedbCursor {
    fn next_page(&mut self, page: &mut Page) -> Result<PageEnd> {
        let Self(view, ahead) = self;
        let mut rows = view.0.range(bounds(ahead.range())).map_err(failed("scan"))?;
        let mut next = || match ahead.direction() {
            Direction::Forward => rows.next(),
            Direction::Reverse => rows.next_back(),
        };
        while let Some(row) = next() {
            let (key, value) = row.map_err(failed("scan"))?;
            if !page.push(key.value(), value.value()) {
                ahead.pass(key.value());
                return Ok(PageEnd::More);
            }
        }
        ahead.finish();
        Ok(PageEnd::End)
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.1.seek(key);
        Ok(())
    }
}

/// Applies the operations in order. A transaction that is dropped without a commit leaves nothing behind.
fn apply(txn: &WriteTransaction, batch: &WriteBatch) -> Result<(), redb::Error> {
    let mut table = txn.open_table(TABLE)?;
    for operation in batch.iter() {
        match operation {
            Operation::Put { key, value } => drop(table.insert(key, value)?),
            Operation::Delete { key } => drop(table.remove(key)?),
            Operation::DeleteRange { range } => table.retain_in(bounds(range), |_, _| false)?,
        }
    }
    Ok(())
}

/// Makes a database file, whole or not at all: redb does not open one whose making was cut short.
fn create(path: &Path, content: Option<View>) -> Result<(), redb::Error> {
    let partial = path.with_extension("partial");
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
    fs::rename(&partial, path)?;
    Ok(File::open(path.parent().unwrap_or(path))?.sync_all()?)
}

/// `range` as redb takes it.
fn bounds<'a>(range: KeyRange<'a>) -> impl RangeBounds<&'a [u8]> {
    (Bound::Included(range.start), range.end.map_or(Bound::Unbounded, Bound::Excluded))
}

/// redb's error in the contract's kinds.
fn failed<E: Into<redb::Error>>(operation: &'static str) -> impl Fn(E) -> Error {
    move |error| match error.into() {
        redb::Error::Io(foreign) if foreign.kind() == std::io::ErrorKind::InvalidData => {
            Error::new(ErrorKind::FormatMismatch, operation, foreign.to_string())
        }
        redb::Error::Io(error) => Error::io(operation, error),
        redb::Error::Corrupted(what) => Error::new(ErrorKind::Corruption, operation, what),
        other => Error::new(ErrorKind::Io, operation, other.to_string()),
    }
}

export_plugin!(storage: RedbStorage, name: "redb");
