//! Demos 5, 7 and 8: transactions in parallel, tasks with priorities, batches.

use super::{Outcome, Workplace, expect};
use crate::cli::failure::Failure;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Mutex, mpsc};
use std::time::Duration;
use supervm_engine::mvcc::{MvccStore, Txn};
use supervm_engine::scheduler::{
    ConflictDetector, DependencyGraph, ParallelScheduler, ReadWriteSet, Task, WorkStealingScheduler,
};
use supervm_engine::state::Event;
use supervm_plugin_sdk::{Error, ErrorKind};

const THREADS: usize = 4;

const ACCOUNTS: u64 = 100;
const OPENING_BALANCE: u64 = 1_000;
const TRANSFERS: u64 = 100;
/// Pairs of the transfers that have an account in common, and the levels that they make.
const CONFLICTS: usize = 149;
const LEVELS: usize = 6;

const TASKS: u64 = 1_000;
/// Longest time that other threads may take to run a task.
const PATIENCE: Duration = Duration::from_secs(10);
/// One task in so many fails.
const FAILING: u64 = 10;

const BACKEND: &str = "sqlite";
const KEYS: u64 = 1_000;

#[derive(Clone, Copy)]
struct Transfer {
    from: u64,
    to: u64,
    amount: u64,
}

/// Demo 5.
pub(super) fn parallel(_: &Workplace<'_>) -> Outcome {
    let transfers: Vec<_> = (0..TRANSFERS).map(transfer).collect();
    let one_by_one = accounts()?;
    for transfer in &transfers {
        one_by_one.execute_with_retry(|txn| transfer.run(txn))?;
    }
    let expected = balances(one_by_one.store())?;

    let touched: Vec<_> = transfers.iter().map(Transfer::touched).collect();
    let detector = ConflictDetector::new(&touched);
    let conflicts = detector.conflicts().len();
    expect("the conflicting pairs", &conflicts, &CONFLICTS)?;
    let graph = DependencyGraph::new(&detector);
    let levels: Vec<_> = graph.levels().map(<[usize]>::to_vec).collect();
    expect("the levels without a conflict", &levels.len(), &LEVELS)?;

    let planned = run_in_parallel(&transfers, &levels)?;
    expect("the planned run's conflicts", &planned.get_stats().conflicts, &0)?;
    expect("the planned run's balances", &balances(planned.store())?, &expected)?;
    let all_at_once = vec![(0..transfers.len()).collect()];
    let unplanned = run_in_parallel(&transfers, &all_at_once)?;
    expect("the unplanned run's balances", &balances(unplanned.store())?, &expected)?;
    let retries = unplanned.get_stats().retries;
    let lines = vec![
        format!("{TRANSFERS} transfers between {ACCOUNTS} accounts: {conflicts} pairs conflict"),
        format!(
            "in {LEVELS} levels without a conflict, on {THREADS} threads: none was tried again"
        ),
        format!("all at once, on {THREADS} threads: {retries} tried again after a conflict"),
        "the balances are those of running them one by one, both times".to_owned(),
    ];
    let values = json!({
        "transfers": TRANSFERS, "conflicts": conflicts, "levels": LEVELS, "threads": THREADS,
        "retries_planned": planned.get_stats().retries, "retries_unplanned": retries,
        "success_rate": unplanned.get_stats().success_rate(),
    });
    Ok((lines, values))
}

/// Scattered, and the same in every run.
fn transfer(number: u64) -> Transfer {
    let scattered = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let from = (scattered >> 32) % ACCOUNTS;
    let to = (from + 1 + (scattered >> 40) % (ACCOUNTS - 1)) % ACCOUNTS;
    Transfer { from, to, amount: 1 + (scattered >> 60) }
}

impl Transfer {
    fn touched(&self) -> ReadWriteSet {
        let accounts = [self.from, self.to].map(u64::to_be_bytes);
        let set = accounts.iter().fold(ReadWriteSet::new(), ReadWriteSet::reading);
        accounts.iter().fold(set, ReadWriteSet::writing)
    }

    fn run(&self, txn: &mut Txn) -> Result<(), Error> {
        let [from, to] = [self.from, self.to].map(u64::to_be_bytes);
        let rest = number(txn.read(&from)?) - self.amount;
        // So that others come in between, on one core too.
        std::thread::yield_now();
        let sum = number(txn.read(&to)?) + self.amount;
        txn.write(&from, &rest.to_be_bytes())?;
        txn.write(&to, &sum.to_be_bytes())
    }
}

fn accounts() -> Result<ParallelScheduler, Error> {
    let scheduler = ParallelScheduler::new(MvccStore::new());
    let opening =
        (0..ACCOUNTS).map(|account| (account.to_be_bytes(), OPENING_BALANCE.to_be_bytes()));
    scheduler.batch_write(&opening.collect::<Vec<_>>())?;
    Ok(scheduler)
}

/// Runs the transfers of each level at the same time, and the levels one after the other.
fn run_in_parallel(
    transfers: &[Transfer],
    levels: &[Vec<usize>],
) -> Result<ParallelScheduler, Failure> {
    let scheduler = accounts()?;
    let mut tasks = WorkStealingScheduler::new(THREADS);
    for level in levels {
        for &number in level {
            let (scheduler, transfer) = (&scheduler, &transfers[number]);
            let run = |_: &_| scheduler.execute_with_retry(|txn| transfer.run(txn));
            tasks.submit(Task::new(0, run))?;
        }
        tasks.execute_all();
    }
    expect("the transfers that succeeded", &tasks.get_stats().successful, &TRANSFERS)?;
    drop(tasks);
    Ok(scheduler)
}

fn balances(store: &MvccStore) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
    Ok(store.begin_read_only().scan_prefix(b"", usize::MAX)?.into_iter().collect())
}

/// Demo 7.
pub(super) fn work_stealing(_: &Workplace<'_>) -> Outcome {
    let order = Mutex::new(Vec::new());
    let note = |priority| {
        if let Ok(mut order) = order.lock() {
            order.push(priority);
        }
        Ok(())
    };
    let mut one_thread = WorkStealingScheduler::new(1);
    // 101 has no divisor in common with 256, so every priority comes once.
    for priority in (0..256_u32).map(|number| (number * 101) as u8) {
        one_thread.submit(Task::new(priority, move |_| note(priority)))?;
    }
    one_thread.execute_all();
    drop(one_thread);
    let order = order.into_inner().unwrap_or_default();
    expect("the order", &order, &(0..=u8::MAX).rev().collect())?;

    let mut scheduler = WorkStealingScheduler::new(THREADS);
    for number in 0..TASKS {
        let task = Task::new((number % 256) as u8, move |scheduler| {
            scheduler.submit(Task::new(255, |_| Ok(())))?;
            match number % FAILING {
                0 => Err(Error::new(ErrorKind::NotFound, "run task", "as the demo wants it")),
                _ => Ok(()),
            }
        });
        scheduler.submit(task)?;
    }
    let stats = scheduler.execute_all();
    let failed = TASKS / FAILING;
    let stolen = steal_from_a_busy_thread()?;
    expect("the tasks that succeeded", &stats.successful, &(2 * TASKS - failed))?;
    expect("the tasks that failed", &stats.failed, &failed)?;
    let lines = vec![
        format!("one thread: {} tasks ran from priority 255 down to 0", order.len()),
        format!("{THREADS} threads: {TASKS} tasks ran, and as many that they submitted"),
        format!("{failed} failed and stopped no other; success rate {:.2}", stats.success_rate()),
        format!("one thread kept busy: the others took {stolen} tasks out of its queue"),
    ];
    let values = json!({
        "tasks": stats.executions(), "successful": stats.successful, "failed": stats.failed,
        "stolen": stolen, "success_rate": stats.success_rate(), "threads": THREADS,
    });
    Ok((lines, values))
}

/// A task that ends when all others have: those that its thread had queued behind it are run by other threads. Returns how many.
fn steal_from_a_busy_thread() -> Result<u64, Failure> {
    let (done, is_done) = mpsc::channel();
    let mut scheduler = WorkStealingScheduler::new(THREADS);
    scheduler.submit(Task::new(0, move |_| {
        (0..TASKS).try_for_each(|_| is_done.recv_timeout(PATIENCE)).map_err(|_| {
            Error::new(ErrorKind::Timeout, "run task", "the other threads ran nothing")
        })
    }))?;
    for _ in 0..TASKS {
        let done = done.clone();
        scheduler.submit(Task::new(0, move |_| {
            done.send(()).map_err(|_| Error::new(ErrorKind::Timeout, "run task", "too late"))
        }))?;
    }
    let stats = scheduler.execute_all();
    expect("the tasks that failed beside a busy thread", &stats.failed, &0)?;
    expect("whether tasks were stolen from a busy thread", &(stats.stolen > 0), &true)?;
    Ok(stats.stolen)
}

/// Demo 8.
pub(super) fn batches(workplace: &Workplace<'_>) -> Outcome {
    let node = workplace.node(BACKEND)?;
    let scheduler = ParallelScheduler::new(node.store().clone());
    let keys: Vec<_> = (0..KEYS).map(u64::to_be_bytes).collect();
    let entries: Vec<_> = keys.iter().map(|key| (key, key)).collect();
    let before = node.store().last_version();
    let version = scheduler.batch_write(&entries)?;
    expect("the version of all writes", &version, &before.next())?;
    let read = scheduler.batch_read(&keys)?;
    let is_there = read.iter().zip(&keys).all(|(value, key)| value.as_deref() == Some(key));
    expect("that every key has its value", &is_there, &true)?;
    scheduler.batch_delete(&keys[..keys.len() / 2])?;
    let left = scheduler.batch_read(&keys)?.iter().flatten().count();
    expect("the keys that are left", &left, &(keys.len() / 2))?;

    let version = node.store().last_version();
    let set = |key: &'static [u8]| move |txn: &mut Txn| txn.write(key, b"1");
    type Operation = Box<dyn FnMut(&mut Txn) -> Result<(), Error>>;
    let mut operations: [Operation; 3] = [
        Box::new(set(b"first")),
        Box::new(|_| Err(Error::new(ErrorKind::NotFound, "operation", "as the demo wants it"))),
        Box::new(set(b"third")),
    ];
    let refused = scheduler.execute_batch(&mut operations).map_err(|error| error.kind());
    expect("a batch with an operation that fails", &refused, &Err(ErrorKind::NotFound))?;
    expect("what is left of it", &scheduler.batch_read(&["first"])?, &vec![None])?;
    expect("the version after it", &node.store().last_version(), &version)?;
    operations[1] = Box::new(set(b"second"));
    scheduler.execute_batch(&mut operations)?;
    let written = scheduler.batch_read(&["first", "second", "third"])?;
    expect("what the batch without it wrote", &written, &vec![Some(b"1".to_vec()); 3])?;

    let event = |data: &[u8]| Event { contract: [0; 20], data: data.to_vec() };
    let events = ["written", "deleted", "executed"].map(|name| event(name.as_bytes()));
    scheduler.batch_emit_events(events.clone())?;
    expect("the events", &scheduler.take_events(), &events.to_vec())?;
    let stats = scheduler.get_stats();
    expect("the batches that failed", &stats.failed, &1)?;
    let lines = vec![
        format!("{KEYS} keys written as one version of {BACKEND}, read, and half of them deleted"),
        "3 operations of which the second fails: nothing of them stays".to_owned(),
        "3 operations that succeed: one version".to_owned(),
        format!("{} events kept in order", events.len()),
        format!("{} batches, success rate {:.2}", stats.executions(), stats.success_rate()),
    ];
    let values = json!({
        "keys": KEYS, "keys_left": left, "batches": stats.executions(), "failed": stats.failed,
        "events": events.len(), "success_rate": stats.success_rate(), "backend": BACKEND,
    });
    Ok((lines, values))
}

fn number(value: Option<Vec<u8>>) -> u64 {
    value.and_then(|value| value.try_into().ok()).map_or(0, u64::from_be_bytes)
}
