//! Histories of many threads, judged by a checker that knows nothing of the store.
//!
//! Transactions read lists and append to them. From what each one read, the crate `adya` infers who must have come before whom, and
//! looks for the cycles that a level of isolation forbids. Every run asks for more than serializable: strict serializable, which is that order
//! with real time in it.
//!
//! `SUPERVM_HISTORIES` sets the runs (default 10), `SUPERVM_SEED` replays the choices; which threads meet is another time's.

use crate::support::{Random, is_conflict, number, over_memory, seed};
use adya::history::{Interner, Mop, Op, OpType, ReadValue, Scalar};
use adya::{History, Opts, Report, Valid, Workload, check};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use supervm_engine::mvcc::{AutoGcConfig, Isolation, MvccConfig, MvccStore, Txn};

const THREADS: i64 = 8;
const TRANSACTIONS: i64 = 20_000;
/// Keys that are written at one time; few, so that transactions meet.
const KEYS: u64 = 8;
/// After so many transactions the keys are others, so that lists stay short.
const GENERATION: i64 = 400;
const STEPS_MAX: u64 = 5;

/// What was asked for and what came back, in the order in which it happened.
#[derive(Default)]
struct Recorder {
    ops: Vec<Op>,
    names: Interner,
}

/// One step of a transaction: the key, and the element to append or the list that was read.
#[derive(Clone)]
enum Step {
    Append(u64, i64),
    Read(u64, Option<Vec<i64>>),
}

impl Recorder {
    fn record(&mut self, kind: OpType, process: i64, steps: &[Step]) {
        let mut id = |number| self.names.intern(Scalar::Int(number));
        let value = steps
            .iter()
            .map(|step| match step {
                Step::Append(key, element) => {
                    Mop::Append { key: id(*key as i64), value: id(*element) }
                }
                Step::Read(key, None) => Mop::Read { key: id(*key as i64), value: ReadValue::Nil },
                Step::Read(key, Some(list)) => {
                    let list = list.iter().map(|element| id(*element)).collect();
                    Mop::Read { key: id(*key as i64), value: ReadValue::List(list) }
                }
            })
            .collect();
        let index = self.ops.len() as u64;
        self.ops.push(Op { index, kind, process: Some(process), value, time: None });
    }
}

fn list(txn: &mut Txn, key: u64) -> Vec<i64> {
    let bytes = txn.read(&key.to_be_bytes()).unwrap().unwrap_or_default();
    bytes.as_chunks().0.iter().map(|element| i64::from_be_bytes(*element)).collect()
}

/// Runs the steps, with others coming in between; were they committed?
fn run(mut txn: Txn, steps: &mut [Step], random: &mut Random) -> bool {
    for step in steps {
        random.maybe_yield();
        match step {
            Step::Read(key, found) => *found = Some(list(&mut txn, *key)),
            Step::Append(key, element) => {
                let mut list = list(&mut txn, *key);
                list.push(*element);
                random.maybe_yield();
                let bytes: Vec<u8> =
                    list.iter().flat_map(|element| element.to_be_bytes()).collect();
                txn.write(&key.to_be_bytes(), &bytes).unwrap();
            }
        }
    }
    random.maybe_yield();
    !is_conflict(txn.commit())
}

/// Steps that nobody has run; every element is appended once.
fn choose(random: &mut Random, generation: i64, elements: &AtomicI64) -> Vec<Step> {
    let only_reads = random.once_in(4);
    (0..=random.below(STEPS_MAX))
        .map(|_| {
            let key = generation as u64 * KEYS + random.below(KEYS);
            match only_reads || random.once_in(2) {
                true => Step::Read(key, None),
                false => Step::Append(key, elements.fetch_add(1, Ordering::Relaxed)),
            }
        })
        .collect()
}

/// The history of one run.
fn history(store: &MvccStore, isolation: Isolation, seed: u64) -> History {
    let recorder = Mutex::new(Recorder::default());
    let (started, elements) = (AtomicI64::new(0), AtomicI64::new(1_000_000));
    let committed = AtomicU64::new(0);
    thread::scope(|scope| {
        for process in 0..THREADS {
            let (recorder, started, elements) = (&recorder, &started, &elements);
            let committed = &committed;
            scope.spawn(move || {
                let mut random = Random(seed.wrapping_add(process as u64));
                loop {
                    let number = started.fetch_add(1, Ordering::Relaxed);
                    if number >= TRANSACTIONS {
                        return;
                    }
                    let mut steps = choose(&mut random, number / GENERATION, elements);
                    recorder.lock().unwrap().record(OpType::Invoke, process, &steps);
                    let only_reads = steps.iter().all(|step| matches!(step, Step::Read(..)));
                    let txn = match only_reads && random.once_in(2) {
                        true => store.begin_read_only(),
                        false => store.begin_with(isolation),
                    };
                    let is_committed = run(txn, &mut steps, &mut random);
                    let kind = if is_committed { OpType::Ok } else { OpType::Fail };
                    recorder.lock().unwrap().record(kind, process, &steps);
                    committed.fetch_add(u64::from(is_committed), Ordering::Relaxed);
                    if random.once_in(500) {
                        store.evict();
                    }
                }
            });
        }
    });
    let committed = committed.into_inner();
    println!("{isolation:?}: {committed} of {TRANSACTIONS} committed");
    assert!(committed > TRANSACTIONS as u64 / 10, "most were refused; nothing was tested");
    let Recorder { ops, names } = recorder.into_inner().unwrap();
    History::from_ops(ops, names)
}

fn judge(history: &History, model: &str) -> Report {
    let timeout = Duration::from_secs(60);
    let options = Opts { models: vec![model.to_owned()], timeout, ..Opts::default() };
    check(history, Workload::ListAppend, &options)
}

fn collected() -> MvccConfig {
    let auto_gc = AutoGcConfig {
        interval: Duration::from_millis(1),
        version_threshold: Some(200),
        run_on_start: false,
    };
    MvccConfig { auto_gc: Some(auto_gc), memory_bytes_max: 10_000, ..MvccConfig::default() }
}

#[test]
fn histories_of_serializable_transactions_are_strict_serializable() {
    let seed = seed();
    for run in 0..number("SUPERVM_HISTORIES", 10) {
        let (store, _dir) = match run % 2 {
            0 => (MvccStore::in_memory(collected()), None),
            _ => {
                let (store, dir) = over_memory(collected());
                (store, Some(dir))
            }
        };
        let history = history(&store, Isolation::Serializable, seed.wrapping_add(run << 32));
        let report = judge(&history, "strict-serializable");
        assert_eq!(report.valid, Valid::True, "run {run}: {:?}", report.anomalies);
    }
}

#[test]
fn histories_of_snapshot_transactions_are_of_snapshots_and_not_serializable() {
    let store = MvccStore::in_memory(collected());
    let history = history(&store, Isolation::Snapshot, seed());
    let report = judge(&history, "strong-snapshot-isolation");
    assert_eq!(report.valid, Valid::True, "{:?}", report.anomalies);
    // That write skew is found shows that it would be found above.
    let report = judge(&history, "serializable");
    assert_eq!(report.valid, Valid::False);
    let kinds = report.anomaly_types;
    assert!(kinds.iter().all(|kind| kind.starts_with("G2")), "{kinds:?}");
}
