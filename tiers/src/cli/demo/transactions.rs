//! Demos 9 and 10: transactions with many versions of each key, and the collection of the old ones.

use super::{Outcome, expect};
use crate::cli::demo::Workplace;
use crate::cli::failure::{Failure, Report};
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};
use supervm_engine::mvcc::{AutoGcConfig, Isolation, MvccStore};
use supervm_plugin_sdk::{Error, ErrorKind};

const ACCOUNTS: u64 = 16;
const OPENING_BALANCE: u64 = 1_000;
const THREADS: u64 = 4;
const TRANSFERS: u64 = 500;
/// Tries of one transfer; every conflict means that another transfer got through.
const TRIES_MAX: u64 = THREADS * TRANSFERS;

const KEYS: u64 = 100;
const ROUNDS: u64 = 50;
const INTERVAL: Duration = Duration::from_millis(5);
/// Longest time that the collector may take to do what it was told to.
const PATIENCE: Duration = Duration::from_secs(10);

/// Demo 9.
pub(super) fn mvcc(_: &Workplace<'_>) -> Outcome {
    visibility()?;
    conflicts()?;
    read_only()?;
    let retries = transfers()?;
    let lines = vec![
        "visibility: a transaction reads the state of its beginning, whatever is committed later".to_owned(),
        "conflict: of two writers of one key the first commits, the second is refused and may try again".to_owned(),
        "no conflict: two writers of different keys both commit".to_owned(),
        "write skew: refused when serializable, possible under snapshot isolation".to_owned(),
        "read-only: refuses writes and deletes, and never conflicts".to_owned(),
        format!(
            "{} transfers on {THREADS} threads, {retries} tried again; the sum of all balances is {}",
            THREADS * TRANSFERS,
            ACCOUNTS * OPENING_BALANCE
        ),
    ];
    let values = json!({
        "transfers": THREADS * TRANSFERS, "threads": THREADS, "retries": retries,
        "sum": ACCOUNTS * OPENING_BALANCE,
    });
    Ok((lines, values))
}

fn visibility() -> Result<(), Failure> {
    let store = MvccStore::new();
    put(&store, b"k", b"1")?;
    let (mut before, mut writer) = (store.begin_read_only(), store.begin());
    writer.write(b"k", b"2")?;
    expect("what the writer reads", &writer.read(b"k")?, &Some(b"2".to_vec()))?;
    expect("what is not committed", &store.begin().read(b"k")?, &Some(b"1".to_vec()))?;
    writer.commit()?;
    expect("the older view", &before.read(b"k")?, &Some(b"1".to_vec()))?;
    expect("the newer view", &store.begin().read(b"k")?, &Some(b"2".to_vec()))
}

fn conflicts() -> Result<(), Failure> {
    let store = MvccStore::new();
    let (mut one, mut two) = (store.begin(), store.begin());
    one.write(b"k", b"1")?;
    two.write(b"k", b"2")?;
    one.commit()?;
    expect_kind("the second writer", two.commit(), ErrorKind::Conflict)?;
    let (mut one, mut two) = (store.begin(), store.begin());
    one.write(b"a", b"1")?;
    two.write(b"b", b"2")?;
    one.commit()?;
    two.commit()?;
    for (isolation, is_refused) in [(Isolation::Serializable, true), (Isolation::Snapshot, false)] {
        let (mut one, mut two) = (store.begin_with(isolation), store.begin_with(isolation));
        one.read(b"a")?;
        one.write(b"b", b"of one")?;
        two.read(b"b")?;
        two.write(b"a", b"of two")?;
        one.commit()?;
        let refused = two.commit().is_err_and(|error| error.kind() == ErrorKind::Conflict);
        expect("whether write skew is refused", &refused, &is_refused)?;
    }
    Ok(())
}

fn read_only() -> Result<(), Failure> {
    let store = MvccStore::new();
    put(&store, b"k", b"1")?;
    let mut txn = store.begin_read_only();
    expect_kind("a write", txn.write(b"k", b"2"), ErrorKind::ReadOnly)?;
    expect_kind("a delete", txn.delete(b"k"), ErrorKind::ReadOnly)?;
    txn.read(b"k")?;
    put(&store, b"k", b"3")?;
    txn.commit()?;
    Ok(())
}

/// Moves amounts between accounts on several threads; returns how often a transfer had to be tried again.
fn transfers() -> Result<u64, Failure> {
    let store = MvccStore::new();
    for number in 0..ACCOUNTS {
        put(&store, &number.to_be_bytes(), &OPENING_BALANCE.to_be_bytes())?;
    }
    let retries: Result<u64, Error> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let store = store.clone();
                scope.spawn(move || move_amounts(&store, number))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(panicked()))).sum()
    });
    let retries = retries?;
    let mut txn = store.begin_read_only();
    let mut sum = 0;
    for number in 0..ACCOUNTS {
        sum += balance(&txn.read(&number.to_be_bytes())?);
    }
    expect("the sum of all balances", &sum, &(ACCOUNTS * OPENING_BALANCE))?;
    Ok(retries)
}

fn move_amounts(store: &MvccStore, seed: u64) -> Result<u64, Error> {
    let mut random = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut retries = 0;
    for _ in 0..TRANSFERS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (from, to) = ((random >> 33) % ACCOUNTS, (random >> 43) % ACCOUNTS);
        let mut tries = 0;
        loop {
            match transfer(store, from, to, 1 + (random >> 60)) {
                Err(error) if error.is_retryable() && tries < TRIES_MAX => tries += 1,
                done => break done?,
            }
        }
        retries += tries;
    }
    Ok(retries)
}

fn transfer(store: &MvccStore, from: u64, to: u64, amount: u64) -> Result<(), Error> {
    let mut txn = store.begin();
    let available = balance(&txn.read(&from.to_be_bytes())?);
    if from == to || available < amount {
        return Ok(());
    }
    let present = balance(&txn.read(&to.to_be_bytes())?);
    // So that others come in between, on one core too.
    thread::yield_now();
    txn.write(&from.to_be_bytes(), &(available - amount).to_be_bytes())?;
    txn.write(&to.to_be_bytes(), &(present + amount).to_be_bytes())?;
    txn.commit().map(|_| ())
}

/// Demo 10.
pub(super) fn auto_gc(_: &Workplace<'_>) -> Outcome {
    let store = MvccStore::new();
    write_rounds(&store, 0)?;
    let mut reader = store.begin_read_only();
    let seen = reader.read(&0_u64.to_be_bytes())?;
    write_rounds(&store, ROUNDS)?;
    let all = store.total_versions();
    expect("the versions without a collector", &all, &(KEYS * ROUNDS * 2))?;

    store.start_auto_gc(AutoGcConfig {
        interval: INTERVAL,
        version_threshold: None,
        run_on_start: true,
    });
    expect("that the collector runs", &store.is_auto_gc_running(), &true)?;
    // Of each key the newest version, and what was the newest when the reader began with all after it.
    let pinned = KEYS * (ROUNDS + 1);
    wait_for_versions(&store, pinned)?;
    expect("what the reader sees", &reader.read(&0_u64.to_be_bytes())?, &seen)?;
    drop(reader);
    wait_for_versions(&store, KEYS)?;

    let threshold = KEYS * ROUNDS / 2;
    store.update_auto_gc_config(AutoGcConfig {
        interval: Duration::from_secs(3_600),
        version_threshold: Some(threshold),
        run_on_start: false,
    });
    let runs = store.get_gc_stats().runs;
    write_rounds(&store, 2 * ROUNDS)?;
    wait("a pass by the threshold", || store.get_gc_stats().runs > runs)?;

    store.stop_auto_gc();
    expect("that the collector runs after it was stopped", &store.is_auto_gc_running(), &false)?;
    store.gc();
    expect("the versions in the end", &store.total_versions(), &KEYS)?;
    let stats = store.get_gc_stats();
    expect("the versions that were removed", &stats.versions_removed, &(KEYS * (3 * ROUNDS - 1)))?;
    let lines = vec![
        format!("{KEYS} keys written {} times: {all} versions", 2 * ROUNDS),
        format!(
            "collected every {} ms beside a reader: {pinned} versions, the reader's among them",
            INTERVAL.as_millis()
        ),
        format!("without the reader: {KEYS} versions, one a key"),
        format!("changed while it runs: a pass begins above {threshold} old versions"),
        format!("stopped; {} versions removed in all", stats.versions_removed),
    ];
    let values = json!({
        "keys": KEYS, "versions_written": KEYS * 3 * ROUNDS, "versions_beside_a_reader": pinned,
        "versions_removed": stats.versions_removed, "versions_left": KEYS,
    });
    Ok((lines, values))
}

fn write_rounds(store: &MvccStore, first: u64) -> Result<(), Failure> {
    for round in first..first + ROUNDS {
        let mut txn = store.begin();
        for key in 0..KEYS {
            txn.write(&key.to_be_bytes(), &round.to_be_bytes())?;
        }
        txn.commit()?;
    }
    Ok(())
}

fn wait_for_versions(store: &MvccStore, expected: u64) -> Result<(), Failure> {
    wait(&format!("{expected} versions"), || store.total_versions() == expected)
}

fn wait(what: &str, is_so: impl Fn() -> bool) -> Result<(), Failure> {
    let started = Instant::now();
    while !is_so() {
        if started.elapsed() > PATIENCE {
            let message = format!("{what} did not come within {} s", PATIENCE.as_secs());
            return Err(Failure::failed(Report::new(message)));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn put(store: &MvccStore, key: &[u8], value: &[u8]) -> Result<(), Failure> {
    let mut txn = store.begin();
    txn.write(key, value)?;
    txn.commit()?;
    Ok(())
}

fn balance(value: &Option<Vec<u8>>) -> u64 {
    let bytes = value.as_deref().and_then(|value| value.try_into().ok());
    bytes.map_or(0, u64::from_be_bytes)
}

fn expect_kind<T>(what: &str, outcome: Result<T, Error>, known: ErrorKind) -> Result<(), Failure> {
    expect(what, &outcome.err().map(|error| error.kind()), &Some(known))
}

fn panicked() -> Error {
    Error::new(ErrorKind::Internal, "transfer", "a thread panicked")
}
