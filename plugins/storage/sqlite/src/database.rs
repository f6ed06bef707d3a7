//! The files of a database and the connections to them.
//!
//! ```text
//! storage.sqlite3       the database: one table, from keys to values, in the order of the keys
//! storage.sqlite3-wal   what was committed since the last checkpoint of SQLite; gone after an orderly close
//! storage.sqlite3-shm   SQLite's index of it; shared memory between connections
//! ```
//! The database is made under another name and renamed when it is whole: where the file is, a storage is.

use crate::config::SqliteConfig;
use crate::error::{failed, may_be_full, retold};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::prelude::*;

const FILE: &str = "storage.sqlite3";
const PARTIAL_FILE: &str = "storage.sqlite3.partial";
/// "SVM1", the application id in the header of the file.
const APPLICATION_ID: i32 = 0x5356_4d31;
const FORMAT_VERSION: i32 = 1;
/// An entry of more than about a quarter of a page has pages of its own: a row of 1 KiB took 4.6 KiB with pages of 4 KiB.
const DEFAULT_PAGE_BYTES: u64 = 8 << 10;
/// What is written to find out whether there is room, bytes: more than SQLite's index of the log grows by.
const PROBE_BYTES: usize = 64 << 10;
const PROBE_FILE: &str = "storage.sqlite3.probe";
const OPEN: &str = "open";

/// Where a database is and how connections to it are made.
#[derive(Debug)]
pub(crate) struct Database {
    dir: PathBuf,
    path: PathBuf,
    config: SqliteConfig,
    page_bytes: u64,
    reading: Reading,
}

/// What connections for reading find beside the database.
#[derive(Debug, Clone, Copy)]
enum Reading {
    /// The storage's own writer, with which they share the index of the log.
    BesideWriter,
    /// The log of a writer that was killed. Nobody writes, so each reads the log into an index in its own memory, without a
    /// lock and without the `-shm` file, which the kill may have left in any state.
    LeftLog,
    /// Nothing: the file alone is the content. SQLite would make a log for it if it were not told that nobody writes.
    FileAlone,
}

impl Reading {
    /// The parameters of the URI, and what has to be set before the first read.
    fn settings(self) -> (&'static str, &'static str) {
        match self {
            Self::BesideWriter => ("?mode=ro", ""),
            // SQLite keeps the index in memory for the one connection that has the database to itself. It believes each to be
            // that one where the file system's locks are off.
            Self::LeftLog => ("?mode=ro&vfs=unix-none", "PRAGMA locking_mode = EXCLUSIVE;"),
            Self::FileAlone => ("?mode=ro&immutable=1", ""),
        }
    }
}

impl Database {
    /// Finds the database in `dir`, or makes one where `mode` allows it, and checks that it is ours. Comes with the connection
    /// that writes, unless the storage is opened read-only.
    pub(crate) fn open(
        dir: &Path,
        config: SqliteConfig,
        mode: OpenMode,
    ) -> Result<(Self, Option<Connection>)> {
        let dir = std::path::absolute(dir).map_err(|error| Error::io(OPEN, error))?;
        let path = dir.join(FILE);
        match fs::metadata(&path) {
            Ok(file) if file.len() == 0 => {
                let problem = "the database file is empty: it was cut after it was created";
                return Err(at(Error::new(ErrorKind::Corruption, OPEN, problem), &path));
            }
            Ok(_) => {}
            Err(absent) if absent.kind() == std::io::ErrorKind::NotFound => {
                create(&dir, &path, &config, mode)?;
            }
            Err(error) => return Err(at(Error::io(OPEN, error), &path)),
        }
        let reading = Reading::BesideWriter;
        let mut database = Self { dir, path, config, page_bytes: 0, reading };
        if mode == OpenMode::ReadOnly {
            database.reading = database.reading_alone();
            database.page_bytes = database.check(&database.reader()?)?;
            return Ok((database, None));
        }
        let writer = database.writer()?;
        database.page_bytes = database.check(&writer)?;
        if let Some(pages) = database.quota_pages() {
            let limited = writer.execute_batch(&format!("PRAGMA max_page_count = {pages}"));
            limited.map_err(|error| failed(OPEN, error))?;
        }
        Ok((database, Some(writer)))
    }

    /// A connection that can only read.
    pub(crate) fn reader(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let cache = self.config.reader_cache_bytes;
        let (parameters, first) = self.reading.settings();
        let opened = connect(&self.path, parameters, flags).and_then(|connection| {
            // IMPORTANT: the last connection that is closed would move a log that was left into the database, and remove it.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            connection.execute_batch(first)?;
            self.set_up(connection, cache, "")
        });
        opened.map_err(|error| self.cannot_open(error))
    }

    /// A connection that makes the empty file of a copy in `dir`.
    pub(crate) fn copy_into(dir: &Path) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        // The caller of a checkpoint syncs the whole directory once.
        connect(&dir.join(FILE), "", flags)
            .and_then(|copy| copy.execute_batch("PRAGMA synchronous = OFF").map(|()| copy))
            .map_err(|error| failed("checkpoint", error))
    }

    pub(crate) fn config(&self) -> &SqliteConfig {
        &self.config
    }

    pub(crate) fn page_bytes(&self) -> u64 {
        self.page_bytes
    }

    /// The most pages that the quota allows.
    pub(crate) fn quota_pages(&self) -> Option<u64> {
        // SQLite counts pages in 32 bits; what is above is no quota.
        let pages = self.config.quota_bytes?.0 / self.page_bytes;
        Some(pages.min(u64::from(u32::MAX - 1)))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The write-ahead log.
    pub(crate) fn wal(&self) -> PathBuf {
        beside(&self.path, "-wal")
    }

    /// Bytes of all three files.
    pub(crate) fn disk_bytes(&self) -> u64 {
        let files = [self.path.clone(), self.wal(), beside(&self.path, "-shm")];
        files.iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum()
    }

    fn writer(&self) -> Result<Connection> {
        // SQLite's own checkpoints are off: `Writer` makes them, when no reader of a single key is in their way.
        let pragmas = format!(
            "PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = {};",
            self.config.wal_bytes.0
        );
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = connect(&self.path, "?mode=rw", flags)
            .and_then(|connection| self.set_up(connection, self.config.cache_bytes, &pragmas))
            .map_err(|error| self.cannot_open(error))?;
        let is_readonly = connection.is_readonly("main").map_err(|error| failed(OPEN, error))?;
        if is_readonly {
            let refused = "the database file cannot be written by this user";
            return Err(at(Error::new(ErrorKind::PermissionDenied, OPEN, refused), &self.path));
        }
        Ok(connection)
    }

    /// How a database is read that no connection of this storage writes to.
    fn reading_alone(&self) -> Reading {
        match fs::metadata(self.wal()) {
            Ok(wal) if wal.len() > 0 => Reading::LeftLog,
            _ => Reading::FileAlone,
        }
    }

    fn set_up(
        &self,
        connection: Connection,
        cache: ByteSize,
        more: &str,
    ) -> rusqlite::Result<Connection> {
        let (mmap_bytes, cache_kib) = (self.config.mmap_bytes.0, cache.0 >> 10);
        connection.execute_batch(&format!(
            "PRAGMA mmap_size = {mmap_bytes}; PRAGMA cache_size = -{cache_kib}; {more}"
        ))?;
        Ok(connection)
    }

    /// Checks that the database was made by this backend, as the options want it, and returns the size of its pages.
    fn check(&self, connection: &Connection) -> Result<u64> {
        let pragma = |name| {
            let value =
                connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
            value.map_err(|error| at(self.failed(OPEN, error), &self.path))
        };
        let foreign =
            |refused: String| at(Error::new(ErrorKind::FormatMismatch, OPEN, refused), &self.path);
        if pragma("application_id")? != i64::from(APPLICATION_ID) {
            return Err(foreign("the file is a SQLite database of another program".to_owned()));
        }
        let version = pragma("user_version")?;
        if version != i64::from(FORMAT_VERSION) {
            return Err(foreign(format!(
                "the database has format version {version}, this backend reads {FORMAT_VERSION}"
            )));
        }
        let page_bytes = pragma("page_size")? as u64;
        match self.config.page_size {
            Some(wanted) if wanted.0 != page_bytes => {
                let refused = format!(
                    "page_size is {wanted}, but the database was created with {}; leave the option out or give that",
                    ByteSize(page_bytes)
                );
                let error = Error::new(ErrorKind::ConfigInvalid, OPEN, refused);
                Err(error.with("option", "page_size"))
            }
            _ => Ok(page_bytes),
        }
    }

    /// As [`failed`], for what failed on these files.
    pub(crate) fn failed(&self, operation: &'static str, error: rusqlite::Error) -> Error {
        failed_in(&self.dir, operation, error)
    }

    /// SQLite does not say why it could not open a file; the operating system does.
    fn cannot_open(&self, error: rusqlite::Error) -> Error {
        let is_refused = error.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen);
        let error = match File::open(&self.path) {
            Err(reason) if is_refused => Error::io(OPEN, reason).with_source(error),
            _ => self.failed(OPEN, error),
        };
        at(error, &self.path)
    }
}

/// As [`failed`]. SQLite calls it an I/O error when its index of the log does not fit on a full disk, and when a limit on the size of
/// files keeps a file from growing.
pub(crate) fn failed_in(dir: &Path, operation: &'static str, error: rusqlite::Error) -> Error {
    let may_be_full = may_be_full(&error);
    let error = failed(operation, error);
    if !may_be_full {
        return error;
    }
    match probe_disk(dir).map_err(|refused| Error::io(operation, refused)) {
        Err(full) if full.kind() == ErrorKind::NoSpace => retold(error, full),
        _ => error,
    }
}

/// Writes a little and removes it, as far from the file's beginning as the longest file ends, for a limit on the size of files counts
/// from there.
fn probe_disk(dir: &Path) -> std::io::Result<()> {
    let path = dir.join(PROBE_FILE);
    let written =
        longest_file(dir).and_then(|end| File::create(&path)?.write_all_at(&[0; PROBE_BYTES], end));
    // What the write said is what counts; a file left behind is overwritten by the next probe.
    let _ = fs::remove_file(&path);
    written
}

/// Bytes of the longest file in `dir`.
fn longest_file(dir: &Path) -> std::io::Result<u64> {
    fs::read_dir(dir)?.try_fold(0, |longest, entry| {
        // SQLite may remove a file between its name and its length.
        let bytes = entry?.metadata().map_or(0, |metadata| metadata.len());
        Ok(longest.max(bytes))
    })
}

fn at(error: Error, path: &Path) -> Error {
    error.with("path", path.display())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn connect(path: &Path, parameters: &str, flags: OpenFlags) -> rusqlite::Result<Connection> {
    // A connection is behind a mutex wherever it is shared: SQLite's own would be a second one.
    let flags = flags | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(uri(path) + parameters, flags)
}

/// `path` as SQLite's URI, so that no character of it is taken for a parameter.
fn uri(path: &Path) -> String {
    let mut uri = String::from("file://");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri += &format!("%{byte:02X}");
        }
    }
    uri
}

fn create(dir: &Path, path: &Path, config: &SqliteConfig, mode: OpenMode) -> Result<()> {
    if mode != OpenMode::Create {
        let refused = "the directory holds no database of this backend";
        return Err(at(Error::new(ErrorKind::NotFound, OPEN, refused), path));
    }
    // SQLite would take a log that is left for the new database's own.
    let wal = beside(path, "-wal");
    if wal.exists() {
        let problem = "there is a write-ahead log without its database";
        return Err(at(Error::new(ErrorKind::Corruption, OPEN, problem), &wal));
    }
    let io = |error| at(Error::io(OPEN, error), path);
    let partial = dir.join(PARTIAL_FILE);
    for suffix in ["", "-journal", "-wal", "-shm"] {
        match fs::remove_file(beside(&partial, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
    }
    create_tables(&partial, config).map_err(|error| at(failed_in(dir, OPEN, error), path))?;
    // IMPORTANT: the content is on disk before the name is.
    File::open(&partial).and_then(|file| file.sync_all()).map_err(io)?;
    fs::rename(&partial, path).map_err(io)?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)
}

fn create_tables(path: &Path, config: &SqliteConfig) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection = connect(path, "", flags)?;
    let page_bytes = config.page_size.map_or(DEFAULT_PAGE_BYTES, |page| page.0);
    connection.execute_batch(&format!(
        "PRAGMA page_size = {page_bytes};
         PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA journal_mode = WAL;
         BEGIN;
         CREATE TABLE entries (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
         PRAGMA application_id = {APPLICATION_ID};
         PRAGMA user_version = {FORMAT_VERSION};
         COMMIT;"
    ))?;
    connection.close().map_err(|(_, error)| error)
}
