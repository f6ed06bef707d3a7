//! A bank whose sum an auditor checks while money moves.
//!
//! `SUPERVM_BANK_SECONDS` sets how long (default 2; 60 at night), `SUPERVM_SEED` replays the choices.

use crate::support::{
    Over, Random, entries, is_conflict, latest, number, over_memory, read, seed, write,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use supervm_engine::mvcc::{AutoGcConfig, Isolation, MvccConfig, MvccStore};
use supervm_plugin_sdk::{Direction, KeyRange};

const ACCOUNTS: u64 = 50;
const EACH: u64 = 1_000;
const MOVERS: u64 = 3;

fn account(number: u64) -> String {
    format!("account {number:02}")
}

/// Moves money between two accounts; an empty account is closed, and one that gets money is opened again.
fn transfer(store: &MvccStore, random: &mut Random, isolation: Isolation) -> bool {
    let mut txn = store.begin_with(isolation);
    let (from, to) = (account(random.below(ACCOUNTS)), account(random.below(ACCOUNTS)));
    let balance = |text: Option<String>| text.map_or(0, |text| text.parse::<u64>().unwrap());
    let before = balance(read(&mut txn, &from));
    random.maybe_yield();
    let amount = match random.once_in(10) {
        true => before,
        false => random.below(before + 1),
    };
    match before - amount {
        0 => txn.delete(from.as_bytes()).unwrap(),
        left => write(&mut txn, &from, &left.to_string()),
    }
    // Reads its own write when both are one.
    let there = balance(read(&mut txn, &to)) + amount;
    random.maybe_yield();
    match there {
        0 => txn.delete(to.as_bytes()).unwrap(),
        there => write(&mut txn, &to, &there.to_string()),
    }
    if random.once_in(20) {
        txn.abort();
        return false;
    }
    !is_conflict(txn.commit())
}

fn sum(store: &MvccStore, random: &mut Random) -> u64 {
    let mut txn = store.begin_read_only();
    random.maybe_yield();
    if random.once_in(2) {
        let all = (0..ACCOUNTS).filter_map(|number| read(&mut txn, &account(number)));
        return all.map(|balance| balance.parse::<u64>().unwrap()).sum();
    }
    let direction = if random.once_in(2) { Direction::Forward } else { Direction::Reverse };
    let all = entries(&mut txn, KeyRange::ALL, direction, usize::MAX);
    all.into_iter().map(|(_, balance)| balance.parse::<u64>().unwrap()).sum()
}

fn the_sum_stays(store: &MvccStore, isolation: Isolation) {
    let seed = seed();
    let time = Duration::from_secs(number("SUPERVM_BANK_SECONDS", 2)) / 4;
    let (moved, audits, is_over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let mut txn = store.begin();
    (0..ACCOUNTS).for_each(|number| write(&mut txn, &account(number), &EACH.to_string()));
    txn.commit().unwrap();
    thread::scope(|scope| {
        for mover in 0..MOVERS {
            let (moved, is_over) = (&moved, &is_over);
            scope.spawn(move || {
                let mut random = Random(seed + mover);
                while !is_over.load(Ordering::Relaxed) {
                    let has_moved = transfer(store, &mut random, isolation);
                    moved.fetch_add(u64::from(has_moved), Ordering::Relaxed);
                    if random.once_in(100) {
                        store.evict();
                    }
                }
            });
        }
        let _over = Over(&is_over);
        let mut random = Random(!seed);
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            assert_eq!(sum(store, &mut random), ACCOUNTS * EACH);
            audits.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_eq!(sum(store, &mut Random(seed)), ACCOUNTS * EACH);
    let (moved, audits) = (moved.into_inner(), audits.into_inner());
    println!("{isolation:?}: {moved} transfers, {audits} audits");
    assert!(moved > 0 && audits > 0);
    assert!(latest(store, "no account").is_none());
}

fn config() -> MvccConfig {
    let auto_gc = AutoGcConfig {
        interval: Duration::from_millis(2),
        version_threshold: Some(1_000),
        run_on_start: true,
    };
    MvccConfig { auto_gc: Some(auto_gc), memory_bytes_max: 6_000, ..MvccConfig::default() }
}

#[test]
fn money_is_neither_made_nor_lost_in_memory() {
    for isolation in [Isolation::Serializable, Isolation::Snapshot] {
        the_sum_stays(&MvccStore::in_memory(config()), isolation);
    }
}

#[test]
fn money_is_neither_made_nor_lost_over_a_backend() {
    for isolation in [Isolation::Serializable, Isolation::Snapshot] {
        let (store, _dir) = over_memory(config());
        the_sum_stays(&store, isolation);
    }
}
