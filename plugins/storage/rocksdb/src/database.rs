//! The open database: what has to be in a directory before RocksDB is let at it, and under which name RocksDB knows the directory.
//!
//! RocksDB makes a new database where there is no file `CURRENT`, and deletes every file that is named like one of its own and that
//! it does not know. A directory that lost `CURRENT` would be emptied; so what is there is looked at first.

use crate::config::RocksDbConfig;
use crate::error::{failed, failed_open};
use crate::options::database_options;
use crate::{checkpoint, records};
use rocksdb::{
    ColumnFamily, DB, DEFAULT_COLUMN_FAMILY_NAME, Options, WaitForCompactOptions, properties,
};
use rustix::fs::statvfs;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::{Error, ErrorKind, OpenMode, Result};

/// The file that names RocksDB's list of files; a directory with it holds a database.
const CURRENT_FILE: &str = "CURRENT";
/// A time-out of none is no time-out for RocksDB.
const SHORTEST_WAIT_MICROSECONDS: u64 = 1;

/// An open database.
pub(crate) struct Database {
    pub(crate) db: DB,
    // Dropped after `db`, which may know the directory by it.
    dir: DirName,
    is_read_only: bool,
}

impl Database {
    pub(crate) fn open(dir: &Path, config: &RocksDbConfig, mode: OpenMode) -> Result<Self> {
        inspect(dir, mode)?;
        checkpoint::check(dir)?;
        let mut options = database_options(config);
        options.create_if_missing(mode == OpenMode::Create);
        let database = Self::open_with(dir, &options, mode == OpenMode::ReadOnly)?;
        if !database.is_read_only {
            checkpoint::forget(dir)?;
        }
        Ok(database)
    }

    /// Opens what is in `dir` with these options; read-only without a lock, and without writing a file.
    pub(crate) fn open_with(dir: &Path, options: &Options, is_read_only: bool) -> Result<Self> {
        records::check(dir)?;
        let dir = DirName::new(dir)?;
        let families = [(DEFAULT_COLUMN_FAMILY_NAME, options.clone())];
        let db = if is_read_only {
            DB::open_cf_with_opts_for_read_only(options, &dir.name, families, false)
        } else {
            DB::open_cf_with_opts(options, &dir.name, families)
        };
        Ok(Self { db: db.map_err(failed_open)?, dir, is_read_only })
    }

    /// The directory's name, for as long as the database is open.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The one column family that there is.
    pub(crate) fn family(&self) -> Result<&ColumnFamily> {
        self.db.cf_handle(DEFAULT_COLUMN_FAMILY_NAME).ok_or_else(|| {
            Error::new(ErrorKind::Internal, "open", "the default column family is not open")
        })
    }

    /// A figure that RocksDB keeps; 0 when it does not.
    pub(crate) fn figure(&self, name: &properties::PropName) -> Result<u64> {
        let figure = self.db.property_int_value(name).map_err(|error| failed("stats", error))?;
        Ok(figure.unwrap_or_default())
    }

    /// Is what runs in the background sound?
    ///
    /// # Errors
    /// What it last failed with and has not recovered from.
    pub(crate) fn check_background(&self, operation: &'static str) -> Result<()> {
        let mut options = WaitForCompactOptions::default();
        options.set_timeout(SHORTEST_WAIT_MICROSECONDS);
        match self.db.wait_for_compact(&options) {
            Err(error) if error.kind() != rocksdb::ErrorKind::TimedOut => {
                Err(failed(operation, error))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    /// Bytes that are free on the disk.
    pub(crate) fn free_bytes(&self) -> Result<u64> {
        let disk = statvfs(self.dir()).map_err(|error| Error::io("write", error.into()))?;
        Ok(disk.f_bavail * disk.f_frsize)
    }

    /// Bytes of all files of the directory.
    pub(crate) fn disk_bytes(&self) -> Result<u64> {
        let io = |error| Error::io("stats", error);
        let mut bytes = 0;
        for entry in fs::read_dir(self.dir()).map_err(io)? {
            // RocksDB may delete a file between its name and its length.
            bytes += entry.map_err(io)?.metadata().map_or(0, |metadata| metadata.len());
        }
        Ok(bytes)
    }
}

/// A name of a directory that is UTF-8, which the crate needs.
pub(crate) struct DirName {
    name: PathBuf,
    /// Kept open while `name` goes through it.
    _handle: Option<File>,
}

impl DirName {
    pub(crate) fn new(dir: &Path) -> Result<Self> {
        if dir.to_str().is_some() {
            return Ok(Self { name: dir.to_owned(), _handle: None });
        }
        let handle = File::open(dir).map_err(|error| Error::io("open", error))?;
        let name = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
        if !name.exists() {
            let message = "without /proc the directory's name has to be UTF-8";
            return Err(Error::new(ErrorKind::InvalidArgument, "open", message));
        }
        Ok(Self { name, _handle: Some(handle) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.name
    }
}

/// Is there a database in `dir`, or may one be made?
///
/// # Errors
/// `NotFound` when there is none and `mode` makes none, `Corruption` when there are parts of one, `FormatMismatch`.
fn inspect(dir: &Path, mode: OpenMode) -> Result<()> {
    let (mut has_current, mut data) = (false, None);
    for entry in fs::read_dir(dir).map_err(|error| Error::io("open", error))? {
        let entry = entry.map_err(|error| Error::io("open", error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match file_kind(&name) {
            FileKind::Current => has_current = true,
            FileKind::Table | FileKind::Log => data = Some(name),
            FileKind::LevelDbTable => {
                let message =
                    "the directory holds a LevelDB database; open it with the backend leveldb";
                let error = Error::new(ErrorKind::FormatMismatch, "open", message);
                return Err(error.with("file", name));
            }
            FileKind::List | FileKind::Other => {}
        }
    }
    match (has_current, data) {
        (true, _) => Ok(()),
        (false, Some(file)) => {
            let message = "the file CURRENT is missing, but there is data; put back the directory from a copy";
            Err(Error::new(ErrorKind::Corruption, "open", message).with("file", file))
        }
        (false, None) if mode == OpenMode::Create => Ok(()),
        (false, None) => {
            let message = "there is no RocksDB database in the directory";
            Err(Error::new(ErrorKind::NotFound, "open", message))
        }
    }
}

/// The name of the list of files that RocksDB will read; `None` when `CURRENT` names none, which RocksDB reports.
pub(crate) fn manifest_in_use(dir: &Path) -> Option<String> {
    let current = fs::read_to_string(dir.join(CURRENT_FILE)).ok()?;
    let name = current.trim_end();
    matches!(file_kind(name), FileKind::List).then(|| name.to_owned())
}

/// What a file is, by its name.
pub(crate) enum FileKind {
    Current,
    Table,
    Log,
    /// RocksDB's list of files, or the options that it was opened with.
    List,
    LevelDbTable,
    Other,
}

pub(crate) fn file_kind(name: &str) -> FileKind {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match name.split_once('.') {
        Some((stem, "sst")) if is_number(stem) => FileKind::Table,
        Some((stem, "log")) if is_number(stem) => FileKind::Log,
        Some((stem, "ldb")) if is_number(stem) => FileKind::LevelDbTable,
        None if name == CURRENT_FILE => FileKind::Current,
        None if name.starts_with("MANIFEST-") || name.starts_with("OPTIONS-") => FileKind::List,
        _ => FileKind::Other,
    }
}
