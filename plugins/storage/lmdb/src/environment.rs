//! The open data file: how large it may become, who may open it, and what a commit syncs.
//!
//! The whole of the map is reserved at open, so it never has to be resized beneath a live reader. Without a writable map that
//! costs address space only: LMDB writes pages with `pwrite`, and the file is as long as the last page written.
//!
//! LMDB reads the file through memory, where a page past the end of the file is a SIGBUS. So a file that ends before its last
//! page is found at open, and none is left behind: see [`Environment::cover_last_page`]. The table of readers is written through
//! memory, where a page that a full disk has no room for is a SIGBUS too: its room is reserved before.

#![expect(
    unsafe_code,
    reason = "opening a memory map and changing its flags; each block says why it is sound"
)]

use crate::config::LmdbConfig;
use crate::error::lmdb_error;
use crate::readers::ReadTxn;
use heed::types::Bytes;
use heed::{
    CommitOrAbort, Comparator, Database, Env, EnvFlags, EnvOpenOptions, FlagSetMode, MdbError,
    WithoutTls,
};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use std::cmp::Ordering;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::{Durability, Error, ErrorKind, OpenMode, Result};

/// LMDB's file of pages.
pub(crate) const DATA_FILE: &str = "data.mdb";
/// LMDB's file of readers.
pub(crate) const LOCK_FILE: &str = "lock.mdb";

/// What is mapped beyond the end of a file that is larger than asked for, at least: so that it can be emptied.
const ROOM_BYTES_MIN: u64 = 8 << 20;
/// A multiple of every page size in use.
const MAP_ALIGNMENT: u64 = 64 << 10;
/// Room that one reader takes in the table of readers, bytes.
const READER_BYTES: u64 = 64;
/// Room for what stands before the readers, bytes; more than it takes.
const READERS_HEAD_BYTES: u64 = 4 << 10;

pub(crate) struct Environment {
    env: Env<WithoutTls>,
    pub(crate) db: Entries,
    dir: PathBuf,
    // Dropped after `env`: its lock keeps writers away from readers that are in no table.
    data: LockedFile,
}

/// The one table of an environment.
pub(crate) type Entries = Database<'static, Bytes, Bytes, ByteOrder>;

/// The order that LMDB itself has, of bytes and then of lengths, found eight bytes at a time: where most keys differ in their first
/// bytes, a look-up spends a third of its time in calls of `memcmp` otherwise.
#[derive(Debug)]
pub(crate) enum ByteOrder {}

impl Comparator for ByteOrder {
    #[inline]
    fn compare(mut a: &[u8], mut b: &[u8]) -> Ordering {
        while let (Some((a_word, a_rest)), Some((b_word, b_rest))) =
            (a.split_first_chunk(), b.split_first_chunk())
        {
            let (a_word, b_word) = (u64::from_be_bytes(*a_word), u64::from_be_bytes(*b_word));
            if a_word != b_word {
                return a_word.cmp(&b_word);
            }
            (a, b) = (a_rest, b_rest);
        }
        a.cmp(b)
    }
}

/// A file whose lock is let go when it is dropped.
struct LockedFile(File);

impl Drop for LockedFile {
    /// Unlocks instead of only closing: a child process that is just being started has a copy of the descriptor until it runs its program, and
    /// the lock would last as long.
    fn drop(&mut self) {
        // Closing is what is left when it fails.
        let _ = self.0.unlock();
    }
}

impl Environment {
    pub(crate) fn open(dir: &Path, config: &LmdbConfig, mode: OpenMode) -> Result<Self> {
        let (data, is_new) = lock_data(dir, mode)?;
        if mode != OpenMode::ReadOnly {
            reserve_readers(dir, config.readers_max)?;
        }
        let bytes = data.0.metadata().map_err(|error| Error::io("open", error))?.len();
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        let map_bytes = config.map_bytes_max.0.max(bytes + bytes / 8 + ROOM_BYTES_MIN);
        let map_bytes = map_bytes.next_multiple_of(MAP_ALIGNMENT);
        options.map_size(map_bytes as usize).max_readers(config.readers_max);
        if mode == OpenMode::ReadOnly {
            // SAFETY: without LMDB's own locks nothing tells a writer which pages are being read. The lock of the data
            // file, held as long as the environment, keeps every writer away.
            unsafe { options.flags(EnvFlags::READ_ONLY | EnvFlags::NO_LOCK) };
        }
        // SAFETY: a map is sound as long as nobody else changes the file. Every writer of this crate holds the file's lock,
        // in this process and in others, and heed opens no directory twice.
        let env = unsafe { options.open(dir) }.map_err(|error| explain_open(error, map_bytes))?;
        let db = open_database(&env).map_err(|error| lmdb_error("open", error))?;
        if is_new {
            sync_dir(dir)?;
        }
        Ok(Self { env, db, dir: dir.to_owned(), data })
    }

    pub(crate) fn env(&self) -> &Env<WithoutTls> {
        &self.env
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The id of the last commit.
    pub(crate) fn last_commit(&self) -> usize {
        self.env.info().last_txn_id
    }

    /// Begins a read transaction that is independent of every other. `Busy` when every reader is taken.
    pub(crate) fn begin_read(&self) -> Result<ReadTxn> {
        match self.env.clone().static_read_txn() {
            Err(heed::Error::Mdb(MdbError::ReadersFull)) => {
                self.clear_stale_readers()?;
                self.env.clone().static_read_txn()
            }
            begun => begun,
        }
        .map_err(|error| lmdb_error("begin read", error))
    }

    /// Frees the readers of processes that ended without doing so.
    pub(crate) fn clear_stale_readers(&self) -> Result<usize> {
        self.env.clear_stale_readers().map_err(|error| lmdb_error("clear readers", error))
    }

    /// Says what the commits that follow sync. The caller is the only writer.
    ///
    /// Both sync their pages before the root that leads to them is written, so a root on disk never leads to a page that is
    /// not. `Synced` waits for the root too; `Buffered` leaves it to the operating system, or to the next commit's
    /// sync. LMDB reuses a page only when it is free in the last two versions, so the root before it stays whole: what a power
    /// cut can take is the last commit (clause 15).
    pub(crate) fn set_durability(&self, durability: Durability) -> Result<()> {
        let mode = match durability {
            Durability::Buffered => FlagSetMode::Enable,
            Durability::Synced => FlagSetMode::Disable,
        };
        // SAFETY: heed requires that no other thread sets flags; only the writer does, and there is one at a time.
        unsafe { self.env.set_flags(EnvFlags::NO_META_SYNC, mode) }
            .map_err(|error| lmdb_error("write", error))
    }

    /// Makes the file reach to its last page. How long it was, when it did not.
    ///
    /// LMDB does not write a page that a batch allocated and freed again, not even when it is the last.
    pub(crate) fn cover_last_page(&self) -> Result<Option<u64>> {
        let short = self.bytes_if_short()?;
        if short.is_some() {
            let bytes = self.bytes_to_last_page();
            self.data.0.set_len(bytes).map_err(|error| Error::io("write", error))?;
        }
        Ok(short)
    }

    /// How long the file is, when it ends before its last page.
    pub(crate) fn bytes_if_short(&self) -> Result<Option<u64>> {
        let metadata = self.data.0.metadata().map_err(|error| Error::io("read", error))?;
        Ok(Some(metadata.len()).filter(|bytes| *bytes < self.bytes_to_last_page()))
    }

    fn bytes_to_last_page(&self) -> u64 {
        let page_bytes = u64::from(self.env.unnamed_database_stat().page_size);
        (self.env.info().last_page_number as u64 + 1) * page_bytes
    }
}

/// Opens and locks the data file, and says whether it is new: alone for writing, shared for reading.
fn lock_data(dir: &Path, mode: OpenMode) -> Result<(LockedFile, bool)> {
    let path = dir.join(DATA_FILE);
    let is_new = std::fs::metadata(&path).map_or(true, |metadata| metadata.len() == 0);
    if is_new && mode != OpenMode::Create {
        let message =
            "the directory holds no storage of LMDB; open it with mode create to make one";
        return Err(Error::new(ErrorKind::NotFound, "open", message).with("file", path.display()));
    }
    let is_writer = mode != OpenMode::ReadOnly;
    let mut options = File::options();
    let opened = options.read(true).write(is_writer).create(mode == OpenMode::Create).open(&path);
    let file = opened.map_err(|error| Error::io("open", error).with("file", path.display()))?;
    match if is_writer { file.try_lock() } else { file.try_lock_shared() } {
        Ok(()) => Ok((LockedFile(file), is_new)),
        Err(TryLockError::WouldBlock) => {
            let message = "the data file is in use by another handle or process";
            Err(Error::new(ErrorKind::Locked, "open", message))
        }
        Err(TryLockError::Error(error)) => Err(Error::io("open", error)),
    }
}

/// Reserves the blocks of LMDB's table of readers. LMDB alone decides on the length of the file.
fn reserve_readers(dir: &Path, readers: u32) -> Result<()> {
    let path = dir.join(LOCK_FILE);
    let failed = |error| Error::io("open", error).with("file", path.display());
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let bytes = READERS_HEAD_BYTES + u64::from(readers) * READER_BYTES;
    match fallocate(file.map_err(failed)?, FallocateFlags::KEEP_SIZE, 0, bytes) {
        Err(full @ (Errno::NOSPC | Errno::DQUOT)) => Err(failed(full.into())),
        // Other failures say that the file system cannot reserve, which on a disk with room is no harm.
        Ok(()) | Err(_) => Ok(()),
    }
}

fn open_database(env: &Env<WithoutTls>) -> heed::Result<Entries> {
    let txn = env.read_txn()?;
    let opened = env.open_databases_and_commit(txn, |opener, txn| {
        let options = opener.database_options().types().key_comparator();
        options.open(txn).map(CommitOrAbort::<_, ()>::Commit)
    })?;
    Ok(opened.commit().flatten().expect("the unnamed database is part of every environment"))
}

fn explain_open(error: heed::Error, map_bytes: u64) -> Error {
    if let heed::Error::Io(error) = &error
        && error.kind() == std::io::ErrorKind::OutOfMemory
    {
        let message = "the address space has no room for the map; lower map_bytes_max";
        return Error::new(ErrorKind::ConfigInvalid, "open", message)
            .with("option", "map_bytes_max")
            .with("map_bytes", map_bytes)
            .with("lmdb_code", error.raw_os_error().unwrap_or_default());
    }
    lmdb_error("open", error)
}

/// Makes the names of new files durable.
fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| Error::io("open", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_as_bytes_are_whatever_their_length_and_where_they_differ() {
        let mut keys = Vec::new();
        for length in 0..=25 {
            keys.push(vec![0x7f; length]);
            for differs_at in 0..length {
                for byte in [0, 0x7e, 0x80, 0xff] {
                    let mut key = vec![0x7f; length];
                    key[differs_at] = byte;
                    keys.push(key);
                }
            }
        }
        for a in &keys {
            for b in &keys {
                assert_eq!(ByteOrder::compare(a, b), a.cmp(b), "{a:x?} and {b:x?}");
            }
        }
    }

    #[test]
    fn a_synced_commit_waits_for_pages_and_root_and_a_buffered_one_for_its_pages() {
        let dir = tempfile::tempdir().unwrap();
        let config = LmdbConfig::default();
        let environment = Environment::open(dir.path(), &config, OpenMode::Create).unwrap();
        let unsynced = EnvFlags::NO_SYNC | EnvFlags::NO_META_SYNC | EnvFlags::MAP_ASYNC;
        let left_out = || environment.env.get_flags().unwrap() & unsynced.bits();
        for _ in 0..2 {
            environment.set_durability(Durability::Buffered).unwrap();
            assert_eq!(left_out(), EnvFlags::NO_META_SYNC.bits());
            environment.set_durability(Durability::Synced).unwrap();
            assert_eq!(left_out(), 0);
        }
    }

    #[test]
    fn a_dropped_environment_lets_its_lock_go_although_a_copy_of_the_descriptor_lives() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Environment::open(dir.path(), &LmdbConfig::default(), OpenMode::Create);
        let environment = open().unwrap();
        // As a child process has one between its fork and its exec.
        let copy = environment.data.0.try_clone().unwrap();
        drop(environment);
        assert!(open().is_ok());
        drop(copy);
    }
}
