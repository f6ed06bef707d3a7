//! What is particular to this backend, through the boundary as a host uses it.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod files;
mod killed;
mod options;
mod views;

use std::fs;
use std::path::Path;
use supervm_plugin_sdk::load;
use supervm_plugin_sdk::prelude::*;
use supervm_storage_sqlite as _;

pub(crate) type Entries = Vec<(Vec<u8>, Vec<u8>)>;

pub(crate) fn open_with(
    dir: &Path,
    options: &str,
    mode: OpenMode,
) -> Result<Box<dyn StorageBackend>> {
    let plugins = load::linked().unwrap();
    let sqlite = plugins.iter().find(|plugin| plugin.descriptor().name == "sqlite").unwrap();
    sqlite.open_storage(dir, options, mode)
}

pub(crate) fn open(dir: &Path) -> Box<dyn StorageBackend> {
    open_with(dir, "", OpenMode::Create).unwrap()
}

pub(crate) fn refused(dir: &Path, options: &str, mode: OpenMode) -> Error {
    open_with(dir, options, mode).map(drop).unwrap_err()
}

pub(crate) fn batch_of(entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> WriteBatch {
    let mut batch = WriteBatch::new();
    entries.into_iter().for_each(|(key, value)| batch.put(&key, &value));
    batch
}

pub(crate) fn put(storage: &dyn StorageBackend, key: &[u8], value: &[u8]) -> Result<()> {
    storage.write(&batch_of([(key.to_vec(), value.to_vec())]), Durability::Buffered)
}

/// Writes `count` entries with values of `value_bytes`, in batches of 100.
pub(crate) fn fill(storage: &dyn StorageBackend, count: u32, value_bytes: usize) {
    for first in (0..count).step_by(100) {
        let keys = first..count.min(first + 100);
        let entries = keys.map(|key| (key.to_be_bytes().to_vec(), vec![key as u8; value_bytes]));
        storage.write(&batch_of(entries), Durability::Buffered).unwrap();
    }
}

pub(crate) fn value(storage: &dyn StorageBackend, key: &[u8]) -> Option<Vec<u8>> {
    let mut value = ByteBuf::new();
    storage.get(key, &mut value).unwrap().then(|| value.to_vec())
}

pub(crate) fn drain(cursor: &mut dyn Cursor) -> Entries {
    let (mut page, mut all) = (Page::new(), Vec::new());
    loop {
        page.clear();
        let end = cursor.next_page(&mut page).unwrap();
        all.extend(page.iter().map(|(key, value)| (key.to_vec(), value.to_vec())));
        if end == PageEnd::End {
            return all;
        }
    }
}

pub(crate) fn entries(storage: &dyn StorageBackend) -> Entries {
    drain(&mut *storage.cursor(KeyRange::ALL, Direction::Forward).unwrap())
}

/// Copies the files of an open storage: what a killed process leaves.
pub(crate) fn kill_into(dir: &Path, target: &Path) {
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap()) {
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), target.join(entry.file_name())).unwrap();
        }
    }
}

/// Every file of `dir` with its content.
pub(crate) fn listing(dir: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> =
        files.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect();
    files.sort();
    files
}

pub(crate) fn stat(storage: &dyn StorageBackend, name: &str) -> u64 {
    storage.stats().unwrap().backend[name]
}
