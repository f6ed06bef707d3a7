//! LevelDB through the crate of its C interface, with the backend's options, of which the crate above it lacks some. A batch is in the
//! log, and the log with the operating system, when a write returns.

#![expect(unsafe_code, reason = "the C interface of LevelDB; each block says why it is sound")]

use crate::backend::Dir;
use crate::data::Put;
use crate::leg::Leg;
use leveldb_sys::*;
use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::{ptr, slice};
use supervm_plugin_sdk::KeyRange;
use supervm_storage_leveldb::LevelDbConfig;

// In LevelDB's `c.h`, and not in the crate.
unsafe extern "C" {
    fn leveldb_options_set_max_file_size(options: *mut leveldb_options_t, bytes: usize);
}

/// A LevelDB database. All of its pointers are valid until it is dropped.
#[derive(Debug)]
pub struct LevelDbLeg {
    db: *mut leveldb_t,
    cache: *mut leveldb_cache_t,
    filter: *mut leveldb_filterpolicy_t,
    read: *mut leveldb_readoptions_t,
    write: *mut leveldb_writeoptions_t,
    // Dropped after the database that is in it.
    _dir: Arc<Dir>,
}

impl LevelDbLeg {
    /// Opens what the backend has filled.
    pub fn open(dir: Arc<Dir>) -> Self {
        let config = LevelDbConfig::default();
        // SAFETY: every object is new, and is freed in `drop`; the database is closed before its cache and its filter are.
        unsafe {
            let cache = leveldb_cache_create_lru(config.block_cache_bytes.0 as usize);
            let filter = leveldb_filterpolicy_create_bloom(config.bloom_bits_per_key as i32);
            let db = open(dir.path(), &config, cache, filter);
            let (read, write) = (leveldb_readoptions_create(), leveldb_writeoptions_create());
            leveldb_readoptions_set_verify_checksums(read, config.verify_checksums.into());
            Self { db, cache, filter, read, write, _dir: dir }
        }
    }
}

/// # Safety
/// `cache` and `filter` live until the database is closed.
unsafe fn open(
    dir: &Path,
    config: &LevelDbConfig,
    cache: *mut leveldb_cache_t,
    filter: *mut leveldb_filterpolicy_t,
) -> *mut leveldb_t {
    let name = CString::new(dir.as_os_str().as_bytes()).expect("no name has a zero byte");
    let mut error = ptr::null_mut();
    // SAFETY: the options are used by `leveldb_open` alone; the caller vouches for what they name.
    unsafe {
        let options = leveldb_options_create();
        leveldb_options_set_paranoid_checks(options, config.paranoid_checks.into());
        leveldb_options_set_cache(options, cache);
        leveldb_options_set_filter_policy(options, filter);
        leveldb_options_set_write_buffer_size(options, config.write_buffer_bytes.0 as usize);
        leveldb_options_set_max_open_files(options, config.max_open_files as i32);
        leveldb_options_set_block_size(options, config.block_bytes.0 as usize);
        leveldb_options_set_block_restart_interval(options, config.block_restart_interval as i32);
        leveldb_options_set_max_file_size(options, config.table_bytes_max.0 as usize);
        leveldb_options_set_compression(options, Compression::Snappy);
        let db = leveldb_open(options, name.as_ptr(), &mut error);
        leveldb_options_destroy(options);
        check(error);
        db
    }
}

fn check(error: *mut c_char) {
    assert!(error.is_null(), "LevelDB failed");
}

impl Drop for LevelDbLeg {
    fn drop(&mut self) {
        // SAFETY: made in `open`, freed once, and the database first.
        unsafe {
            leveldb_close(self.db);
            leveldb_readoptions_destroy(self.read);
            leveldb_writeoptions_destroy(self.write);
            leveldb_cache_destroy(self.cache);
            leveldb_filterpolicy_destroy(self.filter);
        }
    }
}

impl Leg for LevelDbLeg {
    #[inline]
    fn get<T>(&mut self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let (mut length, mut error) = (0, ptr::null_mut());
        let key_at = key.as_ptr().cast();
        // SAFETY: all pointers are valid for the call. What it returns is of that length, and is freed once.
        unsafe {
            let value = leveldb_get(self.db, self.read, key_at, key.len(), &mut length, &mut error);
            check(error);
            if value.is_null() {
                return None;
            }
            let result = read(slice::from_raw_parts(value.cast(), length));
            leveldb_free(value.cast());
            Some(result)
        }
    }

    fn scan(&mut self, range: KeyRange<'_>, mut read: impl FnMut(&[u8], &[u8])) {
        // SAFETY: the iterator is destroyed before the database is closed. It is asked for an entry where it is at one, whose bytes
        // stay until it moves. LevelDB writes the lengths, although the crate calls them constant.
        unsafe {
            let entries = leveldb_create_iterator(self.db, self.read);
            leveldb_iter_seek(entries, range.start.as_ptr().cast(), range.start.len());
            while leveldb_iter_valid(entries) != 0 {
                let (mut key_length, mut value_length) = (0_usize, 0_usize);
                let key = leveldb_iter_key(entries, (&raw mut key_length).cast_const());
                let key = slice::from_raw_parts(key.cast(), key_length);
                if range.end.is_some_and(|end| key >= end) {
                    break;
                }
                let value = leveldb_iter_value(entries, (&raw mut value_length).cast_const());
                read(key, slice::from_raw_parts(value.cast(), value_length));
                leveldb_iter_next(entries);
            }
            let error: *mut c_char = ptr::null_mut();
            leveldb_iter_get_error(entries, (&raw const error).cast());
            check(error);
            leveldb_iter_destroy(entries);
        }
    }

    fn write(&mut self, batch: &[Put]) {
        let mut error = ptr::null_mut();
        // SAFETY: LevelDB copies what is put, and the batch is destroyed once.
        unsafe {
            let writes = leveldb_writebatch_create();
            for Put { key, value } in batch {
                let (key_at, value_at) = (key.as_ptr().cast(), value.as_ptr().cast());
                leveldb_writebatch_put(writes, key_at, key.len(), value_at, value.len());
            }
            leveldb_write(self.db, self.write, writes, &mut error);
            leveldb_writebatch_destroy(writes);
        }
        check(error);
    }
}
