//! Stores to schedule on, and short words for what is done to them.

use std::path::Path;
use std::time::Duration;
use supervm_engine::config::StorageConfig;
use supervm_engine::mvcc::{Clock, MvccConfig, MvccStore, Txn};
use supervm_engine::scheduler::{ParallelConfig, ParallelScheduler, ReadWriteSet, RetryPolicy};
use supervm_engine::storage::{OpenOptions, Storage};
use supervm_plugin_sdk::{Error, ErrorKind, Result, load};

pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);

fn storage(dir: &Path) -> Storage {
    let linked = load::linked().unwrap();
    let plugin = linked.into_iter().find(|plugin| plugin.descriptor().name == "memory").unwrap();
    let config = StorageConfig { dir: dir.to_owned(), ..StorageConfig::default() };
    Storage::open(&plugin, OpenOptions::from(&config)).unwrap()
}

/// Runs a test with a scheduler of a store in memory, and with one of a store over a backend.
pub(crate) fn on_stores(config: &ParallelConfig, test: impl Fn(&ParallelScheduler)) {
    test(&ParallelScheduler::new_with_config(MvccStore::new(), config.clone()));
    let dir = tempfile::tempdir().unwrap();
    let store = MvccStore::open(storage(dir.path()), MvccConfig::default()).unwrap();
    test(&ParallelScheduler::new_with_config(store, config.clone()));
}

/// A configuration whose time is told by `clock`, with at most so many tries.
pub(crate) fn timed(clock: &Clock, tries_max: u32) -> ParallelConfig {
    let retry = RetryPolicy { tries_max, delay_first: MILLISECOND, delay_max: 8 * MILLISECOND };
    ParallelConfig { retry, clock: clock.clone(), seed: Some(7), threads: 4 }
}

/// Changes `key` behind the back of a transaction that runs.
pub(crate) fn get_in_the_way(store: &MvccStore, key: &str) {
    let mut other = store.begin();
    let value = number(&mut other, key).unwrap();
    set(&mut other, key, value + 100).unwrap();
    other.commit().unwrap();
}

pub(crate) fn number(txn: &mut Txn, key: &str) -> Result<u64> {
    let value = txn.read(key.as_bytes())?;
    Ok(value.map_or(0, |value| u64::from_be_bytes(value.try_into().unwrap())))
}

pub(crate) fn set(txn: &mut Txn, key: &str, value: u64) -> Result<()> {
    txn.write(key.as_bytes(), &value.to_be_bytes())
}

pub(crate) fn add(txn: &mut Txn, key: &str, amount: u64) -> Result<()> {
    let value = number(txn, key)?;
    set(txn, key, value + amount)
}

/// The newest committed number under `key`.
pub(crate) fn latest(store: &MvccStore, key: &str) -> u64 {
    number(&mut store.begin_read_only(), key).unwrap()
}

/// All keys of the newest state.
pub(crate) fn keys(store: &MvccStore) -> Vec<String> {
    let entries = store.begin_read_only().scan_prefix(b"", usize::MAX).unwrap();
    entries.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
}

pub(crate) fn refused() -> Error {
    Error::new(ErrorKind::NotFound, "test", "refused")
}

pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

/// A task that reads and writes these keys.
pub(crate) fn task(reads: &[&str], writes: &[&str]) -> ReadWriteSet {
    let set = reads.iter().fold(ReadWriteSet::new(), ReadWriteSet::reading);
    writes.iter().fold(set, ReadWriteSet::writing)
}
