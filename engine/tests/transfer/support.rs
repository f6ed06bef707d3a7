//! Backends, and storages of chain state that are written from the layout alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use supervm_engine::digest::StateAccumulator;
use supervm_engine::history::History;
use supervm_engine::layout::{
    BlockRecord, HistoryMode, Meta, Version, block_key, history_key, latest_key, put_changed_keys,
    put_record,
};
use supervm_engine::storage::{OpenOptions, Storage};
use supervm_engine::transfer::Place;
use supervm_plugin_sdk::load::Plugin;
use supervm_plugin_sdk::{Durability, ErrorKind, OpenMode, Result, WriteBatch};

pub(crate) use crate::plugin::find;

pub(crate) const BACKENDS: [&str; 5] = ["memory", "rocksdb", "lmdb", "leveldb", "sqlite"];
pub(crate) const CHAIN_ID: u64 = 77;

pub(crate) static NO_OPTIONS: LazyLock<toml::Table> = LazyLock::new(toml::Table::new);

pub(crate) fn place<'a>(plugin: &'a Plugin, dir: &'a Path) -> Place<'a> {
    Place { plugin, dir, options: &NO_OPTIONS }
}

pub(crate) fn try_open(plugin: &Plugin, dir: &Path, mode: OpenMode) -> Result<Storage> {
    let options = OpenOptions {
        dir,
        chain_id: CHAIN_ID,
        options: &NO_OPTIONS,
        mode,
        require: &[],
        durability: Some(Durability::Buffered),
    };
    Storage::open(plugin, options)
}

pub(crate) fn open(plugin: &Plugin, dir: &Path) -> Storage {
    try_open(plugin, dir, OpenMode::Create).unwrap()
}

pub(crate) fn kind<T>(result: &Result<T>) -> ErrorKind {
    result.as_ref().err().unwrap().kind()
}

pub(crate) fn text<T>(result: &Result<T>) -> String {
    result.as_ref().err().unwrap().to_string()
}

/// Every file below `dir` with its bytes.
pub(crate) fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

/// The names in `dir`, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A storage that is written as commits write it.
pub(crate) struct Chain {
    pub(crate) storage: Storage,
    state: BTreeMap<Vec<u8>, (Version, Vec<u8>)>,
    accumulator: Option<StateAccumulator>,
    mode: HistoryMode,
    pub(crate) version: Version,
}

impl Chain {
    pub(crate) fn new(plugin: &Plugin, dir: &Path, mode: HistoryMode, has_digest: bool) -> Self {
        let storage = open(plugin, dir);
        let mut batch = WriteBatch::new();
        Meta::put_history(&mut batch, mode);
        storage.write(&batch, Durability::Buffered).unwrap();
        let accumulator = has_digest.then(StateAccumulator::default);
        Self { storage, state: BTreeMap::new(), accumulator, mode, version: Version::ZERO }
    }

    /// A commit that ends block `block`; `None` deletes.
    pub(crate) fn commit(&mut self, changes: &[(Vec<u8>, Option<Vec<u8>>)], block: Option<u64>) {
        let version = self.version.next();
        let changes: BTreeMap<_, _> = changes.iter().cloned().collect();
        let (mut batch, mut stored, mut record) = (WriteBatch::new(), Vec::new(), Vec::new());
        for (key, value) in &changes {
            if let Some((written, value)) = self.state.remove(key) {
                if let Some(accumulator) = &mut self.accumulator {
                    accumulator.remove(key, &value);
                }
                if self.mode.keeps_old_values() {
                    history_key(key, version, &mut stored);
                    put_record(written, &value, &mut record);
                    batch.put(&stored, &record);
                }
            }
            latest_key(key, &mut stored);
            let Some(value) = value else {
                batch.delete(&stored);
                continue;
            };
            put_record(version, value, &mut record);
            batch.put(&stored, &record);
            if let Some(accumulator) = &mut self.accumulator {
                accumulator.add(key, value);
            }
            self.state.insert(key.clone(), (version, value.clone()));
        }
        if self.mode.keeps_old_values() {
            put_changed_keys(&mut batch, version, changes.keys().map(Vec::as_slice));
        }
        Meta::put_last_version(&mut batch, version);
        let digest = self.accumulator.as_ref().map(StateAccumulator::digest).unwrap_or_default();
        if let Some(accumulator) = &self.accumulator {
            Meta::put_accumulator(&mut batch, &accumulator.to_bytes());
        }
        if let Some(number) = block {
            let record = BlockRecord { number, version, timestamp: 1_000 + number, digest };
            batch.put(&block_key(number), &record.to_bytes());
            Meta::put_last_block(&mut batch, number);
        }
        self.storage.write(&batch, Durability::Buffered).unwrap();
        self.version = version;
    }

    /// A block that sets, changes and deletes some keys, and a contract.
    pub(crate) fn block(&mut self, number: u64) {
        let key = |index: u64| format!("key-{index:04}").into_bytes();
        let mut changes: Vec<_> = (0..20)
            .map(|index| {
                let value = format!("block {number} wrote {index}").into_bytes();
                (key(number * 10 + index), Some(value))
            })
            .collect();
        changes.push((key(number * 10 - 5), None));
        changes.push((b"\0empty".to_vec(), Some(Vec::new())));
        changes.push((vec![0xff; 432], Some(number.to_be_bytes().to_vec())));
        self.commit(&changes, Some(number));
        self.commit(&[(b"between".to_vec(), Some(number.to_be_bytes().to_vec()))], None);
        self.deploy(format!("contract of block {number}").as_bytes());
    }

    pub(crate) fn deploy(&mut self, wasm: &[u8]) {
        use sha2::Digest as _;
        let address = &sha2::Sha256::digest(wasm)[..20];
        self.storage.set(&[b"a/", address].concat(), wasm).unwrap();
    }

    pub(crate) fn close(self) {
        self.storage.close().unwrap();
    }
}

/// An archive of five blocks in `dir`, closed.
pub(crate) fn archive(plugin: &Plugin, dir: &Path) {
    let mut chain = Chain::new(plugin, dir, HistoryMode::Archive, true);
    (1..=5).for_each(|number| chain.block(number));
    chain.close();
}

/// Much of one block, closed: enough for several batches of a transfer.
pub(crate) fn large(plugin: &Plugin, dir: &Path) {
    let mut chain = Chain::new(plugin, dir, HistoryMode::Archive, true);
    let mut random = 7_u64;
    for block in 1..=8_u64 {
        let changes: Vec<_> = (0..1_950_u64)
            .map(|index| {
                let value = (0..512).flat_map(|_| {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    random.to_le_bytes()
                });
                ((index * 8 + block).to_be_bytes().to_vec(), Some(value.collect()))
            })
            .collect();
        chain.commit(&changes, Some(block));
    }
    chain.close();
}

/// The full digest of the newest state in `dir`.
pub(crate) fn digest(plugin: &Plugin, dir: &Path) -> String {
    let storage = try_open(plugin, dir, OpenMode::MustExist).unwrap();
    let digest = History::new(storage.clone()).unwrap().latest().unwrap().digest().unwrap();
    storage.close().unwrap();
    drop(storage);
    digest.to_string()
}

/// The digests of every state that can be read in `dir`.
pub(crate) fn past(plugin: &Plugin, dir: &Path) -> Vec<(Version, String)> {
    let storage = try_open(plugin, dir, OpenMode::MustExist).unwrap();
    let history = History::new(storage.clone()).unwrap();
    let (floor, last) = (history.floor().unwrap(), history.meta().unwrap().last_version);
    let digest = |version| history.as_of(version).unwrap().digest().unwrap().to_string();
    let past = (floor.0..=last.0).map(|at| (Version(at), digest(Version(at)))).collect();
    drop(history);
    storage.close().unwrap();
    drop(storage);
    past
}
