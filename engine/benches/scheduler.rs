//! What scheduling costs by itself.
//!
//! `cargo bench -p supervm-engine --bench scheduler`. Unless it says otherwise a figure is for 100 tasks that read and write two keys each, or for
//! 100 keys; keys have 28 bytes, like those of an account in a contract, and values 32.

#![expect(clippy::unwrap_used, reason = "a benchmark ends where it fails")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::path::Path;
use supervm_engine::config::StorageConfig;
use supervm_engine::mvcc::{MvccConfig, MvccStore};
use supervm_engine::scheduler::{
    ConflictDetector, DependencyGraph, KEYS_PER_THREAD_MIN, ParallelConfig, ParallelScheduler,
    ReadWriteSet, StateManager, Task, WorkStealingScheduler,
};
use supervm_engine::storage::{OpenOptions, Storage};
use supervm_plugin_sdk::load;
use tempfile::TempDir;

const TASKS: u64 = 100;
const KEYS: u64 = 1_000;
const VALUE: [u8; 32] = [7; 32];

fn key(number: u64) -> [u8; 28] {
    let mut key = [0xab; 28];
    key[20..].copy_from_slice(&number.to_be_bytes());
    key
}

fn touching(keys: [u64; 2]) -> ReadWriteSet {
    let set = keys.iter().fold(ReadWriteSet::new(), |set, at| set.reading(key(*at)));
    keys.iter().fold(set, |set, at| set.writing(key(*at)))
}

/// Tasks of which so many in a hundred touch one key; the others have keys of their own.
fn tasks(hot: u64) -> Vec<ReadWriteSet> {
    let first = |task: u64| if task * 37 % 100 < hot { u64::MAX } else { task };
    (0..TASKS).map(|task| touching([first(task), 1_000 + task])).collect()
}

fn conflicts(criterion: &mut Criterion) {
    for hot in [0, 50, 100] {
        let tasks = tasks(hot);
        let expected = (hot * hot.saturating_sub(1) / 2) as usize;
        assert_eq!(ConflictDetector::new(&tasks).conflicts().len(), expected);
        let name = format!("{hot}% of the tasks touch one key");
        criterion.benchmark_group("conflict detection").bench_function(&name, |bencher| {
            bencher.iter(|| ConflictDetector::new(black_box(&tasks)).conflicts());
        });
        criterion.benchmark_group("dependency graph").bench_function(&name, |bencher| {
            bencher.iter(|| DependencyGraph::new(&ConflictDetector::new(black_box(&tasks))));
        });
    }
}

fn batches(criterion: &mut Criterion) {
    let scheduler = ParallelScheduler::new(MvccStore::new());
    let keys: Vec<_> = (0..100_000).map(key).collect();
    let entries: Vec<_> = keys.iter().map(|key| (key, VALUE)).collect();
    scheduler.batch_write(&entries).unwrap();
    let mut group = criterion.benchmark_group("batch");
    for count in [100, 100_000] {
        group.bench_function(format!("read of {count} keys"), |bencher| {
            bencher.iter(|| scheduler.batch_read(black_box(&keys[..count])).unwrap());
        });
    }
    group.bench_function("write of 100 keys", |bencher| {
        bencher.iter(|| scheduler.batch_write(black_box(&entries[..100])).unwrap());
    });
    group.finish();
}

/// Keys that are on a backend and not in memory, where its shared library is built.
fn cold_reads(criterion: &mut Criterion) {
    let executable = std::env::current_exe().unwrap();
    let target = executable.parent().and_then(Path::parent).unwrap();
    let mut group = criterion.benchmark_group("batch, not in memory");
    for name in ["rocksdb", "lmdb", "sqlite"] {
        let library = target.join(format!("libsupervm_storage_{name}.so"));
        if !library.is_file() {
            println!("skipped {name}: {} is missing", library.display());
            continue;
        }
        let plugin = load::library(&library, target, None).unwrap();
        let dir = TempDir::new_in(target).unwrap();
        let config = StorageConfig { dir: dir.path().to_owned(), ..StorageConfig::default() };
        let storage = Storage::open(&plugin, OpenOptions::from(&config)).unwrap();
        let store = MvccStore::open(storage, MvccConfig::default()).unwrap();
        let keys: Vec<_> = (0..100_000).map(key).collect();
        let entries: Vec<_> = keys.iter().map(|key| (key, VALUE)).collect();
        ParallelScheduler::new(store.clone()).batch_write(&entries).unwrap();
        for count in [2 * KEYS_PER_THREAD_MIN, 20_000] {
            for threads in [1, 2] {
                let config = ParallelConfig { threads, ..ParallelConfig::default() };
                let scheduler = ParallelScheduler::new_with_config(store.clone(), config);
                let title = format!("{name}: read of {count} keys, {threads} threads");
                group.bench_function(title, |bencher| {
                    let read = |_| scheduler.batch_read(black_box(&keys[..count])).unwrap();
                    bencher.iter_batched(|| store.evict(), read, BatchSize::PerIteration);
                });
            }
        }
    }
    group.finish();
}

/// A transaction that has written 1,000 keys.
fn written(store: &MvccStore) -> StateManager {
    let mut state = StateManager::new(store.begin());
    (0..KEYS).for_each(|at| state.txn().write(&key(at), &VALUE).unwrap());
    state
}

/// The same within a savepoint that is open: `first` = the first key.
fn changed(store: &MvccStore, first: u64) -> StateManager {
    let mut state = written(store);
    state.create_savepoint().unwrap();
    (first..first + KEYS).for_each(|at| state.txn().write(&key(at), &VALUE[1..]).unwrap());
    state
}

fn savepoints(criterion: &mut Criterion) {
    let store = MvccStore::new();
    let mut group = criterion.benchmark_group("savepoint over 1000 keys");
    let mut state = written(&store);
    group.bench_function("create and commit", |bencher| {
        bencher.iter(|| {
            state.create_savepoint().unwrap();
            state.commit().unwrap();
        });
    });
    group.bench_function("create, change one key, roll back", |bencher| {
        bencher.iter(|| {
            state.create_savepoint().unwrap();
            state.txn().write(&key(500), &VALUE[2..]).unwrap();
            state.rollback().unwrap();
        });
    });
    let mut after = |name: &str, first: u64, end: fn(&mut StateManager)| {
        let setup = || changed(&store, first);
        let run = |mut state: StateManager| {
            end(&mut state);
            // Dropped when the time has been taken.
            state
        };
        group.bench_function(name, |bencher| {
            bencher.iter_batched(setup, run, BatchSize::PerIteration);
        });
    };
    let roll_back: fn(&mut StateManager) = |state| state.rollback().unwrap();
    let commit: fn(&mut StateManager) = |state| state.commit().unwrap();
    after("roll back 1000 keys overwritten since", 0, roll_back);
    after("roll back 1000 keys new since", KEYS, roll_back);
    after("commit 1000 keys overwritten since", 0, commit);
    after("commit 1000 keys new since", KEYS, commit);
    group.finish();
}

fn tasks_by_priority(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tasks that do nothing");
    for (threads, count) in [(1, 100_u64), (1, 100_000), (2, 100), (2, 100_000)] {
        group.bench_function(format!("{count} on {threads} threads"), |bencher| {
            let mut scheduler = WorkStealingScheduler::new(threads);
            bencher.iter(|| {
                for number in 0..count {
                    let task = Task::new((number % 256) as u8, |_| Ok(()));
                    scheduler.submit(black_box(task)).unwrap();
                }
                assert_eq!(scheduler.execute_all().successful, count);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, conflicts, batches, cold_reads, savepoints, tasks_by_priority);
criterion_main!(benches);
