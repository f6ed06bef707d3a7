//! How fast state is exported, imported and converted: megabytes of keys and values a second.
//!
//! `cargo bench -p supervm-engine --bench transfer [-- BACKEND [VALUE_BYTES [ENTRIES]]]`; the backend's library lies in the target
//! directory. Each figure is the best of some runs in new directories: this is a throughput that the machine can reach, and it is
//! shared. Default: lmdb, values of 256 bytes, 1,000,000 entries.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Instant;
use supervm_engine::digest::StateAccumulator;
use supervm_engine::layout::{
    BlockRecord, HistoryMode, Meta, Version, block_key, latest_key, put_record,
};
use supervm_engine::storage::{OpenOptions, Storage};
use supervm_engine::transfer::{
    ExportAt, ExportOptions, ImportOptions, Place, convert, export, import, verify,
};
use supervm_plugin_sdk::load::{self, Plugin};
use supervm_plugin_sdk::{Durability, OpenMode, WriteBatch};

const KEY_BYTES: usize = 32;
const RUNS: usize = 3;

fn main() {
    let arguments: Vec<_> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let backend = arguments.first().map_or("lmdb", String::as_str);
    let number = |index: usize, default: usize| {
        arguments.get(index).map_or(default, |text| text.parse().unwrap())
    };
    let (value_bytes, entries) = (number(1, 256), number(2, 1_000_000));
    let plugin = plugin(backend);
    let dir = tempfile::tempdir_in(".").unwrap();
    let megabytes = (entries * (KEY_BYTES + value_bytes)) as f64 / 1e6;
    println!(
        "{backend}, {entries} entries of {KEY_BYTES} + {value_bytes} bytes, {megabytes:.0} MB"
    );
    let source = dir.path().join("source");
    fill(&plugin, &source, entries, value_bytes);
    let file = dir.path().join("file.snapshot");

    measure("export", megabytes, || {
        let _ = std::fs::remove_file(&file);
        let storage = open(&plugin, &source, OpenMode::ReadOnly);
        let report =
            export(&storage, ExportAt::Latest, &file, &ExportOptions::default(), &mut |_| {});
        assert_eq!(report.unwrap().counts.state, entries as u64);
        storage.close().unwrap();
    });
    println!("  the file has {:.0} MB", file.metadata().unwrap().len() as f64 / 1e6);
    measure("verify", megabytes, || {
        verify(&file, &mut |_| {}).unwrap();
    });
    let plain = ImportOptions { state_digest: false, read_back: false, ..ImportOptions::default() };
    let unread = ImportOptions { read_back: false, ..ImportOptions::default() };
    for (name, options) in [
        ("import", ImportOptions::default()),
        ("import, not read back", unread),
        ("import, full digest only", plain),
    ] {
        let mut number = 0;
        measure(name, megabytes, || {
            number += 1;
            let target = new_dir(dir.path(), number);
            import(&file, place(&plugin, &target), &options, &mut |_| {}).unwrap();
        });
    }
    let mut number = 0;
    measure("convert", megabytes, || {
        number += 1;
        let target = new_dir(dir.path(), number);
        convert(place(&plugin, &source), place(&plugin, &target), &mut |_| {}).unwrap();
    });
}

static NO_OPTIONS: LazyLock<toml::Table> = LazyLock::new(toml::Table::new);

fn place<'a>(plugin: &'a Plugin, dir: &'a Path) -> Place<'a> {
    Place { plugin, dir, options: &NO_OPTIONS }
}

fn new_dir(dir: &Path, number: usize) -> PathBuf {
    let target = dir.join(format!("target-{number}"));
    let _ = std::fs::remove_dir_all(&target);
    target
}

fn measure(name: &str, megabytes: f64, mut run: impl FnMut()) {
    let (mut wall, mut processor) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..RUNS {
        let (begun, used) = (Instant::now(), processor_seconds());
        run();
        wall = wall.min(begun.elapsed().as_secs_f64());
        processor = processor.min(processor_seconds() - used);
    }
    let rate = |seconds: f64| megabytes / seconds;
    println!(
        "  {name:<26} {:6.0} MB/s, {:6.0} MB per processor second",
        rate(wall),
        rate(processor)
    );
}

/// Processor time of all threads of this process so far: the figure that a busy machine does not change.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    // Linux counts in hundredths, whatever its timer's rate.
    ticks as f64 / 100.0
}

fn plugin(name: &str) -> Plugin {
    let executable = std::env::current_exe().unwrap();
    let dir = executable.parent().and_then(Path::parent).unwrap();
    load::library(&dir.join(format!("libsupervm_storage_{name}.so")), dir, None).unwrap()
}

fn open(plugin: &Plugin, dir: &Path, mode: OpenMode) -> Storage {
    let options = toml::Table::new();
    let durability = Some(Durability::Buffered);
    let options =
        OpenOptions { dir, chain_id: 0, options: &options, mode, require: &[], durability };
    Storage::open(plugin, options).unwrap()
}

/// One block with everything. Values are half random, as state is that holds hashes and numbers.
fn fill(plugin: &Plugin, dir: &Path, entries: usize, value_bytes: usize) {
    let storage = open(plugin, dir, OpenMode::Create);
    let mut random = 7_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut accumulator = StateAccumulator::default();
    let (mut batch, mut stored, mut record) = (WriteBatch::new(), Vec::new(), Vec::new());
    let mut keys: Vec<[u8; KEY_BYTES]> = (0..entries)
        .map(|_| std::array::from_fn(|at| if at < 20 { (next() >> 32) as u8 } else { at as u8 }))
        .collect();
    keys.sort_unstable();
    for key in &keys {
        let value: Vec<u8> = (0..value_bytes)
            .map(|at| if at % 64 < 32 { (next() >> 24) as u8 } else { 0 })
            .collect();
        accumulator.add(key, &value);
        latest_key(key, &mut stored);
        put_record(Version(1), &value, &mut record);
        batch.put(&stored, &record);
        if batch.as_bytes().len() > 16 << 20 {
            storage.write(&batch, Durability::Buffered).unwrap();
            batch.clear();
        }
    }
    let version = Version(1);
    let digest = accumulator.digest();
    let block = BlockRecord { number: 1, version, timestamp: 1_700_000_000, digest };
    batch.put(&block_key(1), &block.to_bytes());
    Meta::put_last_version(&mut batch, version);
    Meta::put_last_block(&mut batch, 1);
    Meta::put_history(&mut batch, HistoryMode::Archive);
    Meta::put_accumulator(&mut batch, &accumulator.to_bytes());
    storage.write(&batch, Durability::Buffered).unwrap();
    storage.close().unwrap();
}
