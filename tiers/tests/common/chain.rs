//! A chain of blocks, the same whenever it is made, and written by the store that nodes have.

use std::collections::BTreeMap;
use std::path::Path;
use supervm_engine::config::PluginsConfig;
use supervm_engine::layout::HistoryMode;
use supervm_engine::mvcc::{Acknowledgement, Block, CommitOptions, MvccConfig, MvccStore};
use supervm_engine::registry::Registry;
use supervm_engine::storage::{OpenOptions, Storage};
use supervm_plugin_sdk::OpenMode;

/// The time of block 0, seconds since 1970-01-01 00:00 UTC.
pub(crate) const GENESIS: u64 = 1_704_067_200;
/// Seconds between two blocks.
pub(crate) const BLOCK_SECONDS: u64 = 10;
const VALUE_BYTES: usize = 100;

/// The state that a chain has, key by key.
pub(crate) type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// Each block makes its share of new keys, changes as many old ones, and deletes a few.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain {
    /// Keys that are made, all blocks together.
    pub(crate) keys: u64,
    /// Blocks, from 1 on.
    pub(crate) blocks: u64,
}

impl Chain {
    /// What block `number` writes; `None` = deletes.
    pub(crate) fn changes(self, number: u64) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        let share = self.keys / self.blocks;
        let first = (number - 1) * share;
        let mut changes = BTreeMap::new();
        for n in 0..share {
            if first > 0 {
                let old = scattered(number, n) % first;
                // Some of them delete, for example a key that was deleted before.
                let deletes = n % 50 == 49;
                changes.insert(key(old), (!deletes).then(|| value(old, number)));
            }
            changes.insert(key(first + n), Some(value(first + n, number)));
        }
        changes
    }

    /// The state after block `number`.
    pub(crate) fn state(self, number: u64) -> State {
        let mut state = State::new();
        for number in 1..=number {
            for (key, value) in self.changes(number) {
                match value {
                    Some(value) => state.insert(key, value),
                    None => state.remove(&key),
                };
            }
        }
        state
    }

    /// Makes a data directory with the blocks up to `last`, and closes it.
    pub(crate) fn load(self, backend: &str, dir: &Path, last: u64) {
        self.load_with(backend, dir, 1..=last, HistoryMode::Archive);
    }

    /// Adds blocks to a data directory, which is made when it is missing, and closes it.
    pub(crate) fn load_with(
        self,
        backend: &str,
        dir: &Path,
        numbers: impl IntoIterator<Item = u64>,
        history: HistoryMode,
    ) {
        let storage = open(backend, dir);
        let config = MvccConfig { history: Some(history), digest: true, ..MvccConfig::default() };
        let store = MvccStore::open(storage.clone(), config).unwrap();
        for number in numbers {
            let mut txn = store.begin();
            for (key, value) in self.changes(number) {
                match value {
                    Some(value) => txn.write(&key, &value).unwrap(),
                    None => txn.delete(&key).unwrap(),
                }
            }
            let timestamp = GENESIS + number * BLOCK_SECONDS;
            let options = CommitOptions {
                acknowledgement: Some(Acknowledgement::Visible),
                block: Some(Block { number, timestamp }),
                ..CommitOptions::default()
            };
            txn.commit_with(options).unwrap();
        }
        drop(store);
        storage.close().unwrap();
    }
}

/// The storage in `dir`, opened in this process, so that no other one may until it is dropped.
pub(crate) fn open(backend: &str, dir: &Path) -> Storage {
    let registry = Registry::new(&PluginsConfig::default()).unwrap();
    let plugin = registry.storage(&found(backend), None).unwrap();
    let options = toml::Table::new();
    let options = OpenOptions {
        dir,
        chain_id: 0,
        options: &options,
        mode: OpenMode::Create,
        require: &[],
        durability: None,
    };
    Storage::open(&plugin, options).unwrap()
}

/// What names the backend: itself when it is linked in, else its library, which cargo leaves beside the command.
fn found(backend: &str) -> String {
    if supervm_tiers::builtin::STORAGE_BACKENDS.contains(&backend) {
        return backend.to_owned();
    }
    let library = Path::new(env!("CARGO_BIN_EXE_supervm"))
        .with_file_name(format!("libsupervm_storage_{backend}.so"));
    assert!(library.is_file(), "{} is missing; `cargo xtask test` builds it", library.display());
    library.to_str().unwrap().to_owned()
}

pub(crate) fn key(number: u64) -> Vec<u8> {
    format!("account/{number:09}").into_bytes()
}

/// Text, of which half compresses well.
pub(crate) fn value(key: u64, block: u64) -> Vec<u8> {
    let mut value = format!("{key} in {block}:").into_bytes();
    let mut random = scattered(key, block);
    while value.len() < VALUE_BYTES / 2 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        value.extend_from_slice(format!("{random:016x}").as_bytes());
    }
    value.resize(VALUE_BYTES, b'.');
    value
}

/// A number that has nothing to see with its neighbours.
fn scattered(one: u64, two: u64) -> u64 {
    let mut x = one.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ two.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
