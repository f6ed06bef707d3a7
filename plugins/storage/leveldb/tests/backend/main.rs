//! What only this backend can get wrong: its files, its options, its locks. What every backend owes is in the conformance suite.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod damage;
mod files;
mod options;
mod views;

use std::fs;
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::load::{self, Plugin};
use supervm_plugin_sdk::prelude::*;
use supervm_storage_leveldb as _;

type Storage = Box<dyn StorageBackend>;
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

fn plugin() -> Plugin {
    let plugins = load::linked().unwrap();
    plugins.into_iter().find(|plugin| plugin.descriptor().name == "leveldb").unwrap()
}

fn open_with(dir: &Path, options: &str, mode: OpenMode) -> Result<Storage> {
    plugin().open_storage(dir, options, mode)
}

fn open(dir: &Path) -> Storage {
    open_with(dir, "", OpenMode::Create).unwrap()
}

fn refused(dir: &Path, options: &str, mode: OpenMode) -> Error {
    open_with(dir, options, mode).unwrap_err()
}

fn batch_of(entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> WriteBatch {
    let mut batch = WriteBatch::new();
    entries.into_iter().for_each(|(key, value)| batch.put(&key, &value));
    batch
}

fn put(storage: &dyn StorageBackend, key: &[u8], value: &[u8]) -> Result<()> {
    storage.write(&batch_of([(key.to_vec(), value.to_vec())]), Durability::Buffered)
}

/// The entry with this number; its value is not the one of another number, and Snappy makes nothing smaller of it.
fn entry(number: u32, value_bytes: usize) -> (Vec<u8>, Vec<u8>) {
    let mut state = u64::from(number) + 1;
    let value = (0..value_bytes).map(|_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    (number.to_be_bytes().to_vec(), value.collect())
}

/// Puts the entries `0..count`, in batches of a hundred.
fn fill(storage: &dyn StorageBackend, count: u32, value_bytes: usize) {
    for first in (0..count).step_by(100) {
        let numbers = first..count.min(first + 100);
        let batch = batch_of(numbers.map(|number| entry(number, value_bytes)));
        storage.write(&batch, Durability::Buffered).unwrap();
    }
}

fn get(storage: &dyn StorageBackend, key: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut value = ByteBuf::new();
    Ok(storage.get(key, &mut value)?.then(|| value.to_vec()))
}

/// What a cursor still has, up to its end or its first error.
fn drain(cursor: &mut dyn Cursor) -> (Entries, Result<()>) {
    let (mut page, mut entries) = (Page::new(), Vec::new());
    loop {
        page.clear();
        let end = cursor.next_page(&mut page);
        entries.extend(page.iter().map(|(key, value)| (key.to_vec(), value.to_vec())));
        match end {
            Ok(PageEnd::More) => {}
            Ok(PageEnd::End) => return (entries, Ok(())),
            Err(error) => return (entries, Err(error)),
        }
    }
}

fn entries(storage: &dyn StorageBackend) -> Entries {
    let (entries, end) = drain(&mut *storage.cursor(KeyRange::ALL, Direction::Forward).unwrap());
    end.unwrap();
    entries
}

fn figure(storage: &dyn StorageBackend, name: &str) -> u64 {
    storage.stats().unwrap().backend[name]
}

/// The files in `dir` whose names end with `kind`, by name.
fn files(dir: &Path, kind: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(kind))
        .collect();
    files.sort();
    files
}

/// The content of each file in `dir`, by name, without the texts that LevelDB writes for people.
fn listing(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = files(dir, "");
    files.retain(|path| !path.to_string_lossy().contains("LOG"));
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Copies the database's files as a kill would leave them.
fn kill_into(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for path in files(from, "") {
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}
