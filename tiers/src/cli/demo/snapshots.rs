//! Demo 6: going back, within a transaction, to an older state, and to a copy.

use super::{Outcome, Workplace, expect};
use crate::cli::failure::Failure;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use supervm_engine::layout::{HistoryMode, Version};
use supervm_engine::mvcc::{Block, CommitOptions, MvccConfig, MvccStore, Txn};
use supervm_engine::registry::Registry;
use supervm_engine::storage::{OpenOptions, Storage};

const BACKEND: &str = "sqlite";
const ACCOUNTS: u32 = 1_000;
const OPENING_BALANCE: u64 = 100;
/// Seconds since 1970-01-01 00:00 UTC.
const BLOCK_TIME: u64 = 1_704_067_200;

type Balances = BTreeMap<Vec<u8>, Vec<u8>>;

pub(super) fn rollback(workplace: &Workplace<'_>) -> Outcome {
    let dir = tempfile::tempdir_in(workplace.dir)?;
    let storage = open(workplace, &dir.path().join("chain"))?;
    let config =
        MvccConfig { history: Some(HistoryMode::Archive), digest: true, ..MvccConfig::default() };
    let store = MvccStore::open(storage.clone(), config.clone())?;
    let mut first = store.begin();
    for number in 0..ACCOUNTS {
        first.write(&account(number), &OPENING_BALANCE.to_be_bytes())?;
    }
    commit_block(first, 1)?;
    let opening = balances(&mut store.begin_read_only())?;

    let kept = nested_savepoints(&store)?;
    // A reader that stays, and a copy: two ways to hold on to the state after block 2.
    let mut reader = store.begin_read_only();
    let copy = dir.path().join("copy");
    storage.checkpoint(&copy)?;
    let mut third = store.begin();
    for number in 0..ACCOUNTS {
        third.delete(&account(number))?;
    }
    commit_block(third, 3)?;
    expect("what is left after block 3", &balances(&mut store.begin_read_only())?.len(), &0)?;
    expect("the reader's view of block 2", &balances(&mut reader)?, &kept)?;
    drop(reader);

    restore_opening(&store, &opening)?;
    drop(store);
    storage.close()?;
    let restored = open(workplace, &copy)?;
    let copied = MvccStore::open(restored, config)?;
    expect("the copy of block 2", &balances(&mut copied.begin_read_only())?, &kept)?;
    let lines = vec![
        format!("block 1: {ACCOUNTS} accounts with {OPENING_BALANCE} each, in {BACKEND}"),
        "block 2: 3 nested savepoints; the inner two rolled back, the outer one kept".to_owned(),
        "block 3: every account deleted; a reader that began before still sees them all".to_owned(),
        format!("block 4: {ACCOUNTS} accounts again, from what the reader of block 1 saw"),
        "the checkpoint of block 2 was opened, and has the balances of block 2".to_owned(),
    ];
    Ok((lines, json!({ "accounts": ACCOUNTS, "savepoints": 3, "blocks": 4, "backend": BACKEND })))
}

/// Writes at three depths, undoes two, and commits block 2.
fn nested_savepoints(store: &MvccStore) -> Result<Balances, Failure> {
    let mut txn = store.begin();
    let mut expected = balances(&mut txn)?;
    let outer = txn.savepoint();
    txn.write(&account(0), b"outer")?;
    let middle = txn.savepoint();
    txn.write(&account(1), b"middle")?;
    let inner = txn.savepoint();
    txn.delete(&account(0))?;
    txn.write(b"new", b"inner")?;
    expect("an account that was deleted", &txn.read(&account(0))?, &None)?;
    txn.rollback_to(inner)?;
    expect("the account after the inner rollback", &txn.read(&account(0))?, &text("outer"))?;
    expect("the key that was new", &txn.read(b"new")?, &None)?;
    txn.rollback_to(middle)?;
    txn.release(outer)?;
    let refused = txn.rollback_to(inner).is_err();
    expect("that a savepoint that has ended is refused", &refused, &true)?;
    commit_block(txn, 2)?;
    expected.insert(account(0), b"outer".to_vec());
    expect("block 2", &balances(&mut store.begin_read_only())?, &expected)?;
    Ok(expected)
}

/// Makes the state after block 1 the newest one again, as block 4.
fn restore_opening(store: &MvccStore, opening: &Balances) -> Result<(), Failure> {
    let mut txn = store.begin();
    for (key, value) in opening {
        txn.write(key, value)?;
    }
    let version = commit_block(txn, 4)?;
    expect("the version of block 4", &version, &Version(4))?;
    expect("block 4", &balances(&mut store.begin_read_only())?, opening)
}

fn open(workplace: &Workplace<'_>, dir: &Path) -> Result<Storage, Failure> {
    let profile = workplace.profile.clone().with_backend(BACKEND).with_dir(dir);
    let plugin = Registry::new(&profile.plugins)?.storage(BACKEND, None)?;
    Ok(Storage::open(&plugin, OpenOptions::from(&profile.storage))?)
}

fn commit_block(txn: Txn, number: u64) -> Result<Version, Failure> {
    let block = Some(Block { number, timestamp: BLOCK_TIME + number });
    Ok(txn.commit_with(CommitOptions { block, ..CommitOptions::default() })?)
}

fn balances(txn: &mut Txn) -> Result<Balances, Failure> {
    Ok(txn.scan_prefix(b"", usize::MAX)?.into_iter().collect())
}

fn account(number: u32) -> Vec<u8> {
    [&b"account/"[..], &number.to_be_bytes()].concat()
}

fn text(value: &str) -> Option<Vec<u8>> {
    Some(value.as_bytes().to_vec())
}
