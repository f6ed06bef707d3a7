//! Stores to test, and short words for what is done to them.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};
use supervm_engine::config::StorageConfig;
use supervm_engine::layout::Version;
use supervm_engine::mvcc::{MvccConfig, MvccStore, Txn};
use supervm_engine::storage::{OpenOptions, Storage};
use supervm_plugin_sdk::{Direction, ErrorKind, KeyRange, OpenMode, Result, load};
use tempfile::TempDir;

/// A storage of the plugin `name` in `dir`; its options as TOML.
pub(crate) fn storage(name: &str, dir: &Path, options: &str) -> Storage {
    storage_with(name, dir, options, OpenMode::Create)
}

/// As [`storage`], opened in `mode`.
pub(crate) fn storage_with(name: &str, dir: &Path, options: &str, mode: OpenMode) -> Storage {
    let linked = load::linked().unwrap();
    let plugin = linked.into_iter().find(|plugin| plugin.descriptor().name == name).unwrap();
    let options = toml::from_str(options).unwrap();
    let config = StorageConfig { dir: dir.to_owned(), options, ..StorageConfig::default() };
    Storage::open(&plugin, OpenOptions { mode, ..OpenOptions::from(&config) }).unwrap()
}

/// A store over the backend `memory`, and where it lies.
pub(crate) fn over_memory(config: MvccConfig) -> (MvccStore, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = MvccStore::open(storage("memory", dir.path(), ""), config).unwrap();
    (store, dir)
}

/// The same directory opened anew, after its store was closed.
pub(crate) fn reopened(store: MvccStore, dir: &TempDir, config: MvccConfig) -> MvccStore {
    store.storage().unwrap().close().unwrap();
    drop(store);
    MvccStore::open(storage("memory", dir.path(), ""), config).unwrap()
}

/// Runs a test on a store in memory and on one over a backend.
pub(crate) fn on_both(config: &MvccConfig, test: impl Fn(&MvccStore)) {
    test(&MvccStore::in_memory(config.clone()));
    let (store, _dir) = over_memory(config.clone());
    test(&store);
}

/// As [`on_both`], with the default configuration.
pub(crate) fn on_stores(test: impl Fn(&MvccStore)) {
    on_both(&MvccConfig::default(), test);
}

pub(crate) fn read(txn: &mut Txn, key: &str) -> Option<String> {
    let value = txn.read(key.as_bytes()).unwrap();
    value.map(|value| String::from_utf8(value).unwrap())
}

pub(crate) fn write(txn: &mut Txn, key: &str, value: &str) {
    txn.write(key.as_bytes(), value.as_bytes()).unwrap();
}

pub(crate) fn delete(txn: &mut Txn, key: &str) {
    txn.delete(key.as_bytes()).unwrap();
}

/// Gives `key` so many versions: 0, 1 and so on.
pub(crate) fn overwrite(store: &MvccStore, key: &str, times: u64) {
    for n in 0..times {
        put(store, &[(key, &n.to_string())]);
    }
}

/// Commits these writes as one transaction.
pub(crate) fn put(store: &MvccStore, entries: &[(&str, &str)]) -> Version {
    let mut txn = store.begin();
    entries.iter().for_each(|(key, value)| write(&mut txn, key, value));
    txn.commit().unwrap()
}

/// Commits the deletion of `key`.
pub(crate) fn remove(store: &MvccStore, key: &str) -> Version {
    let mut txn = store.begin();
    delete(&mut txn, key);
    txn.commit().unwrap()
}

/// The newest committed value of `key`.
pub(crate) fn latest(store: &MvccStore, key: &str) -> Option<String> {
    read(&mut store.begin_read_only(), key)
}

/// All keys that the transaction sees, in order.
pub(crate) fn keys(txn: &mut Txn) -> Vec<String> {
    entries(txn, KeyRange::ALL, Direction::Forward, usize::MAX)
        .into_iter()
        .map(|(key, _)| key)
        .collect()
}

pub(crate) fn entries(
    txn: &mut Txn,
    range: KeyRange<'_>,
    direction: Direction,
    limit: usize,
) -> Vec<(String, String)> {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let found = txn.scan(range, direction, limit).unwrap();
    found.into_iter().map(|(key, value)| (text(key), text(value))).collect()
}

pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

pub(crate) fn is_conflict(outcome: Result<Version>) -> bool {
    match outcome {
        Ok(_) => false,
        Err(error) if error.kind() == ErrorKind::Conflict => {
            assert!(error.is_retryable(), "{error}");
            true
        }
        Err(error) => panic!("{error}"),
    }
}

/// Says that it is over when it is dropped, so that threads end when the one that tells them to panics.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until `claim` holds; panics when it does not within ten seconds.
pub(crate) fn eventually(what: &str, claim: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !claim() {
        assert!(Instant::now() < deadline, "within ten seconds: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A number from the environment, for longer runs and for replays.
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// A seed that differs each time unless `SUPERVM_SEED` gives it; it is printed, and so shown when the test fails.
pub(crate) fn seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = number("SUPERVM_SEED", now.as_nanos() as u64);
    println!("SUPERVM_SEED={seed}");
    seed
}

/// Small and fast random numbers: splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Lets another thread run now and then, so that threads meet on few processors too.
    pub(crate) fn maybe_yield(&mut self) {
        if self.once_in(4) {
            std::thread::yield_now();
        }
    }
}
