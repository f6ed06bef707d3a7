//! The one connection that writes, and what becomes of the write-ahead log.
//!
//! With `synchronous = NORMAL` a commit is in the log, in the hands of the operating system: it survives the process. With
//! `FULL` the log is synced too: it survives a power cut. The log's frames carry a running checksum, so that what a power cut
//! takes is its end. SQLite syncs the log before it moves it into the database, and the database before it uses the log again.

use crate::config::Synchronous;
use crate::database::Database;
use crate::error::{failed, is_busy, is_full, retold};
use crate::readers::Readers;
use rusqlite::Connection;
use std::fs::File;
use supervm_plugin_sdk::prelude::*;

/// Pages that one step of `compact` moves; other writes come in between.
const COMPACT_STEP_PAGES: u64 = 1024;

#[derive(Debug)]
pub(crate) struct Writer {
    connection: Connection,
    /// What `synchronous` is set to.
    durability: Option<Durability>,
    /// The log, open for `sync`. It stays the same file while the connection is open, and SQLite has no locks on it that
    /// closing a second descriptor would end.
    wal: Option<File>,
}

impl Writer {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, durability: None, wal: None }
    }

    /// Applies `batch`, and moves the log into the database when it has become long.
    pub(crate) fn write(
        &mut self,
        batch: &WriteBatch,
        durability: Durability,
        readers: &Readers,
    ) -> Result<()> {
        if batch.is_empty() {
            return self.flush(durability, readers.database());
        }
        self.promise(durability, readers.database().config().synchronous)?;
        let applied = self.run("BEGIN IMMEDIATE").and_then(|()| self.apply(batch));
        if let Err(error) = applied {
            return Err(self.undo(not_applied(error, readers.database())));
        }
        if let Err(error) = readers.during_commit(|| self.run("COMMIT")) {
            return Err(self.undo(not_committed(error, readers.database())));
        }
        self.move_long_log(readers)
    }

    /// Makes what was committed survive what `durability` says.
    pub(crate) fn flush(&mut self, durability: Durability, database: &Database) -> Result<()> {
        if durability == Durability::Buffered {
            return Ok(());
        }
        let io = |error| Error::io("flush", error);
        if self.wal.is_none() {
            match File::open(database.wal()) {
                Ok(wal) => {
                    // The log's name has to last as well.
                    File::open(database.dir()).and_then(|dir| dir.sync_all()).map_err(io)?;
                    self.wal = Some(wal);
                }
                // Nothing was written since the database was opened.
                Err(absent) if absent.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(io(error)),
            }
        }
        self.wal.as_ref().map_or(Ok(()), File::sync_all).map_err(io)
    }

    /// Moves some pages from the end of the file into free ones, and returns how many free pages remain.
    pub(crate) fn compact_step(&mut self) -> Result<u64> {
        let step = format!("PRAGMA incremental_vacuum({COMPACT_STEP_PAGES})");
        let free = self.connection.prepare_cached(&step).and_then(|mut sql| {
            let mut moved = sql.query([])?;
            while moved.next()?.is_some() {}
            drop(moved);
            self.connection.query_row("PRAGMA freelist_count", [], |row| row.get::<_, i64>(0))
        });
        free.map(|pages| pages as u64).map_err(|error| failed("compact", error))
    }

    /// Moves the log into the database, as far as no reader needs the older state.
    pub(crate) fn move_log(&mut self, readers: &Readers) -> Result<()> {
        // IMPORTANT: first, so that the lanes are no such readers, and again, so that the next commit finds the log unused and
        // begins it anew.
        readers.end_lanes();
        let moved = self.log_pages("PRAGMA wal_checkpoint(PASSIVE)");
        readers.end_lanes();
        match moved {
            Ok(_) => Ok(()),
            // The log stays, and with it everything that was written.
            Err(full) if is_full(&full) => Ok(()),
            Err(error) => {
                let error = readers.database().failed("checkpoint of the log", error);
                Err(error.with_effect(Effect::Unknown))
            }
        }
    }

    /// Ends the connection; as the last one it moves the log into the database and removes it.
    pub(crate) fn close(self) -> Result<()> {
        self.connection.close().map_err(|(_, error)| failed("close", error))
    }

    fn apply(&self, batch: &WriteBatch) -> rusqlite::Result<()> {
        let mut put = self.connection.prepare_cached("REPLACE INTO entries VALUES (?1, ?2)")?;
        let mut delete = self.connection.prepare_cached("DELETE FROM entries WHERE key = ?1")?;
        for operation in batch.iter() {
            match operation {
                Operation::Put { key, value } => drop(put.execute((key, value))?),
                Operation::Delete { key } => drop(delete.execute([key])?),
                Operation::DeleteRange { range } => self.delete_range(range)?,
            }
        }
        Ok(())
    }

    fn delete_range(&self, range: KeyRange<'_>) -> rusqlite::Result<()> {
        match range.end {
            Some(end) => self
                .connection
                .prepare_cached("DELETE FROM entries WHERE key >= ?1 AND key < ?2")?
                .execute((range.start, end))?,
            None => self
                .connection
                .prepare_cached("DELETE FROM entries WHERE key >= ?1")?
                .execute([range.start])?,
        };
        Ok(())
    }

    /// Sets what the next commit waits for.
    fn promise(&mut self, asked: Durability, synchronous: Synchronous) -> Result<()> {
        let durability = match synchronous {
            Synchronous::Normal => asked,
            Synchronous::Full => Durability::Synced,
        };
        if self.durability == Some(durability) {
            return Ok(());
        }
        let set = match durability {
            Durability::Buffered => "PRAGMA synchronous = NORMAL",
            Durability::Synced => "PRAGMA synchronous = FULL",
        };
        self.run(set).map_err(|error| failed("write", error))?;
        self.durability = Some(durability);
        Ok(())
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    /// Rolls back what `error` left open; a rollback that fails leaves the effect unknown.
    fn undo(&self, error: Error) -> Error {
        // SQLite has rolled back by itself after some errors.
        if self.connection.is_autocommit() || self.run("ROLLBACK").is_ok() {
            return error;
        }
        error.with_effect(Effect::Unknown)
    }

    fn move_long_log(&mut self, readers: &Readers) -> Result<()> {
        let database = readers.database();
        let length = self
            .log_pages("PRAGMA wal_checkpoint(NOOP)")
            .map_err(|error| failed("length of the log", error).with_effect(Effect::Applied))?;
        if length * database.page_bytes() < database.config().wal_bytes.0 {
            return Ok(());
        }
        self.move_log(readers)
    }

    /// Runs a checkpoint of SQLite and returns the pages in the log.
    fn log_pages(&self, checkpoint: &str) -> rusqlite::Result<u64> {
        let mut statement = self.connection.prepare_cached(checkpoint)?;
        let pages: i64 = statement.query_row([], |row| row.get(1))?;
        // SQLite says -1 where there is no log yet.
        Ok(u64::try_from(pages).unwrap_or(0))
    }
}

/// A failure before the commit: SQLite's log has no commit of it.
fn not_applied(error: rusqlite::Error, database: &Database) -> Error {
    let is_full = is_full(&error);
    let error = database.failed("write", error);
    match database.quota_pages() {
        // SQLite counts pages while a batch is applied, and fills the disk when it is committed.
        Some(pages) if is_full => {
            let refused = "the batch would make the database larger than its quota; delete something or raise quota_bytes";
            let quota = Error::new(ErrorKind::QuotaFull, "write", refused);
            retold(error, quota.with("quota_pages", pages))
        }
        _ => error,
    }
}

/// A failure of the commit itself. The disk was full before the log had the commit, or it was never tried; after a failed write or
/// sync, the log may have it when it is read again.
fn not_committed(error: rusqlite::Error, database: &Database) -> Error {
    let is_before_the_log = is_full(&error) || is_busy(&error);
    let effect = if is_before_the_log { Effect::NotApplied } else { Effect::Unknown };
    database.failed("write", error).with_effect(effect)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SqliteConfig;
    use std::sync::Arc;

    #[test]
    fn a_buffered_batch_syncs_what_the_option_says_and_a_synced_one_the_log() {
        for (synchronous, buffered) in [(Synchronous::Normal, 1), (Synchronous::Full, 2)] {
            let dir = tempfile::tempdir().expect("temporary directory");
            let config = SqliteConfig { synchronous, ..SqliteConfig::default() };
            let opened = Database::open(dir.path(), config, OpenMode::Create);
            let (database, connection) = opened.expect("opens");
            let readers = Arc::new(Readers::new(database));
            let mut writer = Writer::new(connection.expect("opened for writing"));
            let mut batch = WriteBatch::new();
            batch.put(b"key", b"value");
            for (durability, level) in [(Durability::Buffered, buffered), (Durability::Synced, 2)] {
                writer.write(&batch, durability, &readers).expect("writes");
                let query = "PRAGMA synchronous";
                let set: i64 =
                    writer.connection.query_row(query, [], |row| row.get(0)).expect("set");
                assert_eq!(set, level, "{synchronous:?}, {durability:?}");
            }
        }
    }
}
