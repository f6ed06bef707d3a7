//! A store with millions of keys in memory: garbage collection with nothing to collect, commits
//! beside the check of long scans, reads beside eviction, and reads of keys that are not in memory.
//!
//! `cargo bench -p supervm-engine --bench scale`. `SUPERVM_SCALE_KEYS` is the number of keys
//! (default 2000000), `SUPERVM_SCALE_BACKEND` the backend, whose shared library is built (default
//! lmdb). One table; each figure stands beside its goal, and a goal that is missed ends the
//! program with a failure.

#![expect(clippy::unwrap_used, reason = "a benchmark ends where it fails")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use supervm_engine::config::StorageConfig;
use supervm_engine::layout::latest_key;
use supervm_engine::mvcc::{MvccConfig, MvccStore};
use supervm_engine::storage::{OpenOptions, Storage};
use supervm_plugin_sdk::load::{self, Plugin};
use supervm_plugin_sdk::{ByteBuf, Direction, Durability, KeyRange};
use tempfile::TempDir;

const GC_GOAL: Duration = Duration::from_millis(1);
const WORST_COMMIT_GOAL: Duration = Duration::from_millis(5);
const WORST_READ_GOAL: Duration = Duration::from_millis(5);
const COLD_READ_GOAL: f64 = 1.5;
/// Transactions that read all keys while others commit.
const SCANS: u64 = 3;
/// Keys of one commit of the set-up.
const CHUNK: u64 = 10_000;
/// Reads of one round of the comparison with the backend, and rounds.
const READS: u64 = 100_000;
const ROUNDS: u64 = 10;
const VALUE: [u8; 32] = [7; 32];

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

fn plugin(name: &str) -> Plugin {
    let executable = std::env::current_exe().unwrap();
    let dir = executable.parent().and_then(Path::parent).unwrap();
    load::library(&dir.join(format!("libsupervm_storage_{name}.so")), dir, None).unwrap()
}

fn storage(name: &str, dir: &TempDir) -> Storage {
    let config = StorageConfig { dir: dir.path().to_owned(), ..StorageConfig::default() };
    let options =
        OpenOptions { durability: Some(Durability::Buffered), ..OpenOptions::from(&config) };
    Storage::open(&plugin(name), options).unwrap()
}

/// SplitMix64, so that keys lie anywhere.
fn spread(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn key(number: u64) -> [u8; 32] {
    let mut key = [7; 32];
    key[20..28].copy_from_slice(&spread(number).to_be_bytes());
    key
}

fn fill(store: &MvccStore, keys: u64) {
    for chunk in 0..keys.div_ceil(CHUNK) {
        let mut txn = store.begin();
        for number in chunk * CHUNK..((chunk + 1) * CHUNK).min(keys) {
            txn.write(&key(number), &VALUE).unwrap();
        }
        txn.commit().unwrap();
    }
}

/// Prints a row; returns whether the goal is met.
fn row(what: &str, measured: String, goal: String, is_met: bool) -> bool {
    let verdict = if is_met { "met" } else { "MISSED" };
    println!("{what:<44} {measured:>14} {goal:>10} {verdict:>7}");
    is_met
}

fn collect(store: &MvccStore) -> bool {
    store.gc();
    let passes = (0..20).map(|_| store.gc().duration);
    let worst = passes.max().unwrap();
    let cells = store.metrics().cells;
    row(
        &format!("garbage collection, nothing to do, {cells} cells"),
        format!("{worst:.1?}"),
        format!("{GC_GOAL:?}"),
        worst < GC_GOAL,
    )
}

/// Small commits, each timed, beside transactions that read all keys and then commit.
fn commit_beside_scans(store: &MvccStore, keys: u64) -> bool {
    let is_over = AtomicBool::new(false);
    let mut times = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..SCANS {
                let mut txn = store.begin();
                let mut found = 0;
                txn.visit(KeyRange::ALL, Direction::Forward, |_, _| {
                    found += 1;
                    true
                })
                .unwrap();
                assert!(found >= keys);
                txn.write(&key(0), &VALUE).unwrap();
                // The small commits changed what it read.
                assert!(txn.commit().is_err());
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let mut number = 0;
        while !is_over.load(Ordering::Relaxed) {
            number += 1;
            let mut txn = store.begin();
            txn.write(&key(number % keys), &VALUE).unwrap();
            let start = Instant::now();
            txn.commit().unwrap();
            times.push(start.elapsed());
        }
    });
    times.sort();
    let worst = *times.last().unwrap();
    println!("  {} commits beside {SCANS} scans", times.len());
    row(
        "worst commit beside long scans",
        format!("{worst:.1?}"),
        format!("{WORST_COMMIT_GOAL:?}"),
        worst < WORST_COMMIT_GOAL,
    )
}

/// Reads of random keys with room for few of them, each timed.
fn read_beside_eviction(store: &MvccStore, keys: u64) -> bool {
    let reads = keys.min(2_000_000);
    let mut times: Vec<Duration> = (0..reads)
        .map(|read| {
            let key = key(spread(read) % keys);
            let start = Instant::now();
            // Remembered reads, which need a place in memory each.
            assert!(store.begin().read_with(&key, |value| value.is_some()).unwrap());
            start.elapsed()
        })
        .collect();
    times.sort();
    let worst = *times.last().unwrap();
    let (half, most) = (times[times.len() / 2], times[times.len() - times.len() / 1000]);
    println!("  reads beside eviction: median {half:.1?}, 99.9% {most:.1?}");
    let metrics = store.metrics();
    assert!(metrics.evictions > 0, "{metrics:?}");
    row(
        "worst read beside eviction",
        format!("{worst:.1?}"),
        format!("{WORST_READ_GOAL:?}"),
        worst < WORST_READ_GOAL,
    )
}

/// Reads keys that are not in memory, in turns with the backend itself. Before each turn memory is
/// emptied, so that both find the processor's caches in the same state.
fn read_cold(name: &str, store: &MvccStore, keys: u64) -> bool {
    let storage = store.storage().unwrap().clone();
    let (mut stored, mut value) = (Vec::new(), ByteBuf::new());
    let mut time = |round: u64, of_backend: bool| {
        // Other keys in each round, so that none was read before; they lie anywhere.
        let numbers = (0..READS).map(|nth| (round * READS + nth) % keys);
        store.evict();
        let mut txn = store.begin_read_only();
        let start = Instant::now();
        for number in numbers {
            let is_there = if of_backend {
                latest_key(&key(number), &mut stored);
                storage.get_into(&stored, &mut value).unwrap()
            } else {
                txn.read_with(&key(number), |value| value.is_some()).unwrap()
            };
            assert!(is_there);
        }
        start.elapsed()
    };
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        // Who is first finds more of the backend's pages outside of the processor's caches.
        let first = time(round, round % 2 == 0);
        let second = time(round, round % 2 == 1);
        let (of_backend, of_store) = if round % 2 == 0 { (first, second) } else { (second, first) };
        let each = |time: Duration| time.as_nanos() / u128::from(READS);
        println!("  cold read {} ns, {name} {} ns", each(of_store), each(of_backend));
        ratios.push(of_store.as_secs_f64() / of_backend.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    row(
        "cold read, to the backend's get",
        format!("{median:.2}"),
        format!("{COLD_READ_GOAL:.2}"),
        median <= COLD_READ_GOAL,
    )
}

fn main() {
    let keys = number("SUPERVM_SCALE_KEYS", 2_000_000);
    let name = std::env::var("SUPERVM_SCALE_BACKEND").unwrap_or_else(|_| "lmdb".to_owned());
    println!("{keys} keys of 32 bytes with values of {} bytes, {name}", VALUE.len());
    println!("{:<44} {:>14} {:>10}", "", "measured", "goal");
    let dir = TempDir::new_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
    let all = MvccConfig { memory_bytes_max: usize::MAX, ..MvccConfig::default() };
    let store = MvccStore::open(storage(&name, &dir), all).unwrap();
    fill(&store, keys);
    let mut is_met = collect(&store);
    is_met &= commit_beside_scans(&store, keys);
    is_met &= read_cold(&name, &store, keys);
    store.storage().unwrap().close().unwrap();
    drop(store);
    let memory_bytes_max = keys as usize * 40;
    let some = MvccConfig { memory_bytes_max, ..MvccConfig::default() };
    let store = MvccStore::open(storage(&name, &dir), some).unwrap();
    is_met &= read_beside_eviction(&store, keys);
    std::process::exit(i32::from(!is_met));
}
