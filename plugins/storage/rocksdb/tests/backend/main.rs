//! What is particular to this backend, through the boundary as a host uses it.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod damage;
mod files;
mod options;
mod ranges;

use std::fs;
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::load;
use supervm_plugin_sdk::prelude::*;
use supervm_storage_rocksdb as _;

pub(crate) type Entries = Vec<(Vec<u8>, Vec<u8>)>;

pub(crate) fn open_with(
    dir: &Path,
    options: &str,
    mode: OpenMode,
) -> Result<Box<dyn StorageBackend>> {
    let plugins = load::linked().unwrap();
    let rocksdb = plugins.iter().find(|plugin| plugin.descriptor().name == "rocksdb").unwrap();
    rocksdb.open_storage(dir, options, mode)
}

pub(crate) fn open(dir: &Path) -> Box<dyn StorageBackend> {
    open_with(dir, "", OpenMode::Create).unwrap()
}

pub(crate) fn refused(dir: &Path, options: &str, mode: OpenMode) -> Error {
    open_with(dir, options, mode).map(drop).unwrap_err()
}

pub(crate) fn put(storage: &dyn StorageBackend, key: &[u8], value: &[u8]) {
    let mut batch = WriteBatch::new();
    batch.put(key, value);
    storage.write(&batch, Durability::Buffered).unwrap();
}

/// A value of which no part repeats, so that no compression makes it shorter.
pub(crate) fn noise(seed: u32, bytes: usize) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// Writes `count` entries with values of `value_bytes`, in batches of 100.
pub(crate) fn fill(storage: &dyn StorageBackend, count: u32, value_bytes: usize) {
    for first in (0..count).step_by(100) {
        let mut batch = WriteBatch::new();
        for key in first..count.min(first + 100) {
            batch.put(&key.to_be_bytes(), &noise(key, value_bytes));
        }
        storage.write(&batch, Durability::Buffered).unwrap();
    }
}

pub(crate) fn value(storage: &dyn StorageBackend, key: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut value = ByteBuf::new();
    Ok(storage.get(key, &mut value)?.then(|| value.to_vec()))
}

pub(crate) fn drain(cursor: &mut dyn Cursor) -> Result<Entries> {
    let (mut page, mut all) = (Page::new(), Vec::new());
    loop {
        page.clear();
        let end = cursor.next_page(&mut page)?;
        all.extend(page.iter().map(|(key, value)| (key.to_vec(), value.to_vec())));
        if end == PageEnd::End {
            return Ok(all);
        }
    }
}

pub(crate) fn entries(storage: &dyn StorageBackend) -> Entries {
    drain(&mut *storage.cursor(KeyRange::ALL, Direction::Forward).unwrap()).unwrap()
}

pub(crate) fn figure(storage: &dyn StorageBackend, name: &str) -> u64 {
    storage.stats().unwrap().backend[name]
}

/// The files of `dir` whose names end with `end`, oldest first.
pub(crate) fn files(dir: &Path, end: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        paths.filter(|path| path.to_str().is_some_and(|path| path.ends_with(end))).collect();
    files.sort();
    files
}

/// Every file of `dir` with its content.
pub(crate) fn listing(dir: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> =
        files.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect();
    files.sort();
    files
}

/// Changes one byte in the middle of the file.
pub(crate) fn damage(path: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}
