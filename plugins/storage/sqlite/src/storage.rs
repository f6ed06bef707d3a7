//! The backend: what the contract asks for, from the writer and the readers.

use crate::config::SqliteConfig;
use crate::database::{Database, failed_in};
use crate::readers::Readers;
use crate::snapshot::{self, SqliteSnapshot};
use crate::writer::Writer;
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use supervm_plugin_sdk::prelude::*;
use supervm_plugin_sdk::{KEY_BYTES_MAX, Limits, VALUE_BYTES_MAX};

/// Lines of one `verify`, at most.
const PROBLEMS_MAX: usize = 100;

const CAPABILITIES: Capabilities = Capabilities::new().native(&[
    Capability::Checkpoint,
    Capability::Compact,
    Capability::Verify,
    Capability::ReadOnlyOpen,
    Capability::Snapshot,
    Capability::ReverseCursor,
    Capability::DeleteRange,
    Capability::MultiGet,
    Capability::SyncedWrites,
]);

/// A storage in a SQLite database.
#[derive(Debug)]
pub struct SqliteStorage {
    readers: Arc<Readers>,
    /// `None` when the storage is read-only or closed. After `readers`: the last connection that is closed tidies the log up, and
    /// only this one can.
    writer: Mutex<Option<Writer>>,
}

impl StorageFactory for SqliteStorage {
    type Config = SqliteConfig;

    fn declared_capabilities() -> Capabilities {
        CAPABILITIES
    }

    fn check(config: &SqliteConfig) -> Result<()> {
        config.check()
    }

    fn open(dir: &Path, config: SqliteConfig, mode: OpenMode) -> Result<Self> {
        let (database, writer) = Database::open(dir, config, mode)?;
        let readers = Arc::new(Readers::new(database));
        Ok(Self { readers, writer: Mutex::new(writer.map(Writer::new)) })
    }
}

impl StorageBackend for SqliteStorage {
    fn capabilities(&self) -> Capabilities {
        let half = u64::from(self.readers.database().config().readers_max / 2);
        let contract = Limits::CONTRACT;
        CAPABILITIES.with_limits(Limits {
            cursors_max: half.min(contract.cursors_max),
            snapshots_max: half.min(contract.snapshots_max),
            ..contract
        })
    }

    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.readers.latest("get", |connection| snapshot::get(connection, key, value))
    }

    fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        self.readers.latest("multi_get", |connection| snapshot::multi_get(connection, keys, values))
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<()> {
        self.writer("write")?.write(batch, durability, &self.readers)
    }

    fn snapshot(&self) -> Result<Box<dyn StorageSnapshot>> {
        Ok(Box::new(SqliteSnapshot(self.readers.view("snapshot")?)))
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        Ok(snapshot::cursor(self.readers.view("cursor")?, range, direction))
    }

    fn flush(&self, durability: Durability) -> Result<()> {
        self.writer("flush")?.flush(durability, self.readers.database())
    }

    fn stats(&self) -> Result<StorageStats> {
        let database = self.readers.database();
        let (pages, free_pages) = self.readers.latest("stats", |connection| {
            Ok((
                count(connection, "PRAGMA page_count")?,
                count(connection, "PRAGMA freelist_count")?,
            ))
        })?;
        let wal_bytes = fs::metadata(database.wal()).map_or(0, |wal| wal.len());
        let backend = [
            ("page_bytes", database.page_bytes()),
            ("pages", pages),
            ("free_pages", free_pages),
            ("wal_bytes", wal_bytes),
            ("readers_taken", self.readers.views_live()),
        ];
        Ok(StorageStats {
            disk_bytes: Some(database.disk_bytes()),
            backend: backend.map(|(name, value)| (name.to_owned(), value)).into(),
            ..StorageStats::default()
        })
    }

    fn close(&self) -> Result<()> {
        self.flush(Durability::Synced)?;
        self.readers.close();
        self.writer.lock().take().map_or(Ok(()), Writer::close)
    }

    fn checkpoint(&self, dir: &Path) -> Result<()> {
        let view = self.readers.view("checkpoint")?;
        fs::create_dir(dir).map_err(|error| Error::io("checkpoint", error))?;
        let mut copy = Database::copy_into(dir)?;
        let failed = |error| failed_in(dir, "checkpoint", error);
        view.read("checkpoint", |connection| Ok(copy_pages(connection, &mut copy)))?
            .map_err(failed)?;
        copy.close().map_err(|(_, error)| failed(error))
    }

    /// Gives whole free pages back to the file system, wherever in the order of the keys they were used. Never waits for a
    /// reader: while one needs an older state, the file keeps its length until the log is next moved.
    fn compact(&self, _: KeyRange<'_>) -> Result<()> {
        let mut free = u64::MAX;
        loop {
            let left = self.writer("compact")?.compact_step()?;
            // Writers free and take pages meanwhile: it ends when a step made no headway.
            if left == 0 || left >= free {
                return self.writer("compact")?.move_log(&self.readers);
            }
            free = left;
        }
    }

    fn verify(&self) -> Result<VerifyReport> {
        let view = self.readers.view("verify")?;
        let checked = view.read("verify", |connection| count(connection, "PRAGMA page_count"))?;
        match view.read("verify", problems) {
            Ok(problems) => Ok(VerifyReport { checked, problems }),
            Err(damage) if damage.kind() == ErrorKind::Corruption => {
                Ok(VerifyReport { checked, problems: vec![damage.to_string()] })
            }
            Err(error) => Err(error),
        }
    }
}

impl SqliteStorage {
    fn writer(&self, operation: &'static str) -> Result<MappedMutexGuard<'_, Writer>> {
        MutexGuard::try_map(self.writer.lock(), Option::as_mut)
            .map_err(|_| Error::new(ErrorKind::Closed, operation, "the storage was closed"))
    }
}

fn count(connection: &Connection, pragma: &str) -> rusqlite::Result<u64> {
    let value: i64 = connection.prepare_cached(pragma)?.query_row([], |row| row.get(0))?;
    Ok(value as u64)
}

/// Copies every page in one step: the view's transaction keeps them at their moment.
fn copy_pages(from: &Connection, to: &mut Connection) -> rusqlite::Result<()> {
    let backup = Backup::new(from, to)?;
    while backup.step(-1)? != StepResult::Done {}
    Ok(())
}

fn problems(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let check = format!("PRAGMA integrity_check({PROBLEMS_MAX})");
    let mut statement = connection.prepare(&check)?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut problems: Vec<_> = lines.collect::<rusqlite::Result<_>>()?;
    problems.retain(|line| line != "ok");
    let beyond: i64 = connection.query_row(
        "SELECT count(*) FROM entries WHERE length(key) NOT BETWEEN 1 AND ?1 OR length(value) > ?2",
        [KEY_BYTES_MAX as i64, VALUE_BYTES_MAX as i64],
        |row| row.get(0),
    )?;
    if beyond > 0 {
        problems.push(format!("{beyond} entries are longer than a backend accepts"));
    }
    Ok(problems)
}
