//! The storage handle over real plugins: `memory`, and `plain`, which has nothing that is optional.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/plain.rs"]
mod plain;
mod handle;
mod range_delete;
mod checkpoint;
mod manifest;
mod races;

use std::path::Path;
use supervm_engine::config::StorageConfig;
use supervm_engine::storage::{OpenOptions, Storage};
use supervm_plugin_sdk::load::{self, Plugin};
use supervm_plugin_sdk::{ErrorKind, OpenMode, Result};
use supervm_storage_memory as _;

supervm_plugin_sdk::export_plugin!(storage: plain::PlainStorage, name: "plain");

fn plugin(name: &str) -> Plugin {
    let linked = load::linked().unwrap();
    linked.into_iter().find(|plugin| plugin.descriptor().name == name).unwrap()
}

fn config(dir: &Path) -> StorageConfig {
    StorageConfig { dir: dir.to_owned(), ..StorageConfig::default() }
}

fn open(name: &str, dir: &Path) -> Result<Storage> {
    open_with(name, &config(dir), OpenMode::Create)
}

fn open_with(name: &str, config: &StorageConfig, mode: OpenMode) -> Result<Storage> {
    Storage::open(&plugin(name), OpenOptions { mode, ..OpenOptions::from(config) })
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}
