//! SQLite through rusqlite, with the backend's options and, as in the backend, a read transaction that is kept until the next write,
//! cached statements, a commit that waits for no sync, and a log that is moved when it has the backend's length.

use crate::backend::Dir;
use crate::data::Put;
use crate::leg::Leg;
use rusqlite::{Connection, OpenFlags, Rows};
use std::sync::Arc;
use supervm_plugin_sdk::KeyRange;
use supervm_storage_sqlite::SqliteConfig;

/// The backend's file. Its one table, `entries`, has the columns `key` and `value`.
const FILE: &str = "storage.sqlite3";
const PAGE_BYTES: u64 = 8192;

/// A SQLite database.
#[derive(Debug)]
pub struct RusqliteLeg {
    is_reading: bool,
    reader: Connection,
    writer: Connection,
    // Dropped after the connections to what is in it.
    _dir: Arc<Dir>,
}

impl RusqliteLeg {
    /// Opens what the backend has filled.
    pub fn open(dir: Arc<Dir>) -> Self {
        let config = SqliteConfig::default();
        let connect = |flags, cache_bytes: u64| {
            let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(dir.path().join(FILE), flags);
            let connection = connection.expect("the image opens");
            let pragmas = format!(
                "PRAGMA mmap_size = {}; PRAGMA cache_size = -{}",
                config.mmap_bytes.0,
                cache_bytes >> 10
            );
            connection.execute_batch(&pragmas).expect("the pragmas are SQLite's");
            connection
        };
        let writer = connect(OpenFlags::SQLITE_OPEN_READ_WRITE, config.cache_bytes.0);
        let reader = connect(OpenFlags::SQLITE_OPEN_READ_ONLY, config.reader_cache_bytes.0);
        let wal_bytes = config.wal_bytes.0;
        let pragmas = format!(
            "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = {}; PRAGMA journal_size_limit = {wal_bytes}",
            wal_bytes / PAGE_BYTES
        );
        writer.execute_batch(&pragmas).expect("the pragmas are SQLite's");
        Self { is_reading: false, reader, writer, _dir: dir }
    }

    #[inline]
    fn reading(&mut self) -> &Connection {
        if !self.is_reading {
            run(&self.reader, "BEGIN");
            self.is_reading = true;
        }
        &self.reader
    }
}

impl Leg for RusqliteLeg {
    #[inline]
    fn get<T>(&mut self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let select = self.reading().prepare_cached("SELECT value FROM entries WHERE key = ?1");
        let mut select = select.expect("prepare");
        let mut rows = select.query([key]).expect("query");
        let row = rows.next().expect("next row")?;
        let value = row.get_ref(0).expect("the column is there");
        Some(read(value.as_blob().expect("the column holds blobs")))
    }

    fn multi_get(&mut self, keys: &[&[u8]], mut read: impl FnMut(Option<&[u8]>)) {
        let select = self.reading().prepare_cached("SELECT value FROM entries WHERE key = ?1");
        let mut select = select.expect("prepare");
        for key in keys {
            let mut rows = select.query([key]).expect("query");
            let row = rows.next().expect("next row");
            let value = row.map(|row| row.get_ref(0).expect("the column is there"));
            read(value.map(|value| value.as_blob().expect("the column holds blobs")));
        }
    }

    fn scan(&mut self, range: KeyRange<'_>, read: impl FnMut(&[u8], &[u8])) {
        const BOUNDED: &str =
            "SELECT key, value FROM entries WHERE key >= ?1 AND key < ?2 ORDER BY key";
        const UNBOUNDED: &str = "SELECT key, value FROM entries WHERE key >= ?1 ORDER BY key";
        let sql = if range.end.is_some() { BOUNDED } else { UNBOUNDED };
        let mut select = self.reading().prepare_cached(sql).expect("prepare");
        let rows = match range.end {
            Some(end) => select.query((range.start, end)),
            None => select.query([range.start]),
        };
        read_rows(rows.expect("query"), read);
    }

    fn write(&mut self, batch: &[Put]) {
        if std::mem::take(&mut self.is_reading) {
            run(&self.reader, "ROLLBACK");
        }
        run(&self.writer, "BEGIN IMMEDIATE");
        let put = self.writer.prepare_cached("REPLACE INTO entries VALUES (?1, ?2)");
        let mut put = put.expect("prepare");
        for entry in batch {
            put.execute((&entry.key, &entry.value)).expect("put");
        }
        drop(put);
        run(&self.writer, "COMMIT");
    }
}

fn read_rows(mut rows: Rows<'_>, mut read: impl FnMut(&[u8], &[u8])) {
    while let Some(row) = rows.next().expect("next row") {
        let column = |index| row.get_ref(index).expect("the column is there");
        let (key, value) = (column(0), column(1));
        read(key.as_blob().expect("a blob"), value.as_blob().expect("a blob"));
    }
}

fn run(connection: &Connection, sql: &str) {
    let mut statement = connection.prepare_cached(sql).expect("prepare");
    statement.execute([]).expect("a transaction begins and ends");
}
