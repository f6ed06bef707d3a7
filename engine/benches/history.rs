//! What the past costs: a get as of a version beside a get of the latest value, and the rate of pruning.
//!
//! `cargo bench -p supervm-engine --bench history`, on every backend whose shared library is built. `SUPERVM_HISTORY_KEYS` sets how many
//! keys the state has (default 200000), `SUPERVM_PRUNE_VERSIONS` how many versions are pruned (default 1000000).

#![expect(clippy::unwrap_used, reason = "a benchmark ends where it fails")]

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;
use supervm_engine::config::StorageConfig;
use supervm_engine::history::{AsOf, History, PruneOptions, PruneTarget};
use supervm_engine::layout::{
    HistoryMode, Meta, Version, history_key, latest_key, put_changed_keys, put_record,
};
use supervm_engine::storage::{OpenOptions, Storage};
use supervm_plugin_sdk::load::{self, Plugin};
use supervm_plugin_sdk::{ByteBuf, Durability, WriteBatch};
use tempfile::TempDir;

const BACKENDS: [&str; 5] = ["rocksdb", "lmdb", "leveldb", "sqlite", "memory"];
/// Keys that a commit changes.
const CHANGES: u64 = 1_000;
/// How often every other key is written; it is read as of the moment after half of them.
const ROUNDS: u64 = 4;
const VALUE_BYTES: usize = 32;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

fn plugin(name: &str) -> Option<Plugin> {
    let executable = std::env::current_exe().unwrap();
    let dir = executable.parent().and_then(Path::parent).unwrap();
    let library = dir.join(format!("libsupervm_storage_{name}.so"));
    if !library.is_file() {
        println!("skipped {name}: {} is missing", library.display());
        return None;
    }
    Some(load::library(&library, dir, None).unwrap())
}

fn open(plugin: &Plugin) -> (TempDir, Storage) {
    let dir = TempDir::new_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
    let config = StorageConfig { dir: dir.path().to_owned(), ..StorageConfig::default() };
    let options =
        OpenOptions { durability: Some(Durability::Buffered), ..OpenOptions::from(&config) };
    let storage = Storage::open(plugin, options).unwrap();
    (dir, storage)
}

/// SplitMix64, so that keys lie anywhere.
fn spread(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn key(number: u64) -> [u8; 20] {
    let mut key = [0; 20];
    key[..8].copy_from_slice(&spread(number).to_be_bytes());
    key[12..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Writes the batches of commits, each key with the version that wrote it before.
struct Writer {
    storage: Storage,
    batch: WriteBatch,
    written: Vec<Version>,
    last: Version,
}

impl Writer {
    fn new(storage: &Storage, keys: u64) -> Self {
        History::new(storage.clone()).unwrap().set_mode(HistoryMode::Archive).unwrap();
        let written = vec![Version::ZERO; keys as usize];
        Self { storage: storage.clone(), batch: WriteBatch::new(), written, last: Version::ZERO }
    }

    /// A commit that changes `keys`; it is on disk after [`write`](Self::write).
    fn commit(&mut self, keys: impl Iterator<Item = u64>) {
        let (mut stored, mut record) = (Vec::new(), Vec::new());
        let version = self.last.next();
        let mut changed = Vec::new();
        for number in keys {
            let (key, before) = (key(number), self.written[number as usize]);
            if before > Version::ZERO {
                history_key(&key, version, &mut stored);
                put_record(before, &[before.0 as u8; VALUE_BYTES], &mut record);
                self.batch.put(&stored, &record);
            }
            latest_key(&key, &mut stored);
            put_record(version, &[version.0 as u8; VALUE_BYTES], &mut record);
            self.batch.put(&stored, &record);
            self.written[number as usize] = version;
            changed.push(key);
        }
        put_changed_keys(&mut self.batch, version, changed.iter().map(|key| &key[..]));
        self.last = version;
        if self.batch.as_bytes().len() > 4 << 20 {
            self.write();
        }
    }

    fn write(&mut self) {
        Meta::put_last_version(&mut self.batch, self.last);
        self.storage.write(&self.batch, Durability::Buffered).unwrap();
        self.batch.clear();
    }
}

fn get(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: String,
    view: &AsOf,
    numbers: impl Fn(u64) -> u64,
) {
    let (mut value, mut turn) = (ByteBuf::new(), 0);
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            turn += 1;
            let found = view.get_into(black_box(&key(numbers(spread(turn)))), &mut value).unwrap();
            assert!(found);
        });
    });
}

fn gets(criterion: &mut Criterion) {
    let keys = number("SUPERVM_HISTORY_KEYS", 200_000).next_multiple_of(2 * CHANGES);
    let mut group = criterion.benchmark_group("history get");
    group.throughput(Throughput::Elements(1));
    for name in BACKENDS {
        let Some(plugin) = plugin(name) else { continue };
        let (_dir, storage) = open(&plugin);
        let mut writer = Writer::new(&storage, keys);
        for first in (0..keys).step_by(CHANGES as usize) {
            writer.commit(first..first + CHANGES);
        }
        let mut middle = writer.last;
        for round in 0..ROUNDS {
            for first in (0..keys).step_by(2 * CHANGES as usize) {
                writer.commit((first..first + 2 * CHANGES).step_by(2));
            }
            if 2 * (round + 1) == ROUNDS {
                middle = writer.last;
            }
        }
        writer.write();
        storage.flush(Durability::Buffered).unwrap();
        let history = History::new(storage.clone()).unwrap();
        let (latest, past) = (history.latest().unwrap(), history.as_of(middle).unwrap());
        let (any, changed) = (|random| random % keys, |random| random % keys / 2 * 2);
        get(&mut group, format!("{name}: latest"), &latest, any);
        get(&mut group, format!("{name}: as of, half of the keys changed since"), &past, any);
        get(&mut group, format!("{name}: as of, every key changed since"), &past, changed);
        get(&mut group, format!("{name}: as of, no key changed since"), &past, |random| {
            changed(random) + 1
        });
    }
    group.finish();
}

/// Not a benchmark of criterion's, because a pruning is done only once.
fn pruning(_: &mut Criterion) {
    let versions = number("SUPERVM_PRUNE_VERSIONS", 1_000_000);
    let keys = 100_000;
    for name in BACKENDS {
        let Some(plugin) = plugin(name) else { continue };
        let (_dir, storage) = open(&plugin);
        let mut writer = Writer::new(&storage, keys);
        for version in 0..versions {
            let number = spread(version);
            writer.commit([number % keys, (number >> 32) % keys].into_iter());
        }
        writer.write();
        let history = History::new(storage.clone()).unwrap();
        let target = PruneTarget::Version(writer.last);
        let started = Instant::now();
        let report = history.prune(target, PruneOptions::default(), &mut |_| {}).unwrap();
        let seconds = started.elapsed().as_secs_f64();
        assert!(report.is_complete && report.versions == versions);
        println!(
            "pruning/{name}: {versions} versions of 2 keys in {seconds:.2} s: {:.0} versions/s, {:.0} deletes/s in {} steps",
            versions as f64 / seconds,
            report.operations as f64 / seconds,
            report.steps,
        );
    }
}

criterion_group!(benches, gets, pruning);
criterion_main!(benches);
