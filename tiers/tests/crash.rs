//! Transactions of several threads, killed at random moments, on every durable backend.
//!
//! What was acknowledged is there, each transaction is there whole or not at all, the digest is that of what is there, and versions go on
//! above the persisted ones.
//!
//! `SUPERVM_KILL_ROUNDS` sets the rounds for each backend (default 15; 200 at night), `SUPERVM_KILL_SEED` replays the moments. The program
//! runs itself as the process that is killed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::chance::{Moments, number};
use libtest_mimic::{Arguments, Failed, Trial};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use supervm_engine::config::StorageConfig;
use supervm_engine::digest::StateAccumulator;
use supervm_engine::layout::{HistoryMode, Meta, Version};
use supervm_engine::mvcc::{Block, CommitOptions, MvccConfig, MvccStore, Txn};
use supervm_engine::storage::{OpenOptions, Storage};
use supervm_plugin_sdk::load::{self, Plugin};
use supervm_plugin_sdk::{Direction, KeyRange};
use supervm_tiers::builtin::STORAGE_BACKENDS;

const BACKENDS: [&str; 4] = ["leveldb", "lmdb", "rocksdb", "sqlite"];
/// What the process that is killed is told: backend and directory.
const VICTIM: &str = "SUPERVM_CRASH_VICTIM";

const THREADS: u64 = 4;
/// Keys that each transaction of a thread sets to one number.
const PARTS: u64 = 5;
/// Acknowledgements before the process may be killed.
const ACKNOWLEDGED_MIN: usize = 3;
const LIFE_MAX: Duration = Duration::from_millis(60);

fn main() -> std::process::ExitCode {
    if let Ok(told) = std::env::var(VICTIM) {
        let (backend, dir) = told.split_once('=').unwrap();
        live(&open(backend, Path::new(dir)));
    }
    let trials = BACKENDS
        .map(|backend| {
            let name = format!("{backend}_keeps_every_acknowledged_transaction_whole");
            Trial::test(name, move || survives_kills(backend))
        })
        .into();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn plugin(backend: &str) -> Plugin {
    if STORAGE_BACKENDS.contains(&backend) {
        let linked = load::linked().unwrap();
        return linked.into_iter().find(|plugin| plugin.descriptor().name == backend).unwrap();
    }
    let library = common::storage_library(backend);
    let library = Path::new(&library);
    load::library(library, library.parent().unwrap(), None).unwrap()
}

fn open(backend: &str, dir: &Path) -> MvccStore {
    let config = StorageConfig { dir: dir.to_owned(), ..StorageConfig::default() };
    let storage = Storage::open(&plugin(backend), OpenOptions::from(&config)).unwrap();
    let history = Some(HistoryMode::Archive);
    MvccStore::open(storage, MvccConfig { history, digest: true, ..MvccConfig::default() }).unwrap()
}

fn key(thread: u64, part: u64) -> Vec<u8> {
    format!("thread {thread} part {part}").into_bytes()
}

fn value(txn: &mut Txn, thread: u64, part: u64) -> u64 {
    let value = txn.read(&key(thread, part)).unwrap();
    value.map_or(0, |value| u64::from_be_bytes(value.try_into().unwrap()))
}

/// Commits until it is killed; says on stdout what was acknowledged: thread, number, version.
fn live(store: &MvccStore) -> ! {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                loop {
                    let mut txn = store.begin();
                    let number = value(&mut txn, thread, 0) + 1;
                    for part in 0..PARTS {
                        txn.write(&key(thread, part), &number.to_be_bytes()).unwrap();
                    }
                    // A key that comes and goes, so that deletions are among the writes.
                    match number % 2 {
                        0 => txn.delete(&key(thread, PARTS)).unwrap(),
                        _ => txn.write(&key(thread, PARTS), b"odd").unwrap(),
                    }
                    // One thread ends blocks.
                    let block = (thread == 0).then_some(Block { number, timestamp: number });
                    let options = CommitOptions { block, ..CommitOptions::default() };
                    let version = txn.commit_with(options).unwrap();
                    let line = format!("{thread} {number} {version}\n");
                    // One write of less than a pipe's buffer: whole or not at all.
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
    unreachable!("it commits until it is killed")
}

/// What a process acknowledged: the last number of each thread, and the newest version.
#[derive(Default)]
struct Acknowledged {
    numbers: BTreeMap<u64, u64>,
    version: u64,
}

fn spawn(backend: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .env(VICTIM, format!("{backend}={}", dir.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lets a process live for a while and kills it.
fn kill_one(backend: &str, dir: &Path, life: Duration) -> Acknowledged {
    let mut child = spawn(backend, dir);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged: Vec<String> =
        lines.by_ref().take(ACKNOWLEDGED_MIN).map(|line| line.unwrap()).collect();
    std::thread::sleep(life);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "it ended by itself");
    // What is left in the pipe was acknowledged too.
    acknowledged.extend(lines.map(|line| line.unwrap()));
    let mut sum = Acknowledged::default();
    for line in acknowledged {
        let mut words = line.split(' ').map(|word| word.parse::<u64>().unwrap());
        let [thread, number, version] = [(); 3].map(|()| words.next().unwrap());
        sum.numbers.insert(thread, number);
        sum.version = sum.version.max(version);
    }
    sum
}

/// Checks what a killed process left, and that it can be gone on with.
fn check(store: &MvccStore, acknowledged: &Acknowledged) {
    let last = store.last_version();
    assert!(Version(acknowledged.version) <= last, "{} of {last}", acknowledged.version);
    let mut txn = store.begin();
    for (thread, number) in &acknowledged.numbers {
        let found = value(&mut txn, *thread, 0);
        assert!((*number..=*number + 1).contains(&found), "{thread}: {found}, {number} known");
        for part in 1..PARTS {
            assert_eq!(value(&mut txn, *thread, part), found, "{thread}: part {part}");
        }
        let is_odd = txn.read(&key(*thread, PARTS)).unwrap().is_some();
        assert_eq!(is_odd, found % 2 == 1, "{thread}: {found}");
    }
    let blocks = value(&mut txn, 0, 0);
    assert_eq!(store.last_block().map_or(0, |block| block.number), blocks);
    let mut recomputed = StateAccumulator::default();
    let add = |key: &[u8], value: &[u8]| {
        recomputed.add(key, value);
        true
    };
    txn.visit(KeyRange::ALL, Direction::Forward, add).unwrap();
    let meta = Meta::read(store.storage().unwrap()).unwrap();
    assert_eq!(StateAccumulator::from_bytes(&meta.accumulator).unwrap(), recomputed);
    let mut next = store.begin();
    next.write(b"checked", &last.0.to_be_bytes()).unwrap();
    assert_eq!(next.commit().unwrap(), last.next());
}

fn survives_kills(backend: &str) -> Result<(), Failed> {
    let rounds = number("SUPERVM_KILL_ROUNDS", 15);
    let mut moments = Moments::new();
    let dir = tempfile::tempdir()?;
    let mut newest = 0;
    for round in 0..rounds {
        let life = LIFE_MAX.mul_f64(moments.fraction());
        let acknowledged = kill_one(backend, dir.path(), life);
        println!("{backend}, round {round}: {} versions", acknowledged.version);
        assert!(newest < acknowledged.version, "versions go on above the persisted ones");
        let store = open(backend, dir.path());
        check(&store, &acknowledged);
        newest = store.last_version().0;
        store.storage().unwrap().close()?;
    }
    Ok(())
}
