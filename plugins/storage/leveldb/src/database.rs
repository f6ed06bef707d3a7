//! LevelDB's C interface behind safe types; the only `unsafe` code of this crate.
//!
//! Invariants:
//!
//! 1. A [`Database`] outlives everything made from it: iterators and snapshots hold an `Arc` of it. LevelDB itself would read freed
//!    memory when a database is closed beneath an iterator.
//! 2. Its cache and filter outlive the database; `drop` frees them after it was closed.
//! 3. LevelDB's databases, snapshots and option objects may be used from any thread at once; iterators and batches from one at a
//!    time, whichever it is.
//! 4. A text or value that LevelDB hands over is freed by `leveldb_free` exactly once.

#![expect(unsafe_code, reason = "the C interface of LevelDB; each block says why it is sound")]

use crate::config::{Compression, LevelDbConfig};
use crate::error::Failure;
use leveldb_sys::*;
use std::ffi::{CStr, CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use supervm_plugin_sdk::KeyRange;

type Outcome<T> = std::result::Result<T, Failure>;

// In LevelDB's `c.h` and in Snappy's `snappy-c.h`, and not in the crate's bindings.
unsafe extern "C" {
    fn leveldb_options_set_max_file_size(options: *mut leveldb_options_t, bytes: usize);
    fn snappy_uncompressed_length(from: *const c_char, bytes: usize, length: *mut usize) -> i32;
    fn snappy_uncompress(
        from: *const c_char,
        bytes: usize,
        into: *mut c_char,
        length: *mut usize,
    ) -> i32;
}

/// What Snappy made `bytes` of; `None` when it was not Snappy.
pub(crate) fn uncompressed(bytes: &[u8]) -> Option<Vec<u8>> {
    /// Snappy makes three bytes of at most 64.
    const GROWTH_MAX: usize = 64;
    let (from, mut length) = (bytes.as_ptr().cast(), 0);
    // SAFETY: reads `bytes`, writes the length.
    let status = unsafe { snappy_uncompressed_length(from, bytes.len(), &mut length) };
    if status != 0 || length > bytes.len().saturating_mul(GROWTH_MAX) {
        return None;
    }
    let mut into = vec![0_u8; length];
    // SAFETY: writes at most `length` bytes, which are there; damaged input is an error.
    let status =
        unsafe { snappy_uncompress(from, bytes.len(), into.as_mut_ptr().cast(), &mut length) };
    (status == 0).then_some(into)
}

/// An open database.
pub(crate) struct Database {
    db: NonNull<leveldb_t>,
    cache: *mut leveldb_cache_t,
    /// Null without a filter.
    filter: *mut leveldb_filterpolicy_t,
    write: *mut leveldb_writeoptions_t,
    read: ReadOptions,
    /// For reading everything once: compares checksums, and leaves the cache to others.
    scan: ReadOptions,
    verify_checksums: bool,
}

// SAFETY: invariant 3; the fields besides `db` are not changed after open.
unsafe impl Send for Database {}
// SAFETY: as above.
unsafe impl Sync for Database {}

impl Database {
    /// Opens the database in `dir`, which is made unless there is one.
    pub(crate) fn open(dir: &Path, config: &LevelDbConfig) -> Outcome<Self> {
        let dir = CString::new(dir.as_os_str().as_bytes())
            .map_err(|_| Failure("Invalid argument: the path has a zero byte".to_owned()))?;
        let mut error = ErrorText::none();
        // SAFETY: the options are used by `leveldb_open` alone, which copies them; cache and filter stay (invariant 2).
        let (db, cache, filter) = unsafe {
            let cache = leveldb_cache_create_lru(config.block_cache_bytes.0 as usize);
            let filter = match config.bloom_bits_per_key {
                0 => ptr::null_mut(),
                bits => leveldb_filterpolicy_create_bloom(bits as i32),
            };
            let options = database_options(config, cache, filter);
            let db = leveldb_open(options, dir.as_ptr(), error.place());
            leveldb_options_destroy(options);
            (db, cache, filter)
        };
        let Some(db) = NonNull::new(db) else {
            // SAFETY: without a database nobody uses them.
            unsafe { free_parts(cache, filter) };
            return Err(error.take().unwrap_or_else(|| Failure("open gave nothing".to_owned())));
        };
        // SAFETY: has no requirement; freed in `drop`.
        let write = unsafe { leveldb_writeoptions_create() };
        let verify_checksums = config.verify_checksums;
        let read = ReadOptions::new(verify_checksums, true);
        let scan = ReadOptions::new(true, false);
        Ok(Self { db, cache, filter, write, read, scan, verify_checksums })
    }

    /// Hands the value of `key` to `take`; `None` when it is absent.
    #[inline]
    pub(crate) fn get<T>(&self, key: &[u8], take: impl FnOnce(&[u8]) -> T) -> Outcome<Option<T>> {
        self.get_with(&self.read, key, take)
    }

    #[inline]
    fn get_with<T>(
        &self,
        options: &ReadOptions,
        key: &[u8],
        take: impl FnOnce(&[u8]) -> T,
    ) -> Outcome<Option<T>> {
        let (mut length, mut error) = (0, ErrorText::none());
        // SAFETY: all pointers are valid for the call, which keeps none of them.
        let value = unsafe {
            let (db, key_at) = (self.db.as_ptr(), key.as_ptr().cast());
            leveldb_get(db, options.0, key_at, key.len(), &mut length, error.place())
        };
        let Some(value) = NonNull::new(value) else {
            return error.take().map_or(Ok(None), Err);
        };
        let value = Allocated(value);
        // SAFETY: LevelDB says that `length` bytes are there, and they live as long as `value`.
        let bytes = unsafe { slice::from_raw_parts(value.0.as_ptr().cast::<u8>(), length) };
        Ok(Some(take(bytes)))
    }

    /// Appends `batch` to the log, without a sync, and applies it.
    pub(crate) fn write(&self, batch: &mut Batch) -> Outcome<()> {
        let mut error = ErrorText::none();
        // SAFETY: all pointers are valid for the call. The batch is borrowed alone: LevelDB numbers it.
        unsafe { leveldb_write(self.db.as_ptr(), self.write, batch.0.as_ptr(), error.place()) };
        error.take().map_or(Ok(()), Err)
    }

    /// An iterator over this moment.
    pub(crate) fn iterator(self: &Arc<Self>) -> Iterator {
        Iterator::new(self.clone(), &self.read)
    }

    /// An iterator over this moment that compares every checksum and fills no cache.
    pub(crate) fn scan(self: &Arc<Self>) -> Iterator {
        Iterator::new(self.clone(), &self.scan)
    }

    pub(crate) fn snapshot(self: &Arc<Self>) -> Snapshot {
        let options = ReadOptions::new(self.verify_checksums, true);
        // SAFETY: the database is open; the snapshot is released in `drop`, after which `options` is not used.
        let snapshot = unsafe {
            let snapshot = leveldb_create_snapshot(self.db.as_ptr());
            leveldb_readoptions_set_snapshot(options.0, snapshot);
            snapshot
        };
        Snapshot { snapshot, options, database: self.clone() }
    }

    /// Merges the tables that overlap `range`, after the table in memory was written out. Reports no failure; the next write does.
    pub(crate) fn compact(&self, range: KeyRange<'_>) {
        let start = Some(range.start).filter(|start| !start.is_empty());
        let (start, start_length) = address(start);
        let (end, end_length) = address(range.end);
        // SAFETY: a bound is null, for none, or valid for the call.
        unsafe { leveldb_compact_range(self.db.as_ptr(), start, start_length, end, end_length) };
    }

    /// Bytes of table files between `start` and `end`, about.
    pub(crate) fn table_bytes(&self, start: &[u8], end: &[u8]) -> u64 {
        let (starts, ends) = ([start.as_ptr().cast()], [end.as_ptr().cast()]);
        let mut bytes = 0;
        // SAFETY: each array has the one element that is announced.
        unsafe {
            let db = self.db.as_ptr();
            leveldb_approximate_sizes(
                db,
                1,
                starts.as_ptr(),
                &start.len(),
                ends.as_ptr(),
                &end.len(),
                &mut bytes,
            );
        }
        bytes
    }

    /// LevelDB's property of this name.
    pub(crate) fn property(&self, name: &CStr) -> Option<String> {
        // SAFETY: the name ends with a zero byte.
        let text = unsafe { leveldb_property_value(self.db.as_ptr(), name.as_ptr()) };
        let text = Allocated(NonNull::new(text)?);
        // SAFETY: LevelDB ends a property with a zero byte.
        Some(unsafe { text.text() })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // SAFETY: invariants 1 and 2; nothing uses them afterwards.
        unsafe {
            leveldb_close(self.db.as_ptr());
            leveldb_writeoptions_destroy(self.write);
            free_parts(self.cache, self.filter);
        }
    }
}

/// # Safety
/// `cache` and `filter` are used by the options, and have to live as long as a database opened with them; `filter` may be null.
unsafe fn database_options(
    config: &LevelDbConfig,
    cache: *mut leveldb_cache_t,
    filter: *mut leveldb_filterpolicy_t,
) -> *mut leveldb_options_t {
    let compression = match config.compression {
        Compression::Snappy => leveldb_sys::Compression::Snappy,
        Compression::None => leveldb_sys::Compression::No,
    };
    // SAFETY: `options` is new, and the caller vouches for the others.
    unsafe {
        let options = leveldb_options_create();
        leveldb_options_set_create_if_missing(options, 1);
        leveldb_options_set_paranoid_checks(options, config.paranoid_checks.into());
        leveldb_options_set_cache(options, cache);
        if !filter.is_null() {
            leveldb_options_set_filter_policy(options, filter);
        }
        leveldb_options_set_write_buffer_size(options, config.write_buffer_bytes.0 as usize);
        leveldb_options_set_max_open_files(options, config.max_open_files as i32);
        leveldb_options_set_block_size(options, config.block_bytes.0 as usize);
        leveldb_options_set_block_restart_interval(options, config.block_restart_interval as i32);
        leveldb_options_set_max_file_size(options, config.table_bytes_max.0 as usize);
        leveldb_options_set_compression(options, compression);
        options
    }
}

/// # Safety
/// No database uses them any more; `filter` may be null.
unsafe fn free_parts(cache: *mut leveldb_cache_t, filter: *mut leveldb_filterpolicy_t) {
    // SAFETY: the caller vouches for it.
    unsafe {
        leveldb_cache_destroy(cache);
        if !filter.is_null() {
            leveldb_filterpolicy_destroy(filter);
        }
    }
}

fn address(bound: Option<&[u8]>) -> (*const c_char, usize) {
    bound.map_or((ptr::null(), 0), |bound| (bound.as_ptr().cast(), bound.len()))
}

struct ReadOptions(*mut leveldb_readoptions_t);

impl ReadOptions {
    fn new(verify_checksums: bool, fill_cache: bool) -> Self {
        // SAFETY: the object is new; freed in `drop`.
        unsafe {
            let options = leveldb_readoptions_create();
            leveldb_readoptions_set_verify_checksums(options, verify_checksums.into());
            leveldb_readoptions_set_fill_cache(options, fill_cache.into());
            Self(options)
        }
    }
}

impl Drop for ReadOptions {
    fn drop(&mut self) {
        // SAFETY: made in `new`; LevelDB copies what it needs of it.
        unsafe { leveldb_readoptions_destroy(self.0) };
    }
}

/// A fixed view.
pub(crate) struct Snapshot {
    snapshot: *mut leveldb_snapshot_t,
    options: ReadOptions,
    database: Arc<Database>,
}

// SAFETY: invariant 3; the fields are not changed after the snapshot was made.
unsafe impl Send for Snapshot {}
// SAFETY: as above.
unsafe impl Sync for Snapshot {}

impl Snapshot {
    /// As [`Database::get`].
    #[inline]
    pub(crate) fn get<T>(&self, key: &[u8], take: impl FnOnce(&[u8]) -> T) -> Outcome<Option<T>> {
        self.database.get_with(&self.options, key, take)
    }

    /// An iterator over the snapshot's moment, which may outlive the snapshot: it keeps the tables that it needs.
    pub(crate) fn iterator(&self) -> Iterator {
        Iterator::new(self.database.clone(), &self.options)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // SAFETY: made from this database, released once.
        unsafe { leveldb_release_snapshot(self.database.db.as_ptr(), self.snapshot) };
    }
}

/// A position in a fixed view; at no entry until it is moved.
pub(crate) struct Iterator {
    iterator: NonNull<leveldb_iterator_t>,
    /// Is it at an entry? LevelDB must not be asked for key, value or neighbour otherwise.
    is_valid: bool,
    _database: Arc<Database>,
}

// SAFETY: invariant 3; every method that moves it takes it alone.
unsafe impl Send for Iterator {}

impl Iterator {
    fn new(database: Arc<Database>, options: &ReadOptions) -> Self {
        // SAFETY: the database lives as long as the iterator (invariant 1); the options are copied.
        let iterator = unsafe { leveldb_create_iterator(database.db.as_ptr(), options.0) };
        let iterator = NonNull::new(iterator).expect("LevelDB allocates it or ends the process");
        Self { iterator, is_valid: false, _database: database }
    }

    /// Moves to the first entry at or after `key`.
    pub(crate) fn seek(&mut self, key: &[u8]) {
        // SAFETY: the key is valid for the call.
        self.moved(|it| unsafe { leveldb_iter_seek(it, key.as_ptr().cast(), key.len()) });
    }

    pub(crate) fn seek_to_first(&mut self) {
        // SAFETY: has no requirement.
        self.moved(|it| unsafe { leveldb_iter_seek_to_first(it) });
    }

    pub(crate) fn seek_to_last(&mut self) {
        // SAFETY: has no requirement.
        self.moved(|it| unsafe { leveldb_iter_seek_to_last(it) });
    }

    /// Moves to the next entry; stays where there is none.
    #[inline]
    pub(crate) fn next(&mut self) {
        if self.is_valid {
            // SAFETY: it is at an entry.
            self.moved(|it| unsafe { leveldb_iter_next(it) });
        }
    }

    /// Moves to the entry before; stays where there is none.
    #[inline]
    pub(crate) fn previous(&mut self) {
        if self.is_valid {
            // SAFETY: it is at an entry.
            self.moved(|it| unsafe { leveldb_iter_prev(it) });
        }
    }

    /// The entry that it is at; `None` past either end, or after a failure, see [`status`](Self::status).
    #[inline]
    pub(crate) fn entry(&self) -> Option<(&[u8], &[u8])> {
        if !self.is_valid {
            return None;
        }
        let (mut key_length, mut value_length) = (0_usize, 0_usize);
        // SAFETY: it is at an entry, whose bytes stay until it is moved, which takes a mutable borrow. LevelDB writes the lengths,
        // although the bindings call them constant; both are places that may be written.
        unsafe {
            let it = self.iterator.as_ptr();
            let key = leveldb_iter_key(it, (&raw mut key_length).cast_const());
            let value = leveldb_iter_value(it, (&raw mut value_length).cast_const());
            Some((
                slice::from_raw_parts(key.cast(), key_length),
                slice::from_raw_parts(value.cast(), value_length),
            ))
        }
    }

    /// Has everything been read that it passed? A block that cannot be read is skipped, so the end alone says nothing. Sticky.
    pub(crate) fn status(&self) -> Outcome<()> {
        let mut error = ErrorText::none();
        // SAFETY: LevelDB writes the place of the text, which may be written.
        unsafe { leveldb_iter_get_error(self.iterator.as_ptr(), error.place().cast()) };
        error.take().map_or(Ok(()), Err)
    }

    #[inline]
    fn moved(&mut self, step: impl FnOnce(*mut leveldb_iterator_t)) {
        step(self.iterator.as_ptr());
        // SAFETY: has no requirement.
        self.is_valid = unsafe { leveldb_iter_valid(self.iterator.as_ptr()) != 0 };
    }
}

impl Drop for Iterator {
    fn drop(&mut self) {
        // SAFETY: made in `new`, and the database still lives.
        unsafe { leveldb_iter_destroy(self.iterator.as_ptr()) };
    }
}

/// Operations that LevelDB applies at once.
pub(crate) struct Batch(NonNull<leveldb_writebatch_t>);

// SAFETY: invariant 3; every method takes it alone.
unsafe impl Send for Batch {}

impl Batch {
    pub(crate) fn new() -> Self {
        // SAFETY: has no requirement; freed in `drop`.
        let batch = unsafe { leveldb_writebatch_create() };
        Self(NonNull::new(batch).expect("LevelDB allocates it or ends the process"))
    }

    /// Empties it and keeps its memory.
    pub(crate) fn clear(&mut self) {
        // SAFETY: the batch lives.
        unsafe { leveldb_writebatch_clear(self.0.as_ptr()) };
    }

    #[inline]
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) {
        let (batch, key_at, value_at) = (self.0.as_ptr(), key.as_ptr(), value.as_ptr());
        // SAFETY: LevelDB copies the bytes, which are valid for the call.
        unsafe {
            leveldb_writebatch_put(batch, key_at.cast(), key.len(), value_at.cast(), value.len());
        }
    }

    #[inline]
    pub(crate) fn delete(&mut self, key: &[u8]) {
        // SAFETY: as `put`.
        unsafe { leveldb_writebatch_delete(self.0.as_ptr(), key.as_ptr().cast(), key.len()) };
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: made in `new`.
        unsafe { leveldb_writebatch_destroy(self.0.as_ptr()) };
    }
}

/// Bytes that LevelDB allocated for the caller.
struct Allocated(NonNull<c_char>);

impl Allocated {
    /// # Safety
    /// It is a text that ends with a zero byte.
    unsafe fn text(&self) -> String {
        // SAFETY: the caller vouches for it.
        unsafe { CStr::from_ptr(self.0.as_ptr()) }.to_string_lossy().into_owned()
    }
}

impl Drop for Allocated {
    fn drop(&mut self) {
        // SAFETY: invariant 4.
        unsafe { leveldb_free(self.0.as_ptr().cast()) };
    }
}

/// The place where LevelDB leaves the text of a failure.
struct ErrorText(*mut c_char);

impl ErrorText {
    fn none() -> Self {
        Self(ptr::null_mut())
    }

    fn place(&mut self) -> *mut *mut c_char {
        &raw mut self.0
    }

    #[inline]
    fn take(self) -> Option<Failure> {
        let text = Allocated(NonNull::new(self.0)?);
        // SAFETY: LevelDB ends the text of a failure with a zero byte.
        Some(Failure(unsafe { text.text() }))
    }
}
