//! The backend, opened through the boundary as the engine opens it.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::path::Path;
use supervm_plugin_sdk::load::{self, Plugin};
use supervm_plugin_sdk::prelude::*;
use supervm_storage_lmdb as _;

pub(crate) type Storage = Box<dyn StorageBackend>;

pub(crate) fn plugin() -> Plugin {
    let plugins = load::linked().unwrap();
    plugins.into_iter().find(|plugin| plugin.descriptor().name == "lmdb").unwrap()
}

pub(crate) fn open(dir: &Path) -> Storage {
    open_with(dir, "")
}

pub(crate) fn open_with(dir: &Path, options: &str) -> Storage {
    plugin().open_storage(dir, options, OpenMode::Create).unwrap()
}

pub(crate) fn put_as(
    storage: &dyn StorageBackend,
    key: &[u8],
    value: &[u8],
    durability: Durability,
) -> Result<()> {
    let mut batch = WriteBatch::new();
    batch.put(key, value);
    storage.write(&batch, durability)
}

pub(crate) fn put(storage: &dyn StorageBackend, key: &[u8], value: &[u8]) -> Result<()> {
    put_as(storage, key, value, Durability::Buffered)
}

pub(crate) fn get(storage: &dyn StorageBackend, key: &[u8]) -> Option<Vec<u8>> {
    let mut value = ByteBuf::new();
    storage.get(key, &mut value).unwrap().then(|| value.to_vec())
}

pub(crate) fn rest_of(cursor: &mut dyn Cursor) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut page, mut entries) = (Page::new(), Vec::new());
    loop {
        page.clear();
        let end = cursor.next_page(&mut page).unwrap();
        entries.extend(page.iter().map(|(key, value)| (key.to_vec(), value.to_vec())));
        if end == PageEnd::End {
            return entries;
        }
    }
}

pub(crate) fn entries(storage: &dyn StorageBackend) -> Vec<(Vec<u8>, Vec<u8>)> {
    rest_of(&mut *storage.cursor(KeyRange::ALL, Direction::Forward).unwrap())
}

pub(crate) fn figure(storage: &dyn StorageBackend, name: &str) -> u64 {
    storage.stats().unwrap().backend[name]
}
